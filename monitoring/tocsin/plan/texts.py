"""Names and texts of alarms."""

from __future__ import annotations

import re
from datetime import timedelta
from hashlib import sha256

from ..alarm import Actions
from ..model import Severity, System
from .decisions import TOPIC_PARAMETERS, Settings


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
) -> str:
    """The description of an alarm: what, why this number, why it matters, for whom, and where to read on."""
    lines = [f"{title}.", f"Threshold: {threshold_because}."]
    if because:
        lines.append(f"Why: {because.rstrip('.')}.")
    if severity is not None:
        lines.append(f"Severity: {severity.value}. Owner: {system.owner}. System: {system.name}.")
    lines.append(f"Runbook: {settings.runbooks.rstrip('/')}/{kind}.md")
    if settings.dashboards:
        lines.append(f"Dashboard: {settings.dashboards.rstrip('/')}/d/{dashboard_uid(system.name)}")
    lines.append(f"Source: {source}")
    # Texts that people wrote must not be taken for placeholders of the template.
    return "\n".join(lines).replace("${", "${!")


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
