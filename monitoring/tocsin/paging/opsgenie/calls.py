"""Alerts and heartbeats, as far as opsgenie-sdk covers them: its calls and types, carried by `Rest`.

The SDK's own transport knows no Retry-After, logs what it sends, and puts bodies and headers into its errors; its calls
take any transport.  Its types leave out a heartbeat's team and priority, so those are read and changed without it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from ...errors import PagingError
from ..past_alerts import PAGE, PastAlert, Span, list_opened
from ..rest import Rest, RestError
from ..tool import ToolAlert

_SOURCE = "tocsin"
#: Writes of alerts are carried out later (202); how often, and how long apart in seconds, the outcome is asked for.
_LOOKS, _SECONDS_BETWEEN_LOOKS = 20, 0.5


class OpsgenieCalls:
    """Alerts and heartbeats of one account.  All raise PagingError."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._made: Any = None

    def find_alert(self, alias: str) -> ToolAlert | None:
        """The newest alert of that alias, open or closed."""
        alerts = _sdk().AlertApi(self._client())
        try:
            return _alert(self._call(alerts.get_alert, identifier=alias, identifier_type="alias"))
        except RestError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
        # By its alias only an open alert is sure to be found; closed ones are searched for.
        quoted = alias.replace("\\", "\\\\").replace('"', '\\"')
        found = self._call(alerts.list_alerts, query=f'alias: "{quoted}"', sort="createdAt", order="desc", limit=20)
        newest = next((one for one in found.data or () if one.alias == alias), None)
        if newest is None:
            return None
        return _alert(self._call(alerts.get_alert, identifier=newest.id, identifier_type="id"))

    def close_alert(self, alias: str, note: str) -> None:
        """Close the open alert of that alias, if there is one."""
        alerts = _sdk().AlertApi(self._client(repeatable=True))
        body = _sdk().CloseAlertPayload(note=note, source=_SOURCE)
        try:
            taken = self._call(alerts.close_alert, identifier=alias, identifier_type="alias", close_alert_payload=body)
        except RestError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return
            raise
        self._wait_until_done(alerts, taken.request_id)

    def past_alerts(self, spans: Sequence[Span], aliases: Collection[str]) -> Iterator[PastAlert]:
        """The alerts of these aliases that were opened in the spans, oldest first."""
        alerts = _sdk().AlertApi(self._client())

        def page(query: str, offset: int) -> tuple[Sequence[Any], bool]:
            found = self._call(
                alerts.list_alerts, query=query, sort="createdAt", order="asc", limit=PAGE, offset=offset
            )
            rows = found.data or ()
            if any(one.id is None or one.created_at is None for one in rows):
                raise PagingError("Opsgenie: list_alerts: an alert has no id or no time: is this Opsgenie's address?")
            return rows, bool(found.paging and found.paging.next)

        for row in list_opened(page, lambda one: (one.id, one.created_at.astimezone(UTC)), spans):
            if row.alias in aliases:
                answer = self._call(alerts.get_alert, identifier=row.id, identifier_type="id")
                alert = _alert(answer)
                taken = answer.data.report.ack_time if answer.data.report else None
                if taken == 0 and not alert.acknowledged:
                    taken = None  # a number that says nothing
                yield PastAlert(
                    alert.alias,
                    alert.created_at,
                    None if taken is None else alert.created_at + timedelta(milliseconds=taken),
                    alert.closed_at,
                    alert.description,
                )

    def create_heartbeat(self, body: Mapping[str, Any]) -> None:
        """Make a heartbeat.  Raises RestError with 409 for a name that is taken."""
        payload = _sdk().CreateHeartbeatPayload(
            name=body["name"],
            description=body["description"],
            interval=body["interval"],
            interval_unit=body["intervalUnit"],
            enabled=body["enabled"],
            owner_team=_sdk().CreateHeartbeatPayloadAllOfOwnerTeam(name=body["ownerTeam"]["name"]),
            alert_message=body["alertMessage"],
            alert_tags=body["alertTags"],
            alert_priority=body["alertPriority"],
        )
        self._call(_sdk().HeartbeatApi(self._client()).create_heartbeat, payload)

    def delete_heartbeat(self, name: str) -> None:
        """Remove a heartbeat; one that is gone is no error."""
        try:
            self._call(_sdk().HeartbeatApi(self._client()).delete_heartbeat, name)
        except RestError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def _wait_until_done(self, alerts: Any, request_id: str) -> None:
        for look in range(_LOOKS):
            try:
                status = self._call(alerts.get_request_status, request_id=request_id).data
            except RestError as error:
                # Not yet carried out, or of no alert: both are "not found".
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
                status = None
            if status is not None and status.processed_at is not None:
                return
            if look + 1 < _LOOKS:
                self._rest.sleep(_SECONDS_BETWEEN_LOOKS)

    def _client(self, *, repeatable: bool | None = None) -> Any:
        if self._made is None:
            configuration = _sdk().Configuration()
            configuration.host = self._rest.base_url
            # `Rest` repeats what may be repeated.
            configuration.retry_enabled = False
            self._made = _sdk().ApiClient(configuration)
        self._made.rest_client = _Transport(self._rest, repeatable)
        return self._made

    def _call(self, call: Any, *values: Any, **named: Any) -> Any:
        """The call's answer.  What the SDK makes of an answer it does not understand is told in one line."""
        try:
            return call(*values, **named)
        except PagingError:
            raise
        except (
            _sdk().exceptions.OpenApiException,
            ValueError,
            TypeError,
            AttributeError,
            LookupError,
            RecursionError,
        ) as error:
            name = getattr(call, "__name__", "a call")
            raise PagingError(f"Opsgenie: {name}: the answer is not as described ({type(error).__name__})") from None


