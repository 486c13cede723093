"""CloudWatch as the source of a pull, and what time it is there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..alarm import MetricStat
from ..errors import CloudError
from ..units import format_duration
from .gaps import Kept

if TYPE_CHECKING:
    from ..cloud.alarm_history import AlarmHistory
    from ..cloud.metric_data import MetricData
    from ..cloud.session import Cloud

# User Guide, "Metrics retention".
_KEPT = (Kept(60, timedelta(days=15)), Kept(300, timedelta(days=63)), Kept(3600, timedelta(days=455)))
_KEPT_CHANGES = timedelta(days=30)
_TOLERATED = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class CloudWatch:
    """The CloudWatch of one account and region."""

    cloud: Cloud

    @property
    def kept_changes(self) -> timedelta | None:
        """DescribeAlarmHistory goes 30 days back."""
        return _KEPT_CHANGES

    def kept(self, stats: Collection[MetricStat]) -> Sequence[Kept]:  # noqa: ARG002  # the same of all metrics
        """Minutes for 15 days, five minutes for 63, hours for 455."""
        return _KEPT

    def read(self, stats: Mapping[str, MetricStat], start: datetime, end: datetime) -> MetricData:
        """One call of GetMetricData.  Raises CloudError."""
        from ..cloud.metric_data import read_metric_data

        return read_metric_data(self.cloud, stats, start, end)

    def changes(self, alarms: Collection[str], start: datetime, end: datetime) -> AlarmHistory:
        """The alarm history.  Raises CloudError."""
        from ..cloud.alarm_history import read_alarm_history

        return read_alarm_history(self.cloud, alarms, start, end)


def present(cloud: Cloud) -> tuple[datetime, str | None]:
    """The time of AWS, and a remark where this machine's clock is ahead of it.

    Where AWS does not tell its time, it is this machine's: then what is asked of the last minutes may be too early.
    """
    from ..cloud.alarm_history import aws_time

    here = datetime.now(UTC)
    try:
        there = aws_time(cloud)
    except CloudError:  # what follows says why, for each system
        there = None
    if there is None:
        return here, None
    if here - there > _TOLERATED:
        ahead = format_duration((here - there) // timedelta(minutes=1) * timedelta(minutes=1))
        return there, f"this machine's clock is {ahead} ahead of AWS's, whose time is used; set the clock"
    return there, None
