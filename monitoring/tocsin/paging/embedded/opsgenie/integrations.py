"""Opsgenie's Integration API for the types CloudWatch and API, with their actions.

https://docs.opsgenie.com/docs/integration-api.  The key of an integration is told once, when it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..routing_table import Response, Route
from ..shapes import (
    ACTION_FILTER,
    OWNER_TEAM,
    PRIORITY,
    by_type,
    flag,
    list_of,
    one_of,
    recipient,
    shape,
    text,
    texts,
    whole,
)
from ..state import new_key
from .answers import Access, Answerer, Call, guarded
from .teams import meta

if TYPE_CHECKING:
    from ..oncall import EmbeddedOnCall

_RESPONDERS = list_of(recipient("user", "team", "escalation", "schedule"))
_FIELDS = {
    "type": text(),
    "id": text(),
    "name": text(250, empty=False),
    "enabled": flag,
    "ownerTeam": OWNER_TEAM,
    "assignedTeam": OWNER_TEAM,
    "isGlobal": flag,
    "_readOnly": list_of(text()),
    "suppressNotifications": flag,
    "ignoreTeamsFromPayload": flag,
    "ignoreRecipientsFromPayload": flag,
    "ignoreRespondersFromPayload": flag,
    "ignoreTagsFromPayload": flag,
    "ignoreExtraPropertiesFromPayload": flag,
    "recipients": _RESPONDERS,
    "responders": _RESPONDERS,
    "isAdvanced": flag,
    "priority": PRIORITY,
    "customPriority": text(),
    "tags": list_of(text(50), most=20),
    "extraProperties": texts,
    "feature-type": one_of("token-based"),
    "allowConfigurationAccess": flag,
    "allowReadAccess": flag,
    "allowWriteAccess": flag,
    "allowDeleteAccess": flag,
}
_INTEGRATION = by_type(
    {
        "CloudWatch": shape(_FIELDS, ("name", "type")),
        "API": shape({**_FIELDS, "isDefaultIntegration": flag}, ("name", "type")),
    }
)
_ACTION_BASE = {"type": text(), "name": text(empty=False), "order": whole(0), "filter": ACTION_FILTER}
_ACTION_COMMON = {**_ACTION_BASE, "user": text(), "note": text(), "alias": text()}
_CREATE_ACTION = {
    **_ACTION_COMMON,
    "source": text(),
    "message": text(),
    "description": text(),
    "entity": text(),
    "priority": PRIORITY,
    "customPriority": text(),
    "appendAttachments": flag,
    "alertActions": list_of(text()),
    "ignoreAlertActionsFromPayload": flag,
    "recipients": _RESPONDERS,
    "responders": _RESPONDERS,
    "ignoreRecipientsFromPayload": flag,
    "ignoreRespondersFromPayload": flag,
    "ignoreTeamsFromPayload": flag,
    "tags": list_of(text()),
    "ignoreTagsFromPayload": flag,
    "extraProperties": texts,
    "ignoreExtraPropertiesFromPayload": flag,
}
_REQUIRED = ("type", "name", "filter", "alias", "user", "note")
_ACTION = by_type(
    {
        "ignore": shape(_ACTION_BASE, ("type", "name", "filter")),
        "create": shape(_CREATE_ACTION, _REQUIRED),
        "close": shape(_ACTION_COMMON, _REQUIRED),
        "acknowledge": shape(_ACTION_COMMON, _REQUIRED),
        "addNote": shape(_ACTION_COMMON, _REQUIRED),
    }
)
ACTION_KINDS = ("ignore", "create", "close", "acknowledge", "addNote")
_ACTIONS = shape(
    {
        **dict.fromkeys(ACTION_KINDS, list_of(_ACTION)),
        "_parent": shape({"id": text(), "name": text(), "enabled": flag, "type": text()}),
    }
)


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """Everything under ``/v2/integrations``."""

    def route(method: str, pattern: str, answerer: Answerer) -> Route:
        access = Access.READ if method == "GET" else Access.CONFIGURE
        return Route(method, f"/v2/integrations{pattern}", guarded(oncall, access, answerer))

    return (
        route("GET", "", _list),
        route("POST", "", _create),
        route("POST", "/authenticate", _authenticate),
        route("GET", "/{id}", _get),
        route("PUT", "/{id}", _update),
        route("DELETE", "/{id}", _delete),
        route("POST", "/{id}/enable", lambda call: _switch(call, True)),
        route("POST", "/{id}/disable", lambda call: _switch(call, False)),
        route("GET", "/{id}/actions", _get_actions),
        route("PUT", "/{id}/actions", _put_actions),
        route("POST", "/{id}/actions", _add_action),
    )


def actions_of(integration: Mapping[str, Any]) -> Mapping[str, list[dict[str, Any]]]:
    """The actions of an integration: those that were set, or else the ones a CloudWatch integration starts with.

    ALARM raises an alert whose alias is the alarm's name and OK closes it; INSUFFICIENT_DATA does nothing.
    """
    if "actions" in integration:
        found: Mapping[str, list[dict[str, Any]]] = integration["actions"]
        return found

    def filtered(state: str) -> dict[str, Any]:
        condition = {"field": "NewStateValue", "not": False, "operation": "equals", "expectedValue": state}
        return {"conditionMatchType": "match-all-conditions", "conditions": [condition]}

    common = {"user": "CloudWatch", "note": "", "alias": "{{AlarmName}}", "order": 0}
    raising = {
        **common,
        "type": "create",
        "name": "Create Alert",
        "filter": filtered("ALARM"),
        "source": "{{TopicArn}}",
        "message": "{{AlarmName}}",
        "description": "{{AlarmDescription}}\n\n{{NewStateReason}}",
        "priority": integration.get("priority", "P3"),
        "tags": integration.get("tags", []),
        "extraProperties": integration.get("extraProperties", {}),
    }
    closing = {**common, "type": "close", "name": "Close Alert", "filter": filtered("OK")}
    return {"ignore": [], "create": [raising], "close": [closing], "acknowledge": [], "addNote": []}


def _meta(integration: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: integration[name] for name in ("id", "name", "enabled", "type")}
    owner = integration.get("ownerTeam")
    return {**shown, "teamId": owner["id"]} if owner else shown


def _integration(call: Call) -> dict[str, Any]:
    return call.found(call.state.integrations, "integration", call.request.match["id"], "id")


def _list(call: Call) -> Response:
    query, found = call.request.query, list(call.state.integrations)
    tests: Mapping[str, Callable[[dict[str, Any]], Any]] = {
        "type": lambda one: one["type"],
        "teamId": lambda one: (one.get("ownerTeam") or {}).get("id"),
        "teamName": lambda one: (one.get("ownerTeam") or {}).get("name"),
    }
    if own := (call.integration or {}).get("ownerTeam"):
        found = [one for one in found if (one.get("ownerTeam") or {}).get("id") == own["id"]]
    for parameter, value in tests.items():
        if parameter in query:
            found = [one for one in found if value(one) == query[parameter]]
    return call.answer(200, [_meta(one) for one in found])


def _checked(call: Call, body: dict[str, Any], itself: dict[str, Any] | None) -> dict[str, Any]:
    other = call.state.integrations.named(body["name"])
    if other is not None and other is not itself:
        raise call.refuse(409, f"Integration with name [{body['name']}] already exists.")
    owner = (call.integration or {}).get("ownerTeam") or body.get("ownerTeam")
    if owner:
        body["ownerTeam"] = meta(call.referred(call.state.teams, "team", owner))
    for name in ("id", "_readOnly", "isGlobal", "assignedTeam"):
        body.pop(name, None)
    return body


def _create(call: Call) -> Response:
    body = _checked(call, call.body(_INTEGRATION), None)
    defaults = {"enabled": True, "suppressNotifications": False, "allowWriteAccess": True, "allowReadAccess": True}
    made = call.state.integrations.add({**defaults, "allowConfigurationAccess": False, **body, "apiKey": new_key()})
    return call.answer(201, {**_meta(made), "apiKey": made["apiKey"]})


def _get(call: Call) -> Response:
    integration = _integration(call)
    shown = {name: value for name, value in integration.items() if name not in ("apiKey", "actions")}
    return call.answer(
        200,
        {**shown, "isGlobal": "ownerTeam" not in integration, "isAdvanced": "actions" in integration, "_readOnly": []},
    )


def _update(call: Call) -> Response:
    """PUT replaces everything but the key, the owner and the actions."""
    integration = _integration(call)
    body = _checked(call, call.body(_INTEGRATION), integration)
    if body["type"] != integration["type"]:
        raise call.unprocessable({"type": "type can not be changed."})
    kept: dict[str, Any] = {
        name: integration[name] for name in ("id", "apiKey", "actions", "ownerTeam") if name in integration
    }
    enabled: dict[str, Any] = {"enabled": integration["enabled"]}
    integration.clear()
    integration.update({**enabled, **kept, **body})
    return call.answer(200, _meta(integration))


def _delete(call: Call) -> Response:
    integration = _integration(call)
    call.state.integrations.remove(integration["id"])
    return call.answer(200, meta(integration), result="Deleted")


def _switch(call: Call, enabled: bool) -> Response:
    integration = _integration(call)
    integration["enabled"] = enabled
    return call.answer(200, _meta(integration))


def _authenticate(call: Call) -> Response:
    body = call.body(shape({"type": text(empty=False)}, ("type",)))
    if call.integration is not None and call.integration["type"] != body["type"]:
        raise call.refuse(403, "The key is of another type of integration.", code=40301)
    return call.answer(200, result="Integration is valid")


def _shown_actions(call: Call, status: int, integration: dict[str, Any]) -> Response:
    parent = {name: integration[name] for name in ("id", "name", "enabled", "type")}
    return call.answer(status, {"_parent": parent, **actions_of(integration)})


def _get_actions(call: Call) -> Response:
    return _shown_actions(call, 200, _integration(call))


def _put_actions(call: Call) -> Response:
    integration, body = _integration(call), call.body(_ACTIONS)
    for kind in ACTION_KINDS:
        for number, action in enumerate(body.get(kind, [])):
            if action["type"] != kind:
                raise call.unprocessable({f"{kind}[{number}].type": f"type must be {kind}"})
    integration["actions"] = {kind: body.get(kind, []) for kind in ACTION_KINDS}
    return _shown_actions(call, 200, integration)


def _add_action(call: Call) -> Response:
    integration, body = _integration(call), call.body(_ACTION)
    actions = {kind: list(found) for kind, found in actions_of(integration).items()}
    actions[body["type"]].append(body)
    integration["actions"] = actions
    return _shown_actions(call, 201, integration)
