"""The alarms of every system, as committed and as CloudWatch has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from deploy.validate.check import CheckFailedError
from deploy.validate.target import Target
from tocsin.cloud.committed import Committed, read_alarm_templates
from tocsin.cloud.session import asking
from tocsin.cloud.stacks import require_stack, stack_resources
from tocsin.cloudformation.document import parse

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = Committed(ROOT / "alarms", ROOT / "deploy" / "routing.yaml")
ALARM_TYPES = {"AWS::CloudWatch::Alarm": "MetricAlarm", "AWS::CloudWatch::CompositeAlarm": "CompositeAlarm"}
_AT_A_TIME = 100  # DescribeAlarms takes at most a hundred names


@dataclass(frozen=True, slots=True)
class DeployedAlarm:
    """An alarm as CloudWatch describes it, and its kind as committed.

    ``window`` is how far back it looks; zero for a composite alarm.
    """

    name: str
    state: str
    reason: str
    actions: tuple[str, ...]
    enabled: bool
    configured: datetime
    kind: str = ""
    window: timedelta = timedelta()


def deployed_alarms(target: Target) -> Mapping[str, tuple[DeployedAlarm, ...]]:
    """System → its alarms by name.  Raises CheckFailedError when one that is committed is not there."""
    found: dict[str, tuple[DeployedAlarm, ...]] = {}
    missing: list[str] = []
    for template in read_alarm_templates(COMMITTED):
        stack = target.environment.of(template.system).alarm_stack
        require_stack(target.cloud, stack, f"run `make deploy ENV={target.environment.name}` first")
        names: dict[str, list[str]] = {kind: [] for kind in ALARM_TYPES.values()}
        kinds: dict[str, str] = {}
        resources = stack_resources(target.cloud, stack)
        for logical_id, type_ in template.file.resources.items():
            if type_ not in ALARM_TYPES:
                continue
            if logical_id in resources:
                # The physical id of a composite alarm is its ARN.
                name = resources[logical_id].physical_id.rpartition(":alarm:")[2]
                names[ALARM_TYPES[type_]].append(name)
                kinds[name] = _kinds(template.file.text, template.file.path).get(logical_id, "")
            elif logical_id not in template.file.conditional:
                missing.append(f"{logical_id} of stack {stack}")
        alarms = _describe(target, names)
        missing += [name for kind in names.values() for name in kind if name not in alarms]
        found[template.system] = tuple(replace(alarms[name], kind=kinds[name]) for name in sorted(alarms))
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise CheckFailedError(f"not there: {', '.join(missing[:3])}{more}")
    return found


@cache
def _kinds(text: str, path: str) -> Mapping[str, str]:
    """Logical id → alarm kind, as the committed template's metadata says."""
    resources = parse(text, path).tree.get("Resources", {})
    return {
        logical_id: str(((body.get("Metadata") or {}).get("Tocsin") or {}).get("Kind", ""))
        for logical_id, body in resources.items()
    }


def _describe(target: Target, names: Mapping[str, list[str]]) -> dict[str, DeployedAlarm]:
    found: dict[str, DeployedAlarm] = {}
    cloudwatch = target.client("cloudwatch")
    for kind, wanted in names.items():
        for start in range(0, len(wanted), _AT_A_TIME):
            chunk = wanted[start : start + _AT_A_TIME]
            with asking("look at the alarms"):
                answer = cloudwatch.describe_alarms(AlarmNames=chunk, AlarmTypes=[kind], MaxRecords=_AT_A_TIME)
            for item in answer[f"{kind}s"]:
                found[item["AlarmName"]] = _alarm(item)
    return found


def _alarm(item: Mapping[str, Any]) -> DeployedAlarm:
    return DeployedAlarm(
        name=item["AlarmName"],
        state=item["StateValue"],
        reason=item.get("StateReason") or "",
        actions=tuple(item.get("AlarmActions") or ()),
        enabled=bool(item.get("ActionsEnabled", True)),
        configured=item["AlarmConfigurationUpdatedTimestamp"],
        window=timedelta(seconds=_period(item) * int(item.get("EvaluationPeriods", 0))),
    )


def _period(item: Mapping[str, Any]) -> int:
    """Seconds of one datapoint; of an expression those of its metrics."""
    queries = [query.get("MetricStat", {}).get("Period", 0) for query in item.get("Metrics") or ()]
    return int(max([item.get("Period") or 0, *queries]))
