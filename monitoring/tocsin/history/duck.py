"""DuckDB, which reads and writes every Parquet file of a history: connections, files written, files judged."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .schema import DECIMALS, Column, Table
from .seal import broken, seal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# 122,880 rows is DuckDB's own default; written out, so that a new default does not change our bytes.
_COPY = "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
_SETTINGS = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
_LINES = re.compile(r"\s*\n.*", re.DOTALL)
_SCALE = 10**DECIMALS
_LARGEST = 10**18


def connect(*, threads: int | None = None) -> DuckDBPyConnection:
    """An empty database in memory that asks nothing of the network.  Raises InputError without duckdb."""
    try:
        import duckdb
    except ImportError:
        raise InputError("tocsin review needs duckdb: pip install 'tocsin[review]'") from None
    # What does not fit into memory goes there, and not into a folder of the project.
    spill = Path(tempfile.gettempdir()) / f"tocsin-duckdb-{os.getpid()}"
    settings: dict[str, Any] = {**_SETTINGS, "temp_directory": str(spill)}
    if threads is not None:
        settings["threads"] = threads
    return duckdb.connect(":memory:", config=settings)


def one_thread() -> DuckDBPyConnection:
    """A connection for one partition: without threads, so that equal rows make equal bytes.  Raises InputError without duckdb.

    All of a process share one database, for to make one takes as long as to write a small file.
    """
    return _database(os.getpid()).cursor()


@cache
def _database(_process: int) -> DuckDBPyConnection:
    return connect(threads=1)


def in_words(error: Exception) -> str:
    """The first line of what DuckDB says."""
    return _LINES.sub("", str(error).strip()) or type(error).__name__


def text(value: str) -> str:
    """A text literal of SQL."""
    return "'" + value.replace("'", "''") + "'"


def quoted(names: Iterable[str]) -> str:
    """Column names as SQL has them; ``at`` is a word of its own in DuckDB's grammar."""
    return ", ".join(f'"{name}"' for name in names)


def files(paths: Sequence[Path]) -> str:
    """A list of files as SQL has it, each taken as it is: a name with * or [ is no pattern."""
    return "[" + ", ".join(text(re.sub(r"([*?\[\]])", r"[\1]", str(path))) for path in paths) + "]"


def names(table: Table) -> list[str]:
    """The columns that stand in the file."""
    return [column.name for column in table.columns]


def fault(path: Path, table: Table) -> str | None:
    """Why a file cannot be read as ``table``; None where it can.

    A file without our digest, which something else wrote, is read to its end for that, by a database of its own: a
    damaged one can make DuckDB refuse everything from then on.  Raises OSError for a file that is not there or may not be
    read.
    """
    damage = broken(path)
    if damage:
        return damage
    with one_thread() if damage is None else connect(threads=1) as connection:
        return _misfit(connection, path, table, values=damage is not None)


def _misfit(connection: DuckDBPyConnection, path: Path, table: Table, *, values: bool) -> str | None:
    import duckdb

    try:
        found = connection.execute(
            f"SELECT name, duckdb_type FROM parquet_schema({files([path])}) WHERE duckdb_type IS NOT NULL"  # noqa: S608  # names and paths of our own, quoted
        ).fetchall()
        if wrong := wrong_columns(found, table):
            return wrong
        if values:
            connection.execute(
                f"SELECT bit_xor(hash({quoted(names(table))})) FROM read_parquet({files([path])}, hive_partitioning = false)"  # noqa: S608  # as above
            ).fetchall()
    except duckdb.Error as error:
        return in_words(error)
    return None


def wrong_columns(found: Iterable[tuple[Any, ...]], table: Table) -> str | None:
    """What differs between the columns of a file (name, type) and those of the table, in words."""
    there = {str(name): str(kind) for name, kind in found}
    wanted = {column.name: column.type for column in table.columns}
    if there == wanted:
        return None
    lacks = sorted(wanted.keys() - there.keys())
    extra = sorted(there.keys() - wanted.keys())
    other = [f"{name} is {there[name]}, not {kind}" for name, kind in wanted.items() if there.get(name, kind) != kind]
    parts = [f"no column {', '.join(lacks)}" if lacks else "", f"unknown column {', '.join(extra)}" if extra else ""]
    return "; ".join(part for part in (*parts, *other) if part)


