"""Jira's alerts, as far as they are read and closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..alert_book import AlertRecord
from ..alert_search import search
from ..opsgenie.answers import moment
from ..routing_table import Response, Route
from ..shapes import shape, text, texts
from .answers import Answerer, Call, guarded, refused

if TYPE_CHECKING:
    from ..oncall import EmbeddedOnCall

_SORTS: Mapping[str, Callable[[AlertRecord], Any]] = {
    "createdAt": lambda record: record.created_at,
    "insertedAt": lambda record: record.created_at,
    "lastOccurredAt": lambda record: record.last_occurred_at or record.created_at,
    "priority": lambda record: record.priority,
}


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """Everything under ``/alerts``."""

    def route(method: str, pattern: str, answerer: Answerer) -> Route:
        return guarded(oncall, method, pattern, answerer)

    return (
        route("GET", "/alerts", _list_alerts),
        route("GET", "/alerts/alias", _by_alias),
        route("GET", "/alerts/{id}", lambda call: Response(200, _alert(_record(call), whole=True))),
        route("POST", "/alerts/{id}/close", lambda call: _change_alert(call, "close")),
        route("POST", "/alerts/{id}/acknowledge", lambda call: _change_alert(call, "acknowledge")),
    )


def _record(call: Call) -> AlertRecord:
    record = call.state.alerts.find(call.request.match["id"])
    if record is None:
        raise refused(404, "Alert not found")
    return record


def _list_alerts(call: Call) -> Response:
    try:
        test = search(call.request.query.get("query", ""))
    except ValueError as error:
        raise refused(422, str(error)) from None
    sort, order = call.request.query.get("sort", "createdAt"), call.request.query.get("order", "desc")
    if sort not in _SORTS or order not in ("asc", "desc"):
        raise refused(400, f"sort must be one of {', '.join(_SORTS)}, order asc or desc")
    found = sorted((one for one in call.state.alerts if test(one)), key=_SORTS[sort], reverse=order == "desc")
    return call.page([_alert(one, whole=False) for one in found])


def _by_alias(call: Call) -> Response:
    """The open one; a closed one is found by a query only."""
    record = call.state.alerts.open_alert(call.request.query.get("alias", ""))
    if record is None:
        raise refused(404, "Alert not found")
    return Response(200, _alert(record, whole=True))


def _alert(record: AlertRecord, *, whole: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": record.id,
        "tinyId": record.tiny_id,
        "alias": record.alias,
        "message": record.message,
        "status": record.status,
        "acknowledged": record.acknowledged,
        "seen": False,
        "tags": record.tags,
        "snoozed": False,
        "count": record.count,
        "lastOccuredAt": moment(record.last_occurred_at),
        "createdAt": moment(record.created_at),
        "updatedAt": moment(record.updated_at),
        "source": record.source,
        "owner": record.acknowledged_by,
        "priority": record.priority,
        "responders": [{name: one[name] for name in ("type", "id")} for one in record.responders if one.get("id")],
        "integrationName": record.integration.get("name", ""),
        "integrationType": record.integration.get("type", ""),
    }
    if record.acknowledged_at:
        shown["ackTime"] = moment(record.acknowledged_at)
    if record.closed_at:
        shown["closeTime"] = moment(record.closed_at)
    if whole:
        shown |= {
            "description": record.description,
            "extraProperties": record.details,
            "actions": record.actions,
            "entity": record.entity,
        }
    return shown


def _change_alert(call: Call, what: str) -> Response:
    record = _record(call)
    body = call.body(shape({"note": text(25_000), "user": text(), "source": text(), "properties": texts}))
    change = call.state.alerts.close if what == "close" else call.state.alerts.acknowledge
    change(record, body.get("user", "Jira"), body.get("note", ""))
    call.state.changed.notify_all()
    return Response(202, {"result": "Request will be processed", "requestId": record.id, "took": 0.001})
