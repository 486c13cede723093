"""Late data: what an alarm makes of datapoints that are missing or partial when it reads them; "not yet" beside "now"."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from shorthand import METRIC, NOON, alarm, expression_alarm, minutes, store

from tocsin.alarm import AlarmState, EvaluationWindow, Metric, TreatMissingData
from tocsin.errors import SimulationError
from tocsin.simulate.series import Store
from tocsin.simulate.template import AlarmTemplate
from tocsin.simulate.timeline import Timeline, simulate

A, O, I = AlarmState.ALARM, AlarmState.OK, AlarmState.INSUFFICIENT_DATA  # noqa: E741
OTHER = Metric("Test", "Other")
QUIET = alarm(1, 1, TreatMissingData.NOT_BREACHING)


def states(found: Timeline, name: str = "faults") -> list[tuple[int, AlarmState]]:
    return [(round((one.at - NOON).total_seconds() / 60), one.state) for one in found.changes[name]]


def run(*alarms: object, source: Store, length: int = 20, **more: object) -> Timeline:
    return simulate(AlarmTemplate(tuple(alarms)), source, NOON, NOON + minutes(length), **more)  # type: ignore[arg-type]


def after_noon(pattern: str) -> Store:
    return store(pattern, end=NOON + minutes(len(pattern)))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, [(0, O), (4, A), (5, O)]),
        # Rounded up to the minute in which the next evaluation is.
        (1, [(0, O), (5, A), (6, O)]),
        (60, [(0, O), (5, A), (6, O)]),
        (61, [(0, O), (6, A), (7, O)]),
        (120, [(0, O), (6, A), (7, O)]),
    ],
)
@pytest.mark.parametrize("literal", [False, True])
def test_an_alarm_changes_later_by_the_delay(
    seconds: int, expected: list[tuple[int, AlarmState]], literal: bool
) -> None:
    # The range reaches back over what is missing, so that the newest datapoint that has come counts.
    source = after_noon("000X" + "0" * 16)
    assert states(run(QUIET, source=source, delays=timedelta(seconds=seconds), literal=literal)) == expected


def test_a_delay_beyond_the_range_hides_everything() -> None:
    late = run(QUIET, source=after_noon("X" * 20), delays=minutes(3), evaluation_range=3)
    assert states(late) == [(0, O)]
    assert states(run(QUIET, source=after_noon("X" * 20), delays=minutes(2), evaluation_range=3)) == [(0, O), (3, A)]


def test_the_newest_datapoint_is_partial_and_later_complete() -> None:
    # Five failures in five minutes are one too many; with two minutes to come there are only three to be seen.
    five = replace(alarm(1, 1, TreatMissingData.NOT_BREACHING, period=300), threshold=4.5)
    source = after_noon("X" * 5 + "0" * 15)
    assert states(run(five, source=source, evaluation_range=1)) == [(0, O), (5, A), (6, O)]
    assert states(run(five, source=source, evaluation_range=1, delays=minutes(2))) == [(0, O)]
    # A second datapoint further back is complete by then.
    assert states(run(replace(five, evaluation_periods=2), source=source, delays=minutes(2)))[1] == (10, A)


def test_a_ratio_of_metrics_that_come_at_different_times() -> None:
    ratio = expression_alarm("FILL(bad, 0) / valid", {"bad": METRIC, "valid": OTHER}, threshold=0.5)
    source = after_noon("0000X" + "0" * 15)
    for minute in range(20):
        source.add(OTHER, NOON + minutes(minute), 1)
    on_time = run(ratio, source=source)
    assert (5, A) in states(on_time, "math")
    # The failures come a minute later than the requests: the newest ratio is always fine, and only that is looked at.
    assert A not in [state for _, state in states(run(ratio, source=source, delays={METRIC: minutes(1)}), "math")]
    assert (6, A) in states(run(ratio, source=source, delays=minutes(1)), "math")


def test_a_multi_day_alarm_sees_what_has_come_by_its_minute() -> None:
    source = Store()
    source.add(METRIC, NOON + minutes(58), 1)
    slow = alarm(1, 1, TreatMissingData.NOT_BREACHING, period=259_200)
    for literal in (False, True):
        found = [
            states(run(slow, source=source, length=240, literal=literal, delays=minutes(late), hourly_minute=minute))[
                1
            ][0]
            for late, minute in ((0, 0), (1, 0), (2, 0), (2, 1), (2, 3), (70, 0))
        ]
        # With its sample complete at 12:59: at 13:00 if it comes within a minute, else an hour later.
        assert found == [60, 60, 120, 61, 63, 180]


def test_a_wall_clock_window_waits_for_late_data() -> None:
    hourly = replace(
        alarm(1, 1, TreatMissingData.NOT_BREACHING, period=3600), evaluation_window=EvaluationWindow.WALL_CLOCK
    )
    source = Store()
    source.add(METRIC, NOON + minutes(59), 1)
    assert states(run(hourly, source=source, length=90)) == [(0, O), (60, A)]
    assert states(run(hourly, source=source, length=90, delays=minutes(5))) == [(0, O), (65, A)]


def test_samples_that_have_not_come_do_not_count() -> None:
    p90 = replace(alarm(1, 1, statistic="p90", period=300), evaluate_low_samples=False)
    source = Store()
    for minute in range(5):
        source.add(METRIC, NOON + minutes(minute), 5, count=20)
    # A hundred samples are needed; the last twenty come late, when the first twenty have left the window.
    assert (5, A) in states(run(p90, source=source))
    assert A not in [state for _, state in states(run(p90, source=source, delays=minutes(1)))]


def test_what_comes_after_the_end_was_not_seen() -> None:
    found = run(QUIET, source=store("0", end=NOON + minutes(20)), delays=minutes(1))
    assert found.without_data == ("faults",)
    assert run(QUIET, source=store("0", end=NOON + minutes(20))).without_data == ()


@pytest.mark.parametrize("late", [timedelta(seconds=-1), timedelta(days=15)])
def test_delays_that_cannot_be(late: timedelta) -> None:
    with pytest.raises(SimulationError, match="lies between nothing and 14 days"):
        run(QUIET, source=store("0"), delays={METRIC: late})
