"""What CloudWatch would have recorded: every statistic of every metric of a measure is right."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.alarm import Metric, MetricStat
from tocsin.backtest.traffic import ORIGIN, Course, Traffic, diurnal, evenly, generator, record
from tocsin.model import Counted, Measure, Ranked, SinceSuccess

BAD, VALID = Metric("Shop", "Bad"), Metric("Shop", "Valid")
HOUR = timedelta(hours=1)


def traffic(valid: list[float], bad: list[float], unreported: list[int] | None = None) -> Traffic:
    lost = None
    if unreported is not None:
        lost = np.zeros(len(valid), dtype=bool)
        lost[unreported] = True
    rate = np.array(valid, dtype=float)
    return Traffic(Course(rate, rate * 0), rate, np.array(bad, dtype=float), 1.0, 0, (), lost)


def values(measure: Measure, what: Traffic, metric: Metric, statistic: str, period: int = 60) -> list[float | None]:
    store = record(measure, what)
    return store.datapoints(MetricStat(metric, statistic, period), ORIGIN, len(what) * 60 // period)


THREE = traffic([10, 0, 4], [1, 0, 4])


class TestCounted:
    @pytest.mark.parametrize(
        ("metric", "statistic", "expected"),
        [
            (BAD, "Sum", [1, None, 4]),
            (BAD, "Average", [0.1, None, 1]),
            (BAD, "SampleCount", [10, None, 4]),
            (VALID, "Sum", [10, None, 4]),
            (VALID, "SampleCount", [10, None, 4]),
        ],
    )
    def test_bad_among_valid(self, metric: Metric, statistic: str, expected: list[float | None]) -> None:
        assert values(Counted(BAD, VALID), THREE, metric, statistic) == expected

    def test_a_counter_beside_it_leaves_the_bad_out(self) -> None:
        measure = Counted(BAD, VALID, bad_in_valid=False)
        assert values(measure, THREE, VALID, "Sum") == [9, None, None]
        assert values(measure, THREE, BAD, "Sum") == [1, None, 4]

    def test_one_sample_for_each_bad_event(self) -> None:
        assert values(Counted(BAD, VALID, "SampleCount"), THREE, BAD, "SampleCount") == [1, None, 4]

    def test_a_level_adds_up_and_is_there_when_nothing_happens(self) -> None:
        measure = Counted(BAD, VALID, bad_is_level=True, bad_in_valid=False)
        assert values(measure, THREE, BAD, "Maximum") == [1, 1, 5]
        assert values(measure, traffic([2, 2, 2], [1, 1, 1], [1]), BAD, "Maximum") == [1, None, 3]

    def test_what_is_not_reported_is_missing(self) -> None:
        assert values(Counted(BAD, VALID), traffic([5, 5, 5], [1, 2, 3], [1]), BAD, "Sum") == [1, None, 3]


def test_ranked_is_the_share_at_or_below_the_limit() -> None:
    measure = Ranked(BAD, Fraction(800))
    assert values(measure, THREE, BAD, "PR(:800)") == [90, None, 0]
    assert values(measure, THREE, BAD, "SampleCount") == [10, None, 4]


@pytest.mark.parametrize(("failed", "expected"), [(BAD, [1, None, 1]), (None, [1, None, None])])
def test_runs(failed: Metric | None, expected: list[float | None]) -> None:
    measure = SinceSuccess(VALID, failed, HOUR)
    what = traffic([1, 0, 1], [0, 0, 1])
    assert values(measure, what, VALID, "Sum") == expected
    if failed is not None:
        assert values(measure, what, failed, "Sum") == [0, None, 1]


@given(
    st.lists(st.integers(0, 500), min_size=1, max_size=200),
    st.floats(0, 1, allow_subnormal=False),
)
def test_evenly_meets_the_share_at_any_moment(valid: list[int], share: float) -> None:
    events = np.array(valid, dtype=float)
    bad = evenly(events, np.full(len(valid), share))
    assert ((bad >= 0) & (bad <= events)).all()
    assert (np.abs(np.cumsum(bad) - share * np.cumsum(events)) <= 1 + 1e-6).all()


def test_a_day_has_its_mean_and_its_swing() -> None:
    load = diurnal(2880, 100)
    assert load.mean() == pytest.approx(100)
    assert load.max() / load.min() == pytest.approx(4)
    assert load.argmin() == 120


def test_the_same_words_give_the_same_numbers_and_others_others() -> None:
    def first(seed: int, *words: str) -> float:
        return float(generator(seed, *words).random())

    assert first(1, "shop", "orders") == first(1, "shop", "orders")
    assert (
        len({first(1, "shop", "orders"), first(2, "shop", "orders"), first(1, "shoporders"), first(1, "shop", "x")})
        == 4
    )


def test_time_begins_on_a_monday() -> None:
    assert (ORIGIN.weekday(), ORIGIN - datetime(2026, 1, 5, tzinfo=ORIGIN.tzinfo)) == (0, timedelta(0))
