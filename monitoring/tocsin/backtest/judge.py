"""Judges the alarms of one promise: runs them over a scenario's traffic and holds what happened against the theory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import numpy as np

from ..alarm import AlarmState
from ..burn_rate import Tier, heartbeat_window
from ..model import Severity, SinceSuccess, Slo
from ..simulate.timeline import Change, Timeline, simulate
from .incident import Incident
from .promises import Promise
from .scenarios import USUAL, Scenario
from .theory import SILENT, Expectation, Expected, expect_burn, expect_run
from .traffic import MINUTE, Traffic, minute, moment, record

# CloudWatch evaluates once a minute, and the minute in which something happens must be over.
_EVALUATION = 2 * MINUTE
# Whole events and their varying number make a constant share a little less constant than the formula has it.
_LEEWAY = 1.1
_HOUR = timedelta(hours=1)


class Verdict(StrEnum):
    """How an alarm did.  ``STUCK``: still in ALARM when its short window has long been clean."""

    AS_EXPECTED = "as expected"
    MISSED = "missed"
    FALSE_ALARM = "false alarm"
    LATE = "late"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the alarm of one severity did in one scenario.

    ``detected_after``, and the theory's time from ``theory`` until ``theory_at_latest``, count from the incident's
    start, ``reset_after`` from its end; None where it does not apply.  ``budget_gone``: the share of the whole SLO
    window's budget that was spent when it fired.  ``notifications``: how often somebody was told of an alarm.
    """

    system: str
    slo: str
    scenario: str
    severity: Severity
    expected: Expected
    fired: bool
    at: datetime | None
    detected_after: timedelta | None
    theory: timedelta | None
    theory_at_latest: timedelta | None
    reset_after: timedelta | None
    budget_gone: float | None
    notifications: int
    verdict: Verdict

    @property
    def good(self) -> bool:
        """Whether it did what it should."""
        return self.verdict is Verdict.AS_EXPECTED

    def as_json(self) -> dict[str, Any]:
        """Durations in seconds."""
        return {
            "system": self.system,
            "slo": self.slo,
            "scenario": self.scenario,
            "severity": self.severity.value,
            "expected": self.expected.value,
            "fired": self.fired,
            "at": f"{self.at:%Y-%m-%dT%H:%M:%SZ}" if self.at else None,
            "detected_after": _seconds(self.detected_after),
            "theory": _seconds(self.theory),
            "theory_at_latest": _seconds(self.theory_at_latest),
            "reset_after": _seconds(self.reset_after),
            "budget_gone": None if self.budget_gone is None else round(self.budget_gone, 6),
            "notifications": self.notifications,
            "verdict": self.verdict.value,
        }


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else round(value.total_seconds(), 3)


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
    return sum(one.alarm == alarm and one.state is AlarmState.ALARM for one in timeline.notifications)


def _outcome(
    promise: Promise, scenario: Scenario, traffic: Traffic, timeline: Timeline, severity: Severity, name: str
) -> Outcome:
    theory = SILENT if scenario.silent else _expect(promise, traffic, severity)
    fired = firings(timeline, name)
    onset = traffic.incidents[0].start if traffic.incidents else moment(traffic.watched)
    over = traffic.incidents[-1].end if traffic.incidents else None
    at = fired[0].at if fired else None
    after = at - onset if at is not None and traffic.incidents else None
    reset = _reset(timeline, name, over) if at is not None and over is not None else None
    verdict = _verdict(theory, fired, onset, traffic)
    if (
        verdict is Verdict.AS_EXPECTED
        and at is not None
        and over is not None
        and _stuck(promise, severity, traffic, reset)
    ):
        verdict = Verdict.STUCK
    return Outcome(
        promise.system,
        promise.slo.name,
        scenario.name,
        severity,
        theory.expected,
        at is not None,
        at,
        after,
        theory.after,
        theory.at_latest,
        reset,
        None if at is None else budget_gone(promise.slo, traffic, at),
        told(timeline, name),
        verdict,
    )


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


def _verdict(theory: Expectation, fired: tuple[Change, ...], onset: datetime, traffic: Traffic) -> Verdict:
    if theory.expected is Expected.SILENT:
        return Verdict.FALSE_ALARM if fired else Verdict.AS_EXPECTED
    if any(change.at < onset for change in fired):
        return Verdict.FALSE_ALARM
    if theory.expected is Expected.EITHER or theory.at_latest is None:
        return Verdict.AS_EXPECTED
    if not fired:
        return Verdict.MISSED
    latest = theory.at_latest * _LEEWAY + _EVALUATION + traffic.delay
    return Verdict.LATE if fired[0].at - onset > latest else Verdict.AS_EXPECTED


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
