"""Opsgenie's Alert API: https://docs.opsgenie.com/docs/alert-api."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ...past_alerts import FURTHEST, PAGE
from ..alert_book import AlertRecord, Note
from ..alert_search import UnreadableQuery, search
from ..routing_table import Response, Route
from ..shapes import PRIORITY, Check, list_of, recipient, shape, text, texts
from ..who_is_told import settle
from .answers import Access, Answerer, Call, guarded, moment
from .shown_alert import base_alert

if TYPE_CHECKING:
    from ..oncall import EmbeddedOnCall

# Limits: the table of fields on https://docs.opsgenie.com/docs/alert-api#create-alert.
_ACTION = {"user": text(100), "note": text(25_000), "source": text(100)}
_TAGS = list_of(text(50, empty=False), most=20)
_RESPONDERS = list_of(recipient("user", "team", "escalation", "schedule"), most=50)
_CREATE = shape(
    {
        **_ACTION,
        "message": text(130, empty=False),
        "alias": text(512),
        "description": text(15_000),
        "responders": _RESPONDERS,
        "visibleTo": list_of(recipient("user", "team"), most=50),
        "actions": list_of(text(50), most=10),
        "tags": _TAGS,
        "details": texts,
        "entity": text(512),
        "priority": PRIORITY,
    },
    ("message",),
)
_PLAIN = shape(_ACTION)
_NOTE = shape(_ACTION, ("note",))
_ADD_TAGS = shape({**_ACTION, "tags": _TAGS}, ("tags",))
_ADD_DETAILS = shape({**_ACTION, "details": texts}, ("details",))
_DETAILS_LONGEST = 8_000
_IDENTIFIERS = ("id", "tiny", "alias")

_SORTS = {
    "createdAt": lambda record: record.created_at,
    "updatedAt": lambda record: record.updated_at,
    "lastOccurredAt": lambda record: record.last_occurred_at,
    "tinyId": lambda record: int(record.tiny_id),
    "alias": lambda record: record.alias,
    "message": lambda record: record.message,
    "status": lambda record: record.status,
    "acknowledged": lambda record: record.acknowledged,
    "count": lambda record: record.count,
    "source": lambda record: record.source,
    "owner": lambda record: record.acknowledged_by,
}

Change = Callable[[Call, AlertRecord, dict[str, Any]], None]


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """Everything under ``/v2/alerts``."""

    def route(method: str, pattern: str, access: Access, answerer: Answerer) -> Route:
        return Route(method, f"/v2/alerts{pattern}", guarded(oncall, access, answerer))

    def change(name: str, check: Check, action: str, apply: Change, method: str = "POST") -> Route:
        def answerer(call: Call) -> Response:
            body = call.body(check) if method == "POST" else dict(call.request.query)
            record = _named(call)
            if record is not None:
                apply(call, record, body)
            return _accepted(call, action, record, record is not None)

        return route(method, f"/{{identifier}}{name}", Access.ALERTS, answerer)

    return (
        route("POST", "", Access.ALERTS, _create),
        route("GET", "", Access.READ, _list),
        route("GET", "/count", Access.READ, _count),
        route("GET", "/requests/{requestId}", Access.READ, _request_status),
        route("GET", "/{identifier}", Access.READ, _get),
        route("GET", "/{identifier}/notes", Access.READ, _notes),
        route("GET", "/{identifier}/logs", Access.READ, _logs),
        route("GET", "/{identifier}/recipients", Access.READ, _recipients),
        change("", _PLAIN, "Delete", lambda call, record, body: call.state.alerts.delete(record), "DELETE"),
        change("/close", _PLAIN, "Close", _close),
        change("/acknowledge", _PLAIN, "Acknowledge", _acknowledge),
        change("/unacknowledge", _PLAIN, "UnAcknowledge", _unacknowledge),
        change("/notes", _NOTE, "AddNote", _add_note),
        change("/tags", _ADD_TAGS, "AddTags", _add_tags),
        change("/details", _ADD_DETAILS, "AddDetails", _add_details),
    )


def _create(call: Call) -> Response:
    body = call.body(_CREATE)
    if len("".join(key + value for key, value in body.get("details", {}).items())) > _DETAILS_LONGEST:
        raise call.unprocessable({"details": f"details can not be longer than {_DETAILS_LONGEST} characters."})
    integration = call.integration or {"id": "", "name": "Default API", "type": "API"}
    record, new = call.state.alerts.raise_alert(
        body.get("alias", ""),
        body["message"],
        description=body.get("description", ""),
        priority=body.get("priority", "P3"),
        tags=body.get("tags", ()),
        details=body.get("details"),
        entity=body.get("entity", ""),
        source=body.get("source", "127.0.0.1"),
        actions=body.get("actions", ()),
        responders=body.get("responders", ()),
        integration={name: integration[name] for name in ("id", "name", "type")},
        by=body.get("user", ""),
    )
    if new:
        settle(call.state, record, call.integration)
    if note := body.get("note"):
        call.state.alerts.add_note(record, note, body.get("user", ""))
    return _accepted(call, "Create", record, True)


def _close(call: Call, record: AlertRecord, body: dict[str, Any]) -> None:
    call.state.alerts.close(record, _who(call, body), body.get("note", ""))


def _acknowledge(call: Call, record: AlertRecord, body: dict[str, Any]) -> None:
    call.state.alerts.acknowledge(record, _who(call, body), body.get("note", ""))


def _unacknowledge(call: Call, record: AlertRecord, body: dict[str, Any]) -> None:
    call.state.alerts.unacknowledge(record, _who(call, body), body.get("note", ""))


def _add_note(call: Call, record: AlertRecord, body: dict[str, Any]) -> None:
    call.state.alerts.add_note(record, body["note"], _who(call, body))


def _add_tags(call: Call, record: AlertRecord, body: dict[str, Any]) -> None:
    call.state.alerts.add_tags(record, body["tags"], _who(call, body), body.get("note", ""))


def _add_details(call: Call, record: AlertRecord, body: dict[str, Any]) -> None:
    call.state.alerts.add_details(record, body["details"], _who(call, body), body.get("note", ""))


def _who(call: Call, body: dict[str, Any]) -> str:
    return str(body.get("user") or (call.integration or {"name": "Alert API"})["name"])


def _accepted(call: Call, action: str, record: AlertRecord | None, success: bool) -> Response:
    """202: what became of it is told by the request's own address, also that there was no such alert."""
    call.state.changed.notify_all()
    words = {"Create": "Created alert", "Close": "Closed alert"}
    status = words.get(action, f"{action} done") if success else "Alert does not exist"
    call.state.table("alert requests").add(
        {
            "id": call.request_id,
            "action": action,
            "processedAt": moment(call.state.clock()),
            "integrationId": (call.integration or {"id": ""})["id"],
            "isSuccess": success,
            "status": status,
            "alertId": record.id if record else "",
            "alias": record.alias if record else "",
        }
    )
    return call.answer(202, result="Request will be processed")


