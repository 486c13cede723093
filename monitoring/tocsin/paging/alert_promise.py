"""What the committed template promises that an alert says, and where the alert that arrived is not so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from ..errors import InputError
from .alert import BUDGET, Alert, alert_of, priority_of
from .alert_addresses import shows_moment
from .declared import Way

if TYPE_CHECKING:
    from ..cloudformation.document import Document
    from .tool import ToolAlert


def expected_alert(
    document: Document,
    parameters: Mapping[str, str],
    alarm: str,
    *,
    reason: str,
    changed_at: datetime,
    account: str,
    region: str,
    partition: str = "aws",
) -> Alert:
    """What a committed alarm template promises that the alert of ``alarm``, forced with ``reason``, says.

    Severity, SLO and runbook are those of the template's Metadata, so that they are held against what the description
    makes of them.  Raises InputError if the template has no such alarm.
    """
    from ..cloudformation.intrinsics import resolve
    from ..errors import nearest

    pseudo = {"AWS::AccountId": account, "AWS::Region": region, "AWS::Partition": partition}
    found = {
        str(each.properties["AlarmName"]): each
        for each in resolve(document, parameters, pseudo=pseudo)
        if "AlarmName" in each.properties
    }
    if alarm not in found:
        raise InputError(f"{document.path}: no alarm {alarm!r}; {nearest(alarm, found)}")
    properties = found[alarm].properties
    # The notification carries the description without placeholders: a literal ${ is written ${! in a template's Sub.
    said = alert_of(
        {
            "AlarmName": alarm,
            "AlarmDescription": str(properties.get("AlarmDescription") or "").replace("${!", "${"),
            "AlarmArn": f"arn:{partition}:cloudwatch:{region}:{account}:alarm:{alarm}",
            "AlarmRule": properties.get("AlarmRule"),
            "NewStateValue": "ALARM",
            "NewStateReason": reason,
            "StateChangeTime": changed_at.isoformat(),
        }
    )
    facts = ((found[alarm].metadata or {}).get("Tocsin") or {}) if isinstance(found[alarm].metadata, Mapping) else {}
    details = {
        **said.details,
        **{key: str(facts[name]) for key, name in (("severity", "Severity"), ("slo", "Slo")) if name in facts},
    }
    runbook = str(facts.get("Runbook", ""))
    if not details.get("runbook", "").endswith(runbook):
        details["runbook"] = runbook
    return replace(said, priority=priority_of(details.get("severity")), details=details)


def differences(expected: Alert, told: ToolAlert, way: Way) -> tuple[str, ...]:
    """Where an alert that the tool tells is not the promised one, a line each.

    The tool's own integration shows a notification and nothing of ours beside it: of its alerts, alias, priority and
    the description with the addresses are compared.  The forwarder's are compared in every field; where a dashboard
    begins and ends is held against the moment the state changed, which the tool may tell a little later.
    """
    whole = way is Way.FORWARDER
    found: list[tuple[str, str, str]] = [
        ("alias", expected.alias, told.alias),
        ("priority", expected.priority, told.priority),
    ]
    lines = [f"{name}: expected {want!r}, found {got!r}" for name, want, got in found if want != got]
    for name in ("reason", "runbook", "dashboard"):
        want = expected.details.get(name, "")
        where = want.partition("?")[0] if name == "dashboard" else want
        if where not in told.description:
            lines.append(f"description: {name} {where!r} is not in it")
    if not whole:
        return tuple(lines)
    if told.message != expected.message:
        lines.append(f"message: expected {expected.message!r}, found {told.message!r}")
    if missing := sorted(set(expected.tags) - set(told.tags)):
        lines.append(f"tags: {', '.join(missing)} missing")
    for name, want in expected.details.items():
        got = told.details.get(name, "")
        if name == "changed at":
            continue
        if name == "dashboard":
            if not shows_moment(got, want, expected.changed_at):
                lines.append(f"dashboard: expected {want!r}, found {got!r}")
        elif got != want:
            lines.append(f"{name}: expected {want!r}, found {got!r}")
    if expected.promise is not None and BUDGET not in told.details:
        lines.append(f"{BUDGET}: missing")
    return tuple(lines)
