"""Jira Service Management operations as the embedded on-call speaks it: ``/jsm/…``, and people under ``/ex/jira/…``.

The site's cloud id may be any; the token is the embedded key.  What is configured here is what Opsgenie's dialect shows,
too.  Teams are made by `add_team`, as a person makes them: the API only lists those with operations switched on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import cloudwatch
from ..opsgenie import alerts as opsgenie_alerts
from ..routing_table import Route
from . import alerts, configuration, heartbeats, integrations, people
from .answers import renamed
from .people import add_team

if TYPE_CHECKING:
    from ..oncall import EmbeddedOnCall

__all__ = ["INTEGRATION", "add_team", "routes"]

INTEGRATION = "/jsm/ops/integration"


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """The operations API, people, and the integration API, whose paths are Opsgenie's below another root."""
    return (
        *people.routes(oncall),
        *configuration.routes(oncall),
        *integrations.routes(oncall),
        *heartbeats.routes(oncall),
        *alerts.routes(oncall),
        *renamed([one for one in opsgenie_alerts.routes(oncall) if one.method == "POST"], INTEGRATION),
        *renamed(cloudwatch.routes(oncall), INTEGRATION),
    )
