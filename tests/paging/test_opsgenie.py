"""Opsgenie's adapter against a running server, every exchange held to the official description."""

from __future__ import annotations

import copy
import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import time, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opsgenie_between import Between, between
from opsgenie_declared import (
    ENGAGEMENT,
    INSIGHT,
    INSIGHTS,
    LEAD,
    MAIL,
    MONDAY,
    PRIMARY,
    SECOND,
    TOOL,
    USERS,
    WEEK,
    declaration,
)

from tocsin.errors import InputError, PagingError
from tocsin.model import Severity
from tocsin.paging.changes import describe, find_changes, is_marked
from tocsin.paging.declared import (
    Escalation,
    Heartbeat,
    Hours,
    OnCall,
    Recipient,
    RecipientKind,
    Rotation,
    Route,
    Schedule,
    SecretSource,
    Step,
    Tool,
    ToolName,
    Way,
)
from tocsin.paging.drill_marks import SILENT_DRILL
from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall
from tocsin.paging.embedded.opsgenie.heartbeats import ping
from tocsin.paging.opsgenie import ADDRESSES, Opsgenie
from tocsin.paging.opsgenie.account import OpsgenieAccount
from tocsin.paging.rest import Rest
from tocsin.paging.tool import Action, Change, KeyNotToldError, Kind, MadeKey, heartbeat_name
from tocsin.paging.tools import open_tool

pytestmark = pytest.mark.long

ENVIRONMENT = "production"
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ROUTES = (
    ("engagement", Severity.PAGE),
    ("engagement", Severity.TICKET),
    ("insights", Severity.PAGE),
    ("reports", Severity.PAGE),
)


class Account:
    """An on-call server and what stands before it."""

    def __init__(self, oncall: EmbeddedOnCall, line: Between) -> None:
        self.oncall, self.line = oncall, line

    def tool(self, key: str | None = None, **options: Any) -> Opsgenie:
        """A fresh adapter, as each run of the command has one; it waits for nothing."""
        headers = {"Authorization": f"GenieKey {key or self.oncall.key}"}
        options = {"sleep": lambda seconds: None, "key_shown": "the variable OPSGENIE_KEY", **options}
        project = options.pop("project", "")
        rest = Rest(self.line.url, headers, tool="Opsgenie", **options)
        return Opsgenie(rest, key_shown=options["key_shown"], project=project)

    def things(self) -> dict[str, list[dict[str, Any]]]:
        """All that is in it, as it is kept."""
        state = self.oncall.state
        names = ("users", "teams", "schedules", "escalations", "routing_rules", "integrations", "heartbeats")
        with state.lock:
            return {name: copy.deepcopy(list(getattr(state, name))) for name in names}


@contextmanager
def opened() -> Iterator[Account]:
    with embedded_oncall(users=USERS) as oncall, between(oncall.url) as line:
        yield Account(oncall, line)
    assert line.wrong == []


@pytest.fixture
def account() -> Iterator[Account]:
    with opened() as one:
        yield one


def plan(tool: Opsgenie, declared: OnCall, *adopt: str, environment: str = ENVIRONMENT) -> tuple[Change, ...]:
    return find_changes(tool.wanted(declared, environment), tool.present(declared, environment), frozenset(adopt))


def apply(
    account: Account,
    declared: OnCall,
    *adopt: str,
    environment: str = ENVIRONMENT,
    tool: Opsgenie | None = None,
    secrets: dict[str, str] | None = None,
) -> dict[str, str]:
    """A whole run: the plan, its steps, and the keys into ``secrets``, by name of the route; they are returned."""
    tool = tool or account.tool()
    for change in plan(tool, declared, *adopt, environment=environment):
        tool.apply(change, declared, environment)
    return store(tool, declared, environment, {} if secrets is None else secrets)


def store(tool: Opsgenie, declared: OnCall, environment: str, secrets: dict[str, str]) -> dict[str, str]:
    for team in declared.teams:
        for owner in team.owners:
            for severity, route in team.routes.items():
                if {Way.TOOL, Way.FORWARDER} & set(route.ways):
                    try:
                        secrets[f"{owner}-{severity.value}"] = tool.delivery(declared, environment, owner, severity).key
                    except KeyNotToldError:
                        continue
                    tool.delivered(declared, environment, owner, severity)
    try:
        if (beat := tool.heartbeat(declared, environment)) is not None:
            secrets["heartbeat"] = beat.key
            tool.heartbeat_delivered(declared, environment)
    except KeyNotToldError:
        pass
    return secrets


# What is made


def test_a_plan_is_shown_applied_and_then_empty(account: Account) -> None:
    declared = declaration()
    tool = account.tool()
    tool.check(declared, ENVIRONMENT)
    first = plan(tool, declared)
    assert {change.action for change in first} == {Action.CREATE}
    assert [change.kind for change in first] == sorted((one.kind for one in first), key=list(Kind).index)
    assert account.line.written() == [("PATCH", "/v2/teams/00000000-0000-0000-0000-000000000000")]
    secrets = apply(account, declared, tool=tool)
    assert set(secrets) == {f"{owner}-{severity.value}" for owner, severity in ROUTES} | {"heartbeat"}
    assert plan(account.tool(), declared) == ()
    written = len(account.line.written())
    assert apply(account, declared) == {}
    assert len(account.line.written()) == written


