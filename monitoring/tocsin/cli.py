"""The command line: parse, call, print, exit code.  0 is fine, 1 is findings, 2 is wrong input."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .errors import InputError, TocsinError

if TYPE_CHECKING:
    from .model import System
    from .plan import Plan
    from .project import Project

FINDINGS, WRONG_INPUT = 1, 2


class _Group(click.Group):
    """Turns every error a user can mend into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.  An error of ours is printed without a traceback."""
        try:
            return super().invoke(ctx)
        except TocsinError as error:
            click.echo(f"tocsin: {error}", err=True)
            ctx.exit(WRONG_INPUT)
        except BrokenPipeError:  # the reader, such as `head`, has seen enough
            sys.stderr.close()
            ctx.exit(0)


def _examples(*lines: str) -> str:
    """The epilog of a command: examples, kept as they are written."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _parameters(_ctx: click.Context, _option: click.Parameter, values: Iterable[str]) -> dict[str, str]:
    parameters = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE")
        parameters[name] = value
    return parameters


def _param_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--param",
        "parameters",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_parameters,
        help="Value of a template's parameter; may be given several times.",
    )(command)


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a machine to read.")
_PATH = click.Path(path_type=Path)


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_examples(
        "tocsin discover template.yaml",
        "tocsin build --template template.yaml --name checkout --out monitoring-of-checkout",
        "tocsin init --template template.yaml --name checkout --owner payments",
        "tocsin build && tocsin check",
    ),
)
@click.version_option(package_name="tocsin")
def main() -> None:
    """Alarms, SLO burn-rate alarms, dashboards and runbooks for AWS, from what you promised your users."""


@main.command(
    epilog=_examples("tocsin discover template.yaml", "tocsin discover cdk.out/Shop.template.json --json"),
)
@click.argument("template", type=_PATH)
@_param_option
@_json_option
def discover(template: Path, parameters: dict[str, str], as_json: bool) -> None:
    """List what TEMPLATE's resources are watched for, and what is not watched and why."""
    from .discovery import as_json as stack_json
    from .discovery import discover as read

    stack = read(template, parameters)
    if as_json:
        _print_json(stack_json(stack))
        return
    for warning in stack.warnings:
        click.echo(f"note: {warning}", err=True)
    rows = [
        (resource.logical_id, resource.type, resource.name or "(named when deployed)", _marks(resource))
        for resource in stack.resources
    ]
    _print_table(f"{len(rows)} watched", ("Resource", "Type", "Name", ""), rows)
    _print_table(
        f"{len(stack.unwatched)} not watched",
        ("Resource", "Type", "Reason"),
        [(unwatched.logical_id, unwatched.type, unwatched.reason) for unwatched in stack.unwatched],
    )


def _marks(resource: Any) -> str:
    marks = []
    if resource.role == "dlq":
        marks.append("dead-letter queue")
    if resource.conditional:
        marks.append("conditional")
    return ", ".join(marks)


@main.command(
    epilog=_examples(
        "tocsin build",
        "tocsin build --template template.yaml --name checkout --out monitoring-of-checkout",
        "tocsin build --templates templates/ --out out",
    ),
)
@click.option("--template", type=_PATH, help="Build for this template alone, without a declaration.")
@click.option("--templates", type=_PATH, help="Build for every template in this folder, one system per file.")
@click.option("--name", help="Name of the system (with --template; default: the file's name).")
@click.option("--owner", default="on-call", show_default=True, help="Team that is told (with --template, --templates).")
@click.option("--out", type=_PATH, help="Folder to write to (with --template, --templates; default: here).")
@_param_option
@_json_option
def build(
    template: Path | None,
    templates: Path | None,
    name: str | None,
    owner: str,
    out: Path | None,
    parameters: dict[str, str],
    as_json: bool,
) -> None:
    """Write alarms, dashboards, routing, SLOs.md and indexes.

    Without options: for everything this repository declares.  With --template or --templates: ticket alarms, a
    dashboard and runbooks from templates alone.
    """
    from .plan import plan
    from .workspace import generate, generate_for_templates, write

    if template is None and templates is None:
        for option, value in (("--name", name), ("--out", out)):
            if value is not None:
                raise InputError(f"{option} goes with --template or --templates")
        project, plans = _planned(parameters)
        files = generate(plans, project)
        written = write(project.root, files, (project.alarms, project.dashboards))
    else:
        if template is not None and templates is not None:
            raise InputError("give --template or --templates, not both")
        if templates is not None and name is not None:
            raise InputError("--name goes with --template; systems built with --templates are named after their files")
        project = _project(Path.cwd())
        plans = [
            plan(system, project.settings) for system in _from_templates(template, templates, name, owner, parameters)
        ]
        root = out or Path()
        files = generate_for_templates(plans, project)
        written = write(root, files)
    if as_json:
        _print_json(
            {
                "written": list(written.written),
                "unchanged": list(written.unchanged),
                "removed": list(written.removed),
                "systems": {plan.system.name: {"alarms": len(plan.alarms), "slos": len(plan.slos)} for plan in plans},
            }
        )
        return
    for path in written.written:
        click.echo(f"wrote    {path}")
    for path in written.removed:
        click.echo(f"removed  {path}")
    alarms = sum(len(plan.alarms) for plan in plans)
    click.echo(
        f"{_count(len(plans), 'system')}, {_count(alarms, 'alarm')}: {_count(len(written.written), 'file')} written, "
        f"{len(written.unchanged)} unchanged"
    )


