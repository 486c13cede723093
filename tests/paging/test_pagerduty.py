"""PagerDuty: the adapter over HTTP against the embedded on-call."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from urllib.parse import urlsplit

import pytest
from between import Line, line_to
from declared_teams import (
    BY_NIGHT,
    FORWARDER,
    LEAD,
    PRIMARY,
    SECONDARY,
    TOOL,
    escalation,
    file_of,
    schedule,
    step,
    team,
    turns,
)
from hypothesis import given
from hypothesis import strategies as st

from tocsin.errors import InputError, PagingError
from tocsin.model import Severity
from tocsin.paging.changes import find_changes
from tocsin.paging.declared import (
    Hours,
    Member,
    OnCall,
    Recipient,
    RecipientKind,
    Route,
    Step,
    Team,
    ToolName,
    Way,
)
from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall
from tocsin.paging.pagerduty import ADDRESSES, PagerDuty
from tocsin.paging.pagerduty.bodies import restrictions
from tocsin.paging.tool import Action, Change, Kind

SCHEDULE = schedule(
    turns("week", PRIMARY, SECONDARY, hours=(Hours(time(8), time(18), 0, 4),)),
    turns("night", SECONDARY, PRIMARY, days=1, hours=BY_NIGHT),
)
ESCALATION = escalation(
    step(10, RecipientKind.USER, LEAD),
    step(10, RecipientKind.USER, SECONDARY),
    repeat_after=timedelta(minutes=45),
)
PAYMENTS = team(TOOL, FORWARDER, description="Takes the money.", schedules=(SCHEDULE,), escalated=ESCALATION)
DECLARED = file_of(ToolName.PAGERDUTY, "PAGERDUTY_API_KEY", PAYMENTS, heartbeat=False)


@dataclass
class Account:
    """An embedded account and a line to it."""

    oncall: EmbeddedOnCall
    line: Line

    def pagerduty(self, declared: OnCall = DECLARED, key: str | None = None) -> PagerDuty:
        opened = PagerDuty.open(declared, key or self.oncall.key, self.line.url)
        opened._rest._attempts = 1
        return opened

    def table(self, name: str) -> list[dict[str, object]]:
        return list(self.oncall.state.table(f"pagerduty {name}"))


@pytest.fixture
def account() -> Iterator[Account]:
    with embedded_oncall(users=(PRIMARY, SECONDARY, LEAD)) as oncall, line_to(oncall.url) as line:
        yield Account(oncall, line)


def plan(tool: PagerDuty, declared: OnCall = DECLARED, adopt: frozenset[str] = frozenset()) -> tuple[Change, ...]:
    return find_changes(tool.wanted(declared, "live"), tool.present(declared, "live"), adopt)


def apply(tool: PagerDuty, declared: OnCall = DECLARED, adopt: frozenset[str] = frozenset()) -> None:
    tool.check(declared, "live")
    for change in plan(tool, declared, adopt):
        tool.apply(change, declared, "live")


def test_apply_makes_everything_and_a_second_run_changes_nothing(account: Account) -> None:
    tool = account.pagerduty()
    apply(tool)
    before = len(account.line.writes())
    assert plan(account.pagerduty()) == ()
    apply(account.pagerduty())
    assert len(account.line.writes()) == before
    assert {one["name"]: one["incident_urgency_rule"] for one in account.table("services")} == {
        "tocsin-shop-live-payments-page": {"type": "constant", "urgency": "high"},
        "tocsin-shop-live-payments-ticket": {"type": "constant", "urgency": "low"},
    }
    (policy,) = account.table("policies")
    assert [rule["escalation_delay_in_minutes"] for rule in policy["escalation_rules"]] == [10, 45]  # type: ignore[union-attr, index]
    page = tool.delivery(DECLARED, "live", "payments", Severity.PAGE)
    assert page.endpoint == f"{account.line.url}/integration/{page.key}/enqueue"
    assert tool.delivery(DECLARED, "live", "payments", Severity.TICKET).endpoint == f"{account.line.url}/v2/enqueue"
    assert page.key not in repr(page)
    assert tool.heartbeat(DECLARED, "live") is None
    assert not PagerDuty.drills_wake_nobody


def test_a_key_is_told_again_so_nothing_is_made_anew(account: Account) -> None:
    apply(account.pagerduty())
    tool, before = account.pagerduty(), [dict(one) for one in account.oncall.state.integrations]
    told = tool.delivery(DECLARED, "live", "payments", Severity.PAGE)
    tool.delivered(DECLARED, "live", "payments", Severity.PAGE)
    assert account.pagerduty().delivery(DECLARED, "live", "payments", Severity.PAGE) == told
    tool.heartbeat_delivered(DECLARED, "live")
    assert tool.renew_heartbeat(DECLARED, "live") is None
    assert [dict(one) for one in account.oncall.state.integrations] == before


def test_a_key_that_leaked_is_replaced_and_only_that_one(account: Account) -> None:
    apply(account.pagerduty())
    tool = account.pagerduty()
    before = {one: tool.delivery(DECLARED, "live", "payments", one) for one in Severity}
    renewed = tool.renew(DECLARED, "live", "payments", Severity.PAGE)
    assert renewed != before[Severity.PAGE]
    assert account.pagerduty().delivery(DECLARED, "live", "payments", Severity.PAGE) == renewed
    assert account.pagerduty().delivery(DECLARED, "live", "payments", Severity.TICKET) == before[Severity.TICKET]
    assert plan(account.pagerduty()) == (), "nothing else has changed"


def test_what_people_made_stays_as_it_is(account: Account) -> None:
    state = account.oncall.state
    for name, thing in (
        ("teams", {"name": "people", "description": "", "members": {}}),
        ("schedules", {"name": "people", "description": "", "time_zone": "UTC", "schedule_layers": [], "teams": []}),
        ("policies", {"name": "people", "description": "", "num_loops": 0, "escalation_rules": [], "teams": []}),
    ):
        state.table(f"pagerduty {name}").add(thing)
    (policy,) = account.table("policies")
    state.table("pagerduty services").add(
        {"name": "people", "description": "", "escalation_policy": {"id": policy["id"]}, "integrations": []}
    )
    tables = ("teams", "schedules", "policies", "services")
    people = {name: json.dumps(account.table(name)) for name in tables}
    apply(account.pagerduty())
    assert {name: len(account.table(name)) for name in tables} == {
        "teams": 2,
        "schedules": 2,
        "policies": 2,
        "services": 3,
    }
    apply(account.pagerduty(), replace(DECLARED, teams=()))
    assert {name: json.dumps(account.table(name)) for name in tables} == people


def test_a_wanted_name_that_somebody_has_is_refused_until_it_is_adopted(account: Account) -> None:
    account.oncall.state.table("pagerduty teams").add({"name": "payments", "description": "by hand", "members": {}})
    with pytest.raises(InputError, match="--adopt team/payments"):
        plan(account.pagerduty())
    assert account.line.writes() == []
    apply(account.pagerduty(), adopt=frozenset({"team/payments"}))
    assert plan(account.pagerduty()) == ()
    assert len(account.table("teams")) == 1


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
def test_a_run_that_is_cut_off_anywhere_converges(carried_out: bool) -> None:
    total, cut = 1, 0
    while cut < total:
        with embedded_oncall(users=(PRIMARY, SECONDARY, LEAD)) as oncall, line_to(oncall.url) as line:
            account = Account(oncall, line)
            line.left, line.carried_out = cut, carried_out
            try:
                apply(account.pagerduty())
                total = cut
            except PagingError:
                total = cut + 2
            line.left = None
            apply(account.pagerduty())
            assert plan(account.pagerduty()) == (), cut
            for name in ("teams", "schedules", "policies", "services"):
                names = [one["name"] for one in account.table(name)]
                assert len(names) == len(set(names)), (cut, name)
            assert all(len(one["integrations"]) == 1 for one in account.table("services"))  # type: ignore[arg-type]
        cut += 1
    assert cut > 8


def test_a_change_in_the_file_reaches_the_tool(account: Account) -> None:
    apply(account.pagerduty())
    night = replace(SCHEDULE.rotations[1], turn=timedelta(hours=12), hours=(), participants=(LEAD,))
    team = replace(
        PAYMENTS,
        members=(Member(PRIMARY, admin=True), Member(SECONDARY)),
        schedules=(replace(SCHEDULE, rotations=(night,)),),
        escalation=replace(ESCALATION, steps=ESCALATION.steps[:2], repeat_after=None),
        routes={Severity.PAGE: Route((Way.FORWARDER,))},
    )
    changed = replace(DECLARED, teams=(team,))
    steps = plan(account.pagerduty(), changed)
    assert {(one.action, one.kind) for one in steps} == {
        (Action.UPDATE, Kind.TEAM),
        (Action.UPDATE, Kind.SCHEDULE),
        (Action.UPDATE, Kind.ESCALATION),
        (Action.UPDATE, Kind.INTEGRATION),
        (Action.DELETE, Kind.INTEGRATION),
    }
    tool = account.pagerduty(changed)
    for change in steps:
        tool.apply(change, changed, "live")
        tool.apply(change, changed, "live")
    assert plan(account.pagerduty(changed), changed) == ()
    (schedule,) = account.table("schedules")
    layers = {one["name"]: one for one in schedule["schedule_layers"]}  # type: ignore[union-attr, index]
    assert layers["week"]["end"], "a layer is ended, never removed"
    assert layers["night"].get("end") is None


def test_whoever_may_do_everything_keeps_that_in_a_team(account: Account) -> None:
    for user in account.oncall.state.users:
        user["pagerduty role"] = "admin" if user["username"] == PRIMARY else "limited_user"
    apply(account.pagerduty())
    assert plan(account.pagerduty()) == ()


@pytest.mark.parametrize(
    ("team", "message"),
    [
        (replace(PAYMENTS, members=(Member("nobody@example.com"),)), "nobody is known as 'nobody@example.com'"),
        (replace(PAYMENTS, escalation=None), "teams.payments: a PagerDuty service needs an escalation policy"),
        (
            replace(
                PAYMENTS,
                escalation=replace(ESCALATION, steps=(Step(timedelta(0), Recipient(RecipientKind.TEAM, "payments")),)),
            ),
            "tells users and schedules, not teams",
        ),
        (replace(PAYMENTS, escalation=replace(ESCALATION, steps=ESCALATION.steps[1:])), "the first step at once"),
        (
            replace(
                PAYMENTS,
                schedules=(replace(SCHEDULE, rotations=(replace(SCHEDULE.rotations[0], turn=timedelta(minutes=30)),)),),
            ),
            "a turn of 0:30:00 cannot be had",
        ),
    ],
    ids=["unknown user", "no escalation", "a team as a step", "nobody at once", "half an hour"],
)
def test_check_refuses_before_anything_is_changed(account: Account, team: Team, message: str) -> None:
    declared = replace(DECLARED, teams=(team,))
    with pytest.raises(PagingError, match=message):
        account.pagerduty(declared).check(declared, "live")
    assert account.line.writes() == []


def test_a_revoked_key_is_named_and_never_told(account: Account) -> None:
    with pytest.raises(PagingError, match="the variable PAGERDUTY_API_KEY is missing, wrong or revoked") as caught:
        account.pagerduty(key="a-key-that-is-revoked").check(DECLARED, "live")
    assert "a-key-that-is-revoked" not in str(caught.value)


@pytest.mark.parametrize("region", sorted(ADDRESSES))
def test_the_region_chooses_the_addresses(region: str) -> None:
    declared = replace(DECLARED, tool=replace(DECLARED.tool, region=region))
    assert PagerDuty.open(declared, "k" * 20)._rest.base_url == ADDRESSES[region][0]
    with pytest.raises(PagingError, match="'moon' is none of PagerDuty's"):
        PagerDuty.open(replace(DECLARED, tool=replace(DECLARED.tool, region="moon")), "k" * 20)


def test_an_alarm_opens_an_incident_and_its_end_resolves_it(account: Account) -> None:
    """CloudWatch's integration: whatever key it gives its alerts, the alarm is found by its name."""
    tool = account.pagerduty()
    apply(tool)
    endpoint = tool.delivery(DECLARED, "live", "payments", Severity.PAGE).endpoint
    for state, reason in (("ALARM", "Threshold crossed"), ("OK", "well again")):
        alarm = {
            "AlarmName": "live-shop-checkout-page",
            "AlarmDescription": "Too slow.\nRunbook: https://runbooks.example.com/x.md",
            "NewStateValue": state,
            "NewStateReason": reason,
            "StateChangeTime": "2026-11-16T09:00:00.000+0000",
        }
        post(endpoint, {"Type": "Notification", "Timestamp": "2026-11-16T09:00:00Z", "Message": json.dumps(alarm)})
        found = tool.find_alert("live-shop-checkout-page")
        assert found is not None
        assert (found.open, found.priority, found.alias) == (state == "ALARM", "P1", "live-shop-checkout-page")
        assert "Runbook: https://runbooks.example.com/x.md" in found.description
    assert found.closed_at is not None
    assert tool.find_alert("another") is None


