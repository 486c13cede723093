"""The values of a plan: everything that is decided for one system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..alarm import Alarm, CompositeAlarm
from ..burn_rate import Tier, UnreachableTier
from ..catalog.entry import NameSource, Panel, ResourceType
from ..errors import PlanError
from ..model import Resource, Severity, Slo, System, Unwatched

#: Parameters that every alarm template has, beside one for each physical name.
ENVIRONMENT = "Environment"
TOPIC_PARAMETERS = {Severity.PAGE: "PageTopicArn", Severity.TICKET: "TicketTopicArn"}


@dataclass(frozen=True, slots=True)
class Settings:
    """What generated texts point at.  ``runbooks`` is the address in front of ``<kind>.md``, ``dashboards`` the one
    in front of ``/d/<uid>``; empty where nothing is configured."""

    runbooks: str = "runbooks"
    dashboards: str = ""


@dataclass(frozen=True, slots=True)
class NameParameter:
    """A parameter of the alarm template that holds a physical name, and how to find it in the watched stack.

    ``optional``: the resource stands under a condition of its template; where it is not created the name is empty.
    """

    name: str
    logical_id: str
    type: str
    source: NameSource
    default: str | None
    description: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class PlannedAlarm:
    """One alarm with what people need to know of it.

    ``severity`` is None for an alarm that only feeds a composite.  ``resource`` is the logical id it watches,
    ``slo`` the name of the promise; an SLO's alarm has both.
    """

    logical_id: str
    alarm: Alarm | CompositeAlarm
    kind: str
    severity: Severity | None
    title: str
    because: str
    threshold_because: str
    source: str
    resource: str
    slo: str | None = None

    @property
    def runbook(self) -> str:
        """The file under ``runbooks/`` that says what to do."""
        return f"{self.kind}.md"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An alarm that does not exist, on purpose.  ``subject`` is a logical id or an SLO's name."""

    subject: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlannedSlo:
    """A promise with its tiers.  ``alarms`` are logical ids: the composites or the heartbeat alarm people are told by."""

    slo: Slo
    tiers: tuple[Tier, ...]
    unreachable: tuple[UnreachableTier, ...]
    alarms: Mapping[Severity, str]


@dataclass(frozen=True, slots=True)
class PlannedPanels:
    """The graphs of one resource."""

    resource: Resource
    entry: ResourceType
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is decided for one system; everything in it is in its final order."""

    system: System
    settings: Settings
    parameters: tuple[NameParameter, ...]
    alarms: tuple[PlannedAlarm, ...]
    slos: tuple[PlannedSlo, ...]
    panels: tuple[PlannedPanels, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def unwatched(self) -> tuple[Unwatched, ...]:
        """Resources without alarms, with the reason."""
        return self.system.unwatched

    def __getitem__(self, logical_id: str) -> PlannedAlarm:
        """The planned alarm of that logical id.  Raises PlanError."""
        for planned in self.alarms:
            if planned.logical_id == logical_id:
                return planned
        raise PlanError(f"{self.system.name}: no alarm {logical_id!r} is planned")
