"""Jira Service Management operations: the adapter over HTTP against the embedded on-call, each request held against the API."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from between import Line, line_to
from declared_teams import (
    BY_NIGHT,
    LEAD,
    PRIMARY,
    SECONDARY,
    STARTS,
    TOOL,
    escalation,
    file_of,
    schedule,
    step,
    team,
    turns,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jira_contract import check, facts, known

from tocsin.errors import InputError, PagingError
from tocsin.model import Severity
from tocsin.paging.alert import alert_of
from tocsin.paging.changes import describe, find_changes, find_differences
from tocsin.paging.declared import (
    Heartbeat,
    Hours,
    Member,
    OnCall,
    RecipientKind,
    Route,
    ToolName,
    Way,
)
from tocsin.paging.drill_marks import SILENT_DRILL
from tocsin.paging.embedded import EmbeddedOnCall, Fault, embedded_oncall
from tocsin.paging.embedded.jira import add_team
from tocsin.paging.jira import Jira
from tocsin.paging.jira.account import read_restriction
from tocsin.paging.jira.bodies import restriction, turn
from tocsin.paging.tool import Action, Change, KeyNotToldError, Kind

pytestmark = pytest.mark.long  # cut off at every request that changes something

#: Two spans, which the API gives back in another order.
WEEK = (Hours(time(8), time(18), 0, 0), Hours(time(8), time(18), 1, 4))
SCHEDULE = schedule(
    turns("week", PRIMARY, SECONDARY, hours=WEEK), turns("night", SECONDARY, PRIMARY, days=1, hours=BY_NIGHT)
)
ESCALATION = escalation(
    step(10, RecipientKind.USER, LEAD),
    step(20, RecipientKind.TEAM, "payments"),
    repeat_after=timedelta(minutes=30),
)
PAYMENTS = team(
    TOOL,
    Route((Way.FORWARDER, Way.EMAIL), email="t@example.com"),
    owners=("payments", "billing"),
    people=(PRIMARY, SECONDARY, LEAD),
    schedules=(SCHEDULE,),
    escalated=ESCALATION,
)
DECLARED = file_of(ToolName.JIRA, "JIRA_API_TOKEN", PAYMENTS, site="cloud-1", account="tocsin@example.com")
ROUTES = [
    ("payments", Severity.PAGE),
    ("payments", Severity.TICKET),
    ("billing", Severity.PAGE),
    ("billing", Severity.TICKET),
]


@dataclass
class Site:
    """An embedded site with two teams, and a line to it."""

    oncall: EmbeddedOnCall
    line: Line

    def jira(self, key: str | None = None, declared: OnCall = DECLARED, attempts: int = 1) -> Jira:
        """A new run's adapter; it repeats nothing, so that a cut line is an end."""
        opened = Jira.open(declared, key or self.oncall.key, self.line.url)
        for rest in (opened._ops, opened._account.jira):
            rest._attempts = attempts
        return opened


@pytest.fixture
def site() -> Iterator[Site]:
    with embedded_oncall(users=(PRIMARY, SECONDARY, LEAD)) as oncall, line_to(oncall.url) as line:
        add_team(oncall.state, "payments", (PRIMARY, SECONDARY, LEAD))
        add_team(oncall.state, "people", (LEAD,))
        yield Site(oncall, line)
        for one in line.passed:
            if known(one.method, one.path) or "/v1/json/" not in one.path:
                check(one.method, one.path, one.body, one.status, one.answer)


def plan(jira: Jira, declared: OnCall = DECLARED, adopt: frozenset[str] = frozenset()) -> tuple[Change, ...]:
    return find_changes(jira.wanted(declared, "live"), jira.present(declared, "live"), adopt)


def apply(jira: Jira, declared: OnCall = DECLARED, adopt: frozenset[str] = frozenset()) -> dict[str, str]:
    """What `oncall apply` does: the steps, then the secrets.  The secrets by name."""
    jira.check(declared, "live")
    for change in plan(jira, declared, adopt):
        jira.apply(change, declared, "live")
    return keep_keys(jira, declared, {})


