"""PagerDuty's REST API v2 and its two endpoints for events, as far as Tocsin uses them.

https://developer.pagerduty.com/api-reference: teams, schedules, escalation policies, services with integrations, users,
incidents; ``/v2/enqueue`` and ``/integration/<key>/enqueue``.  The token is the embedded key.  What key its CloudWatch
integration gives an alert is not documented, so here it is none that could be guessed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from . import cloudwatch
from .alert_book import AlertRecord
from .opsgenie_answers import moment
from .routing_table import Refused, Request, Response, Route
from .state import Table, new_key

if TYPE_CHECKING:
    from .oncall import EmbeddedOnCall

_INTEGRATIONS = {"aws_cloudwatch_inbound_integration": "CloudWatch", "events_api_v2_inbound_integration": "API"}
_PRIORITIES = {"high": "P1", "low": "P3"}
#: Name of a list → its table, the name of one, and the fields that it must have.
_KINDS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "teams": ("pagerduty teams", "team", ("name",)),
    "schedules": ("pagerduty schedules", "schedule", ("name", "time_zone", "schedule_layers")),
    "escalation_policies": ("pagerduty policies", "escalation_policy", ("name", "escalation_rules")),
    "services": ("pagerduty services", "service", ("name", "escalation_policy")),
}
_RESTRICTION = {"daily_restriction": 24 * 3600, "weekly_restriction": 7 * 24 * 3600}


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """Everything of PagerDuty."""
    api = _Api(oncall)

    def route(method: str, pattern: str, answer: Callable[[Request], Response]) -> Route:
        return Route(method, pattern, lambda request: api.guarded(request, answer))

    found = [
        route("GET", "/users", api.users),
        route("GET", "/teams/{id}/members", api.members),
        route("PUT", "/teams/{id}/users/{user}", api.put_member),
        route("DELETE", "/teams/{id}/users/{user}", api.drop_member),
        route("POST", "/services/{id}/integrations", api.make_integration),
        route("GET", "/services/{id}/integrations/{integration}", api.integration),
        route("DELETE", "/services/{id}/integrations/{integration}", api.drop_integration),
        route("GET", "/incidents", api.incidents),
        route("PUT", "/incidents/{id}", api.resolve),
        route("GET", "/incidents/{id}/alerts", api.alerts),
        route("POST", "/incidents/{id}/notes", api.note),
        Route("POST", "/v2/enqueue", api.enqueue),
    ]
    for kind in _KINDS:
        found += [
            route("GET", f"/{kind}", lambda request, kind=kind: api.listed(request, kind)),  # type: ignore[misc]
            route("POST", f"/{kind}", lambda request, kind=kind: api.make(request, kind)),  # type: ignore[misc]
            route("GET", f"/{kind}/{{id}}", lambda request, kind=kind: api.one(request, kind)),  # type: ignore[misc]
            route("PUT", f"/{kind}/{{id}}", lambda request, kind=kind: api.change(request, kind)),  # type: ignore[misc]
            route("DELETE", f"/{kind}/{{id}}", lambda request, kind=kind: api.drop(request, kind)),  # type: ignore[misc]
        ]
    (take,) = cloudwatch.routes(oncall)
    # SNS's own envelope is understood as everywhere here; only the key stands elsewhere in the address.
    found.append(
        Route(
            "POST",
            "/integration/{key}/enqueue",
            lambda request: take.handler(replace(request, query={"apiKey": request.match["key"]})),
            alone=False,
        )
    )
    return tuple(found)


def _refused(status: int, message: str, *errors: str) -> Refused:
    return Refused(Response(status, {"error": {"message": message, "code": 2000 + status, "errors": list(errors)}}))


class _Api:
    def __init__(self, oncall: EmbeddedOnCall) -> None:
        self._oncall, self._state = oncall, oncall.state

    def guarded(self, request: Request, answer: Callable[[Request], Response]) -> Response:
        if request.headers.get("authorization") != f"Token token={self._state.key}":
            raise _refused(401, "The request did not contain a valid API key")
        if "vnd.pagerduty+json;version=2" not in request.headers.get("accept", ""):
            raise _refused(406, "Accept must be application/vnd.pagerduty+json;version=2")
        return answer(request)

    # Configuration

    def users(self, request: Request) -> Response:
        wanted = request.query.get("query", "").lower()
        found = [
            {
                "id": user["id"],
                "type": "user",
                "summary": user["fullName"],
                "name": user["fullName"],
                "email": user["username"],
                "role": user.get("pagerduty role", "limited_user"),
            }
            for user in self._state.users
            if wanted in user["username"].lower()
        ]
        return self._page(request, "users", found)

    def listed(self, request: Request, kind: str) -> Response:
        wanted = request.query.get("query", "").lower()
        found = [self._shown(kind, one) for one in self._table(kind) if wanted in str(one["name"]).lower()]
        if kind == "schedules":
            found = [{name: value for name, value in one.items() if name != "schedule_layers"} for one in found]
        if kind == "services" and request.query.get("include[]") != "integrations":
            found = [{**one, "integrations": [_reference(each) for each in one["integrations"]]} for one in found]
        return self._page(request, kind, found)

    def one(self, request: Request, kind: str) -> Response:
        return Response(200, {_KINDS[kind][1]: self._shown(kind, self._found(kind, request.match["id"]))})

    def make(self, request: Request, kind: str) -> Response:
        body = self._checked(request, kind, None)
        made = self._table(kind).add({"description": "", "teams": [], **body, "id": _id()})
        if kind == "teams":
            made["members"] = {}
        if kind == "services":
            made["integrations"] = []
        return Response(201, {_KINDS[kind][1]: self._shown(kind, made)})

    def change(self, request: Request, kind: str) -> Response:
        found = self._found(kind, request.match["id"])
        found.update(self._checked(request, kind, found))
        if kind == "services":
            for one in found["integrations"]:
                self._mirror(found, one)
        return Response(200, {_KINDS[kind][1]: self._shown(kind, found)})

    def drop(self, request: Request, kind: str) -> Response:
        found = self._found(kind, request.match["id"])
        if user := self._in_use(kind, found["id"]):
            raise _refused(400, "Bad request", f"it is used by {user}")
        for one in found.get("integrations", ()):
            self._state.integrations.remove(one["id"])
        self._table(kind).remove(found["id"])
        return Response(204)

    def members(self, request: Request) -> Response:
        team = self._found("teams", request.match["id"])
        found = [
            {"user": {"id": user, "type": "user_reference"}, "role": role} for user, role in team["members"].items()
        ]
        return self._page(request, "members", found)

    def put_member(self, request: Request) -> Response:
        team, user = self._found("teams", request.match["id"]), self._state.users.get(request.match["user"])
        role = (request.json() or {}).get("role", "manager")
        if user is None:
            raise _refused(404, "Not Found")
        if role not in ("manager", "responder", "observer"):
            raise _refused(400, "Bad request", "role is none")
        above = user.get("pagerduty role") in ("admin", "owner")
        team["members"][user["id"]] = "manager" if above else role
        return Response(204)

    def drop_member(self, request: Request) -> Response:
        self._found("teams", request.match["id"])["members"].pop(request.match["user"], None)
        return Response(204)

    def make_integration(self, request: Request) -> Response:
        service = self._found("services", request.match["id"])
        body = (request.json() or {}).get("integration") or {}
        if body.get("type") not in _INTEGRATIONS or not body.get("name"):
            raise _refused(400, "Invalid Input Provided", "type and name must be given")
        made = {"id": _id(), "type": body["type"], "name": body["name"], "summary": body["name"]}
        made["integration_key"] = new_key().replace("-", "")
        service["integrations"].append(made)
        self._mirror(service, made)
        return Response(201, {"integration": made})

    def integration(self, request: Request) -> Response:
        return Response(200, {"integration": self._integration(request)})

    def drop_integration(self, request: Request) -> Response:
        found = self._integration(request)
        self._found("services", request.match["id"])["integrations"].remove(found)
        self._state.integrations.remove(found["id"])
        return Response(204)

    def _integration(self, request: Request) -> dict[str, Any]:
        for one in self._found("services", request.match["id"])["integrations"]:
            if one["id"] == request.match["integration"]:
                found: dict[str, Any] = one
                return found
        raise _refused(404, "Not Found")

    def _mirror(self, service: Mapping[str, Any], integration: Mapping[str, Any]) -> None:
        """What comes in by the key is taken as everywhere here; only the urgency is the service's."""
        self._state.integrations.add(
            {
                "id": integration["id"],
                "name": service["name"],
                "type": _INTEGRATIONS[integration["type"]],
                "enabled": service.get("status") != "disabled",
                "apiKey": integration["integration_key"],
                "priority": _PRIORITIES[(service.get("incident_urgency_rule") or {}).get("urgency", "high")],
            }
        )

    def _table(self, kind: str) -> Table:
        return self._state.table(_KINDS[kind][0])

    def _found(self, kind: str, identifier: str) -> dict[str, Any]:
        found = self._table(kind).get(identifier)
        if found is None:
            raise _refused(404, "Not Found")
        return found

    def _checked(self, request: Request, kind: str, itself: Mapping[str, Any] | None) -> dict[str, Any]:
        _, name, required = _KINDS[kind]
        try:
            body = (request.json() or {}).get(name)
        except (ValueError, AttributeError):
            body = None
        if not isinstance(body, dict):
            raise _refused(400, "Invalid Input Provided", f"{name} is missing")
        if missing := [field for field in required if itself is None and not body.get(field)]:
            raise _refused(400, "Invalid Input Provided", *(f"{field} can't be empty" for field in missing))
        other = self._table(kind).named(body.get("name", ""))
        if other is not None and other is not itself:
            raise _refused(400, "Invalid Input Provided", "Name has already been taken")
        if kind == "schedules":
            body = {**body, "schedule_layers": self._layers(body, itself)}
        return dict(body)

    def _layers(self, body: Mapping[str, Any], itself: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        """Layers have ids; one is never removed, only ended; one that began in the past begins now."""
        known = {one["id"]: one for one in (itself or {}).get("schedule_layers", ())}
        now, found = self._state.clock(), []
        for one in body.get("schedule_layers") or ():
            if not 3600 <= one["rotation_turn_length_seconds"] <= 365 * 24 * 3600 or not one["users"]:
                raise _refused(400, "Invalid Input Provided", "a layer needs users and a turn")
            for each in one.get("restrictions") or ():
                if not 0 < each["duration_seconds"] < _RESTRICTION[each["type"]]:
                    raise _refused(400, "Invalid Input Provided", "a restriction is shorter than its day or week")
            for each in one["users"]:
                if self._state.users.get(each["user"]["id"]) is None:
                    raise _refused(400, "Invalid Input Provided", "User not found")
            layer = {
                **one,
                "id": one.get("id") or _id(),
                "start": moment(max(now, datetime.fromisoformat(one["start"]))),
            }
            known.pop(layer["id"], None)
            found.append(layer)
        return [*found, *(one if _ended(one, now) else {**one, "end": moment(now)} for one in known.values())][::-1]

    def _shown(self, kind: str, one: dict[str, Any]) -> dict[str, Any]:
        shown = {**one, "type": _KINDS[kind][1], "summary": one["name"]}
        shown.pop("members", None)
        teams = [self._named("teams", each["id"]) for each in one.get("teams") or ()]
        if kind == "services":
            policy = self._table("escalation_policies").get(one["escalation_policy"]["id"]) or {}
            teams = [self._named("teams", each["id"]) for each in policy.get("teams") or ()]
            shown["escalation_policy"] = self._named("escalation_policies", one["escalation_policy"]["id"])
        if kind == "escalation_policies":
            shown["escalation_rules"] = [
                {**rule, "targets": [self._target(each) for each in rule["targets"]]}
                for rule in one["escalation_rules"]
            ]
        return {**shown, "teams": teams} if kind != "teams" else shown

    def _target(self, one: Mapping[str, Any]) -> dict[str, Any]:
        if one["type"] == "user_reference":
            user = self._state.users.get(one["id"]) or {"fullName": ""}
            return {**one, "summary": user["fullName"]}
        return self._named("schedules", one["id"])

    def _named(self, kind: str, identifier: str) -> dict[str, Any]:
        found = self._table(kind).get(identifier)
        if found is None:
            raise _refused(400, "Invalid Input Provided", f"{_KINDS[kind][1]} {identifier} not found")
        return {"id": identifier, "type": f"{_KINDS[kind][1]}_reference", "summary": found["name"]}

    def _in_use(self, kind: str, identifier: str) -> str:
        if kind == "escalation_policies":
            return next(
                (str(one["name"]) for one in self._table("services") if one["escalation_policy"]["id"] == identifier),
                "",
            )
        if kind == "schedules":
            for policy in self._table("escalation_policies"):
                if any(target["id"] == identifier for rule in policy["escalation_rules"] for target in rule["targets"]):
                    return str(policy["name"])
        return ""

    def _page(self, request: Request, key: str, values: Sequence[Any]) -> Response:
        offset, limit = int(request.query.get("offset", "0")), min(100, int(request.query.get("limit", "25")))
        more = offset + limit < len(values)
        page = list(values[offset : offset + limit])
        return Response(200, {key: page, "limit": limit, "offset": offset, "more": more, "total": None})

    # Events and incidents

    def enqueue(self, request: Request) -> Response:
        """The Events API v2."""
        try:
            event = request.json()
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict):
            raise Refused(
                Response(400, {"status": "invalid event", "message": "Event object is invalid", "errors": []})
            )
        integration = self._state.integrations.named(str(event.get("routing_key")), "apiKey")
        action, payload = event.get("event_action"), event.get("payload") or {}
        errors = []
        if integration is None or integration["type"] != "API" or not integration["enabled"]:
            errors.append("'routing_key' is invalid (must be an integration's)")
        if action not in ("trigger", "acknowledge", "resolve"):
            errors.append("'event_action' is missing or invalid")
        if action == "trigger":
            errors += [
                f"'payload.{name}' is missing or blank" for name in ("summary", "source") if not payload.get(name)
            ]
            if payload.get("severity") not in ("critical", "error", "warning", "info"):
                errors.append("'payload.severity' is invalid")
        elif not event.get("dedup_key"):
            errors.append("'dedup_key' is missing")
        if errors or integration is None:
            raise Refused(
                Response(400, {"status": "invalid event", "message": "Event object is invalid", "errors": errors})
            )
        key = str(event.get("dedup_key") or uuid.uuid4().hex)
        self._apply(action, key, payload, integration)
        self._state.changed.notify_all()
        return Response(202, {"status": "success", "message": "Event processed", "dedup_key": key})

    def _apply(self, action: Any, key: str, payload: Mapping[str, Any], integration: Mapping[str, Any]) -> None:
        alerts = self._state.alerts
        if action == "trigger":
            details = payload.get("custom_details") or {}
            alerts.raise_alert(
                key,
                str(payload["summary"])[:1024],
                description=str(details.get("description", "")),
                priority=str(integration["priority"]),
                details={str(name): str(value) for name, value in details.items()},
                source=str(payload["source"]),
                integration={name: integration[name] for name in ("id", "name", "type")},
            )
        elif (found := alerts.open_alert(key)) and action == "resolve":
            alerts.close(found, integration["name"])
        elif found:
            alerts.acknowledge(found, integration["name"])

    def incidents(self, request: Request) -> Response:
        key = request.query.get("incident_key")
        found = [one for one in self._records() if key is None or _key(one) == key]
        found.sort(key=lambda one: one.created_at, reverse=request.query.get("sort_by") == "created_at:desc")
        return self._page(request, "incidents", [self._incident(one) for one in found])

    def alerts(self, request: Request) -> Response:
        record = self._record(request)
        shown = {
            "id": record.id,
            "type": "alert",
            "alert_key": _key(record),
            "status": self._incident(record)["status"],
        }
        details = record.details if record.integration.get("type") == "API" else _cloudwatch_details(record)
        return Response(200, {"alerts": [{**shown, "body": {"type": "alert_body", "details": details}}], "more": False})

    def resolve(self, request: Request) -> Response:
        record, author = self._record(request), self._author(request)
        if ((request.json() or {}).get("incident") or {}).get("status") != "resolved":
            raise _refused(400, "Invalid Input Provided", "status must be resolved")
        self._state.alerts.close(record, author)
        self._state.changed.notify_all()
        return Response(200, {"incident": self._incident(record)})

    def note(self, request: Request) -> Response:
        record, author = self._record(request), self._author(request)
        content = ((request.json() or {}).get("note") or {}).get("content")
        if not content:
            raise _refused(400, "Invalid Input Provided", "content can't be empty")
        self._state.alerts.add_note(record, content, author)
        return Response(201, {"note": {"id": _id(), "content": content}})

    def _author(self, request: Request) -> str:
        author = request.headers.get("from", "")
        if self._state.users.named(author, "username") is None:
            raise _refused(400, "Requester User Not Found")
        return author

    def _records(self) -> list[AlertRecord]:
        services = {each["id"] for one in self._table("services") for each in one["integrations"]}
        return [one for one in self._state.alerts if one.integration.get("id") in services]

    def _record(self, request: Request) -> AlertRecord:
        record = self._state.alerts.find(request.match["id"])
        if record is None:
            raise _refused(404, "Incident Not Found")
        return record

    def _incident(self, record: AlertRecord) -> dict[str, Any]:
        status = "resolved" if not record.open else "acknowledged" if record.acknowledged else "triggered"
        return {
            "id": record.id,
            "type": "incident",
            "title": record.message,
            "status": status,
            "urgency": "high" if record.priority == "P1" else "low",
            "incident_key": _key(record),
            "created_at": moment(record.created_at),
            "last_status_change_at": moment(record.closed_at or record.created_at),
            "resolved_at": moment(record.closed_at) if record.closed_at else None,
            "service": {"type": "service_reference", "summary": record.integration.get("name", "")},
            "alert_counts": {"all": 1, "triggered": int(record.open), "resolved": int(not record.open)},
            "assignments": [],
        }


def _key(record: AlertRecord) -> str:
    return record.alias if record.integration.get("type") == "API" else f"cloudwatch-{record.id}"


def _cloudwatch_details(record: AlertRecord) -> dict[str, str]:
    return {"AlarmName": record.alias, "AlarmDescription": record.description}


def _reference(integration: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": integration["id"], "type": f"{integration['type']}_reference", "summary": integration["summary"]}


def _ended(layer: Mapping[str, Any], now: datetime) -> bool:
    return bool(layer.get("end")) and datetime.fromisoformat(layer["end"]) <= now


def _id() -> str:
    return "P" + uuid.uuid4().hex[:6].upper()
