"""What happens after an alarm: somebody is told, and finds a runbook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..cloudformation.symbolic import references
from ..errors import SimulationError
from ..findings import Finding
from ..plan import Plan
from ..simulate.composite import names_in, parse_rule
from .source import Source


def unheard(source: Source) -> Iterator[Finding]:
    """Alarms without an action that no composite alarm reads either."""
    read: set[str] = set()
    for composite in source.composites:
        rule = composite.properties.get("AlarmRule")
        read |= {reference.logical_id for reference in references(rule)}
        try:
            read |= set(names_in(parse_rule(str(rule))))
        except SimulationError:
            continue  # that the rule cannot be read is a finding of its own
    for alarm in source.all_alarms:
        acts = any(alarm.properties.get(key) for key in ("AlarmActions", "OKActions", "InsufficientDataActions"))
        name = str(alarm.properties.get("AlarmName") or alarm.logical_id)
        if not acts and alarm.logical_id not in read and name not in read:
            yield Finding("T061", alarm.where, "it has no action and no composite alarm of this template reads it")


def sealed_topics(source: Source) -> Iterator[Finding]:
    """Topics encrypted under a key of the same template that CloudWatch may not use, or under the AWS-managed key."""
    keys = {
        logical_id: properties
        for logical_id, type_name, properties in source.everything
        if type_name == "AWS::KMS::Key"
    }
    for logical_id, type_name, properties in source.everything:
        if type_name != "AWS::SNS::Topic" or properties.get("KmsMasterKeyId") is None:
            continue
        where = f"{source.path}#{logical_id}"
        if properties["KmsMasterKeyId"] == "alias/aws/sns":
            yield Finding("T062", where, "the AWS-managed key alias/aws/sns never lets CloudWatch in")
        for reference in references(properties["KmsMasterKeyId"]):
            policy = keys.get(reference.logical_id, {}).get("KeyPolicy")
            if policy is not None and "cloudwatch.amazonaws.com" not in str(policy):
                yield Finding("T062", where, f"the policy of key {reference.logical_id} does not let CloudWatch in")


def missing_runbooks(plans: list[Plan], folder: Path, shown: str) -> Iterator[Finding]:
    """Alarm kinds in use that have no page."""
    for kind in sorted({planned.kind for plan in plans for planned in plan.alarms}):
        if not (folder / f"{kind}.md").is_file():
            yield Finding("T060", f"{shown}/{kind}.md", "no such runbook")
