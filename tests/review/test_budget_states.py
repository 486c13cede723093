"""States, objectives in force and what-ifs of small counts."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from tests.review.reference_tables import HOUR, utc

from tocsin.errors import InputError
from tocsin.review.budget import (
    LADDER,
    Sum,
    as_in_force,
    count_of,
    in_force,
    read_promises,
    state_of,
    what_if,
)
from tocsin.review.months import seconds
from tocsin.review.pack import Count, Incident, Span, State
from tocsin.review.words import in_words

SPAN = Span(utc("2026-10-01 00:00"), utc("2026-11-01 00:00"))
UTC = ZoneInfo("UTC")


def counted(bad: int, valid: int, objective: str = "99/100", covered: Fraction = Fraction(1)) -> Count:
    allowed = valid * (1 - Fraction(objective))
    return Count(SPAN, Fraction(valid - bad), Fraction(valid), allowed, covered, Fraction(0))


@pytest.mark.parametrize(
    ("bad", "valid", "state"),
    [
        (0, 1000, State.KEPT),
        (5, 1000, State.KEPT),  # half of it, and no more
        (6, 1000, State.AT_RISK),
        (10, 1000, State.AT_RISK),  # all of it: the promise is just kept
        (11, 1000, State.BROKEN),
        (0, 100, State.KEPT),
        (1, 100, State.AT_RISK),
        (0, 99, State.TOO_FEW),  # one bad event would be more than 0.99
        (50, 99, State.TOO_FEW),
        (0, 0, State.NO_DATA),
    ],
)
def test_states(bad: int, valid: int, state: State) -> None:
    assert state_of(counted(bad, valid)) is state


def test_nothing_asked_is_not_no_data() -> None:
    assert state_of(counted(0, 0, covered=Fraction(0))) is State.UNKNOWN


def test_the_next_objectives() -> None:
    found = what_if(counted(6, 1000), Fraction(99, 100))
    assert [(one.objective, one.spent, one.state) for one in found] == [
        (Fraction(98, 100), Fraction(6, 20), State.KEPT),
        (Fraction(995, 1000), Fraction(6, 5), State.BROKEN),
    ]


@pytest.mark.parametrize(
    ("objective", "others"),
    [
        ("0.85", ["0.9"]),
        ("0.9", ["0.95"]),
        ("0.999", ["0.998", "0.9995"]),
        ("0.9975", ["0.995", "0.998"]),
        ("0.99999", ["0.99995"]),
        ("0.999999", ["0.99999"]),
    ],
)
def test_the_ladder_of_objectives(objective: str, others: list[str]) -> None:
    found = what_if(counted(6, 10**9), Fraction(objective))
    assert [one.objective for one in found] == [Fraction(other) for other in others]


def test_the_ladder_climbs() -> None:
    assert list(LADDER) == sorted(set(LADDER))


DAY = 86_400
ROW = ("availability", "99/100", 28 * DAY, "answered", "payments")


def test_the_first_row_holds_for_all_time_before_and_vanished_ends() -> None:
    rows = [
        (100, *ROW),
        (200, "availability", "999/1000", 28 * DAY, "answered", "payments"),
        (300, "vanished", *ROW[1:]),
    ]
    promises = read_promises(rows)
    assert [one.objective for one in in_force(promises, 0, 50)] == [Fraction(99, 100)]
    assert [one.objective for one in in_force(promises, 150, 250)] == [Fraction(99, 100), Fraction(999, 1000)]
    assert in_force(promises, 300, 400) == ()
    shown = as_in_force(in_force(promises, 0, 400))
    assert [(one.since and seconds(one.since), one.objective) for one in shown] == [
        (None, Fraction(99, 100)),
        (200, Fraction(999, 1000)),
    ]


def test_a_new_owner_is_no_new_objective() -> None:
    promises = read_promises([(100, *ROW), (200, *ROW[:-1], "another")])
    assert len(as_in_force(in_force(promises, 0, 400))) == 1


@pytest.mark.parametrize("text", ["99.9 %", "1/0", ""])
def test_an_objective_that_is_no_fraction(text: str) -> None:
    with pytest.raises(InputError, match="is no fraction such as 999/1000; pull again"):
        read_promises([(100, "availability", text, 28 * DAY, "answered", "payments")])


def test_silence_and_gaps_are_told_apart() -> None:
    """A day of ten hours: five asked, and events in two of them."""
    start = utc("2026-10-01 00:00")
    begin = seconds(start)
    promises = read_promises([(0, *ROW)])
    sums = [Sum(99, 100, begin, 900_000, 1_000_000, 3600), Sum(99, 100, begin + 3600, 1_000_000, 1_000_000, 3600)]
    count = count_of(Span(start, start + 10 * HOUR), sums, [(begin - 5, begin + 5 * 3600)], promises)
    assert (count.good, count.valid, count.allowed) == (1900, 2000, 20)
    assert (count.covered, count.silent) == (Fraction(1, 2), Fraction(3, 5))


def incident(spent: Fraction, day: int = 14) -> Incident:
    start = utc(f"2026-10-{day:02} 10:00")
    return Incident(Span(start, start + timedelta(hours=1)), Fraction(1), Fraction(1), spent)


@pytest.mark.parametrize(
    ("count", "incidents", "words"),
    [
        (counted(0, 1000), [], "kept: 100 % of 99 %, 100 % of the budget left"),
        (counted(5, 1000), [], "kept: 99.50 % of 99 %, 50 % of the budget left"),
        (counted(8, 1000), [], "at risk: 99.20 % of 99 %, 80 % of the budget gone, little by little: no single incident took 1 % of it"),
        (counted(23, 1000), [incident(Fraction(22, 10))], "broken: 97.70 % of 99 %, 230 % of the budget gone, nearly all of it in one incident on 14 October"),
        (counted(20, 1000), [incident(Fraction(2))], "broken: 98.00 % of 99 %, 200 % of the budget gone, all of it in one incident on 14 October"),
        (counted(20, 1000), [incident(Fraction(1)), incident(Fraction(1, 2), 3)], "broken: 98.00 % of 99 %, 200 % of the budget gone, most of it in one incident on 14 October"),
        (counted(20, 1000), [incident(Fraction(1, 2))], "broken: 98.00 % of 99 %, 200 % of the budget gone, 50 % in one incident on 14 October and the rest little by little"),
        (counted(1, 50), [], "too few events to judge: 50, 1 bad, where the budget allows 0.5, less than one"),
        (counted(0, 0), [], "no data: no valid event in what was asked"),
        (counted(0, 0, covered=Fraction(0)), [], "not pulled: nothing of this month was asked of CloudWatch"),
    ],
)  # fmt: skip
def test_words(count: Count, incidents: list[Incident], words: str) -> None:
    assert in_words(state_of(count), count, Fraction(99, 100), incidents, UTC) == words


def test_words_never_flatter() -> None:
    """99.8999 % is not 99.9 %."""
    count = Count(SPAN, Fraction(998_999), Fraction(1_000_000), Fraction(1000), Fraction(1), Fraction(0))
    assert in_words(state_of(count), count, Fraction(999, 1000), [], UTC).startswith(
        "broken: 99.8999 % of 99.9 %, 100.1 %"
    )
