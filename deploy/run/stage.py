"""The stage of the run: the embedded AWS with both reference systems and their alarms, and clients to use them.

Everything that is otherwise here than in AWS is in `_SYSTEMS` and `describe_environment`: smaller times, because queues
keep real time however fast the clock runs; and two addresses of the same AWS, with TLS for everybody and without it
for the check that must be refused there.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3
import pg8000.exceptions
import pg8000.native

from deploy.systems import bootstrap, deploy_systems
from deploy.validate.web import get, signature
from tocsin.cloud.committed import Committed
from tocsin.cloud.deploy import StackOutcome, deploy
from tocsin.cloud.embedded import EmbeddedAws
from tocsin.cloud.environments import Environment, OtherStack, SystemStacks
from tocsin.errors import CloudError
from tocsin.paging.embedded import EmbeddedOnCall

ROOT = Path(__file__).resolve().parents[2]
NAME = "laptop"
ACCOUNT = "000000000000"
ISSUER, REPOSITORY = "https://token.actions.githubusercontent.com", "laptop/notifications"

_SYSTEMS = {
    # A message that fails is seen again after six seconds, and dead-lettered after the third time.
    "notification": {
        "GenerateTimeoutSeconds": "1",
        "GenerateVisibilitySeconds": "6",
        "DeletionProtection": "false",
        "ReadableBy": "23:59",  # the day's run is started whenever somebody runs this, and is not late for that
    },
    "data_pipeline": {"DeletionProtection": "false"},
}


@dataclass(frozen=True)
class Stage:
    """Everything that is up.  ``outputs`` are those of the watched stacks by system, and those of ``delivery``."""

    aws: EmbeddedAws
    environment: Environment
    outputs: Mapping[str, Mapping[str, str]]

    def client(self, service: str) -> Any:
        """A boto3 client of the embedded AWS."""
        return self._clients.setdefault(service, self._session.client(service, endpoint_url=self.aws.tls_endpoint))

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _session(self) -> Any:
        return _session(self.aws)

    def subscribe(self, topic: str, users: list[str]) -> None:
        """Let users receive a topic's notifications."""
        for user in users:
            self._put("SubscriptionsName", {"topic": topic, "user": user})

    def define(self, day: date, notification: str, topic: str) -> None:
        """Let a notification be due on a day."""
        texts = {"title": f"{topic.title()} today", "body": f"What is new in {topic}."}
        self._put("DefinitionsName", {"day": day.isoformat(), "notification": notification, "topic": topic, **texts})

    def _put(self, table: str, item: Mapping[str, str]) -> None:
        name = self.outputs["notification"][table]
        self.client("dynamodb").put_item(TableName=name, Item={key: {"S": value} for key, value in item.items()})

    def start_daily_run(self) -> None:
        """What the schedule does once a day."""
        if not self.aws.fire(self.outputs["notification"]["DailyRuleName"]):
            raise CloudError("the daily rule has no target")

    def read_notifications(self, user: str) -> tuple[int, list[Any]]:
        """GET a user's notifications through the API, signed as that user: the status, and what came back."""
        url = self.api_url.format(user=user)
        answer = get(url, signature(url, self._credentials(user), self.aws.region))
        return answer.status, answer.content["notifications"] if answer.status == 200 else []

    def curl(self, user: str) -> str:
        """The same as a command of a shell, with a session of the user's that is good for an hour."""
        session = self._credentials(user)
        words = ["curl", "--noproxy", "127.0.0.1", "--cacert", str(self.aws.ca_file)]
        words += ["--aws-sigv4", f"aws:amz:{self.aws.region}:execute-api"]
        words += ["--user", f"{session['AccessKeyId']}:{session['SecretAccessKey']}"]
        words += ["--header", f"X-Amz-Security-Token: {session['SessionToken']}", self.api_url.format(user=user)]
        return shlex.join(words)

    def _credentials(self, user: str) -> Mapping[str, str]:
        """What the team's identity layer hands out to a user; good for an hour."""
        if user not in self._users:
            role = self.outputs["notification"]["UserRoleArn"]
            self._users[user] = self.client("sts").assume_role(RoleArn=role, RoleSessionName=user)["Credentials"]
        return self._users[user]

    @cached_property
    def _users(self) -> dict[str, Mapping[str, str]]:
        return {}

    @contextmanager
    def as_delivery(self) -> Iterator[None]:
        """The process environment of the delivery pipeline, which deploys and validates with a role of its own."""
        with in_environment(delivery_credentials(self.aws, self.outputs["delivery"])):
            yield

    @cached_property
    def api_url(self) -> str:
        """The address of a user's notifications; the embedded AWS serves APIs under a path of its own."""
        api = self.outputs["notification"]["ApiId"]
        return f"{self.aws.tls_endpoint}/_aws/execute-api/{api}/live/users/{{user}}/notifications"

    def load_file(self, prefix: str, name: str, content: bytes) -> None:
        """Put a CSV file into the pipeline's bucket."""
        self.client("s3").put_object(
            Bucket=self.outputs["data_pipeline"]["IncomingName"], Key=f"incoming/{prefix}/{name}", Body=content
        )

    def rows(self, table: str) -> int:
        """How many rows a table of the pipeline's database holds; 0 if it is not there yet."""
        outputs = self.outputs["data_pipeline"]
        secret = json.loads(
            self.client("secretsmanager").get_secret_value(SecretId=outputs["DatabaseSecretArn"])["SecretString"]
        )
        database = self.aws.postgres
        with pg8000.native.Connection(  # type: ignore[no-untyped-call]
            secret["username"],
            password=secret["password"],
            host=database.host,
            port=database.port,
            database=database.name,
        ) as connection:
            try:
                query = f"SELECT count(*) FROM {pg8000.native.identifier(table)}"  # type: ignore[no-untyped-call]  # noqa: S608 (a quoted identifier)
                return int(connection.run(query)[0][0])
            except pg8000.exceptions.DatabaseError:
                return 0

    def break_reader(self) -> None:
        """A bad deployment: the function that reads notifications is pointed at a table that does not exist."""
        self._point_reader_at("a-table-that-does-not-exist")

    def mend_reader(self) -> None:
        """The good deployment again."""
        self._point_reader_at(self.outputs["notification"]["NotificationsName"])

    def _point_reader_at(self, table: str) -> None:
        functions, name = self.client("lambda"), self.outputs["notification"]["GetNotificationsName"]
        variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": {**variables, "NOTIFICATIONS_TABLE": table}}
        )

    def poison(self) -> None:
        """Queue a message that nobody can make sense of."""
        self.client("sqs").send_message(
            QueueUrl=self.outputs["notification"]["GenerateMessageUrl"], MessageBody="{not a message"
        )

    def dead_letters(self) -> int:
        """How many messages lie in the dead-letter queue."""
        attributes = self.client("sqs").get_queue_attributes(
            QueueUrl=self.outputs["notification"]["GenerateMessageDeadLettersUrl"],
            AttributeNames=["ApproximateNumberOfMessages"],
        )["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"])

    def delete_dead_letter(self) -> str:
        """What the runbook says of a poisoned message: read it, keep its body, delete that one.  Returns the body."""
        queue = self.outputs["notification"]["GenerateMessageDeadLettersUrl"]
        (message,) = self.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=1)["Messages"]
        self.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return str(message["Body"])


