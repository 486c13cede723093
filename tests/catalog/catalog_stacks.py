"""Small templates, already resolved, and how to ask the catalog about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.catalog import CATALOG
from tocsin.catalog.entry import Condition, Inapplicable
from tocsin.cloudformation.symbolic import Symbolic
from tocsin.model import Resource, SliKind


def ref(target: str) -> Symbolic:
    """What is left of ``!Ref X`` or ``!GetAtt X.Arn``."""
    return Symbolic(f"${{{target}}}")


def stack(**resources: tuple[str, Mapping[str, Any]] | tuple[str, Mapping[str, Any], str]) -> dict[str, Resource]:
    """Resources by logical id, each with all of them around it; a third item is the role."""
    surroundings: dict[str, Resource] = {}
    for logical_id, (kind, properties, *role) in resources.items():
        surroundings[logical_id] = Resource(
            kind, logical_id, properties=properties, role=role[0] if role else None, surroundings=surroundings
        )
    return surroundings


def conditions(resource: Resource, kind: str) -> tuple[Condition, ...]:
    """The conditions of an alarm kind that applies."""
    found = _kind(resource, kind)
    assert not isinstance(found, Inapplicable), found.reason
    return found


def only(resource: Resource, kind: str) -> Condition:
    """The one condition of an alarm kind."""
    (found,) = conditions(resource, kind)
    return found


def reason(resource: Resource, kind: str) -> str:
    """Why an alarm kind does not apply."""
    found = _kind(resource, kind)
    assert isinstance(found, Inapplicable), found
    return found.reason


def _kind(resource: Resource, kind: str) -> tuple[Condition, ...] | Inapplicable:
    return {found.id: found for found in CATALOG[resource.type].alarm_kinds}[kind].conditions(resource)


def offer(resource: Resource, kind: SliKind):
    """The SLI of a kind that the resource's type offers."""
    return next(found for found in CATALOG[resource.type].slis if found.kind is kind)


def dimensions(condition: Condition) -> dict[str, str]:
    """The dimensions of the first metric."""
    return dict(next(query.stat.metric.dimensions for query in condition.queries if query.stat))