def test_what_is_made_is_what_is_declared(account: Account) -> None:
    apply(account, declaration())
    things = account.things()
    teams = {one["name"]: one for one in things["teams"]}
    assert set(teams) == {"engagement", "insights"}
    assert teams["engagement"]["description"] == (
        "Looks after everything customers touch.\nManaged by Tocsin (shop); change deploy/oncall.toml."
    )
    members = {one["user"]["username"]: one["role"] for one in teams["engagement"]["members"]}
    assert members == {LEAD: "admin", PRIMARY: "user", SECOND: "user"}
    schedules = {one["name"]: one for one in things["schedules"]}
    (weekly,) = schedules["engagement-primary"]["rotations"]
    assert (weekly["type"], weekly["length"], weekly["startDate"]) == ("weekly", 1, "2026-01-05T08:00:00Z")
    assert [one["username"] for one in weekly["participants"]] == [PRIMARY, SECOND]
    nights, office = schedules["engagement-hours"]["rotations"]
    assert nights["timeRestriction"] == {
        "type": "time-of-day",
        "restriction": {"startHour": 22, "startMin": 0, "endHour": 6, "endMin": 0},
    }
    assert (office["type"], office["length"], office["endDate"]) == ("hourly", 12, "2027-01-01T05:00:00Z")
    assert [(one["startDay"], one["endDay"]) for one in office["timeRestriction"]["restrictions"]] == [
        ("monday", "monday"),
        ("saturday", "sunday"),
    ]
    escalation = next(one for one in things["escalations"] if one["name"] == "engagement-pages")
    assert [(rule["delay"]["timeAmount"], rule["recipient"]["type"]) for rule in escalation["rules"]] == [
        (0, "schedule"),
        (10, "user"),
        (90, "team"),
    ]
    assert (escalation["repeat"]["waitInterval"], escalation["repeat"]["resetRecipientStates"]) == (30, False)
    (heartbeat,) = things["heartbeats"]
    assert (heartbeat["name"], heartbeat["interval"], heartbeat["intervalUnit"]) == (
        "tocsin-shop-production",
        10,
        "minutes",
    )
    assert (heartbeat["alertPriority"], heartbeat["ownerTeam"]["name"], heartbeat["enabled"]) == (
        "P1",
        "engagement",
        True,
    )


def test_drills_come_first_and_go_to_nobody_pages_to_the_escalation_tickets_to_nobody(account: Account) -> None:
    apply(account, declaration())
    team = next(one for one in account.things()["teams"] if one["name"] == "engagement")
    rules = sorted(
        (one for one in account.things()["routing_rules"] if one["teamId"] == team["id"]), key=lambda one: one["order"]
    )
    ours = [one for one in rules if not one.get("isDefault")]
    assert rules[: len(ours)] == ours
    assert [one["notify"]["type"] for one in ours] == ["none", "escalation", "none"]
    assert ours[0]["criteria"]["conditions"][0]["expectedValue"] == SILENT_DRILL
    assert ours[1]["notify"]["name"] == "engagement-pages"


def test_a_page_of_a_team_without_an_escalation_goes_to_its_schedule_and_of_one_without_either_by_its_default(
    account: Account,
) -> None:
    bare = replace(INSIGHT, name="bare", owners=("bare",), schedules=())
    apply(account, declaration(INSIGHT, bare, heartbeat=None))
    rules = {
        one.name: one.body["notify"]
        for one in account.tool().present(declaration(INSIGHT, bare), ENVIRONMENT)
        if one.kind is Kind.ROUTING_RULE
    }
    assert rules == {
        "tocsin-shop insights 0 drills": "none",
        "tocsin-shop insights 1 pages": "schedule insights-primary",
        "tocsin-shop insights 2 tickets": "none",
        "tocsin-shop bare 0 drills": "none",
        "tocsin-shop bare 1 tickets": "none",
    }
    # A page that no rule of ours is for must not be silenced by the one for tickets.
    tickets = [one for one in account.things()["routing_rules"] if one["name"].endswith("tickets")]
    assert all(one["criteria"]["conditions"][0]["expectedValue"] == "P3" for one in tickets)


def test_alerts_of_the_direct_route_say_what_the_alarm_says_and_close_by_its_name(account: Account) -> None:
    secrets = apply(account, declaration())
    description = "api: the error budget burns too fast.\nRunbook: https://example.com/slo-availability.md"
    for severity, priority in (("page", "P1"), ("ticket", "P3")):
        alarm = {
            "AlarmName": f"production-checkout-{severity}",
            "AlarmDescription": description,
            "NewStateValue": "ALARM",
            "NewStateReason": "ALARM(long) AND ALARM(short)",
            "StateChangeTime": "2026-03-01T02:00:00.000+0000",
            "OldStateValue": "OK",
            "Region": "EU (Ireland)",
            "AWSAccountId": "111122223333",
        }
        notify(account, secrets[f"engagement-{severity}"], alarm)
        alert = account.tool().find_alert(alarm["AlarmName"])
        assert alert is not None
        assert (alert.alias, alert.priority, alert.open) == (alarm["AlarmName"], priority, True)
        assert alert.description.startswith(description)
        assert "ALARM(long) AND ALARM(short)" in alert.description
        assert set(alert.tags) >= {"tocsin-shop", "production", "engagement", severity}
        facts = {"environment": "production", "owner": "engagement", "severity": severity, "tocsin": "shop/production"}
        assert facts.items() <= alert.details.items()
        notify(account, secrets[f"engagement-{severity}"], {**alarm, "NewStateValue": "OK", "OldStateValue": "ALARM"})
        closed = account.tool().find_alert(alarm["AlarmName"])
        assert closed is not None
        assert not closed.open
        assert closed.closed_at is not None


