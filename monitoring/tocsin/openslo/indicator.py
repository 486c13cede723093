"""A measure as the ratioMetric of an OpenSLO SLI on CloudWatch, and such a ratioMetric as a measure.

OpenSLO leaves the content of ``metricSource.spec`` to each source.  One metric is written with the names of CloudWatch's
own MetricStat in lower camel case: ``namespace``, ``metricName``, ``stat``, ``dimensions``.  What no single metric counts
is metric math: ``json`` holds the MetricDataQueries of GetMetricData (CloudWatch API reference), of which one is returned.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..alarm import Metric
from ..model import Counted, Measure, Ranked
from .node import LeftOutError, Node, exact

SOURCE_NAME, SOURCE_TYPE = "cloudwatch", "CloudWatch"

# CloudWatch's finest period for metrics of standard resolution, in seconds.
_PERIOD = 60
_SIMPLE = ("namespace", "metricName", "stat", "dimensions")
# Where a metric lies is the deployment's business: these say it, and are not part of a declaration.
_WHERE = ("region", "accountId")

# A plain metric, or several with the expressions over them; comparable, whatever order it was written in.
Query = tuple[object, ...]


def ratio_metric(measure: Counted | Ranked) -> dict[str, Any]:
    """The ratioMetric of a share.  A Ranked measure counts to whole events: the share comes from CloudWatch in percent."""
    return {
        "counter": False,  # each datapoint holds the events of its own period
        **{
            role: {"metricSource": {"metricSourceRef": SOURCE_NAME, "type": SOURCE_TYPE, "spec": spec}}
            for role, spec in _specs(measure).items()
        },
    }


def read_measure(ratio: Node, sources: Mapping[str, str]) -> Measure:
    """The measure that a ratioMetric says; what only a catalog knows of it, a unit and ``each_minute``, is left open.

    ``sources`` are the types of the data sources by name.  Raises LeftOutError for what Tocsin has no measure for, and
    InputError for what OpenSLO does not allow.
    """
    ratio.keys("counter", "good", "bad", "total", "rawType", "raw")
    if ratio.has("raw"):
        raise LeftOutError("raw is a ratio that was computed before; Tocsin counts events: give bad and total")
    total = ratio.need("total")
    if ratio.has("good") == ratio.has("bad"):
        raise ratio.error("give good or bad beside total, one of the two")
    role = "bad" if ratio.has("bad") else "good"
    found = {
        "total": _read_query(total.need("metricSource"), sources),
        role: _read_query(ratio.need(role).need("metricSource"), sources),
    }
    for measure in _guesses(found):
        if {name: _plain(spec) for name, spec in _specs(measure).items()} == found:
            return measure
    if role == "good" and found["good"][0] == "stat":
        raise LeftOutError(
            "good and total: no metric counts the bad events, which is what alarms need; give bad and total"
        )
    raise LeftOutError("its metric math is none that Tocsin writes; docs/openslo.md has those it knows")


def _specs(measure: Counted | Ranked) -> dict[str, dict[str, Any]]:
    """What stands under ``spec`` of each role."""
    if isinstance(measure, Ranked):
        share = _stat("share", measure.metric, measure.statistic)
        count = _stat("count", measure.metric, "SampleCount")
        good = _math(share, count, _expression("good", "FLOOR(share * count / 100 + 0.5)", returned=True))
        return {"good": good, "total": _simple(measure.metric, "SampleCount")}
    if measure.bad_is_level:
        level = _stat("level", measure.bad, "Maximum")
        rise = "IF(DIFF(FILL(level, 0)) > 0, DIFF(FILL(level, 0)), 0)"
        bad = _math(level, _expression("bad", rise, returned=True))
        parts = [level, _expression("bad", rise)]
    else:
        bad = _simple(measure.bad, measure.bad_statistic)
        parts = [_stat("bad", measure.bad, measure.bad_statistic)]
    if measure.bad_in_valid:
        return {"bad": bad, "total": _simple(measure.valid, measure.valid_statistic)}
    good = _stat("good", measure.valid, measure.valid_statistic)
    both = _expression("total", "FILL(bad, 0) + FILL(good, 0)", returned=True)
    return {"bad": bad, "total": _math(*parts, good, both)}


def _simple(metric: Metric, statistic: str) -> dict[str, Any]:
    return {
        "namespace": metric.namespace,
        "metricName": metric.name,
        "stat": statistic,
        "dimensions": [{"name": name, "value": value} for name, value in metric.dimensions],
    }


def _stat(query: str, metric: Metric, statistic: str) -> dict[str, Any]:
    return {
        "Id": query,
        "MetricStat": {
            "Metric": {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
            },
            "Period": _PERIOD,
            "Stat": statistic,
        },
        "ReturnData": False,
    }


def _expression(query: str, text: str, *, returned: bool = False) -> dict[str, Any]:
    return {"Id": query, "Expression": text, "ReturnData": returned}


def _math(*queries: dict[str, Any]) -> dict[str, Any]:
    return {"json": json.dumps(queries, indent=2, ensure_ascii=False) + "\n"}


def _guesses(found: Mapping[str, Query]) -> Iterator[Counted | Ranked]:
    """Every measure that its metrics could stand for; which of them it is, comparing tells."""
    role = "bad" if "bad" in found else "good"
    metrics = {name: list(_metrics(query)) for name, query in found.items()}
    if role == "good":
        for metric, statistic in metrics["good"]:
            if statistic.startswith("PR(:") and (limit := exact(statistic[4:].rstrip(")"))) is not None:
                yield Ranked(metric, limit)
        return
    for bad, bad_statistic in metrics["bad"]:
        for valid, valid_statistic in metrics["total"]:
            for in_valid in (True, False):
                yield Counted(bad, valid, bad_statistic, valid_statistic, in_valid)
                yield Counted(bad, valid, "Sum", valid_statistic, in_valid, bad_is_level=True)


def _metrics(query: Query) -> Iterator[tuple[Metric, str]]:
    for part in [query] if query[0] == "stat" else query[1:]:
        assert isinstance(part, tuple)
        if part[0] == "stat" and isinstance(part[1], Metric):
            yield part[1], str(part[2])


def _plain(spec: Mapping[str, Any]) -> Query:
    """A spec of ours in the form that ``_read_query`` gives one of anybody's."""
    if "json" in spec:
        return _math_query(json.loads(spec["json"]))
    dimensions = tuple((one["name"], one["value"]) for one in spec["dimensions"])
    return "stat", Metric(spec["namespace"], spec["metricName"], dimensions), spec["stat"]


