"""One fault of ``deploy/oncall.toml``, and what it is about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .declared import ToolName
from .tables import quoted

# A tool that keeps teams, schedules and escalations itself; the others only take events.
KEEPS_SCHEDULES = (ToolName.OPSGENIE, ToolName.JIRA, ToolName.PAGERDUTY)


class FaultKind(StrEnum):
    """What a fault is about; each is a finding of ``tocsin check``."""

    OWNER = "owner"
    HOURS = "hours"
    ESCALATION = "escalation"
    ROUTE = "route"
    WATCH = "watch"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.  ``where`` is the dotted key, ``message`` one line: the problem, then what to do."""

    kind: FaultKind
    where: str
    message: str


def key_of(*parts: str) -> str:
    """A dotted key, with quotes where TOML wants them."""
    return ".".join(quoted(part) for part in parts)