@dataclass
class _Answer:
    """What the SDK expects of its transport: text that it may replace."""

    status: int
    data: str
    reason: str = ""
    urllib3_response: None = None

    def getheaders(self) -> dict[str, str]:
        return {}

    def getheader(self, name: str, default: str | None = None) -> str | None:  # noqa: ARG002 (the SDK's)
        return default


@dataclass(frozen=True)
class _Transport:
    """Carries the SDK's requests; headers, and with them the key, are those of `Rest`."""

    rest: Rest
    repeatable: bool | None

    def GET(self, url: str, **request: Any) -> _Answer:  # noqa: N802 (the SDK's names)
        return self._send("GET", url, request)

    def POST(self, url: str, **request: Any) -> _Answer:  # noqa: N802
        return self._send("POST", url, request)

    def PATCH(self, url: str, **request: Any) -> _Answer:  # noqa: N802
        return self._send("PATCH", url, request)

    def DELETE(self, url: str, **request: Any) -> _Answer:  # noqa: N802
        return self._send("DELETE", url, request)

    def _send(self, method: str, url: str, request: Mapping[str, Any]) -> _Answer:
        path = url.removeprefix(self.rest.base_url)
        query: Sequence[tuple[str, Any]] = request.get("query_params") or ()
        answer = self.rest.request(
            method,
            urlsplit(path).path,
            request.get("body"),
            {name: str(value) for name, value in query},
            repeatable=self.repeatable,
        )
        return _Answer(answer.status, json.dumps(answer.value or {}))


def _sdk() -> Any:
    """The SDK; it knows no types.  Imported late: it is slow."""
    import opsgenie_sdk

    return opsgenie_sdk


def _alert(answer: Any) -> ToolAlert:
    alert = answer.data
    created = alert.created_at.astimezone(UTC)
    still_open = alert.status != "closed"
    closed = None
    if not still_open:
        # Milliseconds from creation to closing; where they are missing, the last change was the closing.
        spent = alert.report.close_time if alert.report else None
        updated = alert.updated_at or alert.created_at
        closed = updated.astimezone(UTC) if spent is None else created + timedelta(milliseconds=spent)
    return ToolAlert(
        id=alert.id,
        alias=alert.alias or "",
        open=still_open,
        acknowledged=bool(alert.acknowledged),
        message=alert.message or "",
        description=alert.description or "",
        priority=alert.priority or "",
        tags=tuple(alert.tags or ()),
        details=dict(alert.details or {}),
        created_at=_aware(created),
        closed_at=closed,
        count=alert.count or 1,
    )


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
