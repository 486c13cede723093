"""Opsgenie's users, teams, team members and account.

https://docs.opsgenie.com/docs/team-api and the pages beside it.  As in the original a new team gets a schedule
``<team>_schedule``, an escalation ``<team>_escalation`` and a default routing rule to it; and goes with all it owns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..on_call_now import zone_named
from ..routing_table import Response, Route
from ..shapes import list_of, one_of, shape, text
from ..who_is_told import rules_of
from .answers import Access, Answerer, Call, guarded, moment

if TYPE_CHECKING:
    from ..oncall import EmbeddedOnCall

_USER = shape({"id": text(), "username": text()})
_MEMBER = {"user": _USER, "role": one_of("user", "admin")}
_MEMBERS = list_of(shape(_MEMBER, ("user",)))
_NAME = text(100, empty=False)
_TEAM = {"name": _NAME, "description": text(10_000), "members": _MEMBERS}
_CREATE = shape(_TEAM, ("name",))
_UPDATE = shape({**_TEAM, "id": text()})
_ADD_MEMBER = shape(_MEMBER, ("user",))
_TABLES = {"user": "users", "team": "teams", "schedule": "schedules", "escalation": "escalations"}


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """``/v2/users``, ``/v2/teams`` and ``/v2/account``."""

    def route(method: str, pattern: str, answerer: Answerer) -> Route:
        access = Access.READ if method == "GET" else Access.CONFIGURE
        return Route(method, f"/v2{pattern}", guarded(oncall, access, answerer))

    return (
        route("GET", "/account", _account),
        route("GET", "/users", _list_users),
        route("GET", "/users/{identifier}", _get_user),
        route("GET", "/teams", _list_teams),
        route("POST", "/teams", _create_team),
        route("GET", "/teams/{identifier}", lambda call: call.answer(200, _team(call))),
        route("PATCH", "/teams/{identifier}", _update_team),
        route("DELETE", "/teams/{identifier}", _delete_team),
        route("POST", "/teams/{identifier}/members", _add_member),
        route("DELETE", "/teams/{identifier}/members/{member}", _remove_member),
    )


def meta(thing: Mapping[str, Any]) -> dict[str, Any]:
    """A thing's id and name."""
    return {"id": thing["id"], "name": thing["name"]}


def checked_recipient(call: Call, value: Mapping[str, Any]) -> dict[str, Any]:
    """A recipient with its id, if the one it names is there.  Raises Refused with 422."""
    kind = value["type"]
    if kind not in _TABLES:
        return dict(value)
    key = "username" if kind == "user" else "name"
    thing = call.referred(call.state.table(_TABLES[kind]), kind, value, key)
    return {"type": kind, "id": thing["id"], key: thing[key]}


def checked_zone(call: Call, body: Mapping[str, Any]) -> None:
    """Raise Refused with 422 unless the time zone of a body is one."""
    if "timezone" in body and zone_named(body["timezone"]) is None:
        raise call.unprocessable({"timezone": f"[{body['timezone']}] is not a valid timezone."})


def _account(call: Call) -> Response:
    plan = {"maxUserCount": 1500, "name": "Enterprise", "isYearly": True}
    return call.answer(200, {"name": "embedded", "userCount": len(call.state.users), "plan": plan})


def _list_users(call: Call) -> Response:
    offset, limit = call.query_number("offset", 0, 0, 20_000), call.query_number("limit", 100, 1, 500)
    query = call.request.query.get("query", "").partition(":")[2].strip().lower()
    found = [user for user in call.state.users if query in user["username"].lower()]
    paging = {"first": f"{call.oncall.url}/v2/users?limit={limit}&offset=0"}
    if offset + limit < len(found):
        paging["next"] = f"{call.oncall.url}/v2/users?limit={limit}&offset={offset + limit}"
    shown = [_shown_user(call, user) for user in found[offset : offset + limit]]
    return call.answer(200, shown, more={"paging": paging, "totalCount": len(found)})


def _get_user(call: Call) -> Response:
    named = call.request.match["identifier"]
    user = call.state.users.get(named) or call.found(call.state.users, "user", named, "username")
    return call.answer(200, _shown_user(call, user), more={"expandable": ["contact"]})


def _shown_user(call: Call, user: dict[str, Any]) -> dict[str, Any]:
    created = user.setdefault("createdAt", moment(call.state.clock()))
    return {"blocked": False, "verified": True, "timeZone": "UTC", "locale": "en_US", **user, "createdAt": created}


def _team(call: Call) -> dict[str, Any]:
    by = call.query_word("identifierType", ("id", "name"))
    return call.found(call.state.teams, "team", call.request.match["identifier"], by)


