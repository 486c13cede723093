"""Business metrics as log lines: CloudWatch reads them out of the log (embedded metric format), so no call can fail.

The one dimension is the function's name, as in AWS's own Lambda metrics, so that an alarm finds both by one name.
Source of the format: CloudWatch User Guide, "Specification: Embedded metric format".
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Unit = Literal["Count", "Seconds", "Bytes", "None"]


@dataclass(frozen=True, slots=True)
class Measured:
    """One value of one metric."""

    name: str
    value: float
    unit: Unit = "Count"


def publish(namespace: str, *values: Measured, details: Mapping[str, object] | None = None) -> None:
    """Write one line that carries all ``values``; ``details`` are searchable in the log and become no metric.

    FunctionName is AWS_LAMBDA_FUNCTION_NAME: Lambda sets it, and a task that works for a function is given it.
    """
    directive = {
        "Namespace": namespace,
        "Dimensions": [["FunctionName"]],
        "Metrics": [{"Name": value.name, "Unit": value.unit} for value in values],
    }
    line = {
        **(details or {}),
        **{value.name: value.value for value in values},
        "FunctionName": os.environ["AWS_LAMBDA_FUNCTION_NAME"],
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]},
    }
    sys.stdout.write(json.dumps(line, default=str, sort_keys=True) + "\n")
    sys.stdout.flush()
