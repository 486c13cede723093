"""Foreign templates, hostile series and large files: one line that says what is wrong and where, and no blow-up."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shorthand import METRIC, NOON, minutes

from tocsin.alarm import MetricStat
from tocsin.errors import SimulationError, TocsinError
from tocsin.simulate import series_file
from tocsin.simulate.report import run
from tocsin.simulate.series import Series, Store, load_series
from tocsin.simulate.spans import Spans
from tocsin.simulate.statistics import StatisticSet

SERIES = {"Namespace": "Shop", "MetricName": "Depth", "Period": 60, "Start": "2026-03-02T09:00:00Z", "Values": [1, 9]}
ALARM = {
    "Namespace": "Shop", "MetricName": "Depth", "Statistic": "Maximum", "Period": 60, "EvaluationPeriods": 1,
    "Threshold": 5, "ComparisonOperator": "GreaterThanThreshold", "AlarmName": "deep",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.json", ""),
        ("t.json", "[]"),
        ("t.json", "{}"),
        ("t.json", "nonsense"),
        ("t.json", '{"Resources": []}'),
        ("t.json", '{"Resources": {"A": 5}}'),
        ("t.json", '{"Resources": {"A": {"Type": "AWS::CloudWatch::Alarm", "Properties": []}}}'),
        ("t.json", '{"Resources": {"A": {"Type": "AWS::CloudWatch::Alarm"}}}'),
        ("t.json", '{"Resources": {"A": {"Type": ["AWS::CloudWatch::Alarm"]}}}'),
        ("t.json", '{"resource": {"aws_cloudwatch_metric_alarm": {}}}'),
        ("t.yaml", "apiVersion: v1\nkind: Service\n"),
        ("t.yaml", "Resources:\n  A: {Type: AWS::SQS::Queue}\n"),
        ("t.yaml", "Resources:\n\tA: 1\n"),
        ("t.yaml", "groups:\n- name: x\n  rules: [{alert: y, expr: up}]\n"),
        ("t.yaml", "&a [*a]"),
    ],
)
def test_templates_that_are_none_or_hold_no_alarm(tmp_path: Path, name: str, text: str) -> None:
    template, series = tmp_path / name, tmp_path / "s.json"
    template.write_text(text, encoding="utf-8")
    series.write_text(json.dumps([SERIES]), encoding="utf-8")
    with pytest.raises(TocsinError) as raised:
        run(template, [series], {}, None, None)
    assert "\n" not in str(raised.value)
    assert str(template) in str(raised.value)


def test_a_rule_over_an_unknown_alarm_is_refused_by_name(tmp_path: Path) -> None:
    template, series = tmp_path / "t.json", tmp_path / "s.json"
    composite = {"AlarmName": "page", "AlarmRule": "ALARM(deep) OR ALARM(gone)"}
    resources = {
        "A": {"Type": "AWS::CloudWatch::Alarm", "Properties": ALARM},
        "C": {"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": composite},
    }
    template.write_text(json.dumps({"Resources": resources}), encoding="utf-8")
    series.write_text(json.dumps([SERIES]), encoding="utf-8")
    report = run(template, [series], {}, None, None).as_json()
    assert report["refused"] == {"page": "it depends on 'gone', which is not evaluated here"}
    assert set(report["alarms"]) == {"deep"}


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinity_is_refused_wherever_it_comes_from(value: float) -> None:
    with pytest.raises(SimulationError, match="infinity is no value"):
        Store().add_series(Series(METRIC, NOON, 60, values=[1.0, value]))
    with pytest.raises(SimulationError, match="finite"):
        Store().add_samples(METRIC, np.array([0]), np.array([value]))
    with pytest.raises(SimulationError):
        StatisticSet(1, value, 0, 1)


def test_counts_below_nothing_are_refused() -> None:
    times, values = np.array([0, 60]), np.array([1.0, 2.0])
    with pytest.raises(SimulationError, match="not less than never"):
        Store().add_samples(METRIC, times, values, np.array([1.0, -1.0]))
    with pytest.raises(SimulationError, match="at least once"):
        Store().add(METRIC, NOON, 1, count=-1)


def test_series_may_come_in_any_order_but_each_moment_once(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"

    def line(minute: int, *values: float) -> str:
        start = datetime(2026, 3, 2, 9, tzinfo=UTC) + minutes(minute)
        return json.dumps(SERIES | {"Start": start.isoformat(), "Values": list(values)}) + "\n"

    path.write_text(line(6, 7) + line(0, 1, 2) + line(2, 3, 4), encoding="utf-8")
    (metric,) = load_series(path).metrics()
    found = load_series(path).datapoints(MetricStat(metric, "Sum", 60), datetime(2026, 3, 2, 9, tzinfo=UTC), 7)
    assert found == [1, 2, 3, 4, None, None, 7]
    path.write_text(line(0, 1, 2) + line(2, 3) + line(3, 4) + line(9, 1) + line(2, 5), encoding="utf-8")
    with pytest.raises(SimulationError, match=r"s\.jsonl:5: overlaps .* in .*s\.jsonl:1 to .*s\.jsonl:3; each moment"):
        load_series(path)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 8)), max_size=25))
def test_spans_equal_a_set_of_moments(stretches: list[tuple[int, int]]) -> None:
    spans, taken = Spans(), set()
    for start, length in stretches:
        moments = set(range(start, start + length))
        assert (spans.taken(start, start + length) is not None) is bool(moments & taken)
        if not moments & taken:
            spans.add(start, start + length, f"{start}")
            taken |= moments


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=9), min_size=1, max_size=30))
def test_many_short_series_are_one_long_one(pieces: list[list[int | None]]) -> None:
    made, whole, at = Store(), Store(), NOON
    for piece in pieces:
        made.add_series(Series(METRIC, at, 60, values=piece))
        at += minutes(len(piece))
    values = [value for piece in pieces for value in piece]
    whole.add_series(Series(METRIC, NOON, 60, values=values))
    for statistic in ("Sum", "Average", "Maximum"):
        stat = MetricStat(METRIC, statistic, 300)
        assert made.datapoints(stat, NOON, len(values)) == whole.datapoints(stat, NOON, len(values))


@pytest.mark.parametrize(
    ("form", "cells", "most"),
    [
        # Bytes for each row that is kept: 16 for a value on its clock, 16 for a sample, 40 for a statistic set.
        ("Values", [0.5] * 1440, 16),
        ("Samples", [[0.5, 2, 7]] * 1440, 3 * 16),
        ("StatisticSets", [{"SampleCount": 3, "Sum": 9.5, "Minimum": 0.5, "Maximum": 7}] * 1440, 40),
    ],
)
def test_lines_are_read_one_after_another(tmp_path: Path, form: str, cells: list[Any], most: int) -> None:
    path, days = tmp_path / "s.jsonl", 60
    with path.open("w", encoding="utf-8") as file:
        for day in range(days):
            start = NOON + timedelta(days=day)
            record = {key: value for key, value in SERIES.items() if key != "Values"}
            file.write(json.dumps(record | {"Start": start.isoformat(), form: cells}) + "\n")
    load_series(path)  # what is imported on the way does not count
    tracemalloc.start()
    try:
        store = load_series(path)
        store.span()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Joining two halves takes as much again, and a look at their times; a line takes its parsed objects; the file nothing.
    assert peak < 3.3 * most * 1440 * days + 200 * len(json.dumps(cells)) / 10


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.json",
            "[" + " " * 3000 + "]",
            "a JSON array of 0 MiB is too large to read at once; write one object per line",
        ),
        (
            "a.jsonl",
            json.dumps(SERIES) + "\n" + " " * 3000,
            r"a\.jsonl:2: a line of more than 2,000 characters; give a",
        ),
        ("a.csv", "1" * 20_000, r"a\.csv:1: a line of more than 10,000 characters; a line is timestamp,value"),
        ("a.csv", "1,1\n", r"a\.csv:1: 1 seconds since 1970 are before 1971; check the unit"),
        ("a.csv", "1767225600000,1\n", r"a\.csv:1: 1767225600000 is too late .* are these milliseconds"),
        ("a.csv", "1900-01-01T00:00:00Z,1\n", r"a\.csv:1: .* is before 1971"),
        ("a.csv", "1000000000,1\n1700000040,2\n", r"a\.csv: spans too long a time at"),
    ],
)
def test_files_that_are_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, message: str
) -> None:
    monkeypatch.setattr(series_file, "_MAX_AT_ONCE", 2000)
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SimulationError, match=message) as raised:
        load_series(path, ["Shop/Depth"] if name.endswith("csv") else [])
    assert "\n" not in str(raised.value)


def _sets(**more: float) -> dict[str, Any]:
    body = {key: value for key, value in SERIES.items() if key != "Values"}
    return body | {"StatisticSets": [{"SampleCount": 4, "Sum": 10, "Minimum": 1, "Maximum": 4} | more]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            json.dumps([SERIES | {"Statistic": "SampleCount", "Values": [3, -2]}]),
            "s.json: series 1: Values[1]: SampleCount counts samples, got -2",
        ),
        (json.dumps([SERIES | {"Statistic": "tc90", "Values": [-2]}]), "Values[0]: tc90 counts samples, got -2"),
        (
            json.dumps([_sets(Sum=30)]),
            "StatisticSets[0]: the average of a statistic set, Sum / SampleCount = 7.5, lies outside its Minimum 1 "
            "and Maximum 4",
        ),
        (json.dumps([_sets(Sum=2)]), "= 0.5, lies outside"),
        (
            json.dumps(SERIES)[:-1] + ', "Values": [1]}',
            "s.json:1: the key 'Values' is given twice in one object",
        ),
        (
            json.dumps([SERIES | {"Dimensions": {"A": "a"}}]).replace('"A": "a"', '"A": "a", "A": "b"'),
            "s.json: the key 'A' is given twice in one object",
        ),
        (
            '[\n{"Namespace": "' + "7" * 9000 + '", "Values": [1, -' + "9" * 5000 + "]}]",
            "s.json:2:9033: a number of 5000 digits is too long",
        ),
        ('{"Values": [' + "9" * 5000 + "]}", "s.json:1:13: a number of 5000 digits is too long"),
    ],
)
def test_series_that_cannot_be_right(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SimulationError) as raised:
        load_series(path)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("total", [3.99, 4, 10, 16, 16.01])
def test_a_statistic_set_may_be_rounded(total: float, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps([_sets(Sum=total)]), encoding="utf-8")
    assert len(load_series(path).metrics()) == 1


@pytest.mark.parametrize("name", ["s.json", "s.csv"])
def test_a_folder_is_no_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(SimulationError, match="is a folder; name a file"):
        load_series(tmp_path / name, ["Shop/Depth"] if name.endswith("csv") else [])
