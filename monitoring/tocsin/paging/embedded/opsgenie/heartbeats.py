"""Opsgenie's Heartbeat API, and the alert that a heartbeat raises when it has not been heard of.

https://docs.opsgenie.com/docs/heartbeat-api.  As the original, a ping is believed without a look whether there is such
a heartbeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..routing_table import Response, Route
from ..shapes import OWNER_TEAM, PRIORITY, flag, list_of, one_of, shape, text, whole
from ..state import State
from ..who_is_told import settle
from .answers import Access, Answerer, Call, guarded, moment

if TYPE_CHECKING:
    from ..oncall import EmbeddedOnCall

_UPDATE_FIELDS = {
    "description": text(10_000),
    "interval": whole(1),
    "intervalUnit": one_of("minutes", "hours", "days"),
    "enabled": flag,
    "ownerTeam": OWNER_TEAM,
    "alertMessage": text(130),
    "alertTags": list_of(text(50), most=20),
    "alertPriority": PRIORITY,
}
_CREATE = shape({**_UPDATE_FIELDS, "name": text(200, empty=False)}, ("name", "interval", "intervalUnit", "enabled"))
_UPDATE = shape(_UPDATE_FIELDS)


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """Everything under ``/v2/heartbeats``."""

    def route(method: str, pattern: str, access: Access, answerer: Answerer) -> Route:
        return Route(method, f"/v2/heartbeats{pattern}", guarded(oncall, access, answerer))

    return (
        route("GET", "", Access.READ, _list),
        route("POST", "", Access.CONFIGURE, _create),
        route("GET", "/{name}", Access.READ, lambda call: call.answer(200, _shown(_named(call)))),
        route("PATCH", "/{name}", Access.CONFIGURE, _update),
        route("DELETE", "/{name}", Access.CONFIGURE, _delete),
        route("POST", "/{name}/enable", Access.CONFIGURE, lambda call: _switch(call, True)),
        route("POST", "/{name}/disable", Access.CONFIGURE, lambda call: _switch(call, False)),
        *(route(method, "/{name}/ping", Access.PING, _ping) for method in ("GET", "POST", "PUT", "PATCH")),
    )


def interval(heartbeat: dict[str, Any]) -> timedelta:
    """How long a heartbeat may be silent."""
    return timedelta(**{heartbeat["intervalUnit"]: heartbeat["interval"]})


def expire(state: State) -> None:
    """Raise the alert of each enabled heartbeat that has been silent for too long.  Hold the lock.

    One that was never pinged does not expire: it starts with its first ping.
    """
    running = [one for one in state.heartbeats if one["enabled"] and not one["expired"] and one["pinged"]]
    if not running:
        return
    now = state.clock()
    for heartbeat in running:
        last: datetime = heartbeat["pinged"]
        if now - last < interval(heartbeat):
            continue
        heartbeat["expired"] = True
        name = heartbeat["name"]
        record, new = state.alerts.raise_alert(
            f"heartbeat {name}",
            heartbeat["alertMessage"],
            description=f"{heartbeat['description']}\nNot heard of since {moment(last)}.".strip(),
            priority=heartbeat["alertPriority"],
            tags=heartbeat["alertTags"],
            source=name,
            integration={"id": "", "name": "Heartbeat", "type": "Heartbeat"},
        )
        if new:
            settle(state, record, {"ownerTeam": heartbeat.get("ownerTeam")})
        state.changed.notify_all()


def ping(state: State, name: str) -> None:
    """A heartbeat is heard of: it is well from now on, and its alert is closed.  Hold the lock."""
    heartbeat = state.heartbeats.named(name)
    if heartbeat is None or not heartbeat["enabled"]:
        return
    expired, heartbeat["expired"], heartbeat["pinged"] = heartbeat["expired"], False, state.clock()
    record = state.alerts.open_alert(f"heartbeat {name}")
    if expired and record is not None:
        state.alerts.close(record, "Heartbeat", "Heard of again.")
    state.changed.notify_all()


def _create(call: Call) -> Response:
    body = call.body(_CREATE)
    name = body["name"]
    if call.state.heartbeats.named(name):
        raise call.refuse(409, f"Heartbeat with name [{name}] already exists.")
    team = (call.integration or {}).get("ownerTeam") or _team(call, body)
    heartbeat = {**body, **({"ownerTeam": team} if team else {})}
    return call.answer(201, _shown(call.state.heartbeats.add(heartbeat)))


def _team(call: Call, body: dict[str, Any]) -> dict[str, str] | None:
    if not body.get("ownerTeam"):
        return None
    team = call.referred(call.state.teams, "team", body["ownerTeam"])
    return {"id": team["id"], "name": team["name"]}


def _update(call: Call) -> Response:
    heartbeat, body = _named(call), call.body(_UPDATE)
    if team := _team(call, body):
        body["ownerTeam"] = team
    heartbeat.update(body)
    return call.answer(200, _meta(heartbeat))


def _delete(call: Call) -> Response:
    heartbeat = _named(call)
    call.state.heartbeats.remove(heartbeat["id"])
    return call.answer(200, {"name": heartbeat["name"]}, result="Deleted")


def _switch(call: Call, enabled: bool) -> Response:
    heartbeat = _named(call)
    heartbeat["enabled"] = enabled
    # Switched on again, it starts with its next ping.
    heartbeat["expired"], heartbeat["pinged"] = False, heartbeat["pinged"] if enabled else None
    return call.answer(200, _meta(heartbeat))


def _ping(call: Call) -> Response:
    ping(call.state, call.request.match["name"])
    return call.answer(202, result="PONG - Heartbeat received")


def _list(call: Call) -> Response:
    return call.answer(200, {"heartbeats": [_shown(heartbeat) for heartbeat in call.state.heartbeats]})


def _named(call: Call) -> dict[str, Any]:
    return call.found(call.state.heartbeats, "heartbeat", call.request.match["name"], "name")


def _meta(heartbeat: dict[str, Any]) -> dict[str, Any]:
    return {name: heartbeat[name] for name in ("name", "enabled", "expired")}


def _shown(heartbeat: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in heartbeat.items() if name not in ("id", "pinged")}
    return {**shown, "lastPingTime": moment(heartbeat["pinged"])} if heartbeat["pinged"] else shown
