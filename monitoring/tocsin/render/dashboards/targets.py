"""CloudWatch queries of one panel: grafanalib targets that carry every key Grafana 11 to 13 needs, and nothing twice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ...alarm import Metric, MetricQuery
from .names import Names

#: The data source and region are variables, so the same JSON works on every server and in every region.
DATASOURCE = {"type": "cloudwatch", "uid": "${cloudwatch_datasource}"}
REGION = "$region"

# Grafana's names for the numbers in a CloudWatch query.
_SEARCH_OR_MATH = 0
_BUILDER, _CODE = 0, 1

_NAME = re.compile(r"[a-z][A-Za-z0-9_]*")
_WORD = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class MetricsTarget:
    """A CloudWatch target as Grafana 11 to 13 stores it; grafanalib's panels take it for one of their own.

    grafanalib's writes ``statistics`` beside ``statistic``, and Grafana's migration then silently replaces p99 by
    Average; without ``metricQueryType`` and ``metricEditorMode`` Grafana drops the query without an error.
    """

    id: str
    period: str
    label: str
    hide: bool
    editor_mode: int
    expression: str = ""
    namespace: str = ""
    metric_name: str = ""
    dimensions: Mapping[str, list[str]] = field(default_factory=dict)
    statistic: str = "Average"  # Grafana's backend wants one even for math

    def to_json_data(self) -> dict[str, Any]:
        return {
            "datasource": DATASOURCE,
            "dimensions": dict(self.dimensions),
            "expression": self.expression,
            "hide": self.hide,
            "id": self.id,
            "label": self.label,
            "matchExact": True,
            "metricEditorMode": self.editor_mode,
            "metricName": self.metric_name,
            "metricQueryType": _SEARCH_OR_MATH,
            "namespace": self.namespace,
            "period": self.period,
            "queryMode": "Metrics",
            "refId": self.id,
            "region": REGION,
            "sqlExpression": "",
            "statistic": self.statistic,
        }


class Queries:
    """The queries of one panel, each metric asked for once.

    ``names`` turns the text of a dimension (with the alarm template's placeholders) into the dashboard's.  Ids are
    made of what a query reads, so that adding one leaves the others as they are.
    """

    def __init__(self, names: Names, shared: Queries | None = None) -> None:
        self._names = names
        self._targets: list[MetricsTarget] = shared._targets if shared else []
        self._stats: dict[object, str] = shared._stats if shared else {}
        self._shared: dict[tuple[str, int], str] = shared._shared if shared else {}
        self._taken: set[str] = shared._taken if shared else set()

    def named(self, names: Names) -> Queries:
        """The queries of the same panel, for another system's physical names."""
        return Queries(names, self)

    @property
    def targets(self) -> list[MetricsTarget]:
        """All queries, in the order they were asked for."""
        return self._targets

    @property
    def metrics(self) -> int:
        """How many metrics CloudWatch bills for one refresh of the panel."""
        return len(self._stats)

    def stat(self, metric: Metric, statistic: str, period: int | None, label: str = "", hide: bool = True) -> str:
        """The id of a metric's statistic; ``period`` in seconds, None lets Grafana choose by the time range."""
        dimensions = tuple((name, self._names(value)) for name, value in metric.dimensions)
        key = (metric.namespace, metric.name, dimensions, statistic, period, label, hide)
        if key not in self._stats:
            # "${OrdersName}" reads as "orders" in an id that people see in the query editor.
            own = " ".join(
                f"{self._names.prefix}{value.removeprefix('${').removesuffix('Name}')}"
                for _, value in metric.dimensions
            )
            identifier = self._identifier(f"{own} {metric.name} {statistic}", f"_{period}" if period else "")
            self._stats[key] = identifier
            self._targets.append(
                MetricsTarget(
                    id=identifier,
                    namespace=metric.namespace,
                    metric_name=metric.name,
                    dimensions={name: [value] for name, value in dimensions},
                    statistic=statistic,
                    period="" if period is None else str(period),
                    label=label,
                    hide=hide,
                    editor_mode=_BUILDER,
                )
            )
        return self._stats[key]

    def math(self, expression: str, period: int, key: str, label: str = "", hide: bool = False) -> str:
        """The id of a metric-math expression over ids of the same panel."""
        identifier = self._identifier(key)
        self._targets.append(
            MetricsTarget(
                id=identifier,
                expression=expression,
                period=str(period),
                label=label,
                hide=hide,
                editor_mode=_CODE,
            )
        )
        return identifier

    def shared(self, expression: str, period: int, key: str) -> str:
        """The id of hidden math that reads no metric, asked for once."""
        asked = (expression, period)
        if asked not in self._shared:
            self._shared[asked] = self.math(expression, period, key, hide=True)
        return self._shared[asked]

    def alarm(self, queries: tuple[MetricQuery, ...], period: int, key: str) -> str:
        """What an alarm compares, from its own queries: the id of a metric, or an expression in brackets."""
        by_id = {query.id: query for query in queries}
        resolved: dict[str, str] = {}

        def resolve(identifier: str) -> str:
            if identifier not in resolved:
                query = by_id[identifier]
                if query.stat is not None:
                    resolved[identifier] = self.stat(query.stat.metric, query.stat.statistic, query.stat.period)
                else:
                    # Function names are upper-case, so a lower-case word that is an id of the alarm is that id.
                    text = _NAME.sub(
                        lambda word: resolve(word[0]) if word[0] in by_id else word[0], query.expression or ""
                    )
                    resolved[identifier] = (
                        f"({text})" if query.return_data else self.math(text, period, f"{key} {identifier}", hide=True)
                    )
            return resolved[identifier]

        return resolve(next(query.id for query in queries if query.return_data))

    def _identifier(self, words: str, suffix: str = "") -> str:
        base = _camel(words) + suffix
        identifier, count = base, 1
        while identifier in self._taken:
            count += 1
            identifier = f"{base}_{count}"
        self._taken.add(identifier)
        return identifier


@lru_cache(maxsize=4096)
def _camel(words: str) -> str:
    joined = "".join(word[0].upper() + word[1:] for word in _WORD.findall(words))
    return joined[0].lower() + joined[1:] if joined[0].isalpha() else f"q{joined}"