def notify(account: Account, key: str, alarm: dict[str, Any]) -> None:
    """As SNS delivers it."""
    message = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:eu-west-1:111122223333:production-tocsin-engagement-page",
        "Subject": f"{alarm['NewStateValue']}: {alarm['AlarmName']}",
        "Message": json.dumps(alarm),
        "Timestamp": "2026-03-01T02:00:01.000Z",
    }
    request = urllib.request.Request(
        f"{account.oncall.url}/v1/json/cloudwatch?apiKey={key}",
        json.dumps(message).encode(),
        {"Content-Type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "Notification"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
        assert answer.status in (200, 202)


# Changes


CHANGES: list[tuple[str, OnCall, set[tuple[Action, Kind]]]] = [
    (
        "a member less",
        declaration(replace(ENGAGEMENT, members=ENGAGEMENT.members[:2]), INSIGHT),
        {(Action.UPDATE, Kind.TEAM)},
    ),
    (
        "another turn",
        declaration(
            replace(
                ENGAGEMENT,
                schedules=(
                    Schedule(
                        "engagement-primary", "Asia/Tokyo", (Rotation("weekly", (SECOND, PRIMARY), 2 * WEEK, MONDAY),)
                    ),
                    ENGAGEMENT.schedules[1],
                ),
            ),
            INSIGHT,
        ),
        {(Action.UPDATE, Kind.SCHEDULE)},
    ),
    (
        "no repetition",
        declaration(
            replace(
                ENGAGEMENT,
                escalation=Escalation(
                    "engagement-pages", (Step(timedelta(0), Recipient(RecipientKind.SCHEDULE, "engagement-hours")),)
                ),
            ),
            INSIGHT,
        ),
        {(Action.UPDATE, Kind.ESCALATION)},
    ),
    (
        "another heartbeat",
        declaration(heartbeat=Heartbeat("insights", silent_after=timedelta(minutes=25))),
        {(Action.UPDATE, Kind.HEARTBEAT), (Action.UPDATE, Kind.INTEGRATION)},
    ),
    ("no heartbeat", declaration(heartbeat=None), {(Action.DELETE, Kind.HEARTBEAT), (Action.DELETE, Kind.INTEGRATION)}),
    (
        "tickets by mail only",
        declaration(replace(ENGAGEMENT, routes={Severity.PAGE: TOOL, Severity.TICKET: MAIL}), INSIGHT),
        {(Action.DELETE, Kind.INTEGRATION)},
    ),
    (
        "a forwarder before the tool",
        declaration(replace(ENGAGEMENT, routes={**ENGAGEMENT.routes, Severity.PAGE: Route((Way.FORWARDER,))}), INSIGHT),
        {(Action.UPDATE, Kind.INTEGRATION)},
    ),
    (
        "an escalation more",
        declaration(
            ENGAGEMENT,
            replace(
                INSIGHT,
                escalation=Escalation(
                    "insights-pages", (Step(timedelta(0), Recipient(RecipientKind.SCHEDULE, "insights-primary")),)
                ),
            ),
        ),
        {(Action.CREATE, Kind.ESCALATION), (Action.UPDATE, Kind.ROUTING_RULE)},
    ),
    (
        "a team less",
        declaration(ENGAGEMENT),
        {(Action.DELETE, kind) for kind in (Kind.TEAM, Kind.SCHEDULE, Kind.ROUTING_RULE, Kind.INTEGRATION)},
    ),
    (
        "an owner moves",
        declaration(replace(ENGAGEMENT, owners=("engagement", "reports")), replace(INSIGHT, owners=("insights",))),
        {(Action.CREATE, Kind.INTEGRATION), (Action.UPDATE, Kind.INTEGRATION)},
    ),
]


@pytest.mark.parametrize(
    ("declared", "expected"), [(d, e) for _, d, e in CHANGES], ids=[name for name, _, _ in CHANGES]
)
def test_a_change_of_the_file_is_the_change_that_is_made(
    account: Account, declared: OnCall, expected: set[tuple[Action, Kind]]
) -> None:
    apply(account, declaration())
    changes = plan(account.tool(), declared)
    assert {(one.action, one.kind) for one in changes} == expected
    assert all(describe(one) for one in changes)
    apply(account, declared)
    assert plan(account.tool(), declared) == ()
    apply(account, declaration())
    assert plan(account.tool(), declaration()) == ()


def test_what_people_changed_of_ours_is_brought_back(account: Account) -> None:
    apply(account, declaration())
    things = account.oncall.state
    with things.lock:
        for schedule in things.schedules:
            schedule["enabled"] = False
        for rule in things.routing_rules:
            if "pages" in rule["name"]:
                rule["notify"] = {"type": "none"}
                rule["timeRestriction"] = {
                    "type": "time-of-day",
                    "restriction": {"startHour": 9, "startMin": 0, "endHour": 17, "endMin": 0},
                }
        for heartbeat in things.heartbeats:
            heartbeat["enabled"] = False
    shown = [line for change in plan(account.tool(), declaration()) for line in describe(change)]
    assert "    enabled: false → true" in shown
    assert '    notify: "none" → "escalation engagement-pages"' in shown
    apply(account, declaration())
    assert plan(account.tool(), declaration()) == ()


def test_a_rule_that_people_put_before_ours_goes_behind_them(account: Account) -> None:
    apply(account, declaration())
    people = account.tool()._rest
    team = next(one["id"] for one in account.things()["teams"] if one["name"] == "engagement")
    rule = {"name": "Fridays", "criteria": {"type": "match-all"}, "notify": {"type": "none"}, "order": 0}
    people.post(f"/v2/teams/{team}/routing-rules", rule)
    assert {(one.action, one.kind) for one in plan(account.tool(), declaration())} == {
        (Action.UPDATE, Kind.ROUTING_RULE)
    }
    apply(account, declaration())
    assert plan(account.tool(), declaration()) == ()
    names = [
        one["name"]
        for one in sorted(account.things()["routing_rules"], key=lambda one: one["order"])
        if one["teamId"] == team
    ]
    assert names.index("Fridays") == 3


def test_environments_and_projects_keep_out_of_each_others_way(account: Account) -> None:
    """One whose name begins like another's, and one whose name and environment run together into the same words."""
    shop = declaration()
    apply(account, shop)
    apply(account, shop, environment="production-eu")
    assert plan(account.tool(), shop) == ()
    with pytest.raises(InputError, match=r"team 'engagement' is in the on-call tool and not Tocsin's"):
        plan(account.tool(), declaration(project="shop-production"), environment="eu")
    other = declaration(
        replace(INSIGHT, name="other", owners=("other",), schedules=()), project="shop-production", heartbeat=None
    )
    apply(account, other, environment="eu")
    assert plan(account.tool(), shop) == ()
    assert plan(account.tool(), shop, environment="production-eu") == ()
    nobody = replace(shop, teams=(replace(ENGAGEMENT, routes={}),), heartbeat=None)
    gone = [one.name for one in plan(account.tool(), nobody) if one.kind in (Kind.INTEGRATION, Kind.HEARTBEAT)]
    assert gone
    assert not [name for name in gone if name.startswith("tocsin-shop-production-eu")]


# People's things


def test_a_wanted_name_that_people_have_is_refused_and_taken_over_when_told_to(account: Account) -> None:
    people = account.tool()._rest
    people.post("/v2/teams", {"name": "engagement", "description": "By hand.", "members": []})
    people.post(
        "/v2/schedules",
        {
            "name": "engagement-primary",
            "timezone": "UTC",
            "rotations": [
                {
                    "type": "daily",
                    "startDate": "2026-01-01T00:00:00Z",
                    "participants": [{"type": "user", "username": LEAD}],
                }
            ],
        },
    )
    before = account.things()
    with pytest.raises(InputError, match=r"--adopt team/engagement --adopt schedule/engagement-primary$"):
        plan(account.tool(), declaration())
    assert account.things() == before
    apply(account, declaration(), "team/engagement", "schedule/engagement-primary")
    assert plan(account.tool(), declaration()) == ()
    after = account.things()
    assert {one["id"] for one in before["teams"]} <= {one["id"] for one in after["teams"]}
    assert all(
        is_marked(one["description"], "shop") for one in after["schedules"] if one["name"].startswith("engagement-p")
    )


def test_a_team_that_holds_what_people_made_is_not_removed(account: Account) -> None:
    apply(account, declaration())
    people = account.tool()._rest
    people.post(
        "/v2/schedules",
        {
            "name": "lunch",
            "timezone": "UTC",
            "ownerTeam": {"name": "insights"},
            "rotations": [
                {
                    "type": "daily",
                    "startDate": "2026-01-01T00:00:00Z",
                    "participants": [{"type": "user", "username": INSIGHTS}],
                }
            ],
        },
    )
    without = declaration(ENGAGEMENT)
    with pytest.raises(PagingError, match=r"deploy/oncall.toml: team 'insights' is to go, .* schedule 'lunch'"):
        account.tool().check(without, ENVIRONMENT)
    with pytest.raises(PagingError, match="team 'insights' stays: with it would go schedule 'lunch'"):
        apply(account, without)
    assert "lunch" in {one["name"] for one in account.things()["schedules"]}
    assert "insights" in {one["name"] for one in account.things()["teams"]}


def test_a_team_that_another_environment_still_uses_is_not_removed(account: Account) -> None:
    apply(account, declaration())
    apply(account, declaration(), environment="staging")
    with pytest.raises(PagingError, match=r"stays: with it would go integration 'tocsin-shop-staging-insights-page'"):
        apply(account, declaration(ENGAGEMENT))
    apply(account, declaration(ENGAGEMENT), environment="staging")
    apply(account, declaration(ENGAGEMENT))
    assert {one["name"] for one in account.things()["teams"]} == {"engagement"}


NAME = st.text("abcdefgh-", min_size=3, max_size=8).map(lambda text: f"hand-{text}")
PEOPLE = st.fixed_dictionaries(
    {
        "teams": st.lists(NAME, unique=True, max_size=2),
        "schedules": st.lists(st.tuples(NAME, st.booleans()), unique_by=lambda one: one[0], max_size=3),
        "escalations": st.lists(st.tuples(NAME, st.booleans()), unique_by=lambda one: one[0], max_size=2),
        "integrations": st.lists(
            st.tuples(
                NAME | st.sampled_from(["tocsin-shop-production-x-page", "tocsin-shop-production-eu-engagement-page"]),
                st.booleans(),
            ),
            unique_by=lambda one: one[0],
            max_size=3,
        ),
        "heartbeats": st.lists(NAME, unique=True, max_size=2),
        "rules": st.lists(st.tuples(NAME, st.integers(0, 5)), max_size=3),
    }
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    people=PEOPLE,
    before=st.booleans(),
    then=st.sampled_from([declared for _, declared, _ in CHANGES] + [declaration()]),
)
def test_whatever_people_made_is_as_it_was(people: dict[str, Any], before: bool, then: OnCall) -> None:
    """``before``: made before the first run, else after it; some of it within our own team."""
    with opened() as account:
        if not before:
            apply(account, declaration())
        made = make(account, people, within=None if before else "engagement")
        for declared in (
            declaration(),
            then,
            declaration(replace(ENGAGEMENT, schedules=(), escalation=None, routes={}), heartbeat=None),
        ):
            apply(account, declared)
            assert plan(account.tool(), declared) == ()
        after = account.things()
        for kind, ids in made.items():
            kept = {one["id"]: one for one in after[kind]}
            for identifier, thing in ids.items():
                assert without_order(kept[identifier]) == without_order(thing)
        rules = [one["id"] for one in sorted(after["routing_rules"], key=lambda one: one["order"])]
        order = [one for one in rules if one in made["routing_rules"]]
        assert order == sorted(made["routing_rules"], key=lambda one: made["routing_rules"][one]["order"])


def without_order(thing: dict[str, Any]) -> dict[str, Any]:
    """A rule's number moves with those before it; that it stays in its place among people's is looked at by itself."""
    return {name: value for name, value in thing.items() if name != "order"}


def make(account: Account, people: dict[str, Any], within: str | None) -> dict[str, dict[str, dict[str, Any]]]:
    """Make people's things, by hand as it were; what was made, by kind and id."""
    before = {kind: {one["id"] for one in things} for kind, things in account.things().items()}
    rest = account.tool()._rest
    owner = {"ownerTeam": {"name": within}} if within else {}
    rotation = {
        "type": "daily",
        "startDate": "2026-01-01T00:00:00Z",
        "participants": [{"type": "user", "username": LEAD}],
    }
    for name in people["teams"]:
        rest.post("/v2/teams", {"name": name, "description": "Managed by hand.", "members": []})
    taken = {one["name"] for one in account.things()["schedules"]}
    for name, ours in people["schedules"]:
        if name not in taken:
            rest.post(
                "/v2/schedules", {"name": name, "timezone": "UTC", "rotations": [rotation], **(owner if ours else {})}
            )
    for name, ours in people["escalations"]:
        rule = {
            "condition": "if-not-acked",
            "notifyType": "default",
            "delay": {"timeAmount": 5},
            "recipient": {"type": "user", "username": LEAD},
        }
        rest.post("/v2/escalations", {"name": name, "rules": [rule], **(owner if ours else {})})
    for name, ours in people["integrations"]:
        rest.post("/v2/integrations", {"type": "API", "name": name, **(owner if ours else {})})
    for name in people["heartbeats"]:
        rest.post("/v2/heartbeats", {"name": name, "interval": 5, "intervalUnit": "minutes", "enabled": True})
    for name, order in people["rules"]:
        teams = [one["id"] for one in account.things()["teams"] if one["name"] in (within, *people["teams"])]
        for team in teams[:1]:
            rule = {"name": name, "criteria": {"type": "match-all"}, "notify": {"type": "none"}, "order": order}
            rest.post(f"/v2/teams/{team}/routing-rules", rule)
    return {
        kind: {one["id"]: one for one in things if one["id"] not in before[kind] and not is_default(one)}
        for kind, things in account.things().items()
    }


def is_default(thing: dict[str, Any]) -> bool:
    return bool(thing.get("isDefault"))


# Taking up after a failure


def number_of_writes() -> int:
    with opened() as account:
        apply(account, declaration())
        return account.line.writes


@pytest.mark.parametrize("lost", [True, False], ids=["not carried out", "carried out"])
def test_a_run_that_is_killed_at_any_write_converges_in_the_next(lost: bool) -> None:
    writes = number_of_writes()
    assert writes > 20
    for number in range(1, writes + 1):
        with opened() as account:
            secrets: dict[str, str] = {}
            account.line.cut_at, account.line.lost, account.line.dead = number, lost, True
            with pytest.raises(PagingError):
                apply(account, declaration(), tool=account.tool(attempts=2), secrets=secrets)
            account.line.cut_at, account.line.died = 0, False
            apply(account, declaration(), secrets=secrets)
            assert plan(account.tool(), declaration()) == ()
            assert_singles(account)
            assert_keys_work(account, secrets)


def test_an_answer_that_is_lost_at_any_write_is_no_harm_to_the_run() -> None:
    for number in range(1, number_of_writes() + 1):
        with opened() as account:
            account.line.cut_at = number
            secrets = apply(account, declaration())
            assert plan(account.tool(), declaration()) == ()
            assert_singles(account)
            assert_keys_work(account, secrets)


def assert_singles(account: Account) -> None:
    """Nothing was made twice."""
    for kind, things in account.things().items():
        names = [(one.get("teamId"), one.get("name") or one.get("username")) for one in things]
        assert len(names) == len(set(names)), kind


def assert_keys_work(account: Account, secrets: dict[str, str]) -> None:
    """Each route has a key in its secret, and those are the keys of the integrations that are on: no other is."""
    assert set(secrets) == {f"{owner}-{severity.value}" for owner, severity in ROUTES} | {"heartbeat"}
    on = {one["apiKey"] for one in account.things()["integrations"] if one["enabled"]}
    assert on == set(secrets.values())


def test_a_removal_that_is_killed_at_any_write_converges_in_the_next() -> None:
    none = declaration(replace(ENGAGEMENT, schedules=(), escalation=None, routes={}), heartbeat=None)
    with opened() as account:
        apply(account, declaration())
        before = account.line.writes
        apply(account, none)
        writes = account.line.writes - before
    for number in range(1, writes + 1):
        with opened() as account:
            apply(account, declaration())
            account.line.cut_at, account.line.dead = account.line.writes + number, True
            with pytest.raises(PagingError):
                apply(account, none, tool=account.tool(attempts=2))
            account.line.cut_at, account.line.died = 0, False
            apply(account, none)
            assert plan(account.tool(), none) == ()


def test_each_step_done_twice_is_no_harm(account: Account) -> None:
    for declared in (declaration(), CHANGES[1][1], CHANGES[-1][1], declaration(ENGAGEMENT, heartbeat=None)):
        tool = account.tool()
        for change in plan(tool, declared):
            tool.apply(change, declared, ENVIRONMENT)
            tool.apply(change, declared, ENVIRONMENT)
        store(tool, declared, ENVIRONMENT, {})
        assert plan(account.tool(), declared) == ()
        assert_singles(account)
    # Looked for first: not every tool says 409 to a name that is taken.
    assert {status for _, _, _, status in account.line.passed} <= {200, 201, 404}


def test_a_schedule_whose_turns_stay_keeps_its_rotations_which_overrides_name(account: Account) -> None:
    apply(account, declaration())

    def rotations() -> list[str]:
        return [turn["id"] for one in account.things()["schedules"] for turn in one["rotations"]]

    before = rotations()
    with account.oncall.state.lock:
        for schedule in account.oncall.state.schedules:
            schedule["enabled"] = False
    apply(account, declaration())
    assert plan(account.tool(), declaration()) == ()
    assert rotations() == before


def test_a_key_is_told_once_and_an_integration_that_nobody_has_the_key_of_is_made_anew(account: Account) -> None:
    declared = declaration()
    tool = account.tool()
    for change in plan(tool, declared):
        tool.apply(change, declared, ENVIRONMENT)
    lost = {one["name"]: one["apiKey"] for one in account.things()["integrations"]}
    # Killed before the keys were stored: they are in nobody's hands.
    assert {one.kind for one in plan(account.tool(), declared)} == {Kind.INTEGRATION}
    secrets = apply(account, declared)
    assert len(secrets) == len(lost)
    assert not set(secrets.values()) & set(lost.values())
    with pytest.raises(KeyNotToldError, match="tocsin-shop-production-engagement-page") as caught:
        account.tool().delivery(declared, ENVIRONMENT, "engagement", Severity.PAGE)
    assert not any(key in str(caught.value) for key in (*secrets.values(), account.oncall.key))
    assert not any(key in caught.value.address for key in secrets.values())


def test_a_key_is_renewed_on_purpose(account: Account) -> None:
    declared = declaration()
    old = apply(account, declared)
    tool = account.tool()
    new = tool.renew(declared, ENVIRONMENT, "engagement", Severity.PAGE)
    tool.delivered(declared, ENVIRONMENT, "engagement", Severity.PAGE)
    beat = tool.renew_heartbeat(declared, ENVIRONMENT)
    tool.heartbeat_delivered(declared, ENVIRONMENT)
    assert beat is not None
    assert {new.key, beat.key}.isdisjoint(old.values())
    on = {one["apiKey"] for one in account.things()["integrations"] if one["enabled"]}
    assert {new.key, beat.key} <= on
    assert plan(account.tool(), declared) == ()


def test_an_integration_that_another_run_replaces_meanwhile_is_named(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = declaration()
    apply(account, declared)
    others, actions = [account.tool()], OpsgenieAccount.actions

    def replaced_then(self: OpsgenieAccount, identifier: str) -> Any:
        there = actions(self, identifier)
        if others:
            others.pop().renew(declared, ENVIRONMENT, "engagement", Severity.PAGE)
        return there

    monkeypatch.setattr(OpsgenieAccount, "actions", replaced_then)
    with pytest.raises(
        PagingError, match=r"integration 'tocsin-shop-production-engagement-page' was .* meanwhile; run"
    ):
        account.tool().renew(declared, ENVIRONMENT, "engagement", Severity.PAGE)
    assert apply(account, declared)
    assert plan(account.tool(), declared) == ()


# Where AWS delivers to


@pytest.mark.parametrize("region", ["us", "eu"])
def test_addresses_are_those_of_the_instance(region: str) -> None:
    tool = open_tool(declaration(region=region), "5f1c0ffe")
    assert isinstance(tool, Opsgenie)
    tool._keys.update(
        {
            "tocsin-shop-production-engagement-page": MadeKey("i1", "k1"),
            "tocsin-shop-production-heartbeat": MadeKey("i2", "k2"),
            "tocsin-shop-production-reports-page": MadeKey("i3", "k3"),
        }
    )
    host = {"us": "https://api.opsgenie.com", "eu": "https://api.eu.opsgenie.com"}[region]
    page = tool.delivery(declaration(), ENVIRONMENT, "engagement", Severity.PAGE)
    assert (page.endpoint, page.authorization, page.key) == (f"{host}/v1/json/cloudwatch?apiKey=k1", "", "k1")
    forwarded = tool.delivery(declaration(), ENVIRONMENT, "reports", Severity.PAGE)
    assert (forwarded.endpoint, forwarded.authorization) == (f"{host}/v2/alerts", "GenieKey k3")
    beat = tool.heartbeat(declaration(), ENVIRONMENT)
    assert beat is not None
    assert (beat.endpoint, beat.authorization) == (f"{host}/v2/heartbeats/tocsin-shop-production/ping", "GenieKey k2")
    assert tool.heartbeat(declaration(heartbeat=None), ENVIRONMENT) is None


def test_a_secret_of_an_integration_that_people_made_anew_does_not_count(account: Account) -> None:
    declared, route = declaration(), (ENVIRONMENT, "engagement", Severity.PAGE)
    tool = account.tool()
    for change in plan(tool, declared):
        tool.apply(change, declared, ENVIRONMENT)
    held = tool.delivery(declared, *route)
    tool.delivered(declared, *route)
    with pytest.raises(KeyNotToldError) as untold:
        account.tool().delivery(declared, *route)
    assert untold.value.is_of(held)
    assert untold.value.is_of(replace(held, integration="")), "a secret from before the id was kept"
    account.tool().renew(declared, *route)
    with pytest.raises(KeyNotToldError) as untold:
        account.tool().delivery(declared, *route)
    assert not untold.value.is_of(held)


def test_a_heartbeat_watches_from_its_first_ping_until_it_expires(account: Account) -> None:
    declared = declaration()
    assert account.tool().hears_heartbeat(declared, ENVIRONMENT) is False, "it is not there"
    apply(account, declared)
    assert account.tool().hears_heartbeat(declared, ENVIRONMENT) is False, "it was never pinged"
    with account.oncall.state.lock:
        ping(account.oncall.state, heartbeat_name("shop", ENVIRONMENT))
    assert account.tool().hears_heartbeat(declared, ENVIRONMENT) is True
    heartbeat = next(iter(account.oncall.state.heartbeats))
    heartbeat["expired"] = True
    assert account.tool().hears_heartbeat(declared, ENVIRONMENT) is False
    assert account.tool().hears_heartbeat(declaration(heartbeat=None), ENVIRONMENT) is None


def test_the_heartbeats_key_pings_and_changes_nothing(account: Account) -> None:
    declared = declaration()
    tool = account.tool()
    apply(account, declared, tool=tool)
    beat = tool.heartbeat(declared, ENVIRONMENT)
    assert beat is not None
    pinged = Rest(account.line.url, {"Authorization": beat.authorization}, sleep=lambda seconds: None)
    assert pinged.get("/v2/heartbeats/tocsin-shop-production/ping")["result"]
    with pytest.raises(PagingError, match="403"):
        pinged.post("/v2/teams", {"name": "mine"})


# Bad input


def test_a_key_that_is_wrong_is_named_by_where_it_is_from(account: Account) -> None:
    key = "5f1c0ffe-dead-4000-8000-c0ffee5f1c0f"
    with pytest.raises(PagingError, match=r"401.*the variable OPSGENIE_KEY is missing, wrong or revoked") as caught:
        account.tool(key).check(declaration(), ENVIRONMENT)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "access", [{"allowConfigurationAccess": False}, {"allowConfigurationAccess": True, "allowWriteAccess": False}]
)
def test_a_key_that_may_not_configure_is_refused_before_anything_is_changed(
    account: Account, access: dict[str, bool]
) -> None:
    made = account.tool()._rest.post("/v2/integrations", {"type": "API", "name": "weak", **access})
    before = account.things()
    with pytest.raises(PagingError, match="the variable OPSGENIE_KEY"):
        account.tool(made["data"]["apiKey"]).check(declaration(), ENVIRONMENT)
    assert account.things() == before


def test_an_unknown_user_is_refused_with_the_place_that_names_them(account: Account) -> None:
    stranger = "stranger@example.com"
    rotation = Rotation("weekly", (PRIMARY, stranger), WEEK, MONDAY)
    team = replace(ENGAGEMENT, schedules=(Schedule("engagement-primary", "UTC", (rotation,)),))
    with pytest.raises(PagingError) as caught:
        account.tool().check(declaration(team), ENVIRONMENT)
    assert str(caught.value) == (
        "deploy/oncall.toml: schedule 'engagement-primary', rotation 'weekly': Opsgenie knows no user"
        " 'stranger@example.com': invite them there, or correct it"
    )


def test_a_blocked_user_is_refused(account: Account) -> None:
    state = account.oncall.state
    with state.lock:
        blocked = state.users.named(LEAD, "username")
        assert blocked is not None
        blocked["blocked"] = True
    with pytest.raises(PagingError, match=r"the user 'engagement-lead@example.com' is blocked in Opsgenie"):
        account.tool().check(declaration(), ENVIRONMENT)


def schedule_of(*hours: Hours, turn: timedelta = WEEK, starts: Any = MONDAY) -> OnCall:
    rotation = Rotation("weekly", (PRIMARY,), turn, starts, hours=hours)
    return declaration(replace(ENGAGEMENT, schedules=(Schedule("engagement-primary", "UTC", (rotation,)),)))


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (schedule_of(starts=MONDAY.replace(minute=15)), "09:15:00: Opsgenie changes turns at full and half hours only"),
        (schedule_of(Hours(time(8, 45), time(17))), "08:45:00: Opsgenie changes turns at full and half hours only"),
        (schedule_of(turn=timedelta(minutes=90)), "a turn of 1:30:00: Opsgenie takes whole hours, days or weeks"),
        (
            schedule_of(*(Hours(time(hour), time(hour + 1)) for hour in (6, 12, 18))),
            "21 spans of hours in a week: Opsgenie takes 15; split the rotation",
        ),
        (
            declaration(heartbeat=Heartbeat("engagement", silent_after=timedelta(seconds=90))),
            "Opsgenie counts in whole minutes",
        ),
    ],
)
def test_what_opsgenie_cannot_hold_is_refused_before_it_is_asked(
    account: Account, declared: OnCall, words: str
) -> None:
    with pytest.raises(PagingError, match=r"^deploy/oncall.toml: ") as caught:
        account.tool().check(declared, ENVIRONMENT)
    assert words in str(caught.value)
    assert account.line.passed == []


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ((), None),
        ((Hours(time(0), time(0)),), None),
        ((Hours(time(9), time(17)), Hours(time(8), time(8))), None),
        ((Hours(time(9), time(17)), Hours(time(20), time(4))), 14),
        ((Hours(time(9), time(17), 4, 0),), 1),
    ],
)
def test_hours_survive_the_way_there_and_back(account: Account, hours: tuple[Hours, ...], expected: int | None) -> None:
    declared = schedule_of(*hours)
    apply(account, declared)
    assert plan(account.tool(), declared) == ()
    (rotation,) = next(one for one in account.things()["schedules"] if one["name"] == "engagement-primary")["rotations"]
    found = rotation.get("timeRestriction")
    assert (len(found["restrictions"]) if found else None) == expected
    for span in found["restrictions"] if found else ():
        nights = (DAYS.index(span["endDay"]) - DAYS.index(span["startDay"])) % 7
        assert nights == {20: 1, 9: 0 if expected == 14 else 3}[span["startHour"]]


