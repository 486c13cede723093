"""Whom an alert would wake: routing rules, escalations and schedules, as the embedded on-call server follows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from embedded_client import Clock
from hypothesis import given
from hypothesis import strategies as st

from tocsin.paging.embedded import State
from tocsin.paging.embedded.on_call_now import participants_at
from tocsin.paging.embedded.who_is_told import settle

A, B, C = "a@example.com", "b@example.com", "c@example.com"
MONDAY = datetime(2026, 11, 2, 0, tzinfo=UTC)


def rotation(**more: Any) -> dict[str, Any]:
    people = [{"type": "user", "username": name} for name in (A, B)]
    return {"startDate": "2026-11-02T00:00:00Z", "type": "daily", "length": 1, "participants": people, **more}


def on_call(at: datetime, *rotations: dict[str, Any], zone: str = "UTC", ahead: int = 0) -> list[str]:
    schedule = {"timezone": zone, "enabled": True, "rotations": list(rotations)}
    return [one["username"] for one in participants_at(schedule, at, ahead)]


def hours(start: tuple[int, int], end: tuple[int, int]) -> dict[str, Any]:
    return {"startHour": start[0], "startMin": start[1], "endHour": end[0], "endMin": end[1]}


def test_turns_of_hours_days_and_weeks() -> None:
    table = {
        ("hourly", 6): [A, A, B, A],
        ("daily", 1): [A, A, B, A],
        ("daily", 2): [A, A, A, B],
        ("weekly", 1): [A, A, A, A],
    }
    moments = [timedelta(), timedelta(hours=5), timedelta(hours=30), timedelta(hours=60)]
    for (kind, length), expected in table.items():
        found = [on_call(MONDAY + span, rotation(type=kind, length=length))[0] for span in moments]
        assert found == expected, (kind, length)
    assert on_call(MONDAY, rotation(), ahead=1) == [B]


def test_nobody_before_the_start_or_after_the_end() -> None:
    ending = rotation(endDate="2026-11-03T00:00:00Z")
    assert on_call(MONDAY - timedelta(seconds=1), ending) == []
    assert on_call(MONDAY + timedelta(days=1, seconds=-1), ending) == [A]
    assert on_call(MONDAY + timedelta(days=1), ending) == []


@pytest.mark.parametrize(
    ("restriction", "in_it", "outside"),
    [
        (
            {"type": "time-of-day", "restriction": hours((8, 0), (17, 0))},
            ["02T08:00", "03T16:59"],
            ["02T07:59", "02T17:00"],
        ),
        (
            {"type": "time-of-day", "restriction": hours((22, 0), (6, 0))},
            ["02T23:00", "03T05:59"],
            ["02T06:00", "02T21:59"],
        ),
        (
            {
                "type": "weekday-and-time-of-day",
                "restrictions": [{"startDay": "friday", "endDay": "monday", **hours((18, 0), (8, 0))}],
            },
            ["02T07:59", "06T18:00", "08T12:00"],
            ["02T08:00", "06T17:59", "04T12:00"],
        ),
    ],
)
def test_hours_restrict_a_rotation(restriction: dict[str, Any], in_it: list[str], outside: list[str]) -> None:
    one = rotation(timeRestriction=restriction)
    for text in in_it:
        assert on_call(datetime.fromisoformat(f"2026-11-{text}:00+00:00"), one), text
    for text in outside:
        assert not on_call(datetime.fromisoformat(f"2026-11-{text}:00+00:00"), one), text


def test_a_turn_of_a_day_keeps_to_the_wall_clock_and_one_of_hours_does_not() -> None:
    # Vienna's clocks go back on 25 October 2026: that night has an hour more.
    start = "2026-10-24T08:00:00+02:00"
    daily, hourly = rotation(startDate=start), rotation(startDate=start, type="hourly", length=24)
    before = datetime(2026, 10, 25, 6, 30, tzinfo=UTC)  # 07:30 in Vienna
    assert (on_call(before, daily, zone="Europe/Vienna"), on_call(before, hourly, zone="Europe/Vienna")) == ([A], [B])
    after = datetime(2026, 10, 25, 7, tzinfo=UTC)
    assert on_call(after, daily, zone="Europe/Vienna") == [B]


@given(
    st.integers(0, 2 * 365 * 24 * 60).map(lambda minutes: MONDAY + timedelta(minutes=minutes)),
    st.sampled_from(["hourly", "daily", "weekly"]),
    st.integers(1, 40),
    st.sampled_from(["UTC", "Europe/Vienna", "America/New_York", "Australia/Lord_Howe"]),
)
def test_an_unrestricted_rotation_always_has_exactly_one_on_call(
    at: datetime, kind: str, length: int, zone: str
) -> None:
    assert len(on_call(at, rotation(type=kind, length=length), zone=zone)) == 1


@pytest.fixture
def state() -> State:
    """A team with a schedule, an escalation over it, and a default rule to that."""
    made = State([A, B, C])
    made.clock = Clock(MONDAY)
    users = {one["username"]: one for one in made.users}
    members = [
        {"user": {"id": users[name]["id"]}, "role": role} for name, role in ((A, "user"), (B, "user"), (C, "admin"))
    ]
    team = made.teams.add({"name": "payments", "members": members})
    schedule = made.schedules.add({"name": "rota", "timezone": "UTC", "enabled": True, "rotations": [rotation()]})
    made.escalations.add(
        {
            "name": "payments",
            "rules": [
                step(0, "default", {"type": "schedule", "id": schedule["id"]}),
                step(5, "next", {"type": "schedule", "name": "rota"}),
                step(1, "admins", {"type": "team", "name": "payments"}, "hours"),
            ],
        }
    )
    add_rule(made, team, {"type": "escalation", "name": "payments"}, isDefault=True)
    return made


def step(amount: int, kind: str, recipient: dict[str, Any], unit: str = "minutes") -> dict[str, Any]:
    return {"notifyType": kind, "delay": {"timeAmount": amount, "timeUnit": unit}, "recipient": recipient}


def add_rule(state: State, team: dict[str, Any], notify: dict[str, Any], **more: Any) -> None:
    state.routing_rules.add({"teamId": team["id"], "isDefault": False, "order": 0, "notify": notify, **more})


def told(
    state: State, description: str = "", **more: Any
) -> tuple[tuple[str, ...], tuple[tuple[int, tuple[str, ...]], ...]]:
    record, _ = state.alerts.raise_alert("", "m", description=description, **more)
    settle(state, record, {"ownerTeam": {"name": "payments", "id": next(iter(state.teams))["id"]}})
    return record.notified, record.escalates_to


def test_an_alert_is_followed_to_people(state: State) -> None:
    assert told(state) == ((A,), ((5, (B,)), (60, (C,))))


def test_the_first_rule_that_fits_counts(state: State) -> None:
    (team,) = state.teams
    condition = {"field": "description", "operation": "contains", "expectedValue": "nobody is to act"}
    criteria = {"type": "match-all-conditions", "conditions": [condition]}
    add_rule(state, team, {"type": "none"}, criteria=criteria)
    add_rule(state, team, {"type": "user", "username": C}, order=1, criteria=priority("equals", "P3"))
    assert told(state, "Drill: nobody is to act", priority="P1") == ((), ())
    assert told(state, priority="P3") == ((C,), ())
    assert told(state, priority="P1")[0] == (A,)


def priority(operation: str, value: str) -> dict[str, Any]:
    condition = {"field": "priority", "operation": operation, "expectedValue": value, "not": False}
    return {"type": "match-any-condition", "conditions": [condition]}


@pytest.mark.parametrize(
    ("field", "operation", "value", "fits"),
    [
        ("message", "equals", "the end", True),
        ("message", "starts-with", "the", True),
        ("message", "ends-with", "the", False),
        ("message", "matches", r"the \w+", True),
        ("message", "matches", "(", False),
        ("message", "equals-ignore-whitespace", "theend", True),
        ("entity", "is-empty", "", True),
        ("message", "is-empty", "", False),
        ("tags", "contains", "slo", True),
        ("tags", "equals", "other", False),
        ("priority", "greater-than", "P3", True),
        ("priority", "less-than", "P3", False),
        ("extra-properties", "contains-key", "system", True),
        ("teams", "equals", "payments", True),
    ],
)
@pytest.mark.parametrize("inverted", [False, True])
def test_conditions(state: State, field: str, operation: str, value: str, fits: bool, inverted: bool) -> None:
    (team,) = state.teams
    condition = {"field": field, "operation": operation, "expectedValue": value, "not": inverted}
    add_rule(state, team, {"type": "none"}, criteria={"type": "match-all-conditions", "conditions": [condition]})
    record, _ = state.alerts.raise_alert("", "the end", priority="P1", tags=["slo"], details={"system": "shop"})
    record.responders = [{"type": "team", "id": team["id"], "name": "payments"}]
    settle(state, record)
    assert (record.notified == ()) == (fits != inverted)


def test_an_escalation_in_a_circle_ends(state: State) -> None:
    (team,) = state.teams
    (escalation,) = state.escalations
    escalation["rules"] = [step(0, "default", {"type": "team", "name": "payments"})]
    assert told(state)[0] == (A, B, C)
    (rule,) = state.routing_rules
    rule["notify"] = {"type": "team", "id": team["id"]}
    assert told(state) == ((), ())


def test_what_is_gone_tells_nobody(state: State) -> None:
    for table in (state.escalations, state.schedules):
        for thing in table:
            table.remove(thing["id"])
    assert told(state) == ((), ())
