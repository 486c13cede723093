"""A pull from a recorded folder: the same code, other files; and what is wrong with such a folder."""

from __future__ import annotations

import json
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from metric_server import RESOURCE, counter, slo_of, system_of

from tocsin.alarm import Metric
from tocsin.errors import InputError, SimulationError
from tocsin.history.partitions import Partition, read_rows
from tocsin.history.pull import Pulled, pull
from tocsin.history.recorded import read_recorded
from tocsin.history.schema import ALARM_STATE, COVERAGE, SLI
from tocsin.history.store import Store, open_store
from tocsin.history.watched import PulledSystem
from tocsin.model import Counted, Ranked, Sli, SliKind, Slo


def record(folder: Path, metric: Metric, *, name: str = "series.jsonl", period: int = 60, **form: object) -> None:
    line = {
        "Namespace": metric.namespace,
        "MetricName": metric.name,
        "Dimensions": dict(metric.dimensions),
        "Period": period,
        "Start": "2026-10-01T00:00:00Z",
        **form,
    }
    with (folder / name).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "recorded"
    made.mkdir()
    return made


@pytest.fixture
def store(tmp_path) -> Store:
    return open_store(str(tmp_path / "history"))


def pulled(folder: Path, store: Store, *systems: PulledSystem) -> Pulled:
    source = read_recorded(folder)
    return pull(source, store, systems, source.start, source.end, source.end)


def rows(store: Store, table=SLI) -> list[tuple]:
    return read_rows(store, Partition(table, "prod", "shop", "2026-10"))


def test_a_recording_is_pulled_whole_and_once(folder, store) -> None:
    record(folder, counter("orders-0-bad"), Values=[0, 2, None, 1])
    record(folder, counter("orders-0-valid"), Values=[9, 9, None, 9])
    history = [
        {"alarm": "prod-shop-orders-0-page", "at": "2026-10-01T00:02:00Z", "before": None, "after": "ALARM", "reason": "x"},
        {"alarm": "another", "at": "2026-10-01T00:02:00Z", "before": "OK", "after": "ALARM", "reason": "x"},
        {"alarm": "prod-shop-orders-0-page", "at": "2026-10-01T02:03:30+02:00", "before": "ALARM", "after": "OK", "reason": "y"},
    ]  # fmt: skip
    (folder / "alarm-history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in history))
    done = pulled(folder, store, system_of())
    assert done.complete
    assert [(row[1].minute, row[2], int(row[3]), int(row[4])) for row in rows(store)] == [
        (0, 60, 9, 9),
        (1, 60, 7, 9),
        (3, 60, 8, 9),
    ]
    assert [(row[0], str(row[1]), row[2], row[3], row[4]) for row in rows(store, ALARM_STATE)] == [
        ("prod-shop-orders-0-page", "2026-10-01 00:02:00", None, "ALARM", "x"),
        ("prod-shop-orders-0-page", "2026-10-01 00:03:30", "ALARM", "OK", "y"),
    ]
    assert pulled(folder, store, system_of()).calls == 0


def test_a_coarse_recording_keeps_its_period(folder, store) -> None:
    record(folder, counter("orders-0-bad"), period=300, Values=[0, 2])
    record(folder, counter("orders-0-valid"), period=300, Values=[50, 50])
    assert pulled(folder, store, system_of()).complete
    assert [(row[1].minute, row[2], int(row[3])) for row in rows(store)] == [(0, 300, 50), (5, 300, 48)]
    assert [str(row[2]) for row in rows(store, COVERAGE)] == ["2026-10-01 00:10:00"]


def test_samples_give_ranks(folder, store) -> None:
    times = Metric("Shop", "Duration")
    record(folder, times, Samples=[[100, 900], [900], [], [100, 200, 801]])
    slo = Slo(
        "fast",
        Sli(SliKind.LATENCY, RESOURCE, Ranked(times, Fraction(800)), "fast", "here"),
        Fraction(1, 2),
        timedelta(days=28),
    )
    assert pulled(folder, store, PulledSystem("prod", "shop", "sales", (slo,))).complete
    assert [(int(row[3]), int(row[4])) for row in rows(store)] == [(1, 2), (0, 1), (2, 3)]


def test_a_statistic_that_was_not_recorded_is_told(folder, store) -> None:
    times = Metric("Shop", "Duration")
    record(folder, times, Values=[100, 200])
    record(folder, counter("orders-0-valid"), Values=[9, 9])
    slo = Slo(
        "fast",
        Sli(SliKind.LATENCY, RESOURCE, Ranked(times, Fraction(800)), "fast", "here"),
        Fraction(1, 2),
        timedelta(days=28),
    )
    other = slo_of(measure=Counted(counter("none"), counter("orders-0-valid")))
    done = pulled(folder, store, PulledSystem("prod", "shop", "sales", (slo, other)))
    assert all("cannot be had from Values" in problem for problem in done.systems[0].problems)
    assert {row[0] for row in rows(store)} == {"orders"}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "holds no series"),
        ({"a.jsonl": "{}"}, "a.jsonl:1: give exactly one of"),
        ({"alarm-history.jsonl": '{"alarm": "a"}'}, "holds no series"),
        (
            {"a.jsonl": None, "alarm-history.jsonl": '{"alarm": "a", "at": "now"}'},
            "alarm-history.jsonl:1: before and after",
        ),
        ({"a.jsonl": None, "alarm-history.jsonl": '{"alarm": "a", "at": "now", "after": "OK"}'}, "not a time: 'now'"),
        ({"a.jsonl": None, "alarm-history.jsonl": '{"alert": "a"}'}, "a change is an object with"),
        ({"a.jsonl": None, "names.json": "[]"}, "names.json: must be an object"),
        ({"a.jsonl": None, "names.json": "{"}, "names.json: cannot be read"),
    ],
)
def test_a_folder_that_is_no_recording_is_refused_in_one_line(folder, files, told) -> None:
    for name, text in files.items():
        if text is None:
            record(folder, counter("orders"), name=name, Values=[1])
        else:
            (folder / name).write_text(text)
    with pytest.raises((InputError, SimulationError)) as refused:
        read_recorded(folder)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_recorded(tmp_path / "none")
