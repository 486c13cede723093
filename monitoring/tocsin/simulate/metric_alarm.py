"""Evaluates one metric alarm at one moment, as CloudWatch would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ..alarm import Alarm, AlarmState, EvaluationWindow, TreatMissingData
from ..errors import SimulationError
from .metric_math import check_alarm_queries, compile_queries, evaluate_expression
from .reading import DEFAULT, DynamoDbMissing, Reading
from .reasons import breaches, explain, explain_data
from .schedule import WALL_CLOCK_PERIODS, is_due, is_multi_day, slots, zone
from .source import MetricSource, RangeSource
from .statistics import low_sample_limit, parse_statistic
from .verdict import Verdict, judge

__all__ = [
    "Evaluation",
    "MetricSource",
    "RangeSource",
    "check_alarm",
    "evaluate",
    "is_due",
    "is_multi_day",
]

# The length of the evaluation range is not published; what has been observed lies between N and N + 5 datapoints.
_RANGE_DOUBT = 5
_DAY, _WEEK = 86_400, 604_800


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one evaluation finds.

    ``datapoints`` is the evaluation range, oldest first.  ``depends_on_range``: with a range of another length
    between N and N + 5 the verdict would differ.  ``kept``: the alarm keeps its state whatever that is.
    """

    state: AlarmState
    reason: str
    reason_data: dict[str, Any]
    datapoints: tuple[tuple[datetime, float | None], ...]
    depends_on_range: bool
    kept: bool = False


def evaluate(
    alarm: Alarm,
    source: MetricSource,
    at: datetime,
    state: AlarmState,
    *,
    evaluation_range: int | None = None,
    reading: Reading = DEFAULT,
    doubt_range: bool = True,
) -> Evaluation:
    """Evaluate ``alarm``, now in ``state``, at ``at``; whether it is due then is the caller's question (``is_due``).

    ``evaluation_range`` is the number of datapoints a sliding window reads, N + 2 if not given; a wall-clock window
    reads exactly N.  Without ``doubt_range`` only that one is tried, and nothing is found to depend on it.
    Raises SimulationError.
    """
    name = check_alarm_queries(alarm.queries)
    treat = effective_treatment(alarm, reading)
    length = range_length(alarm, evaluation_range, reading)
    ranges = plausible_ranges(alarm, length) if doubt_range else range(length, length + 1)
    pointwise = compile_queries(tuple(alarm.queries)).is_pointwise(name, reading)
    longest = _fetch(alarm, name, source, at, max(ranges), reading)
    # Where a datapoint depends on the others that were fetched, each length of the range is a calculation of its own.
    by_range = {
        count: longest[-count:] if pointwise else _fetch(alarm, name, source, at, count, reading) for count in ranges
    }
    verdicts = {
        count: judge(
            [None if value is None else breaches(alarm.comparison, value, alarm.threshold) for _, value in points],
            alarm.evaluation_periods,
            alarm.datapoints_to_alarm,
            treat,
            reading,
        )
        for count, points in by_range.items()
    }
    points, verdict = by_range[length], verdicts[length]
    depends = len(set(verdicts.values())) > 1
    if _too_few_samples(alarm, source, at):
        verdict, depends = Verdict.RETAIN, False
    return Evaluation(
        state=verdict.state(state),
        reason=explain(alarm, points, verdict, treat),
        reason_data=explain_data(alarm, points, at),
        datapoints=tuple(points),
        depends_on_range=depends,
        kept=verdict is Verdict.RETAIN,
    )


