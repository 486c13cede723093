"""Every statement of a review runs, and keeps to what DuckDB and Athena (Trino) both understand."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import product

import pytest
from tests.review.reference_tables import DAY, HOUR, MINUTE, History, utc

from tocsin.history.schema import TABLES
from tocsin.review import read

START, END = utc("2026-10-01 00:00"), utc("2026-11-01 00:00")
SCOPES = (read.Scope("prod"), read.Scope("it's", ("shop", "o'neill")))


def statements(scope: read.Scope) -> dict[str, str]:
    """One of each, as a review asks them."""
    return {
        "known": read.known(),
        "asked": read.asked(scope),
        "promises": read.promises(scope),
        "coverage": read.coverage(scope, START, END),
        "sums": read.sums(scope, START, END, 3600),
        "totals": read.totals(scope, [START, START + DAY, END]),
        "incidents": read.incidents(
            scope, START, START + DAY, END, END + DAY, [("shop", "o'neill", 1), ("shop", "b", 2)]
        ),
        "burned": read.burned(scope, [(0, "shop", "o'neill", START, END), (1, "shop", "b", START, END)]),
        "lone_successes": read.lone_successes(scope, START, END),
        "straddling": read.straddling(scope, [START, END]),
        "alarms": read.alarms(scope),
        "states": read.states(scope, START, END),
        "fired": read.fired(scope, START, END),
        "alarm_coverage": read.alarm_coverage(scope, START, END),
        "alerts": read.alerts(scope, START, END),
    }


def test_all_statements_are_here() -> None:
    public = {
        name
        for name, value in vars(read).items()
        if callable(value) and getattr(value, "__module__", "") == read.__name__ and not name.startswith("_")
    }
    assert set(statements(SCOPES[0])) == public - {"Scope", "quoted", "fraction"}


@pytest.mark.parametrize("name", list(statements(SCOPES[0])))
def test_they_run_on_empty_tables(name: str) -> None:
    for scope in SCOPES:
        assert History().in_memory().rows(statements(scope)[name]) in ([], [(None, None)])


# What only one of the two has, or what means something else in the other: a division of integers is a double in DuckDB and
# cut off in Trino; GREATEST and LEAST treat NULL otherwise; a bare "at" is a word of DuckDB's grammar.
ONLY_ONE_HAS = re.compile(
    r"\b(QUALIFY|ASOF|FILTER|list_|epoch\w*|strftime|to_unixtime|from_unixtime|date_add|GREATEST|LEAST|ANY_VALUE|arg_max|max_by"
    r"|STRUCT|ILIKE|EXCLUDE|COLUMNS|GROUP BY ALL|INTERVAL|TRY_CAST|SAMPLE)\b|::|/(?!')|\[|(?<![.\w])at\b(?! TIME)",
    re.IGNORECASE,
)


@pytest.mark.parametrize(("name", "scope"), list(product(statements(SCOPES[0]), SCOPES)))
def test_they_keep_to_what_both_have(name: str, scope: read.Scope) -> None:
    text = statements(scope)[name].replace("'%/%'", "''")
    assert not ONLY_ONE_HAS.search(text), ONLY_ONE_HAS.search(text)
    for table in re.findall(r"\b(?:FROM|JOIN) (\w+)", text):
        assert table in TABLES or re.search(rf"\b{table} (?:\([^)]*\) )?AS \(", text), table
    assert ";" not in text


def test_partitions_are_pruned_by_month() -> None:
    """Athena is paid by what it reads."""
    for name in ("sums", "totals", "incidents", "burned", "lone_successes", "straddling", "fired"):
        assert re.search(r"s\.month >= '2026-\d\d' AND s\.month <= '2026-1\d'", statements(SCOPES[0])[name]), name


def test_the_largest_counts_are_exact() -> None:
    """Fifteen digits before the point and three after it, under an objective of nine nines."""
    most = Fraction(10**15 - 1) + Fraction(999, 1000)
    history = History()
    history.promise("api", "999999999/1000000000")
    history.count("api", START, most - Fraction(1, 1000), most)
    history.count("api", START + MINUTE, Fraction(1, 1000), Fraction(2, 1000))
    engine = history.in_memory()
    ((*_, good, valid, live),) = engine.rows(read.sums(read.Scope("prod"), START, START + HOUR, 3600))
    assert (read.fraction(good), read.fraction(valid), live) == (most, most + Fraction(2, 1000), 120)
    found = engine.rows(read.incidents(read.Scope("prod"), START, START, END, END, [("shop", "api", 1)]))
    assert [row[4:] for row in found] == [(1, 2)]


@pytest.mark.parametrize(
    ("objective", "bad", "burns"), [("99/100", 1, False), ("99/100", 2, True), ("2/3", 33, False), ("2/3", 34, True)]
)
def test_a_period_burns_above_what_is_allowed_and_not_at_it(objective: str, bad: int, burns: bool) -> None:
    history = History()
    history.promise("api", objective)
    history.count("api", START, 100 - bad, 100)
    found = history.in_memory().rows(read.incidents(read.Scope("prod"), START, START, END, END, [("shop", "api", 1)]))
    assert bool(found) is burns


@pytest.mark.parametrize(("gap", "found"), [(0, 1), (14, 1), (15, 1), (16, 2)])
def test_burning_periods_are_joined_over_a_quarter_of_an_hour(gap: int, found: int) -> None:
    history = History()
    history.promise("api", "99/100")
    for minute in (0, 1, 2 + gap, 3 + gap):
        history.count("api", START + minute * MINUTE, 50, 100)
    rows = history.in_memory().rows(read.incidents(read.Scope("prod"), START, START, END, END, [("shop", "api", 1)]))
    assert len(rows) == found
    assert rows[-1][3] - rows[0][2] == (4 + gap) * 60
