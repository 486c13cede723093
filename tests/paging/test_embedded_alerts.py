"""Alerts and heartbeats of the embedded on-call server, asked for directly and by Opsgenie's own SDK unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import opsgenie_sdk
import pytest
from embedded_client import Clock, ask, send
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.paging.embedded import EmbeddedOnCall, State, embedded_oncall
from tocsin.paging.embedded.alert_search import UnreadableQuery, search

USER = "payments-primary@example.com"
BEAT = {"name": "beat", "interval": 10, "intervalUnit": "minutes", "enabled": True}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def oncall(clock: Clock) -> Iterator[EmbeddedOnCall]:
    with embedded_oncall(users=[USER]) as running:
        running.state.clock = clock
        yield running


@pytest.fixture
def sdk(oncall: EmbeddedOnCall) -> opsgenie_sdk.ApiClient:
    """The SDK as its own documentation sets it up."""
    settings = opsgenie_sdk.configuration.Configuration()
    settings.host = oncall.url
    settings.api_key["Authorization"] = oncall.key
    settings.api_key_prefix["Authorization"] = "GenieKey"
    return opsgenie_sdk.ApiClient(configuration=settings)


def test_the_official_sdk_raises_reads_and_closes_an_alert(oncall: EmbeddedOnCall, sdk: opsgenie_sdk.ApiClient) -> None:
    api = opsgenie_sdk.AlertApi(api_client=sdk)
    body = opsgenie_sdk.CreateAlertPayload(
        message="the error budget burns",
        alias="live-shop-page",
        priority="P1",
        tags=["slo"],
        details={"system": "shop"},
    )
    accepted = api.create_alert(body)
    status = api.get_request_status(request_id=accepted.request_id).data
    assert (status.is_success, status.action, status.alias) == (True, "Create", "live-shop-page")

    alert = api.get_alert("live-shop-page", identifier_type="alias").data
    assert (alert.id, alert.status, alert.priority, alert.details) == (
        status.alert_id,
        "open",
        "P1",
        {"system": "shop"},
    )
    assert api.get_alert(alert.tiny_id, identifier_type="tiny").data.alias == "live-shop-page"
    assert api.count_alerts(query="status: open").data.count == 1

    api.acknowledge_alert(alert.id, acknowledge_alert_payload=opsgenie_sdk.AcknowledgeAlertPayload(user="drill"))
    api.add_note(alert.id, opsgenie_sdk.AddNoteToAlertPayload(note="seen", user="drill"))
    api.add_tags(alert.id, opsgenie_sdk.AddTagsToAlertPayload(tags=["seen"]))
    api.add_details(alert.id, opsgenie_sdk.AddDetailsToAlertPayload(details={"owner": "payments"}))
    assert [note.note for note in api.list_notes(alert.id).data] == ["seen"]
    api.close_alert(
        "live-shop-page", identifier_type="alias", close_alert_payload=opsgenie_sdk.CloseAlertPayload(note="over")
    )

    (listed,) = api.list_alerts(query="alias: live-shop-page").data
    assert (listed.status, listed.acknowledged, listed.tags, listed.report.closed_by) == (
        "closed",
        True,
        ["slo", "seen"],
        "Alert API",
    )
    assert api.list_logs(alert.id).data[0].log == "Alert closed"


def test_the_official_sdk_keeps_a_heartbeat(oncall: EmbeddedOnCall, sdk: opsgenie_sdk.ApiClient, clock: Clock) -> None:
    api = opsgenie_sdk.HeartbeatApi(api_client=sdk)
    made = api.create_heartbeat(
        opsgenie_sdk.CreateHeartbeatPayload(name="beat", interval=10, interval_unit="minutes", enabled=True)
    )
    assert made.data.expired is False
    assert api.ping("beat").result == "PONG - Heartbeat received"
    clock.advance(timedelta(minutes=10))
    assert api.get_heartbeat("beat").data.expired is True
    assert (
        api.update_heartbeat(
            "beat", update_heartbeat_payload=opsgenie_sdk.UpdateHeartbeatPayload(interval=20)
        ).data.name
        == "beat"
    )
    assert [one.interval for one in api.list_heart_beats().data.heartbeats] == [20]
    assert api.disable_heartbeat("beat").data.enabled is False
    assert api.enable_heartbeat("beat").data.enabled is True
    assert api.delete_heartbeat("beat").result == "Deleted"
    with pytest.raises(opsgenie_sdk.exceptions.ApiException) as error:
        api.get_heartbeat("beat")
    assert error.value.status == 404


def test_the_official_sdk_reads_the_account(oncall: EmbeddedOnCall, sdk: opsgenie_sdk.ApiClient) -> None:
    assert opsgenie_sdk.AccountApi(api_client=sdk).get_info().data.user_count == 1


def alert(oncall: EmbeddedOnCall, alias: str = "a") -> dict[str, Any]:
    found: dict[str, Any] = ask(oncall, "GET", f"/v2/alerts/{alias}?identifierType=alias").data
    return found


def test_an_open_alert_is_counted_and_a_closed_one_is_raised_anew(oncall: EmbeddedOnCall, clock: Clock) -> None:
    ask(oncall, "POST", "/v2/alerts", {"message": "first", "alias": "a", "priority": "P1"})
    clock.advance(timedelta(minutes=1))
    ask(oncall, "POST", "/v2/alerts", {"message": "second", "alias": "a", "priority": "P5"})
    before = alert(oncall)
    assert (before["count"], before["message"], before["priority"]) == (2, "first", "P1")
    assert (before["createdAt"], before["lastOccurredAt"]) == ("2026-11-21T08:00:00.000Z", "2026-11-21T08:01:00.000Z")
    ask(oncall, "POST", "/v2/alerts/a/close?identifierType=alias", {"user": "somebody"})
    ask(oncall, "POST", "/v2/alerts", {"message": "third", "alias": "a"})
    after = alert(oncall)
    assert (after["count"], after["message"], after["status"]) == (1, "third", "open")
    assert after["id"] != before["id"]
    assert [one.open for one in oncall.alerts()] == [False, True]
    assert ask(oncall, "GET", f"/v2/alerts/{before['id']}").data["report"] == {
        "closeTime": 60_000,
        "closedBy": "somebody",
    }


def test_what_is_done_to_no_alert_is_told_by_the_request(oncall: EmbeddedOnCall) -> None:
    answer = ask(oncall, "POST", "/v2/alerts/none/close?identifierType=alias", {})
    assert answer.status == 202
    status = ask(oncall, "GET", f"/v2/alerts/requests/{answer.json['requestId']}").data
    assert (status["isSuccess"], status["status"]) == (False, "Alert does not exist")
    assert ask(oncall, "GET", "/v2/alerts/requests/none").status == 404
    assert ask(oncall, "GET", "/v2/alerts/none").status == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "message"),
        ({"message": " "}, "message"),
        ({"message": "x" * 131}, "message"),
        ({"message": "x", "alias": "x" * 513}, "alias"),
        ({"message": "x", "priority": "P9"}, "priority"),
        ({"message": "x", "priority": "p1"}, "priority"),
        ({"message": "x", "tags": ["t"] * 21}, "tags"),
        ({"message": "x", "details": {"a": 1}}, "details.a"),
        ({"message": "x", "details": {"a": "x" * 8000}}, "details"),
        ({"message": "x", "description": "x" * 15_001}, "description"),
        ({"message": "x", "responders": [{"type": "group"}]}, "responders[0].type"),
        ({"message": "x", "severity": "high"}, "severity"),
    ],
)
def test_an_alert_that_opsgenie_would_refuse_is_refused(oncall: EmbeddedOnCall, body: Any, field: str) -> None:
    answer = ask(oncall, "POST", "/v2/alerts", body)
    assert (answer.status, list(answer.json["errors"])) == (422, [field])
    assert oncall.alerts() == ()


def test_a_body_that_is_no_json_is_a_bad_request(oncall: EmbeddedOnCall) -> None:
    for body in (b"{", b"\xff", b"[" * 100_000):
        answer = send(oncall.url, "POST", "/v2/alerts", body, {"Authorization": f"GenieKey {oncall.key}"})
        assert (answer.status, answer.json["message"]) == (400, "Request body is not valid JSON.")


def test_lists_are_in_pages(oncall: EmbeddedOnCall, clock: Clock) -> None:
    for number in range(5):
        clock.advance(timedelta(seconds=1))
        ask(oncall, "POST", "/v2/alerts", {"message": f"m{number}", "alias": f"a{number}"})
    first = ask(oncall, "GET", "/v2/alerts?limit=2")
    assert [one["alias"] for one in first.data] == ["a4", "a3"]
    second = ask(oncall, "GET", first.json["paging"]["next"].removeprefix(oncall.url))
    assert [one["alias"] for one in second.data] == ["a2", "a1"]
    last = ask(oncall, "GET", second.json["paging"]["next"].removeprefix(oncall.url))
    assert [one["alias"] for one in last.data] == ["a0"]
    assert "next" not in last.json["paging"]
    assert [one["alias"] for one in ask(oncall, "GET", "/v2/alerts?sort=alias&order=asc&limit=1").data] == ["a0"]
    for query in ("limit=101", "limit=0", "offset=-1", "sort=colour", "order=up"):
        assert ask(oncall, "GET", f"/v2/alerts?{query}").status == 422


QUERIES = {
    "": "abc",
    "status: open": "ac",
    "status:closed": "b",
    "NOT status: open": "b",
    "status: open AND priority: P1": "a",
    "priority: P1 OR priority: P3": "ac",
    "status: open (priority: P1 OR tag: drill)": "ac",
    'message: "burns too"': "a",
    "burns": "a",
    "*burns*": "a",
    "alias: live-*": "abc",
    "tag: drill": "c",
    "count > 1": "c",
    "count >= 1 AND count < 2": "ab",
    "createdAt > 20-11-2026": "abc",
    "details.key: system": "a",
    "acknowledged: true": "",
}


@pytest.fixture(scope="module")
def book() -> State:
    state = State()
    state.clock = Clock()
    state.alerts.raise_alert("live-a", "the budget burns too fast", priority="P1", details={"system": "shop"})
    record, _ = state.alerts.raise_alert("live-b", "closed", priority="P2")
    state.alerts.close(record)
    for _ in range(2):
        state.alerts.raise_alert("live-c", "a [drill]", tags=["drill"])
    return state


@pytest.mark.parametrize("query", QUERIES)
def test_queries_find_alerts(book: State, query: str) -> None:
    test = search(query)
    assert "".join(record.alias[-1] for record in book.alerts if test(record)) == QUERIES[query]


@pytest.mark.parametrize("query", ["(status: open", "status: open)", "colour: red", "count > many", "NOT"])
def test_a_query_that_cannot_be_read_is_refused(oncall: EmbeddedOnCall, query: str) -> None:
    assert ask(oncall, "GET", f"/v2/alerts?query={quote(query)}").status == 422


@given(st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_no_query_breaks_the_search(query: str) -> None:
    try:
        test = search(query)
    except UnreadableQuery:
        return
    state = State()
    test(state.alerts.raise_alert("a", "b")[0])


def test_a_team_s_key_sees_that_team_s_alerts(oncall: EmbeddedOnCall) -> None:
    ask(oncall, "POST", "/v2/teams", {"name": "payments"})
    body = {"name": "api", "type": "API", "ownerTeam": {"name": "payments"}}
    key = ask(oncall, "POST", "/v2/integrations", body).data["apiKey"]
    ask(oncall, "POST", "/v2/alerts", {"message": "ours", "alias": "ours"}, key=key)
    ask(oncall, "POST", "/v2/alerts", {"message": "theirs", "alias": "theirs"})
    assert [one["alias"] for one in ask(oncall, "GET", "/v2/alerts", key=key).data] == ["ours"]
    assert ask(oncall, "GET", "/v2/alerts/theirs?identifierType=alias", key=key).status == 404
    assert len(ask(oncall, "GET", "/v2/alerts").data) == 2


def test_a_silent_heartbeat_pages_and_a_ping_closes_the_page(oncall: EmbeddedOnCall, clock: Clock) -> None:
    member = {"user": {"username": USER}}
    ask(oncall, "POST", "/v2/teams", {"name": "payments", "members": [member]})
    ask(
        oncall,
        "POST",
        "/v2/heartbeats",
        {**BEAT, "ownerTeam": {"name": "payments"}, "alertPriority": "P1", "alertTags": ["silence"]},
    )
    clock.advance(timedelta(days=1))
    assert ask(oncall, "GET", "/v2/heartbeats/beat").data["expired"] is False  # it begins with its first ping
    ask(oncall, "GET", "/v2/heartbeats/beat/ping")
    clock.advance(timedelta(minutes=10, milliseconds=-1))
    assert ask(oncall, "GET", "/v2/heartbeats/beat").data["expired"] is False
    clock.advance(timedelta(milliseconds=1))
    assert ask(oncall, "GET", "/v2/heartbeats/beat").data["expired"] is True
    (found,) = oncall.alerts()
    assert (found.message, found.priority, found.tags, found.open) == ("beat is expired", "P1", ("silence",), True)
    (record,) = oncall.state.alerts
    assert record.notified == (USER,)
    clock.advance(timedelta(hours=1))
    ask(oncall, "GET", "/v2/heartbeats")
    assert [one.count for one in oncall.alerts()] == [1]
    ask(oncall, "GET", "/v2/heartbeats/beat/ping")
    assert [one.open for one in oncall.alerts()] == [False]
    clock.advance(timedelta(minutes=10))
    ask(oncall, "GET", "/v2/heartbeats")
    assert [one.open for one in oncall.alerts()] == [False, True]


def test_a_heartbeat_expires_while_nobody_asks(oncall: EmbeddedOnCall, clock: Clock) -> None:
    ask(oncall, "POST", "/v2/heartbeats", BEAT)
    ask(oncall, "GET", "/v2/heartbeats/beat/ping")
    clock.advance(timedelta(hours=1))
    with oncall.state.changed:
        assert oncall.state.changed.wait_for(lambda: len(oncall.state.alerts) == 1, 20)


def test_a_ping_for_no_heartbeat_is_believed_as_by_the_original(oncall: EmbeddedOnCall) -> None:
    assert ask(oncall, "GET", "/v2/heartbeats/none/ping").status == 202
    assert ask(oncall, "GET", "/v2/heartbeats/none/ping", key="wrong").status == 401
