"""Judges the alarms of one promise: runs them over a scenario's traffic and holds what happened against the theory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from ..alarm import Alarm, AlarmState, CompositeAlarm
from ..burn_rate import Tier, heartbeat_window
from ..errors import SimulationError
from ..model import Severity, SinceSuccess, Slo
from ..simulate.timeline import Change, Timeline, simulate
from .incident import Incident
from .outcome import Outcome, Remark, Verdict
from .promises import Promise
from .scenarios import USUAL, Scenario
from .theory import SILENT, Expectation, Expected, expect_burn, expect_run
from .traffic import MINUTE, Course, Floats, Traffic, minute, moment, record

# CloudWatch evaluates once a minute, and the minute in which something happens must be over.
_EVALUATION = 2 * MINUTE
# Whole events and their varying number make a constant share a little less constant than the formula has it.
_LEEWAY = 1.1
# A ticket waits a minute for the page of the same promise before it tells anybody.
_HOLD = MINUTE
# More notifications than this of one incident are flapping; a gap in the data may well cost a second one.
_OFTEN = 2
# Burning this near to a tier's burn rate the tier comes and goes with chance, whatever the alarm.
_NEAR = 0.1
# With fewer bad events than this in its short window a tier comes and goes with each of them.
_FEW = 3
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One scenario run against one promise: the outcomes by severity, and all that a plot of it needs."""

    promise: Promise
    scenario: str
    traffic: Traffic
    timeline: Timeline
    outcomes: tuple[Outcome, ...]

    @property
    def slo(self) -> Slo:
        """The promise."""
        return self.promise.slo

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """Its burn-rate tiers; none for a heartbeat."""
        return self.promise.tiers

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """When users were hurt."""
        return self.traffic.incidents


def run_scenario(promise: Promise, scenario: Scenario, seed: int, *, usual: float = USUAL) -> Run:
    """Run the alarms of ``promise`` over the traffic of ``scenario``.  Raises SimulationError."""
    traffic = scenario.build(promise.slo, seed, system=promise.system, usual=usual)
    timeline = play(promise, traffic)
    for refused in timeline.refused:
        if refused.name in promise.alarms.values():
            raise SimulationError(f"{refused.name} of SLO {promise.slo.name} cannot be evaluated: {refused.reason}")
    outcomes = tuple(
        _outcome(promise, scenario, traffic, timeline, severity, name) for severity, name in promise.alarms.items()
    )
    return Run(promise, scenario.name, traffic, timeline, outcomes)


def play(promise: Promise, traffic: Traffic) -> Timeline:
    """The alarms of ``promise`` over ``traffic``, from the first minute that is judged, all of them OK before."""
    template = promise.template
    names = [alarm.name for alarm in template.alarms] + [composite.name for composite in template.composites]
    states = dict.fromkeys(names, AlarmState.OK)
    store = record(promise.slo.sli.measure, traffic)
    return simulate(template, store, moment(traffic.watched), traffic.end, initial=states, delays=traffic.delay)


def firings(timeline: Timeline, alarm: str) -> tuple[Change, ...]:
    """The changes into ALARM, without the state at the beginning."""
    return tuple(
        change
        for change in timeline.changes[alarm]
        if change.state is AlarmState.ALARM and change.from_state is not AlarmState.ALARM
    )


def told(timeline: Timeline, alarm: str) -> int:
    """How often somebody was told that this alarm fires."""
    return len(_told_at(timeline, alarm))


def _told_at(timeline: Timeline, alarm: str) -> tuple[datetime, ...]:
    return tuple(
        one.at for one in timeline.notifications if one.alarm == alarm and one.state is AlarmState.ALARM and one.actions
    )


def _outcome(
    promise: Promise, scenario: Scenario, traffic: Traffic, timeline: Timeline, severity: Severity, name: str
) -> Outcome:
    theory = SILENT if scenario.silent else _expect(promise, traffic, severity)
    latest = None
    if not scenario.silent:
        came = _expect(promise, _as_it_came(traffic), severity)
        if came.expected is not theory.expected:
            theory = Expectation(Expected.EITHER)  # so few events came that chance decides
        elif theory.at_latest is not None and came.at_latest is not None:
            latest = max(theory.at_latest, came.at_latest) * _LEEWAY + _EVALUATION + traffic.delay
    fired, tellings = firings(timeline, name), _told_at(timeline, name)
    onset = traffic.incidents[0].start if traffic.incidents else moment(traffic.watched)
    over = traffic.incidents[-1].end if traffic.incidents else None
    at = fired[0].at if fired else None
    told_at = next((one for one in tellings if at is not None and one >= at), None)
    held = at is not None and _held_back(promise, timeline, severity, at, told_at, onset + latest if latest else at)
    reset = _reset(timeline, name, over) if at is not None and over is not None else None
    remark = Remark.NONE
    verdict = _verdict(theory, latest, onset, fired, told_at, held=held)
    if verdict is Verdict.AS_EXPECTED and at is not None and over is not None:
        if _stuck(promise, severity, traffic, reset):
            verdict = Verdict.STUCK
        elif _most_of_one(traffic, tellings) > _OFTEN:
            remark = _excuse(promise, severity, traffic, theory)
            verdict = Verdict.AS_EXPECTED if remark else Verdict.FLAPS
    return Outcome(
        promise.system,
        promise.slo.name,
        scenario.name,
        severity,
        theory.expected,
        at is not None,
        at,
        told_at,
        at - onset if at is not None and traffic.incidents else None,
        told_at - onset if told_at is not None and traffic.incidents else None,
        held,
        theory.after,
        theory.at_latest,
        reset,
        None if told_at is None else budget_gone(promise.slo, traffic, told_at),
        len(tellings),
        verdict,
        remark,
    )


