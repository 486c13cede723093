"""The control endpoint of the embedded AWS, under ``/_tocsin/`` of its own port.

GET  /_tocsin/clock                        now, factor, and the real time beside them
POST /_tocsin/clock    {"factor": 60}      run faster or slower from now on
POST /_tocsin/advance  {"seconds": 3600}   move the clock forward; nothing is made up for the time skipped
POST /_tocsin/fire     {"rule": "daily", "bus": "default"}   run a rule's targets now, as its schedule would
POST /_tocsin/functions-endpoint {"url": null}  where functions call AWS: a proxy, or null for this AWS
POST /_tocsin/evaluate {}                  sample gauges and evaluate alarms now
GET  /_tocsin/deliveries                   how fast delays of deliveries pass, and how many are under way
POST /_tocsin/deliveries {"speed": 360, "timeout": 15}   AWS seconds per real second; real seconds for an answer
GET  /_tocsin/mails                        the e-mail that SNS would have sent
POST /_tocsin/mails    {"confirms": true}  confirm subscriptions by e-mail at once from now on
GET  /_tocsin/chats                        what AWS Chatbot would have shown
GET  /_tocsin/databases                    the PostgreSQL servers behind RDS
GET  /_tocsin/sns/<name>.pem               the certificate that verifies SNS signatures
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ...errors import InputError, TocsinError

PREFIX = "/_tocsin/"


class Control:
    """Answers ``/_tocsin/…`` and hands everything else to ministack."""

    def __init__(
        self,
        app: Any,
        reads: dict[str, Callable[[], dict[str, Any] | bytes]],
        writes: dict[str, Callable[[dict[str, Any]], dict[str, Any]]],
    ) -> None:
        self._app = app
        self._reads = reads
        self._writes = writes

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one ASGI request."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if message["type"] != "http.request" or not message.get("more_body"):
                break
        status, answer = await asyncio.to_thread(self._answer, scope["method"], scope["path"][len(PREFIX) :], body)
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        kind = b"application/x-pem-file" if isinstance(answer, bytes) else b"application/json"
        headers = [(b"content-type", kind), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any] | bytes]:
        try:
            if method == "GET" and path in self._reads:
                return 200, self._reads[path]()
            if method == "POST" and path in self._writes:
                given = json.loads(body or b"{}")
                if not isinstance(given, dict):
                    raise InputError("the body is a JSON object")
                return 200, self._writes[path](given)
        except (TocsinError, ValueError) as error:
            return 400, {"error": str(error)}
        return 404, {"error": f"no {method} {PREFIX}{path} here"}


def number(given: dict[str, Any], name: str) -> float:
    """A number out of a request's body.  Raises InputError."""
    value = given.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{name} is a number, such as {{{json.dumps(name)}: 60}}")
    return float(value)


def optional_number(given: dict[str, Any], name: str) -> float | None:
    """As `number`, but None if it is not given.  Raises InputError."""
    return None if given.get(name) is None else number(given, name)


def moment(seconds: float) -> str:
    """A moment as ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()
