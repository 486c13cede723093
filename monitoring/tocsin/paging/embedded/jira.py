"""Jira Service Management operations as the embedded on-call speaks it: ``/jsm/…``, and people under ``/ex/jira/…``.

The site's cloud id may be any; the token is the embedded key.  What is configured here is what Opsgenie's dialect shows,
too.  Teams are made by `add_team`, as a person makes them: the API only lists those with operations switched on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from . import cloudwatch, jira_configuration, opsgenie_alerts
from .alert_book import AlertRecord
from .alert_search import search
from .jira_answers import Answerer, Call, guarded, refused, renamed, without
from .opsgenie_answers import moment
from .routing_table import Response, Route
from .shapes import ACTION_FILTER, PRIORITY, flag, list_of, one_of, shape, text, texts, whole
from .state import State, new_key

if TYPE_CHECKING:
    from .oncall import EmbeddedOnCall

INTEGRATION = "/jsm/ops/integration"
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


def add_team(state: State, name: str, members: Collection[str] = (), *, operations: bool = True) -> dict[str, Any]:
    """A team, as a person makes it, with the schedule, escalation and default rule that come with operations."""
    with state.lock:
        people = [user for user in state.users if user["username"] in members]
        team = state.teams.add(
            {
                "name": name,
                "description": "",
                "members": [{"user": {"id": one["id"], "username": one["username"]}, "role": "user"} for one in people],
                "operations": operations,
            }
        )
        owner = {"ownerTeam": {"id": team["id"], "name": name}}
        schedule = state.schedules.add(
            {
                "name": f"{name}_schedule",
                "description": "",
                "timezone": "UTC",
                "enabled": True,
                "rotations": [],
                **owner,
            }
        )
        step = {
            "condition": "if-not-acked",
            "notifyType": "default",
            "delay": {"timeAmount": 0, "timeUnit": "minutes"},
            "recipient": {"type": "schedule", "id": schedule["id"], "name": schedule["name"]},
        }
        escalation = state.escalations.add({"name": f"{name}_escalation", "description": "", "rules": [step], **owner})
        state.routing_rules.add(
            {
                "name": "Default Routing Rule",
                "teamId": team["id"],
                "isDefault": True,
                "order": 0,
                "criteria": {"type": "match-all"},
                "timezone": "UTC",
                "timeRestriction": None,
                "notify": {"type": "escalation", "id": escalation["id"], "name": escalation["name"]},
            }
        )
        return team


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """The operations API, people, and the integration API, whose paths are Opsgenie's below another root."""

    def route(method: str, pattern: str, answerer: Answerer) -> Route:
        return guarded(oncall, method, pattern, answerer)

    actions, heartbeats = "/integrations/{integrationId}/actions", "/teams/{teamId}/heartbeats"
    return (
        guarded(oncall, "GET", "/rest/api/3/user/search", _people, "/ex/jira/{cloudId}"),
        route("GET", "/teams", _teams),
        *jira_configuration.routes(oncall),
        route("GET", "/integrations", lambda call: call.page([_integration(one) for one in call.state.integrations])),
        route("POST", "/integrations", _make_integration),
        route("GET", "/integrations/{id}", lambda call: Response(200, _integration(_named(call)))),
        route("PATCH", "/integrations/{id}", _change_integration),
        route("DELETE", "/integrations/{id}", _drop_integration),
        route("GET", actions, lambda call: call.page(_actions(call))),
        route("PATCH", f"{actions}/{{id}}", _change_action),
        route("GET", heartbeats, _list_heartbeats),
        route("POST", heartbeats, _make_heartbeat),
        route("PATCH", heartbeats, _change_heartbeat),
        route("DELETE", heartbeats, _drop_heartbeat),
        *(route(method, f"{heartbeats}/ping", _ping) for method in ("GET", "POST")),
        route("GET", "/alerts", _list_alerts),
        route("GET", "/alerts/alias", _by_alias),
        route("GET", "/alerts/{id}", lambda call: Response(200, _alert(_record(call), whole=True))),
        route("POST", "/alerts/{id}/close", lambda call: _change_alert(call, "close")),
        route("POST", "/alerts/{id}/acknowledge", lambda call: _change_alert(call, "acknowledge")),
        *renamed([one for one in opsgenie_alerts.routes(oncall) if one.method == "POST"], INTEGRATION),
        *renamed(cloudwatch.routes(oncall), INTEGRATION),
    )