def keep_keys(jira: Jira, declared: OnCall, secrets: dict[str, str]) -> dict[str, str]:
    for owner, severity in ROUTES:
        if declared.team_of(owner) is None:
            continue
        try:
            secrets[f"{owner}-{severity.value}"] = jira.delivery(declared, "live", owner, severity).endpoint
        except KeyNotToldError:
            continue
        jira.delivered(declared, "live", owner, severity)
    return secrets


def test_apply_makes_everything_and_a_second_run_changes_nothing(site: Site) -> None:
    secrets = apply(site.jira())
    assert sorted(secrets) == sorted(f"{owner}-{severity.value}" for owner, severity in ROUTES)
    before = len(site.line.writes())
    assert plan(site.jira()) == ()
    assert apply(site.jira()) == {}, "keys are told once"
    assert len(site.line.writes()) == before
    state = site.oncall.state
    assert all(one["enabled"] for one in state.integrations)
    assert {one["name"]: one["type"] for one in state.integrations}["tocsin-shop-live-billing-ticket"] == "API"
    assert {one["name"]: one["priority"] for one in state.integrations}["tocsin-shop-live-billing-page"] == "P1"
    beat = state.heartbeats.named("tocsin-shop-live")
    assert beat is not None
    assert (beat["interval"], beat["alertPriority"]) == (10, "P1")


def test_the_plan_says_what_is_made(site: Site) -> None:
    lines = [line for change in plan(site.jira()) for line in describe(change)]
    assert "+ schedule payments-primary" in lines
    assert '    timezone: "Europe/Vienna"' in lines
    assert not any(site.oncall.key in line for line in lines)


def test_what_people_made_stays_as_it_is(site: Site) -> None:
    state = site.oncall.state
    people = {table: json.dumps(list(state.table(table)), sort_keys=True) for table in ("schedules", "escalations")}
    team = state.teams.named("payments")
    assert team is not None
    state.integrations.add({"name": "grafana", "type": "API", "enabled": True, "apiKey": "x" * 36})
    state.routing_rules.add(
        {"name": "by hand", "teamId": team["id"], "isDefault": False, "order": 0, "criteria": {"type": "match-all"},
         "timezone": "UTC", "timeRestriction": None, "notify": {"type": "none"}}
    )  # fmt: skip
    apply(site.jira())
    ours = {"payments-primary", "payments"}
    for table, text in people.items():
        assert json.dumps([one for one in state.table(table) if one["name"] not in ours], sort_keys=True) == text
    rules = sorted(
        (one for one in state.routing_rules if one["teamId"] == team["id"]),
        key=lambda one: (one["isDefault"], one["order"]),
    )
    assert [one["name"] for one in rules] == [
        "tocsin-shop payments drills",
        "tocsin-shop payments tickets",
        "tocsin-shop payments pages",
        "by hand",
        "Default Routing Rule",
    ]
    nothing = replace(DECLARED, teams=(), heartbeat=None)
    apply(site.jira(), nothing)
    assert sorted(one["name"] for one in state.routing_rules) == [
        "Default Routing Rule",
        "Default Routing Rule",
        "by hand",
    ]
    assert [one["name"] for one in state.integrations] == ["grafana"]
    assert len(state.heartbeats) == 0
    for table, text in people.items():
        assert json.dumps(list(state.table(table)), sort_keys=True) == text


def test_a_persons_rule_put_on_top_is_moved_below_ours(site: Site) -> None:
    apply(site.jira())
    state = site.oncall.state
    team = state.teams.named("payments")
    assert team is not None
    for one in state.routing_rules:
        one["order"] += 1
    state.routing_rules.add(
        {"name": "by hand", "teamId": team["id"], "isDefault": False, "order": 0, "criteria": {"type": "match-all"},
         "timezone": "UTC", "timeRestriction": None, "notify": {"type": "none"}}
    )  # fmt: skip
    assert {change.name for change in plan(site.jira())} == {
        f"tocsin-shop payments {name}" for name in ("drills", "tickets", "pages")
    }
    apply(site.jira())
    assert plan(site.jira()) == ()
    first = min((one for one in state.routing_rules if one["teamId"] == team["id"]), key=lambda one: one["order"])
    assert first["name"] == "tocsin-shop payments drills"


