"""The first page in values: one row an SLO, worst first, and the counts beside it; HTML, Markdown and terminal print it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from statistics import median

from ..model import Severity
from ..units import format_ratio
from . import shown
from .pack import ActionItem, AlarmQuality, Decision, Pack, SloReview, State

_ORDER = tuple(State)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the first page; texts are as they are shown, not yet escaped for any format.

    ``spent`` is the share of the month's budget, for the bar.  ``notes`` say what limits the line, such as that only a
    part of the month was pulled.
    """

    review: SloReview
    anchor: str
    objective: str
    attained: str
    spent: Fraction | None
    left: str
    trend: str
    direction: str
    notes: tuple[str, ...]

    @property
    def state(self) -> State:
        """How the promise stands."""
        return self.review.state

    @property
    def words(self) -> str:
        """What there is to say besides the state itself; nothing of a promise that was kept."""
        if self.state is State.KEPT:
            return ""
        said = self.review.words.removeprefix(f"{self.state.value}: ")
        return said[:1].upper() + said[1:]


def rows(pack: Pack) -> tuple[Row, ...]:
    """A row for each SLO, in the order in which a meeting wants to talk about them."""
    named = anchors(pack)
    clock = shown.Clock.of(pack.zone, pack.span)
    ordered = sorted(
        pack.slos,
        key=lambda review: (
            _ORDER.index(review.state),
            -(review.month.spent or Fraction(0)),
            review.system,
            review.slo,
        ),
    )
    return tuple(_row(pack, review, named[review.system, review.slo], clock) for review in ordered)


def anchors(pack: Pack) -> dict[tuple[str, str], str]:
    """What a link to each SLO's section ends in: readable, unique, and the same from month to month."""
    found: dict[tuple[str, str], str] = {}
    taken = {"main", "alarms", "actions", "reading", "legend", "slos"}
    for review in pack.slos:
        wanted = slug(f"{review.system}-{review.slo}")
        name, again = wanted, 1
        while name in taken:
            again += 1
            name = f"{wanted}-{again}"
        taken.add(name)
        found[review.system, review.slo] = name
    return found


def slug(text: str) -> str:
    """``text`` with nothing but letters of ASCII, digits and hyphens, as an id that needs no escape."""
    return f"slo-{re.sub(r'[^a-z0-9_]+', '-', text.lower()).strip('-')[:120] or 'unnamed'}"


def is_heartbeat(review: SloReview) -> bool:
    """A promise that is kept or broken, without a budget."""
    return bool(review.in_force) and all(promise.objective is None for promise in review.in_force)


def objective_of(review: SloReview) -> Fraction | None:
    """The objective in force at the end of the month."""
    return review.in_force[-1].objective if review.in_force else None


def objective_text(review: SloReview) -> str:
    """The objective in words; of a heartbeat, within which time a success is due."""
    if not review.in_force:
        return shown.NOTHING
    promise = review.in_force[-1]
    if promise.objective is None:
        return f"a success every {shown.duration(promise.window)}"
    return format_ratio(promise.objective)


def attained_text(review: SloReview) -> str:
    """What was delivered: a share, or of a heartbeat for how long the promise was broken."""
    if not is_heartbeat(review):
        return shown.attained(review.month.attained, objective_of(review))
    if review.state in (State.NO_DATA, State.UNKNOWN):
        return shown.NOTHING
    if not review.broken:
        return "kept"
    times = "once" if len(review.broken) == 1 else f"{len(review.broken)} times"
    return f"broken {times}, {shown.duration(broken_for(review))}"


def broken_for(review: SloReview) -> timedelta:
    """For how long a heartbeat's promise was broken."""
    return sum((span.end - span.start for span in review.broken), timedelta(0))


def is_running(pack: Pack) -> bool:
    """The month is not over, or its last days are not in the history."""
    return pack.until < pack.span.end


def _row(pack: Pack, review: SloReview, anchor: str, clock: shown.Clock) -> Row:
    notes = []
    changed = shown.changed_within(review.in_force, pack.span)
    if changed and changed[-1].since is not None:
        before = shown.in_force_at(review.in_force, pack.span.start)
        if before is not None and before.objective is not None and before.objective != changed[-1].objective:
            notes.append(f"{format_ratio(before.objective)} until {clock.moment(changed[0].since or pack.span.start)}")
    if review.month.covered < 1 and review.state is not State.UNKNOWN:
        notes.append(f"of {shown.share(review.month.covered)} of the month")
    return Row(
        review=review,
        anchor=anchor,
        objective=objective_text(review),
        attained=attained_text(review),
        spent=review.month.spent,
        left=shown.NOTHING if is_heartbeat(review) else shown.budget_left(review.month.spent),
        trend=trend_text(review),
        direction=direction(review),
        notes=tuple(notes),
    )