def _request_status(call: Call) -> Response:
    wanted = call.request.match["requestId"]
    found = call.state.table("alert requests").get(wanted)
    if found is None:
        raise call.refuse(404, f"Request not found. It might not be processed, yet: [{wanted}]")
    return call.answer(200, {name: value for name, value in found.items() if name != "id"})


def _named(call: Call) -> AlertRecord | None:
    kind = call.query_word("identifierType", _IDENTIFIERS)
    record = call.state.alerts.find(call.request.match["identifier"], kind)
    return record if record is not None and _visible(call, record) else None


def _visible(call: Call, record: AlertRecord) -> bool:
    """The key of a team's integration sees that team's alerts only."""
    team = (call.integration or {}).get("ownerTeam")
    return team is None or any(one.get("id") == team["id"] for one in record.responders)


def _seen(call: Call) -> AlertRecord:
    record = _named(call)
    if record is None:
        kind = call.request.query.get("identifierType", "id")
        raise call.refuse(404, f"Alert with {kind} [{call.request.match['identifier']}] does not exist")
    return record


def _get(call: Call) -> Response:
    record = _seen(call)
    more = {"actions": record.actions, "entity": record.entity}
    return call.answer(
        200, {**base_alert(record), **more, "description": record.description, "details": record.details}
    )


def _matching(call: Call) -> list[AlertRecord]:
    try:
        test = search(call.request.query.get("query", ""))
    except UnreadableQuery as error:
        raise call.unprocessable({"query": str(error)}) from None
    return [record for record in call.state.alerts if _visible(call, record) and test(record)]


def _count(call: Call) -> Response:
    return call.answer(200, {"count": len(_matching(call))})


def _list(call: Call) -> Response:
    offset = call.query_number("offset", 0, 0, FURTHEST)
    limit = call.query_number("limit", 20, 1, PAGE)
    if offset + limit > FURTHEST:
        raise call.unprocessable({"offset": f"the sum of offset and limit must not exceed {FURTHEST}"})
    order = call.query_word("order", ("desc", "asc"))
    sort = call.query_word("sort", tuple(_SORTS))
    found = sorted(_matching(call), key=_SORTS[sort], reverse=order == "desc")

    def page(start: int) -> str:
        query = {**call.request.query, "offset": start, "limit": limit}
        query.pop("apiKey", None)
        return f"{call.oncall.url}/v2/alerts?{urlencode(query)}"

    last = max(len(found) - 1, 0) // limit * limit
    paging = {"first": page(0), "last": page(last)}
    if offset + limit < len(found):
        paging["next"] = page(offset + limit)
    if offset:
        paging["prev"] = page(max(offset - limit, 0))
    return call.answer(200, [base_alert(record) for record in found[offset : offset + limit]], more={"paging": paging})


def _notes(call: Call) -> Response:
    return _history(call, _seen(call).notes, "note")


def _logs(call: Call) -> Response:
    return _history(call, _seen(call).log, "log")


def _history(call: Call, notes: list[Note], name: str) -> Response:
    newest_first = list(enumerate(notes))[::-1]
    data = [
        {
            name: note.text,
            "owner": note.by,
            "createdAt": moment(note.at),
            "offset": f"{int(note.at.timestamp() * 1000)}_{number}",
            **({"type": note.kind} if name == "log" else {}),
        }
        for number, note in newest_first
    ]
    return call.answer(200, data, more={"paging": {}})


def _recipients(call: Call) -> Response:
    record = _seen(call)
    users = [call.state.users.named(name, "username") for name in record.notified]
    state = "action" if record.acknowledged or not record.open else "active"
    when = moment(record.created_at)
    return call.answer(
        200,
        [
            {
                "user": {"id": user["id"], "username": user["username"]},
                "state": state,
                "method": "",
                "createdAt": when,
                "updatedAt": when,
            }
            for user in users
            if user
        ],
    )
