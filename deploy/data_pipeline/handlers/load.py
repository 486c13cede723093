"""One file into its table: all of its good rows or none, once, in one transaction.

The fast path gives the bytes to COPY as they are, and the table itself checks types, nulls, limits and keys.  If it
refuses, the checking path reads the file again: every row gets its line number and PostgreSQL's judgement, the bad ones
go to quarantine and the good ones into the table, unless the bad ones are too many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pg8000.native

from . import ledger
from .contracts import Table, table_for
from .database import UNIQUE_VIOLATION, Deadline, ServerSpokeError, copy_in, is_about_data, run, sqlstate
from .errors import RejectedError
from .files import Counts, File, Outcome
from .judge import STAGING, Judgement, copy_options, quoted
from .records import NotPlainError, Scan, plain
from .text import Text, open_text


class Sink(Protocol):
    """Takes the bytes of one object, in order."""

    def write(self, data: bytes) -> object: ...


class Store(Protocol):
    """Where the files are.  A quarantine file is there as a whole after its block, or not at all if the block raises."""

    def read(self, file: File) -> Iterable[bytes]: ...

    def quarantine(self, file: File) -> AbstractContextManager[Sink]: ...


class TooManyBadRowsError(RejectedError):
    """The file has more bad rows than it may; they are in quarantine already."""

    def __init__(self, message: str, counts: Counts) -> None:
        super().__init__(message)
        self.counts = counts


def load(
    connection: Any,
    file: File,
    store: Store,
    tables: Mapping[str, Table],
    *,
    deadline: Deadline,
    max_rejected_share: float,
) -> Outcome | None:
    """Load one file; None if this version was loaded or rejected before.

    A file at fault is a ``rejected`` outcome, not an error.  Raises OutOfTimeError, DeploymentError, and what database
    and store raise; nothing is kept then, and the connection is to be closed.
    """
    ledger.require_schema(connection)
    connection.run("begin")
    ledger.lock(connection, file, deadline)
    if ledger.is_done(connection, file):
        connection.run("rollback")
        return None
    connection.run("savepoint untouched")
    table: Table | None = None
    text: Text | None = None
    try:
        table = table_for(file.key, tables)
        text = open_text(store.read(file), table.columns)
        counts, first_bad = _rows(connection, file, store, table, text, deadline, max_rejected_share)
        outcome = _outcome("loaded", table, text, counts, first_bad)
    except RejectedError as error:
        connection.run("rollback to savepoint untouched")
        counts = error.counts if isinstance(error, TooManyBadRowsError) else Counts()
        outcome = _outcome("rejected", table, text, counts, str(error))
        if not isinstance(error, TooManyBadRowsError):
            _note(file, store, str(error))
    ledger.enter(connection, file, outcome)
    connection.run("commit")
    return outcome


def _outcome(status: Any, table: Table | None, text: Text | None, counts: Counts, reason: str | None) -> Outcome:
    return Outcome(
        status=status,
        table=table.name if table else None,
        counts=counts,
        encoding=text.encoding if text else None,
        delimiter=text.header.delimiter if text else None,
        # PostgreSQL's text holds no NUL, and the ledger is read by people.
        reason=reason.replace("\0", "\\x00")[:2000] if reason else None,
    )


def _rows(
    connection: Any, file: File, store: Store, table: Table, text: Text, deadline: Deadline, share: float
) -> tuple[Counts, str | None]:
    """Put the rows in the table; how many, and what is wrong with the first bad one."""
    # A blank line is a row of one empty value to COPY, if the table has one column; the checking path skips it.
    if len(table.columns) > 1:
        try:
            loaded = _copy_plainly(connection, table, text, deadline)
        except (NotPlainError, ServerSpokeError):
            pass
        except pg8000.native.DatabaseError as error:
            if not is_about_data(error):
                raise
        else:
            return Counts(read=loaded, loaded=loaded), None
        connection.run("rollback to savepoint untouched")
        text = open_text(store.read(file), table.columns)
    return _check(connection, file, store, table, text, deadline, share)


def _copy_plainly(connection: Any, table: Table, text: Text, deadline: Deadline) -> int:
    header = text.header
    columns, options = quoted(header.columns), copy_options(header.delimiter, table.null)
    statement = f"copy {quoted([table.name])} ({columns}) from stdin {options}"
    return copy_in(connection, statement, plain(text.body, header.delimiter), deadline)


def _check(
    connection: Any, file: File, store: Store, table: Table, text: Text, deadline: Deadline, share: float
) -> tuple[Counts, str | None]:
    judgement = Judgement(table, text.header.columns, text.header.delimiter)
    scan = Scan(text.header, text.encoding, table.null)
    run(connection, judgement.create(), deadline)
    copy_in(connection, judgement.copy(), scan.staged(text.body), deadline)
    if scan.cut_off:
        raise RejectedError(scan.cut_off)
    if scan.inside:
        run(connection, judgement.forget(scan.inside), deadline)
    run(connection, f"analyze {STAGING}", deadline)
    for statement in (judgement.judge_values(), judgement.judge_keys_in_file(), judgement.judge_keys_in_table()):
        run(connection, statement, deadline)
    read, rejected, unchanged = run(connection, judgement.count(), deadline)[0]
    if not rejected:
        first_bad = None
    else:
        line, reason = run(connection, judgement.first_bad(), deadline)[0]
        first_bad = f"line {line}: {reason}"
        with store.quarantine(file) as sink:
            run(connection, judgement.quarantine(), deadline, stream=sink)
        most = share if table.max_rejected_share is None else table.max_rejected_share
        if rejected > most * read:
            raise TooManyBadRowsError(
                f"{rejected:,} of {read:,} rows break the contract, at most {most:.2%} may; the first: {first_bad}",
                Counts(read=read, rejected=rejected),
            )
    run(connection, judgement.insert(), deadline)
    return Counts(read, read - rejected - unchanged, rejected, unchanged), first_bad


def _note(file: File, store: Store, reason: str) -> None:
    """Say in quarantine why the file is not loaded, where its bad rows would be."""
    with store.quarantine(file) as sink:
        sink.write(('line,reason,row\n,"' + reason.replace('"', '""') + '",\n').encode())


def collided(error: BaseException) -> bool:
    """True if another file with the same key was loaded at the same moment; another try tells the two apart."""
    return sqlstate(error) == UNIQUE_VIOLATION
