"""The three kinds of panel that dashboards are made of, and their threshold steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafanalib.core import Panel, Stat, StateTimeline, TimeSeries

from .targets import DATASOURCE, Queries

#: The same colour for the same meaning everywhere.
FINE, SOON, NOW, NO_LINE = "green", "orange", "red", "transparent"


@dataclass(slots=True)
class Block:
    """A panel without its place.  ``key`` says what it shows and makes its id; sizes are in grid units (24 wide)."""

    key: str
    panel: Panel
    width: int
    height: int
    metrics: int
    queries: int


def block(key: str, panel: Panel, queries: Queries, width: int, height: int) -> Block:
    """A panel with what it costs."""
    panel.targets = queries.targets
    return Block(key, panel, width, height, queries.metrics, len(queries.targets))


def steps(base: str, *above: tuple[str, float]) -> list[dict[str, Any]]:
    """Threshold steps: ``base`` from minus infinity, then each colour from its value on."""
    return [{"color": base, "value": None}, *({"color": color, "value": value} for color, value in sorted_steps(above))]


def sorted_steps(above: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Grafana wants threshold steps in rising order."""
    return sorted(above, key=lambda step: step[1])


def override(identifier: str, **properties: Any) -> dict[str, Any]:
    """Field options of the series that one query returns."""
    return {
        "matcher": {"id": "byFrameRefID", "options": identifier},
        "properties": [{"id": name, "value": value} for name, value in sorted(properties.items())],
    }


def tiles(
    title: str,
    description: str,
    *,
    unit: str,
    thresholds: list[dict[str, Any]],
    no_value: str,
    decimals: int | None = None,
    time_from: str | None = None,
    reduce: str = "lastNotNull",
    overrides: list[dict[str, Any]] | None = None,
    mappings: list[dict[str, Any]] | None = None,
    links: list[dict[str, Any]] | None = None,
) -> Stat:
    """A column of coloured tiles, one for each series, name and value."""
    return Stat(
        title=title,
        description=description,
        dataSource=DATASOURCE,
        colorMode="background",
        graphMode="none",
        orientation="horizontal",
        textMode="value_and_name",
        reduceCalc=reduce,
        format=unit,
        decimals=decimals,
        noValue=no_value,
        color={"mode": "thresholds"},
        thresholds=thresholds,
        mappings=mappings or [],
        overrides=overrides or [],
        timeFrom=time_from,
        links=links or [],
    )


def graph(
    title: str,
    description: str,
    *,
    unit: str,
    thresholds: list[dict[str, Any]] | None = None,
    minimum: int | None = 0,
    maximum: int | None = None,
    time_from: str | None = None,
    overrides: list[dict[str, Any]] | None = None,
    links: list[dict[str, Any]] | None = None,
) -> TimeSeries:
    """Lines over time, from zero, with the alarm's threshold as a line."""
    return TimeSeries(
        title=title,
        description=description,
        dataSource=DATASOURCE,
        unit=unit,
        valueMin=minimum,
        valueMax=maximum,
        fillOpacity=10,
        lineWidth=1,
        showPoints="never",
        stacking={"mode": "none", "group": "A"},
        legendDisplayMode="table",
        legendPlacement="bottom",
        legendCalcs=["lastNotNull", "max"],
        tooltipMode="multi",
        tooltipSort="desc",
        thresholds=thresholds or steps(FINE),
        thresholdsStyleMode="line" if thresholds else "off",
        overrides=overrides or [],
        timeFrom=time_from,
        links=links or [],
        extraJson={"fieldConfig": {"defaults": {"custom": {"scaleDistribution": {"type": "linear", "log": None}}}}},
    )


def states(
    title: str,
    description: str,
    mappings: list[dict[str, Any]],
    links: list[dict[str, Any]] | None = None,
) -> StateTimeline:
    """One bar of states over time for each series."""
    return StateTimeline(
        title=title,
        description=description,
        dataSource=DATASOURCE,
        alignValue="left",
        fillOpacity=80,
        mappings=mappings,
        mergeValues=True,
        rowHeight=0.8,
        showValue="never",
        thresholds=steps(FINE),
        links=links or [],
        extraJson={"options": {"perPage": 20}},
    )
