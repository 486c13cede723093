"""Store: metric data in memory, from files or appended while it happens, read as any statistic over any period."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ..alarm import Metric, MetricStat
from ..errors import SimulationError
from .csv_file import parse_metric, read_csv
from .series_file import Series, read_series
from .spans import Spans
from .statistics import Kind, StatisticSet, parse_statistic

if TYPE_CHECKING:
    from .columns import Columns, Floats, Indices

__all__ = ["Series", "Store", "load_series"]

# A value that stands for a whole period can be added up and compared, but says nothing about the samples behind it.
_FROM_VALUES = frozenset({Kind.SUM, Kind.AVERAGE, Kind.MINIMUM, Kind.MAXIMUM})
# Statistics of long periods that follow exactly from the same statistic of short ones.
_COMPOSABLE = frozenset({Kind.SUM, Kind.SAMPLE_COUNT, Kind.MINIMUM, Kind.MAXIMUM})
_WARM = 32


@dataclass(slots=True)
class _Data:
    """What is known of one metric in one unit: finished blocks, and rows appended since the last read."""

    form: str
    statistic: str | None = None
    blocks: list[Columns] = field(default_factory=list)
    pending: list[tuple[int, float, float, float, float]] = field(default_factory=list)
    spans: Spans = field(default_factory=Spans)
    version: int = 0


class Store:
    """Metric data by metric and unit: a MetricSource.

    One thread may append while another reads: both take a lock for the moment in which appended rows move into the
    arrays.  Rows may come in any order.  A query with a unit sees the data of that unit and data whose unit was
    not told; one without sees everything.
    """

    def __init__(self) -> None:
        self._data: dict[tuple[Metric, str | None], _Data] = {}
        self._merged: dict[tuple[Metric, str | None], tuple[int, Columns | None, _Data]] = {}
        self._warm: list[Columns] = []
        self._clocks: weakref.WeakValueDictionary[tuple[int, int, int], Indices] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def add(self, metric: Metric, at: datetime, value: float, *, count: float = 1, unit: str | None = None) -> None:
        """Append ``count`` raw samples of ``value`` at ``at``.  Raises SimulationError."""
        if not math.isfinite(value) or not math.isfinite(count) or count <= 0:
            raise SimulationError(
                f"{metric} at {at}: a sample is a finite number seen at least once, got {count} of {value}"
            )
        self._append(metric, unit, (seconds(at), float(count), float(value) * count, float(value), float(value)))

    def add_statistics(
        self, metric: Metric, at: datetime, statistics: StatisticSet, *, unit: str | None = None
    ) -> None:
        """Append the summary of the samples of one moment.  Raises SimulationError."""
        one = statistics
        self._append(metric, unit, (seconds(at), one.sample_count, one.sum, one.minimum, one.maximum))

    def add_samples(
        self,
        metric: Metric,
        times: Indices,
        values: Floats,
        counts: Floats | None = None,
        *,
        unit: str | None = None,
    ) -> None:
        """Append ``counts[i]`` raw samples of ``values[i]`` at ``times[i]`` (seconds since 1970, in any order).

        Without ``counts`` each value is one sample; entries whose count is 0 are left out.  Raises SimulationError.
        """
        import numpy as np

        from .columns import build

        if counts is not None:
            if (counts < 0).any():
                raise SimulationError(f"{metric}: a sample is seen a number of times, not less than never")
            seen = counts > 0
            times, values, counts = times[seen], values[seen], counts[seen]
        if not (np.isfinite(values).all() and (counts is None or np.isfinite(counts).all())):
            raise SimulationError(f"{metric}: a sample is a finite number seen at least once")
        if not len(times):
            return
        sums = values if counts is None else values * counts
        block = build(times, counts, sums, None if counts is None else values, None)
        with self._lock:
            data = self._entry(metric, unit, "measured", None, str(metric))
            data.blocks.append(block)
            data.version += 1

    def add_series(self, series: Series) -> None:
        """Take over one series.  Raises SimulationError if it overlaps one that is there or is of another form."""
        start, size = seconds(series.start), len(series)
        where = series.where or str(series.metric)
        if series.values is not None:
            form, block = "values", self._values_block(series, start)
        else:
            form, block = "measured", _measured_block(series, start)
        end = start + size * series.period
        with self._lock:
            data = self._entry(series.metric, series.unit, form, series.statistic, where)
            if (other := data.spans.taken(start, end)) is not None:
                raise SimulationError(
                    f"{where}: overlaps the series of {series.metric} in {other}; each moment may be given once"
                )
            data.spans.add(start, end, where)
            data.blocks.append(block)
            # However many short series come, few blocks stand for them, and each row is copied a few times only.
            while len(data.blocks) > 1 and len(data.blocks[-2]) <= 2 * len(data.blocks[-1]):
                last = data.blocks.pop()
                joined = _join([data.blocks.pop(), last])
                data.blocks += [] if joined is None else [self._on_a_shared_clock(joined)]
            data.version += 1

    def metrics(self) -> tuple[Metric, ...]:
        """Every metric there is data for, sorted."""
        with self._lock:
            found = {metric for metric, _ in self._data}
        return tuple(sorted(found, key=lambda metric: (metric.namespace, metric.name, metric.dimensions)))

    def times(self, metric: Metric) -> Indices:
        """When there is a datapoint of a metric, whatever its statistic: ascending seconds since 1970."""
        import numpy as np

        held, _ = self._columns(metric, None)
        return np.empty(0, dtype=np.int64) if held is None else held.times

    def span(self) -> tuple[datetime, datetime] | None:
        """From the first datapoint to the end of the last minute that holds one; None for an empty store."""
        edges = self.edges()
        return None if edges is None else (edges[0][0], edges[1][0])

    def edges(self) -> tuple[tuple[datetime, Metric], tuple[datetime, Metric]] | None:
        """Beginning and end of the span, each with a metric that reaches it."""
        times: dict[Metric, tuple[int, int]] = {}
        for metric in self.metrics():
            held, _ = self._columns(metric, None)
            if held is not None and len(held):
                times[metric] = int(held.times[0]), int(held.times[-1]) // 60 * 60 + 60
        if not times:
            return None
        first, last = min(times, key=lambda one: times[one][0]), max(times, key=lambda one: times[one][1])
        return (
            (datetime.fromtimestamp(times[first][0], UTC), first),
            (datetime.fromtimestamp(times[last][1], UTC), last),
        )

    def datapoints(self, stat: MetricStat, start: datetime, periods: int) -> list[float | None]:
        """One value per period of ``stat`` from ``start``; None where there is no data.  Raises SimulationError."""
        values = self.windows(stat, start, stat.period, periods).tolist()
        return [None if math.isnan(value) else value for value in values]

    def windows(self, stat: MetricStat, start: datetime, step: int, count: int) -> Floats:
        """The value of ``stat`` over [start + i·step, + period) for each i below ``count``; NaN where there is no data.

        With a step shorter than the period the windows slide.  Seconds.  Raises SimulationError.
        """
        import numpy as np

        statistic = parse_statistic(stat.statistic)
        held, data = self._columns(stat.metric, stat.unit)
        if held is None or data is None or not len(held):
            return np.full(count, np.nan)
        what = f"{stat.statistic} of {stat.metric}"
        starts = seconds(start) + np.arange(count, dtype=np.int64) * step
        if data.form == "values" and data.statistic is None and statistic.kind not in _FROM_VALUES:
            form = "StatisticSets or Samples" if statistic.kind is Kind.SAMPLE_COUNT else "Samples"
            raise SimulationError(f"{what} cannot be had from Values; give the series as {form}")
        if data.statistic is not None:
            if parse_statistic(data.statistic) != statistic:
                raise SimulationError(
                    f"{what} cannot be had from values of {data.statistic}; give the series as StatisticSets or Samples"
                )
            if statistic.kind not in _COMPOSABLE:
                low, high = held.bounds(starts, stat.period)
                if bool((high - low > 1).any()):
                    raise SimulationError(
                        f"{what} over {stat.period} s cannot be had from its values over shorter periods; "
                        "give the series as Samples"
                    )
            if statistic.kind not in _FROM_VALUES:
                # At most one value in each window, or counts to add up: both are what a sum gives.
                statistic = parse_statistic("Sum")
        return held.windows(statistic, starts, stat.period, what)

    def _append(self, metric: Metric, unit: str | None, row: tuple[int, float, float, float, float]) -> None:
        with self._lock:
            data = self._entry(metric, unit, "measured", None, str(metric))
            data.pending.append(row)
            data.version += 1

    def _entry(self, metric: Metric, unit: str | None, form: str, statistic: str | None, where: str) -> _Data:
        data = self._data.setdefault((metric, unit), _Data(form, statistic))
        if (data.form, data.statistic) != (form, statistic):
            raise SimulationError(f"{where}: {metric} is there in another form already; give all of it in one form")
        return data

    def _values_block(self, series: Series, start: int) -> Columns:
        import numpy as np

        from .columns import Columns, build

        values = np.array(series.values, dtype=np.float64)
        if np.isinf(values).any():
            raise SimulationError(f"{series.where or series.metric}: infinity is no value of a metric")
        if not np.isnan(values).any():
            return Columns(self._clock(start, series.period, len(values)), values, values, values, None, series.period)
        kept = np.flatnonzero(~np.isnan(values))
        return build(start + kept * series.period, None, values[kept], None, None)

    def _clock(self, start: int, step: int, count: int) -> Indices:
        """One clock for all series of the same shape: half the memory of a year of minutes."""
        import numpy as np

        times = self._clocks.get((start, step, count))
        if times is None:
            times = self._clocks[start, step, count] = start + np.arange(count, dtype=np.int64) * step
        return times

    def _on_a_shared_clock(self, block: Columns) -> Columns:
        if block.step is not None and len(block) > 1:
            block.times = self._clock(int(block.times[0]), block.step, len(block))
        return block

    def _columns(self, metric: Metric, unit: str | None) -> tuple[Columns | None, _Data | None]:
        with self._lock:
            keys = [(metric, unit), (metric, None)] if unit else [key for key in self._data if key[0] == metric]
            found = [self._data[key] for key in keys if key in self._data]
            if not found:
                return None, None
            version = sum(data.version for data in found)
            cached = self._merged.get((metric, unit))
            if cached is None or cached[0] != version:
                if len({(data.form, data.statistic) for data in found}) > 1:
                    raise SimulationError(f"{metric} has data of different forms in different units; name the unit")
                for data in found:
                    _settle(data)
                    data.blocks = [self._on_a_shared_clock(block) for block in data.blocks]
                cached = version, _join([block for data in found for block in data.blocks]), found[0]
                self._merged[metric, unit] = cached
            held = cached[1]
            if held is not None and not any(held is one for one in self._warm):
                self._warm.append(held)
                if len(self._warm) > _WARM:
                    self._warm.pop(0).drop_caches()
            return held, cached[2]


def _measured_block(series: Series, start: int) -> Columns:
    """Statistic sets or samples as arrays, without an object for each."""
    import numpy as np

    from .columns import build

    if series.statistic_sets is not None:
        sets = [(index, one) for index, one in enumerate(series.statistic_sets) if one is not None]
        times = start + np.array([index for index, _ in sets], dtype=np.int64) * series.period
        count, sums, low, high = (
            np.fromiter((getattr(one, name) for _, one in sets), dtype=np.float64, count=len(sets))
            for name in ("sample_count", "sum", "minimum", "maximum")
        )
        return build(times, count, sums, low, None if bool((low == high).all()) else high)
    samples = series.samples or ()
    sizes = np.fromiter((len(values or ()) for values in samples), dtype=np.int64, count=len(samples))
    times = np.repeat(start + np.arange(len(samples), dtype=np.int64) * series.period, sizes)
    values = np.fromiter(
        chain.from_iterable(values or () for values in samples), dtype=np.float64, count=int(sizes.sum())
    )
    return build(times, None, values, None, None)


def _settle(data: _Data) -> None:
    from .columns import build

    if data.pending:
        times, count, sums, minimum, maximum = zip(*data.pending, strict=True)
        data.blocks.append(build(times, count, sums, minimum, None if minimum == maximum else maximum))
        data.pending.clear()
    joined = _join(data.blocks)
    data.blocks = [] if joined is None else [joined]


def _join(blocks: Sequence[Columns]) -> Columns | None:
    import numpy as np

    from .columns import build

    blocks = [block for block in blocks if len(block)]
    if len(blocks) < 2:
        return blocks[0] if blocks else None
    alike = all(block.minimum is block.maximum for block in blocks)
    plain = alike and all(block.minimum is block.sums for block in blocks)
    counts = [np.ones(len(block)) if block.count is None else block.count for block in blocks]
    return build(
        np.concatenate([block.times for block in blocks]),
        None if all(block.count is None for block in blocks) else np.concatenate(counts),
        np.concatenate([block.sums for block in blocks]),
        None if plain else np.concatenate([block.minimum for block in blocks]),
        None if alike else np.concatenate([block.maximum for block in blocks]),
    )


def seconds(at: datetime) -> int:
    """Whole seconds since 1970; CloudWatch keeps nothing finer.  Raises SimulationError for a time without zone."""
    if at.tzinfo is None:
        raise SimulationError(f"the time {at.isoformat()} has no zone; use an aware datetime such as one in UTC")
    return math.floor(at.timestamp())


def load_series(path: Path | Iterable[Path], metrics: Sequence[str] = ()) -> Store:
    """Read series files into a Store: a JSON array, one JSON object per line, or CSV.

    Each object: ``Namespace``, ``MetricName``, ``Dimensions`` (object), ``Period`` (seconds), ``Start`` (ISO 8601 with
    zone), and one of ``Values`` (one number or null per period), ``StatisticSets`` (objects ``SampleCount``,
    ``Sum``, ``Minimum``, ``Maximum``, or null) and ``Samples`` (a list of raw values per period, or null); optional
    ``Unit``, and ``Statistic`` where ``Values`` are that statistic and no other.
    A file whose name ends with .csv has lines ``timestamp,value`` of one metric; ``metrics`` names these, in the order
    of those files, as ``Namespace/Name{Dimension=Value}``.
    Raises SimulationError with file and position for anything unusable, and for overlapping series.
    """
    paths = [path] if isinstance(path, Path) else list(path)
    tables = [one for one in paths if one.suffix.lower() == ".csv"]
    if len(metrics) != len(tables):
        raise SimulationError(
            f"{tables[len(metrics)]}: say which metric it holds, with --metric 'Namespace/Name{{Dimension=Value}}'"
            if len(metrics) < len(tables)
            else f"metric {metrics[len(tables)]!r} belongs to no CSV file; one is given for each, in their order"
        )
    names = iter(metrics)
    store = Store()
    for one in paths:
        for series in [read_csv(one, parse_metric(next(names)))] if one in tables else read_series(one):
            store.add_series(series)
    return store