def _read_query(source: Node, sources: Mapping[str, str]) -> Query:
    source.keys("metricSourceRef", "type", "spec")
    reference, kind = source.optional_text("metricSourceRef"), source.optional_text("type")
    if reference is not None:
        kind = kind or sources.get(reference)
        if kind is None:
            raise LeftOutError(f"data source {reference!r} is in none of the files, so its type is not known")
    if kind is None:
        raise source.error("say where the metric comes from: type, or metricSourceRef")
    if kind.lower() != SOURCE_TYPE.lower():
        raise LeftOutError(f"its data source is {kind}; Tocsin reads {SOURCE_TYPE}")
    spec = source.need("spec")
    if spec.has("json"):
        _refuse_more(spec, ("json",))
        text = spec.need("json")
        try:
            return _math_query(json.loads(text.text()))
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
            raise text.error("not a list of MetricDataQueries as GetMetricData takes them") from None
    if not spec.has("namespace"):
        raise LeftOutError("its spec names no metric by namespace, metricName and stat, nor metric math as json")
    _refuse_more(spec, _SIMPLE)
    dimensions = []
    for one in spec.need("dimensions").items() if spec.has("dimensions") else ():
        one.keys("name", "value")
        dimensions.append((one.need("name").text(), one.need("value").text()))
    metric = Metric(spec.need("namespace").text(), spec.need("metricName").text(), tuple(dimensions))
    return "stat", metric, spec.need("stat").text()


def _refuse_more(spec: Node, known: Iterable[str]) -> None:
    for key in spec.names():
        if key not in known and key not in _WHERE:
            raise LeftOutError(f"its spec has {key}, which says more than a metric, its statistic and dimensions")


def _math_query(queries: Any) -> Query:
    """The queries of GetMetricData in one comparable form.  Raises what plain Python raises where they are none."""
    parts: list[tuple[object, ...]] = []
    for query in queries:
        returned = query.get("ReturnData", True)
        if "Expression" in query:
            expression = "".join(str(query["Expression"]).split())
            parts.append(("expression", str(query["Id"]), expression, returned))
            continue
        stat = query["MetricStat"]
        dimensions = tuple((str(one["Name"]), str(one["Value"])) for one in stat["Metric"].get("Dimensions", ()))
        metric = Metric(str(stat["Metric"]["Namespace"]), str(stat["Metric"]["MetricName"]), dimensions)
        parts.append(("stat", metric, str(stat["Stat"]), str(query["Id"]), returned))
    return "math", *sorted(parts, key=repr)
