"""The rules of Grafana's dashboard-linter, as far as they concern CloudWatch dashboards."""

from __future__ import annotations

from .subject import NEEDS_TEXT, NEEDS_UNIT, WITHOUT_QUERY, Found, Subject, title
from .units import is_unit


def template_datasource(subject: Subject) -> Found:
    """Data source variables are called ``datasource``, or ``<type>_datasource`` with the type in the label."""
    sources = [variable for variable in subject.variables if variable.get("type") == "datasource"]
    if not sources:
        yield "", "there is no data source variable, so the dashboard works on one server only"
    for variable in sources:
        kind = str(variable.get("query", ""))
        names = {f"{kind}_datasource": f"{kind.capitalize()} data source"}
        if len(sources) == 1:
            names["datasource"] = "Data source"
        name = variable.get("name")
        if name not in names:
            yield "", f"data source variable {name!r} should be called {' or '.join(sorted(names))}"
        elif variable.get("label") != names[name]:
            yield "", f"data source variable {name!r} should be labelled {names[name]!r}"


def panel_datasource(subject: Subject) -> Found:
    """Panels use a data source variable of the dashboard."""
    names = {str(variable.get("name")) for variable in subject.variables if variable.get("type") == "datasource"}
    allowed = {form for name in names for form in (f"${name}", f"${{{name}}}")}
    for panel in subject.panels:
        if panel.get("type") in WITHOUT_QUERY:
            continue
        reference = panel.get("datasource")
        uid = reference.get("uid") if isinstance(reference, dict) else reference
        if uid not in allowed:
            yield title(panel), f"data source {uid!r} is not a data source variable of the dashboard"


def panel_title_description(subject: Subject) -> Found:
    """Panels have a title and a description."""
    for panel in subject.panels:
        if panel.get("type") in NEEDS_TEXT:
            missing = [key for key in ("title", "description") if not str(panel.get(key) or "").strip()]
            if missing:
                yield title(panel), f"no {' and no '.join(missing)}"


def panel_units(subject: Subject) -> Found:
    """Panels have a unit that Grafana knows, or value mappings."""
    for panel in subject.panels:
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        if panel.get("type") in NEEDS_UNIT and not defaults.get("mappings"):
            unit = defaults.get("unit")
            if not unit:
                yield title(panel), "no unit"
            elif not is_unit(str(unit)):
                yield title(panel), f"Grafana has no unit {unit!r}"


def panel_no_targets(subject: Subject) -> Found:
    """Panels have a query."""
    for panel in subject.panels:
        if panel.get("type") not in WITHOUT_QUERY and not panel.get("targets"):
            yield title(panel), "no query"


def template_reload(subject: Subject) -> Found:
    """Query variables are looked up again when the time range changes."""
    for variable in subject.variables:
        if variable.get("type") == "query" and variable.get("refresh") != 2:
            yield "", f"variable {variable.get('name')!r} needs refresh 2 (on time range change)"


def uneditable(subject: Subject) -> Found:
    """A generated dashboard cannot be edited by hand: the next build would lose the change."""
    if subject.dashboard.get("editable", True):
        yield "", "editable must be false: a change by hand would be lost with the next build"
