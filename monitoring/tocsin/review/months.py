"""Calendar months in a zone: their spans, their local days, and which months may be asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..errors import InputError
from .pack import Span

_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")
HOUR = 3600
QUARTER = 900


def zone_named(name: str) -> ZoneInfo:
    """The zone of that name, such as ``Europe/Berlin``.  Raises InputError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"timezone {name!r} is not known; name one such as Europe/Berlin or UTC") from None


def read_month(text: str, zone: ZoneInfo, now: datetime) -> Span:
    """The span of a month that a user named, which has begun by ``now``.  Raises InputError."""
    match = _MONTH.fullmatch(text.strip())
    if not match or not 1 <= int(match[2]) <= 12 or not 1970 <= int(match[1]) <= 9998:
        raise InputError(f"--month {text!r} is not a month; write it as {now.astimezone(zone):%Y-%m}")
    span = month_span(text.strip(), zone)
    if span.start >= now:
        raise InputError(
            f"--month {text.strip()} has not begun yet: it is {now.astimezone(zone):%Y-%m-%d} in {zone.key}; "
            f"ask for {now.astimezone(zone):%Y-%m} or before"
        )
    return span


def month_span(month: str, zone: ZoneInfo) -> Span:
    """From the first local midnight of ``2026-10`` to that of the next month, in UTC."""
    year, number = int(month[:4]), int(month[5:])
    return Span(_midnight(date(year, number, 1), zone), _midnight(date(year + number // 12, number % 12 + 1, 1), zone))


def months_before(month: str, count: int) -> tuple[str, ...]:
    """The ``count`` months before ``month``, oldest first."""
    index = int(month[:4]) * 12 + int(month[5:]) - 1
    return tuple(f"{number // 12:04}-{number % 12 + 1:02}" for number in range(index - count, index))


def local_days(span: Span, zone: ZoneInfo) -> tuple[tuple[date, Span], ...]:
    """The local days of a span, which has 23 and 25 hours where the clocks change; together they are the span."""
    found = []
    day = span.start.astimezone(zone).date()
    while (begin := max(_midnight(day, zone), span.start)) < span.end:
        end = min(_midnight(day + timedelta(days=1), zone), span.end)
        if begin < end:  # a zone that crossed the date line has left a day out
            found.append((day, Span(begin, end)))
        day += timedelta(days=1)
    return tuple(found)


def grid(days: Sequence[tuple[date, Span]]) -> int:
    """Seconds between the moments that sums are kept for, so that every local day is made of whole sums.

    An hour; a quarter of one where the zone is not a whole number of hours from UTC.
    """
    borders = [seconds(one.start) for _, one in days] + [seconds(days[-1][1].end)]
    return HOUR if all(border % HOUR == 0 for border in borders) else QUARTER


def seconds(moment: datetime) -> int:
    """Whole seconds since 1970 in UTC, which is how statements write moments."""
    return (moment - _EPOCH) // timedelta(seconds=1)


def moment(since_1970: int) -> datetime:
    """The aware moment in UTC of ``seconds``."""
    return _EPOCH + timedelta(seconds=since_1970)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a local day begins, in UTC; a midnight that the clocks skip is the moment they do so."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


Stretch = tuple[int, int]


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Stretches of whole seconds in order, those that touch or overlap made one."""
    found: list[Stretch] = []
    for begin, end in sorted(stretches):
        if begin >= end:
            continue
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def within(stretches: Iterable[Stretch], begin: int, end: int) -> list[Stretch]:
    """What of joined ``stretches`` lies from ``begin`` to ``end``."""
    return [(max(a, begin), min(b, end)) for a, b in stretches if a < end and b > begin]


def without(whole: Stretch, stretches: Iterable[Stretch]) -> list[Stretch]:
    """What of ``whole`` is in none of the joined ``stretches``."""
    found, at = [], whole[0]
    for begin, end in within(stretches, *whole):
        if begin > at:
            found.append((at, begin))
        at = end
    return [*found, (at, whole[1])] if at < whole[1] else found


def length(stretches: Iterable[Stretch]) -> int:
    """Seconds of joined ``stretches``."""
    return sum(end - begin for begin, end in stretches)
