"""Jira's heartbeats, each a team's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..opsgenie.heartbeats import ping
from ..routing_table import Response, Route
from ..shapes import PRIORITY, flag, list_of, one_of, shape, text, whole
from .answers import Answerer, Call, guarded, owner_team, refused, without

if TYPE_CHECKING:
    from ..oncall import EmbeddedOnCall

_HEARTBEAT_FIELDS = {
    "name": text(200, empty=False),
    "description": text(10_000),
    "interval": whole(1),
    "intervalUnit": one_of("minutes", "hours", "days"),
    "enabled": flag,
    "alertMessage": text(130),
    "alertTags": list_of(text(50), most=20),
    "alertPriority": PRIORITY,
}


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """Everything under ``/teams/{teamId}/heartbeats``."""

    def route(method: str, pattern: str, answerer: Answerer) -> Route:
        return guarded(oncall, method, pattern, answerer)

    heartbeats = "/teams/{teamId}/heartbeats"
    return (
        route("GET", heartbeats, _list_heartbeats),
        route("POST", heartbeats, _make_heartbeat),
        route("PATCH", heartbeats, _change_heartbeat),
        route("DELETE", heartbeats, _drop_heartbeat),
        *(route(method, f"{heartbeats}/ping", _ping) for method in ("GET", "POST")),
    )


def _heartbeat(call: Call) -> dict[str, Any]:
    team, name = call.team(), call.request.query.get("name", "")
    found = call.state.heartbeats.named(name)
    if found is None or (found.get("ownerTeam") or {}).get("id") != team["id"]:
        raise refused(404, f"Heartbeat {name} not found")
    return found


def _shown_heartbeat(one: dict[str, Any]) -> dict[str, Any]:
    status = "Off" if not one["enabled"] else "Pending" if one["pinged"] is None else ""
    return {
        **{name: one.get(name) for name in _HEARTBEAT_FIELDS},
        "intervalUnit": str(one["intervalUnit"]).capitalize(),
        "status": status or ("Unresponsive" if one["expired"] else "Responsive"),
        "ownerTeamId": one["ownerTeam"]["id"],
    }


def _list_heartbeats(call: Call) -> Response:
    team, name = call.team(), call.request.query.get("name")
    found = [one for one in call.state.heartbeats if (one.get("ownerTeam") or {}).get("id") == team["id"]]
    return call.page([_shown_heartbeat(one) for one in found if name in (None, one["name"])])


def _make_heartbeat(call: Call) -> Response:
    team = call.team()
    body = call.body(shape(_HEARTBEAT_FIELDS, ("name", "interval", "intervalUnit", "enabled")))
    if call.state.heartbeats.named(body["name"]):
        raise refused(409, f"There is already a heartbeat with name {body['name']}")
    made = call.state.heartbeats.add({**body, **owner_team(call, team["id"])})
    return Response(201, _shown_heartbeat(made))


def _change_heartbeat(call: Call) -> Response:
    heartbeat = _heartbeat(call)
    heartbeat.update(without(call.body(shape(_HEARTBEAT_FIELDS)), "name"))
    return Response(200, _shown_heartbeat(heartbeat))


def _drop_heartbeat(call: Call) -> Response:
    call.state.heartbeats.remove(_heartbeat(call)["id"])
    return Response(204)


def _ping(call: Call) -> Response:
    """As the original, believed without a look whether there is such a heartbeat."""
    ping(call.state, call.request.query.get("name", ""))
    return Response(202, {"result": "PONG - Heartbeat received", "took": 0.001, "requestId": ""})
