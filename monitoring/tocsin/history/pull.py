"""A pull: asks a source for what a history lacks, with as few calls as may be, and writes it after every call.

However a pull ends, what it has written is whole, and the next one goes on from there: counts are written before the
coverage that speaks of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from ..alarm import MetricStat
from ..errors import CloudError, TocsinError
from ..model import Slo
from .batches import Call, Wanted, batch, fewest_calls
from .counts import Count, counts_of, needs_before, queries_of
from .gaps import Asked, Kept, Moments, common, joined, to_ask, without
from .ledger import Ledger
from .store import Store
from .watched import PulledSystem

if TYPE_CHECKING:
    from ..cloud.alarm_history import AlarmHistory
    from ..cloud.metric_data import MetricData

#: Told of each system how many of its datapoints have been asked, and how many there are to ask.
Progress = Callable[[str, int, int], None]

#: How far the first pull goes back for promises without a window, and the furthest it goes for those with one: what an
#: SLO's own window needs.  Further back is for whoever says so: it is coarse by then, and a review says what is missing.
SHORTEST, LONGEST = timedelta(days=28), timedelta(days=90)
# After so many calls in a row that failed the rest is not tried: each has been repeated with growing pauses already.
_GIVE_UP = 2


class Source(Protocol):
    """Where metrics and alarm states come from: CloudWatch, or a recording.

    ``kept_changes`` is how long changes of alarm states are kept.
    """

    @property
    def kept_changes(self) -> timedelta | None:
        """How long the alarm history is kept; None for ever."""
        ...

    def kept(self, stats: Collection[MetricStat]) -> Sequence[Kept]:
        """In which periods these metrics can be had, finest first, and for how long."""
        ...

    def read(self, stats: Mapping[str, MetricStat], start: datetime, end: datetime) -> MetricData:
        """The datapoints of one call.  Raises TocsinError."""
        ...

    def changes(self, alarms: Collection[str], start: datetime, end: datetime) -> AlarmHistory:
        """The changes of state of these alarms.  Raises TocsinError."""
        ...


@dataclass(frozen=True, slots=True)
class PulledOf:
    """What was pulled of one system.

    ``calls`` are those in which any of its queries was; ``periods`` in seconds; ``problems`` a line each: what is missing.
    """

    name: str
    slos: int
    calls: int
    periods: tuple[int, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull did.

    ``since`` is the start of the earliest span asked, or None where nothing was missing.  ``calls`` are requests to
    GetMetricData and ``fewest`` the floor that its limits allow for what was asked; ``billed`` the metrics in them.
    ``history_calls`` are requests to DescribeAlarmHistory, ``notes`` remarks that are no failure.
    """

    since: datetime | None
    until: datetime
    systems: tuple[PulledOf, ...]
    calls: int
    fewest: int
    billed: int
    history_calls: int
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not any(system.problems for system in self.systems)


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


def pull(
    source: Source,
    store: Store,
    systems: Sequence[PulledSystem],
    since: datetime | None,
    until: datetime,
    now: datetime,
    progress: Progress = lambda _system, _done, _all: None,
) -> Pulled:
    """Complete a history up to ``until``; without ``since`` as far back as the SLOs' windows need and it ever went.

    ``now`` is the time of the source.  What cannot be had is told in the result, and the rest is written.  Raises
    InputError and CloudError where the store cannot be read or written, and InputError while another pull holds it.
    """
    with store.locked():
        return _Pull(source, store, systems, since, until, now, progress).run()


