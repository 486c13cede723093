"""OpenSLO files as the Python text of a declaration, and a line for each thing that it cannot say."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from types import MappingProxyType

from ..burn_rate import tiers
from ..errors import DeclarationError, InputError
from ..model import Slo, Stack, System
from .code import Call, import_line, lines, quoted
from .node import LeftOutError
from .promise import Promise, promise
from .reading import ReadFiles, ReadService

_MINUTE = timedelta(minutes=1)
_SYSTEM_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Imported:
    """The text of the declaration and its systems; ``left_out`` are the SLOs that are not in it, and why.

    ``remarks``: what else is otherwise than the documents say.
    """

    text: str
    systems: tuple[System, ...]
    left_out: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def import_files(
    files: ReadFiles,
    template: str | None,
    read_template: Callable[[str], Stack],
    parameters: Mapping[str, str] = MappingProxyType({}),
    owner: str = "on-call",
) -> Imported:
    """The declaration of every service of the files.

    ``template`` is the path that it names, or None for the one that the service's annotation names;
    ``read_template`` reads it.  ``owner`` is for a service without the label.  Raises InputError.
    """
    systems: list[System] = []
    promises: list[tuple[list[Promise], str]] = []
    left_out: list[str] = []
    remarks: list[str] = []
    stacks: dict[str, tuple[Stack, str]] = {}
    for service in files.services:
        path = template or service.template
        if path is None:
            raise InputError(f"service {service.name}: say which template its resources are in, with --template")
        if path not in stacks:
            stacks[path] = (read_template(path), "stack" if not stacks else f"stack{len(stacks) + 1}")
        stack, variable = stacks[path]
        kept: list[Promise] = []
        for slo in service.slos:
            try:
                made = promise(slo, stack, files.sources, variable)
            except LeftOutError as why:
                left_out.append(f"{service.name}/{slo.what}: {why}")
                continue
            kept.append(made)
            if slo.conditions and slo.told_by() != _tiers(made.slo):
                remarks.append(f"{service.name}/{slo.what}: its alert policies are not kept; Tocsin's own tiers hold")
        names = [one.slo.name for one in kept]
        for name in sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"service {service.name}: two SLOs would be called {name!r}; rename one")
        systems.append(_system(service, stack, kept, owner))
        promises.append((kept, variable))
    text = _text(systems, promises, {path: variable for path, (_, variable) in stacks.items()}, parameters)
    return Imported(text, tuple(systems), tuple(left_out), tuple(remarks))


def _tiers(slo: Slo) -> set[tuple[str, Fraction, Fraction] | None]:
    """What ``ReadSlo.told_by`` says of Tocsin's own alarms."""
    day = timedelta(days=1)
    return {
        (tier.severity.value, tier.burn_rate, Fraction(tier.long_window // _MINUTE, day // _MINUTE))
        for tier in tiers(slo)[0]
    }


def _system(service: ReadService, stack: Stack, kept: Sequence[Promise], owner: str) -> System:
    name = service.name
    if not _SYSTEM_NAME.fullmatch(name):  # OpenSLO takes capital letters, dots and slashes, too
        name = _NOT_IN_NAMES.sub("-", name.lower()).strip("-_")
        name = (name if name[:1].isalpha() else f"system-{name}")[:63].strip("-_")
    try:
        return System(name, service.owner or owner, stack, [one.slo for one in kept], description=service.description)
    except DeclarationError as error:
        raise InputError(f"service {service.name}: {error}") from None


def _text(
    systems: Sequence[System],
    promises: Sequence[tuple[Sequence[Promise], str]],
    templates: Mapping[str, str],
    parameters: Mapping[str, str],
) -> str:
    used = {name for kept, _ in promises for one in kept for name in (one.function, *one.uses)}
    shown = " and ".join(system.name for system in systems)
    text = [f'"""What {shown} promised in OpenSLO: read it, correct it, and say why in because=."""', ""]
    text += [*import_line("tocsin", ["System", *sorted(used | {"discover"})]), ""]
    given = [Call("{", tuple(f"{quoted(name)}: {quoted(parameters[name])}" for name in sorted(parameters)), "}")]
    for path, variable in templates.items():
        text += lines(Call(f"{variable} = discover(", (quoted(path), *(given if parameters else []))))
    for number, (system, (kept, variable)) in enumerate(zip(systems, promises, strict=True)):
        text += ["", f"{_variable(system.name, number)} = System(", f"    name={quoted(system.name)},"]
        text.append(f"    owner={quoted(system.owner)},")
        if system.description:
            text.append(f"    description={quoted(system.description)},")
        text.append(f"    resources={variable},")
        text.append("    slos=[" if kept else "    slos=[],")
        for one in kept:
            text += lines(Call(f"{one.function}(", one.arguments), " " * 8, ",")
        text += ["    ],", ")"] if kept else [")"]
    return "\n".join([*text, ""])


def _variable(name: str, number: int) -> str:
    if number == 0:
        return "system"
    wanted = re.sub(r"\W", "_", name)
    return f"{wanted}_" if keyword.iskeyword(wanted) else wanted
