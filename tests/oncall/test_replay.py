"""``tocsin oncall replay``: what could not be delivered arrives, in order, and goes from the queue only then."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oncall_tools import (
    ACCOUNT,
    allow,
    as_caller,
    cloud_of,
    lessened,
    make_caller,
    page_policy,
    project,
    put_alarm,
)

from command_line import command, refused, tocsin
from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.redrive import backlog
from tocsin.cloud.session import Cloud
from tocsin.cloud.stacks import Stack
from tocsin.errors import PagingError
from tocsin.oncall.replay import Fate, Replay, replay
from tocsin.oncall.senders import sender

KEY = "3f1d9a52-6c0e-4c8e-9d0e-5a1f2b7c9e10"
TOPIC = f"arn:aws:sns:eu-west-1:{ACCOUNT}:dev-tocsin-payments-page"
ALARM = "dev-shop-orders-page"
EPOCH = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class Endpoint:
    """A receiver: ``answers`` says the status for a message, by default 200; ``got`` are the messages, in order."""

    port: int
    got: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: Callable[[dict[str, Any]], int] = lambda _: 200
    body: bytes = b""

    @property
    def told(self) -> list[tuple[str, str]]:
        """Alarm and state of each message that was taken."""
        messages = [json.loads(one["Message"]) for one in self.got]
        return [(one["AlarmName"], one["NewStateValue"]) for one in messages]


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_POST(self) -> None:
        endpoint: Endpoint = self.server.endpoint
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = endpoint.answers(message)
        if status == 0:  # cut off in the middle
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n")
            self.wfile.flush()
            self.connection.close()
            self.close_connection = True
            return
        if 200 <= status < 300:
            endpoint.got.append(message)
            endpoint.headers.append(dict(self.headers))
        self.send_response(status)
        if status == 307:
            self.send_header("Location", f"http://localhost:{endpoint.port}/elsewhere?apiKey={KEY}")
        self.send_header("Content-Length", str(len(endpoint.body)))
        self.end_headers()
        self.wfile.write(endpoint.body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    endpoint: Endpoint

    def handle_error(self, *_: Any) -> None:
        """A connection that is cut is meant to be."""


@contextmanager
def receiving() -> Iterator[Endpoint]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.endpoint = Endpoint(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with embedded(iam=True) as running:
        yield running


@pytest.fixture(scope="module")
def cloud(aws: EmbeddedAws) -> Cloud:
    cloud = cloud_of(aws)
    put_alarm(cloud, ALARM, topic=TOPIC)
    put_alarm(cloud, "dev-shop-other-page", topic=TOPIC)
    body = {
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "dev-tocsin-on-call-redrive"}}},
        "Outputs": {"RedriveQueueUrl": {"Value": {"Ref": "Queue"}}},
    }
    stacks = cloud.client("cloudformation")
    stacks.create_stack(StackName="dev-routing", TemplateBody=json.dumps(body))
    stacks.get_waiter("stack_create_complete").wait(StackName="dev-routing", WaiterConfig={"Delay": 1})
    cloud.client("secretsmanager").create_secret(Name="tocsin/dev/on-call/payments-page", SecretString="{}")
    return cloud


@pytest.fixture(scope="module")
def routed(cloud: Cloud) -> str:
    found = cloud.client("cloudformation").describe_stacks(StackName="dev-routing")["Stacks"][0]
    return found["Outputs"][0]["OutputValue"]


@pytest.fixture
def queue(cloud: Cloud, routed: str) -> Iterator[str]:
    """The redrive queue, empty."""
    set_state(cloud, ALARM, "OK")
    yield routed
    cloud.client("sqs").purge_queue(QueueUrl=routed)


@pytest.fixture
def endpoint(cloud: Cloud) -> Iterator[Endpoint]:
    with receiving() as one:
        point_at(cloud, one.port)
        yield one


def point_at(cloud: Cloud, port: int) -> None:
    cloud.client("secretsmanager").put_secret_value(
        SecretId="tocsin/dev/on-call/payments-page",
        SecretString=json.dumps({"endpoint": f"http://127.0.0.1:{port}/v1/json/cloudwatch?apiKey={KEY}", "key": KEY}),
    )


def set_state(cloud: Cloud, alarm: str, state: str) -> None:
    cloud.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue=state, StateReason="test")


def put(cloud: Cloud, queue: str, alarm: str, state: str, minute: int, topic: str = TOPIC) -> None:
    """A notification as SNS puts it into a redrive queue."""
    at = EPOCH + timedelta(minutes=minute)
    message = {
        "AlarmName": alarm,
        "AlarmArn": f"arn:aws:cloudwatch:eu-west-1:{ACCOUNT}:alarm:{alarm}",
        "NewStateValue": state,
        "OldStateValue": "OK" if state == "ALARM" else "ALARM",
        "NewStateReason": "Threshold crossed.",
        "StateChangeTime": at.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
    }
    envelope = {
        "Type": "Notification",
        "MessageId": str(uuid.uuid4()),
        "TopicArn": topic,
        "Subject": f'{state}: "{alarm}" in EU (Ireland)',
        "Message": json.dumps(message),
        "Timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "SignatureVersion": "1",
        "Signature": "c2lnbmVk",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/certificate.pem",
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/",
    }
    cloud.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(envelope))


def run(cloud: Cloud, queue: str, **more: Any) -> Replay:
    routing = Stack("dev-routing", "arn", "CREATE_COMPLETE")
    return replay(cloud, queue, sender(cloud, "dev", None, routing), **more)


def left(cloud: Cloud, queue: str) -> int:
    found = backlog(cloud, queue)
    return found.waiting + found.hidden


def test_everything_arrives_in_order_of_time_as_sns_would_send_it(cloud: Cloud, queue: str, endpoint: Endpoint) -> None:
    set_state(cloud, ALARM, "ALARM")
    for minute in (7, 1, 4):
        put(cloud, queue, ALARM, "ALARM", minute)
    put(cloud, queue, ALARM, "OK", 2)
    done = run(cloud, queue)
    assert [one["Timestamp"][14:16] for one in endpoint.got] == ["01", "02", "04", "07"]
    assert done.delivered == 4
    assert left(cloud, queue) == 0
    headers = {name.lower(): value for name, value in endpoint.headers[0].items()}
    assert headers["x-amz-sns-message-type"] == "Notification"
    assert headers["x-amz-sns-topic-arn"] == TOPIC
    assert headers["content-type"] == "text/plain; charset=UTF-8"
    assert endpoint.got[0]["Signature"] == "c2lnbmVk"


def test_an_alarm_that_is_over_is_told_to_be_so(cloud: Cloud, queue: str, endpoint: Endpoint) -> None:
    put(cloud, queue, ALARM, "ALARM", 1)
    done = run(cloud, queue)
    assert endpoint.told == [(ALARM, "ALARM"), (ALARM, "OK")]
    end = json.loads(endpoint.got[1]["Message"])
    assert end["OldStateValue"] == "ALARM"
    assert end["AlarmArn"].endswith(ALARM)
    assert endpoint.got[1]["Subject"] == f'OK: "{ALARM}" in EU (Ireland)'
    assert "Signature" not in endpoint.got[1], "SNS has not signed it"
    assert (done.delivered, left(cloud, queue)) == (1, 0)


def test_the_end_of_an_alarm_that_is_deleted_is_told(cloud: Cloud, queue: str, endpoint: Endpoint) -> None:
    put(cloud, queue, "dev-shop-gone-page", "ALARM", 1)
    run(cloud, queue)
    assert endpoint.told == [("dev-shop-gone-page", "ALARM"), ("dev-shop-gone-page", "OK")]


def test_an_end_that_lies_in_the_queue_is_not_told_twice(cloud: Cloud, queue: str, endpoint: Endpoint) -> None:
    put(cloud, queue, ALARM, "OK", 2)
    put(cloud, queue, ALARM, "ALARM", 1)
    run(cloud, queue)
    assert endpoint.told == [(ALARM, "ALARM"), (ALARM, "OK")]


def test_an_end_does_not_close_the_alert_of_an_alarm_that_rings_again(
    cloud: Cloud, queue: str, endpoint: Endpoint
) -> None:
    set_state(cloud, ALARM, "ALARM")  # told directly, when the tool was back
    put(cloud, queue, ALARM, "ALARM", 1)
    put(cloud, queue, ALARM, "OK", 2)
    done = run(cloud, queue)
    assert endpoint.told == [(ALARM, "ALARM")]
    assert (done.delivered, done.kept, left(cloud, queue)) == (2, (), 0)


def test_an_alarm_that_goes_off_while_its_end_is_told_is_told_again(
    cloud: Cloud, queue: str, endpoint: Endpoint
) -> None:
    def answers(message: dict[str, Any]) -> int:
        if json.loads(message["Message"])["NewStateValue"] == "OK":
            set_state(cloud, ALARM, "ALARM")
        return 200

    endpoint.answers = answers
    put(cloud, queue, ALARM, "OK", 1)
    run(cloud, queue)
    assert endpoint.told == [(ALARM, "OK"), (ALARM, "ALARM")]
    assert endpoint.got[1]["Subject"] == f'ALARM: "{ALARM}" in EU (Ireland)'


def test_an_alarm_that_goes_off_again_meanwhile_stays_told(cloud: Cloud, queue: str, endpoint: Endpoint) -> None:
    def answers(message: dict[str, Any]) -> int:
        if json.loads(message["Message"])["NewStateValue"] == "OK":
            set_state(cloud, ALARM, "ALARM")
        return 200

    endpoint.answers = answers
    put(cloud, queue, ALARM, "ALARM", 1)
    run(cloud, queue)
    assert endpoint.told == [(ALARM, "ALARM"), (ALARM, "OK"), (ALARM, "ALARM")]


def test_what_the_endpoint_does_not_take_stays(cloud: Cloud, queue: str, endpoint: Endpoint) -> None:
    for minute in range(3):
        put(cloud, queue, ALARM, "OK", minute)
    for status in (500, 503, 429, 401, 307, 0):
        endpoint.answers = lambda _message, status=status: status
        done = run(cloud, queue)
        assert (done.delivered, len(done.kept)) == (0, 3), status
        assert left(cloud, queue) == 3, status
        assert not any(KEY in one.reason or "apiKey" in one.reason for one in done.kept)
    endpoint.answers = lambda _: 200
    assert run(cloud, queue).delivered == 3
    assert left(cloud, queue) == 0


@pytest.mark.parametrize(
    "page", [b"<html>We will be back soon</html>", b"\r\n<!DOCTYPE html>\n<title>Log in</title>", b"\x1f\x8b"]
)
def test_what_somebody_else_takes_in_its_place_stays(cloud: Cloud, queue: str, endpoint: Endpoint, page: bytes) -> None:
    put(cloud, queue, ALARM, "OK", 0)
    endpoint.body = page
    done = run(cloud, queue)
    assert (done.delivered, left(cloud, queue)) == (0, 1)
    assert done.kept[0].reason == (
        "127.0.0.1 answers 200 with a page of the web or garbage, so somebody else answers in its place: look for a proxy "
        "or a login on the way"
    )
    for body in (b'{"result": "Request will be processed"}', b"OK", b""):
        endpoint.body = body
        put(cloud, queue, ALARM, "OK", 1)
        assert not run(cloud, queue).kept, body
    assert left(cloud, queue) == 0


def test_a_message_that_is_refused_does_not_hold_up_the_others(cloud: Cloud, queue: str, endpoint: Endpoint) -> None:
    for minute in range(4):
        put(cloud, queue, ALARM, "OK", minute)
    endpoint.answers = lambda message: 400 if message["Timestamp"][14:16] == "01" else 200
    done = run(cloud, queue)
    assert (done.delivered, len(done.kept), left(cloud, queue)) == (3, 1, 1)
    assert done.kept[0].reason == "127.0.0.1 answers 400 Bad Request"


def test_one_that_is_down_is_asked_once(cloud: Cloud, queue: str, endpoint: Endpoint) -> None:
    asked = []
    endpoint.answers = lambda message: asked.append(message) or 500
    for minute in range(5):
        put(cloud, queue, ALARM, "OK", minute)
    run(cloud, queue)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("not json", "it is no notification of SNS"),
        ("[]", "it is no notification of SNS"),
        (json.dumps({"Type": "SubscriptionConfirmation", "TopicArn": TOPIC}), "it is no notification of SNS"),
    ],
)
def test_what_is_no_notification_is_kept_and_named(
    cloud: Cloud, queue: str, endpoint: Endpoint, body: str, reason: str
) -> None:
    cloud.client("sqs").send_message(QueueUrl=queue, MessageBody=body)
    done = run(cloud, queue)
    assert [one.reason for one in done.kept] == [reason]
    assert endpoint.got == []
    assert left(cloud, queue) == 1


def test_what_is_no_alarm_is_delivered_all_the_same(cloud: Cloud, queue: str, endpoint: Endpoint) -> None:
    envelope = {"Type": "Notification", "TopicArn": TOPIC, "Message": "hello", "Timestamp": "2026-11-01T00:00:00.000Z"}
    cloud.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(envelope))
    assert run(cloud, queue).delivered == 1
    assert endpoint.got == [envelope]


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("dev-tocsin-search-page", "the secret tocsin/dev/on-call/search-page holds no endpoint"),
        ("prod-tocsin-payments-page", "prod-tocsin-payments-page is no topic of the routing of dev"),
    ],
)
def test_a_topic_that_goes_nowhere(cloud: Cloud, queue: str, endpoint: Endpoint, topic: str, reason: str) -> None:
    put(cloud, queue, ALARM, "OK", 1, TOPIC.replace("dev-tocsin-payments-page", topic))
    put(cloud, queue, ALARM, "OK", 2)
    done = run(cloud, queue)
    assert done.delivered == 1
    assert reason in done.kept[0].reason
    assert endpoint.told == [(ALARM, "OK")]


def test_an_endpoint_that_is_not_https_is_never_told(cloud: Cloud, queue: str) -> None:
    cloud.client("secretsmanager").put_secret_value(
        SecretId="tocsin/dev/on-call/payments-page",
        SecretString=json.dumps({"endpoint": f"http://on-call.example.com/?apiKey={KEY}"}),
    )
    put(cloud, queue, ALARM, "OK", 1)
    assert [one.reason for one in run(cloud, queue).kept] == ["the endpoint is not https"]


def test_an_end_that_is_refused_is_closed_by_the_tool(cloud: Cloud, queue: str, endpoint: Endpoint) -> None:
    endpoint.answers = lambda message: 200 if "Signature" in message else 403
    put(cloud, queue, ALARM, "ALARM", 1)
    closed: list[str] = []
    told: list[Fate] = []
    done = run(cloud, queue, close=closed.append, progress=lambda one: told.append(one.fate))
    assert closed == [ALARM]
    assert told == [Fate.ENDED]
    assert (done.delivered, left(cloud, queue)) == (1, 0)


def test_an_end_that_nobody_takes_is_tried_again(cloud: Cloud, queue: str, endpoint: Endpoint) -> None:
    def fail(alias: str) -> None:
        raise PagingError(f"the tool does not answer about {alias}")

    endpoint.answers = lambda message: 200 if "Signature" in message else 403
    put(cloud, queue, ALARM, "ALARM", 1)
    done = run(cloud, queue, close=fail)
    assert "the tool does not answer" in done.kept[0].reason
    assert left(cloud, queue) == 1
    endpoint.answers = lambda _: 200
    assert run(cloud, queue).delivered == 1


class CutError(Exception):
    """Stands for whatever ends a run."""


def test_a_run_that_is_cut_off_is_taken_up(cloud: Cloud, queue: str, endpoint: Endpoint) -> None:
    for minute in range(6):
        put(cloud, queue, ALARM, "OK", minute)

    def cut(one: Any) -> None:
        if one.number == 3:
            raise CutError

    with pytest.raises(CutError):
        run(cloud, queue, progress=cut)
    assert left(cloud, queue) == 3
    assert run(cloud, queue).delivered == 3
    assert [one["Timestamp"][14:16] for one in endpoint.got] == ["00", "01", "02", "03", "04", "05"]


KILLED = """
import os, sys
from tocsin.cloud import redrive
redrive.HIDDEN_SECONDS = 2
from tocsin.cloud.session import connect
from tocsin.cloud.stacks import Stack
from tocsin.oncall.replay import replay
from tocsin.oncall.senders import sender
cloud = connect(sys.argv[1], endpoint_url=sys.argv[2])
send = sender(cloud, "dev", None, Stack("dev-routing", "arn", "CREATE_COMPLETE"))
count = 0
def cut(arn, envelope):
    global count
    count += 1
    if count == 3:
        os._exit(9)
    return send(arn, envelope)
