"""Declarations of on-call teams that the tests of Opsgenie's adapter start from."""

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

PRIMARY, SECOND, LEAD, INSIGHTS = USERS = (
    "engagement-primary@example.com",
    "engagement-second@example.com",
    "engagement-lead@example.com",
    "insights-primary@example.com",
)
TOOL = Route((Way.TOOL,))
MAIL = Route((Way.EMAIL,), email="tickets@example.com")
WEEK = timedelta(weeks=1)
MONDAY = datetime(2026, 1, 5, 9)  # noqa: DTZ001 (wall clock of the schedule)

ENGAGEMENT = Team(
    name="engagement",
    owners=("engagement",),
    members=(Member(LEAD, admin=True), Member(PRIMARY), Member(SECOND)),
    routes={Severity.PAGE: TOOL, Severity.TICKET: Route((Way.TOOL, Way.EMAIL), email="tickets@example.com")},
    description="Looks after everything customers touch.",
    schedules=(
        Schedule("engagement-primary", "Europe/Vienna", (Rotation("weekly", (PRIMARY, SECOND), WEEK, MONDAY),)),
        Schedule(
            "engagement-hours",
            "America/New_York",
            (
                Rotation("nights", (SECOND,), timedelta(days=1), MONDAY, hours=(Hours(time(22), time(6)),)),
                Rotation(
                    "office",
                    (PRIMARY, LEAD),
                    timedelta(hours=12),
                    MONDAY,
                    datetime(2027, 1, 1),  # noqa: DTZ001
                    (Hours(time(9), time(17, 30), 0, 0), Hours(time(8), time(12), 5, 6)),
                ),
            ),
        ),
    ),
    escalation=Escalation(
        "engagement-pages",
        (
            Step(timedelta(0), Recipient(RecipientKind.SCHEDULE, "engagement-primary")),
            Step(timedelta(minutes=10), Recipient(RecipientKind.USER, LEAD)),
            Step(timedelta(minutes=90), Recipient(RecipientKind.TEAM, "engagement")),
        ),
        repeat_after=timedelta(minutes=30),
    ),
)
INSIGHT = Team(
    name="insights",
    owners=("insights", "reports"),
    members=(Member(INSIGHTS),),
    routes={Severity.PAGE: Route((Way.FORWARDER,)), Severity.TICKET: MAIL},
    schedules=(Schedule("insights-primary", "UTC", (Rotation("always", (INSIGHTS,), WEEK, MONDAY),)),),
)


BEAT = Heartbeat("engagement")


def declaration(*teams: Team, project: str = "shop", heartbeat: Heartbeat | None = BEAT, region: str = "us") -> OnCall:
    """What a file with these teams says; the two of the example where none is given."""
    return OnCall(
        path="deploy/oncall.toml",
        project=project,
        tool=Tool(ToolName.OPSGENIE, SecretSource(variable="OPSGENIE_KEY"), region=region),
        environments=("production",),
        teams=teams or (ENGAGEMENT, INSIGHT),
        second_way="second@example.com",
        heartbeat=heartbeat,
    )
