"""The CloudWatch endpoint of the embedded on-call server: SNS messages become alerts, forged ones do not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from embedded_client import Clock, ask, notification, post, send
from sns_messages import NOW, TOPIC, signed

from tocsin.cloud.embedded.signing import Signer
from tocsin.paging.embedded import EmbeddedOnCall, Fault, embedded_oncall

USER = "payments-primary@example.com"


@pytest.fixture
def oncall() -> Iterator[EmbeddedOnCall]:
    with embedded_oncall(users=[USER]) as running:
        running.state.clock = Clock(NOW)
        yield running


@pytest.fixture
def address(oncall: EmbeddedOnCall) -> str:
    return oncall.cloudwatch_address("tocsin-shop-live-payments-page", "P1")


def test_alarm_raises_and_ok_closes_by_the_alarm_s_name(oncall: EmbeddedOnCall, address: str) -> None:
    assert post(address, notification("live-shop-page")).status == 202
    (raised,) = oncall.alerts()
    assert (raised.alias, raised.message, raised.priority, raised.open) == (
        "live-shop-page",
        "live-shop-page",
        "P1",
        True,
    )
    assert raised.description.startswith("checkout: the error budget burns too fast.")
    assert raised.description.endswith("Threshold crossed")
    assert raised.owner == "payments"
    assert post(address, notification("live-shop-page")).status == 202
    assert oncall.alerts()[0].count == 2
    post(address, notification("live-other-page", "OK"))
    assert oncall.open_alerts() == ("live-shop-page",)
    post(address, notification("live-shop-page", "INSUFFICIENT_DATA"))
    assert oncall.open_alerts() == ("live-shop-page",)
    post(address, notification("live-shop-page", "OK"))
    assert oncall.open_alerts() == ()
    post(address, notification("live-shop-page"))
    assert [one.open for one in oncall.alerts()] == [False, True]
    assert [told.state for told in oncall.received] == ["ALARM", "ALARM", "OK", "INSUFFICIENT_DATA", "OK", "ALARM"]
    assert {told.severity for told in oncall.received} == {"page"}


def test_wait_for_returns_what_was_told_at_that_moment_or_later(oncall: EmbeddedOnCall, address: str) -> None:
    post(address, notification("a", at=NOW))
    told = oncall.wait_for("a", "ALARM", NOW, 5)
    assert told is not None
    assert (told.changed_at, told.sent_at, told.reason) == (NOW, NOW, "Threshold crossed")
    assert oncall.wait_for("a", "ALARM", NOW + timedelta(seconds=1), 0) is None
    assert oncall.wait_for("a", "OK", NOW, 0) is None
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(oncall.wait_for, "a", "OK", NOW, 20)
        post(address, notification("a", "OK", at=NOW))
        assert waiting.result() is not None


def test_the_integration_s_actions_say_what_becomes_of_an_alarm(oncall: EmbeddedOnCall) -> None:
    team = ask(oncall, "POST", "/v2/teams", {"name": "payments", "members": [{"user": {"username": USER}}]}).data["id"]
    made = ask(
        oncall, "POST", "/v2/integrations", {"name": "alarms", "type": "CloudWatch", "ownerTeam": {"id": team}}
    ).data

    def when(state: str) -> dict[str, Any]:
        condition = {"field": "NewStateValue", "operation": "equals", "expectedValue": state}
        return {"conditionMatchType": "match-all-conditions", "conditions": [condition]}

    common = {"alias": "{{AlarmName}}", "user": "CloudWatch", "order": 0}
    actions = {
        "ignore": [
            {
                "type": "ignore",
                "name": "quiet",
                "filter": {
                    "conditionMatchType": "match-any-condition",
                    "conditions": [{"field": "alarm_name", "operation": "starts-with", "expectedValue": "quiet-"}],
                },
            }
        ],
        "create": [
            {
                **common,
                "type": "create",
                "name": "page",
                "filter": when("ALARM"),
                "note": "told by {{TopicArn}}",
                "message": "{{AlarmName}}: {{ NewStateReason }}{{Nothing}}",
                "description": "{{AlarmDescription}}",
                "priority": "P2",
                "tags": ["tocsin", "{{Region}}"],
                "extraProperties": {"console": "https://example.com/{{AlarmName}}"},
            }
        ],
        "close": [{**common, "type": "close", "name": "over", "filter": when("OK"), "note": "{{NewStateReason}}"}],
    }
    assert ask(oncall, "PUT", f"/v2/integrations/{made['id']}/actions", actions).status == 200
    where = oncall.cloudwatch_address("alarms")
    post(where, notification("quiet-one"))
    assert oncall.alerts() == ()
    post(where, notification("live-shop-page", NewStateReason="r" * 200, Region="EU (Ireland)"))
    (raised,) = oncall.alerts()
    assert raised.message == ("live-shop-page: " + "r" * 200)[:130]
    assert (raised.priority, raised.tags) == ("P2", ("tocsin", "EU (Ireland)"))
    assert raised.details == {"console": "https://example.com/live-shop-page"}
    (record,) = oncall.state.alerts
    assert (record.notified, [note.text for note in record.notes]) == ((USER,), [f"told by {TOPIC}"])
    (shown,) = send(oncall.url, "GET", "/alerts").json
    assert shown["notified"] == [USER]
    post(where, notification("live-shop-page", "OK"))
    assert oncall.open_alerts() == ()


def test_a_routing_rule_lets_a_drill_wake_nobody(oncall: EmbeddedOnCall) -> None:
    team = ask(oncall, "POST", "/v2/teams", {"name": "payments", "members": [{"user": {"username": USER}}]}).data["id"]
    condition = {"field": "description", "operation": "contains", "expectedValue": "Drill by Tocsin, nobody is to act"}
    rule = {
        "criteria": {"type": "match-all-conditions", "conditions": [condition]},
        "notify": {"type": "none"},
        "order": 0,
    }
    ask(oncall, "POST", f"/v2/teams/{team}/routing-rules", rule)
    where = oncall.cloudwatch_address("alarms", team="payments")
    post(where, notification("a", NewStateReason="Drill by Tocsin, nobody is to act: a look at the way of a page"))
    post(where, notification("b", NewStateReason="Drill by Tocsin: this one wakes"))
    assert [one["notified"] for one in send(oncall.url, "GET", "/alerts").json] == [[], [USER]]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"AlarmName": "raw"}', 400),
        (b'{"Type": 3}', 400),
        (json.dumps({**notification("a"), "Message": "hello"}).encode(), 422),
        (json.dumps({**notification("a"), "Message": "{}"}).encode(), 422),
        (json.dumps({**notification("a"), "Message": "[]"}).encode(), 422),
        (json.dumps({**notification("a"), "Message": '{"AlarmName": "a"}'}).encode(), 422),
        (json.dumps({**notification("a"), "Timestamp": "now"}).encode(), 422),
        (json.dumps({"Type": "UnsubscribeConfirmation"}).encode(), 202),
    ],
)
def test_what_is_no_alarm_is_refused_and_said(oncall: EmbeddedOnCall, address: str, body: bytes, status: int) -> None:
    assert post(address, body).status == status
    assert oncall.alerts() == ()
    assert len(oncall.refused) == (status != 202)


def test_a_key_that_no_integration_has_is_refused(oncall: EmbeddedOnCall, address: str) -> None:
    other = ask(oncall, "POST", "/v2/integrations", {"name": "api", "type": "API"}).data["apiKey"]
    base = address.partition("?")[0]
    for key in ("", "wrong", other, oncall.key):
        assert post(f"{base}?apiKey={key}", notification("a")).status == 401
    (integration,) = [one for one in oncall.state.integrations if one["type"] == "CloudWatch"]
    ask(oncall, "POST", f"/v2/integrations/{integration['id']}/disable")
    assert post(address, notification("a")).status == 401
    assert oncall.alerts() == ()
    assert not any(key in line for line in oncall.refused for key in (oncall.key, other) if key)


class Aws:
    """A stand-in for SNS's own addresses: a certificate, and confirmations that are counted."""

    def __init__(self, directory: Path) -> None:
        self.signer, self.asked, self.url, self.broken = Signer(directory), [], "", False

    def sign(self, kind: str = "Notification", **fields: Any) -> dict[str, Any]:
        certificate = f"{self.url}/_tocsin/sns/{self.signer.certificate_name}"
        if kind != "Notification":
            fields = {"SubscribeURL": f"{self.url}/?Action=ConfirmSubscription&Token=t", **fields}
        message = signed(kind, SigningCertURL=certificate, Timestamp=f"{NOW:%Y-%m-%dT%H:%M:%S}.000Z", **fields)
        message["Signature"] = self.signer.sign(message, message["SignatureVersion"])
        return message

    def notify(self, alarm: str, state: str = "ALARM", **fields: Any) -> dict[str, Any]:
        return self.sign(Message=notification(alarm, state)["Message"], MessageId=f"{alarm}-{state}", **fields)


