"""``tocsin review``: the month's SLO review as one HTML file and as Markdown, from a history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import InputError, TocsinError, nearest
from .here import planned_here, project_here
from .options import PATH, examples, json_option, once, param_option
from .output import count, echo, print_json, print_table

if TYPE_CHECKING:
    from ..cloud.session import Cloud
    from ..history.engine import Engine
    from ..plan import Plan
    from ..project import Project
    from ..review.pack import ActionItem, Pack, Suggestion
    from ..review.summary import Row

_ACTIONS = "actions.toml"


@click.command(
    epilog=examples(
        "tocsin review --month 2026-10 --env prod",
        "tocsin review --month 2026-10 --env prod --system checkout -o review/checkout.html",
        "tocsin review --history s3://acme-slo-history/tocsin",
        "tocsin review --env prod --engine athena",
        "tocsin review --month 2026-10 --json",
    ),
)
@click.option("--month", multiple=True, callback=once, metavar="YYYY-MM", help="Default: the last full month.")
@click.option("--system", "systems", multiple=True, metavar="S", help="Only this system; may be repeated.")
@click.option(
    "--env", "environment", multiple=True, callback=once, metavar="ENV", help="Default: the only one of the history."
)
@click.option(
    "--history",
    "place",
    multiple=True,
    callback=once,
    metavar="FOLDER|s3://BUCKET/PREFIX",
    help="Where the history is; by default as the project's settings have it.",
)
@click.option(
    "--engine", type=click.Choice(["duckdb", "athena"]), default="duckdb", show_default=True, help="Who reads it."
)
@click.option("--workgroup", multiple=True, callback=once, help="Of Athena; default: that of `tocsin history stack`.")
@click.option("--database", multiple=True, callback=once, help="Of Athena; default: that of `tocsin history stack`.")
@click.option(
    "--series",
    type=PATH,
    multiple=True,
    help="A file of metric series, by which `tocsin tune` suggests thresholds; may be repeated.",
)
@param_option
@click.option(
    "--zone",
    multiple=True,
    callback=once,
    metavar="ZONE",
    help="Time zone of months, days and nights (default: the project's).",
)
@click.option(
    "-o", "--output", type=PATH, metavar="FILE.html", help="Default: <month>.html in the project's folder of reviews."
)
@click.option(
    "--actions",
    type=PATH,
    metavar="FILE",
    help="What earlier reviews decided; default: actions.toml in the project's folder of reviews.",
)
@json_option
def review(
    month: str | None,
    systems: tuple[str, ...],
    environment: str | None,
    place: str | None,
    engine: str,
    workgroup: str | None,
    database: str | None,
    series: tuple[Path, ...],
    parameters: dict[str, str],
    zone: str | None,
    output: Path | None,
    actions: Path | None,
    as_json: bool,
) -> None:
    """Make the pack that an SLO review is held over.

    One HTML file that needs no network, and Markdown beside it: what was promised and delivered, what spent the budget,
    whether the pages were worth it, what is to be decided. Decisions of earlier reviews come from actions.toml in the
    project's folder of reviews. With --json nothing is written unless -o says where.
    """
    if output is not None and output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"-o {output}: name a file that ends in .html; the Markdown goes beside it")
    if actions is not None and not actions.is_file():
        raise InputError(f"--actions {actions}: no such file")
    if parameters and not series:
        raise InputError("--param goes with --series: it names resources of the templates that are tuned")
    from ..review.make import make_pack
    from ..review.months import zone_named

    project = project_here()
    where = zone if zone is not None else project.timezone
    now = datetime.now(UTC)
    asked = month if month is not None else _last_full_month(now.astimezone(zone_named(where)))
    reader = _engine(project, engine, place, environment, workgroup, database)
    of = environment if environment is not None else _only_environment(reader)
    plans = _plans(project)
    pack = make_pack(
        reader,
        asked,
        of,
        where,
        systems or None,
        now,
        plans,
        actions if actions is not None else project.root / project.review / _ACTIONS,
        _suggestions(project, plans, systems, of, series, parameters),
    )
    written = (
        _write(pack, output or project.root / project.review / f"{pack.month}.html") if output or not as_json else ()
    )
    if as_json:
        from ..review.as_json import as_json as everything

        print_json(everything(pack))
        return
    _print(pack)
    echo(_shown(path) for path in written)


def _last_full_month(now: datetime) -> str:
    before = now.replace(day=1) - timedelta(days=1)
    return f"{before:%Y-%m}"


def _engine(
    project: Project,
    name: str,
    place: str | None,
    environment: str | None,
    workgroup: str | None,
    database: str | None,
) -> Engine:
    from ..history.engine import open_athena, open_duckdb

    def connection() -> Cloud:
        from ..cloud.environments import read_environments
        from ..cloud.preparation import connect_to
        from ..cloud.session import connect

        file = project.root / project.environments
        known = read_environments(file) if file.is_file() else {}
        target = known.get(environment) if environment is not None else None
        return connect_to(target) if target is not None else connect()

    if name == "athena":
        if place is not None:
            raise InputError("--history goes with --engine duckdb: Athena reads the tables of its --database")
        from ..render.history_stack import DATABASE, WORKGROUP

        return open_athena(connection(), workgroup or WORKGROUP, database or DATABASE)
    for option, value in (("--workgroup", workgroup), ("--database", database)):
        if value is not None:
            raise InputError(f"{option} goes with --engine athena")
    from ..history.store import open_store

    text = place if place is not None else project.history
    if "://" not in text:
        path = Path(text) if place is not None else project.root / text
        if not path.is_dir():
            raise InputError(
                f"{_shown(path)}: no history there; `tocsin history pull ENVIRONMENT` begins one, --history names another"
            )
        text = str(path)
    return open_duckdb(open_store(text, connection))


def _only_environment(reader: Engine) -> str:
    """The environment of a history that holds one."""
    known = [str(row[0]) for row in reader.rows("SELECT DISTINCT environment FROM promise ORDER BY environment")]
    if not known:
        from ..review.make import unread

        raise InputError(f"there is no history yet; run `tocsin history pull ENVIRONMENT` first{unread(reader)}")
    if len(known) > 1:
        raise InputError(f"the history holds {len(known)} environments: {', '.join(known)}; choose one with --env")
    return known[0]


def _plans(project: Project) -> list[Plan]:
    """What is declared now; nothing where a history is reviewed outside a project."""
    folder = project.root / project.systems
    return planned_here({})[1] if folder.is_dir() and any(folder.glob("[!_]*.py")) else []


def _suggestions(
    project: Project,
    plans: Sequence[Plan],
    systems: Sequence[str],
    environment: str,
    series: Sequence[Path],
    parameters: dict[str, str],
) -> tuple[Suggestion, ...]:
    """What `tocsin tune` makes of the series, for each system that has alarms which read any of them."""
    if not series:
        return ()
    from ..backtest.history import read_history
    from ..backtest.subject import declared_subjects
    from ..backtest.tune import tune
    from ..review.suggestions import tuned

    names = [plan.system.name for plan in plans]
    for system in systems:
        if system not in names:
            raise InputError(f"--series: no system {system!r} is declared here; {nearest(system, names)}")
    found: list[Suggestion] = []
    refused: list[TocsinError] = []
    judged = [plan for plan in plans if not systems or plan.system.name in systems]
    for plan in judged:
        template = project.root / project.alarms / f"{plan.system.name}.yaml"
        given = {"Environment": environment, **parameters}
        try:
            recorded = read_history(template, series, given)
            subjects = declared_subjects(plan, template, given)
            tuning = tune(recorded.template, recorded.store, None, recorded.start, recorded.end, subjects)
        except TocsinError as error:
            refused.append(error)
            continue
        found += tuned(tuning, plan.system.name)
    if refused and len(refused) == len(judged):
        raise refused[0]
    return tuple(found)


def _write(pack: Pack, path: Path) -> tuple[Path, ...]:
    from ..review.html import render_html
    from ..review.markdown import render_markdown
    from ..review.report_files import write_files

    beside = path.with_suffix(".md")
    write_files({path: render_html(pack), beside: render_markdown(pack)})
    return path, beside


def _shown(path: Path) -> str:
    """A path from the current folder, where it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else str(path)


