"""Batches: everything asked once, no call over a limit, and as few calls as the limits allow."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.history.batches import Call, Limits, Wanted, batch, fewest_calls

START = datetime(2026, 10, 1, tzinfo=UTC)
REAL = Limits()


def wanted(queries: int, length: int, period: int = 60, first: int = 0, name: str = "q") -> list[Wanted]:
    start = START + timedelta(seconds=first * period)
    return [Wanted(f"{name}{one}", period, start, start + timedelta(seconds=length * period)) for one in range(queries)]


def billed(calls: tuple[Call, ...]) -> int:
    return sum(len(call.queries) for call in calls)


def cells(calls: tuple[Call, ...]) -> Counter[tuple[str, int, datetime]]:
    """How often each datapoint is asked."""
    found: Counter[tuple[str, int, datetime]] = Counter()
    for call in calls:
        step = timedelta(seconds=call.period)
        for name in call.queries:
            found.update(
                (name, call.period, call.start + place * step) for place in range((call.end - call.start) // step)
            )
    return found


def needed(those: list[Wanted]) -> Counter[tuple[str, int, datetime]]:
    return cells(tuple(Call((one.query,), one.period, one.start, one.end) for one in those))


@settings(deadline=None, max_examples=150)
@given(
    groups=st.lists(
        st.tuples(st.integers(1, 60), st.integers(1, 60), st.sampled_from((60, 300, 3600)), st.integers(0, 3)),
        max_size=4,
    ),
    limits=st.builds(Limits, st.integers(1, 40), st.integers(10, 500)),
)
def test_every_datapoint_is_asked_once_and_no_call_is_over_a_limit(groups, limits) -> None:
    those = [
        one
        for number, (queries, length, period, first) in enumerate(groups)
        for one in wanted(queries, length, period, first * 10, f"{number}-")
    ]
    calls = batch(those, limits)
    assert cells(calls) == needed(those)
    for call in calls:
        assert 1 <= len(set(call.queries)) == len(call.queries) <= limits.queries
        assert 1 <= call.datapoints <= limits.datapoints
    assert len(calls) >= fewest_calls(those, limits)


def test_nothing_wanted_is_nothing_asked() -> None:
    assert batch([]) == ()
    assert batch(wanted(3, 0)) == ()
    assert fewest_calls(wanted(3, 0)) == 0


# Fifty systems with three SLOs of two metrics each: 28 days of which the last 15, less an hour, can be had by the minute.
FIFTY = [*wanted(300, 15 * 1440 - 60), *wanted(300, 13 * 288 + 12, 300, -13 * 288 - 12)]


@pytest.mark.parametrize(
    ("those", "calls", "metrics"),
    [
        (wanted(300, 40_320), 120, 600),
        (FIFTY, 65 + 12, None),
        (wanted(300, 28 * 1440), 120, None),
        (wanted(300, 1440), 5, 300),
        (wanted(300, 5), 1, 300),
        (wanted(501, 1), 2, 501),
        (wanted(1, 100_800), 1, 1),
        (wanted(1, 100_801), 2, 2),
        (wanted(500, 201), 1, 500),
        (wanted(500, 202), 2, 500),
        (wanted(20, 28 * 1440), 8, None),
        (wanted(2000, 15 * 1440), 429, None),
    ],
)  # fmt: skip
def test_the_floor_of_the_limits_is_reached(those, calls, metrics) -> None:
    made = batch(those)
    assert len(made) == calls == fewest_calls(those)
    assert metrics is None or billed(made) == metrics


def test_fifty_systems_are_read_once_and_cheaply() -> None:
    made = batch(FIFTY)
    assert sum(call.datapoints for call in made) == 300 * (15 * 1440 - 60) + 300 * (13 * 288 + 12)
    # By the minute one slab of 20,160 and one of the rest, so that each query is billed twice; 300 x 77 would be the most.
    assert billed(made) == 600 + 300


@cache
def fewest(rows: int, length: int, queries: int, datapoints: int) -> int:
    """By trying every way of cutting a rectangle in two, again and again."""
    if rows <= queries and rows * length <= datapoints:
        return 1
    floor = max(-(-rows * length // datapoints), -(-rows // queries))
    best = rows * length
    for cut in range(1, rows // 2 + 1):
        best = min(best, fewest(cut, length, queries, datapoints) + fewest(rows - cut, length, queries, datapoints))
        if best == floor:
            return best
    for cut in range(1, length // 2 + 1):
        best = min(best, fewest(rows, cut, queries, datapoints) + fewest(rows, length - cut, queries, datapoints))
        if best == floor:
            return best
    return best


@pytest.mark.parametrize("limits", [Limits(4, 12), Limits(5, 20), Limits(7, 30), Limits(100, 24)])
def test_no_way_of_cutting_needs_notably_fewer_calls(limits) -> None:
    """With limits so small that hardly anything fits, which is where cutting is hard."""
    more = []
    for rows in range(1, 31):
        for length in range(1, 31):
            made = len(batch(wanted(rows, length), limits))
            best = fewest(rows, length, limits.queries, limits.datapoints)
            assert best <= made <= best + 1, (rows, length)
            more += [(rows, length)] if made > best else []
    assert len(more) <= 900 // 100, more


@settings(deadline=None, max_examples=60)
@given(queries=st.integers(1, 400), days=st.integers(1, 28))
def test_whole_days_by_the_minute_reach_the_floor(queries, days) -> None:
    those = wanted(queries, days * 1440)
    assert len(batch(those)) == fewest_calls(those)


def test_the_period_that_a_level_needs_before_costs_no_call_of_its_own() -> None:
    those = [*wanted(10, 1440), *wanted(2, 1441, first=-1, name="level")]
    [call] = batch(those)
    assert fewest_calls(those) == 1
    assert call.start == START - timedelta(minutes=1)
    assert sorted(call.queries) == sorted(one.query for one in those)


def test_a_level_is_read_apart_where_that_costs_nothing() -> None:
    those = [*wanted(70, 1440), *wanted(69, 1441, first=-1, name="level")]
    calls = batch(those)
    assert len(calls) == 2
    assert cells(calls) == needed(those)


def test_what_belongs_together_stays_together() -> None:
    first, *_ = batch(wanted(300, 28 * 1440))
    assert list(first.queries) == [f"q{number}" for number in range(len(first.queries))]
