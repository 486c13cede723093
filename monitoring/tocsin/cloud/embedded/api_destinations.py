"""EventBridge to API destinations: with the role of the target, retried as its policy says, then into its queue.

- With ``iam`` the target's role must trust EventBridge and may ``events:InvokeApiDestination``; without it nothing is
  sent and nothing retried.
- 401, 407, 409, 429, 5xx and no answer within five seconds are retried, at most MaximumRetryAttempts times and
  MaximumEventAgeInSeconds long (by default 185 times and 24 hours); all else is final.  A Retry-After that asks for more
  than the next delay is honoured, in real seconds; a negative one ends the retries.
- What was not delivered goes to the target's dead-letter queue, if the queue's policy lets EventBridge, with the
  attributes RULE_ARN, TARGET_ARN, ERROR_CODE, ERROR_MESSAGE, RETRY_ATTEMPTS and EXHAUSTED_RETRY_CONDITION.

The delays between retries are not published; here they double from a second up to eight minutes.  Like SNS's they pass
by the speed of `deliveries`.
Sources: Amazon EventBridge user guide, "API destinations as targets", "How EventBridge retries delivering events", "Using
dead-letter queues to process undelivered events", "Monitoring Amazon EventBridge".
"""

from __future__ import annotations

import http.client
import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from . import queue_delivery
from .base import here, service
from .connections import connection_of
from .parts import Parts
from .service_keys import service_may_use
from .service_roles import allowed, service_may_call, trusts

EVENTS = "events.amazonaws.com"
TIMEOUT_SECONDS = 5.0
MOST_RETRIES, LONGEST_SECONDS = 185, 86400
_LONGEST_DELAY = 480.0
_RETRIED = (401, 407, 409, 429)
_log = logging.getLogger("tocsin.events")
_current = threading.local()


