"""Probe: what the validation of a deployment asks the database, as the reader role.

``{"check": "row", "id": …}`` -> ``{"found": …}``; ``{"check": "write"}`` and ``{"check": "plain"}`` (a connection without
TLS) -> ``{"refused": …, "reason": …}``.  Environment: what `database` names, with the reader as DATABASE_USER.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pg8000.native

from .database import closing, connect, connect_with_token, reason, sqlstate

PERMISSION_DENIED = "42501"
NO_WAY_IN = "28000"  # what PostgreSQL answers where no line of pg_hba.conf admits such a connection


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001 - how Lambda calls
    """Answer one question.  Raises ValueError for an unknown one, and what the database raises unasked."""
    match event:
        case {"check": "row", "id": str(wanted)}:
            with closing(connect_with_token()) as connection:
                found = connection.run("select 1 from synthetic where id = :wanted", wanted=wanted)
            return {"found": bool(found)}
        case {"check": "write"}:
            return write()
        case {"check": "plain"}:
            return plain()
        case _:
            raise ValueError("the check is row (with an id), write or plain")


def write() -> dict[str, Any]:
    """Whether the reader is refused a new row; one that was taken is rolled back."""
    with closing(connect_with_token()) as connection:
        connection.run("begin")
        try:
            connection.run("insert into synthetic (id, put_at) values ('written by the reader', now())")
        except pg8000.native.DatabaseError as error:
            if sqlstate(error) != PERMISSION_DENIED:
                raise
            return {"refused": True, "reason": reason(error)}
        finally:
            connection.run("rollback")
    return {"refused": False, "reason": "the reader's row was taken (and rolled back)"}


def plain() -> dict[str, Any]:
    """Whether a connection without TLS is refused before anybody is asked who he is.

    By a name that nobody has: a server that takes plain connections goes on to ask for its password.  A role that logs in
    by token would not do, for it is refused without TLS by any server.
    """
    with closing(connect_with_token()):
        pass  # so that a refusal below is not for another cause
    try:
        connection = connect("nobody", "nothing", tls=False)
    except pg8000.native.DatabaseError as error:
        refused = sqlstate(error) == NO_WAY_IN and "pg_hba.conf" in reason(error)
        return {"refused": refused, "reason": reason(error)}
    with closing(connection):
        return {"refused": False, "reason": "the server took a connection without TLS"}
