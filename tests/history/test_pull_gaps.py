"""What is still to be asked: nothing twice, nothing that is gone, everything in the finest period that is left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.history.gaps import (
    MARGIN,
    Asked,
    Kept,
    common,
    end_of_pull,
    joined,
    rounded_down,
    rounded_up,
    to_ask,
    without,
)

NOW = datetime(2026, 11, 21, 12, 7, 31, tzinfo=UTC)
DAY = timedelta(days=1)
KEPT = (Kept(60, 15 * DAY), Kept(300, 63 * DAY), Kept(3600, 455 * DAY))
MINUTE = st.integers(0, 120 * 1440).map(lambda minutes: datetime(2026, 7, 25, tzinfo=UTC) + timedelta(minutes=minutes))
SPANS = st.lists(st.tuples(MINUTE, MINUTE), max_size=6)


def total(spans) -> timedelta:
    return sum((end - start for start, end in spans), timedelta())


@settings(deadline=None)
@given(spans=SPANS, taken=SPANS)
def test_spans_are_sets_of_moments(spans, taken) -> None:
    left, both = without(spans, taken), common(spans, taken)
    assert total(left) + total(both) == total(joined(spans))
    assert not common(left, taken)
    assert joined([*left, *both]) == joined(spans)


@settings(deadline=None)
@given(covered=SPANS, since=MINUTE)
def test_what_is_asked_is_missing_and_still_there(covered, since) -> None:
    until = end_of_pull(NOW)
    asked = to_ask(covered, since, until, KEPT, NOW)
    spans = [(one.start, one.end) for one in asked]
    assert total(joined(spans)) == total(spans), "nothing twice"
    assert not common(spans, covered)
    for one in asked:
        assert since <= one.start < one.end <= until
        assert rounded_down(one.start, one.period) == one.start
        assert rounded_down(one.end, one.period) == one.end
        age = {each.period: each.age for each in KEPT}[one.period]
        assert one.start >= NOW - age + MARGIN
    # What is left out are parts of coarse periods beside what is covered, or at the border of one that is finer.
    left = without([(since, until)], [*spans, *covered])
    assert all(end - start < timedelta(hours=2) for start, end in left)


def test_each_age_has_its_period() -> None:
    asked = to_ask([], NOW - 70 * DAY, end_of_pull(NOW), KEPT, NOW)
    fine, finer = datetime(2026, 9, 19, 14, tzinfo=UTC), datetime(2026, 11, 6, 13, 10, tzinfo=UTC)
    assert asked == [
        Asked(rounded_up(NOW - 70 * DAY, 3600), fine, 3600),
        Asked(fine, finer, 300),
        Asked(finer, datetime(2026, 11, 21, 11, 50, tzinfo=UTC), 60),
    ]


def test_what_is_older_than_anything_kept_is_not_asked() -> None:
    [oldest, *_] = to_ask([], NOW - 900 * DAY, end_of_pull(NOW), KEPT, NOW)
    assert oldest.start == rounded_up(NOW - 455 * DAY + MARGIN, 3600)


@pytest.mark.parametrize(
    ("now", "end"),
    [
        (NOW, datetime(2026, 11, 21, 11, 50, tzinfo=UTC)),
        (datetime(2026, 11, 21, 12, 15, tzinfo=UTC), datetime(2026, 11, 21, 12, tzinfo=UTC)),
        (datetime(2026, 11, 21, 0, 3, tzinfo=UTC), datetime(2026, 11, 20, 23, 45, tzinfo=UTC)),
    ],
)
def test_the_last_minutes_are_left_for_the_next_pull(now, end) -> None:
    assert end_of_pull(now) == end


def test_for_ever_is_the_whole_of_it() -> None:
    assert to_ask([], NOW - 900 * DAY, NOW, [Kept(60, None)], NOW) == [
        Asked(rounded_up(NOW - 900 * DAY, 60), rounded_down(NOW, 60), 60)
    ]
