"""The container task: one file that does not fit the function's time, by the same code, without a limit.

``python -m deploy.data_pipeline.handlers.task``.  Environment: what the loader has, AWS_LAMBDA_FUNCTION_NAME (whose
metrics these are), and BUCKET, KEY, VERSION, ARRIVED of the file.  It ends with 0 when the file is loaded, rejected or was
done before, else with 1 and one line that says why.
"""

from __future__ import annotations

import os
import sys
import time

from deploy.structured_log import log

from .database import reason
from .errors import DeploymentError
from .files import File
from .loader import load_here, moment, named

TRIES = 4
PAUSE_SECONDS = 5.0  # before the second try, then twice as long each time


def main() -> int:
    """Load the file; the exit code."""
    try:
        file = File(
            bucket=os.environ["BUCKET"],
            key=os.environ["KEY"],
            version=os.environ["VERSION"],
            arrived=moment(os.environ["ARRIVED"]),
        )
    except (KeyError, ValueError) as error:
        log("ERROR", "load-failed", {"error": type(error).__name__, "reason": f"the task's environment: {error}"})
        return 1
    where = named(file)
    for attempt in range(1, TRIES + 1):
        try:
            load_here(file, lambda: None, where)
        except Exception as error:
            details = {**where, "attempt": attempt, "error": type(error).__name__, "reason": reason(error)}
            if attempt == TRIES or isinstance(error, DeploymentError):
                log("ERROR", "load-failed", details)
                return 1
            log("WARN", "load-tried", details)
            time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
        else:
            return 0
    raise AssertionError


if __name__ == "__main__":
    sys.exit(main())