@contextmanager
def staged(
    connection: DuckDBPyConnection, table: Table, rows: Iterable[tuple[Any, ...]], scratch: Path
) -> Iterator[str]:
    """Rows as a table of DuckDB, of equal keys the last; yields its name.

    They go through a CSV file in ``scratch``: 130,000 rows take a third of a second that way, and a minute one by one.
    Raises InputError for a value that its column cannot hold, and OSError.
    """
    import duckdb

    by_column = tuple(zip(*rows, strict=True)) or ((),) * len(table.columns)
    cells = [_cells(column, values, table) for column, values in zip(table.columns, by_column, strict=True)]
    keys = zip(*(cells[names(table).index(name)] for name in table.key), strict=True)
    lines = dict(zip(keys, zip(*cells, strict=True), strict=True))
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder) / "rows.csv"
        path.write_text("".join(",".join(line) + "\n" for line in lines.values()), encoding="utf-8", newline="")
        types = ", ".join(f"{text(column.name)}: {text(column.type)}" for column in table.columns)
        try:
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE staged AS SELECT * FROM read_csv({files([path])}, columns = {{{types}}},"  # noqa: S608  # as above
                " header = false, auto_detect = false, delim = ',', quote = '\"', escape = '\"', new_line = '\\n',"
                " allow_quoted_nulls = false, parallel = false, max_line_size = 16777216)"
            )
        except duckdb.Error as error:
            raise InputError(f"table {table.name}: rows cannot be written: {in_words(error)}") from error
        yield "staged"


def write(connection: DuckDBPyConnection, table: Table, query: str, path: Path) -> None:
    """The rows of ``query`` as the table's Parquet file, by key: equal rows make equal bytes under one DuckDB.

    Raises InputError or OSError, as for a full disk.
    """
    import duckdb

    order = quoted(table.key)
    try:
        connection.execute(
            f"COPY (SELECT {quoted(names(table))} FROM ({query}) ORDER BY {order}) TO {text(str(path))} {_COPY}"  # noqa: S608  # as above
        )
        seal(path)
    except (duckdb.Error, OSError) as error:
        raise InputError(
            f"{path}: cannot be written: {in_words(error)}; look for room on the disk and rights"
        ) from error


def _cells(column: Column, values: Iterable[Any], table: Table) -> list[str]:
    """A column's values as the CSV file has them.  Most stand there many times, so each is written once."""
    write_one = _WRITERS.get(column.type, _count)
    known: dict[tuple[type, Any], str] = {}
    cells = []
    for value in values:
        cell = known.get((value.__class__, value))
        if cell is None:
            if value is None and column.nullable:
                cell = ""  # nothing at all stands for null
            else:
                try:
                    cell = write_one(value)
                except (TypeError, ValueError, OverflowError) as error:
                    raise InputError(
                        f"table {table.name}: {column.name} cannot be {value!r}, it is {column.type}"
                    ) from error
            known[value.__class__, value] = cell
        cells.append(cell)
    return cells


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    # Parquet's text is UTF-8, and CSV has no way to write a NUL.
    clean = value.encode("utf-8", "replace").decode().replace("\0", "�")
    return '"' + clean.replace('"', '""') + '"'


def _moment(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError
    plain = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    # CloudWatch knows milliseconds, and Athena reads no finer moment.
    return plain.isoformat(" ", "milliseconds")


def _integer(value: object) -> str:
    if not isinstance(value, int) or not -(2**31) <= value < 2**31:
        raise TypeError
    return str(int(value))


def _count(value: object) -> str:
    """Exactly rounded, half to even, as Fraction itself rounds."""
    if not isinstance(value, int | Fraction | Decimal):
        raise TypeError
    numerator, denominator = value.as_integer_ratio()
    units, rest = divmod(numerator * _SCALE, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and units % 2):
        units += 1
    if abs(units) >= _LARGEST:
        raise OverflowError
    sign, units = "-" if units < 0 else "", abs(units)
    return f"{sign}{units // _SCALE}.{units % _SCALE:0{DECIMALS}d}"


_WRITERS: dict[str, Callable[[object], str]] = {"VARCHAR": _text, "TIMESTAMP": _moment, "INTEGER": _integer}
