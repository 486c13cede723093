"""The scenario library: what can happen to a promise, as seeded traffic with what should come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction

import numpy as np

from ..errors import InputError, nearest
from ..model import Slo
from ..units import format_duration, format_number
from . import runs
from .incident import Incident
from .traffic import (
    DAY,
    MINUTE,
    Brief,
    Course,
    Floats,
    Nature,
    Traffic,
    arrivals,
    by_chance,
    diurnal,
    evenly,
    generator,
    moment,
    nature,
)

#: Events a minute in ordinary times, where nothing else is said.
USUAL = 100.0
#: Events a minute where there are few: ten an hour.
QUIET = Fraction(1, 6)

# The longest burn-rate window is three days; before an incident it is filled with perfect service.
_HISTORY = 3 * DAY
# Watched before an incident and after it: by then the short window of every tier, six hours at most, is clean again.
_BEFORE, _AFTER = 10, 8 * 60
_HEALTHY = 0.1
# Later than CloudWatch usually is, and sooner than the shortest window, which is blind to anything later than itself.
_DELAY = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that can happen: ``about`` in a sentence, and how its traffic is made.

    ``applies``: to which measures.  ``silent``: nobody is to be told, whatever the burn-rate windows would say.
    ``burn``: the burn rate that the incident has, where it is the same for every promise.
    """

    name: str
    about: str
    applies: frozenset[Nature]
    make: Callable[[Brief], Traffic]
    silent: bool = False
    burn: Fraction | None = None

    def left_out(self, slo: Slo) -> str | None:
        """Why it is not run for this promise; None if it is."""
        kind = nature(slo.sli.measure)
        if kind not in self.applies:
            return f"it is about {' and '.join(sorted(self.applies))}, not {kind}"
        if self.burn is not None and self.burn * slo.error_budget > 1:
            fastest = format_number(1 / slo.error_budget)
            return f"out of reach: with everything failing the budget burns {fastest} times as fast as allowed"
        return None

    def build(self, slo: Slo, seed: int, *, system: str = "", usual: float = USUAL) -> Traffic:
        """The traffic, the same for the same seed, system, SLO and scenario.  ``usual``: events a minute."""
        return self.make(brief_for(slo, seed, system, self.name, usual))


def brief_for(slo: Slo, seed: int, system: str, name: str, usual: float) -> Brief:
    """What traffic of that name is made from: its own random numbers, one event a minute for a gauge."""
    rate = 1.0 if nature(slo.sli.measure) is Nature.MINUTES else usual
    return Brief(slo, generator(seed, system, slo.name, name), rate)


def _during(ratio: Floats, *, load: float = 1, calm: int = _AFTER) -> Callable[[Brief], Course]:
    """Perfect service, then the shares of ``ratio`` minute by minute, then perfect service again."""

    def course(brief: Brief) -> Course:
        shares = np.concatenate((np.zeros(_HISTORY), np.minimum(ratio, 1), np.zeros(calm)))
        rate = np.full(len(shares), brief.usual)
        rate[_HISTORY : _HISTORY + len(ratio)] *= load
        return Course(rate, shares)

    return course


def _incident(brief: Brief, course: Course, minutes: int, name: str) -> Traffic:
    """Traffic of a course whose incident has so many minutes; bad events are spread evenly."""
    valid = course.rate.copy() if brief.gauge else arrivals(brief.random, course.rate)
    return Traffic(
        course,
        valid,
        evenly(valid, course.ratio),
        brief.usual,
        _HISTORY - _BEFORE,
        (Incident(name, moment(_HISTORY), moment(_HISTORY + minutes)),),
    )


def _failing(
    name: str, share: Callable[[Brief], float], minutes: int, *, load: float = 1
) -> Callable[[Brief], Traffic]:
    """A constant share of events fails for so long."""

    def make(brief: Brief) -> Traffic:
        return _incident(brief, _during(np.full(minutes, share(brief)), load=load)(brief), minutes, name)

    return make


