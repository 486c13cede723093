"""The container task: one file that does not fit the function's time, by the same code, with a limit of its own.

``python -m deploy.data_pipeline.handlers.task``.  Environment: what the loader has, AWS_LAMBDA_FUNCTION_NAME (whose
metrics these are), TASK_MINUTES, and BUCKET, KEY, VERSION, ARRIVED of the file.  It ends with 0 when the file is loaded,
rejected or was done before.  Else nothing tries it again: it ends with 1 and one line that says why, and counts the file
as rejected, because no failed invocation tells of it.
"""

from __future__ import annotations

import os
import sys
import time

from deploy.structured_log import log

from .database import reason
from .errors import DeploymentError, OutOfTimeError
from .files import File
from .loader import count_as_rejected, load_here, moment, named

TIME_TO_QUERYABLE = "SecondsToQueryableByTask"  # beside the function's: a large file is promised no time
TRIES = 4
PAUSE_SECONDS = 5.0  # before the second try, then twice as long each time


def main() -> int:
    """Load the file; the exit code."""
    begun = time.monotonic()
    try:
        seconds = float(os.environ["TASK_MINUTES"]) * 60
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

    def deadline() -> float:
        return begun + seconds - time.monotonic()

    for attempt in range(1, TRIES + 1):
        try:
            load_here(file, deadline, where, TIME_TO_QUERYABLE)
        except Exception as error:
            out_of_time = isinstance(error, OutOfTimeError)
            why = f"not loaded in {seconds / 60:g} minutes, all that a task has" if out_of_time else reason(error)
            details = {**where, "attempt": attempt, "error": type(error).__name__, "reason": why}
            if attempt == TRIES or out_of_time or isinstance(error, DeploymentError):
                log("ERROR", "load-failed", details)
                count_as_rejected(where)
                return 1
            log("WARN", "load-tried", details)
            time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
        else:
            return 0
    raise AssertionError


if __name__ == "__main__":
    sys.exit(main())
