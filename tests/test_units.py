"""Exact ratios and durations, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.errors import InputError
from tocsin.units import duration, exact_decimal, format_duration, format_number, format_ratio, ratio


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("99.9%", Fraction(999, 1000)),
        ("99.99 %", Fraction(9999, 10000)),
        ("0.999", Fraction(999, 1000)),
        ("1", Fraction(1)),
        (" 0% ", Fraction(0)),
    ],
)
def test_ratios_are_exact(text: str, value: Fraction) -> None:
    assert ratio(text) == value


@pytest.mark.parametrize("text", ["", "%", "ninety", "99,9%", "nan", "inf%", "99.9%%"])
def test_what_is_no_ratio_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a ratio"):
        ratio(text)


def test_a_float_is_no_exact_ratio() -> None:
    with pytest.raises(InputError, match="a ratio is text"):
        ratio(0.999)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("800ms", timedelta(milliseconds=800)),
        ("5min", timedelta(minutes=5)),
        ("1h30min", timedelta(minutes=90)),
        ("28d", timedelta(days=28)),
        ("1.5 h", timedelta(minutes=90)),
        ("90 Seconds", timedelta(seconds=90)),
    ],
)
def test_durations(text: str, value: timedelta) -> None:
    assert duration(text) == value


@pytest.mark.parametrize(
    "text", ["", "5", "5 fortnights", "min", "-5min", "0s", "5min garbage", "1e9d", "99999999999d"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        duration(text)


@given(st.integers(min_value=1, max_value=10**9))
def test_a_formatted_duration_reads_back(seconds: int) -> None:
    value = timedelta(seconds=seconds)
    assert duration(format_duration(value)) == value


@given(st.integers(min_value=1, max_value=10**6 - 1))
def test_a_formatted_ratio_reads_back(millionths: int) -> None:
    value = Fraction(millionths, 10**6)
    assert ratio(format_ratio(value)) == value


@pytest.mark.parametrize(
    ("value", "text"), [(13.44, "13.44"), (Fraction(1, 3), "0.3333"), (48000, "48000"), (0.00001, "0.00001")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(4, 5), "0.8"),
        (Fraction(800), "800"),
        (Fraction(-1, 8), "-0.125"),
        (Fraction(1, 2**41), "0.00000000000045474735088646411895751953125"),
        (Fraction(1, 3), None),
    ],
)
def test_a_decimal_is_exact_or_none(value: Fraction, text: str | None) -> None:
    assert exact_decimal(value) == text
