"""What a load is told and what it comes to: the file, and the outcome that the ledger keeps."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .contracts import INCOMING

LONGEST_KEY = 1024  # bytes (Amazon S3 User Guide, "Naming Amazon S3 objects")


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
        """Where the rows that break the contract go: the same for every try, so that a second one overwrites.

        A name that would be too long for S3 keeps its beginning; a hash of the whole stands for the rest.
        """
        name, start, end = self.key.removeprefix(INCOMING), "quarantine/", f"/{self.version}.csv"
        room = LONGEST_KEY - len(start.encode()) - len(end.encode())
        if len(name.encode()) > room:
            stands = "~" + hashlib.sha256(name.encode()).hexdigest()[:32]
            name = name.encode()[: room - len(stands)].decode(errors="ignore") + stands
        return f"{start}{name}{end}"


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
