"""Batches: which datapoints of which queries go into which call of GetMetricData, so that there are few calls.

A call takes at most 500 queries and returns at most 100,800 datapoints (API reference, GetMetricData), and all of its
queries share one span.  What is wanted of a number of queries over one span is therefore a rectangle, queries by
periods, to be cut into rectangles of calls.  The floor of their number is

    max(⌈queries x periods / 100,800⌉, ⌈queries / 500⌉)

and no cut can do with fewer.  A call is billed for each query in it however short its span, so among cuts into equally
few calls the one with the fewest queries in all is the cheapest: few queries over long spans.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from .gaps import periods_between

MOST_QUERIES = 500
MOST_DATAPOINTS = 100_800


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call takes and returns at most."""

    queries: int = MOST_QUERIES
    datapoints: int = MOST_DATAPOINTS


@dataclass(frozen=True, slots=True)
class Wanted:
    """The datapoints of one query from ``start`` up to ``end``, both on a boundary of ``period`` (seconds)."""

    query: str
    period: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Call:
    """One call: these queries, each in datapoints of ``period`` seconds, from ``start`` up to ``end``."""

    queries: tuple[str, ...]
    period: int
    start: datetime
    end: datetime

    @property
    def datapoints(self) -> int:
        """How many it returns at most."""
        return len(self.queries) * periods_between(self.start, self.end, self.period)


_LIMITS = Limits()
# The search for a better cut ends after so many attempts; it is short wherever it finds one.
_STEPS = 300
# Slabs of time, and how many widths are tried for the first: the longest ones, which bill least.
_SLABS, _TRIED = 3, 12


def batch(wanted: Iterable[Wanted], limits: Limits = _LIMITS) -> tuple[Call, ...]:
    """The calls for all that is wanted, each datapoint in exactly one of them; earlier spans first.

    Queries are kept in the order in which they are first wanted, so that those that belong together stay together.
    Spans that differ only in the one period that a level needs in front are read together where that saves a call:
    only then is a datapoint asked that is not wanted.
    """
    groups: dict[tuple[int, datetime, datetime], list[str]] = {}
    for one in wanted:
        if one.start < one.end:
            groups.setdefault((one.period, one.start, one.end), []).append(one.query)
    calls = []
    cutter = _Cutter(limits)
    for (period, start, end), queries in _joined(groups, cutter):
        step = timedelta(seconds=period)
        for piece in cutter.cut(len(queries), periods_between(start, end, period)):
            chosen = tuple(queries[piece.top : piece.top + piece.rows])
            calls.append(Call(chosen, period, start + piece.first * step, start + piece.last * step))
    return tuple(calls)


