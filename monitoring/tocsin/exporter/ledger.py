"""Counts of one SLO over time: totals that never fall, sums over windows; a period read again replaces itself.

CloudWatch changes what it said of the last minutes: a counter that fell would look restarted to Prometheus, and one
that added a period up again would count it twice.  So the true totals are kept by period, and what is shown of them is
the highest they have been; what was too much is made up for by what comes next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction

Count = tuple[datetime, Fraction, Fraction]
#: Whole numbers, which most counts are, add up twenty times as fast as Fractions; both are exact.
Number = int | Fraction

#: For so long minutes are kept: the longest burn-rate window.
MINUTES_KEPT = timedelta(days=3)

_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Sum:
    """Good and valid events of a span."""

    good: Number
    valid: Number

    @property
    def bad(self) -> Number:
        """Valid and not good."""
        return self.valid - self.good


@dataclass(slots=True)
class Ledger:
    """The counts of one SLO.  ``until`` is how far it has been told; totals count what began at ``since`` or later."""

    since: datetime
    until: datetime | None = None
    _minutes: dict[datetime, tuple[Number, Number]] = field(default_factory=dict)
    _hours: dict[datetime, tuple[Number, Number]] = field(default_factory=dict)
    _total: list[Number] = field(default_factory=lambda: [0, 0])
    _shown: list[Number] = field(default_factory=lambda: [0, 0])
    _last_good: datetime | None = None

    def put_minutes(self, since: datetime, until: datetime, counts: Iterable[Count]) -> None:
        """Put the minutes from ``since`` to before ``until`` in the place of what was known of them.

        Minutes older than three days before ``until`` become hours.  Those before ``since`` stay.
        """
        for at in [at for at in self._minutes if since <= at < until]:
            self._add(at, self._minutes.pop(at), -1)
        oldest = self.minutes_from
        for at, good, valid in counts:
            if since <= at < until and (oldest is None or at >= oldest):
                self._minutes[at] = value = (_number(good), _number(valid))
                self._add(at, value, 1)
                if good > 0 and (self._last_good is None or at > self._last_good):
                    self._last_good = at
        self._shown = [max(shown, true) for shown, true in zip(self._shown, self._total, strict=True)]
        self.until = until if self.until is None else max(self.until, until)
        self._fold()

    def put_hours(self, counts: Iterable[Count]) -> None:
        """Put what is known of the time before the minutes; of several counts in one hour the sum."""
        before = self.minutes_from
        hours: dict[datetime, tuple[Number, Number]] = {}
        for at, good, valid in counts:
            hour = hour_of(at)
            if before is not None and hour < before:
                old = hours.get(hour, (0, 0))
                hours[hour] = (old[0] + _number(good), old[1] + _number(valid))
        self._hours = hours
        lately = max((hour for hour, (good, _) in hours.items() if good > 0), default=None)
        if lately is not None and (self._last_good is None or lately > self._last_good):
            self._last_good = lately

    @property
    def minutes_from(self) -> datetime | None:
        """The full hour from which on minutes are kept; None before there are any."""
        return None if self.until is None else hour_of(self.until - MINUTES_KEPT)

    @property
    def totals(self) -> Sum:
        """Events since ``since``; neither number ever falls."""
        return Sum(*self._shown)

    @property
    def last_good(self) -> datetime | None:
        """The start of the newest period with a good event, as far as is known."""
        return self._last_good

    def over(self, windows: Sequence[timedelta]) -> list[Sum]:
        """The events of each window that ends at ``until``; of at most three days each."""
        if self.until is None:
            return [Sum(0, 0) for _ in windows]
        found: dict[timedelta, Sum] = {}
        good: Number = 0
        valid: Number = 0
        newest_first = sorted(self._minutes, reverse=True)
        position = 0
        for window in sorted(set(windows)):
            start = self.until - window
            while position < len(newest_first) and newest_first[position] >= start:
                one = self._minutes[newest_first[position]]
                good += one[0]
                valid += one[1]
                position += 1
            found[window] = Sum(good, valid)
        return [found[window] for window in windows]

    def since_hour_of(self, start: datetime) -> Sum:
        """The events from the full hour of ``start`` to ``until``, from hours and minutes."""
        first = hour_of(start)
        values = [value for at, value in self._hours.items() if at >= first]
        values += [value for at, value in self._minutes.items() if at >= first]
        return Sum(sum(good for good, _ in values), sum(valid for _, valid in values))

    def forget_hours_before(self, moment: datetime) -> None:
        """Drop hours that no window holds any more."""
        for at in [at for at in self._hours if at < moment]:
            del self._hours[at]

    def _add(self, at: datetime, value: tuple[Number, Number], sign: int) -> None:
        if at >= self.since:
            self._total[0] += sign * value[0]
            self._total[1] += sign * value[1]

    def _fold(self) -> None:
        """Minutes that are old become part of their hours, which stay in the totals."""
        oldest = self.minutes_from
        for at in [at for at in self._minutes if oldest is not None and at < oldest]:
            good, valid = self._minutes.pop(at)
            old = self._hours.get(hour_of(at), (0, 0))
            self._hours[hour_of(at)] = (old[0] + good, old[1] + valid)


def hour_of(moment: datetime) -> datetime:
    """The full hour that a moment lies in."""
    return moment.replace(minute=0, second=0, microsecond=0)


def minute_of(moment: datetime) -> datetime:
    """The full minute of UTC that a moment lies in."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def _number(value: Fraction) -> Number:
    return value.numerator if value.denominator == 1 else value
