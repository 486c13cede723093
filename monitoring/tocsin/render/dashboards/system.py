"""The dashboard of one system: is it fine, what pages, which cause, and every resource below."""

from __future__ import annotations

from typing import Any

from ...catalog.entry import name_of
from ...errors import PlanError
from ...model import SinceSuccess
from ...plan import Plan, PlannedPanels, camel, dashboard_uid
from .alarm_states import page_blocks, page_height, page_rows, ticket_blocks, ticket_rows
from .assembly import assemble
from .heartbeats import heartbeat_blocks
from .layout import Section
from .links import OVERVIEW_NAME, TAG, overview_link, runbook_links, runbook_text, systems_dropdown
from .names import Names
from .panels import Block
from .promise_graphs import burn_down, burn_graph
from .promise_math import Promise, promise_metrics
from .promise_tiles import share_blocks
from .resources import section
from .variables import common_variables, has_stack, merge, name_variables, used_metrics

_TILES, _BEAT, _LEFT, _HALF, _FULL = (4, 4, 6), 7, 14, 12, 24
# So many graphs of promises leave room for the graphs of the resources.
_FEW = 4
_FUNCTION = "AWS::Lambda::Function"


def system_dashboard(plan: Plan) -> dict[str, Any]:
    """The Grafana dashboard of a system, as classic JSON for Grafana 11 to 13.

    Raises PlanError for a system that would take the overview's place and QuotaError for one that is too large.
    """
    system = plan.system
    if system.name == OVERVIEW_NAME:
        raise PlanError(f"system {system.name}: that is the name of the overview of all promises; choose another name")
    names = Names(plan)
    promises = [Promise(planned, planned.slo.name, names) for planned in plan.slos]
    shares = [promise for promise in promises if promise.slo.objective is not None]
    timelines = ticket_blocks(plan, names, ticket_rows(plan))
    # One timeline of causes belongs on the first screen; more are looked at only when needed.
    on_top = timelines if len(timelines) == 1 else []
    sections = [Section("top", "", (*_strip(plan, names, promises), *on_top))]
    if not on_top:
        sections.append(Section("causes", "Causes", tuple(timelines)))
    if shares:
        details = tuple(_with_runbook(plan, p, b) for p in shares for b in (burn_down(p, _HALF), burn_graph(p, _HALF)))
        title = "How is the error budget spent?"
        sections.append(Section("promises", title, details, closed=len(details) > _FEW))
    sections += [section(plan, group, names) for group in _ordered(plan)]
    metrics = used_metrics(plan)
    own = [planned.slo for planned in plan.slos]
    on_overview = Names(plan, camel(system.name)) if has_stack(promise_metrics(own), names) else None
    return assemble(
        uid=dashboard_uid(system.name),
        title=system.name,
        description=system.description or f"Is {system.name} fine, and if not, why? Owner: {system.owner}.",
        tags=[TAG, system.name, f"owner:{system.owner}"],
        sections=sections,
        variables=merge(common_variables(alarms=True), name_variables(plan, metrics, names)),
        links=[systems_dropdown(), overview_link(on_overview)],
        system=system.name,
    )


def _ordered(plan: Plan) -> list[PlannedPanels]:
    """Symptoms before causes: what shares are promised of, then the functions that do the work and have logs, then
    where lost work ends, jobs that run now and then, and what stands below."""
    shares: dict[str, int] = {}
    jobs: set[str] = set()
    for planned in plan.slos:
        name = name_of(planned.slo.sli.resource)
        if planned.slo.objective is None:
            jobs.add(name)
        else:
            shares.setdefault(name, len(shares))

    def rank(group: PlannedPanels) -> tuple[int, int, str]:
        # The graphs of an API hang on its stage, and carry its name.
        shown = {
            value for panel in group.panels for series in panel.series for _, value in series.metric.dimensions
        } | {name_of(group.resource)}
        promised = min((place for name, place in shares.items() if name in shown), default=None)
        logical_id = group.resource.logical_id
        if promised is not None:
            return 0, promised, logical_id
        if shown & jobs:
            return 3, 0, logical_id
        if group.resource.role == "dlq":
            return 2, 0, logical_id
        return (1 if group.resource.type == _FUNCTION else 4), 0, logical_id

    return sorted(plan.panels, key=rank)


def _strip(plan: Plan, names: Names, promises: list[Promise]) -> tuple[Block, ...]:
    """The top of the dashboard: tiles on the left, what pages on the right, both down to one line."""
    shares = [promise for promise in promises if promise.slo.objective is not None]
    beats = [promise for promise in promises if isinstance(promise.slo.sli.measure, SinceSuccess)]
    tiles = [_with_runbooks(plan, shares, block) for block in share_blocks(shares, _TILES)]
    jobs = [_with_runbooks(plan, beats, block) for block in heartbeat_blocks(beats, _BEAT)]
    rows = page_rows(plan, promises)
    if not rows:
        return (*tiles, *jobs)
    if not tiles and not jobs:
        return tuple(page_blocks(plan, names, rows, _FULL, page_height(rows)))
    # Each group of tiles fills the left half: three tiles, or two of a half.
    left = sum(block.height * block.width for block in (*tiles, *jobs)) // _LEFT
    height = max(left, page_height(rows))
    last = (tiles or jobs)[-3:] if tiles else jobs[-2:]
    for tile in last:
        tile.height += height - left
    pages = page_blocks(plan, names, rows, _FULL - _LEFT, height)
    return (*tiles[:3], *pages[:1], *tiles[3:], *jobs, *pages[1:])


def _with_runbooks(plan: Plan, promises: list[Promise], block: Block) -> Block:
    kinds = sorted({f"slo-{promise.slo.sli.kind.value}" for promise in promises})
    block.panel.links = runbook_links(plan.settings, kinds)
    block.panel.description += runbook_text(plan.settings, kinds)
    return block


def _with_runbook(plan: Plan, promise: Promise, block: Block) -> Block:
    return _with_runbooks(plan, [promise], block)
