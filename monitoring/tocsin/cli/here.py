"""The project of the current folder, and the names that commands make from a template's file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from ..plan import Plan
    from ..project import Project


def project_here() -> Project:
    """The project that holds the current folder.  Raises InputError."""
    from ..project import find_project

    try:
        here = Path.cwd()
    except OSError:
        raise InputError("the current folder is gone; change to one that is there") from None
    return find_project(here)


def planned_here(parameters: dict[str, str], only: str | None = None) -> tuple[Project, list[Plan]]:
    """The project, and the plan of each system it declares.  Raises DeclarationError and TemplateError."""
    from ..declarations import load_systems
    from ..plan import plan

    project = project_here()
    systems = load_systems(project.root, project.systems, parameters, only)
    return project, [plan(system, project.settings) for system in systems]


def system_name(template: Path) -> str:
    """A system's name from its template's file name; ``template.yaml`` takes the folder's."""
    import re

    stem = template.name.split(".")[0]
    if stem.lower() in ("template", "stack", "cloudformation", "main"):
        stem = template.resolve().parent.name
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:63].strip("-")
    return name if name[:1].isalpha() else f"system-{name}"[:63].strip("-")
