"""What can go wrong with a load: the file is at fault (Rejected), the time is short (OutOfTime), or anything else, which is tried again."""

from __future__ import annotations


class RejectedError(Exception):
    """The file breaks its contract as a whole; the message is the reason, for the ledger and for whoever sent it."""


class OutOfTimeError(Exception):
    """The load would not be done before the time of the function or task is over; nothing of it was kept."""


class DeploymentError(Exception):
    """The database and this code do not fit together; trying again helps once the migrations have run."""


class EventError(Exception):
    """An event that tells of no file."""
