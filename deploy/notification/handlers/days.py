"""Days as the tables, messages and the API write them: 2026-01-31, a day of UTC."""

from __future__ import annotations

import re
import time as system_time
from datetime import UTC, date, datetime, time, timedelta

wall_clock = system_time.time  # the one place where tests give another time

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def parse_day(text: object) -> date:
    """The day; only the one spelling is taken, because days are compared as texts.  Raises ValueError."""
    if not isinstance(text, str) or not _DAY.fullmatch(text):
        raise ValueError(f"{text!r} is not a date like 2026-01-31")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date like 2026-01-31") from None


def parse_clock(text: str) -> time:
    """A time of day (UTC) like 06:30.  Raises ValueError."""
    if match := _CLOCK.fullmatch(text):
        return time(int(match[1]), int(match[2]))
    raise ValueError(f"{text!r} is not a time of day like 06:30")


def expiry(day: date, retention_days: int) -> int:
    """When what belongs to ``day`` may be deleted: epoch seconds, ``retention_days`` after the day begins."""
    return int((datetime.combine(day, time(), UTC) + timedelta(days=retention_days)).timestamp())


def now() -> float:
    """Epoch seconds of this moment."""
    return wall_clock()


def day_of(moment: float) -> date:
    """The day that a moment (epoch seconds) is in."""
    return datetime.fromtimestamp(moment, UTC).date()


def epoch(day: date, clock: time) -> float:
    """Epoch seconds of a time of that day."""
    return datetime.combine(day, clock, UTC).timestamp()
