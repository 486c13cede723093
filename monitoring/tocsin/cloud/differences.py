"""What a change set would change, as values: resources added, changed or removed, and which of their properties."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ..cloudformation.document import parse
from ..errors import TemplateError


class Action(StrEnum):
    """What happens to a resource."""

    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"


class Replacement(StrEnum):
    """Whether a changed resource is made anew."""

    NO = "no"
    MAYBE = "maybe"  # depends on a value that is only known while deploying
    YES = "yes"


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """One changed property.  ``before`` and ``after`` are text as far as they are known; ``cause`` is the parameter
    or resource whose change leads to this one."""

    name: str
    before: str | None = None
    after: str | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """What a change set does to one resource."""

    action: Action
    logical_id: str
    type: str
    physical_id: str | None = None
    replacement: Replacement = Replacement.NO
    properties: tuple[PropertyChange, ...] = ()


_ACTIONS = {"Add": Action.ADD, "Import": Action.ADD, "Modify": Action.CHANGE, "Dynamic": Action.CHANGE}
_REPLACEMENTS = {"True": Replacement.YES, "Conditional": Replacement.MAYBE}
_ORDER = tuple(Action)


@dataclass(frozen=True, slots=True)
class TemplatePair:
    """The properties in the template that is deployed and in the one that is asked for, by logical id."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]

    def values(self, logical_id: str, name: str) -> tuple[str | None, str | None]:
        """A property as the two templates write it; nothing where they write the same."""
        before, after = (
            _text((side.get(logical_id, {}).get("Properties") or {}).get(name)) for side in (self.before, self.after)
        )
        return (None, None) if before == after else (before, after)


def template_pair(before: str, after: str) -> TemplatePair:
    """The pair of two template texts; empty where one cannot be read, because only values in the diff are lost then."""
    try:
        return TemplatePair(parse(before, "deployed").tree["Resources"], parse(after, "committed").tree["Resources"])
    except TemplateError:
        return TemplatePair({}, {})


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def read_changes(
    described: tuple[Mapping[str, Any], ...], templates: TemplatePair, secrets: frozenset[str] = frozenset()
) -> tuple[ResourceChange, ...]:
    """CloudFormation's description of a change set as values: additions first, then by logical id.

    ``secrets`` are texts that must not be shown, and names of parameters whose value must not.
    """
    found = [
        ResourceChange(
            action=_ACTIONS.get(item["Action"], Action.REMOVE),
            logical_id=item["LogicalResourceId"],
            type=item["ResourceType"],
            physical_id=item.get("PhysicalResourceId"),
            replacement=_REPLACEMENTS.get(item.get("Replacement", ""), Replacement.NO),
            properties=_properties(item, templates, secrets) if item["Action"] in ("Modify", "Dynamic") else (),
        )
        for item in described
    ]
    return tuple(sorted(found, key=lambda change: (_ORDER.index(change.action), change.logical_id)))


def _properties(
    item: Mapping[str, Any], templates: TemplatePair, secrets: frozenset[str]
) -> tuple[PropertyChange, ...]:
    found: dict[str, PropertyChange] = {}
    for detail in item.get("Details") or ():
        target = detail.get("Target", {})
        name = target.get("Name") or target.get("Attribute", "")
        before, after = target.get("BeforeValue"), target.get("AfterValue")
        if before is None and after is None:
            before, after = templates.values(item["LogicalResourceId"], name)
        cause = detail.get("CausingEntity") or None
        earlier = found.get(name)
        # One property is listed once for each cause; a named cause tells more than none.
        if earlier is None or (earlier.cause is None and cause is not None):
            if cause in secrets or any(secret in text for secret in secrets for text in (before, after) if text):
                before = after = None
            found[name] = PropertyChange(name, before, after, cause)
    return tuple(found[name] for name in sorted(found))
