"""The words in which CloudWatch explains a state (user guide, "Alarm evaluation"; wording as in its notifications)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ..alarm import Alarm, AlarmState, Comparison, TreatMissingData
from .verdict import Verdict

INITIAL = "Unchecked: Initial alarm creation"

Points = Sequence[tuple[datetime, float | None]]

_WORDS = {
    Comparison.GREATER_OR_EQUAL: "greater than or equal to",
    Comparison.GREATER: "greater than",
    Comparison.LESS: "less than",
    Comparison.LESS_OR_EQUAL: "less than or equal to",
}
_TREATED = {TreatMissingData.BREACHING: "Breaching", TreatMissingData.NOT_BREACHING: "NonBreaching"}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def breaches(comparison: Comparison, value: float, threshold: float) -> bool:
    """True if a datapoint of that value is breaching."""
    match comparison:
        case Comparison.GREATER_OR_EQUAL:
            return value >= threshold
        case Comparison.GREATER:
            return value > threshold
        case Comparison.LESS:
            return value < threshold
        case Comparison.LESS_OR_EQUAL:
            return value <= threshold


def explain(alarm: Alarm, points: Points, verdict: Verdict, treat: TreatMissingData) -> str:
    """The StateReason of a metric alarm; ``points`` is the evaluation range, oldest first."""
    n, m = alarm.evaluation_periods, alarm.datapoints_to_alarm
    used = [(at, value) for at, value in points if value is not None][-n:]
    missing = n - len(used)
    if verdict is Verdict.INSUFFICIENT_DATA:
        return f"Insufficient Data: {_count(missing, 'datapoint')} {_was(missing)} unknown."
    if verdict is Verdict.RETAIN:
        return f"State kept: {_count(missing, 'datapoint')} {_was(missing)} unknown or too few samples were there."
    filled = _TREATED.get(treat) if missing else None
    if not used:
        return (
            f"Threshold Crossed: no datapoints were received for {_count(n, 'period')} and "
            f"{_count(missing, 'missing datapoint')} {_was(missing)} treated as [{filled}]."
        )
    alarming = verdict is Verdict.ALARM
    told = [(at, value) for at, value in used if breaches(alarm.comparison, value, alarm.threshold) is alarming]
    needed = m if alarming else n - m + 1
    transition = "OK -> ALARM" if alarming else "ALARM -> OK"
    text = f"Threshold Crossed: {len(told)} out of the last {n} datapoints"
    if told:
        listed = ", ".join(f"{float(value)} ({at.astimezone(UTC):%d/%m/%y %H:%M:%S})" for at, value in reversed(told))
        text += f" [{listed}]"
    text += f" {_was(len(told))} {'' if alarming else 'not '}{_WORDS[alarm.comparison]} the threshold ({float(alarm.threshold)})"
    if filled:
        text += f" and {_count(missing, 'missing datapoint')} {_was(missing)} treated as [{filled}]"
    return f"{text} (minimum {_count(needed, 'datapoint')} for {transition} transition)."


def explain_data(alarm: Alarm, points: Points, at: datetime) -> dict[str, Any]:
    """The StateReasonData of a metric alarm, as CloudWatch's JSON."""
    n = alarm.evaluation_periods
    used = [(when, value) for when, value in points if value is not None][-n:]
    data: dict[str, Any] = {"version": "1.0", "queryDate": _stamp(at)}
    if used:
        data["startDate"] = _stamp(used[0][0])
    stat = alarm.queries[0].stat if len(alarm.queries) == 1 else None
    if stat is not None:
        if stat.unit:
            data["unit"] = stat.unit
        data["statistic"] = stat.statistic
    data["period"] = alarm.period
    data["recentDatapoints"] = [value for _, value in used]
    data["threshold"] = alarm.threshold
    data["evaluatedDatapoints"] = [{"timestamp": _stamp(when), "value": value} for when, value in reversed(used)]
    return data


def explain_composite(child: str, state: AlarmState, at: datetime) -> str:
    """The StateReason of a composite alarm: which alarm moved it, and when."""
    moment = at.astimezone(UTC)
    day = f"{_DAYS[moment.weekday()]} {moment.day:02d} {_MONTHS[moment.month - 1]}, {moment.year}"
    return f"{child} transitioned to {state} at {day} {moment:%H:%M:%S} UTC"


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000+0000"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"
