"""A small CSV file travels from the bucket into a row that can be queried."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from deploy.validate.check import Check, CheckFailedError
from deploy.validate.target import DATA_PIPELINE, Target
from deploy.validate.waiting import wait_for
from tocsin.cloud.session import asking

PREFIX = "incoming/synthetic/"


def run(target: Target) -> str:
    """Put the file, ask the reader's role for the row, delete the file.  The row stays: nobody may delete rows."""
    row = f"validation-{uuid.uuid4().hex[:16]}"
    bucket, key = target.output(DATA_PIPELINE, "IncomingName"), f"{PREFIX}{row}.csv"
    s3 = target.client("s3")
    content = f"id,put_at\n{row},{datetime.now(UTC).isoformat(timespec='seconds')}\n"
    with asking(f"put {key} into bucket {bucket}"):
        s3.put_object(Bucket=bucket, Key=key, Body=content.encode())
    try:
        found = wait_for(lambda: True if _is_there(target, row) else None, target.patience)
    finally:
        with asking(f"delete {key} from bucket {bucket}"):
            s3.delete_object(Bucket=bucket, Key=key)
    if not found:
        raise CheckFailedError(f"row {row} of {key} is not in table synthetic after {target.patience:.0f} s")
    return f"{key} is a row"


def _is_there(target: Target, row: str) -> bool:
    answer = target.invoke(DATA_PIPELINE, "Probe", {"check": "row", "id": row})
    return isinstance(answer, dict) and answer.get("found") is True


CHECK = Check(
    name="file-travels",
    holds="a small CSV file travels from the bucket to a row",
    mend="follow it: the log of Loader, quarantine/synthetic/ in the bucket, the queue of failed loads",
    run=run,
)
