"""SQL about a history, answered by Athena."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..errors import CloudError

if TYPE_CHECKING:
    from ..cloud.session import Cloud

# Athena user guide, "Data types in Amazon Athena": what a SELECT can give back of our tables' types.
_VALUES: dict[str, Callable[[str], Any]] = {
    "bigint": int,
    "boolean": lambda text: text == "true",
    "char": str,
    "date": date.fromisoformat,
    "decimal": Decimal,
    "double": float,
    "float": float,
    "int": int,
    "integer": int,
    "real": float,
    "smallint": int,
    "string": str,
    "timestamp": datetime.fromisoformat,
    "tinyint": int,
    "varchar": str,
}


@dataclass(frozen=True, slots=True)
class Athena:
    """The tables of one Glue database, in one workgroup."""

    cloud: Cloud
    workgroup: str
    database: str
    output: str | None = None

    name = "athena"

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """None: Athena fails where a file is corrupt, and its error names the file."""
        return ()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The answer.  Raises CloudError."""
        from ..cloud.athena import ask_athena

        answer = ask_athena(self.cloud, sql, self.workgroup, self.database, self.output)
        unknown = sorted(set(answer.types) - _VALUES.keys())
        if unknown:
            raise CloudError(f"Athena answers with a type that is not known here: {', '.join(unknown)}; cast it in SQL")
        readers = [_VALUES[kind] for kind in answer.types]
        return [
            tuple(None if cell is None else read(cell) for read, cell in zip(readers, row, strict=True))
            for row in answer.rows
        ]
