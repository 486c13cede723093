"""AWS/Events and AWS/Scheduler: what rules and schedules set off, and firing a rule on demand.

Counters that are zero are not sent, as at AWS.
Sources: Amazon EventBridge user guide, "Monitoring Amazon EventBridge" and, for the scheduler, "Monitoring Amazon
EventBridge Scheduler with Amazon CloudWatch".
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from ...errors import InputError
from .base import here, scope, service
from .clock import ClockedTime
from .parts import Parts

TICK_SECONDS = 0.2
"""Real seconds between two looks at the schedules; ministack's own ten would miss minutes of a fast clock."""


def install(parts: Parts) -> None:
    """Let rules and schedules follow the clock, run Lambda targets as Lambda's asynchronous calls, and count."""
    events, scheduler = service("eventbridge"), service("scheduler")
    clocked = ClockedTime(parts.clock)
    events.time = scheduler.time = clocked
    events._SCHEDULER_TICK_INTERVAL = scheduler._SCHEDULE_TICK_INTERVAL = TICK_SECONDS
    events._dispatch_to_lambda = _dispatch_to_lambda
    _count_from_creation(parts)
    invoke = events._invoke_target
    triggered: dict[str, str] = {}

    def invoke_target(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        missing = not _exists(target.get("Arn", ""))
        if event.get("Source") == "aws.scheduler" and "ScheduleExpression" in rule and "EventBusName" not in rule:
            group = {"ScheduleGroup": rule.get("GroupName") or "default"}
            parts.recorder.record("AWS/Scheduler", "InvocationAttemptCount", group, 1, "Count")
            if missing:
                parts.recorder.record("AWS/Scheduler", "TargetErrorCount", group, 1, "Count")
        else:
            bus = rule.get("EventBusName") or "default"
            name = {"RuleName": rule.get("Name", "")} | ({} if bus == "default" else {"EventBusName": bus})
            if triggered.get(rule.get("Arn", "")) != event.get("EventId"):
                triggered[rule.get("Arn", "")] = event.get("EventId", "")
                parts.recorder.record("AWS/Events", "TriggeredRules", name, 1, "Count")
            parts.recorder.record("AWS/Events", "Invocations", name, 1, "Count")
            if missing:
                parts.recorder.record("AWS/Events", "FailedInvocations", name, 1, "Count")
        invoke(target, event, rule, view)

    events._invoke_target = invoke_target


def _count_from_creation(parts: Parts) -> None:
    """Let schedules count from the creation of their rule; ministack's cron() counts from when it first looked."""
    events, scheduler = service("eventbridge"), service("scheduler")
    tick_rules, tick_schedules = events._tick_scheduled_rules, scheduler._tick_schedules
    handlers = service("cloudformation").provisioners._RESOURCE_HANDLERS
    create = handlers["AWS::Events::Rule"]["create"]

    def create_rule(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        made = create(logical_id, properties, stack)
        for key, rule in events._rules.items():
            if "CreationTime" not in rule:
                rule["CreationTime"] = parts.clock.time()
                # A rule of the same name that was deleted before is another rule.
                events._rule_last_fired.pop((*here(), key), None)
        return made

    def tick_all_rules() -> None:
        for key, rule in list(events._rules._data.items()):
            if rule.get("ScheduleExpression") and rule.get("CreationTime"):
                events._rule_last_fired.setdefault(key, rule["CreationTime"])
        tick_rules()

    def tick_all_schedules() -> None:
        for key, schedule in list(scheduler._schedules._data.items()):
            # An at() schedule that has an entry here counts as done.
            if schedule.get("ScheduleExpression", "").startswith("cron") and schedule.get("CreationDate"):
                scheduler._schedule_last_fired.setdefault(key, schedule["CreationDate"])
        tick_schedules()

    handlers["AWS::Events::Rule"] = {**handlers["AWS::Events::Rule"], "create": create_rule}
    events._tick_scheduled_rules = tick_all_rules
    scheduler._tick_schedules = tick_all_schedules


def fire(parts: Parts, rule_name: str, bus: str = "default") -> int:
    """Run the targets of a rule, in whichever account and region it is, with the event its schedule would send.

    Returns the number of targets.  Raises InputError if there is no such rule or it is disabled.
    """
    events = service("eventbridge")
    for (account, region, key), rule in list(events._rules._data.items()):
        if rule.get("Name") != rule_name or (rule.get("EventBusName") or "default") != bus:
            continue
        if rule.get("State") != "ENABLED":
            raise InputError(f"rule {rule_name} is disabled; enable it before firing it")
        with scope(account, region):
            event = {
                "EventId": str(uuid.uuid4()),
                "Source": "aws.events",
                "DetailType": "Scheduled Event",
                "Detail": "{}",
                "EventBusName": bus,
                "Time": parts.clock.time(),
                "Resources": [rule["Arn"]],
                "Account": account,
                "Region": region,
            }
            targets = events._targets._data.get((account, region, key), [])
            for target in targets:
                events._invoke_target(target, event, rule, events._pattern_event_view(event))
            return len(targets)
    names = sorted({rule["Name"] for rule in events._rules._data.values()})
    raise InputError(f"no rule {rule_name} on bus {bus}; there are: {', '.join(names) or 'none'}")


def _dispatch_to_lambda(arn: str, payload: str) -> None:
    """Call a function as EventBridge does: asynchronously, with Lambda's own retries and failure destination."""

    functions = service("lambda_svc")
    function, config, _ = functions._get_func_record_for_ref(arn)
    if function and config:
        functions.invoke_async_with_retry(functions._execution_record_for_config(function, config), json.loads(payload))


def _exists(arn: str) -> bool:
    """False if the target is a function, queue or topic that is not there."""
    kind = arn.split(":")[2] if arn.count(":") >= 5 else ""
    if kind == "lambda":
        return bool(service("lambda_svc")._get_func_record_for_ref(arn)[0])
    if kind == "sqs":
        return bool(service("sqs")._queue_by_arn(arn))
    if kind == "sns":
        return bool(service("sns")._topic_by_arn_any_scope(arn))
    return True
