"""A history written by hand: rows of each table, put into a folder as a pull does, and an engine over it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin.history import schema
from tocsin.history.engine import Engine, open_duckdb
from tocsin.history.folder import Folder
from tocsin.history.partitions import Partition, merge_rows, month_of

if TYPE_CHECKING:
    import duckdb

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
_MOMENTS = {"sli": 1, "coverage": 1, "promise": 1, "alarm": 1, "alarm_state": 1, "alarm_coverage": 0, "alert": 1}


def utc(text: str) -> datetime:
    """A moment in UTC such as ``2026-10-14 09:30``."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


ALWAYS = utc("2026-01-01 00:00")


@dataclass
class History:
    """Rows by table and system."""

    environment: str = "prod"
    rows: dict[tuple[str, str], list[tuple[Any, ...]]] = field(default_factory=lambda: defaultdict(list))

    def promise(
        self,
        slo: str,
        objective: str | None = "999/1000",
        *,
        since: datetime = ALWAYS,
        system: str = "shop",
        kind: str = "availability",
        window: timedelta = 28 * DAY,
        owner: str = "payments",
    ) -> None:
        length = int(window.total_seconds())
        self.rows["promise", system].append((slo, since, kind, objective, length, "requests answered", owner))

    def asked(self, slo: str, since: datetime, until: datetime, *, system: str = "shop", period: int = 60) -> None:
        self.rows["coverage", system].append((slo, since, until, period))

    def count(
        self,
        slo: str,
        at: datetime,
        good: Fraction | int,
        valid: Fraction | int,
        *,
        period: int = 60,
        system: str = "shop",
    ) -> None:
        self.rows["sli", system].append((slo, at, period, Fraction(good), Fraction(valid)))

    def steady(
        self,
        slo: str,
        since: datetime,
        until: datetime,
        valid: int,
        bad: int = 0,
        *,
        period: int = 3600,
        system: str = "shop",
    ) -> None:
        """The same counts in every period of a span."""
        at = since
        while at < until:
            self.count(slo, at, valid - bad, valid, period=period, system=system)
            at += timedelta(seconds=period)

    def alarm(
        self,
        name: str,
        severity: str,
        slo: str | None = None,
        *,
        since: datetime = ALWAYS,
        kind: str = "slo-availability",
        system: str = "shop",
    ) -> None:
        self.rows["alarm", system].append((name, since, severity, slo, kind))

    def state(self, name: str, at: datetime, after: str, before: str | None = None, *, system: str = "shop") -> None:
        self.rows["alarm_state", system].append((name, at, before, after, "because"))

    def alarmed(self, name: str, since: datetime, until: datetime, *, system: str = "shop") -> None:
        """To ALARM and back."""
        self.state(name, since, "ALARM", "OK", system=system)
        self.state(name, until, "OK", "ALARM", system=system)

    def alarms_asked(self, since: datetime, until: datetime, *, system: str = "shop") -> None:
        self.rows["alarm_coverage", system].append((since, until))

    def alert(
        self,
        name: str,
        opened: datetime,
        acknowledged: datetime | None,
        closed: datetime | None,
        *,
        system: str = "shop",
    ) -> None:
        self.rows["alert", system].append((name, opened, acknowledged, closed))

    def partitions(self) -> Iterable[tuple[Partition, list[tuple[Any, ...]]]]:
        for (table, system), rows in self.rows.items():
            by_month: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
            for row in rows:
                by_month[month_of(row[_MOMENTS[table]])].append(row)
            for month, mine in by_month.items():
                yield Partition(schema.TABLES[table], self.environment, system, month), mine

    def write(self, folder: Path) -> Folder:
        store = Folder(folder)
        for partition, rows in self.partitions():
            merge_rows(store, partition, rows)
        return store

    def engine(self, folder: Path) -> Engine:
        return open_duckdb(self.write(folder))

    def in_memory(self) -> Engine:
        """The same tables without files: what a thousand small histories need."""
        import duckdb

        connection = duckdb.connect(":memory:", config={"threads": 1})
        for table in schema.TABLES.values():
            names = [column.name for column in table.columns]
            typed = [f'"{column.name}" {column.type}' for column in table.columns]
            typed += [f"{name} VARCHAR" for name in schema.PARTITIONS]
            connection.execute(f"CREATE TABLE {table.name} ({', '.join(typed)})")
            rows = [
                (*row, self.environment, system, month_of(row[_MOMENTS[name]]))
                for (name, system), mine in self.rows.items()
                if name == table.name
                for row in mine
            ]
            if rows:
                values = ", ".join(f"({', '.join(_literal(value) for value in row)})" for row in rows)
                columns = ", ".join(f'"{name}"' for name in (*names, *schema.PARTITIONS))
                connection.execute(f"INSERT INTO {table.name} ({columns}) VALUES {values}")
        return _InMemory(connection)


@dataclass
class _InMemory:
    connection: duckdb.DuckDBPyConnection
    name: str = "duckdb"
    skipped: tuple[tuple[str, str], ...] = ()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"
    if isinstance(value, Fraction):
        return _decimal(value)
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def _decimal(value: Fraction) -> str:
    thousandths = value * 1000
    assert thousandths.denominator == 1, "counts have three decimals"
    whole, rest = divmod(int(thousandths), 1000)
    return f"{whole}.{rest:03}"
