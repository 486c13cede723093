"""Which alarms of a rendered template belong to which promise."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..alarm import Metric
from ..burn_rate import Tier
from ..cloudformation.document import load
from ..errors import InputError, SimulationError
from ..model import Counted, Measure, Ranked, Severity, Slo
from ..plan import Plan, PlannedSlo
from ..simulate.composite import alarm_name, names_in, parse_rule
from ..simulate.template import AlarmTemplate, read_template

_BUILD = "; `tocsin build` writes the alarms of a system"
_SPAN = re.compile(r"\$\{([A-Za-z0-9]+)\}")


@dataclass(frozen=True, slots=True)
class Promise:
    """One SLO of a system with the alarms that watch it.

    ``alarms`` are the names of those that tell somebody, by severity; ``template`` holds these and all they depend on.
    ``slo`` names its metrics as the template does.
    """

    system: str
    slo: Slo
    tiers: tuple[Tier, ...]
    alarms: Mapping[Severity, str]
    template: AlarmTemplate

    def tiers_of(self, severity: Severity) -> tuple[Tier, ...]:
        """The tiers that tell with that severity."""
        return tuple(tier for tier in self.tiers if tier.severity is severity)

    def template_of(self, severity: Severity) -> AlarmTemplate:
        """The alarm that tells with that severity, and all it depends on."""
        return _only(self.template, _needs(self.template), {self.alarms[severity]})


def read_promises(
    plan: Plan,
    path: Path,
    parameters: Mapping[str, str],
    only: Collection[str] = (),
    *,
    committed: bool = True,
    whole: bool = True,
) -> tuple[Promise, ...]:
    """The promises of ``plan`` with their alarms as the rendered template at ``path`` has them.

    ``only`` the SLOs of these names, where any are given.  ``parameters`` are values of the template's parameters.
    ``committed``: whether ``tocsin build`` writes this file.  Raises InputError where there is no such file, and
    SimulationError for an alarm that it lacks; unless ``whole``, what it lacks is left out instead.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file" + (_BUILD if committed else ""))
    declared = load(path).tree.get("Parameters")
    values = {
        name: str(body["Default"])
        for name, body in (declared.items() if isinstance(declared, dict) else ())
        if isinstance(body, dict) and "Default" in body
    }
    template = read_template(path, parameters)
    return promises(plan, template, str(path), {**values, **parameters}, only, committed=committed, whole=whole)


def declared_slos(path: Path) -> tuple[str, ...]:
    """The SLOs that the alarms of a rendered template say they belong to, by name.  Raises TemplateError."""
    resources = load(path).tree.get("Resources")
    found = set()
    for body in resources.values() if isinstance(resources, dict) else ():
        inside: Any = body
        for key in ("Metadata", "Tocsin", "Slo"):
            inside = inside.get(key) if isinstance(inside, dict) else None
        if isinstance(inside, str):
            found.add(inside)
    return tuple(sorted(found))


def promises(
    plan: Plan,
    template: AlarmTemplate,
    where: str,
    values: Mapping[str, str],
    only: Collection[str] = (),
    *,
    committed: bool = True,
    whole: bool = True,
) -> tuple[Promise, ...]:
    """As ``read_promises``, from alarms in memory; ``values`` are those that stand in their names for parameters."""
    known = _needs(template)
    found = []
    for planned in plan.slos:
        if only and planned.slo.name not in only:
            continue
        alarms = {
            severity: _filled(plan[logical_id].alarm.name, values) for severity, logical_id in planned.alarms.items()
        }
        if not whole:
            refused = {one.name for one in template.unsupported}
            alarms = {severity: name for severity, name in alarms.items() if name in known or name in refused}
            if not alarms:
                continue
        for name in alarms.values():
            _refuse_missing(template, known, planned, name, where, _BUILD if committed else "")
        found.append(
            Promise(
                plan.system.name,
                _with_values(planned.slo, values),
                planned.tiers,
                alarms,
                _only(template, known, set(alarms.values())),
            )
        )
    return tuple(found)


def _needs(template: AlarmTemplate) -> dict[str, frozenset[str]]:
    """Which alarms each alarm depends on."""
    known: dict[str, frozenset[str]] = {alarm.name: frozenset() for alarm in template.alarms}
    for composite in template.composites:
        needed = set(names_in(parse_rule(composite.rule)))
        if composite.suppressor is not None:
            needed.add(alarm_name(composite.suppressor))
        known[composite.name] = frozenset(needed)
    return known


def _refuse_missing(
    template: AlarmTemplate,
    known: Mapping[str, frozenset[str]],
    planned: PlannedSlo,
    name: str,
    where: str,
    advice: str,
) -> None:
    for refused in template.unsupported:
        if refused.name == name:
            raise SimulationError(f"{where}: {name} of SLO {planned.slo.name} cannot be evaluated: {refused.reason}")
    if name not in known:
        raise SimulationError(f"{where}: has no alarm {name!r}, by which SLO {planned.slo.name} tells{advice}")


def _only(template: AlarmTemplate, known: Mapping[str, frozenset[str]], wanted: set[str]) -> AlarmTemplate:
    """The alarms of these names and all they depend on."""
    kept: set[str] = set()
    while wanted:
        name = wanted.pop()
        kept.add(name)
        wanted |= known.get(name, frozenset()) - kept
    return AlarmTemplate(
        tuple(alarm for alarm in template.alarms if alarm.name in kept),
        tuple(composite for composite in template.composites if composite.name in kept),
        tuple(refused for refused in template.unsupported if refused.name in kept),
    )


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _SPAN.sub(lambda match: values.get(match.group(1), match.group()), text)


def _with_values(slo: Slo, values: Mapping[str, str]) -> Slo:
    """The SLO with the values of parameters in the dimensions of its metrics."""

    def filled(metric: Metric) -> Metric:
        return replace(metric, dimensions=tuple((key, _filled(value, values)) for key, value in metric.dimensions))

    measure: Measure = slo.sli.measure
    if isinstance(measure, Counted):
        measure = replace(measure, bad=filled(measure.bad), valid=filled(measure.valid))
    elif isinstance(measure, Ranked):
        measure = replace(measure, metric=filled(measure.metric))
    else:
        measure = replace(
            measure,
            started=filled(measure.started),
            failed=None if measure.failed is None else filled(measure.failed),
            also=tuple(map(filled, measure.also)),
        )
    return replace(slo, sli=replace(slo.sli, measure=measure))
