"""Incident: a stretch of time in which users were hurt, or a cause of it was there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from ..errors import SimulationError


@dataclass(frozen=True, slots=True)
class Incident:
    """What an alarm should have told somebody of, from ``start`` until just before ``end`` (aware datetimes).

    ``alarms`` are glob patterns (``*-cpu-*``) of the alarms it should be seen by; empty: by any of them.
    Raises SimulationError for a time without zone and for an end that is not after the start.
    """

    name: str
    start: datetime
    end: datetime
    alarms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise SimulationError(f"incident {self.name}: its times have no zone; use aware datetimes such as in UTC")
        if self.end <= self.start:
            raise SimulationError(f"incident {self.name}: it ends at or before its start")

    def concerns(self, alarm: str) -> bool:
        """Whether the alarm of this name should see it."""
        return not self.alarms or any(fnmatchcase(alarm, pattern) for pattern in self.alarms)

    def overlaps(self, start: datetime, end: datetime) -> bool:
        """Whether [start, end) and the incident have a moment in common."""
        return self.start < end and start < self.end
