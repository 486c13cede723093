"""When an alarm is evaluated, and which stretches of time its datapoints cover.

User guide, pages "Alarm evaluation" and "Alarm evaluation windows".
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..alarm import Alarm, EvaluationWindow
from ..errors import SimulationError

DAY = 86_400
#: CloudWatch keeps 15 months; ten years of minutes are five million evaluations of each alarm.
LONGEST = timedelta(days=3653)
WALL_CLOCK_PERIODS = (60, 300, 3600, DAY, 7 * DAY)
_OFFSET = re.compile(r"(?:UTC)?([+-])([0-9]{1,2}):?([0-9]{2})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)


def is_multi_day(alarm: Alarm) -> bool:
    """True if N times the period is longer than a day: evaluated hourly, on data up to the full hour."""
    return alarm.evaluation_periods * alarm.period > DAY


def step(alarm: Alarm) -> int:
    """Seconds between two evaluations: 10 for periods under a minute, an hour for multi-day windows, else 60."""
    if is_multi_day(alarm):
        return 3600
    return 10 if alarm.period < 60 else 60


def is_due(alarm: Alarm, at: datetime, *, hourly_minute: int = 0) -> bool:
    """True if the alarm is evaluated in the minute (or the ten seconds) that ``at`` lies in.

    AWS does not document in which minute of the hour a multi-day alarm is evaluated: ``hourly_minute``.
    """
    if is_multi_day(alarm):
        return at.astimezone(UTC).minute == hourly_minute
    return True


def clip(alarm: Alarm, at: datetime) -> datetime:
    """The moment up to which an evaluation at ``at`` reads: its minute, ten seconds, or full hour (UTC)."""
    if at.tzinfo is None:
        raise SimulationError(f"the time {at.isoformat()} has no zone; use an aware datetime such as one in UTC")
    size = step(alarm)
    whole = int((at - _EPOCH).total_seconds() // size) * size
    return max(_EPOCH + timedelta(seconds=whole), _EARLIEST)


def refuse_too_long(start: datetime, end: datetime, begins: str = "", ends: str = "") -> None:
    """Raise SimulationError for a timeline of more than ten years; ``begins`` and ``ends`` say what makes it so long."""
    if end - start > LONGEST:
        first, last = (
            f"{at:%Y-%m-%dT%H:%M:%SZ}" + (f" ({by})" if by else "") for at, by in ((start, begins), (end, ends))
        )
        raise SimulationError(f"the timeline from {first} to {last} is longer than ten years; evaluate a part of it")


def slots(alarm: Alarm, at: datetime, count: int) -> list[tuple[datetime, int]]:
    """Start and length (seconds) of the newest ``count`` datapoints read at ``at``, oldest first.

    A sliding window ends at the evaluation; a wall-clock one at the last full period of its time zone, where a day
    has 23 or 25 hours when the clocks change.  Raises SimulationError for a period or zone that cannot be.
    """
    end = clip(alarm, at)
    if alarm.evaluation_window is EvaluationWindow.SLIDING:
        period = timedelta(seconds=alarm.period)
        return [(end - period * back, alarm.period) for back in range(count, 0, -1)]
    edges = [_boundary(end, alarm.period, zone(alarm.timezone))]
    while len(edges) <= count:
        edges.append(_boundary(edges[-1] - timedelta(seconds=1), alarm.period, zone(alarm.timezone)))
    edges.reverse()
    return [(a, int((b - a).total_seconds())) for a, b in pairwise(edges)]


@lru_cache(maxsize=64)
def zone(name: str | None) -> tzinfo:
    """The time zone of a wall-clock window: an IANA name or an offset such as ``UTC+05:30``.  Raises SimulationError."""
    if not name:
        return UTC
    if match := _OFFSET.fullmatch(name):
        sign, hours, minutes = match.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes)) * (1 if sign == "+" else -1)
        if int(minutes) % 5 or int(minutes) > 59 or abs(offset) >= timedelta(days=1):
            raise SimulationError(f"time zone {name!r}: the offset is under a day and a multiple of five minutes")
        return timezone(offset)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SimulationError(
            f'unknown time zone {name!r}; use an IANA name such as "Europe/Paris" or an offset such as "UTC+05:30"'
        ) from None


def _boundary(at: datetime, period: int, where: tzinfo) -> datetime:
    """The last clock boundary at or before ``at``."""
    if period not in WALL_CLOCK_PERIODS:
        raise SimulationError(
            f"a wall-clock window has a period of {', '.join(map(str, WALL_CLOCK_PERIODS))} s, not {period}"
        )
    local = at.astimezone(where)
    if period < DAY:
        offset = int((local.utcoffset() or timedelta()).total_seconds())
        since = int((at - _EPOCH).total_seconds()) + offset
        return _EPOCH + timedelta(seconds=since - since % period - offset)
    day = local.date()
    if period == 7 * DAY:
        day -= timedelta(days=day.weekday())
    return _midnight(day, where)


def _midnight(day: date, where: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=where).astimezone(UTC)
