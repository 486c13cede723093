"""What each promise's page does in a full outage, or when a job stops, as a sentence for the generated documents.

Nothing here is left to chance, and the alarms are those that the rendered template holds: the same declaration gives
the same sentence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import product

import numpy as np

from ..alarm import Alarm, AlarmState, CompositeAlarm
from ..burn_rate import heartbeat_window
from ..model import Severity, SinceSuccess
from ..plan import Plan
from ..simulate.reading import Reading
from ..simulate.template import AlarmTemplate
from ..simulate.timeline import Timeline, simulate
from ..units import format_duration, format_number
from .incident import Incident
from .judge import budget_gone, firings
from .promises import Promise, promises
from .runs import Job
from .traffic import DAY, MINUTE, Course, Floats, Nature, Traffic, moment, nature, record

_BUSY, _QUIET = 100, "10 events an hour"
_EVERY = 6  # minutes between two events of a quiet time
_HISTORY, _CALM = 3 * DAY, 10
_HOUR = timedelta(hours=1)
# An hour is what an outage may well last; where no page comes of it, six hours are the longest window that pages.
_LENGTHS = (60, 360)
_SPOKEN = {Severity.PAGE: "pages", Severity.TICKET: "opens a ticket"}


def proofs(plans: Iterable[Plan]) -> Mapping[tuple[str, str], str]:
    """A sentence by names of system and SLO.  Raises SimulationError."""
    found = {}
    for plan in plans:
        own = [planned.alarm for planned in plan.alarms if planned.slo is not None]
        template = AlarmTemplate(
            tuple(alarm for alarm in own if isinstance(alarm, Alarm)),
            tuple(alarm for alarm in own if isinstance(alarm, CompositeAlarm)),
        )
        for promise in promises(plan, template, plan.system.name, {}):
            found[plan.system.name, promise.slo.name] = f"Proven by simulation: {_sentence(promise)}."
    return found


def _sentence(promise: Promise) -> str:
    kind = nature(promise.slo.sli.measure)
    if kind is Nature.RUNS:
        return _missed_run(promise)
    severity = next(iter(promise.alarms))
    tells, quiet_tells = _SPOKEN[severity], "it " + _SPOKEN[severity]
    where = "" if kind is Nature.MINUTES else f" at {_BUSY} events a minute"
    seen = next((one for minutes in _LENGTHS if (one := _outage(promise, severity, _busy(kind), minutes))), None)
    if seen is None:
        text = f"a full outage{where} {_nobody(severity)} in {format_duration(_LENGTHS[-1] * MINUTE)}"
    else:
        text = f"a full outage{where} {tells} after {_length(seen.after)}{seen.budget}"
        if seen.reset is not None:
            text += f", and is over {_length(seen.reset)} after the service is back"
    if kind is Nature.MINUTES:
        return text
    quiet = _outage(promise, severity, _quiet(), _LENGTHS[-1])
    if quiet is None:
        return f"{text}; at {_QUIET} {_nobody(severity, 'it ')} in {format_duration(_LENGTHS[-1] * MINUTE)}"
    return f"{text}; at {_QUIET} {quiet_tells} after {_length(quiet.after)}"


def _nobody(severity: Severity, who: str = "") -> str:
    return f"{who}{'pages nobody' if severity is Severity.PAGE else 'opens no ticket'}"


@dataclass(frozen=True, slots=True)
class _Seen:
    """When an outage told somebody, what that was in budget, and when it was over."""

    after: timedelta
    budget: str
    reset: timedelta | None


def _busy(kind: Nature) -> Floats:
    return np.full(_HISTORY + DAY, 1.0 if kind is Nature.MINUTES else float(_BUSY))


def _quiet() -> Floats:
    valid = np.zeros(_HISTORY + DAY)
    valid[::_EVERY] = 1
    return valid


def _outage(promise: Promise, severity: Severity, valid: Floats, minutes: int) -> _Seen | None:
    """All of these events fail for so many minutes; None if nobody is told."""
    ratio = np.zeros(len(valid))
    ratio[_HISTORY : _HISTORY + minutes] = 1
    start, end = moment(_HISTORY), moment(_HISTORY + minutes)
    # Until the longest short window is clean again.
    short = max(tier.short_window for tier in promise.tiers_of(severity))
    length = _HISTORY + minutes + short // MINUTE + _CALM
    course = Course(valid[:length], ratio[:length])
    traffic = Traffic(
        course,
        course.rate,
        course.rate * course.ratio,
        float(valid.mean()),
        _HISTORY,
        (Incident("full outage", start, end),),
    )
    timeline, name = _play(promise, severity, traffic)
    fired = firings(timeline, name)
    if not fired or fired[0].at > end:
        return None
    share = budget_gone(promise.slo, traffic, fired[0].at)
    budget = "" if share is None else f" with {format_number(share * 100, 3)} % of the budget gone"
    last = timeline.changes[name][-1]
    return _Seen(fired[0].at - start, budget, last.at - end if last.at > end else None)


def _play(promise: Promise, severity: Severity, traffic: Traffic, evaluated: int = 0) -> tuple[Timeline, str]:
    """Only the alarms of one severity, which is half the work; ``evaluated``: the minute of the hour of hourly ones."""
    template = promise.template_of(severity)
    names = [alarm.name for alarm in template.alarms] + [composite.name for composite in template.composites]
    states = dict.fromkeys(names, AlarmState.OK)
    store, reading = record(promise.slo.sli.measure, traffic), Reading(hourly_minute=evaluated)
    timeline = simulate(template, store, moment(traffic.watched), traffic.end, initial=states, reading=reading)
    return timeline, promise.alarms[severity]


def _missed_run(promise: Promise) -> str:
    measure = promise.slo.sli.measure
    assert isinstance(measure, SinceSuccess)
    job, window = Job.of(measure), heartbeat_window(promise.slo)
    # Where it is evaluated hourly, it matters in which minute of the hour a run succeeds, and in which it is evaluated.
    minutes = (0, 59) if window.period * window.periods > 86_400 else (0,)
    seen = [_without_runs(promise, job, minute, evaluated) for minute, evaluated in product(minutes, repeat=2)]
    pages, resets = [page for page, _ in seen], [reset for _, reset in seen]
    since = "a run that is missed" if measure.every is not None else "no more successes after one"
    counted = "it was due" if measure.every is not None else "it"
    origin = timedelta(0) if measure.every is not None else job.cycle * MINUTE
    shortest, longest = (f"{_length(origin + page)}" for page in (min(pages), max(pages)))
    length = shortest if shortest == longest else f"between {shortest} and {longest}"
    verb = "pages" if measure.every is not None else "page"
    return f"{since} {verb} {length} after {counted}, and that is over {_at_most(resets)} the next success"


def _at_most(resets: Iterable[timedelta]) -> str:
    longest = max(resets)
    if longest > _HOUR:
        longest = math.ceil(longest / _HOUR) * _HOUR
    return f"within {_length(longest)} of"


def _without_runs(promise: Promise, job: Job, minute: int, evaluated: int) -> tuple[timedelta, timedelta]:
    """How long after the first missed run it pages, and how long after the next success that is over.

    Runs succeed in the ``minute`` of an hour; an alarm that is evaluated hourly is so in the minute ``evaluated``.
    """
    before = 3
    due = [number * job.cycle + minute for number in range(before)]
    length = (before + 3) * job.cycle + 2 * job.slack + 4 * 60
    missed = moment(before * job.cycle + minute)
    timeline, name = _play(promise, Severity.PAGE, _runs(due, length, due[-1] + 1), evaluated)
    page = firings(timeline, name)[0].at
    cycles = math.ceil((page - moment(due[-1])) / (job.cycle * MINUTE))
    again = due[-1] + cycles * job.cycle
    timeline, name = _play(promise, Severity.PAGE, _runs([*due, again], again + 3 * 60, due[-1] + 1), evaluated)
    over = next(
        one.at for one in timeline.changes[name] if one.at >= moment(again) and one.state is not AlarmState.ALARM
    )
    return page - missed, over - moment(again)


def _runs(successes: Iterable[int], length: int, watched: int) -> Traffic:
    valid = np.zeros(length)
    valid[list(successes)] = 1
    return Traffic(Course(valid, np.zeros(length)), valid, np.zeros(length), 1.0, watched)


def _length(value: timedelta) -> str:
    return format_duration(value) if value else "at once"
