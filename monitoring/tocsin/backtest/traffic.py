"""Traffic: valid and bad events minute by minute, and how CloudWatch would have recorded them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ..alarm import Metric
from ..model import Counted, Measure, Ranked, SinceSuccess, Slo
from ..simulate.series import Store
from .incident import Incident

Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]

#: Where simulated time begins: a Monday, midnight UTC.
ORIGIN = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = 1440
# The busiest minute of a day has four times the events of the quietest.
_SWING = 0.6


class Nature(StrEnum):
    """What the events of a measure are: something that happens, the minutes of a gauge, or the runs of a job."""

    EVENTS = "events"
    MINUTES = "minutes of a gauge"
    RUNS = "runs of a job"


def nature(measure: Measure) -> Nature:
    """What the events of ``measure`` are."""
    if isinstance(measure, SinceSuccess):
        return Nature.RUNS
    return Nature.MINUTES if isinstance(measure, Ranked) and measure.each_minute else Nature.EVENTS


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What was meant, before chance: ``rate[i]`` events in minute ``i``, the share ``ratio[i]`` of them bad."""

    rate: Floats
    ratio: Floats

    def __len__(self) -> int:
        return len(self.rate)


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """``valid[i]`` events in the minute that begins ``i`` minutes after ORIGIN, ``bad[i]`` of them bad.

    ``course`` is what was meant.  ``usual``: events a minute in ordinary times, from which the budget of a whole SLO
    window is reckoned.  ``watched``: the first minute that is judged; what lies before fills the windows.
    ``unreported``: minutes of which CloudWatch gets nothing.  ``delay``: how late its datapoints come.
    """

    course: Course
    valid: Floats
    bad: Floats
    usual: float
    watched: int
    incidents: tuple[Incident, ...] = ()
    unreported: Marks | None = None
    delay: timedelta = timedelta(0)

    def __len__(self) -> int:
        return len(self.valid)

    @property
    def start(self) -> datetime:
        """When the first minute begins."""
        return ORIGIN

    @property
    def end(self) -> datetime:
        """When the last minute ends."""
        return moment(len(self))

    def bad_before(self, at: datetime) -> float:
        """Bad events from the first minute that is judged until ``at``."""
        return float(self.bad[self.watched : minute(at)].sum())


@dataclass(frozen=True, slots=True)
class Brief:
    """What a scenario is made for: the promise, its random numbers and how many events a minute are usual."""

    slo: Slo
    random: np.random.Generator
    usual: float

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return float(self.slo.error_budget)

    @property
    def gauge(self) -> bool:
        """Whether the events are the minutes of a gauge, one a minute."""
        return nature(self.slo.sli.measure) is Nature.MINUTES


def moment(index: int) -> datetime:
    """When minute ``index`` begins."""
    return ORIGIN + index * MINUTE


def minute(at: datetime) -> int:
    """The minute that ``at`` lies in."""
    return (at - ORIGIN) // MINUTE


def generator(seed: int, *words: str) -> np.random.Generator:
    """Random numbers that are the same for the same seed and words, on every machine and in any order of use."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return np.random.default_rng(np.random.SeedSequence([seed, *np.frombuffer(digest, dtype="<u4").tolist()]))


def diurnal(minutes: int, mean: float) -> Floats:
    """Events a minute over days: fewest at two in the night, most at two in the afternoon, ``mean`` on average."""
    hour = np.arange(minutes, dtype=np.float64) / 60
    return mean * (1 - _SWING * np.cos(2 * np.pi * (hour - 2) / 24))


def arrivals(random: np.random.Generator, rate: Floats) -> Floats:
    """How many events each minute really has: Poisson."""
    return random.poisson(rate).astype(np.float64)


def by_chance(random: np.random.Generator, valid: Floats, ratio: Floats) -> Floats:
    """Bad events where each fails by itself: binomial."""
    return random.binomial(valid.astype(np.int64), np.clip(ratio, 0, 1)).astype(np.float64)


def evenly(valid: Floats, ratio: Floats) -> Floats:
    """Bad events spread evenly: the share is met at any moment, to within one event.

    An incident is judged with these, so that what is measured is the alarm and not luck.
    """
    ideal = np.floor(np.cumsum(valid * ratio) + 1e-6)
    return np.minimum(np.diff(ideal, prepend=0.0), valid)


def record(measure: Measure, traffic: Traffic) -> Store:
    """The samples of each metric of ``measure``, as the service that reports them would have sent them."""
    store = Store()
    times = int(ORIGIN.timestamp()) + 60 * np.arange(len(traffic), dtype=np.int64)
    valid, bad = traffic.valid, traffic.bad
    if traffic.unreported is not None:
        valid, bad = np.where(traffic.unreported, 0, valid), np.where(traffic.unreported, 0, bad)
    ones = np.ones(len(times))
    if isinstance(measure, Counted):
        if measure.bad_is_level:
            # The depth of a queue is reported every minute, also when nothing happens.
            seen = slice(None) if traffic.unreported is None else ~traffic.unreported
            store.add_samples(measure.bad, times[seen], np.cumsum(traffic.bad)[seen])
        elif measure.bad_statistic == "SampleCount":
            store.add_samples(measure.bad, times, ones, bad)
        else:
            _two_values(store, measure.bad, times, (0, valid - bad), (1, bad))
        store.add_samples(measure.valid, times, ones, valid if measure.bad_in_valid else valid - bad)
    elif isinstance(measure, Ranked):
        limit = float(measure.limit)
        _two_values(store, measure.metric, times, (limit / 2, valid - bad), (limit * 2, bad))
    elif measure.failed is None:
        store.add_samples(measure.started, times, ones, valid - bad)
    else:
        store.add_samples(measure.started, times, ones, valid)
        _two_values(store, measure.failed, times, (0, valid - bad), (1, bad))
    return store


def _two_values(
    store: Store, metric: Metric, times: NDArray[np.int64], one: tuple[float, Floats], other: tuple[float, Floats]
) -> None:
    """Samples that are one of two values, so many of each in every minute.

    With zeros for what is good, Sum, Average and SampleCount of a counter of failures are all right.
    """
    values = np.tile(np.array([one[0], other[0]], dtype=np.float64), len(times))
    store.add_samples(metric, np.repeat(times, 2), values, np.column_stack((one[1], other[1])).ravel())
