"""Alarm and CompositeAlarm: the values CloudWatch knows, nothing more.

Text that CloudFormation completes later is written in its own ``Fn::Sub`` notation: ``${Name}`` stands for a
parameter, a resource or a pseudo parameter, ``${!`` for a literal ``${``.  An alarm read back from a
rendered template without parameters therefore equals the alarm that was planned.

Field names, enumerations and limits: Amazon CloudWatch API reference, PutMetricAlarm and PutCompositeAlarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .errors import SimulationError


class AlarmState(StrEnum):
    """The three states of an alarm."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class Comparison(StrEnum):
    """How a datapoint is held against the threshold; a datapoint for which it is true is breaching."""

    GREATER_OR_EQUAL = "GreaterThanOrEqualToThreshold"
    GREATER = "GreaterThanThreshold"
    LESS = "LessThanThreshold"
    LESS_OR_EQUAL = "LessThanOrEqualToThreshold"


class TreatMissingData(StrEnum):
    """What a missing datapoint counts as."""

    MISSING = "missing"
    IGNORE = "ignore"
    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


class EvaluationWindow(StrEnum):
    """Where the evaluated window ends: at the evaluation minute, or at the last full clock period."""

    SLIDING = "SlidingWindow"
    WALL_CLOCK = "WallClockWindow"


@dataclass(frozen=True, slots=True)
class Metric:
    """One CloudWatch metric: a namespace, a name and a set of dimensions (kept sorted by name)."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimensions", tuple(sorted(self.dimensions)))

    def __str__(self) -> str:
        dimensions = ",".join(f"{name}={value}" for name, value in self.dimensions)
        return f"{self.namespace}/{self.name}{{{dimensions}}}"


@dataclass(frozen=True, slots=True)
class MetricStat:
    """A metric reduced to one number per ``period`` (seconds) by ``statistic`` (``Sum``, ``p99``, ``PR(:0.8)`` …)."""

    metric: Metric
    statistic: str
    period: int
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """One entry of an alarm's ``Metrics``: either a ``stat`` or a metric-math ``expression`` over other ids.

    Exactly one query of an alarm has ``return_data``: that series is compared with the threshold.
    ``period`` (seconds) is for an expression over no metric of the alarm; a stat carries its own.
    """

    id: str
    stat: MetricStat | None = None
    expression: str | None = None
    label: str | None = None
    return_data: bool = True
    period: int | None = None


@dataclass(frozen=True, slots=True)
class Actions:
    """ARNs that run when an alarm enters a state; at most five for each."""

    alarm: tuple[str, ...] = ()
    ok: tuple[str, ...] = ()
    insufficient_data: tuple[str, ...] = ()
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Alarm:
    """A metric alarm.

    ``datapoints_to_alarm`` (M) of the last ``evaluation_periods`` (N) datapoints must breach.
    A plain single-metric alarm has one query with a ``stat``.  ``period`` is in seconds and is the same for
    every query.
    """

    name: str
    queries: tuple[MetricQuery, ...]
    comparison: Comparison
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int
    treat_missing_data: TreatMissingData = TreatMissingData.MISSING
    description: str = ""
    actions: Actions = Actions()
    evaluate_low_samples: bool = True
    evaluation_window: EvaluationWindow = EvaluationWindow.SLIDING
    timezone: str | None = None

    @property
    def period(self) -> int:
        """Seconds in one datapoint.  Raises SimulationError for an alarm whose queries name none."""
        for query in self.queries:
            period = query.stat.period if query.stat else query.period
            if period is not None:
                return period
        raise SimulationError(f"alarm {self.name}: none of its queries has a period")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics the alarm reads, in the order of its queries."""
        return tuple(query.stat.metric for query in self.queries if query.stat)


@dataclass(frozen=True, slots=True)
class CompositeAlarm:
    """An alarm over the states of other alarms; ``rule`` is CloudWatch's AlarmRule text.

    ``suppressor_wait`` and ``suppressor_extension`` are seconds, required with ``suppressor``.
    """

    name: str
    rule: str
    description: str = ""
    actions: Actions = Actions()
    suppressor: str | None = None
    suppressor_wait: int = 0
    suppressor_extension: int = 0


def single(stat: MetricStat) -> tuple[MetricQuery, ...]:
    """The queries of an alarm on one metric."""
    return (MetricQuery(id="m1", stat=stat),)
