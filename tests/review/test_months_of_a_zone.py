"""Months, days and stretches of time in zones whose clocks change."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.review.reference_tables import utc

from tocsin.errors import InputError
from tocsin.review.months import (
    grid,
    joined,
    length,
    local_days,
    month_span,
    months_before,
    read_month,
    within,
    without,
    zone_named,
)

NOW = utc("2026-11-21 12:00")


@pytest.mark.parametrize(
    ("month", "zone", "start", "end"),
    [
        ("2026-10", "UTC", "2026-10-01 00:00", "2026-11-01 00:00"),
        ("2026-10", "Europe/Vienna", "2026-09-30 22:00", "2026-10-31 23:00"),
        ("2026-03", "America/New_York", "2026-03-01 05:00", "2026-04-01 04:00"),
        ("2026-10", "Asia/Kolkata", "2026-09-30 18:30", "2026-10-31 18:30"),
        ("2026-12", "Pacific/Auckland", "2026-11-30 11:00", "2026-12-31 11:00"),
    ],
)
def test_a_month_goes_from_local_midnight_to_local_midnight(month: str, zone: str, start: str, end: str) -> None:
    span = month_span(month, ZoneInfo(zone))
    assert (span.start, span.end) == (utc(start), utc(end))


@pytest.mark.parametrize(
    ("zone", "month", "day", "hours"),
    [
        ("Europe/Vienna", "2026-10", date(2026, 10, 25), 25),
        ("Europe/Vienna", "2026-03", date(2026, 3, 29), 23),
        ("Australia/Lord_Howe", "2026-04", date(2026, 4, 5), 24.5),
        ("Africa/Cairo", "2026-04", date(2026, 4, 24), 23),  # midnight itself is skipped
        ("UTC", "2026-10", date(2026, 10, 25), 24),
    ],
)
def test_days_are_as_long_as_the_clocks_make_them(zone: str, month: str, day: date, hours: float) -> None:
    days = dict(local_days(month_span(month, ZoneInfo(zone)), ZoneInfo(zone)))
    assert days[day].end - days[day].start == timedelta(hours=hours)


def test_a_day_that_a_zone_left_out_is_not_there() -> None:
    days = [day for day, _ in local_days(month_span("2011-12", ZoneInfo("Pacific/Apia")), ZoneInfo("Pacific/Apia"))]
    assert date(2011, 12, 30) not in days
    assert len(days) == 30


@pytest.mark.parametrize(
    ("zone", "month", "seconds"),
    [
        ("Europe/Vienna", "2026-10", 3600),
        ("Asia/Kolkata", "2026-10", 900),
        ("Asia/Kathmandu", "2026-10", 900),
        ("Australia/Lord_Howe", "2026-10", 900),
        ("Australia/Lord_Howe", "2026-12", 3600),
    ],
)
def test_sums_are_kept_by_the_hour_unless_the_zone_has_none(zone: str, month: str, seconds: int) -> None:
    assert grid(local_days(month_span(month, ZoneInfo(zone)), ZoneInfo(zone))) == seconds


@given(
    st.sampled_from(["Europe/Vienna", "Africa/Cairo", "America/St_Johns", "Australia/Lord_Howe", "America/Havana"]),
    st.integers(2000, 2036),
    st.integers(1, 12),
)
def test_the_days_are_the_month(zone: str, year: int, number: int) -> None:
    span = month_span(f"{year}-{number:02}", ZoneInfo(zone))
    days = local_days(span, ZoneInfo(zone))
    assert days[0][1].start == span.start
    assert days[-1][1].end == span.end
    assert all(one[1].end == other[1].start for one, other in itertools.pairwise(days))
    assert [day.day for day, _ in days] == list(range(1, len(days) + 1))


def test_the_months_before() -> None:
    assert months_before("2026-02", 3) == ("2025-11", "2025-12", "2026-01")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("october", "--month 'october' is not a month; write it as 2026-11"),
        ("2026-13", "--month '2026-13' is not a month"),
        ("2026-1", "--month '2026-1' is not a month"),
        ("2026-12", "--month 2026-12 has not begun yet: it is 2026-11-21 in Europe/Vienna; ask for 2026-11 or before"),
        ("9999-12", "--month '9999-12' is not a month"),
    ],
)
def test_a_month_that_cannot_be_reviewed(text: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        read_month(text, ZoneInfo("Europe/Vienna"), NOW)
    assert str(raised.value).startswith(message)


def test_a_month_begins_when_it_does_where_one_is() -> None:
    """At noon of 31 October in UTC it is November already on Kiritimati."""
    now = utc("2026-10-31 12:00")
    assert read_month("2026-11", ZoneInfo("Pacific/Kiritimati"), now)
    with pytest.raises(InputError):
        read_month("2026-11", ZoneInfo("UTC"), now)


@pytest.mark.parametrize("name", ["Europe/Wien", "", "../etc/passwd", "Mars/Olympus"])
def test_an_unknown_zone(name: str) -> None:
    with pytest.raises(InputError, match="is not known"):
        zone_named(name)


STRETCHES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


@given(STRETCHES, st.integers(0, 60), st.integers(0, 60))
def test_stretches_are_sets_of_seconds(some: list[tuple[int, int]], a: int, b: int) -> None:
    begin, end = min(a, b), max(a, b)
    whole = {second for x, y in some for second in range(x, y)}
    together = joined(some)
    assert {second for x, y in together for second in range(x, y)} == whole
    assert length(together) == len(whole)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(together))
    inside = within(together, begin, end)
    assert {second for x, y in inside for second in range(x, y)} == whole & set(range(begin, end))
    outside = without((begin, end), together)
    assert {second for x, y in outside for second in range(x, y)} == set(range(begin, end)) - whole
