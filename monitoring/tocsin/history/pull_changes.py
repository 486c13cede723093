"""The part of a pull that reads the alarm history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..errors import TocsinError
from .gaps import without
from .pull_scope import LONGEST, Scope, by_gaps
from .source import Source
from .watched import PulledSystem


def read_changes(source: Source, scope: Scope) -> int:
    """Write the changes of alarm states that are not there yet; how many requests that took."""
    kept = source.kept_changes
    oldest = scope.until - LONGEST if kept is None else scope.now - kept
    since = oldest if scope.since is None else max(oldest, scope.since)
    gaps = {name: without([(since, scope.until)], ledger.alarms_covered()) for name, ledger in scope.ledgers.items()}
    requests = 0
    for spans, those in by_gaps(scope.systems, gaps).items():
        for start, end in spans:
            try:
                requests += _read_span(source, scope, those, start, end)
            except TocsinError as error:
                scope.tell([system.name for system in those], str(error))
                break
    return requests


def _read_span(source: Source, scope: Scope, systems: Sequence[PulledSystem], start: datetime, end: datetime) -> int:
    owner: dict[str, str] = {}
    for system in systems:
        names = {alarm.name for alarm in system.alarms} | scope.ledgers[system.name].alarms
        owner |= dict.fromkeys(names, system.name)
    history = source.changes(sorted(owner), start, end)
    rows: dict[str, list[tuple[object, ...]]] = {system.name: [] for system in systems}
    for one in history.changes:
        before = None if one.before is None else one.before.value
        rows[owner[one.alarm]].append((one.alarm, one.at, before, one.after.value, one.reason))
    for name, those in rows.items():
        scope.ledgers[name].add_changes(those, start, end)
    return history.requests
