"""MuteRule: when the actions of alarms are muted, by a schedule or once.

User guide, pages "Alarm mute rules" and "How alarm mute rules work"; API reference, PutAlarmMuteRule and Schedule.
AWS does not document what a schedule does when clocks change; taken here, as Vixie's cron does: a time that does not
exist is the first moment that does, a time that comes twice is the first of the two, and a duration is elapsed time.
Schedules whose minute or hour begins with * go by elapsed time instead: a local time that does not exist is left out,
one that comes twice counts twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from ..errors import SimulationError
from .schedule import zone

MAX_ALARMS = 100
_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(days=15)
_MAX_NAME, _MAX_EXPRESSION = 255, 256

_EXPRESSION = re.compile(r"(cron|at)\((.*)\)", re.DOTALL)
_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}")
_LENGTH = re.compile(r"P(?=.)(?:([0-9]{1,6})D)?(?:T(?=.)(?:([0-9]{1,6})H)?(?:([0-9]{1,6})M)?)?")

Window = tuple[datetime, datetime]


def parse_length(text: str) -> timedelta:
    """An ISO 8601 duration of days, hours and minutes, such as ``P2DT12H``; PT1M to P15D.  Raises SimulationError."""
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise SimulationError(f"Duration {text[:40]!r} is not one of days, hours and minutes such as PT90M or P2DT12H")
    days, hours, minutes = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


@dataclass(frozen=True, slots=True)
class MuteRule:
    """Mutes all actions of ``alarms`` (names) for ``duration`` whenever ``expression`` says so.

    ``expression`` is ``cron(minute hour day-of-month month day-of-week)`` or ``at(yyyy-mm-ddThh:mm)`` in ``timezone``
    (IANA name; UTC if not given).  Nothing is muted before ``starts`` and from ``expires`` on: ISO 8601, in
    ``timezone`` unless they name their own.  Raises SimulationError for what CloudWatch would refuse.
    """

    name: str
    expression: str
    duration: timedelta
    alarms: tuple[str, ...]
    timezone: str | None = None
    starts: str | None = None
    expires: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= _MAX_NAME:
            raise SimulationError(f"the name of a mute rule has 1 to {_MAX_NAME} characters")
        if not _SHORTEST <= self.duration <= _LONGEST:
            raise SimulationError("the Duration of a mute rule lies between PT1M and P15D")
        if len(self.alarms) > MAX_ALARMS:
            raise SimulationError(f"a mute rule over {len(self.alarms)} alarms; CloudWatch takes at most {MAX_ALARMS}")
        where = zone(self.timezone)
        begin, end = self._limits(where)
        if begin is not None and end is not None and end <= begin:
            raise SimulationError(f"ExpireDate {self.expires} is not after StartDate {self.starts}")
        kind, inside = self._parsed()
        if kind == "at":
            _moment(inside, where, "at")
        else:
            _ticks(inside, datetime(2026, 1, 1, tzinfo=where))

    def windows(self, start: datetime, end: datetime) -> Iterator[Window]:
        """The stretches of time [begin, end) that are muted at any moment from ``start`` to ``end``, in order.

        Occurrences that overlap or touch are one window.
        """
        where = zone(self.timezone)
        first, last = self._limits(where)
        open_since: datetime | None = None
        until = start
        for at in self._occurrences(start - self.duration, end, where):
            begin, close = at if first is None else max(at, first), at + self.duration
            close = close if last is None else min(close, last)
            if close <= begin or close <= start:
                continue
            if open_since is None:
                open_since, until = begin, close
            elif begin <= until:
                until = max(until, close)
            else:
                yield open_since, until
                open_since, until = begin, close
        if open_since is not None and open_since <= end:
            yield open_since, until

    def _occurrences(self, start: datetime, end: datetime, where: tzinfo) -> Iterator[datetime]:
        kind, inside = self._parsed()
        if kind == "at":
            at = _moment(inside, where, "at")
            if at <= end:
                yield at
            return
        # A day earlier: what local time a change of the clocks moves is then seen from before it.
        for tick in _ticks(inside, (start - timedelta(days=1)).astimezone(where)):
            at = tick.astimezone(UTC)
            if at > end:
                return
            yield at

    def _parsed(self) -> tuple[str, str]:
        match = _EXPRESSION.fullmatch(self.expression.strip())
        if match is None or len(self.expression) > _MAX_EXPRESSION:
            raise SimulationError(
                f"schedule {self.expression[:60]!r}: write it as cron(0 2 * * SUN) or at(2026-01-31T14:00)"
            )
        return match.group(1), match.group(2).strip()

    def _limits(self, where: tzinfo) -> tuple[datetime | None, datetime | None]:
        begin = None if self.starts is None else _moment(self.starts, where, "StartDate")
        end = None if self.expires is None else _moment(self.expires, where, "ExpireDate")
        return begin, end


def _ticks(fields: str, since: datetime) -> Iterator[datetime]:
    """The moments of a schedule after ``since``, in its time zone."""
    from cronsim import CronSim, CronSimError

    if len(fields.split()) != 5:
        raise SimulationError(
            f"schedule 'cron({fields[:60]})' has {len(fields.split())} fields; a mute rule has five: "
            "minute, hour, day of month, month, day of week"
        )
    try:
        # The guide's "?" is a day that is left open.
        return CronSim(" ".join("*" if field == "?" else field for field in fields.split()), since)
    except (CronSimError, ValueError) as error:
        reason = f"{str(error)[:1].lower()}{str(error)[1:]}"
        raise SimulationError(f"schedule 'cron({fields[:60]})': {reason}") from None


def _moment(text: str, where: tzinfo, what: str) -> datetime:
    """A date and time in ``where`` unless it names its own zone, as UTC."""
    try:
        at = datetime.fromisoformat(text if what != "at" or _AT.fullmatch(text) else "")
        if at.tzinfo is not None:
            return at.astimezone(UTC)
        local = at.replace(tzinfo=where)
        if local.astimezone(UTC).astimezone(where).replace(tzinfo=None) != at:
            # Skipped by the clocks: the moment at which they jump.
            before = local.replace(fold=1).astimezone(UTC)
            return before + _to_jump(before, where)
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        written = "at(2026-01-31T14:00)" if what == "at" else f"{what} as 2026-01-31T14:00:00Z"
        raise SimulationError(f"{what} {text[:40]!r} is no time; write {written}") from None


def _to_jump(before: datetime, where: tzinfo) -> timedelta:
    """How long after ``before`` the clocks of ``where`` are next put forward."""
    offset = before.astimezone(where).utcoffset()
    for minute in range(24 * 60):
        step = timedelta(minutes=minute)
        if (before + step).astimezone(where).utcoffset() != offset:
            return step
    return timedelta(0)