def check_alarm(alarm: Alarm) -> None:
    """Raises SimulationError if CloudWatch would refuse the alarm (API reference, PutMetricAlarm)."""
    check_alarm_queries(alarm.queries)
    period, n, m = alarm.period, alarm.evaluation_periods, alarm.datapoints_to_alarm
    if period not in (10, 20, 30) and (period < 60 or period % 60):
        raise SimulationError(f"Period {period}: it is 10, 20, 30 or a multiple of 60 s")
    if not 1 <= m <= n:
        raise SimulationError(
            f"DatapointsToAlarm {m} of EvaluationPeriods {n}: it lies between 1 and EvaluationPeriods"
        )
    longest = _WEEK if period >= 3600 else _DAY
    if period * n > longest:
        raise SimulationError(
            f"EvaluationPeriods {n} of {period} s are {period * n} s; CloudWatch takes at most {longest}"
        )
    if alarm.evaluation_window is EvaluationWindow.WALL_CLOCK:
        zone(alarm.timezone)
        if period not in WALL_CLOCK_PERIODS:
            raise SimulationError(f"Period {period} of a wall-clock window; it is one of {WALL_CLOCK_PERIODS}")


def effective_treatment(alarm: Alarm, reading: Reading) -> TreatMissingData:
    """What missing data counts as, after the exception for DynamoDB if the reading has it."""
    if reading.dynamodb is DynamoDbMissing.ALWAYS_IGNORE and is_dynamodb([one.namespace for one in alarm.metrics]):
        return TreatMissingData.IGNORE
    return alarm.treat_missing_data


def is_dynamodb(namespaces: Sequence[str]) -> bool:
    """True if all of the namespaces (at least one) are DynamoDB's."""
    return bool(namespaces) and set(namespaces) == {"AWS/DynamoDB"}


def range_length(alarm: Alarm, evaluation_range: int | None, reading: Reading) -> int:
    """How many datapoints an evaluation reads.  Raises SimulationError for fewer than N."""
    n = alarm.evaluation_periods
    if alarm.evaluation_window is EvaluationWindow.WALL_CLOCK:
        return n
    length = n + reading.extra_periods if evaluation_range is None else evaluation_range
    if length < n:
        raise SimulationError(f"an evaluation range of {length} is shorter than EvaluationPeriods {n}")
    return length


def plausible_ranges(alarm: Alarm, length: int) -> range:
    """The lengths that the verdict is held against to see whether it depends on them."""
    n = alarm.evaluation_periods
    if alarm.evaluation_window is EvaluationWindow.WALL_CLOCK:
        return range(n, n + 1)
    return range(n, max(length, n + _RANGE_DOUBT) + 1)


def _fetch(
    alarm: Alarm, name: str, source: MetricSource, at: datetime, count: int, reading: Reading
) -> list[tuple[datetime, float | None]]:
    places = slots(alarm, at, count)
    lengths = {length for _, length in places}
    if lengths == {alarm.period}:
        values = evaluate_expression(alarm.queries, name, source, places[0][0], count, alarm.period, reading=reading)
        return [(start, value) for (start, _), value in zip(places, values, strict=True)]
    # Around a change of the clocks a day of a wall-clock window is shorter or longer than the others.
    points = []
    for start, length in places:
        queries = tuple(
            replace(query, stat=replace(query.stat, period=length)) if query.stat else query for query in alarm.queries
        )
        points.append((start, evaluate_expression(queries, name, source, start, 1, length, reading=reading)[0]))
    return points


def low_sample_need(alarm: Alarm) -> float | None:
    """How many samples the N periods must hold for the percentile to be evaluated; None where that is not asked.

    User guide, page "Percentile-based CloudWatch alarms and low data samples": fewer "during the evaluation period"
    leave the state as it is.
    """
    stat = alarm.queries[0].stat if len(alarm.queries) == 1 else None
    if alarm.evaluate_low_samples or stat is None:
        return None
    return low_sample_limit(parse_statistic(stat.statistic))


def _too_few_samples(alarm: Alarm, source: MetricSource, at: datetime) -> bool:
    need, stat = low_sample_need(alarm), alarm.queries[0].stat
    if need is None or stat is None:
        return False
    places = slots(alarm, at, alarm.evaluation_periods)
    total = 0.0
    for start, length in places:
        counted = replace(stat, statistic="SampleCount", period=length)
        total += source.datapoints(counted, start, 1)[0] or 0.0
    return total < need
