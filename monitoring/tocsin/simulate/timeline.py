"""Timeline: every state change of every alarm of a template over a stretch of time, and the actions that run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType

from ..alarm import AlarmState
from ..errors import SimulationError
from .changes import Change, Evidence, Forced, Notification
from .composite_course import CompositeCourse, usable_composites
from .metric_alarm import check_alarm
from .metric_course import MetricCourse, Watched, WatchedRange
from .reading import DEFAULT, Reading
from .source import MetricSource, RangeSource
from .template import AlarmTemplate, Unsupported

__all__ = ["Change", "Evidence", "Forced", "Notification", "Timeline", "simulate"]

_NO_STATES: Mapping[str, AlarmState] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened between ``start`` and ``end``, both included.

    ``changes`` by alarm name; ``refused`` are the alarms that were not evaluated, with the reason.
    """

    start: datetime
    end: datetime
    changes: Mapping[str, tuple[Change, ...]]
    notifications: tuple[Notification, ...]
    evidence: Mapping[str, Evidence]
    refused: tuple[Unsupported, ...] = ()

    @property
    def without_data(self) -> tuple[str, ...]:
        """Metric alarms none of whose metrics had a datapoint, sorted."""
        return tuple(sorted(name for name, seen in self.evidence.items() if seen.silent))

    def state_at(self, alarm: str, at: datetime) -> AlarmState:
        """The state of an alarm at a moment of the timeline.  Raises SimulationError for an unknown alarm."""
        if alarm not in self.changes:
            raise SimulationError(f"the timeline has no alarm {alarm!r}")
        before = [change for change in self.changes[alarm] if change.at <= at]
        return before[-1].state if before else self.changes[alarm][0].from_state


def simulate(
    template: AlarmTemplate,
    source: MetricSource,
    start: datetime,
    end: datetime,
    *,
    initial: Mapping[str, AlarmState] = _NO_STATES,
    forced: Sequence[Forced] = (),
    evaluation_range: int | None = None,
    hourly_minute: int = 0,
    reading: Reading = DEFAULT,
    literal: bool = False,
) -> Timeline:
    """Run the alarms of ``template`` over ``source`` from ``start`` to ``end``.

    Every alarm is created at ``start`` in INSUFFICIENT_DATA, or the state in ``initial``, and evaluated at once.
    Multi-day alarms are evaluated ``hourly_minute`` minutes past each hour.  ``literal`` evaluates every moment on
    its own, slowly; the result is the same.  Composites that name an unknown or refused alarm, or each
    other in a circle, are refused; the rest runs.  Raises SimulationError.
    """
    start, end = _utc(start), _utc(end)
    if end < start:
        raise SimulationError(
            f"the timeline ends at {end:%Y-%m-%dT%H:%M:%SZ}, before it begins at {start:%Y-%m-%dT%H:%M:%SZ}"
        )
    if not 0 <= hourly_minute < 60:
        raise SimulationError(f"hourly_minute lies between 0 and 59, got {hourly_minute}")
    composites, refused = usable_composites(template)
    run = MetricCourse(start, end, evaluation_range, hourly_minute, reading, literal)
    known = {alarm.name for alarm in template.alarms} | set(composites)
    for one in forced:
        if one.alarm not in known:
            raise SimulationError(f"the alarm {one.alarm!r} that is to be forced is not evaluated")
    records: dict[str, list[Change]] = {}
    evidence: dict[str, Evidence] = {}
    for alarm in template.alarms:
        began = initial.get(alarm.name, AlarmState.INSUFFICIENT_DATA)
        try:
            check_alarm(alarm)
            mine = [replace(one, at=_utc(one.at)) for one in forced if one.alarm == alarm.name]
            watched = WatchedRange(source) if isinstance(source, RangeSource) else Watched(source)
            records[alarm.name], seen = run.metric_alarm(alarm, watched, began, mine)
            silent = tuple(metric for metric in dict.fromkeys(alarm.metrics) if metric not in watched.heard)
            evidence[alarm.name] = replace(seen, silent_metrics=silent, silent=not watched.heard)
        except SimulationError as error:
            raise SimulationError(f"{alarm.name}: {error}") from error
    states = {name: initial.get(name, AlarmState.INSUFFICIENT_DATA) for name in composites}
    gated = CompositeCourse(composites, states, start)
    gated.run(records, [replace(one, at=_utc(one.at)) for one in forced if one.alarm in composites], end)
    changes = {name: tuple(record) for name, record in sorted((records | gated.records).items())}
    notifications = [
        Notification(change.acted_at, name, change.state, change.actions)
        for name, record in changes.items()
        for change in record
        if change.acted_at is not None
    ]
    notifications.sort(key=lambda one: (one.at, one.alarm))
    return Timeline(
        start,
        end,
        MappingProxyType(changes),
        tuple(notifications),
        MappingProxyType(evidence),
        (*template.unsupported, *refused),
    )


def _utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise SimulationError(f"the time {at.isoformat()} has no zone; use an aware datetime such as one in UTC")
    return at.astimezone(UTC)
