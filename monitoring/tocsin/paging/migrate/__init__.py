"""What an Opsgenie account has, what becomes of it in Jira Service Management, and what a person must do for that.

It reads, and never writes.  Opsgenie answers until 5 April 2027; an account that was moved is switched off 120 days
after its migration date (https://support.atlassian.com/opsgenie/docs/what-happens-when-opsgenie-is-turned-off).
What becomes of what: Atlassian's pages on teams, roles and features after migration, at the same place, and the two APIs.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...errors import PagingError
from ..declared import OnCall, ToolName
from ..oncall_tool import key_of_opsgenie
from ..opsgenie.reading import read_account
from ..rest import is_loopback
from .counterparts import people, the_rest, unread, what_comes_in, who_is_told
from .found import END_OF_OPSGENIE, Fate, Migration, Moved
from .tasks import tasks_of

if TYPE_CHECKING:
    from ..rest import Rest

__all__ = ["END_OF_OPSGENIE", "Fate", "Migration", "Moved", "open_migration", "plan_migration", "stand_in"]


def open_migration(declared: OnCall, key: str, today: date, url: str | None = None) -> Migration:
    """Read the account of that key, of `key_of_opsgenie`, and say what becomes of it.  Raises InputError and PagingError.

    ``declared`` names Opsgenie, or Jira already.  ``url`` stands in for Opsgenie.
    """
    from ..opsgenie import ADDRESSES
    from ..rest import Rest

    tool = declared.tool
    _, source = key_of_opsgenie(declared)
    if not url and tool.region not in ADDRESSES:
        raise PagingError(f"{declared.path}: tool.region: {tool.region!r}: Opsgenie has us and eu")
    where = url or ADDRESSES[tool.region]
    rest = Rest(where, {"Authorization": f"GenieKey {key}"}, key_shown=source.shown, tool="Opsgenie", secrets=(key,))
    return plan_migration(rest, declared, today, f"from {where}, with the key of {source.shown}")


def stand_in(declared: OnCall) -> str | None:
    """What stands in for Opsgenie.  What stands in for Jira does so too where it is on this machine; anywhere else,
    Opsgenie's key does not belong there."""
    tool = declared.tool
    ours = tool.name is ToolName.OPSGENIE or is_loopback(urlsplit(tool.url).hostname or "")
    return tool.url or None if ours else None


def plan_migration(rest: Rest, declared: OnCall, today: date, read: str) -> Migration:
    """Read the account behind ``rest``, with GET alone, and say what becomes of it."""
    account = read_account(rest)
    items = [
        *unread(account),
        *people(account, declared),
        *who_is_told(account, declared),
        *what_comes_in(account, declared),
        *the_rest(account),
    ]
    order = list(Fate)
    items.sort(key=lambda one: (order.index(one.fate), one.kind, one.name))
    return Migration(account.name, read, tuple(items), tasks_of(items, declared), (END_OF_OPSGENIE - today).days)
