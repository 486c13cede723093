"""Gives a review as values for a machine: everything that the report shows, exact where it was reckoned exactly.

The keys, which stay as they are within one ``version``::

    version       1
    month         "2026-10"; span {start, end} its bounds, zone the zone they are midnights of
    environment, until (the end of data), night [from hour, to hour]
    slos[]        system, slo, owner, kind, good (completes "the share of …"), state, words, notes[]
      in_force[]    since (null: from the beginning), objective, window_seconds
      month, rolling   counts: span, good, bad, valid, allowed, covered, silent, attained, spent; never to be added up
      trend[]       month, attained
      days[]        day, attained, valid, covered
      burn_down     {at[], left[], left_exact[]}: the budget left at each hour's end
      burn_rates[]  {window_seconds, at[], rate[], rate_exact[]}; null where there is no data
      incidents[]   span, began (null: within the month), bad, valid, spent, told, delay_seconds, open
      small_spent   what is not in the incidents
      what_if[]     objective, spent, state
      broken[]      spans of a heartbeat
      told[]        alarm, severity, at, until (null: it lasts)
    alarms[]      alarm, system, severity, slo, kind, told, burning (null: a cause), night, flaps, in_alarm_seconds,
                  acknowledged_seconds[], closed_seconds[]
    suggestions[] system, alarm, change, because
    actions[]     key, what, owner, due, decided, system, slo, done, overdue
    decisions[]   system, slo, policy, because
    changes[]     sentences;  gaps[] where, what

A ratio, a count or a share of budget is ``{"exact": "999/1000", "value": 0.999}``, or null where there is none.
Moments are UTC, ``2026-10-14T07:32:00Z``; days are the zone's; durations are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from .pack import AlarmQuality, Count, Incident, Pack, SloReview, Span, Told
from .shown import iso

VERSION = 1


def as_json(pack: Pack) -> dict[str, Any]:
    """The whole review.  See this file's docstring for the keys."""
    return {
        "version": VERSION,
        "month": pack.month,
        "span": _span(pack.span),
        "zone": pack.zone,
        "environment": pack.environment,
        "until": iso(pack.until),
        "night": list(pack.night),
        "slos": [_slo(review) for review in pack.slos],
        "alarms": [_alarm(alarm) for alarm in pack.alarms],
        "suggestions": [
            {"system": one.system, "alarm": one.alarm, "change": one.change, "because": one.because}
            for one in pack.suggestions
        ],
        "actions": [
            {
                "key": item.key,
                "what": item.what,
                "owner": item.owner,
                "due": item.due.isoformat(),
                "decided": item.decided,
                "system": item.system,
                "slo": item.slo,
                "done": item.done.isoformat() if item.done else None,
                "overdue": item.overdue,
            }
            for item in pack.actions
        ],
        "decisions": [
            {"system": one.system, "slo": one.slo, "policy": one.policy, "because": one.because}
            for one in pack.decisions
        ],
        "changes": list(pack.changes),
        "gaps": [{"where": gap.where, "what": gap.what} for gap in pack.gaps],
    }


def _exact(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


def _number(value: Fraction | None) -> dict[str, Any] | None:
    return None if value is None else {"exact": _exact(value), "value": float(value)}


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()


def _span(span: Span) -> dict[str, str]:
    return {"start": iso(span.start), "end": iso(span.end)}


def _count(count: Count) -> dict[str, Any]:
    return {
        "span": _span(count.span),
        "good": _number(count.good),
        "bad": _number(count.bad),
        "valid": _number(count.valid),
        "allowed": _number(count.allowed),
        "covered": _number(count.covered),
        "silent": _number(count.silent),
        "attained": _number(count.attained),
        "spent": _number(count.spent),
    }


def _series(points: Iterable[tuple[datetime, Fraction | None]], name: str) -> dict[str, list[Any]]:
    """Columns rather than an object a point: a month has 744 of them in each of five series."""
    at: list[str] = []
    values: list[float | None] = []
    exact: list[str | None] = []
    for moment, value in points:
        at.append(iso(moment))
        values.append(None if value is None else float(value))
        exact.append(None if value is None else _exact(value))
    return {"at": at, name: values, f"{name}_exact": exact}


def _slo(review: SloReview) -> dict[str, Any]:
    return {
        "system": review.system,
        "slo": review.slo,
        "owner": review.owner,
        "kind": review.kind,
        "good": review.good,
        "state": review.state.value,
        "words": review.words,
        "notes": list(review.notes),
        "in_force": [
            {
                "since": iso(promise.since) if promise.since else None,
                "objective": _number(promise.objective),
                "window_seconds": _seconds(promise.window),
            }
            for promise in review.in_force
        ],
        "month": _count(review.month),
        "rolling": _count(review.rolling),
        "trend": [{"month": month, "attained": _number(value)} for month, value in review.trend],
        "days": [
            {
                "day": day.day.isoformat(),
                "attained": _number(day.attained),
                "valid": _number(day.valid),
                "covered": _number(day.covered),
            }
            for day in review.days
        ],
        "burn_down": _series(review.burn_down, "left"),
        "burn_rates": [
            {"window_seconds": seconds, **_series(points, "rate")}
            for seconds, points in sorted(review.burn_rates.items())
        ],
        "incidents": [_incident(incident) for incident in review.incidents],
        "small_spent": _number(review.small_spent),
        "what_if": [
            {"objective": _number(what.objective), "spent": _number(what.spent), "state": what.state.value}
            for what in review.what_if
        ],
        "broken": [_span(span) for span in review.broken],
        "told": [_told(told) for told in review.told],
    }


def _told(told: Told) -> dict[str, Any]:
    return {
        "alarm": told.alarm,
        "severity": told.severity.value,
        "at": iso(told.at),
        "until": iso(told.until) if told.until else None,
    }


def _incident(incident: Incident) -> dict[str, Any]:
    return {
        "span": _span(incident.span),
        "began": iso(incident.began) if incident.began else None,
        "bad": _number(incident.bad),
        "valid": _number(incident.valid),
        "spent": _number(incident.spent),
        "told": _told(incident.told) if incident.told else None,
        "delay_seconds": _seconds(incident.delay),
        "open": incident.open,
    }


def _alarm(alarm: AlarmQuality) -> dict[str, Any]:
    return {
        "alarm": alarm.alarm,
        "system": alarm.system,
        "severity": alarm.severity.value,
        "slo": alarm.slo,
        "kind": alarm.kind,
        "told": alarm.told,
        "burning": alarm.burning,
        "night": alarm.night,
        "flaps": alarm.flaps,
        "in_alarm_seconds": _seconds(alarm.in_alarm),
        "acknowledged_seconds": [took.total_seconds() for took in alarm.acknowledged],
        "closed_seconds": [took.total_seconds() for took in alarm.closed],
    }
