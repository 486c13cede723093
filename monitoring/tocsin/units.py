"""Exact ratios and durations: "99.9%" is a Fraction, "5min" a timedelta."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from .errors import InputError

_SECONDS = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "sec": Fraction(1),
    "second": Fraction(1),
    "seconds": Fraction(1),
    "min": Fraction(60),
    "minute": Fraction(60),
    "minutes": Fraction(60),
    "h": Fraction(3600),
    "hour": Fraction(3600),
    "hours": Fraction(3600),
    "d": Fraction(86400),
    "day": Fraction(86400),
    "days": Fraction(86400),
}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*")


def ratio(value: str | Fraction) -> Fraction:
    """Read ``"99.9%"``, ``"0.999"`` or a Fraction as an exact ratio.

    A float is refused: 0.999 as a float is not 999/1000.  Raises InputError.
    """
    if isinstance(value, Fraction):
        return value
    if not isinstance(value, str):
        raise InputError(f'a ratio is text such as "99.9%", got {value!r}')
    text = value.strip()
    percent = text.endswith("%")
    try:
        number = Decimal(text[:-1].strip() if percent else text)
    except InvalidOperation:
        raise InputError(f'not a ratio: {value!r}; write it as "99.9%"') from None
    if not number.is_finite():
        raise InputError(f'not a ratio: {value!r}; write it as "99.9%"')
    return Fraction(number) / (100 if percent else 1)


def duration(value: str | timedelta) -> timedelta:
    """Read ``"800ms"``, ``"5min"``, ``"1h30min"`` or ``"28d"`` as a positive duration.

    Raises InputError.
    """
    if isinstance(value, timedelta):
        if value <= timedelta(0):
            raise InputError(f"a duration must be longer than nothing, got {value}")
        return value
    if not isinstance(value, str):
        raise InputError(f'a duration is text such as "5min", got {value!r}')
    text = value.strip().lower()
    seconds, position = Fraction(0), 0
    while match := _DURATION.match(text, position):
        number, unit = match.groups()
        if unit not in _SECONDS:
            raise InputError(f'unknown unit {unit!r} in {value!r}; use "ms", "s", "min", "h" or "d"')
        seconds += Fraction(number) * _SECONDS[unit]
        position = match.end()
    if not text or position != len(text):
        raise InputError(f'not a duration: {value!r}; write it as "5min", "1h30min" or "28d"')
    microseconds = seconds * 1_000_000
    if microseconds.denominator != 1 or microseconds <= 0:
        raise InputError(f"a duration must be a positive whole number of microseconds: {value!r}")
    try:
        return timedelta(microseconds=int(microseconds))
    except OverflowError:
        raise InputError(f"a duration must be under a million days: {value!r}") from None


def in_milliseconds(value: timedelta) -> Fraction:
    """The exact number of milliseconds."""
    return Fraction(value // timedelta(microseconds=1), 1000)


def in_microseconds(value: timedelta) -> Fraction:
    """The exact number of microseconds."""
    return Fraction(value // timedelta(microseconds=1))


def in_seconds(value: timedelta) -> Fraction:
    """The exact number of seconds."""
    return Fraction(value // timedelta(microseconds=1), 1_000_000)


def format_number(value: Fraction | float | int, digits: int = 4) -> str:
    """The shortest decimal that rounds ``value`` to ``digits`` significant digits or better."""
    exact = Fraction(value)
    if exact == int(exact):
        return str(int(exact))
    return format(Decimal(f"{float(exact):.{digits}g}").normalize(), "f")


def exact_decimal(value: Fraction) -> str | None:
    """``Fraction(1, 8)`` as ``"0.125"``, however many digits that takes; None where the decimal never ends."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return None
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return f"-{text}" if value < 0 else text


def format_ratio(value: Fraction) -> str:
    """``Fraction(999, 1000)`` as ``"99.9 %"``: exact where it ends within nine decimals."""
    percent = value * 100
    scaled = percent * 10**9
    if scaled.denominator == 1:
        return f"{format(Decimal(int(scaled)).scaleb(-9).normalize(), 'f')} %"
    return f"{format_number(percent)} %"


def format_duration(value: timedelta) -> str:
    """``timedelta(minutes=90)`` as ``"1 h 30 min"``; durations under a second in ``ms``."""
    microseconds = value // timedelta(microseconds=1)
    if microseconds < 1_000_000:
        return f"{format_number(Fraction(microseconds, 1000))} ms"
    parts = []
    for name, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000)):
        count, microseconds = divmod(microseconds, size)
        if count:
            parts.append(f"{count} {name}")
    if microseconds:
        parts.append(f"{format_number(Fraction(microseconds, 1_000_000))} s")
    return " ".join(parts)
