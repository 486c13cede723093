"""``tocsin discover``: what is watched in a template, and what is not and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import PATH, examples, json_option, param_option
from .output import print_json, print_notes, print_table


@click.command(
    epilog=examples("tocsin discover template.yaml", "tocsin discover cdk.out/Shop.template.json --json"),
)
@click.argument("template", type=PATH)
@param_option
@json_option
def discover(template: Path, parameters: dict[str, str], as_json: bool) -> None:
    """List what TEMPLATE's resources are watched for, and what is not watched and why."""
    from ..discovery import as_json as stack_json
    from ..discovery import discover as read

    stack = read(template, parameters)
    print_notes(stack)
    if as_json:
        print_json(stack_json(stack))
        return
    rows = [
        (resource.logical_id, resource.type, resource.name or "(named when deployed)", _marks(resource))
        for resource in stack.resources
    ]
    print_table(f"{len(rows)} watched", ("Resource", "Type", "Name", ""), rows)
    print_table(
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
