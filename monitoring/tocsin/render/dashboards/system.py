"""The dashboard of one system: is it fine, what pages, which cause, and every resource below."""

from __future__ import annotations

from typing import Any

from ...errors import PlanError
from ...model import SinceSuccess
from ...plan import Plan, dashboard_uid
from .alarm_states import page_alarms, page_blocks, ticket_alarms, ticket_blocks
from .assembly import assemble
from .heartbeats import heartbeat_blocks
from .layout import Section
from .links import OVERVIEW_NAME, TAG, overview_link, runbook_links, runbook_text, systems_dropdown
from .panels import Block
from .promise_graphs import burn_down, burn_graph
from .promise_math import Promise
from .promise_tiles import share_blocks
from .resources import section
from .variables import Names, common_variables, merge, name_variables, used_metrics

_TILE, _HALF, _FULL = 4, 12, 24
# Tiles and timelines of the top strip stay on one screen.
_HIGHEST = 12


def system_dashboard(plan: Plan) -> dict[str, Any]:
    """The Grafana dashboard of a system, as classic JSON for Grafana 11 to 13.

    Raises PlanError for a system that would take the overview's place and QuotaError for one that is too large.
    """
    system = plan.system
    if system.name == OVERVIEW_NAME:
        raise PlanError(f"system {system.name}: that is the name of the overview of all promises; choose another name")
    promises = [Promise(planned, planned.slo.name, Names()) for planned in plan.slos]
    shares = [promise for promise in promises if promise.slo.objective is not None]
    timelines = ticket_blocks(plan, ticket_alarms(plan))
    # One timeline of causes belongs on the first screen; more are looked at only when needed.
    on_top = timelines if len(timelines) == 1 else []
    sections = [Section("top", "", (*_strip(plan, promises), *on_top))]
    if not on_top:
        sections.append(Section("causes", "Causes", tuple(timelines)))
    if shares:
        details = tuple(_with_runbook(plan, p, b) for p in shares for b in (burn_down(p, _HALF), burn_graph(p, _HALF)))
        sections.append(Section("promises", "How is the error budget spent?", details))
    first = {promise.slo.sli.resource.logical_id for promise in promises}
    # Symptoms before causes: what a promise is made on comes first, then where lost work ends.
    groups = sorted(
        plan.panels,
        key=lambda g: (g.resource.logical_id not in first, g.resource.role != "dlq", g.resource.logical_id),
    )
    sections += [section(plan, group) for group in groups]
    return assemble(
        uid=dashboard_uid(system.name),
        title=system.name,
        description=system.description or f"Is {system.name} fine, and if not, why? Owner: {system.owner}.",
        tags=[TAG, system.name, f"owner:{system.owner}"],
        sections=sections,
        variables=merge(common_variables(alarms=True), name_variables(plan, used_metrics(plan))),
        links=[systems_dropdown(), overview_link()],
        system=system.name,
    )


def _strip(plan: Plan, promises: list[Promise]) -> tuple[Block, ...]:
    """The top of the dashboard: tiles on the left, what pages on the right."""
    shares = [promise for promise in promises if promise.slo.objective is not None]
    beats = [promise for promise in promises if isinstance(promise.slo.sli.measure, SinceSuccess)]
    paging = page_alarms(plan)
    tiles = [_with_runbooks(plan, promises, block) for block in share_blocks(shares, _TILE)]
    tiles += [_with_runbooks(plan, beats, block) for block in heartbeat_blocks(beats, 6)]
    if not paging:
        return tuple(tiles)
    # The timeline stands beside the first tiles, as high as its rows need; a person reads across.
    height = max(tiles[0].height if tiles else 4, min(_HIGHEST, 3 + len(paging) * 2 // 3))
    beside = 3 if shares else len(tiles)
    for tile in tiles[:beside]:
        tile.height = height
    width = _FULL - sum(tile.width for tile in tiles[:beside])
    if width < _HALF:
        return (*tiles, *page_blocks(plan, paging, _FULL, height))
    return (*tiles[:beside], *page_blocks(plan, paging, width, height), *tiles[beside:])


def _with_runbooks(plan: Plan, promises: list[Promise], block: Block) -> Block:
    kinds = sorted({f"slo-{promise.slo.sli.kind.value}" for promise in promises})
    block.panel.links = runbook_links(plan.settings, kinds)
    block.panel.description += runbook_text(plan.settings, kinds)
    return block


def _with_runbook(plan: Plan, promise: Promise, block: Block) -> Block:
    return _with_runbooks(plan, [promise], block)
