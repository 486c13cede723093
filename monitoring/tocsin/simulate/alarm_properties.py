"""Reads a metric alarm from the properties of an ``AWS::CloudWatch::Alarm``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..alarm import (
    Actions,
    Alarm,
    Comparison,
    EvaluationWindow,
    Metric,
    MetricQuery,
    MetricStat,
    TreatMissingData,
    single,
)
from ..errors import SimulationError
from .metric_alarm import is_dynamodb
from .properties import boolean, choice, integer, number

_STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")


@dataclass(frozen=True, slots=True)
class AlarmProperties:
    """``text`` takes a value and what it is, and gives text in which the names of alarms stand for references."""

    text: Callable[[Any, str], str]

    def alarm(self, name: str, properties: Mapping[str, Any]) -> Alarm:
        """The alarm.  Raises SimulationError for what cannot be evaluated."""
        _refuse_other_kinds(properties)
        queries = self._queries(properties)
        n = integer(properties.get("EvaluationPeriods"), "EvaluationPeriods")
        m = integer(properties.get("DatapointsToAlarm", n), "DatapointsToAlarm")
        window, timezone = _window(properties.get("EvaluationWindow"))
        default = TreatMissingData.MISSING
        if is_dynamodb([query.stat.metric.namespace for query in queries if query.stat]):
            default = TreatMissingData.IGNORE  # user guide, "Configuring how CloudWatch alarms treat missing data"
        return Alarm(
            name=name,
            queries=queries,
            comparison=choice(Comparison, properties.get("ComparisonOperator"), "ComparisonOperator"),
            threshold=number(properties.get("Threshold"), "Threshold"),
            evaluation_periods=n,
            datapoints_to_alarm=m,
            treat_missing_data=choice(
                TreatMissingData, properties.get("TreatMissingData", default), "TreatMissingData"
            ),
            description=self.description(properties),
            actions=self.actions(properties),
            evaluate_low_samples=properties.get("EvaluateLowSampleCountPercentile") != "ignore",
            evaluation_window=window,
            timezone=timezone,
        )

    def description(self, properties: Mapping[str, Any]) -> str:
        """The description, which may be absent."""
        value = properties.get("AlarmDescription", "")
        return self.text(value, "AlarmDescription") if value else ""

    def actions(self, properties: Mapping[str, Any]) -> Actions:
        """The three lists of actions.  Raises SimulationError."""

        def arns(key: str) -> tuple[str, ...]:
            value = properties.get(key) or ()
            if isinstance(value, str):  # a parameter that is a list
                value = [value]
            if not isinstance(value, list | tuple):
                raise SimulationError(f"{key} is a list of ARNs")
            return tuple(self.text(arn, f"an entry of {key}") for arn in value)

        enabled = boolean(properties.get("ActionsEnabled", True), "ActionsEnabled")
        return Actions(arns("AlarmActions"), arns("OKActions"), arns("InsufficientDataActions"), enabled)

    def _queries(self, properties: Mapping[str, Any]) -> tuple[MetricQuery, ...]:
        if "Metrics" not in properties:
            if "MetricName" not in properties:
                raise SimulationError("it has neither MetricName nor Metrics")
            given = [key for key in ("Statistic", "ExtendedStatistic") if key in properties]
            if len(given) != 1:
                raise SimulationError("give exactly one of Statistic and ExtendedStatistic")
            statistic = self.text(properties[given[0]], given[0])
            if given[0] == "Statistic" and statistic not in _STATISTICS:
                raise SimulationError(f"Statistic {statistic!r}; it is one of {', '.join(_STATISTICS)}")
            period = integer(properties.get("Period"), "Period")
            return single(MetricStat(self._metric(properties), statistic, period, self._unit(properties)))
        entries = properties["Metrics"]
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise SimulationError("Metrics is a list of objects")
        return tuple(self._query(entry) for entry in entries)

    def _query(self, entry: Mapping[str, Any]) -> MetricQuery:
        name = self.text(entry.get("Id"), "Id")
        if "AccountId" in entry:
            raise SimulationError(f"query {name!r} reads the metrics of another account")
        stat, expression, period = None, None, None
        if "MetricStat" in entry:
            body = entry["MetricStat"]
            if not isinstance(body, dict) or not isinstance(body.get("Metric"), dict):
                raise SimulationError(f"query {name!r}: MetricStat without a Metric")
            stat = MetricStat(
                self._metric(body["Metric"]),
                self.text(body.get("Stat"), "Stat"),
                integer(body.get("Period"), "Period"),
                self._unit(body),
            )
        if "Expression" in entry:
            expression = self.text(entry["Expression"], "Expression")
            if "ANOMALY_DETECTION_BAND" in expression:
                raise SimulationError("an anomaly detection alarm: its band is a model that CloudWatch trains")
            period = integer(entry["Period"], "Period") if "Period" in entry else None
        return MetricQuery(
            id=name,
            stat=stat,
            expression=expression,
            label=self.text(entry["Label"], "Label") if "Label" in entry else None,
            return_data=boolean(entry.get("ReturnData", True), "ReturnData"),
            period=period,
        )

    def _metric(self, body: Mapping[str, Any]) -> Metric:
        entries = body.get("Dimensions", [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise SimulationError("Dimensions is a list of objects with Name and Value")
        return Metric(
            self.text(body.get("Namespace"), "Namespace"),
            self.text(body.get("MetricName"), "MetricName"),
            tuple(
                (
                    self.text(entry.get("Name"), "the Name of a dimension"),
                    self.text(entry.get("Value"), "the Value of a dimension"),
                )
                for entry in entries
            ),
        )

    def _unit(self, body: Mapping[str, Any]) -> str | None:
        return self.text(body["Unit"], "Unit") if body.get("Unit") is not None else None


def _refuse_other_kinds(properties: Mapping[str, Any]) -> None:
    if "ThresholdMetricId" in properties:
        raise SimulationError("an anomaly detection alarm: its band is a model that CloudWatch trains")
    if "EvaluationCriteria" in properties:
        raise SimulationError("a PromQL alarm: its query is not over series of a metric")
    if "WarmUpConfiguration" in properties:
        raise SimulationError("it has a warm-up, which is not evaluated")


def _window(value: Any) -> tuple[EvaluationWindow, str | None]:
    if (
        value is None
        or value == EvaluationWindow.SLIDING
        or (isinstance(value, dict) and set(value) == {"SlidingWindow"})
    ):
        return EvaluationWindow.SLIDING, None
    if isinstance(value, dict) and set(value) == {"WallClockWindow"}:
        body = value["WallClockWindow"]
        timezone = body.get("Timezone") if isinstance(body, dict) else None
        return EvaluationWindow.WALL_CLOCK, None if timezone is None else str(timezone)
    raise SimulationError("EvaluationWindow has exactly one of SlidingWindow and WallClockWindow")
