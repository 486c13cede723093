"""GetMetricData of the embedded AWS: expressions, extended statistics, exact dimensions, AWS's buckets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

# Recent: what is older than 15 days cannot be had by the minute.
START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=6)


@pytest.fixture(scope="module")
def cloudwatch(client):
    cloudwatch = client("cloudwatch")
    rows = [
        *(("Latency", minute, value, "a") for minute, value in enumerate([10, 20, 30])),
        *(("Latency", 0, float(value), "many") for value in range(1, 101)),
        ("Errors", 0, 1, "a"),
        ("Errors", 2, 3, "a"),
        ("Latency", 0, 1000, None),
    ]
    for start in range(0, len(rows), 50):
        cloudwatch.put_metric_data(
            Namespace="Test",
            MetricData=[
                {
                    "MetricName": name,
                    "Timestamp": START + timedelta(minutes=minute, seconds=7),
                    "Value": value,
                    "Dimensions": [{"Name": "Api", "Value": api}] if api else [],
                }
                for name, minute, value, api in rows[start : start + 50]
            ],
        )
    return cloudwatch


def stat(name: str, statistic: str, api: str | None = "a", period: int = 60) -> dict:
    dimensions = [{"Name": "Api", "Value": api}] if api else []
    return {
        "Metric": {"Namespace": "Test", "MetricName": name, "Dimensions": dimensions},
        "Period": period,
        "Stat": statistic,
    }


def ask(cloudwatch, queries: list[dict], start: datetime = START, minutes: int = 3, **rest: str) -> dict:
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=queries,
        StartTime=start,
        EndTime=start + timedelta(minutes=minutes),
        **{"ScanBy": "TimestampAscending", **rest},
    )
    return {result["Id"]: result for result in answer["MetricDataResults"]}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("lat * 2", [20, 40, 60]),
        ("IF(err > 0, err, 0)", [1, 3]),
        ("FILL(err, 0)", [1, 0, 3]),
        ("100 * FILL(err, 0) / lat", [10, 0, 10]),
        ("MAX(METRICS())", [10, 20, 30]),
    ],
)
def test_expressions(cloudwatch, expression, expected):
    found = ask(
        cloudwatch,
        [
            {"Id": "e", "Expression": expression, "Label": "it"},
            {"Id": "lat", "MetricStat": stat("Latency", "Average"), "ReturnData": False},
            {"Id": "err", "MetricStat": stat("Errors", "Sum"), "ReturnData": False},
        ],
    )
    assert set(found) == {"e"}
    assert (found["e"]["Values"], found["e"]["StatusCode"], found["e"]["Label"]) == (expected, "Complete", "it")


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [("p99", 99.01), ("PR(:80)", 80), ("tm90", 45.5), ("TC(10:20)", 10), ("SampleCount", 100), ("Maximum", 100)],
)
def test_every_statistic(cloudwatch, statistic, expected):
    found = ask(cloudwatch, [{"Id": "m", "MetricStat": stat("Latency", statistic, "many")}])
    assert found["m"]["Values"] == [pytest.approx(expected)]


def test_dimensions_are_exact(cloudwatch):
    queries = [
        {"Id": "none", "MetricStat": stat("Latency", "Sum", None)},
        {"Id": "other", "MetricStat": stat("Latency", "Sum", "unknown")},
    ]
    found = ask(cloudwatch, queries)
    assert (found["none"]["Values"], found["other"]["Values"]) == ([1000], [])


def test_buckets_start_at_the_requests_minute(cloudwatch):
    found = ask(
        cloudwatch, [{"Id": "m", "MetricStat": stat("Latency", "Sum", period=120)}], START + timedelta(seconds=61), 4
    )
    assert found["m"]["Timestamps"] == [START + timedelta(minutes=1)]
    assert found["m"]["Values"] == [50]
    newest_first = ask(cloudwatch, [{"Id": "m", "MetricStat": stat("Latency", "Sum")}], ScanBy="TimestampDescending")
    assert newest_first["m"]["Values"] == [30, 20, 10]


@pytest.mark.parametrize("expression", ["m +", "SEARCH('x', 'Sum', 60)", "nobody * 2"])
def test_what_cannot_be_evaluated_is_refused(cloudwatch, expression):
    queries = [
        {"Id": "e", "Expression": expression},
        {"Id": "m", "MetricStat": stat("Latency", "Sum"), "ReturnData": False},
    ]
    with pytest.raises(ClientError):
        ask(cloudwatch, queries)


def test_list_metrics_names_each_dimension_set(cloudwatch):
    found = cloudwatch.list_metrics(Namespace="Test", MetricName="Latency")["Metrics"]
    assert sorted(str(metric["Dimensions"]) for metric in found) == sorted(
        str(dimensions) for dimensions in ([], [{"Name": "Api", "Value": "a"}], [{"Name": "Api", "Value": "many"}])
    )
