"""The few forms of metric math and single-metric conditions that catalog entries are written in."""

from __future__ import annotations

import math

from ..alarm import Comparison, Metric, MetricQuery, MetricStat, TreatMissingData, single
from ..model import Resource
from ..units import format_number
from .entry import Condition


def number(resource: Resource, name: str, default: float | None = None) -> float | None:
    """A numeric property of the resource; ``default`` where it is not set, None where only a deployment can tell."""
    value = resource.properties.get(name, default)
    if value is None or isinstance(value, bool):
        return None
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def share(
    bad: Metric, valid: Metric, *, period: int, bad_in_valid: bool = True, minimum_bad: int = 1
) -> tuple[MetricQuery, ...]:
    """The percentage of bad events, with a value in every period.

    FILL and IF give 0 where nothing happened, so that CloudWatch never falls back on an older datapoint: with
    few evaluation periods it would otherwise judge a burst long after it ended (evaluation range, User Guide
    "Configuring how CloudWatch alarms treat missing data").
    """
    total = "FILL(valid, 0)" if bad_in_valid else "(FILL(valid, 0) + FILL(bad, 0))"
    return (
        MetricQuery(
            id="share",
            expression=f"IF(FILL(bad, 0) >= {minimum_bad}, 100 * FILL(bad, 0) / {total}, 0)",
            label=f"{bad.name} in percent",
        ),
        MetricQuery(id="bad", stat=MetricStat(bad, "Sum", period), return_data=False),
        MetricQuery(id="valid", stat=MetricStat(valid, "Sum", period), return_data=False),
    )


def above(
    metric: Metric,
    statistic: str,
    threshold: float,
    because: str,
    *,
    period: int = 60,
    evaluation_periods: int = 1,
    datapoints_to_alarm: int | None = None,
    missing: TreatMissingData = TreatMissingData.NOT_BREACHING,
    suffix: str = "",
) -> Condition:
    """``statistic`` of one metric is greater than ``threshold`` for M of N periods."""
    return compare(
        single(MetricStat(metric, statistic, period)),
        Comparison.GREATER,
        threshold,
        because,
        evaluation_periods=evaluation_periods,
        datapoints_to_alarm=datapoints_to_alarm,
        missing=missing,
        suffix=suffix,
    )


def below(
    metric: Metric,
    statistic: str,
    threshold: float,
    because: str,
    *,
    period: int = 60,
    evaluation_periods: int = 1,
    datapoints_to_alarm: int | None = None,
    missing: TreatMissingData = TreatMissingData.MISSING,
    suffix: str = "",
) -> Condition:
    """``statistic`` of one metric is less than ``threshold`` for M of N periods."""
    return compare(
        single(MetricStat(metric, statistic, period)),
        Comparison.LESS,
        threshold,
        because,
        evaluation_periods=evaluation_periods,
        datapoints_to_alarm=datapoints_to_alarm,
        missing=missing,
        suffix=suffix,
    )


def compare(
    queries: tuple[MetricQuery, ...],
    comparison: Comparison,
    threshold: float,
    because: str,
    *,
    evaluation_periods: int = 1,
    datapoints_to_alarm: int | None = None,
    missing: TreatMissingData = TreatMissingData.NOT_BREACHING,
    suffix: str = "",
) -> Condition:
    """Any condition; M defaults to N."""
    return Condition(
        queries=queries,
        comparison=comparison,
        threshold=threshold,
        evaluation_periods=evaluation_periods,
        datapoints_to_alarm=evaluation_periods if datapoints_to_alarm is None else datapoints_to_alarm,
        treat_missing_data=missing,
        because=because,
        suffix=suffix,
    )


def percent_of(part: int, whole: float, unit: str, what: str) -> str:
    """ "80 % of the timeout (30 s)": how a derived threshold is explained."""
    return f"{part} % of {what} ({format_number(whole)} {unit})".replace(" )", ")")
