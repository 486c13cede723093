"""The part of a pull that reads metrics: which are missing, in as few calls as may be, and the counts of SLOs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..alarm import MetricStat
from ..errors import CloudError
from ..model import Slo
from .batches import Call, Wanted, batch, fewest_calls
from .counts import Count, counts_of, needs_before, queries_of
from .gaps import Asked, Moments, common, joined, to_ask, without
from .pull_scope import Scope
from .source import Source
from .watched import PulledSystem

#: Told of each system how many of its datapoints have been asked, and how many there are to ask.
Progress = Callable[[str, int, int], None]

# After so many calls in a row that failed the rest is not tried: each has been repeated with growing pauses already.
_GIVE_UP = 2


@dataclass(slots=True, eq=False)
class _Task:
    """A span of an SLO, and what of its queries has come: ``before`` are those needed from one period earlier."""

    system: str
    slo: Slo
    asked: Asked
    stats: Mapping[str, MetricStat]
    before: Collection[str]
    done: list[Moments] = field(default_factory=list)

    def start_of(self, query: str) -> datetime:
        """From when on a query is needed."""
        return self.asked.start - (self.step if query in self.before else timedelta(0))

    @property
    def step(self) -> timedelta:
        """One period."""
        return timedelta(seconds=self.asked.period)


class Metrics:
    """What is missing of metrics, and how much of it has been read.

    ``since`` is the start of the earliest span, or None where nothing is missing.  ``calls`` are requests to GetMetricData,
    ``fewest`` the floor that its limits allow, ``billed`` the metrics in them.
    """

    def __init__(self, source: Source, scope: Scope, progress: Progress) -> None:
        self._source, self._scope, self._progress = source, scope, progress
        self._ledgers = scope.ledgers
        self._tasks = [task for system in scope.systems for task in self._tasks_of(system)]
        self._readers: dict[MetricStat, list[_Task]] = {}
        for task in self._tasks:
            for stat in task.stats.values():
                self._readers.setdefault(stat, []).append(task)
        self._owners = {
            stat: list(dict.fromkeys(task.system for task in tasks)) for stat, tasks in self._readers.items()
        }
        self._values: dict[MetricStat, dict[datetime, float]] = {stat: {} for stat in self._readers}
        self._come: dict[MetricStat, list[Moments]] = {stat: [] for stat in self._readers}
        self._sizes = dict.fromkeys(self._ledgers, 0)
        self._done_of = dict.fromkeys(self._ledgers, 0)
        self.since = min((task.asked.start for task in self._tasks), default=None)
        self.calls = self.billed = self.fewest = 0
        self.calls_of = dict.fromkeys(self._ledgers, 0)

    def periods_of(self, system: str) -> tuple[int, ...]:
        """In which periods something is missing of a system, in seconds."""
        return tuple(sorted({task.asked.period for task in self._tasks if task.system == system}))

    def read(self) -> None:
        """Call by call, each written before the next."""
        wanted, stats = self._wanted()
        self.fewest = fewest_calls(wanted)
        calls = batch(wanted)
        for call in calls:
            for name, size in self._shares(call, stats).items():
                self._sizes[name] += size
        for name in self._ledgers:
            self._progress(name, 0, self._sizes[name])
        failed = 0
        for number, call in enumerate(calls):
            try:
                self._read(call, stats)
                failed = 0
            except CloudError as error:
                failed += 1
                self._scope.tell(self._shares(call, stats), str(error))
                if failed >= _GIVE_UP or str(error).startswith("not allowed"):
                    rest = {name for later in calls[number + 1 :] for name in self._shares(later, stats)}
                    self._scope.tell(rest, str(error))
                    break

    def _tasks_of(self, system: PulledSystem) -> list[_Task]:
        ledger = self._ledgers[system.name]
        found = []
        for slo in system.asked:
            covered = ledger.covered(slo.name)
            since = self._scope.reach([slo], covered, ledger.lost)
            kept = self._source.kept([query.stat for query in queries_of(slo, 60) if query.stat])
            for asked in to_ask(covered, since, self._scope.until, kept, self._scope.now):
                stats = {query.id: query.stat for query in queries_of(slo, asked.period) if query.stat}
                found.append(_Task(system.name, slo, asked, stats, needs_before(slo)))
        return found

    def _wanted(self) -> tuple[list[Wanted], dict[str, MetricStat]]:
        """Each datapoint of each metric once, however many SLOs read it; queries by a name that stands for the metric."""
        spans: dict[MetricStat, list[Moments]] = {}
        for task in self._tasks:
            for query, stat in task.stats.items():
                spans.setdefault(stat, []).append((task.start_of(query), task.asked.end))
        names = {stat: str(number) for number, stat in enumerate(spans)}
        wanted = [
            Wanted(names[stat], stat.period, start, end)
            for stat, those in spans.items()
            for start, end in joined(those)
        ]
        return wanted, {name: stat for stat, name in names.items()}

    def _read(self, call: Call, stats: Mapping[str, MetricStat]) -> None:
        answer = self._source.read({name: stats[name] for name in call.queries}, call.start, call.end)
        self.calls += answer.requests
        self.billed += answer.requests * len(call.queries)
        for name, why in answer.refused.items():
            self._scope.tell(self._owners[stats[name]], f"cannot read {stats[name].metric}: {why}")
        touched: list[_Task] = []
        for name, values in answer.values.items():
            stat = stats[name]
            self._values[stat].update(values)
            self._come[stat] = joined([*self._come[stat], (call.start, call.end)])
            touched += [task for task in self._readers[stat] if task not in touched]
        self._write(touched)
        for name, size in self._shares(call, stats).items():
            self.calls_of[name] += answer.requests
            self._done_of[name] += size
            self._progress(name, self._done_of[name], self._sizes[name])

    def _write(self, touched: Sequence[_Task]) -> None:
        """What has become whole: counts need all of an SLO's queries."""
        found: dict[str, list[tuple[str, Asked, Sequence[Count]]]] = {}
        for task in touched:
            whole = [(task.asked.start, task.asked.end)]
            for query, stat in task.stats.items():
                ahead = task.step if query in task.before else timedelta(0)
                whole = common(whole, [(start + ahead, end) for start, end in self._come[stat]])
            for start, end in without(whole, task.done):
                counts = self._counts(task, start, end)
                found.setdefault(task.system, []).append((task.slo.name, Asked(start, end, task.asked.period), counts))
            task.done = joined([*task.done, *whole])
        for system, counted in found.items():
            self._ledgers[system].add_counts(counted)
        for task in touched:
            if task.done == [(task.asked.start, task.asked.end)]:
                self._forget(task)

    def _counts(self, task: _Task, start: datetime, end: datetime) -> Sequence[Count]:
        values = {
            query: {
                at: value
                for at, value in self._values[stat].items()
                if start - (task.step if query in task.before else timedelta(0)) <= at < end
            }
            for query, stat in task.stats.items()
        }
        return [one for one in counts_of(task.slo, task.asked.period, values) if start <= one[0] < end]

    def _forget(self, task: _Task) -> None:
        """Values that nobody waits for any more are dropped."""
        for stat in task.stats.values():
            readers = self._readers[stat]
            if task in readers:
                readers.remove(task)
            if not readers:
                self._values[stat] = {}

    def _shares(self, call: Call, stats: Mapping[str, MetricStat]) -> dict[str, int]:
        """How many of a call's datapoints are of each system; one that several share is of each."""
        size = call.datapoints // len(call.queries)
        found: dict[str, int] = {}
        for name in call.queries:
            for system in self._owners[stats[name]]:
                found[system] = found.get(system, 0) + size
        return found
