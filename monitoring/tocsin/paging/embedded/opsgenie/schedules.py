"""Opsgenie's schedules with their rotations, who is on call, and escalations.

https://docs.opsgenie.com/docs/schedule-api, /schedule-rotation-api, /who-is-on-call-api and /escalation-api.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..on_call_now import participants_at
from ..routing_table import Response, Route
from ..shapes import OWNER_TEAM, TIME_RESTRICTION, flag, list_of, moment, one_of, recipient, shape, text, whole
from ..state import Table
from ..who_is_told import people_on_call
from .answers import Access, Answerer, Call, guarded
from .teams import checked_recipient, checked_zone, meta

if TYPE_CHECKING:
    from ..oncall import EmbeddedOnCall

_ROTATION = {
    "name": text(255),
    "startDate": moment,
    "endDate": moment,
    "type": one_of("daily", "weekly", "hourly"),
    "length": whole(1),
    "participants": list_of(recipient("user", "team", "escalation", "none"), least=1),
    "timeRestriction": TIME_RESTRICTION,
}
_CREATE_ROTATION = shape(_ROTATION, ("startDate", "type", "participants"))
_UPDATE_ROTATION = shape(_ROTATION)
_SCHEDULE = {
    "name": text(100, empty=False),
    "description": text(10_000),
    "timezone": text(empty=False),
    "enabled": flag,
    "ownerTeam": OWNER_TEAM,
}
_CREATE = shape({**_SCHEDULE, "rotations": list_of(_CREATE_ROTATION, least=1)}, ("name",))
_UPDATE = shape({**_SCHEDULE, "rotations": list_of(_CREATE_ROTATION)})

_STEP = shape(
    {
        "condition": one_of("if-not-acked", "if-not-closed"),
        "notifyType": one_of("default", "next", "previous", "users", "admins", "all"),
        "delay": shape(
            {
                "timeAmount": whole(0),
                "timeUnit": one_of("days", "hours", "minutes", "seconds", "miliseconds", "micros", "nanos"),
            },
            ("timeAmount",),
        ),
        "recipient": recipient("user", "schedule", "team"),
    },
    ("condition", "notifyType", "delay", "recipient"),
)
_ESCALATION = {
    "name": text(100, empty=False),
    "description": text(10_000),
    "rules": list_of(_STEP, least=1),
    "ownerTeam": OWNER_TEAM,
    "repeat": shape(
        {"waitInterval": whole(0), "count": whole(1, 20), "resetRecipientStates": flag, "closeAlertAfterAll": flag}
    ),
}
_CREATE_ESCALATION = shape(_ESCALATION, ("name", "rules"))
_UPDATE_ESCALATION = shape(_ESCALATION)


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """``/v2/schedules`` and ``/v2/escalations``."""

    def route(method: str, pattern: str, answerer: Answerer) -> Route:
        access = Access.READ if method == "GET" else Access.CONFIGURE
        return Route(method, f"/v2{pattern}", guarded(oncall, access, answerer))

    rotations = "/schedules/{identifier}/rotations"
    return (
        route("GET", "/schedules", _list),
        route("POST", "/schedules", _create),
        route("GET", "/schedules/on-calls", _all_on_calls),
        route("GET", "/schedules/{identifier}", lambda call: call.answer(200, _schedule(call))),
        route("PATCH", "/schedules/{identifier}", _update),
        route("DELETE", "/schedules/{identifier}", lambda call: _delete(call, call.state.schedules, _schedule(call))),
        route("GET", "/schedules/{identifier}/on-calls", _on_calls),
        route("GET", rotations, lambda call: call.answer(200, _holder(call)["rotations"])),
        route("POST", rotations, _add_rotation),
        route("GET", f"{rotations}/{{id}}", _get_rotation),
        route("PATCH", f"{rotations}/{{id}}", _update_rotation),
        route("DELETE", f"{rotations}/{{id}}", _delete_rotation),
        route("GET", "/escalations", lambda call: call.answer(200, list(call.state.escalations))),
        route("POST", "/escalations", _create_escalation),
        route("GET", "/escalations/{identifier}", lambda call: call.answer(200, _escalation(call))),
        route("PATCH", "/escalations/{identifier}", _update_escalation),
        route(
            "DELETE", "/escalations/{identifier}", lambda call: _delete(call, call.state.escalations, _escalation(call))
        ),
    )


def _schedule(call: Call) -> dict[str, Any]:
    return _identified(call, call.state.schedules, "schedule", "identifierType")


def _holder(call: Call) -> dict[str, Any]:
    return _identified(call, call.state.schedules, "schedule", "scheduleIdentifierType")


def _escalation(call: Call) -> dict[str, Any]:
    return _identified(call, call.state.escalations, "escalation", "identifierType")


def _identified(call: Call, table: Table, kind: str, parameter: str) -> dict[str, Any]:
    by = call.query_word(parameter, ("id", "name"))
    return call.found(table, kind, call.request.match["identifier"], by)


def _meta(schedule: dict[str, Any]) -> dict[str, Any]:
    return {**meta(schedule), "enabled": schedule["enabled"]}


def _list(call: Call) -> Response:
    expanded = "rotation" in call.request.query.get("expand", "").split(",")
    shown = [
        {name: value for name, value in one.items() if expanded or name != "rotations"} for one in call.state.schedules
    ]
    return call.answer(200, shown, more={"expandable": ["rotation"]})


def _rotation(call: Call, body: dict[str, Any], before: dict[str, Any] | None = None) -> dict[str, Any]:
    made = {"id": str(uuid.uuid4()), "name": "", "length": 1, **(before or {}), **body}
    made["participants"] = [checked_recipient(call, one) for one in made["participants"]]
    for name in ("startDate", "endDate"):
        if name in made and datetime.fromisoformat(made[name]).minute not in (0, 30):
            raise call.unprocessable({name: f"minutes of {name} must be 0 or 30."})
    if "endDate" in made and datetime.fromisoformat(made["endDate"]) <= datetime.fromisoformat(made["startDate"]):
        raise call.unprocessable({"endDate": "endDate must be after startDate."})
    return {name: value for name, value in made.items() if value is not None}


def _checked(
    call: Call, body: dict[str, Any], table: Table, kind: str, itself: dict[str, Any] | None
) -> dict[str, Any]:
    other = table.named(body.get("name", ""))
    if other is not None and other is not itself:
        raise call.refuse(409, f"{kind} with name [{body['name']}] already exists.")
    checked_zone(call, body)
    if body.get("ownerTeam"):
        body["ownerTeam"] = meta(call.referred(call.state.teams, "team", body["ownerTeam"]))
    if "rotations" in body:
        body["rotations"] = [_rotation(call, one) for one in body["rotations"]]
    if "rules" in body:
        body["rules"] = [
            {
                **one,
                "recipient": checked_recipient(call, one["recipient"]),
                "delay": {"timeUnit": "minutes", **one["delay"]},
            }
            for one in body["rules"]
        ]
    return body


def _create(call: Call) -> Response:
    body = _checked(call, call.body(_CREATE), call.state.schedules, "Schedule", None)
    made = call.state.schedules.add({"description": "", "timezone": "UTC", "enabled": True, "rotations": [], **body})
    return call.answer(201, _meta(made))


def _update(call: Call) -> Response:
    schedule = _schedule(call)
    schedule.update(_checked(call, call.body(_UPDATE), call.state.schedules, "Schedule", schedule))
    return call.answer(200, _meta(schedule))


def _delete(call: Call, table: Table, thing: dict[str, Any]) -> Response:
    table.remove(thing["id"])
    return call.answer(200, meta(thing), result="Deleted")


def _add_rotation(call: Call) -> Response:
    schedule = _holder(call)
    rotation = _rotation(call, call.body(_CREATE_ROTATION))
    schedule["rotations"] = [*schedule["rotations"], rotation]
    return call.answer(201, meta(rotation), result="Created")


def _one_rotation(call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    schedule, named = _holder(call), call.request.match["id"]
    for rotation in schedule["rotations"]:
        if rotation["id"] == named:
            return schedule, rotation
    raise call.refuse(404, f"No rotation exists with id [{named}]")


def _get_rotation(call: Call) -> Response:
    schedule, rotation = _one_rotation(call)
    return call.answer(200, {"_parent": _meta(schedule), **rotation})


def _update_rotation(call: Call) -> Response:
    _, rotation = _one_rotation(call)
    rotation.update(_rotation(call, call.body(_UPDATE_ROTATION), rotation))
    return call.answer(200, meta(rotation), result="Updated")


def _delete_rotation(call: Call) -> Response:
    schedule, rotation = _one_rotation(call)
    schedule["rotations"] = [one for one in schedule["rotations"] if one is not rotation]
    return call.answer(200, meta(rotation), result="Deleted")


def _all_on_calls(call: Call) -> Response:
    return call.answer(200, [_on_call_of(call, schedule) for schedule in call.state.schedules])


def _on_calls(call: Call) -> Response:
    return call.answer(200, _on_call_of(call, _holder(call)))


def _on_call_of(call: Call, schedule: dict[str, Any]) -> dict[str, Any]:
    at = call.state.clock()
    if "date" in call.request.query:
        if moment(call.request.query["date"]):
            raise call.unprocessable({"date": "must be a date and time with an offset"})
        at = datetime.fromisoformat(call.request.query["date"])
    if call.query_word("flat", ("false", "true")) == "true":
        return {"_parent": _meta(schedule), "onCallRecipients": people_on_call(call.state, schedule, at)}
    participants = [
        {"id": one.get("id", ""), "name": one.get("username") or one.get("name", ""), "type": one["type"]}
        for one in participants_at(schedule, at)
    ]
    return {"_parent": _meta(schedule), "onCallParticipants": participants}


def _create_escalation(call: Call) -> Response:
    body = _checked(call, call.body(_CREATE_ESCALATION), call.state.escalations, "Escalation", None)
    made = call.state.escalations.add({"description": "", **body})
    return call.answer(201, meta(made), result="Created")


def _update_escalation(call: Call) -> Response:
    escalation = _escalation(call)
    body = _checked(call, call.body(_UPDATE_ESCALATION), call.state.escalations, "Escalation", escalation)
    escalation.update(body)
    return call.answer(200, meta(escalation), result="Updated")
