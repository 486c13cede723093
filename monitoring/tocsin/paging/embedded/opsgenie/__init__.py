"""Opsgenie's API as the embedded on-call speaks it, as far as Tocsin and the official SDK use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..routing_table import Route
from . import alerts, heartbeats, integrations, routing_rules, schedules, teams

if TYPE_CHECKING:
    from ..oncall import EmbeddedOnCall

__all__ = ["routes"]


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """Everything of Opsgenie but the address that CloudWatch posts to."""
    subjects = (alerts, heartbeats, integrations, schedules, teams, routing_rules)
    return tuple(route for subject in subjects for route in subject.routes(oncall))
