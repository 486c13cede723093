"""The API gives nobody another user's notifications."""

from __future__ import annotations

from deploy.validate.check import Check, CheckFailedError
from deploy.validate.reader import reader
from deploy.validate.target import Target


def run(target: Target) -> str:
    """Ask as one user for his own, which is answered, and for another's, which is not."""
    who = reader(target)
    own = who.reads(who.user)
    if own.status != 200:
        raise CheckFailedError(
            f"a user who reads his own gets {own.status} {own.message}, so a refusal would show nothing"
        )
    other = who.reads(f"{who.user}-neighbour")
    if other.status != 403:
        raise CheckFailedError(f"a user who asked for another's notifications got {other.status}, not 403")
    return "refused with 403; his own are answered"


CHECK = Check(
    name="other-user-refused",
    holds="the API refuses another user's data",
    mend="stop: users can see each other's notifications; put the release before this one back, then mend GetNotifications",
    run=run,
)
