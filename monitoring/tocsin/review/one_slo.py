"""One promise's month: its counts, state, incidents, notes and decisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise

from ..units import format_duration, format_ratio
from .budget import (
    HEARTBEAT,
    VANISHED,
    Promise,
    Sum,
    as_in_force,
    count_of,
    in_force,
    state_of,
    what_if,
)
from .burn import Hours, daily, windows_of
from .decisions import Facts, decide
from .incidents import broken_spans, incident_of, small_spent, with_told
from .months import Stretch, moment, seconds, within
from .pack import Count, Decision, Incident, InForce, SloReview, Span, State, Told
from .recorded import Name, Period, Recorded
from .shown import Clock, duration, share
from .words import heartbeat_in_words, in_words

_SAID_FROM = Fraction(1, 100)  # smaller shares of silence and of gaps need no note


@dataclass(frozen=True, slots=True)
class Counted:
    """One promise with its counts, before its incidents are known.  ``before`` are those of the months of the trend."""

    name: Name
    promises: tuple[Promise, ...]
    in_month: tuple[Promise, ...]
    asked: Sequence[Stretch]
    sums: Sequence[Sum]
    month: Count
    rolling: Count
    before: tuple[Count, ...]

    @property
    def last(self) -> Promise:
        """What was promised last in the month."""
        return self.in_month[-1]

    @property
    def is_heartbeat(self) -> bool:
        """It is kept or broken, and has no budget."""
        return self.last.kind == HEARTBEAT

    @property
    def before_state(self) -> State:
        """How it stood at the end of the month before."""
        return State.UNKNOWN if self.is_heartbeat else state_of(self.before[-1])


def count(name: Name, recorded: Recorded, period: Period) -> Counted | None:
    """The counts of a promise; None if nothing was promised in the month."""
    promises = recorded.promises[name]
    data = period.data
    begin, end = seconds(data.start), seconds(data.end)
    in_month = in_force(promises, begin, end)
    if not in_month:
        return None
    # Declared later than the rest of its system, and after the month: shown only if it was asked all the same.
    later = promises[0].first_seen >= end and promises[0].first_seen > system_since(recorded, name[0])
    if later and not within(recorded.asked.get(name, ()), begin, end):
        return None
    asked = recorded.asked.get(name, ())
    sums, totals = recorded.sums.get(name, ()), recorded.totals.get(name, ())
    month_sums = [one for one in sums if one.begin >= begin]
    month = count_of(data, month_sums, asked, promises)
    rolling = month
    if in_month[-1].kind != HEARTBEAT:
        since = end - in_month[-1].seconds
        span = Span(moment(since), data.end)
        lately = [one for one in (*totals, *month_sums) if one.begin >= since]
        rolling = count_of(span, lately, asked, promises)
    before = tuple(
        count_of(
            span,
            [one for one in totals if seconds(span.start) <= one.begin < seconds(span.end)],
            asked,
            promises,
        )
        for _, span in period.before
    )
    return Counted(name, promises, in_month, asked, sums, month, rolling, before)


def judge(
    counted: Counted,
    recorded: Recorded,
    period: Period,
    rows: Sequence[tuple[int, int, int, int]],
    told: Sequence[Told],
) -> tuple[SloReview, tuple[Decision, ...]]:
    """The review of a promise.  ``rows`` are its incidents (see ``read.incidents``), ``told`` what its alarms told."""
    if counted.is_heartbeat:
        return _heartbeat(counted, recorded, period, told), ()
    found = [incident_of(row, counted.month, running=period.running) for row in rows]
    incidents = tuple(with_told(one, told) for one in sorted(found, key=lambda one: one.span.start))
    state = state_of(counted.month)
    last, zone = counted.last, period.zone
    hours = Hours(counted.sums, period.span.start, period.until, period.grid)
    review = replace(
        _base(counted, recorded, period, told),
        state=state,
        words=in_words(state, counted.month, last.objective, incidents, zone),
        trend=tuple((name, one.attained) for (name, _), one in zip(period.before, counted.before, strict=True)),
        burn_down=hours.burn_down(),
        burn_rates=hours.burn_rates(windows_of(timedelta(seconds=last.seconds))),
        incidents=incidents,
        small_spent=small_spent(counted.month, incidents),
        what_if=what_if(counted.month, last.objective),
    )
    return review, decide(_facts(counted, period, incidents), hours, zone)


def never_pulled(
    system: str, slo: str, owner: str, kind: str, good: str, promised: InForce, period: Period
) -> SloReview:
    """A declared promise that the history knows nothing of."""
    rolling = Span(period.until - promised.window, period.until)
    month, window = (Count(span, *[Fraction(0)] * 5) for span in (period.data, rolling))
    words = in_words(State.UNKNOWN, month, promised.objective, (), period.zone)
    return SloReview(system, slo, owner, kind, good, (promised,), State.UNKNOWN, words, month, window)


def broken_in(counted: Counted, recorded: Recorded, period: Period) -> tuple[Span, ...]:
    """When a heartbeat was broken, under the limit in force at the time."""
    successes = recorded.successes.get(counted.name, ())
    begin, end = seconds(period.data.start), seconds(period.data.end)
    found: list[Span] = []
    for one in counted.in_month:
        if one.kind == HEARTBEAT:
            first, last = max(begin, one.stretch[0]), min(end, one.stretch[1])
            found += broken_spans(successes, counted.asked, one.seconds, moment(first), moment(last))
    return tuple(found)


def _heartbeat(counted: Counted, recorded: Recorded, period: Period, told: Sequence[Told]) -> SloReview:
    broken = broken_in(counted, recorded, period)
    if broken:
        state = State.BROKEN
    elif not counted.month.covered:
        state = State.UNKNOWN
    else:
        state = State.KEPT if recorded.successes.get(counted.name) else State.NO_DATA
    limit = timedelta(seconds=counted.last.seconds)
    words = heartbeat_in_words(state, broken, limit, period.zone)
    return replace(_base(counted, recorded, period, told), state=state, words=words, broken=broken)


def _base(counted: Counted, recorded: Recorded, period: Period, told: Sequence[Told]) -> SloReview:
    """What every promise has."""
    last, (system, slo) = counted.last, counted.name
    return SloReview(
        system=system,
        slo=slo,
        owner=last.owner,
        kind=last.kind,
        good=last.good,
        in_force=as_in_force(counted.in_month),
        state=State.UNKNOWN,
        words="",
        month=counted.month,
        rolling=counted.rolling,
        days=daily(period.days, counted.sums, counted.asked, counted.promises),
        told=tuple(one for one in told if one.until is None or one.until > period.span.start),
        notes=tuple(_notes(counted, recorded, period)),
    )


def _facts(counted: Counted, period: Period, incidents: tuple[Incident, ...]) -> Facts:
    since = seconds(period.before[0][1].start)
    objectives = {one.objective for one in in_force(counted.promises, since, seconds(period.until))}
    return Facts(
        system=counted.name[0],
        slo=counted.name[1],
        in_force=as_in_force(counted.in_month),
        month=counted.month,
        rolling=counted.rolling,
        before=counted.before,
        incidents=incidents,
        month_end=period.span.end,
        same_objective=len(objectives) == 1,
    )


def _notes(counted: Counted, recorded: Recorded, period: Period) -> Iterator[str]:
    clock = Clock.of(period.zone.key, period.span)
    begin, end = seconds(period.data.start), seconds(period.data.end)
    month = counted.month
    for before, one in pairwise(as_in_force(counted.in_month)):
        if (
            before.objective != one.objective
            and None not in (before.objective, one.objective)
            and one.since is not None
        ):
            yield (
                f"Until {clock.moment(one.since)} {_objective(before)} was promised, from then on {_objective(one)}; "
                "each event counts under the objective of its time."
            )
    first, last = counted.promises[0], counted.in_month[-1]
    if begin <= first.first_seen < end and first.first_seen > system_since(recorded, counted.name[0]):
        yield (
            f"First seen in the declarations on {clock.moment(moment(first.first_seen))}; what CloudWatch had of the time "
            "before counts under the same promise."
        )
    for promise in counted.promises:
        if promise.kind == VANISHED and begin <= promise.first_seen < end:
            yield f"No longer promised from {clock.moment(moment(promise.first_seen))} on; what came after does not count."
    if month.covered and 1 - month.covered >= _SAID_FROM and last.until is None:
        yield f"{_capital(share(1 - month.covered))} of the time was not asked of CloudWatch and is not judged."
    if month.valid and month.silent >= _SAID_FROM and not counted.is_heartbeat:
        quiet = timedelta(seconds=int(month.silent * month.covered * (end - begin)))
        yield (
            f"No valid event in {share(month.silent)} of what was asked, {duration(quiet)} in all; "
            "that time counts neither as good nor as bad."
        )
    if not counted.is_heartbeat and counted.rolling.covered < 1 - _SAID_FROM and month.covered:
        window = format_duration(timedelta(seconds=last.seconds))
        yield f"Of the {window} of the rolling window, only {share(counted.rolling.covered)} was asked of CloudWatch."
    if counted.name in recorded.straddling:
        yield (
            "CloudWatch had only sums over a whole hour left where the month begins or ends in the middle of one; "
            "such a sum counts where its hour begins."
        )


def system_since(recorded: Recorded, system: str) -> int:
    """When a pull first saw any promise of the system."""
    return min(rows[0].first_seen for (name, _), rows in recorded.promises.items() if name == system)


def _objective(promised: InForce) -> str:
    return format_ratio(promised.objective) if promised.objective is not None else "no share"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
