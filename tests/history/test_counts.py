"""Counts of an SLI: tables of datapoints, and agreement with what the SLO's own alarms compute of the same data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.alarm import Metric
from tocsin.burn_rate import heartbeat_condition, tiers, window_condition
from tocsin.history.counts import counts_of, needs_before, queries_of
from tocsin.model import Counted, Measure, Ranked, Resource, SinceSuccess, Sli, SliKind, Slo
from tocsin.simulate.metric_math import evaluate_queries
from tocsin.simulate.series import Store

START = datetime(2026, 10, 1, tzinfo=UTC)
BAD, VALID, TIME = Metric("Shop", "Failed"), Metric("Shop", "Orders"), Metric("Shop", "Duration")
RESOURCE = Resource("AWS::Lambda::Function", "Orders")


def slo_of(measure: Measure) -> Slo:
    if isinstance(measure, SinceSuccess):
        return Slo("daily", Sli(SliKind.HEARTBEAT, RESOURCE, measure, "days", "here"), None, None)
    sli = Sli(SliKind.AVAILABILITY, RESOURCE, measure, "orders", "here")
    return Slo("orders", sli, Fraction(99, 100), timedelta(days=28))


def at(minute: int, period: int = 60) -> datetime:
    return START + timedelta(seconds=period * minute)


def series(*values: float | None) -> dict[datetime, float]:
    return {at(place): value for place, value in enumerate(values) if value is not None}


def counted(measure: Measure, values: dict[str, dict[datetime, float]]) -> list[tuple[int, Fraction, Fraction]]:
    found = counts_of(slo_of(measure), 60, values)
    return [((when - START) // timedelta(minutes=1), good, valid) for when, good, valid in found]


COUNTER = Counted(BAD, VALID)
BESIDE = Counted(BAD, VALID, bad_in_valid=False)
LEVEL = Counted(BAD, VALID, bad_in_valid=False, bad_is_level=True)
LEVEL_WITHIN = Counted(BAD, VALID, bad_is_level=True)
RANKED = Ranked(TIME, Fraction(800))
MINUTES = Ranked(TIME, Fraction(300), each_minute=True)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("measure", "values", "expected"),
    [
        (COUNTER, {}, []),
        (COUNTER, {"bad": {}, "valid": series(None, 7, 5)}, [(1, 7, 7), (2, 5, 5)]),
        (COUNTER, {"bad": series(None, 2), "valid": series(4, 5)}, [(0, 4, 4), (1, 3, 5)]),
        # A failure that is told in another minute than its request: only the sum means anything.
        (COUNTER, {"bad": series(None, 3), "valid": series(4)}, [(0, 4, 4), (1, -3, 0)]),
        (COUNTER, {"bad": series(0.1), "valid": series(0.3)}, [(0, Fraction(0.3) - Fraction(0.1), Fraction(0.3))]),
        (BESIDE, {"bad": series(2, None, 1), "valid": series(8, 5)}, [(0, 8, 10), (1, 5, 5), (2, 0, 1)]),
        # A level: what it rose by, and nothing when it falls, stays or is not told.
        (LEVEL, {"bad": series(1, 1, 4, 2, None, 2), "valid": series(9, 9, 9, 9, 9, 9)},
         [(0, 9, 10), (1, 9, 9), (2, 9, 12), (3, 9, 9), (4, 9, 9), (5, 9, 11)]),
        (LEVEL, {"bad": {at(-1): 1.0, **series(1)}, "valid": series(9)}, [(-1, 0, 1), (0, 9, 9)]),
        (LEVEL_WITHIN, {"bad": series(0, 2), "valid": series(5, 5)}, [(0, 5, 5), (1, 3, 5)]),
        (RANKED, {"good": series(100, 50, 0), "count": series(3, 4, 2)}, [(0, 3, 3), (1, 2, 4), (2, 0, 2)]),
        # The rank is a rounded percentage; the samples are whole.
        (RANKED, {"good": series(66.6667, 33.33, 99.99), "count": series(3, 3, 9)}, [(0, 2, 3), (1, 1, 3), (2, 9, 9)]),
        (RANKED, {"good": series(None, 10), "count": series(3)}, [(0, 3, 3)]),
        (RANKED, {"good": series(120, -5), "count": series(3, 3)}, [(0, 3, 3), (1, 0, 3)]),
        (MINUTES, {"good": series(100, 0, 100), "count": series(1, 1, None)}, [(0, 1, 1), (1, 0, 1)]),
        (SinceSuccess(VALID, None, DAY), {"started": series(None, 1, 0)}, [(1, 1, 1), (2, 0, 0)]),
        (SinceSuccess(VALID, BAD, DAY), {"started": series(1, 2), "failed": series(None, 1)}, [(0, 1, 1), (1, 1, 2)]),
        (SinceSuccess(VALID, BAD, DAY), {"started": series(1), "failed": series(None, 1)}, [(0, 1, 1), (1, -1, 0)]),
        (SinceSuccess(VALID, None, DAY, also=(BAD,)), {"started": series(1), "started2": series(2, 3)},
         [(0, 3, 3), (1, 3, 3)]),
    ],
)  # fmt: skip
def test_counts_of_datapoints(measure, values, expected) -> None:
    assert counted(measure, values) == expected


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (COUNTER, {"bad": "Sum", "valid": "Sum"}),
        (Counted(TIME, TIME, "TC(800:)", "SampleCount"), {"bad": "TC(800:)", "valid": "SampleCount"}),
        (LEVEL, {"bad": "Maximum", "valid": "Sum"}),
        (RANKED, {"good": "PR(:800)", "count": "SampleCount"}),
        (Ranked(TIME, Fraction(1, 2)), {"good": "PR(:0.5)", "count": "SampleCount"}),
        (SinceSuccess(VALID, None, DAY), {"started": "Sum"}),
        (SinceSuccess(VALID, BAD, DAY), {"started": "Sum", "failed": "Sum"}),
        (SinceSuccess(VALID, None, DAY, also=(BAD, TIME)), {"started": "Sum", "started2": "Sum", "started3": "Sum"}),
    ],
)
def test_queries_are_plain_metrics_of_one_period(measure, expected) -> None:
    queries = queries_of(slo_of(measure), 300)
    assert {query.id: query.stat.statistic for query in queries} == expected
    assert {query.stat.period for query in queries} == {300}
    assert all(query.expression is None for query in queries)


def test_only_a_level_needs_the_datapoint_before() -> None:
    assert needs_before(slo_of(LEVEL)) == ("bad",)
    assert [needs_before(slo_of(measure)) for measure in (COUNTER, RANKED, SinceSuccess(VALID, None, DAY))] == [()] * 3


MINUTE_VALUES = st.lists(st.one_of(st.none(), st.integers(0, 40)), min_size=60, max_size=60)


def store_of(values: dict[Metric, list[int | None]]) -> Store:
    """Counters as one sample a minute, times as that many samples."""
    store = Store()
    for metric, each in values.items():
        for minute, value in enumerate(each):
            if value is not None:
                store.add(metric, at(minute), value)
    return store


def read(store: Store, slo: Slo, period: int, minutes: int = 60) -> dict[str, dict[datetime, float]]:
    found = {}
    for query in queries_of(slo, period):
        points = store.datapoints(query.stat, START, minutes * 60 // period)
        found[query.id] = {at(place, period): value for place, value in enumerate(points) if value is not None}
    return found


@settings(deadline=None)
@given(bad=MINUTE_VALUES, valid=MINUTE_VALUES, within=st.booleans(), period=st.sampled_from((60, 300)))
def test_counters_add_up_to_what_the_alarm_says(bad, valid, within, period) -> None:
    slo = slo_of(Counted(BAD, VALID, bad_in_valid=within))
    store = store_of({BAD: bad, VALID: valid})
    tier = next(tier for tier in tiers(slo)[0] if tier.long_window == timedelta(hours=1))
    queries, _, _ = window_condition(slo, tier, tier.long_window, gated=False)
    [said] = evaluate_queries(queries, store, START, 1, 3600)
    counts = counts_of(slo, period, read(store, slo, period))
    total = sum(one[2] for one in counts)
    wrong = total - sum(one[1] for one in counts)
    if total:
        assert said == pytest.approx(float(wrong / total))


@settings(deadline=None)
@given(durations=st.lists(st.lists(st.integers(1, 1600), max_size=5), min_size=60, max_size=60))
def test_ranks_add_up_to_what_the_alarm_says(durations) -> None:
    slo = slo_of(RANKED)
    store = Store()
    for minute, each in enumerate(durations):
        for value in each:
            store.add(TIME, at(minute), value)
    counts = counts_of(slo, 60, read(store, slo, 60))
    good = sum(value <= 800 for each in durations for value in each)
    assert sum(one[1] for one in counts) == good
    assert sum(one[2] for one in counts) == sum(map(len, durations))
    tier = tiers(slo)[0][0]
    queries, _, _ = window_condition(slo, tier, timedelta(hours=1), gated=False)
    [said] = evaluate_queries(queries, store, START, 1, 3600)
    total = sum(one[2] for one in counts)
    assert said == pytest.approx(100 * good / total if total else 100)


@settings(deadline=None)
@given(levels=MINUTE_VALUES, valid=MINUTE_VALUES)
def test_a_levels_rises_are_those_of_the_alarm_in_each_period(levels, valid) -> None:
    """The alarm reads windows of an hour; here in windows of a minute, so that its rises can be added up."""
    slo = slo_of(LEVEL)
    store = store_of({BAD: levels, VALID: valid})
    counts = {one[0]: one for one in counts_of(slo, 60, read(store, slo, 60))}
    tier = tiers(slo)[0][0]
    queries, _, _ = window_condition(slo, tier, timedelta(minutes=1), gated=False)
    said = evaluate_queries(queries, store, START, 60, 60)
    for minute in range(1, 60):
        count = counts.get(at(minute))
        wrong, total = (count[2] - count[1], count[2]) if count else (0, 0)
        assert said[minute] == pytest.approx(float(Fraction(wrong, 1) / total) if wrong else 0)


@settings(deadline=None)
@given(started=MINUTE_VALUES, failed=MINUTE_VALUES)
def test_a_heartbeats_successes_are_those_of_the_alarm(started, failed) -> None:
    measure = SinceSuccess(VALID, BAD, timedelta(minutes=30))
    slo = slo_of(measure)
    store = store_of({VALID: started, BAD: failed})
    queries, _, _, window = heartbeat_condition(slo)
    said = evaluate_queries(queries, store, START, 60, window.period)
    counts = {one[0]: one for one in counts_of(slo, window.period, read(store, slo, window.period))}
    for minute in range(60):
        assert said[minute] == float(counts[at(minute)][1] if at(minute) in counts else 0)


def test_a_statistic_is_exact_however_large() -> None:
    [(_, good, valid)] = counts_of(slo_of(COUNTER), 60, {"valid": {START: 2.0**60 + 2**10}, "bad": {START: 1.0}})
    assert (good, valid) == (2**60 + 2**10 - 1, 2**60 + 2**10)
