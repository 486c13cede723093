"""What ``tocsin history pull`` asks for and of whom: systems with their names in the account, and the on-call tool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from ..errors import InputError, TocsinError
from .here import planned_here, project_here

if TYPE_CHECKING:
    from ..cloud.environments import Environment
    from ..cloud.session import Cloud
    from ..history.source import AlertSource
    from ..history.store import Store
    from ..history.watched import PulledSystem
    from ..plan import Plan
    from ..project import Project


def plans_of(systems: Sequence[str], parameters: dict[str, str]) -> tuple[Project, list[Plan]]:
    """The plans of these systems, or of all, by name; a system that is not declared raises InputError."""
    if not systems:
        return planned_here(parameters)
    project = project_here()
    found = {plan.system.name: plan for name in systems for plan in planned_here(parameters, name)[1]}
    return project, [found[name] for name in sorted(found)]


def environment_of(project: Project, name: str) -> tuple[Cloud, Any]:
    """The environment's account, and what is said of it.  Raises InputError and CloudError."""
    from ..cloud.environments import read_environment
    from ..cloud.preparation import connect_to

    target = read_environment(project.root / project.environments, name)
    return connect_to(target), target


def deployed_systems(project: Project, cloud: Cloud, target: Any, plans: Iterable[Plan]) -> list[PulledSystem]:
    """The systems with the names that their metrics have in the account."""
    from ..history.watched import names_in_account, read_template, watched

    found = []
    for plan in plans:
        template = read_template(project.root / project.alarms / f"{plan.system.name}.yaml", target.name)
        names, problems = names_in_account(cloud, target, plan.system.name, template)
        found.append(watched(plan.system, template, target.name, names, problems))
    return found


def recorded_systems(
    project: Project, environment: str, plans: Iterable[Plan], names: Mapping[str, Mapping[str, str]]
) -> list[PulledSystem]:
    """The systems with the names that their metrics have in a recording."""
    from ..history.watched import as_written, read_template, watched

    found = []
    for plan in plans:
        name = plan.system.name
        template = read_template(project.root / project.alarms / f"{name}.yaml", environment)
        found.append(watched(plan.system, template, environment, {**as_written(template), **names.get(name, {})}))
    return found


def vanished_systems(store: Store, environment: str, found: Iterable[PulledSystem]) -> list[PulledSystem]:
    """Systems that the history knows and nobody declares any more: their promises have ended."""
    from ..history.layout import keys_of
    from ..history.schema import PROMISE
    from ..history.watched import PulledSystem

    known = {system for of, system, _ in map(keys_of, store.paths(PROMISE)) if of == environment}
    gone = known - {system.name for system in found}
    return [PulledSystem(environment, name, "", ()) for name in sorted(gone)]


def alerts_of(project: Project, target: Environment, cloud: Cloud) -> tuple[AlertSource | None, str | None]:
    """The on-call tool of an environment as a source of alerts, or why it cannot be one.

    Neither for an environment that is on call nowhere.  Sends the tool nothing.
    """
    from ..oncall.opening import declared_for, open_oncall
    from ..paging.oncall_file import read_oncall

    path = project.root / project.oncall
    if not path.is_file():
        return None, None
    try:
        if not target.oncall_url and target.name not in read_oncall(path).environments:
            return None, None
        tool = open_oncall(declared_for(path, target), target, cloud).tool
    except TocsinError as error:
        return None, f"alerts of the on-call tool are not pulled: {error}"
    if tool.tells_no_past:
        return None, f"alerts of the on-call tool are not pulled: {tool.tells_no_past}"
    return tool.past_alerts, None


def since_of(text: str, now: datetime, until: datetime, zone: str) -> datetime:
    """``2026-09-01`` and ``2026-09`` in the project's time zone, a moment, or a length of time before now."""
    from ..history.gaps import rounded_down
    from ..units import duration

    at: datetime | None = None
    try:
        plain = f"{text}-01" if len(text) == len("2026-09") and text.count("-") == 1 else text
        read = datetime.fromisoformat(plain)
        at = (read if read.tzinfo is not None else read.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    except (ValueError, OverflowError):
        try:
            at = now - duration(text)
        except (InputError, OverflowError):
            raise InputError(
                f"--since {text!r}: no time; write it as 2026-09-01, 2026-09, 2026-09-01T06:00Z or 28d"
            ) from None
    if at > now:
        raise InputError(f"--since {text}: lies in the future; it is {now:%Y-%m-%d %H:%M} UTC")
    if at >= until:
        raise InputError(
            f"--since {text}: nothing to ask yet; metrics are asked up to {until:%Y-%m-%d %H:%M} UTC, as they arrive late"
        )
    return rounded_down(at, 60)