def test_a_wanted_name_that_somebody_has_is_refused_until_it_is_adopted(site: Site) -> None:
    site.oncall.state.schedules.add(
        {"name": "payments-primary", "description": "ours by hand", "timezone": "UTC", "enabled": True, "rotations": []}
    )
    with pytest.raises(InputError, match="--adopt schedule/payments-primary"):
        plan(site.jira())
    assert site.line.writes() == []
    adopt = frozenset({"schedule/payments-primary"})
    apply(site.jira(), adopt=adopt)
    assert plan(site.jira()) == ()
    found = site.oncall.state.schedules.named("payments-primary")
    assert found is not None
    assert found["description"] == "Managed by Tocsin (shop); change deploy/oncall.toml."


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
def test_a_run_that_is_cut_off_anywhere_converges(carried_out: bool) -> None:
    """Each request that changes something is in turn the last one: before it is carried out, or after, with the answer lost."""
    total, cut = 1, 0
    while cut < total:
        with embedded_oncall(users=(PRIMARY, SECONDARY, LEAD)) as oncall, line_to(oncall.url) as line:
            add_team(oncall.state, "payments", (PRIMARY, SECONDARY, LEAD))
            site, secrets = Site(oncall, line), dict[str, str]()
            line.left, line.carried_out = cut, carried_out
            try:
                first = site.jira()
                first.check(DECLARED, "live")
                for change in plan(first):
                    first.apply(change, DECLARED, "live")
                keep_keys(first, DECLARED, secrets)
                total = cut  # nothing was cut off any more
            except PagingError:
                total = cut + 2
            line.left = None
            second = site.jira()
            for change in plan(second):
                second.apply(change, DECLARED, "live")
            keep_keys(second, DECLARED, secrets)
            assert plan(site.jira()) == (), cut
            names = [one["name"] for one in oncall.state.integrations]
            assert len(names) == len(set(names)) == 4
            keys = {one["apiKey"] for one in oncall.state.integrations if one["type"] == "CloudWatch"}
            kept = {text.rpartition("=")[2] for text in secrets.values() if "apiKey" in text}
            assert kept == keys, f"a secret holds a key that is not valid, after request {cut}"
            for table in ("schedules", "escalations", "heartbeats"):
                names = [one["name"] for one in oncall.state.table(table)]
                assert len(names) == len(set(names)), (cut, table)
        cut += 1
    assert cut > 15, "the run must have been cut off in its steps"


def test_a_change_in_the_file_reaches_the_tool(site: Site) -> None:
    apply(site.jira())
    rotation = replace(SCHEDULE.rotations[1], turn=timedelta(hours=12), hours=(), ends=datetime(2026, 12, 31, 8))  # noqa: DTZ001
    team = replace(
        PAYMENTS,
        owners=("payments",),
        schedules=(replace(SCHEDULE, rotations=(rotation,), time_zone="Europe/London"),),
        escalation=replace(ESCALATION, steps=ESCALATION.steps[:2], repeat_after=None),
        routes={Severity.PAGE: Route((Way.FORWARDER,))},
    )
    changed = replace(DECLARED, teams=(team,), heartbeat=Heartbeat("payments", silent_after=timedelta(minutes=5)))
    steps = plan(site.jira(), changed)
    assert {(one.action, one.kind) for one in steps} == {
        (Action.UPDATE, Kind.SCHEDULE),
        (Action.UPDATE, Kind.ESCALATION),
        (Action.UPDATE, Kind.ROUTING_RULE),
        (Action.UPDATE, Kind.INTEGRATION),
        (Action.UPDATE, Kind.HEARTBEAT),
        (Action.DELETE, Kind.INTEGRATION),
        (Action.DELETE, Kind.ROUTING_RULE),
    }
    jira = site.jira()
    for change in steps:
        jira.apply(change, changed, "live")
        jira.apply(change, changed, "live")  # twice is no harm
    assert jira.delivery(changed, "live", "payments", Severity.PAGE).endpoint.endswith("/jsm/ops/integration/v2/alerts")
    jira.delivered(changed, "live", "payments", Severity.PAGE)
    assert plan(site.jira(), changed) == ()
    kept = site.oncall.state.schedules.named("payments-primary")
    assert kept is not None
    assert [(one["name"], one["type"], one["length"]) for one in kept["rotations"]] == [("night", "hourly", 12)]


