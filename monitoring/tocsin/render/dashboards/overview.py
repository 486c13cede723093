"""The overview of all systems' promises: attained, budget left, burning now, each leading down to its system."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...errors import PlanError
from ...model import SinceSuccess
from ...plan import Plan, Settings, camel, dashboard_uid
from .assembly import assemble
from .heartbeats import heartbeat_blocks
from .layout import Section
from .links import OVERVIEW_UID, TAG, runbook_links, runbook_text, system_data_link, systems_dropdown
from .names import Names
from .panels import Block
from .promise_graphs import burn_downs
from .promise_math import Promise, promise_metrics, promise_windows
from .promise_tiles import share_blocks
from .variables import common_variables, has_stack, merge, name_variables

#: So many promises fit under each other in a panel, and their queries in one GetMetricData call.
_TOGETHER = 20
_TILES, _HALF, _FULL = (7, 7, 10), 12, 24


def slo_overview(plans: Iterable[Plan]) -> dict[str, Any]:
    """The Grafana dashboard of every promise of every system, in the order of their names.

    Raises PlanError for two systems with one dashboard and QuotaError for more promises than can be shown.
    """
    ordered = sorted(plans, key=lambda plan: plan.system.name)
    _refuse_twins(ordered)
    own = {plan.system.name: Names(plan, camel(plan.system.name)) for plan in ordered}
    promises = [promise for plan in ordered for promise in _promises(plan, own[plan.system.name])]
    shares = [promise for promise in promises if promise.slo.objective is not None]
    beats = [promise for promise in promises if isinstance(promise.slo.sli.measure, SinceSuccess)]
    settings = ordered[0].settings if ordered else Settings()
    sections: list[Section] = []
    for number, start in enumerate(range(0, len(shares), _TOGETHER), start=1):
        chunk = shares[start : start + _TOGETHER]
        first, last = chunk[0].label, chunk[-1].label
        title = "Promises" if len(shares) <= _TOGETHER else f"Promises, {first} to {last}"
        blocks = share_blocks(chunk, _TILES)
        downs = [burn_downs(window, group, _FULL) for window, group in promise_windows(chunk)]
        sections.append(_section(f"promises {number}", title, (*blocks, *downs), chunk, settings))
    for number, start in enumerate(range(0, len(beats), _TOGETHER), start=1):
        chunk = beats[start : start + _TOGETHER]
        blocks = heartbeat_blocks(chunk, _HALF)
        sections.append(_section(f"jobs {number}", "Jobs that must run", tuple(blocks), chunk, settings))
    names = [
        name_variables(plan, promise_metrics(planned.slo for planned in plan.slos), own[plan.system.name])
        for plan in ordered
        if plan.slos
    ]
    return assemble(
        uid=OVERVIEW_UID,
        title="SLO overview",
        description="Which promises are kept, and which budget is burning? A tile leads to its system.",
        tags=[TAG, "slo"],
        sections=sections,
        variables=merge(common_variables(alarms=False), *names),
        links=[systems_dropdown()],
        system=None,
    )


def _section(
    key: str, title: str, blocks: tuple[Block, ...], promises: Sequence[Promise], settings: Settings
) -> Section:
    """A row whose panels lead to the runbooks of the promises it shows."""
    kinds = sorted({f"slo-{promise.slo.sli.kind.value}" for promise in promises})
    for item in blocks:
        item.panel.links = runbook_links(settings, kinds)
        item.panel.description += runbook_text(settings, kinds)
    return Section(key, title, blocks)


def _promises(plan: Plan, names: Names) -> list[Promise]:
    stack = has_stack(promise_metrics(planned.slo for planned in plan.slos), names)
    link = (system_data_link(plan.system.name, names if stack else None),)
    return [Promise(planned, f"{plan.system.name} · {planned.slo.name}", names, link) for planned in plan.slos]


def _refuse_twins(plans: list[Plan]) -> None:
    uids: dict[str, str] = {}
    prefixes: dict[str, str] = {}
    for plan in plans:
        name = plan.system.name
        for taken, key in ((uids, dashboard_uid(name)), (prefixes, camel(name))):
            if key in taken:
                raise PlanError(
                    f"systems {taken[key]} and {name} would share one dashboard; give one of them a name that "
                    "differs in its letters and digits within the first 33 characters"
                )
            taken[key] = name
