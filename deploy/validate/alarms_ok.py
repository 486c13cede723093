"""No alarm that tells somebody is in ALARM, and whichever cannot tell has never had data.

A window alarm of a burn rate tells nobody: a single slow call turns the short one, and only the composite judges.
A heartbeat is in ALARM from the start until it sees its first success.  That is no fault of a new environment, as long as
the alarm is younger than the time it looks back; the answer says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from deploy.validate.alarm_stacks import DeployedAlarm, deployed_alarms
from deploy.validate.check import Check, CheckFailedError
from deploy.validate.target import Target
from deploy.validate.waiting import wait_for
from tocsin.cloud.session import asking
from tocsin.units import format_duration

OK, ALARM, UNKNOWN = "OK", "ALARM", "INSUFFICIENT_DATA"
HEARTBEAT = "slo-heartbeat"
_SHOWN = 3


def run(target: Target) -> str:
    """Wait until no alarm is in ALARM; then look which of those without data have had some."""
    last: list[tuple[DeployedAlarm, ...]] = []

    def look() -> bool | None:
        alarms = tuple(alarm for each in deployed_alarms(target).values() for alarm in each if alarm.actions)
        last[:] = [alarms]
        return True if not _bad(target, alarms) else None

    wait_for(look, target.patience)
    [alarms] = last
    if bad := _bad(target, alarms):
        told = [f"{name} is in {why}" for name, why in list(bad.items())[:_SHOWN]]
        raise CheckFailedError("; ".join(told) + (f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""))
    fine, waiting = (sum(alarm.state == state for alarm in alarms) for state in (OK, UNKNOWN))
    # What is in ALARM and not bad waits for its first success.
    first = [
        f"{alarm.name} is in {ALARM} because no run has ended yet: start the first one by hand (docs/how-to.md); it fails this check once it is older than the "
        f"{format_duration(alarm.window)} it looks back"
        for alarm in alarms
        if alarm.state == ALARM
    ]
    no_data = [f"{waiting} that have had no data yet"] if waiting else []
    return ", ".join([f"{fine} that tell somebody in OK", *no_data, *first])


def _bad(target: Target, alarms: tuple[DeployedAlarm, ...]) -> Mapping[str, str]:
    """Name → state and reason."""
    found = {}
    for alarm in alarms:
        if alarm.state == ALARM:
            if not waits_for_first_success(target, alarm, datetime.now(UTC)):
                found[alarm.name] = f"{alarm.state}: {alarm.reason}"
        elif alarm.state != OK and _had_data(target, alarm.name):
            found[alarm.name] = f"{alarm.state} though it has had data: {alarm.reason}"
    return found


def waits_for_first_success(target: Target, alarm: DeployedAlarm, now: datetime) -> bool:
    """Whether it is a heartbeat that was never in OK and that was made less than its window ago.

    The history tells when it was made.  Where it does not go back that far (30 days), the alarm is old.
    """
    if alarm.kind != HEARTBEAT or any("OK" in _words(item) for item in _history(target, alarm.name, "StateUpdate")):
        return False
    made = [
        item["Timestamp"] for item in _history(target, alarm.name, "ConfigurationUpdate") if "created" in _words(item)
    ]
    return bool(made) and now - max(made) < alarm.window


def _had_data(target: Target, name: str) -> bool:
    """Whether the alarm has ever been in another state: its history tells, as far as it goes back (30 days)."""
    states = ("from OK ", "from ALARM ")
    return any(state in item["HistorySummary"] for item in _history(target, name, "StateUpdate") for state in states)


def _words(item: Mapping[str, Any]) -> list[str]:
    """What its summary says after the alarm's name, which may be any text: "created", or both states of a change."""
    return str(item["HistorySummary"]).rpartition('"')[2].split()


def _history(target: Target, name: str, kind: str) -> Iterator[Mapping[str, Any]]:
    with asking(f"read the history of alarm {name}"):
        pages = target.client("cloudwatch").get_paginator("describe_alarm_history")
        for page in pages.paginate(AlarmName=name, AlarmTypes=["MetricAlarm", "CompositeAlarm"], HistoryItemType=kind):
            yield from page["AlarmHistoryItems"]


CHECK = Check(
    name="alarms-ok",
    holds="no alarm that tells somebody is in ALARM, and none has lost its data",
    mend="follow the runbook that the alarm's description names; runbooks/README.md lists them",
    run=run,
)
