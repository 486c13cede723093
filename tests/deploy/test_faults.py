"""Faults between the notification handlers and AWS: short ones are ridden out, lasting ones raise, nothing is lost or doubled.

The handlers run here, in this process; their calls go through a proxy that injects faults into the embedded AWS.  Each
call that a handler makes in a run without faults has its row in ``CALLS``; a new call without a row fails a test.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from deploy.notification.handlers import batches, find_daily_notifications, get_notifications, message_generator
from deploy.notification.stack import template
from tests.deploy.faults import (
    IN_BATCHES,
    KINDS,
    SHORT,
    Call,
    Partial,
    Proxy,
    calls_in,
    partial,
    proxy,
    quick,
    recorded,
)

from deploy import clients
from tocsin.cloud.embedded import EmbeddedAws, embedded

pytestmark = pytest.mark.long

DAY = datetime.now(UTC).date()
YESTERDAY = DAY - timedelta(days=1)  # on which nothing is due
DUE = ("holiday", "storm")
USERS = [f"user-{number:02}" for number in range(28)]  # a batch of 25, and the rest
TABLES = ("Definitions", "Notifications", "Runs", "Subscriptions")


class FailedError(Exception):
    """What Lambda or the API's caller sees of a fault that lasts."""


@dataclass
class Context:
    """What Lambda gives a handler.  The time is short once it was asked for ``patience`` times."""

    patience: int | None = None
    aws_request_id: str = "request-1"
    asked: int = 0

    def get_remaining_time_in_millis(self) -> int:
        self.asked += 1
        return 10 if self.patience is not None and self.asked > self.patience else 600_000


_numbers = itertools.count()


