"""Counts, budgets and states from sums of events: what was promised when, what was delivered, what is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import NamedTuple

from ..errors import InputError
from .months import Stretch, joined, length, moment, seconds, within
from .pack import Count, InForce, Span, State, WhatIf
from .read import SCALE, fraction

#: Objectives that people choose, in percent; the next tighter and looser one are the "what if".
LADDER = tuple(
    Fraction(percent) / 100
    for percent in ("90", "95", "98", "99", "99.5", "99.8", "99.9", "99.95", "99.99", "99.995", "99.999")
)
VANISHED = "vanished"
HEARTBEAT = "heartbeat"

_HALF = Fraction(1, 2)
_BEFORE_ALL = 0
_AFTER_ALL = 253_402_300_799


class Sum(NamedTuple):
    """Events in the stretch from ``begin`` on under one objective, p/q; counts in thousandths (see ``read.sums``)."""

    p: int | None
    q: int | None
    begin: int
    good: int
    valid: int
    live: int


@dataclass(frozen=True, slots=True)
class Promise:
    """One row of the promise table with its end; ``since`` is None where it holds for all time before.

    ``first_seen`` is the moment that the row itself names.
    """

    since: int | None
    until: int | None
    first_seen: int
    kind: str
    objective: Fraction | None
    seconds: int
    good: str
    owner: str

    @property
    def stretch(self) -> Stretch:
        """From when to when it is in force."""
        return (
            _BEFORE_ALL if self.since is None else self.since,
            _AFTER_ALL if self.until is None else self.until,
        )


def read_promises(rows: Sequence[tuple[int, str, str | None, int, str, str]]) -> tuple[Promise, ...]:
    """The rows of one SLO (since, kind, objective, seconds, good, owner), in order, with their ends.  Raises InputError."""
    found = []
    for number, (since, kind, objective, length_, good, owner) in enumerate(rows):
        until = rows[number + 1][0] if number + 1 < len(rows) else None
        promised = None
        if objective is not None:
            try:
                promised = Fraction(objective)
            except (ValueError, ZeroDivisionError):
                raise InputError(
                    f"the history's promise table: objective {objective!r} is no fraction such as 999/1000; pull again"
                ) from None
        found.append(Promise(since if number else None, until, since, kind, promised, length_, good, owner))
    return tuple(found)


def in_force(promises: Iterable[Promise], begin: int, end: int) -> tuple[Promise, ...]:
    """Those in force at some time from ``begin`` to ``end``; a vanished one is not."""
    return tuple(
        one
        for one in promises
        if one.kind != VANISHED and one.stretch[0] < end and one.stretch[1] > begin and one.stretch[0] < one.stretch[1]
    )


def as_in_force(promises: Iterable[Promise]) -> tuple[InForce, ...]:
    """What the pack says of them: neighbours that promise the same are one."""
    found: list[InForce] = []
    for one in promises:
        window = timedelta(seconds=one.seconds)
        if not found or (found[-1].objective, found[-1].window) != (one.objective, window):
            found.append(InForce(None if one.since is None else moment(one.since), one.objective, window))
    return tuple(found)


def count_of(span: Span, sums: Iterable[Sum], asked: Sequence[Stretch], promises: Iterable[Promise]) -> Count:
    """The events of a span.  ``asked`` are joined stretches; what was asked while nothing was promised does not count."""
    good = valid = live = 0
    under: dict[tuple[int, int], int] = {}
    for one in sums:
        good += one.good
        valid += one.valid
        live += one.live
        if one.p is not None and one.q is not None:
            under[one.p, one.q] = under.get((one.p, one.q), 0) + one.valid
    allowed = sum((Fraction(count * (q - p), q) for (p, q), count in under.items()), Fraction(0)) / SCALE
    begin, end = seconds(span.start), seconds(span.end)
    known = length(within(promised_time(asked, promises), begin, end))
    whole = end - begin
    return Count(
        span=span,
        good=fraction(good),
        valid=fraction(valid),
        allowed=allowed,
        covered=Fraction(known, whole) if whole > 0 else Fraction(0),
        silent=max(Fraction(0), 1 - Fraction(live, known)) if known else Fraction(0),
    )


def promised_time(asked: Sequence[Stretch], promises: Iterable[Promise]) -> list[Stretch]:
    """What of ``asked`` lies where something was promised."""
    return joined(piece for one in promises if one.kind != VANISHED for piece in within(asked, *one.stretch))


def state_of(count: Count) -> State:
    """How a promise that has a budget stands after ``count``."""
    if not count.valid:
        return State.NO_DATA if count.covered else State.UNKNOWN
    return state_at(count.bad, count.allowed)


def state_at(bad: Fraction, allowed: Fraction) -> State:
    """How it stands with so many bad events, of so many that are allowed."""
    if allowed < 1:
        return State.TOO_FEW
    if bad > allowed:
        return State.BROKEN
    return State.AT_RISK if bad > allowed * _HALF else State.KEPT


def what_if(count: Count, objective: Fraction | None) -> tuple[WhatIf, ...]:
    """The same events under the next looser and the next tighter objective."""
    if objective is None or not count.valid:
        return ()
    looser = [one for one in LADDER if one < objective][-1:]
    tighter = [one for one in LADDER if one > objective][:1]
    found = []
    for other in (*looser, *tighter):
        allowed = count.valid * (1 - other)
        found.append(WhatIf(other, count.bad / allowed, state_at(count.bad, allowed)))
    return tuple(found)
