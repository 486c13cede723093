"""What is too large for the function's time goes to a container task that runs the same code without a limit.

Environment: TASK_CLUSTER, TASK_DEFINITION (empty: there is no task, everything is tried here), TASK_SUBNETS,
TASK_SECURITY_GROUPS (both separated by commas), TASK_CONTAINER.
"""

from __future__ import annotations

import hashlib
import os

from deploy.clients import client

from .files import File

EXPECTED_BYTES_PER_SECOND = 4_000_000  # of the checking path on a small instance; see tests/bench_loader.py
STARTS = 5


class NoTaskError(Exception):
    """The task did not start; it is tried again with the event."""


def is_possible() -> bool:
    """True if a task is configured."""
    return bool(os.environ.get("TASK_DEFINITION"))


def fits(file: File, seconds: float | None) -> bool:
    """True if the file can be expected to be loaded within that time; of an unknown size nothing is expected."""
    return seconds is None or file.size is None or file.size / EXPECTED_BYTES_PER_SECOND <= seconds


def start_task(file: File) -> str:
    """Start a task for the file and return its ARN.  Raises NoTaskError.

    The client token makes a doubled event find the task that runs already.  A task that has stopped did not load
    the file, or the ledger would have said so; then the next token starts another one.
    """
    environment = {
        "BUCKET": file.bucket,
        "KEY": file.key,
        "VERSION": file.version,
        "ARRIVED": file.arrived.isoformat(),
    }
    name = "\0".join(environment.values())
    for attempt in range(STARTS):
        answer = client("ecs").run_task(
            cluster=os.environ["TASK_CLUSTER"],
            taskDefinition=os.environ["TASK_DEFINITION"],
            launchType="FARGATE",
            count=1,
            clientToken=hashlib.sha256(f"{name}\0{attempt}".encode()).hexdigest(),
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": os.environ["TASK_SUBNETS"].split(","),
                    "securityGroups": os.environ["TASK_SECURITY_GROUPS"].split(","),
                    "assignPublicIp": "DISABLED",
                }
            },
            overrides={
                "containerOverrides": [
                    {
                        "name": os.environ.get("TASK_CONTAINER", "loader"),
                        "environment": [{"name": key, "value": value} for key, value in environment.items()],
                    }
                ]
            },
        )
        failures = [f"{failure.get('arn', 'task')}: {failure.get('reason')}" for failure in answer.get("failures", ())]
        if failures or not answer.get("tasks"):
            raise NoTaskError(f"no task for {file.key!r}: {'; '.join(failures) or 'none was started'}")
        task = answer["tasks"][0]
        if task.get("lastStatus") != "STOPPED":
            return str(task["taskArn"])
    raise NoTaskError(f"{STARTS} tasks for {file.key!r} stopped without loading it; see the log of the task")
