"""MetricSource: where an evaluation gets its datapoints from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..alarm import MetricStat

if TYPE_CHECKING:
    from .columns import Floats


class MetricSource(Protocol):
    """Anything that can say what a statistic was."""

    def datapoints(self, stat: MetricStat, start: datetime, periods: int) -> Sequence[float | None]:
        """One value per period of ``stat`` from ``start``; None = no data.

        Raises SimulationError if the statistic cannot be had from the data.
        """
        ...


@runtime_checkable
class RangeSource(MetricSource, Protocol):
    """A MetricSource that can also slide: what a simulation of a long time needs to be quick."""

    def windows(self, stat: MetricStat, start: datetime, step: int, count: int) -> Floats:
        """The value over [start + i·step, + period) for each i below ``count``; NaN = no data."""
        ...
