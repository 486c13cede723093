"""The command line: parse, call, print, exit code.

0 is fine, 1 is findings, 2 is wrong input, 3 a mistake of Tocsin itself, 130 Ctrl-C.
"""

from __future__ import annotations

import gc
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from .errors import InputError, TocsinError

if TYPE_CHECKING:
    from .model import Stack, System
    from .plan import Plan
    from .project import Project
    from .workspace import GeneratedFile

FINDINGS, WRONG_INPUT, OWN_MISTAKE, INTERRUPTED = 1, 2, 3, 130

# Set to anything, a mistake of Tocsin itself is shown with its traceback.
TRACEBACK = "TOCSIN_TRACEBACK"


class _Group(click.Group):
    """Turns whatever goes wrong into one line and an exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before the command."""
        with _one_line(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        # A build makes a million small values and drops few: looking for circles often costs an eighth of its time.
        gc.set_threshold(50_000, 20, 100)
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, ValueError):  # a sign that the terminal does not know is better than none
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        with _one_line(ctx):
            return super().invoke(ctx)


@contextmanager
def _one_line(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except TocsinError as error:
        _fail(ctx, str(error))
    except (click.exceptions.Exit, click.exceptions.NoArgsIsHelpError):
        raise
    except click.ClickException as error:
        command = (getattr(error, "ctx", None) or ctx).command_path
        _fail(ctx, f"{error.format_message().rstrip('.')}; see `{command} --help`")
    except (KeyboardInterrupt, click.Abort):
        _fail(ctx, "interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        _drop_output()
        ctx.exit(0)
    except OSError as error:
        _drop_output()
        _fail(ctx, f"{error.filename or 'the output'}: {error.strerror or error}")
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        _fail(ctx, _own_mistake(error), OWN_MISTAKE)


def _fail(ctx: click.Context, message: str, code: int = WRONG_INPUT) -> NoReturn:
    click.echo(f"tocsin: {' '.join(message.splitlines())}", err=True)
    ctx.exit(code)


def _drop_output() -> None:
    """Let nothing that is still to be written fail a second time when the interpreter ends."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _own_mistake(error: Exception) -> str:
    import traceback

    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"a mistake in Tocsin, not yours: {type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno}); "
        f"run it again with {TRACEBACK}=1 and report what is printed"
    )


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


_OWNER = "on-call"
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
    _print_notes(stack)
    if as_json:
        _print_json(stack_json(stack))
        return
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


def _print_notes(stack: Stack) -> None:
    for warning in stack.warnings:
        click.echo(f"note: {stack.path}: {warning}", err=True)


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
@click.option("--owner", help=f"Team that is told (with --template, --templates; default: {_OWNER}).")
@click.option("--out", type=_PATH, help="Folder to write to (with --template, --templates; default: here).")
@_param_option
@_json_option
def build(
    template: Path | None,
    templates: Path | None,
    name: str | None,
    owner: str | None,
    out: Path | None,
    parameters: dict[str, str],
    as_json: bool,
) -> None:
    """Write alarms, dashboards, routing, SLOs.md and indexes.

    Without options: for everything this repository declares.  With --template or --templates: ticket alarms, a
    dashboard and runbooks from templates alone.
    """
    from .plan import plan
    from .workspace import generate, generate_for_templates, runbooks, write

    files: Iterable[GeneratedFile]
    folders: tuple[str, ...] = ()
    if template is None and templates is None:
        for option, value in (("--name", name), ("--owner", owner), ("--out", out)):
            if value is not None:
                raise InputError(f"{option} goes with --template or --templates")
        project, plans = _planned(parameters)
        root, folders = project.root, (project.alarms, project.dashboards)
        by_path = _refuse_over_quota(plans, project)
        files = generate(plans, project)
    else:
        if template is not None and templates is not None:
            raise InputError("give --template or --templates, not both")
        if templates is not None and name is not None:
            raise InputError("--name goes with --template; systems built with --templates are named after their files")
        project = _project()
        root = _out(out, project)
        systems = _from_templates(template, templates, name, _OWNER if owner is None else owner, parameters)
        plans = [plan(system, project.settings) for system in systems]
        by_path = _refuse_over_quota(plans, project)
        files = generate_for_templates(plans, project)
    files = chain(_within_size(by_path, files), runbooks(plans, project))
    written = write(root, files, folders, only_own=True)
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


def _refuse_over_quota(plans: Sequence[Plan], project: Project) -> dict[str, Plan]:
    """The plans by the file their alarms go to.  Raises QuotaError for alarms that AWS would refuse."""
    from .checks.quotas import refuse_over_quota

    by_path = {f"{project.alarms}/{plan.system.name}.yaml": plan for plan in plans}
    for path, one in by_path.items():
        refuse_over_quota(one, path)
    return by_path


def _within_size(by_path: dict[str, Plan], files: Iterable[GeneratedFile]) -> Iterator[GeneratedFile]:
    """The same files.  Raises QuotaError for an alarm template that is too large."""
    from .checks.quotas import refuse_over_quota

    for file in files:
        if file.path in by_path:
            refuse_over_quota(by_path[file.path], file.path, file.text)
        yield file


def _out(out: Path | None, project: Project) -> Path:
    """The folder to write to."""
    if out is None and any((project.root / project.systems).glob("*.py")):
        raise InputError(
            f"--out is needed here: {project.systems} declares systems, whose files would be replaced; name another folder"
        )
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is a file; name a folder")
    return out or Path()


def _from_templates(
    template: Path | None, templates: Path | None, name: str | None, owner: str, parameters: dict[str, str]
) -> list[System]:
    from .discovery import discover as read
    from .model import System

    if template is not None:
        stack = read(template, parameters)
        _print_notes(stack)
        if not stack.resources:
            raise InputError(f"{template}: nothing in it is watched; `tocsin discover {template}` says why")
        return [System(system_name(template) if name is None else name, owner, stack)]
    assert templates is not None
    named = _named_after_files(templates)
    _refuse_unknown(parameters, named.values())
    systems = []
    for own, path in named.items():
        stack = read(path, parameters, ignore_unknown=parameters.keys())
        _print_notes(stack)
        if stack.resources:
            systems.append(System(own, owner, stack))
        else:
            click.echo(f"note: {path}: nothing in it is watched, so it is left out", err=True)
    if not systems:
        raise InputError(f"{templates}: nothing in its templates is watched; `tocsin discover FILE` says why")
    return systems


def _named_after_files(folder: Path) -> dict[str, Path]:
    """The templates of a folder by system name."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder" if not folder.exists() else f"{folder}: is a file; name a folder")
    suffixes = (".yaml", ".yml", ".json", ".template")
    found: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix in suffixes and path.is_file()):
        own = system_name(path)
        if own in found:
            raise InputError(f"{path} and {found[own]} would both be system {own!r}; rename one file")
        found[own] = path
    if not found:
        raise InputError(f"{folder}: holds no .yaml, .yml, .json or .template file")
    return found


