"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

OWNER = "on-call"
PATH = click.Path(path_type=Path)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a machine to read.")


def examples(*lines: str) -> str:
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


def param_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--param",
        "parameters",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_parameters,
        help="Value of a template's parameter, or the name of a resource in it; may be given several times.",
    )(command)


def once(_ctx: click.Context, _option: click.Parameter, values: Sequence[str]) -> str | None:
    """The value of an option that may be given once; click itself would take the last of several."""
    if len(values) > 1:
        raise click.BadParameter(f"given {len(values)} times; give it once")
    return values[0] if values else None


metric_option = click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAMESPACE/NAME{DIM=VALUE}",
    help="What a .csv file of lines timestamp,value holds; one for each such file, in their order.",
)
