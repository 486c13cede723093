"""What the alarm of one severity did in one scenario, and whether that is right."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ..model import Severity
from .theory import Expected


class Verdict(StrEnum):
    """How an alarm did.

    ``STUCK``: still in ALARM when its short window has long been clean.  ``TOLD_NOBODY``: in ALARM as it should be, but
    without an action that tells of it.  ``FLAPS``: told of one incident again and again.
    """

    AS_EXPECTED = "as expected"
    MISSED = "missed"
    FALSE_ALARM = "false alarm"
    LATE = "late"
    STUCK = "stuck"
    TOLD_NOBODY = "told nobody"
    FLAPS = "flaps"


class Remark(StrEnum):
    """Why an alarm that tells of one incident again and again is no finding."""

    NONE = ""
    AT_THRESHOLD = "flaps at its threshold"
    QUIET = "flaps when quiet"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the alarm of one severity did in one scenario.

    ``in_alarm_after`` is when the alarm was first in ALARM, ``told_after`` when somebody was first told of it; both, and the
    theory's time from ``theory`` until ``theory_at_latest``, count from the incident's start, ``reset_after`` from its
    end; None where it does not apply.  ``held_back``: a ticket that waited while the page told somebody.
    ``budget_gone``: the share of the whole SLO window's budget that was spent when somebody was told.
    ``notifications``: how often somebody was told of an alarm.
    """

    system: str
    slo: str
    scenario: str
    severity: Severity
    expected: Expected
    fired: bool
    at: datetime | None
    told_at: datetime | None
    in_alarm_after: timedelta | None
    told_after: timedelta | None
    held_back: bool
    theory: timedelta | None
    theory_at_latest: timedelta | None
    reset_after: timedelta | None
    budget_gone: float | None
    notifications: int
    verdict: Verdict
    remark: Remark = Remark.NONE

    @property
    def good(self) -> bool:
        """Whether it did what it should."""
        return self.verdict is Verdict.AS_EXPECTED

    def as_json(self) -> dict[str, Any]:
        """Durations in seconds."""
        return {
            "system": self.system,
            "slo": self.slo,
            "scenario": self.scenario,
            "severity": self.severity.value,
            "expected": self.expected.value,
            "fired": self.fired,
            "at": _stamp(self.at),
            "told_at": _stamp(self.told_at),
            "in_alarm_after": _seconds(self.in_alarm_after),
            "told_after": _seconds(self.told_after),
            "held_back": self.held_back,
            "theory": _seconds(self.theory),
            "theory_at_latest": _seconds(self.theory_at_latest),
            "reset_after": _seconds(self.reset_after),
            "budget_gone": None if self.budget_gone is None else round(self.budget_gone, 6),
            "notifications": self.notifications,
            "verdict": self.verdict.value,
            "remark": self.remark.value,
        }


def _stamp(at: datetime | None) -> str | None:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else None


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else round(value.total_seconds(), 3)
