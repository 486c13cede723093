"""Everything that a review needs of a history, asked in a few statements and laid out by SLO and by alarm."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from ..history.engine import Engine
from ..history.layout import is_table_file, keys_of
from ..history.schema import ALARM_STATE, SLI
from . import read
from .budget import HEARTBEAT, VANISHED, Promise, Sum, read_promises
from .burn import LONGEST_WINDOW
from .incidents import LOOK_BACK
from .months import HOUR, Stretch, grid, joined, local_days, moment, month_span, months_before, seconds, without
from .pack import Span
from .quality import Alert, StateRow

Row = TypeVar("Row")

#: (system, SLO) and (system, alarm)
Name = tuple[str, str]

TREND_MONTHS = 3


@dataclass(frozen=True, slots=True)
class Period:
    """The month that is reviewed: its ``span``, ``until`` when there can be data of it, and its local ``days``.

    ``before`` are the months of the trend, oldest first.  Sums are kept for stretches of ``grid`` seconds.
    """

    month: str
    span: Span
    until: datetime
    zone: ZoneInfo
    grid: int
    days: tuple[tuple[date, Span], ...]
    before: tuple[tuple[str, Span], ...]

    @property
    def running(self) -> bool:
        """The month is not over."""
        return self.until < self.span.end

    @property
    def data(self) -> Span:
        """From its start to ``until``."""
        return Span(self.span.start, self.until)


def period_of(month: str, span: Span, now: datetime, last_asked: datetime, zone: ZoneInfo) -> Period:
    """The period of a month: over, or running up to the last whole hour that was asked by ``now``."""
    size = grid(local_days(span, zone))
    until = span.end
    if now < span.end:
        until = min(now, last_asked, span.end)
        until = moment(seconds(until) - seconds(until) % size)
    days = local_days(Span(span.start, max(until, span.start)), zone)
    before = tuple((name, month_span(name, zone)) for name in months_before(month, TREND_MONTHS))
    return Period(month, span, until, zone, size, days, before)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was read.  ``sums`` begin ``LONGEST_WINDOW`` before the month; ``totals`` are of the time before the month, a
    row for each stretch between ``cuts``.  ``asked`` are joined stretches."""

    promises: Mapping[Name, tuple[Promise, ...]]
    asked: Mapping[Name, Sequence[Stretch]]
    sums: Mapping[Name, Sequence[Sum]]
    totals: Mapping[Name, Sequence[Sum]]
    successes: Mapping[Name, Sequence[tuple[int, int, int | None]]]
    straddling: frozenset[Name]
    alarms: Sequence[Sequence[Any]]
    states: Mapping[Name, Sequence[StateRow]]
    alarms_asked: Mapping[str, Sequence[Stretch]]
    fired: frozenset[Name]
    silent_since: datetime
    alerts: Mapping[Name, Sequence[Alert]]


