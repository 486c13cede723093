"""``review/actions.toml``: what reviews have decided, carried from one to the next until it is done.

    [retry-budget]                        # its key: short, unique, how people call it
    what = "Give the checkout's retries a budget of their own"
    owner = "payments"                    # a team
    due = 2026-11-15                      # a date
    decided = "2026-10"                   # the month whose review decided it
    system = "checkout"                   # optional: what it is about
    slo = "api-availability"              # optional, with system
    done = 2026-11-12                     # once it is

What is not done is overdue once its day is over.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ..errors import InputError, nearest
from .pack import ActionItem

_KEYS = ("what", "owner", "due", "decided", "system", "slo", "done")
_NEEDED = ("what", "owner", "due", "decided")
_DATES = ("due", "done")
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_TWICE = re.compile(r"Cannot (?:declare|mutate immutable namespace) \('(?P<key>[^']*)'.*\(at line (?P<line>[0-9]+)")


def read_actions(path: Path, shown: str | None = None) -> tuple[ActionItem, ...]:
    """Everything in the file, in its order, none overdue yet; nothing where there is no file.

    ``shown`` is its name in messages.  Raises InputError: ``file: key: …``.
    """
    name = shown or path.name
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InputError(f"{name}: cannot be read: {reason}") from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        if twice := _TWICE.match(str(error)):
            raise InputError(
                f"{name}: {twice['key']}: is there twice, again in line {twice['line']}; give each action a key of its own"
            ) from None
        raise InputError(f"{name}: not TOML: {error}; mend the file") from None
    except RecursionError:
        raise InputError(f"{name}: not TOML: nested too deep; mend the file") from None
    return tuple(_item(name, key, table) for key, table in tables.items())


def due_in(
    items: tuple[ActionItem, ...], month: str, start: datetime, until: datetime, zone: ZoneInfo
) -> tuple[ActionItem, ...]:
    """The items that the review of ``month`` looks at: not done, or done since it began; those decided later are not.

    Overdue ones first, then by date.
    """
    begun, today = start.astimezone(zone).date(), until.astimezone(zone).date()
    found = [
        replace(one, overdue=one.done is None and one.due < today)
        for one in items
        if one.decided <= month and (one.done is None or one.done >= begun)
    ]
    return tuple(sorted(found, key=lambda one: (one.done is not None, not one.overdue, one.due, one.key)))


def _item(name: str, key: str, table: Any) -> ActionItem:
    where = f"{name}: {key}"
    if not isinstance(table, dict):
        raise InputError(
            f"{where}: must stand in a table of its own: write [{key}] and below it what, owner, due, decided"
        )
    for field in table:
        if field not in _KEYS:
            raise InputError(f"{where}: unknown key {field!r}; {nearest(field, _KEYS)}")
    for field in _NEEDED:
        if field not in table:
            raise InputError(f"{where}: {field} is missing; every action has what, owner, due and decided")
    for field, value in table.items():
        if field in _DATES:
            if not isinstance(value, date) or isinstance(value, datetime):
                raise InputError(
                    f"{where}: {field} must be a date such as 2026-11-15, without quotes, got {_shown(value)}"
                )
        elif not isinstance(value, str) or not value.strip():
            raise InputError(f"{where}: {field} must be text, got {_shown(value)}")
    if not _MONTH.fullmatch(table["decided"]):
        raise InputError(
            f'{where}: decided must be the month of a review such as "2026-10", got {_shown(table["decided"])}'
        )
    if "slo" in table and "system" not in table:
        raise InputError(f"{where}: slo needs system beside it")
    return ActionItem(
        key=key,
        what=" ".join(table["what"].split()),
        owner=table["owner"],
        due=table["due"],
        decided=table["decided"],
        system=table.get("system"),
        slo=table.get("slo"),
        done=table.get("done"),
    )


def _shown(value: Any) -> str:
    """A value as it would stand in the file."""
    return value.isoformat() if isinstance(value, date) else repr(value)
