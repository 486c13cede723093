"""What all of Opsgenie's answers have in common: who may ask, the frame around data, and errors.

Codes and texts: https://docs.opsgenie.com/docs/response and https://docs.opsgenie.com/docs/authentication.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from ..routing_table import Handler, Refused, Request, Response
from ..shapes import Check
from ..state import State, Table

if TYPE_CHECKING:
    from ..oncall import EmbeddedOnCall


class Access(Enum):
    """What a key must be good for."""

    READ = auto()  # alerts and configuration
    ALERTS = auto()  # raise, acknowledge, close, write notes
    CONFIGURE = auto()
    PING = auto()


@dataclass(frozen=True)
class Call:
    """A request whose key is good.  ``integration`` is the one the key belongs to; None for the account's keys."""

    oncall: EmbeddedOnCall
    request: Request
    request_id: str
    integration: dict[str, Any] | None

    @property
    def state(self) -> State:
        """What the server holds."""
        return self.oncall.state

    def body(self, check: Check) -> dict[str, Any]:
        """The checked JSON body, without what is null.  Raises Refused with 400 (no JSON) or 422 (not as it should be)."""
        try:
            body = self.request.json()
        except (ValueError, RecursionError):
            raise self.refuse(400, "Request body is not valid JSON.") from None
        body = {} if body is None else body
        if errors := check(body):
            raise self.unprocessable({path or "body": why for path, why in errors.items()})
        return {name: value for name, value in body.items() if value is not None}

    def answer(
        self, status: int, data: Any = None, *, result: str = "", more: Mapping[str, Any] | None = None
    ) -> Response:
        """An answer in Opsgenie's frame."""
        body: dict[str, Any] = {}
        if result:
            body["result"] = result
        if data is not None:
            body["data"] = data
        return self._framed(status, {**body, **(more or {})})

    def refuse(self, status: int, message: str, *, code: int | None = None) -> Refused:
        """An error answer, to be raised."""
        return Refused(self._framed(status, {"message": message, **({"code": code} if code else {})}))

    def unprocessable(self, errors: Mapping[str, str]) -> Refused:
        """422, with what is wrong by field."""
        message = "Request body is not processable. Please check the errors."
        return Refused(self._framed(422, {"message": message, "errors": dict(errors)}))

    def found(self, table: Table, kind: str, identifier: str, by: str) -> dict[str, Any]:
        """The thing of that ``id`` or other key.  Raises Refused with 404."""
        thing = table.get(identifier) if by == "id" else table.named(identifier, by)
        if thing is None:
            raise self.refuse(404, f"No {kind} exists with {by} [{identifier}]")
        return thing

    def referred(self, table: Table, kind: str, reference: Mapping[str, Any], key: str = "name") -> dict[str, Any]:
        """The thing that a body refers to by id or name.  Raises Refused with 422."""
        by = "id" if reference.get("id") else key
        value = reference.get(by)
        if not value:
            raise self.unprocessable({kind: f"id or {key} of {kind} must be given"})
        thing = table.get(value) if by == "id" else table.named(value, key)
        if thing is None:
            raise self.refuse(422, f"No {kind} exists with {by} [{value}]")
        return thing

    def query_word(self, name: str, words: tuple[str, ...]) -> str:
        """A query parameter that is one of these words, the first by default.  Raises Refused with 422."""
        value = self.request.query.get(name, words[0])
        if value not in words:
            raise self.unprocessable({name: f"must be one of [{', '.join(words)}]"})
        return value

    def query_number(self, name: str, default: int, least: int, most: int) -> int:
        """A query parameter that is a number.  Raises Refused with 422."""
        value = self.request.query.get(name, str(default))
        if not value.isdecimal() or not least <= int(value[:12]) <= most:
            raise self.unprocessable({name: f"must be a number between {least} and {most}"})
        return int(value)

    def _framed(self, status: int, body: Mapping[str, Any]) -> Response:
        headers = {"X-Request-ID": self.request_id, "X-Response-Time": "0.001", "X-RateLimit-State": "OK"}
        return Response(status, {**body, "took": 0.001, "requestId": self.request_id}, headers)


Answerer = Callable[[Call], Response]


def guarded(oncall: EmbeddedOnCall, access: Access, answerer: Answerer) -> Handler:
    """A handler that answers only those whose key is good for it."""

    def handle(request: Request) -> Response:
        nobody = Call(oncall, request, str(uuid.uuid4()), None)
        return answerer(Call(oncall, request, nobody.request_id, _integration_of(nobody, access)))

    return handle


def key_of(request: Request) -> str:
    """The key that a request shows, in its header or in its query."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme == "GenieKey" else request.query.get("apiKey", "")


def _integration_of(call: Call, access: Access) -> dict[str, Any] | None:
    state, key = call.state, key_of(call.request)
    if not key:
        raise call.refuse(401, "API Key is missing")
    if key == state.key:
        return None
    forbidden = call.refuse(403, "You are not authorized to access this resource", code=40301)
    if key == state.account_key:
        if access is Access.ALERTS:
            raise forbidden
        return None
    integration = state.integrations.named(key, "apiKey")
    if integration is None or not integration["enabled"]:
        raise call.refuse(401, "Could not authenticate")
    may = {
        Access.READ: True,
        Access.PING: True,
        Access.ALERTS: integration.get("allowWriteAccess", True),
        Access.CONFIGURE: integration.get("allowConfigurationAccess", False)
        and integration.get("allowWriteAccess", True),
    }
    if integration["type"] != "API" or not may[access]:
        raise forbidden
    return integration


def moment(when: Any) -> str:
    """``2026-11-21T08:00:00.123Z``."""
    return str(when.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
