"""The three kinds of panel that dashboards are made of, and their threshold steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafanalib.core import Panel, Stat, StateTimeline, TimeSeries

from .targets import DATASOURCE, Queries

#: The same colour for the same meaning everywhere.
FINE, SOON, NOW, NO_LINE = "green", "orange", "red", "transparent"
#: Lines that stand for nothing good or bad.
NEUTRAL = (
    "blue",
    "purple",
    "green",
    "super-light-blue",
    "super-light-purple",
    "dark-green",
    "dark-blue",
    "dark-purple",
)
#: Neither good nor bad: nothing to judge.
UNKNOWN = "#808080"

#: What a bar of a state timeline stands for.
OK, ALARM, BREACHING = 0, 1, 2


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
    no_value_color: str = UNKNOWN,
) -> Stat:
    """A column of coloured tiles, one for each series, name and value.  The title says which time they show."""
    nothing = {"text": no_value, "color": no_value_color, "index": len(mappings or ())}
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
        # Without a mapping a missing value has the lowest colour, which may well be green.
        mappings=[*(mappings or ()), {"type": "special", "options": {"match": "null+nan", "result": nothing}}],
        overrides=overrides or [],
        timeFrom=time_from,
        hideTimeOverride=True,
        links=links or [],
    )


def graph(
    title: str,
    description: str,
    *,
    unit: str,
    no_value: str,
    legend: str,
    thresholds: list[dict[str, Any]] | None = None,
    minimum: int | None = 0,
    maximum: int | None = None,
    reaches: float | None = None,
    axis: str = "",
    logarithmic: bool = False,
    color: str = "",
    bars: bool = False,
    time_from: str | None = None,
    overrides: list[dict[str, Any]] | None = None,
    links: list[dict[str, Any]] | None = None,
) -> TimeSeries:
    """Lines over time, from zero, with the alarm's threshold as a line.

    ``reaches``: the least that the axis goes up to.  ``logarithmic`` above 1, in steps: for rates that are small
    numbers until they are hundreds.  ``legend``: ``below`` or ``beside`` as a table, or as a ``line`` without numbers
    where there is no room for a table.  ``color`` is that of a single line, which is then filled.
    ``bars``: for counts of each period, which no line joins.
    """
    custom: dict[str, Any] = {
        "lineInterpolation": "stepAfter" if logarithmic else "linear",
        "scaleDistribution": {"type": "symlog", "log": 10, "linearThreshold": 1}
        if logarithmic
        else {"type": "linear", "log": None},
    }
    if reaches is not None:
        custom["axisSoftMax"] = reaches
    defaults: dict[str, Any] = {"custom": custom, "noValue": no_value}
    if color:
        defaults["color"] = {"mode": "fixed", "fixedColor": color}
    return TimeSeries(
        title=title,
        description=description,
        dataSource=DATASOURCE,
        unit=unit,
        valueMin=minimum,
        valueMax=maximum,
        axisLabel=axis,
        drawStyle="bars" if bars else "line",
        fillOpacity=60 if bars else 10 if color else 0,
        lineWidth=1,
        pointSize=4,
        showPoints="auto",  # a value with none beside it, such as a daily run, has no line to show it
        stacking={"mode": "none", "group": "A"},
        legendDisplayMode="list" if legend == "line" else "table",
        legendPlacement="right" if legend == "beside" else "bottom",
        legendCalcs=[] if legend == "line" else ["lastNotNull", "max"],
        tooltipMode="multi",
        tooltipSort="desc",
        thresholds=thresholds or steps(FINE),
        thresholdsStyleMode="line" if thresholds else "off",
        overrides=overrides or [],
        timeFrom=time_from,
        links=links or [],
        extraJson={
            "fieldConfig": {"defaults": defaults},
            "options": {"legend": {"showLegend": True}},
        },
    )


def states(
    title: str,
    description: str,
    mappings: list[dict[str, Any]],
    rows: int,
    links: list[dict[str, Any]] | None = None,
) -> StateTimeline:
    """One bar of states over time for each of ``rows`` series, all on one page."""
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
        extraJson={"options": {"perPage": max(1, rows)}},
    )


def neutral(identifiers: Sequence[str]) -> list[dict[str, Any]]:
    """Colours that mean nothing for the series of these queries, while they suffice."""
    if len(identifiers) > len(NEUTRAL):
        return []
    return [
        override(identifier, color={"mode": "fixed", "fixedColor": color})
        for identifier, color in zip(identifiers, NEUTRAL, strict=False)
    ]