def test_an_address_that_is_not_opsgenies_is_said(account: Account) -> None:
    tool = Opsgenie(
        Rest(account.line.url + "/elsewhere", {"Authorization": "GenieKey 5f1c0ffe"}, sleep=lambda seconds: None)
    )
    with pytest.raises(PagingError):
        tool.present(declaration(), ENVIRONMENT)
    account.line.wrong.clear()


@pytest.mark.parametrize(
    ("tool", "key", "words"),
    [
        (
            Tool(ToolName.OPSGENIE, SecretSource(variable="OPSGENIE_KEY")),
            " ",
            "tool.key: the variable OPSGENIE_KEY is empty",
        ),
        (
            Tool(ToolName.OPSGENIE, SecretSource(secret="tocsin/key"), region="mars"),
            "5f1c0ffe",
            "tool.region: 'mars': Opsgenie has us and eu",
        ),
        (
            Tool(ToolName.OPSGENIE, SecretSource(parameter="/key"), url="http://opsgenie.example.com"),
            "5f1c0ffe",
            "write https://",
        ),
    ],
)
def test_a_tool_that_cannot_be_opened_says_why(tool: Tool, key: str, words: str) -> None:
    with pytest.raises(PagingError, match=words):
        open_tool(replace(declaration(), tool=tool), key)


