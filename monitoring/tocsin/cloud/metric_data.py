"""GetMetricData: the datapoints of many plain metrics over one span, and what CloudWatch would not give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..alarm import MetricStat
from .session import Cloud, asking

# StatusCode of a result that will not come (API reference, MetricDataResult).
_REFUSED = ("InternalError", "Forbidden")


@dataclass(frozen=True, slots=True)
class MetricData:
    """What one call gave.

    ``values`` is query → start of the period (UTC) → value, of each query that was answered; one without any datapoint
    is empty.  ``refused`` is query → why it was not answered.  ``requests`` counts the pages.
    """

    values: Mapping[str, Mapping[datetime, float]]
    refused: Mapping[str, str]
    requests: int


def read_metric_data(cloud: Cloud, stats: Mapping[str, MetricStat], start: datetime, end: datetime) -> MetricData:
    """The datapoints of ``stats``, which are at most 500 of any names; ``start`` is included, ``end`` is not.

    Throttling and failures of a moment are tried again a bounded number of times.  Raises CloudError.
    """
    names = {f"q{number}": name for number, name in enumerate(stats)}
    request: dict[str, Any] = {
        "MetricDataQueries": [_query(identifier, stats[name]) for identifier, name in names.items()],
        "StartTime": start,
        "EndTime": end,
        "ScanBy": "TimestampAscending",
    }
    found: dict[str, dict[datetime, float]] = {name: {} for name in stats}
    refused: dict[str, str] = {}
    requests = 0
    while True:
        with asking("read metrics (GetMetricData)"):
            page = cloud.client("cloudwatch").get_metric_data(**request)
        requests += 1
        for result in page["MetricDataResults"]:
            name = names[result["Id"]]
            if result.get("StatusCode") in _REFUSED:
                told = "; ".join(item.get("Value", "") for item in result.get("Messages") or ())
                refused[name] = told or result["StatusCode"]
            pairs = zip(result["Timestamps"], result["Values"], strict=True)
            found[name].update((when.astimezone(UTC), float(value)) for when, value in pairs)
        if not page.get("NextToken"):
            break
        request["NextToken"] = page["NextToken"]
    return MetricData({name: found[name] for name in found if name not in refused}, refused, requests)


def _query(identifier: str, stat: MetricStat) -> dict[str, Any]:
    metric = stat.metric
    return {
        "Id": identifier,
        "MetricStat": {
            "Metric": {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
            },
            "Period": stat.period,
            "Stat": stat.statistic,
            **({"Unit": stat.unit} if stat.unit else {}),
        },
    }
