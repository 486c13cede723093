"""The declared contracts: which table the files under a prefix go to, and what its columns must hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import RejectedError

INCOMING = "incoming/"  # only what is below this prefix is loaded


@dataclass(frozen=True, slots=True)
class Column:
    """What one column holds: its PostgreSQL type and the limits that its CHECK constraint in the table sets too.

    ``shortest`` and ``longest`` count characters; ``least`` and ``most`` are inclusive and written as SQL writes them.
    """

    kind: str
    nullable: bool = False
    shortest: int | None = None
    longest: int | None = None
    least: str | None = None
    most: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its columns by name, its key, the text that stands for null, and how many bad rows a file may have.

    ``max_rejected_share`` takes the place of the loader's own setting for this table; a share of the rows, 0 to 1.
    """

    name: str
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    null: str = "NA"
    max_rejected_share: float | None = None


def code(longest: int) -> Column:
    """A short text that is never empty, as keys are."""
    return Column("text", shortest=1, longest=longest)


# By the first folder below incoming/.  The migrations make the same tables; a test compares the two.
TABLES: Mapping[str, Table] = {
    "airlines": Table("airlines", {"carrier": code(8), "name": code(200)}, key=("carrier",)),
    "airports": Table(
        "airports",
        {
            "faa": code(8),
            "name": code(200),
            "lat": Column("double precision", least="-90", most="90"),
            "lon": Column("double precision", least="-180", most="180"),
            "alt": Column("integer", least="-2000", most="30000"),  # feet; the lowest runway is at -1,266
            "tz": Column("integer", least="-12", most="14"),  # hours from UTC
            "dst": code(1),
            "tzone": Column("text", nullable=True, longest=64),
        },
        key=("faa",),
    ),
    "flights-airport": Table(
        "flights_airport",
        {"origin": code(8), "destination": code(8), "count": Column("integer", least="0")},
        key=("origin", "destination"),
    ),
    "planes": Table(
        "planes",
        {
            "tailnum": code(8),
            # The source writes 0 for some unknown years; a year beyond 2100 is a slip.
            "year": Column("smallint", nullable=True, least="0", most="2100"),
            "type": code(100),
            "manufacturer": code(100),
            "model": code(100),
            "engines": Column("smallint", least="0", most="16"),
            "seats": Column("smallint", least="0", most="1000"),
            "speed": Column("smallint", nullable=True, least="0"),
            "engine": code(100),
        },
        key=("tailnum",),
    ),
    # What the validation after a deployment puts in and looks for.
    "synthetic": Table("synthetic", {"id": code(100), "put_at": Column("timestamptz")}, key=("id",)),
}


def table_for(key: str, tables: Mapping[str, Table]) -> Table:
    """The table of an object by the first folder of its key below ``incoming/``.  Raises RejectedError if none is declared."""
    prefix, slash, _ = key.removeprefix(INCOMING).partition("/")
    if key.startswith(INCOMING) and slash and prefix in tables:
        return tables[prefix]
    places = ", ".join(f"{INCOMING}{prefix}/" for prefix in sorted(tables))
    raise RejectedError(f"no table is declared for {key!r}; put the file under one of {places}")
