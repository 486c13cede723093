"""The longest regular gap of a rate() or cron() expression."""

from __future__ import annotations

from datetime import timedelta


def longest_gap(expression: str) -> timedelta | None:
    """The longest time between two runs; None for an expression that is not understood or runs once."""
    raise NotImplementedError(expression)
