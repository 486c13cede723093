"""What a test of the embedded AWS works with: clients, stacks, a wait for a condition, an HTTP endpoint for SNS."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tocsin.cloud.embedded import EmbeddedAws


def clients_of(aws: EmbeddedAws) -> Callable[..., Any]:
    import boto3
    from botocore.config import Config

    def make(
        service: str,
        access_key: str = "test",
        secret_key: str = "test",
        token: str | None = None,
        retries: int = 4,
    ) -> Any:
        return boto3.client(
            service,
            endpoint_url=aws.endpoint,
            region_name=aws.region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": retries + 1}),
        )

    return make


@dataclass
class Stack:
    """One stack, created, changed and deleted through the API."""

    cloudformation: Any
    name: str

    def create(self, resources: dict[str, Any], outputs: dict[str, Any] | None = None, **rest: Any) -> None:
        body = {"Resources": resources, **({"Outputs": outputs} if outputs else {}), **rest}
        self.cloudformation.create_stack(
            StackName=self.name, TemplateBody=json.dumps(body), Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        assert self.settled() == "CREATE_COMPLETE", self.reasons()

    def update(self, resources: dict[str, Any], outputs: dict[str, Any] | None = None) -> str:
        body = {"Resources": resources, **({"Outputs": outputs} if outputs else {})}
        self.cloudformation.update_stack(
            StackName=self.name, TemplateBody=json.dumps(body), Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        return self.settled()

    def delete(self) -> str:
        self.cloudformation.delete_stack(StackName=self.name)
        return self.settled()

    def settled(self) -> str:
        """The status, once nothing is in progress; a deleted stack is DELETE_COMPLETE."""
        from botocore.exceptions import ClientError

        def status() -> str | None:
            try:
                found = self.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"]
            except ClientError:
                return "DELETE_COMPLETE"
            return None if found.endswith("IN_PROGRESS") else found

        return eventually(status, f"stack {self.name} to settle")

    def reasons(self) -> list[str]:
        events = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return [event["ResourceStatusReason"] for event in events if event.get("ResourceStatusReason")]

    def ids(self) -> dict[str, str]:
        resources = self.cloudformation.describe_stack_resources(StackName=self.name)["StackResources"]
        return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}

    def outputs(self) -> dict[str, str]:
        found = self.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def eventually(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """The first true value of ``condition``, asked again and again; fails the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s for {what}")
        time.sleep(0.02)


def http(url: str, data: bytes | None = None) -> tuple[int, bytes]:
    """A request without proxy; error statuses are answers, too."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, data, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@dataclass
class Receiver:
    """What an HTTP endpoint subscribed to SNS got: (headers, message) each.  ``failures`` statuses come first."""

    url: str
    received: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    confirms: bool = True

    def messages(self, kind: str = "Notification") -> list[dict[str, Any]]:
        return [message for _, message in self.received if message["Type"] == kind]

    def alarms(self) -> list[dict[str, Any]]:
        return [json.loads(message["Message"]) for message in self.messages()]


@contextmanager
def receiving() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.received.append(({name.lower(): value for name, value in self.headers.items()}, message))
            status = receiver.failures.pop(0) if receiver.failures else 200
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            if message["Type"] == "SubscriptionConfirmation" and receiver.confirms:
                threading.Thread(target=http, args=(message["SubscribeURL"],), daemon=True).start()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}/alarms")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()
