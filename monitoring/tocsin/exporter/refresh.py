"""Refreshes the figures from CloudWatch: the only part of the exporter that asks AWS anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from ..alarm import AlarmState
from ..burn_rate import WINDOW_TABLE
from ..cloud.environments import Environment
from ..cloud.metrics import read_alarms
from ..cloud.session import Cloud, error_code
from ..errors import CloudError, TocsinError
from ..history.store import Store
from ..model import SinceSuccess, Slo
from .calls import FAILED, OK, Calls, outcome_of
from .figures import AlarmFigure, Figures, SloFigures, SystemFigures
from .ledger import MINUTES_KEPT, Ledger, hour_of, minute_of
from .older import read_older
from .reading import Key, metrics_of, read_counts
from .subject import Source, Subject, resolve_all

_MINUTE = timedelta(minutes=1)

#: A minute is read for the first time this long after its end.  CloudWatch publishes no figure for how late its metrics
#: are; those of AWS's own services are usually there within two minutes.
SETTLED_AFTER = timedelta(minutes=2)

#: So old are figures that have just been read, at most: the minute that is under way waits for its end.
AGE_WHEN_READ = SETTLED_AFTER + _MINUTE

#: Minutes are read again until they are this old, so that late data is counted.  What starts within three hours is
#: cheaper in CloudWatch's quota of datapoints a second (180,000 against 396,000 … Amazon CloudWatch service quotas).
READ_AGAIN = timedelta(minutes=170)

#: How often names are looked up and the time before the minutes is read again, for what is later still.
_NAMES_EVERY, _OLDER_EVERY = timedelta(hours=1), timedelta(days=1)

# A heartbeat's last success is looked for this far back, as far as CloudWatch's own alarms look.
_HEARTBEAT_LOOKBACK = timedelta(days=7)

_UNREACHABLE = ("ConnectionError", "HTTPClientError")


@dataclass(frozen=True, slots=True)
class Failure:
    """A system could not be refreshed.  ``reason`` is throttled, denied, unreachable or failed."""

    system: str
    reason: str
    text: str


class Refresher:
    """Holds the counts of all systems and brings them up to date.

    ``anchor`` is the moment from which totals count; None: from the first refresh on.  Only one thread may call
    ``refresh``; ``figures`` may be read by any.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        environment: Environment,
        cloud: Cloud,
        *,
        store: Store | None = None,
        anchored: bool = False,
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._sources, self._environment, self._cloud = tuple(sources), environment, cloud
        self._store, self._anchored, self._tell = store, anchored, tell
        self._calls = Calls()
        self._calls.watch(cloud, "cloudwatch", "cloudformation", "apigateway")
        self._declared = {source.system: len(source.plan.system.slos) for source in self._sources}
        self._subjects: dict[str, Subject] = {}
        self._ledgers: dict[Key, Ledger] = {}
        self._named_at: dict[str, datetime] = {}
        self._older_at: dict[Key, datetime] = {}
        self._systems: dict[str, SystemFigures] = {}
        self._failures: Counter[tuple[str, str]] = Counter()
        self._refreshes = 0
        self._figures = Figures(environment.name)

    @property
    def figures(self) -> Figures:
        """What the last refresh left; with the requests as of now."""
        known = self._figures
        return Figures(known.environment, known.systems, known.refreshes, known.failures, self._calls.made)

    @property
    def metrics(self) -> int:
        """How many metrics every refresh asks CloudWatch for."""
        return metrics_of(_slos(self._subjects.values()))

    @property
    def slos(self) -> int:
        """How many SLOs are shown."""
        return sum(len(subject.slos) for subject in self._subjects.values())

    def refresh(self, now: datetime) -> tuple[Failure, ...]:
        """Bring every system up to date, and say of which that could not be done.  Raises nothing of AWS's."""
        unnamed = self._resolve(now)
        failed = {system: _failure(system, error) for system, error in unnamed.items()}
        # Where AWS refuses to be asked, the names that are known hold on; what is not deployed any more has none.
        todo = {
            name: subject
            for name, subject in self._subjects.items()
            if name not in unnamed or isinstance(unnamed[name].__cause__, Exception)
        }
        try:
            self._read(todo, minute_of(now - SETTLED_AFTER))
            states, unread = self._read_states(todo.values())
        except CloudError as error:
            failed |= {name: _failure(name, error) for name in todo}
        else:
            failed |= unread
            for name, subject in todo.items():
                if name not in unread:
                    self._systems[name] = self._show(subject, states, now)
        self._refreshes += 1
        for failure in failed.values():
            self._failures[failure.system, failure.reason] += 1
        self._figures = Figures(
            self._environment.name, dict(self._systems), self._refreshes, dict(self._failures), self._calls.made
        )
        return tuple(failed[name] for name in sorted(failed))

    def _resolve(self, now: datetime) -> dict[str, TocsinError]:
        """Look up names where that is due, and say of which systems that failed: those are due again at once."""
        wanted = [
            source
            for source in self._sources
            if source.system not in self._named_at or now - self._named_at[source.system] >= _NAMES_EVERY
        ]
        if not wanted:
            return {}
        found, failed = resolve_all(wanted, self._environment, self._cloud)
        for name, subject in found.items():
            if name not in self._subjects or self._subjects[name].problems != subject.problems:
                for line in subject.problems:
                    self._tell(f"{name}: {line}")
            self._named_at[name] = now
        self._subjects |= found
        return failed

    def _read(self, subjects: Mapping[str, Subject], until: datetime) -> None:
        """The minutes that are new or may have changed, and what is before them where that is due."""
        slos = _slos(subjects.values())
        spans: dict[datetime, dict[Key, Slo]] = {}
        for key, slo in slos.items():
            spans.setdefault(self._read_from(key, until), {})[key] = slo
        for since, some in sorted(spans.items()):
            for key, counts in read_counts(self._cloud, some, 60, since, until).items():
                if key not in self._ledgers:
                    self._ledgers[key] = Ledger(self._anchor(until))
                self._ledgers[key].put_minutes(since, until, counts)
        due = {
            key: slo
            for key, slo in slos.items()
            if key not in self._older_at or until - self._older_at[key] >= _OLDER_EVERY
        }
        before = {key: (_reaches_back(slo, until), hour_of(until - MINUTES_KEPT)) for key, slo in due.items()}
        for key, counts in read_older(
            self._cloud, self._store, self._environment.name, due, before, self._tell
        ).items():
            self._ledgers[key].put_hours(counts)
            self._older_at[key] = until
        for key, slo in slos.items():
            self._ledgers[key].forget_hours_before(_reaches_back(slo, until))

    def _read_from(self, key: Key, until: datetime) -> datetime:
        """From where minutes are read: those that may have changed since they were read, at first all that are kept."""
        known = self._ledgers[key].until if key in self._ledgers else None
        oldest = hour_of(until - MINUTES_KEPT)
        return oldest if known is None else max(min(known, until) - READ_AGAIN, oldest)

    def _anchor(self, until: datetime) -> datetime:
        """From where totals count."""
        if not self._anchored:
            return until
        return (until - _MINUTE).replace(hour=0, minute=0)

    def _read_states(self, subjects: Iterable[Subject]) -> tuple[dict[str, AlarmState], dict[str, Failure]]:
        """The state of each alarm, and the systems whose alarms could not be read."""
        states: dict[str, AlarmState] = {}
        failed: dict[str, Failure] = {}
        for subject in subjects:
            try:
                listed = read_alarms(self._cloud, f"{self._environment.name}-{subject.system}-")
            except CloudError as error:
                failed[subject.system] = _failure(subject.system, error)
                continue
            states |= {alarm.name: alarm.state for alarm in listed}
        return states, failed

    def _show(self, subject: Subject, states: Mapping[str, AlarmState], now: datetime) -> SystemFigures:
        ledgers = {slo.name: self._ledgers[subject.system, slo.name] for slo in subject.slos}
        until = min(ledger.until for ledger in ledgers.values() if ledger.until is not None)
        alarms = tuple(
            AlarmFigure(alarm.name, alarm.severity, alarm.slo, states[alarm.name])
            for alarm in subject.alarms
            if alarm.name in states
        )
        return SystemFigures(
            owner=subject.owner,
            refreshed=now,
            until=until,
            slos=tuple(_figures(slo, ledgers[slo.name]) for slo in subject.slos),
            alarms=alarms,
            missing_alarms=len(subject.alarms) - len(alarms),
            missing_slos=self._declared[subject.system] - len(subject.slos),
        )