def _list_teams(call: Call) -> Response:
    teams = [{name: team[name] for name in ("id", "name", "description")} for team in call.state.teams]
    return call.answer(200, teams, more={"expandable": ["member"]})


def _members(call: Call, members: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = {}
    for member in members:
        user = call.referred(call.state.users, "user", member["user"], "username")
        who = {"id": user["id"], "username": user["username"]}
        found[user["id"]] = {"user": who, "role": member.get("role", "user")}
    return list(found.values())


def _create_team(call: Call) -> Response:
    body, state = call.body(_CREATE), call.state
    if call.integration and call.integration.get("ownerTeam"):
        raise call.refuse(403, "A team's integration cannot make teams", code=40301)
    if state.teams.named(body["name"]):
        raise call.refuse(409, f"Team with name [{body['name']}] already exists.")
    team = state.teams.add({"description": "", **body, "members": _members(call, body.get("members", []))})
    _add_defaults(call, team)
    return call.answer(201, meta(team), result="Created")


def _add_defaults(call: Call, team: dict[str, Any]) -> None:
    state, owner = call.state, meta(team)
    people = [{"type": "user", **member["user"]} for member in team["members"]]
    rotation = {
        "id": f"{team['id']}-rotation",
        "name": "Rot1",
        "startDate": moment(state.clock().replace(minute=0, second=0, microsecond=0)),
        "type": "weekly",
        "length": 1,
        "participants": people or [{"type": "none"}],
    }
    schedule = state.schedules.add(
        {
            "name": f"{team['name']}_schedule",
            "description": "",
            "timezone": "UTC",
            "enabled": True,
            "ownerTeam": owner,
            "rotations": [rotation],
        }
    )

    def step(minutes: int, kind: str, whom: Mapping[str, Any]) -> dict[str, Any]:
        delay = {"timeAmount": minutes, "timeUnit": "minutes"}
        return {"condition": "if-not-acked", "notifyType": kind, "delay": delay, "recipient": whom}

    on_call = {"type": "schedule", **meta(schedule)}
    escalation = state.escalations.add(
        {
            "name": f"{team['name']}_escalation",
            "description": "",
            "ownerTeam": owner,
            "rules": [
                step(0, "default", on_call),
                step(5, "next", on_call),
                step(10, "all", {"type": "team", **owner}),
            ],
        }
    )
    state.routing_rules.add(
        {
            "teamId": team["id"],
            "name": "Default Routing Rule",
            "isDefault": True,
            "order": 0,
            "criteria": {"type": "match-all"},
            "timezone": "UTC",
            "notify": {"type": "escalation", **meta(escalation)},
        }
    )


def _update_team(call: Call) -> Response:
    team = call.found(call.state.teams, "team", call.request.match["identifier"], "id")
    body = call.body(_UPDATE)
    body.pop("id", None)
    other = call.state.teams.named(body.get("name", ""))
    if other is not None and other is not team:
        raise call.refuse(409, f"Team with name [{body['name']}] already exists.")
    if "members" in body:
        body["members"] = _members(call, body["members"])
    team.update(body)
    _rename_owner(call, team)
    return call.answer(200, meta(team), result="Updated")


def _owned(call: Call, team: dict[str, Any]) -> list[tuple[Any, dict[str, Any]]]:
    state = call.state
    tables = (state.schedules, state.escalations, state.integrations, state.heartbeats)
    return [(table, one) for table in tables for one in table if (one.get("ownerTeam") or {}).get("id") == team["id"]]


def _rename_owner(call: Call, team: dict[str, Any]) -> None:
    for _, thing in _owned(call, team):
        thing["ownerTeam"] = meta(team)


def _delete_team(call: Call) -> Response:
    team, state = _team(call), call.state
    for rule in rules_of(state, team):
        state.routing_rules.remove(rule["id"])
    for table, thing in _owned(call, team):
        table.remove(thing["id"])
    state.teams.remove(team["id"])
    return call.answer(200, meta(team), result="Deleted")


def owning_team(call: Call) -> dict[str, Any]:
    """The team in the address of something that belongs to it.  Raises Refused with 404."""
    by = call.query_word("teamIdentifierType", ("id", "name"))
    return call.found(call.state.teams, "team", call.request.match["identifier"], by)


def _add_member(call: Call) -> Response:
    team, body = owning_team(call), call.body(_ADD_MEMBER)
    team["members"] = _members(call, [*team["members"], body])
    return call.answer(201, meta(team), result="Added")


def _remove_member(call: Call) -> Response:
    team, named = owning_team(call), call.request.match["member"]
    left = [one for one in team["members"] if named not in (one["user"]["id"], one["user"]["username"])]
    if len(left) == len(team["members"]):
        raise call.refuse(404, f"No member exists with identifier [{named}]")
    team["members"] = left
    return call.answer(200, meta(team), result="Removed")