def _refuse_unknown(parameters: dict[str, str], paths: Iterable[Path]) -> None:
    """Raise InputError for a --param that no template declares."""
    from .cloudformation.document import load
    from .errors import nearest

    if not parameters:
        return
    declared: set[str] = set()
    for path in paths:
        section = load(path).tree.get("Parameters")
        declared |= set(section) if isinstance(section, dict) else set()
    for name in sorted(set(parameters) - declared):
        raise InputError(f"--param {name}: no template has such a parameter; {nearest(name, declared)}")


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
    if budget is not None and math.isnan(budget):
        raise InputError("--budget nan: give an amount in US dollars, such as 50")
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

    project = _project()
    target = read_environment(project.root / project.environments, environment)
    committed = Committed(project.root / project.alarms, project.root / project.routing)
    confirmed = yes or not target.protected
    if as_json and not plan_only and not confirmed:
        raise InputError(f"{environment} is protected and --json cannot ask; look at --plan, then give --yes")
    if plan_only or not confirmed:
        plans = plan_deployment(target, committed, systems, parameters=parameters)
        if as_json:
            _print_json([stack_json(one) for one in plans])
        else:
            _echo(line for one in plans for line in planned(one))
        if plan_only:
            return
        with suppress(click.Abort):  # nobody there to ask
            confirmed = click.confirm(f"{environment} is protected. Deploy this?", err=True)
        if not confirmed:
            raise InputError(f"{environment}: not confirmed, so nothing was changed; confirm it, or give --yes")
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
@click.option("--owner", default=_OWNER, show_default=True, help="Team that is told.")
@click.option("--force", is_flag=True, help="Replace a declaration that is already there.")
@_param_option
def init(template: Path, name: str | None, owner: str, force: bool, parameters: dict[str, str]) -> None:
    """Write a starter declaration for a template, with SLOs proposed for what was found in it."""
    from .discovery import discover as read
    from .model import System
    from .starter import declaration
    from .workspace import GeneratedFile, write

    project = _project()
    stack = read(template, parameters)
    _print_notes(stack)
    system = System(system_name(template) if name is None else name, owner, stack)
    path = f"{project.systems}/{system.name.replace('-', '_')}.py"
    if (project.root / path).exists() and not force:
        raise InputError(f"{path}: is already there; choose another --name, or replace it with --force")
    shown = Path(os.path.relpath(template.resolve(), project.root.resolve())).as_posix()
    write(project.root, [GeneratedFile(path, declaration(stack, system.name, owner, shown, parameters))])
    click.echo(f"wrote {path}: read it, correct the promises, then run `tocsin build`")


def _project() -> Project:
    from .project import find_project

    try:
        here = Path.cwd()
    except OSError:
        raise InputError("the current folder is gone; change to one that is there") from None
    return find_project(here)


def _planned(parameters: dict[str, str], only: str | None = None) -> tuple[Project, list[Plan]]:
    from .declarations import load_systems
    from .plan import plan

    project = _project()
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
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 1_000
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    with console.capture() as printed:  # Rich would end the program itself when nobody reads any more
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in printed.get().splitlines()))


if __name__ == "__main__":
    main()
