"""Dashboard variables: data source, region, environment, and one for each physical name the alarm template has as parameter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ...alarm import Metric
from ...catalog import CATALOG
from ...catalog.entry import NameSource, Publication, parameter_name
from ...cloudformation.symbolic import Symbolic
from ...model import Resource
from ...plan import ENVIRONMENT, Plan
from .targets import DATASOURCE, REGION

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9]+)\}")
_ANY_PLACEHOLDER = re.compile(r"\$\{(?!!)[^}]*\}")
_STACK = "Stack"
_SHOWN, _HIDDEN = 0, 2
_ON_TIME_RANGE_CHANGE = 2

# CloudFormation names an unnamed resource <stack>-<logical id>-<random>; where that is too long for the service it
# shortens the logical id, so only its beginning can be relied on.
_CERTAIN_PART = 20
# Fewer letters than this in a pattern tell no resource apart, so the choice is shown to the reader.
_TELLING_LETTERS = 3


@dataclass(frozen=True, slots=True)
class Names:
    """How the placeholders of the alarm template are called on one dashboard.

    ``prefix`` tells the names of several systems on one dashboard apart.
    """

    prefix: str = ""

    def __call__(self, text: str) -> str:
        """The text of a dimension as a dashboard writes it."""
        return _renamed(self.prefix, text)


@lru_cache(maxsize=4096)
def _renamed(prefix: str, text: str) -> str:
    return _PLACEHOLDER.sub(lambda found: f"${{{prefix}{found[1]}}}", text).replace("${!", "${")


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
    """Data source and region; with ``alarms`` the environment, whose name begins every alarm's name."""
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
            "sort": 0,  # keeps "default", the region of the data source, first
            "hide": _SHOWN,
            "multi": False,
            "includeAll": False,
            "current": {"selected": True, "text": "default", "value": "default"},
            "options": [],
        },
    ]
    if alarms:
        variables.append(
            _textbox(ENVIRONMENT, "Environment", "prod", _SHOWN, "The first word of every alarm's name, for the marks.")
        )
    return variables


def name_variables(plan: Plan, metrics: Iterable[Metric], names: Names = Names()) -> list[dict[str, Any]]:
    """One variable for each physical name that ``metrics`` need.

    A name that the template states is the same in every environment: a hidden text box holds it, so nothing is
    asked of CloudWatch and the dashboard still says "no data", not "no such queue", when a resource was silent for the
    two weeks that CloudWatch lists metrics for.  Any other name is looked up among the values CloudWatch has,
    filtered by what the template tells of it: the pattern it gives, or <stack>-<logical id>-<random>.  It stays
    hidden too, for thirty drop-downs are no help at night; row titles show what was found.  Where the pattern tells
    nothing, such as for the random id of an HTTP API, the drop-down is shown.

    Logical ids such as "Database" occur in many stacks of an account, and the wrong system's graphs are worse than
    none.  So names that begin with the stack's are narrowed by "Stack name contains", at first the system's name;
    where several environments share an account a reader types more of it.
    """
    resources = _resources(plan)
    defaults = {parameter.name: parameter.default for parameter in plan.parameters}
    samples = _samples(metrics)
    variables: list[dict[str, Any]] = []
    filtered = False
    for name in sorted(samples):
        resource = resources.get(name)
        entry = CATALOG.get(resource.type) if resource is not None else None
        title = entry.title if entry is not None else "resource"
        logical_id = name.removesuffix(parameter_name(""))
        label = f"{names.prefix} {logical_id}".strip()
        description = f"Name of the {title} {logical_id}."
        stated = defaults.get(name) or (_stated(resource) if resource is not None else None)
        if stated is not None and not isinstance(stated, Symbolic):
            variables.append(_textbox(names.prefix + name, label, stated, _HIDDEN, description))
            continue
        pattern, in_stack = _pattern(resource) if resource is not None else ("", False)
        filtered = filtered or in_stack
        stack = f"(?=.*${{{names.prefix}{_STACK}:regex}})" if in_stack else ""
        metric, dimension = samples[name]
        namespace, metric_name = _telling_metric(resource, metric, dimension)
        variables.append(
            {
                "type": "query",
                "name": names.prefix + name,
                "label": label,
                "description": description,
                "datasource": DATASOURCE,
                "query": {
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
                },
                "regex": f"/^{stack}{pattern or '.*'}$/i",
                "refresh": _ON_TIME_RANGE_CHANGE,
                "sort": 1,
                "hide": _HIDDEN if len(re.findall(r"[A-Za-z0-9]", pattern)) >= _TELLING_LETTERS else _SHOWN,
                "multi": False,
                "includeAll": False,
                "current": {},
                "options": [],
            }
        )
    return [_stack_filter(plan, names), *variables] if filtered else variables


def merge(*groups: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The variables of several groups, each name once."""
    found: dict[str, dict[str, Any]] = {}
    for group in groups:
        for variable in group:
            found.setdefault(variable["name"], variable)
    return list(found.values())


def _stack_filter(plan: Plan, names: Names) -> dict[str, Any]:
    return _textbox(
        names.prefix + _STACK,
        f"{names.prefix} stack name contains" if names.prefix else "Stack name contains",
        plan.system.name.replace("_", "-"),  # a stack's name has no underscore
        _HIDDEN if names.prefix else _SHOWN,
        "Which stack's resources are shown. Empty: of any stack that has them.",
    )


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


def _resources(plan: Plan) -> Mapping[str, Resource]:
    found: dict[str, Resource] = {}
    for resource in plan.system.resources:
        found[parameter_name(resource.logical_id)] = resource
    for resource in plan.system.resources:
        for logical_id, other in resource.surroundings.items():
            found.setdefault(parameter_name(logical_id), other)
    return found


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


def _stated(resource: Resource) -> str | None:
    """The physical name as the template states it, complete or Symbolic."""
    entry = CATALOG.get(resource.type)
    if resource.name is not None or entry is None or entry.name_property is None:
        return resource.name
    value = resource.properties.get(entry.name_property)
    return value if isinstance(value, str) else None


def _pattern(resource: Resource) -> tuple[str, bool]:
    """A JavaScript pattern for the physical name, empty where the template tells nothing, and whether it holds the
    stack's name."""
    entry = CATALOG.get(resource.type)
    if entry is None or entry.name_property is None:
        return "", False
    stated = _stated(resource)
    if isinstance(stated, Symbolic):
        literals = [_escape(part.replace("${!", "${")) for part in _ANY_PLACEHOLDER.split(stated)]
        return ".*".join(literals), "${AWS::StackName}" in stated
    if entry.name_source is NameSource.REST_API_NAME:
        return "", False  # its name is stated or it has none that could be guessed
    logical_id = resource.logical_id
    if len(logical_id) > _CERTAIN_PART:
        logical_id = f"{logical_id[:_CERTAIN_PART]}[A-Za-z0-9]*"
    return rf".*-{logical_id}-[A-Za-z0-9]+(?:\.fifo)?", True


def _escape(text: str) -> str:
    return re.sub(r"[\\^$.|?*+()\[\]{}/]", r"\\\g<0>", text)