def test_an_escalation_that_changes_teams_moves(site: Site) -> None:
    apply(site.jira())
    people = replace(PAYMENTS, name="people")
    moved = replace(DECLARED, teams=(people,), heartbeat=Heartbeat("people"))
    apply(site.jira(), moved)
    assert plan(site.jira(), moved) == ()
    owners = [one["ownerTeam"]["name"] for one in site.oncall.state.escalations if one["name"] == "payments"]
    assert owners == ["people"]


def test_an_integration_whose_key_nobody_kept_is_made_anew(site: Site) -> None:
    jira = site.jira()
    for change in plan(jira):
        jira.apply(change, DECLARED, "live")
    lost = jira.delivery(DECLARED, "live", "payments", Severity.PAGE)
    # The run ends here: no secret was written, so nothing was said to be delivered.
    again = site.jira()
    assert {(one.kind, one.action) for one in plan(again)} == {(Kind.INTEGRATION, Action.UPDATE)}
    with pytest.raises(KeyNotToldError, match="told when it was made"):
        again.delivery(DECLARED, "live", "payments", Severity.PAGE)
    secrets = apply(again)
    assert secrets["payments-page"] != lost.endpoint
    assert len(site.oncall.state.integrations) == 4
    assert plan(site.jira()) == ()


def test_a_key_can_be_renewed(site: Site) -> None:
    first = apply(site.jira())["payments-page"]
    jira = site.jira()
    delivery = jira.renew(DECLARED, "live", "payments", Severity.PAGE)
    jira.delivered(DECLARED, "live", "payments", Severity.PAGE)
    assert delivery.endpoint != first
    assert plan(site.jira()) == ()
    assert delivery.key not in repr(delivery)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda site: {"declared": replace(DECLARED, teams=(replace(PAYMENTS, name="nobody"),), heartbeat=None)}, "no team 'nobody' with operations; a person makes it"),
        (lambda site: {"key": "wrong-key-that-is-long"}, "401 Unauthorized: .*; the variable JIRA_API_TOKEN is missing, wrong or revoked"),
        (lambda site: {"declared": with_member("nobody@example.com")}, "nobody is known as 'nobody@example.com'"),
        (lambda site: {"declared": with_start(STARTS.replace(minute=15))}, "rotation 'week': turns and hours begin and end at full or half hours"),
    ],
    ids=["no team", "revoked key", "unknown user", "quarter past"],
)  # fmt: skip
def test_check_refuses_before_anything_is_changed(
    site: Site, damage: Callable[[Site], dict[str, Any]], message: str
) -> None:
    given = damage(site)
    declared = given.get("declared", DECLARED)
    with pytest.raises(PagingError, match=message) as caught:
        site.jira(given.get("key"), declared).check(declared, "live")
    assert "\n" not in str(caught.value)
    assert site.oncall.key not in str(caught.value)
    assert "wrong-key-that-is-long" not in str(caught.value)
    assert site.line.writes() == []


def with_member(address: str) -> OnCall:
    return replace(DECLARED, teams=(replace(PAYMENTS, members=(*PAYMENTS.members, Member(address))),))


def with_start(starts: datetime) -> OnCall:
    rotation = replace(SCHEDULE.rotations[0], starts=starts)
    return replace(DECLARED, teams=(replace(PAYMENTS, schedules=(replace(SCHEDULE, rotations=(rotation,)),)),))


def test_a_team_without_operations_is_as_good_as_none(site: Site) -> None:
    add_team(site.oncall.state, "quiet", operations=False)
    declared = replace(DECLARED, teams=(replace(PAYMENTS, name="quiet"),), heartbeat=None)
    with pytest.raises(PagingError, match="switches operations on"):
        site.jira().check(declared, "live")


@pytest.mark.parametrize(("field", "what"), [("site", "cloud id"), ("account", "e-mail address of the account")])
def test_site_and_account_must_be_stated(field: str, what: str) -> None:
    declared = replace(DECLARED, tool=replace(DECLARED.tool, **{field: ""}))
    with pytest.raises(PagingError, match=rf"deploy/oncall.toml: tool.{field}: missing; it is the {what}"):
        Jira.open(declared, "key-that-is-long")


