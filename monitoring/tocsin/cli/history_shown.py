"""What ``tocsin history`` prints: bars while it pulls, lines and JSON of what was pulled, rows of what is held."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from .output import count

if TYPE_CHECKING:
    from ..history.pull import Pulled, PulledOf
    from ..history.pull_metrics import Progress

_PERIODS = {60: "60 s", 300: "300 s", 3600: "1 h"}


@contextmanager
def progress_shown(names: Sequence[str], *, show: bool) -> Iterator[Progress]:
    """A bar for each system on standard error while it is a terminal; nothing elsewhere."""
    if not show or not sys.stderr.isatty():
        yield lambda _system, _done, _all: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks = {name: bars.add_task(name, total=None) for name in names}

        def step(system: str, done: int, of: int) -> None:
            bars.update(tasks[system], completed=done if of else 1, total=of or 1)

        yield step


def pulled_lines(pulled: Pulled, environment: str) -> Iterator[str]:
    asked = [system for system in pulled.systems if system.slos or system.problems]
    width = max((len(system.name) for system in asked), default=0)
    for system in asked:
        yield f"{system.name:{width}}  {_of_system(system)}"
    if pulled.alerts is not None:
        yield f"on-call tool: {count(pulled.alerts, 'alert')} new or changed"
    slos = sum(system.slos for system in asked)
    if pulled.since is None:
        yield f"{environment}: nothing new up to {pulled.until:%Y-%m-%d %H:%M} UTC for {count(len(asked), 'system')}: {count(slos, 'SLO')}"
        return
    least = " (the least that its limits allow)" if pulled.calls and pulled.calls <= pulled.fewest else ""
    yield (
        f"pulled {pulled.since:%Y-%m-%d} … {pulled.until:%Y-%m-%d} for {count(len(asked), 'system')}: "
        f"{count(slos, 'SLO')}, {count(pulled.calls, 'call')} of GetMetricData{least}, "
        f"{pulled.history_calls} of DescribeAlarmHistory"
    )


def _of_system(system: PulledOf) -> str:
    if not system.periods:
        return "incomplete" if system.problems else "up to date"
    periods = " and ".join(_PERIODS.get(period, f"{period} s") for period in system.periods)
    state = "incomplete" if system.problems else "complete"
    return f"{state}: {count(system.slos, 'SLO')} at {periods}; {count(system.calls, 'call')}"


def pulled_json(pulled: Pulled, notes: Sequence[str]) -> dict[str, Any]:
    return {
        "since": None if pulled.since is None else pulled.since.isoformat(),
        "until": pulled.until.isoformat(),
        "complete": pulled.complete,
        "get_metric_data": {"calls": pulled.calls, "fewest": pulled.fewest, "metrics": pulled.billed},
        "describe_alarm_history": {"calls": pulled.history_calls},
        "alerts": None if pulled.alerts is None else {"changed": pulled.alerts},
        "problems": list(pulled.problems),
        "notes": list(notes),
        "systems": [
            {
                "name": system.name,
                "slos": system.slos,
                "calls": system.calls,
                "periods": list(system.periods),
                "problems": list(system.problems),
            }
            for system in pulled.systems
        ],
    }


def held_rows(asked: Iterable[tuple[Any, ...]]) -> list[tuple[str, ...]]:
    """A row for each SLO; the share that was asked is that of the time between its first and last moment."""
    spans: dict[tuple[str, str, str], list[tuple[datetime, datetime]]] = {}
    for environment, system, slo, since, until, _ in asked:
        spans.setdefault((environment, system, slo), []).append((since, until))
    rows: list[tuple[str, ...]] = []
    for (environment, system, slo), those in sorted(spans.items()):
        first, last = min(since for since, _ in those), max(until for _, until in those)
        held = sum(((until - since) for since, until in those), timedelta())
        months = len({f"{since:%Y-%m}" for since, _ in those})
        share = f"{100 * held / (last - first):.4g} %"
        rows.append((environment, system, slo, str(months), f"{first:%Y-%m-%d %H:%M}", f"{last:%Y-%m-%d %H:%M}", share))
    return rows
