"""Which alarm told of an incident and how late; when a heartbeat was broken."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.review.reference_tables import DAY, HOUR, MINUTE, utc

from tocsin.model import Severity
from tocsin.review.incidents import broken_spans, least_bad, with_told
from tocsin.review.months import moment, seconds
from tocsin.review.pack import Count, Incident, Span, Told

START, END = utc("2026-10-01 00:00"), utc("2026-11-01 00:00")
TEN = utc("2026-10-14 10:00")
PAGE, TICKET = Severity.PAGE, Severity.TICKET


def told(minutes: int, length: int | None = 30, severity: Severity = PAGE, name: str = "page") -> Told:
    at = TEN + minutes * MINUTE
    return Told(name, severity, at, None if length is None else at + length * MINUTE)


@pytest.mark.parametrize(
    ("tellings", "first", "delay"),
    [
        ([], None, None),
        ([told(8)], told(8), 8),
        ([told(0)], told(0), 0),
        ([told(20), told(8)], told(8), 8),
        ([told(8, severity=TICKET), told(9)], told(8, severity=TICKET), 8),
        ([told(8, severity=TICKET, name="a"), told(8)], told(8), 8),
        ([told(75)], told(75), 75),  # a quarter of an hour after the end, and no later
        ([told(76)], None, None),
        ([told(-5, 4)], None, None),  # over before it began
        ([told(-60, 90)], told(-60, 90), 0),  # in ALARM already
        ([told(-60, None)], told(-60, None), 0),
        ([told(-60, None), told(12, name="b")], told(12, name="b"), 12),
        ([told(-90, None, TICKET, "a"), told(-60, None)], told(-60, None), 0),
    ],
)
def test_who_told_of_an_hour_from_ten(tellings: list[Told], first: Told | None, delay: int | None) -> None:
    incident = Incident(Span(TEN, TEN + HOUR), Fraction(1), Fraction(1), Fraction(1))
    found = with_told(incident, tellings)
    assert found.told == first
    assert found.delay == (None if delay is None else delay * MINUTE)


def test_the_delay_counts_from_before_the_month() -> None:
    incident = Incident(
        Span(START, START + HOUR), Fraction(1), Fraction(1), Fraction(1), began=START - timedelta(minutes=20)
    )
    early = Told("page", PAGE, START - timedelta(minutes=12), START + HOUR)
    assert with_told(incident, [early]).delay == timedelta(minutes=8)


@pytest.mark.parametrize(
    ("allowed", "least"), [("0", None), ("1/3", 4), ("1", 10), ("1000", 10_000), ("100001/1000", 1001)]
)
def test_from_a_hundredth_of_the_budget_on(allowed: str, least: int | None) -> None:
    count = Count(Span(START, END), Fraction(0), Fraction(0), Fraction(allowed), Fraction(1), Fraction(0))
    assert least_bad(count) == least


def beats(*hours: int) -> list[tuple[int, int, int | None]]:
    """Successes in the hours that begin so many hours after the start, as the statement gives them with a limit of nothing."""
    begins = [seconds(START + hour * HOUR) for hour in hours]
    return [
        (begin, begin + 3600, begins[number + 1] if number + 1 < len(begins) else None)
        for number, begin in enumerate(begins)
    ]


def asked(*hours: int) -> list[tuple[int, int]]:
    moments = [seconds(START + hour * HOUR) for hour in hours]
    return list(zip(moments[::2], moments[1::2], strict=True))


@pytest.mark.parametrize(
    ("successes", "known", "broken"),
    [
        (beats(0, 24, 48, 72), asked(-50, 96), []),
        (beats(0, 24, 50), asked(-50, 70), []),  # 25 hours after the end of the last: not longer than that
        (beats(0, 24, 51, 72), asked(-50, 96), [(50, 51)]),
        (beats(0), asked(-50, 96), [(26, 96)]),
        (beats(), asked(0, 96), [(25, 96)]),
        (beats(), asked(-50, 96), [(0, 96)]),  # broken before the month began
        (beats(), asked(), []),
        (beats(), asked(0, 20, 40, 60), []),  # a success may hide in the gap
        (beats(0), asked(-50, 30, 31, 96), [(26, 30), (56, 96)]),
        (beats(80), asked(-50, 96), [(0, 80)]),
    ],
)
def test_a_heartbeat_with_a_limit_of_25_hours(
    successes: list[tuple[int, int, int | None]], known: list[tuple[int, int]], broken: list[tuple[int, int]]
) -> None:
    found = broken_spans(successes, known, 25 * 3600, START, START + 96 * HOUR)
    assert [((one.start - START) / HOUR, (one.end - START) / HOUR) for one in found] == broken


@given(
    st.lists(st.integers(-48, 119), unique=True, max_size=12).map(sorted),
    st.lists(st.integers(-48, 120), unique=True, max_size=6).map(sorted),
    st.integers(1, 30),
)
def test_broken_is_when_all_hours_of_the_limit_were_asked_and_empty(
    hours: list[int], edges: list[int], limit: int
) -> None:
    known = asked(*edges[: len(edges) // 2 * 2])
    seen = {hour for a, b in known for hour in range((a - seconds(START)) // 3600, (b - seconds(START)) // 3600)}
    alive = [hour for hour in hours if hour in seen]
    found = broken_spans(beats(*alive), known, limit * 3600, START, START + 5 * DAY)
    wanted = {
        hour for hour in range(120) if all(past in seen and past not in alive for past in range(hour - limit, hour + 1))
    }
    assert {hour for one in found for hour in range((one.start - START) // HOUR, (one.end - START) // HOUR)} == wanted
    assert all(one.start < one.end and moment(seconds(one.start)) == one.start for one in found)
