"""How often a rule or schedule runs: the longest regular gap of its rate() or cron() expression."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise

from ..cloudformation.symbolic import Symbolic
from ..model import Resource
from .properties import amount, mappings

# Rules and Scheduler share the syntax: EventBridge User Guide, "Setting a schedule pattern".
_RATE = re.compile(r"rate\(\s*([0-9]{1,9})\s+(minute|hour|day)s?\s*\)")
_CRON = re.compile(r"cron\((.*)\)", re.DOTALL)
_ITEM = re.compile(r"(?:\*|(?P<start>\w+)(?:-(?P<end>\w+))?)(?:/(?P<step>[0-9]{1,4}))?", re.ASCII)
_LENGTHS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTHS = {name: n for n, name in enumerate(_MONTH_NAMES, 1)}
_WEEKDAYS = {name: n for n, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
_FIRST_YEAR, _LAST_YEAR = 1970, 2199
# Weekdays and leap years repeat after 28 years (from 1901 to 2099), so this span holds every gap there is.
_CYCLE = range(2001, 2029)
_DAY_MINUTES = 24 * 60

#: The days of one month (year, month, number of days) that a field lets through.
_Days = Callable[[int, int, int], Iterable[int]]


class _NotUnderstoodError(Exception):
    """The expression is not in the documented syntax."""


@lru_cache(maxsize=1024)
def longest_gap(expression: str) -> timedelta | None:
    """The longest time between two runs; None for an expression that is not understood or runs at most once.

    A change of the clocks is left out: a schedule with a time zone may be an hour longer on one day of the year.
    """
    text = expression.strip()
    if match := _RATE.fullmatch(text):
        return int(match[1]) * _LENGTHS[match[2]] or None
    if not (match := _CRON.fullmatch(text)):
        return None
    fields = match[1].upper().split()
    if len(fields) != 6:
        return None
    try:
        return _longest_cron_gap(*fields)
    except _NotUnderstoodError:
        return None


def _longest_cron_gap(
    minute: str, hour: str, day_of_month: str, month: str, day_of_week: str, year: str
) -> timedelta | None:
    minutes, hours = _values(minute, 0, 59), _values(hour, 0, 23)
    times = [60 * h + m for h in sorted(hours) for m in sorted(minutes)]
    # Exactly one of the two day fields says "any": the other one chooses.
    if (day_of_month == "?") == (day_of_week == "?"):
        return None
    days = _days_of_month(day_of_month) if day_of_week == "?" else _days_of_week(day_of_week)
    months = _values(month, 1, 12, _MONTHS)
    years = _CYCLE if year == "*" else sorted(_values(year, _FIRST_YEAR, _LAST_YEAR))
    runs = [
        date(y, m, d).toordinal() for y in years for m in sorted(months) for d in sorted(set(days(y, m, _length(y, m))))
    ]
    if year == "*" and runs:
        cycle = date(_CYCLE.stop, 1, 1).toordinal() - date(_CYCLE.start, 1, 1).toordinal()
        runs.append(runs[0] + cycle)
    gaps = [later - earlier for earlier, later in pairwise(times)] if runs else []
    if len(runs) > 1:
        days_between = max(later - earlier for earlier, later in pairwise(runs))
        gaps.append(days_between * _DAY_MINUTES - times[-1] + times[0])
    return timedelta(minutes=max(gaps)) if gaps else None


def _length(year: int, month: int) -> int:
    return (date(year + month // 12, month % 12 + 1, 1) - date(year, month, 1)).days


def _values(field: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    """The numbers a field lets through: lists, ranges, steps and names."""
    found: set[int] = set()
    for item in field.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise _NotUnderstoodError(item)
        start, end, step = match["start"], match["end"], match["step"]
        first = low if start is None else _value(start, low, high, names)
        # "5" is one value; "5/10" and "*" run to the end.
        last = _value(end, low, high, names) if end else first if start and not step else high
        if last < first or (step and int(step) == 0):
            raise _NotUnderstoodError(item)
        found.update(range(first, last + 1, int(step or 1)))
    return found


def _value(text: str, low: int, high: int, names: dict[str, int] | None) -> int:
    if names and text in names:
        return names[text]
    if not text.isdecimal() or not low <= int(text) <= high:
        raise _NotUnderstoodError(text)
    return int(text)


def _days_of_month(field: str) -> _Days:
    choices = [_day_of_month(item) for item in field.split(",")]
    return lambda year, month, length: (day for choice in choices for day in choice(year, month, length))


def _day_of_month(item: str) -> _Days:
    if item == "L":
        return lambda year, month, length: (length,)
    if item.endswith("W"):
        if item == "LW":
            return lambda year, month, length: (_nearest_weekday(year, month, length, length),)
        day = _value(item[:-1], 1, 31, None)
        return lambda year, month, length: (_nearest_weekday(year, month, day, length),) if day <= length else ()
    days = _values(item, 1, 31)
    return lambda year, month, length: (day for day in days if day <= length)


def _nearest_weekday(year: int, month: int, day: int, length: int) -> int:
    """The weekday nearest to a day, never in another month."""
    weekday = date(year, month, day).weekday()
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < length else day - 2
    return day


def _days_of_week(field: str) -> _Days:
    if "#" in field:
        name, _, nth = field.partition("#")
        weekday, count = _value(name, 1, 7, _WEEKDAYS), _value(nth, 1, 5, None)
        return lambda year, month, length: _every(weekday, year, month, length)[count - 1 : count]
    choices = [_day_of_week(item) for item in field.split(",")]
    return lambda year, month, length: (day for choice in choices for day in choice(year, month, length))


def _day_of_week(item: str) -> _Days:
    if item != "L" and item.endswith("L"):
        weekday = _value(item[:-1], 1, 7, _WEEKDAYS)
        return lambda year, month, length: _every(weekday, year, month, length)[-1:]
    # A bare L is the last day of the week.
    weekdays = {7} if item == "L" else _values(item, 1, 7, _WEEKDAYS)
    return lambda year, month, length: (day for weekday in weekdays for day in _every(weekday, year, month, length))


def _every(weekday: int, year: int, month: int, length: int) -> range:
    """The days of a month that fall on a weekday (1 = Sunday)."""
    first = 1 + (weekday - 1 - date(year, month, 1).isoweekday()) % 7
    return range(first, length + 1, 7)


def interval_of(resource: Resource) -> timedelta | None:
    """The longest gap between two runs of a rule or schedule; None where the template does not tell.

    Scheduler adds its flexible window and, in a time zone of its own, the hour that a change of the clocks may add.
    """
    expression = resource.properties.get("ScheduleExpression")
    gap = longest_gap(expression) if isinstance(expression, str) and not isinstance(expression, Symbolic) else None
    if gap is None:
        return None
    for window in mappings(resource.properties.get("FlexibleTimeWindow")):
        flexible = Resource(resource.type, resource.logical_id, properties=window)
        gap += timedelta(minutes=min(amount(flexible, "MaximumWindowInMinutes", 0) or 0, _DAY_MINUTES))
    zone = resource.properties.get("ScheduleExpressionTimezone")
    if zone not in (None, "UTC", "Etc/UTC") and gap >= timedelta(days=1):
        gap += timedelta(hours=1)
    return gap
