"""A starter declaration for somebody's own system: the promises its template suggests, to be corrected by a person."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from .catalog import CATALOG
from .catalog.entry import Proposal, SliOffer
from .errors import DeclarationError
from .model import Resource, SliKind, Stack
from .units import duration

_WINDOW = "28d"
# The least line length that formatters are set to; what fits stays as it is written under any longer one.
_WIDTH = 88


def declaration(
    stack: Stack, name: str, owner: str, template: str, parameters: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The Python text of a declaration; every promise in it is a proposal and says so.

    ``template`` is the path from the project's folder, ``parameters`` are what the template was read with.
    """
    proposals = _proposals(stack)
    names = ["System", *sorted({function for function, _ in proposals} | {"discover"})]
    lines = [
        f'"""What {name} promises: proposals from its template; correct the objectives and say why in because=."""',
        "",
        *_formatted("from tocsin import ", "", names),
        "",
        *_formatted("stack = discover(", ")", [_quoted(template), *_mapping(parameters)]),
        "",
        "system = System(",
        f"    name={_quoted(name)},",
        f"    owner={_quoted(owner)},",
        "    resources=stack,",
    ]
    if proposals:
        lines.append("    slos=[")
        for function, arguments in proposals:
            lines += _formatted(f"{function}(", "),", arguments, " " * 8)
        lines.append("    ],")
    else:
        lines.append("    slos=[],  # nothing in the template can be promised to users yet; causes still get tickets")
    return "\n".join([*lines, ")", ""])


def _formatted(begin: str, end: str, items: Sequence[str], indent: str = "") -> list[str]:
    """A call or import as a formatter leaves it: in one line while that is short, else one item a line."""
    line = f"{indent}{begin}{', '.join(items)}{end}"
    if len(line) <= _WIDTH and "\n" not in line:
        return [line]
    return [
        f"{indent}{begin}{'' if end else '('}",
        *(f"{indent}    {item}," for item in items),
        f"{indent}{end or ')'}",
    ]


def _mapping(parameters: Mapping[str, str]) -> list[str]:
    items = [f"{_quoted(name)}: {_quoted(parameters[name])}" for name in sorted(parameters)]
    if len(items) > 1:
        return ["{\n        " + ",\n        ".join(items) + ",\n    }"]
    return ["{" + item + "}" for item in items]


def _proposals(stack: Stack) -> list[tuple[str, list[str]]]:
    """(function, arguments) for each promise, users' own fronts first."""
    has_front = any(CATALOG[resource.type].user_facing for resource in stack.resources)
    found = []
    for resource in sorted(stack.resources, key=lambda one: (not CATALOG[one.type].user_facing, one.logical_id)):
        for offer in CATALOG[resource.type].slis:
            if _proposed(resource, offer, has_front) and (arguments := _arguments(resource, offer)):
                found.append((offer.kind.value, arguments))
    return found


def _proposed(resource: Resource, offer: SliOffer, has_front: bool) -> bool:
    if offer.applies(resource) is not None or resource.role == "dlq":
        return False
    entry = CATALOG[resource.type]
    if entry.user_facing or offer.proposed is Proposal.ALWAYS:
        return True
    if offer.proposed is Proposal.NEVER or has_front:
        return False
    return not any(other.proposed is Proposal.ALWAYS and other.applies(resource) is None for other in entry.slis)


def _arguments(resource: Resource, offer: SliOffer) -> list[str] | None:
    """The arguments as text, or None where the proposed limit does not suit this resource."""
    limit = duration(offer.limit) if offer.limit else None
    try:
        offer.measure(resource, limit if offer.needs_limit else None)
    except DeclarationError:
        return None
    if offer.needs_limit and limit is None:
        return None
    subject = f"stack[{_quoted(resource.logical_id)}]"
    if offer.kind is SliKind.HEARTBEAT:
        return [subject, 'tolerates="2h"']
    below = [f"below={_quoted(offer.limit or '')}"] if offer.needs_limit else []
    return [subject, *below, f"objective={_quoted(offer.objective)}", f"window={_quoted(_WINDOW)}"]


def _quoted(text: str) -> str:
    if not text.isprintable():  # escaped as Python does, which is not as JSON does
        return '"' + text.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'
    return json.dumps(text, ensure_ascii=False)
