"""What is left at the end of the run: which alarms are in ALARM yet, who was told, and which have never had data."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from tocsin.alarm import AlarmState
from tocsin.cloud.alarm_states import DeployedAlarm

_WINDOW = "-burn-"  # in the name of an alarm that only a composite one looks at


def counts(alarms: Collection[DeployedAlarm]) -> str:
    """How many alarms are in which state; of those in ALARM, how many tell nobody by themselves."""
    by_state = {state: [alarm for alarm in alarms if alarm.state is state] for state in AlarmState}
    texts = [f"{len(found)} {state.value}" for state, found in by_state.items() if found]
    if silent := sum(not alarm.tells for alarm in by_state[AlarmState.ALARM]):
        texts.append(f"of those in ALARM {silent} are windows that tell nobody by themselves")
    return "; ".join((", ".join(texts[:-1]), texts[-1]) if silent else (", ".join(texts),))


def left_over(alarms: Sequence[DeployedAlarm], still_open: Collection[str]) -> Iterator[str]:
    """What is not in OK, a line for each reason.  ``still_open`` are those that somebody was told of, and of no end."""
    ringing = [alarm for alarm in alarms if alarm.state is AlarmState.ALARM]
    if still_open:
        yield f"tickets still open, until their windows have passed: {', '.join(sorted(still_open))}"
    if untold := [alarm.name for alarm in ringing if alarm.tells and alarm.name not in still_open]:
        yield f"in ALARM, and nobody was told: {', '.join(untold)}"
    windows: dict[str, list[str]] = {}
    for alarm in ringing:
        if not alarm.tells:
            promise, _, window = alarm.name.partition(_WINDOW)
            windows.setdefault(promise, []).append(window or alarm.name)
    if windows:
        shown = "; ".join(f"{promise}: {', '.join(names)}" for promise, names in windows.items())
        yield f"windows that still hold the faults, which composite alarms judge by twos: {shown}"
    if silent := [alarm.name for alarm in alarms if alarm.state is AlarmState.INSUFFICIENT_DATA]:
        yield f"without data, because the embedded AWS reports none of their metrics: {', '.join(silent)}"
