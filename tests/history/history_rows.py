"""Rows and partitions that the tests of the history share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from tocsin.history.partitions import Partition
from tocsin.history.schema import ALARM_STATE, COVERAGE, SLI, TABLES, Table

START = datetime(2026, 10, 1, tzinfo=UTC)
OCTOBER = Partition(SLI, "prod", "shop", "2026-10")
ASKED = Partition(COVERAGE, "prod", "shop", "2026-10")
CHANGES = Partition(ALARM_STATE, "prod", "shop", "2026-10")


def counts(
    slo: str = "orders", *, minutes: int = 3, good: Fraction | int = 9, valid: int = 10
) -> list[tuple[Any, ...]]:
    """A row for each of the first minutes of the month."""
    return [(slo, START + timedelta(minutes=minute), 60, good, valid) for minute in range(minutes)]


def example_rows(table: Table) -> list[tuple[Any, ...]]:
    """Two rows of any table, the second with null wherever a column may be null."""
    values: dict[str, tuple[Any, Any]] = {
        "VARCHAR": ("a 'quoted', \"text\"\nof two lines", ""),
        "TIMESTAMP": (START, START + timedelta(milliseconds=1)),
        "INTEGER": (60, -(2**31)),
        "DECIMAL(18,3)": (Fraction(1, 3), 10**15 - 1),
    }
    first = tuple(values[column.type][0] for column in table.columns)
    second = tuple(None if column.nullable else values[column.type][1] for column in table.columns)
    return [first, second]


def all_partitions() -> list[Partition]:
    """One of each table."""
    return [Partition(table, "prod", "shop", "2026-10") for table in TABLES.values()]
