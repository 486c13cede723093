"""One partition of a table: its rows read, and new rows merged into it, never seen half done."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import InputError
from . import duck
from .layout import FILE
from .schema import ALARM_COVERAGE, ALARM_STATE, ALERT, ALERT_COVERAGE, COVERAGE, PARTITIONS, SLI, VERSION, Table
from .store import Store

# What says that a table's rows were asked: with rows that are lost, that is lost too, so that they are asked again.
_ASKED = {SLI.name: COVERAGE, ALARM_STATE.name: ALARM_COVERAGE, ALERT.name: ALERT_COVERAGE}


class CorruptError(InputError):
    """A Parquet file could not be read.  ``path`` is where it was, ``moved`` where it is since it was put aside, or None."""

    def __init__(self, message: str, path: str, moved: str | None) -> None:
        self.path, self.moved = path, moved
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Partition:
    """The rows of a table of one system in one environment in one month of UTC (``YYYY-MM``)."""

    table: Table
    environment: str
    system: str
    month: str

    @property
    def path(self) -> str:
        """Its one file, within the history."""
        values = (self.environment, self.system, self.month)
        folders = "/".join(f"{name}={value}" for name, value in zip(PARTITIONS, values, strict=True))
        return f"{VERSION}/{self.table.name}/{folders}/{FILE}"


def month_of(moment: datetime) -> str:
    """The month of UTC that a moment is in; one without a zone is in UTC."""
    inside = moment.astimezone(UTC) if moment.tzinfo else moment
    return f"{inside.year:04d}-{inside.month:02d}"


def read_rows(store: Store, partition: Partition, *, put_aside: bool = False) -> list[tuple[Any, ...]]:
    """The rows by key, as tuples in the order of the columns; moments are in UTC without a zone.  None there: [].

    Raises CorruptError for a file that cannot be read.  With ``put_aside``, which is for ``store.locked()``, it is put
    aside first, and with it what says that its rows were asked: the next call finds nothing.  Without, nothing is
    written.  Raises InputError or CloudError where the store cannot be read.
    """
    path = store.local(partition.path)
    if path is None:
        return []
    columns, order = duck.quoted(duck.names(partition.table)), duck.quoted(partition.table.key)
    with _reading(store, partition), duck.one_thread() as connection:
        _refuse_corrupt(store, partition, duck.fault(path, partition.table), put_aside=put_aside)
        found = f"SELECT {columns} FROM read_parquet({duck.files([path])}, hive_partitioning = false) ORDER BY {order}"  # noqa: S608  # names and paths of our own, quoted
        return connection.execute(found).fetchall()


def check_rows(store: Store, partition: Partition) -> None:
    """Read every value of a partition and keep none; one that cannot be read is put aside.  To be called under
    ``store.locked()``.  Raises as ``read_rows`` does."""
    path = store.local(partition.path)
    if path is not None:
        with _reading(store, partition):
            _refuse_corrupt(store, partition, duck.fault(path, partition.table), put_aside=True)


def merge_rows(store: Store, partition: Partition, rows: Iterable[tuple[Any, ...]]) -> None:
    """Put rows into a partition; one with the key of an old row replaces it.  To be called under ``store.locked()``.

    Counts may be Fractions, int or Decimal and are rounded to a thousandth; moments are rounded down to a millisecond,
    and one with a zone is put into UTC.  The file is replaced in one step, or not touched.  Raises InputError for a
    value that its column cannot hold, and CorruptError for the old file, which is put aside, before anything is written.
    """
    _write(store, partition, rows, keep=True)


def replace_rows(store: Store, partition: Partition, rows: Iterable[tuple[Any, ...]]) -> None:
    """Put rows in the place of all that a partition holds.  Raises as ``merge_rows`` does."""
    _write(store, partition, rows, keep=False)


def _write(store: Store, partition: Partition, rows: Iterable[tuple[Any, ...]], *, keep: bool) -> None:
    try:
        _replace_file(store, partition, rows, store.local(partition.path) if keep else None)
    except OSError as error:
        raise InputError(
            f"history {store.where}: {partition.path} cannot be written: {error.strerror}; look for room on the disk and rights"
        ) from error


def _replace_file(store: Store, partition: Partition, rows: Iterable[tuple[Any, ...]], old: Path | None) -> None:
    table = partition.table
    with duck.one_thread() as connection:
        if old is not None:
            _refuse_corrupt(store, partition, duck.fault(old, table), put_aside=True)
        scratch = store.scratch
        with duck.staged(connection, table, rows, scratch) as new, _temporary(scratch) as path:
            query = f"FROM {new}"
            if old is not None:
                key = duck.quoted(table.key)
                before = f"read_parquet({duck.files([old])}, hive_partitioning = false)"
                query += f" UNION ALL BY NAME FROM {before} ANTI JOIN {new} USING ({key})"
            duck.write(connection, table, query, path)
            store.replace(partition.path, path)


@contextmanager
def _reading(store: Store, partition: Partition) -> Iterator[None]:
    """A file without rights is not a corrupt one: it is told and stays."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"history {store.where}: {partition.path} cannot be read: {error.strerror}; give its rights"
        ) from error


@contextmanager
def _temporary(scratch: Path) -> Iterator[Path]:
    """A file that is gone afterwards unless it has been moved."""
    handle, name = tempfile.mkstemp(suffix=".parquet", dir=scratch)
    os.close(handle)
    path = Path(name)
    path.chmod(0o644)  # as any other file of the project, not only for its owner
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _refuse_corrupt(store: Store, partition: Partition, reason: str | None, *, put_aside: bool) -> None:
    if reason is None:
        return
    told = f"{store.where}: {partition.path} cannot be read: {reason}"
    if not put_aside:
        raise CorruptError(
            f"{told}; `tocsin history pull` puts it aside and asks again what is still to be had of it",
            partition.path,
            None,
        )
    asked = _ASKED.get(partition.table.name)
    if asked is not None:
        beside = Partition(asked, partition.environment, partition.system, partition.month).path
        if store.local(beside) is not None:
            store.quarantine(beside, f"the rows it speaks of, {partition.path}, could not be read")
    moved = store.quarantine(partition.path, reason)
    raise CorruptError(
        f"{told}; it is now {Path(moved).name}, and what is still to be had of it is asked again by `tocsin history pull`",
        partition.path,
        moved,
    )
