"""Change, Notification, Evidence, Forced: what a timeline is made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..alarm import Actions, AlarmState, Metric
from .suppression import SuppressedBy


@dataclass(frozen=True, slots=True)
class Change:
    """An alarm enters ``state``.

    ``actions`` run because of it at ``acted_at``, later than ``at`` where a suppressor made them wait; both are empty
    if none run.  ``suppressed_by`` tells what held them back when the state changed, ``muted_by`` the mute rule that
    held them back when they would have run.  ``depends_on_range``: the verdict would differ with another length of the evaluation range, which AWS does not publish.
    The first change of an alarm is its state at the start of the timeline, and may be from a state to itself.
    """

    at: datetime
    from_state: AlarmState
    state: AlarmState
    reason: str
    actions: tuple[str, ...] = ()
    acted_at: datetime | None = None
    suppressed_by: SuppressedBy | None = None
    depends_on_range: bool = False
    muted_by: str | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """Actions that run: when, for which alarm, in which state."""

    at: datetime
    alarm: str
    state: AlarmState
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """On how much a metric alarm's changes rest.

    Evaluations, how many of them had at least one datapoint, how many verdicts depend on the evaluation range, and
    the metrics that had no datapoint at all (an expression with FILL has datapoints even so); ``silent`` if all.
    """

    evaluations: int
    with_data: int
    range_dependent: int
    silent_metrics: tuple[Metric, ...] = ()
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Forced:
    """SetAlarmState: the alarm is put into ``state`` at ``at``.

    A metric alarm returns to its true state at its next evaluation, a composite one when a child changes.
    """

    at: datetime
    alarm: str
    state: AlarmState
    reason: str = "State set by hand"


def actions_for(actions: Actions, state: AlarmState) -> tuple[str, ...]:
    """The actions that run when an alarm enters ``state``."""
    if not actions.enabled:
        return ()
    match state:
        case AlarmState.ALARM:
            return actions.alarm
        case AlarmState.OK:
            return actions.ok
        case AlarmState.INSUFFICIENT_DATA:
            return actions.insufficient_data
