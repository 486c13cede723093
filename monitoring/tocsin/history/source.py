"""Where a pull reads from: metrics and alarm states from CloudWatch or a recording, alerts from the on-call tool."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from ..alarm import MetricStat
from .gaps import Kept, Moments

if TYPE_CHECKING:
    from ..cloud.alarm_history import AlarmHistory
    from ..cloud.metric_data import MetricData
    from ..paging.past_alerts import PastAlert

#: The alerts of alarms of these names that were opened in these spans, as `OnCallTool.past_alerts` tells them.  Raises
#: PagingError.
AlertSource = Callable[[Sequence[Moments], Collection[str]], "Sequence[PastAlert]"]


class Source(Protocol):
    """Where metrics and alarm states come from: CloudWatch, or a recording.

    ``kept_changes`` is how long changes of alarm states are kept.
    """

    @property
    def kept_changes(self) -> timedelta | None:
        """How long the alarm history is kept; None for ever."""
        ...

    def kept(self, stats: Collection[MetricStat]) -> Sequence[Kept]:
        """In which periods these metrics can be had, finest first, and for how long."""
        ...

    def read(self, stats: Mapping[str, MetricStat], start: datetime, end: datetime) -> MetricData:
        """The datapoints of one call.  Raises TocsinError."""
        ...

    def changes(self, alarms: Collection[str], start: datetime, end: datetime) -> AlarmHistory:
        """The changes of state of these alarms.  Raises TocsinError."""
        ...
