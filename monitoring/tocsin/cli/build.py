"""``tocsin build``: writes the generated files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import InputError
from .here import planned_here, project_here, system_name
from .options import OWNER, PATH, examples, json_option, param_option
from .output import count, print_json, print_notes

if TYPE_CHECKING:
    from ..model import System
    from ..plan import Plan
    from ..project import Project
    from ..workspace import GeneratedFile


@click.command(
    epilog=examples(
        "tocsin build",
        "tocsin build --template template.yaml --name checkout --out monitoring-of-checkout",
        "tocsin build --templates templates/ --out out",
        "tocsin build --prometheus",
    ),
)
@click.option("--template", type=PATH, help="Build for this template alone, without a declaration.")
@click.option("--templates", type=PATH, help="Build for every template in this folder, one system per file.")
@click.option("--name", help="Name of the system (with --template; default: the file's name).")
@click.option("--owner", help=f"Team that is told (with --template, --templates; default: {OWNER}).")
@click.option("--out", type=PATH, help="Folder to write to (with --template, --templates; default: here).")
@click.option(
    "--prometheus",
    is_flag=True,
    help="Write rules for Prometheus, too; from then on every build does, until their folder is removed.",
)
@param_option
@json_option
def build(
    template: Path | None,
    templates: Path | None,
    name: str | None,
    owner: str | None,
    out: Path | None,
    prometheus: bool,
    parameters: dict[str, str],
    as_json: bool,
) -> None:
    """Write alarms, dashboards, routing, SLOs.md and indexes.

    Without options: for everything this repository declares.  With --template or --templates: ticket alarms, a
    dashboard and runbooks from templates alone.
    """
    from ..plan import plan
    from ..workspace import generate, generate_for_templates, runbooks, write

    files: Iterable[GeneratedFile]
    folders: tuple[str, ...] = ()
    if template is None and templates is None:
        for option, value in (("--name", name), ("--owner", owner), ("--out", out)):
            if value is not None:
                raise InputError(f"{option} goes with --template or --templates")
        project, plans = planned_here(parameters)
        root, folders = project.root, (project.alarms, project.dashboards)
        by_path = _refuse_over_quota(plans, project)
        if prometheus and not any(plan.slos for plan in plans):
            raise InputError(
                "--prometheus: no declared system promises anything, so there are no rules; declare an SLO"
            )
        files = generate(plans, project, prometheus=prometheus)
    else:
        if prometheus:
            raise InputError("--prometheus goes with declared systems: rules come from what they promise")
        if template is not None and templates is not None:
            raise InputError("give --template or --templates, not both")
        if templates is not None and name is not None:
            raise InputError("--name goes with --template; systems built with --templates are named after their files")
        project = project_here()
        root = _out(out, project)
        systems = _from_templates(template, templates, name, OWNER if owner is None else owner, parameters)
        plans = [plan(system, project.settings) for system in systems]
        by_path = _refuse_over_quota(plans, project)
        files = generate_for_templates(plans, project)
    files = chain(_within_size(by_path, files), runbooks(plans, project))
    written = write(root, files, folders, only_own=True)
    if as_json:
        print_json(
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
        f"{count(len(plans), 'system')}, {count(alarms, 'alarm')}: {count(len(written.written), 'file')} written, "
        f"{len(written.unchanged)} unchanged"
    )


def _refuse_over_quota(plans: Sequence[Plan], project: Project) -> dict[str, Plan]:
    """The plans by the file their alarms go to.  Raises QuotaError for alarms that AWS would refuse."""
    from ..checks.quotas import refuse_over_quota

    by_path = {f"{project.alarms}/{plan.system.name}.yaml": plan for plan in plans}
    for path, one in by_path.items():
        refuse_over_quota(one, path)
    return by_path


def _within_size(by_path: dict[str, Plan], files: Iterable[GeneratedFile]) -> Iterator[GeneratedFile]:
    """The same files.  Raises QuotaError for an alarm template that is too large."""
    from ..checks.quotas import refuse_over_quota

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
    from ..discovery import discover as read
    from ..model import System

    if template is not None:
        stack = read(template, parameters)
        print_notes(stack)
        if not stack.resources:
            raise InputError(f"{template}: nothing in it is watched; `tocsin discover {template}` says why")
        return [System(system_name(template) if name is None else name, owner, stack)]
    assert templates is not None
    named = _named_after_files(templates)
    _refuse_unknown(parameters, named.values())
    systems = []
    for own, path in named.items():
        stack = read(path, parameters, ignore_unknown=parameters.keys())
        print_notes(stack)
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
    from ..cloudformation.document import load
    from ..errors import nearest

    if not parameters:
        return
    declared: set[str] = set()
    for path in paths:
        section = load(path).tree.get("Parameters")
        declared |= set(section) if isinstance(section, dict) else set()
    for name in sorted(set(parameters) - declared):
        raise InputError(f"--param {name}: no template has such a parameter; {nearest(name, declared)}")