def test_what_the_forwarder_sends_is_found_by_its_key_and_can_be_closed(account: Account) -> None:
    tool = account.pagerduty()
    apply(tool)
    delivery = tool.delivery(DECLARED, "live", "payments", Severity.TICKET)
    event = {
        "routing_key": delivery.key,
        "event_action": "trigger",
        "dedup_key": "live-shop-queue",
        "payload": {
            "summary": "The queue grows",
            "source": "queue",
            "severity": "warning",
            "custom_details": {"runbook": "https://runbooks.example.com/q.md", "description": "why", "priority": "P3"},
        },
    }
    post(delivery.endpoint, event)
    found = tool.find_alert("live-shop-queue")
    assert found is not None
    assert (found.priority, found.message, found.open) == ("P3", "The queue grows", True)
    assert found.details["runbook"] == "https://runbooks.example.com/q.md"
    tool.close_alert("live-shop-queue", "the drill is over")
    closed = tool.find_alert("live-shop-queue")
    assert closed is not None
    assert not closed.open
    assert closed.closed_at is not None
    tool.close_alert("live-shop-queue", "once more is no harm")
    (record,) = account.oncall.state.alerts
    assert [note.text for note in record.notes] == ["the drill is over"]


def post(endpoint: str, body: object) -> None:
    parts = urlsplit(endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.request("POST", parts.path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 202, answer.read()
    connection.close()


def test_an_owner_whose_pages_go_elsewhere_has_no_delivery(account: Account) -> None:
    with pytest.raises(PagingError, match="the pages of 'nobody' do not go to the on-call tool"):
        account.pagerduty().delivery(DECLARED, "live", "nobody", Severity.PAGE)
    with pytest.raises(PagingError, match="run `tocsin oncall apply`"):
        account.pagerduty().delivery(DECLARED, "live", "payments", Severity.PAGE)


clocks = st.builds(time, hour=st.integers(0, 23), minute=st.integers(0, 59))


@given(
    st.lists(
        st.one_of(
            st.builds(Hours, start=clocks, end=clocks),
            st.builds(Hours, start=clocks, end=clocks, start_day=st.integers(0, 6), end_day=st.integers(0, 6)),
        ),
        max_size=3,
    ).map(tuple)
)
def test_restrictions_are_what_pagerduty_takes(hours: tuple[Hours, ...]) -> None:
    found = restrictions(hours)
    assert len({one["type"] for one in found}) <= 1
    for one in found:
        longest = {"daily_restriction": 24 * 3600, "weekly_restriction": 7 * 24 * 3600}[one["type"]]
        assert 0 < one["duration_seconds"] < longest
        assert ("start_day_of_week" in one) == (one["type"] == "weekly_restriction")


def test_the_clock_of_the_account_decides_which_layers_have_ended(account: Account) -> None:
    account.oncall.state.clock = lambda: datetime(2026, 11, 16, 9, tzinfo=UTC)
    apply(account.pagerduty())
    assert plan(account.pagerduty()) == ()
