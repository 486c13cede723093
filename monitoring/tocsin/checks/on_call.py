"""What is wrong with ``deploy/oncall.toml``: somebody who would not be woken, or a page that would not arrive."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from ..findings import Finding
from ..paging.faults import FaultKind, judge
from ..paging.oncall_file import read_oncall
from ..plan import Plan

_RULES = {
    FaultKind.OWNER: "T063",
    FaultKind.HOURS: "T064",
    FaultKind.ESCALATION: "T065",
    FaultKind.ROUTE: "T066",
    FaultKind.WATCH: "T067",
}


def on_call(path: Path, shown: str, plans: list[Plan], now: datetime) -> Iterator[Finding]:
    """The faults of the file against the owners of all planned systems; a project need not have one.

    ``now`` is aware.  Raises InputError for a file that cannot be read.
    """
    if not path.exists():
        return
    systems: dict[str, list[str]] = {}
    for plan in plans:
        systems.setdefault(plan.system.owner, []).append(plan.system.name)
    for fault in judge(read_oncall(path), systems, now, systems):
        yield Finding(_RULES[fault.kind], shown, f"{fault.where}: {fault.message}")