def read_recorded(engine: Engine, scope: read.Scope, period: Period) -> Recorded:
    """Ask the engine.  Raises what it raises."""
    start, until = period.span.start, period.until
    promises = {name: read_promises(rows) for name, rows in _grouped(engine.rows(read.promises(scope)), tuple).items()}
    cuts = _cuts(period, promises)
    sums = _grouped(engine.rows(read.sums(scope, start - LONGEST_WINDOW, until, period.grid)), Sum._make)
    totals = {
        name: [one._replace(begin=seconds(cuts[one.begin])) for one in rows]
        for name, rows in _grouped(engine.rows(read.totals(scope, cuts)), Sum._make).items()
    }
    limits = [one.seconds for rows in promises.values() for one in rows if one.kind == HEARTBEAT]
    successes: dict[Name, list[tuple[int, int, int | None]]] = {}
    if limits:
        since = start - timedelta(seconds=max(limits) + HOUR)
        successes = _grouped(engine.rows(read.lone_successes(scope, since, until)), tuple)
    borders = [start, until] if period.grid != HOUR else []
    straddling = {(row[0], row[1]) for row in (engine.rows(read.straddling(scope, borders)) if borders else ())}
    silent_since = month_span(months_before(period.month, TREND_MONTHS - 1)[0], period.zone).start
    asked = _grouped(engine.rows(read.coverage(scope, min(cuts[0], start - LOOK_BACK), until)), tuple)
    alarms_asked: dict[str, list[Stretch]] = defaultdict(list)
    for system, begin, end in engine.rows(read.alarm_coverage(scope, silent_since, until)):
        alarms_asked[system].append((begin, end))
    alerts = _grouped(engine.rows(read.alerts(scope, silent_since, until)), _alert)
    states = _grouped(engine.rows(read.states(scope, start - LOOK_BACK, until)), _state)
    fired = frozenset((row[0], row[1]) for row in engine.rows(read.fired(scope, silent_since, until)))
    alarms = engine.rows(read.alarms(scope))
    # Only now is it known which files could not be read: what they held is not silent but unknown.
    lost = _lost((path for path, _ in engine.skipped), scope.environment)
    return Recorded(
        promises=promises,
        asked={name: _less(joined(rows), lost[SLI.name, name[0]]) for name, rows in asked.items()},
        sums=sums,
        totals=totals,
        successes=successes,
        straddling=frozenset(straddling),
        alarms=alarms,
        states=states,
        alarms_asked={
            system: _less(joined(rows), lost[ALARM_STATE.name, system]) for system, rows in alarms_asked.items()
        },
        fired=fired,
        silent_since=silent_since,
        alerts=alerts,
    )


def _cuts(period: Period, promises: Mapping[Name, Sequence[Promise]]) -> list[datetime]:
    """Where the time before the month is cut: at the borders of months and where rolling windows begin."""
    windows = {one.seconds for rows in promises.values() for one in rows if one.kind not in (HEARTBEAT, VANISHED)}
    begins = {period.until - timedelta(seconds=window) for window in windows} | {
        span.start for _, span in period.before
    }
    return [*sorted(begin for begin in begins if begin < period.span.start), period.span.start]


def _grouped(rows: Iterable[Sequence[Any]], made: Callable[[Sequence[Any]], Row]) -> dict[Name, list[Row]]:
    """Rows by their first two columns, made of the others; the rows are in order of those two."""
    found: dict[Name, list[Row]] = {}
    last: Hashable = None
    mine: list[Row] = []
    for row in rows:
        name = (row[0], row[1])
        if name != last:
            last, mine = name, found.setdefault(name, [])
        mine.append(made(row[2:]))
    return found


def _state(row: Sequence[Any]) -> StateRow:
    at, before, after = row
    return StateRow(at // 1000, before, after)


def _alert(row: Sequence[Any]) -> Alert:
    opened, acknowledged, closed = row
    return Alert(
        moment(opened),
        None if acknowledged is None else moment(acknowledged),
        None if closed is None else moment(closed),
    )


_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


def _lost(paths: Iterable[str], environment: str) -> Mapping[tuple[str, str], list[Stretch]]:
    """By table and system, the months of UTC whose file could not be read.

    A file of another version or of another environment takes nothing away from this one's.
    """
    found: dict[tuple[str, str], list[Stretch]] = defaultdict(list)
    for path in paths:
        for table in (SLI, ALARM_STATE):
            if is_table_file(path, table):
                of, system, month = keys_of(path)
                if of == environment and _MONTH.fullmatch(month):
                    span = month_span(month, ZoneInfo("UTC"))
                    found[table.name, system].append((seconds(span.start), seconds(span.end)))
    return found


def _less(asked: Sequence[Stretch], lost: Sequence[Stretch]) -> list[Stretch]:
    gone = joined(lost)
    return [piece for one in asked for piece in without(one, gone)] if gone else list(asked)
