"""Alarms that can never fire, by what the catalog knows of the metrics and the resources behind them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from difflib import get_close_matches

from ..alarm import Metric
from ..catalog.entry import Nature, Publication, PublishedMetric
from ..findings import Finding
from ..model import Resource
from ..units import format_duration, format_number
from .metric_names import NAMES
from .source import Source, SourceAlarm, SourceQuery, entry_of, knows, names_in_catalog, number, published, whole


def never_fires(source: Source) -> Iterator[Finding]:
    """Dead alarms: wrong metric, dimensions, opt-in, statistic, unit, datapoints or threshold."""
    for alarm in source.alarms:
        for query in alarm.queries:
            if query.metric is not None and knows(query.metric.namespace):
                yield from _metric(source, alarm, query)
        yield from _datapoints(source, alarm)


def _metric(source: Source, alarm: SourceAlarm, query: SourceQuery) -> Iterator[Finding]:
    metric = query.metric
    assert metric is not None
    known = published(metric)
    if not known:
        yield from _misspelt(alarm, metric)
        return
    names = tuple(sorted(query.dimension_names))
    sets = sorted({tuple(sorted(names)) for entry in known for names in entry.dimension_sets})
    if names not in sets:
        shown = " or ".join("{" + ", ".join(names) + "}" for names in sets)
        yield Finding("T051", alarm.where, f"{metric.name} under {{{', '.join(names)}}}; it is published under {shown}")
    resource = source.resource_of(metric)
    entry = next((entry for entry in known if names in {tuple(sorted(own)) for own in entry.dimension_sets}), known[0])
    if resource is not None:
        own = [
            found
            for found in entry_of(resource).metrics
            if (found.namespace, found.name) == (metric.namespace, metric.name)
        ]
        if own and own[0].publication is Publication.OPT_IN and own[0].opted_in and not own[0].opted_in(resource):
            yield Finding(
                "T052", alarm.where, f"{resource.logical_id}, as its template sets it up, publishes no {metric.name}"
            )
    yield from _statistic(alarm, query, entry)
    if query.unit is not None and query.unit != entry.unit:
        yield Finding("T055", alarm.where, f"unit {query.unit} for {metric.name}, which is published in {entry.unit}")
    if len(alarm.queries) == 1:
        yield from _threshold(alarm, query, entry, resource)


def _misspelt(alarm: SourceAlarm, metric: Metric) -> Iterator[Finding]:
    """A name that nobody publishes but that is close to one; other unknown names are not judged, AWS adds some each year."""
    listed = {*NAMES.get(metric.namespace, "").split(), *names_in_catalog(metric.namespace)}
    if metric.name not in listed and (close := get_close_matches(metric.name, sorted(listed), n=1, cutoff=0.8)):
        yield Finding("T050", alarm.where, f"{metric.namespace} publishes no {metric.name}; did you mean {close[0]!r}?")


def _statistic(alarm: SourceAlarm, query: SourceQuery, entry: PublishedMetric) -> Iterator[Finding]:
    if query.statistic == "Sum" and entry.nature in (Nature.GAUGE, Nature.DURATION):
        yield Finding("T053", alarm.where, f"Sum of {entry.name}, which is a {entry.nature.value}")
    if len(alarm.queries) != 1:
        return
    comparison = str(alarm.properties.get("ComparisonOperator", ""))
    if query.statistic == "Maximum" and comparison.startswith("Less"):
        yield Finding("T054", alarm.where, f"Maximum of {entry.name} with {comparison}")
    if query.statistic == "Minimum" and comparison.startswith("Greater"):
        yield Finding("T054", alarm.where, f"Minimum of {entry.name} with {comparison}")


def _threshold(
    alarm: SourceAlarm, query: SourceQuery, entry: PublishedMetric, resource: Resource | None
) -> Iterator[Finding]:
    comparison = str(alarm.properties.get("ComparisonOperator", ""))
    threshold = number(alarm.properties.get("Threshold"))
    if threshold is None:
        return
    lowest = entry.lowest if query.statistic not in ("Sum", "SampleCount") else 0
    if comparison == "LessThanThreshold" and threshold <= lowest:
        yield Finding(
            "T057",
            alarm.where,
            f"{entry.name} below {format_number(threshold)}; it is never below {format_number(lowest)}",
        )
    if query.statistic in ("Sum", "SampleCount"):
        return
    highest = None
    if resource is not None and entry.highest is not None:
        highest = entry.highest(resource)
    if highest is None and entry.unit == "Percent":
        highest = 100.0
    if highest is None and entry.nature is Nature.RATIO:
        highest = 1.0
    beyond = highest is not None and (
        threshold >= highest if comparison == "GreaterThanThreshold" else threshold > highest
    )
    if beyond and highest is not None and comparison.startswith("Greater"):
        yield Finding(
            "T057",
            alarm.where,
            f"{entry.name} above {format_number(threshold)}; it is never above {format_number(highest)}",
        )


def _datapoints(source: Source, alarm: SourceAlarm) -> Iterator[Finding]:
    """M datapoints within the window, from a source that runs on a schedule.

    A missing datapoint helps an alarm into ALARM under ``breaching`` and, through the premature-transition rule,
    under ``missing``; under ``notBreaching`` and ``ignore`` it does not (facts of the CloudWatch User Guide,
    "Configuring how CloudWatch alarms treat missing data").
    """
    n = whole(alarm.properties.get("EvaluationPeriods"))
    m = whole(alarm.properties.get("DatapointsToAlarm", n))
    if (
        n is None
        or m is None
        or m > n
        or str(alarm.properties.get("TreatMissingData", "missing")) not in ("notBreaching", "ignore")
    ):
        return
    for query in alarm.queries:
        resource = source.resource_of(query.metric) if query.metric is not None else None
        interval = entry_of(resource).expected_interval(resource) if resource is not None else None
        if resource is None or interval is None or query.period is None:
            continue
        window = timedelta(seconds=query.period * n)
        runs = max(1, -(-window // interval))
        if runs < m:
            yield Finding(
                "T056",
                alarm.where,
                f"{m} datapoints in {format_duration(window)}, but {resource.logical_id} runs every "
                f"{format_duration(interval)}: at most {runs} is there, and missing ones do not count",
            )
            return
