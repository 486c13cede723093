"""Jira's integrations and what each does with what comes in; their keys are told once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..opsgenie.integrations import ACTION_KINDS
from ..routing_table import Response, Route
from ..shapes import ACTION_FILTER, PRIORITY, flag, one_of, shape, text
from ..state import new_key
from .answers import Answerer, Call, guarded, owner_team, refused, without

if TYPE_CHECKING:
    from ..oncall import EmbeddedOnCall

_INTEGRATION_FIELDS = {
    "name": text(250, empty=False),
    "type": one_of("API", "CloudWatch"),
    "enabled": flag,
    "teamId": text(),
    "description": text(),
    "advanced": flag,
}
_ACTION_FIELDS = {
    "type": one_of("create", "close", "acknowledge", "addNote", "ignore"),
    "name": text(),
    "domain": one_of("alert"),
    "direction": one_of("incoming", "outgoing"),
    "groupType": one_of("forwarding", "updating", "checkbox"),
    "filter": ACTION_FILTER,
    "typeSpecificProperties": lambda value: {} if isinstance(value, dict) else {"": "must be an object"},
    "fieldMappings": lambda value: {} if isinstance(value, dict) else {"": "must be an object"},
    "enabled": flag,
}


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """Everything under ``/integrations``."""

    def route(method: str, pattern: str, answerer: Answerer) -> Route:
        return guarded(oncall, method, pattern, answerer)

    actions = "/integrations/{integrationId}/actions"
    return (
        route("GET", "/integrations", lambda call: call.page([_integration(one) for one in call.state.integrations])),
        route("POST", "/integrations", _make_integration),
        route("GET", "/integrations/{id}", lambda call: Response(200, _integration(_named(call)))),
        route("PATCH", "/integrations/{id}", _change_integration),
        route("DELETE", "/integrations/{id}", _drop_integration),
        route("GET", actions, lambda call: call.page(_actions(call))),
        route("POST", actions, _make_action),
        route("PATCH", f"{actions}/{{id}}", _change_action),
    )


def _named(call: Call, key: str = "id") -> dict[str, Any]:
    return call.found(call.state.integrations, "Integration", key)


def _integration(one: dict[str, Any]) -> dict[str, Any]:
    """Without its key, which is told once."""
    owner = one.get("ownerTeam")
    return {
        **{name: one[name] for name in ("id", "name", "type", "enabled")},
        **({"teamId": owner["id"]} if owner else {}),
        "advanced": False,
        "directions": ["incoming"],
        "domains": ["alert"],
        "typeSpecificProperties": {"suppressNotifications": False},
    }


def _make_integration(call: Call) -> Response:
    body = call.body(shape(_INTEGRATION_FIELDS, ("name", "type")))
    if call.state.integrations.named(body["name"]):
        raise refused(409, f"There is already an integration with name {body['name']}")
    team = owner_team(call, body.pop("teamId", None))
    made = call.state.integrations.add({"enabled": True, "priority": "P3", **body, **team, "apiKey": new_key()})
    # What Jira's own actions of a CloudWatch integration say is not published: none of it may be counted on.
    mappings = {"alias": "{{MessageId}}", "message": "{{Subject}}", "description": "{{NewStateReason}}"}
    priority = "{{priority}}" if made["type"] == "API" else "P3"
    _add_action(call, made, "create", {**mappings, "priority": priority, "tags": []}, "ALARM")
    _add_action(call, made, "close", {"alias": "{{MessageId}}"}, "OK")
    _translate(call, made)
    return Response(201, {**_integration(made), "apiKey": made["apiKey"]})


def _change_integration(call: Call) -> Response:
    integration, body = _named(call), call.body(shape(_INTEGRATION_FIELDS))
    integration.update(owner_team(call, body.pop("teamId", None)))
    integration.update(body)
    return Response(200, _integration(integration))


def _drop_integration(call: Call) -> Response:
    integration = _named(call)
    call.state.integrations.remove(integration["id"])
    return Response(204)


def _actions(call: Call) -> list[dict[str, Any]]:
    integration = _named(call, "integrationId")
    found = [one for one in call.state.table("jira actions") if one["integrationId"] == integration["id"]]
    return [without(one, "integrationId") for one in found]


def _add_action(call: Call, integration: dict[str, Any], kind: str, mappings: dict[str, Any], state: str) -> None:
    condition = {"field": "NewStateValue", "not": False, "operation": "equals", "expectedValue": state}
    call.state.table("jira actions").add(
        {
            "integrationId": integration["id"],
            "type": kind,
            "name": f"{kind.capitalize()} Alert",
            "domain": "alert",
            "direction": "incoming",
            "groupType": "forwarding" if kind == "create" else "updating",
            "filter": {"conditionMatchType": "match-all-conditions", "conditions": [condition]},
            "fieldMappings": mappings,
            "enabled": True,
        }
    )


def _make_action(call: Call) -> Response:
    integration, body = _named(call, "integrationId"), call.body(shape(_ACTION_FIELDS, ("type", "name")))
    action = call.state.table("jira actions").add({"fieldMappings": {}, **body, "integrationId": integration["id"]})
    _translate(call, integration)
    return Response(201, without(action, "integrationId"))


def _change_action(call: Call) -> Response:
    integration, body = _named(call, "integrationId"), call.body(shape(_ACTION_FIELDS))
    action = call.found(call.state.table("jira actions"), "Integration action")
    action.update(body)
    _translate(call, integration)
    return Response(200, without(action, "integrationId"))


def _translate(call: Call, integration: dict[str, Any]) -> None:
    """Keep the actions in the form that CloudWatch's messages are taken by."""
    kinds: dict[str, list[dict[str, Any]]] = {kind: [] for kind in ACTION_KINDS}
    for action in call.state.table("jira actions"):
        if action["integrationId"] != integration["id"] or not action.get("enabled", True):
            continue
        mappings = action["fieldMappings"]
        if action["type"] == "create" and not PRIORITY(mappings.get("priority")):
            integration["priority"] = mappings["priority"]
        texts = {name: value for name, value in mappings.items() if isinstance(value, str) and name != "priority"}
        kinds[action["type"]].append(
            {"user": "CloudWatch", "note": "", "alias": "", **texts, "filter": action.get("filter")}
        )
    integration["actions"] = kinds
