"""The plain signed webhook: its signature, and the adapter over HTTP against the embedded receiver."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from declared_teams import FORWARDER, MAIL, PRIMARY, file_of, team
from hypothesis import given
from hypothesis import strategies as st

from tocsin.errors import PagingError
from tocsin.model import Severity
from tocsin.paging.alert import alert_of
from tocsin.paging.declared import OnCall, Route, ToolName, Way
from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall
from tocsin.paging.tool import Action, Change, Kind
from tocsin.paging.webhook import SIGNATURE_HEADER, TIMESTAMP_HEADER, Webhook, sign, verify

KEY = "a-signing-key-that-is-long"
NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
BODY = b'{"alias": "live-shop-checkout-page", "state": "ALARM"}'
TEAM = team(FORWARDER, MAIL, people=(PRIMARY,))
DECLARED = file_of(ToolName.WEBHOOK, "WEBHOOK_SIGNING_KEY", TEAM, heartbeat=False, url="https://pager.example.com/in")


@given(st.binary(max_size=200), st.text(min_size=1, max_size=40), st.integers(-299, 299))
def test_what_was_signed_is_accepted_for_five_minutes(body: bytes, key: str, late: int) -> None:
    verify(body, sign(body, key, NOW), key, NOW + timedelta(seconds=late))


def test_the_signature_is_the_documented_one() -> None:
    """Reckoned once with `printf '1795248000.%s' BODY | openssl dgst -sha256 -hmac KEY`."""
    headers = sign(b"{}", "key", datetime.fromtimestamp(1795248000, UTC))
    assert headers == {
        "X-Tocsin-Timestamp": "1795248000",
        "X-Tocsin-Signature": "sha256=351b37a7bdb432b1725fc5db6fdd57356e7b0ee0722799c59f4eed915c66aa66",
    }


@pytest.mark.parametrize(
    ("headers", "body", "key", "late", "message"),
    [
        ({}, BODY + b" ", KEY, 0, "no signature in X-Tocsin-Signature is the key's"),
        ({}, BODY, KEY + "x", 0, "no signature in X-Tocsin-Signature is the key's"),
        ({}, BODY, KEY, 301, "more than 300 s from this clock"),
        ({}, BODY, KEY, -301, "more than 300 s from this clock"),
        ({TIMESTAMP_HEADER: str(int(NOW.timestamp()) + 1)}, BODY, KEY, 0, "is the key's"),
        ({TIMESTAMP_HEADER: ""}, BODY, KEY, 0, "X-Tocsin-Timestamp is missing"),
        ({TIMESTAMP_HEADER: "soon"}, BODY, KEY, 0, "is not a number of seconds"),
        ({TIMESTAMP_HEADER: "9" * 400}, BODY, KEY, 0, "is not a number of seconds"),
        ({TIMESTAMP_HEADER: "١٢٣"}, BODY, KEY, 0, "is not a number of seconds"),
        ({SIGNATURE_HEADER: ""}, BODY, KEY, 0, "X-Tocsin-Signature is missing"),
        ({SIGNATURE_HEADER: "sha256="}, BODY, KEY, 0, "is the key's"),
        ({SIGNATURE_HEADER: "md5=" + "0" * 32}, BODY, KEY, 0, "is the key's"),
        (
            {SIGNATURE_HEADER: sign(BODY, KEY, NOW)[SIGNATURE_HEADER].replace("sha256", "sha1")},
            BODY,
            KEY,
            0,
            "is the key's",
        ),
        ({SIGNATURE_HEADER: "sha256=é"}, BODY, KEY, 0, "is the key's"),
    ],
)
def test_everything_else_is_refused(headers: dict[str, str], body: bytes, key: str, late: int, message: str) -> None:
    signed = {**sign(BODY, KEY, NOW), **headers}
    with pytest.raises(PagingError, match=message) as caught:
        verify(body, signed, key, NOW + timedelta(seconds=late))
    assert KEY not in str(caught.value)
    assert sign(BODY, KEY, NOW)[SIGNATURE_HEADER] not in str(caught.value)


def test_one_right_signature_of_several_is_enough_and_header_names_may_be_in_any_case() -> None:
    headers = sign(BODY, KEY, NOW)
    both = f"sha256={'0' * 64}, {headers[SIGNATURE_HEADER]}"
    verify(BODY, {"x-tocsin-timestamp": headers[TIMESTAMP_HEADER], "X-TOCSIN-SIGNATURE": both}, KEY, NOW)


def test_what_the_forwarder_sends_is_accepted_and_understood(oncall: EmbeddedOnCall) -> None:
    tools = pytest.importorskip("deploy.forwarder.handlers.tools", reason="there is no forwarder here")
    alarm = {
        "AlarmName": "live-shop-checkout-page",
        "AlarmDescription": "Too slow.\nSeverity: page. Owner: payments. System: shop.",
        "NewStateReason": "Threshold crossed",
        "StateChangeTime": "2026-11-21T08:00:00.000+0000",
    }
    tool = Webhook.open(DECLARED, oncall.key, oncall.url)
    target = tools.target_of(tool.delivery(DECLARED, "live", "payments", Severity.PAGE))
    for state in ("ALARM", "OK"):
        call = tools.call_of(alert_of({**alarm, "NewStateValue": state}), target, oncall.state.clock())
        parts = urlsplit(call.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        connection.request(call.method, parts.path, call.body, dict(call.headers))
        assert connection.getresponse().status == 202
        connection.close()
        found = tool.find_alert("live-shop-checkout-page")
        assert found is not None
        assert (found.open, found.priority) == (state == "ALARM", "P1")


@pytest.fixture
def oncall() -> Iterator[EmbeddedOnCall]:
    with embedded_oncall() as running:
        yield running


def post(oncall: EmbeddedOnCall, body: object, headers: dict[str, str] | None = None) -> int:
    content = json.dumps(body).encode()
    parts = urlsplit(oncall.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    signed = sign(content, oncall.key, oncall.state.clock()) if headers is None else headers
    connection.request("POST", "/webhook", content, signed)
    status = connection.getresponse().status
    connection.close()
    return status


ALARM = {
    "alias": "live-shop-checkout-page",
    "state": "ALARM",
    "message": "shop: too slow",
    "description": "Threshold crossed\n\nToo slow.",
    "priority": "P1",
    "tags": ["tocsin"],
    "details": {"owner": "payments", "runbook": "https://runbooks.example.com/x.md"},
}


def test_an_alert_is_opened_counted_read_back_and_closed(oncall: EmbeddedOnCall) -> None:
    tool = Webhook.open(DECLARED, oncall.key, oncall.url)
    assert tool.find_alert(ALARM["alias"]) is None  # type: ignore[arg-type]
    assert post(oncall, ALARM) == 202
    assert post(oncall, ALARM) == 202
    found = tool.find_alert("live-shop-checkout-page")
    assert found is not None
    assert (found.open, found.count, found.priority, found.owner) == (True, 2, "P1", "payments")
    assert found.details == ALARM["details"]
    assert found.tags == ("tocsin",)
    tool.close_alert("live-shop-checkout-page", "the drill is over")
    tool.close_alert("live-shop-checkout-page", "once more is no harm")
    closed = tool.find_alert("live-shop-checkout-page")
    assert closed is not None
    assert not closed.open
    assert closed.closed_at is not None


def test_what_is_not_signed_changes_nothing(oncall: EmbeddedOnCall) -> None:
    assert post(oncall, ALARM, {}) == 401
    assert post(oncall, ALARM, sign(b"{}", oncall.key, oncall.state.clock())) == 401
    assert post(oncall, ALARM, sign(json.dumps(ALARM).encode(), oncall.key, NOW - timedelta(days=400))) == 401
    assert oncall.alerts() == ()
    assert len(oncall.refused) == 3
    with pytest.raises(PagingError, match="the variable WEBHOOK_SIGNING_KEY is missing, wrong or revoked"):
        Webhook.open(DECLARED, "another-key-that-is-long", oncall.url).find_alert("x")


def test_there_is_nothing_to_configure(oncall: EmbeddedOnCall) -> None:
    tool = Webhook.open(DECLARED, oncall.key, oncall.url)
    tool.check(DECLARED, "live")
    assert (tool.wanted(DECLARED, "live"), tool.present(DECLARED, "live")) == ((), ())
    assert tool.heartbeat(DECLARED, "live") is None
    assert not Webhook.drills_wake_nobody
    with pytest.raises(PagingError, match="there is no team to change"):
        tool.apply(Change(Action.CREATE, Kind.TEAM, "payments", None, None), DECLARED, "live")


def test_the_forwarder_is_told_where_to_post_and_with_which_key() -> None:
    delivery = Webhook.open(DECLARED, KEY).delivery(DECLARED, "live", "payments", Severity.PAGE)
    assert (delivery.endpoint, delivery.key, delivery.authorization) == ("https://pager.example.com/in", KEY, "")
    assert KEY not in repr(delivery)
    with pytest.raises(PagingError, match="the tickets of 'payments' do not go to the webhook"):
        Webhook.open(DECLARED, KEY).delivery(DECLARED, "live", "payments", Severity.TICKET)


@pytest.mark.parametrize(
    ("declared", "key", "message"),
    [
        (DECLARED, "short", "the variable WEBHOOK_SIGNING_KEY is shorter than 16 characters"),
        (
            replace(DECLARED, teams=(replace(TEAM, routes={Severity.PAGE: Route((Way.TOOL,))}),)),
            KEY,
            "teams.payments: pages go by the way 'tool', but a webhook understands no SNS; write 'forwarder'",
        ),
    ],
)
def test_check_refuses(declared: OnCall, key: str, message: str) -> None:
    with pytest.raises(PagingError, match=message):
        Webhook.open(declared, key).check(declared, "live")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "tool.url: missing"),
        ("http://pager.example.com/in", "readable on the way"),
        ("ftp://x/y", "address is none"),
    ],
)
def test_an_address_that_is_missing_or_not_https_is_refused(url: str, message: str) -> None:
    with pytest.raises(PagingError, match=message):
        Webhook.open(replace(DECLARED, tool=replace(DECLARED.tool, url=url)), KEY)


def test_a_receiver_that_tells_no_alerts_says_so(oncall: EmbeddedOnCall) -> None:
    with pytest.raises(PagingError, match="the receiver tells no alerts"):
        Webhook.open(DECLARED, oncall.key, f"{oncall.url}/v1/json/cloudwatch").find_alert("x")
