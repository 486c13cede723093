"""Opens the on-call tool of an environment: which file, whether the environment has on-call, with which key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ..cloud.environments import Environment, read_environments
from ..cloud.session import Cloud
from ..errors import InputError, nearest
from ..paging.declared import OnCall
from ..paging.oncall_file import find_faults, read_oncall
from ..paging.tool import OnCallTool
from ..paging.tools import open_tool
from .keys import read_key


@dataclass(frozen=True, slots=True)
class Opened:
    """The on-call of one environment: what is declared, and the tool it is declared for."""

    declared: OnCall
    environment: Environment
    cloud: Cloud = field(repr=False)
    tool: OnCallTool = field(repr=False)


def declared_for(path: Path, environment: Environment) -> OnCall:
    """What ``deploy/oncall.toml`` declares, for an environment that has on-call.

    Raises InputError for a file that cannot be used, for an environment without on-call, and for one that the file lists
    and nobody has described: whoever wrote it believes that its alarms page.
    """
    declared = read_oncall(path)
    if environment.oncall_url:  # a stand-in's, so that it takes part in nothing that the file lists
        return declared
    known = read_environments(Path(environment.path))
    for name in declared.environments:
        if name not in known:
            raise InputError(
                f"{declared.path}: environments: {environment.path} describes no {name!r}; {nearest(name, known)}"
            )
    if environment.name in declared.environments:
        return declared
    raise InputError(
        f"{declared.path}: environments does not list {environment.name}, so its alarms reach no on-call tool; "
        f"list it there, or give it a stand-in: {environment.path}: {environment.name}.oncall_url"
    )


def faults_of(declared: OnCall, systems: Mapping[str, Collection[str]], now: datetime) -> tuple[str, ...]:
    """What only shows together, such as an hour in which nobody is on call; a line each.  ``systems`` are by owner."""
    return find_faults(declared, systems, now, systems)


def open_oncall(declared: OnCall, environment: Environment, cloud: Cloud) -> Opened:
    """The tool, opened with its key.  Sends the tool nothing.  Raises InputError, CloudError and PagingError."""
    key = read_key(declared, lambda: cloud)
    tool = open_tool(declared, key, environment.oncall_url or None)
    return Opened(declared, environment, cloud, tool)
