"""Which drills run: so that two of one alarm do not meet, and what one left behind that was killed is told from both."""

from __future__ import annotations

import itertools
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from ..alarm import AlarmState
from ..cloud.alarm_states import DeployedAlarm
from ..errors import InputError
from ..paging.drill_marks import DrillRun, is_drill, run_of
from ..paging.tool import ToolAlert

_NUMBERS = itertools.count(1)
_HERE: set[int] = set()  # the drills of this process that run


@contextmanager
def running(seconds: float) -> Iterator[DrillRun]:
    """A run for the length of the block, which takes ``seconds`` at most."""
    number = next(_NUMBERS)
    _HERE.add(number)
    try:
        yield DrillRun(os.getpid(), number, _host(), datetime.now(UTC) + timedelta(seconds=seconds))
    finally:
        _HERE.discard(number)


def is_running(run: DrillRun) -> bool:
    """Whether it is still under way: of another machine, whether it may be."""
    if datetime.now(UTC) > run.ends:
        return False
    if run.host != _host():
        return True
    if run.process == os.getpid():
        return run.number in _HERE
    try:
        os.kill(run.process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def is_left_behind(alarm: DeployedAlarm) -> bool:
    """Whether a drill forced it that runs no more, and so was cut off."""
    if alarm.state is not AlarmState.ALARM or not is_drill(alarm.reason):
        return False
    run = run_of(alarm.reason)
    return run is None or not is_running(run)


def refuse_running(alarm: DeployedAlarm, alert: ToolAlert | None = None) -> None:
    """Raise InputError for an alarm of which a drill is under way, be it on its way back already."""
    reasons = [alarm.reason] if alarm.state is AlarmState.ALARM else []
    if alert is not None and alert.open:
        reasons.append(alert.description)
    for run in filter(None, map(run_of, reasons)):
        if is_running(run):
            raise InputError(
                f"a drill of alarm {alarm.name} is running already, process {run.process} on {run.host}; wait for its "
                f"end, which is at {run.ends:%H:%M:%S} UTC at the latest"
            )


def _host() -> str:
    return re.sub(r"[^\w.-]", "-", socket.gethostname(), flags=re.ASCII)[:63] or "-"
