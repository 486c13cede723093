"""``tocsin export`` and ``tocsin import``: OpenSLO documents."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ..errors import InputError
from .here import planned_here, project_here
from .options import OWNER, PATH, examples, param_option
from .output import count

LEFT_OUT = 1


@click.group(epilog=examples("tocsin export openslo", "tocsin export openslo notification -o notification.yaml"))
def export() -> None:
    """Write what is declared in the form of others."""


@click.group("import", epilog=examples("tocsin import openslo slos.yaml"))
def import_() -> None:
    """Make a declaration of what others wrote."""


@export.command(
    "openslo",
    epilog=examples("tocsin export openslo", "tocsin export openslo notification -o notification.openslo.yaml"),
)
@click.argument("system", required=False)
@click.option("-o", "--out", type=PATH, help="File to write; without it the documents are printed.")
@param_option
def export_openslo(system: str | None, out: Path | None, parameters: dict[str, str]) -> None:
    """Write the declared SLOs, of one system or of all, as OpenSLO v1 documents.

    What OpenSLO cannot say is listed beside, one line each.
    """
    from ..openslo.documents import to_yaml
    from ..openslo.export import export as exported

    _, plans = planned_here(parameters, system)
    result = exported(plan.system for plan in plans)
    text = to_yaml(result.documents)
    if out is None:
        click.echo(text, nl=False)
    else:
        _write(out, text, replace=True)
    for line in result.left_out:
        click.echo(f"not in OpenSLO: {line}", err=True)
    if out is not None:
        slos = sum(one["kind"] == "SLO" for one in result.documents)
        click.echo(f"wrote {out}: {count(slos, 'SLO')} in {count(len(result.documents), 'document')}")


@import_.command(
    "openslo",
    epilog=examples(
        "tocsin import openslo notification.openslo.yaml",
        "tocsin import openslo slos/*.yaml --template template.yaml -o monitoring/systems/checkout.py",
    ),
)
@click.argument("files", type=PATH, nargs=-1, required=True, metavar="FILE…")
@click.option("--template", type=PATH, help="The CloudFormation template of the resources that the SLOs are about.")
@click.option(
    "--owner", default=OWNER, show_default=True, help="Team that is told, where a service has no label owner."
)
@click.option("-o", "--out", type=PATH, help="Declaration to write, never over another; without it, it is printed.")
@param_option
def import_openslo(
    files: tuple[Path, ...], template: Path | None, owner: str, out: Path | None, parameters: dict[str, str]
) -> None:
    """Write a declaration of what OpenSLO v1 documents promise, for a person to read and correct.

    An SLO that a declaration cannot say is left out and listed; the exit code is 1 then.
    """
    from ..discovery import discover
    from ..openslo.imported import import_files
    from ..openslo.node import printable
    from ..openslo.reading import read_files

    project = project_here()
    if out is not None and out.exists():
        raise InputError(f"{out}: is already there; name another file with -o, or take it away")
    read = read_files(files)
    shown = None
    if template is not None:
        shown = Path(os.path.relpath(template.resolve(), project.root.resolve())).as_posix()
    result = import_files(
        read,
        shown,
        lambda path: discover(project.root / path, parameters, shown_as=path),
        parameters,
        owner,
    )
    slos = sum(len(system.slos) for system in result.systems)
    for line in result.left_out:
        click.echo(f"left out: {printable(line)}", err=True)
    for line in result.remarks:
        click.echo(f"note: {printable(line)}", err=True)
    if not slos:
        raise InputError("none of these SLOs can be said in a declaration; nothing is written")
    if out is None:
        click.echo(result.text, nl=False)
    else:
        _write(out, result.text, replace=False)
        click.echo(f"wrote {out}: {count(slos, 'SLO')}; read it, then run `tocsin build`")
    if result.left_out:
        raise click.exceptions.Exit(LEFT_OUT)


def _write(path: Path, text: str, *, replace: bool) -> None:
    """Write a whole file or nothing.  Raises InputError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tocsin")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8", newline="\n")
        if replace:
            beside.replace(path)
        else:
            os.link(beside, path)  # unlike a rename, it refuses where a file has come meanwhile
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        beside.unlink(missing_ok=True)
