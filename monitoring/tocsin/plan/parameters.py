"""The parameters of an alarm template: one for each physical name that a dimension needs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..alarm import Alarm
from ..catalog import CATALOG
from ..catalog.entry import NameSource, parameter_name
from ..errors import PlanError
from ..model import System
from .decisions import NameParameter, PlannedAlarm

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9]+)\}")


def name_parameters(system: System, alarms: Iterable[PlannedAlarm]) -> tuple[NameParameter, ...]:
    """One for each physical name that a dimension of any alarm needs."""
    used = {
        name
        for planned in alarms
        if isinstance(planned.alarm, Alarm)
        for metric in planned.alarm.metrics
        for _, value in metric.dimensions
        for name in _PLACEHOLDER.findall(value)
    }
    # A stage's alarms also need the name of its API, which need not be watched itself: hence the surroundings.
    resources = {resource.logical_id: resource for resource in system.resources}
    for resource in system.resources:
        for logical_id, other in resource.surroundings.items():
            resources.setdefault(logical_id, other)
    found = []
    for logical_id, resource in sorted(resources.items()):
        name = parameter_name(logical_id)
        if name in used:
            # A name may also belong to what the catalog does not know, such as an event bus: its physical id is its name.
            entry = CATALOG.get(resource.type)
            found.append(
                NameParameter(
                    name=name,
                    logical_id=logical_id,
                    type=resource.type,
                    source=entry.name_source if entry else NameSource.PHYSICAL_ID,
                    default=None if resource.conditional else resource.name,
                    description=f"Name of the {entry.title if entry else resource.type} {logical_id}",
                    optional=resource.conditional,
                )
            )
    missing = used - {parameter.name for parameter in found}
    if missing:
        raise PlanError(f"system {system.name}: no resource gives the name for {', '.join(sorted(missing))}")
    return tuple(found)
