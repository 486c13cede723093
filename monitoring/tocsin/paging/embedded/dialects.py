"""All routes of the server: Opsgenie's, CloudWatch's, the page, and the dialects of other tools as far as they are there."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from . import (
    cloudwatch,
    opsgenie_alerts,
    opsgenie_heartbeats,
    opsgenie_integrations,
    opsgenie_schedules,
    opsgenie_teams,
    page,
)
from .routing_table import RoutingTable, joined

if TYPE_CHECKING:
    from .oncall import EmbeddedOnCall

_OWN = (
    opsgenie_alerts,
    opsgenie_heartbeats,
    opsgenie_integrations,
    opsgenie_schedules,
    opsgenie_teams,
    cloudwatch,
    page,
)
_OTHERS = ("jira", "pagerduty", "webhook")


def all_routes(oncall: EmbeddedOnCall) -> RoutingTable:
    """Each dialect's routes for one server."""
    package = __name__.rpartition(".")[0]
    others = [import_module(f"{package}.{name}") for name in _OTHERS if find_spec(f"{package}.{name}")]
    return joined(*(module.routes(oncall) for module in _OWN), *(module.routes(oncall) for module in others))
