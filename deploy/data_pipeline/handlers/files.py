"""What a load is told and what it comes to: the file, and the outcome that the ledger keeps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .contracts import INCOMING


@dataclass(frozen=True, slots=True)
class File:
    """One version of one object, and when it arrived.  ``size`` in bytes, None if the event did not say."""

    bucket: str
    key: str
    version: str
    arrived: datetime
    size: int | None = None

    @property
    def quarantine_key(self) -> str:
        """Where the rows that break the contract go: the same for every try, so that a second one overwrites."""
        return f"quarantine/{self.key.removeprefix(INCOMING)}/{self.version}.csv"


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of one file.  Unchanged ones were in the table already, just as they are."""

    read: int = 0
    loaded: int = 0
    rejected: int = 0
    unchanged: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a load ended.  ``reason`` says why a file was rejected, or what the first bad row is."""

    status: Literal["loaded", "rejected"]
    table: str | None
    counts: Counts
    encoding: str | None = None
    delimiter: str | None = None
    reason: str | None = None
