"""PagerDuty's REST API v2 and its two endpoints for events, as far as Tocsin uses them.

https://developer.pagerduty.com/api-reference: teams, schedules, escalation policies, services with integrations, users,
incidents; ``/v2/enqueue`` and ``/integration/<key>/enqueue``.  The token is the embedded key.  What key its CloudWatch
integration gives an alert is not documented, so here it is none that could be guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import cloudwatch
from ..routing_table import Request, Response, Route
from .account import KINDS, Account
from .configuration import Configuration
from .incidents import Incidents

if TYPE_CHECKING:
    from ..oncall import EmbeddedOnCall

__all__ = ["routes"]


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """Everything of PagerDuty."""
    account = Account(oncall.state)
    held, events = Configuration(account), Incidents(account)

    def route(method: str, pattern: str, answer: Callable[[Request], Response]) -> Route:
        return Route(method, pattern, lambda request: account.guarded(request, answer))

    found = [
        route("GET", "/users", held.users),
        route("GET", "/teams/{id}/members", held.members),
        route("PUT", "/teams/{id}/users/{user}", held.put_member),
        route("DELETE", "/teams/{id}/users/{user}", held.drop_member),
        route("POST", "/services/{id}/integrations", held.make_integration),
        route("GET", "/services/{id}/integrations/{integration}", held.integration),
        route("DELETE", "/services/{id}/integrations/{integration}", held.drop_integration),
        route("GET", "/incidents", events.incidents),
        route("PUT", "/incidents/{id}", events.resolve),
        route("GET", "/incidents/{id}/alerts", events.alerts),
        route("POST", "/incidents/{id}/notes", events.note),
        Route("POST", "/v2/enqueue", events.enqueue),
    ]
    for kind in KINDS:
        found += [
            route("GET", f"/{kind}", lambda request, kind=kind: held.listed(request, kind)),  # type: ignore[misc]
            route("POST", f"/{kind}", lambda request, kind=kind: held.make(request, kind)),  # type: ignore[misc]
            route("GET", f"/{kind}/{{id}}", lambda request, kind=kind: held.one(request, kind)),  # type: ignore[misc]
            route("PUT", f"/{kind}/{{id}}", lambda request, kind=kind: held.change(request, kind)),  # type: ignore[misc]
            route("DELETE", f"/{kind}/{{id}}", lambda request, kind=kind: held.drop(request, kind)),  # type: ignore[misc]
        ]
    (take,) = cloudwatch.routes(oncall)
    # SNS's own envelope is understood as everywhere here; only the key stands elsewhere in the address.
    found.append(
        Route(
            "POST",
            "/integration/{key}/enqueue",
            lambda request: take.handler(replace(request, query={"apiKey": request.match["key"]})),
            alone=False,
        )
    )
    return tuple(found)
