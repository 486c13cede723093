"""An alarm template as the checks see it: properties as CloudFormation will pass them on, whoever wrote them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..alarm import Metric
from ..catalog import CATALOG, entries
from ..catalog.entry import PublishedMetric, ResourceType
from ..cloudformation.document import Document
from ..cloudformation.intrinsics import resolve
from ..model import Resource

ALARM, COMPOSITE = "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"


@dataclass(frozen=True, slots=True)
class SourceQuery:
    """One query of an alarm, as far as it can be read.  ``period`` in seconds; None where it is missing or unreadable."""

    id: str
    metric: Metric | None
    statistic: str | None
    expression: str | None
    period: int | None
    unit: str | None
    returns: bool
    dimension_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceAlarm:
    """One metric alarm; ``where`` is the file and the logical id."""

    where: str
    logical_id: str
    properties: Mapping[str, Any]
    metadata: Mapping[str, Any]
    queries: tuple[SourceQuery, ...]


@dataclass(frozen=True, slots=True)
class SourceComposite:
    """One composite alarm."""

    where: str
    logical_id: str
    properties: Mapping[str, Any]
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """All that a template says of alarms.  ``resources`` are the watched resources by what their dimensions may say."""

    path: str
    size: int
    tree: Mapping[str, Any]
    alarms: tuple[SourceAlarm, ...]
    composites: tuple[SourceComposite, ...]
    everything: tuple[tuple[str, str, Mapping[str, Any]], ...]
    resources: Mapping[str, tuple[Resource, ...]]

    @property
    def all_alarms(self) -> tuple[SourceAlarm | SourceComposite, ...]:
        """Metric alarms, then composite alarms."""
        return (*self.alarms, *self.composites)

    def resource_of(self, metric: Metric) -> Resource | None:
        """The watched resource that one of the metric's dimensions names and that publishes it, if it is known."""
        for _, value in metric.dimensions:
            for resource in self.resources.get(value, ()):  # a function and a rule may have one name
                if any(
                    (own.namespace, own.name) == (metric.namespace, metric.name) for own in entry_of(resource).metrics
                ):
                    return resource
        return None


def read_source(
    document: Document, size: int, parameters: Mapping[str, str], watched: Mapping[str, Resource]
) -> Source:
    """Read a template.  ``watched`` are resources by logical id: dimensions may name them as Tocsin does
    (``${IdName}``), by reference (``${Id}``) or by their physical name.  Raises TemplateError or InputError."""
    alarms, composites, everything = [], [], []
    for resolved in resolve(document, parameters):
        where = f"{document.path}#{resolved.logical_id}"
        metadata = resolved.metadata.get("Tocsin", {}) if isinstance(resolved.metadata, dict) else {}
        metadata = metadata if isinstance(metadata, dict) else {}
        everything.append((resolved.logical_id, resolved.type, resolved.properties))
        if resolved.type == ALARM:
            queries = _queries(resolved.properties)
            alarms.append(SourceAlarm(where, resolved.logical_id, resolved.properties, metadata, queries))
        elif resolved.type == COMPOSITE:
            composites.append(SourceComposite(where, resolved.logical_id, resolved.properties, metadata))
    names: dict[str, tuple[Resource, ...]] = {}
    for logical_id, resource in watched.items():
        for name in (f"${{{logical_id}Name}}", f"${{{logical_id}}}", resource.name):
            if name:
                names[name] = (*names.get(name, ()), resource)
    return Source(document.path, size, document.tree, tuple(alarms), tuple(composites), tuple(everything), names)


def _queries(properties: Mapping[str, Any]) -> tuple[SourceQuery, ...]:
    if properties.get("MetricName") is not None:
        statistic = properties.get("Statistic", properties.get("ExtendedStatistic"))
        metric, names = _metric(properties)
        return (
            SourceQuery(
                "m1",
                metric,
                _text(statistic),
                None,
                _whole(properties.get("Period")),
                _text(properties.get("Unit")),
                True,
                names,
            ),
        )
    found = []
    for entry in properties.get("Metrics") or ():
        if not isinstance(entry, Mapping):
            continue
        stat = entry.get("MetricStat")
        stat = stat if isinstance(stat, Mapping) else None
        metric, names = _metric(stat["Metric"]) if stat and isinstance(stat.get("Metric"), Mapping) else (None, ())
        found.append(
            SourceQuery(
                id=str(entry.get("Id", "")),
                metric=metric,
                statistic=_text(stat.get("Stat")) if stat else None,
                expression=_text(entry.get("Expression")),
                period=_whole(stat.get("Period")) if stat else _whole(entry.get("Period")),
                unit=_text(stat.get("Unit")) if stat else None,
                returns=str(entry.get("ReturnData", True)).lower() != "false",
                dimension_names=names,
            )
        )
    return tuple(found)


def _metric(tree: Mapping[str, Any]) -> tuple[Metric | None, tuple[str, ...]]:
    namespace, name = tree.get("Namespace"), tree.get("MetricName")
    if not isinstance(namespace, str) or not isinstance(name, str):
        return None, ()
    pairs = [
        (str(dimension.get("Name")), str(dimension.get("Value")))
        for dimension in tree.get("Dimensions") or ()
        if isinstance(dimension, Mapping)
    ]
    return Metric(namespace, name, tuple(pairs)), tuple(pair[0] for pair in pairs)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: Any) -> int | None:
    return int(str(value)) if re.fullmatch(r"[0-9]{1,9}", str(value)) else None


def number(value: Any) -> float | None:
    """A property that should be a number, or None."""
    try:
        return float(str(value))
    except ValueError:
        return None


def whole(value: Any) -> int | None:
    """A property that should be a whole number, or None."""
    return _whole(value)


def published(metric: Metric) -> tuple[PublishedMetric, ...]:
    """What the catalog knows of a metric; empty for one it does not know."""
    return _BY_METRIC.get((metric.namespace, metric.name), ())


def names_in_catalog(namespace: str) -> tuple[str, ...]:
    """The metric names of a namespace that the catalog knows."""
    return tuple(sorted(name for known, name in _BY_METRIC if known == namespace))


def knows(namespace: str) -> bool:
    """Whether the catalog knows the metrics of a namespace."""
    return namespace in _NAMESPACES


def _index() -> dict[tuple[str, str], tuple[PublishedMetric, ...]]:
    found: dict[tuple[str, str], tuple[PublishedMetric, ...]] = {}
    for entry in entries():
        for metric in entry.metrics:
            key = (metric.namespace, metric.name)
            found[key] = (*found.get(key, ()), metric)
    return found


_BY_METRIC = _index()
_NAMESPACES = {namespace for namespace, _ in _BY_METRIC}


def entry_of(resource: Resource) -> ResourceType:
    """The catalog entry of a watched resource."""
    return CATALOG[resource.type]
