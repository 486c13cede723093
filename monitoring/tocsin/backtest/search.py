"""Looks for the setting of an alarm that does best in a history, with a margin to those that do worse."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from ..alarm import Alarm, Comparison
from .trial import Figures, Floats, Part, Setting, Trial

# M of N that are tried beside the present one.
SHAPES = ((1, 1), (2, 2), (3, 3), (2, 3), (3, 5), (5, 5))
_DAY = 86_400
# A wider margin may cost so many seconds of delay, and never more than one period.
_MOST_DELAY = 300
# Thresholds tried for each M of N: each of the most extreme values, then ever fewer towards the middle.
_EXTREMES = 40
_GAPS = 30
_GROWTH = 1.12
# Where no incident speaks for seeing things early, a lasting problem may be told this much later (seconds), or three times.
_LATER = 1800
# How far beyond the values of a healthy history a threshold is put, as a share of their distance from the middle.
_MARGIN = 0.1
# The least width of the stretch, as a share of the distance of its middle from the median.
_LEAST_WIDTH = 0.02
# An alarm that is on for a larger share of the healthy time is part of the furniture, whatever it also sees.
LOUDEST = 0.05


@dataclass(frozen=True, slots=True)
class Found:
    """A setting, and the values between which every threshold does equally well."""

    setting: Setting
    low: float
    high: float


def is_upper(alarm: Alarm) -> bool:
    """Whether high values breach."""
    return alarm.comparison in (Comparison.GREATER, Comparison.GREATER_OR_EQUAL)


def shapes(alarm: Alarm) -> list[tuple[int, int]]:
    """The M of N that are tried, none of which looks back more than a day; the present one first."""
    present = (alarm.datapoints_to_alarm, alarm.evaluation_periods)
    return [present, *(one for one in SHAPES if one != present and one[1] * alarm.period <= _DAY)]


def thresholds(alarm: Alarm, distinct: Floats) -> list[float]:
    """Thresholds between the values that were seen, ascending: many among the extreme ones, in the widest gaps, few elsewhere.

    None lies on the far side of the median: an alarm that half of the datapoints breach tells nothing.
    """
    values = distinct if is_upper(alarm) else distinct[::-1]
    count = len(values)
    ranks = {count - 1 - back for back in range(min(_EXTREMES, count))}
    back = float(_EXTREMES)
    while back < count / 2:
        ranks.add(count - 1 - int(back))
        back = max(back + 1, back * _GROWTH)
    # What divides two kinds of days is a gap between their values.
    gaps = np.abs(np.diff(values))[count // 2 :]
    ranks |= {count // 2 + int(place) for place in np.argsort(gaps, kind="stable")[-_GAPS:]}
    found = {_between(float(values[rank]), float(values[rank + 1])) for rank in ranks if rank + 1 < count}
    spread = abs(float(values[-1]) - float(values[count // 2])) or abs(float(values[-1])) or 1.0
    beyond = float(values[-1]) + math.copysign(spread * _MARGIN, 1 if is_upper(alarm) else -1)
    return sorted({*found, beyond, alarm.threshold})


def best_with_incidents(trial: Trial, part: Part) -> Found | None:
    """The setting that sees most and is wrong least; None if none does better than the present one.

    Not less is seen than now, and what is seen more is not bought with noise: there are more incidents seen in addition than
    false alarms.  Nor is it on for long while nothing is wrong.  Of equals the one with the fewest false alarms (a day in
    ALARM counts as one), then the quickest, give or take one period or five minutes, whichever is less; of these the
    threshold in the middle of the widest stretch that does as well.
    """
    alarm = trial.alarm
    present = Setting.of(alarm)
    now = trial.figures(present, part)
    tried = {
        shape: [
            (threshold, trial.figures(Setting(threshold, shape[1], shape[0]), part))
            for threshold in thresholds(alarm, trial.distinct())
        ]
        for shape in shapes(alarm)
    }
    fit = [one for row in tried.values() for _, one in row if _keeps(one, now)]
    if not fit:
        return None
    # A threshold that does well only between two values that nearly touch does so by chance: then the next best counts.
    for rank in sorted(set(map(_rank, fit))):
        equals = [one for one in fit if _rank(one) == rank]
        quickest = min(map(_delay, equals))
        if not _better(rank, quickest, now, alarm.period):
            break
        chosen = {id(one) for one in equals if _delay(one) <= quickest + min(alarm.period, _MOST_DELAY)}
        runs = [
            (shape, *_around([threshold for threshold, _ in stretch], trial.distinct()))
            for shape, row in tried.items()
            for kept, stretch in groupby(row, key=lambda one: id(one[1]) in chosen)
            if kept
        ]
        if wide := [run for run in runs if _is_wide(run[1], run[2], trial.median())]:
            return _widest(wide, present, trial)
    return None


def _is_wide(low: float, high: float, median: float) -> bool:
    return high - low >= _LEAST_WIDTH * abs((low + high) / 2 - median)


def _widest(runs: Iterable[tuple[tuple[int, int], float, float]], present: Setting, trial: Trial) -> Found:
    scale = float(np.ptp(trial.distinct())) or 1.0

    def worth(one: tuple[tuple[int, int], float, float]) -> tuple[float, bool, float]:
        shape, low, high = one
        # Widths that differ by less than a hundredth of all values are the same: the present M of N then stays.
        changed = shape != (present.datapoints_to_alarm, present.evaluation_periods)
        return -round((high - low) / scale, 2), changed, abs((low + high) / 2 - present.threshold)

    shape, low, high = min(runs, key=worth)
    return Found(Setting(round_within((low + high) / 2, low, high), shape[1], shape[0]), low, high)


def best_of_healthy(trial: Trial, part: Part) -> Found | None:
    """A change that leaves fewer firings in a history in which nothing was wrong; None if none helps.

    First more datapoints at the present threshold, because that still tells of anything that lasts.  Only where no such
    change at least halves the firings is the threshold moved, to just beyond what was seen.
    """
    alarm = trial.alarm
    present = Setting.of(alarm)
    now = trial.figures(present, part)
    longest = max(_LATER, 3 * present.datapoints_to_alarm * alarm.period)
    slower = [
        Setting(present.threshold, n, m)
        for m, n in shapes(alarm)
        if m >= present.datapoints_to_alarm and n >= present.evaluation_periods and m * alarm.period <= longest
    ]
    laxer = [Setting(one, present.evaluation_periods, present.datapoints_to_alarm) for one in _laxer(trial)]
    by_shape = {setting: trial.figures(setting, part).cost for setting in slower}
    least = min(by_shape.values())
    if least <= now.cost / 2 and least < now.cost:
        good = [setting for setting, cost in by_shape.items() if cost == least]
        chosen = min(good, key=lambda one: (one.datapoints_to_alarm, one.evaluation_periods))
        return Found(chosen, chosen.threshold, chosen.threshold)
    by_threshold = {setting: trial.figures(setting, part).cost for setting in laxer}
    least = min(by_threshold.values())
    if least >= now.cost:
        return None
    quiet = [setting.threshold for setting, cost in by_threshold.items() if cost == least]
    edge = min(quiet) if is_upper(alarm) else max(quiet)
    margin = abs(edge - trial.median()) * _MARGIN
    far = edge + margin if is_upper(alarm) else edge - margin
    low, high = sorted((edge, far))
    return Found(Setting(round_within(far, low, high), *_shape(present)), low, high)


def _laxer(trial: Trial) -> list[float]:
    alarm = trial.alarm
    return [
        one
        for one in thresholds(alarm, trial.distinct())
        if (one > alarm.threshold if is_upper(alarm) else one < alarm.threshold)
    ] or [alarm.threshold]


def _shape(setting: Setting) -> tuple[int, int]:
    return setting.evaluation_periods, setting.datapoints_to_alarm


def _keeps(one: Figures, now: Figures) -> bool:
    """Whether a setting sees what the present one does, and more only at a fair price."""
    if one.seen < now.seen or one.fresh < now.fresh or one.loud > LOUDEST:
        return False
    if one.seen == now.seen and one.fresh == now.fresh:
        return True
    return one.cost - now.cost < max(one.fresh - now.fresh, one.seen - now.seen)


def _rank(one: Figures) -> tuple[int, int, int]:
    return -one.fresh, -one.seen, one.cost


def _delay(one: Figures) -> float:
    return math.inf if one.delay is None else one.delay


def _better(top: tuple[int, int, int], delay: float, now: Figures, period: int) -> bool:
    """Whether it is worth a change: more seen, fewer false alarms, or told more than one datapoint earlier."""
    return top < _rank(now) or (top == _rank(now) and delay + period < _delay(now))


def _around(run: Sequence[float], values: Floats) -> tuple[float, float]:
    """The values next to a run of thresholds: up to them it makes no difference where the threshold is."""
    below, above = values[values < run[0]], values[values > run[-1]]
    return float(below[-1]) if len(below) else run[0], float(above[0]) if len(above) else run[-1]


def _between(one: float, other: float) -> float:
    middle = one + (other - one) / 2
    return round_within(middle, min(one, other), max(one, other))


def round_within(value: float, low: float, high: float) -> float:
    """The number with the fewest digits near ``value`` that stays clear of both ends; ``value`` if they are too close."""
    room = min(value - low, high - value) / 2
    for rounded in _rounded(value):
        if abs(rounded - value) <= room:
            return rounded
    return value


def _rounded(value: float) -> Iterator[float]:
    for digits in range(1, 17):
        yield float(f"{value:.{digits}g}")
