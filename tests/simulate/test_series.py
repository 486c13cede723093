"""The store of metric data and the files it is read from."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from shorthand import METRIC, NOON, minutes

from tocsin.alarm import Metric, MetricStat
from tocsin.errors import SimulationError
from tocsin.simulate.series import Series, Store, load_series
from tocsin.simulate.statistics import StatisticSet

_ = None
RECORD: dict[str, Any] = {
    "Namespace": "Test",
    "MetricName": "Faults",
    "Dimensions": {"Service": "shop"},
    "Period": 60,
    "Start": "2026-03-04T12:00:00Z",
    "Values": [1, None, 2.5],
}


def write(path: Path, *records: dict[str, Any], lines: bool = False) -> Path:
    text = "\n".join(json.dumps(record) for record in records) if lines else json.dumps(records, indent=1)
    path.write_text(text, encoding="utf-8")
    return path


def points(store: Store, statistic: str, count: int, *, period: int = 60, start: datetime = NOON) -> list[float | None]:
    return store.datapoints(MetricStat(METRIC, statistic, period), start, count)


@pytest.mark.parametrize("lines", [False, True])
def test_a_file_of_series(tmp_path: Path, lines: bool) -> None:
    later = RECORD | {"Start": "2026-03-04T13:05:00+01:00", "Values": [7]}
    store = load_series(write(tmp_path / "series.json", RECORD, later, lines=lines))
    assert points(store, "Sum", 7) == [1, None, 2.5, None, None, 7, None]
    assert store.metrics() == (METRIC,)
    assert store.span() == (NOON, NOON + minutes(6))


def test_several_files_and_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(RECORD).encode())
    write(tmp_path / "b.json", RECORD | {"MetricName": "Other"})
    assert len(load_series([tmp_path / "a.json", tmp_path / "b.json"]).metrics()) == 2


def test_long_periods_and_windows_off_the_clock() -> None:
    store = Store()
    store.add_series(Series(METRIC, NOON, 60, values=list(range(1, 11))))
    assert points(store, "Sum", 3, period=300) == [15, 40, None]
    assert points(store, "Sum", 3, period=300, start=NOON - minutes(2)) == [6, 30, 19]
    assert points(store, "Average", 2, period=300) == [3, 8]
    assert points(store, "Minimum", 3, period=300, start=NOON - minutes(2)) == [1, 4, 9]
    assert points(store, "Maximum", 3, period=300, start=NOON - minutes(2)) == [3, 8, 10]


def test_statistic_sets_and_samples(tmp_path: Path) -> None:
    sets = RECORD | {
        "MetricName": "Sets",
        "StatisticSets": [{"SampleCount": 4, "Sum": 10, "Minimum": 1, "Maximum": 4}, None],
    }
    samples = RECORD | {"MetricName": "Raw", "Samples": [[1, 2, 3, 4], None, []]}
    for record in (sets, samples):
        del record["Values"]
    store = load_series(write(tmp_path / "s.json", sets, samples))
    for name in ("Sets", "Raw"):
        metric = Metric("Test", name, (("Service", "shop"),))
        found = {
            statistic: store.datapoints(MetricStat(metric, statistic, 60), NOON, 2)
            for statistic in ("SampleCount", "Sum", "Average", "Minimum", "Maximum")
        }
        assert found == {
            "SampleCount": [4, _],
            "Sum": [10, _],
            "Average": [2.5, _],
            "Minimum": [1, _],
            "Maximum": [4, _],
        }
        if name == "Sets":
            with pytest.raises(SimulationError, match=r"p50 of Test/Sets.* give the series as Samples"):
                store.datapoints(MetricStat(metric, "p50", 60), NOON, 1)


@pytest.mark.parametrize(
    ("statistic", "form"), [("p90", "Samples"), ("PR(:1)", "Samples"), ("SampleCount", "StatisticSets or Samples")]
)
def test_values_say_nothing_about_samples(statistic: str, form: str) -> None:
    store = Store()
    store.add_series(Series(METRIC, NOON, 60, values=[1]))
    with pytest.raises(SimulationError, match=f"cannot be had from Values; give the series as {form}"):
        points(store, statistic, 1)


def test_values_of_a_statistic_are_that_statistic_only() -> None:
    store = Store()
    store.add_series(Series(METRIC, NOON, 60, values=[90, 95], statistic="p99"))
    assert points(store, "p99", 2) == [90, 95]
    with pytest.raises(SimulationError, match=r"p99 .* over 300 s cannot be had from its values over shorter periods"):
        points(store, "p99", 1, period=300)
    with pytest.raises(SimulationError, match="cannot be had from values of p99"):
        points(store, "Average", 1)
    counted = Store()
    counted.add_series(Series(METRIC, NOON, 60, values=[3, 4], statistic="SampleCount"))
    assert points(counted, "SampleCount", 1, period=300) == [7]


def test_appending_in_any_order() -> None:
    store = Store()
    store.add(METRIC, NOON + minutes(2), 3)
    assert points(store, "Sum", 3) == [None, None, 3]
    store.add(METRIC, NOON, 1, count=2)
    store.add_statistics(METRIC, NOON + timedelta(seconds=59), StatisticSet(2, 10, 4, 6))
    assert points(store, "Sum", 3) == [12, None, 3]
    assert points(store, "SampleCount", 3) == [4, None, 1]
    assert points(store, "Maximum", 1, period=180) == [6]


def test_the_metric_must_match_exactly() -> None:
    store = Store()
    store.add(METRIC, NOON, 1)
    bare = Metric(METRIC.namespace, METRIC.name)
    assert store.datapoints(MetricStat(bare, "Sum", 60), NOON, 1) == [None]


def test_units() -> None:
    store = Store()
    store.add(METRIC, NOON, 1, unit="Seconds")
    store.add(METRIC, NOON, 500, unit="Milliseconds")
    by_unit = {
        unit: store.datapoints(MetricStat(METRIC, "Sum", 60, unit), NOON, 1)
        for unit in (None, "Seconds", "Milliseconds", "Count")
    }
    assert by_unit == {None: [501], "Seconds": [1], "Milliseconds": [500], "Count": [None]}


def test_one_thread_writes_while_another_reads() -> None:
    store, count = Store(), 3000
    store.add(METRIC, NOON, 1)

    def write_all() -> None:
        for _index in range(count - 1):
            store.add(METRIC, NOON, 1)

    writer = threading.Thread(target=write_all)
    writer.start()
    seen = [0.0]
    while writer.is_alive():
        seen.append(points(store, "Sum", 1)[0] or 0)
    writer.join()
    assert seen == sorted(seen)
    assert points(store, "Sum", 1) == [count]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_only_finite_numbers(value: float) -> None:
    with pytest.raises(SimulationError, match="finite"):
        Store().add(METRIC, NOON, value)


def test_a_time_needs_a_zone() -> None:
    with pytest.raises(SimulationError, match="has no zone"):
        Store().add(METRIC, datetime(2026, 1, 1), 1)  # noqa: DTZ001 - that is the point


def test_overlapping_series_are_refused_with_both_places(tmp_path: Path) -> None:
    overlapping = RECORD | {"Start": "2026-03-04T12:02:00Z"}
    path = write(tmp_path / "s.jsonl", RECORD, overlapping, lines=True)
    with pytest.raises(SimulationError, match=r"s\.jsonl:2: overlaps the series of Test/Faults.* in .*s\.jsonl:1"):
        load_series(path)


def test_two_forms_of_one_metric_are_refused(tmp_path: Path) -> None:
    other = {key: value for key, value in RECORD.items() if key != "Values"} | {
        "Start": "2026-03-04T13:00:00Z",
        "Samples": [[1]],
    }
    with pytest.raises(SimulationError, match=r"series 2: .* in another form already"):
        load_series(write(tmp_path / "s.json", RECORD, other))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Values": [1, "2"]}, r'Values\[1\]: a value is a number, or null where it is missing, got "2"'),
        ({"Values": [True]}, r"Values\[0\]: a value is a number"),
        ({"Values": 5}, "Values is a list, got 5"),
        ({"Samples": [[1]]}, "exactly one of Values, StatisticSets and Samples"),
        ({"Period": 0}, "Period is a number of seconds"),
        ({"Period": 45}, "Period is a number of seconds"),
        ({"Period": "60"}, "Period is a number of seconds"),
        ({"Start": "2026-03-04T12:00:00"}, "has no time zone"),
        ({"Start": "yesterday"}, "is no time"),
        ({"Start": "2026-03-04T12:00:07Z"}, "not on a boundary of 60 s"),
        ({"Start": 1772625600000}, "Start is text such as .*, got 1772625600000"),
        ({"Start": "1970-01-01T00:00:00Z"}, "before 1971; check its unit"),
        ({"Period": 60_000}, "Period 60000 is in seconds; are these milliseconds"),
        ({"Period": 300_000}, "are these milliseconds"),
        ({"Period": 86_400_000}, "are these milliseconds"),
        ({"Start": "9999-12-31T23:59:00Z"}, "after the year 9999"),
        ({"Dimensions": [["a", "b"]]}, "Dimensions is an object of texts"),
        ({"Dimensions": {"a": 1}}, "Dimensions is an object of texts"),
        ({"Namespace": ""}, "Namespace is missing"),
        ({"Colour": "red"}, "unknown key 'Colour'; known are Dimensions, MetricName"),
        ({"Statistic": "median"}, "unknown statistic 'median'"),
    ],
)
def test_bad_records(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(SimulationError, match=rf"s\.json: series 1: .*{message}|s\.json: series 1.*{message}"):
        load_series(write(tmp_path / "s.json", RECORD | change))


@pytest.mark.parametrize(
    ("one", "message"),
    [
        ({"SampleCount": -1, "Sum": 1, "Minimum": 1, "Maximum": 1}, "SampleCount of a statistic set must be above 0"),
        ({"SampleCount": 1, "Sum": 1, "Minimum": 2, "Maximum": 1}, "above its Maximum"),
        ({"SampleCount": 1, "Sum": 1}, "exactly SampleCount, Sum, Minimum and Maximum"),
        ({"SampleCount": None, "Sum": 1, "Minimum": 2, "Maximum": 1}, "is a number, got null"),
    ],
)
def test_bad_statistic_sets(tmp_path: Path, one: dict[str, Any], message: str) -> None:
    record = {key: value for key, value in RECORD.items() if key != "Values"} | {"StatisticSets": [None, one]}
    with pytest.raises(SimulationError, match=rf"StatisticSets\[1\].*{message}"):
        load_series(write(tmp_path / "s.json", record))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no series"),
        ("  \n ", "holds no series"),
        ("[1]", "series 1: a series is an object, got 1"),
        ("[{]", r"s\.json:1:3: not JSON"),
        ('{"a": 1}\n{"a"', r"s\.json:1: unknown key 'a'"),
        ('{"Values": [NaN]}', "NaN is no value here; write null"),
        ('[{"Values": [-Infinity]}]', "-Infinity is no value here"),
        ('[{"Values": [1e999]}]', "missing"),
        ("[" * 100_000, "nested too deeply"),
        ("timestamp,value\n", r"s\.json:1:1: not JSON"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SimulationError, match=message) as caught:
        load_series(path)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=r"gone\.json: no such file"):
        load_series(tmp_path / "gone.json")
    with pytest.raises(SimulationError, match="is a folder; name a file"):
        load_series(tmp_path)
    (tmp_path / "latin").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(SimulationError, match="not UTF-8"):
        load_series(tmp_path / "latin")


def test_infinite_literals_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps([RECORD]).replace("2.5", "1e999"), encoding="utf-8")
    with pytest.raises(SimulationError, match=r"Values\[2\]: .* beyond what a metric can hold"):
        load_series(path)


def test_a_store_is_usable_through_a_plain_function() -> None:
    read: Callable[[MetricStat, datetime, int], list[float | None]] = Store().datapoints
    assert read(MetricStat(METRIC, "Sum", 60), datetime(2026, 1, 1, tzinfo=UTC), 2) == [None, None]