def _people(call: Call) -> Response:
    wanted = call.request.query.get("query", "").lower()
    found = [
        {
            "accountId": user["id"],
            "accountType": "atlassian",
            "emailAddress": user["username"],
            "displayName": user["fullName"],
            "active": not user.get("blocked", False),
        }
        for user in call.state.users
        if wanted and (user["username"].lower().startswith(wanted) or user["fullName"].lower().startswith(wanted))
    ]
    return Response(200, found)


def _teams(call: Call) -> Response:
    shown = [team for team in call.state.teams if team.get("operations", True)]
    return Response(200, {"platformTeams": [{"teamId": one["id"], "teamName": one["name"]} for one in shown]})


# Integrations


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


def _owner(call: Call, identifier: str | None) -> dict[str, Any]:
    if identifier is None:
        return {}
    team = call.state.teams.get(identifier)
    if team is None:
        raise refused(422, f"teamId: no team {identifier}")
    return {"ownerTeam": {"id": team["id"], "name": team["name"]}}


def _make_integration(call: Call) -> Response:
    body = call.body(shape(_INTEGRATION_FIELDS, ("name", "type")))
    if call.state.integrations.named(body["name"]):
        raise refused(409, f"There is already an integration with name {body['name']}")
    team = _owner(call, body.pop("teamId", None))
    made = call.state.integrations.add({"enabled": True, "priority": "P3", **body, **team, "apiKey": new_key()})
    mappings = {"alias": "{{alarm_name}}", "message": "{{subject}}", "priority": "P3", "tags": []}
    call.state.table("jira actions").add(
        {
            "integrationId": made["id"],
            "type": "create",
            "name": "Create Alert",
            "domain": "alert",
            "direction": "incoming",
            "groupType": "forwarding",
            "fieldMappings": {**mappings, **({"priority": "{{priority}}"} if made["type"] == "API" else {})},
            "enabled": True,
        }
    )
    return Response(201, {**_integration(made), "apiKey": made["apiKey"]})


def _change_integration(call: Call) -> Response:
    integration, body = _named(call), call.body(shape(_INTEGRATION_FIELDS))
    integration.update(_owner(call, body.pop("teamId", None)))
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


def _change_action(call: Call) -> Response:
    integration, body = _named(call, "integrationId"), call.body(shape(_ACTION_FIELDS))
    action = call.found(call.state.table("jira actions"), "Integration action")
    action.update(body)
    if (priority := action["fieldMappings"].get("priority")) and not PRIORITY(priority):
        integration["priority"] = priority
    return Response(200, without(action, "integrationId"))


# Heartbeats


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
    plain = {"description": "", "alertMessage": f"{body['name']} is expired", "alertTags": [], "alertPriority": "P3"}
    made = call.state.heartbeats.add({**plain, **body, "expired": False, "pinged": None, **_owner(call, team["id"])})
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
    state, heartbeat = call.state, call.state.heartbeats.named(call.request.query.get("name", ""))
    if heartbeat is not None and heartbeat["enabled"]:
        expired, heartbeat["expired"], heartbeat["pinged"] = heartbeat["expired"], False, state.clock()
        record = state.alerts.open_alert(f"heartbeat {heartbeat['name']}")
        if expired and record is not None:
            state.alerts.close(record, "Heartbeat", "Heard of again.")
        state.changed.notify_all()
    return Response(202, {"result": "PONG - Heartbeat received", "took": 0.001, "requestId": ""})


# Alerts


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
    found = sorted((one for one in call.state.alerts if test(one)), key=lambda one: one.created_at, reverse=True)
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
