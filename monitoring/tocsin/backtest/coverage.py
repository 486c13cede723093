"""Which part of a history was recorded at all: stretches in which no series has a datapoint are nobody's quiet time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..alarm import Metric
from ..errors import SimulationError
from ..simulate.template import AlarmTemplate
from .incident import Incident
from .scoring import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..simulate.series import Store

#: A job that runs once a day is silent for almost as long; exports of single incidents have far longer pauses.
PAUSE = timedelta(days=1)
_MINUTE = 60
# What stops all metrics is seen in them so soon.
_STOPS = timedelta(minutes=5)


def pauses(template: AlarmTemplate, store: Store, start: datetime, end: datetime) -> list[Span]:
    """The stretches of a day or more between ``start`` and ``end`` in which no series has a datapoint.

    Series that no alarm reads count as well: somebody recorded that time.
    """
    import numpy as np

    stats = {query.stat for alarm in template.alarms for query in alarm.queries if query.stat is not None}
    first, last = int(start.timestamp()), int(end.timestamp())
    runs = [np.array([[first, first], [last, last]], dtype=np.int64)]
    for stat in sorted(stats, key=repr):
        count = max(1, -(-(last - first) // stat.period))
        try:
            found = ~np.isnan(store.windows(stat, start, stat.period, count))
        except SimulationError:  # a statistic that these data cannot yield is for the simulation to refuse
            continue
        runs.append(_runs(found) * stat.period + first)
    for metric in sorted({*store.metrics()} - {stat.metric for stat in stats}, key=str):
        runs.append(np.clip(_stretches(store.times(metric)), first, last))
    edges = np.concatenate(runs)
    edges = edges[np.argsort(edges[:, 0], kind="stable")]
    until = np.maximum.accumulate(edges[:, 1])
    long = np.flatnonzero(edges[1:, 0] - until[:-1] >= PAUSE.total_seconds())
    return [(_moment(until[index]), _moment(edges[index + 1, 0])) for index in long.tolist()]


def read_by(template: AlarmTemplate) -> set[Metric]:
    """The metrics that the alarms of a template read."""
    return {metric for alarm in template.alarms for metric in alarm.metrics}


def unread(template: AlarmTemplate, store: Store) -> tuple[Metric, ...]:
    """The metrics there is data for that no alarm reads, sorted."""
    read = read_by(template)
    return tuple(metric for metric in store.metrics() if metric not in read)


def _runs(found: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Begin and end (exclusive) of each stretch of True, as rows."""
    import numpy as np

    padded = np.concatenate(([False], found, [False]))
    return np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2).astype(np.int64)


def _stretches(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Begin and end (exclusive) of each stretch of datapoints that follow each other at their usual distance."""
    import numpy as np

    if not len(times):
        return np.empty((0, 2), dtype=np.int64)
    gaps = np.diff(times)
    usual = max(_MINUTE, int(np.median(gaps)) if len(gaps) else _MINUTE)
    after = np.flatnonzero(gaps > usual)
    return np.stack((times[np.concatenate(([0], after + 1))], times[np.append(after, -1)] + usual), axis=1)


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(int(at), UTC)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Incidents by whether a history can say anything of them.

    ``scored`` are those that lie in recorded time at least in part; one that began before the first datapoint, or before the
    history does, begins there, and ``clipped`` are the names of such.  ``beyond`` lie outside the history, ``unrecorded``
    before the first datapoint, after the last, or in a pause.  One with which a pause begins is scored: it may be why the
    series stop.
    """

    scored: tuple[Incident, ...]
    clipped: tuple[str, ...]
    beyond: tuple[str, ...]
    unrecorded: tuple[str, ...]


def recorded(
    incidents: Iterable[Incident], start: datetime, end: datetime, data: Span | None, paused: Iterable[Span]
) -> Recorded:
    """Sort the incidents of a history from ``start`` to ``end``; ``data`` is from the first datapoint to the last."""
    holes = list(paused)
    if data is not None:  # an incident before the first datapoint stopped nothing
        holes += [(start - 2 * _STOPS, data[0]), (data[1], max(data[1], end))]
    scored, clipped, beyond, unrecorded = [], [], [], []
    for one in incidents:
        if not one.overlaps(start, end):
            beyond.append(one.name)
        elif any(begin + _STOPS < max(one.start, start) and min(one.end, end) <= stop for begin, stop in holes):
            unrecorded.append(one.name)
        else:
            first = start if data is None else max(start, data[0])
            if one.start < first:
                clipped.append(one.name)
            scored.append(replace(one, start=max(one.start, first)))
    return Recorded(tuple(scored), tuple(clipped), tuple(beyond), tuple(unrecorded))


def within(at: datetime, spans: Iterable[Span]) -> bool:
    """Whether a moment lies in one of the spans."""
    return any(start <= at < end for start, end in spans)
