"""Writes the generated parts of docs/monitoring.md: what tells each service's health, whom its events alert, who that is.

The rest of the page is written by people; a part stands between ``<!-- begin: system -->`` and ``<!-- end: system -->``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tocsin.alarm import Alarm, Metric
from tocsin.catalog import CATALOG
from tocsin.declarations import load_systems
from tocsin.model import Resource, Severity
from tocsin.paging.declared import Route, Way
from tocsin.paging.oncall_file import read_oncall
from tocsin.plan import Plan, PlannedAlarm, plan
from tocsin.project import find_project
from tocsin.render.documents import measured_by, metric_text
from tocsin.units import format_duration, format_ratio

ROOT = Path(__file__).parents[1]
PATH = "docs/monitoring.md"


def page() -> str:
    """The page as it must be: what people wrote, with every generated part renewed.

    Raises ValueError for a system that has no part in the page.
    """
    text = (ROOT / PATH).read_text(encoding="utf-8")
    parts = {"on-call": on_call_part(), **{decided.system.name: system_part(decided) for decided in plans()}}
    for name, lines in parts.items():
        part = "\n".join((*lines, ""))
        begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
        if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
            raise ValueError(f"{PATH}: write {begin.strip()} and {end} once each, in lines of their own")
        text = text[: text.index(begin) + len(begin)] + part + text[text.index(end) :]
    return text


def plans() -> tuple[Plan, ...]:
    """The plans of the reference systems."""
    project = find_project(ROOT)
    return tuple(plan(system, project.settings) for system in load_systems(project.root, project.systems))


def on_call_part() -> Iterator[str]:
    """Whom each owner's pages and tickets reach, as deploy/oncall.toml says."""
    project = find_project(ROOT)
    declared = read_oncall(project.root / project.oncall)
    yield ""
    yield "| Owner | Team | A page | A ticket |"
    yield "| --- | --- | --- | --- |"
    teams = {owner: team for team in declared.teams for owner in team.owners}
    for owner, team in sorted(teams.items()):
        page, ticket = (_ways(team.routes[severity], declared.tool.name.value) for severity in Severity)
        yield f"| {owner} | {team.name} | {page} | {ticket} |"
    yield ""


def _ways(route: Route, tool: str) -> str:
    said = {
        Way.TOOL: f"{tool}, directly",
        Way.FORWARDER: f"{tool}, by the forwarder",
        Way.EMAIL: f"e-mail to {route.email}",
        Way.CHAT: "chat",
    }
    return ", and ".join(said[way] for way in route.ways)


def system_part(decided: Plan) -> Iterator[str]:
    """A section for each watched service: promised ones first."""
    promised = {slo.slo.sli.resource.logical_id for slo in decided.slos}
    for resource in sorted(decided.system.resources, key=lambda one: (one.logical_id not in promised, one.logical_id)):
        yield ""
        yield f"#### {resource.logical_id}"
        yield ""
        yield from _service(decided, resource)
    yield ""


def _service(decided: Plan, resource: Resource) -> Iterator[str]:
    entry = CATALOG[resource.type]
    own = [one for one in decided.alarms if one.resource == resource.logical_id]
    health = _metrics(decided, resource, own)
    yield f"{entry.title}. " + (f"Health: {', '.join(health)}." if health else "No health of its own to show.")
    yield ""
    for planned in decided.slos:
        slo = planned.slo
        if slo.sli.resource.logical_id == resource.logical_id:
            share = "kept or broken" if slo.objective is None else format_ratio(slo.objective)
            over = f" over {format_duration(slo.window)}" if slo.window else ""
            yield f"- Objective **{slo.name}**: {share}{over}, {slo.sli.good}. Measured by {measured_by(slo.sli)}."
    for severity in Severity:
        if told := _told(own, severity):
            whom = f"{decided.system.owner}, by {'page' if severity is Severity.PAGE else 'ticket'}"
            yield f"- Alerts {whom}: {'; '.join(told)}."
    switched_off = [
        f"{left.kind} ({left.reason.removeprefix('switched off: ').rstrip('.')})"
        for left in decided.left_out
        if left.subject == resource.logical_id and left.reason.startswith("switched off")
    ]
    if switched_off:
        yield f"- Alerts nobody, on purpose: {'; '.join(switched_off)}."
    if not own and not switched_off:
        reasons = dict.fromkeys(left.reason for left in decided.left_out if left.subject == resource.logical_id)
        yield f"- Alerts nobody: {'; '.join(reasons) or 'nothing of it can go wrong by itself'}."


def _metrics(decided: Plan, resource: Resource, own: list[PlannedAlarm]) -> list[str]:
    """The metrics of its graphs and alarms, each once."""
    found: dict[Metric, None] = {}
    for group in decided.panels:
        if group.resource.logical_id == resource.logical_id:
            found.update(dict.fromkeys(series.metric for panel in group.panels for series in panel.series))
    for planned in own:
        if isinstance(planned.alarm, Alarm):
            found.update(dict.fromkeys(planned.alarm.metrics))
    return list(dict.fromkeys(metric_text(metric) for metric in found))


def _told(own: list[PlannedAlarm], severity: Severity) -> list[str]:
    """What its alarms of a severity tell, each with its runbook."""
    return list(
        dict.fromkeys(
            f"[{_symptom(planned)}](../runbooks/{planned.runbook})" for planned in own if planned.severity is severity
        )
    )


def _symptom(planned: PlannedAlarm) -> str:
    symptom = planned.title.partition(": ")[2]
    return f"{planned.slo}: {symptom}" if planned.slo else symptom
