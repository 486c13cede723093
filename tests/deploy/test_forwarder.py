"""The forwarder with a real queue, table and secrets, against an on-call tool that fails in every way."""

from __future__ import annotations

import json
import random
import socket
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from deploy.clients import forget_clients
from deploy.forwarder.handlers import budget, forward, memory, routes
from deploy.forwarder.handlers.failures import TryLaterError
from forwarder_stage import (
    CONTEXT,
    KEY,
    ROUTES,
    Deployed,
    Tool,
    answer,
    cut,
    deploy_forwarder,
    hang_up,
    notification,
    record,
    soon,
    tool_running,
)

from tocsin.cloud.embedded import embedded
from tocsin.paging.alert import alert_of

pytestmark = pytest.mark.long

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PAGE = "engagement-page"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with embedded(tmp_path_factory.mktemp("aws")) as aws, tool_running() as tool:
        yield deploy_forwarder(aws, tool)


@pytest.fixture
def tool(stage: Deployed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tool]:
    """The tool, with nothing remembered of it in this process."""
    for name, value in stage.variables().items():
        monkeypatch.setenv(name, value)
    forget_clients()
    budget.forget_client()
    routes.forget()
    stage.tool.faults.clear()
    stage.tool.keys = {KEY}
    yield stage.tool
    stage.put_secret(f"tocsin/laptop/on-call/{PAGE}", stage.tool.delivery())
    stage.tool.faults.clear()


def new_alarm() -> str:
    return f"laptop-notification-{uuid.uuid4().hex[:8]}-page"


def run(stage: Deployed, *messages: dict[str, Any], receives: int = 1) -> list[bool]:
    """The handler with a batch; whether each message went back to the queue."""
    records = [record(each, stage.topic(PAGE), receives) for each in messages]
    failed = {each["itemIdentifier"] for each in forward.handler({"Records": records}, CONTEXT)["batchItemFailures"]}
    return [each["messageId"] in failed for each in records]


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    text = capsys.readouterr().out
    assert KEY not in text
    return [json.loads(line) for line in text.splitlines()]


def test_an_alarm_opens_an_alert_that_says_everything_and_its_end_closes_it(stage: Deployed, tool: Tool) -> None:
    alarm = new_alarm()
    assert run(stage, notification(alarm, "ALARM", NOW)) == [False]
    body = tool.requests[-1].json
    assert (body["alias"], body["priority"]) == (alarm, "P1")
    assert body["message"] == "[laptop] notification: api-availability: the error budget burns too fast"
    assert body["details"]["dashboard"].startswith("https://grafana.example.com/d/tocsin-notification?from=17725")
    assert body["details"]["dashboard"].endswith("&to=now")
    assert tool.open[alarm]
    assert run(stage, notification(alarm, "OK", NOW + timedelta(minutes=9))) == [False]
    assert tool.told(alarm) == ["ALARM", "OK"]
    assert not tool.open[alarm]


@pytest.mark.parametrize("body", ["", "[]", "{}", "not json", '{"TopicArn": "x", "Message": "{}"}'])
def test_what_is_no_notification_lies_in_the_redrive_queue(stage: Deployed, tool: Tool, body: str, capsys) -> None:
    event = {"Records": [{"messageId": "1", "receiptHandle": "none", "body": body or " ", "attributes": {}}]}
    assert forward.handler(event, CONTEXT) == {"batchItemFailures": []}
    (found,) = stage.redriven()
    assert found["Body"] == (body or " ")
    assert "raw message delivery off" in found["MessageAttributes"]["Reason"]["StringValue"]
    line, counted = lines(capsys)
    assert (line["event"], line["level"], counted["GivenUp"]) == ("cannot-be-told", "ERROR", 1)


def test_a_topic_of_another_environment_lies_in_the_redrive_queue(stage: Deployed, tool: Tool) -> None:
    one = record(notification(new_alarm(), "ALARM", NOW), "arn:aws:sns:eu-west-1:1:prod-tocsin-engagement-page")
    assert forward.handler({"Records": [one]}, CONTEXT) == {"batchItemFailures": []}
    assert [each["Body"] for each in stage.redriven()] == [one["body"]]


