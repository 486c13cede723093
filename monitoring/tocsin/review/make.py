"""One month's review, from a history: asks the engine, reckons every figure, and lays out the pack."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ..errors import InputError, nearest
from ..history.engine import Engine
from ..plan import Plan
from . import read
from .actions import due_in, read_actions
from .changes import alarm_changes, promise_changes, state_change
from .gaps import find_gaps
from .incidents import LOOK_AHEAD, LOOK_BACK, least_bad
from .months import length, moment, read_month, seconds, within, without, zone_named
from .one_slo import Counted, broken_in, count, judge, never_pulled
from .pack import ActionItem, AlarmQuality, InForce, Pack, SloReview, Suggestion, Told
from .quality import Telling, burn_spans, quality_of, telling_alarms, told_of
from .recorded import Name, Period, Recorded, period_of, read_recorded
from .suggestions import suggested

#: Local hours in which a page wakes somebody: from the first to before the second.
NIGHT = (22, 7)

# So many spans are looked up in one statement; Athena takes 262,144 bytes (its service quotas).
_SPANS_AT_ONCE = 2500
# CloudWatch's alarm history goes back so far, and with it the first pull's.
_FIRST_REACH = timedelta(days=30)


def make_pack(
    engine: Engine,
    month: str,
    environment: str,
    zone: str,
    systems: Collection[str] | None,
    now: datetime,
    plans: Sequence[Plan] = (),
    actions: Path | None = None,
    suggestions: Sequence[Suggestion] = (),
) -> Pack:
    """The review of ``month`` (``2026-10``, in ``zone``) in an environment, of all systems (None) or of some.

    ``now`` is aware; a month that still runs is reviewed up to the last whole hour that was pulled.  ``plans`` are what
    is declared now: an SLO that was never pulled is in the pack too.  ``actions`` is the file of decisions, if there is
    one; ``suggestions`` come on top of those that the history makes.  Raises InputError, or what the engine raises.
    """
    where = zone_named(zone)
    span = read_month(month, where, now)
    carried = read_actions(actions, f"{actions.parent.name}/{actions.name}") if actions is not None else ()
    scope = _scope(engine, environment, systems, plans)
    first, last = _asked(engine, scope)
    period = period_of(month.strip(), span, now, last, where)
    if period.until <= span.start or last <= span.start or first >= span.end:
        days = (at.astimezone(where) for at in (first, last - timedelta(seconds=1)))
        raise InputError(
            f"--month {period.month}: the history of {environment} has nothing of it, only {' to '.join(f'{day:%Y-%m-%d}' for day in days)}; "
            f"run `tocsin history pull {environment} --since {span.start:%Y-%m-%d}`"
        )
    with _without_collecting():
        recorded = read_recorded(engine, scope, period)
        return _Making(engine, scope, period, recorded).pack(environment, plans, carried, suggestions)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """A review of many systems is a million small values, none of them in a circle: looking for circles takes a quarter of
    its time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _scope(engine: Engine, environment: str, systems: Collection[str] | None, plans: Sequence[Plan]) -> read.Scope:
    """Whose rows to read.  Raises InputError for names that nothing is known of."""
    known: dict[str, set[str]] = {}
    for name, system in engine.rows(read.known()):
        known.setdefault(name, set()).add(system)
    pull = f"run `tocsin history pull {environment}`"
    if not known:
        raise InputError(f"there is no history yet; {pull} first{unread(engine)}")
    if environment not in known:
        raise InputError(
            f"the history has no environment {environment!r}; {nearest(environment, known)} – or {pull}{unread(engine)}"
        )
    if systems is None:
        return read.Scope(environment)
    there = known[environment] | {plan.system.name for plan in plans}
    for system in sorted(systems):
        if system not in there:
            raise InputError(
                f"the history of {environment} has no system {system!r}; {nearest(system, there)}{unread(engine)}"
            )
    return read.Scope(environment, tuple(sorted(systems)))


def unread(engine: Engine) -> str:
    """The end of a message that something is not there: which files could not be read, if any, so that it may be in them."""
    skipped = engine.skipped
    if not skipped:
        return ""
    path, why = skipped[0]
    return f"; {path} could not be read: {why}" + (f"; and {len(skipped) - 1} others" if len(skipped) > 1 else "")