def test_people_who_hide_their_address_are_found_if_only_one_is(site: Site) -> None:
    jira = site.jira()
    jira._account.account(PRIMARY)
    people = [{"accountId": "a", "active": True}]
    for found, accepted in ((people, True), ([*people, {"accountId": "b", "active": True}], False), ([], False)):
        with server_telling(found) as url:
            account = Jira.open(DECLARED, "k" * 20, url)._account
            if accepted:
                assert account.account(PRIMARY) == "a"
            else:
                with pytest.raises(PagingError, match=r"is known as 'payments-primary@example\.com'"):
                    account.account(PRIMARY)


def server_telling(answer: Any) -> Any:
    import threading
    from contextlib import contextmanager
    from http.server import BaseHTTPRequestHandler, HTTPServer

    @contextmanager
    def running() -> Iterator[str]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    return running()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=429, retry_after=7, times=3),
        Fault("status", status=503, times=2),
        Fault("garbage", times=1, path="/jsm/ops/api/cloud-1/v1/schedules"),
        Fault("cut", times=1, path="/jsm/ops/api/cloud-1/v1/teams"),
    ],
    ids=["429", "503", "garbage", "cut"],
)
def test_a_tool_in_trouble_is_waited_for(site: Site, fault: Fault) -> None:
    site.oncall.set_fault(fault)
    waits: list[float] = []
    jira = Jira.open(DECLARED, site.oncall.key, site.oncall.url)
    for rest in (jira._ops, jira._account.jira):
        rest.sleep = waits.append
    jira.check(DECLARED, "live")
    for change in plan(jira):
        jira.apply(change, DECLARED, "live")
    keep_keys(jira, DECLARED, {})
    assert plan(site.jira()) == ()
    assert waits
    if fault.retry_after:
        assert waits == [7.0] * 3


# Alerts


def test_an_alarm_opens_an_alert_and_its_end_closes_it(site: Site) -> None:
    secrets = apply(site.jira())
    post(secrets["payments-page"], "ALARM", "Threshold crossed", "page")
    jira = site.jira()
    alert = jira.find_alert("live-shop-checkout-page")
    assert alert is not None
    assert (alert.open, alert.priority, alert.count, alert.owner) == (True, "P1", 1, "payments")
    assert "Runbook: https://runbooks.example.com/x.md" in alert.description
    assert "Threshold crossed" in alert.description
    (record,) = site.oncall.state.alerts
    assert record.notified == (told_now(site),)
    post(secrets["payments-page"], "ALARM", "again", "page")
    post(secrets["payments-page"], "OK", "well again", "page")
    closed = jira.find_alert("live-shop-checkout-page")
    assert closed is not None
    assert not closed.open
    assert closed.count == 2
    assert closed.closed_at is not None
    assert closed.closed_at >= closed.created_at
    assert jira.find_alert("another") is None


def test_what_an_alert_says_is_brought_back_when_somebody_changed_it(site: Site) -> None:
    apply(site.jira())
    actions = site.oncall.state.table("jira actions")
    integration = site.oncall.state.integrations.named("tocsin-shop-live-payments-page")
    assert integration is not None
    creating, closing = (one for one in actions if one["integrationId"] == integration["id"])
    creating["fieldMappings"] = {**creating["fieldMappings"], "description": "{{Subject}}", "entity": "a person's"}
    actions.remove(closing["id"])
    (change,) = plan(site.jira())
    assert {one.path for one in change.differences} == {"alerts.description", "closes"}
    secrets = apply(site.jira())
    assert secrets.keys() <= {"heartbeat"}  # no key was made anew
    assert plan(site.jira()) == ()
    assert creating["fieldMappings"]["entity"] == "a person's"
    assert [one["fieldMappings"]["alias"] for one in actions if one["integrationId"] == integration["id"]] == [
        "{{AlarmName}}"
    ] * 2


