"""Who is on call when: a schedule's turns and hours as exact spans of time, also where the clocks change.

Nothing is sampled: every boundary is reckoned.  A boundary is a wall-clock time in the schedule's zone, and falls on the
first moment at which clocks there show that time or a later one.  So a handover in an hour that is skipped happens when
the clocks jump, one in an hour that is repeated the first time; and where one rotation ends and the next begins at the same
wall-clock time, there is never a gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from ..errors import InputError
from .declared import Hours, Rotation, Schedule

_DAY = timedelta(days=1)
_WEEK = timedelta(weeks=1)
_Stretch = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start`` up to ``end`` (both aware, in UTC) these are on call: rotation and participant, in the file's order."""

    start: datetime
    end: datetime
    who: tuple[tuple[str, str], ...] = ()


def on_call_at(schedule: Schedule, moment: datetime) -> tuple[tuple[str, str], ...]:
    """Rotation and participant of all who are on call at ``moment``, which is aware.  Raises InputError if it is not."""
    return who_when(schedule, moment, moment + timedelta(microseconds=1))[0].who


def find_gaps(schedule: Schedule, start: datetime, end: datetime) -> tuple[Span, ...]:
    """When nobody is on call between two moments."""
    return tuple(span for span in who_when(schedule, start, end) if not span.who)


def find_overlaps(schedule: Schedule, start: datetime, end: datetime) -> tuple[Span, ...]:
    """When more than one rotation has somebody on call between two moments, cut where one of them hands over."""
    return tuple(span for span in who_when(schedule, start, end) if len(span.who) > 1)


def who_when(schedule: Schedule, start: datetime, end: datetime) -> tuple[Span, ...]:
    """The whole time between two aware moments, cut wherever it changes who is on call.  Raises InputError."""
    if start.tzinfo is None or end.tzinfo is None:
        raise InputError("a moment without a time zone says nothing about who is on call; give it one")
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    if start >= end:
        return ()
    zone = ZoneInfo(schedule.time_zone)
    leaves: dict[datetime, list[int]] = {}
    enters: dict[datetime, list[tuple[int, str]]] = {}
    for number, rotation in enumerate(schedule.rotations):
        for begin, until, participant in _shifts(rotation, zone, start, end):
            enters.setdefault(begin, []).append((number, participant))
            leaves.setdefault(until, []).append(number)
    present: dict[int, str] = {}
    spans: list[Span] = []
    edges = sorted({start, end, *leaves, *enters})
    for edge, following in pairwise(edges):
        for number in leaves.get(edge, ()):
            del present[number]
        present.update(enters.get(edge, ()))
        who = tuple((schedule.rotations[number].name, present[number]) for number in sorted(present))
        if spans and spans[-1].who == who:
            spans[-1] = Span(spans[-1].start, following, who)
        else:
            spans.append(Span(edge, following, who))
    return tuple(spans)


@lru_cache(maxsize=16_384)
def instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first moment, in UTC, at which clocks in ``zone`` show ``wall`` (which is naive) or a later time."""
    moment = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
        return moment  # of a repeated hour, fold=0 is the first
    # Skipped: read with the offset after the jump it is before the jump, and the other way round (PEP 495).
    before = wall.replace(tzinfo=zone, fold=1, microsecond=0).astimezone(UTC)
    offset = before.astimezone(zone).utcoffset()
    low, high = 0, int((moment - before).total_seconds())  # clocks change at whole seconds
    while high - low > 1:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)


def unclear(wall: datetime, zone: ZoneInfo) -> str:
    """What is wrong with a time that clocks in ``zone`` skip or show twice, with the nearest that they show once; empty
    for one that is clear."""
    if _shown_once(wall, zone):
        return ""
    half = timedelta(minutes=30)
    before = wall - (wall - wall.replace(minute=0)) % half
    while not _shown_once(before, zone):
        before -= half
    after = before + half
    while not _shown_once(after, zone):
        after += half
    skipped = wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall
    what = "does not exist" if skipped else "comes twice"
    day = "" if before.date() == after.date() else f" the day before, on {before:%Y-%m-%d},"
    return f"{what} in {zone.key}, where the clocks change then; take {before:%H:%M}{day} or {after:%H:%M}"


def _shown_once(wall: datetime, zone: ZoneInfo) -> bool:
    return wall.replace(tzinfo=zone, fold=0).utcoffset() == wall.replace(tzinfo=zone, fold=1).utcoffset()


def _shifts(
    rotation: Rotation, zone: ZoneInfo, start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime, str]]:
    """What each turn and the hours have in common, within two moments in UTC."""
    start = max(start, instant(rotation.starts, zone))
    if rotation.ends is not None:
        end = min(end, instant(rotation.ends, zone))
    if start >= end or not rotation.participants:
        return
    windows = _windows(rotation.hours, zone, start, end)
    first = 0
    for begin, until, participant in _turns(rotation, zone, start, end):
        while first < len(windows) and windows[first][1] <= begin:
            first += 1
        for number in range(first, len(windows)):
            opens, closes = windows[number]
            if opens >= until:
                break
            yield max(begin, opens), min(until, closes), participant


def _turns(
    rotation: Rotation, zone: ZoneInfo, start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime, str]]:
    """Turns of days and weeks go by the wall clock, turns of hours by time that really passes."""
    if rotation.turn % _DAY:
        origin = instant(rotation.starts, zone)
        number = (start - origin) // rotation.turn
    else:
        # In a repeated hour this may be the turn before: it ends before ``start``, and the next follows.
        number = (start.astimezone(zone).replace(tzinfo=None) - rotation.starts) // rotation.turn

    def begins(turn: int) -> datetime:
        if rotation.turn % _DAY:
            return origin + turn * rotation.turn
        return instant(rotation.starts + turn * rotation.turn, zone)

    begin = begins(number)
    while begin < end:
        until = begins(number + 1)
        if max(begin, start) < min(until, end):
            yield max(begin, start), min(until, end), rotation.participants[number % len(rotation.participants)]
        begin, number = until, number + 1


def _windows(hours: Sequence[Hours], zone: ZoneInfo, start: datetime, end: datetime) -> list[_Stretch]:
    """The hours within two moments in UTC, in order, joined where they touch."""
    if not hours:
        return [(start, end)]
    first = start.astimezone(zone).date() - _WEEK - _DAY  # a span of the week may have begun that long ago
    days = (end.astimezone(zone).date() - first).days + 1
    found: list[_Stretch] = []
    for number in range(days + 1):
        date = first + number * _DAY
        for one in hours:
            if one.start_day is not None and one.start_day != date.weekday():
                continue
            opens = max(start, instant(datetime.combine(date, one.start), zone))
            closes = min(end, instant(datetime.combine(date + days_until_end(one) * _DAY, one.end), zone))
            if opens < closes:
                found.append((opens, closes))
    joined: list[_Stretch] = []
    for opens, closes in sorted(found):
        if joined and opens <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(closes, joined[-1][1]))
        else:
            joined.append((opens, closes))
    return joined


def days_until_end(hours: Hours) -> int:
    """How many days after its first day a span of hours ends: 0 to 7."""
    later = 1 if hours.end <= hours.start else 0
    if hours.start_day is None or hours.end_day is None:
        return later
    days = (hours.end_day - hours.start_day) % 7
    return 7 if days == 0 and later else days
