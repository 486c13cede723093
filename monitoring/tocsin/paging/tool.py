"""The small interface that each on-call tool's file fills: what should be there, what is there, how to get from one to
the other, and the alerts that arrived."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import PagingError
from ..model import Severity
from .declared import OnCall

if TYPE_CHECKING:  # the forwarder takes this file along, and not that one
    from .past_alerts import PastAlert, Span

# A line of the description that the generated alarms carry.
_OWNER = re.compile(r"\bOwner: ([a-z][a-z0-9_-]*)")


class Kind(StrEnum):
    """Kinds of things in an on-call tool, in the order in which they are made; they go in the opposite one."""

    TEAM = "team"
    SCHEDULE = "schedule"
    ESCALATION = "escalation"
    ROUTING_RULE = "routing rule"
    INTEGRATION = "integration"
    HEARTBEAT = "heartbeat"


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that should be in the tool.

    ``body`` is plain JSON data in a canonical form of the adapter's choice, without ids: other things are named.  What
    two readings of an unchanged tool give is equal.  ``name`` is unique within its kind.
    """

    kind: Kind
    name: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """Something that is in the tool.  ``owned``: it carries the mark of this project; others are people's."""

    kind: Kind
    name: str
    body: Mapping[str, Any]
    id: str
    owned: bool


class Action(StrEnum):
    """What is to be done."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that changes; ``path`` is dotted, ``before`` and ``after`` None where there is none."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Change:
    """One step: ``wanted`` is None for a deletion, ``found`` for a creation."""

    action: Action
    kind: Kind
    name: str
    wanted: Thing | None
    found: Found | None
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a topic, or the dead-man's switch, posts to.  Both fields hold a key: they go into a secret and nowhere else.

    ``authorization`` is the value of the header of that name, for the heartbeat; empty where the address holds the key.
    ``integration`` is the id of what the key belongs to, of a tool that tells its keys once: a key of another one, or of
    one that is gone, is known by it.  Empty where the key is told whenever it is asked for, and in secrets without it.
    """

    endpoint: str = field(repr=False)
    authorization: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    integration: str = ""


class MadeKey(NamedTuple):
    """The key of an integration that was made in this run, and the integration's id."""

    integration: str
    key: str


@dataclass(frozen=True, slots=True)
class ToolAlert:
    """An alert as the tool tells it.  Moments are aware, in UTC; ``count`` is how often it was raised while open."""

    id: str
    alias: str
    open: bool
    acknowledged: bool
    message: str
    description: str
    priority: str
    tags: tuple[str, ...]
    details: Mapping[str, str]
    created_at: datetime
    closed_at: datetime | None
    count: int

    @property
    def owner(self) -> str:
        """The owner of the alarm, not who has taken the alert: by the details, or else by the alarm's description."""
        return owner_of(self.details, self.description)


class KeyNotToldError(PagingError):
    """The tool told the integration's key when it was made and tells it no more; what lies in the secret stays valid, if
    it is a Delivery to ``address`` with a key of ``integration``: that is where this integration is posted to, without its
    key."""

    def __init__(self, message: str, address: str, integration: str = "") -> None:
        self.address, self.integration = address, integration
        super().__init__(message)

    def is_of(self, delivery: Delivery) -> bool:
        """Whether a Delivery goes to this integration.

        To another tool, or to another region of it, it holds another's key; with another id, that of an integration that
        people have made anew.
        """
        goes_there = delivery.endpoint.partition("?")[0] == self.address and bool(delivery.key)
        return goes_there and (not delivery.integration or delivery.integration == self.integration)


