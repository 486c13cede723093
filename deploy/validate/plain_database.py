"""The database refuses a connection without TLS."""

from __future__ import annotations

from deploy.validate.check import Check, CheckFailedError
from deploy.validate.target import DATA_PIPELINE, Target


def run(target: Target) -> str:
    """Let Probe, which is in the private network, try to connect in the clear."""
    answer = target.invoke(DATA_PIPELINE, "Probe", {"check": "plain"})
    if answer.get("refused") is not True:
        raise CheckFailedError("the database took a connection without TLS")
    return f"refused: {answer.get('reason') or 'no reason given'}"


CHECK = Check(
    name="plain-database-refused",
    holds="the database refuses a connection without TLS",
    mend="deploy again: the instance's parameter group must set rds.force_ssl to 1; a change needs a restart",
    run=run,
)
