"""The team that tests of the on-call tools start from, in parts that each of them puts together, and the file around it."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from tocsin.model import Severity
from tocsin.paging.declared import (
    Escalation,
    Heartbeat,
    Hours,
    Member,
    OnCall,
    Recipient,
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

PRIMARY, SECONDARY, LEAD = PEOPLE = tuple(f"payments-{role}@example.com" for role in ("primary", "secondary", "lead"))
STARTS = datetime(2026, 1, 5, 8)  # noqa: DTZ001 - a wall-clock time
BY_NIGHT = (Hours(time(18), time(8)),)

TOOL, FORWARDER = Route((Way.TOOL,)), Route((Way.FORWARDER,))
MAIL = Route((Way.EMAIL,), email="t@example.com")


def turns(
    name: str, *people: str, days: int = 7, starts: datetime = STARTS, ends: datetime | None = None,
    hours: tuple[Hours, ...] = (),
) -> Rotation:  # fmt: skip
    """Turns of so many days."""
    return Rotation(name, people, timedelta(days=days), starts, ends, hours)


def schedule(*rotations: Rotation, name: str = "payments-primary", zone: str = "Europe/Vienna") -> Schedule:
    """The one that pages go to first."""
    return Schedule(name, zone, rotations)


def step(minutes: int, kind: RecipientKind, name: str) -> Step:
    """Who is told, so many minutes after the beginning."""
    return Step(timedelta(minutes=minutes), Recipient(kind, name))


def escalation(*further: Step, repeat_after: timedelta | None = None) -> Escalation:
    """To the schedule at once, and then further."""
    return Escalation(
        "payments", (step(0, RecipientKind.SCHEDULE, "payments-primary"), *further), repeat_after=repeat_after
    )


def team(
    page: Route, ticket: Route, *, owners: tuple[str, ...] = ("payments",), people: tuple[str, ...] = PEOPLE,
    schedules: tuple[Schedule, ...] = (), escalated: Escalation | None = None, description: str = "",
) -> Team:  # fmt: skip
    """The team; its lead is its administrator."""
    members = tuple(Member(one, admin=one == LEAD) for one in people)
    routes = {Severity.PAGE: page, Severity.TICKET: ticket}
    return Team("payments", owners, members, routes, description, schedules=schedules, escalation=escalated)


def file_of(
    tool: ToolName, variable: str, *teams: Team, heartbeat: bool = True,
    region: str = "us", site: str = "", account: str = "", url: str = "",
) -> OnCall:  # fmt: skip
    """What a file with these teams says, of which the first has the heartbeat."""
    return OnCall(
        "deploy/oncall.toml",
        "shop",
        Tool(tool, SecretSource(variable=variable), region=region, site=site, account=account, url=url),
        ("live",),
        teams,
        "second@example.com",
        Heartbeat(teams[0].name) if heartbeat else None,
    )
