"""Which table the files under a prefix go to, and what its columns are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class ContractError(Exception):
    """A file that no table was declared for, or an event that names no file."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its columns in the order of the file's header, each with its PostgreSQL type, and its key.

    Names are written into SQL as they are: they come from this file alone.
    """

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...]


# The header of a file must be these names in this order; NA stands for null.  Key columns are never null.
TABLES: Mapping[str, Table] = {
    "airlines": Table("airlines", {"carrier": "text", "name": "text not null"}, key=("carrier",)),
    "airports": Table(
        "airports",
        {
            "faa": "text",
            "name": "text not null",
            "lat": "double precision not null",
            "lon": "double precision not null",
            "alt": "integer not null",
            "tz": "integer not null",
            "dst": "text not null",
            "tzone": "text",
        },
        key=("faa",),
    ),
    "flights-airport": Table(
        "flights_airport",
        {"origin": "text", "destination": "text", "count": "integer not null"},
        key=("origin", "destination"),
    ),
    "planes": Table(
        "planes",
        {
            "tailnum": "text",
            "year": "smallint",
            "type": "text not null",
            "manufacturer": "text not null",
            "model": "text not null",
            "engines": "smallint not null",
            "seats": "smallint not null",
            "speed": "smallint",
            "engine": "text not null",
        },
        key=("tailnum",),
    ),
}


def table_for(key: str) -> Table:
    """The table of an object, by the first folder of its key.  Raises ContractError if none is declared."""
    prefix, slash, _ = key.partition("/")
    if slash and prefix in TABLES:
        return TABLES[prefix]
    raise ContractError(f"no table is declared for {key!r}; put the file under one of: {', '.join(sorted(TABLES))}")
