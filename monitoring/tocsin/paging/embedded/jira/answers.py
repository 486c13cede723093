"""What all answers of the Jira dialect have in common: who may ask, pages, and errors.

https://developer.atlassian.com/cloud/jira/service-desk-ops/rest/v2/intro/
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ..routing_table import Handler, Refused, Request, Response, Route
from ..shapes import Check
from ..state import State, Table

if TYPE_CHECKING:
    from ..oncall import EmbeddedOnCall

OPS = "/jsm/ops/api/{cloudId}/v1"


@dataclass(frozen=True)
class Call:
    """A request whose token is good."""

    oncall: EmbeddedOnCall
    request: Request

    @property
    def state(self) -> State:
        """What the server holds."""
        return self.oncall.state

    def body(self, check: Check) -> dict[str, Any]:
        """The checked JSON body with what is null.  Raises Refused with 400 or 422."""
        try:
            body = self.request.json()
        except (ValueError, RecursionError):
            raise refused(400, "Request body is not valid JSON.") from None
        body = {} if body is None else body
        if errors := check(body):
            raise refused(422, "; ".join(f"{path or 'body'}: {why}" for path, why in sorted(errors.items())))
        found: dict[str, Any] = body
        return found

    def found(self, table: Table, name: str, key: str = "id") -> dict[str, Any]:
        """The thing that the address names.  Raises Refused with 404."""
        thing = table.get(self.request.match[key])
        if thing is None:
            raise refused(404, f"{name} not found")
        return thing

    def team(self) -> dict[str, Any]:
        """The team that the address names, with operations switched on.  Raises Refused with 404."""
        team = self.state.teams.get(self.request.match["teamId"])
        if team is None or not team.get("operations", True):
            raise refused(404, "Team not found")
        return team

    def page(self, values: Sequence[Any]) -> Response:
        """One page of values, 20 when the request does not say, with the address of the next."""
        offset, size = self._number("offset", 0), self._number("size", 20)
        path = self.request.path.partition("/v1/")[2]
        more = offset + size < len(values)
        query = urlencode({**self.request.query, "offset": offset + size, "size": size})
        links = {"next": f"/v1/{path}?{query}"} if more else {}
        return Response(200, {"values": list(values[offset : offset + size]), "links": links})

    def _number(self, name: str, default: int) -> int:
        value = self.request.query.get(name, str(default))
        if not value.isdecimal() or int(value[:9]) > 20_000:
            raise refused(400, f"{name} must be a number")
        return int(value)


Answerer = Callable[[Call], Response]


def guarded(oncall: EmbeddedOnCall, method: str, pattern: str, answerer: Answerer, base: str = OPS) -> Route:
    """A route that answers only a good token: basic authentication with any account and the embedded key."""

    def handle(request: Request) -> Response:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        try:
            account, _, token = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            account, token = "", ""
        if scheme != "Basic" or not account or token != oncall.state.key:
            raise refused(401, "Client must be authenticated to access this resource.")
        return answerer(Call(oncall, request))

    return Route(method, f"{base}{pattern}", handle)


def renamed(routes: Sequence[Route], prefix: str) -> tuple[Route, ...]:
    """The same routes below another path: the integration API is Opsgenie's."""
    return tuple(Route(one.method, f"{prefix}{one.pattern}", one.handler, one.alone) for one in routes)


def owner_team(call: Call, identifier: str | None) -> dict[str, Any]:
    """What a thing keeps of the team that it belongs to; nothing without one.  Raises Refused with 422."""
    if identifier is None:
        return {}
    team = call.state.teams.get(identifier)
    if team is None:
        raise refused(422, f"teamId: no team {identifier}")
    return {"ownerTeam": {"id": team["id"], "name": team["name"]}}


def refused(status: int, detail: str) -> Refused:
    """An error answer, to be raised."""
    error = {"id": str(uuid.uuid4()), "status": str(status), "title": "", "detail": detail}
    return Refused(Response(status, {"errors": [error]}))


def without(thing: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """All but these fields."""
    return {name: value for name, value in thing.items() if name not in names}


__all__ = ["Answerer", "Call", "Handler", "guarded", "owner_team", "refused", "renamed", "without"]
