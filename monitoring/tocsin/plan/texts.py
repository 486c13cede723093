"""Names and texts of alarms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from hashlib import sha256

from ..alarm import Actions, Metric
from ..model import Severity, System
from .decisions import TOPIC_PARAMETERS, Settings

#: Characters that a description may have (CloudWatch API reference, PutMetricAlarm and PutCompositeAlarm).
MOST_CHARACTERS = 1024
#: The longest name of a queue; those of functions and rules are shorter, and ids of APIs much.
LONGEST_NAME = 80
_PLACEHOLDER = re.compile(r"\$\{[A-Za-z0-9]+\}")


def actions(severity: Severity) -> Actions:
    """The topic of that severity is told when the alarm starts and when it ends."""
    topic = (f"${{{TOPIC_PARAMETERS[severity]}}}",)
    return Actions(alarm=topic, ok=topic)


def description(
    settings: Settings,
    system: System,
    title: str,
    because: str,
    threshold_because: str,
    source: str,
    kind: str,
    severity: Severity | None,
    watched: Sequence[str] = (),
    promise: str = "",
) -> str:
    """The description of an alarm: what, why this number, why it matters, for whom, and where to read on.

    ``promise`` is the SLO with its objective and window, if it has them, from which whoever is told can work out what is
    left of the budget.  ``watched`` says on which resource, as ``where_measured`` writes it: the first that CloudWatch has room for.
    """
    lines = [f"{title}.", f"Threshold: {threshold_because}."]
    if because:
        lines.append(f"Why: {because.rstrip('.')}.")
    if severity is not None:
        lines.append(f"Severity: {severity.value}. Owner: {system.owner}. System: {system.name}.")
    if promise:
        lines.append(f"SLO: {promise}.")
    lines.append(f"Runbook: {settings.runbooks.rstrip('/')}/{kind}.md")
    if severity is not None or settings.dashboards:
        dashboard = f"/d/{dashboard_uid(system.name)}"
        lines.append(
            f"Dashboard: {settings.dashboards.rstrip('/')}{dashboard}"
            if settings.dashboards
            else f"Dashboard: {dashboard} in Grafana"
        )
    lines.append(f"Source: {source}")
    # Texts that people wrote must not be taken for placeholders of the template.
    text = "\n".join(lines).replace("${", "${!")
    if not watched:
        return text
    # Names that are filled in at deployment must not make the text too long for CloudWatch.
    room = MOST_CHARACTERS - len(text) - 1
    line = next((line for line in watched if len(_PLACEHOLDER.sub("x" * LONGEST_NAME, line)) <= room), watched[-1])
    head, newline, rest = text.partition("\n")
    return f"{head}{newline}{line}\n{rest}"


def where_measured(logical_id: str, metrics: Iterable[Metric]) -> tuple[str, ...]:
    """The resource that a promise is measured on, with the physical names its metrics carry once it is deployed.

    A composite alarm has no dimensions: without this its notification names nothing that a command could be given.
    From the longest text to the shortest: with all names, with the first of each dimension, with none.
    """
    names: dict[str, dict[str, None]] = {}
    for metric in metrics:
        for name, value in metric.dimensions:
            names.setdefault(name, {}).setdefault(value)
    every = "; ".join(f"{name} {', '.join(values)}" for name, values in names.items())
    first = "; ".join(f"{name} {next(iter(values))}" for name, values in names.items())
    texts = [f"Resource: {logical_id} ({found})." for found in (every, first) if found]
    return (*texts, f"Resource: {logical_id}.")


def dashboard_uid(system: str) -> str:
    """The stable id of a system's dashboard.  Grafana allows 40 characters; a longer one ends in a digest instead."""
    uid = f"tocsin-{system}"
    return uid if len(uid) <= 40 else f"{uid[:31]}-{sha256(system.encode()).hexdigest()[:8]}"


_WORD = re.compile(r"[A-Za-z0-9]+")


def camel(*parts: str) -> str:
    """A logical id from names: ``camel("Api-availability", "burn-1h-long")`` is ``ApiAvailabilityBurn1hLong``."""
    return "".join(word[0].upper() + word[1:] for part in parts for word in _WORD.findall(part))


def short(window: timedelta) -> str:
    """A window in a name: ``1h``, ``3d``."""
    hours = window // timedelta(hours=1)
    return f"{hours // 24}d" if hours % 24 == 0 else f"{hours}h"
