"""What tests of the notification handlers work with: tables and queues in an embedded AWS, and handlers called in process."""

from __future__ import annotations

import contextlib
import io
import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from typing import Any

import pytest
from deploy.notification.handlers import days, find_daily_notifications, message_generator
from deploy.notification.stack import template

TABLES = ("Definitions", "Subscriptions", "Notifications", "Runs")
RETENTION_DAYS = 90
DAY = date(2026, 1, 31)


def set_clock(monkeypatch: pytest.MonkeyPatch, day: date, clock: str = "05:00") -> None:
    """From now on the handlers' clock runs from that moment of that day on."""
    ahead = datetime.combine(day, time_of_day.fromisoformat(clock), UTC).timestamp() - time.time()
    monkeypatch.setattr(days, "wall_clock", lambda: time.time() + ahead)


@dataclass(frozen=True)
class Context:
    """A Lambda context.  ``remaining`` are the answers about the time that is left, the last of them for ever."""

    aws_request_id: str = "request-1"
    remaining: list[int] = field(default_factory=lambda: [60_000])

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining.pop(0) if len(self.remaining) > 1 else self.remaining[0]


def lines(text: str) -> list[dict[str, Any]]:
    """The log lines in what was written to standard output."""
    return [json.loads(line) for line in text.splitlines()]


def metrics(logged: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    """The values of one metric in log lines in the embedded metric format."""
    found = []
    for line in logged:
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()):
            assert directive["Namespace"] == "Notification"
            assert directive["Dimensions"] == [["FunctionName"]]
            found += [line[metric["Name"]] for metric in directive["Metrics"] if metric["Name"] == name]
    return found


@dataclass(frozen=True)
class Place:
    """The tables and the queue of one test module; ``client`` makes the test's own clients."""

    client: Callable[..., Any]
    environment: Mapping[str, str]

    @property
    def dynamodb(self) -> Any:
        return self.client("dynamodb")

    @property
    def sqs(self) -> Any:
        return self.client("sqs")

    def put(self, table: str, **texts: str) -> None:
        self.dynamodb.put_item(
            TableName=self.environment[f"{table.upper()}_TABLE"],
            Item={name: {"S": text} for name, text in texts.items()},
        )

    def define(self, day: date, notification: str, topic: str) -> None:
        texts = {"title": f"{notification} ☂", "body": "Stay in."}
        self.put("Definitions", day=day.isoformat(), notification=notification, topic=topic, **texts)

    def subscribe(self, topic: str, users: Iterable[str]) -> None:
        from deploy.notification.handlers.batches import in_batches

        table = self.environment["SUBSCRIPTIONS_TABLE"]
        for batch in in_batches(users, 25):
            items = [{"PutRequest": {"Item": {"topic": {"S": topic}, "user": {"S": user}}}} for user in batch]
            assert not self.dynamodb.batch_write_item(RequestItems={table: items})["UnprocessedItems"]

    def rows(self, users: Iterable[str], day: date) -> dict[tuple[str, str], dict[str, Any]]:
        """The stored records of these users and that day, by user and notification."""
        found = {}
        for user in users:
            pages = self.dynamodb.get_paginator("query").paginate(
                TableName=self.environment["NOTIFICATIONS_TABLE"],
                KeyConditionExpression="#user = :user AND begins_with(day_notification, :day)",
                ExpressionAttributeNames={"#user": "user"},
                ExpressionAttributeValues={":user": {"S": user}, ":day": {"S": f"{day}#"}},
            )
            for page in pages:
                for item in page["Items"]:
                    found[user, item["notification"]["S"]] = item
        return found

    def run(self, day: date) -> dict[str, dict[str, Any]]:
        """The items of a day in Runs, by their name."""
        answer = self.dynamodb.query(
            TableName=self.environment["RUNS_TABLE"],
            KeyConditionExpression="#day = :day",
            ExpressionAttributeNames={"#day": "day"},
            ExpressionAttributeValues={":day": {"S": day.isoformat()}},
            ConsistentRead=True,
        )
        return {item["item"]["S"]: item for item in answer["Items"]}

    def receive(self) -> list[dict[str, Any]]:
        """Up to ten messages of the queue, as the records of an event; they stay in the queue, hidden."""
        answer = self.sqs.receive_message(QueueUrl=self.environment["QUEUE_URL"], MaxNumberOfMessages=10)
        return [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": {"ApproximateReceiveCount": "1"},
            }
            for message in answer.get("Messages", ())
        ]

    def delete(self, record: Mapping[str, Any]) -> None:
        self.sqs.delete_message(QueueUrl=self.environment["QUEUE_URL"], ReceiptHandle=record["receiptHandle"])

    def give_back(self, record: Mapping[str, Any]) -> None:
        self.sqs.change_message_visibility(
            QueueUrl=self.environment["QUEUE_URL"], ReceiptHandle=record["receiptHandle"], VisibilityTimeout=0
        )

    def drain(self, context: Callable[[], Context] = Context) -> int:
        """Let the generator work until the queue is empty; how many batches it took.  No message may fail."""
        batches = 0
        while records := self.receive():
            assert message_generator.handler({"Records": records}, context()) == {"batchItemFailures": []}
            for record in records:
                self.delete(record)
            batches += 1
        return batches


def find(day: date) -> dict[str, Any]:
    """Start the day's run."""
    return find_daily_notifications.handler({"day": day.isoformat()}, Context())


def expected(day: date, notification: str, topic: str, user: str) -> dict[str, Any]:
    """The record that a user is to have, spelt out."""
    from datetime import UTC, datetime, timedelta

    expires = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=RETENTION_DAYS)
    return {
        "user": {"S": user},
        "day_notification": {"S": f"{day}#{notification}"},
        "day": {"S": day.isoformat()},
        "notification": {"S": notification},
        "topic": {"S": topic},
        "title": {"S": f"{notification} ☂"},
        "body": {"S": "Stay in."},
        "expires_at": {"N": str(int(expires.timestamp()))},
    }


@contextlib.contextmanager
def logged() -> Iterator[list[dict[str, Any]]]:
    """What handlers log in the block; the list is filled when the block ends, also by an error."""
    found: list[dict[str, Any]] = []
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            yield found
    finally:
        found += lines(out.getvalue())


def make_place(client: Callable[..., Any]) -> Place:
    """The tables of the template with new names, and a queue like its own, whose messages stay hidden for long."""
    name = uuid.uuid4().hex[:10]
    resources = template().to_dict()["Resources"]
    environment = {"AWS_LAMBDA_FUNCTION_NAME": name, "RETENTION_DAYS": str(RETENTION_DAYS), "READABLE_BY": "06:30"}
    for table in TABLES:
        properties = resources[table]["Properties"]
        client("dynamodb").create_table(
            TableName=f"{name}-{table}",
            BillingMode=properties["BillingMode"],
            AttributeDefinitions=properties["AttributeDefinitions"],
            KeySchema=properties["KeySchema"],
        )
        environment[f"{table.upper()}_TABLE"] = f"{name}-{table}"
    environment["QUEUE_URL"] = client("sqs").create_queue(QueueName=name, Attributes={"VisibilityTimeout": "3600"})[
        "QueueUrl"
    ]
    return Place(client, environment)
