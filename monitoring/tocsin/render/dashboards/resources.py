"""The graphs of one resource, with the thresholds of its planned alarms as lines."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...alarm import Alarm, Comparison, Metric, MetricStat
from ...catalog.entry import Panel
from ...model import Severity
from ...plan import Plan, PlannedAlarm, PlannedPanels
from .layout import Section
from .links import runbook_links, runbook_text
from .panels import NO_LINE, NOW, SOON, Block, block, graph, steps
from .targets import Queries
from .variables import Names

_HIGH = (Comparison.GREATER, Comparison.GREATER_OR_EQUAL)
# FILL(m1, 0) of one metric is that metric: its threshold belongs on the metric's graph.
_FILLED = re.compile(r"FILL\(\s*([a-z][A-Za-z0-9_]*)\s*,\s*[A-Z0-9.]+\s*\)")
# A sum depends on how long it is taken for; a graph that is to be held against a sum's threshold must use its period.
_PER_PERIOD = ("Sum", "SampleCount")


def section(plan: Plan, group: PlannedPanels) -> Section:
    """The row of one resource; its title shows which physical resource was found."""
    resource = group.resource
    alarms = tuple(planned for planned in plan.alarms if planned.resource == resource.logical_id)
    names = sorted(
        {
            value
            for panel in group.panels
            for series in panel.series
            for _, value in series.metric.dimensions
            if value.startswith("${") and value.endswith("}")
        }
    )
    title = " · ".join((resource.logical_id, group.entry.title, *names))
    return Section(
        key=resource.logical_id,
        title=title,
        blocks=tuple(
            _block(plan, resource.logical_id, panel, alarms, width)
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


def _block(plan: Plan, logical_id: str, panel: Panel, alarms: Sequence[PlannedAlarm], width: int) -> Block:
    drawn = threshold_alarms(panel, alarms)
    low, high = _lines(drawn)
    periods = {stat.metric: stat.period for planned in drawn if (stat := compared(planned)) is not None}
    queries = Queries(Names())
    for series in panel.series:
        period = periods.get(series.metric) if series.statistic in _PER_PERIOD else None
        queries.stat(series.metric, series.statistic, period, series.label, hide=False)
    kinds = _runbooks(panel, alarms)
    told = "".join(f" Line: {reason}." for reason in dict.fromkeys(planned.threshold_because for planned in drawn))
    view = graph(
        panel.title,
        panel.description + told + runbook_text(plan.settings, kinds),
        unit=panel.unit,
        thresholds=_steps(low, high) if drawn else None,
        links=runbook_links(plan.settings, kinds),
    )
    return block(f"{logical_id} {panel.title}", view, queries, width, 8)


def _lines(drawn: Sequence[PlannedAlarm]) -> tuple[dict[float, str], dict[float, str]]:
    """Thresholds that must not be fallen below, and those that must not be exceeded, with their colours."""
    low: dict[float, str] = {}
    high: dict[float, str] = {}
    for planned in drawn:
        alarm = planned.alarm
        if isinstance(alarm, Alarm):
            side = high if alarm.comparison in _HIGH else low
            color = NOW if planned.severity is Severity.PAGE else SOON
            if side.get(alarm.threshold) != NOW:
                side[alarm.threshold] = color
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


def _widths(count: int) -> list[int]:
    """Full rows of three, or of two where three would leave one over."""
    pairs = {0: 0, 1: 2, 2: 1}[count % 3]
    if count == 1:
        return [24]
    return [8] * (count - 2 * pairs) + [12] * (2 * pairs)
