"""PagerDuty's Events API v2, and the incidents that come of events."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from ..alert_book import AlertRecord
from ..opsgenie.answers import moment
from ..routing_table import Refused, Request, Response
from .account import Account, new_id, refused


class Incidents:
    """Takes events, and answers what asks for incidents or resolves them."""

    def __init__(self, account: Account) -> None:
        self._account, self._state = account, account.state

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
        """Those of services, by their key or all."""
        key = request.query.get("incident_key")
        found = [one for one in self._records() if key is None or _key(one) == key]
        found.sort(key=lambda one: one.created_at, reverse=request.query.get("sort_by") == "created_at:desc")
        return self._account.page(request, "incidents", [self._incident(one) for one in found])

    def alerts(self, request: Request) -> Response:
        """The alert of an incident."""
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
        """In a user's name."""
        record, author = self._record(request), self._author(request)
        if ((request.json() or {}).get("incident") or {}).get("status") != "resolved":
            raise refused(400, "Invalid Input Provided", "status must be resolved")
        self._state.alerts.close(record, author)
        self._state.changed.notify_all()
        return Response(200, {"incident": self._incident(record)})

    def note(self, request: Request) -> Response:
        """In a user's name."""
        record, author = self._record(request), self._author(request)
        content = ((request.json() or {}).get("note") or {}).get("content")
        if not content:
            raise refused(400, "Invalid Input Provided", "content can't be empty")
        self._state.alerts.add_note(record, content, author)
        return Response(201, {"note": {"id": new_id(), "content": content}})

    def _author(self, request: Request) -> str:
        author = request.headers.get("from", "")
        if self._state.users.named(author, "username") is None:
            raise refused(400, "Requester User Not Found")
        return author

    def _records(self) -> list[AlertRecord]:
        services = {each["id"] for one in self._account.table("services") for each in one["integrations"]}
        return [one for one in self._state.alerts if one.integration.get("id") in services]

    def _record(self, request: Request) -> AlertRecord:
        record = self._state.alerts.find(request.match["id"])
        if record is None:
            raise refused(404, "Incident Not Found")
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
