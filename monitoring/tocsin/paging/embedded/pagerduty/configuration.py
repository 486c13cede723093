"""PagerDuty's users, teams, schedules, escalation policies, and services with their integrations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..opsgenie.answers import moment
from ..routing_table import Request, Response
from ..state import new_key
from .account import KINDS, Account, new_id, refused

_INTEGRATIONS = {"aws_cloudwatch_inbound_integration": "CloudWatch", "events_api_v2_inbound_integration": "API"}
_PRIORITIES = {"high": "P1", "low": "P3"}
_RESTRICTION = {"daily_restriction": 24 * 3600, "weekly_restriction": 7 * 24 * 3600}


class Configuration:
    """Answers what asks for it or changes it."""

    def __init__(self, account: Account) -> None:
        self._account, self._state = account, account.state

    def users(self, request: Request) -> Response:
        """Those whose address holds what is asked for."""
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
        return self._account.page(request, "users", found)

    def listed(self, request: Request, kind: str) -> Response:
        """The things of a kind."""
        wanted = request.query.get("query", "").lower()
        found = [self._shown(kind, one) for one in self._account.table(kind) if wanted in str(one["name"]).lower()]
        if kind == "schedules":
            found = [{name: value for name, value in one.items() if name != "schedule_layers"} for one in found]
        if kind == "services" and request.query.get("include[]") != "integrations":
            found = [{**one, "integrations": [_reference(each) for each in one["integrations"]]} for one in found]
        return self._account.page(request, kind, found)

    def one(self, request: Request, kind: str) -> Response:
        """One thing."""
        return Response(200, {KINDS[kind][1]: self._shown(kind, self._account.found(kind, request.match["id"]))})

    def make(self, request: Request, kind: str) -> Response:
        """Make one."""
        body = self._checked(request, kind, None)
        made = self._account.table(kind).add({"description": "", "teams": [], **body, "id": new_id()})
        if kind == "teams":
            made["members"] = {}
        if kind == "services":
            made["integrations"] = []
        return Response(201, {KINDS[kind][1]: self._shown(kind, made)})

    def change(self, request: Request, kind: str) -> Response:
        """State one anew."""
        found = self._account.found(kind, request.match["id"])
        found.update(self._checked(request, kind, found))
        if kind == "services":
            for one in found["integrations"]:
                self._mirror(found, one)
        return Response(200, {KINDS[kind][1]: self._shown(kind, found)})

    def drop(self, request: Request, kind: str) -> Response:
        """Remove one that nothing uses."""
        found = self._account.found(kind, request.match["id"])
        if user := self._in_use(kind, found["id"]):
            raise refused(400, "Bad request", f"it is used by {user}")
        for one in found.get("integrations", ()):
            self._state.integrations.remove(one["id"])
        self._account.table(kind).remove(found["id"])
        return Response(204)

    def members(self, request: Request) -> Response:
        """Of a team."""
        team = self._account.found("teams", request.match["id"])
        found = [
            {"user": {"id": user, "type": "user_reference"}, "role": role} for user, role in team["members"].items()
        ]
        return self._account.page(request, "members", found)

    def put_member(self, request: Request) -> Response:
        """Into a team, or in another role."""
        team, user = self._account.found("teams", request.match["id"]), self._state.users.get(request.match["user"])
        role = (request.json() or {}).get("role", "manager")
        if user is None:
            raise refused(404, "Not Found")
        if role not in ("manager", "responder", "observer"):
            raise refused(400, "Bad request", "role is none")
        above = user.get("pagerduty role") in ("admin", "owner")
        team["members"][user["id"]] = "manager" if above else role
        return Response(204)

    def drop_member(self, request: Request) -> Response:
        """Out of a team."""
        self._account.found("teams", request.match["id"])["members"].pop(request.match["user"], None)
        return Response(204)

    def make_integration(self, request: Request) -> Response:
        """Of a service; it gets a key."""
        service = self._account.found("services", request.match["id"])
        body = (request.json() or {}).get("integration") or {}
        if body.get("type") not in _INTEGRATIONS or not body.get("name"):
            raise refused(400, "Invalid Input Provided", "type and name must be given")
        made = {"id": new_id(), "type": body["type"], "name": body["name"], "summary": body["name"]}
        made["integration_key"] = new_key().replace("-", "")
        service["integrations"].append(made)
        self._mirror(service, made)
        return Response(201, {"integration": made})

    def integration(self, request: Request) -> Response:
        """One, with its key."""
        return Response(200, {"integration": self._integration(request)})

    def drop_integration(self, request: Request) -> Response:
        """Its key is good no more."""
        found = self._integration(request)
        self._account.found("services", request.match["id"])["integrations"].remove(found)
        self._state.integrations.remove(found["id"])
        return Response(204)

    def _integration(self, request: Request) -> dict[str, Any]:
        for one in self._account.found("services", request.match["id"])["integrations"]:
            if one["id"] == request.match["integration"]:
                found: dict[str, Any] = one
                return found
        raise refused(404, "Not Found")

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

    def _checked(self, request: Request, kind: str, itself: Mapping[str, Any] | None) -> dict[str, Any]:
        _, name, required = KINDS[kind]
        try:
            body = (request.json() or {}).get(name)
        except (ValueError, AttributeError):
            body = None
        if not isinstance(body, dict):
            raise refused(400, "Invalid Input Provided", f"{name} is missing")
        if missing := [field for field in required if itself is None and not body.get(field)]:
            raise refused(400, "Invalid Input Provided", *(f"{field} can't be empty" for field in missing))
        other = self._account.table(kind).named(body.get("name", ""))
        if other is not None and other is not itself:
            raise refused(400, "Invalid Input Provided", "Name has already been taken")
        if kind == "schedules":
            body = {**body, "schedule_layers": self._layers(body, itself)}
        return dict(body)

    def _layers(self, body: Mapping[str, Any], itself: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        """Layers have ids; one is never removed, only ended; one that began in the past begins now."""
        known = {one["id"]: one for one in (itself or {}).get("schedule_layers", ())}
        now, found = self._state.clock(), []
        for one in body.get("schedule_layers") or ():
            if not 3600 <= one["rotation_turn_length_seconds"] <= 365 * 24 * 3600 or not one["users"]:
                raise refused(400, "Invalid Input Provided", "a layer needs users and a turn")
            for each in one.get("restrictions") or ():
                if not 0 < each["duration_seconds"] < _RESTRICTION[each["type"]]:
                    raise refused(400, "Invalid Input Provided", "a restriction is shorter than its day or week")
            for each in one["users"]:
                if self._state.users.get(each["user"]["id"]) is None:
                    raise refused(400, "Invalid Input Provided", "User not found")
            layer = {
                **one,
                "id": one.get("id") or new_id(),
                "start": moment(max(now, datetime.fromisoformat(one["start"]))),
            }
            known.pop(layer["id"], None)
            found.append(layer)
        return [*found, *(one if _ended(one, now) else {**one, "end": moment(now)} for one in known.values())][::-1]

    def _shown(self, kind: str, one: dict[str, Any]) -> dict[str, Any]:
        shown = {**one, "type": KINDS[kind][1], "summary": one["name"]}
        shown.pop("members", None)
        teams = [self._named("teams", each["id"]) for each in one.get("teams") or ()]
        if kind == "services":
            policy = self._account.table("escalation_policies").get(one["escalation_policy"]["id"]) or {}
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
        found = self._account.table(kind).get(identifier)
        if found is None:
            raise refused(400, "Invalid Input Provided", f"{KINDS[kind][1]} {identifier} not found")
        return {"id": identifier, "type": f"{KINDS[kind][1]}_reference", "summary": found["name"]}

    def _in_use(self, kind: str, identifier: str) -> str:
        if kind == "escalation_policies":
            return next(
                (
                    str(one["name"])
                    for one in self._account.table("services")
                    if one["escalation_policy"]["id"] == identifier
                ),
                "",
            )
        if kind == "schedules":
            for policy in self._account.table("escalation_policies"):
                if any(target["id"] == identifier for rule in policy["escalation_rules"] for target in rule["targets"]):
                    return str(policy["name"])
        return ""


def _reference(integration: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": integration["id"], "type": f"{integration['type']}_reference", "summary": integration["summary"]}


def _ended(layer: Mapping[str, Any], now: datetime) -> bool:
    return bool(layer.get("end")) and datetime.fromisoformat(layer["end"]) <= now