def _from_templates(
    template: Path | None, templates: Path | None, name: str | None, owner: str, parameters: dict[str, str]
) -> list[System]:
    from .discovery import discover as read
    from .model import System

    if template is not None:
        return [System(name or system_name(template), owner, read(template, parameters))]
    assert templates is not None
    if not templates.is_dir():
        raise InputError(f"{templates}: no such folder")
    found: dict[str, Path] = {}
    systems = []
    files = sorted(
        path
        for path in templates.iterdir()
        if path.is_file() and path.suffix in (".yaml", ".yml", ".json", ".template")
    )
    if not files:
        raise InputError(f"{templates}: holds no .yaml, .yml, .json or .template file")
    for path in files:
        own = system_name(path)
        if own in found:
            raise InputError(f"{path} and {found[own]} would both be system {own!r}; rename one file")
        found[own] = path
        systems.append(System(own, owner, read(path, parameters, ignore_unknown=parameters.keys())))
    return systems


def system_name(template: Path) -> str:
    """A system's name from its template's file name; ``template.yaml`` takes the folder's."""
    import re

    stem = template.name.split(".")[0]
    if stem.lower() in ("template", "stack", "cloudformation", "main"):
        stem = template.resolve().parent.name
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:63].strip("-")
    return name if name[:1].isalpha() else f"system-{name}"[:63].strip("-")


@main.command(
    epilog=_examples("tocsin check", "tocsin check --budget 50", "tocsin check --json", "tocsin explain T001"),
)
@click.option("--budget", type=click.FloatRange(min=0), help="Most US dollars a month that all alarms may cost.")
@click.option("--template", type=_PATH, help="Check an alarm template that somebody else wrote.")
@_param_option
@_json_option
def check(budget: float | None, template: Path | None, parameters: dict[str, str], as_json: bool) -> None:
    """Find drift, broken quotas, alarms that can never fire and what it all costs.  Exit code 1 if there are findings."""
    from .check import check_project, check_template

    if template is not None:
        report = check_template(template, parameters, budget)
    else:
        project, plans = _planned(parameters)
        report = check_project(project, plans, budget)
    if as_json:
        _print_json(report.as_json())
    else:
        for finding in report.findings:
            click.echo(f"{finding.where}: {finding.id} {finding.message}")
            if finding.detail:
                click.echo(finding.detail.rstrip("\n"))
        _print_table(
            "Monthly cost, US East list price",
            ("System", "SLO or resource", "Alarms", "USD"),
            [(line.system, line.subject, str(line.alarms), f"{line.usd:.2f}") for line in report.costs],
        )
        click.echo(
            f"{_count(report.alarms, 'alarm')}, USD {report.usd:.2f} a month, {_count(len(report.findings), 'finding')}"
        )
    if report.findings:
        sys.exit(FINDINGS)


@main.command(epilog=_examples("tocsin explain", "tocsin explain T012"))
@click.argument("finding", required=False)
@_json_option
def explain(finding: str | None, as_json: bool) -> None:
    """Explain a finding of `tocsin check`; without FINDING, list them all."""
    from .errors import nearest
    from .findings import FINDINGS as KNOWN

    if finding is None:
        if as_json:
            _print_json([{"id": rule.id, "title": rule.title} for rule in KNOWN.values()])
            return
        for rule in KNOWN.values():
            click.echo(f"{rule.id}  {rule.title}")
        return
    rule = KNOWN.get(finding.upper())  # type: ignore[assignment]
    if rule is None:
        raise InputError(f"no finding {finding!r}; {nearest(finding.upper(), KNOWN)}")
    if as_json:
        _print_json({"id": rule.id, "title": rule.title, "why": rule.why, "mend": rule.mend})
        return
    click.echo(f"{rule.id}  {rule.title}\n\n{rule.why}\n\nWhat to do: {rule.mend}")


