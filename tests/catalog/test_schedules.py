from __future__ import annotations

import calendar
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.catalog.schedules import longest_gap

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("expression", "gap"),
    [
        ("rate(1 minute)", timedelta(minutes=1)),
        ("rate(5 minutes)", timedelta(minutes=5)),
        ("rate(12 hours)", timedelta(hours=12)),
        ("rate(1 day)", DAY),
        (" rate(7 days) ", 7 * DAY),
        ("cron(0 7 * * ? *)", DAY),
        ("cron(0 7,19 * * ? *)", timedelta(hours=12)),
        ("cron(0 7,9 * * ? *)", timedelta(hours=22)),
        ("cron(* * * * ? *)", timedelta(minutes=1)),
        ("cron(0/15 * * * ? *)", timedelta(minutes=15)),
        ("cron(7/25 * * * ? *)", timedelta(minutes=25)),
        ("cron(10-40/10 * * * ? *)", timedelta(minutes=30)),
        ("cron(0/15 8-17 ? * MON-FRI *)", timedelta(days=2, hours=14, minutes=15)),
        ("cron(0 8 ? * 2-6 *)", 3 * DAY),
        ("cron(0 8 ? * SUN,WED *)", 4 * DAY),
        ("cron(0 8 ? * L *)", 7 * DAY),
        ("cron(0 8 1 * ? *)", 31 * DAY),
        ("cron(0 8 31 * ? *)", 61 * DAY),
        ("cron(0 8 L * ? *)", 31 * DAY),
        ("cron(0 8 LW * ? *)", 33 * DAY),
        ("cron(0 8 1W * ? *)", 33 * DAY),
        ("cron(0 8 15W * ? *)", 32 * DAY),
        ("cron(0 8 ? * 6L *)", 35 * DAY),
        ("cron(0 8 ? * TUE#2 *)", 35 * DAY),
        ("cron(0 8 ? * 3#5 *)", 119 * DAY),
        ("cron(0 8 29 2 ? *)", 1461 * DAY),
        ("cron(0 8 1 jan,jul ? *)", 184 * DAY),
        ("cron(0 8 1 1 ? 2026,2028)", 730 * DAY),
        ("cron(0 8,20 1 1 ? 2026)", timedelta(hours=12)),
    ],
)
def test_the_longest_time_between_two_runs(expression: str, gap: timedelta) -> None:
    assert longest_gap(expression) == gap


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "at(2026-11-20T13:00:00)",
        "cron(0 8 1 1 ? 2026)",  # once
        "cron(0 8 31 2 ? *)",  # never
        "cron(0 8 31W 4 ? *)",  # never
        "rate(0 minutes)",
        "rate(1.5 hours)",
        "rate(-1 day)",
        "rate(1 week)",
        "rate(99999999999999 days)",
        "cron(0 8 * * *)",
        "cron(0 8 * * * *)",  # one day field must say ?
        "cron(0 8 ? * ? *)",
        "cron(60 8 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 8 0 * ? *)",
        "cron(0 8 * 13 ? *)",
        "cron(0 8 ? * 8 *)",
        "cron(0 8 ? * 3#6 *)",
        "cron(0 8 ? * 3#1,5#1 *)",
        "cron(0 8 ? * FRI-MON *)",
        "cron(0 8 * * ? 1969)",
        "cron(0/0 8 * * ? *)",
        "cron(0 8 L-3 * ? *)",
        "cron(0 ? * * ? *)",
        "cron(5-1 8 * * ? *)",
        "cron(, 8 * * ? *)",
        "0 8 * * *",
        "every day",
        "cron(٣ 8 * * ? *)",
    ],
)
def test_what_is_not_understood_or_runs_at_most_once_has_no_gap(expression: str) -> None:
    assert longest_gap(expression) is None


@given(st.text(alphabet="cronate()0123456789 *?/-,LW#MONSUNJAdays", max_size=40))
def test_any_text_is_an_answer_and_never_an_error(text: str) -> None:
    gap = longest_gap(text)
    assert gap is None or gap > timedelta(0)
    gap = longest_gap(f"cron({text})")
    assert gap is None or gap > timedelta(0)


# An oracle that shares nothing with the engine: it walks over every day of two leap cycles and asks of each whether
# it is meant, in the words the field was made from.
def _numbers(low: int, high: int) -> st.SearchStrategy[tuple[str, frozenset[int]]]:
    value = st.integers(low, high)

    def ranged(pair: tuple[int, int]) -> tuple[str, frozenset[int]]:
        a, b = min(pair), max(pair)
        return f"{a}-{b}", frozenset(range(a, b + 1))

    item = st.one_of(
        st.just(("*", frozenset(range(low, high + 1)))),
        value.map(lambda v: (str(v), frozenset({v}))),
        st.tuples(value, value).map(ranged),
        st.tuples(value, st.integers(1, high)).map(
            lambda p: (f"{p[0]}/{p[1]}", frozenset(range(p[0], high + 1, p[1])))
        ),
    )
    return st.lists(item, min_size=1, max_size=3).map(
        lambda items: (",".join(text for text, _ in items), frozenset().union(*(found for _, found in items)))
    )


def _is_nearest_weekday(day: date, wanted: int) -> bool:
    length = calendar.monthrange(day.year, day.month)[1]
    if wanted > length or day.isoweekday() > 5:
        return False
    working = [d for d in range(1, length + 1) if date(day.year, day.month, d).isoweekday() <= 5]
    # A Saturday's nearest is the Friday, a Sunday's the Monday; so no tie arises but at the ends of a month.
    return day.day == min(working, key=lambda d: abs(d - wanted))


def _day_fields() -> st.SearchStrategy[tuple[str, str, object]]:
    of_month = st.one_of(
        _numbers(1, 31).map(lambda f: (f[0], "?", lambda day: day.day in f[1])),
        st.just(("L", "?", lambda day: (day + timedelta(days=1)).day == 1)),
        st.integers(1, 31).map(lambda n: (f"{n}W", "?", lambda day: _is_nearest_weekday(day, n))),
    )
    of_week = st.one_of(
        _numbers(1, 7).map(lambda f: ("?", f[0], lambda day: day.isoweekday() % 7 + 1 in f[1])),
        st.tuples(st.integers(1, 7), st.integers(1, 5)).map(
            lambda p: (
                "?",
                f"{p[0]}#{p[1]}",
                lambda day: day.isoweekday() % 7 + 1 == p[0] and (day.day - 1) // 7 + 1 == p[1],
            )
        ),
        st.integers(1, 7).map(
            lambda w: (
                "?",
                f"{w}L",
                lambda day: day.isoweekday() % 7 + 1 == w and (day + timedelta(days=7)).month != day.month,
            )
        ),
    )
    return st.one_of(of_month, of_week)


@settings(max_examples=60, deadline=None)
@given(_numbers(0, 59), _numbers(0, 23), _day_fields(), _numbers(1, 12))
def test_it_agrees_with_walking_over_every_day(minute, hour, days, month) -> None:
    day_of_month, day_of_week, meant = days
    expression = f"cron({minute[0]} {hour[0]} {day_of_month} {month[0]} {day_of_week} *)"
    start, end = date(2020, 1, 1), date(2048, 1, 1)
    matching = [
        day
        for day in (start + timedelta(days=n) for n in range((end - start).days))
        if day.month in month[1] and meant(day)
    ]
    if not matching:
        assert longest_gap(expression) is None
        return
    times = sorted(timedelta(hours=h, minutes=m) for h in hour[1] for m in minute[1])
    # 28 years repeat, so the first run of all follows the last.
    following = [*matching[1:], matching[0] + (end - start)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    gaps += [(later - earlier) - times[-1] + times[0] for earlier, later in zip(matching, following, strict=True)]
    assert longest_gap(expression) == max(gaps)
