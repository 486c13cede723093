"""A pull: asks its sources for what a history lacks, with as few calls as may be, and writes it after every call.

However a pull ends, what it has written is whole, and the next one goes on from there: counts are written before the
coverage that speaks of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from .ledger import Ledger
from .pull_alerts import read_alerts
from .pull_changes import read_changes
from .pull_metrics import Metrics, Progress
from .pull_scope import Scope
from .source import AlertSource, Source
from .store import Store
from .watched import PulledSystem


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
    ``history_calls`` are requests to DescribeAlarmHistory, ``notes`` remarks that are no failure.  ``alerts`` are those of
    the on-call tool that are new or not as they were, None where it was not asked; ``problems`` are of no system alone.
    """

    since: datetime | None
    until: datetime
    systems: tuple[PulledOf, ...]
    calls: int
    fewest: int
    billed: int
    history_calls: int
    notes: tuple[str, ...] = ()
    alerts: int | None = None
    problems: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.problems and not any(system.problems for system in self.systems)


def pull(
    source: Source,
    store: Store,
    systems: Sequence[PulledSystem],
    since: datetime | None,
    until: datetime,
    now: datetime,
    progress: Progress = lambda _system, _done, _all: None,
    alerts: AlertSource | None = None,
) -> Pulled:
    """Complete a history up to ``until``; without ``since`` as far back as the SLOs' windows need and it ever went.

    ``now`` is the time of the source; without ``alerts`` no on-call tool is asked.  What cannot be had is told in the
    result, and the rest is written.  Raises InputError and CloudError where the store cannot be read or written, and
    InputError while another pull holds it.
    """
    with store.locked():
        notes: list[str] = []
        ledgers = {system.name: Ledger(store, system.environment, system.name, notes.append) for system in systems}
        problems = {system.name: list(system.problems) for system in systems}
        scope = Scope(systems, ledgers, since, until, now, problems)
        metrics = Metrics(source, scope, progress)
        for system in systems:
            ledgers[system.name].state(system, now)
        history_calls = read_changes(source, scope)
        found, problem = (None, "") if alerts is None else read_alerts(alerts, scope)
        metrics.read()
    return Pulled(
        metrics.since,
        until,
        tuple(_of_system(system, scope, metrics) for system in systems),
        metrics.calls,
        metrics.fewest,
        metrics.billed,
        history_calls,
        tuple(dict.fromkeys(notes)),
        found,
        (f"alerts are not complete: {problem}",) if problem else (),
    )


def _of_system(system: PulledSystem, scope: Scope, metrics: Metrics) -> PulledOf:
    unnamed = [] if system.problems else [f"{slo}: {why}" for slo, why in sorted((system.unnamed or {}).items())]
    return PulledOf(
        system.name,
        len(system.asked),
        metrics.calls_of[system.name],
        metrics.periods_of(system.name),
        tuple(dict.fromkeys((*scope.problems[system.name], *unnamed))),
    )
