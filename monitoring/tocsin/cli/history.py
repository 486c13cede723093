"""``tocsin history``: keeps how often promises were kept and what the alarms did, for reviews."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError
from .here import planned_here, project_here
from .options import PATH, examples, json_option, once
from .output import count, echo, print_json, print_table

if TYPE_CHECKING:
    from ..cloud.session import Cloud
    from ..history.pull import Progress, Pulled, PulledOf, Source
    from ..history.store import Store
    from ..history.watched import PulledSystem
    from ..plan import Plan
    from ..project import Project

_FINDINGS = 1
_PERIODS = {60: "60 s", 300: "300 s", 3600: "1 h"}

_history_option = click.option(
    "--history",
    "place",
    multiple=True,
    callback=once,
    metavar="FOLDER|s3://BUCKET/PREFIX",
    help="Where the history is; by default as the project's settings have it.",
)


@click.group()
def history() -> None:
    """Keep how often each promise was kept, and what the alarms did, longer than CloudWatch does."""


@history.command(
    epilog=examples(
        "tocsin history pull prod",
        "tocsin history pull prod --system checkout --since 2026-09-01",
        "tocsin history pull prod --since 90d --history s3://acme-slo-history/tocsin",
        "tocsin history pull laptop --recorded recordings/october",
    ),
)
@click.argument("environment")
@click.option("--system", "systems", multiple=True, metavar="S", help="Only this system; may be repeated.")
@click.option(
    "--since",
    multiple=True,
    callback=once,
    metavar="TIME",
    help="How far back: 2026-09-01, 2026-09, a moment, or 28d. By default as far as the SLOs' windows need, at most 90 d, "
    "and from where the last pull ended.",
)
@_history_option
@click.option("--recorded", type=PATH, metavar="FOLDER", help="Pull from recorded series instead of from AWS.")
@json_option
def pull(
    environment: str,
    systems: tuple[str, ...],
    since: str | None,
    place: str | None,
    recorded: Path | None,
    as_json: bool,
) -> None:
    """Add what CloudWatch still has of ENVIRONMENT to the history.

    Asks only for what is not there yet, and writes after every call, so that it can be ended at any time and run again.
    What cannot be had is told in a line each, and the exit code is 1.
    """
    from ..history.gaps import end_of_pull
    from ..history.pull import pull as pull_into

    project, plans = _plans(systems)
    notes: list[str] = []
    source: Source
    if recorded is not None:
        from ..history.recorded import read_recorded

        record = read_recorded(recorded)
        source, now, until, cloud = record, record.end, record.end, None
        begin: datetime | None = record.start
        found = _recorded_systems(project, environment, plans, record.names)
    else:
        from ..history.cloudwatch import CloudWatch, present

        cloud, target = _environment(project, environment)
        now, remark = present(cloud)
        notes += [remark] if remark else []
        source, until, begin = CloudWatch(cloud), end_of_pull(now), None
        found = _deployed_systems(project, cloud, target, plans)
    if since is not None:
        begin = _since(since, now, until, project.timezone)
    store = _store(project, place, cloud)
    if not systems:
        found += _vanished(store, environment, found)
    with _progress([system.name for system in found], show=not as_json) as progress:
        pulled = pull_into(source, store, found, begin, until, now, progress)
    notes += pulled.notes
    if as_json:
        print_json(_pulled_json(pulled, notes))
    else:
        echo(_pulled_lines(pulled, environment))
        for note in notes:
            click.echo(f"note: {note}", err=True)
    for system in pulled.systems:
        for problem in system.problems:
            click.echo(f"tocsin: {system.name}: {problem}", err=True)
    if not pulled.complete:
        raise click.exceptions.Exit(_FINDINGS)


@history.command(epilog=examples("tocsin history show", "tocsin history show --history examples/month"))
@_history_option
@json_option
def show(place: str | None, as_json: bool) -> None:
    """Show what the history holds: of each SLO the months, and from when to when CloudWatch was asked."""
    from ..history.engine import open_duckdb

    store = _store(project_here(), place, None)
    engine = open_duckdb(store)
    asked = engine.rows("SELECT environment, system, slo, since, until, period FROM coverage")
    rows = _held(asked)
    if as_json:
        print_json(
            [
                dict(zip(("environment", "system", "slo", "months", "since", "until", "asked"), row, strict=True))
                for row in rows
            ]
        )
    elif rows:
        print_table(store.where, ("environment", "system", "SLO", "months", "from", "to", "asked"), rows)
    else:
        echo([f"{store.where}: no history yet; `tocsin history pull ENVIRONMENT` begins one"])
    for path, why in engine.skipped:
        click.echo(f"note: {path} cannot be read: {why}; the next pull puts it aside and asks again", err=True)


@history.command(epilog=examples("tocsin history stack > deploy/history.yaml"))
@click.option("-o", "--output", type=PATH, metavar="FILE", help="Write it there instead of printing it.")
def stack(output: Path | None) -> None:
    """Print the CloudFormation stack with which Athena reads a history in S3: tables, workgroup, and two policies."""
    from ..cloud.environments import read_environments
    from ..declarations import load_systems
    from ..render.history_stack import render_history_stack

    project = project_here()
    declared = load_systems(project.root, project.systems)
    environments = project.root / project.environments
    names = read_environments(environments) if environments.is_file() else ()
    text = render_history_stack([system.name for system in declared], names)
    if output is None:
        click.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8")
    echo([f"{output}: written; deploy it where the bucket of the history is"])


def _plans(systems: Sequence[str]) -> tuple[Project, list[Plan]]:
    if not systems:
        return planned_here({})
    project = project_here()
    found = {plan.system.name: plan for name in systems for plan in planned_here({}, name)[1]}
    return project, [found[name] for name in sorted(found)]


def _environment(project: Project, name: str) -> tuple[Cloud, Any]:
    from ..cloud.environments import read_environment
    from ..cloud.preparation import connect_to

    target = read_environment(project.root / project.environments, name)
    return connect_to(target), target


def _deployed_systems(project: Project, cloud: Cloud, target: Any, plans: Iterable[Plan]) -> list[PulledSystem]:
    from ..history.watched import names_in_account, read_template, watched

    found = []
    for plan in plans:
        template = read_template(project.root / project.alarms / f"{plan.system.name}.yaml", target.name)
        names, problems = names_in_account(cloud, target, plan.system.name, template)
        found.append(watched(plan.system, template, target.name, names, problems))
    return found


def _recorded_systems(
    project: Project, environment: str, plans: Iterable[Plan], names: Mapping[str, Mapping[str, str]]
) -> list[PulledSystem]:
    from ..history.watched import as_written, read_template, watched

    found = []
    for plan in plans:
        name = plan.system.name
        template = read_template(project.root / project.alarms / f"{name}.yaml", environment)
        found.append(watched(plan.system, template, environment, {**as_written(template), **names.get(name, {})}))
    return found


def _vanished(store: Store, environment: str, found: Iterable[PulledSystem]) -> list[PulledSystem]:
    """Systems that the history knows and nobody declares any more: their promises have ended."""
    from ..history.schema import PROMISE
    from ..history.store import keys_of
    from ..history.watched import PulledSystem

    known = {system for of, system, _ in map(keys_of, store.paths(PROMISE)) if of == environment}
    gone = known - {system.name for system in found}
    return [PulledSystem(environment, name, "", ()) for name in sorted(gone)]


def _store(project: Project, place: str | None, cloud: Cloud | None) -> Store:
    from ..history.store import open_store

    def connection() -> Cloud:
        from ..cloud.session import connect

        return cloud if cloud is not None else connect()

    text = place if place is not None else project.history
    if place is None and "://" not in text:
        path = project.root / text
        here = Path.cwd()
        text = str(path.relative_to(here) if path.is_relative_to(here) else path)
    return open_store(text, connection)


def _since(text: str, now: datetime, until: datetime, zone: str) -> datetime:
    """``2026-09-01`` and ``2026-09`` in the project's time zone, a moment, or a length of time before now."""
    from zoneinfo import ZoneInfo

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


@contextmanager
def _progress(names: Sequence[str], *, show: bool) -> Iterator[Progress]:
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


def _pulled_lines(pulled: Pulled, environment: str) -> Iterator[str]:
    asked = [system for system in pulled.systems if system.slos or system.problems]
    width = max((len(system.name) for system in asked), default=0)
    for system in asked:
        yield f"{system.name:{width}}  {_of_system(system)}"
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


def _pulled_json(pulled: Pulled, notes: Sequence[str]) -> dict[str, Any]:
    return {
        "since": None if pulled.since is None else pulled.since.isoformat(),
        "until": pulled.until.isoformat(),
        "complete": pulled.complete,
        "get_metric_data": {"calls": pulled.calls, "fewest": pulled.fewest, "metrics": pulled.billed},
        "describe_alarm_history": {"calls": pulled.history_calls},
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


def _held(asked: Iterable[tuple[Any, ...]]) -> list[tuple[str, ...]]:
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