def _session(aws: EmbeddedAws) -> Any:
    return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=aws.region)  # noqa: S106 (any key is root there)


@contextmanager
def in_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """The process environment with ``variables`` for the length of the block."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def believe(pager: EmbeddedOnCall, aws: EmbeddedAws) -> None:
    """Let the on-call tool take what this AWS signs, and tell the time by its clock; mail is wanted by whom it is sent to."""
    aws.confirm_mail()
    pager.certificates_from = aws.endpoint
    pager.state.clock = _clock_of(aws)


def _clock_of(aws: EmbeddedAws) -> Callable[[], datetime]:
    """The present of the embedded AWS, asked once: the factor of its clock stays as it is."""
    started, now, factor = time.monotonic(), aws.now(), aws.clock_factor
    return lambda: now + timedelta(seconds=(time.monotonic() - started) * factor)


def describe_environment(aws: EmbeddedAws) -> Environment:
    """What ``deploy/environments.toml`` says of a real environment, for the embedded AWS.  Nobody is on call yet."""
    return Environment(
        name=NAME,
        path="the embedded AWS",
        region=aws.region,
        account=ACCOUNT,
        endpoint_url=aws.tls_endpoint,
        plain_endpoint_url=aws.endpoint,
        routing_stack=f"{NAME}-routing",
        stacks={"delivery": OtherStack(f"{NAME}-delivery", {"GitHubRepository": REPOSITORY})},
        systems=MappingProxyType(
            {
                name: SystemStacks(
                    f"{NAME}-{name.replace('_', '-')}",
                    f"{NAME}-{name.replace('_', '-')}-alarms",
                    MappingProxyType(parameters),
                )
                for name, parameters in _SYSTEMS.items()
            }
        ),
    )


def delivery_credentials(aws: EmbeddedAws, delivery: Mapping[str, str]) -> Mapping[str, str]:
    """The variables with credentials of the delivery role, got as a GitHub workflow gets them: for a token.

    The embedded AWS compares the token's claims with the trust of the role; it does not verify the signature.
    """
    claims = {"iss": ISSUER, "aud": "sts.amazonaws.com", "sub": f"repo:{REPOSITORY}:environment:{NAME}"}
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."
    session = _session(aws).client("sts", endpoint_url=aws.tls_endpoint)
    credentials = session.assume_role_with_web_identity(
        RoleArn=delivery["DeliveryRoleArn"], RoleSessionName="delivery", WebIdentityToken=token
    )["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
    }


def set_up_systems(aws: EmbeddedAws, environment: Environment) -> Stage:
    """What an administrator does once; then, as the delivery pipeline, network and reference systems.  Raises CloudError."""
    delivery = bootstrap(environment).outputs
    environment = replace(
        environment,
        artifacts_bucket=delivery["ArtifactsBucketName"],
        execution_role=delivery["ExecutionRoleArn"],
        permissions_boundary=delivery["PermissionsBoundaryArn"],
    )
    with in_environment(delivery_credentials(aws, delivery)):
        outcomes = deploy_systems(environment)
    outputs = {"delivery": delivery, **{one.system: one.outputs for one in outcomes if one.system is not None}}
    return Stage(aws, environment, outputs)


def set_up_alarms(stage: Stage) -> tuple[StackOutcome, ...]:
    """Deploy the committed routing and alarms, as ``tocsin deploy`` does.  Raises CloudError."""
    with stage.as_delivery():
        return deploy(stage.environment, Committed(ROOT / "alarms", ROOT / "deploy" / "routing.yaml"))
