"""Loader: each CSV file that arrives in the bucket goes into PostgreSQL, streamed, once.

Environment: what `database` and `handover` name; MAX_REJECTED_SHARE, the share of bad rows a file may have.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from deploy.metrics import Measured, publish
from deploy.structured_log import log

from . import handover, ledger
from .contracts import INCOMING, TABLES
from .database import Deadline, closing, connect_with_token, reason
from .errors import EventError, OutOfTimeError
from .files import File, Outcome
from .load import collided, load
from .store import S3Store

NAMESPACE = "DataPipeline"
RESERVE_SECONDS = 20.0  # of the function's time, for rolling back and handing over
TRIES = 3  # when another file with the same keys comes in between

connect = connect_with_token  # the one place where tests give another connection
store = S3Store()


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Load every file of the event; the good ones even when others fail, then raise for the first that failed.

    A file that breaks its contract is rejected: that is an end, not a failure, and no second try would end otherwise.
    """
    if event.get("Event") == "s3:TestEvent":  # sent once, when the bucket's notification is set up
        log("INFO", "test-event", {"bucket": event.get("Bucket")})
        return {"files": 0, "loaded": 0, "rejected": 0, "handed_over": 0}
    files = files_of(event)
    ended = {"loaded": 0, "rejected": 0, "handed_over": 0}
    failures: list[Exception] = []

    def deadline() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000 - RESERVE_SECONDS

    for file in files:
        where = {**named(file), "request_id": context.aws_request_id}
        if not file.key.startswith(INCOMING):
            log("WARN", "not-incoming", where)
            continue
        if file.key.endswith("/") and not file.size:  # what the console makes for a folder
            log("INFO", "folder", where)
            continue
        try:
            end = load_or_hand_over(file, deadline, where)
        except Exception as error:  # the other files of the event have done nothing wrong
            log("ERROR", "load-failed", {**where, "error": type(error).__name__, "reason": reason(error)})
            failures.append(error)
        else:
            if end in ended:
                ended[end] += 1
    if failures:
        raise failures[0]
    return {"files": len(files), **ended}


def files_of(event: Mapping[str, Any]) -> Sequence[File]:
    """The files an S3 event tells of.  Raises EventError for an event of another shape."""
    try:
        return [
            File(
                bucket=record["s3"]["bucket"]["name"],
                key=unquote_plus(record["s3"]["object"]["key"]),  # S3 encodes keys in events as in a form
                version=record["s3"]["object"]["versionId"],
                arrived=moment(record["eventTime"]),
                size=record["s3"]["object"].get("size"),
            )
            for record in event["Records"]
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise EventError(f"not an event of a versioned bucket: {what}") from None


def moment(text: str) -> datetime:
    """A time as S3 and the task's environment write it (RFC 3339); without an offset it is UTC."""
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def load_or_hand_over(file: File, deadline: Deadline, where: Mapping[str, object]) -> str:
    """Load the file here, or have the task do it: how it ended."""
    if handover.is_possible() and not handover.fits(file, deadline()):
        with closing(connect()) as connection:
            ledger.require_schema(connection)
            done = ledger.is_done(connection, file)
        if done:
            log("INFO", "file-already-done", where)
            return "already done"
        return hand_over(file, where)
    try:
        return load_here(file, deadline, where)
    except OutOfTimeError:
        if not handover.is_possible():
            raise OutOfTimeError(
                f"{file.key!r} does not fit the function's time limit, and no task is configured for such files"
            ) from None
        return hand_over(file, where)


def hand_over(file: File, where: Mapping[str, object]) -> str:
    """Start the task for a file."""
    task = handover.start_task(file, str(where["request_id"]))
    log("INFO", "file-handed-over", {**where, "size": file.size, "task": task})
    return "handed_over"


def load_here(
    file: File, deadline: Deadline, where: Mapping[str, object], time_to_queryable: str = "SecondsToQueryable"
) -> str:
    """Load the file, then say how it went in the log and in the metrics: only after the commit.

    ``time_to_queryable`` is the metric of how long the file took from its arrival.
    """
    share = float(os.environ["MAX_REJECTED_SHARE"])
    for left in reversed(range(TRIES)):
        with closing(connect()) as connection:
            try:
                outcome = load(connection, file, store, TABLES, deadline=deadline, max_rejected_share=share)
                break
            except Exception as error:
                if not (left and collided(error)):
                    raise
    if outcome is None:
        log("INFO", "file-already-done", where)
        return "already done"
    report(file, outcome, where, time_to_queryable)
    return outcome.status


def report(file: File, outcome: Outcome, where: Mapping[str, object], time_to_queryable: str) -> None:
    """One line for people and one of metrics.

    The rows of a rejected file are in the line only: it counts as one file, and the rows of the files that were loaded
    are what is measured.
    """
    counts, now = outcome.counts, time.time()
    loaded = outcome.status == "loaded"
    seconds = round(now - file.arrived.timestamp(), 3)
    bad = {"quarantine": file.quarantine_key} if counts.rejected or not loaded else {}
    log(
        "INFO" if loaded else "WARN",
        f"file-{outcome.status}",
        {
            **where,
            "table": outcome.table,
            "rows_read": counts.read,
            "rows_loaded": counts.loaded,
            "rows_rejected": counts.rejected,
            "rows_unchanged": counts.unchanged,
            "encoding": outcome.encoding,
            "delimiter": outcome.delimiter,
            "reason": outcome.reason,
            "seconds": seconds,
            **bad,
        },
    )
    if not loaded:
        count_as_rejected(where)
        return
    publish(
        NAMESPACE,
        Measured("RowsRead", counts.read),
        Measured("RowsLoaded", counts.loaded),
        Measured("RowsRejected", counts.rejected),
        Measured("FilesLoaded", 1),
        Measured("FilesRejected", 0),
        Measured(time_to_queryable, max(seconds, 0.0), "Seconds"),
        Measured("LastSuccess", int(now), "None"),
        details=where,
    )


def count_as_rejected(where: Mapping[str, object]) -> None:
    """Count the file as one that is not in the database."""
    publish(NAMESPACE, Measured("FilesLoaded", 0), Measured("FilesRejected", 1), details=where)


def named(file: File) -> dict[str, object]:
    """The file in a log line."""
    return {"bucket": file.bucket, "key": file.key, "version": file.version}
