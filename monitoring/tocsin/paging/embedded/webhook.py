"""A receiver of the plain signed webhook: ``/webhook``, as ``paging/webhook.py`` describes it.

The signing key is the embedded key.  What a signature does not fit is answered with 401 and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ...errors import PagingError
from ..webhook import verify
from .opsgenie.answers import moment
from .routing_table import Refused, Request, Response, Route
from .shapes import PRIORITY, list_of, shape, text, texts

if TYPE_CHECKING:
    from .oncall import EmbeddedOnCall

PATH = "/webhook"
_POST = shape(
    {
        "alias": text(512, empty=False),
        "state": text(empty=False),
        "message": text(),
        "description": text(),
        "priority": PRIORITY,
        "tags": list_of(text()),
        "details": texts,
    },
    ("alias", "state"),
)


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """Posts, and the newest alert of an alias."""
    return (
        Route("POST", PATH, lambda request: _take(oncall, request)),
        Route("GET", PATH, lambda request: _tell(oncall, request)),
    )


def _check(oncall: EmbeddedOnCall, request: Request, signed: bytes) -> None:
    try:
        verify(signed, request.headers, oncall.state.key, oncall.state.clock())
    except PagingError as error:
        oncall.refused.append(f"a post was refused with 401: {error}")
        raise Refused(Response(401, {"message": str(error)})) from None


def _take(oncall: EmbeddedOnCall, request: Request) -> Response:
    _check(oncall, request, request.body)
    try:
        body: dict[str, Any] = request.json()
    except (ValueError, RecursionError):
        raise Refused(Response(400, {"message": "it is not JSON"})) from None
    if errors := _POST(body):
        raise Refused(Response(422, {"message": "; ".join(f"{path}: {why}" for path, why in errors.items())}))
    alerts = oncall.state.alerts
    if body["state"] == "ALARM":
        alerts.raise_alert(
            body["alias"],
            body.get("message") or body["alias"],
            description=body.get("description") or "",
            priority=body.get("priority") or "P3",
            tags=body.get("tags") or (),
            details=body.get("details"),
            source="webhook",
            integration={"id": "", "name": "webhook", "type": "Webhook"},
        )
    elif found := alerts.open_alert(body["alias"]):
        alerts.close(found, "webhook", body.get("message") or "")
    oncall.state.changed.notify_all()
    return Response(202, {"result": "accepted"})


def _tell(oncall: EmbeddedOnCall, request: Request) -> Response:
    _check(oncall, request, urlencode(request.query).encode())
    record = oncall.state.alerts.find(request.query.get("alias", ""), "alias")
    if record is None:
        return Response(404, {"message": "no alert of that alias"})
    return Response(
        200,
        {
            "id": record.id,
            "alias": record.alias,
            "open": record.open,
            "acknowledged": record.acknowledged,
            "message": record.message,
            "description": record.description,
            "priority": record.priority,
            "tags": record.tags,
            "details": record.details,
            "created_at": moment(record.created_at),
            "closed_at": moment(record.closed_at) if record.closed_at else None,
            "count": record.count,
        },
    )