def test_the_instances_have_an_address_each() -> None:
    assert ADDRESSES == {"us": "https://api.opsgenie.com", "eu": "https://api.eu.opsgenie.com"}


# Alerts


def test_an_alert_is_found_open_and_closed_and_the_newest(account: Account) -> None:
    rest, tool = account.tool()._rest, account.tool()
    alias = 'production-checkout "page" \\ 1'
    assert tool.find_alert(alias) is None
    tool.close_alert(alias, "nothing there")
    for _ in range(2):
        rest.post(
            "/v2/alerts", {"message": "first", "alias": alias, "priority": "P1", "details": {"owner": "engagement"}}
        )
    found = tool.find_alert(alias)
    assert found is not None
    assert (found.open, found.count, found.message, found.priority) == (True, 2, "first", "P1")
    assert (found.details["owner"], found.closed_at, found.created_at.utcoffset()) == ("engagement", None, timedelta(0))
    tool.close_alert(alias, "Set back.")
    closed = tool.find_alert(alias)
    assert closed is not None
    assert (closed.id, closed.open) == (found.id, False)
    assert closed.closed_at is not None
    assert closed.closed_at >= closed.created_at
    rest.post("/v2/alerts", {"message": "second", "alias": alias})
    newest = tool.find_alert(alias)
    assert newest is not None
    assert (newest.open, newest.message) == (True, "second")
    tool.close_alert(alias, "Set back.")
    newest = tool.find_alert(alias)
    assert newest is not None
    assert (newest.open, newest.message) == (False, "second")


