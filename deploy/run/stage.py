"""The stage of the run: the embedded AWS with both reference systems and their alarms, and clients to use them."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3
import pg8000.exceptions
import pg8000.native
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from deploy.run.oncall import OnCall
from deploy.systems import deploy_systems
from tocsin.cloud.committed import Committed
from tocsin.cloud.deploy import StackOutcome, deploy
from tocsin.cloud.embedded import EmbeddedAws
from tocsin.cloud.environments import Environment, SystemStacks
from tocsin.errors import CloudError

ROOT = Path(__file__).resolve().parents[2]
NAME = "laptop"
BUCKET = "laptop-artifacts"

# Smaller than in any real environment, because queues keep real time however fast the clock runs: a message
# that fails is seen again after six seconds, and dead-lettered after the third time.
_SYSTEMS = {
    "notification": {"GenerateTimeoutSeconds": "1", "GenerateVisibilitySeconds": "6", "DeletionProtection": "false"},
    "data_pipeline": {"DeletionProtection": "false", "DatabaseTls": "off"},
}


@dataclass(frozen=True)
class Stage:
    """Everything that is up.  ``outputs`` are those of the watched stacks, by system."""

    aws: EmbeddedAws
    environment: Environment
    outputs: Mapping[str, Mapping[str, str]]

    def client(self, service: str) -> Any:
        """A boto3 client of the embedded AWS."""
        return self._clients.setdefault(service, self._session.client(service, endpoint_url=self.aws.endpoint))

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
        """GET a user's notifications through the API, signed: the status, and what came back."""
        url = self.api_url.format(user=user)
        request = AWSRequest("GET", url)
        SigV4Auth(self._session.get_credentials(), "execute-api", self.aws.region).add_auth(request)
        signed = urllib.request.Request(url, headers=dict(request.headers))  # noqa: S310 (our own endpoint)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(signed, timeout=30) as answer:
                return answer.status, json.load(answer)["notifications"]
        except urllib.error.HTTPError as error:
            with error:
                return error.code, []

    @cached_property
    def api_url(self) -> str:
        """The address of a user's notifications; the embedded AWS serves APIs under a path of its own."""
        api = self.outputs["notification"]["ApiId"]
        return f"{self.aws.endpoint}/_aws/execute-api/{api}/live/users/{{user}}/notifications"

    def load_file(self, prefix: str, name: str, content: bytes) -> None:
        """Put a CSV file into the pipeline's bucket."""
        self.client("s3").put_object(
            Bucket=self.outputs["data_pipeline"]["IncomingName"], Key=f"{prefix}/{name}", Body=content
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


def describe_environment(aws: EmbeddedAws, pager: OnCall) -> Environment:
    """What ``deploy/environments.toml`` says of a real environment, for the embedded AWS."""
    endpoints = {
        f"{owner}{severity}Endpoint": pager.url(severity.lower())
        for owner in ("Engagement", "DataPlatform")
        for severity in ("Page", "Ticket")
    }
    return Environment(
        name=NAME,
        path="the embedded AWS",
        region=aws.region,
        artifacts_bucket=BUCKET,
        endpoint_url=aws.endpoint,
        routing_stack=f"{NAME}-routing",
        routing_parameters=MappingProxyType({"EndpointProtocol": "http", **endpoints}),
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


def set_up_systems(aws: EmbeddedAws, environment: Environment) -> Stage:
    """Package the functions and deploy both reference systems.  Raises CloudError."""
    _session(aws).client("s3", endpoint_url=aws.endpoint).create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.region}
    )
    outcomes = deploy_systems(environment)
    return Stage(aws, environment, {str(outcome.system): outcome.outputs for outcome in outcomes})


def set_up_alarms(environment: Environment) -> tuple[StackOutcome, ...]:
    """Deploy the committed routing and alarms, as ``tocsin deploy`` does.  Raises CloudError."""
    return deploy(environment, Committed(ROOT / "alarms", ROOT / "deploy" / "routing.yaml"))
