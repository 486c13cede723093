"""Discovers the resources of a CloudFormation or SAM template."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..catalog import CATALOG
from ..catalog.entry import ResourceType
from ..cloudformation.document import Document, load
from ..cloudformation.intrinsics import Resolution, Resolved, resolve_all
from ..cloudformation.loops import StuckLoop
from ..cloudformation.sam import translate
from ..cloudformation.symbolic import Symbolic
from ..model import Resource, Stack, Unwatched
from .dead_letters import dead_letter_queues
from .reasons import why_unwatched

_NOTHING: Mapping[str, str] = {}
_KNOWN_TRANSFORMS = ("AWS::LanguageExtensions", "AWS::Serverless-2016-10-31")


def discover(
    path: Path | str,
    parameters: Mapping[str, str] = _NOTHING,
    *,
    shown_as: str | None = None,
    ignore_unknown: Collection[str] = (),
    catalog: Mapping[str, ResourceType] = CATALOG,
) -> Stack:
    """Everything in the template at ``path``, each resource either watched or not, with the reason.

    ``parameters`` are values for the template's parameters; a name in ``ignore_unknown`` is passed over where the
    template does not declare it.  ``shown_as`` stands for the path in errors and in the result.

    Raises TemplateError if the file is not a template, InputError for a parameter that it does not declare.
    """
    document = load(Path(path), shown_as=shown_as)
    return discover_in(document, parameters, ignore_unknown=ignore_unknown, catalog=catalog)


def discover_in(
    document: Document,
    parameters: Mapping[str, str] = _NOTHING,
    *,
    ignore_unknown: Collection[str] = (),
    catalog: Mapping[str, ResourceType] = CATALOG,
) -> Stack:
    """As ``discover``, for a template that has been read."""
    declared = document.tree.get("Parameters")
    declared = declared if isinstance(declared, dict) else {}
    given = {name: value for name, value in parameters.items() if name in declared or name not in ignore_unknown}
    resolution = resolve_all(document, given)
    resources, implied = translate(resolution.resources, resolution.globals)
    return _sort(document, resolution, resources, implied, catalog, given)


@dataclass(frozen=True, slots=True)
class _Found:
    """A resource of the template, and what is known of it apart from the catalog."""

    resource: Resource
    resolved: Resolved


def _sort(
    document: Document,
    resolution: Resolution,
    resources: tuple[Resolved, ...],
    implied: tuple[Resolved, ...],
    catalog: Mapping[str, ResourceType],
    given: Collection[str],
) -> Stack:
    dead_letters = dead_letter_queues((*resources, *implied))
    everything: dict[str, Resource] = {}
    surroundings = MappingProxyType(everything)
    found = []
    for resolved in (*resources, *implied):
        resource = Resource(
            type=resolved.type,
            logical_id=resolved.logical_id,
            name=_name(resolved, catalog.get(resolved.type)),
            properties=resolved.properties,
            conditional=resolved.conditional,
            role="dlq" if resolved.logical_id in dead_letters else None,
            surroundings=surroundings,
        )
        everything[resolved.logical_id] = resource
        found.append(_Found(resource, resolved))

    watched, unwatched = [], [_loop(loop) for loop in resolution.stuck]
    for one in found[: len(resources)]:
        reason = _reason(one, catalog.get(one.resource.type), given)
        if reason is None:
            watched.append(one.resource)
        else:
            unwatched.append(Unwatched(one.resource.type, one.resource.logical_id, reason))
    return Stack(
        path=document.path,
        resources=tuple(sorted(watched, key=lambda resource: resource.logical_id)),
        unwatched=tuple(sorted(unwatched, key=lambda other: other.logical_id)),
        warnings=(*_duplicates(document), *_macros(document.tree.get("Transform")), *resolution.warnings),
        parameters=tuple(sorted(map(str, document.tree.get("Parameters") or ()))),
    )


def _name(resolved: Resolved, entry: ResourceType | None) -> str | None:
    """The physical name, if the template states all of it."""
    if entry is None or entry.name_property is None:
        return None
    name = resolved.properties.get(entry.name_property)
    if isinstance(name, int) and not isinstance(name, bool):
        return str(name)
    return name if isinstance(name, str) and name and not isinstance(name, Symbolic) else None


def _reason(found: _Found, entry: ResourceType | None, given: Collection[str]) -> str | None:
    """Why the resource is not watched; None if it is.

    A condition that is false by default values alone does not count: another environment may make it true, and the
    alarms of a conditional resource exist only where the resource does.
    """
    resolved = found.resolved
    if resolved.logical_id == "Fn::Transform":
        return "a part of another file or a macro: run Tocsin on the template that CloudFormation makes of it"
    if entry is None:
        return why_unwatched(resolved.type)
    if resolved.exists is False and (not resolved.decided_by or any(name in given for name in resolved.decided_by)):
        return f"its condition {resolved.condition} is false with these parameters"
    return entry.unwatched(found.resource)


def _loop(loop: StuckLoop) -> Unwatched:
    """A loop over resources that cannot be written out, under the type that it repeats."""
    types = {
        body["Type"]
        for body in (loop.body.values() if isinstance(loop.body, dict) else ())
        if isinstance(body, dict) and isinstance(body.get("Type"), str)
    }
    return Unwatched(types.pop() if len(types) == 1 else "", loop.key, f"{loop.reason}; give them with --param")


def _duplicates(document: Document) -> list[str]:
    return [
        f"line {duplicate.line}, column {duplicate.column}: the key {duplicate.key!r} stands twice; the last one counts"
        for duplicate in document.duplicates
    ]


def _macros(transform: Any) -> list[str]:
    names = transform if isinstance(transform, list) else [transform]
    return [
        f"the macro {name} may add or change resources; run Tocsin on the template that CloudFormation makes of it"
        for name in (one.get("Name") if isinstance(one, dict) else one for one in names)
        if isinstance(name, str) and name not in _KNOWN_TRANSFORMS
    ]
