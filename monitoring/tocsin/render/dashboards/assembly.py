"""Sections, variables and links → one finished dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grafanalib.core import Annotations, Dashboard, DashboardLink, Templating, Time, TimePicker

from ...units import format_number
from .layout import Section, place
from .links import marks
from .normaliser import normalise

_SHARED_CROSSHAIR = 1
# US dollars for 1,000 metrics requested with GetMetricData; there is no free tier for it (CloudWatch pricing).
_PRICE = 0.01
_REFRESHES_AN_HOUR = 60


def assemble(
    *,
    uid: str,
    title: str,
    description: str,
    tags: Sequence[str],
    sections: Sequence[Section],
    variables: Sequence[dict[str, Any]],
    links: Sequence[DashboardLink],
    system: str | None,
) -> dict[str, Any]:
    """The dashboard as plain data.  ``system`` marks its alarms and deployments on the graphs.

    Raises QuotaError for more metrics than CloudWatch answers at once.
    """
    placed = place(f"dashboard {uid}", sections)
    hourly = placed.open_metrics * _REFRESHES_AN_HOUR * _PRICE / 1000
    cost = (
        f"Opening it reads {placed.open_metrics} CloudWatch metrics, with every row open {placed.all_metrics}; "
        f"an hour at one refresh a minute costs about USD {format_number(hourly, 2)}."
    )
    return normalise(
        Dashboard(
            uid=uid,
            title=title,
            description=f"{description} {cost}".strip(),
            tags=list(tags),
            editable=False,
            graphTooltip=_SHARED_CROSSHAIR,
            timezone="browser",
            refresh="1m",
            time=Time("now-6h", "now"),
            timePicker=TimePicker(refreshIntervals=["1m", "5m", "15m", "1h"], timeOptions=[]),
            annotations=Annotations(list=marks(system)),
            templating=Templating(list=list(variables)),
            links=list(links),
            panels=list(placed.panels),
        )
    )
