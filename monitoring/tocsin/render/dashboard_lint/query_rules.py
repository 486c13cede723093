"""Our rules on CloudWatch queries: what Grafana would drop, misread or never get an answer to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .subject import Found, Subject, cloudwatch_targets, title

_QUERIES = 500  # CloudWatch, GetMetricData: queries in one call
_EXPRESSION = 2048  # CloudWatch, MetricDataQuery: characters in an expression
_INSIGHTS_DAYS = 14  # CloudWatch Metrics Insights looks back two weeks
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
_WORD = re.compile(r"\b[a-z][A-Za-z0-9_]*\b")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\$\{[^}]*\}|\$\w+")
_RELATIVE = re.compile(r"now-(\d+)([smhdwMy])(?:/\w)?|(\d+)([smhdwMy])")
_DAYS = {"s": 1 / 86_400, "m": 1 / 1440, "h": 1 / 24, "d": 1.0, "w": 7.0, "M": 30.0, "y": 365.0}


def _is_metrics(target: Mapping[str, Any]) -> bool:
    return bool(target.get("queryMode", "Metrics") == "Metrics")


def _name(target: Mapping[str, Any]) -> str:
    return str(target.get("refId") or target.get("id") or "?")


def target_incomplete(subject: Subject) -> Found:
    """Grafana drops an incomplete CloudWatch query without an error: "No data"."""
    for panel in subject.panels:
        for target in cloudwatch_targets(panel):
            if missing := missing_keys(target):
                yield title(panel), f"query {_name(target)}: Grafana would drop it: no {', '.join(missing)}"


def missing_keys(target: Mapping[str, Any]) -> list[str]:
    """What a CloudWatch query lacks, by the test of Grafana's own query filter."""
    needed = ["region"]
    missing: list[str] = []
    if not _is_metrics(target):
        needed.append("expression")
    else:
        missing = [key for key in ("metricQueryType", "metricEditorMode") if key not in target]
        if not missing:
            if target["metricQueryType"] == 1:
                needed.append("sqlExpression")
            elif target["metricEditorMode"] == 1:
                needed.append("expression")
            else:
                needed += ["namespace", "metricName", "statistic"]
    return missing + [key for key in needed if not target.get(key)]


def target_statistic(subject: Subject) -> Found:
    """``statistics`` beside ``statistic``: a migration of Grafana's takes the first of the list, p99 becomes Average."""
    for panel in subject.panels:
        for target in cloudwatch_targets(panel):
            if "statistics" in target:
                yield title(panel), f"query {_name(target)}: statistics replaces statistic; leave it out"
            elif _is_metrics(target) and not target.get("statistic"):
                yield (
                    title(panel),
                    f"query {_name(target)}: no statistic, which Grafana's backend refuses even for math",
                )


def target_ids(subject: Subject) -> Found:
    """refIds and math ids are well formed and used once in a panel."""
    for panel in subject.panels:
        for key in ("refId", "id"):
            values = [str(target[key]) for target in cloudwatch_targets(panel) if target.get(key)]
            for value in sorted({value for value in values if values.count(value) > 1}):
                yield title(panel), f"{key} {value!r} is used {values.count(value)} times"
        for target in cloudwatch_targets(panel):
            if target.get("id") and not _ID.fullmatch(str(target["id"])):
                yield title(panel), f"id {target['id']!r}: use a lower-case letter, then letters, digits and _"


def math_ids(subject: Subject) -> Found:
    """Math refers to queries of the same panel only."""
    for panel in subject.panels:
        ids = {str(target["id"]) for target in cloudwatch_targets(panel) if target.get("id")}
        ids |= {f"query{target.get('refId')}" for target in cloudwatch_targets(panel) if not target.get("id")}
        for target in cloudwatch_targets(panel):
            if _is_metrics(target) and target.get("metricQueryType") == 0 and target.get("metricEditorMode") == 1:
                words = set(_WORD.findall(_QUOTED.sub(" ", str(target.get("expression", "")))))
                for word in sorted(words - ids):
                    yield title(panel), f"query {_name(target)}: no query {word!r} in this panel"


def expression_length(subject: Subject) -> Found:
    """CloudWatch takes expressions of at most 2,048 characters."""
    for panel in subject.panels:
        for target in cloudwatch_targets(panel):
            length = len(str(target.get("expression") or ""))
            if _is_metrics(target) and length > _EXPRESSION:
                yield title(panel), f"query {_name(target)}: {length} characters, CloudWatch takes {_EXPRESSION}"


def too_many_queries(subject: Subject) -> Found:
    """CloudWatch answers at most 500 queries in one call."""
    for panel in subject.panels:
        count = sum(1 for target in cloudwatch_targets(panel) if _is_metrics(target))
        if count > _QUERIES:
            yield title(panel), f"{count} queries, CloudWatch answers at most {_QUERIES} at once"


def insights_range(subject: Subject) -> Found:
    """Metrics Insights looks back two weeks, no further."""
    start = str(subject.dashboard.get("time", {}).get("from", ""))
    for panel in subject.panels:
        days = _days(str(panel.get("timeFrom") or start))
        for target in cloudwatch_targets(panel):
            if target.get("metricQueryType") == 1 and days is not None and days > _INSIGHTS_DAYS:
                yield (
                    title(panel),
                    f"query {_name(target)}: Metrics Insights reaches back {_INSIGHTS_DAYS} days, not {days:g}",
                )


def _days(text: str) -> float | None:
    found = _RELATIVE.fullmatch(text)
    if found is None:
        return None
    count, unit = (found[1], found[2]) if found[1] else (found[3], found[4])
    return int(count) * _DAYS[unit]
