"""What ``deploy/oncall.toml`` says: teams, who of them is on call when, and which way their pages and tickets go.

Only values; `read_oncall` in ``paging/oncall_file.py`` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum

from ..model import Severity


class ToolName(StrEnum):
    """The on-call tools there is a file for."""

    OPSGENIE = "opsgenie"
    JIRA = "jira"  # Jira Service Management operations, Opsgenie's successor
    PAGERDUTY = "pagerduty"
    WEBHOOK = "webhook"


class Way(StrEnum):
    """How notifications of one severity leave AWS."""

    TOOL = "tool"  # the topic posts to the on-call tool itself
    FORWARDER = "forwarder"  # a function in between adds what the tool cannot show by itself
    EMAIL = "email"
    CHAT = "chat"


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where the tool's configuration key comes from: exactly one of the three is stated, the value never is."""

    variable: str | None = None  # process environment
    secret: str | None = None  # Secrets Manager
    parameter: str | None = None  # SSM, SecureString

    @property
    def shown(self) -> str:
        """How an error names it: never the value."""
        if self.variable is not None:
            return f"the variable {self.variable}"
        return f"the secret {self.secret}" if self.secret is not None else f"the parameter {self.parameter}"


@dataclass(frozen=True, slots=True)
class Tool:
    """The on-call tool.

    ``region`` is ``us`` or ``eu`` (Opsgenie, PagerDuty; with Jira, that of the Opsgenie account left behind), ``site``
    the cloud id and ``account`` the e-mail address the API token belongs to (Jira).  ``opsgenie_key`` is where the key of
    the Opsgenie account left behind comes from (Jira, for the migration alone).  ``url`` stands in for the tool's own
    addresses: a stand-in on this machine.
    """

    name: ToolName
    key: SecretSource
    region: str = "us"
    site: str = ""
    account: str = ""
    url: str = ""
    opsgenie_key: SecretSource | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A person of a team, by the address the on-call tool knows.  ``admin`` may change the team there."""

    user: str
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Hours:
    """A span of the week in the schedule's own time: from ``start`` on ``start_day`` to ``end`` on ``end_day``.

    Days are 0 (Monday) to 6; both None: each day, over midnight where ``end`` is not after ``start``.
    """

    start: time
    end: time
    start_day: int | None = None
    end_day: int | None = None


@dataclass(frozen=True, slots=True)
class Rotation:
    """Participants who take turns, each for ``turn`` from ``starts``; on call only in ``hours``, or always when empty.

    ``turn`` is whole hours, days or weeks.  ``starts`` and ``ends`` are wall-clock times in the schedule's time zone; a
    turn of days or weeks keeps to the wall clock when the clocks change.  A participant is a user's address.
    """

    name: str
    participants: tuple[str, ...]
    turn: timedelta
    starts: datetime
    ends: datetime | None = None
    hours: tuple[Hours, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """Who is on call when.  ``time_zone`` is an IANA name, such as ``Europe/Vienna``."""

    name: str
    time_zone: str
    rotations: tuple[Rotation, ...]


class RecipientKind(StrEnum):
    """Whom an escalation step tells."""

    SCHEDULE = "schedule"
    USER = "user"
    TEAM = "team"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom an escalation step tells: a schedule's present turn, a user, or a whole team; by name or address."""

    kind: RecipientKind
    name: str


@dataclass(frozen=True, slots=True)
class Step:
    """After ``after`` without an acknowledgement, counted from the alert, ``recipient`` is told."""

    after: timedelta
    recipient: Recipient


@dataclass(frozen=True, slots=True)
class Escalation:
    """Whom a page reaches, in order.  ``repeat_after``: begin again so long after the last step; None for never."""

    name: str
    steps: tuple[Step, ...]
    repeat_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Which ways notifications of one severity of one team go.

    ``email`` and ``chat`` are for the ways of those names.  A ticket that goes to the tool wakes nobody there.
    """

    ways: tuple[Way, ...]
    email: str = ""
    chat_workspace: str = ""  # Slack's id of the workspace
    chat_channel: str = ""  # Slack's id of the channel


@dataclass(frozen=True, slots=True)
class Team:
    """One team.  ``owners`` are those of system declarations whose alarms are this team's."""

    name: str
    owners: tuple[str, ...]
    members: tuple[Member, ...]
    routes: Mapping[Severity, Route]
    description: str = ""
    schedules: tuple[Schedule, ...] = ()
    escalation: Escalation | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The dead-man's switch: ``team`` is paged when AWS has not been heard of for ``silent_after``."""

    team: str
    every: timedelta = timedelta(minutes=1)
    silent_after: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class OnCall:
    """The whole file.

    ``project`` marks what Tocsin owns in the tool, so that two repositories share an account of it without undoing each
    other.  ``environments`` are those whose alarms reach the tool.  ``second_way`` is an e-mail address, or a phone number
    as ``+436601234567``, that is told when the way to the tool itself fails.  ``path`` is the file, for errors.
    """

    path: str
    project: str
    tool: Tool
    environments: tuple[str, ...]
    teams: tuple[Team, ...]
    second_way: str
    heartbeat: Heartbeat | None = None
    accepted_gaps: Mapping[str, str] = field(default_factory=dict)  # schedule → because
    accepted_overlaps: Mapping[str, str] = field(default_factory=dict)

    def team_of(self, owner: str) -> Team | None:
        """The team that an owner's alarms belong to."""
        return next((team for team in self.teams if owner in team.owners), None)
