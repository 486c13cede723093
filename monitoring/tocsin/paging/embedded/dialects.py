"""All routes of the server: each tool's dialect, CloudWatch's address, and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import cloudwatch, jira, opsgenie, page, pagerduty, webhook
from .routing_table import RoutingTable, joined

if TYPE_CHECKING:
    from .oncall import EmbeddedOnCall


def all_routes(oncall: EmbeddedOnCall) -> RoutingTable:
    """Each dialect's routes for one server."""
    dialects = (opsgenie, cloudwatch, page, jira, pagerduty, webhook)
    return joined(*(dialect.routes(oncall) for dialect in dialects))
