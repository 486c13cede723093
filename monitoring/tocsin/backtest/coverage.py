"""Which part of a history was recorded at all: stretches in which no series has a datapoint are nobody's quiet time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..errors import SimulationError
from ..simulate.template import AlarmTemplate
from .scoring import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..simulate.series import Store

#: A job that runs once a day is silent for almost as long; exports of single incidents have far longer pauses.
PAUSE = timedelta(days=1)


def pauses(template: AlarmTemplate, store: Store, start: datetime, end: datetime) -> list[Span]:
    """The stretches of a day or more between ``start`` and ``end`` in which nothing the alarms read has a datapoint."""
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
    edges = np.concatenate(runs)
    edges = edges[np.argsort(edges[:, 0], kind="stable")]
    until = np.maximum.accumulate(edges[:, 1])
    long = np.flatnonzero(edges[1:, 0] - until[:-1] >= PAUSE.total_seconds())
    return [(_moment(until[index]), _moment(edges[index + 1, 0])) for index in long.tolist()]


def _runs(found: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Begin and end (exclusive) of each stretch of True, as rows."""
    import numpy as np

    padded = np.concatenate(([False], found, [False]))
    return np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2).astype(np.int64)


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(int(at), UTC)


def within(at: datetime, spans: Iterable[Span]) -> bool:
    """Whether a moment lies in one of the spans."""
    return any(start <= at < end for start, end in spans)
