"""Series in shorthand, one sign a period, the newest on the right: ``0`` fine, ``X`` breaching, ``-`` missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from tocsin.alarm import Alarm, Comparison, Metric, MetricQuery, MetricStat, TreatMissingData, single
from tocsin.simulate.series import Series, Store

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
METRIC = Metric("Test", "Faults", (("Service", "shop"),))
VALUES = {"0": 0.0, "X": 1.0, "-": None}


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def slots(pattern: str) -> list[bool | None]:
    return [None if sign == "-" else sign == "X" for sign in pattern]


def store(
    pattern: str | Sequence[float | None], *, end: datetime = NOON, period: int = 60, metric: Metric = METRIC
) -> Store:
    """A store in which the last period of the pattern ends at ``end``."""
    values = [VALUES[sign] for sign in pattern] if isinstance(pattern, str) else list(pattern)
    made = Store()
    made.add_series(Series(metric, end - timedelta(seconds=period * len(values)), period, values=values))
    return made


def alarm(
    n: int = 3,
    m: int = 3,
    treat: TreatMissingData = TreatMissingData.MISSING,
    *,
    period: int = 60,
    statistic: str = "Sum",
    name: str = "faults",
    metric: Metric = METRIC,
    threshold: float = 0.5,
    comparison: Comparison = Comparison.GREATER,
) -> Alarm:
    queries = single(MetricStat(metric, statistic, period))
    return Alarm(name, queries, comparison, threshold, n, m, treat)


def expression_alarm(
    expression: str,
    metrics: dict[str, Metric],
    *,
    period: int = 60,
    n: int = 1,
    m: int = 1,
    threshold: float = 0.5,
    comparison: Comparison = Comparison.GREATER,
    treat: TreatMissingData = TreatMissingData.MISSING,
    name: str = "math",
) -> Alarm:
    queries = [MetricQuery("e1", expression=expression, period=period)]
    queries += [
        MetricQuery(name, stat=MetricStat(metric, "Sum", period), return_data=False) for name, metric in metrics.items()
    ]
    return Alarm(name, tuple(queries), comparison, threshold, n, m, treat)