class _Pull:
    def __init__(
        self,
        source: Source,
        store: Store,
        systems: Sequence[PulledSystem],
        since: datetime | None,
        until: datetime,
        now: datetime,
        progress: Progress,
    ) -> None:
        self._source, self._systems, self._until, self._now = source, systems, until, now
        self._progress, self._since = progress, since
        self._notes: list[str] = []
        self._ledgers = {
            system.name: Ledger(store, system.environment, system.name, self._notes.append) for system in systems
        }
        self._problems: dict[str, list[str]] = {system.name: list(system.problems) for system in systems}
        self._tasks = [task for system in systems for task in self._tasks_of(system)]
        self._readers: dict[MetricStat, list[_Task]] = {}
        for task in self._tasks:
            for stat in task.stats.values():
                self._readers.setdefault(stat, []).append(task)
        self._owners = {
            stat: list(dict.fromkeys(task.system for task in tasks)) for stat, tasks in self._readers.items()
        }
        self._values: dict[MetricStat, dict[datetime, float]] = {stat: {} for stat in self._readers}
        self._come: dict[MetricStat, list[Moments]] = {stat: [] for stat in self._readers}
        self._calls = self._billed = self._history_calls = 0
        self._calls_of = dict.fromkeys(self._ledgers, 0)
        self._sizes = dict.fromkeys(self._ledgers, 0)
        self._done_of = dict.fromkeys(self._ledgers, 0)

    def run(self) -> Pulled:
        """All of it: promises and alarms, the alarm history, then the metrics."""
        for system in self._systems:
            self._ledgers[system.name].state(system, self._now)
        self._read_changes()
        wanted, stats = self._wanted()
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
                self._tell(self._shares(call, stats), str(error))
                if failed >= _GIVE_UP or str(error).startswith("not allowed"):
                    rest = {name for later in calls[number + 1 :] for name in self._shares(later, stats)}
                    self._tell(rest, str(error))
                    break
        return Pulled(
            min((task.asked.start for task in self._tasks), default=None),
            self._until,
            tuple(self._result(system) for system in self._systems),
            self._calls,
            fewest_calls(wanted),
            self._billed,
            self._history_calls,
            tuple(dict.fromkeys(self._notes)),
        )

    def _result(self, system: PulledSystem) -> PulledOf:
        problems = (
            [f"{slo}: {why}" for slo, why in sorted((system.unnamed or {}).items())] if not system.problems else []
        )
        periods = {task.asked.period for task in self._tasks if task.system == system.name}
        return PulledOf(
            system.name,
            len(system.asked),
            self._calls_of[system.name],
            tuple(sorted(periods)),
            tuple(dict.fromkeys((*self._problems[system.name], *problems))),
        )

    def _tasks_of(self, system: PulledSystem) -> list[_Task]:
        ledger = self._ledgers[system.name]
        found = []
        for slo in system.asked:
            covered = ledger.covered(slo.name)
            since = self._since
            if since is None:
                window = min(max(slo.window or SHORTEST, SHORTEST), LONGEST)
                since = min([self._until - window, *(start for start, _ in covered), *ledger.lost])
            kept = self._source.kept([query.stat for query in queries_of(slo, 60) if query.stat])
            for asked in to_ask(covered, since, self._until, kept, self._now):
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
        self._calls += answer.requests
        self._billed += answer.requests * len(call.queries)
        for name, why in answer.refused.items():
            self._tell(self._owners[stats[name]], f"cannot read {stats[name].metric}: {why}")
        touched: list[_Task] = []
        for name, values in answer.values.items():
            stat = stats[name]
            self._values[stat].update(values)
            self._come[stat] = joined([*self._come[stat], (call.start, call.end)])
            touched += [task for task in self._readers[stat] if task not in touched]
        self._write(touched)
        for name, size in self._shares(call, stats).items():
            self._calls_of[name] += answer.requests
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

    def _tell(self, systems: Collection[str] | Mapping[str, int], problem: str) -> None:
        for name in systems:
            self._problems[name].append(problem)

    def _read_changes(self) -> None:
        """The alarm history: systems that lack the same spans are asked for together."""
        kept = self._source.kept_changes
        oldest = self._until - LONGEST if kept is None else self._now - kept
        since = oldest if self._since is None else max(oldest, self._since)
        groups: dict[tuple[Moments, ...], list[PulledSystem]] = {}
        for system in self._systems:
            gaps = without([(since, self._until)], self._ledgers[system.name].alarms_covered())
            groups.setdefault(tuple(gaps), []).append(system)
        for spans, those in groups.items():
            for start, end in spans:
                try:
                    self._read_span(those, start, end)
                except TocsinError as error:
                    self._tell([system.name for system in those], str(error))
                    break

    def _read_span(self, systems: Sequence[PulledSystem], start: datetime, end: datetime) -> None:
        owner: dict[str, str] = {}
        for system in systems:
            names = {alarm.name for alarm in system.alarms} | self._ledgers[system.name].alarms
            owner |= dict.fromkeys(names, system.name)
        history = self._source.changes(sorted(owner), start, end)
        self._history_calls += history.requests
        rows: dict[str, list[tuple[object, ...]]] = {system.name: [] for system in systems}
        for one in history.changes:
            before = None if one.before is None else one.before.value
            rows[owner[one.alarm]].append((one.alarm, one.at, before, one.after.value, one.reason))
        for name, those in rows.items():
            self._ledgers[name].add_changes(those, start, end)
