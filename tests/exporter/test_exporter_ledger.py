"""Counters that never fall, count nothing twice and end at the truth, whatever CloudWatch says late or anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tocsin.exporter.ledger import MINUTES_KEPT, Ledger, Sum, hour_of

START = datetime(2026, 5, 4, 11, 42, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def pairs(most: int, shortest: int, longest: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Pairs of numbers up to ``most``; out of bytes, which are drawn many times as fast as a list of pairs."""
    size = most + 1
    return st.binary(min_size=shortest, max_size=longest).map(
        lambda drawn: [(byte // size % size, byte % size) for byte in drawn]
    )


#: Minute since the start → good and bad events, as one reading says.
readings = st.lists(
    st.tuples(
        st.integers(0, 90),  # from which minute it reads
        st.integers(1, 60),  # how many
        pairs(9, 60, 60),
    ),
    min_size=1,
    max_size=12,
)


@given(readings, st.integers(-30, 30))
def test_totals_never_fall_and_catch_up(told: list[tuple[int, int, list[tuple[int, int]]]], begun: int) -> None:
    since = START + begun * MINUTE
    ledger = Ledger(since)
    truth: dict[datetime, tuple[int, int]] = {}
    shown = Sum(0, 0)
    for first, length, values in told:
        start = START + first * MINUTE
        end = start + length * MINUTE
        counts = {start + number * MINUTE: values[number] for number in range(length)}
        truth |= counts
        ledger.put_minutes(
            start, end, [(at, Fraction(good), Fraction(good + bad)) for at, (good, bad) in counts.items()]
        )
        true = _true(truth, since)
        after = ledger.totals
        assert after.good >= max(shown.good, true.good)
        assert after.valid >= max(shown.valid, true.valid)
        assert after.good in (shown.good, true.good), "the truth, or what was shown while it is below that"
        shown = after
    # Many good events bring each total over what it had been too high by.
    last = START + 200 * MINUTE
    truth[last] = (10_000, 10_000 - 10_000)
    ledger.put_minutes(last, last + MINUTE, [(last, Fraction(10_000), Fraction(10_000))])
    assert ledger.totals == _true(truth, since)


def _true(truth: dict[datetime, tuple[int, int]], since: datetime) -> Sum:
    counted = [value for at, value in truth.items() if at >= since]
    good = sum(good for good, _ in counted)
    return Sum(good, good + sum(bad for _, bad in counted))


@given(pairs(5, 200, 400), st.integers(1, 90))
def test_windows_and_the_budget_add_up(values: list[tuple[int, int]], step: int) -> None:
    """Whatever the portions in which minutes come, and though minutes become hours meanwhile."""
    minutes = [START + number * 23 * MINUTE for number in range(len(values))]
    counts = [(at, Fraction(good), Fraction(good + bad)) for at, (good, bad) in zip(minutes, values, strict=True)]
    ledger = Ledger(START)
    begun = START
    for number in range(0, len(counts), step):
        portion = counts[number : number + step]
        end = portion[-1][0] + MINUTE
        ledger.put_minutes(begun, end, portion)
        begun = end
    for window, found in zip((HOUR, MINUTES_KEPT), ledger.over([HOUR, MINUTES_KEPT]), strict=True):
        assert found == _sum(counts, begun - window)
    assert ledger.since_hour_of(START) == _sum(counts, START)
    assert ledger.since_hour_of(begun - 5 * HOUR) == _sum(counts, hour_of(begun - 5 * HOUR))
    assert ledger.totals == _sum(counts, START)


def _sum(counts: list[tuple[datetime, Fraction, Fraction]], since: datetime) -> Sum:
    kept = [(good, valid) for at, good, valid in counts if at >= since]
    return Sum(sum(good for good, _ in kept), sum(valid for _, valid in kept))


def test_fractions_of_events_are_exact() -> None:
    ledger = Ledger(START)
    third = Fraction(1, 3)
    ledger.put_minutes(START, START + 3 * MINUTE, [(START + n * MINUTE, third, third) for n in range(3)])
    assert ledger.totals == Sum(1, 1)
    assert ledger.over([HOUR]) == [Sum(1, 1)]


def test_older_hours_are_replaced_and_forgotten() -> None:
    ledger = Ledger(START)
    ledger.put_minutes(START - HOUR, START, [(START - HOUR, Fraction(1), Fraction(1))])
    ten = START - 10 * 24 * HOUR
    for _ in range(2):
        ledger.put_hours(
            [(ten, Fraction(3), Fraction(5)), (ten + MINUTE, Fraction(1), Fraction(1)), (START, *[Fraction(9)] * 2)]
        )
    assert ledger.since_hour_of(ten) == Sum(5, 7), "the last is minutes' own time"
    assert ledger.last_good == START - HOUR
    ledger.forget_hours_before(hour_of(START))
    assert ledger.since_hour_of(ten) == Sum(1, 1)


def test_before_anything_is_known() -> None:
    ledger = Ledger(START)
    assert ledger.totals == Sum(0, 0)
    assert ledger.over([HOUR]) == [Sum(0, 0)]
    assert ledger.last_good is None
