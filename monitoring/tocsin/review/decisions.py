"""What the error-budget policy of SLOs.md asks the meeting to decide about one promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from ..units import format_duration, format_ratio
from .budget import state_of
from .burn import Hours
from .pack import Count, Decision, Incident, InForce, State
from .shown import attained, duration, share
from .words import day_text

HALF = "Half of the budget was gone with more than half of the month to go: the review decides what is done."
ALL = (
    "All of the budget is gone: changes other than fixes and security wait until the service is back within its objective, "
    "and the incident that spent most of it gets a written review."
)
REVIEW = "All of the month's budget was gone: the incident that spent most of it gets a written review."
SPARE = "Always met with budget to spare: raise the objective, or say that it is enough."
NEVER = "Never met: lower the objective, or plan the work to meet it."

_HALF = Fraction(1, 2)
_SECOND = timedelta(seconds=1)
_SPARE = Fraction(1, 10)
_JUDGED = (State.KEPT, State.AT_RISK, State.BROKEN)
_PERIODS = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one promise.  ``before`` are the counts of the months before, oldest first; ``month_end`` is the
    end of the calendar month, after ``month.span.end`` while it runs."""

    system: str
    slo: str
    in_force: tuple[InForce, ...]
    month: Count
    rolling: Count
    before: tuple[Count, ...]
    incidents: tuple[Incident, ...]
    month_end: datetime
    same_objective: bool

    @property
    def running(self) -> bool:
        """The month is not over."""
        return self.month.span.end < self.month_end


def decide(facts: Facts, hours: Hours, zone: ZoneInfo) -> tuple[Decision, ...]:
    """The decisions, gravest first; none where there are too few events to judge."""
    grave = _all_gone(facts, zone) or _half_gone(facts, hours, zone)
    # Months to spare are no reason to promise more while this one is in trouble.
    found = [*grave, *(one for one in _three_periods(facts) if not (grave and one[0] == SPARE))]
    return tuple(Decision(facts.system, facts.slo, policy, because) for policy, because in found)


def _all_gone(facts: Facts, zone: ZoneInfo) -> list[tuple[str, str]]:
    month, rolling = state_of(facts.month) is State.BROKEN, state_of(facts.rolling) is State.BROKEN
    window = format_duration(facts.in_force[-1].window)
    if rolling:
        text = f"{share(facts.rolling.spent)} of the budget of the {window} to {day_text(_last(facts), zone)} is gone"
        return [(ALL, f"{text}; {_largest(facts, zone)}.")]
    if month and not facts.running:
        text = f"{share(facts.month.spent)} of the month's budget is gone"
        back = f"over the last {window} the objective is met again"
        return [(REVIEW, f"{text}; {back}; {_largest(facts, zone)}.")]
    return []


def _half_gone(facts: Facts, hours: Hours, zone: ZoneInfo) -> list[tuple[str, str]]:
    if state_of(facts.month) not in _JUDGED:
        return []
    start, end = facts.month.span.start, facts.month_end
    # While the month runs, its budget is what the events so far would make of a whole month.
    budget = facts.month.allowed * Fraction((end - start) // _SECOND, (facts.month.span.end - start) // _SECOND)
    at = hours.gone_at(_HALF, budget)
    if at is None or at - start >= (end - start) / 2:
        return []
    likely = "what is likely to be the month's budget" if facts.running else "the month's budget"
    return [
        (
            HALF,
            f"Half of {likely} was gone on {day_text(at, zone)}, with {duration(end - at)} to go; {_largest(facts, zone)}.",
        )
    ]


def _three_periods(facts: Facts) -> list[tuple[str, str]]:
    """A month that still runs is no period to judge by."""
    periods: Sequence[Count] = facts.before if facts.running else (*facts.before, facts.month)
    periods = periods[-_PERIODS:]
    if len(periods) < _PERIODS or not facts.same_objective or any(state_of(one) not in _JUDGED for one in periods):
        return []
    spent = [one.spent or Fraction(0) for one in periods]
    objective = facts.in_force[-1].objective or Fraction(0)
    if all(one < _SPARE for one in spent):
        return [
            (
                SPARE,
                f"Three months in a row at most {share(max(spent))} of the budget was spent at {format_ratio(objective)}.",
            )
        ]
    if all(one > 1 for one in spent):
        best = max(one.attained or Fraction(0) for one in periods)
        return [
            (
                NEVER,
                f"Three months in a row it was missed; the best was {attained(best, objective)} of {format_ratio(objective)}.",
            )
        ]
    return []


def _largest(facts: Facts, zone: ZoneInfo) -> str:
    if not facts.incidents:
        return "no single incident of this month took 1 % of it"
    largest = max(facts.incidents, key=lambda one: (one.spent, one.span.start))
    long = duration(largest.span.end - largest.span.start)
    month = "this month's so far" if facts.running else "the month's"
    return f"the incident on {day_text(largest.span.start, zone)} ({long}) spent {share(largest.spent)} of {month}"


def _last(facts: Facts) -> datetime:
    span = facts.rolling.span
    return span.end - (span.end - span.start) / 10**6  # midnight belongs to the day before
