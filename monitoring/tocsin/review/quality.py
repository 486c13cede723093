"""Whether the alarms were worth it: what each told in the month, whether budget burned, how it flapped, who took it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ..model import Severity
from .months import moment
from .pack import AlarmQuality, Span, Told

#: How far before an alarm one looks whether budget burned: the shortest long window of its severity (burn_rate.py).
LOOKS_BACK = {Severity.PAGE: timedelta(hours=1), Severity.TICKET: timedelta(days=1)}
#: An alarm that tells again so soon after its end flaps.
FLAPS_WITHIN = timedelta(hours=1)

_ALARM = "ALARM"
_VANISHED = "vanished"


class StateRow(NamedTuple):
    """One change of state of one alarm."""

    at: int
    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class Telling:
    """An alarm that tells somebody, as it was last seen by the end of the month.

    ``first_seen``: when a pull first saw it.  ``gone``: when it was seen to be gone, in the month.
    """

    system: str
    alarm: str
    severity: Severity
    slo: str | None
    kind: str
    first_seen: datetime
    gone: datetime | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """What the on-call tool says of one alert."""

    opened: datetime
    acknowledged: datetime | None
    closed: datetime | None


def telling_alarms(rows: Iterable[Sequence[object]], start: datetime, end: datetime) -> tuple[Telling, ...]:
    """The alarms of ``read.alarms`` that could tell at some time of the month, in the order of their names."""
    history: dict[tuple[str, str], list[tuple[datetime, str, str | None, str]]] = defaultdict(list)
    for system, alarm, since, severity, slo, kind in rows:
        history[str(system), str(alarm)].append(
            (moment(int(str(since))), str(severity), None if slo is None else str(slo), str(kind))
        )
    first: dict[str, datetime] = {}
    for (system, _), all_seen in history.items():
        first[system] = min(all_seen[0][0], first.get(system, all_seen[0][0]))
    found = []
    for (system, alarm), all_seen in sorted(history.items()):
        if all_seen[0][0] >= end and all_seen[0][0] > first[system]:
            continue  # others of its system were there before it
        # What the first pull saw after the month was there before anybody looked.
        seen = [one for one in all_seen if one[0] < end] or all_seen[:1]
        last = [one for one in seen if one[1] != _VANISHED]
        if not last:
            continue
        gone = seen[-1][0] if seen[-1][1] == _VANISHED else None
        if gone is not None and gone <= start:
            continue
        _, severity, slo, kind = last[-1]
        found.append(Telling(system, alarm, Severity(severity), slo, kind, seen[0][0], gone))
    return tuple(found)


def told_of(alarm: Telling, rows: Sequence[StateRow], until: datetime) -> tuple[Told, ...]:
    """Each time that an alarm told somebody: each change to ALARM, whatever it came from.

    ``rows`` are in order.  An alarm whose first known change leaves ALARM was in it before: it told at an unknown time, which
    is not counted.
    """
    found: list[Told] = []
    state: str | None = None
    for row in rows:
        if row.after == _ALARM and (row.before or state) != _ALARM:
            if found and found[-1].until is None:  # how that one ended is not in the history
                found[-1] = replace(found[-1], until=moment(row.at))
            found.append(Told(alarm.alarm, alarm.severity, moment(row.at), None))
        elif row.after != _ALARM and found and found[-1].until is None:
            found[-1] = replace(found[-1], until=moment(row.at))
        state = row.after
    if alarm.gone is not None and found and found[-1].until is None and alarm.gone < until:
        found[-1] = replace(found[-1], until=alarm.gone)
    return tuple(found)


def in_alarm(rows: Sequence[StateRow], month: Span, gone: datetime | None = None) -> timedelta:
    """How long an alarm was in ALARM from the start of ``month`` to its end, or until it was ``gone``."""
    last = month.end if gone is None else min(month.end, gone)
    total, since = timedelta(0), month.start if rows and rows[0].before == _ALARM else None
    for row in rows:
        at = min(max(moment(row.at), month.start), last)
        if row.after == _ALARM:
            since = at if since is None else since
        elif since is not None:
            total += at - since
            since = None
    return total if since is None else total + max(timedelta(0), last - since)


def quality_of(
    alarm: Telling,
    told: Sequence[Told],
    burned: Collection[datetime],
    rows: Sequence[StateRow],
    alerts: Iterable[Alert],
    month: Span,
    zone: ZoneInfo,
    night: tuple[int, int],
) -> AlarmQuality:
    """What an alarm did in the month; of ``told``, those before it only matter to whether the first flapped.

    ``burned`` are the moments of those during or shortly before which budget of its SLO burned.
    """
    counted = [one for one in told if month.start <= one.at < month.end]
    flaps = sum(
        1
        for before, one in pairwise(told)
        if one.at >= month.start and before.until is not None and one.at - before.until <= FLAPS_WITHIN
    )
    mine = sorted(alerts, key=lambda one: one.opened)
    return AlarmQuality(
        alarm=alarm.alarm,
        system=alarm.system,
        severity=alarm.severity,
        slo=alarm.slo,
        kind=alarm.kind,
        told=len(counted),
        burning=None if alarm.slo is None else sum(1 for one in counted if one.at in burned),
        night=sum(1 for one in counted if is_night(one.at, zone, night)),
        flaps=flaps,
        in_alarm=in_alarm(rows, month, alarm.gone),
        acknowledged=tuple(one.acknowledged - one.opened for one in mine if one.acknowledged is not None),
        closed=tuple(one.closed - one.opened for one in mine if one.closed is not None),
    )


def is_night(at: datetime, zone: ZoneInfo, night: tuple[int, int]) -> bool:
    """Whether the local hour of ``at`` lies in the night, which may go over midnight."""
    hour, (begins, ends) = at.astimezone(zone).hour, night
    return begins <= hour < ends if begins <= ends else hour >= begins or hour < ends


def burn_spans(told: Iterable[tuple[Telling, Told]], until: datetime) -> list[tuple[int, str, str, datetime, datetime]]:
    """Where to look for burning budget (see ``read.burned``), numbered like ``told``; only an alarm on an SLO has a span."""
    return [
        (number, alarm.system, alarm.slo, one.at - LOOKS_BACK[one.severity], one.until or until)
        for number, (alarm, one) in enumerate(told)
        if alarm.slo is not None
    ]