def test_an_integration_that_cannot_open_an_alert_is_named(site: Site) -> None:
    apply(site.jira())
    actions = site.oncall.state.table("jira actions")
    integration = site.oncall.state.integrations.named("tocsin-shop-live-payments-page")
    assert integration is not None
    for one in [one for one in actions if one["integrationId"] == integration["id"]]:
        actions.remove(one["id"])
    with pytest.raises(
        PagingError, match="integration 'tocsin-shop-live-payments-page' has no action that creates alerts"
    ):
        apply(site.jira())


def told_now(site: Site) -> str:
    from tocsin.paging.hours import on_call_at

    ((_, who),) = on_call_at(SCHEDULE, site.oncall.state.clock())[:1]
    return who


@pytest.fixture(autouse=True)
def a_monday_morning(request: pytest.FixtureRequest) -> None:
    if "site" in request.fixturenames:
        site: Site = request.getfixturevalue("site")
        site.oncall.state.clock = lambda: datetime(2026, 11, 16, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("reason", "severity", "woken"),
    [
        (f"{SILENT_DRILL}: the way of a page", "page", 0),
        ("Drill by Tocsin: the way of a page", "page", 1),
        ("Threshold crossed", "page", 1),
        ("Threshold crossed", "ticket", 0),
    ],
)
def test_whom_an_alert_wakes(site: Site, reason: str, severity: str, woken: int) -> None:
    declared = replace(DECLARED, teams=(replace(PAYMENTS, routes={one: Route((Way.TOOL,)) for one in Severity}),))
    secrets = apply(site.jira(declared=declared), declared)
    post(secrets[f"payments-{severity}"], "ALARM", reason, severity)
    (record,) = site.oncall.state.alerts
    assert len(record.notified) == woken
    assert bool(record.escalates_to) == bool(woken)


def test_a_secret_of_an_integration_that_people_made_anew_does_not_count(site: Site) -> None:
    jira = site.jira()
    for change in plan(jira):
        jira.apply(change, DECLARED, "live")
    held = jira.delivery(DECLARED, "live", "payments", Severity.PAGE)
    jira.delivered(DECLARED, "live", "payments", Severity.PAGE)
    with pytest.raises(KeyNotToldError) as untold:
        site.jira().delivery(DECLARED, "live", "payments", Severity.PAGE)
    assert untold.value.is_of(held)
    assert untold.value.is_of(replace(held, integration="")), "a secret from before the id was kept"
    assert not untold.value.is_of(replace(held, integration="another"))
    site.jira().renew(DECLARED, "live", "payments", Severity.PAGE)
    with pytest.raises(KeyNotToldError) as untold:
        site.jira().delivery(DECLARED, "live", "payments", Severity.PAGE)
    assert not untold.value.is_of(held)


