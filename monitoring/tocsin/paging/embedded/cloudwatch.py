"""The address that SNS topics post CloudWatch alarms to: ``/v1/json/cloudwatch?apiKey=KEY``.

https://support.atlassian.com/opsgenie/docs/integrate-opsgenie-with-incoming-amazon-cloudwatch/: the subscription is
confirmed by itself, ALARM raises an alert and OK closes it, as the integration's actions say.
"""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..sns_signature import UnverifiedMessageError, fetch_certificate, verify
from .alert_book import AlertRecord
from .conditions import Values, fits
from .opsgenie.integrations import actions_of
from .routing_table import Refused, Request, Response, Route
from .told import Told
from .who_is_told import settle

if TYPE_CHECKING:
    from .oncall import EmbeddedOnCall

PATH = "/v1/json/cloudwatch"
_CONFIRMATION = re.compile(r"https://sns\.[a-z0-9-]{1,32}\.amazonaws\.com(\.cn)?/\?[^#]*", re.ASCII)
_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_]+)\s*\}\}")
_LONGEST_MESSAGE = 130


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """The one address."""
    return (Route("POST", PATH, lambda request: _take(oncall, request), alone=False),)


def _take(oncall: EmbeddedOnCall, request: Request) -> Response:
    state = oncall.state
    with state.lock:
        integration = state.integrations.named(request.query.get("apiKey", ""), "apiKey")
        if integration is None or integration["type"] != "CloudWatch" or not integration["enabled"]:
            raise _refuse(oncall, 401, "a key that no CloudWatch integration has")
    try:
        message = request.json()
    except (ValueError, RecursionError):
        raise _refuse(oncall, 400, "it is not JSON") from None
    if message == {}:  # says nothing of anything: somebody asks whether the key is known
        raise Refused(Response(400, {"message": "there is nothing in it", "took": 0.001}))
    if not isinstance(message, dict) or not isinstance(message.get("Type"), str):
        raise _refuse(oncall, 400, "it is not in the envelope of SNS; leave raw message delivery off")
    if oncall.certificates_from:
        _verify(oncall, message)
    if message["Type"] == "SubscriptionConfirmation":
        return _confirm(oncall, message)
    if message["Type"] != "Notification":
        return _accepted()
    try:
        alarm = json.loads(message["Message"])
        told = _told(alarm, message, integration["name"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _refuse(oncall, 422, "it tells of no CloudWatch alarm") from None
    with state.lock:
        if not (oncall.certificates_from and oncall.is_known(str(message.get("MessageId")))):
            oncall.received.append(told)
            _apply(oncall, integration, alarm, message)
            state.changed.notify_all()
    return _accepted()


def _accepted() -> Response:
    return Response(202, {"result": "Request will be processed", "took": 0.001})


def _refuse(oncall: EmbeddedOnCall, status: int, why: str) -> Refused:
    with oncall.state.lock:
        oncall.refused.append(f"a message was refused with {status}: {why}")
        oncall.state.changed.notify_all()
    return Refused(Response(status, {"message": why, "took": 0.001}))


def _verify(oncall: EmbeddedOnCall, message: Mapping[str, Any]) -> None:
    base = oncall.certificates_from.rstrip("/")
    trusted = re.compile(re.escape(base) + r"/[A-Za-z0-9._/-]{1,200}\.pem", re.ASCII)
    try:
        verify(
            message,
            fetch=lambda address: _certificate(oncall, address),
            now=oncall.state.clock(),
            trusted=trusted,
            window=oncall.window,
        )
    except UnverifiedMessageError as error:
        raise _refuse(oncall, 403, str(error)) from None
    except OSError as error:
        raise _refuse(oncall, 503, f"its certificate cannot be had: {error}") from None


def _certificate(oncall: EmbeddedOnCall, address: str) -> bytes:
    with oncall.state.lock:
        known = oncall.certificates.get(address)
    content = known or _get(address)
    with oncall.state.lock:
        if len(oncall.certificates) < 100:  # any address under the trusted one could be asked for
            oncall.certificates[address] = content
    return content


def _get(address: str) -> bytes:
    """GET an address of this machine without a proxy, any other as `fetch_certificate` does."""
    if urllib.parse.urlsplit(address).hostname not in ("127.0.0.1", "localhost"):
        return fetch_certificate(address)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=10) as answer:
        content: bytes = answer.read(1 << 20)
        return content


def _confirm(oncall: EmbeddedOnCall, message: Mapping[str, Any]) -> Response:
    """GET the SubscribeURL, but only AWS's own or, of this machine, the embedded AWS's."""
    address = str(message.get("SubscribeURL", ""))
    base = oncall.certificates_from.rstrip("/")
    if not _CONFIRMATION.fullmatch(address) and not _is_local(address, base):
        raise _refuse(oncall, 403, "its SubscribeURL is not an address of AWS")
    try:
        _get(address)
    except OSError as error:
        raise _refuse(oncall, 503, f"the subscription cannot be confirmed: {type(error).__name__}") from None
    with oncall.state.lock:
        oncall.confirmed.add(str(message.get("TopicArn", "")))
        oncall.state.changed.notify_all()
    return Response(200, {"result": "Subscription confirmed", "took": 0.001})


def _is_local(address: str, base: str) -> bool:
    """Whether an address is of the embedded AWS; of this machine, while it is not known which one that is."""
    try:
        parts, known = urllib.parse.urlsplit(address), urllib.parse.urlsplit(base)
        port, known_port = parts.port, known.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or parts.username is not None:
        return False
    if base:
        return (parts.scheme, parts.hostname, port) == (known.scheme, known.hostname, known_port)
    return parts.hostname in ("127.0.0.1", "localhost")


def _told(alarm: Mapping[str, Any], message: Mapping[str, Any], integration: str) -> Told:
    description = alarm.get("AlarmDescription") or ""
    severity = re.search(r"\bSeverity: ([a-z]+)", description)
    return Told(
        severity=severity[1] if severity else "",
        alarm=str(alarm["AlarmName"]),
        state=str(alarm["NewStateValue"]),
        reason=str(alarm["NewStateReason"]),
        description=str(description),
        changed_at=_moment(alarm["StateChangeTime"]),
        sent_at=_moment(message["Timestamp"]),
        integration=integration,
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("+0000", "+00:00")).astimezone(UTC)


def _apply(
    oncall: EmbeddedOnCall, integration: Mapping[str, Any], alarm: Mapping[str, Any], message: Mapping[str, Any]
) -> None:
    values = _values({**message, **alarm})
    for kind, actions in actions_of(integration).items():
        for action in sorted(actions, key=lambda one: one.get("order", 0)):
            if fits(action.get("filter"), values, "conditionMatchType"):
                if kind != "ignore":
                    _act(oncall, integration, kind, action, values)
                return


def _values(fields: Mapping[str, Any]) -> Values:
    """The fields of a message by name; ``alarm_name`` is ``AlarmName``."""
    known = {
        name.lower(): "" if value is None else value if isinstance(value, str) else json.dumps(value)
        for name, value in fields.items()
    }
    return lambda field, key: [known.get(field.replace("_", "").lower(), "")]


def _act(
    oncall: EmbeddedOnCall, integration: Mapping[str, Any], kind: str, action: Mapping[str, Any], values: Values
) -> None:
    def filled(template: str) -> str:
        return _PLACEHOLDER.sub(lambda match: values(match[1], "")[0], template)

    alerts, alias = oncall.state.alerts, filled(action["alias"])[:512]
    if kind == "create":
        record, new = alerts.raise_alert(
            alias,
            filled(action.get("message") or "{{AlarmName}}")[:_LONGEST_MESSAGE],
            description=filled(action.get("description") or "{{AlarmDescription}}\n\n{{NewStateReason}}").strip(),
            priority=action.get("priority") or integration.get("priority", "P3"),
            tags=[filled(tag)[:50] for tag in action.get("tags", [])],
            details={name: filled(value) for name, value in action.get("extraProperties", {}).items()},
            entity=filled(action.get("entity", "")),
            source=filled(action.get("source", "")),
            actions=action.get("alertActions", []),
            responders=action.get("responders") or action.get("recipients") or (),
            integration={name: integration[name] for name in ("id", "name", "type")},
            by=filled(action["user"]),
        )
        if new:
            settle(oncall.state, record, integration)
        _write(oncall, record, filled(action["note"]), filled(action["user"]))
        return
    found = alerts.open_alert(alias)
    if found is None:
        return
    note, user = filled(action["note"]), filled(action["user"])
    if kind == "close":
        alerts.close(found, user, note)
    elif kind == "acknowledge":
        alerts.acknowledge(found, user, note)
    else:
        _write(oncall, found, note, user)


def _write(oncall: EmbeddedOnCall, record: AlertRecord, note: str, user: str) -> None:
    if note:
        oncall.state.alerts.add_note(record, note, user)