def _print(pack: Pack) -> None:
    """The first page in the terminal."""
    from ..review import shown, summary
    from ..review.first_page import data_until, headline

    clock = shown.Clock.of(pack.zone, pack.span)
    echo(
        [
            f"SLO review of {shown.month_name(pack.month)}, {shown.plain(pack.environment)}: {data_until(pack, clock)}",
            headline(pack),
        ]
    )
    heads = ("system", "SLO", "objective", "attained", "error budget", "state")
    print_table("", heads, [_row(row) for row in summary.rows(pack)])
    echo(_below(pack, summary.overdue(pack)))


def _row(row: Row) -> tuple[str, ...]:
    from ..review import shown

    return (
        shown.plain(row.review.system),
        shown.plain(row.review.slo),
        row.objective,
        "; ".join((row.attained, *row.notes)),
        row.left,
        f"{shown.SIGNS[row.state]} {row.state.value}",
    )


def _below(pack: Pack, late: Sequence[ActionItem]) -> Iterator[str]:
    from ..review.gaps import gathered
    from ..review.shown import plain
    from ..review.summary import decisions_by_policy

    for policy, decisions in decisions_by_policy(pack):
        yield f"to be decided: {', '.join(plain(f'{one.system} {one.slo}') for one in decisions)}: {plain(policy)}"
    if late:
        yield f"{count(len(late), 'action item')} overdue"
    for gap in gathered(pack.gaps):
        yield f"missing: {plain(gap.where)}: {plain(gap.what)}"