def _burn(rate: Fraction, minutes: int) -> Callable[[Brief], Traffic]:
    return _failing(f"burn at {format_number(rate)}", lambda brief: float(rate) * brief.budget, minutes)


def _slow_leak(brief: Brief) -> Traffic:
    minutes = 3 * DAY
    ratio = np.linspace(0, 4 * brief.budget, minutes)
    return _incident(brief, _during(ratio)(brief), minutes, "slow leak")


def _healthy(brief: Brief, rate: Floats, share: float) -> Traffic:
    """No incident: failures by chance, a share of the budget."""
    course = Course(rate, np.full(len(rate), share * brief.budget))
    valid = rate.copy() if brief.gauge else arrivals(brief.random, rate)
    return Traffic(course, valid, by_chance(brief.random, valid, course.ratio), brief.usual, _HISTORY)


def load_of(brief: Brief, minutes: int) -> Floats:
    """The usual load over days and nights; a gauge has one sample a minute."""
    return np.ones(minutes) if brief.gauge else diurnal(minutes, brief.usual)


def _diurnal_load(brief: Brief) -> Traffic:
    return _healthy(brief, load_of(brief, _HISTORY + 3 * DAY), _HEALTHY)


def _noise(brief: Brief) -> Traffic:
    return _healthy(brief, load_of(brief, _HISTORY + 7 * DAY), 0.5)


def _gap(brief: Brief) -> Traffic:
    traffic = _healthy(brief, load_of(brief, _HISTORY + DAY), _HEALTHY)
    return _without(traffic, _HISTORY + 10 * 60, 15)


def _gap_in_outage(brief: Brief) -> Traffic:
    return _without(_full_outage(brief), _HISTORY + 20, 15)


def _without(traffic: Traffic, first: int, minutes: int) -> Traffic:
    """CloudWatch gets nothing of these minutes."""
    unreported = np.zeros(len(traffic), dtype=bool)
    unreported[first : first + minutes] = True
    return replace(traffic, unreported=unreported)


_full_outage = _failing("full outage", lambda brief: 1.0, 60)


def _late_data(brief: Brief) -> Traffic:
    return replace(_full_outage(brief), delay=_DELAY)


def _traffic_stops(brief: Brief) -> Traffic:
    """Callers give up during the outage: from its end on there are no events at all."""
    course = _during(np.ones(60))(brief)
    course.rate[_HISTORY + 60 :] = 0
    return _incident(brief, course, 60, "outage until traffic stops")


def _few(failing: slice, minutes: int, name: str) -> Callable[[Brief], Traffic]:
    """One event every six minutes; those of the minutes ``failing`` after the onset fail."""

    def make(_: Brief) -> Traffic:
        length = _HISTORY + minutes + _AFTER
        valid = (np.arange(length) % int(1 / QUIET) == 0).astype(np.float64)
        ratio = np.zeros(length)
        ratio[_HISTORY:][failing] = 1
        incident = Incident(name, moment(_HISTORY), moment(_HISTORY + minutes))
        return Traffic(Course(valid, ratio), valid, valid * ratio, float(QUIET), _HISTORY - _BEFORE, (incident,))

    return make


