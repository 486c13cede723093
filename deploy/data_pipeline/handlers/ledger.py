"""The ledger: which version of which file was loaded or rejected, written once, in the transaction of its rows."""

from __future__ import annotations

import hashlib
from typing import Any

from .database import Deadline, run
from .errors import DeploymentError
from .files import File, Outcome

SCHEMA = 3  # the migration that this code needs at least


def require_schema(connection: Any) -> None:
    """Raises DeploymentError when the migrations that this code needs have not run."""
    if connection.run("select to_regclass('schema_migrations')::text") == [[None]]:
        version = 0
    else:
        version = connection.run("select coalesce(max(version), 0) from schema_migrations")[0][0]
    if version < SCHEMA:
        raise DeploymentError(
            f"the database's schema is at version {version}, this loader needs {SCHEMA}: run the migrations (expand)"
        )


def lock(connection: Any, file: File, deadline: Deadline) -> None:
    """Wait until no other load of this version is under way; held to the end of the transaction."""
    name = "\0".join((file.bucket, file.key, file.version)).encode()
    number = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big", signed=True)
    run(connection, f"select pg_advisory_xact_lock({number})", deadline)


def is_done(connection: Any, file: File) -> bool:
    """True if this version was loaded or rejected before."""
    found = connection.run(
        "select 1 from loaded_files where bucket = :bucket and key = :key and version = :version",
        bucket=file.bucket,
        key=file.key,
        version=file.version,
    )
    return bool(found)


def enter(connection: Any, file: File, outcome: Outcome) -> None:
    """Write the one line of this version.  It is finished now; now() would be when the transaction began."""
    connection.run(
        "insert into loaded_files (bucket, key, version, table_name, status, rows_read, rows_loaded, rows_rejected, "
        "rows_unchanged, encoding, delimiter, reason, arrived, finished) values (:bucket, :key, :version, :table_name, "
        ":status, :read, :loaded, :rejected, :unchanged, :encoding, :delimiter, :reason, :arrived, clock_timestamp())",
        bucket=file.bucket,
        key=file.key,
        version=file.version,
        table_name=outcome.table,
        status=outcome.status,
        read=outcome.counts.read,
        loaded=outcome.counts.loaded,
        rejected=outcome.counts.rejected,
        unchanged=outcome.counts.unchanged,
        encoding=outcome.encoding,
        delimiter=outcome.delimiter,
        reason=outcome.reason,
        arrived=file.arrived,
    )
