"""What all answers of the PagerDuty dialect have in common: who may ask, things by kind, pages, and errors."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..routing_table import Refused, Request, Response
from ..state import State, Table

#: Name of a list → its table, the name of one, and the fields that it must have.
KINDS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "teams": ("pagerduty teams", "team", ("name",)),
    "schedules": ("pagerduty schedules", "schedule", ("name", "time_zone", "schedule_layers")),
    "escalation_policies": ("pagerduty policies", "escalation_policy", ("name", "escalation_rules")),
    "services": ("pagerduty services", "service", ("name", "escalation_policy")),
}


def refused(status: int, message: str, *errors: str) -> Refused:
    """An error answer, to be raised."""
    return Refused(Response(status, {"error": {"message": message, "code": 2000 + status, "errors": list(errors)}}))


def new_id() -> str:
    """An id in PagerDuty's form."""
    return "P" + uuid.uuid4().hex[:6].upper()


class Account:
    """One account: what the server holds, as PagerDuty's kinds."""

    def __init__(self, state: State) -> None:
        self.state = state

    def guarded(self, request: Request, answer: Callable[[Request], Response]) -> Response:
        """The answer, if the token and what the request accepts are right.  Raises Refused."""
        if request.headers.get("authorization") != f"Token token={self.state.key}":
            raise refused(401, "The request did not contain a valid API key")
        if "vnd.pagerduty+json;version=2" not in request.headers.get("accept", ""):
            raise refused(406, "Accept must be application/vnd.pagerduty+json;version=2")
        return answer(request)

    def table(self, kind: str) -> Table:
        """The things of a kind."""
        return self.state.table(KINDS[kind][0])

    def found(self, kind: str, identifier: str) -> dict[str, Any]:
        """The thing of that id.  Raises Refused with 404."""
        found = self.table(kind).get(identifier)
        if found is None:
            raise refused(404, "Not Found")
        return found

    def page(self, request: Request, key: str, values: Sequence[Any]) -> Response:
        """One page of values, as the request wants it."""
        offset, limit = int(request.query.get("offset", "0")), min(100, int(request.query.get("limit", "25")))
        more = offset + limit < len(values)
        page = list(values[offset : offset + limit])
        return Response(200, {key: page, "limit": limit, "offset": offset, "more": more, "total": None})
