"""What an SLO's alarms should do by the workbook: the rule of the burn-rate tiers, on what the traffic was meant to be.

Google SRE workbook, chapter 5, "Alerting on SLOs": a tier fires when both its windows burn faster than its burn rate.
For a constant error ratio after perfect service that is its formula (1 - SLO) / error ratio x window x burn rate; the
same rule on running sums also answers for traffic that changes.  Nothing here reads an alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import numpy as np

from ..burn_rate import HeartbeatWindow, Tier
from ..model import Slo
from .traffic import Course, Floats, Marks

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_HOUR = 60
# What happens just after a full hour is read by the evaluation of the next, which may come in its last minute.
_HOURLY_LATEST = _HOUR + 59
# So near to a threshold chance decides: traffic comes in whole events, and counts of them vary.
_EDGE = 0.02


class Expected(StrEnum):
    """What an alarm should do; ``EITHER``: so near its threshold that chance decides."""

    FIRES = "fires"
    SILENT = "silent"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What should happen, and between how long ``after`` the start of the incident and ``at_latest`` after it.

    ``at_latest`` is later by almost two hours where the window is evaluated hourly: on data up to the full hour, in a
    minute of the next hour that AWS does not document.
    """

    expected: Expected
    after: timedelta | None = None
    at_latest: timedelta | None = None


SILENT = Expectation(Expected.SILENT)


def expect_burn(slo: Slo, tiers: Sequence[Tier], course: Course, watched: int, onset: int) -> Expectation:
    """What alarms of these tiers should do from minute ``watched`` on, in time after minute ``onset``."""
    sums = _Sums.of(course)
    sure, possible = [], False
    for tier in tiers:
        surely = _fires(slo, tier, sums, watched, 1 + _EDGE, whole=True)
        possible = possible or _fires(slo, tier, sums, watched, 1 - _EDGE, whole=False) is not None
        if surely is None:
            continue
        exact = _fires(slo, tier, sums, watched, 1, whole=True)
        sure.append((surely if exact is None else exact, tier.long_window > _DAY))
    if not sure:
        return Expectation(Expected.EITHER) if possible else SILENT
    first = min(at for at, _ in sure)
    latest = min(at + _HOURLY_LATEST if hourly else at for at, hourly in sure)
    return Expectation(Expected.FIRES, _minutes(first - onset), _minutes(latest - onset))


def expect_run(window: HeartbeatWindow, successes: Floats, minutes: int, watched: int, onset: int) -> Expectation:
    """What a heartbeat alarm should do, given the minutes in which a run succeeded."""
    within = window.period * window.periods // 60
    hourly = window.period * window.periods > 86_400
    ends = np.append(successes[1:], minutes)
    gone = successes + within
    late = (ends > watched) & (ends > gone)
    if not late.any():
        return SILENT
    index = int(np.flatnonzero(late)[0])
    # A success counts until the datapoint that holds its minute has left the window, seen at the next evaluation.
    after, latest = float(gone[index]), float(gone[index]) + (_HOURLY_LATEST if hourly else 1)
    # What is evaluated is the window up to the full hour: a success after it comes too late, even before the evaluation.
    empty = ends[index] > gone[index] + (_HOUR if hourly else 1)
    expected = Expected.FIRES if empty and minutes > latest else Expected.EITHER
    return Expectation(expected, _minutes(after - onset), _minutes(latest - onset))


def _minutes(number: float) -> timedelta:
    return timedelta(milliseconds=round(number * 60_000))


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Valid and bad events before each minute."""

    valid: Floats
    bad: Floats

    @classmethod
    def of(cls, course: Course) -> _Sums:
        return cls(_running(course.rate), _running(course.rate * course.ratio))

    def within(self, window: timedelta) -> tuple[Floats, Floats]:
        """Valid and bad events in the window that ends at each minute."""
        length = window // _MINUTE
        before = np.maximum(np.arange(len(self.valid)) - length, 0)
        return self.valid - self.valid[before], self.bad - self.bad[before]


def _running(values: Floats) -> Floats:
    return np.concatenate(([0.0], np.cumsum(values)))


def _fires(slo: Slo, tier: Tier, sums: _Sums, watched: int, scale: float, *, whole: bool) -> float | None:
    """The minute, with its fraction, at which the tier's condition first holds; None if never.

    ``scale`` moves the threshold.  ``whole``: also ask for a whole bad event in the short window, and for the condition
    to hold until the next evaluation of a window that is evaluated hourly.
    """
    threshold = min(float(tier.bad_ratio) * scale, 1 - 1e-9)
    margins = []
    for window, least in ((tier.long_window, slo.minimum_bad_events), (tier.short_window, 1)):
        valid, bad = sums.within(window)
        margins.append(bad - threshold * valid)
        if whole or least > 1:
            margins.append(bad - (least if whole else least * scale) + 1e-6)
    holds: Marks = np.all([margin > 1e-9 for margin in margins], axis=0)
    holds[:watched] = False
    needed = _HOUR if whole and tier.long_window > _DAY else 1
    counted = _running(holds.astype(np.float64))
    lasting = np.flatnonzero(counted[needed:] - counted[:-needed] >= needed)
    if not len(lasting):
        return None
    first = int(lasting[0])
    # Between two minutes all sums grow evenly.
    fractions = [
        max(0.0, -float(margin[first - 1])) / float(margin[first] - margin[first - 1])
        for margin in margins
        if margin[first - 1] <= 1e-9
    ]
    return first - 1 + max(fractions, default=1.0)
