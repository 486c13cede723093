"""A healthy simulated year of one promise: how often its alarms would have told somebody of nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..model import Severity
from .judge import firings, play, told
from .promises import Promise
from .scenarios import USUAL, brief_for, year

DAYS = 365


@dataclass(frozen=True, slots=True)
class Year:
    """``told``: how often somebody was told, by severity; ``fired``: how often the alarm went into ALARM."""

    system: str
    slo: str
    days: int
    fired: Mapping[Severity, int]
    told: Mapping[Severity, int]

    def as_json(self) -> dict[str, Any]:
        return {
            "system": self.system,
            "slo": self.slo,
            "days": self.days,
            "fired": {severity.value: number for severity, number in self.fired.items()},
            "told": {severity.value: number for severity, number in self.told.items()},
        }


def healthy_year(promise: Promise, seed: int, *, usual: float = USUAL, days: int = DAYS) -> Year:
    """Load over days and nights with half the budget spent by chance; or a job that always succeeds in time.

    Holds the minutes of one promise at a time in memory.  Raises SimulationError.
    """
    traffic = year(brief_for(promise.slo, seed, promise.system, "year", usual), days)
    timeline = play(promise, traffic)
    return Year(
        promise.system,
        promise.slo.name,
        days,
        {severity: len(firings(timeline, name)) for severity, name in promise.alarms.items()},
        {severity: told(timeline, name) for severity, name in promise.alarms.items()},
    )
