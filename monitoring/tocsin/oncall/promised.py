"""What the committed alarm templates promise of an environment's alarms: whose they are, and what an alert of one says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ..alarm import AlarmState
from ..cloud.alarm_states import find_alarm
from ..cloud.committed import Committed, read_alarm_templates
from ..cloud.environments import Environment
from ..cloud.session import Cloud
from ..cloud.stacks import require_stack
from ..cloudformation.document import Document, load
from ..cloudformation.intrinsics import resolve
from ..errors import CloudError, InputError, nearest
from ..model import Severity
from ..paging.alert import Alert
from ..paging.alert_promise import expected_alert
from ..paging.declared import OnCall, Way

_FOLLOWED = (Way.TOOL, Way.FORWARDER)


@dataclass(frozen=True, slots=True)
class CommittedAlarm:
    """An alarm that tells somebody, as its committed template has it for one environment."""

    name: str
    system: str
    owner: str
    severity: Severity
    composite: bool
    document: Document = field(repr=False, compare=False)


def committed_alarms(committed: Committed, environment: Environment) -> Mapping[str, CommittedAlarm]:
    """The alarms that tell somebody, by name.  Raises InputError and TemplateError."""
    found: dict[str, CommittedAlarm] = {}
    for template in read_alarm_templates(committed):
        document = load(Path(template.file.path))
        for each in resolve(document, {"Environment": environment.name}):
            stated = each.metadata.get("Tocsin") if isinstance(each.metadata, Mapping) else None
            severity = stated.get("Severity") if isinstance(stated, Mapping) else None
            if "AlarmName" in each.properties and severity in set(Severity):
                name = str(each.properties["AlarmName"])
                composite = each.type == "AWS::CloudWatch::CompositeAlarm"
                found[name] = CommittedAlarm(
                    name, template.system, template.owner, Severity(severity), composite, document
                )
    return dict(sorted(found.items()))


def way_of(declared: OnCall, alarm: CommittedAlarm) -> Way:
    """The way on which the on-call tool hears of it.  Raises InputError where it does not."""
    team = declared.team_of(alarm.owner)
    ways = team.routes[alarm.severity].ways if team is not None and alarm.severity in team.routes else ()
    for way in _FOLLOWED:
        if way in ways:
            return way
    shown = " and ".join(way.value for way in ways) or "nobody"
    raise InputError(
        f"{declared.path}: {alarm.severity.value}s of {alarm.owner} go to {shown}, so there is no alert to read back; "
        "drill an alarm that goes to the on-call tool"
    )


def choose_alarm(cloud: Cloud, alarms: Mapping[str, CommittedAlarm], declared: OnCall) -> CommittedAlarm:
    """The first composite alarm that pages, is deployed and is not in ALARM.  Raises InputError and CloudError."""
    pages = [alarm for alarm in alarms.values() if alarm.composite and alarm.severity is Severity.PAGE]
    followed = [alarm for alarm in pages if _is_followed(declared, alarm)]
    if not followed:
        raise InputError(f"{declared.path}: no page goes to the on-call tool; name an alarm that does with --alarm")
    for alarm in followed:
        present = find_alarm(cloud, alarm.name)
        if present is not None and present.state is not AlarmState.ALARM:
            return alarm
    raise CloudError(f"none of {len(followed)} alarms that page is deployed in {cloud.region} and not in ALARM")


def named_alarm(alarms: Mapping[str, CommittedAlarm], name: str) -> CommittedAlarm:
    """The alarm of that name.  Raises InputError with the nearest one that tells somebody."""
    if name not in alarms:
        raise InputError(f"--alarm {name}: no committed alarm of that name tells anybody; {nearest(name, alarms)}")
    return alarms[name]


def promised_alert(
    cloud: Cloud, environment: Environment, account: str, alarm: CommittedAlarm, reason: str, changed_at: datetime
) -> Alert:
    """What the committed template promises that the alert of ``alarm`` says; what it watches is what is deployed.

    Raises InputError and CloudError.
    """
    stack = require_stack(cloud, environment.of(alarm.system).alarm_stack, f"run `tocsin deploy {environment.name}`")
    declared = alarm.document.tree.get("Parameters") or {}
    values = {name: value for name, value in stack.parameters.items() if name in declared}
    return expected_alert(
        alarm.document,
        {**values, "Environment": environment.name},
        alarm.name,
        reason=reason,
        changed_at=changed_at,
        account=account,
        region=cloud.region,
    )


def _is_followed(declared: OnCall, alarm: CommittedAlarm) -> bool:
    team = declared.team_of(alarm.owner)
    return (
        team is not None
        and alarm.severity in team.routes
        and any(way in team.routes[alarm.severity].ways for way in _FOLLOWED)
    )
