"""Jira's alerts as they are told here: the newest of an alias, and those of a span."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...errors import PagingError
from ..past_alerts import PAGE, PastAlert, Span, list_opened
from ..tool import ToolAlert
from .steps import quoted

if TYPE_CHECKING:
    from ..rest import Rest


def past_alerts(ops: Rest, spans: Sequence[Span], aliases: Collection[str]) -> Iterator[PastAlert]:
    """The alerts of these aliases that were opened in the spans.  Raises PagingError."""

    def page(query: str, offset: int) -> tuple[Sequence[Mapping[str, Any]], bool]:
        asked = {"query": query, "sort": "createdAt", "order": "asc", "size": str(PAGE), "offset": str(offset)}
        answer = ops.get("/v1/alerts", query=asked)
        rows = answer.get("values") if isinstance(answer, dict) else None
        if not isinstance(rows, list) or not all(
            isinstance(one, dict) and one.get("id") and one.get("createdAt") for one in rows
        ):
            raise PagingError("Jira: GET /v1/alerts: answers no list of alerts: is this Jira's address?")
        return rows, bool((answer.get("links") or {}).get("next"))

    for row in list_opened(page, lambda one: (str(one["id"]), moment(one.get("createdAt"))), spans):
        if row.get("alias") in aliases:
            whole = ops.get(f"/v1/alerts/{quoted(str(row['id']))}")
            alert = tool_alert({**row, **whole})
            taken = whole.get("ackTime") or row.get("ackTime")
            yield PastAlert(
                alert.alias, alert.created_at, moment(taken) if taken else None, alert.closed_at, alert.description
            )


def moment(value: Any) -> datetime:
    """A moment as ISO 8601 or in milliseconds; the beginning of time for none."""
    try:
        if isinstance(value, int | float) or re.fullmatch(r"\d{11,}", str(value)):
            return datetime.fromtimestamp(int(value) / 1000, UTC)
        return datetime.fromisoformat(str(value)).astimezone(UTC)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)


def tool_alert(one: Mapping[str, Any]) -> ToolAlert:
    """What Jira tells of one alert."""
    closed = one.get("status") == "closed"
    return ToolAlert(
        id=str(one["id"]),
        alias=str(one.get("alias") or ""),
        open=not closed,
        acknowledged=bool(one.get("acknowledged")),
        message=str(one.get("message") or ""),
        description=str(one.get("description") or ""),
        priority=str(one.get("priority") or ""),
        tags=tuple(one.get("tags") or ()),
        details={key: str(value) for key, value in (one.get("extraProperties") or one.get("details") or {}).items()},
        created_at=moment(one.get("createdAt")),
        closed_at=moment(one.get("closeTime") or one.get("updatedAt")) if closed else None,
        count=int(one.get("count") or 1),
    )
