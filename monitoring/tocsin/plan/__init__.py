"""System → Plan: the only place that decides which alarms exist, what they are called and whom they tell."""

from __future__ import annotations

from collections.abc import Iterable

from ..catalog import CATALOG
from ..errors import DeclarationError, PlanError, nearest
from ..model import Reported, Slo, System
from .alarm_panels import alarm_panels
from .causes import causes
from .decisions import (
    ENVIRONMENT,
    TOPIC_PARAMETERS,
    LeftOut,
    NameParameter,
    Plan,
    PlannedAlarm,
    PlannedPanels,
    PlannedSlo,
    Settings,
)
from .own_panels import own_panels
from .parameters import name_parameters
from .promises import promises
from .texts import camel, dashboard_uid

__all__ = [
    "ENVIRONMENT",
    "TOPIC_PARAMETERS",
    "LeftOut",
    "NameParameter",
    "Plan",
    "PlannedAlarm",
    "PlannedPanels",
    "PlannedSlo",
    "Settings",
    "camel",
    "dashboard_uid",
    "plan",
]


_DEFAULTS = Settings()


def plan(system: System, settings: Settings = _DEFAULTS) -> Plan:
    """Decide every alarm, graph and parameter of a system.

    Raises DeclarationError for contradictions in the declaration and PlanError for promises that cannot be watched.
    """
    _check(system)
    by_cause, left_out = causes(system, settings)
    promised, slo_alarms, slo_left_out = promises(system, settings)
    alarms = (*slo_alarms, *by_cause)
    _refuse_twins(system, alarms)
    return Plan(
        system=system,
        settings=settings,
        parameters=name_parameters(system, alarms),
        alarms=alarms,
        slos=promised,
        panels=_panels(system, alarms),
        left_out=(*slo_left_out, *left_out),
    )


def _panels(system: System, alarms: Iterable[PlannedAlarm]) -> tuple[PlannedPanels, ...]:
    """The graphs of each resource that has any: the catalog's, those of its own metrics, those that only alarms read."""
    told: dict[str, list[PlannedAlarm]] = {}
    for planned in alarms:
        told.setdefault(planned.resource, []).append(planned)
    slos: dict[str, list[Slo]] = {}
    for slo in system.slos:
        slos.setdefault(slo.sli.resource.logical_id, []).append(slo)
    reports: dict[str, list[Reported]] = {}
    for reported in system.reports:
        reports.setdefault(reported.resource.logical_id, []).append(reported)
    found = []
    for resource in system.resources:
        entry, name = CATALOG[resource.type], resource.logical_id
        panels = (*entry.panels(resource), *own_panels(slos.get(name, ()), reports.get(name, ())))
        panels += alarm_panels(entry, panels, told.get(name, ()))
        if panels:
            found.append(PlannedPanels(resource, entry, panels))
    return tuple(found)


def _check(system: System) -> None:
    own = {resource.logical_id for resource in system.resources}
    seen: set[str] = set()
    for slo in system.slos:
        if slo.sli.resource.logical_id not in own:
            raise DeclarationError(
                f"system {system.name}: SLO {slo.name} is on {slo.sli.resource.logical_id}, "
                "which is not among the system's resources"
            )
        if slo.name in seen:
            raise DeclarationError(f"system {system.name}: two SLOs are called {slo.name!r}; give one a name=…")
        seen.add(slo.name)
    for reported in system.reports:
        if reported.resource.logical_id not in own:
            raise DeclarationError(
                f"system {system.name}: a report of {reported.resource.logical_id}, "
                "which is not among the system's resources"
            )
    used: set[tuple[str, str]] = set()
    for exception in system.overrides:
        if exception.resource not in own:
            raise DeclarationError(
                f"system {system.name}: override of {exception.kind} on {exception.resource!r}: no such resource; "
                + nearest(exception.resource, own)
            )
        if (exception.kind, exception.resource) in used:
            raise DeclarationError(f"system {system.name}: two overrides of {exception.kind} on {exception.resource}")
        used.add((exception.kind, exception.resource))


def _refuse_twins(system: System, alarms: Iterable[PlannedAlarm]) -> None:
    seen: dict[str, str] = {}
    for planned in alarms:
        if planned.logical_id in seen:
            raise PlanError(
                f"system {system.name}: {planned.title!r} and {seen[planned.logical_id]!r} "
                f"would both be {planned.logical_id}; give one SLO another name"
            )
        seen[planned.logical_id] = planned.title