@contextmanager
def serving(aws: Aws) -> Iterator[Aws]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            aws.asked.append(self.path)
            body = aws.signer.certificate if self.path.endswith(".pem") else b"<ConfirmSubscriptionResponse/>"
            self.send_response(500 if aws.broken else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    aws.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield aws
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def aws(tmp_path: Path, oncall: EmbeddedOnCall) -> Iterator[Aws]:
    made = Aws(tmp_path)
    _ = made.signer.certificate  # its validity starts a day before the real now
    with serving(made) as running:
        oncall.certificates_from = running.url
        now = datetime.now(UTC)
        oncall.state.clock = Clock(now)
        yield running


def fresh(aws: Aws, oncall: EmbeddedOnCall, message: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The message signed anew, of the present by the server's clock."""
    stamp = oncall.state.clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = {**message, "Timestamp": stamp, **fields}
    return {**message, "Signature": aws.signer.sign(message, message["SignatureVersion"])}


def test_a_subscription_is_confirmed_once_its_signature_holds(oncall: EmbeddedOnCall, aws: Aws, address: str) -> None:
    message = fresh(aws, oncall, aws.sign("SubscriptionConfirmation"))
    assert post(address, {**message, "Token": "other"}).status == 403
    assert oncall.confirmed == set()
    assert post(address, message).status == 200
    assert oncall.confirmed == {TOPIC}
    assert [path for path in aws.asked if "ConfirmSubscription" in path] == ["/?Action=ConfirmSubscription&Token=t"]


@pytest.mark.parametrize(
    "elsewhere",
    [
        "http://127.0.0.1:1/?Action=ConfirmSubscription",
        "http://169.254.169.254/latest/meta-data/",
        "https://example.com/?Action=ConfirmSubscription",
        "https://sns.eu-west-1.amazonaws.com.example.com/?Action=ConfirmSubscription",
        "file:///etc/passwd",
        "http://127.0.0.1:notaport/",
        "//",
    ],
)
def test_only_aws_s_own_address_is_visited(oncall: EmbeddedOnCall, aws: Aws, address: str, elsewhere: str) -> None:
    message = fresh(aws, oncall, aws.sign("SubscriptionConfirmation", SubscribeURL=elsewhere))
    assert post(address, message).status == 403
    assert "SubscribeURL" in oncall.refused[0]
    assert oncall.confirmed == set()


def test_a_confirmation_that_fails_is_asked_for_again(oncall: EmbeddedOnCall, aws: Aws, address: str) -> None:
    message = fresh(aws, oncall, aws.sign("SubscriptionConfirmation"))
    post(address, fresh(aws, oncall, aws.notify("a")))  # so that the certificate is known
    aws.broken = True
    assert post(address, message).status == 503
    aws.broken = False
    assert post(address, message).status == 200


def test_a_certificate_that_cannot_be_had_makes_sns_try_again(oncall: EmbeddedOnCall, aws: Aws, address: str) -> None:
    message = fresh(aws, oncall, aws.notify("a"))
    aws.broken = True
    assert post(address, message).status == 503
    aws.broken = False
    assert post(address, message).status == 202
    assert oncall.open_alerts() == ("a",)


def test_only_signed_messages_are_believed(oncall: EmbeddedOnCall, aws: Aws, address: str) -> None:
    good = fresh(aws, oncall, aws.notify("a"))
    assert post(address, notification("a")).status == 403
    assert post(address, {**good, "Message": good["Message"].replace("ALARM", "OK")}).status == 403
    assert post(address, {**good, "SigningCertURL": "https://example.com/a.pem"}).status == 403
    assert oncall.alerts() == ()
    assert len(oncall.refused) == 3
    assert post(address, good).status == 202
    assert oncall.open_alerts() == ("a",)


def test_an_old_message_cannot_close_a_page(oncall: EmbeddedOnCall, aws: Aws, address: str) -> None:
    clock = oncall.state.clock
    assert isinstance(clock, Clock)
    for alarm_state in ("ALARM", "OK"):
        message = fresh(aws, oncall, aws.notify("a", alarm_state))
        assert post(address, message).status == 202
    post(address, fresh(aws, oncall, aws.notify("a"), MessageId="anew"))
    assert oncall.open_alerts() == ("a",)
    assert post(address, message).status == 202  # taken before: it changes nothing
    assert oncall.open_alerts() == ("a",)
    clock.advance(timedelta(days=14, hours=2))
    assert post(address, message).status == 403
    assert oncall.open_alerts() == ("a",)


def test_what_a_redrive_queue_replays_after_a_week_is_taken(oncall: EmbeddedOnCall, aws: Aws, address: str) -> None:
    message = fresh(aws, oncall, aws.notify("a"))
    clock = oncall.state.clock
    assert isinstance(clock, Clock)
    clock.advance(timedelta(days=7))
    assert post(address, message).status == 202
    assert oncall.open_alerts() == ("a",)


def test_a_message_whose_answer_was_cut_is_taken_once(oncall: EmbeddedOnCall, aws: Aws, address: str) -> None:
    message = fresh(aws, oncall, aws.notify("a"))
    oncall.set_fault(Fault("cut", times=1))
    with pytest.raises(Exception, match="IncompleteRead"):
        post(address, message)
    assert post(address, message).status == 202
    assert [one.count for one in oncall.alerts()] == [1]


def test_a_thousand_notifications_from_32_threads_are_all_taken(oncall: EmbeddedOnCall, address: str) -> None:
    alarms = [f"live-alarm-{number % 50}" for number in range(1000)]
    with ThreadPoolExecutor(32) as pool:
        statuses = list(pool.map(lambda alarm: post(address, notification(alarm)).status, alarms))
    assert set(statuses) == {202}
    assert len(oncall.received) == 1000
    assert {one.alias: one.count for one in oncall.alerts()} == dict.fromkeys(alarms, 20)
    assert len(oncall.alerts()) == 50
