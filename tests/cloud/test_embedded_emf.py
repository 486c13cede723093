"""Embedded metric format: what handlers and log writers put in a line is a metric afterwards; all else is only a line."""

from __future__ import annotations

import json
import time

import pytest
from embedded_tools import ROLE, function

from tocsin.cloud.embedded.metrics_emf import read

NOW = 1_790_000_000_000


def line(root: dict | None = None, **directive: object) -> str:
    metadata = {
        "Timestamp": NOW,
        "CloudWatchMetrics": [
            {
                "Namespace": "Shop",
                "Dimensions": [["Service"]],
                "Metrics": [{"Name": "Sold", "Unit": "Count"}],
                **directive,
            }
        ],
    }
    return json.dumps({"_aws": metadata, "Service": "till", "Sold": 3, **(root or {})})


def facts(text: str) -> list[tuple]:
    return [(each.name, dict(each.dimensions), each.value, each.unit) for each in read(text)]


def test_one_value():
    (sample,) = read(line())
    assert (sample.namespace, sample.name, dict(sample.dimensions)) == ("Shop", "Sold", {"Service": "till"})
    assert (sample.value, sample.unit, sample.at) == (3.0, "Count", NOW / 1000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Several sets of dimensions, several metrics, arrays of values; the unit defaults to None.
        (
            line(
                {"Region": "eu", "Sold": [1, 2.5], "Lost": 0},
                Dimensions=[["Service"], ["Service", "Region"], []],
                Metrics=[{"Name": "Sold"}, {"Name": "Lost", "Unit": "Count", "StorageResolution": 1}],
            ),
            [
                ("Sold", {"Service": "till"}, 1, "None"),
                ("Sold", {"Service": "till", "Region": "eu"}, 1, "None"),
                ("Sold", {}, 1, "None"),
                ("Sold", {"Service": "till"}, 2.5, "None"),
                ("Sold", {"Service": "till", "Region": "eu"}, 2.5, "None"),
                ("Sold", {}, 2.5, "None"),
                ("Lost", {"Service": "till"}, 0, "Count"),
                ("Lost", {"Service": "till", "Region": "eu"}, 0, "Count"),
                ("Lost", {}, 0, "Count"),
            ],
        ),
        # A metric that the line does not carry, or not as a number, is left out; the others count.
        (line({"Sold": "many"}, Metrics=[{"Name": "Sold"}]), []),
        (line({"Sold": True}, Metrics=[{"Name": "Sold"}]), []),
        (line({"Sold": [1, None]}, Metrics=[{"Name": "Sold"}]), []),
        (line({"Sold": list(range(101))}), []),
        (line(Metrics=[{"Name": "Absent"}, {"Name": "Sold"}]), [("Sold", {"Service": "till"}, 3, "None")]),
        # So is a set that names a dimension the line lacks.
        (line(Dimensions=[["Service", "Absent"]]), []),
        (line({"Service": 7}), []),
    ],
)
def test_values_and_dimensions(text, expected):
    assert facts(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain words",
        '{"_aws": ',
        '["_aws"]',
        '{"_aws": []}',
        '{"_aws": {"CloudWatchMetrics": []}}',
        json.dumps({"_aws": {"Timestamp": "now", "CloudWatchMetrics": []}}),
        json.dumps({"_aws": {"Timestamp": NOW}}),
        json.dumps({"_aws": {"Timestamp": NOW, "CloudWatchMetrics": "none"}}),
        line(Namespace=""),
        line(Namespace=None),
        line(Dimensions="Service"),
        line(Dimensions=["Service"]),
        line(Dimensions=[[f"d{n}" for n in range(31)]]),
        line(Metrics={}),
        line(Metrics=[{"Unit": "Count"}]),
        line(Metrics=[{"Name": "Sold"}] * 101),
        line().replace("3", "NaN"),
        "[" * 5000 + '"_aws"',
    ],
)
def test_what_breaks_the_format_is_only_a_line(text):
    assert read(text) == ()


def statistics(client, aws, name: str, dimensions: dict[str, str]) -> list[dict]:
    return client("cloudwatch").get_metric_statistics(
        Namespace="Shop", MetricName=name, Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=0, EndTime=aws.now().timestamp() + 3600, Period=60, Statistics=["Sum", "SampleCount", "Maximum"],
    )["Datapoints"]  # fmt: skip


def test_a_handlers_lines_become_metrics(stack, client, aws):
    code = """
import json, time
def handler(event, context):
    line = {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [
        {"Namespace": "Shop", "Dimensions": [["FunctionName"]],
         "Metrics": [{"Name": "Sold", "Unit": "Count"}, {"Name": "Waited", "Unit": "Seconds"}]}]},
        "FunctionName": context.function_name, "Sold": event["sold"], "Waited": [0.5, 1.5]}
    print(json.dumps(line))
    print("not a metric")
"""
    stack("emf", {"Role": ROLE, "Function": function("till", code)})
    for sold in (2, 5):
        answer = client("lambda").invoke(FunctionName="till", Payload=json.dumps({"sold": sold}))
        assert "FunctionError" not in answer, answer["Payload"].read()
    found = statistics(client, aws, "Sold", {"FunctionName": "till"})
    assert sum(each["Sum"] for each in found) == 7
    waited = statistics(client, aws, "Waited", {"FunctionName": "till"})
    assert (sum(each["SampleCount"] for each in waited), max(each["Maximum"] for each in waited)) == (4, 1.5)
    assert waited[0]["Unit"] == "Seconds"


def test_the_embedded_clock_dates_the_samples(client, aws):
    logs = client("logs")
    logs.create_log_group(logGroupName="/shop")
    logs.create_log_stream(logGroupName="/shop", logStreamName="one")
    aws.advance(3 * 3600)
    now = int(time.time() * 1000)
    root = json.loads(line({"Service": "late"}))
    root["_aws"]["Timestamp"] = now
    logs.put_log_events(
        logGroupName="/shop", logStreamName="one", logEvents=[{"timestamp": now, "message": json.dumps(root)}]
    )
    (point,) = statistics(client, aws, "Sold", {"Service": "late"})
    assert abs(point["Timestamp"].timestamp() - aws.now().timestamp()) < 120
    assert aws.now().timestamp() - time.time() > 3 * 3600 - 60
