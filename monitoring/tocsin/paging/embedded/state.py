"""What the embedded on-call server holds: users, teams, schedules and all else by kind, and the alerts."""

from __future__ import annotations

import secrets
import threading
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from .alert_book import AlertBook


class Table:
    """Things of one kind by id, in the order in which they were made; each is JSON data with ``id``.

    ``complete`` makes a whole thing of what is to be kept, whoever brings it; it raises ValueError for what cannot be one.
    """

    def __init__(self, complete: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda thing: thing) -> None:
        self._things: dict[str, dict[str, Any]] = {}
        self._complete = complete

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(tuple(self._things.values()))

    def __len__(self) -> int:
        return len(self._things)

    def add(self, thing: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a thing; it gets an id if it has none.  What is kept is returned.  Raises ValueError for half of one."""
        kept = {"id": str(uuid.uuid4()), **self._complete(thing)}
        self._things[kept["id"]] = kept
        return kept

    def get(self, identifier: str) -> dict[str, Any] | None:
        """The thing of that id."""
        return self._things.get(identifier)

    def named(self, name: str, key: str = "name") -> dict[str, Any] | None:
        """The first thing whose ``key`` is ``name``."""
        return next((thing for thing in self._things.values() if thing.get(key) == name), None)

    def remove(self, identifier: str) -> None:
        """Forget a thing, if it is there."""
        self._things.pop(identifier, None)


class State:
    """Everything, behind one lock.

    ``users`` (``username``, ``fullName``, ``role``), ``teams``, ``schedules``, ``escalations``, ``routing_rules``,
    ``integrations`` and ``heartbeats`` are Opsgenie's; a dialect keeps what is its own alone in a `table` of another
    name.  Hold ``lock`` while reading or changing; a route's handler runs with it held.  ``clock`` tells the present:
    that of AWS, where that one runs otherwise than ours.  ``key`` is of an integration that may do everything;
    ``account_key`` may configure and read, but not raise or close alerts, as those of Opsgenie's key management
    (https://support.atlassian.com/opsgenie/docs/api-key-management/).
    """

    def __init__(self, users: Collection[str] = ()) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.key = new_key()
        self.account_key = new_key()
        self.alerts = AlertBook(self._now)
        self._tables: dict[str, Table] = {"heartbeats": Table(whole_heartbeat)}
        for user in users:
            self.add_user(user)

    def _now(self) -> datetime:
        return self.clock()

    def table(self, name: str) -> Table:
        """The table of that name; it is made when first asked for."""
        with self.lock:
            return self._tables.setdefault(name, Table())

    @property
    def users(self) -> Table:
        """People, by ``username``: their e-mail address."""
        return self.table("users")

    @property
    def teams(self) -> Table:
        """Teams."""
        return self.table("teams")

    @property
    def schedules(self) -> Table:
        """Schedules with their rotations."""
        return self.table("schedules")

    @property
    def escalations(self) -> Table:
        """Escalations."""
        return self.table("escalations")

    @property
    def routing_rules(self) -> Table:
        """Routing rules of all teams; ``teamId`` says whose."""
        return self.table("routing rules")

    @property
    def integrations(self) -> Table:
        """Integrations; ``apiKey`` is what each is addressed by."""
        return self.table("integrations")

    @property
    def heartbeats(self) -> Table:
        """Heartbeats."""
        return self.table("heartbeats")

    def add_user(self, username: str, full_name: str = "", role: str = "User") -> dict[str, Any]:
        """A person whom the tool knows."""
        with self.lock:
            name = full_name or username.partition("@")[0]
            return self.users.add({"username": username, "fullName": name, "role": {"id": role, "name": role}})


def whole_heartbeat(thing: Mapping[str, Any]) -> dict[str, Any]:
    """A heartbeat with all that the clock needs to know of it; ``pinged`` is None before its first ping.

    Raises ValueError for one that says neither how it is called nor how long it may be silent.
    """
    name, unit, interval = thing.get("name"), thing.get("intervalUnit"), thing.get("interval")
    if not isinstance(name, str) or not name:
        raise ValueError("a heartbeat has a name")
    if unit not in ("minutes", "hours", "days") or not isinstance(interval, int) or interval < 1:
        raise ValueError(f"heartbeat {name}: an interval of whole minutes, hours or days")
    pinged = thing.get("pinged")
    if pinged is not None and not (isinstance(pinged, datetime) and pinged.tzinfo):
        raise ValueError(f"heartbeat {name}: pinged at a moment with a time zone")
    return {
        "description": "",
        "alertMessage": f"{name} is expired",
        "alertTags": [],
        "alertPriority": "P3",
        "enabled": True,
        **thing,
        "expired": bool(thing.get("expired")),
        "pinged": pinged,
    }


def new_key() -> str:
    """A key of the form that Opsgenie gives out, a UUID; never the same."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
