"""Our rules on what a dashboard refers to: variables, other dashboards, runbooks."""

from __future__ import annotations

import re
from typing import Any

from .subject import Found, Subject, cloudwatch_targets, strings, title

# Grafana's three ways to write a variable.
_VARIABLE = re.compile(r"\$\{(\w+)(?:\.[^:}]*)?(?::[^}]*)?\}|\$([A-Za-z_]\w*)|\[\[(\w+?)(?::\w+)?\]\]")
_VARIABLE_ALONE = re.compile(r"\$\{?(\w+)\}?")
# "$default" is the name of an HTTP API's stage; Grafana leaves it alone, because there is no such variable.
_LITERAL = {"default"}
_UID_IN_LINK = re.compile(r"^/d/([A-Za-z0-9_-]+)")


def _used_variables(value: Any) -> set[str]:
    return {
        next(name for name in found if name)
        for text in strings(value)
        if "$" in text or "[[" in text
        for found in _VARIABLE.findall(text)
    }


def variable_undefined(subject: Subject) -> Found:
    """Every variable that is used exists; Grafana leaves the text of another one as it is."""
    known = {str(variable.get("name")) for variable in subject.variables} | _LITERAL
    used = _used_variables({key: value for key, value in subject.dashboard.items() if key != "panels"})
    for name in sorted(used - known):
        if not name.startswith("__"):
            yield "", f"variable {name!r} does not exist"
    for panel in subject.panels:
        own = {key: value for key, value in panel.items() if key != "panels"}
        for name in sorted(_used_variables(own) - known):
            if not name.startswith("__"):
                yield title(panel), f"variable {name!r} does not exist"


def variable_unused(subject: Subject) -> Found:
    """Every variable is used by something other than itself."""
    rest = {key: value for key, value in subject.dashboard.items() if key != "templating"}
    used = _used_variables(rest)
    for variable in subject.variables:
        name = str(variable.get("name"))
        if name not in used and not any(
            name in _used_variables(other) for other in subject.variables if other.get("name") != name
        ):
            yield "", f"variable {name!r} is used nowhere"


def dimension_empty(subject: Subject) -> Found:
    """No dimension is empty while a query variable finds nothing: CloudWatch refuses that, and with it the panel."""
    may_be_empty = {
        str(variable.get("name"))
        for variable in subject.variables
        if variable.get("type") == "query" and not (variable.get("includeAll") and variable.get("allValue"))
    }
    for panel in subject.panels:
        names = {
            found[1]
            for target in cloudwatch_targets(panel)
            for text in strings(target.get("dimensions"))
            if (found := _VARIABLE_ALONE.fullmatch(text)) and found[1] in may_be_empty
        }
        for name in sorted(names):
            yield title(panel), f"variable {name!r} alone is a dimension; give it an allValue or text around it"


def links(subject: Subject) -> Found:
    """A link to a dashboard leads to one that exists."""
    if subject.known_uids is None:
        return
    known = {*subject.known_uids, str(subject.dashboard.get("uid"))}
    places: list[tuple[str, Any]] = [("", subject.dashboard.get("links"))]
    places += [(title(panel), [panel.get("links"), panel.get("fieldConfig")]) for panel in subject.panels]
    for panel, value in places:
        for text in strings(value):
            found = _UID_IN_LINK.match(text)
            if found and found[1] not in known:
                yield panel, f"links to dashboard {found[1]!r}, which does not exist"


def runbook(subject: Subject) -> Found:
    """A panel with a threshold or alarm states says which runbook to open."""
    for panel in subject.panels:
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        style = defaults.get("custom", {}).get("thresholdsStyle", {}).get("mode", "off")
        alarming = panel.get("type") == "timeseries" and style != "off"
        if alarming or panel.get("type") == "state-timeline":
            texts = [str(panel.get("description", "")), *strings(panel.get("links"))]
            if not any("runbook" in text.lower() for text in texts):
                yield title(panel), "shows a threshold or states but names no runbook"
