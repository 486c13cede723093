"""Applies the schema's migrations in order, each in a transaction of its own, and never two runs at once.

A file is named ``NNNN_expand_name.sql`` or ``NNNN_contract_name.sql``.  Expanding only adds, so that the code that is
deployed goes on working; it runs with a deployment.  Contracting removes what only old code needs; it runs when asked for,
after the new code is validated.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pg8000.native

from deploy.structured_log import log

from .database import reason, sqlstate

FOLDER = Path(__file__).resolve().parent.parent / "migrations"
NAME = re.compile(r"(\d{4})_(expand|contract)_([a-z0-9_]+)\.sql")
LOCK = 7_061_955  # any number, the same in every run
OLDEST_SERVER = 160_000  # pg_input_is_valid came with PostgreSQL 16
LOCK_TIMEOUT = "55P03"
TRIES = 5  # of one migration that finds a table locked by a load
TABLE = """
create table if not exists schema_migrations (
    version integer primary key, name text not null, phase text not null, checksum text not null,
    applied_at timestamptz not null default now()
)
"""

Phase = Literal["expand", "contract"]


class MigrationError(Exception):
    """The migrations cannot run as they are; nothing of the one in question was kept."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    version: int
    phase: Phase
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def file(self) -> str:
        return f"{self.version:04}_{self.phase}_{self.name}.sql"


def read_migrations(folder: Path = FOLDER) -> Sequence[Migration]:
    """All migrations, by number.  Raises MigrationError for a wrong name, a number twice or one left out."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = NAME.fullmatch(path.name)
        if not match:
            raise MigrationError(f"{path.name}: a migration is named NNNN_expand_name.sql or NNNN_contract_name.sql")
        phase: Phase = "expand" if match[2] == "expand" else "contract"
        # Read as text, because a checkout may have changed the line ends.
        found.append(Migration(int(match[1]), phase, match[3], path.read_text(encoding="utf-8")))
    for expected, migration in enumerate(found, start=1):
        if migration.version != expected:
            what = "comes twice" if migration.version < expected else f"comes where {expected:04} should"
            raise MigrationError(f"{migration.file}: the number {what}; migrations are numbered without gaps")
    return found


def migrate(
    connection: Any, migrations: Sequence[Migration], phase: Phase, *, seconds: float, lock_seconds: float = 5.0
) -> list[str]:
    """Apply what is to be applied in that phase; the names of what was.

    ``expand`` on a database that has migrations applies the expanding ones up to the first contracting one, and refuses
    to go past it; on an empty database there is no old code, so everything up to the last expanding one is applied.
    ``contract`` applies everything in order.  What a later release has expanded is left as it is, in either phase: when
    that release is rolled back, this one works with it.  What a later release has contracted is refused.  At most ``seconds`` are spent; a migration waits ``lock_seconds`` for a
    table that a load holds, a few times.  Raises MigrationError.
    """
    end = time.monotonic() + seconds
    if int(connection.run("show server_version_num")[0][0]) < OLDEST_SERVER:
        raise MigrationError("the server is older than PostgreSQL 16, which the loader's checks need")
    _lock(connection, end)
    try:
        connection.run(TABLE)
        applied = _applied(connection, migrations)
        pending = [migration for migration in migrations if migration.version not in applied]
        wanted = _wanted(pending, phase, empty=not applied)
        for migration in wanted:
            _apply(connection, migration, end, lock_seconds)
        return [migration.file for migration in wanted]
    finally:
        _unlock(connection)


def _lock(connection: Any, end: float) -> None:
    """Only one run at a time: a second waits for the first and then finds its work done."""
    while connection.run(f"select pg_try_advisory_lock({LOCK})") != [[True]]:
        if time.monotonic() >= end:
            raise MigrationError("another run of the migrations is under way and did not end in time; try again later")
        time.sleep(0.1)


def _unlock(connection: Any) -> None:
    try:
        connection.run(f"select pg_advisory_unlock({LOCK})")
    except (pg8000.native.InterfaceError, pg8000.native.DatabaseError, OSError):
        return  # the connection is gone, and the lock with it


def _applied(connection: Any, migrations: Sequence[Migration]) -> set[int]:
    """The numbers of what was applied before.  Raises MigrationError where this release cannot work with it."""
    rows = connection.run("select version, checksum, name, phase from schema_migrations order by version")
    by_version = {migration.version: migration for migration in migrations}
    for version, checksum, name, phase in rows:
        known = by_version.get(version)
        if known is None and phase == "expand":
            # A later release was rolled back, or an earlier one deployed again: CloudFormation asks for this release's
            # schema, and what only adds does it no harm.  To refuse would leave the stack in UPDATE_ROLLBACK_FAILED.
            log("WARN", "schema-ahead", {"migration": f"{version:04}_{phase}_{name}.sql"})
            continue
        if known is None:
            raise MigrationError(
                f"the database has migration {version:04} ({name}), which this release does not know and which took "
                "away what it may need: deploy the later release"
            )
        if known.checksum != checksum:
            raise MigrationError(
                f"{known.file} was changed after it had been applied; put it back and write a new migration instead"
            )
    return {int(row[0]) for row in rows}


def _wanted(pending: Sequence[Migration], phase: Phase, *, empty: bool) -> Sequence[Migration]:
    if phase == "contract":
        return pending
    last = max((place for place, migration in enumerate(pending, start=1) if migration.phase == "expand"), default=0)
    wanted = pending[:last]
    if not empty and (waiting := [migration for migration in wanted if migration.phase == "contract"]):
        raise MigrationError(
            f"{wanted[-1].file} comes after {waiting[0].file}, which has not run: "
            "validate the release before and run its contracting migrations first"
        )
    return wanted


def _apply(connection: Any, migration: Migration, end: float, lock_seconds: float) -> None:
    for left in reversed(range(TRIES)):
        try:
            connection.run("begin")
            connection.run(f"set local lock_timeout = {int(lock_seconds * 1000)}")
            connection.run(f"set local statement_timeout = {max(1, int((end - time.monotonic()) * 1000))}")
            connection.run(migration.sql)
            connection.run(
                "insert into schema_migrations (version, name, phase, checksum) values (:version, :name, :phase, :sum)",
                version=migration.version,
                name=migration.name,
                phase=migration.phase,
                sum=migration.checksum,
            )
            connection.run("commit")
        except pg8000.native.DatabaseError as error:
            connection.run("rollback")
            if sqlstate(error) == LOCK_TIMEOUT and left and time.monotonic() < end:
                continue  # a load is under way; meanwhile others were let through
            raise MigrationError(f"{migration.file}: {reason(error)}") from error
        else:
            return