class OnCallTool(Protocol):
    """What each tool's file offers.  All methods raise PagingError, in one line and without a key.

    ``drills_wake_nobody``: the tool can be told to notify nobody of a drill.  ``renews``: integrations have keys of their
    own, so that one can be replaced; ``renews_heartbeat``: so has the dead-man's switch.  ``tells_no_past`` is why past
    alerts cannot be listed; empty where they can.

    Some tools tell the key of an integration once, when it is made.  They make it switched off; `delivered` switches it
    on when its key lies in its secret, and `renew` makes it anew, with another key.  The same of the dead-man's switch.
    A tool that tells its keys whenever it is asked has nothing to switch on.
    """

    name: str
    drills_wake_nobody: bool
    renews: bool
    renews_heartbeat: bool
    tells_no_past: str

    def check(self, declared: OnCall, environment: str) -> None:
        """Refuse what the tool would refuse later: a missing, revoked or too weak key, an unknown user.  Changes nothing."""

    def wanted(self, declared: OnCall, environment: str) -> tuple[Thing, ...]:
        """What should be there for this environment, in the order of creation.  Asks the tool nothing."""

    def present(self, declared: OnCall, environment: str) -> tuple[Found, ...]:
        """What is there: all that carries this project's mark for this environment or for all, and every thing whose name
        is wanted."""

    def apply(self, change: Change, declared: OnCall, environment: str) -> None:
        """Do one step.  Doing it twice is no harm."""

    def delivery(self, declared: OnCall, environment: str, owner: str, severity: Severity) -> Delivery:
        """Where the topic of that owner and severity posts to, once its integration is there.

        Raises KeyNotToldError for one that is there, but whose key is told no more.
        """

    def delivered(self, declared: OnCall, environment: str, owner: str, severity: Severity) -> None:
        """The delivery lies in its secret: switch on what takes it.  Doing it twice is no harm."""

    def renew(self, declared: OnCall, environment: str, owner: str, severity: Severity) -> Delivery:
        """Make the integration anew, with another key: for a secret that is lost or that holds another tool's, and for a
        key that leaked.  As `delivery` for a tool that does not ``renews``."""

    def heartbeat(self, declared: OnCall, environment: str) -> Delivery | None:
        """Where the dead-man's switch posts to; None if none is declared, and for a tool without heartbeats.  Raises
        KeyNotToldError as `delivery` does."""

    def heartbeat_delivered(self, declared: OnCall, environment: str) -> None:
        """As `delivered`, for the dead-man's switch."""

    def renew_heartbeat(self, declared: OnCall, environment: str) -> Delivery | None:
        """As `renew`, for the dead-man's switch."""

    def hears_heartbeat(self, declared: OnCall, environment: str) -> bool | None:
        """Whether the dead-man's switch works: it was heard of, and in time; before the first sign of life it watches
        nothing.  None if none is declared, and for a tool without heartbeats."""

    def find_alert(self, alias: str) -> ToolAlert | None:
        """The newest alert of that alias, open or closed."""

    def close_alert(self, alias: str, note: str) -> None:
        """Close the open alert of that alias, if there is one."""

    def past_alerts(self, spans: Sequence[Span], aliases: Collection[str]) -> tuple[PastAlert, ...]:
        """The alerts of these aliases, open and closed, that were opened in one of the spans, oldest first.

        The end of a span is not part of it.  Raises PagingError, also for a tool that ``tells_no_past``.
        """


Progress = Callable[[Change, int, int], None]
"""Told of each step that is done: the change, its number from 1, and how many there are."""


def no_progress(change: Change, number: int, of: int) -> None:
    """Tell nobody."""


def owner_of(details: Mapping[str, str], description: str) -> str:
    """The owner of the alarm that an alert tells of; empty where neither says."""
    for name, value in details.items():
        if name.lower() == "owner":
            return value
    found = _OWNER.findall(description)
    return str(found[-1]) if found else ""


def integration_name(project: str, environment: str, owner: str, severity: Severity) -> str:
    """``tocsin-<project>-<environment>-<owner>-<severity>``: what an integration is known by in the tool."""
    return f"tocsin-{project}-{environment}-{owner}-{severity.value}"


def heartbeat_name(project: str, environment: str) -> str:
    """``tocsin-<project>-<environment>``: what the dead-man's switch is known by in the tool."""
    return f"tocsin-{project}-{environment}"


def secret_name(environment: str, owner: str, severity: Severity) -> str:
    """The secret that holds a topic's Delivery, as JSON with the fields of that class."""
    return f"tocsin/{environment}/on-call/{owner}-{severity.value}"


def heartbeat_secret_name(environment: str) -> str:
    """The secret that holds the dead-man's switch's Delivery."""
    return f"tocsin/{environment}/on-call/heartbeat"


def changes_in_order(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Creations and updates in the order of kinds, then deletions in the opposite one; by name within a kind."""
    order = {kind: number for number, kind in enumerate(Kind)}
    made = sorted(
        (one for one in changes if one.action is not Action.DELETE), key=lambda one: (order[one.kind], one.name)
    )
    gone = sorted((one for one in changes if one.action is Action.DELETE), key=lambda one: (-order[one.kind], one.name))
    return (*made, *gone)
