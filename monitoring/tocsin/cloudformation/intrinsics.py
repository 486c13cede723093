"""Resolves a template: loops written out, functions evaluated, conditions decided as far as can be known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import TemplateError
from .document import Document
from .functions import Evaluator
from .loops import StuckLoop, unroll
from .parameters import parameter_values

_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Resolved:
    """One resource with its properties evaluated; ``body`` is the resource as written, loops unrolled.

    ``conditional`` tells that it stands under a condition, ``exists`` what is known of it: None is undecided.
    ``decided_by`` are the parameters behind the condition.  ``type`` is empty where the template states none.
    """

    logical_id: str
    type: str
    properties: dict[str, Any]
    condition: str | None
    conditional: bool
    metadata: Any
    body: dict[str, Any]
    exists: bool | None = True
    decided_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolution:
    """A resolved template.  ``stuck`` are the loops over resources that could not be written out."""

    resources: tuple[Resolved, ...]
    stuck: tuple[StuckLoop, ...]
    outputs: dict[str, Any]
    globals: dict[str, Any]
    warnings: tuple[str, ...]


def resolve(
    document: Document,
    parameters: Mapping[str, str] = _NOTHING,
    *,
    pseudo: Mapping[str, str] = _NOTHING,
) -> tuple[Resolved, ...]:
    """The resources of the template, in its order.  ``parameters`` and ``pseudo`` as for ``resolve_all``."""
    return resolve_all(document, parameters, pseudo=pseudo).resources


def resolve_all(
    document: Document,
    parameters: Mapping[str, str] = _NOTHING,
    *,
    pseudo: Mapping[str, str] = _NOTHING,
) -> Resolution:
    """Everything of the template that can be known before it is deployed.

    ``parameters`` are values for the template's parameters, ``pseudo`` for pseudo parameters such as ``AWS::Region``.

    Raises InputError for an unknown parameter or a value that it does not allow, TemplateError where conditions
    refer to each other in a circle or the template unfolds beyond all measure.
    """
    try:
        return _resolve(document, parameters, pseudo)
    except RecursionError:
        raise TemplateError("nested too deeply", path=document.path) from None


def _resolve(document: Document, parameters: Mapping[str, str], pseudo: Mapping[str, str]) -> Resolution:
    tree = document.tree
    values = parameter_values(tree.get("Parameters"), parameters, document.path)
    evaluator = Evaluator(document.path, values, tree.get("Mappings"), pseudo)

    conditions, stuck = _unrolled(tree.get("Conditions"), evaluator)
    for loop in stuck:
        evaluator.warn(f"Conditions: {loop.key} is left out: {loop.reason}")
    evaluator.conditions.use(conditions)
    for name in sorted(conditions):
        evaluator.place = f"condition {name}"
        evaluator.conditions.holds(name)

    resources, stuck = _unrolled(tree["Resources"], evaluator)
    resolved = tuple(_resource(logical_id, body, evaluator) for logical_id, body in resources.items())

    evaluator.place = "Outputs"
    outputs, stuck_outputs = _unrolled(tree.get("Outputs"), evaluator)
    for loop in stuck_outputs:
        evaluator.warn(f"{loop.key} is left out: {loop.reason}")
    evaluated = {name: evaluator.value(body) for name, body in outputs.items()}

    evaluator.place = "Globals"
    shared = evaluator.value(tree.get("Globals"))
    return Resolution(resolved, stuck, evaluated, shared if isinstance(shared, dict) else {}, tuple(evaluator.warnings))


def _unrolled(section: Any, evaluator: Evaluator) -> tuple[dict[str, Any], tuple[StuckLoop, ...]]:
    return unroll(section, evaluator.value, evaluator.spend) if isinstance(section, dict) else ({}, ())


def _resource(logical_id: str, body: Any, evaluator: Evaluator) -> Resolved:
    evaluator.place = logical_id
    body = body if isinstance(body, dict) else {}
    type_name, condition = body.get("Type"), body.get("Condition")
    properties = evaluator.value(body.get("Properties"))
    condition = condition if isinstance(condition, str) else None
    return Resolved(
        logical_id=logical_id,
        type=type_name if isinstance(type_name, str) else "",
        properties=properties if isinstance(properties, dict) else {},
        condition=condition,
        conditional=condition is not None,
        metadata=body.get("Metadata"),
        body=body,
        exists=True if condition is None else evaluator.conditions.holds(condition),
        decided_by=() if condition is None else evaluator.conditions.parameters_behind(condition),
    )
