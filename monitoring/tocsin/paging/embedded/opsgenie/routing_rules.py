"""Opsgenie's routing rules of a team: https://docs.opsgenie.com/docs/team-routing-rule-api."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..routing_table import Response, Route
from ..shapes import ALERT_FILTER, TIME_RESTRICTION, recipient, shape, text, whole
from ..who_is_told import rules_of
from .answers import Access, Answerer, Call, guarded
from .teams import checked_recipient, checked_zone, meta, owning_team

if TYPE_CHECKING:
    from ..oncall import EmbeddedOnCall

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


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """Everything under ``/v2/teams/{identifier}/routing-rules``."""

    def route(method: str, pattern: str, answerer: Answerer) -> Route:
        access = Access.READ if method == "GET" else Access.CONFIGURE
        return Route(method, f"/v2{pattern}", guarded(oncall, access, answerer))

    rules = "/teams/{identifier}/routing-rules"
    return (
        route("GET", rules, _list_rules),
        route("POST", rules, _create_rule),
        route("GET", f"{rules}/{{id}}", lambda call: call.answer(200, _shown(_rule(call)))),
        route("PATCH", f"{rules}/{{id}}", _update_rule),
        route("DELETE", f"{rules}/{{id}}", _delete_rule),
        route("POST", f"{rules}/{{id}}/change-order", _change_order),
    )


def _shown(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in rule.items() if name != "teamId"}


def _rule(call: Call) -> dict[str, Any]:
    team, named = owning_team(call), call.request.match["id"]
    rule = call.state.routing_rules.get(named)
    if rule is None or rule["teamId"] != team["id"]:
        raise call.refuse(404, f"No team routing rule exists with id [{named}]")
    return rule


def _list_rules(call: Call) -> Response:
    return call.answer(200, [_shown(rule) for rule in rules_of(call.state, owning_team(call))])


def _checked_rule(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    checked_zone(call, body)
    if "notify" in body:
        body["notify"] = checked_recipient(call, body["notify"])
    return body


def _create_rule(call: Call) -> Response:
    team = owning_team(call)
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
    _place(call, owning_team(call), rule, body["order"])
    return call.answer(200, meta(rule), result="Order changed")
