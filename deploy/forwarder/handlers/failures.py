"""How a delivery fails: worth another try later, for good, or because of the key."""

from __future__ import annotations


class DeliveryError(Exception):
    """Base of every failure of a delivery.  The text is for the log and never holds a key or an address with one."""


class TryLaterError(DeliveryError):
    """Another try may succeed; ``after`` is how many seconds the tool asked to be left alone."""

    def __init__(self, reason: str, after: float = 0) -> None:
        super().__init__(reason)
        self.after = after


class RefusedError(DeliveryError):
    """The tool will never take this, or nobody could: a person has to look."""


class KeyRefusedError(DeliveryError):
    """The tool does not take the key: a person has to put that right, and then what was kept is taken."""
