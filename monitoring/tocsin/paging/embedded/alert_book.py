"""The alerts of the embedded on-call server: folded by alias while open, as all on-call tools do."""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..tool import ToolAlert, owner_of

_LONGEST = 15_000  # characters of a description, https://docs.opsgenie.com/docs/alert-api


@dataclass
class Note:
    """Something written to an alert, or something that happened to it."""

    text: str
    by: str
    at: datetime
    kind: str = "user"


@dataclass
class AlertRecord:
    """One alert.  ``notified`` are the users told at once; ``escalates_to`` those told later, with the minutes."""

    id: str
    tiny_id: str
    alias: str
    message: str
    created_at: datetime
    description: str = ""
    priority: str = "P3"
    tags: list[str] = field(default_factory=list)
    details: dict[str, str] = field(default_factory=dict)
    entity: str = ""
    source: str = ""
    actions: list[str] = field(default_factory=list)
    responders: list[dict[str, Any]] = field(default_factory=list)
    integration: dict[str, str] = field(default_factory=dict)
    open: bool = True
    acknowledged: bool = False
    acknowledged_by: str = ""
    count: int = 1
    last_occurred_at: datetime | None = None
    updated_at: datetime | None = None
    acknowledged_at: datetime | None = None
    closed_at: datetime | None = None
    closed_by: str = ""
    notes: list[Note] = field(default_factory=list)
    log: list[Note] = field(default_factory=list)
    notified: tuple[str, ...] = ()
    escalates_to: tuple[tuple[int, tuple[str, ...]], ...] = ()

    @property
    def status(self) -> str:
        """``open`` or ``closed``."""
        return "open" if self.open else "closed"

    @property
    def owner(self) -> str:
        """The owner of the alarm, by the alert's details or else by the description that the alarm carries."""
        return owner_of(self.details, self.description)

    @property
    def runbook(self) -> str:
        """The address of the runbook, by the details or else by the description; empty if neither says."""
        for name, value in self.details.items():
            if name.lower() in ("runbook", "runbook_url"):
                return value
        found = re.search(r"\bRunbook: (\S+)", self.description)
        return found[1] if found else ""

    def as_tool_alert(self) -> ToolAlert:
        """The alert as every adapter tells it."""
        return ToolAlert(
            id=self.id,
            alias=self.alias,
            open=self.open,
            acknowledged=self.acknowledged,
            message=self.message,
            description=self.description,
            priority=self.priority,
            tags=tuple(self.tags),
            details=dict(self.details),
            created_at=self.created_at,
            closed_at=self.closed_at,
            count=self.count,
        )


class AlertBook:
    """All alerts, in the order in which they were raised.  Not safe by itself: hold the state's lock."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._numbers = itertools.count(1)
        self._by_id: dict[str, AlertRecord] = {}
        self._open: dict[str, AlertRecord] = {}
        self._newest: dict[str, AlertRecord] = {}

    def __iter__(self) -> Iterator[AlertRecord]:
        return iter(tuple(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def raise_alert(
        self,
        alias: str,
        message: str,
        *,
        description: str = "",
        priority: str = "P3",
        tags: Iterable[str] = (),
        details: Mapping[str, str] | None = None,
        entity: str = "",
        source: str = "",
        actions: Iterable[str] = (),
        responders: Iterable[dict[str, Any]] = (),
        integration: Mapping[str, str] | None = None,
        by: str = "",
    ) -> tuple[AlertRecord, bool]:
        """A new alert, or one more count of the open one of that alias, and whether it is new.

        A repetition changes nothing else.  An empty alias is the alert's own id.
        """
        now = self._now()
        if alias and (record := self._open.get(alias)):
            record.count += 1
            record.last_occurred_at = record.updated_at = now
            record.log.append(Note(f"Raised again, {record.count} times now", by, now, "system"))
            return record, False
        identifier = f"{uuid.uuid4()}-{int(now.timestamp() * 1000)}"
        record = AlertRecord(
            id=identifier,
            tiny_id=str(next(self._numbers)),
            alias=alias or identifier,
            message=message,
            created_at=now,
            description=description[:_LONGEST],
            priority=priority,
            tags=list(dict.fromkeys(tags)),
            details=dict(details or {}),
            entity=entity,
            source=source,
            actions=list(actions),
            responders=list(responders),
            integration=dict(integration or {}),
            last_occurred_at=now,
            updated_at=now,
        )
        record.log.append(Note("Alert created", by, now, "system"))
        self._by_id[identifier] = self._open[record.alias] = self._newest[record.alias] = record
        return record, True

    def find(self, identifier: str, kind: str = "id") -> AlertRecord | None:
        """The alert of that ``id``, ``tiny`` id or ``alias``: of an alias the open one, or else the newest."""
        if kind == "alias":
            return self._open.get(identifier) or self._newest.get(identifier)
        if kind == "tiny":
            return next((record for record in self._by_id.values() if record.tiny_id == identifier), None)
        return self._by_id.get(identifier)

    def open_alert(self, alias: str) -> AlertRecord | None:
        """The open alert of that alias."""
        return self._open.get(alias)

    def close(self, record: AlertRecord, by: str = "", note: str = "") -> bool:
        """Close an alert; whether it was open."""
        if not record.open:
            return False
        record.open, record.closed_at, record.closed_by = False, self._now(), by
        self._open.pop(record.alias, None)
        self._write(record, "Alert closed", by, note)
        return True

    def acknowledge(self, record: AlertRecord, by: str = "", note: str = "") -> bool:
        """Acknowledge an open alert, so that it escalates no further; whether that was new."""
        if not record.open or record.acknowledged:
            return False
        record.acknowledged, record.acknowledged_at, record.acknowledged_by = True, self._now(), by
        self._write(record, "Alert acknowledged", by, note)
        return True

    def unacknowledge(self, record: AlertRecord, by: str = "", note: str = "") -> bool:
        """Take an acknowledgement back; whether there was one."""
        if not record.open or not record.acknowledged:
            return False
        record.acknowledged, record.acknowledged_at, record.acknowledged_by = False, None, ""
        self._write(record, "Alert unacknowledged", by, note)
        return True

    def add_note(self, record: AlertRecord, text: str, by: str = "") -> None:
        """Write something to an alert."""
        self._write(record, "Note added", by, text)

    def add_tags(self, record: AlertRecord, tags: Iterable[str], by: str = "", note: str = "") -> None:
        """Add tags that are not there yet."""
        record.tags = list(dict.fromkeys([*record.tags, *tags]))
        self._write(record, "Tags added", by, note)

    def add_details(self, record: AlertRecord, details: Mapping[str, str], by: str = "", note: str = "") -> None:
        """Add or replace details."""
        record.details.update(details)
        self._write(record, "Details added", by, note)

    def delete(self, record: AlertRecord) -> None:
        """Forget an alert."""
        self._by_id.pop(record.id, None)
        for index in (self._open, self._newest):
            if index.get(record.alias) is record:
                del index[record.alias]

    def _write(self, record: AlertRecord, what: str, by: str, note: str) -> None:
        now = self._now()
        record.updated_at = now
        record.log.append(Note(what, by, now, "system"))
        if note:
            record.notes.append(Note(note, by, now))
