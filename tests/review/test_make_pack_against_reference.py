"""Every figure of a pack equals that of a plain-Python reckoning; planted incidents are found exactly."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.review.reference_review import Figures, Reference
from tests.review.reference_tables import DAY, HOUR, MINUTE, History, utc

from tocsin.review.make import make_pack
from tocsin.review.months import month_span
from tocsin.review.pack import Count, SloReview

pytestmark = pytest.mark.long

OBJECTIVES = ("9/10", "99/100", "999/1000", "1999/2000", "7/8", "2/3")
# Clocks change in the first five; the last three are no whole hours from UTC.
PLACES = (
    ("2026-10", "Europe/Vienna"),
    ("2026-03", "America/New_York"),
    ("2026-04", "Australia/Lord_Howe"),
    ("2026-10", "Australia/Lord_Howe"),
    ("2026-04", "Africa/Cairo"),
    ("2026-02", "UTC"),
    ("2026-10", "Asia/Kolkata"),
    ("2026-07", "Asia/Kathmandu"),
)
LATER = utc("2027-03-01 00:00")


@st.composite
def blocks(draw: st.DrawFn, start: datetime, end: datetime, most: int = 6) -> list[tuple[datetime, int, int]]:
    """Stretches of (first period, seconds, periods) that do not overlap, from ``start`` to ``end``."""
    found, at = [], start
    for _ in range(draw(st.integers(1, most))):
        at += HOUR * draw(st.integers(0, 200))
        period = draw(st.sampled_from((60, 60, 300, 3600)))
        count = draw(st.integers(1, 30))
        if at + timedelta(seconds=period * count) > end:
            break
        found.append((at, period, count))
        at += timedelta(seconds=period * count)
        at += (HOUR - (at - start) % HOUR) % HOUR
    return found


@st.composite
def histories(draw: st.DrawFn) -> tuple[History, str, str, datetime]:
    month, zone = draw(st.sampled_from(PLACES))
    span = month_span(month, ZoneInfo(zone))
    base = (span.start - 100 * DAY).replace(minute=0)
    history = History()
    history.promise(
        "api", draw(st.sampled_from(OBJECTIVES)), since=base, window=draw(st.sampled_from((7, 28, 90))) * DAY
    )
    if draw(st.booleans()):
        changed = span.start + MINUTE * draw(st.integers(-40 * 24 * 60, 30 * 24 * 60))
        history.promise("api", draw(st.sampled_from(OBJECTIVES)), since=changed, window=28 * DAY)
    if draw(st.integers(0, 5)) == 0:
        gone = span.start + MINUTE * draw(st.integers(10, 40_000))
        history.promise("api", None, since=gone, kind="vanished")
    around = [
        *draw(blocks(base, span.start - 2 * DAY)),
        *draw(blocks((span.start - 2 * DAY).replace(minute=0), span.end + 2 * HOUR)),
    ]
    holes = []
    for at, period, count in around:
        for number in range(count):
            valid, bad = draw(
                st.one_of(st.just((0, 0)), st.just((10, 0)), st.tuples(st.integers(1, 50), st.integers(0, 50)))
            )
            if draw(st.integers(0, 7)):
                history.count("api", at + timedelta(seconds=period * number), max(0, valid - bad), valid, period=period)
    if len(around) > 1 and draw(st.booleans()):
        holes = [(around[0][0] + timedelta(seconds=around[0][1] * around[0][2]), around[1][0])]
    edges = [base, *(edge for hole in holes for edge in hole), span.end + DAY]
    for since, until in zip(edges[::2], edges[1::2], strict=True):
        history.asked("api", since, until)
    running = draw(st.booleans())
    now = span.start + MINUTE * draw(st.integers(70, 27 * 24 * 60)) if running else LATER
    return history, month, zone, now


def check_count(count: Count, wanted: Figures) -> None:
    assert (count.good, count.valid, count.allowed) == (wanted.good, wanted.valid, wanted.allowed)
    assert (count.covered, count.silent) == (wanted.covered, wanted.silent)


def check_review(one: SloReview, wanted: Reference) -> None:
    check_count(one.month, wanted.figures(wanted.start, wanted.until))
    assert one.rolling.span.end == wanted.until
    assert one.rolling.span.end - one.rolling.span.start == one.in_force[-1].window
    check_count(one.rolling, wanted.figures(one.rolling.span.start, wanted.until))
    months = wanted.trend()
    assert one.trend == tuple((name, each.good / each.valid if each.valid else None) for name, each in months)
    assert [(each.day, each.valid, each.covered) for each in one.days] == [
        (day, each.valid, each.covered) for day, each in wanted.days()
    ]
    assert [each.attained for each in one.days] == [
        each.good / each.valid if each.valid else None for _, each in wanted.days()
    ]
    assert list(one.burn_down) == wanted.burn_down()
    for window, rates in one.burn_rates.items():
        assert list(rates) == wanted.burn_rates(timedelta(seconds=window))
    assert [
        {
            "start": each.span.start,
            "end": each.span.end,
            "bad": each.bad,
            "valid": each.valid,
            "spent": each.spent,
            "open": each.open,
            "began": each.began,
        }
        for each in one.incidents
    ] == wanted.incidents()
    if one.month.spent is not None:
        assert sum((each.spent for each in one.incidents), one.small_spent) == one.month.spent
        for other in one.what_if:
            assert other.spent == one.month.bad / (one.month.valid * (1 - other.objective))


def until_of(now: datetime, month: str, zone: str) -> tuple[datetime, datetime]:
    """Up to when there is data, and the month's end: whole hours, or quarters where the zone has none."""
    end = month_span(month, ZoneInfo(zone)).end
    quarters = zone in ("Australia/Lord_Howe", "Asia/Kolkata", "Asia/Kathmandu")
    whole = 15 if quarters else 60
    if now >= end:
        return end, end
    return now - timedelta(minutes=(now.hour * 60 + now.minute) % whole), end


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories())
def test_a_pack_says_what_a_reckoning_row_by_row_says(made: tuple[History, str, str, datetime]) -> None:
    history, month, zone, now = made
    until, end = until_of(now, month, zone)
    pack = make_pack(history.in_memory(), month, "prod", zone, None, now)
    assert (pack.until, pack.span.end) == (until, end)
    wanted = Reference(history, "api", zone, until, end)
    if not pack.slos:  # it was gone before the month began
        assert wanted.objective(wanted.start) is None
        return
    check_review(pack.slos[0], wanted)