def test_the_sdk_meets_a_throttling_tool_patiently(account: Account) -> None:
    from tocsin.paging.embedded import Fault

    waits: list[float] = []
    account.oncall.set_fault(Fault("status", status=429, retry_after=7, times=2))
    assert account.tool(sleep=waits.append).find_alert("production-checkout-page") is None
    assert waits == [7.0, 7.0]
    account.line.wrong.clear()  # a gateway's 429 is not in Opsgenie's frame


def closing(account: Account) -> list[str]:
    return [one["name"] for one in account.oncall.state.integrations if "-closing-" in one["name"]]


def test_a_key_of_the_accounts_settings_closes_an_alert_by_an_integration_that_goes_again(account: Account) -> None:
    tool = account.tool(account.oncall.state.account_key, project="shop")
    tool.check(declaration(), ENVIRONMENT)
    apply(account, declaration(), tool=tool)
    rest = account.tool()._rest
    rest.post("/v2/alerts", {"message": "first", "alias": "production-checkout-page"})
    responder = {"responders": [{"type": "team", "name": ENGAGEMENT.name}]}
    rest.post("/v2/alerts", {"message": "of a team", "alias": "production-orders-page", **responder})
    for path in ("production-checkout-page/close", "production-checkout-page/acknowledge"):
        with pytest.raises(PagingError, match=r"403 .*the variable OPSGENIE_KEY is not allowed to do this"):
            tool._rest.post(f"/v2/alerts/{path}", {}, {"identifierType": "alias"})
    for alias in ("production-checkout-page", "production-orders-page"):
        tool.close_alert(alias, "Set back.")
        found = tool.find_alert(alias)
        assert found is not None
        assert not found.open
        assert closing(account) == []
        tool.close_alert(alias, "Nothing is open: nothing is made.")
    made = [
        body["name"] for _, path, body, status in account.line.passed if (path, status) == ("/v2/integrations", 201)
    ]
    assert len([name for name in made if "-closing-" in name]) == 2


