"""The timeout of a Lambda function, and how late its metrics are for it."""

from __future__ import annotations

import math
from datetime import timedelta

from ..model import Resource
from ..units import format_duration
from .expressions import number

#: CloudFormation's default when a template names none.
DEFAULT_TIMEOUT_S = 3
#: The most that Lambda allows (Lambda guide, "Configure Lambda function timeout").
LONGEST_TIMEOUT_S = 900
#: The period of the alarms on what a run reports when it ends.
PERIOD_S = 300
IN_WORDS = {3: "three", 4: "four", 5: "five", 6: "six"}


def timeout_of(function: Resource) -> float | None:
    """The timeout in seconds; None where only a deployment can tell, or where it is none that Lambda takes."""
    timeout = number(function, "Timeout", DEFAULT_TIMEOUT_S)
    return timeout if timeout is not None and 1 <= timeout <= LONGEST_TIMEOUT_S else None


def reported_late(function: Resource) -> tuple[int, str]:
    """How many periods more an alarm has to look back to see the longest run, and a reason to add to its own.

    "The timestamp on a metric reflects when the function was invoked" (Lambda guide, "Types of metrics for Lambda
    functions"), and a run reports nothing before it has ended: errors, invocations and durations then belong to a
    period that is over.  A run of four minutes is still seen within five, because alarms are evaluated every minute.
    """
    timeout = timeout_of(function) or LONGEST_TIMEOUT_S
    if timeout <= PERIOD_S - 60:
        return 0, ""
    periods = math.ceil(timeout / PERIOD_S)
    return periods, (
        f"; it looks {(periods + 1) * PERIOD_S // 60} minutes back, because a run of up to "
        f"{format_duration(timedelta(seconds=timeout))} is reported when it has ended, with the time it began"
    )
