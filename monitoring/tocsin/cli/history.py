"""``tocsin history``: keeps how often promises were kept and what the alarms did, for reviews."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .here import project_here
from .history_shown import held_rows, progress_shown, pulled_json, pulled_lines
from .history_subjects import (
    alerts_of,
    deployed_systems,
    environment_of,
    plans_of,
    recorded_systems,
    since_of,
    vanished_systems,
)
from .options import PATH, examples, json_option, once, param_option
from .output import echo, print_json, print_table

if TYPE_CHECKING:
    from datetime import datetime

    from ..cloud.session import Cloud
    from ..history.source import AlertSource, Source
    from ..history.store import Store
    from ..project import Project

_FINDINGS = 1

_history_option = click.option(
    "--history",
    "place",
    multiple=True,
    callback=once,
    metavar="FOLDER|s3://BUCKET/PREFIX",
    help="Where the history is; by default as the project's settings have it.",
)


@click.group(epilog=examples("tocsin history pull prod", "tocsin history show"))
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
@click.option(
    "--no-alerts",
    is_flag=True,
    help="Do not ask the on-call tool when alerts were acknowledged and closed. Without it the tool is asked where "
    "deploy/oncall.toml lists ENVIRONMENT and its key is at hand.",
)
@param_option
@json_option
def pull(
    environment: str,
    systems: tuple[str, ...],
    since: str | None,
    place: str | None,
    recorded: Path | None,
    no_alerts: bool,
    parameters: dict[str, str],
    as_json: bool,
) -> None:
    """Add what CloudWatch still has of ENVIRONMENT, and what the on-call tool says of its alerts, to the history.

    Asks only for what is not there yet, and writes after every call, so that it can be ended at any time and run again.
    What cannot be had is told in a line each, and the exit code is 1.
    """
    from ..history.gaps import end_of_pull
    from ..history.pull import pull as pull_into

    project, plans = plans_of(systems, parameters)
    notes: list[str] = []
    source: Source
    alerts: AlertSource | None = None
    if recorded is not None:
        from ..history.recorded import read_recorded

        record = read_recorded(recorded)
        source, now, until, cloud = record, record.end, record.end, None
        begin: datetime | None = record.start
        found = recorded_systems(project, environment, plans, record.names)
    else:
        from ..history.cloudwatch import CloudWatch, present

        cloud, target = environment_of(project, environment)
        now, remark = present(cloud)
        notes += [remark] if remark else []
        source, until, begin = CloudWatch(cloud), end_of_pull(now), None
        found = deployed_systems(project, cloud, target, plans)
        if not no_alerts:
            alerts, remark = alerts_of(project, target, cloud)
            notes += [remark] if remark else []
    if since is not None:
        begin = since_of(since, now, until, project.timezone)
    store = _store(project, place, cloud)
    if not systems:
        found += vanished_systems(store, environment, found)
    with progress_shown([system.name for system in found], show=not as_json) as progress:
        pulled = pull_into(source, store, found, begin, until, now, progress, alerts)
    notes += pulled.notes
    if as_json:
        print_json(pulled_json(pulled, notes))
    else:
        echo(pulled_lines(pulled, environment))
        for note in notes:
            click.echo(f"note: {note}", err=True)
    for problem in pulled.problems:
        click.echo(f"tocsin: {problem}", err=True)
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
    rows = held_rows(asked)
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
