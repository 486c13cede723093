"""What the committed alarms of the data pipeline do, by the simulator: which loads page, and which do not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tocsin.alarm import AlarmState, Metric
from tocsin.simulate.metric_alarm import evaluate
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
OF_LAMBDA = ("Duration", "Errors", "Invocations")


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


#: A file that breaks its contract, or that a container task gave up: it counts as one file, and its rows not at all.
REFUSED: Load = {"Invocations": 1, "Errors": 0, "FilesLoaded": 0, "FilesRejected": 1}
#: A file that is too large for the function: what the container task reports, which promises no time.
BY_TASK: Load = {"FilesLoaded": 1, "FilesRejected": 0, "RowsRead": 50_000_000, "RowsRejected": 0}


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


def tickets(timeline: Timeline) -> set[str]:
    """The promises that open a ticket."""
    return {
        name.removeprefix("prod-data_pipeline-").removesuffix("-ticket")
        for name, changes in timeline.changes.items()
        if name.endswith("-ticket") and any(one.state is AlarmState.ALARM for one in changes)
    }


def test_good_files_page_nobody() -> None:
    assert pages(run(lambda at: fine())) == {}


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (REFUSED, {"load-success"}),
        (FAILED, {"load-runs"}),
        (fine(seconds=901), {"load-freshness"}),
        (fine(rejected=200), {"rows-complete"}),
    ],
    ids=["rejected", "database gone", "late", "a twenty-fifth of the rows bad, which a contract of its own allows"],
)
def test_each_fault_pages_by_its_own_promise(bad: Load, told: set[str]) -> None:
    found = pages(run(lambda at: bad if at >= FAULT else fine()))
    assert set(found) == told
    assert all(timedelta() < delay <= HOUR for delay in found.values()), found


def test_one_bad_file_wakes_nobody() -> None:
    """In a quiet night: a file every half an hour; one is rejected, one fails in all three tries, one is late."""
    odd = {FAULT: REFUSED, FAULT + 2 * HOUR: fine(seconds=3000)}
    odd |= {FAULT + HOUR + tried: FAILED for tried in (timedelta(), MINUTE, 3 * MINUTE)}

    def load(at: datetime) -> Load:
        return odd.get(at) or (fine(300) if at.minute % 30 == 0 else {})

    assert pages(run(load, each=MINUTE)) == {}


def test_a_quarter_of_an_hour_is_in_time() -> None:
    assert pages(run(lambda at: fine(seconds=900))) == {}


@pytest.mark.parametrize("rejected", [8_000, 10_000], ids=["0.8 %", "1 %, all that is accepted"])
@pytest.mark.parametrize("often", [1, 60 * 24], ids=["one file", "every file for three days"])
def test_files_that_are_accepted_page_nobody_however_many_of_their_rows_are_bad(rejected: int, often: int) -> None:
    """Files of a million rows, alone or all of them."""
    length = 12 * HOUR if often == 1 else 3 * DAY
    bad = {FAULT + number * 2 * MINUTE for number in range(often)}
    timeline = run(lambda at: fine(1_000_000, rejected) if at in bad else fine(300), length=length)
    assert pages(timeline) == {}
    assert tickets(timeline) == {"rows-complete"}, "thousands of missing rows are for their sender to mend by day"


def test_noise_within_half_of_the_budget_is_not_even_a_ticket() -> None:
    timeline = run(lambda at: fine(1_000_000, 1000), each=10 * MINUTE, length=3 * DAY)
    assert tickets(timeline) == set()


@pytest.mark.parametrize(("count", "told"), [(1, False), (2, False), (4, False), (5, True)])
@pytest.mark.parametrize("apart", [timedelta(), 4 * MINUTE], ids=["at once", "four minutes apart"])
def test_four_rejected_files_wake_nobody_and_five_do(count: int, told: bool, apart: timedelta) -> None:
    """In a quiet night: a file every half an hour."""
    store, template = Store(), read_template(ROOT / "alarms" / "data_pipeline.yaml", NAMES)
    moments = [FAULT + number * apart for number in range(count)]
    usual = [START + number * 30 * MINUTE for number in range(24)]
    for at, load in [*((at, REFUSED) for at in moments), *((at, fine(300)) for at in usual)]:
        for name, value in load.items():
            store.add(metric(name), at, value)
    states = {one.name: AlarmState.OK for one in (*template.alarms, *template.composites)}
    found = pages(simulate(template, store, START, START + 12 * HOUR, initial=states))
    assert set(found) == ({"load-success"} if told else set())


def test_large_files_page_nobody() -> None:
    """Three an hour that the function loads in 400 to 880 seconds, all that it can, and one that goes to a task."""
    seconds = {0: 400, 20: 620, 40: 880}

    def load(at: datetime) -> Load:
        return (
            BY_TASK if at.minute == 50 else fine(5_000_000, seconds=seconds[at.minute]) if at.minute in seconds else {}
        )

    assert pages(run(load, each=MINUTE)) == {}


@pytest.mark.parametrize("ended", range(0, 300, 60))
def test_a_run_that_fails_after_a_quarter_of_an_hour_is_seen(ended: int) -> None:
    """Lambda reports it when it has ended, with the time it began: for five minutes the alarm must still look there."""
    began = START + timedelta(seconds=37)
    template = read_template(ROOT / "alarms" / "data_pipeline.yaml", NAMES)
    at = began + timedelta(seconds=900 + ended)
    seen = {}
    for suffix, reported in (("errors", FAILED), ("duration", {"Invocations": 1, "Errors": 0, "Duration": 880_000})):
        (alarm,) = [one for one in template.alarms if one.name.endswith(f"-Loader-lambda-function-{suffix}")]
        store = Store()
        for name, value in reported.items():
            store.add(metric(name), began, value)
        # A moment of evaluation, which CloudWatch has every minute.
        seen[suffix] = evaluate(alarm, store, at.replace(second=0), AlarmState.OK).state
    assert seen == {"errors": AlarmState.ALARM, "duration": AlarmState.ALARM}
