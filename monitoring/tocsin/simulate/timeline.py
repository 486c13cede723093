"""Timeline: every state change of every alarm of a template over a stretch of time, and the actions that run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from ..alarm import AlarmState
from ..errors import SimulationError
from .changes import Change, Evidence, Forced, Notification
from .composite import alarm_name
from .composite_course import run_composites, usable_composites
from .delay import Delays
from .metric_alarm import check_alarm
from .metric_course import MetricCourse, Watched, WatchedRange
from .mute import MuteRule
from .muting import mute, suppressed_windows, unknown_targets, windows_by_alarm
from .reading import DEFAULT, Reading
from .schedule import refuse_too_long
from .source import MetricSource, RangeSource
from .template import AlarmTemplate, Unsupported

__all__ = ["Change", "Evidence", "Forced", "Notification", "Timeline", "simulate"]

_NO_STATES: Mapping[str, AlarmState] = MappingProxyType({})
_NO_TARGETS: Mapping[str, tuple[str, ...]] = MappingProxyType({})
_NO_DELAY = timedelta()


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened between ``start`` and ``end``, both included.

    ``changes`` by alarm name; ``refused`` are the alarms and mute rules that were not evaluated, with the reason;
    ``mute_targets_unknown``, by mute rule, the alarms it names that were not evaluated.
    """

    start: datetime
    end: datetime
    changes: Mapping[str, tuple[Change, ...]]
    notifications: tuple[Notification, ...]
    evidence: Mapping[str, Evidence]
    refused: tuple[Unsupported, ...] = ()
    mute_targets_unknown: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NO_TARGETS)

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
    hourly_minute: int | None = None,
    reading: Reading = DEFAULT,
    literal: bool = False,
    mutes: Sequence[MuteRule] = (),
    delays: Delays = _NO_DELAY,
    keep_going: bool = False,
) -> Timeline:
    """Run the alarms of ``template`` over ``source`` from ``start`` to ``end``.

    Every alarm is created at ``start`` in INSUFFICIENT_DATA, or the state in ``initial``, and evaluated at once.
    Multi-day alarms are evaluated in the minute ``hourly_minute`` of each hour, that of the reading where none is
    given.  ``literal`` evaluates every moment on its own, slowly; the result is the same.  Composites that name an unknown or refused alarm, or each
    other in a circle, are refused; the rest runs.  ``mutes`` are added to the mute rules of the template.  ``delays``
    is how long after its minute data arrives, of each metric or of all.  With ``keep_going`` a metric alarm that the
    series do not fit is refused like them, where it is an error otherwise.  Raises SimulationError, also for a timeline
    of more than ten years.
    """
    start, end = _utc(start), _utc(end)
    if end < start:
        raise SimulationError(
            f"the timeline ends at {end:%Y-%m-%dT%H:%M:%SZ}, before it begins at {start:%Y-%m-%dT%H:%M:%SZ}"
        )
    refuse_too_long(start, end)
    if hourly_minute is not None:
        reading = replace(reading, hourly_minute=hourly_minute)
    composites, refused = usable_composites(template, reading)
    run = MetricCourse(start, end, evaluation_range, reading, literal, delays)
    known = {alarm.name for alarm in template.alarms} | set(composites)
    for one in forced:
        if one.alarm not in known:
            raise SimulationError(f"the alarm {one.alarm!r} that is to be forced is not evaluated")
        if not start <= _utc(one.at) <= end:
            when = "before the timeline begins" if _utc(one.at) < start else "after the timeline ends"
            raise SimulationError(f"{one.alarm}: a state is forced at {_utc(one.at):%Y-%m-%dT%H:%M:%SZ}, {when}")
    records: dict[str, list[Change]] = {}
    evidence: dict[str, Evidence] = {}
    faulty: list[Unsupported] = []
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
            if not keep_going:
                raise SimulationError(f"{alarm.name}: {error}") from error
            faulty.append(Unsupported(alarm.name, "", str(error)))
    if faulty:
        lost = {one.name for one in faulty}
        rest = tuple(alarm for alarm in template.alarms if alarm.name not in lost)
        composites, refused = usable_composites(replace(template, alarms=rest), reading)
    by_hand = [replace(one, at=_utc(one.at)) for one in forced if one.alarm in composites]
    gated = run_composites(composites, initial, records, by_hand, start, end)
    rules = (*template.mutes, *mutes)
    changes = {name: tuple(record) for name, record in sorted((records | gated).items())}
    for name, muted in windows_by_alarm(rules, changes, start, end).items():
        composite = composites[name][0] if name in composites else None
        held = (
            suppressed_windows(changes[alarm_name(composite.suppressor)], composite.suppressor_extension, end)
            if composite is not None and composite.suppressor
            else ()
        )
        changes[name] = mute(changes[name], muted, held, end, reading.after_mute)
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
        (*template.unsupported, *faulty, *refused),
        MappingProxyType(dict(unknown_targets(rules, changes))),
    )


def _utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise SimulationError(f"the time {at.isoformat()} has no zone; use an aware datetime such as one in UTC")
    return at.astimezone(UTC)
