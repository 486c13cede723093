"""Columns: the data of one metric as arrays, and the value of a statistic in many windows at once (needs numpy)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SimulationError
from .statistics import STANDARD, Kind, Statistic

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(slots=True)
class Columns:
    """Rows sorted by time: seconds since 1970 and the number, sum, minimum and maximum of the samples of each.

    Where a row is a single value, ``minimum`` and ``maximum`` are one and the same array, and ``count`` is None when
    every row is one sample: a year of minutes then costs two arrays, not five.
    """

    times: Indices
    sums: Floats
    minimum: Floats
    maximum: Floats
    count: Floats | None = None
    step: int | None = None
    _prefix: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def single_valued(self) -> NDArray[np.bool_]:
        """True for the rows all of whose samples are equal: only those can yield percentiles."""
        if self.minimum is self.maximum:
            return np.ones(len(self), dtype=bool)
        alike: NDArray[np.bool_] = self.minimum == self.maximum
        return alike if self.count is None else alike | (self.count == 1)

    def drop_caches(self) -> None:
        """Forget the running sums; they are made again when needed."""
        self._prefix.clear()

    def bounds(self, starts: Indices, period: int) -> tuple[Indices, Indices]:
        """First row and row after the last one in each window [start, start + period)."""
        if self.step is not None and len(self):
            origin, size = int(self.times[0]), len(self)
            low = np.clip(-((origin - starts) // self.step), 0, size)
            high = np.clip(-((origin - starts - period) // self.step), 0, size)
            return low, high
        return np.searchsorted(self.times, starts), np.searchsorted(self.times, starts + period)

    def windows(self, statistic: Statistic, starts: Indices, period: int, what: str) -> Floats:
        """The statistic in each window [start, start + period); NaN where there is no row.

        ``what`` names metric and statistic in errors.  Raises SimulationError.
        """
        low, high = self.bounds(starts, period)
        values = np.full(len(starts), np.nan)
        full = high > low
        if not full.any():
            return values
        low, high = low[full], high[full]
        if statistic.kind in STANDARD:
            values[full] = self._standard(statistic.kind, low, high)
        else:
            self._require_samples(low, high, what)
            if statistic.kind is Kind.PERCENTILE_RANK:
                values[full] = self._percentile_rank(statistic, low, high)
            else:
                values[full] = [
                    self._extended(statistic, a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True)
                ]
        return values

    def _standard(self, kind: Kind, low: Indices, high: Indices) -> Floats:
        if kind is Kind.MINIMUM:
            return _extreme(self.minimum, low, high, np.minimum)
        if kind is Kind.MAXIMUM:
            return _extreme(self.maximum, low, high, np.maximum)
        if kind is Kind.SUM:
            return self._total("sum", self.sums, low, high)
        count = self._count(low, high)
        return count if kind is Kind.SAMPLE_COUNT else self._total("sum", self.sums, low, high) / count

    def _count(self, low: Indices, high: Indices) -> Floats:
        if self.count is None:
            return (high - low).astype(np.float64)
        return self._total("count", self.count, low, high)

    def _total(self, name: str, column: Floats, low: Indices, high: Indices) -> Floats:
        prefix = self._prefix.get(name)
        if prefix is None:
            prefix = self._prefix[name] = _running_sum(column)
        total = _between(prefix, low, high)
        alone = high - low == 1
        total[alone] = column[low[alone]]
        return total

    def _require_samples(self, low: Indices, high: Indices, what: str) -> None:
        first, last = int(low.min()), int(high.max())
        if not self.single_valued[first:last].all():
            raise SimulationError(f"{what} cannot be had from statistic sets; give the series as Samples")
        if (self.minimum[first:last] < 0).any():
            raise SimulationError(f"{what} does not exist for a metric with negative values; CloudWatch gives none")

    def _percentile_rank(self, statistic: Statistic, low: Indices, high: Indices) -> Floats:
        inside = (self.maximum > statistic.low) & (self.maximum <= statistic.high)
        weight = inside.astype(np.float64) if self.count is None else np.where(inside, self.count, 0.0)
        return 100.0 * _between(_running_sum(weight), low, high) / self._count(low, high)

    def _extended(self, statistic: Statistic, low: int, high: int) -> float:
        values = self.maximum[low:high]
        weights = np.ones(len(values)) if self.count is None else self.count[low:high]
        order = np.argsort(values, kind="stable")
        return reduce_samples(statistic, values[order], weights[order])


def reduce_samples(statistic: Statistic, values: Floats, weights: Floats) -> float:
    """A percentile or trimmed statistic of sorted, weighted samples; NaN where nothing is left to average."""
    total = float(weights.sum())
    if statistic.kind is Kind.PERCENTILE:
        return _percentile(values, weights, statistic.high)
    if statistic.kind is Kind.WINSORIZED_MEAN:
        if statistic.relative:
            floor, ceiling = (_percentile(values, weights, share) for share in (statistic.low, statistic.high))
        else:
            floor, ceiling = statistic.low, statistic.high
        return float((np.clip(values, floor, ceiling) * weights).sum() / total)
    if statistic.relative:
        # A sample on the edge counts in part, so that TC is the share of the samples exactly.
        upper = np.minimum(np.cumsum(weights), statistic.high * total)
        lower = np.maximum(np.cumsum(weights) - weights, statistic.low * total)
        kept = np.clip(upper - lower, 0, None)
    else:
        kept = np.where((values > statistic.low) & (values <= statistic.high), weights, 0.0)
    count = float(kept.sum())
    if statistic.kind is Kind.TRIMMED_COUNT:
        return count
    sum_kept = float((kept * values).sum())
    if statistic.kind is Kind.TRIMMED_SUM:
        return sum_kept
    return sum_kept / count if count else math.nan


def _percentile(values: Floats, weights: Floats, share: float) -> float:
    """Linear interpolation between the two nearest samples (AWS does not document its interpolation)."""
    ends = np.cumsum(weights)
    position = share * (float(ends[-1]) - 1)
    if position <= 0:
        return float(values[0])
    below = min(int(np.searchsorted(ends, math.floor(position), side="right")), len(values) - 1)
    above = min(int(np.searchsorted(ends, math.ceil(position), side="right")), len(values) - 1)
    fraction = position - math.floor(position)
    return float(values[below] + (values[above] - values[below]) * fraction)


def _running_sum(column: Floats) -> tuple[Floats, Floats]:
    """Running sum with its rounding error beside it, so that a difference of two sums is as good as a direct sum."""
    high = np.concatenate(([0.0], np.cumsum(column)))
    before, after = high[:-1], high[1:]
    shadow = after - before
    error = (before - (after - shadow)) + (column - shadow)
    return high, np.concatenate(([0.0], np.cumsum(error)))


def _between(prefix: tuple[Floats, Floats], low: Indices, high: Indices) -> Floats:
    main, rest = prefix
    minuend, subtrahend = main[high], main[low]
    difference = minuend - subtrahend
    shadow = minuend - difference
    error = (minuend - (difference + shadow)) + (shadow - subtrahend)
    total: Floats = difference + (error + (rest[high] - rest[low]))
    return total


def _extreme(column: Floats, low: Indices, high: Indices, pick: np.ufunc) -> Floats:
    """Minimum or maximum of each slice, by doubling: level k holds the extreme of 2**k rows."""
    length = high - low
    level = np.frexp(length.astype(np.float64))[1] - 1
    result = np.empty(len(low))
    table = column
    for k in range(int(level.max()) + 1):
        if k:
            half = 1 << (k - 1)
            table = pick(table[:-half], table[half:])
        chosen = level == k
        if chosen.any():
            result[chosen] = pick(table[low[chosen]], table[high[chosen] - (1 << k)])
    return result


def regular_step(times: Indices) -> int | None:
    """The distance of the times if it is always the same, else None."""
    if len(times) < 2:
        return 1 if len(times) else None
    step = int(times[1] - times[0])
    if step <= 0 or int(times[-1] - times[0]) != step * (len(times) - 1):
        return None
    return step if bool((np.diff(times) == step).all()) else None


def build(times: Any, count: Any, sums: Any, minimum: Any, maximum: Any) -> Columns:
    """Columns from five equally long sequences in any order; ``None`` for a column that follows from the others."""
    moments = np.asarray(times, dtype=np.int64)
    columns = [
        None if column is None else np.asarray(column, dtype=np.float64) for column in (count, sums, minimum, maximum)
    ]
    if len(moments) > 1 and bool((np.diff(moments) < 0).any()):
        order = np.argsort(moments, kind="stable")
        moments = moments[order]
        columns = [None if column is None else column[order] for column in columns]
    counts, totals, lowest, highest = columns
    if totals is None:
        raise ValueError("the sums are never left out")
    if counts is not None and bool((counts == 1).all()):
        counts = None
    lowest = totals if lowest is None else lowest
    highest = lowest if highest is None else highest
    return Columns(moments, totals, lowest, highest, counts, regular_step(moments))
