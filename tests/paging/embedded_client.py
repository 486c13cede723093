"""Asking the embedded on-call server, with every answer held against Opsgenie's own description."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from opsgenie_contract import check_request, check_response

from tocsin.paging.embedded import EmbeddedOnCall


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def data(self) -> Any:
        return self.json["data"]


def send(
    url: str, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """One request over a connection of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def ask(oncall: EmbeddedOnCall, method: str, path: str, body: Any = None, *, key: str | None = None) -> Answer:
    """One request of the Opsgenie API with a key, by default the one that may do everything.

    What succeeds must have been a request that Opsgenie knows, and every answer one that Opsgenie gives.
    """
    headers = {"Authorization": f"GenieKey {oncall.key if key is None else key}", "Content-Type": "application/json"}
    answer = send(oncall.url, method, path, None if body is None else json.dumps(body).encode(), headers)
    if answer.status < 400:
        check_request(method, path, body)
    check_response(method, path, answer.status, answer.json)
    assert answer.headers["X-Request-ID"] == answer.json["requestId"]
    return answer


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: datetime = datetime(2026, 11, 21, 8, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, span: timedelta) -> None:
        self.now += span


def notification(alarm: str, state: str = "ALARM", **fields: Any) -> dict[str, Any]:
    """An SNS envelope, unsigned, around what CloudWatch says of an alarm."""
    at = fields.pop("at", datetime(2026, 11, 21, 8, tzinfo=UTC))
    text = {
        "AlarmName": alarm,
        "AlarmDescription": "checkout: the error budget burns too fast.\nSeverity: page. Owner: payments. System: checkout.\n"
        "Runbook: https://example.com/runbooks/slo-availability.md",
        "NewStateValue": state,
        "NewStateReason": "Threshold crossed",
        "OldStateValue": "OK",
        "StateChangeTime": at.isoformat(timespec="milliseconds").replace("+00:00", "+0000"),
        **fields,
    }
    return {
        "Type": "Notification",
        "MessageId": f"{alarm}-{state}",
        "TopicArn": "arn:aws:sns:eu-west-1:111122223333:live-tocsin-payments-page",
        "Message": json.dumps(text),
        "Timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def post(address: str, message: Any) -> Answer:
    """What SNS does with a message."""
    parts = urlsplit(address)
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return send(address, "POST", f"{parts.path}?{parts.query}", body, {"Content-Type": "text/plain; charset=UTF-8"})
