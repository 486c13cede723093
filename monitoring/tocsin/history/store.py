"""Where a history's files are: a folder, or a prefix of an S3 bucket."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..errors import InputError
from .schema import PARTITIONS, VERSION, Table

if TYPE_CHECKING:
    from ..cloud.session import Cloud

#: The one file of a partition.
FILE = "rows.parquet"
#: The name of a file that could not be read, before a number.  Athena reads every object below a table's location but
#: those whose name begins with _ or a dot (Athena user guide, "Create tables", considerations).
CORRUPT = f"_{FILE}.corrupt-"
#: Name of the lock, beside the first folder.
LOCK = ".lock"

_S3 = "s3://"
# Amazon S3 user guide, "General purpose bucket naming rules".
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ANY = "/".join(f"{name}=([^/=]+)" for name in PARTITIONS)
_PATH = re.compile(rf"(?P<version>[^/]+)/(?P<table>[^/]+)/{_ANY}/{re.escape(FILE)}")


class Store(Protocol):
    """Files by their path within the history.  Every method raises InputError or CloudError in one line.

    ``where`` is the place as the user wrote it, for messages.
    """

    @property
    def where(self) -> str:
        """The place as the user wrote it, for messages."""
        ...

    @property
    def scratch(self) -> Path:
        """An existing folder for files that are on their way to ``replace``; what a kill leaves there is removed by the
        next ``locked``."""
        ...

    def paths(self, table: Table) -> list[str]:
        """The table's files, sorted; of no other version than ``schema.VERSION``."""
        ...

    def others(self) -> list[str]:
        """Files that are none of a table of this version: an unknown table or a version that is newer, sorted."""
        ...

    def local(self, path: str) -> Path | None:
        """A file that DuckDB can read, whose path ends with ``path``: itself, or a copy.  None where nothing is."""
        ...

    def replace(self, path: str, new: Path) -> None:
        """Put ``new``, a file in ``scratch``, in the place of ``path`` in one step; ``new`` is gone then."""
        ...

    def quarantine(self, path: str, reason: str) -> str:
        """Move a file that cannot be read beside its place, as _rows.parquet.corrupt-N; returns its new path.

        ``reason`` is kept with it where the store can do that.
        """
        ...

    def locked(self) -> AbstractContextManager[None]:
        """Hold the history while it is written.  Raises InputError while another process holds it."""
        ...


def open_store(text: str, cloud: Callable[[], Cloud] | None = None) -> Store:
    """The history at ``text``: a folder, or ``s3://bucket/prefix``, for which ``cloud`` makes the connection.

    Nothing need be there yet.  Raises InputError where ``text`` names neither.
    """
    if not text.startswith(_S3):
        if not text or "\0" in text or "://" in text:
            raise InputError(f"history {text!r}: neither a folder nor s3://bucket/prefix; name one of them")
        from .folder import Folder

        return Folder(Path(text))
    bucket, _, prefix = text.removeprefix(_S3).partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise InputError(f"history {text!r}: {bucket!r} is no name of a bucket; write s3://bucket/prefix")
    parts = [part for part in prefix.split("/") if part]
    if any(part in (".", "..") for part in parts):
        raise InputError(f"history {text!r}: a prefix has no '.' and '..'; write s3://bucket/prefix")
    if cloud is None:
        raise InputError(f"history {text!r}: there is no connection to AWS here; name a folder")
    from .bucket import Bucket

    return Bucket(cloud(), bucket, "/".join(parts))


def is_table_file(path: str, table: Table) -> bool:
    """Whether ``path`` is a file of ``table`` in the version that is read here."""
    found = _PATH.fullmatch(path)
    return found is not None and found["version"] == VERSION and found["table"] == table.name


def keys_of(path: str) -> tuple[str, str, str]:
    """Environment, system and month of a table's file."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise ValueError(path)
    return found[3], found[4], found[5]


def next_corrupt(path: str, taken: Callable[[str], bool]) -> str:
    """The first free name beside ``path`` for a file that could not be read."""
    beside = path.removesuffix(FILE) + CORRUPT
    number = 1
    while taken(f"{beside}{number}"):
        number += 1
    return f"{beside}{number}"


def busy(where: str, since: str, mend: str) -> InputError:
    """What a second writer is told."""
    return InputError(f"another pull of {where} is running{since and f' (since {since})'}; {mend}")
