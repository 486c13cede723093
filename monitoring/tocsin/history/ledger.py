"""The ledger of one system: what its history holds already, and what a pull adds to it, rows before coverage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .counts import Count
from .gaps import Asked, Moments
from .layout import keys_of
from .partitions import CorruptError, Partition, check_rows, merge_rows, month_of, read_rows
from .schema import ALARM, ALARM_COVERAGE, ALARM_STATE, ALERT, ALERT_COVERAGE, COVERAGE, PROMISE, SLI, Table
from .store import Store
from .watched import PulledSystem

if TYPE_CHECKING:
    from ..paging.past_alerts import PastAlert

_VANISHED = "vanished"


class Ledger:
    """Reads once what is there and keeps it in mind while it adds; to be used under ``store.locked()``.

    ``note`` is told of each file that could not be read.  Raises InputError and CloudError of the store.
    """

    def __init__(self, store: Store, environment: str, system: str, note: Callable[[str], None]) -> None:
        self._store, self._environment, self._system, self._note = store, environment, system, note
        self.lost: list[datetime] = []
        for table in (SLI, ALARM_STATE):
            for month in self._months(table):
                self._checked(table, month)
        self._coverage: dict[tuple[str, datetime], tuple[datetime, int]] = {
            (row[0], _aware(row[1])): (_aware(row[2]), row[3]) for row in self._rows(COVERAGE)
        }
        self._alarm_coverage = {_aware(row[0]): _aware(row[1]) for row in self._rows(ALARM_COVERAGE)}
        self._open = {
            (alarm, _aware(opened)): None if taken is None else _aware(taken)
            for alarm, opened, taken, closed in self._rows(ALERT)
            if closed is None
        }
        self._alert_coverage = {_aware(row[0]): _aware(row[1]) for row in self._rows(ALERT_COVERAGE)}
        self._promises = _newest(self._rows(PROMISE))
        self._alarms = _newest(self._rows(ALARM))

    @property
    def alarms(self) -> frozenset[str]:
        """The alarms that have told somebody and have not vanished."""
        return frozenset(name for name, row in self._alarms.items() if row[2] != _VANISHED)

    def covered(self, slo: str) -> list[Moments]:
        """What has been asked of an SLO."""
        return [(since, until) for (name, since), (until, _) in self._coverage.items() if name == slo]

    def alarms_covered(self) -> list[Moments]:
        """Of which spans the alarm history has been read."""
        return list(self._alarm_coverage.items())

    @property
    def open_alerts(self) -> Mapping[tuple[str, datetime], datetime | None]:
        """The alerts that were open when they were last asked for: alarm and when it was opened → when it was taken."""
        return self._open

    def alerts_covered(self) -> list[Moments]:
        """Of which spans the on-call tool's alerts have been read."""
        return list(self._alert_coverage.items())

    def state(self, system: PulledSystem, now: datetime) -> None:
        """Write down what is promised and which alarms tell, where it is not what was written last."""
        at = now.replace(microsecond=0)
        promised = {
            slo.name: (
                slo.sli.kind.value,
                None if slo.objective is None else str(slo.objective),
                _window(slo),
                slo.sli.good,
                system.owner,
            )
            for slo in system.slos
        }
        rows = [(name, at, *told) for name, told in promised.items() if self._promises.get(name, ())[2:] != told]
        for name, row in self._promises.items():
            if name not in promised and row[2] != _VANISHED:
                rows.append((name, at, _VANISHED, None, *row[4:]))
        self._add(PROMISE, rows)
        telling = {alarm.name: (alarm.severity.value, alarm.slo, alarm.kind) for alarm in system.alarms}
        lines = [(name, at, *told) for name, told in telling.items() if self._alarms.get(name, ())[2:] != told]
        for name, row in self._alarms.items():
            if name not in telling and row[2] != _VANISHED:
                lines.append((name, at, _VANISHED, *row[3:]))
        self._add(ALARM, lines)
        self._promises |= {row[0]: row for row in rows}
        self._alarms |= {row[0]: row for row in lines}

    def add_counts(self, found: Iterable[tuple[str, Asked, Sequence[Count]]]) -> None:
        """Write the counts of spans of SLOs that have been asked, then that they have."""
        found = list(found)
        self._add(
            SLI, [(slo, at, asked.period, good, valid) for slo, asked, counts in found for at, good, valid in counts]
        )
        rows = []
        for slo, asked, _ in found:
            for start, end in _by_month(asked.start, asked.end):
                since = self._begins(slo, start, asked.period)
                self._coverage[slo, since] = end, asked.period
                rows.append((slo, since, end, asked.period))
        self._add(COVERAGE, rows)

    def add_changes(self, rows: Iterable[tuple[Any, ...]], start: datetime, end: datetime) -> None:
        """Write changes of alarm states, then that this span has been read."""
        self._add(ALARM_STATE, list(rows))
        self._cover(ALARM_COVERAGE, self._alarm_coverage, start, end)

    def add_alerts(self, alerts: Iterable[PastAlert], span: Moments | None = None) -> int:
        """Write alerts, then that their span has been read; how many of them were not there as they are.

        Without a span they are those of ``open_alerts`` that were asked for once more.
        """
        rows = []
        for one in alerts:
            key = one.alias, one.opened
            if one.closed is None and key in self._open and self._open[key] == one.acknowledged:
                continue
            rows.append((one.alias, one.opened, one.acknowledged, one.closed))
            if one.closed is None:
                self._open[key] = one.acknowledged
            else:
                self._open.pop(key, None)
        self._add(ALERT, rows)
        if span is not None:
            self._cover(ALERT_COVERAGE, self._alert_coverage, *span)
        return len(rows)

    def _cover(self, table: Table, covered: dict[datetime, datetime], start: datetime, end: datetime) -> None:
        """Write that a span has been read; the one that ends where it begins is made longer."""
        spans = []
        for first, last in _by_month(start, end):
            before = [one for one, until in covered.items() if until == first and _same_month(one, first)]
            since = before[0] if before else first
            covered[since] = last
            spans.append((since, last))
        self._add(table, spans)

    def _begins(self, slo: str, start: datetime, period: int) -> datetime:
        """Where the span of the same period and month that ends at ``start`` begins: it is made longer."""
        for (name, since), (until, its) in self._coverage.items():
            if name == slo and until == start and its == period and _same_month(since, start):
                return since
        return start

    def _add(self, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        place = next(number for number, column in enumerate(table.columns) if column.type == "TIMESTAMP")
        months: dict[str, list[tuple[Any, ...]]] = {}
        for row in rows:
            months.setdefault(month_of(row[place]), []).append(row)
        for month, those in sorted(months.items()):
            partition = Partition(table, self._environment, self._system, month)
            try:
                merge_rows(self._store, partition, those)
            except CorruptError as error:  # it has been put aside; what it held is asked again by the next pull
                self._note(str(error))
                merge_rows(self._store, partition, those)

    def _months(self, table: Table) -> list[str]:
        wanted = self._environment, self._system
        return [month for *keys, month in map(keys_of, self._store.paths(table)) if tuple(keys) == wanted]

    def _rows(self, table: Table) -> list[tuple[Any, ...]]:
        found = []
        for month in self._months(table):
            partition = Partition(table, self._environment, self._system, month)
            try:
                found += read_rows(self._store, partition, put_aside=True)
            except CorruptError as error:
                self._lose(error, month)
        return found

    def _checked(self, table: Table, month: str) -> None:
        try:
            check_rows(self._store, Partition(table, self._environment, self._system, month))
        except CorruptError as error:
            self._lose(error, month)

    def _lose(self, error: CorruptError, month: str) -> None:
        self._note(str(error))
        self.lost.append(datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC))


def _window(slo: Any) -> int:
    length = slo.window if slo.window is not None else slo.sli.measure.within
    return int(length.total_seconds())


def _newest(rows: Iterable[tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """The last row of each name."""
    return {row[0]: row for row in sorted(rows, key=lambda row: row[1])}


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


def _same_month(one: datetime, other: datetime) -> bool:
    return month_of(one) == month_of(other)


def _by_month(start: datetime, end: datetime) -> list[Moments]:
    """The span cut where a month of UTC ends."""
    found = []
    while start < end:
        first = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        later = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        found.append((start, min(later, end)))
        start = found[-1][1]
    return found