@pytest.mark.parametrize("lost", [True, False])
@pytest.mark.parametrize("write", [2, 3])
def test_an_integration_that_closes_goes_also_when_it_could_not(account: Account, write: int, lost: bool) -> None:
    tool = account.tool(account.oncall.state.account_key, project="shop", attempts=1)
    account.tool()._rest.post("/v2/alerts", {"message": "first", "alias": "production-checkout-page"})
    account.line.cut_at, account.line.lost = account.line.writes + write, lost
    with pytest.raises(PagingError, match="close production-checkout-page in Opsgenie") as caught:
        tool.close_alert("production-checkout-page", "Set back.")
    assert "\n" not in str(caught.value)
    assert account.oncall.state.account_key not in str(caught.value)
    assert closing(account) == []


def test_an_integration_that_closed_and_was_left_behind_goes_with_the_next_run(account: Account) -> None:
    declared = declaration()
    apply(account, declared)
    tool = account.tool()
    tool._writes.make_closing_integration(f"tocsin-{declared.project}-closing-0a1b2c3d", f"{declared.project}/closing")
    tool._writes.make_closing_integration(f"tocsin-{declared.project}-closing-of-ours", "somebody/else")
    (change,) = plan(account.tool(), declared)
    assert (change.action, change.name) == (Action.DELETE, f"tocsin-{declared.project}-closing-0a1b2c3d")
    apply(account, declared)
    assert closing(account) == [f"tocsin-{declared.project}-closing-of-ours"]


