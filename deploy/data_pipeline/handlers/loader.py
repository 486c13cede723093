"""Loader: each CSV file that arrives in the bucket goes into PostgreSQL, streamed, once.

Environment: DATABASE_HOST, DATABASE_PORT, DATABASE_NAME, DATABASE_SECRET (ARN of the secret with username and
password), DATABASE_TLS (``require``, or ``off`` for a server on the same machine).
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import unquote_plus

import pg8000.native

from deploy.clients import client
from deploy.structured_log import log

from .contracts import TABLES, ContractError, table_for
from .database import File, create_tables, load

CHUNK = 1 << 17  # bytes read from S3 and handed to COPY at a time


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Load every file of the event; the good ones even when others fail, then raise for the first that failed."""
    files = files_of(event)
    failures: list[Exception] = []
    loaded = 0
    for file in files:
        where = {"bucket": file.bucket, "key": file.key, "version": file.version, "request_id": context.aws_request_id}
        try:
            rows = load_file(file)
        except Exception as error:  # the other files of the event have done nothing wrong
            log("ERROR", "load-failed", {**where, "error": type(error).__name__, "reason": reason(error)})
            failures.append(error)
        else:
            event_name = "file-already-loaded" if rows is None else "file-loaded"
            log("INFO", event_name, {**where, "rows": rows})
            loaded += rows is not None
    if failures:
        raise failures[0]
    return {"files": len(files), "loaded": loaded}


def files_of(event: Mapping[str, Any]) -> Sequence[File]:
    """The files an S3 event tells of.  Raises ContractError for an event of another shape."""
    try:
        return [
            File(
                bucket=record["s3"]["bucket"]["name"],
                key=unquote_plus(record["s3"]["object"]["key"]),  # S3 encodes keys in events as in a form
                version=record["s3"]["object"]["versionId"],
            )
            for record in event["Records"]
        ]
    except (KeyError, TypeError) as error:
        raise ContractError(f"not an event of a versioned bucket: {error!r} is missing or of another type") from None


def load_file(file: File) -> int | None:
    """Load one file from the bucket; the number of rows, None if it was loaded before."""
    table = table_for(file.key)
    with closing(connect()) as connection:
        create_tables(connection, TABLES)
        return load(connection, table, file, chunks_of(file))


def chunks_of(file: File) -> Iterator[bytes]:
    """The object's bytes, asked for only when the first is wanted."""
    answer = client("s3").get_object(Bucket=file.bucket, Key=file.key, VersionId=file.version)
    chunks: Iterable[bytes] = answer["Body"].iter_chunks(CHUNK)
    yield from chunks


def connect() -> Any:
    """A connection as the user of the secret, read anew each time so that a rotated password is found."""
    secret = json.loads(
        client("secretsmanager").get_secret_value(SecretId=os.environ["DATABASE_SECRET"])["SecretString"]
    )
    return pg8000.native.Connection(  # type: ignore[no-untyped-call]
        secret["username"],
        password=secret["password"],
        host=os.environ["DATABASE_HOST"],
        port=int(os.environ["DATABASE_PORT"]),
        database=os.environ["DATABASE_NAME"],
        ssl_context=tls_context(os.environ["DATABASE_TLS"]),
        application_name="data-pipeline-loader",
    )


def tls_context(mode: str) -> ssl.SSLContext | None:
    """The TLS settings for ``require`` (encrypted, like libpq's sslmode=require) or ``off``.

    Raises ValueError for any other word, so that a slip of the pen never means a plain connection.
    """
    if mode == "off":
        return None
    if mode != "require":
        raise ValueError(f"DATABASE_TLS must be require or off, not {mode!r}")
    context = ssl.create_default_context()
    # RDS certificates come from an authority of their own, which the runtime's trust store does not hold.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def reason(error: Exception) -> str:
    """One line on what went wrong; PostgreSQL's errors with the line of the file and the value they are about."""
    if isinstance(error, pg8000.native.DatabaseError) and error.args and isinstance(error.args[0], dict):
        fields = error.args[0]
        parts = (fields.get("M"), fields.get("D"), fields.get("W"))  # message, detail, where
        return " | ".join(part.splitlines()[0] for part in parts if part)
    return str(error)
