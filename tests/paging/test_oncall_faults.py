"""What only shows when the parts of deploy/oncall.toml are seen together: each fault in one line, and nothing else said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from declared_teams import FORWARDER, TOOL, step, turns

from tocsin.model import Severity
from tocsin.paging.declared import (
    Escalation,
    Heartbeat,
    Hours,
    Member,
    OnCall,
    RecipientKind,
    Rotation,
    Route,
    Schedule,
    SecretSource,
    Step,
    Team,
    Tool,
    ToolName,
    Way,
)
from tocsin.paging.faults import FaultKind, find_faults, judge

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)  # a Monday
SYSTEMS = {"engagement": ["notification", "search"], "data-platform": ["data_pipeline"]}
PRIMARY, SECOND, NIGHT = (
    f"{role}@example.com" for role in ("engagement-primary", "engagement-second", "data-platform-night")
)
SCHEDULE, USER, TEAM = RecipientKind


def week(
    *people: str,
    name: str = "week",
    starts: str = "2026-01-05 08:00",
    ends: str | None = None,
    hours: tuple[Hours, ...] = (),
) -> Rotation:
    end = None if ends is None else datetime.fromisoformat(ends)
    return turns(name, *people, starts=datetime.fromisoformat(starts), ends=end, hours=hours)


ENGAGEMENT = Team(
    name="engagement",
    owners=("engagement",),
    members=(Member(PRIMARY), Member(SECOND)),
    routes={Severity.PAGE: TOOL, Severity.TICKET: Route((Way.EMAIL,), "tickets@example.com")},
    schedules=(Schedule("engagement", "Europe/Vienna", (week(PRIMARY, SECOND),)),),
    escalation=Escalation("engagement", (step(0, SCHEDULE, "engagement"), step(10, TEAM, "engagement"))),
)
DATA = Team(
    name="data-platform",
    owners=("data-platform",),
    members=(Member(NIGHT),),
    routes={Severity.PAGE: FORWARDER, Severity.TICKET: TOOL},
    schedules=(Schedule("data", "UTC", (week(NIGHT),)),),
    escalation=Escalation("data", (step(0, SCHEDULE, "data"), step(5, USER, NIGHT))),
)
SOUND = OnCall(
    path="deploy/oncall.toml",
    project="shop",
    tool=Tool(ToolName.OPSGENIE, SecretSource(variable="OPSGENIE_API_KEY")),
    environments=("prod",),
    teams=(ENGAGEMENT, DATA),
    second_way="fallback@example.com",
    heartbeat=Heartbeat("engagement"),
)


def engagement(**changes: object) -> OnCall:
    return replace(SOUND, teams=(replace(ENGAGEMENT, **changes), DATA))


def paged(*ways: Way, tool: ToolName = ToolName.OPSGENIE, **more: str) -> OnCall:
    routes = {**ENGAGEMENT.routes, Severity.PAGE: Route(ways, **more)}
    return replace(engagement(routes=routes), tool=replace(SOUND.tool, name=tool))


def ticketed(route: Route) -> OnCall:
    return engagement(routes={**ENGAGEMENT.routes, Severity.TICKET: route})


def scheduled(*rotations: Rotation, zone: str = "Europe/Vienna") -> OnCall:
    return engagement(schedules=(Schedule("engagement", zone, rotations),))


def escalated(*steps: Step) -> OnCall:
    return engagement(escalation=Escalation("engagement", steps))


def beating(team: str = "engagement", every: int = 1, silent: int = 10) -> OnCall:
    return replace(SOUND, heartbeat=Heartbeat(team, timedelta(minutes=every), timedelta(minutes=silent)))


def with_tool(tool: ToolName, heartbeat: Heartbeat | None = None) -> OnCall:
    """Both teams by the forwarder, which all tools take."""
    routes = {Severity.PAGE: FORWARDER, Severity.TICKET: Route((Way.EMAIL,), "tickets@example.com")}
    teams = tuple(replace(team, routes=routes) for team in (ENGAGEMENT, DATA))
    if tool is ToolName.WEBHOOK:
        teams = tuple(replace(team, schedules=(), escalation=None) for team in teams)
    return replace(SOUND, tool=replace(SOUND.tool, name=tool), teams=teams, heartbeat=heartbeat)


def say(lines: str) -> list[str]:
    return [f"deploy/oncall.toml: {line.strip()}" for line in lines.strip().splitlines() if line.strip()]


def faults(oncall: OnCall) -> list[str]:
    return list(find_faults(oncall, SYSTEMS, NOW, SYSTEMS))


def test_a_sound_file_has_none() -> None:
    assert faults(SOUND) == []
    assert faults(replace(SOUND, heartbeat=None)) == []


S, E = "teams.engagement.schedules.engagement", "teams.engagement.escalation"
ORDER = "put the steps in the order of their time, each counted from the alert"
GAP, OVERLAP = (
    'let a rotation cover it, or say why it is meant: gaps_because = "…"',
    'give the rotations hours apart, or say why it is meant: overlaps_because = "…"',
)

CASES: list[tuple[OnCall, str]] = [
    # Owners
    (engagement(owners=("engagment",)), """
        teams.engagement.owners: no declared system has the owner 'engagment'; did you mean 'engagement'?
        teams: nobody is told of alarms of owner 'engagement' (systems notification, search); add a table [teams.engagement], or it to the owners of a team
    """),
    (replace(SOUND, teams=(ENGAGEMENT, replace(DATA, owners=("data-platform", "engagement")))), """
        teams.data-platform.owners: owner 'engagement' (systems notification, search) is in the teams engagement and data-platform; leave it in the one that is woken
    """),
    (replace(SOUND, teams=(ENGAGEMENT,)), """
        teams: nobody is told of alarms of owner 'data-platform' (system data_pipeline); add a table [teams.data-platform], or it to the owners of a team
    """),
    (replace(SOUND, environments=()), 'environments: names none, so no alarm reaches anybody; name those whose alarms page, ["prod"]'),
    # Ways
    (paged(Way.EMAIL, email="pages@example.com"), 'teams.engagement.pages: email wakes nobody; add "tool" or "forwarder"'),
    (paged(Way.EMAIL, Way.CHAT, email="pages@example.com", chat_workspace="T1", chat_channel="C1"), 'teams.engagement.pages: email and chat wakes nobody; add "tool" or "forwarder"'),
    (paged(), 'teams.engagement.pages: goes nowhere; name a way, such as "tool"'),
    (engagement(routes={Severity.PAGE: TOOL}), 'teams.engagement.tickets: says nothing; name a way, such as "tool"'),
    (paged(Way.TOOL, Way.FORWARDER), "teams.engagement.pages: tool and forwarder would raise each alert twice; leave one of them"),
    (ticketed(Route((Way.EMAIL,))), 'teams.engagement.tickets: goes by e-mail but has no address; add email = "…@…"'),
    (ticketed(Route((Way.CHAT,))), 'teams.engagement.tickets: goes to a chat without workspace and channel; add chat = { workspace = "T…", channel = "C…" }'),
    (ticketed(Route((Way.CHAT,), chat_workspace="T1")), 'teams.engagement.tickets: goes to a chat without channel; add chat = { workspace = "T…", channel = "C…" }'),
    (engagement(schedules=(), escalation=None), "teams.engagement: its pages reach opsgenie but wake nobody there; add a schedule and an escalation"),
    (engagement(escalation=None), "teams.engagement: its pages reach opsgenie but wake nobody there; add an escalation that tells engagement"),
    (replace(with_tool(ToolName.WEBHOOK), teams=(replace(with_tool(ToolName.WEBHOOK).teams[0], routes=ENGAGEMENT.routes), with_tool(ToolName.WEBHOOK).teams[1])),
     'teams.engagement.pages: a plain subscription cannot sign what it posts to a webhook; write "forwarder" for "tool"'),
    # The way itself is watched
    (with_tool(ToolName.WEBHOOK, Heartbeat("engagement")), "heartbeat: webhook has no heartbeats, so silence would page nobody; take the table out"),
    (with_tool(ToolName.PAGERDUTY, Heartbeat("engagement")), "heartbeat: pagerduty has no heartbeats, so silence would page nobody; take the table out"),
    (beating("engagment"), "heartbeat.team: no team 'engagment'; did you mean 'engagement'?"),
    (beating(every=5), "heartbeat.silent_after: 10 min is less than three beats of 5 min: one late beat would wake somebody; state at least 15 min"),
    (replace(SOUND, second_way=""), "second_way: is missing: nobody would hear that the way to the tool itself fails; name an e-mail address"),
    (replace(SOUND, second_way="alerts@shop.eu.opsgenie.net"), "second_way: leads back to the on-call tool, which is the way that has failed then; name a mailbox elsewhere"),
    (paged(Way.TOOL, Way.EMAIL, email="Fallback@example.com"), "second_way: is the address that pages of team engagement go to, so it is no second way; name another"),
    # Schedules
    (scheduled(week("engagement-primry@example.com", PRIMARY)), f"{S}.rotations.week: engagement-primry@example.com takes turns but is no member of team engagement; did you mean '{PRIMARY}'?"),
    (scheduled(week(PRIMARY), zone="Europe/Viena"), f"{S}.time_zone: no time zone 'Europe/Viena'; did you mean 'Europe/Vienna'?"),
    (scheduled(week(PRIMARY), week(SECOND, name="old", starts="2025-01-06 08:00", ends="2025-12-29 08:00")), f"{S}.rotations.old: has ended on 2025-12-29; take it out"),
    (scheduled(week(PRIMARY, hours=(Hours(time(8), time(18), 0, 5),))), f"{S}: nobody is on call Sat 18:00 to Mon 08:00 Europe/Vienna, first 2026-11-28; {GAP}"),
    (scheduled(week(PRIMARY, hours=(Hours(time(8), time(18), 0, 4),)), week(SECOND, name="second", hours=(Hours(time(18), time(9), 4, 0),))),
     f"{S}: {PRIMARY} and {SECOND} are both on call (rotations week and second) Mon 08:00 to Mon 09:00 Europe/Vienna, first 2026-11-30; {OVERLAP}"),
    (scheduled(week(PRIMARY, starts="2026-01-05 08:15", hours=(Hours(time(8, 15), time(18, 45)),)), week(SECOND, name="night", hours=(Hours(time(18, 45), time(8, 15)),))), f"""
        {S}.rotations.week: Opsgenie keeps full and half hours only and would move 08:15, 18:45; choose the nearest half hour
        {S}.rotations.night: Opsgenie keeps full and half hours only and would move 08:15, 18:45; choose the nearest half hour
    """),
    (replace(SOUND, accepted_gaps={"engagement": "Closed at night."}), f"{S}: gaps_because is stated, but there is nothing of the kind in the next 53 weeks; take it out"),
    (replace(SOUND, accepted_overlaps={"engagement": " "}), f"{S}: overlaps_because says nothing; say why it is meant"),
    (replace(SOUND, teams=(ENGAGEMENT, replace(DATA, schedules=(replace(DATA.schedules[0], name="engagement"),), escalation=Escalation("data", (step(0, SCHEDULE, "engagement"),))))),
     "teams.data-platform.schedules.engagement: team engagement has a schedule of that name already; names are shared in the tool"),
    # Escalations
    (escalated(), f"""
        {E}: tells nobody; add a step such as {{ schedule = "…" }}
        {S}: no escalation tells it, so no page wakes whoever is on call; add a step for it or take it out
    """),
    (escalated(step(0, SCHEDULE, "engagement"), step(5, SCHEDULE, "enagement")), f"{E}.steps[2].schedule: no schedule 'enagement'; did you mean 'engagement'?"),
    (escalated(step(0, SCHEDULE, "engagement"), step(5, USER, "nobody@example.com")), f"{E}.steps[2].user: nobody@example.com is a member of no team; there are: data-platform-night, engagement-primary, engagement-second"),
    (escalated(step(0, SCHEDULE, "engagement"), step(5, TEAM, "dataplatform")), f"{E}.steps[2].team: no team 'dataplatform'; did you mean 'data-platform'?"),
    (escalated(step(10, SCHEDULE, "engagement"), step(5, USER, SECOND)), f"""
        {E}.steps[1].after: nobody is told for 10 min; let the first step tell somebody at once, and take its after out
        {E}.steps[2].after: comes after 5 min, before the step above it, which waits 10 min; {ORDER}
    """),
    (escalated(step(5, SCHEDULE, "engagement")), f"{E}.steps[1].after: nobody is told for 5 min; let the first step tell somebody at once, and take its after out"),
    (escalated(step(10, SCHEDULE, "engagement"), step(0, USER, SECOND)), f"{E}.steps[2].after: comes after no time, before the step above it, which waits 10 min; {ORDER}"),
    (escalated(step(0, SCHEDULE, "engagement"), step(0, SCHEDULE, "engagement")), f"{E}.steps[2]: tells schedule engagement again at the same time; take it out"),
    (replace(SOUND, teams=(replace(ENGAGEMENT, escalation=Escalation("engagement", (step(0, SCHEDULE, "engagement"), step(5, TEAM, "data-platform")))), replace(DATA, escalation=Escalation("data", (step(0, SCHEDULE, "data"), step(5, TEAM, "engagement")))))),
     f"{E}: goes round in a circle: engagement → data-platform → engagement; let one of them end with a person or a schedule"),
    (replace(SOUND, teams=(ENGAGEMENT, replace(DATA, escalation=replace(DATA.escalation or Escalation("", ()), name="engagement")))),
     "teams.data-platform.escalation: team engagement has an escalation called engagement already; give it a name of its own"),
    (engagement(schedules=(*ENGAGEMENT.schedules, Schedule("spare", "UTC", (week(PRIMARY),)))), "teams.engagement.schedules.spare: no escalation tells it, so no page wakes whoever is on call; add a step for it or take it out"),
    (replace(SOUND, teams=(ENGAGEMENT, replace(DATA, members=(), schedules=(), escalation=Escalation("data", (step(0, TEAM, "data-platform"),))))),
     "teams.data-platform.escalation.steps[1].team: team data-platform has no members, so nobody is told; add some"),
]  # fmt: skip


@pytest.mark.parametrize(("oncall", "said"), CASES, ids=[str(number) for number in range(len(CASES))])
def test_each_fault_is_said_and_no_other(oncall: OnCall, said: str) -> None:
    found = faults(oncall)
    assert found == say(said)
    assert not any("\n" in line for line in found)


CHANGE = "Europe/Vienna, where the clocks change then; take"


@pytest.mark.parametrize(
    ("rotation", "said"),
    [
        (
            week(PRIMARY, SECOND, starts="2026-03-29 02:30"),
            f"starts 2026-03-29 02:30 does not exist in {CHANGE} 01:30 or 03:00",
        ),
        (
            week(PRIMARY, SECOND, starts="2026-10-25 02:00"),
            f"starts 2026-10-25 02:00 comes twice in {CHANGE} 01:30 or 03:00",
        ),
        (
            week(PRIMARY, SECOND, ends="2027-10-31 02:30"),
            f"ends 2027-10-31 02:30 comes twice in {CHANGE} 01:30 or 03:00",
        ),
        (
            week(PRIMARY, SECOND, starts="2026-01-04 02:30"),  # Sundays
            f"hands over on 2027-03-28 at 02:30, which does not exist in {CHANGE} 01:30 or 03:00",
        ),
        (
            replace(week(PRIMARY, SECOND, starts="2026-01-05 02:00"), turn=timedelta(days=1)),
            f"hands over on 2027-03-28 at 02:00, which does not exist in {CHANGE} 01:30 or 03:00",
        ),
    ],
)
def test_a_handover_while_the_clocks_change(rotation: Rotation, said: str) -> None:
    found = [line for line in faults(scheduled(rotation)) if "nobody is on call" not in line]
    assert found == say(f"{S}.rotations.week: {said}")


@pytest.mark.parametrize("starts", ["2026-01-05 02:30", "2026-01-04 03:00", "2026-01-04 01:30"])
def test_a_handover_beside_the_change_of_the_clocks_is_no_fault(starts: str) -> None:
    assert faults(scheduled(week(PRIMARY, SECOND, starts=starts))) == []


def test_the_nearest_clear_time_may_be_on_another_day() -> None:
    """In Havana the clocks skip the hour after midnight."""
    cuba = scheduled(week(PRIMARY, SECOND, starts="2026-03-08 00:30"), zone="America/Havana")
    (found,) = faults(cuba)
    assert found.endswith("take 23:30 the day before, on 2026-03-07, or 01:00")


def test_an_overlap_is_told_once_although_the_clocks_change() -> None:
    hours = (Hours(time(1, 30), time(2, 30)),)
    (found,) = faults(scheduled(week(PRIMARY), week(SECOND, name="second", hours=hours)))
    assert "every day 01:30 to 02:30 Europe/Vienna" in found
    once = scheduled(week(PRIMARY, hours=(Hours(time(2, 30), time(1, 30)),)))
    (found,) = faults(once)
    assert "nobody is on call every day 01:30 to 02:30 Europe/Vienna" in found


def test_a_schedule_in_which_nobody_stands() -> None:
    found = faults(scheduled(week()))
    assert (
        f"deploy/oncall.toml: {E}.steps[1].schedule: nobody stands in schedule engagement; give it a rotation with participants"
        in found
    )
    assert f"deploy/oncall.toml: {S}: nobody is on call at any time; {GAP}" in found


def test_what_is_meant_is_no_fault() -> None:
    """A gap and an overlap with a reason; two steps at one time; a team that tells all its own members last."""
    closed = scheduled(week(PRIMARY, hours=(Hours(time(8), time(18)),)))
    assert faults(replace(closed, accepted_gaps={"engagement": "Nobody orders at night."})) == []
    shadowed = scheduled(week(PRIMARY), week(SECOND, name="learns", hours=(Hours(time(8), time(18), 0, 4),)))
    assert faults(replace(shadowed, accepted_overlaps={"engagement": "Newcomers look on."})) == []
    assert faults(escalated(step(0, SCHEDULE, "engagement"), step(0, USER, SECOND), step(5, TEAM, "engagement"))) == []


def test_a_tool_that_only_takes_events_needs_no_schedules() -> None:
    assert faults(with_tool(ToolName.WEBHOOK)) == []


def test_a_page_that_wakes_nobody_in_pagerduty_is_a_fault() -> None:
    sound = with_tool(ToolName.PAGERDUTY)
    assert faults(sound) == []
    first, *others = sound.teams
    (found,) = faults(replace(sound, teams=(replace(first, schedules=(), escalation=None), *others)))
    assert "its pages reach pagerduty but wake nobody there" in found


def test_quarters_of_hours_are_kept_by_others() -> None:
    quarter = scheduled(week(PRIMARY, starts="2026-01-05 08:15"))
    assert faults(replace(quarter, tool=replace(SOUND.tool, name=ToolName.JIRA))) == []


def test_every_circle_is_told_once() -> None:
    """a → b → c → a, and b → c → b within it."""
    leads = {"a": "b", "b": "c", "c": "ab"}

    def team(name: str) -> Team:
        steps = tuple(step(minute, TEAM, other) for minute, other in enumerate(leads[name]))
        return replace(ENGAGEMENT, name=name, owners=(name,), schedules=(), escalation=Escalation(name, steps))

    oncall = replace(SOUND, teams=tuple(team(name) for name in "abc"), heartbeat=None)
    circles = [
        fault.message.split("; ")[0] for fault in judge(oncall, "abc", NOW) if fault.kind is FaultKind.ESCALATION
    ]
    assert circles == ["goes round in a circle: a → b → c → a", "goes round in a circle: b → c → b"]


def test_the_plain_type_is_judged_alike() -> None:
    plain = OnCall(SOUND.path, SOUND.project, SOUND.tool, SOUND.environments, SOUND.teams, SOUND.second_way)
    assert faults(plain) == []
