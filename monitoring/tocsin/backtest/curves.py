"""What a picture of a run or a timeline shows, as numbers and words: the curves, the strips, the sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..alarm import Alarm, AlarmState, Metric, MetricStat
from ..burn_rate import Tier
from ..errors import SimulationError
from ..simulate.series import Store
from ..simulate.template import AlarmTemplate
from ..simulate.timeline import Timeline
from ..units import format_duration
from .traffic import MINUTE, Floats, moment

if TYPE_CHECKING:
    from .judge import Run
    from .outcome import Outcome

_Value = TypeVar("_Value", bound=np.generic)

DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)
# Points of a curve: more than a picture is wide, and few enough for a year of minutes.
_POINTS = 2400
# The SLI goes in steps, so that chance does not paint the whole panel.
_SLI_MINUTES, _SLI_POINTS = (1, 5, 15, 60, 360, 1440), 720
_TICKS = (1 / 12, 1 / 6, 1 / 4, 1 / 2, 1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 672, 1344)
_MOST_TICKS = 12
_LONGEST_NAME = 46
_SPAN = re.compile(r"(?<![A-Za-z0-9])([0-9]{1,6})(m|h|d)(?![A-Za-z0-9])")
_UNIT = {"m": 1, "h": 60, "d": 1440}


@dataclass(frozen=True, slots=True)
class Clock:
    """Moments as numbers on the axis: hours since ``zero``; ``dated`` shows the calendar instead."""

    zero: datetime
    dated: bool

    def __call__(self, at: datetime) -> float:
        return (at - self.zero) / _HOUR

    def ticks(self, left: float, right: float) -> tuple[list[float], list[str]]:
        """At most a dozen places at round hours, days or minutes, and what is written there."""
        step = next((one for one in _TICKS if (right - left) / one <= _MOST_TICKS), (right - left) / _MOST_TICKS)
        first, last = np.ceil(left / step - 1e-9), np.floor(right / step + 1e-9)
        places = [float(number * step) for number in np.arange(first, last + 1)]
        return places, list(self._dates(places, step) if self.dated else map(_since, places))

    def _dates(self, places: Sequence[float], step: float) -> Iterator[str]:
        """The time of day, and the date where a new one begins."""
        before: datetime | None = None
        for place in places:
            at = self.zero + timedelta(seconds=round(place * 3600))
            date = f"{at:%Y-%m-%d}" if before is None or at.year != before.year else f"{at:%m-%d}"
            if step >= 24:
                yield date
            elif before is None or at.date() != before.date():
                yield f"{at:%H:%M}\n{date}"
            else:
                yield f"{at:%H:%M}"
            before = at


def _since(place: float) -> str:
    span = timedelta(seconds=round(abs(place) * 3600))
    return f"{'+' if place > 0 else '−'}{format_duration(span)}" if span else "0"


@dataclass(frozen=True, slots=True)
class Steps:
    """The share of good events in percent, in steps of ``size`` from each of ``hours`` on; NaN without events."""

    hours: Floats
    good: Floats
    size: timedelta


def sli_steps(run: Run, clock: Clock) -> Steps:
    """What users saw, whatever was reported of it."""
    traffic = run.traffic
    length = len(traffic) - traffic.watched
    size = next((one for one in _SLI_MINUTES if length / one <= _SLI_POINTS), _SLI_MINUTES[-1])
    edges = np.arange(traffic.watched, len(traffic), size)
    valid, bad = (np.add.reduceat(one, edges) for one in (traffic.valid, traffic.bad))
    with np.errstate(invalid="ignore", divide="ignore"):
        good = np.where(valid > 0, 100 * (1 - bad / valid), np.nan)
    return Steps(clock(moment(0)) + edges / 60, good, size * MINUTE)


@dataclass(frozen=True, slots=True)
class Burning:
    """Burn rates over the two windows of a tier that end at ``hours``, and where the tier fires."""

    hours: Floats
    long: Floats
    short: Floats
    fires: NDArray[np.bool_]


def burning(run: Run, tier: Tier, clock: Clock) -> Burning:
    """What CloudWatch sees at every minute that is judged, with the gate for few bad events, thinned to be drawn."""
    at = np.arange(run.traffic.watched, len(run.traffic) + 1)
    long, failed = _window(run, tier.long_window, at)
    short, _ = _window(run, tier.short_window, at)
    limit = float(tier.burn_rate)
    fires = (long > limit) & (short > limit) & (failed >= run.slo.minimum_bad_events)
    return Burning(
        clock(moment(0)) + thin(at, np.maximum) / 60,
        thin(long, np.fmax),
        thin(short, np.fmax),
        thin(fires, np.logical_or),
    )


def _window(run: Run, window: timedelta, at: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Burn rate (NaN without events) and bad events over [t - window, t)."""
    traffic = run.traffic
    valid, bad = traffic.valid, traffic.bad
    if traffic.unreported is not None:
        valid, bad = (np.where(traffic.unreported, 0, one) for one in (valid, bad))
    # A window over a day is looked at once an hour, up to the full hour.
    ends = at - at % 60 if window > DAY else at
    starts = np.maximum(ends - window // MINUTE, 0)
    totals = (np.concatenate(([0.0], np.cumsum(one))) for one in (valid, bad))
    seen, failed = (total[ends] - total[starts] for total in totals)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = np.where(seen > 0, failed / seen / float(run.slo.error_budget), np.nan)
    return rate, failed


@dataclass(frozen=True, slots=True)
class Runs:
    """Hours since the last success, and when runs succeeded and failed."""

    hours: Floats
    since: Floats
    succeeded: Floats
    failed: Floats


def runs_of(run: Run, clock: Clock) -> Runs:
    """The runs of a job that are judged."""
    traffic, zero = run.traffic, clock(moment(0))
    succeeded, failed = np.flatnonzero(traffic.valid > traffic.bad), np.flatnonzero(traffic.bad > 0)
    minutes = np.arange(traffic.watched, len(traffic))
    newest = np.searchsorted(succeeded, minutes, side="right") - 1
    since: Floats = np.full(len(minutes), np.nan)
    known = newest >= 0
    since[known] = (minutes[known] - succeeded[newest[known]]) / 60
    judged = (zero + one[one >= traffic.watched] / 60 for one in (succeeded, failed))
    return Runs(zero + thin(minutes, np.maximum) / 60, thin(since, np.fmax), *judged)


def thin(values: NDArray[_Value], worst: np.ufunc) -> NDArray[_Value]:
    """No more points than can be seen; ``worst`` of neighbours stays, so that no spike gets lost."""
    size = -(-len(values) // _POINTS)
    if size <= 1:
        return values
    kept: NDArray[_Value] = worst.reduceat(values, np.arange(0, len(values), size))
    return kept


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric as its alarm reads it: lowest and highest value around each of ``hours``; NaN breaks the line."""

    metric: Metric
    statistic: str
    hours: Floats
    low: Floats
    high: Floats
    threshold: float | None


def metrics_to_draw(timeline: Timeline, store: Store, template: AlarmTemplate | None) -> dict[Metric, Alarm | None]:
    """Metrics that there is data for: those of alarms that were in ALARM first; with the plain alarm that watches each."""
    held = dict.fromkeys(store.metrics())
    if template is None:
        return held
    loud = set(restless(timeline))
    alarms = sorted(template.alarms, key=lambda alarm: alarm.name not in loud)
    watched: dict[Metric, Alarm | None] = {}
    for alarm in alarms:
        plain = alarm if len(alarm.queries) == 1 else None
        for metric in alarm.metrics:
            if metric in held:
                watched[metric] = watched.get(metric) or plain
    return watched | {metric: None for metric in held if metric not in watched}


def measured(store: Store, metric: Metric, watching: Alarm | None, timeline: Timeline, clock: Clock) -> Measured:
    """The statistic that the alarm reads, or the first that the data yields, at the ends of its windows."""
    step = max(60, -(-int((timeline.end - timeline.start) / _SECOND) // (10 * _POINTS * 60)) * 60)
    tried = [stat for query in (watching.queries if watching else ()) if (stat := query.stat) is not None]
    tried += [MetricStat(metric, name, step) for name in ("Average", "Sum", "Maximum", "Minimum", "SampleCount")]
    length = int((timeline.end - timeline.start) / _SECOND)
    statistic, values = "", np.full(1, np.nan)
    for stat in tried:
        # Windows that left time between them would leave out what happened there.
        step = min(step, stat.period)
        begin = timeline.start - timedelta(seconds=stat.period)
        try:
            statistic, values = stat.statistic, store.windows(stat, begin, step, length // step + 1)
        except SimulationError:
            continue
        break
    hours = clock(timeline.start) + np.arange(len(values)) * step / 3600
    threshold = watching.threshold if watching is not None else None
    return Measured(metric, statistic, *_with_breaks(hours, values), threshold)


def _with_breaks(hours: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Lowest and highest of neighbouring datapoints, and a NaN where more than twice their usual distance holds none.

    A gap that is narrower than a point of the picture is none.
    """
    there = np.flatnonzero(np.isfinite(values))
    hours, values = hours[there], values[there]
    if len(there) < 2:
        return hours, values, values
    gaps = np.diff(hours)
    wide = max(2 * float(np.median(gaps)), float(hours[-1] - hours[0]) / _POINTS)
    after = np.flatnonzero(gaps > wide * (1 + 1e-9)) + 1
    groups = np.union1d(np.arange(0, len(there), -(-len(there) // _POINTS)), after)
    breaks = np.searchsorted(groups, after)
    low, high = (np.insert(worst.reduceat(values, groups), breaks, np.nan) for worst in (np.fmin, np.fmax))
    last = np.maximum.reduceat(hours, groups)
    return np.insert(last, breaks, last[breaks - 1]), low, high


def restless(timeline: Timeline) -> list[str]:
    """Alarms that were in ALARM at some time, ``burn-6h`` before ``burn-1d``."""
    alarmed = (AlarmState.ALARM in {change.state for change in record} for record in timeline.changes.values())
    return in_order([name for name, was in zip(timeline.changes, alarmed, strict=True) if was])


def in_order(names: Sequence[str]) -> list[str]:
    """By name, ``burn-6h`` before ``burn-1d``."""
    return sorted(names, key=_by_duration)


def _by_duration(name: str) -> list[tuple[bool, int, str]]:
    parts = _SPAN.split(name)
    # Text, number, unit, text, number, unit, … text.
    texts = [(False, 0, part) for part in parts[::3]]
    spans = [(True, int(number) * _UNIT[unit], "") for number, unit in zip(parts[1::3], parts[2::3], strict=True)]
    return [one for pair in zip_longest(texts, spans) for one in pair if one is not None]


def shared_start(names: Sequence[str]) -> str:
    """What all names begin with, up to a hyphen; nothing for a single name."""
    if len(names) < 2:
        return ""
    first, last = min(names), max(names)
    differ = (place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: first.rfind("-", 0, next(differ, min(len(first), len(last)))) + 1]


def short(text: str) -> str:
    """On one line, and long text with its middle left out: names differ at their ends."""
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    if len(text) <= _LONGEST_NAME:
        return text
    half = _LONGEST_NAME // 2
    return f"{text[: half - 1]}…{text[-half:]}"


def stretches(timeline: Timeline, name: str) -> Iterator[tuple[datetime, datetime, AlarmState]]:
    """From when to when the alarm was in which state."""
    record = timeline.changes[name]
    ends = [change.at for change in record[1:]] + [timeline.end]
    for change, end in zip(record, ends, strict=True):
        yield change.at, end, change.state


def sentence(outcome: Outcome) -> str:
    """What a severity did, in one line."""
    who, verdict = outcome.severity.value, outcome.verdict.value
    if not outcome.fired:
        return f"{who}: silent ({verdict})"
    parts = []
    if outcome.in_alarm_after is not None:
        theory = f" (theory {_rounded(outcome.theory)})" if outcome.theory is not None else ""
        parts.append(f"after {_rounded(outcome.in_alarm_after)}{theory}")
    if outcome.told_at is None:
        parts.append("told nobody")
    elif outcome.at is not None and outcome.told_at > outcome.at:
        parts.append(f"told {_rounded(outcome.told_at - outcome.at)} later")
    if outcome.budget_gone is not None:
        parts.append(f"{100 * outcome.budget_gone:.1f} % of the budget gone")
    if outcome.reset_after is not None:
        parts.append(f"closes {_rounded(outcome.reset_after)} after the incident" if outcome.reset_after else "closes")
    return f"{who}: {', '.join(parts) or 'fires'} ({verdict})"


def _rounded(span: timedelta) -> str:
    """To the second, beyond ten minutes to the minute."""
    unit = MINUTE if span > 10 * MINUTE else _SECOND
    return format_duration(round(span / unit) * unit) if span else "0 s"