FAULTS = {
    "429": (answer(429, Retry_After="1800"), "status 429", 1801),
    "429 by date": (answer(429, Retry_After="Wed, 04 Mar 2020 05:06:07 GMT"), "status 429", 5),
    "429 for a year": (answer(429, Retry_After="31536000"), "status 429", 3600),
    "500": (answer(500, b"oops"), "status 500", 5),
    "503": (answer(503, b"", Retry_After="nonsense"), "status 503", 5),
    "garbage": (answer(200, b"<html>We will be back soon</html>"), "something else than a JSON object", 5),
    "a list": (answer(200, b"[]"), "something else than a JSON object", 5),
    "cut": (cut, "IncompleteRead", 5),
    "hung up": (hang_up, "RemoteDisconnected", 5),
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_what_fails_for_now_goes_back_and_is_told_later(stage: Deployed, tool: Tool, name: str, capsys) -> None:
    fault, reason, wait = FAULTS[name]
    alarm = new_alarm()
    message = notification(alarm, "ALARM", NOW)
    tool.faults.append(fault)
    assert run(stage, message) == [True]
    told = [line for line in lines(capsys) if line.get("event") == "not-told-yet"]
    assert [(reason in line["reason"], line["again_in"]) for line in told] == [(True, wait)]
    assert alarm not in tool.open
    assert run(stage, message, receives=2) == [False]
    assert tool.told(alarm) == ["ALARM"]
    assert not stage.redriven()


def test_a_tool_that_is_down_is_tried_again(stage: Deployed, tool: Tool, capsys) -> None:
    alarm = new_alarm()
    stage.put_secret(f"tocsin/laptop/on-call/{PAGE}", {**tool.delivery(), "endpoint": "http://127.0.0.1:9/v2/alerts"})
    assert run(stage, notification(alarm, "ALARM", NOW)) == [True]
    assert "ConnectionRefusedError" in capsys.readouterr().out
    stage.put_secret(f"tocsin/laptop/on-call/{PAGE}", tool.delivery())
    routes.forget()
    assert run(stage, notification(alarm, "ALARM", NOW), receives=2) == [False]
    assert tool.told(alarm) == ["ALARM"]


def test_a_tool_that_drips_is_given_up_in_time(
    stage: Deployed, tool: Tool, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    stopped = threading.Event()

    def drip(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\nConnection: close\r\n\r\n")
        handler.close_connection = True
        try:
            while not stopped.wait(0.05):  # each byte in time for a socket's own limit
                handler.wfile.write(b" ")
                handler.wfile.flush()
        except OSError:
            pass

    monkeypatch.setattr(forward.send, "__defaults__", (0.5,))
    tool.faults.append(drip)
    try:
        assert run(stage, notification(new_alarm(), "ALARM", NOW)) == [True]
    finally:
        stopped.set()
    assert "no whole answer in 0.5 s" in capsys.readouterr().out


@pytest.mark.parametrize("status", [301, 400, 404, 413, 422])
def test_what_the_tool_never_takes_lies_in_the_redrive_queue_at_once(
    stage: Deployed, tool: Tool, status: int, capsys
) -> None:
    alarm = new_alarm()
    tool.faults.append(answer(status, b'{"message": "message is too long"}', Location="http://127.0.0.1:1/"))
    assert run(stage, notification(alarm, "ALARM", NOW)) == [False]
    (found,) = stage.redriven()
    assert json.loads(json.loads(found["Body"])["Message"])["AlarmName"] == alarm
    said = lines(capsys)
    told = [line for line in said if line.get("event") == "cannot-be-told"]
    assert [line["reason"] for line in told] == [f"alert API v2: status {status}: message is too long"]
    assert [line["GivenUp"] for line in said if "GivenUp" in line] == [1]
    # Replayed once the cause is mended, it is told: nothing remembers it as delivered.
    assert run(stage, notification(alarm, "ALARM", NOW)) == [False]
    assert tool.open[alarm]


def test_a_key_that_was_changed_is_read_again(stage: Deployed, tool: Tool) -> None:
    assert run(stage, notification(new_alarm(), "ALARM", NOW)) == [False]
    tool.keys = {"a-new-key"}
    stage.put_secret(f"tocsin/laptop/on-call/{PAGE}", {**tool.delivery(), "key": "a-new-key"})
    alarm = new_alarm()
    assert run(stage, notification(alarm, "ALARM", NOW)) == [False]
    assert tool.open[alarm]
    assert not stage.redriven()


def test_a_revoked_key_is_told_of_at_once_and_what_waited_arrives_when_it_is_mended(
    stage: Deployed, tool: Tool, capsys
) -> None:
    alarm, tool.keys = new_alarm(), set()
    message = notification(alarm, "ALARM", NOW)
    assert run(stage, message) == [True]
    said = lines(capsys)
    (line,) = (each for each in said if each.get("event") == "not-told-yet")
    assert "status 403" in line["reason"]
    assert "tocsin/laptop/on-call/engagement-page" in line["reason"]
    assert [each["Refused"] for each in said if "Refused" in each] == [1]
    assert not stage.redriven()
    tool.keys = {KEY}
    assert alarm not in tool.open
    assert run(stage, message, receives=2) == [False]
    assert tool.open[alarm]
    assert not [each for each in lines(capsys) if "Refused" in each]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"endpoint": 3}', "not json"])
def test_a_secret_without_a_delivery_is_waited_for(stage: Deployed, tool: Tool, text: str, capsys) -> None:
    stage.client("secretsmanager").put_secret_value(SecretId=f"tocsin/laptop/on-call/{PAGE}", SecretString=text or " ")
    assert run(stage, notification(new_alarm(), "ALARM", NOW)) == [True]
    assert "holds no delivery: run `tocsin oncall apply`" in capsys.readouterr().out


def test_an_address_without_tls_gets_nothing(stage: Deployed, tool: Tool, capsys) -> None:
    stage.put_secret(
        f"tocsin/laptop/on-call/{PAGE}", {**tool.delivery(), "endpoint": "http://tool.example.com/v2/alerts"}
    )
    assert run(stage, notification(new_alarm(), "ALARM", NOW)) == [False]
    assert "is not HTTPS: nothing was sent" in capsys.readouterr().out
    assert len(stage.redriven()) == 1


def test_one_bad_message_takes_no_other_along(stage: Deployed, tool: Tool) -> None:
    alarms = [new_alarm() for _ in range(5)]
    tool.faults.append(answer(500))
    failed = run(stage, *(notification(each, "ALARM", NOW) for each in alarms))
    assert sum(failed) == 1
    assert [not tool.open.get(each, False) for each in alarms] == failed


# --- order and duplicates ---


def test_the_same_change_twice_is_told_once(stage: Deployed, tool: Tool, capsys) -> None:
    alarm = new_alarm()
    message = notification(alarm, "ALARM", NOW)
    assert run(stage, message, message) == [False, False]
    assert run(stage, message) == [False]
    assert tool.told(alarm) == ["ALARM"]
    assert [line["event"] for line in lines(capsys)].count("duplicate-not-told") == 2


def test_an_alarm_after_its_end_is_told_and_closed_again(stage: Deployed, tool: Tool, capsys) -> None:
    alarm = new_alarm()
    assert run(stage, notification(alarm, "OK", NOW + timedelta(minutes=1))) == [False]
    assert run(stage, notification(alarm, "ALARM", NOW)) == [False]
    assert tool.told(alarm) == ["OK", "ALARM", "OK"]
    assert "newest-told-again" in capsys.readouterr().out


def test_an_end_that_a_newer_alarm_overtook_closes_nothing(stage: Deployed, tool: Tool, capsys) -> None:
    alarm = new_alarm()
    assert run(stage, notification(alarm, "ALARM", NOW + timedelta(minutes=1))) == [False]
    assert run(stage, notification(alarm, "OK", NOW)) == [False]
    assert tool.told(alarm) == ["ALARM"]
    (line,) = [line for line in lines(capsys) if line["event"] == "ok-superseded"]
    assert (line["alarm"], line["level"]) == (alarm, "WARN")


def test_a_batch_out_of_order_is_put_in_order(stage: Deployed, tool: Tool) -> None:
    alarm = new_alarm()
    changes = [("OK", 3), ("ALARM", 2), ("OK", 1), ("ALARM", 0)]
    assert not any(run(stage, *(notification(alarm, state, NOW + timedelta(minutes=at)) for state, at in changes)))
    assert tool.told(alarm) == ["ALARM", "OK", "ALARM", "OK"]


@pytest.mark.parametrize("turned", [False, True])
def test_without_time_left_the_oldest_change_is_told_and_the_others_wait(
    stage: Deployed, tool: Tool, turned: bool
) -> None:
    alarm = new_alarm()
    changes = [("OK", 1), ("ALARM", 0)] if turned else [("ALARM", 0), ("OK", 1)]
    records = [
        record(notification(alarm, state, NOW + timedelta(minutes=at)), stage.topic(PAGE)) for state, at in changes
    ]
    hurried = SimpleNamespace(get_remaining_time_in_millis=lambda: 1_000, aws_request_id="1")
    failed = forward.handler({"Records": records}, hurried)["batchItemFailures"]
    assert [each["itemIdentifier"] for each in failed] == [records[changes.index(("OK", 1))]["messageId"]]
    assert tool.told(alarm) == ["ALARM"]


def test_missing_data_opens_and_closes_nothing(stage: Deployed, tool: Tool, capsys) -> None:
    alarm = new_alarm()
    assert run(stage, notification(alarm, "INSUFFICIENT_DATA", NOW)) == [False]
    assert tool.told(alarm) == []
    assert [line["event"] for line in lines(capsys)] == ["state-not-told"]


def test_one_alarm_of_two_topics_is_told_of_each(stage: Deployed, tool: Tool) -> None:
    message = notification(new_alarm(), "ALARM", NOW)
    for route in ROUTES:
        assert forward.handler({"Records": [record(message, stage.topic(route))]}, CONTEXT) == {"batchItemFailures": []}
    assert tool.told(message["AlarmName"]) == ["ALARM"] * len(ROUTES)


@pytest.mark.parametrize("seed", range(20))
def test_of_changes_at_once_the_newest_has_the_last_word(stage: Deployed, tool: Tool, seed: int) -> None:
    alarm, chance = new_alarm(), random.Random(seed)
    changes = [("ALARM" if number % 2 == 0 else "OK", number) for number in range(chance.randint(2, 6))]
    messages = [notification(alarm, state, NOW + timedelta(minutes=at)) for state, at in changes]
    chance.shuffle(changes)
    with ThreadPoolExecutor(len(messages)) as pool:
        failed = [each for result in pool.map(lambda message: run(stage, message), messages) for each in result]
    assert not any(failed)
    assert tool.open[alarm] == (messages[-1]["NewStateValue"] == "ALARM")


class Killed(BaseException):
    """The process is gone."""


class Reaper:
    """Kills whoever comes to a certain step: a call to AWS or to the tool, before it or after it."""

    def __init__(self) -> None:
        self.left: int | None = None
        self._lock = threading.Lock()

    def step(self, *_: Any, **__: Any) -> None:
        with self._lock:
            if self.left is None:
                return
            self.left -= 1
            if self.left < 0:
                raise Killed


@pytest.fixture
def reaper(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> Reaper:
    import http.client

    from deploy.clients import client

    one = Reaper()
    for service in ("dynamodb", "secretsmanager", "sqs"):
        events = client(service).meta.events
        events.register("before-call", one.step)
        events.register("after-call", one.step)
    request, response = http.client.HTTPConnection.request, http.client.HTTPConnection.getresponse

    def asked(connection: Any, *arguments: Any, **options: Any) -> None:
        if type(connection) is http.client.HTTPConnection:
            one.step()
        request(connection, *arguments, **options)

    def answered(connection: Any) -> Any:
        found = response(connection)
        if type(connection) is http.client.HTTPConnection:
            one.step()
        return found

    monkeypatch.setattr(http.client.HTTPConnection, "request", asked)
    monkeypatch.setattr(http.client.HTTPConnection, "getresponse", answered)
    return one


@pytest.mark.timeout(600)
def test_killed_at_any_step_every_change_is_told(stage: Deployed, tool: Tool, reaper: Reaper) -> None:
    """200 runs: changes in any order, some twice, the process killed at any step, the tool failing now and then."""
    kills = 0
    for seed in range(200):
        chance, alarm = random.Random(seed), new_alarm()
        last = chance.randint(1, 4)
        changes = [
            notification(alarm, "ALARM" if number % 2 == 0 else "OK", NOW + timedelta(minutes=number))
            for number in range(last)
        ]
        queue = [*changes, *chance.choices(changes, k=chance.randint(0, 1))]
        chance.shuffle(queue)
        for _ in range(200):
            if not queue:
                break
            batch = queue[: chance.randint(1, len(queue))]
            tool.faults[:] = [answer(500)] if chance.random() < 0.2 else []
            reaper.left = chance.randint(0, 25) if chance.random() < 0.7 else None
            try:
                failed = run(stage, *batch)
            except Killed:
                kills += 1
                failed = [True] * len(batch)  # SQS shows them again
            reaper.left = None
            queue = [
                *queue[len(batch) :],
                *(each for each, back in zip(batch, failed, strict=True) if back),
            ]
            chance.shuffle(queue)
        assert not queue, seed
        told = tool.told(alarm)
        alarms = sum(each["NewStateValue"] == "ALARM" for each in changes)
        assert told.count("ALARM") >= alarms, (seed, told)
        assert tool.open[alarm] == (changes[-1]["NewStateValue"] == "ALARM"), (seed, told)
        for each in changes:
            change = memory.change_of(alert_of(each))
            assert memory.was_delivered(f"laptop-tocsin-{PAGE}#{alarm}", change), (seed, change)
    assert kills > 100


# --- what is left of the budget ---


def plant(stage: Deployed, namespace: str, name: str, values: dict[datetime, list[float]]) -> None:
    for moment, samples in values.items():
        stage.client("cloudwatch").put_metric_data(
            Namespace=namespace,
            MetricData=[{"MetricName": name, "Timestamp": moment, "Values": samples, "Counts": [1.0] * len(samples)}],
        )


def stat(namespace: str, name: str, statistic: str) -> dict[str, Any]:
    return {"Metric": {"Namespace": namespace, "MetricName": name}, "Period": 3600, "Stat": statistic}


def child_alarm(stage: Deployed, queries: dict[str, Any]) -> str:
    """An alarm of the composite's long window; a text is an expression, of which the first is compared."""
    name = f"laptop-{uuid.uuid4().hex[:8]}-burn-1h-long"
    metrics = [
        {"Id": id_, **({"Expression": one} if isinstance(one, str) else {"MetricStat": one}), "ReturnData": not number}
        for number, (id_, one) in enumerate(queries.items())
    ]
    stage.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        Threshold=0.5,
        Metrics=metrics,
    )
    return name


def told_budget(stage: Deployed, tool: Tool, child: str, at: datetime) -> str:
    alarm = new_alarm()
    rule = f'(ALARM("{child}") AND ALARM("{child[:-4]}short")) OR (ALARM("other-burn-6h-long") AND ALARM("other"))'
    assert run(stage, notification(alarm, "ALARM", at, AlarmRule=rule)) == [False]
    assert tool.told(alarm) == ["ALARM"]
    (body,) = (each.json for each in tool.requests if each.path == "/v2/alerts" and each.json["alias"] == alarm)
    return str(body["details"]["budget left"])


HOURS_AGO = (1, 30, 200, 300)


@pytest.fixture
def this_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def test_the_budget_is_what_the_alarms_own_metrics_say(stage: Deployed, tool: Tool, this_hour: datetime) -> None:
    """40,000 requests, of which 40 may be bad by 99.9 %; 25 were: 37.5 % are left."""
    for ago, bad in zip(HOURS_AGO, (20, 0, 4, 1), strict=True):
        plant(stage, "Counted", "Requests", {this_hour - timedelta(hours=ago): [10_000.0]})
        plant(stage, "Counted", "Errors", {this_hour - timedelta(hours=ago): [float(bad)]})
    queries = {
        "ratio": "IF(FILL(bad, 0) >= 1, FILL(bad, 0) / FILL(valid, 0), 0)",
        "bad": stat("Counted", "Errors", "Sum"),
        "valid": stat("Counted", "Requests", "Sum"),
    }
    assert told_budget(stage, tool, child_alarm(stage, queries), datetime.now(UTC)) == "37.5 %"
    # What came after the change of state is not counted: an hour and a half ago only 5 of 30,000 were bad.
    earlier = this_hour - timedelta(minutes=61)
    assert told_budget(stage, tool, child_alarm(stage, queries), earlier) == "83.3 %"


def test_the_budget_where_the_valid_counter_leaves_the_bad_out(
    stage: Deployed, tool: Tool, this_hour: datetime
) -> None:
    """9,900 good and 100 bad, of 10 that may be: ten times as much is gone as there was."""
    plant(stage, "Apart", "Good", {this_hour - timedelta(hours=3): [9_900.0]})
    plant(stage, "Apart", "Bad", {this_hour - timedelta(hours=3): [100.0]})
    queries = {
        "ratio": "IF(FILL(bad, 0) >= 1, FILL(bad, 0) / (FILL(valid, 0) + FILL(bad, 0)), 0)",
        "bad": stat("Apart", "Bad", "Sum"),
        "valid": stat("Apart", "Good", "Sum"),
    }
    assert told_budget(stage, tool, child_alarm(stage, queries), datetime.now(UTC)) == "-900.0 %"


def test_the_budget_of_a_level_counts_what_was_added(stage: Deployed, tool: Tool, this_hour: datetime) -> None:
    """A queue of failures rose by 1, lay there, was emptied and rose by 1: 2 of 4,000 were bad, of 4 that may be."""
    levels = {ago: [level] for ago, level in zip((9, 8, 7, 6, 5), (1.0, 1.0, 0.0, 0.0, 1.0), strict=True)}
    plant(stage, "Level", "Depth", {this_hour - timedelta(hours=ago): level for ago, level in levels.items()})
    plant(stage, "Level", "Done", {this_hour - timedelta(hours=6): [3_998.0]})
    queries = {
        "ratio": "IF(added >= 1, added / (FILL(valid, 0) + added), 0)",
        "added": "FILL(IF(DIFF(FILL(bad, 0)) > 0, DIFF(FILL(bad, 0)), 0), 0)",
        "bad": stat("Level", "Depth", "Maximum"),
        "valid": stat("Level", "Done", "Sum"),
    }
    assert told_budget(stage, tool, child_alarm(stage, queries), datetime.now(UTC)) == "50.0 %"


def test_the_budget_of_a_share_of_samples(stage: Deployed, tool: Tool, this_hour: datetime) -> None:
    """1 of 2,000 calls took over 800 ms, of 2 that may."""
    fast = [float(1 + number % 500) for number in range(100)]
    for ago in range(1, 21):
        slow = [900.0] if ago == 7 else [700.0]
        plant(stage, "Ranked", "Latency", {this_hour - timedelta(hours=ago): [*fast[1:], *slow]})
    queries = {"share": "FILL(good, 100)", "good": stat("Ranked", "Latency", "PR(:800)")}
    assert told_budget(stage, tool, child_alarm(stage, queries), datetime.now(UTC)) == "50.0 %"


def test_without_events_all_of_the_budget_is_left(stage: Deployed, tool: Tool) -> None:
    queries = {"ratio": "bad / valid", "bad": stat("None", "Bad", "Sum"), "valid": stat("None", "Valid", "Sum")}
    assert told_budget(stage, tool, child_alarm(stage, queries), datetime.now(UTC)) == "100.0 %"


def test_a_budget_that_cannot_be_had_keeps_no_alert_back(
    stage: Deployed, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    assert told_budget(stage, tool, "gone-long", now) == "not known: alarm gone-long is not there"
    odd = child_alarm(stage, {"one": stat("Odd", "Metric", "Sum")})
    assert told_budget(stage, tool, odd, now) == "not known: the alarm's metrics are not those of a burn rate"
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", "http://127.0.0.1:9")
    budget.forget_client()
    assert told_budget(stage, tool, odd, now) == "not known: EndpointConnectionError"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", f"http://127.0.0.1:{silent.getsockname()[1]}")
        budget.forget_client()
        assert told_budget(stage, tool, odd, now) in (
            "not known: ReadTimeoutError",
            "not known: CloudWatch did not tell in 2 s",
        )
    budget.forget_client()


# --- waiting ---


def test_the_waits_grow_and_take_twelve_hours_until_the_redrive_queue() -> None:
    from deploy.forwarder.stack import MOST_RECEIVES

    waits = [forward.wait_of(receives, TryLaterError("down")) for receives in range(1, MOST_RECEIVES)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (5, 300)
    assert timedelta(seconds=sum(waits)) == timedelta(hours=12, seconds=15)


# --- as deployed ---


def test_through_topic_queue_and_function_and_the_tool_back_after_a_failure(stage: Deployed, tool: Tool) -> None:
    alarm = new_alarm()
    tool.faults.append(answer(503))
    stage.client("sns").publish(
        TopicArn=stage.topic(PAGE), Message=json.dumps(notification(alarm, "ALARM", datetime.now(UTC)))
    )
    assert soon(lambda: tool.told(alarm)) == ["ALARM"]
    stage.client("sns").publish(
        TopicArn=stage.topic(PAGE), Message=json.dumps(notification(alarm, "OK", datetime.now(UTC)))
    )
    assert soon(lambda: tool.told(alarm)[1:]) == ["OK"]
    assert soon(lambda: "told" in stage.log())
    assert KEY not in stage.log()


@pytest.mark.timeout(180)
def test_a_thousand_changes_within_a_minute_are_all_told(stage: Deployed, tool: Tool) -> None:
    alarms = [new_alarm() for _ in range(1000)]
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda alarm: stage.client("sns").publish(
                    TopicArn=stage.topic(PAGE), Message=json.dumps(notification(alarm, "ALARM", datetime.now(UTC)))
                ),
                alarms,
            )
        )
    assert soon(lambda: all(tool.open.get(alarm) for alarm in alarms), 120)


# --- the forwarder's own heartbeat ---


def heartbeat(stage: Deployed, tool: Tool, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    event = {"Records": [{"messageId": "1", "receiptHandle": "none", "body": '{"self_test": true}'}]}
    assert forward.handler(event, CONTEXT) == {"batchItemFailures": []}
    return lines(capsys)


def test_the_self_test_goes_the_way_of_a_page(stage: Deployed, tool: Tool, capsys) -> None:
    before = len(tool.requests)
    (line,) = heartbeat(stage, tool, capsys)
    assert line["SelfTests"] == 1
    asked = tool.requests[before:]
    assert [each.path for each in asked] == ["/v2/alerts/tocsin-forwarder-self-test/close"] * len(ROUTES)
    assert {each.headers["authorization"] for each in asked} == {f"GenieKey {KEY}"}


def test_the_self_test_tries_the_key(stage: Deployed, tool: Tool, capsys) -> None:
    tool.keys = set()
    (line,) = heartbeat(stage, tool, capsys)
    assert line["event"] == "self-test-failed"
    assert (
        "refuses the key of secret tocsin/laptop/on-call/engagement-page: run `tocsin oncall apply`" in line["reason"]
    )
    tool.keys = {"a-new-key"}
    for route in ROUTES:
        stage.put_secret(f"tocsin/laptop/on-call/{route}", {**tool.delivery(), "key": "a-new-key"})
    try:
        (line,) = heartbeat(stage, tool, capsys)
        assert line["SelfTests"] == 1
    finally:
        for route in ROUTES:
            stage.put_secret(f"tocsin/laptop/on-call/{route}", tool.delivery())


def test_the_self_test_names_each_route_that_fails(
    stage: Deployed, tool: Tool, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    stage.put_secret(f"tocsin/laptop/on-call/{PAGE}", {**tool.delivery(), "endpoint": "http://127.0.0.1:9/v2/alerts"})
    monkeypatch.setenv("ROUTES", f"nobodys-page,{PAGE},data-platform-page,odd-severity")
    (line,) = heartbeat(stage, tool, capsys)
    reasons = line["reason"].split("; ")
    assert [each.split(": ")[0] for each in reasons] == ["nobodys-page", PAGE, "odd-severity"]
    assert "ResourceNotFoundException" in reasons[0]
    assert "ConnectionRefusedError" in reasons[1]


def test_the_self_test_asks_nothing_of_a_route_that_goes_another_way(
    stage: Deployed, tool: Tool, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    before = len(tool.requests)
    monkeypatch.setenv("ROUTES", "")
    (line,) = heartbeat(stage, tool, capsys)
    assert (line["SelfTests"], len(tool.requests)) == (1, before)


def test_the_self_test_comes_after_the_pages_and_is_left_out_when_they_took_long(
    stage: Deployed, tool: Tool, capsys
) -> None:
    alarm = new_alarm()
    records = [
        {"messageId": "1", "receiptHandle": "none", "body": '{"self_test": true}'},
        record(notification(alarm, "ALARM", NOW), stage.topic(PAGE)),
    ]
    hurried = SimpleNamespace(get_remaining_time_in_millis=lambda: 1_000, aws_request_id="1")
    assert forward.handler({"Records": records}, hurried) == {"batchItemFailures": []}
    assert [line["event"] for line in lines(capsys)] == ["told", "self-test-left-out"]
    assert tool.told(alarm) == ["ALARM"]


def test_a_self_test_that_does_not_come_through_counts_for_nothing(stage: Deployed, tool: Tool, capsys) -> None:
    stage.put_secret(f"tocsin/laptop/on-call/{PAGE}", {**tool.delivery(), "endpoint": "http://127.0.0.1:9/v2/alerts"})
    (line,) = heartbeat(stage, tool, capsys)
    assert (line["event"], "SelfTests" in line) == ("self-test-failed", False)
