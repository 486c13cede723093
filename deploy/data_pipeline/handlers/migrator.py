"""Migrator: brings the database's schema to what this release needs, as a part of the deployment.

As a custom resource of CloudFormation it expands on creation and update, and fails the deployment if it cannot; called
directly with ``{"phase": "expand"}`` or ``{"phase": "contract"}`` it does that.  Environment: DATABASE_HOST,
DATABASE_PORT, DATABASE_NAME; DATABASE_SECRET, the ARN of the owner's secret.
"""

from __future__ import annotations

import json
import os
import ssl
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

from deploy.clients import client
from deploy.structured_log import log

from .database import closing, connect, reason
from .migrations import Phase, migrate, read_migrations

PHYSICAL_ID = "schema"  # always the same: another one would have CloudFormation delete the old
RESERVE_SECONDS = 15.0  # of the function's time, for the answer
LONGEST_REASON = 1000  # characters; CloudFormation takes answers of 4 KiB in all
ANSWER_TRIES = 4


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Run the migrations; what was applied.  A custom resource is always answered, also when they fail."""
    seconds = float(context.get_remaining_time_in_millis()) / 1000 - RESERVE_SECONDS
    if "ResponseURL" not in event:
        phase = event.get("phase")
        if phase not in {"expand", "contract"}:
            raise ValueError(f"the phase is expand or contract, not {phase!r}")
        return {"applied": run(phase, seconds)}
    try:
        # Deleting the stack deletes the database with its schema, or keeps both.
        applied = [] if event["RequestType"] == "Delete" else run("expand", seconds)
    except Exception as error:
        log("ERROR", "migration-failed", {"error": type(error).__name__, "reason": reason(error)})
        answer(event, "FAILED", f"{type(error).__name__}: {reason(error)}", [])
        return {"applied": []}
    answer(event, "SUCCESS", "", applied)
    return {"applied": applied}


def run(phase: Phase, seconds: float) -> list[str]:
    """Apply the migrations as the owner."""
    secret = json.loads(
        client("secretsmanager").get_secret_value(SecretId=os.environ["DATABASE_SECRET"])["SecretString"]
    )
    with closing(connect(secret["username"], secret["password"])) as connection:
        applied = migrate(connection, read_migrations(), phase, seconds=seconds)
    log("INFO", "migrations-applied", {"phase": phase, "applied": applied})
    return applied


def answer(event: Mapping[str, Any], status: str, why: str, applied: list[str]) -> None:
    """Put the answer where CloudFormation waits for it.  Raises what the last of several tries raised."""
    body = {
        "Status": status,
        "Reason": why if len(why) <= LONGEST_REASON else why[: LONGEST_REASON - 1] + "…",
        "PhysicalResourceId": event.get("PhysicalResourceId") or PHYSICAL_ID,
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": {"Version": applied[-1][:4] if applied else ""},
    }
    content = json.dumps(body).encode()
    # The address is signed without a content type, so there must be none.
    request = urllib.request.Request(  # noqa: S310 - CloudFormation's own address
        event["ResponseURL"], data=content, method="PUT", headers={"Content-Type": ""}
    )
    context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
    for left in reversed(range(ANSWER_TRIES)):
        try:
            with urllib.request.urlopen(request, timeout=5, context=context):  # noqa: S310
                return
        except OSError as error:
            log("WARN", "answer-failed", {"error": type(error).__name__, "reason": str(error)})
            if not left:
                raise
            time.sleep(0.5)
