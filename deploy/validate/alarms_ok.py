"""No alarm that tells somebody is in ALARM, and whichever cannot tell has never had data.

A window alarm of a burn rate tells nobody: a single slow call turns the short one, and only the composite judges.
"""

from __future__ import annotations

from collections.abc import Mapping

from deploy.validate.alarm_stacks import DeployedAlarm, deployed_alarms
from deploy.validate.check import Check, CheckFailedError
from deploy.validate.target import Target
from deploy.validate.waiting import wait_for
from tocsin.cloud.session import asking

OK, ALARM, UNKNOWN = "OK", "ALARM", "INSUFFICIENT_DATA"
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
    waiting = sum(alarm.state == UNKNOWN for alarm in alarms)
    return f"{len(alarms) - waiting} that tell somebody in OK" + (
        f", {waiting} that have had no data yet" if waiting else ""
    )


def _bad(target: Target, alarms: tuple[DeployedAlarm, ...]) -> Mapping[str, str]:
    """Name → state and reason."""
    found = {}
    for alarm in alarms:
        if alarm.state == ALARM:
            found[alarm.name] = f"{alarm.state}: {alarm.reason}"
        elif alarm.state != OK and _had_data(target, alarm.name):
            found[alarm.name] = f"{alarm.state} though it has had data: {alarm.reason}"
    return found


def _had_data(target: Target, name: str) -> bool:
    """Whether the alarm has ever been in another state: its history tells, as far as it goes back (30 days)."""
    with asking(f"read the history of alarm {name}"):
        pages = target.client("cloudwatch").get_paginator("describe_alarm_history")
        for page in pages.paginate(
            AlarmName=name, AlarmTypes=["MetricAlarm", "CompositeAlarm"], HistoryItemType="StateUpdate"
        ):
            if any("from OK " in item["HistorySummary"] or "from ALARM " in item["HistorySummary"]
                   for item in page["AlarmHistoryItems"]):  # fmt: skip
                return True
    return False


CHECK = Check(
    name="alarms-ok",
    holds="no alarm that tells somebody is in ALARM, and none has lost its data",
    mend="follow the runbook that the alarm's description names; runbooks/README.md lists them",
    run=run,
)
