"""Gaps and overlaps of a schedule in words: which hours, who, and from which day on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from .declared import Schedule
from .hours import Span, find_gaps, find_overlaps

#: How far ahead a schedule is looked at: each day of a year and both changes of the clocks, whatever the day.
AHEAD = timedelta(weeks=53)
#: A week and a day more at both ends, so that what began before or ends later is seen whole.
_MARGIN = timedelta(days=8)
#: After so many kinds of gaps or overlaps of one schedule the rest is only counted.
_MOST = 5
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def describe_gaps(schedule: Schedule, now: datetime) -> tuple[str, ...]:
    """One line for each kind of gap in the next 53 weeks: ``nobody is on call Sat 18:00 to Mon 08:00 Europe/Vienna, …``"""
    spans = _near(find_gaps(schedule, now - _MARGIN, now + AHEAD + _MARGIN), now)
    return _describe(spans, schedule, now, lambda _: "nobody is on call")


def describe_overlaps(schedule: Schedule, now: datetime) -> tuple[str, ...]:
    """One line for each kind of overlap in the next 53 weeks, with those whom it meets first."""
    spans = find_overlaps(schedule, now - _MARGIN, now + AHEAD + _MARGIN)
    return _describe(_near(_joined(spans, now), now), schedule, now, _who)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What recurs: the same hours of the same rotations, on whatever days."""

    rotations: tuple[str, ...]
    starts: str
    ends: str
    days: int
    weekday: int | None  # None: those of up to a day are told together


def _near(spans: Iterable[Span], now: datetime) -> list[Span]:
    return [span for span in spans if span.end > now and span.start < now + AHEAD]


def _joined(spans: Iterable[Span], now: datetime) -> list[Span]:
    """Overlaps of the same rotations that follow on each other as one, with those who are on call first from now on."""
    joined: list[Span] = []
    for span in spans:
        last = joined[-1] if joined else None
        if last is None or last.end != span.start or _rotations(last) != _rotations(span):
            joined.append(span)
        else:
            joined[-1] = Span(last.start, span.end, last.who if last.end > now else span.who)
    return joined


def _rotations(span: Span) -> tuple[str, ...]:
    return tuple(rotation for rotation, _ in span.who)


def _who(span: Span) -> str:
    people = [participant for _, participant in span.who]
    rotations = _listed([rotation for rotation, _ in span.who])
    if len(set(people)) == 1:
        return f"{people[0]} is on call more than once (rotations {rotations})"
    different = list(dict.fromkeys(people))
    both = "both" if len(different) == 2 else "all"
    return f"{_listed(different)} are {both} on call (rotations {rotations})"


def _describe(spans: Sequence[Span], schedule: Schedule, now: datetime, what: Callable[[Span], str]) -> tuple[str, ...]:
    zone = ZoneInfo(schedule.time_zone)
    lines: list[str] = []
    kinds: dict[_Kind, list[Span]] = {}
    for span in spans:
        before, after = span.start <= now - _MARGIN, span.end >= now + AHEAD + _MARGIN
        if before and after:
            lines.append(f"{what(span)} at any time")
        elif before:
            lines.append(f"{what(span)} until {_full(span.end, zone)} {schedule.time_zone}")
        elif after:
            lines.append(f"{what(span)} from {_full(span.start, zone)} {schedule.time_zone} on")
        else:
            kinds.setdefault(_kind(span, zone), []).append(span)
    for kind, recurring in _without_changed_clocks(kinds, zone).items():
        lines.append(f"{what(recurring[0])} {_when(kind, recurring, zone, schedule.time_zone)}")
    if len(lines) > _MOST:
        return (*lines[:_MOST], f"{len(lines) - _MOST} more of other hours follow in the next 53 weeks")
    return tuple(lines)


def _without_changed_clocks(kinds: dict[_Kind, list[Span]], zone: ZoneInfo) -> dict[_Kind, list[Span]]:
    """What begins or ends otherwise only because the clocks change meanwhile is not told beside what it is otherwise."""

    def told_already(kind: _Kind, spans: list[Span]) -> bool:
        if not all(_offset(one.start, zone, before=True) != _offset(one.end, zone) for one in spans):
            return False
        return any(
            other.rotations == kind.rotations and (other.starts == kind.starts or other.ends == kind.ends)
            for other, more in kinds.items()
            if other is not kind and len(more) > len(spans)
        )

    return {kind: spans for kind, spans in kinds.items() if not told_already(kind, spans)}


def _offset(moment: datetime, zone: ZoneInfo, *, before: bool = False) -> timedelta | None:
    return (moment - timedelta(seconds=before)).astimezone(zone).utcoffset()


def _kind(span: Span, zone: ZoneInfo) -> _Kind:
    start, end = span.start.astimezone(zone), span.end.astimezone(zone)
    days = (end.date() - start.date()).days
    short = span.end - span.start <= timedelta(days=1) and days <= 1
    return _Kind(_rotations(span), f"{start:%H:%M}", f"{end:%H:%M}", days, None if short else start.weekday())


def _when(kind: _Kind, spans: Sequence[Span], zone: ZoneInfo, name: str) -> str:
    start, end = spans[0].start.astimezone(zone), spans[0].end.astimezone(zone)
    first = start.date()
    weekdays = sorted({span.start.astimezone(zone).weekday() for span in spans})
    if len(spans) == 1:
        return f"{_once(start, end)} {name}"
    if len(weekdays) == 7:
        return f"every day {kind.starts} to {kind.ends} {name}, first {first}"
    if len(weekdays) == 1:
        return f"{_DAYS[start.weekday()]} {kind.starts} to {_DAYS[end.weekday()]} {kind.ends} {name}, first {first}"
    return f"{_weekdays(weekdays)} {kind.starts} to {kind.ends} {name}, first {first}"


def _once(start: datetime, end: datetime) -> str:
    until = f"{end:%H:%M}" if start.date() == end.date() else _written(end.date(), end)
    return f"{_written(start.date(), start)} to {until}"


def _full(moment: datetime, zone: ZoneInfo) -> str:
    local = moment.astimezone(zone)
    return _written(local.date(), local)


def _written(day: date, at: datetime) -> str:
    return f"{_DAYS[day.weekday()]} {day} {at:%H:%M}"


def _weekdays(days: Sequence[int]) -> str:
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{_DAYS[days[0]]} to {_DAYS[days[-1]]}"
    return ", ".join(_DAYS[day] for day in days)


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