@dataclass
class World:
    """Tables and a queue of one test; a test sees them past the proxy, the handlers through it."""

    dynamodb: Any
    sqs: Any
    names: dict[str, str] = field(default_factory=dict)
    queue: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    def create(self) -> None:
        number = next(_numbers)
        resources = template().to_dict()["Resources"]
        for table in TABLES:
            properties = resources[table]["Properties"]
            self.names[table] = f"test-{number}-{table}"
            self.dynamodb.create_table(
                TableName=self.names[table],
                AttributeDefinitions=properties["AttributeDefinitions"],
                KeySchema=properties["KeySchema"],
                BillingMode="PAY_PER_REQUEST",
            )
        self.names["GenerateMessage"] = f"test-{number}-GenerateMessage"
        self.queue = self.sqs.create_queue(QueueName=self.names["GenerateMessage"])["QueueUrl"]
        texts = {"topic": "weather", "title": "Storm", "body": "Stay in."}
        self.put("Definitions", [{"day": DAY.isoformat(), "notification": each, **texts} for each in DUE])
        self.put("Subscriptions", [{"topic": "weather", "user": user} for user in USERS])

    def put(self, table: str, items: list[dict[str, str]]) -> None:
        requests = [{"PutRequest": {"Item": {name: {"S": text} for name, text in item.items()}}} for item in items]
        for batch in batches.in_batches(requests, 25):
            self.dynamodb.batch_write_item(RequestItems={self.names[table]: batch})

    def environment(self) -> dict[str, str]:
        return {
            "DEFINITIONS_TABLE": self.names["Definitions"],
            "NOTIFICATIONS_TABLE": self.names["Notifications"],
            "RUNS_TABLE": self.names["Runs"],
            "SUBSCRIPTIONS_TABLE": self.names["Subscriptions"],
            "QUEUE_URL": self.queue,
            "RETENTION_DAYS": "14",
            "READABLE_BY": "23:59",
            "API_AUTHORIZATION": "JWT",
            "AWS_LAMBDA_FUNCTION_NAME": "function",
        }

    def records(self) -> list[tuple[str, str]]:
        """Who has got what."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.names["Notifications"])
        return sorted((item["user"]["S"], item["day_notification"]["S"]) for page in pages for item in page["Items"])

    def run(self, day: date) -> dict[str, str]:
        """The numbers of a day's run."""
        key = {"day": {"S": day.isoformat()}, "item": {"S": "#run"}}
        item = self.dynamodb.get_item(TableName=self.names["Runs"], Key=key).get("Item", {})
        return {name: value["N"] for name, value in item.items() if "N" in value}

    def messages(self) -> list[dict[str, Any]]:
        """What is in the queue, taken out of it, as a Lambda event has it."""
        found: list[dict[str, Any]] = []
        while taken := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in taken:
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                found.append({"messageId": message["MessageId"], "body": message["Body"]})
        return found

    def find(self, day: date = DAY) -> None:
        find_daily_notifications.handler({"day": day.isoformat()}, Context())

    def take(self) -> None:
        """Take what is queued as the events of the generator: the same when they are delivered again."""
        self.events = self.messages()

    def generate(self, context: Context | None = None) -> None:
        """The generator with those events.  Raises what it raises, or FailedError if a message goes back."""
        answer = message_generator.handler({"Records": self.events}, context or Context())
        if answer["batchItemFailures"]:
            raise FailedError(answer)

    def drain(self) -> None:
        """What AWS does next: the generator gets what is queued until nothing is."""
        self.take()
        while self.events:
            self.generate()
            self.take()

    def find_and_drain(self) -> None:
        self.find()
        self.drain()

    def find_and_take(self) -> None:
        self.find()
        self.take()

    def read(self) -> None:
        """One page of a user."""
        event = {
            "pathParameters": {"user": USERS[0]},
            "requestContext": {"authorizer": {"jwt": {"claims": {"sub": USERS[0]}}}},
        }
        answer = get_notifications.handler(event, Context())
        if answer["statusCode"] == 500:
            raise FailedError(answer)
        found = [each["notification"] for each in json.loads(answer["body"])["notifications"]]
        assert found == sorted(DUE, reverse=True)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way through a handler, and what comes before it without faults."""

    function: str
    act: Callable[[World], None]
    before: Callable[[World], None] = lambda world: None


SCENARIOS = {
    "find": Scenario("FindDailyNotifications", World.find),
    "find-nothing": Scenario("FindDailyNotifications", lambda world: world.find(YESTERDAY), World.find_and_drain),
    "generate": Scenario("MessageGenerator", World.generate, World.find_and_take),
    "generate-in-parts": Scenario(
        "MessageGenerator", lambda world: world.generate(Context(patience=1)), World.find_and_take
    ),
    "read": Scenario("GetNotifications", World.read, World.find_and_drain),
}
COMPLETED = "SET #completed_at = if_not_exists(#completed_at, :now)"
ANNOUNCED = "SET #announced = :due"
STARTED = (
    "SET #due = :due, #started_at = if_not_exists(#started_at, :now), "
    "#expires_at = if_not_exists(#expires_at, :expires_at)"
)
# Which calls are tried in which scenario: each call of a function in one of the ways through it.
CALLS = {
    "find": [
        Call("dynamodb", "Query", "Definitions"),
        Call("dynamodb", "UpdateItem", "Runs", STARTED),
        Call("sqs", "SendMessageBatch", "GenerateMessage"),
    ],
    "find-nothing": [
        Call("dynamodb", "GetItem", "Runs"),
        Call("dynamodb", "UpdateItem", "Runs", COMPLETED),
        Call("dynamodb", "UpdateItem", "Runs", ANNOUNCED),
    ],
    "generate": [
        Call("dynamodb", "GetItem", "Runs"),
        Call("dynamodb", "GetItem", "Definitions"),
        Call("dynamodb", "Query", "Subscriptions"),
        Call("dynamodb", "BatchWriteItem", "Notifications"),
        Call("dynamodb", "TransactWriteItems", "Runs"),
        Call("dynamodb", "UpdateItem", "Runs", COMPLETED),
        Call("dynamodb", "UpdateItem", "Runs", ANNOUNCED),
    ],
    "generate-in-parts": [Call("sqs", "SendMessageBatch", "GenerateMessage")],
    "read": [Call("dynamodb", "Query", "Notifications")],
}
CASES = [
    pytest.param(scenario, call, kind, id=f"{scenario}-{call}-{kind}")
    for scenario, calls in CALLS.items()
    for call in calls
    for kind in (*KINDS, *(["not-taken"] if call.operation in IN_BATCHES else []))
]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    with embedded(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture(scope="module")
def faulty(aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with (tmp_path_factory.mktemp("proxy") / "log").open("wb") as log, proxy(aws.endpoint, log) as running:
        yield running


@pytest.fixture(scope="module")
def taking(aws: EmbeddedAws) -> Iterator[Partial]:
    with partial(aws.endpoint) as running:
        yield running


@pytest.fixture
def world(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> World:
    for name, value in {**aws.boto3_environment(), "AWS_ENDPOINT_URL": aws.endpoint}.items():
        monkeypatch.setenv(name, value)
    clients.forget_clients()
    made = World(*(boto3.client(service, endpoint_url=aws.endpoint) for service in ("dynamodb", "sqs")))
    made.create()
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def fault(
    world: World, faulty: Proxy, taking: Partial, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AbstractContextManager[None]]:
    """``fault(call, kind, times)``: the handlers' calls meet it while the block runs."""

    @contextmanager
    def begin(call: Call, kind: str, times: int | None = None) -> Iterator[None]:
        with (
            monkeypatch.context() as patch,
            quick(kind),
            taking.fault(call, times=times)
            if kind == "not-taken"
            else faulty.fault(call, kind, names=world.names, times=times),
        ):
            patch.setattr(batches, "LONGEST_PAUSE", 0.01)
            patch.setenv("AWS_ENDPOINT_URL", taking.endpoint if kind == "not-taken" else faulty.endpoint)
            yield

    return begin


