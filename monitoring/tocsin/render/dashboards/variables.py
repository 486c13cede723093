"""Dashboard variables: data source, region, environment, stack, and one for each physical name that is to be looked up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ...alarm import Metric
from ...catalog import CATALOG
from ...catalog.entry import Publication, parameter_name
from ...model import Resource
from ...plan import ENVIRONMENT, Plan
from .names import STACK_PART, Names
from .targets import DATASOURCE, REGION

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9]+)\}")
_SHOWN, _HIDDEN = 0, 2
_ON_TIME_RANGE_CHANGE = 2
# Grafana's ways to sort a drop-down.
_UNSORTED, _ALPHABETICAL = 0, 1
_USUAL_ENVIRONMENT = "prod"
#: What stands for a name without any known text while nothing is found: CloudWatch refuses an empty one.
NOT_FOUND = "not-found"
# Grafana takes "All" of itself only while there is nothing to choose from, but then keeps it.  So this is for names
# without any text around them only; the others are not empty anyway, and are there as soon as they are found.
_NEVER_EMPTY = {"includeAll": True, "allValue": NOT_FOUND}


def used_metrics(plan: Plan) -> tuple[Metric, ...]:
    """Every metric that a plan's panels, alarms and promises read, once each, in a fixed order."""
    found: dict[Metric, None] = {}
    for planned in plan.alarms:
        for metric in getattr(planned.alarm, "metrics", ()):
            found.setdefault(metric)
    for group in plan.panels:
        for panel in group.panels:
            for series in panel.series:
                found.setdefault(series.metric)
    return tuple(sorted(found, key=str))


def common_variables(*, alarms: bool) -> list[dict[str, Any]]:
    """Data source, region and environment, whose name begins every alarm's name.

    Without ``alarms`` to mark the environment is hidden, and only handed on when a link is followed.
    """
    variables: list[dict[str, Any]] = [
        {
            "type": "datasource",
            "name": "cloudwatch_datasource",
            "label": "Cloudwatch data source",
            "query": "cloudwatch",
            "regex": "",
            "refresh": 1,
            "hide": _SHOWN,
            "multi": False,
            "includeAll": False,
            "current": {},
            "options": [],
        },
        {
            "type": "query",
            "name": REGION.removeprefix("$"),
            "label": "Region",
            "datasource": DATASOURCE,
            "query": {"queryType": "regions", "refId": "CloudWatchVariableQueryEditor-VariableQuery"},
            "regex": "",
            "refresh": _ON_TIME_RANGE_CHANGE,
            "sort": _UNSORTED,  # keeps "default", the region of the data source, first
            "hide": _SHOWN,
            "multi": False,
            "includeAll": False,
            "current": {"selected": True, "text": "default", "value": "default"},
            "options": [],
        },
    ]
    variables.append(
        _textbox(
            ENVIRONMENT,
            "Environment",
            _USUAL_ENVIRONMENT,
            _SHOWN if alarms else _HIDDEN,
            "The first word of every alarm's name, for the marks.",
        )
    )
    return variables


def name_variables(plan: Plan, metrics: Iterable[Metric], names: Names) -> list[dict[str, Any]]:
    """The stack, and one variable for each physical name that ``metrics`` need and that is not known without asking.

    A name that the template states is the same in every environment: a hidden text box holds it, so nothing is
    asked of CloudWatch and the dashboard still says "no data", not "no such queue", when a resource was silent for the
    two weeks that CloudWatch lists metrics for.  Any other name is looked up among the values CloudWatch has,
    filtered by what the template tells of it: the pattern it gives, or <stack>-<logical id>-<random>.  It stays
    hidden too, for thirty drop-downs are no help at night; row titles show what was found.  Where the pattern tells
    nothing, such as for the random id of an HTTP API, the drop-down is shown.

    Logical ids such as "Database" occur in many stacks of an account, and the wrong system's graphs are worse than
    none.  So names that hold the stack's follow the drop-down "Stack": the stacks in which the most telling of these
    resources is found, as far as their name contains the text beside it, at first the system's name.  Of several
    environments in one account the reader chooses; "<system>-prod" is taken if there is one.
    """
    samples = _samples(metrics)
    variables: list[dict[str, Any]] = []
    anchors: list[tuple[tuple[object, ...], str]] = []
    promised = {slo.slo.sli.resource.logical_id for slo in plan.slos}
    for name in sorted(samples):
        resource, lookup = names.resource(name), names.lookup(name)
        entry = CATALOG.get(resource.type) if resource is not None else None
        title = entry.title if entry is not None else "resource"
        logical_id = name.removesuffix(parameter_name(""))
        label = f"{names.prefix} {logical_id}".strip()
        description = f"Name of the {title} {logical_id}."
        if lookup.stated is not None:
            variables.append(_textbox(names.prefix + name, label, lookup.stated, _HIDDEN, description))
            continue
        if lookup.in_stack:
            anchors.append((_rank(name, names, logical_id in promised), name))
        if lookup.pattern is None:
            continue
        variable = _query(
            names.prefix + name,
            label,
            description,
            _values_of(name, names, samples),
            lookup.regex(f"${{{names.stack}:regex}}"),
            _HIDDEN if lookup.tells else _SHOWN,
        )
        if lookup.bare:
            variable |= _NEVER_EMPTY
        variables.append(variable)
    if not anchors:
        return variables
    _, anchor = min(anchors, key=lambda entry: entry[0])
    narrowed, stack = _stack(plan, names, anchor, _values_of(anchor, names, samples))
    if any(names.lookup(name).is_stack for name in samples):
        stack |= _NEVER_EMPTY
    return [narrowed, stack, *variables]


