"""Opsgenie's users, teams, team members, routing rules and account.

https://docs.opsgenie.com/docs/team-api and the pages beside it.  As in the original a new team gets a schedule
``<team>_schedule``, an escalation ``<team>_escalation`` and a default routing rule to it; and goes with all it owns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .on_call_now import zone_named
from .opsgenie_answers import Access, Answerer, Call, guarded, moment
from .routing_table import Response, Route
from .shapes import ALERT_FILTER, TIME_RESTRICTION, list_of, one_of, recipient, shape, text, whole
from .who_is_told import rules_of

if TYPE_CHECKING:
    from .oncall import EmbeddedOnCall

_USER = shape({"id": text(), "username": text()})
_MEMBER = {"user": _USER, "role": one_of("user", "admin")}
_MEMBERS = list_of(shape(_MEMBER, ("user",)))
_NAME = text(100, empty=False)
_TEAM = {"name": _NAME, "description": text(10_000), "members": _MEMBERS}
_CREATE = shape(_TEAM, ("name",))
_UPDATE = shape({**_TEAM, "id": text()})
_ADD_MEMBER = shape(_MEMBER, ("user",))
_RULE = {
    "name": text(255),
    "criteria": ALERT_FILTER,
    "timeRestriction": TIME_RESTRICTION,
    "notify": recipient("none", "escalation", "schedule", "user", "team", "all"),
    "timezone": text(),
}
_CREATE_RULE = shape({**_RULE, "order": whole(0)}, ("notify",))
_UPDATE_RULE = shape(_RULE)
_ORDER = shape({"order": whole(0)}, ("order",))
_TABLES = {"user": "users", "team": "teams", "schedule": "schedules", "escalation": "escalations"}


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """``/v2/users``, ``/v2/teams`` and ``/v2/account``."""

    def route(method: str, pattern: str, answerer: Answerer) -> Route:
        access = Access.READ if method == "GET" else Access.CONFIGURE
        return Route(method, f"/v2{pattern}", guarded(oncall, access, answerer))

    rules = "/teams/{identifier}/routing-rules"
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
        route("GET", rules, _list_rules),
        route("POST", rules, _create_rule),
        route("GET", f"{rules}/{{id}}", lambda call: call.answer(200, _shown(_rule(call)))),
        route("PATCH", f"{rules}/{{id}}", _update_rule),
        route("DELETE", f"{rules}/{{id}}", _delete_rule),
        route("POST", f"{rules}/{{id}}/change-order", _change_order),
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


def _owning(call: Call) -> dict[str, Any]:
    by = call.query_word("teamIdentifierType", ("id", "name"))
    return call.found(call.state.teams, "team", call.request.match["identifier"], by)


def _add_member(call: Call) -> Response:
    team, body = _owning(call), call.body(_ADD_MEMBER)
    team["members"] = _members(call, [*team["members"], body])
    return call.answer(201, meta(team), result="Added")


def _remove_member(call: Call) -> Response:
    team, named = _owning(call), call.request.match["member"]
    left = [one for one in team["members"] if named not in (one["user"]["id"], one["user"]["username"])]
    if len(left) == len(team["members"]):
        raise call.refuse(404, f"No member exists with identifier [{named}]")
    team["members"] = left
    return call.answer(200, meta(team), result="Removed")


def _shown(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in rule.items() if name != "teamId"}


def _rule(call: Call) -> dict[str, Any]:
    team, named = _owning(call), call.request.match["id"]
    rule = call.state.routing_rules.get(named)
    if rule is None or rule["teamId"] != team["id"]:
        raise call.refuse(404, f"No team routing rule exists with id [{named}]")
    return rule


def _list_rules(call: Call) -> Response:
    return call.answer(200, [_shown(rule) for rule in rules_of(call.state, _owning(call))])


def _checked_rule(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    checked_zone(call, body)
    if "notify" in body:
        body["notify"] = checked_recipient(call, body["notify"])
    return body


def _create_rule(call: Call) -> Response:
    team = _owning(call)
    body = _checked_rule(call, call.body(_CREATE_RULE))
    place = body.pop("order", None)
    rule = call.state.routing_rules.add(
        {
            "name": "",
            "criteria": {"type": "match-all"},
            "timezone": "UTC",
            **body,
            "teamId": team["id"],
            "isDefault": False,
            "order": 0,
        }
    )
    _place(call, team, rule, place)
    return call.answer(201, meta(rule), result="Created")


def _place(call: Call, team: dict[str, Any], rule: dict[str, Any], place: int | None) -> None:
    """Put a rule at that place, by default before the default rule, which stays the last."""
    others = [one for one in rules_of(call.state, team) if one is not rule]
    own = [one for one in others if not one["isDefault"]]
    if place is None or place > len(own):
        place = len(own)
    own.insert(place, rule)
    for number, one in enumerate([*own, *(one for one in others if one["isDefault"])]):
        one["order"] = number


def _update_rule(call: Call) -> Response:
    rule = _rule(call)
    body = _checked_rule(call, call.body(_UPDATE_RULE))
    if rule["isDefault"] and {"criteria", "timeRestriction"} & set(body):
        raise call.refuse(422, "Criteria and time restriction of the default routing rule can not be changed.")
    rule.update(body)
    return call.answer(200, meta(rule), result="Updated")


def _delete_rule(call: Call) -> Response:
    rule = _rule(call)
    if rule["isDefault"]:
        raise call.refuse(422, "Default routing rule can not be deleted.")
    call.state.routing_rules.remove(rule["id"])
    return call.answer(200, meta(rule), result="Deleted")


def _change_order(call: Call) -> Response:
    rule, body = _rule(call), call.body(_ORDER)
    if rule["isDefault"]:
        raise call.refuse(422, "The order of the default routing rule can not be changed.")
    _place(call, _owning(call), rule, body["order"])
    return call.answer(200, meta(rule), result="Order changed")
