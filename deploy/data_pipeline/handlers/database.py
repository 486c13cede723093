"""One file into its table, in one transaction, once.

The rows are copied as they arrive into a temporary table and from there into the real one; a row whose key is there
already is replaced.  PostgreSQL itself checks header, types and nulls.  What fails leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from .contracts import ContractError, Table

SCHEMA_LOCK = 7_061_955  # any number, the same in every run: two first loads must not create the tables at once

LEDGER = """
create table if not exists loaded_files (
    bucket text, key text, version text, table_name text not null, row_count bigint not null,
    loaded_at timestamptz not null default now(), primary key (bucket, key, version)
)
"""


@dataclass(frozen=True, slots=True)
class File:
    """One version of one object in the bucket."""

    bucket: str
    key: str
    version: str


def create_tables(connection: Any, tables: Mapping[str, Table]) -> None:
    """Create what is missing: the ledger and every declared table."""
    connection.run("begin")
    connection.run("select pg_advisory_xact_lock(:lock)", lock=SCHEMA_LOCK)
    connection.run(LEDGER)
    for table in tables.values():
        columns = ", ".join(f'"{name}" {kind}' for name, kind in table.columns.items())
        connection.run(f'create table if not exists "{table.name}" ({columns}, primary key ({quoted(table.key)}))')
    connection.run("commit")


def load(connection: Any, table: Table, file: File, chunks: Iterable[bytes]) -> int | None:
    """Load one file and return its number of rows; None if this version was loaded before.

    Raises the driver's DatabaseError when a row or the header breaks the contract, ContractError for an empty file, and
    whatever reading ``chunks`` raises.  Close the connection then: the server rolls back, and in the middle of a COPY nothing else can be said.
    """
    connection.run("begin")
    # A second load of the same version waits here for the first one, and then finds it done or tries itself.
    entered = connection.run(
        "insert into loaded_files (bucket, key, version, table_name, row_count) "
        "values (:bucket, :key, :version, :table_name, 0) on conflict do nothing returning 1",
        bucket=file.bucket,
        key=file.key,
        version=file.version,
        table_name=table.name,
    )
    if not entered:
        connection.run("rollback")
        return None
    stream = iter(chunks)
    first = next(filter(None, stream), None)
    if first is None:  # COPY sees no header to refuse
        raise ContractError(f"{file.key!r} is empty: it has not even a header")
    columns = quoted(table.columns)
    connection.run(f'create temporary table incoming (like "{table.name}" including defaults) on commit drop')
    connection.run(
        f"copy incoming ({columns}) from stdin with (format csv, header match, null 'NA', encoding 'UTF8')",
        stream=chain([first], stream),
    )
    connection.run(merge_statement(table))
    rows = int(connection.row_count)
    connection.run(
        "update loaded_files set row_count = :rows where bucket = :bucket and key = :key and version = :version",
        rows=rows,
        bucket=file.bucket,
        key=file.key,
        version=file.version,
    )
    connection.run("commit")
    return rows


def merge_statement(table: Table) -> str:
    """The statement that moves the incoming rows; two of one key within a file are an error, not a silent choice."""
    columns = quoted(table.columns)
    changed = [f'"{name}" = excluded."{name}"' for name in table.columns if name not in table.key]
    action = f"update set {', '.join(changed)}" if changed else "nothing"
    return (
        f'insert into "{table.name}" ({columns}) select {columns} from incoming '  # noqa: S608  names of contracts.py
        f"on conflict ({quoted(table.key)}) do {action}"
    )


def quoted(names: Iterable[str]) -> str:
    """Column names as SQL writes them in a list."""
    return ", ".join(f'"{name}"' for name in names)