def _slos(subjects: Iterable[Subject]) -> dict[Key, Slo]:
    return {(subject.system, slo.name): slo for subject in subjects for slo in subject.slos}


def _reaches_back(slo: Slo, until: datetime) -> datetime:
    """The full hour from which on an SLO's events matter."""
    return hour_of(until - (_HEARTBEAT_LOOKBACK if slo.window is None else slo.window))


def _figures(slo: Slo, ledger: Ledger) -> SloFigures:
    totals = ledger.totals
    if slo.objective is None or slo.window is None or ledger.until is None:
        measure = slo.sli.measure
        within = measure.within if isinstance(measure, SinceSuccess) else None
        return SloFigures(slo.name, totals.good, totals.valid, within=within, last_success=ledger.last_good)
    windows = burn_windows(slo)
    rates = [
        float(Fraction(one.bad) / Fraction(one.valid) / slo.error_budget) if one.valid else 0.0
        for one in ledger.over(windows)
    ]
    whole = ledger.since_hour_of(ledger.until - slo.window)
    remaining = 1 - Fraction(whole.bad) / Fraction(whole.valid) / slo.error_budget if whole.valid else None
    return SloFigures(
        slo.name,
        totals.good,
        totals.valid,
        objective=float(slo.objective),
        window=slo.window,
        remaining=None if remaining is None else float(remaining),
        burn_rates=tuple(zip(windows, rates, strict=True)),
    )


def burn_windows(slo: Slo) -> tuple[timedelta, ...]:
    """The windows of an SLO's burn rates, the shortest first: all of its row of the window table, reachable or not."""
    pairs = WINDOW_TABLE.get(slo.window, ()) if slo.window is not None else ()
    return tuple(sorted({window for pair in pairs for window in (pair.long_window, pair.short_window)}))


def _failure(system: str, error: TocsinError) -> Failure:
    cause = error.__cause__
    reason = outcome_of(error_code(cause)) if isinstance(cause, Exception) else FAILED
    if reason == OK:
        kinds = {kind.__name__ for kind in type(cause).__mro__}
        reason = "unreachable" if kinds & set(_UNREACHABLE) else FAILED
    return Failure(system, reason, str(error))
