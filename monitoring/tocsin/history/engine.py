"""Who answers SQL about a history: DuckDB on this machine, or Athena."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .store import Store

if TYPE_CHECKING:
    from ..cloud.session import Cloud


class Engine(Protocol):
    """Answers SQL in the dialect that DuckDB and Athena share, over the tables of ``schema`` by their bare names.

    Every table has the columns ``environment``, ``system`` and ``month`` (text) as well.  ``"at"`` needs its quotes in
    DuckDB; a moment is written TIMESTAMP '2026-10-01 00:00:00'.
    """

    @property
    def name(self) -> str:
        """``duckdb`` or ``athena``."""
        ...

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """Path and reason of each file that could not be read and is missing from the answers so far."""
        ...

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The answer: int, Decimal, str, bool, datetime (UTC without a zone), date, float or None.

        Raises InputError or CloudError, in one line.
        """
        ...


def open_duckdb(store: Store) -> Engine:
    """DuckDB over the files of a store as they are now.  A file that cannot be read is left out and told in ``skipped``;
    nothing is moved.  Raises InputError, or CloudError of a bucket."""
    from .duckdb_engine import DuckDb

    return DuckDb(store)


def open_athena(cloud: Cloud, workgroup: str, database: str, output: str | None = None) -> Engine:
    """Athena over the Glue tables of the history's stack.  ``output`` is a place for results, s3://bucket/prefix, where
    the workgroup names none.  Raises CloudError when it is asked."""
    from .athena_engine import Athena

    return Athena(cloud, workgroup, database, output)