def test_an_end_asked_for_while_the_sdk_is_at_work_is_no_answer_of_it(account: Account) -> None:
    """What ends the command, such as SIGTERM, comes out of whatever is running."""

    class EndError(RuntimeError):
        pass

    def end(seconds: float) -> None:
        raise EndError

    from tocsin.paging.embedded import Fault

    account.oncall.set_fault(Fault("status", status=429, retry_after=7, times=2))
    with pytest.raises(EndError):
        account.tool(sleep=end).find_alert("production-checkout-page")
    account.line.wrong.clear()  # a gateway's 429 is not in Opsgenie's frame


@pytest.mark.parametrize("answer", [{}, [], {"data": {}}, {"data": None}, {"data": []}])
def test_an_answer_without_what_is_needed_is_named(answer: Any) -> None:
    """A server that says yes to everything and nothing else."""
    with answering(answer) as url:
        rest = Rest(url, {"Authorization": "GenieKey a-key"}, attempts=1, sleep=lambda seconds: None)
        writes = Opsgenie(rest)._writes
        (thing, *_) = (one for one in Opsgenie(rest).wanted(declaration(), ENVIRONMENT) if one.kind is Kind.INTEGRATION)
        with pytest.raises(PagingError, match=r"Opsgenie: POST /v2/integrations: the answer tells of no integration"):
            writes.make_integration(thing)


@pytest.mark.parametrize("answer", [{}, [], {"data": {}}, {"data": [{}]}, {"data": [3]}, {"data": [{"id": "1"}]}])
def test_a_list_without_what_is_needed_is_named(answer: Any) -> None:
    with answering(answer) as url:
        rest = Rest(url, {"Authorization": "GenieKey a-key"}, attempts=1, sleep=lambda seconds: None)
        with pytest.raises(PagingError, match=r"Opsgenie: GET /v2/teams: .* is this Opsgenie's address\?"):
            Opsgenie(rest).present(declaration(), ENVIRONMENT)


@contextmanager
def answering(answer: Any) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_address[1]}"
        finally:
            http.shutdown()
            thread.join()


def test_what_the_sdk_cannot_read_is_said_in_one_line(account: Account) -> None:
    from tocsin.paging.embedded import Fault

    account.oncall.set_fault(Fault("garbage"))
    with pytest.raises(PagingError) as caught:
        account.tool(attempts=2).find_alert("production-checkout-page")
    assert "\n" not in str(caught.value)
    assert account.oncall.key not in str(caught.value)
    account.line.wrong.clear()
    account.oncall.set_fault(None)