replay(cloud, sys.argv[3], cut)
"""


def test_a_run_that_is_killed_loses_nothing(aws: EmbeddedAws, cloud: Cloud, queue: str, endpoint: Endpoint) -> None:
    for minute in range(5):
        put(cloud, queue, ALARM, "OK", minute)
    with as_caller(aws):
        arguments = [sys.executable, "-c", KILLED, aws.region, aws.endpoint, queue]
        assert subprocess.run(arguments, check=False, timeout=60).returncode == 9
    end = time.monotonic() + 30
    while left(cloud, queue) and time.monotonic() < end:
        run(cloud, queue)
    assert [one["Timestamp"][14:16] for one in endpoint.got] == ["00", "01", "02", "03", "04"]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([200, 204, 400, 403, 500, 0]), min_size=1, max_size=6))
def test_whatever_the_endpoint_answers_nothing_is_lost(
    cloud: Cloud, queue: str, endpoint: Endpoint, statuses: list[int]
) -> None:
    endpoint.got.clear()
    answers = iter(statuses)
    endpoint.answers = lambda _: next(answers, 200)
    for minute in range(4):
        put(cloud, queue, f"dev-shop-{minute}", "OK", minute)
    done = run(cloud, queue)
    assert done.delivered + len(done.kept) == 4
    assert left(cloud, queue) == len(done.kept)
    while left(cloud, queue):
        run(cloud, queue)
    assert {name for name, _ in endpoint.told} == {f"dev-shop-{minute}" for minute in range(4)}


@pytest.fixture
def here(aws: EmbeddedAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(project(tmp_path, aws))
    with as_caller(aws):
        yield


@pytest.mark.usefixtures("here")
def test_the_command_tells_what_it_did_and_what_remains(cloud: Cloud, queue: str, endpoint: Endpoint) -> None:
    put(cloud, queue, ALARM, "ALARM", 1)
    put(cloud, queue, "dev-shop-other-page", "OK", 2)
    endpoint.answers = lambda message: 500 if "other" in message["Message"] else 200
    done = tocsin("oncall", "replay", "dev")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "redrive queue:",
        f"  1 of 2  {ALARM} ALARM: delivered with its end",
        "  2 of 2  dev-shop-other-page OK: kept, 127.0.0.1 answers 500 Internal Server Error",
        "  1 delivered, 1 kept",
    ]
    endpoint.answers = lambda _: 200
    again = tocsin("oncall", "replay", "dev", "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout)["queues"] == [
        {"queue": "redrive queue", "delivered": 1, "kept": 0, "waiting": 0, "hidden": 0}
    ]
    third = tocsin("oncall", "replay", "dev")
    assert third.stdout == "redrive queue:\n  nothing to deliver\n"
    assert KEY not in done.output + again.output + third.output


@pytest.mark.usefixtures("here")
def test_without_a_routing_there_is_nothing_to_replay(tmp_path: Path) -> None:
    text = (tmp_path / "deploy" / "environments.toml").read_text(encoding="utf-8")
    (tmp_path / "deploy" / "environments.toml").write_text(text.replace("[dev]", "[qa]"), encoding="utf-8")
    assert "stack qa-routing does not exist in eu-west-1; run `tocsin deploy qa` first" in refused(
        "oncall", "replay", "qa"
    )


def test_ctrl_c_gives_back_what_is_not_delivered(
    aws: EmbeddedAws, cloud: Cloud, queue: str, endpoint: Endpoint, here: None, tmp_path: Path
) -> None:
    import signal

    release, reached = threading.Event(), threading.Event()

    def answers(_message: dict[str, Any]) -> int:
        reached.set()
        release.wait(30)
        return 200

    endpoint.answers = answers
    for minute in range(3):
        put(cloud, queue, ALARM, "OK", minute)
    child = subprocess.Popen(
        command("oncall", "replay", "dev"), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert reached.wait(60)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    release.set()
    assert child.returncode == 130
    assert said == "tocsin: interrupted\n"
    assert backlog(cloud, queue).waiting == 3


@pytest.mark.usefixtures("here")
def test_the_permissions_of_the_page_are_enough_and_none_is_idle(
    aws: EmbeddedAws, cloud: Cloud, queue: str, endpoint: Endpoint
) -> None:
    endpoint.answers = lambda message: 400 if "other" in message["Message"] else 200
    caller = make_caller(cloud, "replayer")

    def works() -> str:
        """Nothing, or what was not allowed: one message is taken, one is kept and given back."""
        cloud.client("sqs").purge_queue(QueueUrl=queue)
        put(cloud, queue, ALARM, "ALARM", 1)
        put(cloud, queue, "dev-shop-other-page", "OK", 2)
        with as_caller(aws, key=caller.key, secret=caller.secret):
            done = tocsin("oncall", "replay", "dev")
        return "" if "1 delivered, 1 kept" in done.stdout and backlog(cloud, queue).waiting == 1 else done.output

    allow(cloud, caller, page_policy("replay"))
    assert works() == ""
    for action, statements in lessened(page_policy("replay")):
        allow(cloud, caller, statements)
        assert "not allowed to" in works(), f"{action} is idle"
