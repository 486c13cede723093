"""Reads the alarms back from a CloudFormation template, ours or anybody's."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..alarm import (
    Actions,
    Alarm,
    Comparison,
    CompositeAlarm,
    EvaluationWindow,
    Metric,
    MetricQuery,
    MetricStat,
    TreatMissingData,
    single,
)
from ..cloudformation.symbolic import Symbolic, escape, references
from ..errors import SimulationError
from .composite import parse_rule
from .metric_alarm import check_alarm, is_dynamodb

if TYPE_CHECKING:
    from ..cloudformation.intrinsics import Resolved

_ALARM, _COMPOSITE = "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"
_OTHER_KINDS = {
    "AWS::CloudWatch::LogAlarm": "log alarms run queries on logs, which are not series of a metric",
    "AWS::CloudWatch::AlarmMuteRule": "mute rules are not evaluated; actions are shown as if they were not muted",
}
_SPAN = re.compile(r"\$\{([A-Za-z0-9]+)(?:\.Arn)?\}")
_Choice = TypeVar("_Choice", Comparison, TreatMissingData)
_STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")


@dataclass(frozen=True, slots=True)
class Unsupported:
    """An alarm that is not evaluated, and why."""

    name: str
    logical_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class AlarmTemplate:
    """The alarms of one template.

    ``unresolved`` are the placeholders left in them, sorted: parameters without a value, resources, pseudo parameters.
    """

    alarms: tuple[Alarm, ...]
    composites: tuple[CompositeAlarm, ...] = ()
    unsupported: tuple[Unsupported, ...] = ()
    unresolved: tuple[str, ...] = ()


_NOTHING: Mapping[str, str] = {}


def read_template(
    path: Path, parameters: Mapping[str, str] = _NOTHING, *, pseudo: Mapping[str, str] = _NOTHING, defaults: bool = True
) -> AlarmTemplate:
    """The alarms of the template at ``path`` (JSON or YAML).

    ``parameters`` are values of its parameters and ``pseudo`` of pseudo parameters such as ``AWS::Region``; what has
    neither value nor default stays text such as ``${OrdersQueueName}``.  ``defaults=False`` keeps every
    parameter without a given value as text: what is read then equals what was planned.
    An alarm that cannot be evaluated is listed in ``unsupported`` and the rest is read.  Raises TemplateError or
    InputError if the template itself cannot be read.
    """
    from ..cloudformation.document import load
    from ..cloudformation.intrinsics import resolve

    document = load(path)
    declared = document.tree.get("Parameters")
    if not defaults and isinstance(declared, dict):
        bare = {
            name: {key: value for key, value in body.items() if key != "Default" or name in parameters}
            if isinstance(body, dict)
            else body
            for name, body in declared.items()
        }
        document = replace(document, tree={**document.tree, "Parameters": bare})
    return read_alarms(resolve(document, parameters, pseudo=pseudo))


def read_alarms(resources: tuple[Resolved, ...]) -> AlarmTemplate:
    """The alarms among resolved resources; as ``read_template``, without a file."""
    reader = _Reader(_names(resources))
    for resource in resources:
        if resource.type in _OTHER_KINDS:
            reader.refuse(resource, _OTHER_KINDS[resource.type])
        if resource.type not in (_ALARM, _COMPOSITE):
            continue
        if resource.exists is False:
            reader.refuse(resource, f"its condition {resource.condition} is false, so it is not created")
            continue
        try:
            reader.read(resource)
        except SimulationError as error:
            reader.refuse(resource, str(error))
    return reader.result()


def _names(resources: tuple[Resolved, ...]) -> dict[str, str]:
    """The names of the alarms by logical id; CloudFormation makes one up where the template gives none."""
    return {
        resource.logical_id: _text(resource.properties.get("AlarmName")) or resource.logical_id
        for resource in resources
        if resource.type in (_ALARM, _COMPOSITE)
    }


class _Reader:
    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names
        self.alarms: dict[str, Alarm] = {}
        self.composites: dict[str, CompositeAlarm] = {}
        self.unsupported: list[Unsupported] = []
        self.unresolved: set[str] = set()

    def result(self) -> AlarmTemplate:
        return AlarmTemplate(
            tuple(self.alarms.values()),
            tuple(self.composites.values()),
            tuple(self.unsupported),
            tuple(sorted(self.unresolved)),
        )

    def refuse(self, resource: Resolved, reason: str) -> None:
        name = self.names.get(resource.logical_id, resource.logical_id)
        self.unsupported.append(Unsupported(name, resource.logical_id, reason))

    def read(self, resource: Resolved) -> None:
        name = self.names[resource.logical_id]
        if name in self.alarms or name in self.composites:
            raise SimulationError(f"the name {name} is taken by another alarm of this template")
        if resource.type == _ALARM:
            alarm = self.alarm(name, resource.properties)
            check_alarm(alarm)
            self.alarms[name] = alarm
        else:
            composite = self.composite(name, resource.properties)
            parse_rule(composite.rule)
            self.composites[name] = composite
        self.unresolved.update(
            reference.logical_id
            for reference in references(resource.properties)
            if reference.logical_id not in self.names
        )

    def text(self, value: Any, what: str) -> str:
        """Text with the names of alarms put in for references to them."""
        text = _text(value)
        if text is None:
            raise SimulationError(f"{what} is missing or not text")
        if not isinstance(value, Symbolic):
            return text
        named = _SPAN.sub(lambda match: self.names.get(match.group(1), match.group()), text)
        return Symbolic(named) if references(Symbolic(named)) else named

    def alarm(self, name: str, properties: Mapping[str, Any]) -> Alarm:
        _refuse_other_kinds(properties)
        queries = self.queries(properties)
        n = _integer(properties.get("EvaluationPeriods"), "EvaluationPeriods")
        m = _integer(properties.get("DatapointsToAlarm", n), "DatapointsToAlarm")
        window, timezone = _window(properties.get("EvaluationWindow"))
        default = TreatMissingData.MISSING
        if is_dynamodb([query.stat.metric.namespace for query in queries if query.stat]):
            default = TreatMissingData.IGNORE  # user guide, "Configuring how CloudWatch alarms treat missing data"
        return Alarm(
            name=name,
            queries=queries,
            comparison=_choice(Comparison, properties.get("ComparisonOperator"), "ComparisonOperator"),
            threshold=_number(properties.get("Threshold"), "Threshold"),
            evaluation_periods=n,
            datapoints_to_alarm=m,
            treat_missing_data=_choice(
                TreatMissingData, properties.get("TreatMissingData", default), "TreatMissingData"
            ),
            description=self.description(properties),
            actions=self.actions(properties),
            evaluate_low_samples=properties.get("EvaluateLowSampleCountPercentile") != "ignore",
            evaluation_window=window,
            timezone=timezone,
        )

    def composite(self, name: str, properties: Mapping[str, Any]) -> CompositeAlarm:
        suppressor = properties.get("ActionsSuppressor")
        wait, extension = 0, 0
        if suppressor is not None:
            wait = _integer(properties.get("ActionsSuppressorWaitPeriod"), "ActionsSuppressorWaitPeriod")
            extension = _integer(properties.get("ActionsSuppressorExtensionPeriod"), "ActionsSuppressorExtensionPeriod")
        return CompositeAlarm(
            name=name,
            rule=self.text(properties.get("AlarmRule"), "AlarmRule"),
            description=self.description(properties),
            actions=self.actions(properties),
            suppressor=None if suppressor is None else self.text(suppressor, "ActionsSuppressor"),
            suppressor_wait=wait,
            suppressor_extension=extension,
        )

    def description(self, properties: Mapping[str, Any]) -> str:
        value = properties.get("AlarmDescription", "")
        return self.text(value, "AlarmDescription") if value else ""

    def actions(self, properties: Mapping[str, Any]) -> Actions:
        def arns(key: str) -> tuple[str, ...]:
            value = properties.get(key) or ()
            if isinstance(value, str):  # a parameter that is a list
                value = [value]
            if not isinstance(value, list | tuple):
                raise SimulationError(f"{key} is a list of ARNs")
            return tuple(self.text(arn, f"an entry of {key}") for arn in value)

        enabled = _boolean(properties.get("ActionsEnabled", True), "ActionsEnabled")
        return Actions(arns("AlarmActions"), arns("OKActions"), arns("InsufficientDataActions"), enabled)

    def queries(self, properties: Mapping[str, Any]) -> tuple[MetricQuery, ...]:
        if "Metrics" not in properties:
            if "MetricName" not in properties:
                raise SimulationError("it has neither MetricName nor Metrics")
            given = [key for key in ("Statistic", "ExtendedStatistic") if key in properties]
            if len(given) != 1:
                raise SimulationError("give exactly one of Statistic and ExtendedStatistic")
            statistic = self.text(properties[given[0]], given[0])
            if given[0] == "Statistic" and statistic not in _STATISTICS:
                raise SimulationError(f"Statistic {statistic!r}; it is one of {', '.join(_STATISTICS)}")
            period = _integer(properties.get("Period"), "Period")
            return single(MetricStat(self.metric(properties), statistic, period, self.unit(properties)))
        entries = properties["Metrics"]
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise SimulationError("Metrics is a list of objects")
        return tuple(self.query(entry) for entry in entries)

    def query(self, entry: Mapping[str, Any]) -> MetricQuery:
        name = self.text(entry.get("Id"), "Id")
        if "AccountId" in entry:
            raise SimulationError(f"query {name!r} reads the metrics of another account")
        stat, expression, period = None, None, None
        if "MetricStat" in entry:
            body = entry["MetricStat"]
            if not isinstance(body, dict) or not isinstance(body.get("Metric"), dict):
                raise SimulationError(f"query {name!r}: MetricStat without a Metric")
            stat = MetricStat(
                self.metric(body["Metric"]),
                self.text(body.get("Stat"), "Stat"),
                _integer(body.get("Period"), "Period"),
                self.unit(body),
            )
        if "Expression" in entry:
            expression = self.text(entry["Expression"], "Expression")
            if "ANOMALY_DETECTION_BAND" in expression:
                raise SimulationError("an anomaly detection alarm: its band is a model that CloudWatch trains")
            period = _integer(entry["Period"], "Period") if "Period" in entry else None
        return MetricQuery(
            id=name,
            stat=stat,
            expression=expression,
            label=self.text(entry["Label"], "Label") if "Label" in entry else None,
            return_data=_boolean(entry.get("ReturnData", True), "ReturnData"),
            period=period,
        )

    def metric(self, body: Mapping[str, Any]) -> Metric:
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

    def unit(self, body: Mapping[str, Any]) -> str | None:
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


def _text(value: Any) -> str | None:
    """Text in the notation of ``Fn::Sub``."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return str(value)
    return escape(value) if isinstance(value, str) else None


def _number(value: Any, what: str) -> float:
    if isinstance(value, Symbolic):
        raise SimulationError(f"{what} is {value}, which is not known; give the parameter a value")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise SimulationError(f"{what} is missing or not a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise SimulationError(f"{what} is not a number: {str(value)[:40]!r}")
    return number


def _integer(value: Any, what: str) -> int:
    number = _number(value, what)
    if not number.is_integer():
        raise SimulationError(f"{what} is not a whole number: {value}")
    return int(number)


def _boolean(value: Any, what: str) -> bool:
    if isinstance(value, Symbolic):
        raise SimulationError(f"{what} is {value}, which is not known; give the parameter a value")
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise SimulationError(f"{what} is neither true nor false")


def _choice(kind: type[_Choice], value: Any, what: str) -> _Choice:
    try:
        return kind(value)
    except ValueError:
        if isinstance(value, Symbolic):
            raise SimulationError(f"{what} is {value}, which is not known; give the parameter a value") from None
        raise SimulationError(f"{what} {value!r} is not evaluated; it is one of {', '.join(kind)}") from None
