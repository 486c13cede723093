"""What of a system is pulled: its promises with the names that its metrics have in the account, and the alarms that tell.

Names are found as `tocsin deploy` finds them, by the rules of the committed alarm template, which also says which alarms
tell whom of what.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..alarm import Metric
from ..cloudformation.document import load
from ..errors import CloudError, InputError
from ..model import Counted, Measure, Ranked, Severity, Slo, System

if TYPE_CHECKING:
    from ..cloud.environments import Environment
    from ..cloud.names import NameRule
    from ..cloud.session import Cloud

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9]+)\}")


@dataclass(frozen=True, slots=True)
class TellingAlarm:
    """An alarm that tells somebody.  ``slo`` is None for one on a cause."""

    name: str
    severity: Severity
    slo: str | None
    kind: str


@dataclass(frozen=True, slots=True)
class PulledSystem:
    """One system in one environment.

    ``slos`` are all that is promised, with the metrics' real names; ``unnamed`` is SLO → why its metrics have none, so that
    it cannot be asked for.  ``problems`` are what is missing in the account, a line each.
    """

    environment: str
    name: str
    owner: str
    slos: tuple[Slo, ...]
    alarms: tuple[TellingAlarm, ...] = ()
    unnamed: Mapping[str, str] | None = None
    problems: tuple[str, ...] = ()

    @property
    def asked(self) -> tuple[Slo, ...]:
        """The promises that can be asked for."""
        return tuple(slo for slo in self.slos if slo.name not in (self.unnamed or {}))


@dataclass(frozen=True, slots=True)
class Template:
    """What a committed alarm template says: its alarms that tell, where names come from, and defaults of parameters."""

    path: str
    alarms: tuple[TellingAlarm, ...]
    rules: tuple[NameRule, ...]
    defaults: Mapping[str, str]


def read_template(path: Path, environment: str) -> Template:
    """The committed alarm template of a system, for an environment.  Raises InputError where there is none."""
    from ..cloud.names import name_rules

    if not path.is_file():
        raise InputError(f"{path}: no such file; `tocsin build` writes the alarms of a system")
    document = load(path)
    declared = document.tree.get("Parameters")
    defaults = {
        str(name): str(body["Default"])
        for name, body in (declared.items() if isinstance(declared, dict) else ())
        if isinstance(body, dict) and "Default" in body
    }
    defaults["Environment"] = environment
    resources = document.tree.get("Resources")
    alarms = [_alarm(body, defaults) for body in (resources.values() if isinstance(resources, dict) else ())]
    found = sorted((alarm for alarm in alarms if alarm is not None), key=lambda alarm: alarm.name)
    return Template(path.as_posix(), tuple(found), name_rules(document), defaults)


def _alarm(body: Any, values: Mapping[str, str]) -> TellingAlarm | None:
    """None for what is no alarm of ours, and for one that only feeds others."""
    about = _inside(body, "Metadata", "Tocsin")
    name = _inside(body, "Properties", "AlarmName")
    text = name.get("Fn::Sub") if isinstance(name, dict) else name
    if not isinstance(about, dict) or about.get("Severity") not in tuple(Severity) or not isinstance(text, str):
        return None
    slo = about.get("Slo")
    return TellingAlarm(
        fill(text, values),
        Severity(about["Severity"]),
        slo if isinstance(slo, str) else None,
        str(about.get("Kind", "")),
    )


def _inside(body: Any, *path: str) -> Any:
    for key in path:
        body = body.get(key) if isinstance(body, dict) else None
    return body


def watched(
    system: System, template: Template, environment: str, names: Mapping[str, str], problems: Sequence[str] = ()
) -> PulledSystem:
    """A system with these values for the names of its template's parameters; a parameter without one leaves an SLO out.

    A name that is empty belongs to a resource that is not deployed in this environment.
    """
    stated = {parameter.parameter for parameter in template.rules}
    values = {**{name: text for name, text in template.defaults.items() if name not in stated}, **names}
    slos, unnamed = [], {}
    for slo in system.slos:
        named = with_names(slo, values)
        slos.append(named)
        missing = sorted({one for metric in slo.sli.metrics for one in _needed(metric) if not values.get(one)})
        if missing:
            what = "is not deployed here" if values.get(missing[0]) == "" else "has no name in the account"
            unnamed[slo.name] = f"{missing[0].removesuffix('Name')} {what}"
    return PulledSystem(environment, system.name, system.owner, tuple(slos), template.alarms, unnamed, tuple(problems))


def _needed(metric: Metric) -> list[str]:
    return [name for _, value in metric.dimensions for name in _PLACEHOLDER.findall(value)]


def as_written(template: Template) -> dict[str, str]:
    """Names as the template writes them, ``${OrdersName}``: those of a recording that replaces none."""
    return {rule.parameter: f"${{{rule.parameter}}}" for rule in template.rules}


def names_in_account(
    cloud: Cloud, environment: Environment, system: str, template: Template
) -> tuple[dict[str, str], list[str]]:
    """Parameter → name as a deployment would set it, and what is missing in the account, a line each.

    What the environment states goes before what its stacks say.
    """
    from ..cloud.environments import FromVariable
    from ..cloud.names import resolve_names
    from ..cloud.stacks import find_stack

    stacks = environment.of(system)
    found: dict[str, str] = {}
    for name, setting in stacks.alarm_parameters.items():
        value = os.environ.get(setting.variable) if isinstance(setting, FromVariable) else setting
        if value is not None:
            found[name] = value
    rules = [rule for rule in template.rules if rule.parameter not in found]
    if not rules:
        return found, []
    advice = f"deploy the system that {template.path} watches first, or name its stack in the environment"
    try:
        if find_stack(cloud, stacks.stack) is None:
            return found, [f"stack {stacks.stack} does not exist in {cloud.region}; {advice}"]
        return {**resolve_names(cloud, stacks.stack, rules, template.path), **found}, []
    except CloudError as error:
        if len(rules) == 1:
            return found, [str(error)]
    problems: list[str] = []
    for rule in rules:  # one missing resource does not hide the others
        try:
            found |= resolve_names(cloud, stacks.stack, [rule], template.path)
        except CloudError as error:
            problems.append(str(error))
    return found, list(dict.fromkeys(problems))


def fill(text: str, values: Mapping[str, str]) -> str:
    """``${Name}`` replaced by the value of that name, where there is one."""
    return _PLACEHOLDER.sub(lambda match: values.get(match.group(1), match.group()), text)


def with_names(slo: Slo, values: Mapping[str, str]) -> Slo:
    """The SLO with the values of parameters in the dimensions of its metrics."""

    def named(metric: Metric) -> Metric:
        return replace(metric, dimensions=tuple((key, fill(value, values)) for key, value in metric.dimensions))

    measure: Measure = slo.sli.measure
    if isinstance(measure, Counted):
        measure = replace(measure, bad=named(measure.bad), valid=named(measure.valid))
    elif isinstance(measure, Ranked):
        measure = replace(measure, metric=named(measure.metric))
    else:
        measure = replace(
            measure,
            started=named(measure.started),
            failed=None if measure.failed is None else named(measure.failed),
            also=tuple(map(named, measure.also)),
        )
    return replace(slo, sli=replace(slo.sli, measure=measure))