def fewest_calls(wanted: Iterable[Wanted], limits: Limits = _LIMITS) -> int:
    """The floor of the number of calls, span by span: what no cut of them can do with fewer of.

    Spans that differ only in one period in front count as one, as `batch` may read them together.
    """
    rows: dict[tuple[int, datetime, datetime], int] = {}
    for one in wanted:
        if one.start < one.end:
            key = one.period, one.start, one.end
            rows[key] = rows.get(key, 0) + 1
    total = 0
    for key in sorted(rows, key=lambda one: (one[1], one[2], one[0])):
        period, start, end = key
        count = rows.pop(key, 0)
        more = rows.pop((period, start + timedelta(seconds=period), end), 0) if count else 0
        length = periods_between(start, end, period)
        datapoints = count * length + more * (length - 1)
        total += max(-(-datapoints // limits.datapoints), -(-(count + more) // limits.queries))
    return total


def _floor(rows: int, length: int, limits: Limits) -> int:
    return max(-(-rows * length // limits.datapoints), -(-rows // limits.queries))


def _joined(
    groups: dict[tuple[int, datetime, datetime], list[str]], cutter: _Cutter
) -> list[tuple[tuple[int, datetime, datetime], list[str]]]:
    """The groups in order of time, a group joined with the one that begins a period earlier where that saves calls."""
    left = dict(groups)
    found = []
    for key in sorted(groups, key=lambda one: (one[1], one[2], one[0])):
        if key not in left:
            continue
        period, start, end = key
        queries = left.pop(key)
        later = period, start + timedelta(seconds=period), end
        if later in left:
            length = periods_between(start, end, period)
            apart = len(cutter.cut(len(queries), length)) + len(cutter.cut(len(left[later]), length - 1))
            if len(cutter.cut(len(queries) + len(left[later]), length)) < apart:
                queries = queries + left.pop(later)
        found.append((key, queries))
    return found


@dataclass(frozen=True, slots=True)
class _Piece:
    """A rectangle that is one call: rows from ``top`` on, periods from ``first`` up to ``last``."""

    top: int
    rows: int
    first: int
    last: int


class _Cutter:
    """Cuts rectangles of queries by periods into the fewest calls, and among those cuts takes one that bills few.

    Stripes of queries over the whole span, each cut along the time, reach the floor for nearly all sizes that occur.
    Slabs of time that fill their calls, with stripes for the rest, often bill fewer queries.  Where neither reaches the
    floor, slabs and stripes are taken off until what is left fits, as far as the search goes.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._changes: dict[int, list[tuple[int, int, int]]] = {}
        self._failed: set[tuple[int, int, int]] = set()
        self._steps = 0

    def cut(self, rows: int, length: int) -> tuple[_Piece, ...]:
        """All pieces, stripe by stripe, earlier ones first."""
        calls, _, widths = self._slabs(rows, length, _SLABS)
        for target in range(_floor(rows, length, self._limits), calls):
            self._steps = _STEPS
            found = self._search(rows, length, target)
            if found is not None:
                break
        else:
            found, end = [], length
            for width in widths:
                parts = -(-rows // (self._limits.datapoints // width))
                found += [_Piece(top, low - top, end - width, end) for top, low in _edges(rows, parts)]
                end -= width
            found += self._as_stripes(rows, end)
        return tuple(sorted(found, key=lambda piece: (piece.top, piece.first)))

    def _slabs(self, rows: int, length: int, most: int) -> tuple[int, int, tuple[int, ...]]:
        """Calls, billed queries and widths of at most ``most`` slabs, each of which takes every query once; stripes for
        the rest."""
        best: tuple[int, int, tuple[int, ...]] = (*self._stripes(rows, length), ())
        least = self._limits.datapoints // length + 1
        tried = _TRIED if most == _SLABS else 1
        for size in range(least, min(least + tried, rows, self._limits.queries) + 1) if most else ():
            if best[:2] == (_floor(rows, length, self._limits), rows):
                break
            width = self._limits.datapoints // size
            calls, billed, widths = self._slabs(rows, length - width, most - 1)
            found = calls - (-rows // size), billed + rows, (width, *widths)
            if found[:2] < best[:2]:
                best = found
        return best

    def _search(self, rows: int, length: int, calls: int) -> list[_Piece] | None:
        """A cut into at most ``calls`` pieces, or None."""
        key = rows, length, calls
        if _floor(rows, length, self._limits) > calls or key in self._failed:
            return None
        if self._stripes(rows, length)[0] <= calls:
            return self._as_stripes(rows, length)
        self._steps -= 1
        if self._steps < 0:
            return None
        for taken in range(1, calls):
            width = self._limits.datapoints // -(-rows // taken)
            if -(-rows // taken) <= self._limits.queries and 0 < width < length:
                rest = self._search(rows, length - width, calls - taken)
                if rest is not None:
                    edges = _edges(rows, taken)
                    slab = [_Piece(top, low - top, length - width, length) for top, low in edges]
                    return rest + slab
            size = min(self._limits.datapoints // -(-length // taken), self._limits.queries)
            if 0 < size < rows:
                rest = self._search(rows - size, length, calls - taken)
                if rest is not None:
                    edges = _edges(length, taken)
                    return rest + [_Piece(rows - size, size, first, last) for first, last in edges]
        self._failed.add(key)
        return None

    def _as_stripes(self, rows: int, length: int) -> list[_Piece]:
        found: list[_Piece] = []
        self._stripes(rows, length)
        changes, left = self._changes[length], rows
        sizes = []
        while left:
            sizes.append(changes[left][2])
            left -= sizes[-1]
        top = 0
        for size in sorted(sizes, reverse=True):
            parts = -(-length // (self._limits.datapoints // size))
            found += [_Piece(top, size, first, last) for first, last in _edges(length, parts)]
            top += size
        return found

    def _stripes(self, rows: int, length: int) -> tuple[int, int]:
        """Calls and billed queries of the cheapest stripes, found as change is given: for each total the best last coin."""
        changes = self._changes.setdefault(length, [(0, 0, 0)])
        if len(changes) <= rows:
            coins = self._coins(length)
            largest = coins[-1][0]
            for total in range(len(changes), rows + 1):
                options = [
                    (changes[total - size][0] + calls, changes[total - size][1] + calls * size, -size)
                    for size, calls in coins
                    if size < total
                ]
                if total <= largest:
                    calls = -(-length // (self._limits.datapoints // total))
                    options.append((calls, calls * total, -total))
                best = min(options)
                changes.append((best[0], best[1], -best[2]))
        return changes[rows][:2]

    def _coins(self, length: int) -> list[tuple[int, int]]:
        """The largest stripe for each number of calls; a smaller one is worth while only as the last."""
        found: dict[int, int] = {}
        for size in range(min(self._limits.queries, self._limits.datapoints), 0, -1):
            found.setdefault(-(-length // (self._limits.datapoints // size)), size)
        return sorted((size, calls) for calls, size in found.items())


def _edges(length: int, parts: int) -> list[tuple[int, int]]:
    """``parts`` spans of about the same length."""
    edges = [length * number // parts for number in range(parts + 1)]
    return [(first, last) for first, last in pairwise(edges) if first < last]
