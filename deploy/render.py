"""Writes each stack's template from its Python source, or says where they differ.

``python -m deploy.render`` writes; ``python -m deploy.render --check`` shows the differences and exits with 1 if there
are any.  The bytes follow from the sources alone: sorted keys, no time, no version.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from tocsin.render.template_text import to_yaml

ROOT = Path(__file__).resolve().parent
DELIVERY, FORWARDER, NETWORK = "delivery", "forwarder", "network"


def systems() -> list[str]:
    """The names of the reference systems: the folders of ``deploy/`` that hold a stack.py and handlers.

    The forwarder has functions, too, but promises users nothing: its alarms are its own.
    """
    folders = (path.parent for path in ROOT.glob("*/stack.py"))
    return sorted(each.name for each in folders if (each / "handlers").is_dir() and each.name != FORWARDER)


def stacks() -> list[str]:
    """The names of everything that is rendered: what the systems share, and the systems."""
    return [DELIVERY, FORWARDER, NETWORK, *systems()]


def template_path(name: str) -> Path:
    """Where the committed template of a stack is."""
    return ROOT / "network.yaml" if name == NETWORK else ROOT / name / "template.yaml"


def render(name: str) -> str:
    """The text of the template of that name."""
    module, source = ("network", "network.py") if name == NETWORK else (f"{name}.stack", "stack.py")
    heading = f"Generated from {source} by `python -m deploy.render`; edit that and render again."
    return to_yaml(importlib.import_module(f"deploy.{module}").template().to_dict(), heading)


def difference(name: str) -> str:
    """What a fresh rendering would change in the committed template, as a unified diff; empty if nothing."""
    path = template_path(name)
    committed = path.read_text(encoding="utf-8") if path.exists() else ""
    shown = f"deploy/{path.relative_to(ROOT).as_posix()}"
    lines = difflib.unified_diff(
        committed.splitlines(keepends=True), render(name).splitlines(keepends=True), shown, f"{shown} (rendered)"
    )
    return "".join(lines)


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.render", description="Render the templates of all stacks.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a template is out of date")
    check = parser.parse_args(arguments).check
    if not check:
        for name in stacks():
            template_path(name).write_text(render(name), encoding="utf-8", newline="\n")
        return 0
    differences = "".join(difference(name) for name in stacks())
    if not differences:
        return 0
    sys.stdout.write(f"{differences}Templates differ from their sources: run `python -m deploy.render`.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
