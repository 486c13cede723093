"""``tocsin backtest``: are these alarms good?  Scenarios, or recorded history with labelled incidents."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import InputError, nearest
from .here import planned_here
from .options import PATH, examples, json_option, metric_option, once, param_option
from .output import echo, print_json

if TYPE_CHECKING:
    from ..backtest.labelled import Scores
    from ..backtest.promises import Promise
    from ..backtest.report import ScenarioReport
    from ..backtest.scenarios import Scenario
    from ..plan import Plan
    from ..project import Project

FINDINGS = 1


@click.command(
    epilog=examples(
        "tocsin backtest checkout",
        "tocsin backtest checkout --scenario full-outage --slo api-availability --plot outage.png",
        "tocsin backtest checkout --against alarms-of-the-branch.yaml",
        "tocsin backtest checkout --series march.json --labels incidents.json --param CheckoutApiName=checkout",
        "tocsin backtest --template anybodys.yaml --series march.json --labels incidents.json --json",
    ),
)
@click.argument("system", required=False)
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    metavar="NAME",
    help="Only this scenario; may be repeated; a NAME that there is not lists them all.",
)
@click.option("--slo", "slos", multiple=True, metavar="NAME", help="Only this SLO; may be repeated.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the random numbers (default: 1).")
@click.option(
    "--events",
    type=click.FloatRange(min=0, min_open=True, max=1_000_000),
    metavar="NUMBER",
    help="Events a minute in ordinary times (default: 100).",
)
@click.option("--against", type=PATH, metavar="OTHER.yaml", help="Judge this template too and print the differences.")
@click.option("--template", type=PATH, help="Judge this rendered template (default: the committed one of the system).")
@click.option("--series", type=PATH, multiple=True, help="Judge by this file of metric series; may be repeated.")
@metric_option
@click.option(
    "--labels",
    type=PATH,
    multiple=True,
    help="A file that says when there was an incident (with --series); may be repeated.",
)
@click.option(
    "--from", "start", multiple=True, callback=once, metavar="TIME", help="First moment to judge (with --series)."
)
@click.option("--to", "end", multiple=True, callback=once, metavar="TIME", help="Last moment to judge (with --series).")
@click.option("--plot", type=PATH, metavar="FILE", help="Draw it: .png, .svg or .pdf; one --scenario and one --slo.")
@param_option
@json_option
def backtest(
    system: str | None,
    scenarios: tuple[str, ...],
    slos: tuple[str, ...],
    seed: int | None,
    events: float | None,
    against: Path | None,
    template: Path | None,
    series: tuple[Path, ...],
    metrics: tuple[str, ...],
    labels: tuple[Path, ...],
    start: str | None,
    end: str | None,
    plot: Path | None,
    parameters: dict[str, str],
    as_json: bool,
) -> None:
    """Say how good the alarms of a system are: what they tell, how soon, how often for nothing.

    Without --series: every scenario of the library against every SLO of SYSTEM, and a healthy year.  With --series: all
    alarms over recorded history, held against the incidents in --labels.  Exit code 1 if there are findings.
    """
    if events is not None and math.isnan(events):
        raise InputError("--events nan: give a number of events a minute, such as 100")
    if series:
        about_scenarios = {
            "--scenario": bool(scenarios),
            "--slo": bool(slos),
            "--seed": seed is not None,
            "--events": events is not None,
        }
        for option, given in about_scenarios.items():
            if given:
                raise InputError(f"{option} is about scenarios and --series about recorded history; give one of them")
        judged = _template(system, template)
        _recorded(judged, against, series, metrics, labels, start, end, plot, parameters, as_json)
        return
    about_history = {"--labels": labels or None, "--metric": metrics or None, "--from": start, "--to": end}
    for option, value in about_history.items():
        if value is not None:
            raise InputError(f"{option} goes with --series, the recorded history that it is about")
    if system is None:
        raise InputError("name a system to run scenarios against, or give --series to judge by recorded history")
    _scenarios(
        system,
        scenarios,
        slos,
        1 if seed is None else seed,
        events,
        against,
        template,
        plot,
        parameters,
        as_json,
    )


def _scenarios(
    system: str,
    names: Sequence[str],
    slos: Sequence[str],
    seed: int,
    events: float | None,
    against: Path | None,
    template: Path | None,
    plot: Path | None,
    parameters: dict[str, str],
    as_json: bool,
) -> None:
    """Run the library, print what came of it, and end with the exit code that says so."""
    if plot is not None and (len(set(names)), len(set(slos)), against) != (1, 1, None):
        raise InputError(
            "--plot draws one scenario of one SLO of one template: give one --scenario, one --slo, no --against"
        )
    project, (plan,) = planned_here({}, only=system)
    if not plan.slos:
        raise InputError(f"{system}: declares no SLO, so there is no promise to run scenarios against")
    _refuse_unknown_slo(system, slos, [planned.slo.name for planned in plan.slos])

    from ..backtest.promises import declared_slos, read_promises
    from ..backtest.report import not_evaluated, run_library, steps
    from ..backtest.scenarios import USUAL, chosen

    if plot is not None:
        from ..backtest.plot import plot_format

        plot_format(plot)
    library = chosen(names)
    committed = template or project.root / project.alarms / f"{system}.yaml"
    if template is None:
        _refuse_stale(project, plan)
    judged: list[tuple[str, Path, Sequence[Promise]]] = []
    for path in (committed, against):
        if path is not None:
            ours = path is committed and template is None
            # What one of two templates lacks is a difference between them; one that has nothing to compare is refused.
            found = read_promises(plan, path, parameters, slos, committed=ours, whole=against is None)
            if not found and path is committed:
                read_promises(plan, path, parameters, slos, committed=ours)
            shown = f"{project.alarms}/{system}.yaml" if path is committed and template is None else str(path)
            judged.append((shown, path, found))
    _refuse_nothing_to_run(library, judged[0][2])
    years = not names
    reports: list[ScenarioReport] = []
    with _progress(sum(steps(promises, library, years=years) for _, _, promises in judged)) as step:
        for shown, path, promises in judged:
            reports.append(
                run_library(
                    promises,
                    library,
                    shown,
                    seed=seed,
                    usual=USUAL if events is None else events,
                    years=years,
                    refused=not_evaluated(path, parameters),
                    step=step,
                )
            )
    if plot is not None:
        from ..backtest.plot import plot_run

        plot_run(reports[0].runs[0], plot)
    if len(reports) == 2:
        from ..backtest.compare import compare_scenarios

        difference = compare_scenarios(*reports)
        if against is not None and not slos:
            known = {planned.slo.name for planned in plan.slos}
            gone = [f"SLO {name}, which is not declared here" for name in declared_slos(against) if name not in known]
            difference = replace(difference, only_there=(*difference.only_there, *gone))
        _print(difference.as_json, difference.lines, as_json)
    else:
        _print(reports[0].as_json, reports[0].lines, as_json)
    if reports[0].findings:
        sys.exit(FINDINGS)


def _recorded(
    template: Path,
    against: Path | None,
    series: Sequence[Path],
    metrics: Sequence[str],
    labels: Sequence[Path],
    start: str | None,
    end: str | None,
    plot: Path | None,
    parameters: dict[str, str],
    as_json: bool,
) -> None:
    """Score the alarms over recorded history, print that, and end with the exit code that says so."""
    if plot is not None and against is not None:
        raise InputError("--plot draws one template; leave --against out")
    from ..backtest.history import read_history
    from ..backtest.labelled import backtest_labelled

    if plot is not None:
        from ..backtest.plot import plot_format

        plot_format(plot)
    here = read_history(template, series, parameters, metrics=metrics, labels=labels or None, start=start, end=end)
    scores: Scores = backtest_labelled(here.template, here.store, here.incidents, here.start, here.end)
    if not scores.alarms:
        refused = f"; {scores.refused[0].name}: {scores.refused[0].reason}" if scores.refused else ""
        raise InputError(f"no alarm of {template} has data between the first and the last moment judged{refused}")
    if plot is not None and scores.timeline is not None:
        from ..backtest.plot import plot_timeline

        plot_timeline(scores.timeline, here.store, scores.incidents, plot, template=here.template)
    if against is not None:
        from ..backtest.compare import compare_scores
        from ..simulate.template import read_template

        other = read_template(against, parameters)
        there = backtest_labelled(other, here.store, here.incidents, here.start, here.end)
        difference = compare_scores(scores, there)
        _print(difference.as_json, difference.lines, as_json)
    else:
        _print(scores.as_json, scores.lines, as_json)
    if scores.findings:
        sys.exit(FINDINGS)


def _template(system: str | None, template: Path | None) -> Path:
    """The rendered template that is judged.  Raises InputError."""
    if system is None:
        if template is None:
            raise InputError("name a system, or give --template, whose alarms are to be judged")
        return template
    project, (plan,) = planned_here({}, only=system)
    path = template or project.root / project.alarms / f"{system}.yaml"
    if not path.is_file():
        raise InputError(
            f"{path}: no such file" + ("" if template else "; `tocsin build` writes the alarms of a system")
        )
    if template is None:
        _refuse_stale(project, plan)
    return path


def _refuse_stale(project: Project, plan: Plan) -> None:
    """A file of alarms that is there and not what the declaration renders: what it does says nothing of the declaration."""
    from ..workspace import compare, generate_for_templates

    path = f"{project.alarms}/{plan.system.name}.yaml"
    declared = next((file for file in generate_for_templates([plan], project) if file.path == path), None)
    if declared is None or not (project.root / path).is_file():
        return
    if compare(project.root, [declared]):
        raise InputError(
            f"{path} is not what the declaration renders; run `tocsin build`, or judge the file as it is with --template"
        )


def _refuse_unknown_slo(system: str, asked: Sequence[str], known: Sequence[str]) -> None:
    for name in asked:
        if name not in known:
            raise InputError(f"--slo {name}: {system} has no such SLO; {nearest(name, known)}")


def _refuse_nothing_to_run(library: Sequence[Scenario], promises: Sequence[Promise]) -> None:
    """A choice of scenarios of which none is about any of the SLOs that were chosen."""
    reasons = [(promise, scenario, scenario.left_out(promise.slo)) for promise in promises for scenario in library]
    if reasons and all(reason is not None for _, _, reason in reasons):
        promise, scenario, reason = reasons[0]
        raise InputError(f"nothing to run: {scenario.name} for {promise.slo.name}: {reason}")


def _print(as_json: Callable[[], object], lines: Callable[[], Iterator[str]], wanted: bool) -> None:
    if wanted:
        print_json(as_json())
    else:
        echo(lines())


@contextmanager
def _progress(steps: int) -> Iterator[Callable[[str], None]]:
    """A bar on standard error while it is a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda what: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=steps)
        begun = False

        def step(what: str) -> None:
            nonlocal begun
            bar.update(task, advance=int(begun), description=what)
            begun = True

        yield step
