"""One metric alarm over time: schedules, windows, reasons, low samples, heartbeat and burn rate; "not yet" beside "now"."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from shorthand import METRIC, NOON, alarm, expression_alarm, minutes, store

from tocsin.alarm import Alarm, AlarmState, Comparison, EvaluationWindow, Metric, TreatMissingData
from tocsin.errors import SimulationError
from tocsin.simulate.metric_alarm import check_alarm, evaluate, is_due
from tocsin.simulate.reading import DynamoDbMissing, Reading
from tocsin.simulate.series import Series, Store

A, O, I = AlarmState.ALARM, AlarmState.OK, AlarmState.INSUFFICIENT_DATA  # noqa: E741
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def state(one: Alarm, source: Store, at: datetime, before: AlarmState = O) -> AlarmState:
    return evaluate(one, source, at, before).state


def test_a_sliding_window_ends_at_the_evaluation() -> None:
    # The guide's example: five-minute datapoints at 12:15 are 12:00, 12:05 and 12:10, a minute later 12:01 and so on.
    five = alarm(3, 3, period=300)
    for at, first in ((NOON + minutes(15), NOON), (NOON + minutes(16), NOON + minutes(1))):
        found = evaluate(five, Store(), at + timedelta(seconds=37), O, evaluation_range=3)
        assert [when for when, _ in found.datapoints] == [first + minutes(5 * step) for step in range(3)]


def test_m_of_n() -> None:
    two_of_three = alarm(3, 2)
    source = store("00X0X0", end=NOON)
    states = [state(two_of_three, source, NOON - minutes(back)) for back in (2, 1, 0)]
    assert states == [O, A, O]


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        (Comparison.GREATER, [False, False, True]),
        (Comparison.GREATER_OR_EQUAL, [False, True, True]),
        (Comparison.LESS, [True, False, False]),
        (Comparison.LESS_OR_EQUAL, [True, True, False]),
    ],
)
def test_comparisons(comparison: Comparison, breaching: list[bool]) -> None:
    one = alarm(1, 1, comparison=comparison, threshold=1)
    found = [state(one, store([value]), NOON) is A for value in (0.0, 1.0, 2.0)]
    assert found == breaching


@pytest.mark.parametrize(
    ("period", "n", "due"),
    [(60, 1, [0, 1, 2, 3]), (86_400, 1, [0, 1, 2, 3]), (3600, 24, [0, 1, 2, 3]), (3600, 25, [0]), (259_200, 1, [0])],
)
def test_when_an_alarm_is_due(period: int, n: int, due: list[int]) -> None:
    # A window of exactly a day does not exceed one.
    one = alarm(n, n, period=period)
    assert [minute for minute in range(4) if is_due(one, NOON + minutes(minute))] == due


def test_the_minute_of_an_hourly_evaluation_is_a_parameter() -> None:
    one = alarm(25, 25, period=3600)
    assert [minute for minute in range(60) if is_due(one, NOON + minutes(minute), hourly_minute=3)] == [3]


def test_the_documented_multi_day_example() -> None:
    # The guide: a job due at 10:00 fails at 10:02 and is mended at 11:43; the alarm is evaluated at three minutes past
    # each hour and says OK at 10:03, ALARM at 11:03, OK at 12:03.  Here: no success in 25 hours.
    successes = Metric("Test", "Successes")
    job = expression_alarm(
        "FILL(m1, 0)", {"m1": successes}, period=3600, n=25, m=25, threshold=1, comparison=Comparison.LESS
    )  # fmt: skip
    ten = NOON - 2 * HOUR
    source = Store()
    source.add(successes, ten - DAY - minutes(1), 1)
    source.add(successes, ten + minutes(103), 1)
    evaluations = [
        ten + minutes(minute) for minute in range(180) if is_due(job, ten + minutes(minute), hourly_minute=3)
    ]
    assert evaluations == [ten + minutes(3), ten + minutes(63), ten + minutes(123)]
    assert [state(job, source, at) for at in evaluations] == [O, A, O]
    # Not a minute of what came after the full hour is seen.
    assert state(job, source, ten + minutes(59)) is O
    assert state(job, source, ten + minutes(119)) is A


def test_reasons_in_the_words_of_cloudwatch() -> None:
    three = alarm(3, 3, threshold=31, statistic="Maximum")
    found = evaluate(three, store([40.0, 41.0, 42.5]), NOON, O)
    assert found.reason == (
        "Threshold Crossed: 3 out of the last 3 datapoints [42.5 (04/03/26 11:59:00), 41.0 (04/03/26 11:58:00), "
        "40.0 (04/03/26 11:57:00)] were greater than the threshold (31.0) (minimum 3 datapoints for OK -> ALARM transition)."
    )
    assert found.reason_data == {
        "version": "1.0",
        "queryDate": "2026-03-04T12:00:00.000+0000",
        "startDate": "2026-03-04T11:57:00.000+0000",
        "statistic": "Maximum",
        "period": 60,
        "recentDatapoints": [40.0, 41.0, 42.5],
        "threshold": 31,
        "evaluatedDatapoints": [
            {"timestamp": "2026-03-04T11:59:00.000+0000", "value": 42.5},
            {"timestamp": "2026-03-04T11:58:00.000+0000", "value": 41.0},
            {"timestamp": "2026-03-04T11:57:00.000+0000", "value": 40.0},
        ],
    }
    one = alarm(1, 1, threshold=0, comparison=Comparison.GREATER)
    assert evaluate(one, store([0.0]), NOON, A).reason == (
        "Threshold Crossed: 1 out of the last 1 datapoints [0.0 (04/03/26 11:59:00)] was not greater than the threshold (0.0) "
        "(minimum 1 datapoint for ALARM -> OK transition)."
    )
    assert evaluate(one, Store(), NOON, A).reason == "Insufficient Data: 1 datapoint was unknown."
    assert evaluate(alarm(3), Store(), NOON, A).reason == "Insufficient Data: 3 datapoints were unknown."
    quiet = replace(one, treat_missing_data=TreatMissingData.NOT_BREACHING)
    assert evaluate(quiet, Store(), NOON, A).reason == (
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as [NonBreaching]."
    )
    mixed = evaluate(alarm(3, 2, TreatMissingData.BREACHING), store("----X"), NOON, O)
    assert mixed.reason == (
        "Threshold Crossed: 1 out of the last 3 datapoints [1.0 (04/03/26 11:59:00)] was greater than the threshold (0.5) "
        "and 2 missing datapoints were treated as [Breaching] (minimum 2 datapoints for OK -> ALARM transition)."
    )


@pytest.mark.parametrize(("n", "m", "back"), [(3, 3, 1), (3, 2, 2), (5, 1, 5)])
def test_the_way_back_takes_n_minus_m_plus_one_datapoints(n: int, m: int, back: int) -> None:
    one, source = alarm(n, m), store("X" * 10 + "0" * 10, end=NOON + minutes(10))
    assert state(one, source, NOON + minutes(back - 1), A) is A
    found = evaluate(one, source, NOON + minutes(back), A)
    assert found.state is O
    assert found.reason.endswith(f"(minimum {back} datapoint{'s' * (back > 1)} for ALARM -> OK transition).")


def test_ignore_keeps_the_state() -> None:
    one = alarm(1, 1, TreatMissingData.IGNORE)
    for before in AlarmState:
        assert state(one, Store(), NOON, before) is before


def test_dynamodb_may_be_read_as_always_ignoring() -> None:
    table = alarm(1, 1, TreatMissingData.BREACHING, metric=Metric("AWS/DynamoDB", "SystemErrors"))
    assert evaluate(table, Store(), NOON, O).state is A
    always = Reading(dynamodb=DynamoDbMissing.ALWAYS_IGNORE)
    assert evaluate(table, Store(), NOON, O, reading=always).state is O


@pytest.mark.parametrize(("samples", "expected"), [(99, O), (100, A)])
def test_percentiles_with_few_samples_may_keep_the_state(samples: int, expected: AlarmState) -> None:
    p90 = replace(alarm(1, 1, statistic="p90"), evaluate_low_samples=False)
    source = Store()
    source.add(METRIC, NOON - minutes(1), 5, count=samples)
    assert state(p90, source, NOON) is expected
    assert state(replace(p90, evaluate_low_samples=True), source, NOON) is A


# ---- burn rate

BAD, VALID = Metric("Test", "Bad"), Metric("Test", "Valid")
RATIO = "IF(FILL(valid, 0) > 0, FILL(bad, 0) / FILL(valid, 0), 0)"


def outage_then_silence() -> Store:
    """Ten good requests a minute, all bad from noon on for half an hour, then no request at all."""
    made = Store()
    for minute in range(-120, 30):
        made.add(VALID, NOON + minutes(minute), 10)
        made.add(BAD, NOON + minutes(minute), 10 if minute >= 0 else 0)
    return made


def burn(expression: str, period: int = 3600) -> Alarm:
    return expression_alarm(
        expression, {"bad": BAD, "valid": VALID}, period=period, threshold=0.0144, treat=TreatMissingData.NOT_BREACHING
    )


def test_a_burn_rate_alarm_fires_in_the_first_bad_minute_and_not_before() -> None:
    source = outage_then_silence()
    assert state(burn(RATIO), source, NOON) is O
    assert state(burn(RATIO), source, NOON + minutes(1)) is A  # 10 of 600 is more than 1.44 %


def test_a_burn_rate_alarm_resets_when_traffic_stops() -> None:
    source = outage_then_silence()
    assert state(burn(RATIO), source, NOON + minutes(89)) is A
    assert state(burn(RATIO), source, NOON + minutes(90)) is O


def test_the_naive_ratio_is_caught_by_stale_datapoints() -> None:
    source = outage_then_silence()
    naive = burn("bad / valid")
    late = evaluate(naive, source, NOON + minutes(90), A)
    # Nothing has come for an hour, and TreatMissingData says notBreaching; an older datapoint still speaks.
    assert (late.state, late.depends_on_range) == (A, True)
    assert state(naive, source, NOON + minutes(209)) is A
    assert state(naive, source, NOON + minutes(210)) is O


def test_a_three_day_window_is_read_up_to_the_hour() -> None:
    source = outage_then_silence()
    slow = burn(RATIO, period=259_200)
    assert state(slow, source, NOON + minutes(59)) is O
    assert state(slow, source, NOON + minutes(60)) is A
    assert state(slow, source, NOON + 3 * DAY) is A
    assert state(slow, source, NOON + 3 * DAY + HOUR) is O


# ---- heartbeat

RUNS = Metric("Test", "Runs")
HEARTBEAT = expression_alarm(
    "FILL(m1, 0)", {"m1": RUNS}, period=3600, n=26, m=26, threshold=1, comparison=Comparison.LESS,
    treat=TreatMissingData.BREACHING,
)  # fmt: skip
THREE = NOON.replace(hour=3)


def daily(*starts: datetime) -> Store:
    made = Store()
    for start in starts:
        made.add(RUNS, start, 1)
    return made


@pytest.mark.parametrize("jitter", [-59, -17, 0, 1, 17, 59])
def test_a_daily_job_may_start_early_or_late(jitter: int) -> None:
    source = daily(THREE - DAY, THREE + minutes(jitter), THREE + DAY)
    at = THREE - minutes(90)
    while at <= THREE + DAY:
        assert state(HEARTBEAT, source, at) is O, at
        at += minutes(30)


def test_a_missed_run_is_told_after_twenty_six_hours() -> None:
    # The last start at 03:00 lies in the window until 26 full hours have gone without one.
    source = daily(THREE)
    assert state(HEARTBEAT, source, THREE + minutes(28 * 60)) is A
    assert state(HEARTBEAT, source, THREE + minutes(27 * 60)) is A
    assert state(HEARTBEAT, source, THREE + minutes(26 * 60 + 59)) is O
    assert state(HEARTBEAT, source, THREE + minutes(26 * 60)) is O


def test_a_late_run_ends_the_alarm_at_the_next_full_hour() -> None:
    source = daily(THREE, THREE + minutes(27 * 60 + 10))
    assert state(HEARTBEAT, source, THREE + minutes(27 * 60 + 59), A) is A
    assert state(HEARTBEAT, source, THREE + minutes(28 * 60), A) is O


def test_a_job_that_never_ran_alarms_although_its_metric_is_empty() -> None:
    assert state(HEARTBEAT, Store(), NOON, I) is A


# ---- wall clock


def wall(period: int, zone: str | None = None, n: int = 1) -> Alarm:
    return replace(alarm(n, n, period=period), evaluation_window=EvaluationWindow.WALL_CLOCK, timezone=zone)


def starts(one: Alarm, at: datetime) -> list[str]:
    return [f"{when:%d %H:%M}" for when, _ in evaluate(one, Store(), at, O).datapoints]


@pytest.mark.parametrize(
    ("one", "at", "expected"),
    [
        (wall(3600), NOON + minutes(59), ["04 11:00"]),
        (wall(3600), NOON + minutes(60), ["04 12:00"]),
        (wall(300, n=3), NOON + minutes(7), ["04 11:50", "04 11:55", "04 12:00"]),
        (wall(86_400), NOON, ["03 00:00"]),
        (wall(86_400, "Asia/Kolkata"), NOON, ["02 18:30"]),
        (wall(86_400, "UTC+05:30"), NOON, ["02 18:30"]),
        (wall(86_400, "-08:00"), NOON, ["03 08:00"]),
        (wall(3600, "UTC+05:30"), NOON, ["04 10:30"]),
        (wall(604_800), NOON, ["23 00:00"]),  # Monday, 23 February
    ],
)
def test_a_wall_clock_window_ends_on_the_clock(one: Alarm, at: datetime, expected: list[str]) -> None:
    assert starts(one, at) == expected


def test_a_wall_clock_day_has_twenty_three_hours_in_spring() -> None:
    berlin = wall(86_400, "Europe/Berlin")
    source = Store()
    source.add_series(Series(METRIC, datetime(2026, 3, 27, tzinfo=UTC), 3600, values=[1.0] * 24 * 5))
    found = evaluate(berlin, source, datetime(2026, 3, 29, 23, tzinfo=UTC), O)
    assert found.datapoints == ((datetime(2026, 3, 28, 23, tzinfo=UTC), 23.0),)


def test_a_wall_clock_window_reads_no_older_datapoint() -> None:
    source = store("X-")
    sliding, clock = alarm(1, 1, TreatMissingData.NOT_BREACHING), wall(60)
    clock = replace(clock, treat_missing_data=TreatMissingData.NOT_BREACHING)
    assert (state(sliding, source, NOON), state(clock, source, NOON)) == (A, O)


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (alarm(1, 1, period=90), "Period 90"),
        (alarm(1, 1, period=5), "Period 5"),
        (alarm(2, 3), "DatapointsToAlarm 3 of EvaluationPeriods 2"),
        (alarm(2, 0), "DatapointsToAlarm 0"),
        (alarm(1441, 1), "86460 s; CloudWatch takes at most 86400"),
        (alarm(169, 1, period=3600), "takes at most 604800"),
        (wall(1800), "Period 1800 of a wall-clock window"),
        (wall(3600, "Mars/Olympus"), "unknown time zone 'Mars/Olympus'"),
        (wall(3600, "UTC+05:31"), "multiple of five minutes"),
        (alarm(1, 1, statistic="median"), "unknown statistic 'median'"),
    ],
)
def test_alarms_that_cloudwatch_would_refuse(one: Alarm, message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        check_alarm(one)
