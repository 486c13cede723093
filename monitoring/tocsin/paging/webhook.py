"""A plain signed webhook, for every receiver that has no file of its own here.

There is nothing to configure: ``plan`` and ``apply`` have no steps, and there is no dead-man's switch.  Only the forwarder
posts to it, because a receiver of one's own is not asked to understand SNS.  A post is JSON:

    {"alias": "prod-shop-…", "state": "ALARM", "message": "…", "description": "…", "priority": "P1",
     "tags": ["…"], "details": {"runbook": "https://…", …}}

``state`` is ``ALARM`` to open the alert of that alias and anything else to close it.  The same alias is the same alert: a
receiver counts a second ``ALARM`` of an open one, and does nothing for the closing of one that is not open, since each post
may come more than once.  Any 2xx is a receipt; everything else is posted again.

Each request is signed with the shared key:

    X-Tocsin-Timestamp: 1763740800                   seconds since 1970, when it was signed
    X-Tocsin-Signature: sha256=<64 hexadecimal digits>

The digits are HMAC-SHA256, keyed with the key's UTF-8 bytes, of ``<timestamp>.<body>``: the timestamp as the header has it,
a full stop, and the bytes of the body exactly as they came.  Several signatures may stand side by side, separated by
commas, while a key is replaced; one that is right is enough.  A timestamp more than 300 seconds from the receiver's clock,
either way, is refused: so a request that somebody kept is of no use for longer than that.  `verify` is all of this for a
receiver in Python.

A receiver that is to take part in drills answers ``GET <address>?alias=…`` with the newest alert of that alias, open or
closed, or with 404; the body that is signed is then the query, ``alias=…``, as it stands in the address:

    {"id": "…", "alias": "…", "open": true, "acknowledged": false, "message": "…", "description": "…", "priority": "P1",
     "tags": [], "details": {}, "created_at": "2026-01-05T08:00:00Z", "closed_at": null, "count": 1}
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from ..errors import PagingError
from ..model import Severity
from .declared import OnCall, ToolName, Way
from .tool import Change, Delivery, Found, Thing, ToolAlert

if TYPE_CHECKING:  # the forwarder takes this file along, and not that one
    from .past_alerts import PastAlert, Span

TIMESTAMP_HEADER = "X-Tocsin-Timestamp"
SIGNATURE_HEADER = "X-Tocsin-Signature"
SCHEME = "sha256"
#: How far a request's timestamp may be from the receiver's clock.
REPLAY_WINDOW = timedelta(seconds=300)
#: What a stand-in on this machine is posted to, when its address names no path.
STAND_IN_PATH = "/webhook"
_SHORTEST_KEY = 16  # characters; shorter ones can be tried out


def sign(body: bytes, key: str, at: datetime) -> dict[str, str]:
    """The two headers of a request."""
    timestamp = str(int(at.timestamp()))
    return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: f"{SCHEME}={_signature(body, key, timestamp)}"}


def verify(body: bytes, headers: Mapping[str, str], key: str, now: datetime) -> None:
    """Accept a request that the holder of the key signed within the last 300 seconds.

    Header names in any case; ``now`` is aware.  Raises PagingError that says what is wrong, never what would be right.
    """
    given = {name.lower(): value for name, value in headers.items()}
    timestamp = given.get(TIMESTAMP_HEADER.lower(), "")
    signatures = given.get(SIGNATURE_HEADER.lower(), "")
    if not timestamp or not signatures:
        raise PagingError(f"webhook: the header {TIMESTAMP_HEADER if not timestamp else SIGNATURE_HEADER} is missing")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise PagingError(f"webhook: {TIMESTAMP_HEADER} is not a number of seconds")
    if abs(int(timestamp) - now.timestamp()) > REPLAY_WINDOW.total_seconds():
        raise PagingError(
            f"webhook: {TIMESTAMP_HEADER} is more than {REPLAY_WINDOW.seconds} s from this clock:"
            " an old request sent again, or a clock that goes wrong"
        )
    right = _signature(body, key, timestamp).encode()
    parts = (one.strip().partition("=") for one in signatures.split(","))
    # All are compared, in constant time each: how long it takes says nothing about what would be right.
    matches = [hmac.compare_digest(right, value.encode()) for scheme, _, value in parts if scheme == SCHEME]
    if not any(matches):
        raise PagingError(f"webhook: no signature in {SIGNATURE_HEADER} is the key's")


def _signature(body: bytes, key: str, timestamp: str) -> str:
    return hmac.new(key.encode(), f"{timestamp}.".encode() + body, sha256).hexdigest()


class Webhook:
    """A receiver of one's own.

    ``drills_wake_nobody`` is False: what the receiver does with a drill is its own affair.
    """

    name = ToolName.WEBHOOK.value
    drills_wake_nobody = False
    renews = renews_heartbeat = False
    tells_no_past = "a webhook's receiver keeps no list of alerts"

    def __init__(self, address: str, key: str, *, key_shown: str = "the key", clock: Callable[[], datetime]) -> None:
        from .rest import Rest

        parts = urlsplit(address)
        base, self._path = f"{parts.scheme}://{parts.netloc}", parts.path or "/"
        self._address, self._key, self._clock = address, key, clock
        self._key_shown = key_shown
        self._rest = Rest(base, {}, key_shown=key_shown, tool="the webhook", secrets=(key,))

    @classmethod
    def open(cls, declared: OnCall, key: str, url: str | None = None) -> Webhook:
        """The receiver that the file names.  Raises PagingError for an address that is missing or not HTTPS."""
        address = url or declared.tool.url
        if not address:
            raise PagingError(f"{declared.path}: tool.url: missing; it is the address that the forwarder posts to")
        if urlsplit(address).path in ("", "/"):
            address = address.rstrip("/") + STAND_IN_PATH
        return cls(address, key, key_shown=declared.tool.key.shown, clock=lambda: datetime.now(UTC))

    def check(self, declared: OnCall, environment: str) -> None:
        """Refuse a weak key, and a way by which SNS would post to the receiver itself."""
        del environment
        if len(self._key) < _SHORTEST_KEY:
            raise PagingError(
                f"webhook: {self._key_shown} is shorter than {_SHORTEST_KEY} characters; make a longer one"
            )
        for team in declared.teams:
            for severity, route in team.routes.items():
                if Way.TOOL in route.ways:
                    raise PagingError(
                        f"{declared.path}: teams.{team.name}: {severity.value}s go by the way 'tool', but a webhook"
                        " understands no SNS; write 'forwarder'"
                    )

    def wanted(self, declared: OnCall, environment: str) -> tuple[Thing, ...]:
        """Nothing: a receiver is configured by whoever runs it."""
        del declared, environment
        return ()

    def present(self, declared: OnCall, environment: str) -> tuple[Found, ...]:
        """Nothing that could be asked for."""
        del declared, environment
        return ()

    def apply(self, change: Change, declared: OnCall, environment: str) -> None:
        """There are no steps.  Raises PagingError."""
        del declared, environment
        raise PagingError(
            f"webhook: there is no {change.kind.value} to change; the receiver is configured where it runs"
        )

    def delivery(self, declared: OnCall, environment: str, owner: str, severity: Severity) -> Delivery:
        """Where the forwarder posts to, and the key that it signs with."""
        del environment
        team = declared.team_of(owner)
        route = team.routes.get(severity) if team is not None else None
        if route is None or Way.FORWARDER not in route.ways:
            raise PagingError(f"{declared.path}: the {severity.value}s of {owner!r} do not go to the webhook")
        return Delivery(self._address, key=self._key)

    def delivered(self, declared: OnCall, environment: str, owner: str, severity: Severity) -> None:
        """Nothing: a receiver is switched on by whoever runs it."""

    def renew(self, declared: OnCall, environment: str, owner: str, severity: Severity) -> Delivery:
        """What is there: the key is the one that the file names."""
        return self.delivery(declared, environment, owner, severity)

    def heartbeat(self, declared: OnCall, environment: str) -> Delivery | None:
        """None: a receiver of one's own tells nobody that it hears nothing."""
        del declared, environment
        return None

    def heartbeat_delivered(self, declared: OnCall, environment: str) -> None:
        """Nothing: there is no heartbeat."""

    def renew_heartbeat(self, declared: OnCall, environment: str) -> Delivery | None:
        """None: there is no heartbeat."""
        return self.heartbeat(declared, environment)

    def hears_heartbeat(self, declared: OnCall, environment: str) -> bool | None:
        """None: there is no heartbeat."""
        del declared, environment
        return None

    def find_alert(self, alias: str) -> ToolAlert | None:
        """The newest alert of that alias.  Raises PagingError for a receiver that tells no alerts."""
        from .rest import RestError

        query = {"alias": alias}
        headers = sign(urlencode(query).encode(), self._key, self._clock())
        try:
            answer = self._rest.request("GET", self._path, query=query, headers=headers).value
        except RestError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            if error.status in (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED):
                raise PagingError(
                    "webhook: the receiver tells no alerts; let it answer GET ?alias=…, as paging/webhook.py says"
                ) from None
            raise
        return _alert(answer)

    def close_alert(self, alias: str, note: str) -> None:
        """Tell the receiver that the alert is over."""
        body = {"alias": alias, "state": "OK", "message": note}
        # The same bytes as Rest sends.
        headers = sign(json.dumps(body).encode(), self._key, self._clock())
        self._rest.request("POST", self._path, body, headers=headers, repeatable=True)

    def past_alerts(self, spans: Sequence[Span], aliases: Collection[str]) -> tuple[PastAlert, ...]:
        """A receiver tells the newest alert of an alias and no older one.  Raises PagingError."""
        del spans, aliases
        raise PagingError(f"{self.name}: {self.tells_no_past}")


def _alert(answer: Any) -> ToolAlert:
    try:
        closed = answer.get("closed_at")
        return ToolAlert(
            id=str(answer["id"]),
            alias=str(answer["alias"]),
            open=bool(answer["open"]),
            acknowledged=bool(answer.get("acknowledged", False)),
            message=str(answer["message"]),
            description=str(answer.get("description", "")),
            priority=str(answer.get("priority", "")),
            tags=tuple(answer.get("tags", ())),
            details={str(name): str(value) for name, value in answer.get("details", {}).items()},
            created_at=datetime.fromisoformat(answer["created_at"]).astimezone(UTC),
            closed_at=datetime.fromisoformat(closed).astimezone(UTC) if closed else None,
            count=int(answer.get("count", 1)),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PagingError(
            f"webhook: the receiver's answer is no alert, {type(error).__name__}: {error};"
            " paging/webhook.py says what one looks like"
        ) from None
