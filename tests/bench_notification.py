"""How fast notifications are written out and read, in process, against the tables of an embedded AWS.

``python -m tests.bench_notification``.  The embedded tables are one Python process on the same machine, so the figures
bound our own code from below: what DynamoDB does itself is not in them.
"""

# ruff: noqa: T201 - a program that prints

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "deploy" / "notification"))

import boto3
from deploy.notification.handlers import get_notifications, message_generator
from deploy.notification.handlers.message import Due, write_message
from notification_tools import Context, Place, make_place

from deploy import clients
from tocsin.cloud.embedded import embedded

SESSIONS = "arn:aws:sts::111122223333:assumed-role/users/"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the handlers' log lines."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def generate(place: Place, users: int) -> float:
    """Seconds that the generator takes to write one notification out for so many users."""
    day = datetime.now(UTC).date()
    place.subscribe("weather", (f"user-{number:07}" for number in range(users)))
    place.define(day, "storm", "weather")
    record = {"messageId": "one", "body": write_message(Due(day, "storm"))}
    begin = time.perf_counter()
    with quiet():
        message_generator.handler({"Records": [record]}, Context())
    return time.perf_counter() - begin


def read(place: Place, stored: int, calls: int) -> list[float]:
    """Seconds of each of so many calls of the API's function for a user with ``stored`` notifications."""
    today = datetime.now(UTC).date()
    for number in range(stored):
        day = (today - timedelta(days=number % 30)).isoformat()
        texts = {"user": "reader", "day_notification": f"{day}#n{number}", "day": day, "notification": f"n{number}"}
        texts |= {"topic": "weather", "title": "Storm", "body": "Stay in. " * 20}
        item: dict[str, Any] = {name: {"S": text} for name, text in texts.items()}
        item["expires_at"] = {"N": str(int(time.time()) + 3600)}
        place.dynamodb.put_item(TableName=place.environment["NOTIFICATIONS_TABLE"], Item=item)
    event = {
        "pathParameters": {"user": "reader"},
        "queryStringParameters": {"limit": "20"},
        "requestContext": {"authorizer": {"iam": {"userArn": f"{SESSIONS}reader"}}},
    }
    times = []
    for _ in range(calls):
        begin = time.perf_counter()
        answer = get_notifications.handler(event, Context())
        times.append(time.perf_counter() - begin)
        assert answer["statusCode"] == 200, answer
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench_notification", description=__doc__)
    parser.add_argument("--users", type=int, default=20_000, help="subscribers of the notification")
    parser.add_argument("--calls", type=int, default=2_000, help="calls of the API")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder, embedded(folder) as aws:
        os.environ.update(aws.boto3_environment() | {"AWS_ENDPOINT_URL": aws.endpoint})
        clients.forget_clients()
        place = make_place(functools.cache(boto3.client))
        os.environ.update(place.environment)
        os.environ.update({"API_AUTHORIZATION": "AWS_IAM", "USER_SESSIONS": SESSIONS})
        seconds = generate(place, given.users)
        times = read(place, 300, given.calls)
    percentiles = statistics.quantiles(times, n=100)
    print(f"{'':34}{'measured':>12}{'aim':>8}")
    print(f"{f'generator, {given.users} users':34}{given.users / seconds:10.0f}/s{'':>8}")
    print(f"{'API in process, 20 of 300, p50':34}{percentiles[49] * 1000:9.1f} ms{'':>8}")
    print(f"{'API in process, 20 of 300, p99':34}{percentiles[98] * 1000:9.1f} ms{'800':>8}")


if __name__ == "__main__":
    main()