def _asked(engine: Engine, scope: read.Scope) -> tuple[datetime, datetime]:
    ((first, last),) = engine.rows(read.asked(scope))
    if first is None or last is None:
        what = "no figures" if scope.systems is None else f"nothing of {', '.join(scope.systems)}"
        raise InputError(
            f"the history of {scope.environment} holds {what} yet; run `tocsin history pull {scope.environment}`"
            + unread(engine)
        )
    return moment(first), moment(last)


@dataclass(frozen=True, slots=True)
class _Making:
    engine: Engine
    scope: read.Scope
    period: Period
    recorded: Recorded

    def pack(
        self,
        environment: str,
        plans: Sequence[Plan],
        carried: tuple[ActionItem, ...],
        suggestions: Sequence[Suggestion],
    ) -> Pack:
        """Everything that was read, reckoned."""
        period, recorded = self.period, self.recorded
        counted = [one for name in sorted(recorded.promises) if (one := count(name, recorded, period)) is not None]
        telling = self._telling()
        told = {(one.system, one.alarm): told_of(one, self._states(one), period.until) for one in telling}
        by_slo: dict[Name, list[Told]] = {}
        for alarm in telling:
            if alarm.slo is not None:
                by_slo.setdefault((alarm.system, alarm.slo), []).extend(told[alarm.system, alarm.alarm])
        incidents = self._incidents(counted)
        judged = [
            judge(one, recorded, period, incidents.get(one.name, ()), _ordered(by_slo.get(one.name, ())))
            for one in counted
        ]
        alarms = self._quality(telling, told, {one.name: one for one in counted})
        missing = [*self._missing(plans, counted)]
        reviews = sorted([review for review, _ in judged] + missing, key=lambda one: (one.system, one.slo))
        systems = sorted({row[0] for row in recorded.alarms})
        own = suggested(
            alarms, self._silent(telling), recorded.alerts, period.data, recorded.silent_since.astimezone(period.zone)
        )
        return Pack(
            month=period.month,
            span=period.span,
            zone=period.zone.key,
            environment=environment,
            until=period.until,
            slos=tuple(reviews),
            alarms=alarms,
            suggestions=(*own, *suggestions),
            actions=due_in(carried, period.month, period.span.start, period.until, period.zone),
            decisions=tuple(decision for _, decisions in judged for decision in decisions),
            changes=self._changes(counted, [review for review, _ in judged]),
            gaps=find_gaps(
                counted,
                [(one.system, one.slo) for one in missing],
                recorded.alarms_asked,
                systems,
                self.engine.skipped,
                environment,
                period,
            ),
            night=NIGHT,
        )

    def _incidents(self, counted: Iterable[Counted]) -> Mapping[Name, list[tuple[int, int, int, int]]]:
        period, found = self.period, dict[Name, list[tuple[int, int, int, int]]]()
        least = [
            (*one.name, bad) for one in counted if not one.is_heartbeat and (bad := least_bad(one.month)) is not None
        ]
        if not least:
            return found
        until = period.until if period.running else period.until + LOOK_AHEAD
        start = period.span.start
        for system, slo, *row in self.engine.rows(
            read.incidents(self.scope, start - LOOK_BACK, start, period.until, until, least)
        ):
            found.setdefault((system, slo), []).append((row[0], row[1], row[2], row[3]))
        return found

    def _states(self, alarm: Telling) -> Sequence[Any]:
        return self.recorded.states.get((alarm.system, alarm.alarm), ())

    def _telling(self) -> tuple[Telling, ...]:
        """Alarms of systems whose alarm history is known of at least some of the month."""
        begin, end = seconds(self.period.span.start), seconds(self.period.until)
        return tuple(
            one
            for one in telling_alarms(self.recorded.alarms, self.period.span.start, self.period.until)
            if within(self.recorded.alarms_asked.get(one.system, ()), begin, end)
        )

    def _quality(
        self, telling: Sequence[Telling], told: Mapping[Name, Sequence[Told]], counted: Mapping[Name, Counted]
    ) -> tuple[AlarmQuality, ...]:
        period = self.period
        month = period.data
        inside = [
            (alarm, one)
            for alarm in telling
            for one in told[alarm.system, alarm.alarm]
            if month.start <= one.at < month.end
        ]
        burned = self._burned(inside, counted)
        return tuple(
            quality_of(
                alarm,
                told[alarm.system, alarm.alarm],
                burned.get((alarm.system, alarm.alarm), set()),
                self._states(alarm),
                [
                    one
                    for one in self.recorded.alerts.get((alarm.system, alarm.alarm), ())
                    if month.start <= one.opened < month.end
                ],
                month,
                period.zone,
                NIGHT,
            )
            for alarm in telling
        )

    def _burned(
        self, told: Sequence[tuple[Telling, Told]], counted: Mapping[Name, Counted]
    ) -> Mapping[Name, set[datetime]]:
        """By alarm, when it told while budget burned, or while its heartbeat was broken."""
        found: dict[Name, set[datetime]] = {}
        shares = []
        for number, system, slo, begin, end in burn_spans(told, self.period.until):
            promise = counted.get((system, slo))
            if promise is None:
                continue
            if not promise.is_heartbeat:
                shares.append((number, system, slo, begin, end))
            elif any(one.start < end and one.end > begin for one in broken_in(promise, self.recorded, self.period)):
                alarm, one = told[number]
                found.setdefault((system, alarm.alarm), set()).add(one.at)
        for first in range(0, len(shares), _SPANS_AT_ONCE):
            for (number,) in self.engine.rows(read.burned(self.scope, shares[first : first + _SPANS_AT_ONCE])):
                alarm, one = told[number]
                found.setdefault((alarm.system, alarm.alarm), set()).add(one.at)
        return found

    def _silent(self, telling: Sequence[Telling]) -> set[Name]:
        """Alarms that never fired in the last three months, of which all is known."""
        since = self.recorded.silent_since
        whole = (seconds(since), seconds(self.period.until))
        return {
            (one.system, one.alarm)
            for one in telling
            if (one.system, one.alarm) not in self.recorded.fired
            and one.first_seen <= since + _FIRST_REACH
            and not length(without(whole, self.recorded.alarms_asked.get(one.system, ())))
        }

    def _missing(self, plans: Iterable[Plan], counted: Iterable[Counted]) -> Iterable[SloReview]:
        """Declared promises that no pull has seen."""
        there = {one.name for one in counted} | set(self.recorded.promises)
        for plan in plans:
            system = plan.system
            if self.scope.systems is not None and system.name not in self.scope.systems:
                continue
            for slo in system.slos:
                if (system.name, slo.name) not in there:
                    promised = InForce(None, slo.objective, slo.window or timedelta(0))
                    yield never_pulled(
                        system.name, slo.name, system.owner, slo.sli.kind.value, slo.sli.good, promised, self.period
                    )

    def _changes(self, counted: Sequence[Counted], reviews: Sequence[SloReview]) -> tuple[str, ...]:
        period, recorded = self.period, self.recorded
        start, until = period.span.start, period.until
        since: dict[str, int] = {}
        for (system, _), rows in recorded.promises.items():
            since[system] = min(rows[0].first_seen, since.get(system, rows[0].first_seen))
        found: list[str] = []
        states = {(one.system, one.slo): one.state for one in reviews}
        before = {one.name: one.before_state for one in counted}
        for name, rows in sorted(recorded.promises.items()):
            shown = " ".join(name)
            found += promise_changes(shown, rows, since[name[0]], start, until, period.zone)
            if name in states:
                found += state_change(shown, period.before[-1][0], before[name], states[name])
        alarms_since: dict[str, int] = {}
        for system, _, at, *_ in recorded.alarms:
            alarms_since[system] = min(at, alarms_since.get(system, at))
        return (*found, *alarm_changes(recorded.alarms, start, until, alarms_since))


def _ordered(told: Iterable[Told]) -> tuple[Told, ...]:
    return tuple(sorted(told, key=lambda one: (one.at, one.alarm)))
