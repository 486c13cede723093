"""Metric math: the documented tables of missing values, division and IF, every function, and what is refused."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.alarm import Metric, MetricQuery, MetricStat
from tocsin.errors import SimulationError
from tocsin.simulate.metric_math import check_alarm_queries, evaluate_expression, evaluate_queries
from tocsin.simulate.reading import DEFAULT, Reading
from tocsin.simulate.series import Series, Store

START = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
_ = None
Values = Sequence[float | None]


def result(expression: str, *series: Values, reading: Reading = DEFAULT, **named: Values) -> list[float | None]:
    """The expression over series m1, m2 … (and named ones), each one value a minute."""
    given_series = {f"m{number}": values for number, values in enumerate(series, 1)} | named
    store, queries = Store(), [MetricQuery("e1", expression=expression)]
    for name, values in given_series.items():
        metric = Metric("Test", name)
        store.add_series(Series(metric, START, 60, values=values))
        queries.append(MetricQuery(name, stat=MetricStat(metric, "Sum", 60), return_data=False))
    size = max((len(values) for values in given_series.values()), default=4)
    return list(evaluate_expression(queries, "e1", store, START, size, 60, reading=reading))


M1, M2 = [30, 20, 0, 0], [20, _, 20, _]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # The guide's own examples.
        ("m1 < m2", [0, 0, 1, 0]),
        ("m1 >= 30", [1, 0, 0, 0]),
        ("m1 > 15 AND m2 > 15", [1, 0, 0, 0]),
        # A missing side of arithmetic counts as 0; against a number there is nothing to count.
        ("m1 + m2", [50, 20, 20, 0]),
        ("m1 - m2", [10, 20, -20, 0]),
        ("m1 * m2", [600, 0, 0, 0]),
        ("m2 + 1", [21, _, 21, _]),
        ("1 - m2", [-19, _, -19, _]),
        ("-m2", [-20, _, -20, _]),
        # Division by zero drops the datapoint, also where the zero stands for a missing one.
        ("m1 / m2", [1.5, _, 0, _]),
        ("m2 / m1", [20 / 30, 0, _, _]),
        ("m1 / 0", [_, _, _, _]),
        ("m1 == m2", [0, 0, 0, 1]),
        ("m1 != m2", [1, 1, 1, 0]),
        ("m1 <= 20", [0, 1, 1, 1]),
        ("m1 OR m2", [1, 1, 1, 0]),
        ("m1 || m2", [1, 1, 1, 0]),
        ("m1 && m2", [1, 0, 0, 0]),
    ],
)
def test_operators(expression: str, expected: Values) -> None:
    assert result(expression, M1, M2) == pytest.approx(expected)


def test_both_sides_missing_is_missing() -> None:
    assert result("m1 + m2", [1, _, _], [_, 2, _]) == [1, 2, _]
    assert result("m1 / m2", [1, _, _], [_, 2, _]) == [_, 0, _]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3 ^ 2", 19),
        ("(1 + 2) * 3", 9),
        ("2 - 3 - 4", -5),
        ("12 / 3 / 2", 2),
        ("1 + 1 == 2 AND 3 > 2", 1),
        ("0 AND 0 OR 1", 1),
        ("1 OR 0 AND 0", 1),
        ("--2", 2),
        (".5 + 1e2", 100.5),
        (" 1\n+\t1 ", 2),
    ],
)
def test_precedence(expression: str, expected: float) -> None:
    assert result(f"TIME_SERIES({expression})", [1]) == [expected]


@pytest.mark.parametrize(
    ("condition", "then", "otherwise", "expected"),
    [
        ([1, 1, 0, 0, _], [30, _, 0, 0, 30], [0, 0, 20, _, 20], [30, 0, 20, 0, _]),
        ([1, 1, 0, 0, _], 5, [0, 0, 20, _, 20], [5, 5, 20, _, _]),
        ([1, 1, 0, 0, _], [30, _, 0, 0, 30], 5, [30, 0, 5, 5, _]),
        ([1, 1, 0, 0, _], [30, _, 0, 0, 30], None, [30, 0, _, _, _]),
        ([1, 1, 0, 0, _], 5, None, [5, 5, _, _, _]),
        ([1, 1, 0, 0, _], 5, 6, [5, 5, 6, 6, _]),
        ([-1, 0.5, 0, 2, _], 1, 0, [1, 1, 0, 1, _]),
        (1, [30, _, 1], [1, 1, 1], [30, _, 1]),
        (0, [30, _, 1], [1, 2, _], [1, 2, _]),
        (0, [30, _, 1], None, [_, _, _]),
    ],
)
def test_if(condition: object, then: object, otherwise: object, expected: Values) -> None:
    arguments, named = [], {}
    for name, value in (("c", condition), ("a", then), ("b", otherwise)):
        if isinstance(value, list):
            named[name] = value
            arguments.append(name)
        elif value is not None:
            arguments.append(str(value))
    assert result(f"IF({', '.join(arguments)})", **named) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("FILL(m1, 0)", [0, 1, 0, 0, 4, 0]),
        ("FILL(m1, -1)", [-1, 1, -1, -1, 4, -1]),
        ("FILL(m1, m2)", [9, 1, _, 7, 4, _]),
        ("FILL(m1, REPEAT)", [_, 1, 1, 1, 4, 4]),
        ("FILL(m1, LINEAR)", [_, 1, 2, 3, 4, _]),
        ("FILL(m1, MAX(m1))", [4, 1, 4, 4, 4, 4]),
        ("SUM([FILL(m1, 0), m2])", [9, 1, 0, 7, 4, 0]),
        ("SUM(FILL([m1, m2], 0))", [9, 1, 0, 7, 4, 0]),
    ],
)
def test_fill(expression: str, expected: Values) -> None:
    assert result(expression, [_, 1, _, _, 4, _], [9, _, _, 7, _, _]) == expected


def test_fill_of_an_empty_series_is_a_reading() -> None:
    assert result("FILL(m1, 0)", [_, _, _]) == [0, 0, 0]
    assert result("FILL(m1, 0)", [_, _, _], reading=Reading(fill_empty=False)) == [_, _, _]
    assert result("FILL(m1, 0)", [_, 1, _], reading=Reading(fill_empty=False)) == [0, 1, 0]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("ABS(m1 - 5)", [4, 3, _, 3]),
        ("CEIL(m1 / 4)", [1, 1, _, 2]),
        ("FLOOR(m1 / 4)", [0, 0, _, 2]),
        ("LOG10(m1 * 5)", [math.log10(5), 1, _, math.log10(40)]),
        ("LOG(m1 - 1)", [_, 0, _, math.log(7)]),
        ("m1 - MIN(m1)", [0, 1, _, 7]),
        ("m1 / SUM(m1)", [1 / 11, 2 / 11, _, 8 / 11]),
        ("TIME_SERIES(AVG(m1))", [11 / 3] * 4),
        ("TIME_SERIES(MAX(m1))", [8] * 4),
        ("TIME_SERIES(STDDEV(m2))", [2] * 4),
        ("TIME_SERIES(DATAPOINT_COUNT(m1))", [3] * 4),
        ("TIME_SERIES(METRIC_COUNT(METRICS()))", [2] * 4),
        ("TIME_SERIES(PERIOD(m1))", [60] * 4),
        ("m1 / PERIOD(m1)", [1 / 60, 2 / 60, _, 8 / 60]),
        ("RUNNING_SUM(m1)", [1, 3, _, 11]),
        ("DIFF(m1)", [_, 1, _, 6]),
        ("RATE(m1)", [_, 1 / 60, _, 6 / 120]),
        ("DIFF_TIME(m1)", [_, 60, _, 120]),
        ("REMOVE_EMPTY(m1)", [1, 2, _, 8]),
        ("SUM(METRICS())", [3, 8, 2, 14]),
        ("MIN([m1, m2])", [1, 2, 2, 6]),
        ("MAX([m1, m2])", [2, 6, 2, 8]),
        ("AVG([m1, m2])", [1.5, 4, 1, 7]),
        ("DATAPOINT_COUNT([m1, m2])", [2, 2, 1, 2]),
        ("FIRST([m2, m1])", [2, 6, 2, 6]),
        ("LAST([m2, m1])", [1, 2, _, 8]),
        ('SUM(METRICS("2"))', [2, 6, 2, 6]),
        ("FIRST(SORT(METRICS(), MAX, DESC))", [1, 2, _, 8]),
        ("FIRST(SORT(METRICS(), MAX, ASC))", [2, 6, 2, 6]),
        ("SUM(SORT(METRICS(), MAX, DESC, 1))", [1, 2, _, 8]),
        ("SUM(SLICE([m1, m2], 1))", [2, 6, 2, 6]),
        ("SUM(SLICE([m1, m2], 0, 1))", [1, 2, _, 8]),
        ("SUM(METRICS() * 2)", [6, 16, 4, 28]),
        ("MINUTE(m1)", [0, 1, 2, 3]),
        ("HOUR(m1)", [12] * 4),
        ("DAY(m1)", [3] * 4),
        ("DATE(m1)", [4] * 4),
        ("MONTH(m1)", [3] * 4),
        ("YEAR(m1)", [2026] * 4),
        ("EPOCH(m1) - EPOCH(m1) + MINUTE(m1)", [0, 1, 2, 3]),
        ("IF(HOUR(m1) >= 9 AND HOUR(m1) < 17 AND DAY(m1) < 6, m1)", [1, 2, 0, 8]),
    ],
)
def test_functions(expression: str, expected: Values) -> None:
    assert result(expression, [1, 2, _, 8], [2, 6, 2, 6]) == pytest.approx(expected)


def test_a_burn_rate_expression_always_has_a_value() -> None:
    ratio = "IF(FILL(valid, 0) > 0, FILL(bad, 0) / FILL(valid, 0), 0)"
    assert result(ratio, bad=[1, _, _, 0, 3], valid=[10, 10, _, 0, _]) == [0.1, 0, 0, 0, 0]
    assert result("bad / valid", bad=[1, _, _, 0, 3], valid=[10, 10, _, 0, _]) == [0.1, 0, _, _, _]


def query(name: str, expression: str, **more: object) -> MetricQuery:
    return MetricQuery(name, expression=expression, **more)


def stat(name: str, period: int = 60, **more: object) -> MetricQuery:
    return MetricQuery(name, stat=MetricStat(Metric("Test", name), "Sum", period), **{"return_data": False, **more})


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("m1 +", "position 5: ends where a value was expected"),
        ("m1 ? 2", "position 4: unexpected '\\?'"),
        ("(m1", "position 4: expected '\\)', found the end"),
        ("m1 m1", "position 4: unexpected 'm1'"),
        ("MEDIAN(m1)", "unknown function MEDIAN"),
        ("avg(m1)", "unknown function avg"),
        ("SEARCH('x', 'Sum')", "SEARCH is not evaluated: CloudWatch forbids it in alarms"),
        ("ANOMALY_DETECTION_BAND(m1, 2)", "ANOMALY_DETECTION_BAND is not evaluated"),
        ("m9", "names the unknown id 'm9'"),
        ("e1 + 1", "in a circle: e1 -> e1"),
        ("FILL(m1)", "FILL takes 2 arguments, got 1"),
        ("IF(m1, 1, 2, 3)", "IF takes 2 to 3 arguments, got 4"),
        ("FILL(m1, ASC)", "'ASC' stands where a value was expected"),
        ("REPEAT + 1", "'REPEAT' stands where a value was expected"),
        ("SORT([m1], LINEAR, ASC)", "argument 2 of SORT is one of"),
        ("METRICS(m1)", "METRICS takes a quoted part of an id"),
        ("PERIOD(e1)", "PERIOD takes the id of a metric"),
        ("SELECT AVG(CPU) FROM SCHEMA(x)", "a Metrics Insights query"),
        ("5", "a number, not one time series; TIME_SERIES"),
        ("AVG(m1)", "a number, not one time series; TIME_SERIES"),
        ("METRICS() * [m1]", "between two arrays"),
        ("[m1, m1]", "2 series, not one time series"),
        ("FILL(3, 0)", "FILL fills a time series"),
        ("SUM([m1, 3])", "an array takes time series, not numbers"),
        ("RATE(3)", "takes time series, not numbers"),
        ("(" * 60 + "m1" + ")" * 60, "nested deeper than 50 levels"),
        ("m1" + "+1" * 1100, "at most 2048"),
        ("", "position 1: ends"),
    ],
)
def test_refused_expressions(expression: str, message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        result(expression, [1, 2])


def test_a_long_sum_is_no_deep_one() -> None:
    assert result("m1" + "+1" * 1000, [1]) == [1001]


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ([stat("m1"), stat("m2")], "0 queries return data"),
        ([query("e1", "m1"), stat("m1", return_data=True)], "2 queries return data"),
        ([query("e1", "m1 + m2"), stat("m1"), stat("m2", 300)], "one and the same period; found 60, 300"),
        ([query("e1", "m1", period=120), stat("m1")], "found 60, 120"),
        ([query("e1", "TIME_SERIES(1)")], "found none"),
        ([query("e1", "SUM(METRICS())"), *(stat(f"m{i}") for i in range(11))], "at most 10 metrics"),
        (
            [stat("m1"), query("e0", "m1"), *(query(f"e{i}", "m1", return_data=False) for i in range(1, 11))],
            "at most 10 metrics and 10 expressions",
        ),
        ([query("E1", "m1"), stat("m1")], "begin with a small letter"),
        ([query("m1", "1"), stat("m1")], "used twice"),
        ([MetricQuery("m1"), stat("m2")], "either a metric or an expression"),
        ([query("e1", "e2"), query("e2", "e1", return_data=False), stat("m1")], "in a circle: e1 -> e2 -> e1"),
    ],
)
def test_refused_queries(queries: list[MetricQuery], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        check_alarm_queries(queries)


def test_expressions_build_on_each_other() -> None:
    store = Store()
    store.add_series(Series(Metric("Test", "m1"), START, 60, values=[1, 2]))
    queries = [query("e1", "e2 * 2"), query("e2", "m1 + 1", return_data=False), stat("m1")]
    assert evaluate_queries(queries, store, START, 2, 60) == (4, 6)
    assert evaluate_expression(queries, "e2", store, START, 2, 60) == (2, 3)
    assert evaluate_expression(queries, "m1", store, START - timedelta(minutes=1), 2, 60) == (None, 1)
    with pytest.raises(SimulationError, match="no query 'e3'"):
        evaluate_expression(queries, "e3", store, START, 2, 60)


@given(st.text(alphabet="m12e+-*/^<>=!&|(),[] \"'.AVGFILRDO%", max_size=40))
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    with contextlib.suppress(SimulationError):
        found = result(text, [1, _, 3], [_, 2, 0])
        assert len(found) == 3
        assert all(value is None or math.isfinite(value) for value in found)
