"""Where a history's files are: a folder, or a prefix of an S3 bucket."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..errors import InputError
from .schema import Table

if TYPE_CHECKING:
    from ..cloud.session import Cloud

_S3 = "s3://"
# Amazon S3 user guide, "General purpose bucket naming rules".
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


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
