"""The deployed systems as a check sees them: their stacks' outputs, clients with the caller's credentials, the API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tocsin.cloud.environments import Environment
from tocsin.cloud.preparation import connect_to
from tocsin.cloud.session import Cloud, asking, connect
from tocsin.cloud.stacks import Stack, require_stack
from tocsin.errors import CloudError

NOTIFICATION, DATA_PIPELINE = "notification", "data_pipeline"
STAGE = "live"

# How long something may take that is under way: a cold start in a private network, a schedule that is late.
PATIENCE_SECONDS = 180.0
_LONGEST_INVOCATION = 900  # seconds; Lambda allows no function more


@dataclass(frozen=True, slots=True)
class Target:
    """One environment.  ``patience`` is how many seconds a check waits for something to come about."""

    environment: Environment
    cloud: Cloud
    stacks: Mapping[str, Stack]
    patience: float = PATIENCE_SECONDS

    def client(self, service: str) -> Any:
        """A boto3 client with the caller's credentials."""
        return self.cloud.client(service)

    def output(self, system: str, name: str) -> str:
        """An output of a system's stack.  Raises CloudError where it has none of that name."""
        stack = self.stacks[system]
        if name not in stack.outputs:
            raise CloudError(f"stack {stack.name} has no output {name}; run `make deploy ENV={self.environment.name}`")
        return stack.outputs[name]

    def parameter(self, system: str, name: str) -> str:
        """The value a system's stack was deployed with; empty where it has no such parameter."""
        return self.stacks[system].parameters.get(name, "")

    def notifications_url(self, user: str) -> str:
        """Where the API answers for a user."""
        endpoint = str(self.client("apigatewayv2").meta.endpoint_url)
        base = self.output(NOTIFICATION, "ApiUrl")
        if ".amazonaws.com" not in endpoint:
            # A stand-in has no name in the DNS for each API, so it serves them all under a path.
            base = f"{endpoint}/_aws/execute-api/{self.output(NOTIFICATION, 'ApiId')}/{STAGE}"
        return f"{base.rstrip('/')}/users/{user}/notifications"

    def invoke(self, system: str, function: str, event: Mapping[str, Any]) -> Any:
        """What a function answers.  Raises CloudError where it fails.  It is called once: a migration takes its time."""
        name = self.output(system, f"{function}Name")
        with asking(f"invoke {name}"):
            functions = self._client("lambda", read_timeout=_LONGEST_INVOCATION, retries={"total_max_attempts": 1})
            answer = functions.invoke(FunctionName=name, Payload=json.dumps(event).encode())
            content = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError"):
            told = content.get("errorMessage", content) if isinstance(content, dict) else content
            raise CloudError(f"{name} failed: {told}; see its log")
        return content

    def plain(self, service: str) -> Any:
        """A client with the caller's credentials that speaks HTTP without TLS.  Raises CloudError.

        A stand-in for AWS without such an address has nothing to refuse, so nothing could be shown there.
        """
        with asking(f"use {service}"):
            return connect(
                self.cloud.region, profile=self.environment.profile, endpoint_url=self._plain_endpoint(service)
            ).client(service)

    def anonymous(self, service: str) -> Any:
        """A client without credentials."""
        unsigned = import_module("botocore").UNSIGNED
        with asking(f"use {service}"):
            return self._client(service, signature_version=unsigned)

    def _client(self, service: str, **settings: Any) -> Any:
        """A client like the usual one, with further settings of botocore's Config."""
        usual = self.client(service).meta
        config = usual.config.merge(import_module("botocore.config").Config(**settings))
        session = import_module("boto3").Session(profile_name=self.environment.profile)
        return session.client(service, region_name=self.cloud.region, endpoint_url=usual.endpoint_url, config=config)

    def _plain_endpoint(self, service: str) -> str:
        if self.environment.plain_endpoint_url is not None:
            return self.environment.plain_endpoint_url
        endpoint = str(self.client(service).meta.endpoint_url)
        if endpoint.startswith("http://"):
            return endpoint
        if ".amazonaws.com" in endpoint:
            return endpoint.replace("https://", "http://", 1)
        raise CloudError(
            f"{endpoint} has no address without TLS; state {self.environment.name}.plain_endpoint_url in "
            f"{self.environment.path}"
        )


def target_of(environment: Environment, patience: float = PATIENCE_SECONDS) -> Target:
    """The deployed systems of an environment.  Raises CloudError where one is not there."""
    cloud = connect_to(environment)
    advice = f"run `make deploy ENV={environment.name}` first"
    stacks = {
        system: require_stack(cloud, environment.of(system).stack, advice) for system in (NOTIFICATION, DATA_PIPELINE)
    }
    return Target(environment, cloud, stacks, patience)
