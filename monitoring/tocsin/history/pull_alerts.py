"""The part of a pull that reads what the on-call tool says of the alerts of our alarms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from ..errors import PagingError
from ..paging.drill_marks import is_drill
from .gaps import Moments, without
from .pull_scope import Scope, by_gaps
from .source import AlertSource

# What is asked in one go: a pull that is ended, or that the tool refuses, has what was read before.
_AT_ONCE = timedelta(days=30)
# The tools tell milliseconds.
_MOMENT = timedelta(milliseconds=1)


def read_alerts(source: AlertSource, scope: Scope) -> tuple[int, str]:
    """Write the alerts that are not there yet, and those anew that were open; how many, and why not all of them if so.

    Alerts of drills are left out.
    """
    found = 0
    before = {name: dict(ledger.open_alerts) for name, ledger in scope.ledgers.items()}
    try:
        for spans, owner in _groups(scope):
            for start, end in _cut(spans):
                found += _read(source, scope, owner, [(start, end)], (start, end))
        owner = {alarm: name for name, those in before.items() for alarm, _ in those}
        moments = sorted({opened for those in before.values() for _, opened in those})
        if moments:
            found += _read(source, scope, owner, [(opened, opened + _MOMENT) for opened in moments], None)
    except PagingError as error:
        return found, str(error)
    return found, ""


def _groups(scope: Scope) -> Iterator[tuple[Sequence[Moments], Mapping[str, str]]]:
    """What is missing, and alarm → system of those that it is missing of; a system without alarms is not asked for."""
    alarms, gaps = {}, {}
    for system in scope.systems:
        ledger = scope.ledgers[system.name]
        alarms[system.name] = {alarm.name for alarm in system.alarms} | ledger.alarms
        since = scope.reach(system.slos, ledger.alerts_covered(), ledger.lost)
        gaps[system.name] = without([(since, scope.until)], ledger.alerts_covered())
    telling = [system for system in scope.systems if alarms[system.name]]
    for spans, those in by_gaps(telling, gaps).items():
        yield spans, {alarm: system.name for system in those for alarm in sorted(alarms[system.name])}


def _cut(spans: Sequence[Moments]) -> Iterator[Moments]:
    for begin, end in spans:
        start = begin
        while start < end:
            yield start, min(start + _AT_ONCE, end)
            start += _AT_ONCE


def _read(
    source: AlertSource, scope: Scope, owner: Mapping[str, str], spans: Sequence[Moments], covers: Moments | None
) -> int:
    """Ask for the alerts of these alarms and write them, then that ``covers`` has been read."""
    told = [one for one in source(spans, sorted(owner)) if one.alias in owner and not is_drill(one.description)]
    return sum(
        scope.ledgers[name].add_alerts([one for one in told if owner[one.alias] == name], covers)
        for name in dict.fromkeys(owner.values())
    )