def trend_text(review: SloReview) -> str:
    """The months before, oldest first: ``Jul 99.95, Aug no data, Sep 99.87 %``."""
    objective = objective_of(review)
    parts = []
    for month, value in review.trend:
        text = "no data" if value is None else shown.attained(value, objective).removesuffix(" %")
        parts.append(f"{shown.short_month(month)} {text}")
    if all(value is None for _, value in review.trend):
        return "none recorded"
    return ", ".join(parts) + ("" if review.trend[-1][1] is None else " %")


def direction(review: SloReview) -> str:
    """How this month compares with the last one that had data, in a word; empty where there is nothing to compare."""
    before = next((value for _, value in reversed(review.trend) if value is not None), None)
    now = review.month.attained
    if before is None or now is None or is_heartbeat(review):
        return ""
    objective = objective_of(review)
    if shown.attained(before, objective) == shown.attained(now, objective):
        return "as before"
    return "better" if now > before else "worse"


def state_counts(pack: Pack) -> tuple[tuple[State, int], ...]:
    """How many SLOs are in each state that any is in, worst first."""
    counted = Counter(review.state for review in pack.slos)
    return tuple((state, counted[state]) for state in _ORDER if counted[state])


def decisions_by_policy(pack: Pack) -> tuple[tuple[str, tuple[Decision, ...]], ...]:
    """What the policy asks for, each once, with the promises that it asks it of."""
    found: dict[str, list[Decision]] = {}
    for decision in pack.decisions:
        found.setdefault(decision.policy, []).append(decision)
    return tuple((policy, tuple(decisions)) for policy, decisions in found.items())


def overdue(pack: Pack) -> tuple[ActionItem, ...]:
    """What should have been done by now, the oldest first."""
    return tuple(sorted((item for item in pack.actions if item.overdue), key=lambda item: (item.due, item.key)))


def still_open(pack: Pack) -> tuple[ActionItem, ...]:
    """What is to be done and not overdue, by its date."""
    waiting = (item for item in pack.actions if not item.overdue and item.done is None)
    return tuple(sorted(waiting, key=lambda item: (item.due, item.key)))


def done(pack: Pack) -> tuple[ActionItem, ...]:
    """What was done in this month."""
    ended = (item for item in pack.actions if item.done is not None and not item.overdue)
    return tuple(sorted(ended, key=lambda item: (item.done or item.due, item.key)))


@dataclass(frozen=True, slots=True)
class Told:
    """What the alarms of one system, or all, told in the month.

    ``burning`` of ``judged`` pages came while budget burned; a page on a cause is not judged.
    """

    name: str
    pages: int
    tickets: int
    burning: int
    judged: int
    night: int
    flaps: int
    silent: int
    acknowledged: timedelta | None
    closed: timedelta | None

    @property
    def worth(self) -> str:
        """The share of pages during which budget burned, with its numbers."""
        if not self.judged:
            return shown.NOTHING
        return f"{shown.share(Fraction(self.burning, self.judged))} ({self.burning} of {self.judged})"


def told_by_system(pack: Pack) -> tuple[Told, ...]:
    """A line for each system that has alarms, the one with most pages first, and at the end all of them."""
    names = sorted({alarm.system for alarm in pack.alarms})
    lines = [told(name, [alarm for alarm in pack.alarms if alarm.system == name]) for name in names]
    lines.sort(key=lambda line: (-line.pages, -line.tickets, line.name))
    return (*lines, told("all", list(pack.alarms))) if len(lines) > 1 else tuple(lines)


def told(name: str, alarms: list[AlarmQuality]) -> Told:
    """The sum of some alarms."""
    pages = [alarm for alarm in alarms if alarm.severity is Severity.PAGE]
    judged = [alarm for alarm in pages if alarm.burning is not None]
    return Told(
        name=name,
        pages=sum(alarm.told for alarm in pages),
        tickets=sum(alarm.told for alarm in alarms if alarm.severity is Severity.TICKET),
        burning=sum(alarm.burning or 0 for alarm in judged),
        judged=sum(alarm.told for alarm in judged),
        night=sum(alarm.night for alarm in pages),
        flaps=sum(alarm.flaps for alarm in alarms),
        silent=sum(not alarm.told for alarm in alarms),
        acknowledged=middle([took for alarm in alarms for took in alarm.acknowledged]),
        closed=middle([took for alarm in alarms for took in alarm.closed]),
    )


def middle(values: list[timedelta]) -> timedelta | None:
    """The median; None of nothing."""
    return timedelta(seconds=median(value.total_seconds() for value in values)) if values else None


def alarms_that_told(pack: Pack) -> tuple[AlarmQuality, ...]:
    """The alarms that told somebody, pages and the most frequent first."""
    return tuple(
        sorted(
            (alarm for alarm in pack.alarms if alarm.told),
            key=lambda alarm: (alarm.severity is not Severity.PAGE, -alarm.told, alarm.system, alarm.alarm),
        )
    )


def alarms_that_did_not(pack: Pack) -> tuple[AlarmQuality, ...]:
    """The alarms that told nobody of anything."""
    return tuple(
        sorted((alarm for alarm in pack.alarms if not alarm.told), key=lambda alarm: (alarm.system, alarm.alarm))
    )


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 page``, ``2 pages``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
