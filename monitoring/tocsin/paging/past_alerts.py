"""Past alerts of an on-call tool: what is told of each, and how all of a span are listed where lists come in pages.

Opsgenie and Jira operations share the search language and the limit of their lists: ``createdAt`` is searched for in
milliseconds since 1970 (https://docs.opsgenie.com/v1.0/docs/alerts-search-query-help), and the sum of offset and page may
not exceed 20,000 (https://docs.opsgenie.com/docs/alert-api#list-alerts, "List alerts" of the Jira operations API).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from ..errors import PagingError

Span = tuple[datetime, datetime]
_Row = TypeVar("_Row")

#: The largest page of both tools, and how far pages go.
PAGE, FURTHEST = 100, 20_000
#: So many spans in one query: a query is part of an address, which must not get too long.
_SPANS_AT_ONCE = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class PastAlert:
    """An alert as it is remembered.  Moments are aware, in UTC, to the millisecond.

    ``acknowledged`` and ``closed`` are None where that did not happen.  ``description`` tells a drill (drill_marks.py).
    """

    alias: str
    opened: datetime
    acknowledged: datetime | None
    closed: datetime | None
    description: str = ""


def list_opened(
    page: Callable[[str, int], tuple[Sequence[_Row], bool]],
    known_by: Callable[[_Row], tuple[str, datetime]],
    spans: Iterable[Span],
) -> list[_Row]:
    """Every row that was opened in one of the spans, whose ends are not part of them, oldest first.

    ``page`` is asked for a query and an offset, gives at most ``PAGE`` rows by the time they were opened, and whether more
    follow; ``known_by`` is a row's id and that time.  Raises PagingError where more alerts than a list can hold were opened
    in one millisecond.
    """
    found: dict[str, _Row] = {}
    ordered = sorted((start, end) for start, end in spans if start < end)
    for first in range(0, len(ordered), _SPANS_AT_ONCE):
        left: Sequence[Span] = ordered[first : first + _SPANS_AT_ONCE]
        while left:
            left = _list_some(page, known_by, left, found)
    return sorted(found.values(), key=lambda row: known_by(row)[1])


def _list_some(
    page: Callable[[str, int], tuple[Sequence[_Row], bool]],
    known_by: Callable[[_Row], tuple[str, datetime]],
    spans: Sequence[Span],
    found: dict[str, _Row],
) -> Sequence[Span]:
    """As far as the pages of one list go; what is left of the spans after that."""
    offset, newest, query = 0, spans[0][0], query_of(spans)
    while offset + PAGE <= FURTHEST:
        rows, more = page(query, offset)
        for row in rows:
            identifier, opened = known_by(row)
            if any(start <= opened < end for start, end in spans):
                found[identifier] = row
            newest = max(newest, opened)
        if not rows or not more:
            return ()
        offset += len(rows)
    left = [(max(start, newest), end) for start, end in spans if end > newest]
    if left == list(spans):
        raise PagingError(
            f"more than {FURTHEST:,} alerts were opened at {newest:%Y-%m-%d %H:%M:%S} UTC: more than is told"
        )
    return left


def query_of(spans: Iterable[Span]) -> str:
    """What searches for alerts that were opened in one of the spans."""
    parts = [f"createdAt >= {milliseconds(start)} AND createdAt < {milliseconds(end)}" for start, end in spans]
    return parts[0] if len(parts) == 1 else " OR ".join(f"({part})" for part in parts)


def milliseconds(moment: datetime) -> int:
    """Whole milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND
