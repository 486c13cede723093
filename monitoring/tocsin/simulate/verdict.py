"""M of N with missing data: what a row of datapoints makes of an alarm, written straight from the documented rules.

User guide, pages "Configuring how CloudWatch alarms treat missing data" and "Alarm evaluation".  This is the literal
form; ``sweep.py`` has the same rules for many rows at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from ..alarm import AlarmState, TreatMissingData
from .reading import DEFAULT, Counted, FreshBreach, Premature, Reading


class Verdict(StrEnum):
    """A state, or that the alarm keeps the state it has."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"
    RETAIN = "RETAIN"

    def state(self, current: AlarmState) -> AlarmState:
        """The state after this verdict."""
        return current if self is Verdict.RETAIN else AlarmState(self.value)


def judge(slots: Sequence[bool | None], n: int, m: int, treat: TreatMissingData, reading: Reading = DEFAULT) -> Verdict:
    """The verdict on ``slots``, newest last: True breaching, False not breaching, None missing.

    ``slots`` is the evaluation range, at least ``n`` long.
    """
    real = [slot for slot in slots if slot is not None]
    if len(real) >= n:
        counted = real[-n:] if reading.counted is Counted.NEWEST else real
        return Verdict.ALARM if sum(counted) >= m else Verdict.OK
    breaching, fills = sum(real), n - len(real)
    if treat is TreatMissingData.BREACHING:
        return Verdict.ALARM if breaching + fills >= m else Verdict.OK
    if treat is TreatMissingData.NOT_BREACHING:
        return Verdict.ALARM if breaching >= m else Verdict.OK
    undecided = Verdict.INSUFFICIENT_DATA if treat is TreatMissingData.MISSING else Verdict.RETAIN
    if not real:
        return undecided
    if breaching >= m:
        return Verdict.ALARM
    if breaching < len(real):
        return Verdict.OK
    # Only breaches, fewer than M.  They suffice once the oldest is M periods old: nothing newer speaks against it.
    newest_first = list(reversed(slots if reading.premature is Premature.RANGE else slots[-n:]))
    ages = [age for age, slot in enumerate(newest_first) if slot is not None]
    if ages and max(ages) + 1 >= m:
        return Verdict.ALARM if treat is TreatMissingData.MISSING else Verdict.RETAIN
    if ages and reading.fresh_breach is FreshBreach.INSUFFICIENT_DATA:
        return undecided
    return Verdict.OK