def has_stack(metrics: Iterable[Metric], names: Names) -> bool:
    """Whether the dashboard of these metrics lets the reader choose the stack."""
    return any(names.lookup(name).in_stack for name in _samples(metrics))


def merge(*groups: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The variables of several groups, each name once."""
    found: dict[str, dict[str, Any]] = {}
    for group in groups:
        for variable in group:
            found.setdefault(variable["name"], variable)
    return list(found.values())


def _stack(plan: Plan, names: Names, anchor: str, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The text that narrows the drop-down of stacks, and that drop-down: stacks that have the resource ``anchor``."""
    usual = plan.system.name.replace("_", "-")  # a stack's name has no underscore
    shown = f"{names.prefix} stack" if names.prefix else "Stack"
    drop_down = _query(
        names.stack,
        shown,
        "The stack whose resources are shown.",
        values,
        names.lookup(anchor).stack_regex(f".*${{{names.prefix}{STACK_PART}:regex}}.*"),
        _SHOWN,
    )
    preferred = f"{usual}-{_USUAL_ENVIRONMENT}"
    drop_down["current"] = {"selected": True, "text": preferred, "value": preferred}
    narrowed = _textbox(
        names.prefix + STACK_PART,
        f"{shown} name contains",
        usual,
        # On a page of many systems one control for each is enough.
        _HIDDEN if names.prefix else _SHOWN,
        "Which stacks are offered. Empty: every stack that has such a resource.",
    )
    return narrowed, drop_down


def _rank(name: str, names: Names, promised: bool) -> tuple[object, ...]:
    """How well a resource tells the stacks apart that have it, the best first: one that always has metrics and
    whose name holds its logical id whole."""
    lookup, resource = names.lookup(name), names.resource(name)
    entry = CATALOG.get(resource.type) if resource is not None else None
    publications = [metric.publication for metric in (entry.metrics if entry is not None else ())]
    best = min((list(Publication).index(publication) for publication in publications), default=len(Publication))
    return (
        lookup.pattern is None,
        ".*" in (lookup.pattern or ""),
        best,
        "]*" in (lookup.pattern or ""),
        not promised,
        name,
    )


def _values_of(name: str, names: Names, samples: dict[str, tuple[Metric, str]]) -> dict[str, Any]:
    """The question for all values of the dimension that carries a physical name."""
    metric, dimension = samples[name]
    namespace, metric_name = _telling_metric(names.resource(name), metric, dimension)
    return {
        "queryType": "dimensionValues",
        "refId": "CloudWatchVariableQueryEditor-VariableQuery",
        "region": REGION,
        "namespace": namespace,
        "metricName": metric_name,
        "dimensionKey": dimension,
        # Only dimensions that sort before this one, so that two variables never wait for each other.
        "dimensionFilters": {
            key: [names(value)] for key, value in metric.dimensions if key < dimension and value != "*"
        },
    }


def _query(name: str, label: str, description: str, query: dict[str, Any], regex: str, hide: int) -> dict[str, Any]:
    return {
        "type": "query",
        "name": name,
        "label": label,
        "description": description,
        "datasource": DATASOURCE,
        "query": query,
        "regex": f"/{regex}/i",
        "refresh": _ON_TIME_RANGE_CHANGE,
        "sort": _ALPHABETICAL,
        "hide": hide,
        "multi": False,
        "includeAll": False,
        "current": {},
        "options": [],
    }


def _textbox(name: str, label: str, value: str, hide: int, description: str) -> dict[str, Any]:
    return {
        "type": "textbox",
        "name": name,
        "label": label,
        "description": description,
        "query": value,
        "hide": hide,
        "current": {"selected": True, "text": value, "value": value},
        "options": [{"selected": True, "text": value, "value": value}],
    }


def _samples(metrics: Iterable[Metric]) -> dict[str, tuple[Metric, str]]:
    """For each placeholder the metric with the fewest dimensions that carries it, and the dimension it is the value of."""
    found: dict[str, tuple[Metric, str]] = {}
    for metric in metrics:
        for dimension, value in metric.dimensions:
            for name in _PLACEHOLDER.findall(value):
                if name not in found or len(metric.dimensions) < len(found[name][0].dimensions):
                    found[name] = (metric, dimension)
    return found


def _telling_metric(resource: Resource | None, used: Metric, dimension: str) -> tuple[str, str]:
    """Namespace and name of the metric to look a name up by: one the resource always has, main metrics first.

    A metric that is published only when something goes wrong would find no name while all is well.
    """
    entry = CATALOG.get(resource.type) if resource is not None else None
    published = [
        metric
        for metric in (entry.metrics if entry is not None else ())
        if any(dimension in dimensions for dimensions in metric.dimension_sets)
    ]
    if not published:
        return used.namespace, used.name
    best = min(published, key=lambda metric: list(Publication).index(metric.publication))
    return best.namespace, best.name
