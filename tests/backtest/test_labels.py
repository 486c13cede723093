"""Label files: when there was an incident."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tocsin.backtest.incident import Incident
from tocsin.backtest.labels import read_labels
from tocsin.errors import SimulationError

FIRST = {"Name": "first", "Start": "2026-01-01T10:00:00Z", "End": "2026-01-01T11:00:00Z"}
SECOND = {
    "Name": "second",
    "Start": "2026-01-02T10:00:00+02:00",
    "End": "2026-01-02T11:00:00+02:00",
    "Alarms": ["*-cpu-*"],
}


def write(folder: Path, text: str) -> Path:
    path = folder / "labels.json"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("lines", [False, True], ids=["array", "lines"])
def test_both_forms_are_read_in_order_of_time(tmp_path: Path, lines: bool) -> None:
    records = [SECOND, FIRST]
    text = "\n".join(map(json.dumps, records)) if lines else json.dumps(records)
    assert read_labels(write(tmp_path, text)) == (
        Incident("first", datetime(2026, 1, 1, 10, tzinfo=UTC), datetime(2026, 1, 1, 11, tzinfo=UTC)),
        Incident("second", datetime(2026, 1, 2, 8, tzinfo=UTC), datetime(2026, 1, 2, 9, tzinfo=UTC), ("*-cpu-*",)),
    )


def test_an_incident_without_a_name_is_called_by_its_start(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps([{"Start": FIRST["Start"], "End": FIRST["End"]}]))
    assert [one.name for one in read_labels(path)] == ["2026-01-01T10:00:00Z"]


def test_a_history_without_incidents_is_an_empty_list(tmp_path: Path) -> None:
    assert read_labels(write(tmp_path, "[]\n")) == ()


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    assert len(read_labels(write(tmp_path, "\ufeff" + json.dumps([FIRST])))) == 1


def test_the_same_time_may_be_two_incidents_of_different_alarms(tmp_path: Path) -> None:
    other = {**FIRST, "Name": "other", "Alarms": ["*-disk-*"]}
    assert len(read_labels(write(tmp_path, json.dumps([FIRST, other])))) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; a history without incidents is []"),
        ("[1]", "incident 1: an incident is an object with Start and End, got 1"),
        ("[null]", "incident 1: an incident is an object"),
        ('{"Start": 1', "labels.json:1:12: not JSON"),
        ('[{"Start": ]', "labels.json:1:12: not JSON"),
        ("[NaN]", "NaN is no value here"),
        ("[" * 100_000, "nested too deeply"),
        ("[" + "9" * 10_000 + "]", "labels.json:1:2: a number of 10000 digits is too long"),
        ([{**FIRST, "Begin": "x"}], "incident 1: unknown key 'Begin'; there are: Alarms, End, Name, Start"),
        ([{**FIRST, "Alarm": []}], "unknown key 'Alarm'; did you mean 'Alarms'?"),
        ([{"End": FIRST["End"]}], "Start is missing or not text"),
        ([{**FIRST, "End": 12}], "End is missing or not text"),
        ([{**FIRST, "Start": "2026-01-01T10:00:00"}], "Start '2026-01-01T10:00:00' has no time zone; end it with Z"),
        ([{**FIRST, "Start": "yesterday"}], "Start 'yesterday' is no time"),
        ([{**FIRST, "Start": "0001-01-01T00:00:00+10:00"}], "is no time"),
        ([{**FIRST, "End": FIRST["Start"]}], "End 2026-01-01T10:00:00Z is not after Start 2026-01-01T10:00:00Z"),
        ([{**FIRST, "End": "2025-01-01T10:00:00Z"}], "is not after Start"),
        ([{**FIRST, "Name": ""}], "Name is text, or left out"),
        ([{**FIRST, "Name": 3}], "Name is text, or left out"),
        ([{**FIRST, "Alarms": "*-cpu-*"}], 'Alarms is a list of names or patterns such as ["*-cpu-*"]'),
        ([{**FIRST, "Alarms": [""]}], "Alarms is a list"),
        ([FIRST, FIRST], "incident 2: incident 'first' is given twice, first in"),
        (
            [FIRST, {**FIRST, "Name": "again", "Start": "2026-01-01T10:59:00Z"}],
            "incident 2: incident 'again' overlaps 'first'",
        ),
    ],
)
def test_bad_input_is_said_with_its_place(tmp_path: Path, text: str | list[Any], said: str) -> None:
    path = write(tmp_path, text if isinstance(text, str) else json.dumps(text))
    with pytest.raises(SimulationError) as caught:
        read_labels(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_lines_are_told_by_their_number(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps(FIRST) + "\n\n" + json.dumps({**SECOND, "Start": None}) + "\n")
    with pytest.raises(SimulationError, match=r"labels\.json:3: Start is missing"):
        read_labels(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="no such file"):
        read_labels(tmp_path / "none.json")
    with pytest.raises(SimulationError, match="is a folder; name a file"):
        read_labels(tmp_path)
    (tmp_path / "latin.json").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(SimulationError, match="is not UTF-8 text"):
        read_labels(tmp_path / "latin.json")


def test_an_incident_refuses_impossible_times() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with pytest.raises(SimulationError, match="at or before its start"):
        Incident("none", noon, noon)
    with pytest.raises(SimulationError, match="have no zone"):
        Incident("naive", noon.replace(tzinfo=None), noon)


@pytest.mark.parametrize(
    ("patterns", "alarm", "expected"),
    [
        ((), "anything", True),
        (("*-cpu-*",), "prod-cpu-web1", True),
        (("*-cpu-*",), "prod-disk-web1", False),
        (("prod-CPU-*",), "prod-cpu-web1", False),
        (("a", "b"), "b", True),
    ],
)
def test_an_incident_concerns_the_alarms_it_names(patterns: tuple[str, ...], alarm: str, expected: bool) -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    assert Incident("x", start, end, patterns).concerns(alarm) is expected
