"""Subject: an alarm that may be tuned, and how a person would write the change down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..alarm import Alarm
from ..cloudformation.symbolic import escape
from ..simulate.composite import names_in, parse_rule
from ..simulate.template import AlarmTemplate
from .trial import Setting

if TYPE_CHECKING:
    from ..model import Override
    from ..plan import Plan


@dataclass(frozen=True, slots=True)
class Declared:
    """An alarm of a declared system, changed by an override in the declaration.

    ``override`` is the one there is already, which the new one replaces.  ``siblings`` are alarms that the same override would
    change.
    """

    kind: str
    resource: str
    override: Override | None = None
    siblings: tuple[str, ...] = ()

    def change(self, now: Setting, new: Setting, because: str) -> tuple[str, ...]:
        """The lines to paste."""
        there = self.override
        fields = []
        for name in ("threshold", "evaluation_periods", "datapoints_to_alarm"):
            value = getattr(new, name)
            if value != getattr(now, name) or (there is not None and getattr(there, name) is not None):
                fields.append(f"{name}={plain(value)}")
        if there is not None and there.severity is not None:
            fields.append(f"severity=Severity.{there.severity.name}")
        line = f'override("{self.kind}", stack["{self.resource}"], {", ".join(fields)}, because="{because}"),'
        return (line, "# in place of the override of this alarm that is there") if there is not None else (line,)


@dataclass(frozen=True, slots=True)
class Written:
    """An alarm of a template that somebody maintains: its properties are changed."""

    logical_id: str

    def change(self, now: Setting, new: Setting, because: str) -> tuple[str, ...]:
        """The properties to replace under the alarm's logical id."""
        lines = [f"# {self.logical_id}: {because}"]
        if new.threshold != now.threshold:
            lines.append(f"Threshold: {plain(new.threshold)}")
        if (new.evaluation_periods, new.datapoints_to_alarm) != (now.evaluation_periods, now.datapoints_to_alarm):
            lines += [
                f"EvaluationPeriods: {new.evaluation_periods}",
                f"DatapointsToAlarm: {new.datapoints_to_alarm}",
            ]
        return tuple(lines)


Subject = Declared | Written


def written_subjects(template: AlarmTemplate, path: Path, parameters: Mapping[str, str]) -> dict[str, Subject]:
    """The alarms of any template that may be tuned, by name: those that tell somebody themselves.

    Where no alarm of the template has an action, those that no composite is made of.
    """
    logical_ids = _logical_ids(path, parameters)
    fed = {name for one in template.composites for name in names_in(parse_rule(one.rule))}
    anybody = any(_tells(alarm) for alarm in template.alarms)
    return {
        alarm.name: Written(logical_ids.get(alarm.name, alarm.name))
        for alarm in template.alarms
        if alarm.name not in fed and (_tells(alarm) or not anybody)
    }


def declared_subjects(plan: Plan, path: Path, parameters: Mapping[str, str]) -> dict[str, Subject]:
    """The alarms on causes of a declared system, by their names in its rendered template at ``path``."""
    names = {logical_id: name for name, logical_id in _logical_ids(path, parameters).items()}
    overrides = {(one.kind, one.resource): one for one in plan.system.overrides}
    causes = [one for one in plan.alarms if one.slo is None and isinstance(one.alarm, Alarm)]
    found: dict[str, Subject] = {}
    for planned in causes:
        if planned.logical_id not in names:
            continue
        key = (planned.kind, planned.resource)
        siblings = tuple(
            names.get(one.logical_id, one.logical_id)
            for one in causes
            if (one.kind, one.resource) == key and one is not planned
        )
        found[names[planned.logical_id]] = Declared(*key, overrides.get(key), siblings)
    return found


def _tells(alarm: Alarm) -> bool:
    return alarm.actions.enabled and bool(alarm.actions.alarm)


def _logical_ids(path: Path, parameters: Mapping[str, str]) -> dict[str, str]:
    from ..cloudformation.document import load
    from ..simulate.resource_names import resolve_named

    found = {}
    for one in resolve_named(load(path), parameters):
        if one.type == "AWS::CloudWatch::Alarm":
            name = one.properties.get("AlarmName")
            found[escape(name) if isinstance(name, str) else one.logical_id] = one.logical_id
    return found


def plain(value: float) -> str:
    """A number as a person writes it: 20, not 20.0."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(value)