@main.command(
    epilog=_examples(
        "tocsin simulate --template alarms/checkout.yaml --series traffic.json",
        "tocsin simulate --template alarms/checkout.yaml --series a.json b.json --param CheckoutApiName=checkout --json",
    ),
)
@click.option("--template", type=_PATH, required=True, help="A rendered CloudFormation template with alarms.")
@click.option("--series", type=_PATH, multiple=True, required=True, help="A file of metric series; may be repeated.")
@click.argument("more_series", type=_PATH, nargs=-1)
@click.option("--from", "start", metavar="TIME", help="First moment to evaluate, such as 2026-01-01T00:00:00Z.")
@click.option("--to", "end", metavar="TIME", help="Last moment to evaluate.")
@_param_option
@_json_option
def simulate(
    template: Path,
    series: tuple[Path, ...],
    more_series: tuple[Path, ...],
    start: str | None,
    end: str | None,
    parameters: dict[str, str],
    as_json: bool,
) -> None:
    """Say when each alarm of a template would have changed state, and what would have been told to whom."""
    from .simulate.report import lines, run

    result = run(template, (*series, *more_series), parameters, start, end)
    if as_json:
        _print_json(result.as_json())
        return
    _echo(lines(result))


@main.command(
    epilog=_examples("tocsin deploy dev --plan", "tocsin deploy prod --system checkout", "tocsin deploy prod --yes"),
)
@click.argument("environment")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would change and change nothing.")
@click.option("--system", "systems", multiple=True, help="Deploy the alarms of this system only; may be repeated.")
@click.option("--yes", is_flag=True, help="Do not ask, even for a protected environment.")
@_param_option
@_json_option
def deploy(
    environment: str, plan_only: bool, systems: tuple[str, ...], yes: bool, parameters: dict[str, str], as_json: bool
) -> None:
    """Bring ENVIRONMENT's alarms and routing to what is committed, by CloudFormation change sets.

    The names of what is watched come from its deployed stacks.  A second run changes nothing.
    """
    from .cloud.committed import Committed
    from .cloud.deploy import deploy as deploy_stacks
    from .cloud.deploy import plan_deployment
    from .cloud.environments import read_environment
    from .cloud.wording import as_json as stack_json
    from .cloud.wording import happened, planned

    project = _project(Path.cwd())
    target = read_environment(project.root / project.environments, environment)
    committed = Committed(project.root / project.alarms, project.root / project.routing)
    confirmed = yes or not target.protected
    if plan_only or not confirmed:
        plans = plan_deployment(target, committed, systems, parameters=parameters)
        if as_json:
            _print_json([stack_json(one) for one in plans])
        else:
            _echo(line for one in plans for line in planned(one))
        if plan_only:
            return
        confirmed = click.confirm(f"{environment} is protected. Deploy this?", err=True)
        if not confirmed:
            raise InputError(f"{environment}: not confirmed, so nothing was changed")
    outcomes = deploy_stacks(
        target,
        committed,
        systems,
        parameters=parameters,
        confirmed=confirmed,
        progress=lambda event: None if as_json else _echo(happened(event)),
    )
    if as_json:
        _print_json([stack_json(one) for one in outcomes])


def _echo(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


@main.command(
    epilog=_examples("tocsin init --template template.yaml --name checkout --owner payments"),
)
@click.option("--template", type=_PATH, required=True, help="The CloudFormation template of the system.")
@click.option("--name", help="Name of the system; default: the file's name.")
@click.option("--owner", default="on-call", show_default=True, help="Team that is told.")
@click.option("--force", is_flag=True, help="Replace a declaration that is already there.")
@_param_option
def init(template: Path, name: str | None, owner: str, force: bool, parameters: dict[str, str]) -> None:
    """Write a starter declaration for a template, with SLOs proposed for what was found in it."""
    from .discovery import discover as read
    from .starter import declaration

    project = _project(Path.cwd())
    own = name or system_name(template)
    stack = read(template, parameters)
    text = declaration(stack, own, owner, _relative(template, project.root))
    path = project.root / project.systems / f"{own.replace('-', '_')}.py"
    shown = f"{project.systems}/{path.name}"
    if path.exists() and not force:
        raise InputError(f"{shown}: is already there; choose another --name, or replace it with --force")
    from .workspace import GeneratedFile, write

    write(project.root, [GeneratedFile(shown, text)])
    click.echo(f"wrote {shown}: read it, correct the promises, then run `tocsin build`")


def _relative(path: Path, root: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return str(path.resolve())


def _project(start: Path) -> Project:
    from .project import find_project

    return find_project(start)


def _planned(parameters: dict[str, str], only: str | None = None) -> tuple[Project, list[Plan]]:
    from .declarations import load_systems
    from .plan import plan

    project = _project(Path.cwd())
    systems = load_systems(project.root, project.systems, parameters, only)
    return project, [plan(system, project.settings) for system in systems]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True))


def _print_table(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A table as wide as the terminal; plain text where the output goes elsewhere."""
    if not rows:
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in head:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)


if __name__ == "__main__":
    main()
