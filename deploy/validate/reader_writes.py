"""The database refuses a write by the reader's role."""

from __future__ import annotations

from deploy.validate.check import Check, CheckFailedError
from deploy.validate.target import DATA_PIPELINE, Target


def run(target: Target) -> str:
    """Let Probe, which is connected as the reader, try to insert."""
    answer = target.invoke(DATA_PIPELINE, "Probe", {"check": "write"})
    if answer.get("refused") is not True:
        raise CheckFailedError("a write by the role reader was not refused")
    return f"refused: {answer.get('reason') or 'no reason given'}"


CHECK = Check(
    name="reader-write-refused",
    holds="the database refuses a write by the reader's role",
    mend="revoke what was granted to reader beside SELECT; the expanding migrations state what it may have",
    run=run,
)
