"""Limits of CloudFormation and CloudWatch that a template would break at deployment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..alarm import Alarm, CompositeAlarm
from ..errors import QuotaError
from ..findings import FINDINGS, Finding
from ..plan import TOPIC_PARAMETERS, Plan
from .source import Source

MAX_RESOURCES, MAX_BYTES, MAX_PARAMETERS = 500, 1_000_000, 200
MAX_CHILDREN, MAX_RULE, MAX_ELEMENTS = 100, 10_240, 500
MAX_ACTIONS, MAX_NAME, MAX_DESCRIPTION = 5, 255, 1024
MAX_METRICS, MAX_EXPRESSIONS, MAX_EXPRESSION = 10, 10, 2048

# How much longer a name gets when its environment is filled in; the pattern of the parameter allows 32 characters.
_ENVIRONMENT = re.compile(r"\$\{Environment\}")
_LONGEST_ENVIRONMENT = "e" * 32
_ELEMENT = re.compile(r"[()]|\b(?:TRUE|FALSE)\b")
_CHILD = re.compile(r"\b(?:ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(\"(?:[^\"\\]|\\.)*\"|[^()\s,]+)\s*\)")


def refuse_over_quota(plan: Plan, path: str, text: str | None = None) -> None:
    """Raise QuotaError if the alarm template of the plan, to be written to ``path``, could not be deployed.

    Without ``text`` its size is passed over: much else is known before a template is made.
    """
    for finding in plan_quotas(plan, path) if text is None else _sizes(path, size=len(text.encode())):
        raise QuotaError(f"{finding.where}: {finding.message}. {FINDINGS[finding.id].mend} ({finding.id})")


def plan_quotas(plan: Plan, path: str) -> Iterator[Finding]:
    """What the alarm template of the plan would break; its size is known only when it is made."""
    # Beside the names: the environment and a topic for each severity.
    yield from _sizes(path, resources=len(plan.alarms), parameters=len(plan.parameters) + 1 + len(TOPIC_PARAMETERS))
    for planned in plan.alarms:
        where, alarm = f"{path}#{planned.logical_id}", planned.alarm
        yield from _texts(where, alarm.name, alarm.description)
        if isinstance(alarm, CompositeAlarm):
            for rule, message in rule_quotas(alarm.rule):
                yield Finding(rule, where, message)
        elif isinstance(alarm, Alarm):
            expressions = [query.expression for query in alarm.queries if query.expression is not None]
            yield from _math(where, len(alarm.metrics), expressions)


def template_quotas(source: Source) -> Iterator[Finding]:
    """CloudFormation's limits on one template."""
    parameters = source.tree.get("Parameters")
    parameters = len(parameters) if isinstance(parameters, dict) else 0
    yield from _sizes(source.path, resources=len(source.everything), size=source.size, parameters=parameters)


def _sizes(path: str, *, resources: int = 0, size: int = 0, parameters: int = 0) -> Iterator[Finding]:
    if resources > MAX_RESOURCES:
        yield Finding("T010", path, f"{resources} resources, {MAX_RESOURCES} are allowed")
    if size > MAX_BYTES:
        yield Finding("T011", path, f"{size:,} bytes, {MAX_BYTES:,} are allowed")
    if parameters > MAX_PARAMETERS:
        yield Finding("T012", path, f"{parameters} parameters, {MAX_PARAMETERS} are allowed")


def alarm_quotas(source: Source) -> Iterator[Finding]:
    """CloudWatch's limits on names, descriptions, actions, rules and metric math."""
    for alarm in source.all_alarms:
        properties = alarm.properties
        name = str(properties.get("AlarmName") or alarm.logical_id)
        yield from _texts(alarm.where, name, str(properties.get("AlarmDescription") or ""))
        yield from _actions(alarm.where, properties)
    for composite in source.composites:
        for rule, message in rule_quotas(str(composite.properties.get("AlarmRule") or "")):
            yield Finding(rule, composite.where, message)
    for alarm in source.alarms:
        metrics = sum(query.metric is not None for query in alarm.queries)
        expressions = [query.expression for query in alarm.queries if query.expression is not None]
        yield from _math(alarm.where, metrics, expressions)


def _math(where: str, metrics: int, expressions: list[str]) -> Iterator[Finding]:
    if metrics > MAX_METRICS or len(expressions) > MAX_EXPRESSIONS:
        message = f"{metrics} metrics and {len(expressions)} expressions, {MAX_METRICS} of each are allowed"
        yield Finding("T020", where, message)
    for expression in expressions:
        if len(expression) > MAX_EXPRESSION:
            message = f"an expression of {len(expression):,} characters, {MAX_EXPRESSION:,} are allowed"
            yield Finding("T020", where, message)


def rule_quotas(rule: str) -> Iterator[tuple[str, str]]:
    """The limits that an AlarmRule breaks, as finding id and message."""
    found = _CHILD.findall(rule)
    elements = len(found) + len(_ELEMENT.findall(_CHILD.sub("", rule)))
    if len(set(found)) > MAX_CHILDREN:
        yield "T013", f"{len(set(found))} children, {MAX_CHILDREN} are allowed"
    length = len(_longest(rule))
    if length > MAX_RULE:
        yield "T014", f"a rule of {length:,} characters, {MAX_RULE:,} are allowed"
    elif elements > MAX_ELEMENTS:
        yield "T014", f"a rule of {elements} elements, {MAX_ELEMENTS} are allowed"


def _texts(where: str, name: str, description: str) -> Iterator[Finding]:
    length = len(_longest(name))
    if length > MAX_NAME:
        yield Finding(
            "T016", where, f"a name of {length} characters with the longest environment, {MAX_NAME} are allowed"
        )
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        yield Finding("T016", where, "a name with control characters")
    if len(_longest(description)) > MAX_DESCRIPTION:
        yield Finding(
            "T017", where, f"a description of {len(description):,} characters, {MAX_DESCRIPTION:,} are allowed"
        )


def _actions(where: str, properties: Mapping[str, Any]) -> Iterator[Finding]:
    for key in ("AlarmActions", "OKActions", "InsufficientDataActions"):
        actions = properties.get(key)
        if isinstance(actions, list) and len(actions) > MAX_ACTIONS:
            yield Finding("T015", where, f"{len(actions)} {key}, {MAX_ACTIONS} are allowed")


def _longest(text: str) -> str:
    return _ENVIRONMENT.sub(_LONGEST_ENVIRONMENT, text)
