"""What is wrong with ``deploy/oncall.toml``: somebody who would not be woken, or a page that would not arrive."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from ..errors import nearest
from ..findings import Finding
from ..paging.fault import FaultKind
from ..paging.faults import judge
from ..paging.oncall_file import read_oncall
from ..plan import Plan

_RULES = {
    FaultKind.OWNER: "T063",
    FaultKind.HOURS: "T064",
    FaultKind.ESCALATION: "T065",
    FaultKind.ROUTE: "T066",
    FaultKind.WATCH: "T067",
}


def on_call(root: Path, file: str, environments: str, plans: list[Plan], now: datetime) -> Iterator[Finding]:
    """The faults of ``file`` against the owners of all planned systems and the described ``environments``.

    Both files are below ``root``; a project need not have them.  ``now`` is aware.  Raises InputError for an on-call file
    that cannot be read.
    """
    path = root / file
    if not path.exists():
        return
    systems: dict[str, list[str]] = {}
    for plan in plans:
        systems.setdefault(plan.system.owner, []).append(plan.system.name)
    declared = read_oncall(path)
    known = _described(root / environments)
    for name in declared.environments:
        if known is not None and name not in known:
            yield Finding("T068", file, f"environments: {environments} describes no {name!r}; {nearest(name, known)}")
    for fault in judge(declared, systems, now, systems):
        yield Finding(_RULES[fault.kind], file, f"{fault.where}: {fault.message}")


def _described(path: Path) -> tuple[str, ...] | None:
    """The names of the environments; None where there is no such file, or none that a deployment would take."""
    try:
        return tuple(sorted(tomllib.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError):
        return None
