"""A starter declaration for somebody's own system: the promises its template suggests, to be corrected by a person."""

from __future__ import annotations

from datetime import timedelta

from .catalog import CATALOG
from .catalog.entry import SliOffer
from .errors import DeclarationError
from .model import Resource, SliKind, Stack
from .units import duration

#: Types that users meet themselves; where there is one, a function behind it needs no promise of its own.
_FRONTS = ("AWS::ApiGateway::RestApi", "AWS::ApiGatewayV2::Api")
_WINDOW = "28d"


def declaration(stack: Stack, name: str, owner: str, template: str) -> str:
    """The Python text of a declaration; every promise in it is a proposal and says so."""
    proposals = _proposals(stack)
    used = sorted({function for function, _ in proposals})
    imports = ", ".join(sorted([*used, "discover"]))
    lines = [
        f'"""What {name} promises: proposals from its template; correct the objectives and say why in because=."""',
        "",
        f"from tocsin import System, {imports}",
        "",
        f"stack = discover({_quoted(template)})",
        "",
        "system = System(",
        f"    name={_quoted(name)},",
        f"    owner={_quoted(owner)},",
        "    resources=stack,",
        "    slos=[",
        *(f"        {call}," for _, call in proposals),
        "    ],",
        ")",
        "",
    ]
    if not proposals:
        at = lines.index("    slos=[")
        lines[at : at + 2] = [
            "    slos=[],  # nothing in the template can be promised to users yet; causes still get tickets"
        ]
    return "\n".join(lines)


def _proposals(stack: Stack) -> list[tuple[str, str]]:
    """(function, call) for each promise, users' own fronts first."""
    has_front = any(_type(resource) in _FRONTS for resource in stack.resources)
    found = []
    for resource in sorted(stack.resources, key=lambda resource: (_type(resource) not in _FRONTS, resource.logical_id)):
        for offer in CATALOG[resource.type].slis:
            if _proposed(resource, offer, has_front) and (call := _call(resource, offer)):
                found.append((offer.kind.value, call))
    return found


def _type(resource: Resource) -> str:
    return CATALOG[resource.type].type


def _proposed(resource: Resource, offer: SliOffer, has_front: bool) -> bool:
    if offer.applies(resource) is not None or resource.role == "dlq":
        return False
    kind = _type(resource)
    if kind in ("AWS::ApiGateway::Stage", "AWS::ApiGatewayV2::Stage"):
        return False  # its API is promised as a whole
    if kind == "AWS::Lambda::Function":
        if offer.kind is SliKind.HEARTBEAT:
            return True
        has_heartbeat = any(
            other.kind is SliKind.HEARTBEAT and other.applies(resource) is None for other in CATALOG[resource.type].slis
        )
        return offer.kind is SliKind.AVAILABILITY and not has_front and not has_heartbeat
    return kind in _FRONTS or offer.kind in (SliKind.FRESHNESS, SliKind.COMPLETENESS)


def _call(resource: Resource, offer: SliOffer) -> str | None:
    """The call as text, or None where the proposed limit does not suit this resource."""
    limit = duration(offer.limit) if offer.limit else None
    try:
        offer.measure(resource, limit if offer.needs_limit else None)
    except DeclarationError:
        if not isinstance(limit, timedelta):
            return None
        limit = None
    if offer.needs_limit and limit is None:
        return None
    subject = f"stack[{_quoted(resource.logical_id)}]"
    if offer.kind is SliKind.HEARTBEAT:
        return f'heartbeat({subject}, tolerates="2h")'
    below = f"below={_quoted(offer.limit or '')}, " if offer.needs_limit else ""
    return f"{offer.kind.value}({subject}, {below}objective={_quoted(offer.objective)}, window={_quoted(_WINDOW)})"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
