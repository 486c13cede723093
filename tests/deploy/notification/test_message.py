"""Messages and days: what is written is read back, by this version and the next, and anything else is refused with a reason."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date, time
from typing import Any

import pytest
from deploy.notification.handlers.days import parse_clock, parse_day
from deploy.notification.handlers.message import Due, InvalidMessageError, parse_message, write_message
from hypothesis import given
from hypothesis import strategies as st

DAY = date(2026, 1, 31)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=250)


@given(st.dates(), TEXT, st.none() | TEXT)
def test_what_is_written_is_read_back(day: date, notification: str, after: str | None) -> None:
    due = Due(day, notification, after)
    assert parse_message(write_message(due)) == due


def test_the_message_is_spelt_as_documented() -> None:
    assert json.loads(write_message(Due(DAY, "storm", "u7"))) == {
        "schema": 2,
        "day": "2026-01-31",
        "notification": "storm",
        "after": "u7",
    }


def test_a_message_of_the_older_version_is_one_from_the_beginning() -> None:
    assert parse_message('{"schema": 1, "day": "2026-01-31", "notification": "storm"}') == Due(DAY, "storm", None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("poison", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object but list"),
        ("null", "not a JSON object but NoneType"),
        ('{"day": "2026-01-31", "notification": "n"}', r"schema None is not one of \(1, 2\)$"),
        ('{"schema": 0, "day": "2026-01-31", "notification": "n"}', r"schema 0 is not one of \(1, 2\)$"),
        ('{"schema": true, "day": "2026-01-31", "notification": "n"}', "schema True is not one"),
        ('{"schema": 2.0, "day": "2026-01-31", "notification": "n"}', "schema 2.0 is not one"),
        ('{"schema": "2", "day": "2026-01-31", "notification": "n"}', "schema '2' is not one"),
        (
            '{"schema": 3, "day": "2026-01-31", "notification": "n"}',
            r"schema 3 is not one of \(1, 2\); it was written by a newer version: deploy that, then redrive",
        ),
        ('{"schema": 1, "day": "2026-01-31"}', "notification is missing"),
        ('{"schema": 2, "day": "2026-01-31", "notification": ""}', "notification is missing"),
        ('{"schema": 2, "day": "2026-01-31", "notification": ["n"]}', "notification is missing"),
        ('{"schema": 2, "day": "2026-01-31", "notification": "\\ud800"}', "notification is missing, empty or not a"),
        (f'{{"schema": 2, "day": "2026-01-31", "notification": "{"n" * 1014}"}}', "longer than 1013 bytes"),
        ('{"schema": 2, "day": "2026-01-31", "notification": "n", "after": ""}', "after is empty or not a text"),
        ('{"schema": 2, "day": "2026-01-31", "notification": "n", "after": 7}', "after is empty or not a text"),
        ('{"schema": 2, "day": "2026-02-30", "notification": "n"}', "day '2026-02-30' is not a date"),
        ('{"schema": 2, "day": 20260131, "notification": "n"}', "day 20260131 is not a date"),
        ('{"schema": 2, "notification": "n"}', "day None is not a date"),
    ],
)
def test_a_message_nobody_can_use_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidMessageError, match=reason):
        parse_message(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    st.text()
    | JSON.map(json.dumps)
    | st.fixed_dictionaries(
        {"schema": st.sampled_from([1, 2, 3, None]), "day": st.just("2026-01-31") | JSON, "notification": JSON},
        optional={"after": JSON},
    ).map(json.dumps)
)
def test_any_text_is_read_or_refused_and_what_is_read_can_be_stored(text: str) -> None:
    with suppress(InvalidMessageError):
        due = parse_message(text)
        assert 0 < len(f"{due.day}#{due.notification}".encode()) <= 1024
        assert due.after is None or due.after.encode()


@given(st.dates())
def test_a_day_is_read_back(day: date) -> None:
    assert parse_day(day.isoformat()) == day


@pytest.mark.parametrize(
    "text", ["", "20260131", "2026-W05-6", "2026-1-31", "2026-02-29", "0000-01-01", " 2026-01-31", "2026-01-31\n", "٢٠٢٦-٠١-٣١", None, 20260131]
)  # fmt: skip
def test_another_spelling_is_no_day(text: Any) -> None:
    with pytest.raises(ValueError, match="is not a date like 2026-01-31"):
        parse_day(text)


def test_times_of_the_day() -> None:
    assert parse_clock("06:30") == time(6, 30)
    for text in ("", "6:30", "24:00", "06:60", "06:30:00", "half past six"):
        with pytest.raises(ValueError, match="is not a time of day like 06:30"):
            parse_clock(text)
