"""ActionGate: when the actions of a composite alarm run, with an actions suppressor or without.

User guide, page "Composite alarm action suppression", whose six timelines are the specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ..alarm import AlarmState


class SuppressedBy(StrEnum):
    """Why actions do not run now: the ActionsSuppressedBy of DescribeAlarms."""

    ALARM = "Alarm"
    WAIT_PERIOD = "WaitPeriod"
    EXTENSION_PERIOD = "ExtensionPeriod"


@dataclass(frozen=True, slots=True)
class Release:
    """The actions of ``state`` run at ``at``."""

    at: datetime
    state: AlarmState


class ActionGate:
    """The suppression of one composite alarm, driven by events in order of time.

    Without ``suppressor`` every change acts at once.  ``wait`` and ``extension`` are seconds.  Each method returns
    what runs, deadlines that have passed on the way included.  At one and the same moment a deadline comes
    before the suppressor's change, and that before the composite's.
    """

    def __init__(self, *, suppressor: bool, wait: int = 0, extension: int = 0) -> None:
        self._suppressor = suppressor
        self._wait, self._extension = timedelta(seconds=wait), timedelta(seconds=extension)
        self._state: AlarmState | None = None
        self._unacted = False
        self._by: SuppressedBy | None = None
        self._until: datetime | None = None

    @property
    def suppressed_by(self) -> SuppressedBy | None:
        """What holds actions back at present."""
        return self._by

    @property
    def due(self) -> datetime | None:
        """When the running wait or extension period ends."""
        return self._until

    def advance(self, at: datetime) -> tuple[Release, ...]:
        """Let time pass to ``at``."""
        if self._until is None or at < self._until:
            return ()
        end, self._until, self._by = self._until, None, None
        return self._release(end)

    def composite_changed(self, at: datetime, state: AlarmState) -> tuple[Release, ...]:
        """The composite alarm entered ``state``."""
        released = self.advance(at)
        self._state, self._unacted = state, True
        if not self._suppressor:
            return (*released, *self._release(at))
        if self._by is not SuppressedBy.ALARM:
            # Also in the middle of a wait or an extension: either is dropped and a new wait begins.
            self._by, self._until = SuppressedBy.WAIT_PERIOD, at + self._wait
            released = (*released, *self.advance(at))
        return released

    def suppressor_changed(self, at: datetime, *, in_alarm: bool) -> tuple[Release, ...]:
        """The suppressor entered or left ALARM."""
        released = self.advance(at)
        if in_alarm:
            self._by, self._until = SuppressedBy.ALARM, None
        elif self._by is SuppressedBy.ALARM:
            self._by, self._until = SuppressedBy.EXTENSION_PERIOD, at + self._extension
            released = (*released, *self.advance(at))
        return released

    def _release(self, at: datetime) -> tuple[Release, ...]:
        if not self._unacted or self._state is None:
            return ()
        self._unacted = False
        return (Release(at, self._state),)
