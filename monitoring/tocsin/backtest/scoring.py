"""Scores firings against incidents: recall, precision, false alarms a week, time to detect."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..alarm import AlarmState
from ..simulate.timeline import Timeline
from .incident import Incident

Span = tuple[datetime, datetime]
_WEEK = timedelta(weeks=1)
_NOTHING = timedelta()


@dataclass(frozen=True, slots=True)
class Firing:
    """One stretch of an alarm in ALARM, [start, end).

    ``told`` is when its actions ran; None if they did not: there are none, or they were suppressed or muted.  ``from_start``: the
    alarm was in ALARM when the timeline began, so nobody knows since when.
    """

    alarm: str
    start: datetime
    end: datetime
    told: datetime | None = None
    from_start: bool = False


@dataclass(frozen=True, slots=True)
class Detection:
    """How an incident was seen: ``delay`` after its start; zero and ``already`` if the alarm had been in ALARM before."""

    incident: str
    delay: timedelta
    already: bool
    by: str


@dataclass(frozen=True, slots=True)
class Score:
    """How good one alarm, or a set of alarms, was.

    ``incidents`` are the names of those it should have seen, ``detections`` one for each that it saw.  ``true_firings`` of
    its ``firings`` overlap an incident.  ``outside`` is the time in which a firing would have been a false alarm,
    ``in_alarm`` the time in ALARM, ``in_alarm_outside`` the part of it outside.
    """

    name: str
    incidents: tuple[str, ...]
    detections: tuple[Detection, ...]
    firings: int
    true_firings: int
    in_alarm: timedelta
    in_alarm_outside: timedelta
    outside: timedelta

    @property
    def recall(self) -> float | None:
        """Incidents seen / incidents; None without incidents."""
        return len(self.detections) / len(self.incidents) if self.incidents else None

    @property
    def precision(self) -> float | None:
        """Firings that overlap an incident / firings; None without firings."""
        return self.true_firings / self.firings if self.firings else None

    @property
    def false_alarms(self) -> int:
        """Firings that overlap no incident."""
        return self.firings - self.true_firings

    @property
    def false_alarms_per_week(self) -> float | None:
        """False alarms / weeks outside incidents; None if there is no such time."""
        return self.false_alarms / (self.outside / _WEEK) if self.outside else None

    @property
    def median_delay(self) -> timedelta | None:
        """The median over the incidents that were seen; None if none was."""
        if not self.detections:
            return None
        return timedelta(seconds=statistics.median(one.delay.total_seconds() for one in self.detections))

    @property
    def already(self) -> int:
        """Incidents that were only seen because the alarm had been in ALARM before they began."""
        return sum(one.already for one in self.detections)

    @property
    def missed(self) -> tuple[str, ...]:
        """The names of the incidents that were not seen."""
        seen = {one.incident for one in self.detections}
        return tuple(name for name in self.incidents if name not in seen)

    @property
    def noise(self) -> float | None:
        """Share of the time outside incidents that was spent in ALARM; None if there is no such time."""
        return self.in_alarm_outside / self.outside if self.outside else None

    def as_json(self) -> dict[str, Any]:
        """The figures; durations in seconds."""
        delay, rate, noise = self.median_delay, self.false_alarms_per_week, self.noise
        return {
            "incidents": len(self.incidents),
            "seen": len(self.detections),
            "missed": list(self.missed),
            "recall": _rounded(self.recall),
            "precision": _rounded(self.precision),
            "firings": self.firings,
            "false_alarms": self.false_alarms,
            "false_alarms_per_week": _rounded(rate),
            "median_delay_seconds": None if delay is None else int(delay.total_seconds()),
            "in_alarm_before": self.already,
            "in_alarm_seconds": int(self.in_alarm.total_seconds()),
            "in_alarm_outside_incidents": _rounded(noise),
            "outside_incidents_seconds": int(self.outside.total_seconds()),
        }


def firings(timeline: Timeline) -> dict[str, tuple[Firing, ...]]:
    """The firings of each alarm of a timeline, by name; one that lasts to the end ends there."""
    found = {}
    for name, changes in timeline.changes.items():
        mine: list[Firing] = []
        since: Firing | None = None
        for index, change in enumerate(changes):
            if change.state is AlarmState.ALARM:
                if since is None:
                    first = index == 0
                    since = Firing(name, change.at, timeline.end, change.acted_at if change.actions else None, first)
            elif since is not None:
                mine.append(Firing(name, since.start, change.at, since.told, since.from_start))
                since = None
        if since is not None:
            mine.append(since)
        found[name] = tuple(one for one in mine if one.start < one.end)
    return found


def able(timeline: Timeline, watched: Sequence[Span]) -> dict[str, list[Span]]:
    """When in ``watched`` each alarm was in OK or ALARM, by name: with INSUFFICIENT_DATA it can raise no false alarm."""
    found = {}
    for name, changes in timeline.changes.items():
        ends = [*(change.at for change in changes[1:]), timeline.end]
        spans = [
            (change.at, end)
            for change, end in zip(changes, ends, strict=True)
            if change.state is not AlarmState.INSUFFICIENT_DATA
        ]
        found[name] = intersect(merge(spans), merge(watched))
    return found


def score_alarm(name: str, fired: Iterable[Firing], incidents: Sequence[Incident], watched: Sequence[Span]) -> Score:
    """Score one alarm by the incidents that concern it.  ``watched`` is the time that counts, as disjoint spans."""
    mine = [one for one in incidents if one.concerns(name)]
    return _score(name, {name: tuple(fired)}, mine, {name: watched})


def score_set(
    name: str,
    fired: Mapping[str, Sequence[Firing]],
    incidents: Sequence[Incident],
    watched: Mapping[str, Sequence[Span]],
) -> Score:
    """Score several alarms together: an incident is seen if any alarm that it concerns was in ALARM during it.

    ``watched`` is the time that counts for each.  An incident that concerns none is one that the set misses.  A firing is false unless it overlaps an incident
    that concerns its alarm; the time outside incidents is that in which any of the alarms could be false.  Time in ALARM is counted once, however many are.
    """
    return _score(name, fired, incidents, watched)


def _score(
    name: str,
    fired: Mapping[str, Sequence[Firing]],
    incidents: Sequence[Incident],
    watched: Mapping[str, Sequence[Span]],
) -> Score:
    own = {alarm: [one for one in incidents if one.concerns(alarm)] for alarm in fired}
    true = sum(
        any(incident.overlaps(firing.start, firing.end) for incident in own[alarm])
        for alarm, found in fired.items()
        for firing in found
    )
    detections = [found for incident in incidents if (found := _detection(incident, fired)) is not None]
    # A moment is outside for an alarm unless it lies in one of its incidents, and for the set if it is for any alarm.
    quiet = [subtract(watched[alarm], [(one.start, one.end) for one in concerned]) for alarm, concerned in own.items()]
    outside = merge(span for spans in quiet for span in spans)
    in_alarm = merge((one.start, one.end) for found in fired.values() for one in found)
    loud = merge(
        span
        for found, spans in zip(fired.values(), quiet, strict=True)
        for span in intersect(merge((one.start, one.end) for one in found), spans)
    )
    return Score(
        name=name,
        incidents=tuple(one.name for one in incidents),
        detections=tuple(detections),
        firings=sum(map(len, fired.values())),
        true_firings=true,
        in_alarm=total(in_alarm),
        in_alarm_outside=total(loud),
        outside=total(outside),
    )


def _detection(incident: Incident, fired: Mapping[str, Sequence[Firing]]) -> Detection | None:
    """The first firing that overlaps the incident, of an alarm that it concerns.

    One that began in it beats one that was there before: only that told anybody of this incident.
    """
    found = [
        (firing.start < incident.start, firing.start, alarm)
        for alarm, own in fired.items()
        if incident.concerns(alarm)
        for firing in own
        if incident.overlaps(firing.start, firing.end)
    ]
    if not found:
        return None
    already, at, alarm = min(found)
    return Detection(incident.name, _NOTHING if already else at - incident.start, already, alarm)


def merge(spans: Iterable[Span]) -> list[Span]:
    """The same moments as disjoint spans in order."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def intersect(some: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """The moments in both; each a list of disjoint spans in order."""
    found, i, j = [], 0, 0
    while i < len(some) and j < len(others):
        start, end = max(some[i][0], others[j][0]), min(some[i][1], others[j][1])
        if start < end:
            found.append((start, end))
        if some[i][1] <= others[j][1]:
            i += 1
        else:
            j += 1
    return found


def subtract(spans: Sequence[Span], holes: Iterable[Span]) -> list[Span]:
    """The moments of ``spans`` that are in none of ``holes``."""
    left: list[Span] = []
    cut = merge(holes)
    for start, end in merge(spans):
        at = start
        for begin, stop in cut:
            if stop <= at or begin >= end:
                continue
            if begin > at:
                left.append((at, begin))
            at = max(at, stop)
        if at < end:
            left.append((at, end))
    return left


def total(spans: Iterable[Span]) -> timedelta:
    """How long disjoint spans are together."""
    return sum((end - start for start, end in spans), _NOTHING)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
