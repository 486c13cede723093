"""Statistics over samples, in any window: against plain Python written from their definitions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shorthand import METRIC, NOON, minutes

from tocsin.alarm import MetricStat
from tocsin.errors import SimulationError
from tocsin.simulate.series import Series, Store
from tocsin.simulate.statistics import low_sample_limit, parse_statistic

TEN = list(range(1, 11))


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("Sum", 55),
        ("SampleCount", 10),
        ("Average", 5.5),
        ("Minimum", 1),
        ("Maximum", 10),
        ("p0", 1),
        ("p50", 5.5),
        ("p90", 9.1),
        ("p99.9", 9.991),
        ("p100", 10),
        ("tm90", 5),  # the mean of 1 to 9
        ("tc90", 9),
        ("ts90", 45),
        ("wm90", (45 + 9.1) / 10),  # the 10 counts as the 90 % boundary
        ("TM(10%:90%)", 5.5),
        ("TM(20%:)", 6.5),
        ("TM(:20%)", 1.5),
        ("TM(2:5)", 4),  # above 2, up to 5
        ("TC(2:5)", 3),
        ("TS(2:5)", 12),
        ("TC(80%:)", 2),
        ("TC(5%:95%)", 9),  # interpolated: half a sample at either end
        ("WM(3:8)", 5.5),
        ("IQM", 5.5),
        ("PR(:5)", 50),
        ("PR(5:)", 50),
        ("PR(2:5)", 30),
        ("PR(20:)", 0),
        ("TC(20:)", 0),
    ],
)
def test_statistics_of_one_to_ten(statistic: str, expected: float) -> None:
    store = Store()
    store.add_series(Series(METRIC, NOON, 60, samples=[TEN[:4], TEN[4:]]))
    assert store.datapoints(MetricStat(METRIC, statistic, 300), NOON, 1) == [pytest.approx(expected)]


def test_nothing_left_to_average_is_missing() -> None:
    store = Store()
    store.add(METRIC, NOON, 1)
    assert store.datapoints(MetricStat(METRIC, "TM(5:9)", 60), NOON, 2) == [None, None]


def test_weights_are_as_good_as_repetition() -> None:
    weighted, repeated = Store(), Store()
    for value, count in ((5, 3), (1, 4), (9, 1)):
        weighted.add(METRIC, NOON, value, count=count)
        for _ in range(count):
            repeated.add(METRIC, NOON, value)
    for statistic in (
        "p10",
        "p50",
        "p75",
        "p99",
        "tm75",
        "wm75",
        "tc80",
        "ts80",
        "IQM",
        "PR(:1)",
        "SampleCount",
        "Sum",
    ):
        stat = MetricStat(METRIC, statistic, 60)
        assert weighted.datapoints(stat, NOON, 1) == pytest.approx(repeated.datapoints(stat, NOON, 1)), statistic


def test_negative_values_have_no_percentile() -> None:
    store = Store()
    store.add(METRIC, NOON, -1)
    with pytest.raises(SimulationError, match="negative values"):
        store.datapoints(MetricStat(METRIC, "p50", 60), NOON, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sum",
        "P",
        "p101",
        "p-1",
        "pp",
        "TM()",
        "TM(:)",
        "TM(10%:5)",
        "TM(90%:10%)",
        "PR(10%:20%)",
        "PR(5:5)",
        "XX(1:2)",
    ],
)
def test_unknown_statistics(text: str) -> None:
    with pytest.raises(SimulationError, match="statistic"):
        parse_statistic(text)


@pytest.mark.parametrize(
    ("statistic", "samples"), [("p99", 1000), ("p90", 100), ("p50", 20), ("p10", 100), ("Sum", None), ("p100", None)]
)
def test_samples_a_percentile_needs(statistic: str, samples: float | None) -> None:
    assert low_sample_limit(parse_statistic(statistic)) == samples


@given(
    st.lists(st.one_of(st.none(), st.integers(-1000, 1000).map(lambda value: value / 10)), min_size=1, max_size=40),
    st.integers(-5, 40),
    st.sampled_from([60, 120, 300, 3600]),
)
def test_windows_equal_plain_python(values: list[float | None], first: int, period: int) -> None:
    store = Store()
    store.add_series(Series(METRIC, NOON, 60, values=values))
    start, size = NOON + minutes(first), period // 60
    inside = [value for value in values[max(first, 0) : max(first + size, 0)] if value is not None]
    expected = {
        "Sum": math.fsum(inside),
        "Average": math.fsum(inside) / max(len(inside), 1),
        "Minimum": min(inside, default=0),
        "Maximum": max(inside, default=0),
    }
    for statistic, value in expected.items():
        found = store.datapoints(MetricStat(METRIC, statistic, period), start, 1)
        assert found == ([pytest.approx(value, abs=1e-9)] if inside else [None])


def test_sums_stay_exact_after_large_values() -> None:
    # Running sums must not smear what came before over a later window.
    store = Store()
    store.add_series(Series(METRIC, NOON, 60, values=[1e17, 0.1, 0.2, 0.3]))
    assert store.datapoints(MetricStat(METRIC, "Sum", 60), NOON, 4) == [1e17, 0.1, 0.2, 0.3]
    assert store.datapoints(MetricStat(METRIC, "Sum", 180), NOON + minutes(1), 1) == [pytest.approx(0.6, rel=1e-14)]
    store = Store()
    store.add_series(Series(METRIC, NOON, 60, values=[0.1, 0.2, 0.3] * 1000))
    sums = store.datapoints(MetricStat(METRIC, "Sum", 180), NOON, 1000)
    assert set(sums) == {math.fsum([0.1, 0.2, 0.3])}
