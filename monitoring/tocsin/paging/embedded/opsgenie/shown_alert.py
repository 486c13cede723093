"""An alert in the form in which Opsgenie's lists show it."""

from __future__ import annotations

from typing import Any

from ..alert_book import AlertRecord
from .answers import moment


def base_alert(record: AlertRecord) -> dict[str, Any]:
    """An alert as lists show it."""
    report: dict[str, Any] = {}
    if record.acknowledged_at:
        report["ackTime"] = _milliseconds(record, record.acknowledged_at)
        report["acknowledgedBy"] = record.acknowledged_by
    if record.closed_at:
        report["closeTime"] = _milliseconds(record, record.closed_at)
        report["closedBy"] = record.closed_by
    kinds = {"team": ("type", "id", "name")}
    return {
        "id": record.id,
        "tinyId": record.tiny_id,
        "alias": record.alias,
        "message": record.message,
        "status": record.status,
        "acknowledged": record.acknowledged,
        "isSeen": False,
        "tags": record.tags,
        "snoozed": False,
        "count": record.count,
        "lastOccurredAt": moment(record.last_occurred_at),
        "createdAt": moment(record.created_at),
        "updatedAt": moment(record.updated_at),
        "source": record.source,
        "owner": record.acknowledged_by,
        "priority": record.priority,
        "responders": [
            {name: one[name] for name in kinds.get(one["type"], ("type", "id")) if name in one}
            for one in record.responders
            if one.get("id")
        ],
        "integration": record.integration,
        "report": report,
    }


def _milliseconds(record: AlertRecord, at: Any) -> int:
    return int((at - record.created_at).total_seconds() * 1000)
