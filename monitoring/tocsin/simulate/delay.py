"""Late data: what of a metric has arrived when an alarm is evaluated.

A sample is stamped with the moment it is of and can be read only some time after the minute (ten seconds, for alarms of
high resolution) that holds it has ended.  An evaluation therefore finds its newest datapoints missing or of only a part
of their samples, and finds the same datapoints complete later.  CloudWatch publishes no figures for this delay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ..alarm import Alarm, Metric, MetricStat
from ..errors import SimulationError
from ..units import format_duration
from .schedule import clip, step
from .source import MetricSource

Delays = Mapping[Metric, timedelta] | timedelta
_LONGEST = timedelta(days=14)


def delays_of(alarm: Alarm, delays: Delays) -> dict[Metric, timedelta]:
    """The delays of the metrics an alarm reads, without those that are none.  Raises SimulationError."""
    found = {}
    for metric in alarm.metrics:
        late = delays if isinstance(delays, timedelta) else delays.get(metric, timedelta())
        if not timedelta() <= late <= _LONGEST:
            shown = format_duration(late) if late > timedelta() else "less than nothing"
            raise SimulationError(f"the delay of {metric} lies between nothing and {_LONGEST.days} days, got {shown}")
        if late:
            found[metric] = late
    return found


def horizon(alarm: Alarm, at: datetime, late: timedelta) -> datetime:
    """Up to when the data of a metric that comes ``late`` has arrived at ``at``: a full minute, or ten seconds."""
    # A multi-day alarm reads up to the full hour, but what has arrived by then is a matter of minutes.
    unit = timedelta(seconds=min(step(alarm), 60))
    hour = clip(alarm, at)
    return hour + (at - hour) // unit * unit - -(-late // unit) * unit


def hidden_seconds(alarm: Alarm, at: datetime, delays: Mapping[Metric, timedelta]) -> dict[Metric, int]:
    """How much of the newest data that an evaluation at ``at`` asks for has not arrived, by metric."""
    end = clip(alarm, at)
    return {
        metric: late
        for metric, delay in delays.items()
        if (late := int((end - horizon(alarm, at, delay)).total_seconds())) > 0
    }


class LateSource:
    """A source as an alarm sees it at one moment: nothing of what has not arrived yet."""

    def __init__(self, source: MetricSource, arrived: Mapping[Metric, datetime]) -> None:
        self._source, self._arrived = source, arrived

    def datapoints(self, stat: MetricStat, start: datetime, periods: int) -> Sequence[float | None]:
        """One value per period from ``start``, of what has arrived.  Raises SimulationError."""
        arrived = self._arrived.get(stat.metric)
        if arrived is None:
            return self._source.datapoints(stat, start, periods)
        period = timedelta(seconds=stat.period)
        complete = min(max((arrived - start) // period, 0), periods)
        found: list[float | None] = []
        if complete:
            found += self._source.datapoints(stat, start, complete)
        rest = arrived - (start + complete * period)
        if complete < periods and rest > timedelta():
            cut = replace(stat, period=int(rest.total_seconds()))
            found += self._source.datapoints(cut, start + complete * period, 1)
        return found + [None] * (periods - len(found))