def test_silence_pages_by_the_same_way(site: Site) -> None:
    apply(site.jira())
    delivery = site.jira().heartbeat(DECLARED, "live")
    assert delivery is not None
    assert site.jira().hears_heartbeat(DECLARED, "live") is False, "pending until its first ping"
    assert delivery.authorization.startswith("Basic ")
    assert delivery.authorization not in repr(delivery)
    parts = urlsplit(delivery.endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.request("POST", f"{parts.path}?{parts.query}", headers={"Authorization": delivery.authorization})
    assert connection.getresponse().status == 202
    connection.close()
    assert site.jira().hears_heartbeat(DECLARED, "live") is True
    assert site.jira().hears_heartbeat(replace(DECLARED, heartbeat=None), "live") is None
    site.oncall.state.clock = lambda: datetime(2026, 11, 16, 9, 11, tzinfo=UTC)
    site.jira()._ops.get("/v1/alerts")
    assert site.jira().hears_heartbeat(DECLARED, "live") is False, "it was heard of, and is silent"
    (record,) = site.oncall.state.alerts
    assert (record.priority, len(record.notified)) == ("P1", 1)
    assert (
        Jira.open(DECLARED, site.oncall.key, site.line.url).heartbeat(replace(DECLARED, heartbeat=None), "live") is None
    )


def test_what_the_forwarder_sends_is_taken_and_closed(site: Site) -> None:
    tools = pytest.importorskip("deploy.forwarder.handlers.tools", reason="there is no forwarder here")
    jira = site.jira()
    apply(jira)
    target = tools.target_of(jira.delivery(DECLARED, "live", "payments", Severity.TICKET))
    alarm = {
        "AlarmName": "live-shop-queue",
        "AlarmDescription": "The queue grows.\nSeverity: ticket. Owner: payments. System: shop.",
        "NewStateReason": "Threshold crossed",
        "StateChangeTime": "2026-11-16T09:00:00.000+0000",
    }
    for state in ("ALARM", "OK"):
        call = tools.call_of(alert_of({**alarm, "NewStateValue": state}), target, site.oncall.state.clock())
        parts = urlsplit(call.url.replace(site.line.url, site.oncall.url))
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        connection.request(call.method, f"{parts.path}?{parts.query}", call.body, dict(call.headers))
        assert connection.getresponse().status == 202
        connection.close()
        found = jira.find_alert("live-shop-queue")
        assert found is not None
        assert (found.open, found.priority) == (state == "ALARM", "P3")
        assert found.details["owner"] == "payments"
    (record,) = site.oncall.state.alerts
    assert record.notified == (), "a ticket wakes nobody"


def test_an_alert_can_be_closed(site: Site) -> None:
    secrets = apply(site.jira())
    jira = site.jira()
    jira.close_alert("live-shop-checkout-page", "there is none yet")
    post(secrets["payments-page"], "ALARM", "Threshold crossed", "page")
    jira.close_alert("live-shop-checkout-page", "the drill is over")
    (record,) = site.oncall.state.alerts
    assert not record.open
    assert [note.text for note in record.notes][-1] == "the drill is over"


def post(endpoint: str, state: str, reason: str, severity: str) -> None:
    """As SNS posts a CloudWatch alarm; straight to the embedded server behind the line."""
    alarm = {
        "AlarmName": "live-shop-checkout-page",
        "AlarmDescription": f"Too slow.\nSeverity: {severity}. Owner: payments. System: shop.\n"
        "Runbook: https://runbooks.example.com/x.md",
        "NewStateValue": state,
        "NewStateReason": reason,
        "StateChangeTime": "2026-11-16T09:00:00.000+0000",
    }
    body = {"Type": "Notification", "Timestamp": "2026-11-16T09:00:00.000Z", "Message": json.dumps(alarm)}
    parts = urlsplit(endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.request("POST", f"{parts.path}?{parts.query}", json.dumps(body).encode())
    answer = connection.getresponse()
    assert answer.status == 202, answer.read()
    connection.close()


# Forms


clocks = st.builds(time, hour=st.integers(0, 23), minute=st.sampled_from([0, 30]))
daily = st.builds(Hours, start=clocks, end=clocks)
weekly = st.builds(Hours, start=clocks, end=clocks, start_day=st.integers(0, 6), end_day=st.integers(0, 6))


@given(st.lists(st.one_of(daily, weekly), max_size=2).map(tuple), st.randoms())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_hours_are_read_as_they_were_written(hours: tuple[Hours, ...], random: Any) -> None:
    written = restriction(hours)
    given_back = json.loads(json.dumps(written))
    if given_back and "restrictions" in given_back:
        random.shuffle(given_back["restrictions"])
    read = read_restriction(given_back)
    if read and "restrictions" in read:
        key = json.dumps
        assert sorted(read["restrictions"], key=key) == sorted(written["restrictions"], key=key)  # type: ignore[index]
    else:
        assert find_differences(read, written) == ()


@given(st.sampled_from(["weekly", "daily", "hourly"]), st.integers(1, 500))
def test_a_turn_is_as_long_as_it_was(kind: str, length: int) -> None:
    unit = {"weekly": timedelta(weeks=1), "daily": timedelta(days=1), "hourly": timedelta(hours=1)}
    said, many = turn(unit[kind] * length)
    assert unit[said] * many == unit[kind] * length


@pytest.mark.parametrize("length", [timedelta(minutes=90), timedelta(0)])
def test_a_turn_of_other_lengths_is_refused(length: timedelta) -> None:
    with pytest.raises(PagingError, match="whole hours, days or weeks"):
        turn(length)


def test_each_fact_has_a_source() -> None:
    sources = facts()["sources"]
    for one in facts()["operations"]:
        assert one["source"] in sources, one
