"""Applies mute rules to what alarms did: which actions wait for the end of a mute, and which never run.

User guide, page "How alarm mute rules work".  All actions of all states are held back while a window is open; states
go on.  At its end the actions of the state that the alarm is still in run.  Windows of several rules that overlap
count as one.  A mute comes before a suppressor; an action that outlasts the mute still waits for a suppressor.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..alarm import AlarmState
from .changes import Change
from .mute import MuteRule, Window
from .reading import AfterMute


@dataclass(frozen=True, slots=True)
class Muted:
    """One stretch of time in which an alarm is muted, and by which rule first."""

    begin: datetime
    end: datetime
    rule: str


def windows_by_alarm(
    rules: Iterable[MuteRule], known: Iterable[str], start: datetime, end: datetime
) -> dict[str, tuple[Muted, ...]]:
    """When each of the ``known`` alarms is muted, windows of different rules that overlap or touch made one."""
    names = frozenset(known)
    found: dict[str, list[Muted]] = {}
    for rule in rules:
        targets = [name for name in dict.fromkeys(rule.alarms) if name in names]
        if targets:
            mine = [Muted(begin, close, rule.name) for begin, close in rule.windows(start, end)]
            for name in targets:
                found.setdefault(name, []).extend(mine)
    return {name: _merged(spans) for name, spans in found.items() if spans}


def _merged(spans: list[Muted]) -> tuple[Muted, ...]:
    merged: list[Muted] = []
    for span in sorted(spans, key=lambda one: (one.begin, one.end, one.rule)):
        if merged and span.begin <= merged[-1].end:
            merged[-1] = replace(merged[-1], end=max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return tuple(merged)


def mute(
    record: Sequence[Change], muted: Sequence[Muted], held: Sequence[Window], end: datetime, reading: AfterMute
) -> tuple[Change, ...]:
    """The changes of one alarm with the actions that mutes put off or prevent.

    ``held`` are the stretches in which a suppressor holds actions back; nothing runs after ``end``.
    """
    begins = [one.begin for one in muted]
    suppressed = [begin for begin, _ in held]
    changes = list(record)
    for index, change in enumerate(changes):
        if change.acted_at is None:
            continue
        at, by = change.acted_at, None
        leaves = changes[index + 1].at if index + 1 < len(changes) else None
        runs = True
        while True:
            mine = _open(muted, begins, at)
            if mine is not None:
                by = by or mine.rule
                if reading is AfterMute.CHANGED and _state_before(changes, mine.begin) is change.state:
                    runs = False
                at = mine.end
            elif by is not None and (wait := _ends(held, suppressed, at)) is not None:
                at = wait
            else:
                break
        if by is None:
            continue
        if runs and at <= end and (leaves is None or leaves > at):
            changes[index] = replace(change, acted_at=at, muted_by=by)
        else:
            changes[index] = replace(change, actions=(), acted_at=None, muted_by=by)
    return tuple(changes)


def _open(muted: Sequence[Muted], begins: Sequence[datetime], at: datetime) -> Muted | None:
    place = bisect_right(begins, at) - 1
    return muted[place] if place >= 0 and at < muted[place].end else None


def _ends(held: Sequence[Window], begins: Sequence[datetime], at: datetime) -> datetime | None:
    place = bisect_right(begins, at) - 1
    return held[place][1] if place >= 0 and at < held[place][1] else None


def _state_before(changes: Sequence[Change], at: datetime) -> AlarmState:
    """The state an alarm was in just before ``at``."""
    return next((change.from_state for change in changes if change.at >= at), changes[-1].state)


def suppressed_windows(suppressor: Sequence[Change], extension: int, end: datetime) -> tuple[Window, ...]:
    """When a suppressor with this record holds actions back: in ALARM and ``extension`` seconds longer."""
    found: list[Window] = []
    since: datetime | None = None
    for change in suppressor:
        if change.state is AlarmState.ALARM:
            since = change.at if since is None else since
        elif since is not None:
            found.append((since, change.at + timedelta(seconds=extension)))
            since = None
    if since is not None:
        found.append((since, max(end, since) + timedelta(days=1)))
    merged: list[Window] = []
    for begin, close in found:
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], close))
        else:
            merged.append((begin, close))
    return tuple(merged)


def unknown_targets(rules: Iterable[MuteRule], known: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """By rule name the alarms it names that are not evaluated; only rules that name such."""
    names = frozenset(known)
    return {rule.name: lost for rule in rules if (lost := tuple(one for one in rule.alarms if one not in names))}
