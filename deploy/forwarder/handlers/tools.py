"""An alert as each on-call tool wants to be told of it, and what the tool's answer means.

Which tool it is follows from the address in the secret, which `tocsin oncall apply` wrote: the alert API that Opsgenie
and Jira Service Management share, PagerDuty's Events API v2, or else a signed webhook.
Sources: Opsgenie, "Alert API"; Atlassian, "Jira Service Management ops: Integration events"; PagerDuty, "Send an Alert
Event" of the Events API v2.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from tocsin.paging.alert import Alert
from tocsin.paging.tool import Delivery
from tocsin.paging.webhook import sign

from .failures import KeyRefusedError, RefusedError, TryLaterError
from .post import Answer, Call

SELF_TEST = "tocsin-forwarder-self-test"
MOST_NOTE, MOST_DEDUP_KEY, MOST_SUMMARY = 1_000, 255, 1_024

# Statuses that another try may change (RFC 9110 and 6585); every 5xx is one, too.
_LATER = (408, 425, 429)
_KEY = (401, 403)
_GONE = 404

_ALERT_API = re.compile(r"^(https?://[^?#]*?)/(?:v1/json/[^?#]*|v2/alerts)/?(?:\?|$)")
_EVENTS_API = re.compile(r"^(https?://[^/?#]+)/(?:integration/([^/?#]+)/enqueue|v2/enqueue)/?(?:\?|$)")


class ToolKind(Enum):
    """The three ways of telling."""

    ALERTS = "alert API v2"
    EVENTS = "Events API v2"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Target:
    """Where alerts go: ``base`` ends before the API's path.  All but the kind may hold a key."""

    kind: ToolKind
    base: str = field(repr=False)
    key: str = field(repr=False)
    authorization: str = field(repr=False)


def target_of(delivery: Delivery) -> Target:
    """The tool behind an address."""
    query = parse_qs(urlsplit(delivery.endpoint).query)
    if found := _ALERT_API.match(delivery.endpoint):
        key = delivery.key or query.get("apiKey", [""])[0]
        return Target(ToolKind.ALERTS, found[1], key, delivery.authorization or f"GenieKey {key}")
    if found := _EVENTS_API.match(delivery.endpoint):
        return Target(ToolKind.EVENTS, found[1], delivery.key or found[2] or "", delivery.authorization)
    return Target(ToolKind.WEBHOOK, delivery.endpoint, delivery.key, delivery.authorization)


def call_of(alert: Alert, target: Target, now: datetime) -> Call:
    """What opens the alert, or closes it where the alarm is OK again."""
    opens = alert.state == "ALARM"
    if target.kind is ToolKind.ALERTS:
        path = "" if opens else f"/{quote(alert.alias, safe='')}/close?identifierType=alias"
        return _json_call(f"{target.base}/v2/alerts{path}", _opening(alert) if opens else _closing(alert), target)
    if target.kind is ToolKind.EVENTS:
        return _json_call(f"{target.base}/v2/enqueue", _event(alert, target.key, opens), target)
    call = _json_call(target.base, _told(alert), target)
    return Call(call.method, call.url, {**call.headers, **sign(call.body, target.key, now)}, call.body)


def knock_of(target: Target) -> Call:
    """What shows whether the tool takes the key, and changes nothing: the end of an alert that there never is.

    It needs the same right of the key as the end of a real one.  A plain webhook would take it for news, so that is only
    asked whether it is there.
    """
    if target.kind is ToolKind.ALERTS:
        body = {"note": "Self-test of the forwarder.", "source": SELF_TEST}
        return _json_call(f"{target.base}/v2/alerts/{SELF_TEST}/close?identifierType=alias", body, target)
    if target.kind is ToolKind.EVENTS:
        event = {"routing_key": target.key, "event_action": "resolve", "dedup_key": SELF_TEST}
        return _json_call(f"{target.base}/v2/enqueue", event, target)
    parts = urlsplit(target.base)
    door = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
    return Call("HEAD", door, {"User-Agent": "tocsin-forwarder"}, b"")


