"""What a look at an Opsgenie account finds: each thing with what becomes of it, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

END_OF_OPSGENIE = date(2027, 4, 5)


class Fate(StrEnum):
    """What becomes of a thing, in the order in which it is told."""

    APPLIED = "moves by `tocsin oncall apply`"  # it is Tocsin's, from deploy/oncall.toml
    MOVES = "moves"  # a person, or Atlassian's own migration, makes its counterpart
    BY_HAND = "is to be made anew by hand"
    NONE = "has no counterpart"
    UNKNOWN = "could not be read"


@dataclass(frozen=True, slots=True)
class Moved:
    """One thing of the account.  ``becomes`` is its counterpart, empty for none; ``why`` what must be known of it."""

    kind: str
    name: str
    fate: Fate
    becomes: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Migration:
    """Everything that is there, by kind, and what a person does, in order.

    ``read`` says in words which account was read, and with which key: its source, never the key.
    """

    account: str
    read: str
    items: tuple[Moved, ...]
    tasks: tuple[str, ...]
    days_left: int

    def lines(self) -> tuple[str, ...]:
        """For people: what becomes of what, then the steps."""
        left = f"{self.days_left} days are left" if self.days_left > 0 else "it has ended"
        found = [
            f"Opsgenie account {self.account}: support ends on {END_OF_OPSGENIE.isoformat()}, {left}.",
            f"Read {self.read}.",
        ]
        for fate in Fate:
            same = [item for item in self.items if item.fate is fate]
            if same:
                found += ["", f"{_begin(fate.value)} ({len(same)}):"]
                found += [f"  {item.kind} {item.name}{_arrow(item)}{_because(item)}" for item in same]
        found += ["", "What a person does, in this order:"]
        found += [f"  {number}. {task}" for number, task in enumerate(self.tasks, 1)]
        return tuple(found)

    def as_json(self) -> dict[str, Any]:
        """For programs: the same."""
        return {
            "account": self.account,
            "read": self.read,
            "endsOn": END_OF_OPSGENIE.isoformat(),
            "daysLeft": self.days_left,
            "items": [
                {"kind": one.kind, "name": one.name, "fate": one.fate.name.lower().replace("_", "-")}
                | {"becomes": one.becomes, "why": one.why}
                for one in self.items
            ],
            "tasks": list(self.tasks),
        }


def _begin(text: str) -> str:
    return text[:1].upper() + text[1:]


def _arrow(item: Moved) -> str:
    return f" → {item.becomes}" if item.becomes else ""


def _because(item: Moved) -> str:
    return f" ({item.why})" if item.why else ""
