"""Prints: lines, tables, JSON, and the notes about a template."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..model import Stack


def echo(lines: Iterable[str]) -> None:
    """Print each line."""
    for line in lines:
        click.echo(line)


def print_notes(stack: Stack) -> None:
    """Print remarks about a template where they do not mix with the output."""
    for warning in stack.warnings:
        click.echo(f"note: {stack.path}: {warning}", err=True)


def count(number: int, noun: str) -> str:
    """``1 alarm``, ``2 alarms``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def print_json(value: Any) -> None:
    """Print a value as JSON, in one fixed form."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True))


def print_table(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
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
