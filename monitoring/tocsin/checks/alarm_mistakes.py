"""Mistakes in alarms that template linters let pass and CloudWatch refuses or never evaluates."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator

from ..alarm import TreatMissingData
from ..errors import SimulationError
from ..findings import Finding
from ..simulate.composite import names_in, parse_rule
from .quotas import rule_quotas
from .source import Source, SourceAlarm, number, whole

_SIMPLE = ("Average", "Maximum", "Minimum", "SampleCount", "Sum")
_EXTENDED = re.compile(r"(p|tm|tc|ts|wm)(100|[0-9]{1,2})(\.[0-9]{1,10})?|IQM|(PR|TC|TM|TS|WM)\([0-9.%]*:[0-9.%]*\)")
_DAY, _WEEK = 86_400, 604_800
# Words of metric math that are no ids: ids begin with a lower-case letter, functions and keywords are upper case.
_WORD = re.compile(r'"[^"]*"|\'[^\']*\'|[A-Za-z_][A-Za-z0-9_]*')
_WITHOUT_IDS = ("SEARCH", "METRICS", "SELECT", "INSIGHT_RULE", "SERVICE_QUOTA", "LAMBDA", "DB_PERF_INSIGHTS")


def alarm_mistakes(source: Source) -> Iterator[Finding]:
    """Everything wrong with the metric alarms, composites and dashboards themselves."""
    for alarm in source.alarms:
        yield from _counts(alarm)
        yield from _queries(alarm)
        yield from _treatment(alarm)
    yield from _rules(source)
    for logical_id, type_name, properties in source.everything:
        if type_name == "AWS::CloudWatch::Dashboard" and type(body := properties.get("DashboardBody")) is str:
            try:
                json.loads(body)
            except ValueError as error:
                yield Finding("T040", f"{source.path}#{logical_id}", f"DashboardBody: {error}")


def _counts(alarm: SourceAlarm) -> Iterator[Finding]:
    properties = alarm.properties
    n = whole(properties.get("EvaluationPeriods"))
    m = whole(properties.get("DatapointsToAlarm", n))
    if n is not None and m is not None and m > n:
        yield Finding("T030", alarm.where, f"DatapointsToAlarm {m} is more than EvaluationPeriods {n}")
    periods = {query.period for query in alarm.queries if query.period is not None}
    for period in sorted(periods):
        if period not in (10, 20, 30) and (period <= 0 or period % 60):
            yield Finding("T032", alarm.where, f"a period of {period} s")
        elif n is not None and period * n > (_WEEK if period >= 3600 else _DAY):
            limit = "seven days" if period >= 3600 else "one day, because the period is under an hour"
            yield Finding("T031", alarm.where, f"{n} periods of {period} s are {period * n:,} s; the limit is {limit}")
    if len(periods) > 1:
        yield Finding("T038", alarm.where, f"periods of {', '.join(f'{period} s' for period in sorted(periods))}")
    compares_band = properties.get("ThresholdMetricId") is not None
    if (
        not compares_band
        and number(properties.get("Threshold")) is None
        and "Threshold" not in properties
        and not properties.get("EvaluationCriteria")
    ):
        yield Finding("T036", alarm.where, "neither Threshold nor ThresholdMetricId")
    if properties.get("Statistic") is not None and properties.get("ExtendedStatistic") is not None:
        yield Finding("T039", alarm.where, "both Statistic and ExtendedStatistic")


def _treatment(alarm: SourceAlarm) -> Iterator[Finding]:
    treatment = alarm.properties.get("TreatMissingData")
    if type(treatment) is str and treatment not in tuple(TreatMissingData):
        yield Finding("T042", alarm.where, f"TreatMissingData {treatment!r}")


def _queries(alarm: SourceAlarm) -> Iterator[Finding]:
    ids = {query.id for query in alarm.queries}
    returning = [query.id for query in alarm.queries if query.returns]
    # An anomaly alarm returns its metric and its band.
    if alarm.queries and len(returning) != 1 and alarm.properties.get("ThresholdMetricId") is None:
        said = " and ".join(returning) if returning else "no query"
        yield Finding(
            "T034", alarm.where, f"{said} {'return' if len(returning) > 1 else 'returns'} data; exactly one must"
        )
    for query in alarm.queries:
        repeated = [name for name, count in Counter(query.dimension_names).items() if count > 1]
        if repeated:
            yield Finding("T035", alarm.where, f"dimension {', '.join(repeated)} stands twice in {query.id}")
        if query.statistic is not None and query.statistic not in _SIMPLE and not _EXTENDED.fullmatch(query.statistic):
            yield Finding("T039", alarm.where, f"statistic {query.statistic!r}")
        if query.expression is not None:
            unknown = sorted(_ids(query.expression) - ids)
            if unknown:
                yield Finding(
                    "T033",
                    alarm.where,
                    f"{query.id}: {', '.join(unknown)} in {query.expression!r} is no id of this alarm",
                )


def _ids(expression: str) -> set[str]:
    if any(word in expression.upper() for word in _WITHOUT_IDS) and "METRICS(" not in expression.upper():
        return set()
    return {word for word in _WORD.findall(expression) if word[0].islower()}


def _rules(source: Source) -> Iterator[Finding]:
    names = {_name(alarm.properties, alarm.logical_id) for alarm in source.all_alarms}
    names |= {f"${{{alarm.logical_id}}}" for alarm in source.all_alarms}
    names |= {f"${{{alarm.logical_id}.Arn}}" for alarm in source.all_alarms}
    children: dict[str, tuple[str, ...]] = {}
    by_name = {}
    for composite in source.composites:
        for name in (
            _name(composite.properties, composite.logical_id),
            f"${{{composite.logical_id}}}",
            f"${{{composite.logical_id}.Arn}}",
        ):
            by_name[name] = composite.logical_id
        rule = composite.properties.get("AlarmRule")
        if not isinstance(rule, str):
            yield Finding("T037", composite.where, "AlarmRule is missing")
            continue
        if any(rule_quotas(rule)):
            continue  # too large to be read, which is a finding of its own
        try:
            found = names_in(parse_rule(rule))
        except SimulationError as error:
            yield Finding("T037", composite.where, str(error))
            continue
        children[composite.logical_id] = found
        for name in found:
            if name.startswith("${") and name not in names and "Environment" not in name:
                continue  # a parameter or an import: only a deployment can tell
            if name not in names and not name.startswith("arn:") and "${" in name:
                yield Finding("T037", composite.where, f"the rule names {name}, which this template does not create")
    graph = {own: [by_name[name] for name in found if name in by_name] for own, found in children.items()}
    for own in sorted(graph):
        if _reaches(graph, own, own, set()):
            yield Finding(
                "T041", f"{source.path}#{own}", "it watches itself, directly or through other composite alarms"
            )


def _name(properties: object, logical_id: str) -> str:
    return str(properties.get("AlarmName") or logical_id) if isinstance(properties, dict) else logical_id


def _reaches(graph: dict[str, list[str]], start: str, goal: str, seen: set[str]) -> bool:
    for following in graph.get(start, ()):
        if following == goal:
            return True
        if following not in seen:
            seen.add(following)
            if _reaches(graph, following, goal, seen):
                return True
    return False
