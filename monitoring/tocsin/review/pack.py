"""What a review holds: the values between reckoning (figures, incidents, alarm quality) and rendering (HTML, Markdown, JSON).

Ratios and budgets are Fractions: exact until they are printed.  Moments are aware, in UTC; what is shown is in ``Pack.zone``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from fractions import Fraction

from ..model import Severity


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start`` up to ``end``, which is not part of it."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """Events of one SLO in one span.

    ``allowed``: how many were allowed to be bad, each event under the objective that was in force at its time.
    ``covered``: the share of the span that was asked of CloudWatch.  ``silent``: the share of what was asked in which
    there was no valid event; it counts neither as good nor as bad.
    """

    span: Span
    good: Fraction
    valid: Fraction
    allowed: Fraction
    covered: Fraction
    silent: Fraction

    @property
    def bad(self) -> Fraction:
        """Valid events that were not good."""
        return self.valid - self.good

    @property
    def attained(self) -> Fraction | None:
        """The share of good events; None without any event."""
        return self.good / self.valid if self.valid else None

    @property
    def spent(self) -> Fraction | None:
        """The share of the error budget that is gone, over 1 when it is overspent; None without any event."""
        return self.bad / self.allowed if self.allowed else None


class State(StrEnum):
    """How a promise stands.  The order is that of the first page: what needs a word first."""

    BROKEN = "broken"  # more than all of the budget is gone
    AT_RISK = "at risk"  # more than half of it, as the error-budget policy has it
    KEPT = "kept"
    TOO_FEW = "too few events to judge"
    NO_DATA = "no data"
    UNKNOWN = "not pulled"


@dataclass(frozen=True, slots=True)
class InForce:
    """What was promised from ``since`` on (None: from the beginning)."""

    since: datetime | None
    objective: Fraction | None
    window: timedelta


@dataclass(frozen=True, slots=True)
class Told:
    """One time that an alarm told somebody: from ALARM to its end (None while it lasts)."""

    alarm: str
    severity: Severity
    at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Incident:
    """A stretch of time that spent budget faster than the promise allows.

    ``spent`` is its share of the month's budget.  ``told`` is the first alarm of its SLO that told somebody of it;
    ``delay`` from its start to that moment.  ``open``: it lasts beyond the end of the month.  ``began``: when it began, where
    that was before the month; ``span`` is cut at the month's borders, and only events in it are counted.
    """

    span: Span
    bad: Fraction
    valid: Fraction
    spent: Fraction
    told: Told | None = None
    delay: timedelta | None = None
    open: bool = False
    began: datetime | None = None


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The month under another objective: which share of its budget would be gone."""

    objective: Fraction
    spent: Fraction | None
    state: State


@dataclass(frozen=True, slots=True)
class Day:
    """One local day of the month.  ``attained`` is None without any event."""

    day: date
    attained: Fraction | None
    valid: Fraction
    covered: Fraction


@dataclass(frozen=True, slots=True)
class SloReview:
    """One SLO's month.

    ``month`` is the calendar month, ``rolling`` the SLO's own window that ends with it; they are never mixed.  ``trend``
    are the attained shares of the three months before, oldest first.  ``burn_down`` is the share of the month's budget
    left at each hour's end; ``burn_rates`` the burn rate over each window at each hour's end (seconds → moments).
    ``small_spent`` is what stretches too small to be listed as incidents spent.  A heartbeat has ``broken`` spans and no
    budget.  ``notes`` say in words what a reader has to know: a change of objective, silence, what was not pulled.
    """

    system: str
    slo: str
    owner: str
    kind: str
    good: str
    in_force: tuple[InForce, ...]
    state: State
    words: str
    month: Count
    rolling: Count
    trend: tuple[tuple[str, Fraction | None], ...] = ()
    days: tuple[Day, ...] = ()
    burn_down: tuple[tuple[datetime, Fraction], ...] = ()
    burn_rates: Mapping[int, tuple[tuple[datetime, Fraction | None], ...]] = field(default_factory=dict)
    incidents: tuple[Incident, ...] = ()
    small_spent: Fraction = Fraction(0)
    what_if: tuple[WhatIf, ...] = ()
    broken: tuple[Span, ...] = ()
    told: tuple[Told, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlarmQuality:
    """What one alarm did in the month.

    ``burning`` of its ``told`` times, budget of its SLO really burned (None for an alarm on a cause).  ``night`` of them
    began in the night hours.  ``flaps``: times it told again within an hour of its end.
    """

    alarm: str
    system: str
    severity: Severity
    slo: str | None
    kind: str
    told: int
    burning: int | None
    night: int
    flaps: int
    in_alarm: timedelta
    acknowledged: tuple[timedelta, ...] = ()
    closed: tuple[timedelta, ...] = ()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A change worth talking about, and why."""

    system: str
    alarm: str
    change: str
    because: str


@dataclass(frozen=True, slots=True)
class ActionItem:
    """One decision of ``review/actions.toml`` that is still to be done, or was done in this month."""

    key: str
    what: str
    owner: str
    due: date
    decided: str
    system: str | None = None
    slo: str | None = None
    done: date | None = None
    overdue: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What the error-budget policy asks this meeting to decide."""

    system: str
    slo: str
    policy: str
    because: str


@dataclass(frozen=True, slots=True)
class Gap:
    """What is missing from this report, and what to do about it."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Pack:
    """The whole review of one month.  ``changes`` are sentences on what changed since the month before."""

    month: str
    span: Span
    zone: str
    environment: str
    until: datetime
    slos: tuple[SloReview, ...]
    alarms: tuple[AlarmQuality, ...]
    suggestions: tuple[Suggestion, ...] = ()
    actions: tuple[ActionItem, ...] = ()
    decisions: tuple[Decision, ...] = ()
    changes: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    night: tuple[int, int] = (22, 7)
