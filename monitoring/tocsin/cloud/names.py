"""The values of an alarm template's name parameters, read from the stack that the alarms watch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ..cloudformation.document import Document
from ..errors import CloudError, TemplateError, nearest
from .session import Cloud, asking
from .stacks import StackResource, require_stack, stack_resources


class NameSource(StrEnum):
    """How the name that metrics carry follows from a deployed resource; the values are written in alarm templates."""

    PHYSICAL_ID = "PhysicalId"
    LAST_PATH_SEGMENT = "LastPathSegment"
    LAST_ARN_SEGMENT = "LastArnSegment"
    AFTER_BAR = "AfterBar"
    REST_API_NAME = "RestApiName"


@dataclass(frozen=True, slots=True)
class NameRule:
    """Where the value of one parameter comes from.  ``optional``: the resource may be missing, then it is empty."""

    parameter: str
    logical_id: str
    type: str
    source: NameSource
    optional: bool = False


def name_rules(document: Document) -> tuple[NameRule, ...]:
    """The rules that an alarm template states under ``Metadata: Tocsin: Names``; none where it has no such part.

    Raises TemplateError for a rule that is not one.
    """
    names = _mapping(document, "Metadata", "Tocsin", "Names")
    parameters = _mapping(document, "Parameters")
    rules = []
    for parameter, stated in sorted(names.items()):
        where = f"Metadata.Tocsin.Names.{parameter}"
        if parameter not in parameters:
            raise TemplateError(f"{where}: no such parameter; {nearest(parameter, parameters)}", path=document.path)
        texts = stated if isinstance(stated, Mapping) else {}
        for key in ("LogicalId", "Type", "Source"):
            if not isinstance(texts.get(key), str):
                raise TemplateError(f"{where}: {key} is missing; run `tocsin build` again", path=document.path)
        try:
            source = NameSource(str(texts["Source"]))
        except ValueError:
            raise TemplateError(
                f"{where}: unknown Source {texts['Source']!r}; {nearest(str(texts['Source']), (item.value for item in NameSource))}",
                path=document.path,
            ) from None
        declared = parameters[parameter]
        optional = isinstance(declared, Mapping) and declared.get("Default") == ""
        rules.append(NameRule(parameter, str(texts["LogicalId"]), str(texts["Type"]), source, optional))
    return tuple(rules)


def resolve_names(cloud: Cloud, stack: str, rules: Iterable[NameRule], template: str) -> Mapping[str, str]:
    """Parameter → name, from the resources of the watched ``stack``.

    ``template`` names the alarm template in errors.  Raises CloudError when the stack is missing, cannot be trusted in
    its present state, or lacks a resource.
    """
    advice = f"deploy the system that {template} watches first, or name its stack in the environment"
    require_stack(cloud, stack, advice)
    resources = stack_resources(cloud, stack)
    found: dict[str, str] = {}
    for rule in rules:
        resource = resources.get(rule.logical_id)
        if resource is None:
            if rule.optional:
                found[rule.parameter] = ""
                continue
            raise CloudError(
                f"stack {stack} has no {rule.logical_id} ({rule.type}), which {template} watches: "
                f"{nearest(rule.logical_id, resources)}; deploy the watched stack, or run `tocsin build` again"
            )
        if resource.type != rule.type:
            raise CloudError(
                f"stack {stack}: {rule.logical_id} is a {resource.type}, but {template} watches a {rule.type}; "
                "run `tocsin build` again"
            )
        found[rule.parameter] = _name(cloud, rule.source, resource)
    return found


def _name(cloud: Cloud, source: NameSource, resource: StackResource) -> str:
    match source:
        case NameSource.PHYSICAL_ID:
            return resource.physical_id
        case NameSource.LAST_PATH_SEGMENT:
            return resource.physical_id.rstrip("/").rpartition("/")[2]
        case NameSource.LAST_ARN_SEGMENT:
            return resource.physical_id.rpartition(":")[2]
        case NameSource.AFTER_BAR:
            return resource.physical_id.rpartition("|")[2]
        case NameSource.REST_API_NAME:
            with asking(f"read the name of API {resource.physical_id} ({resource.logical_id})"):
                return str(cloud.client("apigateway").get_rest_api(restApiId=resource.physical_id)["name"])


def _mapping(document: Document, *path: str) -> Mapping[str, object]:
    value: object = document.tree
    for key in path:
        value = value.get(key, {}) if isinstance(value, Mapping) else {}
    return value if isinstance(value, Mapping) else {}
