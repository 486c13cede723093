"""Incidents of a month: what spent its budget, who told of it and how late; and when a heartbeat was broken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from math import ceil

from ..model import Severity
from .months import Stretch, joined, moment, within
from .pack import Count, Incident, Span, Told
from .read import JOINED_OVER, SCALE, fraction

#: An incident is listed when it spent at least this share of the month's budget.
LISTED_FROM = Fraction(1, 100)
#: How far before the month an incident is followed back to its start, and alarms to when they told.
LOOK_BACK = timedelta(days=3)
#: How far after the month one looks whether an incident lasts: a gap longer than joins, and one period.
LOOK_AHEAD = timedelta(seconds=JOINED_OVER + 3600)

_GAP = timedelta(seconds=JOINED_OVER)


def least_bad(month: Count) -> int | None:
    """From how many bad events on, in thousandths, an incident is listed; None where there is no budget."""
    return ceil(month.allowed * LISTED_FROM * SCALE) if month.allowed else None


def incident_of(row: tuple[int, int, int, int], month: Count, *, running: bool) -> Incident:
    """An incident from begin, end, bad and valid events (see ``read.incidents``), cut at the borders of the month.

    In a ``running`` month it is open while its last burning period is no further from the end of the data than a gap that
    would be joined.
    """
    begin, end = moment(row[0]), moment(row[1])
    bad = fraction(row[2])
    span = Span(max(begin, month.span.start), min(end, month.span.end))
    still = end >= month.span.end - _GAP if running else end > month.span.end
    return Incident(
        span=span,
        bad=bad,
        valid=fraction(row[3]),
        spent=bad / month.allowed,
        open=still,
        began=begin if begin < month.span.start else None,
    )


def with_told(incident: Incident, told: Iterable[Told]) -> Incident:
    """The incident with the first alarm that told of it, of those of its SLO.

    An alarm may still tell shortly after the end, because it looks back over its window.  One that was in ALARM already
    when it began told of it at once, if no other did.
    """
    begin = incident.began or incident.span.start
    inside = [one for one in told if begin <= one.at <= incident.span.end + _GAP]
    if inside:
        first = min(inside, key=lambda one: (one.at, one.severity is not Severity.PAGE, one.alarm))
        return replace(incident, told=first, delay=first.at - begin)
    before = [one for one in told if one.at < begin and (one.until is None or one.until > begin)]
    if not before:
        return incident
    first = min(before, key=lambda one: (one.severity is not Severity.PAGE, one.at, one.alarm))
    return replace(incident, told=first, delay=timedelta(0))


def small_spent(month: Count, listed: Iterable[Incident]) -> Fraction:
    """The share of the budget that went elsewhere: in smaller incidents, and in periods that did not burn."""
    if not month.allowed:
        return Fraction(0)
    return (month.bad - sum((one.bad for one in listed), Fraction(0))) / month.allowed


def broken_spans(
    successes: Sequence[tuple[int, int, int | None]],
    asked: Sequence[Stretch],
    limit: int,
    start: datetime,
    end: datetime,
) -> tuple[Span, ...]:
    """When a heartbeat was broken: no success for longer than ``limit`` seconds.

    ``successes`` are periods with one: begin, end, and begin of the next (see ``read.lone_successes``).  A success may
    lie anywhere in its period, so the time since it is counted from the period's end; what was not asked may hide one,
    so the time starts anew behind a gap.  What is said to be broken was.
    """
    first, last = int(start.timestamp()), int(end.timestamp())
    silent = [(0, successes[0][0])] if successes else [(0, last)]
    silent += [(ended, last if following is None else following) for _, ended, following in successes]
    found = [(begin + limit, until) for gap in silent for begin, until in within(asked, *gap) if until - begin > limit]
    return tuple(Span(moment(a), moment(b)) for a, b in within(joined(found), first, last))
