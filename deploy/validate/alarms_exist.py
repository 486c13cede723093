"""Every alarm that is committed is deployed."""

from __future__ import annotations

from deploy.validate.alarm_stacks import deployed_alarms
from deploy.validate.check import Check
from deploy.validate.target import Target


def run(target: Target) -> str:
    """Compare the committed templates with what CloudWatch has."""
    found = deployed_alarms(target)
    return ", ".join(f"{len(alarms)} of {system}" for system, alarms in found.items())


CHECK = Check(
    name="alarms-exist",
    holds="every committed alarm is deployed",
    mend="somebody has deleted an alarm by hand: delete its stack's drift (change the alarm, deploy) or the stack, deploy again",
    run=run,
)
