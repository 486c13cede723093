"""Reads what a person types about a simulation: moments, states to force, and how late data comes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from ..alarm import AlarmState, Metric
from ..errors import InputError, SimulationError
from ..units import duration
from .changes import Forced
from .csv_file import parse_metric

_FORM = "write it as '2026-01-01T00:10:00Z ALARM NAME'"


def parse_moment(text: str, what: str) -> datetime:
    """A time such as ``2026-01-01T00:00:00Z``, as UTC; without a zone it is UTC.  ``what`` asked for it.

    Raises InputError.
    """
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError(f"{what}: not a time: {text!r}; write it as 2026-01-01T00:00:00Z") from None


def parse_forced(text: str) -> Forced:
    """``TIME STATE NAME``: the alarm is put into the state at the time.  Raises InputError."""
    at, _, rest = text.strip().partition(" ")
    state, _, name = rest.strip().partition(" ")
    if not name.strip():
        raise InputError(f"--force: {text!r} is not a time, a state and an alarm; {_FORM}")
    if state not in AlarmState.__members__:
        raise InputError(f"--force: {state!r} is no state; it is one of {', '.join(AlarmState)}")
    return Forced(parse_moment(at, "--force"), name.strip(), AlarmState(state))


def parse_delays(texts: Iterable[str], read: Iterable[Metric]) -> dict[Metric, timedelta]:
    """How late each of the metrics ``read`` comes: ``120s`` is said of all, ``Namespace/Name{Dim=V}=120s`` of one.

    What is said of one metric goes before what is said of all.  Raises InputError, also for a metric nobody reads.
    """
    known = dict.fromkeys(read)
    every: timedelta | None = None
    single: dict[Metric, timedelta] = {}
    for text in texts:
        name, equals, length = text.rpartition("=")
        if not equals:
            if every is not None:
                raise InputError(f"--delay: {text!r} is the second delay for all metrics; name the metric of one")
            every = _length(text, text)
            continue
        try:
            metric = parse_metric(name)
        except SimulationError as error:
            raise InputError(f"--delay: {error}") from None
        if metric not in known:
            raise InputError(f"--delay: no alarm reads {metric}; a metric has all its dimensions")
        if metric in single:
            raise InputError(f"--delay: {metric} is given twice")
        single[metric] = _length(length, text)
    return {metric: late for metric in known if (late := single.get(metric, every))}


def _length(text: str, whole: str) -> timedelta:
    if text.strip() in ("0", "0s"):
        return timedelta()
    try:
        return duration(text)
    except InputError as error:
        raise InputError(f"--delay {whole!r}: {error}") from None