def install(parts: Parts) -> None:
    """Replace ministack's delivery, which neither retries nor redrives."""
    events = service("eventbridge")
    invoke = events._invoke_target
    destinations = ApiDestinations(parts)

    def invoke_target(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        before = getattr(_current, "invocation", None)
        _current.invocation = (event, rule)
        try:
            invoke(target, event, rule, view)
        finally:
            _current.invocation = before

    def dispatch(spec: Any, payload: str, target: dict[str, Any]) -> None:
        event, rule = _current.invocation
        destinations.invoke(str(spec), payload, target, event, rule)

    events._invoke_target, events._dispatch_to_api_destination = invoke_target, dispatch


@dataclass
class _Invocation:
    """One event on its way to one API destination; ``age`` in AWS's seconds."""

    target: Mapping[str, Any]
    rule: Mapping[str, Any]
    event: str
    attempts: int = 0
    age: float = 0.0


class ApiDestinations:
    """Delivers events to API destinations."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        # ministack leaves the proxy of the environment on.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def invoke(
        self, arn: str, payload: str, target: Mapping[str, Any], event: dict[str, Any], rule: Mapping[str, Any]
    ) -> None:
        """Send one event; returns at once."""
        events = service("eventbridge")
        whole = json.dumps(events._pattern_event_view(event).event_with_detail())
        invocation = _Invocation(dict(target), rule, whole)
        destination = next(
            (each for each in events._api_destinations.values() if each["ApiDestinationArn"] == arn), None
        )
        connection = connection_of(destination) if destination else None
        if destination is None or connection is None:
            self._failed(invocation, "RESOURCE_NOT_FOUND", "the API destination or its connection does not exist")
            return
        if refused := self._refused(str(target.get("RoleArn") or ""), arn):
            self._failed(invocation, "NO_PERMISSIONS", refused)
            return
        request = events._build_api_destination_request(
            destination, connection, target.get("HttpParameters") or {}, payload
        )

        def attempt() -> float | None:
            if events._api_destinations.get(destination["Name"]) is not destination:
                self._failed(invocation, "RESOURCE_NOT_FOUND", "the API destination was deleted")
                return None
            invocation.attempts += 1
            if connection.get("ConnectionState") != "AUTHORIZED":
                status, text, asked = 401, "the connection is not authorized", None
            else:
                status, text, asked = self._send(request, connection)
            if 200 <= status < 300:
                return None
            return self._next(invocation, status, text, asked)

        limit = int(destination.get("InvocationRateLimitPerSecond") or 300)
        self._parts.deliveries.submit(("events", arn), attempt, per_second=limit)

    def _refused(self, role: str, arn: str) -> str | None:
        if not self._parts.enforce_iam:
            return None
        if not trusts(role, EVENTS):
            return f"the role of the target cannot be assumed by {EVENTS}"
        # The reference's ARN has no unique id; policies with either are in use.
        if not any(
            allowed(role, "events", "events:InvokeApiDestination", one) for one in (arn, arn.rpartition("/")[0])
        ):
            return f"{role} may not events:InvokeApiDestination on {arn}"
        return None

    def _next(self, invocation: _Invocation, status: int, text: str, asked: float | None) -> float | None:
        """The delay until the next attempt; None if there is none, and then the event is redriven."""
        policy = invocation.target.get("RetryPolicy") or {}
        most = int(policy.get("MaximumRetryAttempts", MOST_RETRIES))
        longest = float(policy.get("MaximumEventAgeInSeconds", LONGEST_SECONDS))
        code = "SDK_CLIENT_ERROR" if status == 0 else f"HTTP_{status}"
        exhausted = None
        if (status and status not in _RETRIED and status < 500) or (asked is not None and asked < 0):
            self._failed(invocation, code, text)
            return None
        delay = min(2.0 ** (invocation.attempts - 1), _LONGEST_DELAY)
        speed = self._parts.deliveries.speed
        waits = max(delay, (asked or 0.0) * speed)
        if invocation.attempts > most:
            exhausted = "MaximumRetryAttempts"
        elif invocation.age + max(delay, asked or 0.0) > longest:
            exhausted = "MaximumEventAgeInSeconds"
        if exhausted:
            self._failed(invocation, code, text, exhausted)
            return None
        invocation.age += max(delay, asked or 0.0)
        self._count(invocation.rule, "RetryInvocationAttempts")
        return waits

    def _send(self, request: Mapping[str, Any], connection: Mapping[str, Any]) -> tuple[int, str, float | None]:
        """Status (0: no answer), what went wrong, and what Retry-After asks for."""
        events, account_region = service("eventbridge"), here()
        key = (*account_region, connection["Name"])
        try:
            headers = events._connection_auth_headers(connection, key)
            # User information in the address would be sent on; the connection's authorization is what counts.
            made = urllib.request.Request(  # noqa: S310  # checked when the destination was made
                request["url"],
                request["body"].encode(),
                events._finalize_api_dest_headers({**request["headers"], **headers}),
                method=request["method"],
            )
            with self._opener.open(made, timeout=min(TIMEOUT_SECONDS, self._parts.deliveries.timeout)) as response:
                return response.status, "", None
        except urllib.error.HTTPError as error:
            with error:
                if error.code in (401, 407):
                    events._evict_oauth_token(connection["Name"])
                return error.code, f"the endpoint answered with status {error.code}", _retry_after(error.headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            return 0, str(getattr(reason, "strerror", None) or type(reason).__name__), None

    def _failed(self, invocation: _Invocation, code: str, message: str, exhausted: str = "") -> None:
        rule = invocation.rule
        _log.warning("rule %s did not reach its API destination: %s", rule.get("Name"), message)
        self._count(rule, "FailedInvocations")
        queue = str((invocation.target.get("DeadLetterConfig") or {}).get("Arn") or "")
        if not queue:
            return
        attributes = {
            "RULE_ARN": str(rule.get("Arn", "")),
            "TARGET_ARN": str(invocation.target.get("Arn", "")),
            "ERROR_CODE": code,
            "ERROR_MESSAGE": message,
            "RETRY_ATTEMPTS": str(max(0, invocation.attempts - 1)),
            **({"EXHAUSTED_RETRY_CONDITION": exhausted} if exhausted else {}),
        }
        sent = self._queue_lets(queue, str(rule.get("Arn", ""))) and queue_delivery.put(
            queue, invocation.event, attributes
        )
        self._count(rule, "InvocationsSentToDlq" if sent else "InvocationsFailedToBeSentToDlq")

    def _queue_lets(self, queue: str, rule_arn: str) -> bool:
        record = service("sqs")._queue_by_arn(queue)
        if not record or not self._parts.enforce_iam:
            return bool(record)
        account, _ = here()
        policy, key = (record["attributes"].get(name) or "" for name in ("Policy", "KmsMasterKeyId"))
        return service_may_call(policy, EVENTS, "sqs:SendMessage", queue, rule_arn, account) and service_may_use(
            self._parts, key, EVENTS, rule_arn, account
        )

    def _count(self, rule: Mapping[str, Any], name: str) -> None:
        bus = rule.get("EventBusName") or "default"
        named = {"RuleName": str(rule.get("Name", ""))} | ({} if bus == "default" else {"EventBusName": str(bus)})
        self._parts.recorder.record("AWS/Events", name, named, 1, "Count")


def _retry_after(headers: Any) -> float | None:
    """Seconds that Retry-After asks for, as a number or as a date; None without one that can be read."""
    value = str(headers.get("Retry-After") or "").strip()
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """EventBridge does not follow redirects."""

    def redirect_request(self, *_arguments: Any, **_options: Any) -> None:
        return None
