"""Alarms on causes: one for each condition of each alarm kind of each resource."""

from __future__ import annotations

from ..alarm import Alarm
from ..catalog import CATALOG
from ..catalog.entry import AlarmKind, Condition, Inapplicable
from ..errors import DeclarationError
from ..model import Override, Resource, System
from .decisions import ENVIRONMENT, LeftOut, PlannedAlarm, Settings
from .texts import actions, camel, description


def causes(system: System, settings: Settings) -> tuple[tuple[PlannedAlarm, ...], tuple[LeftOut, ...]]:
    """The alarms on causes, and those that make no sense here.  Raises DeclarationError for a wrong override."""
    planned: list[PlannedAlarm] = []
    left_out: list[LeftOut] = []
    overrides = {(override.kind, override.resource): override for override in system.overrides}
    for resource in system.resources:
        for kind in CATALOG[resource.type].alarm_kinds:
            override = overrides.get((kind.id, resource.logical_id))
            if override is not None and not override.enabled:
                left_out.append(LeftOut(resource.logical_id, kind.id, f"switched off: {override.because}"))
                continue
            conditions = kind.conditions(resource)
            if isinstance(conditions, Inapplicable):
                if override is not None:
                    raise DeclarationError(
                        f"system {system.name}: override of {kind.id} on {resource.logical_id}: "
                        f"there is no such alarm: {conditions.reason}"
                    )
                left_out.append(LeftOut(resource.logical_id, kind.id, conditions.reason))
                continue
            planned.extend(_cause(system, settings, resource, kind, condition, override) for condition in conditions)
    return tuple(planned), tuple(left_out)


def _cause(
    system: System,
    settings: Settings,
    resource: Resource,
    kind: AlarmKind,
    condition: Condition,
    override: Override | None,
) -> PlannedAlarm:
    severity = kind.severity
    threshold, n, m = condition.threshold, condition.evaluation_periods, condition.datapoints_to_alarm
    because = condition.because
    if override is not None:
        severity = override.severity or severity
        threshold = threshold if override.threshold is None else override.threshold
        n = n if override.evaluation_periods is None else override.evaluation_periods
        m = min(m, n) if override.datapoints_to_alarm is None else override.datapoints_to_alarm
        because = override.because
        if not 1 <= m <= n:
            raise DeclarationError(
                f"system {system.name}: override of {kind.id} on {resource.logical_id}: "
                f"datapoints_to_alarm {m} must lie between 1 and evaluation_periods {n}"
            )
    suffix = f"-{condition.suffix}" if condition.suffix else ""
    shown = f" ({condition.suffix})" if condition.suffix else ""
    subject = condition.subject or resource.logical_id
    title = f"{subject}{shown}: {kind.symptom}"
    alarm = Alarm(
        name=f"${{{ENVIRONMENT}}}-{system.name}-{subject}-{kind.id}{suffix}",
        queries=condition.queries,
        comparison=condition.comparison,
        threshold=threshold,
        evaluation_periods=n,
        datapoints_to_alarm=m,
        treat_missing_data=condition.treat_missing_data,
        description=description(settings, system, title, kind.because, because, kind.source, kind.id, severity),
        actions=actions(severity),
    )
    logical_id = camel(subject, kind.id, condition.suffix)
    return PlannedAlarm(
        logical_id, alarm, kind.id, severity, title, kind.because, because, kind.source, resource.logical_id
    )
