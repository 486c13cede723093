"""The graphs of one resource, with the thresholds of its planned alarms as lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta

from ...alarm import Alarm, Comparison, Metric, MetricStat
from ...catalog.entry import Meaning, Panel, name_of
from ...catalog.properties import names as refers_to
from ...model import Resource, Severity, SinceSuccess
from ...plan import Plan, PlannedAlarm, PlannedPanels
from ...units import format_duration
from .layout import Section
from .links import runbook_links, runbook_text
from .names import Names
from .panels import NEUTRAL, NO_LINE, NOW, SOON, Block, block, graph, override, steps
from .promise_math import time_range
from .targets import Queries

_HIGH = (Comparison.GREATER, Comparison.GREATER_OR_EQUAL)
# FILL(m1, 0) of one metric is that metric: its threshold belongs on the metric's graph.
_FILLED = re.compile(r"FILL\(\s*([a-z][A-Za-z0-9_]*)\s*,\s*[A-Z0-9.]+\s*\)")
# A sum depends on how long it is taken for; a graph that is to be held against a sum's threshold must use its period.
_PER_PERIOD = ("Sum", "SampleCount")
# Seconds; CloudWatch keeps datapoints of five minutes for 63 days.
_SUM_PERIOD = 300
# What the dashboard shows when it is opened.
_RANGE = timedelta(hours=6)
# A table of more than two lines, or in a third of the width, leaves no room for the graph.
_NARROW = 8
# Grafana does not stretch an axis for a threshold; so far above it the line is seen whole.
_STRETCH = 1.1
# The most that these units can be.
_WHOLE: Mapping[str, int] = {"percent": 100, "percentunit": 1}
_QUEUE, _MAPPING = "AWS::SQS::Queue", "AWS::Lambda::EventSourceMapping"
_COLORS: Mapping[Meaning, str] = {Meaning.FAILED: "red", Meaning.THROTTLED: "orange", Meaning.REFUSED: "yellow"}


def section(plan: Plan, group: PlannedPanels, names: Names) -> Section:
    """The row of one resource; its title shows which physical resource was found."""
    resource = group.resource
    alarms = tuple(planned for planned in plan.alarms if planned.resource == resource.logical_id)
    found = sorted(
        {
            value
            for panel in group.panels
            for series in panel.series
            for _, value in series.metric.dimensions
            if value.startswith("${") and value.endswith("}")
        }
    )
    title = " · ".join((resource.logical_id, group.entry.title, *(names(value) for value in found)))
    interval = _interval(plan, group)
    # What runs once a day is no news in the last six hours: two runs are, the last one and the one to compare it with.
    seldom = 2 * interval if interval is not None and interval > _RANGE else None
    return Section(
        key=resource.logical_id,
        title=title,
        blocks=tuple(
            _block(plan, resource.logical_id, panel, alarms, names, width, seldom)
            for panel, width in zip(group.panels, _widths(len(group.panels)), strict=True)
        ),
    )


def threshold_alarms(panel: Panel, alarms: Sequence[PlannedAlarm]) -> tuple[PlannedAlarm, ...]:
    """The alarms whose threshold can be drawn on a panel: those of its kinds that compare one metric as it is."""
    return tuple(planned for planned in alarms if planned.kind in panel.alarm_kinds and compared(planned) is not None)


def compared(planned: PlannedAlarm) -> MetricStat | None:
    """The one statistic that an alarm compares; None for math that makes another quantity of several."""
    alarm = planned.alarm
    if not isinstance(alarm, Alarm):
        return None
    stats = {query.id: query.stat for query in alarm.queries if query.stat is not None}
    returned = next(query for query in alarm.queries if query.return_data)
    if returned.stat is not None:
        return returned.stat
    filled = _FILLED.fullmatch(returned.expression or "")
    return stats.get(filled[1]) if filled else None


def _block(
    plan: Plan,
    logical_id: str,
    panel: Panel,
    alarms: Sequence[PlannedAlarm],
    names: Names,
    width: int,
    seldom: timedelta | None,
) -> Block:
    drawn = threshold_alarms(panel, alarms)
    period = _sum_period(panel, drawn)
    # A sum over five minutes cannot be held against the threshold of a sum over an hour.
    drawn = tuple(
        planned
        for planned in drawn
        if (stat := compared(planned)) is None or stat.statistic not in _PER_PERIOD or stat.period == period
    )
    low, high = _lines(drawn, panel)
    queries = Queries(names)
    identifiers = []
    for series in panel.series:
        own = period if series.statistic in _PER_PERIOD else _seconds(panel.period)
        identifiers.append(queries.stat(series.metric, series.statistic, own, series.label, hide=False))
    kinds = _runbooks(panel, alarms)
    told = "".join(f" Line: {reason}." for reason in dict.fromkeys(planned.threshold_because for planned in drawn))
    sums = any(series.statistic in _PER_PERIOD for series in panel.series)
    whole = _WHOLE.get(panel.unit)
    view = graph(
        panel.title,
        panel.description + told + runbook_text(plan.settings, kinds),
        unit=panel.unit,
        no_value=panel.no_value,
        legend="below" if len(panel.series) <= 2 and width > _NARROW else "line",
        thresholds=_steps(low, high) if low or high else None,
        maximum=whole,
        reaches=_STRETCH * max(high) if high and panel.stretched and whole is None else None,
        bars=sums,
        axis=f"per {format_duration(timedelta(seconds=period))}" if sums else "",
        color=_color(panel.series[0].meaning, NEUTRAL[0]) if len(panel.series) == 1 else "",
        time_from=time_range(shown) if (shown := panel.time_from or seldom) else None,
        overrides=_colors(panel, identifiers),
        links=runbook_links(plan.settings, kinds),
    )
    return block(f"{logical_id} {panel.key or panel.title}", view, queries, width, 8)


def _sum_period(panel: Panel, drawn: Sequence[PlannedAlarm]) -> int:
    """Seconds that the sums of a panel are taken over: the alarm's, or the panel's own, or five minutes."""
    shown = {series.metric for series in panel.series if series.statistic in _PER_PERIOD}
    for planned in drawn:
        stat = compared(planned)
        if stat is not None and stat.metric in shown and stat.statistic in _PER_PERIOD:
            return stat.period
    return _seconds(panel.period) or _SUM_PERIOD


def _seconds(period: timedelta | None) -> int | None:
    return None if period is None else period // timedelta(seconds=1)


def _colors(panel: Panel, identifiers: Sequence[str]) -> list[dict[str, object]]:
    """Red, orange and yellow for what they mean; for the others colours that mean nothing, while they suffice."""
    if len(panel.series) == 1 or sum(series.meaning is None for series in panel.series) > len(NEUTRAL):
        return []
    neutral = iter(NEUTRAL)
    colors = [_color(series.meaning, "") or next(neutral) for series in panel.series]
    return [
        override(identifier, color={"mode": "fixed", "fixedColor": color})
        for identifier, color in zip(identifiers, colors, strict=True)
    ]


def _color(meaning: Meaning | None, otherwise: str) -> str:
    return otherwise if meaning is None else _COLORS[meaning]


def _lines(drawn: Sequence[PlannedAlarm], panel: Panel) -> tuple[dict[float, str], dict[float, str]]:
    """Thresholds that must not be fallen below, and those that must not be exceeded, with their colours.

    "More than 0" of things that are counted is 1 or more: a line at 0 would lie on the axis.
    """
    low: dict[float, str] = {}
    high: dict[float, str] = {}
    for planned in drawn:
        alarm = planned.alarm
        if isinstance(alarm, Alarm):
            side = high if alarm.comparison in _HIGH else low
            color = NOW if planned.severity is Severity.PAGE else SOON
            value = alarm.threshold
            if value == 0 and alarm.comparison is Comparison.GREATER and panel.unit == "short":
                value = 1.0
            if side.get(value) != NOW:
                side[value] = color
    return low, high


def _steps(low: dict[float, str], high: dict[float, str]) -> list[dict[str, object]]:
    # Grafana draws the line below a transparent step in the colour of the step before it: so a lower limit is a
    # coloured base that turns transparent at the limit.
    if not low:
        return steps(NO_LINE, *((color, value) for value, color in high.items()))
    falling = sorted(low.items())
    above = [(falling[index + 1][1], value) for index, (value, _) in enumerate(falling[:-1])]
    above.append((NO_LINE, falling[-1][0]))
    return steps(falling[0][1], *above, *((color, value) for value, color in high.items()))


def _runbooks(panel: Panel, alarms: Sequence[PlannedAlarm]) -> list[str]:
    """The alarm kinds a reader of the panel may be here for: its own, and those that read one of its metrics."""
    shown: set[Metric] = {series.metric for series in panel.series}
    kinds = [
        planned.kind
        for planned in alarms
        if planned.kind in panel.alarm_kinds
        or (isinstance(planned.alarm, Alarm) and planned.slo is None and shown & set(planned.alarm.metrics))
    ]
    return sorted(set(kinds))


def _interval(plan: Plan, group: PlannedPanels) -> timedelta | None:
    """How often the resource works: by its schedule, or by what is promised of its runs, in whole days from one on; a
    queue as often as the functions that read it."""
    if group.resource.type == _QUEUE:
        readers = [_interval(plan, other) for other in plan.panels if _reads(other.resource, group.resource)]
        return min((often for often in readers if often is not None), default=None) if all(readers) else None
    if (interval := group.entry.expected_interval(group.resource)) is not None:
        return interval
    promised = [
        planned.slo.sli.measure.within
        for planned in plan.slos
        if isinstance(planned.slo.sli.measure, SinceSuccess)
        and any(name_of(group.resource) in dict(metric.dimensions).values() for metric in planned.slo.sli.metrics)
    ]
    if not promised:
        return None
    longest = min(promised)
    return timedelta(days=longest.days) if longest.days else longest


def _reads(function: Resource, queue: Resource) -> bool:
    """Whether an event source mapping of the template hands the queue's messages to the function."""
    return any(
        refers_to(mapping.properties.get("EventSourceArn"), queue)
        and refers_to(mapping.properties.get("FunctionName"), function)
        for mapping in queue.surroundings.values()
        if mapping.type == _MAPPING
    )


def _widths(count: int) -> list[int]:
    """Full rows of three, or of two where three would leave one over."""
    pairs = {0: 0, 1: 2, 2: 1}[count % 3]
    if count == 1:
        return [24]
    return [8] * (count - 2 * pairs) + [12] * (2 * pairs)