def refuses_key(answer: Answer, target: Target) -> bool:
    """Whether the answer is that the key is not, or no longer, taken."""
    return answer.status in _KEY or (target.kind is ToolKind.EVENTS and _names_the_key(answer))


def judge(answer: Answer, target: Target, alert: Alert) -> str:
    """What the tool made of it, for the log.  Raises TryLaterError, KeyRefusedError and RefusedError."""
    if answer.status in _LATER or answer.status >= 500:
        raise TryLaterError(f"{target.kind.value}: status {answer.status}", answer.retry_after)
    if refuses_key(answer, target):
        raise KeyRefusedError(f"{target.kind.value}: status {answer.status}: the key is not, or no longer, taken")
    if answer.status == _GONE and alert.state != "ALARM" and target.kind is ToolKind.ALERTS:
        return "there was no alert to close"
    if not 200 <= answer.status < 300:
        raise RefusedError(f"{target.kind.value}: status {answer.status}: {_said(answer)}")
    if target.kind is not ToolKind.WEBHOOK and not isinstance(_parsed(answer.body), dict):
        # A proxy's or a maintenance page's: whoever answered was not the tool.
        raise TryLaterError(f"{target.kind.value}: status {answer.status} with something else than a JSON object")
    return f"status {answer.status}"


def _names_the_key(answer: Answer) -> bool:
    """PagerDuty answers a key it does not know as it answers any event it cannot take: 400, with words about the key."""
    return answer.status == 400 and b"routing_key" in answer.body.replace(b" ", b"_").lower()


def _opening(alert: Alert) -> dict[str, Any]:
    return {
        "message": alert.message,
        "alias": alert.alias,
        "description": alert.description,
        "priority": alert.priority,
        "tags": list(alert.tags),
        "details": dict(alert.details),
        "entity": alert.details.get("system", ""),
        "source": "CloudWatch",
    }


def _closing(alert: Alert) -> dict[str, Any]:
    return {"note": alert.details.get("reason", "")[:MOST_NOTE], "source": "CloudWatch"}


def _event(alert: Alert, key: str, opens: bool) -> dict[str, Any]:
    dedup = alert.alias
    if len(dedup) > MOST_DEDUP_KEY:
        dedup = f"{dedup[: MOST_DEDUP_KEY - 65]}-{hashlib.sha256(dedup.encode()).hexdigest()}"
    event: dict[str, Any] = {
        "routing_key": key,
        "event_action": "trigger" if opens else "resolve",
        "dedup_key": dedup,
    }
    if opens:
        links = [{"href": alert.details[name], "text": name} for name in ("runbook", "dashboard", "console")
                 if alert.details.get(name, "").startswith("https://")]  # fmt: skip
        event |= {
            "client": "CloudWatch",
            "client_url": alert.details.get("console", ""),
            "links": links,
            "payload": {
                "summary": alert.message[:MOST_SUMMARY],
                "source": alert.details.get("resource") or alert.alias,
                "severity": "critical" if alert.priority == "P1" else "warning",
                "timestamp": alert.details["changed at"],
                "component": alert.details.get("system", ""),
                "group": alert.details.get("environment", ""),
                "class": alert.details.get("slo", ""),
                "custom_details": {**alert.details, "description": alert.description, "priority": alert.priority},
            },
        }
    return event


def _told(alert: Alert) -> dict[str, Any]:
    return {
        "alias": alert.alias,
        "state": alert.state,
        "message": alert.message,
        "description": alert.description,
        "priority": alert.priority,
        "tags": list(alert.tags),
        "details": dict(alert.details),
    }


def _json_call(url: str, body: dict[str, Any], target: Target) -> Call:
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "tocsin-forwarder"}
    if target.authorization:
        headers["Authorization"] = target.authorization
    return Call("POST", url, headers, json.dumps(body, sort_keys=True).encode())


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _said(answer: Answer) -> str:
    """The tool's own words: its message alone, never the request or a page."""
    parsed = _parsed(answer.body)
    message = parsed.get("message") if isinstance(parsed, dict) else None
    return message[:200] if isinstance(message, str) else "no message"
