"""What is too large for the function's time goes to a container task that runs the same code and has hours.

Environment: TASK_CLUSTER, TASK_DEFINITION (empty: there is no task, everything is tried here), TASK_SUBNETS,
TASK_SECURITY_GROUPS (both separated by commas), TASK_CONTAINER.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Mapping
from typing import Any

from deploy.clients import client

from .files import File

# Of the checking path on a small instance: short rows with every value in quotes come to 2.3 MB/s there, files without
# quotes to three times that (tests/bench_loader.py).  What is slower still is handed over when the time runs out.
EXPECTED_BYTES_PER_SECOND = 1_500_000


class NoTaskError(Exception):
    """The task did not start; it is tried again with the event."""


def is_possible() -> bool:
    """True if a task is configured."""
    return bool(os.environ.get("TASK_DEFINITION"))


def fits(file: File, seconds: float | None) -> bool:
    """True if the file can be expected to be loaded within that time; of an unknown size nothing is expected."""
    return seconds is None or file.size is None or file.size / EXPECTED_BYTES_PER_SECOND <= seconds


def start_task(file: File, request_id: str) -> str:
    """Start a task for the file and return its ARN.  Raises NoTaskError.

    ``request_id`` is that of the function's invocation: equal for Lambda's own tries of one event, which so start one
    task, and new for whoever invokes it again after a task has failed, who so starts another.  ECS answers a client
    token that it knows with the result of the first request, for up to a day and even when that task has failed
    (Amazon ECS Developer Guide, "Ensuring idempotency").  A second task does no harm: it waits for the file's lock and
    finds the file done.
    """
    environment = {
        "BUCKET": file.bucket,
        "KEY": file.key,
        "VERSION": file.version,
        "ARRIVED": file.arrived.isoformat(),
    }
    token = hashlib.sha256("\0".join([*environment.values(), request_id]).encode()).hexdigest()
    answer = _run(token, environment)
    if not answer.get("tasks"):
        # Whether ECS keeps an answer that started nothing is not written down: with another token it must look again.
        answer = _run(uuid.uuid4().hex, environment)
    failures = [f"{failure.get('arn', 'task')}: {failure.get('reason')}" for failure in answer.get("failures", ())]
    if failures or not answer.get("tasks"):
        raise NoTaskError(f"no task for {file.key!r}: {'; '.join(failures) or 'none was started'}")
    return str(answer["tasks"][0]["taskArn"])


def _run(token: str, environment: Mapping[str, str]) -> Any:
    return client("ecs").run_task(
        cluster=os.environ["TASK_CLUSTER"],
        taskDefinition=os.environ["TASK_DEFINITION"],
        launchType="FARGATE",
        count=1,
        clientToken=token,
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
