"""A history under a prefix of an S3 bucket, with copies of its files in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CloudError, InputError
from .layout import FILE, LOCK, busy, is_table_file, next_corrupt
from .schema import TABLES, Table

if TYPE_CHECKING:
    from ..cloud.session import Cloud

# Whoever has not said for this long that it still runs is taken as dead.
_EXPIRY = timedelta(minutes=15)
_RENEWAL = timedelta(minutes=2)
_MOMENT = "%Y-%m-%d %H:%M:%S UTC"


class Bucket:
    """The objects below ``prefix``.  They are listed once, and again when the history is locked."""

    def __init__(self, cloud: Cloud, bucket: str, prefix: str) -> None:
        self._cloud, self._bucket = cloud, bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._etags: dict[str, str] | None = None
        self._lock: _Lock | None = None
        self._scratch: Path | None = None

    @property
    def where(self) -> str:
        """As the user would write it."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @property
    def scratch(self) -> Path:
        """In the cache folder, one of each process; what a kill leaves there is removed by the next ``locked``."""
        if self._scratch is None:
            # Its name tells a later process whether this one still lives.
            with self._caching():
                self._scratch = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self._folder("scratch")))
        return self._scratch

    def paths(self, table: Table) -> list[str]:
        """The table's files, sorted."""
        return [path for path in self._listed() if is_table_file(path, table)]

    def others(self) -> list[str]:
        """Parquet files that no table of this version owns, sorted."""
        known = TABLES.values()
        files = (path for path in self._listed() if path.endswith(f"/{FILE}"))
        return [path for path in files if not any(is_table_file(path, table) for table in known)]

    def local(self, path: str) -> Path | None:
        """A copy, fetched only where there is none of the same ETag yet."""
        from ..cloud.objects import fetch_object

        self._renew()
        etag = self._listed().get(path)
        if etag is None:
            return None
        home = self._folder("files") / hashlib.sha256(self.where.encode()).hexdigest()[:16]
        copies = home / hashlib.sha256(path.encode()).hexdigest()[:16]
        copy = copies / etag / path
        if not copy.is_file():
            with self._caching():
                if not fetch_object(self._cloud, self._bucket, self._prefix + path, copy):
                    return None
                _keep_only(copies, etag)
        return copy

    def replace(self, path: str, new: Path) -> None:
        """One put, which S3 shows whole or not at all."""
        from ..cloud.objects import write_object

        self._renew()
        with self._caching():
            content = new.read_bytes()
        etag = write_object(self._cloud, self._bucket, self._prefix + path, content)
        self._listed()[path] = str(etag)
        new.unlink(missing_ok=True)

    def quarantine(self, path: str, reason: str) -> str:
        """Move the object beside its place, with the reason in its metadata."""
        from ..cloud.objects import move_object

        self._renew()
        listed = self._listed()
        moved = next_corrupt(path, listed.__contains__)
        move_object(self._cloud, self._bucket, self._prefix + path, self._prefix + moved, reason)
        listed[moved] = listed.pop(path)
        return moved

    @contextmanager
    def locked(self) -> Iterator[None]:
        """An object that only one process can create; taken over when its owner has been silent for 15 minutes."""
        lock = _Lock(self._cloud, self._bucket, self._prefix + LOCK, self.where)
        lock.take()
        self._lock, self._etags = lock, None
        try:
            self._clean()
            yield
        finally:
            self._lock = None
            if self._scratch is not None:
                shutil.rmtree(self._scratch, ignore_errors=True)
                self._scratch = None
            lock.release()

    def _renew(self) -> None:
        if self._lock is not None:
            self._lock.renew()

    def _listed(self) -> dict[str, str]:
        if self._etags is None:
            from ..cloud.objects import list_objects

            found = list_objects(self._cloud, self._bucket, self._prefix)
            cut = len(self._prefix)
            self._etags = {each.key[cut:]: each.etag for each in found}
        return self._etags

    def _folder(self, name: str) -> Path:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        with self._caching():
            folder = Path(base).expanduser().absolute() / "tocsin" / "history" / name
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _clean(self) -> None:
        """Remove the scratch folders of processes that are gone."""
        for left in self._folder("scratch").iterdir():
            number = left.name.partition("-")[0]
            if number.isdecimal() and not _lives(int(number)):
                shutil.rmtree(left, ignore_errors=True)

    @contextmanager
    def _caching(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as error:
            text = getattr(error, "strerror", None) or error
            raise InputError(
                f"history {self.where}: the cache folder cannot be used: {getattr(error, 'filename', None) or ''}: {text}; "
                "give its rights, or set XDG_CACHE_HOME"
            ) from error


class _Lock:
    """An object whose content says whose it is and until when."""

    def __init__(self, cloud: Cloud, bucket: str, key: str, where: str) -> None:
        self._cloud, self._bucket, self._key, self._where = cloud, bucket, key, where
        self._since = self._said = datetime.now(UTC)
        self._token, self._etag = secrets.token_hex(8), ""

    def take(self) -> None:
        from ..cloud.objects import read_object, write_object

        etag = write_object(self._cloud, self._bucket, self._key, self._content(), only_new=True)
        if etag is None:
            there = read_object(self._cloud, self._bucket, self._key)
            if there is None:  # released in between: whoever comes first has it
                etag = write_object(self._cloud, self._bucket, self._key, self._content(), only_new=True)
            else:
                since, until = _times(there[0])
                if until > datetime.now(UTC):
                    raise busy(
                        self._where,
                        since,
                        f"wait for it to end; if it was killed, it counts as dead from {until:{_MOMENT}} on",
                    )
                etag = write_object(self._cloud, self._bucket, self._key, self._content(), instead_of=there[1])
        if etag is None:
            raise busy(self._where, "", "wait for it to end")
        self._etag = etag

    def renew(self) -> None:
        """Say that the owner still runs.  Raises CloudError when somebody took over."""
        from ..cloud.objects import write_object

        if datetime.now(UTC) - self._said < _RENEWAL:
            return
        self._said = datetime.now(UTC)
        etag = write_object(self._cloud, self._bucket, self._key, self._content(), instead_of=self._etag)
        if etag is None:
            raise CloudError(
                f"another pull of {self._where} took over, because this one was silent for {_EXPIRY}; run it again"
            )
        self._etag = etag

    def release(self) -> None:
        from ..cloud.objects import delete_object, read_object

        # Whoever took over keeps it.
        there = read_object(self._cloud, self._bucket, self._key)
        if there is not None and there[1] == self._etag:
            delete_object(self._cloud, self._bucket, self._key)

    def _content(self) -> bytes:
        # The token makes each content, and so each ETag, its own.
        times = {"since": f"{self._since:{_MOMENT}}", "until": f"{self._said + _EXPIRY:{_MOMENT}}"}
        return json.dumps({**times, "token": self._token}).encode()


def _times(content: bytes) -> tuple[str, datetime]:
    """Since when and until when a lock is held; one that cannot be read is over."""
    try:
        found = json.loads(content)
        return str(found["since"]), datetime.strptime(found["until"], _MOMENT).replace(tzinfo=UTC)
    except (ValueError, KeyError, TypeError):
        return "", datetime.min.replace(tzinfo=UTC)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _keep_only(copies: Path, etag: str) -> None:
    """Remove what a newer copy makes useless."""
    for other in copies.iterdir():
        if other.name != etag:
            shutil.rmtree(other, ignore_errors=True)
