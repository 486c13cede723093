"""Gaps: which spans of time are still to be asked, and in which periods they can still be had."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Moments = tuple[datetime, datetime]

#: How much earlier than CloudWatch a finer period is given up, so that it does not go while a pull runs.
MARGIN = timedelta(hours=1)
#: What is younger is not asked: metrics arrive up to some minutes late.
SETTLING = timedelta(minutes=15)
#: A pull ends on such a boundary, so that the next one can begin there with coarser periods, too.
GRAIN = 300


@dataclass(frozen=True, slots=True)
class Kept:
    """Datapoints of ``period`` seconds are kept for ``age``; None for ever."""

    period: int
    age: timedelta | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A span to be asked in datapoints of ``period`` seconds, both ends on its boundaries."""

    start: datetime
    end: datetime
    period: int


def end_of_pull(now: datetime) -> datetime:
    """Up to when a pull at ``now`` asks."""
    return rounded_down(now - SETTLING, GRAIN)


def rounded_down(moment: datetime, period: int) -> datetime:
    """The boundary of periods at or before a moment."""
    step = timedelta(seconds=period)
    return _EPOCH + (moment - _EPOCH) // step * step


def rounded_up(moment: datetime, period: int) -> datetime:
    """The boundary of periods at or after a moment."""
    down = rounded_down(moment, period)
    return down if down == moment else down + timedelta(seconds=period)


def periods_between(start: datetime, end: datetime, period: int) -> int:
    """How many whole periods lie in a span."""
    return (end - start) // timedelta(seconds=period)


def joined(spans: Iterable[Moments]) -> list[Moments]:
    """The spans in order, those that touch or overlap as one."""
    found: list[Moments] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def without(spans: Iterable[Moments], taken: Iterable[Moments]) -> list[Moments]:
    """What of ``spans`` is in none of ``taken``."""
    holes = joined(taken)
    found = []
    for begin, end in joined(spans):
        start = begin
        for first, last in holes:
            if last <= start or first >= end:
                continue
            if first > start:
                found.append((start, first))
            start = max(start, last)
        if start < end:
            found.append((start, end))
    return found


def common(spans: Iterable[Moments], others: Iterable[Moments]) -> list[Moments]:
    """What is in both."""
    left, right = joined(spans), joined(others)
    found = [(max(a, c), min(b, d)) for a, b in left for c, d in right]
    return [(start, end) for start, end in found if start < end]


def to_ask(
    covered: Iterable[Moments], since: datetime, until: datetime, kept: Sequence[Kept], now: datetime
) -> list[Asked]:
    """What is missing between ``since`` and ``until``, each part in the finest period that is still kept of it.

    ``kept`` is finest first.  A part of a coarse period beside what is covered is left out, so that nothing is counted
    twice: what was pulled finer stays finer.
    """
    found = []
    later = until
    missing = without([(since, until)], covered)
    for number, one in enumerate(kept):
        coarser = kept[number + 1].period if number + 1 < len(kept) else one.period
        earliest = since if one.age is None else rounded_up(now - one.age + MARGIN, coarser)
        for start, end in common(missing, [(earliest, later)]):
            first, last = rounded_up(start, one.period), rounded_down(end, one.period)
            if first < last:
                found.append(Asked(first, last, one.period))
        later = min(later, earliest)
    return sorted(found, key=lambda asked: asked.start)
