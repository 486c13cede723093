"""Evaluates one alarm at many moments at once: the rules of ``verdict.py`` on arrays (needs numpy)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..alarm import Alarm, Comparison, Metric, MetricStat, TreatMissingData
from .columns import Floats, Indices
from .metric_alarm import effective_treatment, low_sample_need, plausible_ranges, range_length
from .metric_math import Program, check_alarm_queries, compile_queries
from .reading import Counted, FreshBreach, Premature, Reading
from .schedule import slots, step
from .source import RangeSource
from .verdict import Verdict

Codes = NDArray[np.int8]

CODES = (Verdict.OK, Verdict.ALARM, Verdict.INSUFFICIENT_DATA, Verdict.RETAIN)
OK, ALARM, INSUFFICIENT_DATA, RETAIN = range(4)
_FINE, _BREACHING, _MISSING = range(3)
_Cell = TypeVar("_Cell", bound=np.generic)
_NOTHING_HIDDEN: Mapping[Metric, int] = MappingProxyType({})
# Cells looked at in one go: bounds the memory of alarms with many evaluation periods.
_CHUNK = 4_000_000

_COMPARE = {
    Comparison.GREATER_OR_EQUAL: np.greater_equal,
    Comparison.GREATER: np.greater,
    Comparison.LESS: np.less,
    Comparison.LESS_OR_EQUAL: np.less_equal,
}


@dataclass(frozen=True, slots=True)
class Rows(Generic[_Cell]):
    """The datapoints of evaluations as rows, oldest first: ``length`` columns of ``table``, the last ones replaced.

    ``table`` is a view that costs no memory.  ``newest`` has what the newest columns really hold, the newest first.
    """

    table: NDArray[_Cell]
    newest: Sequence[NDArray[_Cell]]
    length: int

    def take(self, rows: slice) -> NDArray[_Cell]:
        part = self.table[rows, -self.length :]
        if not self.newest:
            return part
        part = np.array(part)
        for back, column in enumerate(self.newest[: self.length], 1):
            part[:, -back] = np.broadcast_to(column, (len(self.table),))[rows]
        return part


@dataclass(frozen=True, slots=True)
class Sweep:
    """What an alarm's evaluations find, one entry for each moment.

    ``values`` has the datapoints as rows, oldest first; it is None where they depend on how many were read.
    """

    codes: Codes
    depends_on_range: NDArray[np.bool_]
    has_data: NDArray[np.bool_]
    values: Rows[np.float64] | None


def sweep(
    alarm: Alarm,
    source: RangeSource,
    first: datetime,
    count: int,
    *,
    evaluation_range: int | None,
    reading: Reading,
    hidden: Mapping[Metric, int] = _NOTHING_HIDDEN,
) -> Sweep:
    """Evaluate a sliding-window alarm on data up to ``first``, and up to each of its next ``count`` - 1 steps.

    ``hidden``: how many seconds of the newest data of a metric have not arrived when an evaluation reads it.
    """
    name = check_alarm_queries(alarm.queries)
    program = compile_queries(tuple(alarm.queries))
    length = range_length(alarm, evaluation_range, reading)
    ranges = plausible_ranges(alarm, length)
    grid = _Grid.over(alarm, source, first, count, max(ranges), hidden)
    treat = effective_treatment(alarm, reading)
    codes = np.empty(count, dtype=np.int8)
    depends = np.zeros(count, dtype=bool)
    has_data = np.zeros(count, dtype=bool)
    values: Rows[np.float64] | None = None
    if program.is_pointwise(name, reading):
        line = program.run(name, grid.fetch, grid.times, alarm.period, reading)
        newest = [
            program.run(name, partial(grid.column, back=back), grid.starts(back), alarm.period, reading)
            for back in range(1, grid.affected + 1)
        ]
        values = Rows(grid.rows(line), newest, length)
        states = Rows(grid.rows(_classify(alarm, line)), [_classify(alarm, column) for column in newest], max(ranges))
        for rows in grid.chunks(count):
            table = states.take(rows)
            codes[rows], incomplete = _judge(alarm, table[:, -length:], treat, reading)
            has_data[rows] = (table[:, -length:] != _MISSING).any(axis=1)
            if incomplete.any():
                places = np.arange(count)[rows][incomplete]
                doubtful = table[incomplete]
                for other in ranges:
                    found, _ = _judge(alarm, doubtful[:, -other:], treat, reading)
                    depends[places] |= found != codes[places]
    else:
        for rows in grid.chunks(count):
            for other in (length, *ranges):
                table = _classify(alarm, _table(program, name, grid, rows, other, alarm.period, reading))
                found, _ = _judge(alarm, table, treat, reading)
                if other == length:
                    codes[rows] = found
                    has_data[rows] = (table != _MISSING).any(axis=1)
                depends[rows] |= found != codes[rows]
    if (need := low_sample_need(alarm)) is not None:
        low = _samples(alarm, source, first, count, hidden) < need
        codes[low], depends[low] = RETAIN, False
    return Sweep(codes, depends, has_data, values)


@dataclass(slots=True)
class _Grid:
    """Windows of one period that begin every ``fineness`` seconds: the datapoints of all evaluations, each once."""

    source: RangeSource
    start: datetime
    fineness: int
    size: int
    stride: tuple[int, int]
    shape: tuple[int, int]
    times: Indices
    hidden: Mapping[Metric, int]
    period: int
    _lines: dict[MetricStat, Floats] = field(default_factory=dict)
    _columns: dict[tuple[MetricStat, int], Floats] = field(default_factory=dict)

    @classmethod
    def over(
        cls,
        alarm: Alarm,
        source: RangeSource,
        first: datetime,
        count: int,
        length: int,
        hidden: Mapping[Metric, int],
    ) -> _Grid:
        pace, period = step(alarm), alarm.period
        fineness = math.gcd(pace, period)
        start = slots(alarm, first, length)[0][0]
        size = ((count - 1) * pace + (length - 1) * period) // fineness + 1
        times = int(start.timestamp()) + np.arange(size, dtype=np.int64) * fineness
        stride = pace // fineness, period // fineness
        mine = {metric: late for metric in alarm.metrics if (late := hidden.get(metric, 0)) > 0}
        return cls(source, start, fineness, size, stride, (count, length), times, mine, period)

    @property
    def affected(self) -> int:
        """How many of the newest datapoints of an evaluation are not complete."""
        return min(max((-(-late // self.period) for late in self.hidden.values()), default=0), self.shape[1])

    def fetch(self, stat: MetricStat) -> Floats:
        """All windows, complete.  Those at the end that no evaluation sees complete are left missing."""
        if stat not in self._lines:
            late = -(-self.hidden.get(stat.metric, 0) // self.period)
            seen = self.size - late * self.stride[1] if late < self.shape[1] else 0
            line = self.source.windows(stat, self.start, self.fineness, seen) if seen else np.empty(0)
            self._lines[stat] = np.concatenate((line, np.full(self.size - seen, np.nan))) if late else line
        return self._lines[stat]

    def column(self, stat: MetricStat, back: int) -> Floats:
        """The datapoint ``back`` from the end (1 = newest) of each evaluation, of what has arrived by then."""
        late = min(self.hidden.get(stat.metric, 0) - (back - 1) * self.period, self.period)
        if late <= 0:
            return np.ascontiguousarray(self.rows(self.fetch(stat))[:, -back])
        if (stat, back) not in self._columns:
            if late == self.period:
                column = np.full(self.shape[0], np.nan)
            else:
                begin = self.start + timedelta(seconds=(self.shape[1] - back) * self.period)
                cut = replace(stat, period=self.period - late)
                column = self.source.windows(cut, begin, self.stride[0] * self.fineness, self.shape[0])
            self._columns[stat, back] = column
        return self._columns[stat, back]

    def starts(self, back: int) -> Indices:
        """When the datapoint ``back`` from the end of each evaluation begins."""
        return np.ascontiguousarray(self.rows(self.times)[:, -back])

    def rows(self, line: NDArray[_Cell]) -> NDArray[_Cell]:
        """Each evaluation's datapoints as a row, without copying."""
        line = np.ascontiguousarray(np.broadcast_to(line, (self.size,)))
        strides = (self.stride[0] * line.itemsize, self.stride[1] * line.itemsize)
        return np.lib.stride_tricks.as_strided(line, self.shape, strides, writeable=False)

    def chunks(self, count: int) -> Iterator[slice]:
        rows = max(1, _CHUNK // self.shape[1])
        return (slice(begin, min(begin + rows, count)) for begin in range(0, count, rows))


def _table(program: Program, name: str, grid: _Grid, rows: slice, length: int, period: int, reading: Reading) -> Floats:
    """Datapoints of the evaluations ``rows``, each calculated from the ``length`` that it reads."""

    def fetch(stat: MetricStat) -> Floats:
        table = np.array(grid.rows(grid.fetch(stat))[rows, -length:], dtype=np.float64)
        if stat.metric in grid.hidden:
            for back in range(1, min(grid.affected, length) + 1):
                table[:, -back] = grid.column(stat, back)[rows]
        return table

    times = np.array(grid.rows(grid.times)[rows, -length:], dtype=np.int64)
    return program.run(name, fetch, times, period, reading)


def _classify(alarm: Alarm, values: Floats) -> Codes:
    with np.errstate(invalid="ignore"):
        breaching = _COMPARE[alarm.comparison](values, alarm.threshold)
    return np.where(np.isnan(values), _MISSING, breaching).astype(np.int8)


def _judge(alarm: Alarm, table: Codes, treat: TreatMissingData, reading: Reading) -> tuple[Codes, NDArray[np.bool_]]:
    """The verdict on each row, and for which rows more than the newest N datapoints are looked at."""
    n, m = alarm.evaluation_periods, alarm.datapoints_to_alarm
    newest = table[:, -n:]
    codes = np.where((newest == _BREACHING).sum(axis=1) >= m, ALARM, OK).astype(np.int8)
    incomplete: NDArray[np.bool_] = (newest == _MISSING).any(axis=1)
    if reading.counted is Counted.RANGE:
        incomplete[:] = True
    if incomplete.any():
        codes[incomplete] = _judge_incomplete(table[incomplete], n, m, treat, reading)
    return codes, incomplete


def _judge_incomplete(table: Codes, n: int, m: int, treat: TreatMissingData, reading: Reading) -> NDArray[np.int64]:
    real, breach = table != _MISSING, table == _BREACHING
    present, breaching = real.sum(axis=1), breach.sum(axis=1)
    # Enough real datapoints in the range: the newest N of them count, whatever missing data is treated as.
    from_newest = real[:, ::-1].cumsum(axis=1)[:, ::-1]
    among_newest = (breach & (from_newest <= n)).sum(axis=1)
    if reading.counted is Counted.RANGE:
        among_newest = breaching
    enough = present >= n
    fills = n - present
    if treat is TreatMissingData.BREACHING:
        short = np.where(breaching + fills >= m, ALARM, OK)
    elif treat is TreatMissingData.NOT_BREACHING:
        short = np.where(breaching >= m, ALARM, OK)
    else:
        missing = treat is TreatMissingData.MISSING
        undecided = INSUFFICIENT_DATA if missing else RETAIN
        looked_at = real if reading.premature is Premature.RANGE else real[:, -n:]
        seen = looked_at.any(axis=1)
        age = np.where(seen, looked_at.shape[1] - 1 - looked_at.argmax(axis=1), -1)
        only_breaches = (breaching == present) & seen
        fresh = undecided if reading.fresh_breach is FreshBreach.INSUFFICIENT_DATA else OK
        short = np.where(only_breaches, np.where(age + 1 >= m, ALARM if missing else RETAIN, fresh), OK)
        short = np.where(breaching >= m, ALARM, short)
        short = np.where(present == 0, undecided, short)
    return np.where(enough, np.where(among_newest >= m, ALARM, OK), short)


def _samples(alarm: Alarm, source: RangeSource, first: datetime, count: int, hidden: Mapping[Metric, int]) -> Floats:
    """How many samples of the N periods of each evaluation have arrived."""
    stat = alarm.queries[0].stat
    if stat is None:
        return np.full(count, np.inf)
    length = stat.period * alarm.evaluation_periods - hidden.get(stat.metric, 0)
    if length <= 0:
        return np.zeros(count)
    whole = replace(stat, statistic="SampleCount", period=length)
    start = slots(alarm, first, alarm.evaluation_periods)[0][0]
    return np.nan_to_num(source.windows(whole, start, step(alarm), count))


def points(
    values: Rows[np.float64], row: int, alarm: Alarm, first: datetime
) -> Sequence[tuple[datetime, float | None]]:
    """The datapoints of one evaluation with their times, oldest first."""
    cells = values.take(slice(row, row + 1))[0].tolist()
    end = first + timedelta(seconds=row * step(alarm))
    period = timedelta(seconds=alarm.period)
    return [
        ((end - period * (len(cells) - index)).astimezone(UTC), None if math.isnan(cell) else cell)
        for index, cell in enumerate(cells)
    ]
