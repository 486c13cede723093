"""What each on-call tool makes of what the forwarder tells it: real requests to a tool that checks and remembers them."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from deploy.forwarder.handlers import post
from deploy.forwarder.handlers.failures import KeyRefusedError, RefusedError
from deploy.forwarder.handlers.post import Answer, Call, seconds_of, send
from deploy.forwarder.handlers.tools import ToolKind, call_of, judge, knock_of, refuses_key, target_of
from forwarder_stage import notification
from hypothesis import given
from hypothesis import strategies as st

from tocsin.paging.alert import Alert, alert_of, with_budget
from tocsin.paging.alert_promise import differences
from tocsin.paging.declared import Way
from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall
from tocsin.paging.tool import Delivery

ALARM = "laptop-notification-api-availability-page"
KINDS = ["jira", "opsgenie", "pagerduty", "webhook"]


@pytest.fixture
def oncall() -> Iterator[EmbeddedOnCall]:
    with embedded_oncall() as running:
        yield running


def delivery(oncall: EmbeddedOnCall, kind: str) -> Delivery:
    if kind == "pagerduty":
        return Delivery(f"{oncall.url}/v2/enqueue", key=events_key(oncall))
    path = {"jira": "/jsm/ops/integration/v2/alerts", "opsgenie": "/v2/alerts", "webhook": "/webhook"}[kind]
    return Delivery(f"{oncall.url}{path}", "" if kind == "webhook" else f"GenieKey {oncall.key}", oncall.key)


def events_key(oncall: EmbeddedOnCall) -> str:
    """The key of a service's events integration, made as a person makes it."""

    def made(path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {
            "Authorization": f"Token token={oncall.key}",
            "Accept": "application/vnd.pagerduty+json;version=2",
            "Content-Type": "application/json",
        }
        request = urllib.request.Request(f"{oncall.url}{path}", json.dumps(body).encode(), headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            found: dict[str, Any] = json.load(answer)[next(iter(body))]
            return found

    policy = made("/escalation_policies", {"escalation_policy": {"name": "p", "escalation_rules": [{"targets": []}]}})
    service = made("/services", {"service": {"name": "s", "escalation_policy": {"id": policy["id"]}}})
    integration = {"type": "events_api_v2_inbound_integration", "name": "forwarder"}
    return str(made(f"/services/{service['id']}/integrations", {"integration": integration})["integration_key"])


def alert(state: str = "ALARM", name: str = ALARM) -> Alert:
    now = datetime.now(UTC).replace(microsecond=0)
    return with_budget(alert_of(notification(name, state, now)), Fraction(1, 3))


def tell(one: Alert, where: Delivery, now: datetime | None = None) -> str:
    target = target_of(where)
    return judge(send(call_of(one, target, now or datetime.now(UTC))), target, one)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [ALARM, "cpu high / web? (blue) 100% ü"])
def test_every_tool_opens_folds_and_closes_by_alias(oncall: EmbeddedOnCall, kind: str, name: str) -> None:
    where, opened = delivery(oncall, kind), alert(name=name)
    tell(opened, where)
    tell(opened, where)
    (found,) = oncall.alerts()
    assert (found.alias, found.open, found.count) == (name, True, 2)
    if kind != "pagerduty":
        assert differences(opened, found, Way.FORWARDER) == ()
    tell(alert("OK", name), where)
    (found,) = oncall.alerts()
    assert not found.open


def test_pagerduty_is_told_all_of_it(oncall: EmbeddedOnCall) -> None:
    one = alert()
    body = json.loads(call_of(one, target_of(delivery(oncall, "pagerduty")), datetime.now(UTC)).body)
    assert (body["event_action"], body["dedup_key"], body["payload"]["severity"]) == ("trigger", ALARM, "critical")
    assert body["payload"]["custom_details"]["budget left"] == "33.3 %"
    assert {link["text"] for link in body["links"]} == {"runbook", "dashboard", "console"}


def test_a_very_long_name_keeps_its_dedup_key() -> None:
    keys = set()
    for end in ("a", "b"):
        for state in ("ALARM", "OK"):
            call = call_of(alert(state, "x" * 254 + "y" + end), target_of(Delivery("https://e.example/v2/enqueue", key="k")), datetime.now(UTC))  # fmt: skip
            keys.add(json.loads(call.body)["dedup_key"])
    assert len(keys) == 2
    assert all(len(key) <= 255 for key in keys)


@pytest.mark.parametrize("kind", KINDS)
def test_a_revoked_key_is_known_as_such(oncall: EmbeddedOnCall, kind: str) -> None:
    where = delivery(oncall, kind)
    wrong = Delivery(where.endpoint, where.authorization and "GenieKey wrong", "wrong-wrong-wrong-wrong")
    with pytest.raises(KeyRefusedError) as caught:
        tell(alert(), wrong)
    assert "wrong-wrong" not in str(caught.value)
    assert oncall.alerts() == ()


@pytest.mark.parametrize("kind", KINDS)
def test_the_self_test_tries_the_key_and_tells_nobody(oncall: EmbeddedOnCall, kind: str) -> None:
    where = delivery(oncall, kind)
    target = target_of(where)
    assert not refuses_key(send(knock_of(target)), target)
    wrong = target_of(Delivery(where.endpoint, where.authorization and "GenieKey wrong", "wrong-wrong-wrong-wrong"))
    # A plain webhook would take whatever is posted for news: that one is only asked whether it is there.
    assert refuses_key(send(knock_of(wrong)), wrong) == (kind != "webhook")
    assert oncall.alerts() == ()


def test_a_webhook_that_is_too_old_or_changed_is_refused_by_the_receiver(oncall: EmbeddedOnCall) -> None:
    where = delivery(oncall, "webhook")
    with pytest.raises(KeyRefusedError):
        tell(alert(), where, datetime.now(UTC) - timedelta(minutes=6))
    target = target_of(where)
    call = call_of(alert(), target, datetime.now(UTC))
    changed = Call(call.method, call.url, call.headers, call.body.replace(b"P1", b"P3"))
    with pytest.raises(KeyRefusedError):
        judge(send(changed), target, alert())
    assert oncall.alerts() == ()


@pytest.mark.parametrize(
    ("endpoint", "kind", "base"),
    [
        ("https://api.opsgenie.com/v2/alerts", ToolKind.ALERTS, "https://api.opsgenie.com"),
        ("https://api.eu.opsgenie.com/v1/json/cloudwatch?apiKey=k", ToolKind.ALERTS, "https://api.eu.opsgenie.com"),
        ("https://api.atlassian.com/jsm/ops/integration/v2/alerts", ToolKind.ALERTS, "https://api.atlassian.com/jsm/ops/integration"),
        ("https://api.atlassian.com/jsm/ops/integration/v1/json/cloudwatch?apiKey=k", ToolKind.ALERTS, "https://api.atlassian.com/jsm/ops/integration"),
        ("https://events.pagerduty.com/v2/enqueue", ToolKind.EVENTS, "https://events.pagerduty.com"),
        ("https://events.eu.pagerduty.com/integration/k/enqueue", ToolKind.EVENTS, "https://events.eu.pagerduty.com"),
        ("https://hooks.example.com/v2/alerts-of-ours", ToolKind.WEBHOOK, "https://hooks.example.com/v2/alerts-of-ours"),
        ("https://hooks.example.com/a?to=/v2/enqueue", ToolKind.WEBHOOK, "https://hooks.example.com/a?to=/v2/enqueue"),
    ],
)  # fmt: skip
def test_the_tool_is_known_by_the_address_that_apply_wrote(endpoint: str, kind: ToolKind, base: str) -> None:
    target = target_of(Delivery(endpoint))
    assert (target.kind, target.base) == (kind, base)
    if "k" in endpoint.split("apiKey=")[1:] or "/integration/k/" in endpoint:
        assert target.key == "k"


def test_nothing_that_is_shown_holds_a_key(oncall: EmbeddedOnCall) -> None:
    where = Delivery("https://api.opsgenie.com/v1/json/cloudwatch?apiKey=secret-secret", "GenieKey secret-secret")
    call = call_of(alert(), target_of(where), datetime.now(UTC))
    assert "secret-secret" in str(call.headers)
    assert "secret-secret" not in repr(call) + repr(where) + repr(target_of(where))


@given(st.text(max_size=40))
def test_any_retry_after_is_a_wait_or_none(text: str) -> None:
    assert seconds_of(text) >= 0


def test_plain_http_leaves_this_machine_never(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RefusedError, match=r"at tool\.example\.com is not HTTPS"):
        send(Call("POST", "http://tool.example.com/v2/alerts?apiKey=k", {}, b""))
    assert "localhost" in post.LOOPBACK


def test_an_answer_is_cut_to_what_is_looked_at() -> None:
    target = target_of(Delivery("https://api.opsgenie.com/v2/alerts"))
    with pytest.raises(RefusedError) as caught:
        judge(Answer(422, json.dumps({"message": "x" * 10_000}).encode()), target, alert())
    assert len(str(caught.value)) < 300
