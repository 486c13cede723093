"""Declaration files → systems: loads ``monitoring/systems/*.py`` by path."""

from __future__ import annotations

import re
import runpy
import sys
import traceback
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path

from .declare import declaring
from .errors import DeclarationError, InputError, TocsinError, nearest
from .model import System

_SLO_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]*")


def load_systems(
    root: Path, folder: str, parameters: Mapping[str, str] | None = None, only: str | None = None
) -> tuple[System, ...]:
    """Every System that the files of ``folder`` define, by name.  ``parameters`` go to every template they read.

    Raises DeclarationError: no such folder, a file that raises (with its line), two systems of one name,
    a name that alarms cannot have.  Raises InputError for a parameter that no template declares.
    """
    where = root / folder
    if not where.is_dir():
        raise DeclarationError(
            f"{folder}: no such folder; declare a system there with `tocsin init --template …`, or name another in tocsin.toml"
        )
    files = sorted(path for path in where.glob("*.py") if not path.name.startswith("_"))
    if not files:
        raise DeclarationError(f"{folder}: declares no system; start one with `tocsin init --template …`")
    given, declared = parameters or {}, set[str]()
    found: dict[str, tuple[System, str]] = {}
    for path in files:
        shown = f"{folder}/{path.name}"
        for system in _load(root, path, shown, given, declared):
            if system.name in found:
                raise DeclarationError(
                    f"{shown}: system {system.name!r} is already declared in {found[system.name][1]}; rename one"
                )
            _refuse_names(system, shown)
            found[system.name] = (system, shown)
    for name in sorted(given):
        if name not in declared:
            raise InputError(f"--param {name}: no template of {folder} has such a parameter; {nearest(name, declared)}")
    if only is not None:
        if only not in found:
            raise DeclarationError(f"{folder}: no system {only!r}; {nearest(only, found)}")
        return (found[only][0],)
    return tuple(found[name][0] for name in sorted(found))


def _refuse_names(system: System, shown: str) -> None:
    """Names of SLOs stand in the names and rules of alarms, in logical ids and in headings."""
    for slo in system.slos:
        if not _SLO_NAME.fullmatch(slo.name):
            raise DeclarationError(
                f"{shown}: SLO name {slo.name!r}: use letters, digits, spaces, '.', '-' and '_', a letter or digit first"
            )


def _load(root: Path, path: Path, shown: str, parameters: Mapping[str, str], declared: set[str]) -> tuple[System, ...]:
    try:
        # What a declaration prints must not mix with what is printed for a machine.
        with declaring(root, parameters, declared), redirect_stdout(sys.stderr):
            names = runpy.run_path(str(path), run_name=f"tocsin_system_{path.stem}")
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # a declaration is a program: whatever it raises is the user's to mend
        raise DeclarationError(f"{shown}:{_line(error, path)}: {_said(error)}") from None
    systems = {id(value): value for value in names.values() if isinstance(value, System)}
    if not systems:
        raise DeclarationError(f"{shown}: defines no System; write `system = System(name=…, owner=…, resources=…)`")
    return tuple(systems.values())


def _line(error: BaseException, path: Path) -> int:
    """The last line of the declaration itself that led to the error."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return (lines[-1] if lines else 1) or 1


def _said(error: BaseException) -> str:
    if isinstance(error, TocsinError):
        return str(error)
    text = " ".join(str(error).split())
    name = type(error).__name__
    if isinstance(error, SyntaxError):
        text = error.msg or text
    return f"{name}: {text}" if text else name