def _as_it_came(traffic: Traffic) -> Traffic:
    """The same, meant to be as chance made it: with few events they may well come later than was meant."""
    valid = traffic.valid
    ratio: Floats = np.divide(traffic.bad, valid, out=np.zeros(len(valid)), where=valid > 0)
    return replace(traffic, course=Course(valid, ratio))


def _held_back(
    promise: Promise, timeline: Timeline, severity: Severity, at: datetime, told_at: datetime | None, due: datetime
) -> bool:
    """Whether an alarm that can tell waited although it fired ``at``, while the page told somebody before it was ``due``."""
    if severity is Severity.PAGE or Severity.PAGE not in promise.alarms:
        return False
    if told_at is not None and told_at <= at + _HOLD:
        return False
    name = promise.alarms[severity]
    every: tuple[Alarm | CompositeAlarm, ...] = (*promise.template.alarms, *promise.template.composites)
    if not any(one.name == name and one.actions.enabled and one.actions.alarm for one in every):
        return False
    return any(one <= max(due, at) + _HOLD for one in _told_at(timeline, promise.alarms[Severity.PAGE]))


def _expect(promise: Promise, traffic: Traffic, severity: Severity) -> Expectation:
    slo, watched = promise.slo, traffic.watched
    onset = minute(traffic.incidents[0].start) if traffic.incidents else watched
    if isinstance(slo.sli.measure, SinceSuccess):
        successes = np.flatnonzero(traffic.valid > traffic.bad).astype(np.float64)
        return expect_run(heartbeat_window(slo), successes, len(traffic), watched, onset)
    course = traffic.course
    if traffic.unreported is not None:  # nobody can tell of what is never reported
        course = replace(course, rate=np.where(traffic.unreported, 0, course.rate))
    return expect_burn(slo, promise.tiers_of(severity), course, watched, onset)


def _verdict(
    theory: Expectation,
    latest: timedelta | None,
    onset: datetime,
    fired: tuple[Change, ...],
    told_at: datetime | None,
    *,
    held: bool,
) -> Verdict:
    if theory.expected is Expected.SILENT:
        return Verdict.FALSE_ALARM if fired else Verdict.AS_EXPECTED
    if any(change.at < onset for change in fired):
        return Verdict.FALSE_ALARM
    if theory.expected is Expected.EITHER or latest is None:
        return Verdict.AS_EXPECTED
    if not fired:
        return Verdict.MISSED
    if fired[0].at - onset > latest:
        return Verdict.LATE
    if held:  # the page tells of it
        return Verdict.AS_EXPECTED
    if told_at is None:
        return Verdict.TOLD_NOBODY
    return Verdict.LATE if told_at - onset > latest + _HOLD else Verdict.AS_EXPECTED


def _most_of_one(traffic: Traffic, tellings: tuple[datetime, ...]) -> int:
    """How often somebody was told while it lasted of the incident that was told of most often.

    On the way out each window falls through its threshold, and may cross it more than once by chance.
    """
    counts = (
        sum(incident.start <= one <= incident.end + traffic.delay for one in tellings) for incident in traffic.incidents
    )
    return max(counts, default=0)


def _excuse(promise: Promise, severity: Severity, traffic: Traffic, theory: Expectation) -> Remark:
    """What makes any alarm flap: a burn rate near that of a tier, or too few bad events for its short window."""
    tiers, budget = promise.tiers_of(severity), float(promise.slo.error_budget)
    if theory.expected is Expected.EITHER:
        return Remark.AT_THRESHOLD
    if not tiers or not budget:
        return Remark.NONE
    burn = float(traffic.course.ratio.max()) / budget
    if any(abs(burn / float(tier.burn_rate) - 1) <= _NEAR for tier in tiers):
        return Remark.AT_THRESHOLD
    first, last = minute(traffic.incidents[0].start), minute(traffic.incidents[-1].end)
    a_minute = float(traffic.bad[first:last].mean())
    shortest = min(tier.short_window for tier in tiers)
    return Remark.QUIET if a_minute * (shortest / MINUTE) < _FEW else Remark.NONE


def _reset(timeline: Timeline, name: str, over: datetime) -> timedelta | None:
    """How long after the incident's end the alarm was OK for good; None if it still is not."""
    last = timeline.changes[name][-1]
    return None if last.state is AlarmState.ALARM else max(last.at - over, timedelta(0))


def _stuck(promise: Promise, severity: Severity, traffic: Traffic, reset: timedelta | None) -> bool:
    """Whether it stayed in ALARM for longer than the longest short window, though there was time to see it leave."""
    tiers: Iterator[Tier] = iter(promise.tiers_of(severity))
    short = max((tier.short_window for tier in tiers), default=_HOUR)
    allowed = short + _EVALUATION + traffic.delay
    if reset is not None:
        return reset > allowed
    return traffic.incidents[-1].end + allowed < traffic.end


def budget_gone(slo: Slo, traffic: Traffic, at: datetime) -> float | None:
    """The share of the error budget of a whole SLO window that was spent by ``at``; None for a heartbeat."""
    if slo.objective is None or slo.window is None:
        return None
    whole = float(slo.error_budget) * traffic.usual * (slo.window / MINUTE)
    return traffic.bad_before(at) / whole
