"""GetMetricData, answered by `tocsin.simulate`: expressions, every statistic, exact dimensions, AWS's buckets, pages and
retention.  Its answers, and those of DescribeAlarmHistory, carry the simulated time as their Date.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import formatdate
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
_DAY = 86_400
# How long datapoints are kept by the period they are asked for (User Guide, "Metrics retention"), longest first.
_RETENTION = ((3600, 455 * _DAY), (300, 63 * _DAY), (60, 15 * _DAY), (1, 3 * 3600))
Response = tuple[int, dict[str, str], bytes]


def install(recorder: Recorder) -> None:
    """Replace ministack's GetMetricData for the JSON and CBOR protocols, and date what is asked about the past."""
    cloudwatch = service("cloudwatch")
    original = cloudwatch._get_metric_data
    history = cloudwatch._describe_alarm_history

    def describe_alarm_history(params: Any, data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Response:
        return _dated(history(params, data, is_cbor, is_json), recorder)

    def get_metric_data(params: Any, data: dict[str, Any], is_cbor: bool, is_json: bool = False) -> Response:
        if not (is_cbor or is_json):
            old: Response = original(params, data, is_cbor, is_json)
            return old
        start, end = cloudwatch._parse_ts(data.get("StartTime")), cloudwatch._parse_ts(data.get("EndTime"))
        try:
            results, token = _page(_results(data, start, end, recorder), data)
        except SimulationError as error:
            refusal: Response = cloudwatch._error(
                "ValidationError", str(error), 400, use_json=is_json, use_cbor=is_cbor
            )
            return refusal
        encode = cloudwatch._cbor_metric_data_result if is_cbor else dict
        answer: dict[str, Any] = {"MetricDataResults": [encode(result) for result in results], "Messages": []}
        if token is not None:
            answer["NextToken"] = token
        return _dated(cloudwatch._cbor_ok(answer) if is_cbor else cloudwatch._json_ok(answer), recorder)

    cloudwatch._get_metric_data = get_metric_data
    cloudwatch._describe_alarm_history = describe_alarm_history


def _dated(response: Response, recorder: Recorder) -> Response:
    """With the simulated present as its Date, by which a caller knows up to when there can be data."""
    status, headers, body = response
    return status, {**headers, "Date": formatdate(recorder.now().timestamp(), usegmt=True)}, body


def _page(results: list[dict[str, Any]], data: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
    """The datapoints of all results from the token on, at most MaxDatapoints, and the next token.

    Raises SimulationError for a token that is none, and for a MaxDatapoints out of range.
    """
    most, token = data.get("MaxDatapoints"), data.get("NextToken")
    if most is not None and not 1 <= int(most) <= _MAX_DATAPOINTS:
        raise SimulationError(f"MaxDatapoints lies between 1 and {_MAX_DATAPOINTS}")
    if token and not str(token).isdecimal():
        raise SimulationError(f"NextToken {token!r} is none of ours")
    first = int(token or 0)
    last = first + int(most or _MAX_DATAPOINTS)
    paged, done = [], 0
    for result in results:
        size = len(result["Values"])
        low, high = max(0, first - done), max(0, last - done)
        cut = {**result, "Timestamps": result["Timestamps"][low:high], "Values": result["Values"][low:high]}
        paged.append({**cut, "StatusCode": "Complete" if high >= size else "PartialData"})
        done += size
    return paged, str(last) if done > last else None


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
    kept = recorder.now().timestamp() - next(seconds for least, seconds in _RETENTION if period % least == 0)
    points = ((first + index * period, value) for index, value in enumerate(values))
    return [(moment, value) for moment, value in points if value is not None and moment >= kept]


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
