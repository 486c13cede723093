"""The month hour by hour and day by day: budget left, burn rates, attained shares."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from math import floor, lcm

from ..burn_rate import WINDOW_TABLE
from .budget import Promise, Sum, promised_time
from .months import HOUR, Stretch, length, moment, seconds, within
from .pack import Day, Span
from .read import SCALE, fraction

#: How far before the month sums are needed: the longest window that a burn rate is shown for.
LONGEST_WINDOW = timedelta(days=3)

_USUAL = timedelta(days=28)
_NOTHING, _ALL = Fraction(0), Fraction(1)


def windows_of(window: timedelta) -> tuple[int, ...]:
    """Seconds of the windows whose burn rates are shown: the long ones of the alarms, up to ``LONGEST_WINDOW``."""
    pairs = WINDOW_TABLE.get(window, WINDOW_TABLE[_USUAL])
    return tuple(
        sorted({pair.long_window // timedelta(seconds=1) for pair in pairs if pair.long_window <= LONGEST_WINDOW})
    )


class Hours:
    """One SLO's events, added up from ``LONGEST_WINDOW`` before ``start`` to ``until``.

    Sums are kept as integers over one denominator, so that a share is made only where it is shown.
    """

    def __init__(self, sums: Sequence[Sum], start: datetime, until: datetime, grid: int) -> None:
        self._start, self._until, self._grid = seconds(start), seconds(until), grid
        self._first = self._start - LONGEST_WINDOW // timedelta(seconds=1)
        self._common = lcm(1, *{one.q for one in sums if one.q is not None})
        size = -(-(self._until - self._first) // grid)
        bad, allowed, valid = [0] * size, [0] * size, [0] * size
        for one in sums:
            number = (one.begin - self._first) // grid
            if 0 <= number < size and one.p is not None and one.q is not None:
                bad[number] += (one.valid - one.good) * self._common
                allowed[number] += one.valid * (one.q - one.p) * (self._common // one.q)
                valid[number] += one.valid
        self._bad = [0, *accumulate(bad)]
        self._allowed = [0, *accumulate(allowed)]

    @property
    def ends(self) -> tuple[tuple[int, datetime], ...]:
        """Each hour's end from the start of the month on, as number of sums before it and as moment; at last ``until``."""
        return _ends(self._first, self._start, self._until, self._grid)

    def burn_down(self) -> tuple[tuple[datetime, Fraction], ...]:
        """The share of the month's budget that is left at each hour's end; nothing without a budget."""
        begin = (self._start - self._first) // self._grid
        before, whole = self._bad[begin], self._allowed[-1] - self._allowed[begin]
        if not whole:
            return ()
        found, gone, left = [], 0, _ALL
        for number, at in self.ends:
            if (now := self._bad[number] - before) != gone:
                gone, left = now, Fraction(whole - now, whole)
            found.append((at, left))
        return tuple(found)

    def burn_rates(self, windows: Iterable[int]) -> Mapping[int, tuple[tuple[datetime, Fraction | None], ...]]:
        """Over each window, at each hour's end, how many times as fast as allowed budget was spent; None without events."""
        return {window: self._rates(window // self._grid) for window in windows}

    def _rates(self, steps: int) -> tuple[tuple[datetime, Fraction | None], ...]:
        found: list[tuple[datetime, Fraction | None]] = []
        bads, alloweds = self._bad, self._allowed
        for number, at in self.ends:
            begin = max(0, number - steps)
            allowed = alloweds[number] - alloweds[begin]
            bad = bads[number] - bads[begin]
            found.append((at, (Fraction(bad, allowed) if bad else _NOTHING) if allowed else None))
        return tuple(found)

    def gone_at(self, share: Fraction, budget: Fraction) -> datetime | None:
        """The first hour's end by which more than ``share`` of a ``budget`` of bad events was gone; None if never."""
        before = self._bad[(self._start - self._first) // self._grid]
        enough = floor(budget * share * self._common * SCALE)  # of an integer, more than it is more than its floor
        for number, at in self.ends:
            if self._bad[number] - before > enough:
                return at
        return None


@lru_cache(maxsize=4)
def _ends(first: int, start: int, until: int, grid: int) -> tuple[tuple[int, datetime], ...]:
    """The same for every SLO of a review."""
    moments = [*range(start + HOUR, until, HOUR)]
    if until > start:
        moments.append(until)
    return tuple(((at - first) // grid, moment(at)) for at in moments)


def daily(
    days: Sequence[tuple[date, Span]], sums: Iterable[Sum], asked: Sequence[Stretch], promises: Iterable[Promise]
) -> tuple[Day, ...]:
    """The attained share of each local day; the ``days`` are in order and touch."""
    begins = [seconds(span.start) for _, span in days]
    good, valid = [0] * len(days), [0] * len(days)
    last = seconds(days[-1][1].end) if days else 0
    for one in sums:
        if begins and begins[0] <= one.begin < last:
            number = bisect_right(begins, one.begin) - 1
            good[number] += one.good
            valid[number] += one.valid
    known = promised_time(asked, promises)
    found = []
    for number, (day, span) in enumerate(days):
        begin, end = seconds(span.start), seconds(span.end)
        covered = Fraction(length(within(known, begin, end)), end - begin)
        attained = Fraction(good[number], valid[number]) if valid[number] else None
        found.append(Day(day, attained, fraction(valid[number]), covered))
    return tuple(found)