def year(brief: Brief, days: int = 365) -> Traffic:
    """A healthy year: load over days and nights, half the budget spent by chance; or a job that is always in time."""
    if nature(brief.slo.sli.measure) is Nature.RUNS:
        return runs.healthy(brief, days * DAY // runs.job_of(brief).cycle)
    return _healthy(brief, load_of(brief, _HISTORY + days * DAY), 0.5)


_EVENTS = frozenset({Nature.EVENTS})
_SHARES = frozenset({Nature.EVENTS, Nature.MINUTES})
_RUNS = frozenset({Nature.RUNS})


def _burns() -> tuple[Scenario, ...]:
    """Burn rates, each held for longer than the tier that is to see it needs."""
    held = (
        (Fraction(1), 4 * DAY),
        (Fraction(2), 3 * DAY),
        (Fraction(6), DAY),
        (Fraction(72, 5), 360),
        (Fraction(100), 60),
    )
    return tuple(
        Scenario(
            f"burn-{format_number(rate)}",
            f"The budget burns {format_number(rate)} times as fast as allowed for {format_duration(minutes * MINUTE)}.",
            _EVENTS,
            _burn(rate, minutes),
            burn=rate,
        )
        for rate, minutes in held
    )


_LIBRARY = (
    Scenario(
        "diurnal-load",
        "Three healthy days: four times as many events by day as by night, a tenth of the budget spent by chance.",
        _SHARES,
        _diurnal_load,
        silent=True,
    ),
    Scenario(
        "half-budget-noise",
        "A week in which half the budget is spent by chance, over days and nights.",
        _SHARES,
        _noise,
        silent=True,
    ),
    Scenario("full-outage", "Every event is bad for an hour.", _SHARES, _full_outage),
    *_burns(),
    Scenario(
        "spike-10-minutes",
        "Ten minutes at a burn rate of 150, or with everything failing where that is less.",
        _SHARES,
        _failing("spike", lambda brief: 1.0 if brief.gauge else 150 * brief.budget, 10),
    ),
    Scenario("slow-leak", "The burn rate climbs from 0 to 4 over three days.", _EVENTS, _slow_leak),
    Scenario(
        "traffic-stops", "Every event is bad for an hour, then there are no events at all.", _EVENTS, _traffic_stops
    ),
    Scenario(
        "single-failure-when-quiet",
        "Ten events an hour, and one of them is bad.",
        _EVENTS,
        _few(slice(0, 1), 6, "a single failure"),
        silent=True,
    ),
    Scenario(
        "outage-when-quiet",
        "Ten events an hour, and for six hours all of them are bad.",
        _EVENTS,
        _few(slice(0, 360), 360, "outage in a quiet time"),
    ),
    Scenario(
        "late-data", "A full outage of an hour, of which CloudWatch hears three minutes late.", _SHARES, _late_data
    ),
    Scenario("gap", "A healthy day, of which fifteen minutes are never reported.", _SHARES, _gap, silent=True),
    Scenario(
        "gap-in-outage",
        "A full outage of an hour, of which fifteen minutes in the middle are never reported.",
        _SHARES,
        _gap_in_outage,
    ),
    Scenario(
        "deploy-blip",
        "One event in twenty is bad for the two minutes of a deployment.",
        _EVENTS,
        _failing("deployment", lambda brief: 0.05, 2),
    ),
    Scenario(
        "dependency-down",
        "Half of the events need something that is down for 45 minutes, and retries make it half as many events again.",
        _EVENTS,
        _failing("dependency down", lambda brief: 0.5, 45, load=1.5),
    ),
    Scenario(
        "job-in-time",
        "Fourteen runs, each later than it is due by up to a quarter of what is tolerated.",
        _RUNS,
        lambda brief: runs.healthy(brief, 14),
        silent=True,
    ),
    Scenario("job-fails-once", "One run fails, the next succeeds.", _RUNS, runs.fails_once),
    Scenario("job-late", "One run ends half as late as is tolerated.", _RUNS, runs.late, silent=True),
    Scenario("job-too-late", "One run ends later than is tolerated.", _RUNS, runs.too_late),
    Scenario("job-never-runs", "From one day on there are no runs.", _RUNS, runs.never_again),
)

#: Every scenario by name, in the order of the report.
SCENARIOS: Mapping[str, Scenario] = {one.name: one for one in _LIBRARY}


def chosen(names: Sequence[str]) -> tuple[Scenario, ...]:
    """The scenarios of these names in the library's order; all for none.  Raises InputError for an unknown name."""
    for name in names:
        if name not in SCENARIOS:
            close = nearest(name, SCENARIOS)
            hint = f"{close}; " if close.startswith("did you mean") else ""
            raise InputError(f"no scenario {name!r}; {hint}all there are: {', '.join(SCENARIOS)}")
    return tuple(one for one in SCENARIOS.values() if not names or one.name in names)
