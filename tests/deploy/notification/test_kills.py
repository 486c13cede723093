"""The generator and the finder killed at random calls, messages and runs doubled: every user has each notification once.

A run of a seed is: a day with its notifications, its run started once or twice, and workers that take messages from the
queue until none is left.  Each of them may be killed at any of its calls to AWS, before the call is sent or after it
was answered.  The bodies of the records, the day's count, its markers and its completion are the same for every seed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from deploy.notification.handlers import message_generator
from notification_tools import Context, Place, expected, find, logged, metrics, set_clock

from deploy import clients

pytestmark = pytest.mark.long

SEEDS, CHUNKS = 200, 5
FIRST_DAY = date(2026, 1, 1)
SUBSCRIBERS = {"nobody": 0, "one": 1, "few": 5, "some": 11}
USERS = {topic: [f"{topic}-{number:02}" for number in range(count)] for topic, count in SUBSCRIBERS.items()}


class KilledError(BaseException):
    """What a kill looks like from inside: nothing catches it, and nothing after it happens."""


class Killer:
    """Ends the process at its ``calls``-th call to AWS, from any thread; an ended process makes no further call."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._after = False
        self._lock = threading.Lock()
        self.ended_at: set[tuple[str, str]] = set()
        for service in ("dynamodb", "sqs"):
            events = clients.client(service).meta.events
            events.register("before-send", self._before)
            events.register(f"after-call.{service}", self._answered)

    def arm(self, calls: int, *, after: bool) -> None:
        self._left, self._after = calls, after

    def disarm(self) -> None:
        self._left = None

    def _before(self, event_name: str, **_: Any) -> None:
        with self._lock:
            if self._left is None:
                return
            if self._left < 0:  # ended already
                raise KilledError
            self._left -= 1
            if self._left == 0:
                self._left = -1
                self._last = event_name.removeprefix("before-send.")
                if not self._after:
                    self.ended_at.add((self._last, "before"))
                    raise KilledError

    def _answered(self, event_name: str, **_: Any) -> None:
        with self._lock:
            # When the last call is answered; those of other threads that were under way end unnoticed.
            if self._left == -1 and self._after and event_name == f"after-call.{self._last}":
                self.ended_at.add((self._last, "after"))
                raise KilledError


@contextmanager
def killed_at(killer: Killer, random_: random.Random, most: int) -> Iterator[None]:
    """A block that is killed at one of its first ``most`` calls, or not if it makes fewer; then it just ends."""
    killer.arm(random_.randint(1, most), after=random_.random() < 0.5)
    try:
        yield
    finally:
        killer.disarm()


def live(place: Place, killer: Killer, seed: int) -> int:
    """A whole day of one seed; how many times something was killed."""
    chance = random.Random(seed)
    day = FIRST_DAY + timedelta(days=seed)
    kills = 0

    def attempt(work: Callable[[], Any], most: int, risk: float) -> bool:
        """Whether the work came to its end."""
        nonlocal kills
        if chance.random() >= risk:
            work()
            return True
        try:
            with killed_at(killer, chance, most):
                work()
        except KilledError:
            kills += 1
            return False
        return True

    def start() -> None:
        while not attempt(lambda: find(day), 4, 0.5):  # an event that failed is tried again
            pass

    def work(event: Mapping[str, Any]) -> None:
        # Sometimes there is plenty of time, sometimes none after the first batch.
        remaining = chance.choice([[60_000], [60_000, 10], [60_000, 60_000, 10]])
        answer = message_generator.handler(event, Context(remaining=remaining))
        assert answer == {"batchItemFailures": []}

    for number, topic in enumerate(notifications_of(seed)):
        place.define(day, f"n{number}", topic)
    start()
    second_start = chance.choice([None, None, 0, 1])
    rounds = 0
    while (records := place.receive()) or (second_start is not None and rounds <= second_start):
        if rounds == second_start:
            start()
        rounds += 1
        chance.shuffle(records)
        if not records:
            continue
        batch = [*records, *chance.sample(records, chance.choice([0, 0, 1]))]
        risk = 0.5 if rounds < 6 else 0.0  # some day nothing is killed any more
        ended = attempt(lambda batch=batch: work({"Records": batch}), 25, risk)  # type: ignore[misc]
        for record in records:
            if ended and (chance.random() < 0.85 or rounds >= 6):
                place.delete(record)
            else:
                place.give_back(record)  # not deleted in time: it comes again
    return kills


