"""``tocsin tune``: better thresholds for alarms on causes, from history."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import InputError
from .options import PATH, examples, json_option, metric_option, once, param_option
from .output import echo, print_json


@click.command(
    epilog=examples(
        "tocsin tune checkout --series history.jsonl --labels incidents.jsonl",
        "tocsin tune --template alarms.yaml --series history.jsonl --labels incidents.jsonl --json",
    ),
)
@click.argument("system", required=False)
@click.option("--template", type=PATH, help="Tune the alarms of this template instead of a declared system's.")
@click.option("--series", type=PATH, multiple=True, required=True, help="A file of metric series; may be repeated.")
@metric_option
@click.option(
    "--labels",
    type=PATH,
    multiple=True,
    help="When there were incidents; without it the history is taken as healthy; may be repeated.",
)
@click.option(
    "--from",
    "start",
    multiple=True,
    callback=once,
    metavar="TIME",
    help="First moment to look at, such as 2026-01-01T00:00:00Z.",
)
@click.option("--to", "end", multiple=True, callback=once, metavar="TIME", help="Last moment to look at.")
@param_option
@json_option
def tune(
    system: str | None,
    template: Path | None,
    series: tuple[Path, ...],
    metrics: tuple[str, ...],
    labels: tuple[Path, ...],
    start: str | None,
    end: str | None,
    parameters: dict[str, str],
    as_json: bool,
) -> None:
    """Propose thresholds and M of N for alarms on causes, each with what it does now and would do.

    Only proposes: what is printed is for a person to paste into the declaration, or into the template.
    """
    from ..backtest.history import read_history
    from ..backtest.subject import declared_subjects, written_subjects
    from ..backtest.tune import tune as find

    if (system is None) == (template is None):
        raise InputError("name a declared system or give --template, one of the two")
    plan = None
    if template is None:
        from .here import planned_here

        project, (plan,) = planned_here({}, system)
        template = project.root / project.alarms / f"{plan.system.name}.yaml"
    history = read_history(template, series, parameters, metrics=metrics, labels=labels or None, start=start, end=end)
    if plan is None:
        subjects = written_subjects(history.template, template, parameters)
    else:
        subjects = declared_subjects(plan, template, parameters)
    tuning = find(history.template, history.store, history.incidents, history.start, history.end, subjects)
    if as_json:
        print_json(tuning.as_json())
        return
    echo(tuning.lines())
