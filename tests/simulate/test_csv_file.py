"""One metric from a CSV file: what a person exports, and what is wrong with it by line."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.command_line import tocsin

from tocsin.alarm import Metric
from tocsin.errors import SimulationError
from tocsin.simulate.csv_file import parse_metric, read_csv
from tocsin.simulate.series import load_series

METRIC = Metric("Shop", "Depth", ())


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("Shop/Depth", Metric("Shop", "Depth", ())),
        ("AWS/Lambda/Errors{FunctionName=checkout}", Metric("AWS/Lambda", "Errors", (("FunctionName", "checkout"),))),
        ("A/B{x=1, y=2}", Metric("A", "B", (("x", "1"), ("y", "2")))),
        ('A/B{x="a,b}"}', Metric("A", "B", (("x", "a,b}"),))),
        ("A/B{}", Metric("A", "B", ())),
    ],
)
def test_a_metric_is_named_in_one_line(text: str, metric: Metric) -> None:
    assert parse_metric(text) == metric


@pytest.mark.parametrize("text", ["", "Depth", "/Depth", "Shop/", "A/B{x}", "A/B{x=1", "A/B{=1}", "A/B}x=1{"])
def test_another_text_is_no_metric(text: str) -> None:
    with pytest.raises(SimulationError, match="metric"):
        parse_metric(text)


def read(folder: Path, text: str) -> object:
    path = folder / "depth.csv"
    path.write_bytes(text.encode())
    return read_csv(path, METRIC)


@pytest.mark.parametrize(
    ("text", "period", "values"),
    [
        ("timestamp,value\n2026-01-01T00:00:00Z,1\n2026-01-01T00:01:00Z,2.5\n", 60, [1.0, 2.5]),
        ("2026-01-01T01:00:00+01:00,1\r\n2026-01-01T00:05:00Z,2\r\n", 300, [1.0, 2.0]),
        ("\ufeffTime,Depth\n1767225600,1\n1767225610,\n1767225630,4\n", 10, [1.0, None, None, 4.0]),
        ("1767225600,7", 60, [7.0]),
        ("\n , \r\n\ntimestamp,value\n1767225600,7\n", 60, [7.0]),
        (
            "1767225600,1000\n1767225660,-.5\n1767225720,+2.\n1767225780,1e3\n1767225840,2.5E-1\n",
            60,
            [1000.0, -0.5, 2.0, 1000.0, 0.25],
        ),
        ("1767225600,1\n\n1767225780,2\n1767225900,3\n", 60, [1.0, None, None, 2.0, None, 3.0]),
    ],
)
def test_times_values_and_the_period_they_fit(
    text: str, period: int, values: list[float | None], tmp_path: Path
) -> None:
    series = read(tmp_path, text)
    found = [None if value != value else value for value in series.values]  # type: ignore[attr-defined]  # noqa: PLR0124
    assert (series.period, found) == (period, values)  # type: ignore[attr-defined]
    assert series.start == datetime(2026, 1, 1, tzinfo=UTC)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no datapoint"),
        ("timestamp,value\n", "holds no datapoint"),
        ("1767225600\n", r"depth.csv:1: a line is timestamp,value; this one has 1 field"),
        ("1767225600,1,2\n", "this one has 3 fields"),
        ("1767225600,1\n1767225600,2\n", r":2: 2026-01-01T00:00:00Z is the time of the line before again"),
        ("1767225660,1\n1767225600,2\n", r":2: .* is before the line above; sort the file"),
        ("1767225600000,1\n", "are these milliseconds"),
        ("2026-01-01T00:00:00,1\n", "has no time zone"),
        ("2026-01-01T00:00:00.5Z,1\n", "finer than a second"),
        ("yesterday,1\n", "'yesterday' is no time"),
        ("1767225600,1\ntimestamp,2\n", "'timestamp' is no time"),
        ("1767225600,nan\n", "nan is no value"),
        ("1767225600,inf\n", "inf is no value"),
        ("1767225600,many\n", "'many' is no number"),
        ("1767225600,1_000\n", r":1: '1_000' is no number such as 1000, 2\.5 or 1e3"),
        ("1767225600,\u0663\n", r":1: '\u0663' is no number"),
        ("1767225600,\uff11\n", r":1: '\uff11' is no number"),
        ("1767225600,0x10\n", r":1: '0x10' is no number"),
        ('1767225600,"1,000"\n', r":1: '1,000' is no number"),
        ("1767225600,-Infinity\n", ":1: -Infinity is no value"),
        ("1767225600,1e999\n", ":1: 1e999 is no value"),
        ("\ntimestamp,value\ntimestamp,value\n", ":3: 'timestamp' is no time"),
        ("1767225630,1\n1767225690,1\n", "not on a boundary of 60 s"),
        ('1767225600,"1\n', "not CSV"),
        ("1,1\n9999999999,1\n", "check the unit"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=problem) as raised:
        read(tmp_path, text)
    assert "\n" not in str(raised.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe1")
    with pytest.raises(SimulationError, match="not UTF-8"):
        read_csv(tmp_path / "a.csv", METRIC)


@given(st.dictionaries(st.integers(0, 300), st.floats(-1e9, 1e9), min_size=2, max_size=40))
def test_every_value_is_found_at_its_own_time(points: dict[int, float]) -> None:
    import tempfile

    start = datetime(2026, 1, 1, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        lines = [f"{(start + timedelta(minutes=at)).isoformat()},{value!r}\n" for at, value in sorted(points.items())]
        path.write_text("".join(lines), encoding="utf-8")
        series = read_csv(path, METRIC)
    assert series.values is not None
    found = {
        int((series.start - start).total_seconds() // 60 + index * series.period // 60): value
        for index, value in enumerate(series.values)
        if value == value  # noqa: PLR0124 - NaN is where nothing was given
    }
    assert found == points


def test_each_csv_file_has_its_metric(tmp_path: Path) -> None:
    for name in ("a.csv", "b.CSV"):
        (tmp_path / name).write_text("1767225600,1\n", encoding="utf-8")
    paths = [tmp_path / "a.csv", tmp_path / "b.CSV"]
    assert [metric.name for metric in load_series(paths, ["N/A", "N/B"]).metrics()] == ["A", "B"]
    with pytest.raises(SimulationError, match=r"b\.CSV: say which metric it holds, with --metric"):
        load_series(paths, ["N/A"])
    with pytest.raises(SimulationError, match="'N/C' belongs to no CSV file"):
        load_series(paths, ["N/A", "N/B", "N/C"])


def test_the_command_line_takes_a_csv_file(tmp_path: Path) -> None:
    properties = {
        "AlarmName": "deep", "Namespace": "Shop", "MetricName": "Depth", "Statistic": "Maximum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 5, "ComparisonOperator": "GreaterThanThreshold",
        "Dimensions": [{"Name": "Queue", "Value": "orders"}],
    }  # fmt: skip
    template = tmp_path / "alarms.json"
    template.write_text(
        json.dumps({"Resources": {"Deep": {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}}}),
        encoding="utf-8",
    )
    (tmp_path / "depth.csv").write_text("timestamp,value\n1767225600,1\n1767225660,9\n1767225720,1\n", encoding="utf-8")
    result = tocsin(
        "simulate", "--template", template, "--series", tmp_path / "depth.csv", "--metric", "Shop/Depth{Queue=orders}"
    )
    assert result.exit_code == 0
    assert "2026-01-01T00:02:00Z  deep: OK → ALARM" in result.output