@st.composite
def planted(draw: st.DrawFn) -> tuple[list[tuple[int, int, int]], int]:
    """Incidents as (first minute, minutes, bad of 100), apart from each other, and their joint traffic."""
    found, at = [], draw(st.integers(0, 300))
    for _ in range(draw(st.integers(0, 3))):
        length = draw(st.integers(1, 20))
        found.append((at, length, draw(st.integers(2, 100))))
        at += length + draw(st.integers(16, 200))
    return found, at


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(planted(), st.integers(0, 25))
def test_planted_incidents_are_found_exactly(made: tuple[list[tuple[int, int, int]], int], day: int) -> None:
    """99 %: a hundred events a minute may hold one bad one; an incident holds two at least."""
    incidents, length = made
    first = utc("2026-10-01 00:00") + day * DAY
    history = History()
    history.promise("api", "99/100", since=utc("2026-01-01 00:00"))
    history.asked("api", utc("2026-10-01 00:00"), utc("2026-11-01 00:00"))
    bad_at = {at + number: bad for at, minutes, bad in incidents for number in range(minutes)}
    for minute in range(length + 10):
        history.count("api", first + minute * MINUTE, 100 - bad_at.get(minute, 0), 100)
    (one,) = make_pack(history.in_memory(), "2026-10", "prod", "UTC", None, LATER).slos
    budget = Fraction(length + 10)  # one bad event a minute
    assert one.month.allowed == budget
    assert one.month.spent == Fraction(sum(bad_at.values())) / budget
    assert one.month.attained == 1 - Fraction(sum(bad_at.values()), 100 * (length + 10))
    listed = [each for each in incidents if each[1] * each[2] * 100 >= budget]
    assert [(each.span.start, each.span.end, each.spent) for each in one.incidents] == [
        (first + at * MINUTE, first + (at + minutes) * MINUTE, Fraction(minutes * bad) / budget)
        for at, minutes, bad in listed
    ]
    assert one.small_spent == Fraction(sum(m * b for _, m, b in incidents) - sum(m * b for _, m, b in listed)) / budget
