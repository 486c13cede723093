"""``tocsin init``: writes a starter declaration."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ..errors import InputError
from .here import project_here, system_name
from .options import OWNER, PATH, examples, param_option
from .output import print_notes


@click.command(
    epilog=examples("tocsin init --template template.yaml --name checkout --owner payments"),
)
@click.option("--template", type=PATH, required=True, help="The CloudFormation template of the system.")
@click.option("--name", help="Name of the system; default: the file's name.")
@click.option("--owner", default=OWNER, show_default=True, help="Team that is told.")
@click.option("--force", is_flag=True, help="Replace a declaration that is already there.")
@param_option
def init(template: Path, name: str | None, owner: str, force: bool, parameters: dict[str, str]) -> None:
    """Write a starter declaration for a template, with SLOs proposed for what was found in it."""
    from ..discovery import discover as read
    from ..model import System
    from ..starter import declaration
    from ..workspace import GeneratedFile, write

    project = project_here()
    stack = read(template, parameters)
    print_notes(stack)
    system = System(system_name(template) if name is None else name, owner, stack)
    path = f"{project.systems}/{system.name.replace('-', '_')}.py"
    if (project.root / path).exists() and not force:
        raise InputError(f"{path}: is already there; choose another --name, or replace it with --force")
    shown = Path(os.path.relpath(template.resolve(), project.root.resolve())).as_posix()
    write(project.root, [GeneratedFile(path, declaration(stack, system.name, owner, shown, parameters))])
    click.echo(f"wrote {path}: read it, correct the promises, then run `tocsin build`")
