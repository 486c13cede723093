"""Counts of many SLOs read from CloudWatch at once, in as few requests as its limits allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ..alarm import MetricQuery
from ..cloud.metrics import read_metrics
from ..cloud.session import Cloud
from ..history.counts import counts_of, queries_of
from ..model import Slo
from .ledger import Count

# Amazon CloudWatch API reference, GetMetricData.
_MAX_QUERIES, _MAX_DATAPOINTS = 500, 100_800

#: (system, name of the SLO)
Key = tuple[str, str]


def read_counts(
    cloud: Cloud, slos: Mapping[Key, Slo], period: int, since: datetime, until: datetime
) -> dict[Key, list[Count]]:
    """The counts of each SLO in periods of ``period`` seconds, from ``since`` to before ``until``; both on full periods.

    A level counts what it rose by, so one period more is asked.  Raises CloudError.
    """
    start = since - timedelta(seconds=period)
    asked = [(key, query) for key, slo in slos.items() for query in queries_of(slo, period)]
    values: dict[Key, dict[str, dict[datetime, float]]] = {key: {} for key in slos}
    for batch in _batches(asked, (until - start) // timedelta(seconds=period)):
        named = {f"q{number}": one for number, one in enumerate(batch)}
        queries = [replace(query, id=name) for name, (_, query) in named.items()]
        for name, points in read_metrics(cloud, queries, start, until).items():
            key, query = named[name]
            values[key][query.id] = dict(points)
    return {
        key: [count for count in counts_of(slo, period, values[key]) if since <= count[0] < until]
        for key, slo in slos.items()
    }


def _batches(asked: Sequence[tuple[Key, MetricQuery]], periods: int) -> Iterator[Sequence[tuple[Key, MetricQuery]]]:
    size = max(1, min(_MAX_QUERIES, _MAX_DATAPOINTS // max(1, periods)))
    for begin in range(0, len(asked), size):
        yield asked[begin : begin + size]


def metrics_of(slos: Mapping[Key, Slo]) -> int:
    """How many metrics a refresh asks for, each of which is billed."""
    return sum(len(queries_of(slo, 60)) for slo in slos.values())
