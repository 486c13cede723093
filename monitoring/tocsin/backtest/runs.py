"""The runs of a job as traffic: on time, failed once, late, or never again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from ..model import SinceSuccess
from .incident import Incident
from .traffic import MINUTE, Brief, Course, Floats, Traffic, moment

# Where in its cycle a run is due: at five in the morning for a daily job.
_INTO_CYCLE = 5 / 24
# Runs before the one that goes wrong: they fill the heartbeat's window.
_BEFORE = 3
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Job:
    """A job that is due every ``cycle`` minutes; ``slack``: how many minutes late is still kept."""

    cycle: int
    slack: int

    @classmethod
    def of(cls, measure: SinceSuccess) -> Job:
        """The job that a promise is about; without a known cycle, one with half a cycle of slack."""
        within = measure.within // MINUTE
        cycle = max(1, (measure.every // MINUTE) if measure.every is not None else within * 2 // 3)
        return cls(min(cycle, within), max(0, within - cycle))

    @property
    def too_late(self) -> int:
        """Minutes that are more than late enough, also for an alarm that is evaluated hourly."""
        pace = _HOUR // MINUTE if self.cycle + self.slack > 1440 else 5
        return min(self.slack + 3 * pace, self.cycle - 1)

    def due(self, number: int) -> int:
        """The minute in which run ``number`` is to succeed."""
        return number * self.cycle + round(self.cycle * _INTO_CYCLE)


def job_of(brief: Brief) -> Job:
    """The job of the promise."""
    measure = brief.slo.sli.measure
    assert isinstance(measure, SinceSuccess)  # a scenario of runs is made for such promises only
    return Job.of(measure)


def _done(brief: Brief, job: Job, number: int) -> int:
    """When run ``number`` succeeds where nothing is wrong: within a quarter of what is tolerated."""
    return job.due(number) + int(brief.random.integers(0, job.slack // 4 + 1))


def _traffic(
    length: int, succeeded: list[int], failed: list[int], watched: int, incidents: tuple[Incident, ...]
) -> Traffic:
    valid, bad = np.zeros(length), np.zeros(length)
    for at in succeeded:
        valid[at] += 1
    for at in failed:
        valid[at] += 1
        bad[at] += 1
    shares: Floats = np.divide(bad, valid, out=np.zeros(length), where=valid > 0)
    usual = (len(succeeded) + len(failed)) / length
    return Traffic(Course(valid, shares), valid, bad, usual, watched, incidents)


def healthy(brief: Brief, cycles: int) -> Traffic:
    """Every run succeeds in time, a little later on some days than on others."""
    job = job_of(brief)
    done = [_done(brief, job, number) for number in range(_BEFORE + cycles)]
    return _traffic((_BEFORE + cycles) * job.cycle, done, [], _BEFORE * job.cycle, ())


def fails_once(brief: Brief) -> Traffic:
    """One run fails; the next one succeeds."""
    job = job_of(brief)
    done = [_done(brief, job, number) for number in range(_BEFORE + 2)]
    wrong = done.pop(_BEFORE)
    incident = Incident("a run fails", moment(job.due(_BEFORE)), moment(done[_BEFORE]))
    return _traffic((_BEFORE + 2) * job.cycle, done, [wrong], _BEFORE * job.cycle, (incident,))


def late(brief: Brief) -> Traffic:
    """One run succeeds half as late as is tolerated."""
    job = job_of(brief)
    done = [_done(brief, job, number) for number in range(_BEFORE + 2)]
    done[_BEFORE] = job.due(_BEFORE) + job.slack // 2
    return _traffic((_BEFORE + 2) * job.cycle, done, [], _BEFORE * job.cycle, ())


def too_late(brief: Brief) -> Traffic:
    """One run succeeds later than is tolerated."""
    job = job_of(brief)
    done = [_done(brief, job, number) for number in range(_BEFORE + 2)]
    done[_BEFORE] = job.due(_BEFORE) + job.too_late
    incident = Incident("a run is late", moment(job.due(_BEFORE)), moment(done[_BEFORE]))
    return _traffic((_BEFORE + 2) * job.cycle, done, [], _BEFORE * job.cycle, (incident,))


def never_again(brief: Brief) -> Traffic:
    """From one day on there is no run at all."""
    job = job_of(brief)
    done = [_done(brief, job, number) for number in range(_BEFORE)]
    length = (_BEFORE + 4) * job.cycle
    incident = Incident("no more runs", moment(job.due(_BEFORE)), moment(length))
    return _traffic(length, done, [], _BEFORE * job.cycle, (incident,))
