"""SQL about a history, answered by DuckDB from its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import InputError
from . import duck
from .layout import keys_of
from .schema import PARTITIONS, TABLES, Table
from .seal import broken
from .store import Store

_FETCHERS = 8  # boto3 keeps ten connections


class DuckDb:
    """One view for each table.  Digests and columns are looked at once, values are read when they are asked for."""

    name = "duckdb"

    def __init__(self, store: Store) -> None:
        """Raises InputError, or CloudError of a bucket."""
        self._connection = duck.connect()
        self._store = store
        self._skipped: dict[str, str] = {}
        self._files: dict[str, dict[str, Path]] = {}
        for table in TABLES.values():
            paths = store.paths(table)
            # A bucket has to be waited for.
            with ThreadPoolExecutor(_FETCHERS) as pool:
                found = zip(paths, pool.map(store.local, paths), strict=True)
                self._files[table.name] = {path: local for path, local in found if local is not None}
            self._drop_damaged(table)
            self._drop_misfits(table)
            self._view(table)
        for path in store.others():
            self._skipped[path] = "it is of another version of Tocsin, or of no table that is known"

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """Path and reason of each file that could not be read."""
        return tuple(sorted(self._skipped.items()))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The answer.  A file that has gone bad since it was looked at is left out, and the question asked once more."""
        import duckdb

        try:
            return self._connection.execute(sql).fetchall()
        except duckdb.Error as error:
            if not self._look_again():
                raise InputError(
                    f"history {self._store.where}: DuckDB cannot answer: {duck.in_words(error)}"
                ) from error
        return self.rows(sql)

    def _look_again(self) -> bool:
        """Look at every file once more; whether one has to be left out now."""
        before = len(self._skipped)
        for table in TABLES.values():
            for path, local in list(self._files.get(table.name, {}).items()):
                if reason := _told(partial(duck.fault, local, table)):
                    self._skip(table, path, reason)
        if len(self._skipped) == before:
            return False
        self._connection = duck.connect()  # the old one may answer nothing any more
        for name in self._files:
            self._view(TABLES[name])
        return True

    def _drop_damaged(self, table: Table) -> None:
        """Leave out files that are not what was written, and those without a digest whose values cannot be read."""
        for path, local in list(self._files[table.name].items()):
            damage = _told(partial(broken, local))
            if damage == "":
                damage = _told(partial(duck.fault, local, table))
            if damage:
                self._skip(table, path, damage)

    def _drop_misfits(self, table: Table) -> None:
        """Leave out files with other columns.  They are read of all files in one go, which is much quicker."""
        import duckdb

        files = self._files[table.name]
        if not files:
            return
        try:
            found = self._connection.execute(
                f"SELECT file_name, name, duckdb_type FROM parquet_schema({duck.files(list(files.values()))})"  # noqa: S608  # names and paths of our own, quoted
                " WHERE duckdb_type IS NOT NULL"
            ).fetchall()
        except duckdb.Error:  # one of them is gone by now
            self._look_again()
            return
        columns: dict[str, list[tuple[Any, ...]]] = {}
        for name, *column in found:
            columns.setdefault(name, []).append(tuple(column))
        for path, local in list(files.items()):
            if wrong := duck.wrong_columns(columns.get(str(local), []), table):
                self._skip(table, path, wrong)

    def _skip(self, table: Table, path: str, reason: str) -> None:
        self._skipped[path] = reason
        del self._files[table.name][path]

    def _view(self, table: Table) -> None:
        query = _relation(table, self._files[table.name])
        self._connection.execute(f"CREATE OR REPLACE VIEW {table.name} AS {query}")


def _told(look: Callable[[], str | None]) -> str | None:
    """What a look at a file found wrong, or that it cannot be had."""
    try:
        return look()
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def _relation(table: Table, files: dict[str, Path]) -> str:
    columns = duck.quoted((*duck.names(table), *PARTITIONS))
    if not files:
        types = [(column.name, column.type) for column in table.columns] + [(name, "VARCHAR") for name in PARTITIONS]
        return "SELECT " + ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in types) + " WHERE false"
    if not any(_misleading(path, local) for path, local in files.items()):
        found = duck.files(list(files.values()))
        return f"SELECT {columns} FROM read_parquet({found}, hive_partitioning = true, hive_types_autocast = false)"  # noqa: S608  # as above
    return " UNION ALL ".join(_one(table, keys_of(path), local) for path, local in files.items())


def _misleading(path: str, local: Path) -> bool:
    """DuckDB takes a partition key from the first folder named like it, even above the history."""
    above = str(local)[: -len(path)]
    return any(f"/{name}=" in above for name in PARTITIONS)


def _one(table: Table, keys: Sequence[str], local: Path) -> str:
    literals = ", ".join(f'{duck.text(key)} AS "{name}"' for name, key in zip(PARTITIONS, keys, strict=True))
    columns = duck.quoted(duck.names(table))
    return f"SELECT {columns}, {literals} FROM read_parquet({duck.files([local])}, hive_partitioning = false)"  # noqa: S608  # as above
