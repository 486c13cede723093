"""Reads the alarms back from a CloudFormation template, ours or anybody's."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..alarm import Alarm, CompositeAlarm
from ..cloudformation.symbolic import Symbolic, references
from ..errors import SimulationError
from .alarm_properties import AlarmProperties
from .composite import alarm_name, parse_rule
from .metric_alarm import check_alarm
from .mute import MuteRule, parse_length
from .properties import integer, known, text
from .resource_names import resolve_named

if TYPE_CHECKING:
    from ..cloudformation.intrinsics import Resolved

_ALARM, _COMPOSITE = "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"
_MUTE = "AWS::CloudWatch::AlarmMuteRule"
_LOG_ALARM = "AWS::CloudWatch::LogAlarm"
_SPAN = re.compile(r"\$\{([A-Za-z0-9]+)(?:\.Arn)?\}")


@dataclass(frozen=True, slots=True)
class Unsupported:
    """An alarm or mute rule that is not evaluated, and why."""

    name: str
    logical_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class AlarmTemplate:
    """The alarms and mute rules of one template.

    ``unresolved`` are the placeholders left in them, sorted: parameters without a value, resources, pseudo parameters.
    ``notes`` say what was assumed on the way, in a sentence each.
    """

    alarms: tuple[Alarm, ...]
    composites: tuple[CompositeAlarm, ...] = ()
    unsupported: tuple[Unsupported, ...] = ()
    unresolved: tuple[str, ...] = ()
    mutes: tuple[MuteRule, ...] = ()
    notes: tuple[str, ...] = ()


_NOTHING: Mapping[str, str] = {}


def read_template(
    path: Path, parameters: Mapping[str, str] = _NOTHING, *, pseudo: Mapping[str, str] = _NOTHING, defaults: bool = True
) -> AlarmTemplate:
    """The alarms of the template at ``path`` (JSON or YAML).

    ``parameters`` are values of its parameters and ``pseudo`` of pseudo parameters such as ``AWS::Region``; what has
    neither value nor default stays text such as ``${OrdersQueueName}``.  A resource of the template that has a name in
    it is known by that name; among ``parameters`` may be names of others, by logical id or as ``Orders.QueueName``,
    and pseudo parameters.  ``defaults=False`` keeps every
    parameter without a given value as text: what is read then equals what was planned.
    An alarm that cannot be evaluated is listed in ``unsupported`` and the rest is read.  Raises TemplateError or
    InputError if the template itself cannot be read.
    """
    from ..cloudformation.document import load

    document = load(path)
    declared = document.tree.get("Parameters")
    if not defaults and isinstance(declared, dict):
        bare = {
            name: {key: value for key, value in body.items() if key != "Default" or name in parameters}
            if isinstance(body, dict)
            else body
            for name, body in declared.items()
        }
        document = replace(document, tree={**document.tree, "Parameters": bare})
    known = set(parameters) | {
        name
        for name, body in (declared.items() if isinstance(declared, dict) else ())
        if isinstance(body, dict) and "Default" in body
    }
    return read_alarms(resolve_named(document, parameters, pseudo=pseudo), known)


def read_alarms(resources: tuple[Resolved, ...], with_value: Collection[str] = ()) -> AlarmTemplate:
    """The alarms among resolved resources; as ``read_template``, without a file.

    ``with_value`` are the parameters that have a value.
    """
    reader = _Reader(_names(resources))
    for resource in resources:
        if resource.type == _LOG_ALARM:
            reader.refuse(resource, "log alarms run queries on logs, which are not series of a metric")
        if resource.type not in (_ALARM, _COMPOSITE, _MUTE):
            continue
        if resource.exists is False:
            reader.refuse(resource, f"its condition {resource.condition} is false, so it is not created")
            continue
        try:
            reader.read(resource)
        except SimulationError as error:
            reader.refuse(resource, str(error))
    return replace(reader.result(), notes=tuple(dict.fromkeys(_assumed(resources, with_value))))


def _assumed(resources: tuple[Resolved, ...], with_value: Collection[str]) -> Iterator[str]:
    """The conditions that decide about an alarm or mute rule and cannot be decided themselves."""
    for one in resources:
        if one.type in (_ALARM, _COMPOSITE, _MUTE) and one.exists is None:
            without = [name for name in one.decided_by if name not in with_value]
            why = f"{' and '.join(without)} {'has' if len(without) == 1 else 'have'} no value"
            yield f"condition {one.condition} taken as true, because " + (
                why if without else "only a deployment can decide it"
            )


def _names(resources: tuple[Resolved, ...]) -> dict[str, str]:
    """The names of the alarms by logical id; CloudFormation makes one up where the template gives none."""
    return {
        resource.logical_id: text(resource.properties.get("AlarmName")) or resource.logical_id
        for resource in resources
        if resource.type in (_ALARM, _COMPOSITE)
    }


class _Reader:
    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names
        self.alarms: dict[str, Alarm] = {}
        self.composites: dict[str, CompositeAlarm] = {}
        self.mutes: dict[str, MuteRule] = {}
        self.unsupported: list[Unsupported] = []
        self.unresolved: set[str] = set()
        self.properties = AlarmProperties(self.text)

    def result(self) -> AlarmTemplate:
        return AlarmTemplate(
            tuple(self.alarms.values()),
            tuple(self.composites.values()),
            tuple(self.unsupported),
            tuple(sorted(self.unresolved)),
            tuple(self.mutes.values()),
        )

    def refuse(self, resource: Resolved, reason: str) -> None:
        name = self.names.get(resource.logical_id) or text(resource.properties.get("Name")) or resource.logical_id
        self.unsupported.append(Unsupported(name, resource.logical_id, reason))

    def read(self, resource: Resolved) -> None:
        if resource.type == _MUTE:
            self.mute(resource)
        else:
            self.one_alarm(resource)
        self.unresolved.update(
            f"{reference.logical_id}.{reference.attribute}" if reference.attribute else reference.logical_id
            for reference in references(resource.properties)
            if reference.logical_id not in self.names
        )

    def one_alarm(self, resource: Resolved) -> None:
        name = self.names[resource.logical_id]
        if name in self.alarms or name in self.composites:
            raise SimulationError(f"the name {name} is taken by another alarm of this template")
        if resource.type == _ALARM:
            alarm = self.properties.alarm(name, resource.properties)
            check_alarm(alarm)
            self.alarms[name] = alarm
        else:
            composite = self.composite(name, resource.properties)
            parse_rule(composite.rule)
            self.composites[name] = composite

    def text(self, value: Any, what: str) -> str:
        """Text with the names of alarms put in for references to them."""
        found = text(value)
        if found is None:
            raise SimulationError(f"{what} is missing or not text")
        if not isinstance(value, Symbolic):
            return found
        named = _SPAN.sub(lambda match: self.names.get(match.group(1), match.group()), found)
        return Symbolic(named) if references(Symbolic(named)) else named

    def composite(self, name: str, properties: Mapping[str, Any]) -> CompositeAlarm:
        suppressor = properties.get("ActionsSuppressor")
        wait, extension = 0, 0
        if suppressor is not None:
            wait = integer(properties.get("ActionsSuppressorWaitPeriod"), "ActionsSuppressorWaitPeriod")
            extension = integer(properties.get("ActionsSuppressorExtensionPeriod"), "ActionsSuppressorExtensionPeriod")
        return CompositeAlarm(
            name=name,
            rule=self.text(properties.get("AlarmRule"), "AlarmRule"),
            description=self.properties.description(properties),
            actions=self.properties.actions(properties),
            suppressor=None if suppressor is None else self.text(suppressor, "ActionsSuppressor"),
            suppressor_wait=wait,
            suppressor_extension=extension,
        )

    def mute(self, resource: Resolved) -> None:
        properties = resource.properties
        name = text(properties.get("Name")) or resource.logical_id
        if name in self.mutes:
            raise SimulationError(f"the name {name} is taken by another mute rule of this template")
        rule = properties.get("Rule")
        schedule = rule.get("Schedule") if isinstance(rule, dict) else None
        if not isinstance(schedule, dict):
            raise SimulationError("a mute rule has Rule.Schedule with Expression and Duration")

        def plain(body: Mapping[str, Any], key: str) -> str:
            known(body.get(key), key)
            return self.text(body.get(key), key)

        targets = properties.get("MuteTargets", {})
        names = targets.get("AlarmNames", []) if isinstance(targets, dict) else None
        if not isinstance(names, list):
            raise SimulationError("MuteTargets has AlarmNames, a list of names")
        self.mutes[name] = MuteRule(
            name=name,
            expression=plain(schedule, "Expression"),
            duration=parse_length(plain(schedule, "Duration")),
            alarms=tuple(alarm_name(self.text(one, "an entry of AlarmNames")) for one in names),
            timezone=plain(schedule, "Timezone") if schedule.get("Timezone") is not None else None,
            starts=plain(properties, "StartDate") if properties.get("StartDate") is not None else None,
            expires=plain(properties, "ExpireDate") if properties.get("ExpireDate") is not None else None,
        )
