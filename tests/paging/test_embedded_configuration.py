"""The Opsgenie configuration API of the embedded on-call server, held against the official description."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from embedded_client import Clock, ask
from opsgenie_contract import shapes

from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall
from tocsin.paging.embedded.who_is_told import people_on_call

USERS = ("payments-primary@example.com", "payments-secondary@example.com", "engagement-primary@example.com")
ROTATION = {
    "name": "weeks",
    "startDate": "2026-11-02T08:00:00Z",
    "type": "weekly",
    "participants": [{"type": "user", "username": name} for name in USERS[:2]],
}
STEP = {
    "condition": "if-not-acked",
    "notifyType": "default",
    "delay": {"timeAmount": 5, "timeUnit": "minutes"},
    "recipient": {"type": "user", "username": USERS[0]},
}
HEARTBEAT = {"name": "tocsin-shop-live", "interval": 10, "intervalUnit": "minutes", "enabled": True}
ACTION = {"type": "close", "name": "close", "alias": "{{AlarmName}}", "user": "", "note": "", "filter": {}}


@pytest.fixture
def oncall() -> Iterator[EmbeddedOnCall]:
    with embedded_oncall(users=USERS) as running:
        running.state.clock = Clock()
        yield running


def make_team(oncall: EmbeddedOnCall, name: str = "payments", **more: Any) -> str:
    return str(ask(oncall, "POST", "/v2/teams", {"name": name, **more}).data["id"])


def test_every_operation_of_the_description_that_is_used_is_answered(oncall: EmbeddedOnCall) -> None:
    for operation in shapes()["operations"]:
        path = operation["path"]
        for name in ("identifier", "id", "name", "requestId", "memberIdentifier"):
            path = path.replace(f"{{{name}}}", "none")
        answer = ask(oncall, operation["method"], path, key=oncall.key)
        assert answer.status != 405, operation
        assert "nothing at this address" not in answer.json.get("message", ""), operation


def test_users_are_found_by_address_and_by_id(oncall: EmbeddedOnCall) -> None:
    listed = ask(oncall, "GET", "/v2/users?limit=2")
    assert (listed.json["totalCount"], len(listed.data)) == (3, 2)
    first = listed.data[0]
    assert ask(oncall, "GET", f"/v2/users/{USERS[0]}").data == ask(oncall, "GET", f"/v2/users/{first['id']}").data
    assert ask(oncall, "GET", "/v2/users/nobody@example.com").status == 404
    assert ask(oncall, "GET", "/v2/account").data["userCount"] == 3


def test_a_team_and_its_members(oncall: EmbeddedOnCall) -> None:
    team = make_team(oncall, members=[{"user": {"username": USERS[0]}, "role": "admin"}])
    found = ask(oncall, "GET", "/v2/teams/payments?identifierType=name").data
    assert [(one["user"]["username"], one["role"]) for one in found["members"]] == [(USERS[0], "admin")]
    assert (
        ask(oncall, "POST", f"/v2/teams/{team}/members", {"user": {"username": USERS[1]}}).json["data"]["name"]
        == "payments"
    )
    gone = ask(oncall, "DELETE", f"/v2/teams/payments/members/{USERS[0]}?teamIdentifierType=name")
    assert gone.status == 200
    left = ask(oncall, "GET", f"/v2/teams/{team}").data["members"]
    assert [one["user"]["username"] for one in left] == [USERS[1]]
    assert ask(oncall, "PATCH", f"/v2/teams/{team}", {"name": "paying"}).status == 200
    assert [one["name"] for one in ask(oncall, "GET", "/v2/teams").data] == ["paying"]


def test_a_new_team_has_a_schedule_an_escalation_and_a_default_rule_which_go_with_it(oncall: EmbeddedOnCall) -> None:
    team = make_team(oncall, members=[{"user": {"username": USERS[0]}}])
    assert [one["name"] for one in ask(oncall, "GET", "/v2/schedules").data] == ["payments_schedule"]
    assert [one["name"] for one in ask(oncall, "GET", "/v2/escalations").data] == ["payments_escalation"]
    (rule,) = ask(oncall, "GET", f"/v2/teams/{team}/routing-rules").data
    assert (rule["isDefault"], rule["notify"]["name"]) == (True, "payments_escalation")
    assert ask(oncall, "DELETE", f"/v2/teams/{team}/routing-rules/{rule['id']}").status == 422
    assert (
        ask(oncall, "PATCH", f"/v2/teams/{team}/routing-rules/{rule['id']}", {"notify": {"type": "none"}}).status == 200
    )
    assert ask(oncall, "DELETE", f"/v2/teams/{team}").status == 200
    assert ask(oncall, "GET", "/v2/schedules").data == ask(oncall, "GET", "/v2/escalations").data == []


def test_routing_rules_keep_their_order_and_the_default_one_is_the_last(oncall: EmbeddedOnCall) -> None:
    rules = f"/v2/teams/{make_team(oncall)}/routing-rules"
    made = {
        name: ask(oncall, "POST", rules, {"name": name, "notify": {"type": "none"}, **more}).data["id"]
        for name, more in (("a", {}), ("b", {}), ("first", {"order": 0}))
    }

    def order() -> list[str]:
        return [one["name"] for one in ask(oncall, "GET", rules).data]

    assert order() == ["first", "a", "b", "Default Routing Rule"]
    assert ask(oncall, "POST", f"{rules}/{made['b']}/change-order", {"order": 0}).status == 200
    assert order() == ["b", "first", "a", "Default Routing Rule"]
    assert ask(oncall, "POST", f"{rules}/{made['b']}/change-order", {"order": 99}).status == 200
    assert order() == ["first", "a", "b", "Default Routing Rule"]
    assert ask(oncall, "DELETE", f"{rules}/{made['a']}").status == 200
    assert [one["order"] for one in ask(oncall, "GET", rules).data] == [0, 2, 3]


def test_schedules_rotations_and_who_is_on_call(oncall: EmbeddedOnCall) -> None:
    team = make_team(oncall)
    body = {"name": "payments", "timezone": "Europe/Vienna", "ownerTeam": {"id": team}, "rotations": [ROTATION]}
    made = ask(oncall, "POST", "/v2/schedules", body)
    assert made.status == 201
    found = ask(oncall, "GET", "/v2/schedules/payments?identifierType=name").data
    assert (found["ownerTeam"]["name"], found["rotations"][0]["participants"][1]["username"]) == ("payments", USERS[1])
    assert "rotations" not in ask(oncall, "GET", "/v2/schedules").data[0]
    assert ask(oncall, "GET", "/v2/schedules?expand=rotation").data[1]["rotations"]
    assert ask(oncall, "PATCH", f"/v2/schedules/{made.data['id']}", {"enabled": False}).status == 200
    assert ask(oncall, "DELETE", f"/v2/schedules/{made.data['id']}").status == 200
    assert ask(oncall, "GET", f"/v2/schedules/{made.data['id']}").status == 404


def test_escalations(oncall: EmbeddedOnCall) -> None:
    body = {
        "name": "payments",
        "rules": [STEP],
        "repeat": {"waitInterval": 10, "count": 3, "closeAlertAfterAll": False},
    }
    made = ask(oncall, "POST", "/v2/escalations", body).data["id"]
    found = ask(oncall, "GET", f"/v2/escalations/{made}").data
    assert found["rules"][0]["recipient"]["username"] == USERS[0]
    assert (
        ask(oncall, "PATCH", "/v2/escalations/payments?identifierType=name", {"description": "who comes next"}).status
        == 200
    )
    assert ask(oncall, "GET", "/v2/escalations").data[0]["description"] == "who comes next"
    assert ask(oncall, "DELETE", f"/v2/escalations/{made}").status == 200


def test_an_integration_tells_its_key_once(oncall: EmbeddedOnCall) -> None:
    team = make_team(oncall)
    body = {"name": "tocsin-shop-live-payments-page", "type": "CloudWatch", "ownerTeam": {"id": team}, "priority": "P1"}
    made = ask(oncall, "POST", "/v2/integrations", body)
    assert made.status == 201
    key = made.data["apiKey"]
    path = f"/v2/integrations/{made.data['id']}"
    found = ask(oncall, "GET", path)
    assert found.data["priority"] == "P1"
    assert key not in found.content.decode()
    assert key not in ask(oncall, "GET", "/v2/integrations?teamName=payments&type=CloudWatch").content.decode()
    assert ask(oncall, "GET", "/v2/integrations?type=API").data == []
    assert ask(oncall, "POST", f"{path}/disable").data["enabled"] is False
    assert ask(oncall, "POST", f"{path}/enable").data["enabled"] is True
    assert ask(oncall, "PUT", path, {"name": body["name"], "type": "CloudWatch", "priority": "P3"}).status == 200
    assert ask(oncall, "GET", path).data["priority"] == "P3"
    assert oncall.cloudwatch_address(body["name"]).endswith(f"?apiKey={key}")
    assert ask(oncall, "DELETE", path).status == 200
    assert ask(oncall, "GET", path).status == 404


def test_the_actions_of_an_integration(oncall: EmbeddedOnCall) -> None:
    made = ask(oncall, "POST", "/v2/integrations", {"name": "alarms", "type": "CloudWatch"}).data["id"]
    path = f"/v2/integrations/{made}/actions"
    assert [one["type"] for kind in ("create", "close") for one in ask(oncall, "GET", path).data[kind]] == [
        "create",
        "close",
    ]
    assert ask(oncall, "PUT", path, {"close": [ACTION]}).data["create"] == []
    assert len(ask(oncall, "POST", path, {**ACTION, "name": "again"}).data["close"]) == 2
    assert ask(oncall, "PUT", path, {"create": [ACTION]}).status == 422


def test_heartbeats_are_configured(oncall: EmbeddedOnCall) -> None:
    team = make_team(oncall)
    made = ask(
        oncall, "POST", "/v2/heartbeats", {**HEARTBEAT, "ownerTeam": {"name": "payments"}, "alertPriority": "P1"}
    )
    assert made.data["ownerTeam"] == {"id": team, "name": "payments"}
    assert ask(oncall, "PATCH", "/v2/heartbeats/tocsin-shop-live", {"interval": 15}).data["expired"] is False
    assert [one["interval"] for one in ask(oncall, "GET", "/v2/heartbeats").data["heartbeats"]] == [15]
    assert ask(oncall, "POST", "/v2/heartbeats/tocsin-shop-live/disable").data["enabled"] is False
    assert ask(oncall, "DELETE", "/v2/heartbeats/tocsin-shop-live").status == 200
    assert ask(oncall, "GET", "/v2/heartbeats/tocsin-shop-live").status == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/teams", {"name": "payments"}),
        ("/v2/schedules", {"name": "payments_schedule"}),
        ("/v2/escalations", {"name": "payments_escalation", "rules": [STEP]}),
        ("/v2/integrations", {"name": "there", "type": "API"}),
        ("/v2/heartbeats", {**HEARTBEAT, "name": "there"}),
    ],
)
def test_a_name_that_is_taken_is_a_conflict(oncall: EmbeddedOnCall, path: str, body: dict[str, Any]) -> None:
    make_team(oncall)
    ask(oncall, "POST", "/v2/integrations", {"name": "there", "type": "CloudWatch"})
    ask(oncall, "POST", "/v2/heartbeats", {**HEARTBEAT, "name": "there"})
    assert ask(oncall, "POST", path, body).status == 409


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v2/teams", {"name": ""}, "name"),
        ("/v2/teams", {}, "name"),
        ("/v2/teams", {"name": "x", "nome": "y"}, "nome"),
        ("/v2/teams", {"name": 3}, "name"),
        ("/v2/teams", {"name": "x" * 101}, "name"),
        ("/v2/teams", {"name": "x", "members": [{"user": {"username": USERS[0]}, "role": "owner"}]}, "members[0].role"),
        ("/v2/teams", [], "body"),
        ("/v2/schedules", {"name": "x", "timezone": "Mars/Olympus"}, "timezone"),
        ("/v2/schedules", {"name": "x", "timezone": "../../etc/passwd"}, "timezone"),
        ("/v2/schedules", {"name": "x", "rotations": []}, "rotations"),
        ("/v2/schedules", {"name": "x", "rotations": [{**ROTATION, "type": "yearly"}]}, "rotations[0].type"),
        ("/v2/schedules", {"name": "x", "rotations": [{**ROTATION, "length": 0}]}, "rotations[0].length"),
        ("/v2/schedules", {"name": "x", "rotations": [{**ROTATION, "participants": []}]}, "rotations[0].participants"),
        (
            "/v2/schedules",
            {"name": "x", "rotations": [{**ROTATION, "startDate": "2026-11-02T08:00:00"}]},
            "rotations[0].startDate",
        ),
        ("/v2/schedules", {"name": "x", "rotations": [{**ROTATION, "startDate": "2026-11-02T08:17:00Z"}]}, "startDate"),
        ("/v2/escalations", {"name": "x", "rules": []}, "rules"),
        ("/v2/escalations", {"name": "x", "rules": [{**STEP, "condition": "if-seen"}]}, "rules[0].condition"),
        ("/v2/integrations", {"name": "x", "type": "Cloudwatch"}, "type"),
        ("/v2/integrations", {"name": "x", "type": "CloudWatch", "priority": "P9"}, "priority"),
        ("/v2/integrations", {"name": "x", "type": "CloudWatch", "enabled": 1}, "enabled"),
        ("/v2/heartbeats", {**HEARTBEAT, "interval": 0}, "interval"),
        ("/v2/heartbeats", {**HEARTBEAT, "interval": True}, "interval"),
        ("/v2/heartbeats", {**HEARTBEAT, "intervalUnit": "seconds"}, "intervalUnit"),
        ("/v2/heartbeats", {**HEARTBEAT, "alertTags": ["x" * 51]}, "alertTags[0]"),
    ],
)
def test_what_opsgenie_would_not_process_is_named(oncall: EmbeddedOnCall, path: str, body: Any, field: str) -> None:
    answer = ask(oncall, "POST", path, body)
    assert answer.status == 422
    assert list(answer.json["errors"]) == [field]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/teams", {"name": "x", "members": [{"user": {"username": "nobody@example.com"}}]}),
        ("/v2/schedules", {"name": "x", "ownerTeam": {"name": "nobody"}}),
        ("/v2/escalations", {"name": "x", "rules": [{**STEP, "recipient": {"type": "schedule", "name": "none"}}]}),
        ("/v2/integrations", {"name": "x", "type": "API", "ownerTeam": {"id": "none"}}),
    ],
)
def test_what_refers_to_nothing_is_refused_and_leaves_nothing(oncall: EmbeddedOnCall, path: str, body: Any) -> None:
    assert ask(oncall, "POST", path, body).status == 422
    assert ask(oncall, "GET", path).data == []


def test_keys_open_what_they_are_for(oncall: EmbeddedOnCall) -> None:
    team = make_team(oncall)
    keys = {
        name: ask(oncall, "POST", "/v2/integrations", {"name": name, "type": "API", **more}).data["apiKey"]
        for name, more in (
            ("plain", {}),
            ("configuring", {"allowConfigurationAccess": True}),
            ("reading", {"allowWriteAccess": False, "allowConfigurationAccess": True}),
            ("of a team", {"ownerTeam": {"id": team}, "allowConfigurationAccess": True}),
        )
    }
    keys["alarms"] = ask(oncall, "POST", "/v2/integrations", {"name": "alarms", "type": "CloudWatch"}).data["apiKey"]
    keys |= {"all": oncall.key, "account": oncall.state.account_key}

    def statuses(name: str) -> tuple[int, ...]:
        alert = ask(oncall, "POST", "/v2/alerts", {"message": "x"}, key=keys[name]).status
        made = ask(oncall, "POST", "/v2/teams", {"name": f"team {name}"}, key=keys[name]).status
        return alert, made, ask(oncall, "GET", "/v2/teams", key=keys[name]).status

    assert {name: statuses(name) for name in keys} == {
        "all": (202, 201, 200),
        "account": (403, 201, 200),  # Opsgenie's key management: no alerts
        "plain": (202, 403, 200),
        "configuring": (202, 201, 200),
        "reading": (403, 403, 200),
        "of a team": (202, 403, 200),
        "alarms": (403, 403, 403),
    }


@pytest.mark.parametrize("key", ["", "wrong", "eb243592-faa2-4ba2-a551-1afdf565c889"])
def test_a_wrong_key_is_refused(oncall: EmbeddedOnCall, key: str) -> None:
    assert ask(oncall, "GET", "/v2/teams", key=key).status == 401


def test_a_revoked_key_and_a_disabled_integration_are_refused(oncall: EmbeddedOnCall) -> None:
    made = ask(oncall, "POST", "/v2/integrations", {"name": "a", "type": "API"}).data
    ask(oncall, "POST", f"/v2/integrations/{made['id']}/disable")
    assert ask(oncall, "POST", "/v2/alerts", {"message": "x"}, key=made["apiKey"]).status == 401
    old, oncall.state.key = oncall.key, "b4c9d8a2-0000-4000-8000-000000000000"
    assert ask(oncall, "GET", "/v2/teams", key=old).status == 401
    assert ask(oncall, "GET", "/v2/teams").status == 200


def test_the_turn_of_a_week_is_asked_for_by_date(oncall: EmbeddedOnCall) -> None:
    team = make_team(oncall)
    body = {"name": "rota", "timezone": "Europe/Vienna", "ownerTeam": {"id": team}, "rotations": [ROTATION]}
    ask(oncall, "POST", "/v2/schedules", body)
    state = oncall.state
    (rota,) = [one for one in state.schedules if one["name"] == "rota"]
    table = {
        datetime(2026, 11, 2, 7, 59, tzinfo=UTC): [],
        datetime(2026, 11, 2, 8, tzinfo=UTC): [USERS[0]],
        datetime(2026, 11, 9, 7, 59, tzinfo=UTC): [USERS[0]],
        datetime(2026, 11, 9, 8, tzinfo=UTC): [USERS[1]],
        datetime(2026, 11, 16, 8, tzinfo=UTC): [USERS[0]],
        # From the last Sunday of March the wall clock is an hour ahead: the turn changes at 07:00 UTC.
        datetime(2027, 3, 29, 6, 59, tzinfo=UTC): [USERS[0]],
        datetime(2027, 3, 29, 7, tzinfo=UTC): [USERS[1]],
    }
    assert {at: people_on_call(state, rota, at) for at in table} == table