def metrics(capsys: pytest.CaptureFixture[str], name: str) -> list[float]:
    """What was published of a metric since the last look."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line[name] for line in lines if name in line]


def assert_everything_is_there_once(world: World, day: date = DAY) -> None:
    """A send that the client gave up may still come later: nothing is said of the queue after it was drained."""
    world.drain()
    assert world.records() == sorted((user, f"{DAY}#{each}") for user in USERS for each in DUE)
    due = str(len(DUE))
    run = world.run(DAY)
    assert (run["due"], run["done"], run["announced"]) == (due, due, due)


@pytest.mark.parametrize(("name", "call", "kind"), CASES)
def test_a_short_fault_is_ridden_out(name: str, call: Call, kind: str, world: World, fault: Any) -> None:
    scenario = SCENARIOS[name]
    scenario.before(world)
    with fault(call, kind, SHORT):
        scenario.act(world)
    assert_everything_is_there_once(world)


@pytest.mark.parametrize(("name", "call", "kind"), CASES)
def test_a_lasting_fault_raises_and_the_next_delivery_makes_it_good(
    name: str, call: Call, kind: str, world: World, fault: Any
) -> None:
    scenario = SCENARIOS[name]
    scenario.before(world)
    with fault(call, kind), pytest.raises((BotoCoreError, ClientError, FailedError, TimeoutError)):
        scenario.act(world)
    scenario.act(world)
    assert_everything_is_there_once(world)


@pytest.mark.parametrize("function", sorted({scenario.function for scenario in SCENARIOS.values()}))
def test_every_call_of_a_function_is_tried(function: str, world: World) -> None:
    names = [name for name, scenario in SCENARIOS.items() if scenario.function == function]
    made: set[Call] = set()
    for name in names:
        SCENARIOS[name].before(world)
        with recorded(world.names) as calls:
            SCENARIOS[name].act(world)
        made |= set(calls)
    assert made == {call for name in names for call in CALLS[name]}


def test_every_call_in_the_source_is_tried() -> None:
    tried = {(call.service, call.operation) for calls in CALLS.values() for call in calls}
    assert calls_in(Path(message_generator.__file__).parent) == tried
