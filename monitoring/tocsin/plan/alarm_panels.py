"""A graph for each alarm on a cause whose metric is on none of its resource's graphs: who is told must be able to look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..alarm import Alarm, Comparison, MetricStat
from ..catalog.entry import Panel, ResourceType, Series
from .decisions import PlannedAlarm

# CloudWatch's units → Grafana's.  Any other is a plain number.
_UNITS: Mapping[str, str] = {
    "Bytes": "bytes",
    "Percent": "percent",
    "Microseconds": "µs",
    "Milliseconds": "ms",
    "Seconds": "s",
}


def alarm_panels(entry: ResourceType, panels: Iterable[Panel], alarms: Iterable[PlannedAlarm]) -> tuple[Panel, ...]:
    """One for each alarm kind of a resource of which ``panels`` show nothing.  ``alarms`` are those of the resource."""
    shown = {series.metric for panel in panels for series in panel.series}
    graphs: dict[str, list[PlannedAlarm]] = {}
    for planned in alarms:
        if planned.slo is None and isinstance(planned.alarm, Alarm) and not shown & set(planned.alarm.metrics):
            # A lower limit colours all that lies below it, so it shares a graph with nothing.
            alone = planned.alarm.comparison in (Comparison.LESS, Comparison.LESS_OR_EQUAL)
            graphs.setdefault(planned.title if alone else planned.kind, []).append(planned)
    return tuple(_panel(entry, group) for group in graphs.values())


def _panel(entry: ResourceType, group: Sequence[PlannedAlarm]) -> Panel:
    first = group[0]
    stats: dict[MetricStat, None] = {}
    for planned in group:
        if isinstance(planned.alarm, Alarm):
            stats.update((query.stat, None) for query in planned.alarm.queries if query.stat is not None)
    subject, _, symptom = first.title.partition(": ")
    # "Database (Io)": one of several alarms of the kind.
    part = f" ({subject.partition(' (')[2]}" if len(group) == 1 and subject.endswith(")") else ""
    units = {metric.name: _UNITS.get(metric.unit, "short") for metric in entry.metrics}
    return Panel(
        title=f"{symptom[:1].upper()}{symptom[1:]}{part}?",
        description=f"{first.because.rstrip('.')}. The line is the alarm's threshold, where one metric is compared with it.",
        unit=next((units[stat.metric.name] for stat in stats if stat.metric.name in units), "short"),
        series=tuple(Series(stat.metric, stat.statistic, stat.metric.name) for stat in stats),
        alarm_kinds=(first.kind,),
        key=f"alarm {first.kind}{part}",
    )
