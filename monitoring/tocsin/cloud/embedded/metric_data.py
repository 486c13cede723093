"""GetMetricData, answered by `tocsin.simulate`: expressions, every statistic, exact dimensions, AWS's buckets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ...alarm import MetricQuery
from ...errors import SimulationError
from ...simulate import math_syntax
from ...simulate.metric_math import compile_queries, evaluate_expression
from .alarm_records import queries_of
from .base import service
from .recorder import Recorder

_MAX_QUERIES = 500
_MAX_DATAPOINTS = 100_800
Response = tuple[int, dict[str, str], bytes]


def install(recorder: Recorder) -> None:
    """Replace ministack's GetMetricData for the JSON and CBOR protocols."""
    cloudwatch = service("cloudwatch")
    original = cloudwatch._get_metric_data

    def get_metric_data(params: Any, data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Response:
        if not (is_cbor or is_json):
            old: Response = original(params, data, is_cbor, is_json)
            return old
        start, end = cloudwatch._parse_ts(data.get("StartTime")), cloudwatch._parse_ts(data.get("EndTime"))
        try:
            results = _results(data, start, end, recorder)
        except SimulationError as error:
            refusal: Response = cloudwatch._error(
                "ValidationError", str(error), 400, use_json=is_json, use_cbor=is_cbor
            )
            return refusal
        encode = cloudwatch._cbor_metric_data_result if is_cbor else dict
        answer = {"MetricDataResults": [encode(result) for result in results], "Messages": []}
        done: Response = cloudwatch._cbor_ok(answer) if is_cbor else cloudwatch._json_ok(answer)
        return done

    cloudwatch._get_metric_data = get_metric_data


def _results(
    data: Mapping[str, Any], start: float | None, end: float | None, recorder: Recorder
) -> list[dict[str, Any]]:
    if start is None or end is None or start >= end:
        raise SimulationError("StartTime must be before EndTime")
    entries = data.get("MetricDataQueries") or ()
    if len(entries) > _MAX_QUERIES:
        raise SimulationError(f"{len(entries)} queries; GetMetricData takes at most {_MAX_QUERIES}")
    try:
        queries = queries_of(entries)
    except (KeyError, TypeError, ValueError) as error:
        raise SimulationError(f"a query lacks or misspells {error}") from None
    descending = data.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    results = []
    for query in queries:
        if query.return_data:
            points = _series(queries, query, start, end, recorder)
            if descending:
                points.reverse()
            results.append(
                {
                    "Id": query.id,
                    "Label": query.label or (query.stat.metric.name if query.stat else query.id),
                    "Timestamps": [service("cloudwatch")._ts_iso(moment) for moment, _ in points],
                    "Values": [value for _, value in points],
                    "StatusCode": "Complete",
                }
            )
    return results


def _series(
    queries: Sequence[MetricQuery], query: MetricQuery, start: float, end: float, recorder: Recorder
) -> list[tuple[float, float]]:
    period = _period(queries, query)
    # AWS rounds the start down to its minute (below a minute: to the period) and counts the buckets from there.
    grain = min(period, 60)
    first = math.floor(start / grain) * grain
    count = math.ceil((end - first) / period)
    if count > _MAX_DATAPOINTS:
        raise SimulationError(f"{count} datapoints; GetMetricData returns at most {_MAX_DATAPOINTS}")
    origin = datetime.fromtimestamp(first, UTC)
    values = evaluate_expression(queries, query.id, recorder, origin, count, period)
    return [(first + index * period, value) for index, value in enumerate(values) if value is not None]


def _period(queries: Sequence[MetricQuery], query: MetricQuery) -> int:
    """The period of a query: its own, or that of the metrics its expression reads."""
    if query.stat:
        return query.stat.period
    by_id = {each.id: each for each in queries}
    nodes = compile_queries(tuple(queries)).nodes
    found: set[int] = set()
    visit, seen = [query.id], set()
    while visit:
        name = visit.pop()
        if name in seen:
            continue
        seen.add(name)
        stat = by_id[name].stat
        if stat:
            found.add(stat.period)
        else:
            visit.extend(math_syntax.names(nodes[name]))
    if not found:
        # METRICS() names no id: it reads every metric of the request.
        found = {each.stat.period for each in queries if each.stat} or {query.period or 60}
    return max(found)
