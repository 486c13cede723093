"""Writes each system's template.yaml from its stack.py, or says where they differ.

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
HEADING = "Generated from stack.py by `python -m deploy.render`; edit that and render again."


def systems() -> list[str]:
    """The names of the reference systems: the folders of ``deploy/`` that hold a stack.py."""
    return sorted(path.parent.name for path in ROOT.glob("*/stack.py"))


def render(system: str) -> str:
    """The text of the system's template.yaml."""
    return to_yaml(importlib.import_module(f"deploy.{system}.stack").template().to_dict(), HEADING)


def difference(system: str) -> str:
    """What a fresh rendering would change in the committed template, as a unified diff; empty if nothing."""
    path = ROOT / system / "template.yaml"
    committed = path.read_text(encoding="utf-8") if path.exists() else ""
    name = f"deploy/{system}/template.yaml"
    lines = difflib.unified_diff(
        committed.splitlines(keepends=True), render(system).splitlines(keepends=True), name, f"{name} (rendered)"
    )
    return "".join(lines)


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.render", description="Render the templates from stack.py.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a template is out of date")
    check = parser.parse_args(arguments).check
    if not check:
        for system in systems():
            (ROOT / system / "template.yaml").write_text(render(system), encoding="utf-8", newline="\n")
        return 0
    differences = "".join(difference(system) for system in systems())
    if not differences:
        return 0
    sys.stdout.write(f"{differences}Templates differ from their stack.py: run `python -m deploy.render`.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
