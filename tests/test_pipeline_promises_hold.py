"""What the committed alarms of the data pipeline do, by the simulator: which loads page, and which do not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tocsin.alarm import AlarmState, Metric
from tocsin.simulate.series import Store
from tocsin.simulate.template import read_template
from tocsin.simulate.timeline import Timeline, simulate

ROOT = Path(__file__).parents[1]
START = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DAY, FAULT = 24 * HOUR, START + 8 * HOUR
NAMES = {"LoaderName": "loader", "LoaderDeadLettersName": "letters", "DatabaseName": "database"}

#: A file every two minutes: what its load reports, and what Lambda counts of it.
Load = dict[str, float]
OF_LAMBDA = ("Invocations", "Errors")


def metric(name: str) -> Metric:
    return Metric("AWS/Lambda" if name in OF_LAMBDA else "DataPipeline", name, (("FunctionName", "loader"),))


def fine(rows: int = 5000, rejected: int = 0, seconds: float = 8) -> Load:
    return {
        "Invocations": 1,
        "Errors": 0,
        "FilesLoaded": 1,
        "FilesRejected": 0,
        "RowsRead": rows,
        "RowsRejected": rejected,
        "SecondsToQueryable": seconds,
    }


def refused(rows: int = 5000, rejected: int = 5000) -> Load:
    """A file that breaks its contract: no row of it is loaded, and nothing becomes queryable."""
    return {
        "Invocations": 1,
        "Errors": 0,
        "FilesLoaded": 0,
        "FilesRejected": 1,
        "RowsRead": rows,
        "RowsRejected": rejected,
    }


#: A load that raises reports nothing itself.
FAILED: Load = {"Invocations": 1, "Errors": 1}


def run(load: Callable[[datetime], Load], each: timedelta = 2 * MINUTE, length: timedelta = 12 * HOUR) -> Timeline:
    store, at = Store(), START
    while at < START + length:
        for name, value in load(at).items():
            store.add(metric(name), at, value)
        at += each
    template = read_template(ROOT / "alarms" / "data_pipeline.yaml", NAMES)
    states = {one.name: AlarmState.OK for one in (*template.alarms, *template.composites)}
    return simulate(template, store, START, START + length, initial=states)


def pages(timeline: Timeline) -> dict[str, timedelta]:
    """The promises that page, and how long after the fault they first do."""
    found = {}
    for name, changes in timeline.changes.items():
        if name.endswith("-page") and (rang := [one.at for one in changes if one.state is AlarmState.ALARM]):
            found[name.removeprefix("prod-data_pipeline-").removesuffix("-page")] = rang[0] - FAULT
    return found


def test_good_files_page_nobody() -> None:
    assert pages(run(lambda at: fine())) == {}


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (refused(), {"load-success", "rows-complete"}),
        (refused(rows=3, rejected=3), {"load-success"}),
        (FAILED, {"load-runs"}),
        (fine(seconds=61), {"load-freshness"}),
        (fine(rejected=1000), {"rows-complete"}),
    ],
    ids=["rejected", "small ones rejected", "database gone", "late", "a fifth of the rows bad"],
)
def test_each_fault_pages_by_its_own_promise(bad: Load, told: set[str]) -> None:
    found = pages(run(lambda at: bad if at >= FAULT else fine()))
    assert set(found) == told
    assert all(timedelta() < delay <= HOUR for delay in found.values()), found


def test_one_bad_file_wakes_nobody() -> None:
    """In a quiet night: a file every half an hour; one is rejected, one fails in all three tries, one is late."""
    odd = {FAULT: refused(300, 300), FAULT + 2 * HOUR: fine(seconds=300)}
    odd |= {FAULT + HOUR + tried: FAILED for tried in (timedelta(), MINUTE, 3 * MINUTE)}

    def load(at: datetime) -> Load:
        return odd.get(at) or (fine(300) if at.minute % 30 == 0 else {})

    assert pages(run(load, each=MINUTE)) == {}


def test_sixty_seconds_are_in_time() -> None:
    assert pages(run(lambda at: fine(seconds=60))) == {}
