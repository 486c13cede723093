"""Recorder: every metric sample that enters the emulator, kept for the evaluator under account and region.

ministack keeps its own list of samples, which ListMetrics and GetMetricStatistics read; alarms and GetMetricData
read the store here, by exact dimensions, with the statistics of `tocsin.simulate`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...alarm import Metric, MetricStat
from ...simulate.series import Store
from ...simulate.statistics import StatisticSet
from .base import here, service
from .clock import Clock, ClockedTime

if TYPE_CHECKING:
    from ...simulate.columns import Floats


class Recorder:
    """The samples of all accounts and regions; safe to use from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stores: dict[tuple[str, str], Store] = {}

    def now(self) -> datetime:
        """The simulated present."""
        return self._clock.now()

    def record(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        value: float,
        unit: str = "None",
        *,
        at: float | None = None,
    ) -> None:
        """Add one sample for the account and region in scope, at a simulated moment (the present by default)."""
        moment = self._clock.time() if at is None else at
        cloudwatch = service("cloudwatch")
        cloudwatch._metric_bucket((namespace, name, cloudwatch._dims_key(dict(dimensions)))).append(
            {"Timestamp": moment, "Value": float(value), "Unit": unit, "Dimensions": dict(dimensions)}
        )
        self.keep(_metric(namespace, name, dimensions), moment, value, unit)

    def keep(self, metric: Metric, moment: float, value: float, unit: str, count: float = 1) -> None:
        """Add ``count`` equal samples to the evaluator's store only."""
        if math.isfinite(value) and count > 0:
            self._store().add(metric, datetime.fromtimestamp(moment, UTC), float(value), count=count, unit=unit)

    def keep_set(self, metric: Metric, moment: float, numbers: Mapping[str, Any], unit: str) -> None:
        """Add one statistic set (SampleCount, Sum, Minimum, Maximum) to the evaluator's store only."""
        count, total, low, high = (float(numbers.get(key, 0)) for key in ("SampleCount", "Sum", "Minimum", "Maximum"))
        if count > 0:
            self._store().add_statistics(
                metric, datetime.fromtimestamp(moment, UTC), StatisticSet(count, total, low, high), unit=unit
            )

    def datapoints(self, stat: MetricStat, start: datetime, periods: int) -> Sequence[float | None]:
        """A MetricSource for the account and region in scope.  Raises SimulationError."""
        return self._store().datapoints(stat, start, periods)

    def windows(self, stat: MetricStat, start: datetime, step: int, count: int) -> Floats:
        """A RangeSource for the account and region in scope: many windows at once.  Raises SimulationError."""
        return self._store().windows(stat, start, step, count)

    def _store(self) -> Store:
        return self._stores.setdefault(here(), Store())


def _metric(namespace: str, name: str, dimensions: Mapping[str, str]) -> Metric:
    return Metric(namespace, name, tuple(dimensions.items()))


def install(recorder: Recorder, clock: Clock) -> None:
    """Let everything that ministack records, by itself or through PutMetricData, reach the recorder."""
    cloudwatch = service("cloudwatch")
    original = cloudwatch._store_datum

    def record_metric(
        namespace: str, metric_name: str, value: float, unit: str = "None", dimensions: dict[str, str] | None = None
    ) -> None:
        recorder.record(namespace, metric_name, dimensions or {}, value, unit)

    def store_datum(
        namespace: str,
        name: str,
        dims: dict[str, str],
        ts: float,
        unit: str,
        value: Any,
        values: list[float] | None,
        counts: list[float] | None,
        stat_values: dict[str, Any] | None,
    ) -> None:
        original(namespace, name, dims, ts, unit, value, values, counts, stat_values)
        metric = _metric(namespace, name, dims)
        if values is not None:
            for each, count in zip(values, counts or [1.0] * len(values), strict=True):
                recorder.keep(metric, ts, float(each), unit, float(count))
        elif stat_values is not None:
            recorder.keep_set(metric, ts, stat_values, unit)
        else:
            recorder.keep(metric, ts, float(value or 0), unit)

    cloudwatch.record_metric = record_metric
    cloudwatch._store_datum = store_datum
    # ministack walks all samples on each request to drop those older than two weeks of its own time.
    cloudwatch._evict_old_metrics = lambda: None
    cloudwatch.time = ClockedTime(clock)
