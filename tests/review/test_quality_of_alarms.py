"""What alarms told: from changes of state as CloudWatch records them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.review.reference_tables import DAY, HOUR, MINUTE, utc

from tocsin.model import Severity
from tocsin.review.months import seconds
from tocsin.review.pack import AlarmQuality, Span
from tocsin.review.quality import Alert, StateRow, Telling, in_alarm, is_night, quality_of, telling_alarms, told_of

START, END = utc("2026-10-01 00:00"), utc("2026-11-01 00:00")
MONTH = Span(START, END)
PAGE = Telling("shop", "page", Severity.PAGE, "api", "slo-availability", START)


def row(minutes: int, after: str, before: str | None = None) -> StateRow:
    return StateRow(seconds(START + minutes * MINUTE), before, after)


def minutes_told(rows: list[StateRow]) -> list[tuple[int, int | None]]:
    return [
        ((one.at - START) // MINUTE, None if one.until is None else (one.until - START) // MINUTE)
        for one in told_of(PAGE, rows, END)
    ]


@pytest.mark.parametrize(
    ("rows", "told", "minutes"),
    [
        ([], [], 0),
        ([row(10, "ALARM", "OK"), row(40, "OK", "ALARM")], [(10, 40)], 30),
        ([row(10, "ALARM"), row(40, "OK")], [(10, 40)], 30),
        ([row(10, "ALARM", "INSUFFICIENT_DATA"), row(40, "OK", "ALARM")], [(10, 40)], 30),
        # lost data ends the alarm, and it tells again
        (
            [
                row(10, "ALARM", "OK"),
                row(20, "INSUFFICIENT_DATA", "ALARM"),
                row(30, "ALARM", "INSUFFICIENT_DATA"),
                row(40, "OK"),
            ],
            [(10, 20), (30, 40)],
            20,
        ),
        ([row(10, "INSUFFICIENT_DATA", "OK"), row(40, "OK", "INSUFFICIENT_DATA")], [], 0),
        ([row(-30, "ALARM", "OK"), row(20, "OK", "ALARM")], [(-30, 20)], 20),
        ([row(20, "OK", "ALARM")], [], 20),  # in ALARM when the history begins
        ([row(20, "OK")], [], 0),
        ([row(44_630, "ALARM", "OK")], [(44_630, None)], 10),
        ([row(10, "ALARM", "OK"), row(12, "ALARM", "ALARM"), row(40, "OK", "ALARM")], [(10, 40)], 30),
        ([row(10, "ALARM", "OK"), row(50, "ALARM", "OK"), row(60, "OK", "ALARM")], [(10, 50), (50, 60)], 50),
    ],
)
def test_told_and_time_in_alarm(rows: list[StateRow], told: list[tuple[int, int | None]], minutes: int) -> None:
    assert minutes_told(rows) == told
    assert in_alarm(rows, MONTH) == minutes * MINUTE


@given(
    st.lists(
        st.tuples(st.integers(-500, 44_700), st.sampled_from(["OK", "ALARM", "INSUFFICIENT_DATA"])),
        unique_by=lambda one: one[0],
    )
)
def test_time_in_alarm_is_what_the_minutes_say(changes: list[tuple[int, str]]) -> None:
    rows = [row(at, state) for at, state in sorted(changes)]
    state, count, at = "OK", 0, {}
    at = dict(changes)
    for minute in range(-500, 31 * 1440):
        state = at.get(minute, state)
        count += state == "ALARM" and minute >= 0
    assert in_alarm(rows, MONTH) == count * MINUTE


def judged(rows: list[StateRow], zone: str = "UTC", **more: object) -> AlarmQuality:
    told = told_of(PAGE, rows, END)
    burned = {one.at for one in told if one.at.hour == 10}
    return quality_of(PAGE, told, burned, rows, more.get("alerts", ()), MONTH, ZoneInfo(zone), (22, 7))  # type: ignore[arg-type]


def test_what_counts_in_the_month() -> None:
    """In ALARM when it began; then at ten while budget burned; again within an hour of its end; and at night."""
    rows = [
        row(-30, "ALARM", "OK"),
        row(5, "OK", "ALARM"),
        row(600, "ALARM", "OK"),
        row(610, "OK", "ALARM"),
        row(665, "ALARM", "OK"),
        row(670, "OK", "ALARM"),
        row(1439, "ALARM", "OK"),
        row(1445, "OK", "ALARM"),
    ]
    found = judged(rows)
    assert (found.told, found.burning, found.night, found.flaps) == (3, 1, 1, 1)
    assert found.in_alarm == (5 + 10 + 5 + 6) * MINUTE
    assert judged(rows, "Asia/Tokyo").night == 0  # 19:00, 20:05, 08:59


def test_the_first_of_the_month_may_flap_from_the_month_before() -> None:
    assert judged([row(-30, "ALARM", "OK"), row(-20, "OK"), row(10, "ALARM"), row(20, "OK")]).flaps == 1


def test_an_alarm_that_never_fired_is_there() -> None:
    found = judged([])
    assert (found.told, found.burning, found.in_alarm) == (0, 0, 0 * MINUTE)


def test_what_the_on_call_tool_says() -> None:
    alerts = [
        Alert(START + HOUR, START + HOUR + 4 * MINUTE, START + 2 * HOUR),
        Alert(START, None, START + 3 * HOUR),
        Alert(START + 2 * HOUR, START + 2 * HOUR + 2 * MINUTE, None),
    ]
    found = judged([], alerts=alerts)
    assert found.acknowledged == (4 * MINUTE, 2 * MINUTE)
    assert found.closed == (3 * HOUR, HOUR)


@pytest.mark.parametrize(
    ("at", "zone", "night", "expected"),
    [
        ("2026-10-14 21:59", "UTC", (22, 7), False),
        ("2026-10-14 22:00", "UTC", (22, 7), True),
        ("2026-10-14 06:59", "UTC", (22, 7), True),
        ("2026-10-14 07:00", "UTC", (22, 7), False),
        ("2026-10-14 20:30", "Europe/Vienna", (22, 7), True),
        ("2026-10-25 05:30", "Europe/Vienna", (22, 7), True),  # 06:30 again since the clocks went back
        ("2026-10-24 05:30", "Europe/Vienna", (22, 7), False),
        ("2026-10-14 03:00", "UTC", (1, 5), True),
        ("2026-10-14 05:00", "UTC", (1, 5), False),
    ],
)
def test_nights(at: str, zone: str, night: tuple[int, int], expected: bool) -> None:
    assert is_night(utc(at), ZoneInfo(zone), night) is expected


def test_alarms_that_come_and_go() -> None:
    def seen(name: str, day: int, severity: str) -> tuple[object, ...]:
        return "shop", name, seconds(START + day * DAY), severity, None, "lambda-errors"

    rows = [
        seen("always", -100, "ticket"),
        seen("gone", -100, "ticket"),
        seen("gone", -5, "vanished"),
        seen("going", -100, "ticket"),
        seen("going", 10, "vanished"),
        seen("louder", -100, "ticket"),
        seen("louder", 10, "page"),
        seen("seen-later", 40, "page"),
    ]
    found = {one.alarm: one for one in telling_alarms(sorted(rows, key=str), START, END)}
    assert sorted(found) == ["always", "going", "louder"]
    assert found["louder"].severity is Severity.PAGE
    assert found["going"].gone == START + 10 * DAY


def test_what_the_first_pull_saw_after_the_month_was_there_in_it() -> None:
    later = seconds(END + DAY)
    rows = [("shop", "first", later, "page", None, "x"), ("shop", "second", later + 3600, "page", None, "x")]
    assert [one.alarm for one in telling_alarms(rows, START, END)] == ["first"]


def test_an_alarm_that_goes_while_in_alarm_ends_with_it() -> None:
    gone = Telling("shop", "page", Severity.PAGE, "api", "slo-availability", START, START + HOUR)
    rows = [row(10, "ALARM", "OK")]
    (one,) = told_of(gone, rows, END)
    assert one.until == START + HOUR
    assert in_alarm(rows, MONTH, gone.gone) == 50 * MINUTE
