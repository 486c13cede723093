"""A history in a folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..errors import InputError
from .layout import FILE, LOCK, busy, is_table_file, next_corrupt
from .schema import TABLES, VERSION, Table

_SCRATCH = ".scratch"


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder ``path``; it is made when something is written."""

    path: Path

    @property
    def where(self) -> str:
        """The folder as it was given."""
        return str(self.path)

    @property
    def scratch(self) -> Path:
        """On the same file system as the history, so that a finished file is moved in one step."""
        folder = self.path / _SCRATCH
        with self._mending("written"):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def paths(self, table: Table) -> list[str]:
        """The table's files, sorted."""
        return [path for path in self._files(self.path / VERSION / table.name) if is_table_file(path, table)]

    def others(self) -> list[str]:
        """Parquet files that no table of this version owns, sorted."""
        known = TABLES.values()
        return [path for path in self._files(self.path) if not any(is_table_file(path, table) for table in known)]

    def _files(self, below: Path) -> list[str]:
        with self._mending("read"):
            # A folder that is not there yet is an empty history; a file in its place is a mistake.
            if self.path.exists() and not self.path.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            return sorted(path.relative_to(self.path).as_posix() for path in below.rglob(FILE) if path.is_file())

    def local(self, path: str) -> Path | None:
        """The file itself."""
        found = self.path / path
        return found.absolute() if found.is_file() else None

    def replace(self, path: str, new: Path) -> None:
        """Durable once this returns: the content first, then the name."""
        target = self.path / path
        with self._mending("written"):
            target.parent.mkdir(parents=True, exist_ok=True)
            _sync(new)
            new.replace(target)
            _sync(target.parent)

    def quarantine(self, path: str, reason: str) -> str:  # noqa: ARG002  # a file name has no room for a reason
        """Move the file beside its place."""
        moved = next_corrupt(path, lambda name: (self.path / name).exists())
        with self._mending("written"):
            (self.path / path).rename(self.path / moved)
        return moved

    @contextmanager
    def locked(self) -> Iterator[None]:
        """A lock of the operating system on a file, so that it ends with its process, however that ends."""
        import fcntl

        with self._mending("written"):
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                since = os.pread(handle, 100, 0).decode(errors="replace").strip()
                raise busy(self.where, since, "wait for it to end") from None
            with self._mending("written"):
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, process {os.getpid()}\n".encode(), 0)
                self._clean()
            try:
                yield
            finally:
                with self._mending("written"):
                    os.ftruncate(handle, 0)
                    self._clean()
        finally:
            os.close(handle)

    def _clean(self) -> None:
        """Remove what never got its name: only whoever holds the lock writes there."""
        import shutil

        scratch = self.path / _SCRATCH
        if scratch.is_dir():
            shutil.rmtree(scratch)

    @contextmanager
    def _mending(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = error.filename or self.path
            raise InputError(
                f"history {self.where} cannot be {what}: {where}: {error.strerror}; give its rights, or name another folder"
            ) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