def notifications_of(seed: int) -> list[str]:
    """The topics of a day's notifications."""
    chance = random.Random(seed + 1_000_000)
    return [chance.choice(list(SUBSCRIBERS)) for _ in range(chance.randint(1, 2))]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_whatever_is_killed_every_user_has_each_notification_once_and_the_day_is_completed(
    place: Place, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Smaller batches and pages, so that there are many places to be killed at.
    monkeypatch.setattr(message_generator, "DYNAMODB_BATCH", 4)
    monkeypatch.setattr(message_generator, "PAGE", 9)
    for topic, users in USERS.items():
        place.subscribe(topic, users)
    killer = Killer()
    seeds = range(chunk, SEEDS, CHUNKS)
    kills = 0
    completed: dict[str, list[float]] = {}
    for seed in seeds:
        day = FIRST_DAY + timedelta(days=seed)
        set_clock(monkeypatch, day)
        with logged() as log:
            kills += live(place, killer, seed)
        completed[str(day)] = metrics(log, "SecondsToReadable")
        assert len(metrics(log, "RunCompleted")) >= 1, seed
        assert sum(metrics(log, "NotificationsGenerated")) <= len(notifications_of(seed)), seed
    assert kills > len(seeds) / 2
    assert_whole(place, {FIRST_DAY + timedelta(days=seed): notifications_of(seed) for seed in seeds})
    # Whoever completes a day, and however often, says the same of it.
    assert [seconds for seconds in completed.values() if len(set(seconds)) != 1] == []


def assert_whole(place: Place, topics_of: Mapping[date, Sequence[str]]) -> None:
    """All tables hold what belongs to these days and nothing else."""
    rows, runs = {}, {}
    for day, topics in topics_of.items():
        runs[str(day), "#run"] = len(topics)
        for number, topic in enumerate(topics):
            runs[str(day), f"done#n{number}"] = None
            for user in USERS[topic]:
                rows[user, f"{day}#n{number}"] = expected(day, f"n{number}", topic, user)
    stored = {(item["user"]["S"], item["day_notification"]["S"]): item for item in scan(place, "NOTIFICATIONS_TABLE")}
    assert stored == rows
    items = {(item["day"]["S"], item["item"]["S"]): item for item in scan(place, "RUNS_TABLE")}
    assert sorted(items) == sorted(runs)
    for key, due in runs.items():
        if due is not None:
            assert [items[key][name] for name in ("due", "done", "announced")] == [{"N": str(due)}] * 3, key


def scan(place: Place, table: str) -> Iterator[dict[str, Any]]:
    for page in place.dynamodb.get_paginator("scan").paginate(TableName=place.environment[table]):
        yield from page["Items"]


def test_a_kill_at_each_single_call_of_a_day_is_made_good(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_generator, "DYNAMODB_BATCH", 4)
    for topic, users in USERS.items():
        place.subscribe(topic, users)
    killer = Killer()
    topics_of: dict[date, list[str]] = {}

    def whole_day(day: date) -> None:
        find(day)
        while records := place.receive():
            message_generator.handler({"Records": records}, Context(remaining=[60_000, 10]))
            for record in records:
                place.delete(record)

    for after in (False, True):
        killed, calls = True, 0
        while killed:
            calls += 1
            day = FIRST_DAY + timedelta(days=len(topics_of))
            topics_of[day] = ["few"]
            set_clock(monkeypatch, day)
            place.define(day, "n0", "few")
            with logged() as log:
                killer.arm(calls, after=after)
                try:
                    whole_day(day)
                except KilledError:
                    killer.disarm()
                    purge(place)
                    find(day)  # whatever was under way comes again, and here from the very beginning
                else:
                    killer.disarm()
                    killed = False
                place.drain()
            assert metrics(log, "RunCompleted"), calls
    assert_whole(place, topics_of)
    operations = ("BatchWriteItem", "GetItem", "Query", "TransactWriteItems", "UpdateItem")
    kinds = {f"dynamodb.{name}" for name in operations} | {"sqs.SendMessageBatch"}
    assert killer.ended_at == {(kind, when) for kind in kinds for when in ("before", "after")}


def purge(place: Place) -> None:
    """Take away all messages, also the hidden ones."""
    place.sqs.purge_queue(QueueUrl=place.environment["QUEUE_URL"])


WORKER = """
import os, signal, sys
import boto3
from deploy.clients import client
from deploy.notification.handlers import message_generator

class Context:
    aws_request_id = "request-1"
    def get_remaining_time_in_millis(self):
        return 60_000

left = int(sys.argv[1])

def count(**_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

message_generator.DYNAMODB_BATCH = 4
for service in ("dynamodb", "sqs"):
    client(service).meta.events.register("before-send" if sys.argv[2] == "before" else "after-call", count)
sqs, url = boto3.client("sqs"), os.environ["QUEUE_URL"]
while True:
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=1, WaitTimeSeconds=2)
    records = [{"messageId": m["MessageId"], "body": m["Body"]} for m in found.get("Messages", ())]
    if not records:
        break
    message_generator.handler({"Records": records}, Context())
    for message in found["Messages"]:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
"""


def test_processes_that_are_really_killed_leave_nothing_half_done(place: Place, tmp_path: Path) -> None:
    seeds = range(3)
    for topic, users in USERS.items():
        place.subscribe(topic, users)
    for seed in seeds:
        day = FIRST_DAY + timedelta(days=seed)
        for number, topic in enumerate(notifications_of(seed)):
            place.define(day, f"n{number}", topic)
        with logged():
            find(day)
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])}
    output = ""
    for calls, when in ((1, "after"), (4, "before"), (6, "after"), (9, "before"), (0, "before")):
        ended = subprocess.run(
            [sys.executable, str(script), str(calls), when],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == (-signal.SIGKILL if calls else 0), ended.stderr
        output += ended.stdout
    assert_whole(place, {FIRST_DAY + timedelta(days=seed): notifications_of(seed) for seed in seeds})
    # The processes have a clock of their own, by which these days are long over.
    assert output.count("run-of-another-day-completed") >= len(seeds)
