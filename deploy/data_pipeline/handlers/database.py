"""The way to the database: always TLS with the server verified, as one role, and what its errors mean.

Environment: DATABASE_HOST, DATABASE_PORT, DATABASE_NAME, DATABASE_USER; PGSSLROOTCERT, a file of certificate
authorities, if the database's certificate is from another one than Amazon RDS's.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import pg8000.native

from deploy.clients import client

from .errors import OutOfTimeError

RDS_AUTHORITIES = Path(__file__).with_name("rds_ca.pem")
CONNECT_SECONDS = 5
SILENCE_SECONDS = 120  # without any sign of the other side; then it is taken for gone

DATA_ERRORS = ("22", "23")  # SQLSTATE classes: data exception, integrity constraint violation
CANCELLED = "57014"
UNIQUE_VIOLATION = "23505"


class Deadline(Protocol):
    """How many seconds may still be spent; None if there is no limit."""

    def __call__(self) -> float | None: ...


def connect_with_token() -> Any:
    """A connection as DATABASE_USER, who has no password: AWS signs a token for the function's own role."""
    host, port, user = os.environ["DATABASE_HOST"], int(os.environ["DATABASE_PORT"]), os.environ["DATABASE_USER"]
    token = client("rds").generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)
    return connect(user, token)


def connect(user: str, password: str, *, tls: bool = True) -> Any:
    """A connection to DATABASE_HOST.  Without ``tls`` only to find out that the server refuses it."""
    host, port = os.environ["DATABASE_HOST"], int(os.environ["DATABASE_PORT"])
    stream = socket.create_connection((host, port), CONNECT_SECONDS)
    try:
        connection = pg8000.native.Connection(  # type: ignore[no-untyped-call]
            user,
            password=password,
            host=host,
            port=port,
            database=os.environ["DATABASE_NAME"],
            sock=stream,
            ssl_context=tls_context() if tls else False,
            application_name=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "data-pipeline"),
            # What a text means as a date must not depend on the server's settings.
            startup_params={"timezone": "UTC", "datestyle": "ISO, MDY"},
        )
    except BaseException:
        stream.close()
        raise
    wait_long(connection)
    return connection


def tls_context() -> ssl.SSLContext:
    """Settings that accept a certificate of the database's authority for the host's own name, and no other."""
    return ssl.create_default_context(cafile=os.environ.get("PGSSLROOTCERT") or str(RDS_AUTHORITIES))


def wait_long(connection: Any) -> None:
    """A statement may take its time, but a server that is gone must not be waited for."""
    stream = connection._usock
    stream.settimeout(None)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):
            stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_SECONDS * 1000)


@contextmanager
def closing(connection: Any) -> Iterator[Any]:
    """Close afterwards, also when the connection is broken already: the first error is the one that matters."""
    try:
        yield connection
    finally:
        with suppress(Exception):
            connection.close()


def run(connection: Any, statement: str, deadline: Deadline, **parameters: object) -> Any:
    """Run one statement within the time there is.  Raises OutOfTimeError; the transaction has failed then."""
    left = deadline()
    if left is not None:
        if left <= 0:
            raise OutOfTimeError
        connection.run(f"set local statement_timeout = {max(1, int(left * 1000))}")
    try:
        return connection.run(statement, **parameters)
    except pg8000.native.DatabaseError as error:
        if sqlstate(error) == CANCELLED and left is not None:
            raise OutOfTimeError from error
        raise


def copy_in(connection: Any, statement: str, pieces: Iterable[bytes], deadline: Deadline) -> int:
    """COPY the pieces into a table; the number of rows.

    Whatever goes wrong while reading them ends the COPY in good order and is raised after it, so that the connection
    stays of use; the rows are then to be rolled back.  When the server finds an error, no more is read and sent.
    """
    feed = _Feed(connection, pieces, deadline)
    try:
        run(connection, statement, deadline, stream=feed)
    except pg8000.native.DatabaseError:
        if feed.failure is not None and not isinstance(feed.failure, ServerSpokeError):
            raise feed.failure from None
        raise
    if feed.failure is not None:
        raise feed.failure
    return int(connection.row_count)


class ServerSpokeError(Exception):
    """The server said something in the middle of a COPY that turned out to be no error."""


class _Feed:
    def __init__(self, connection: Any, pieces: Iterable[bytes], deadline: Deadline) -> None:
        self._connection, self._pieces, self._deadline = connection, pieces, deadline
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._pieces:
                self.failure = self._stop()
                if self.failure is not None:
                    return
                yield piece
        except Exception as error:
            self.failure = error

    def _stop(self) -> Exception | None:
        left = self._deadline()
        if left is not None and left <= 0:
            return OutOfTimeError()
        return ServerSpokeError() if _has_spoken(self._connection) else None


def _has_spoken(connection: Any) -> bool:
    """True if the server sent something unasked; in the middle of a COPY that is an error."""
    stream = connection._usock
    if isinstance(stream, ssl.SSLSocket) and stream.pending():
        return True
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    return bool(poll.poll(0))


def sqlstate(error: BaseException) -> str:
    """The five characters by which PostgreSQL classes an error; empty for any other error."""
    fields = error.args[0] if isinstance(error, pg8000.native.DatabaseError) and error.args else None
    return str(fields.get("C", "")) if isinstance(fields, dict) else ""


def is_about_data(error: BaseException) -> bool:
    """True if the rows are at fault: another try with the same rows would end the same."""
    return sqlstate(error).startswith(DATA_ERRORS)


def reason(error: BaseException) -> str:
    """One line on what went wrong; PostgreSQL's errors with their detail and where they happened."""
    fields = error.args[0] if isinstance(error, pg8000.native.DatabaseError) and error.args else None
    if not isinstance(fields, dict):
        return " ".join(str(error).split()) or type(error).__name__
    parts = (fields.get("M"), fields.get("D"), fields.get("W"))  # message, detail, where
    return " | ".join(part.splitlines()[0] for part in parts if part)
