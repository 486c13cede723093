"""What alarms cost a month, at the US East list price.

Prices: Amazon CloudWatch pricing page, US East (N. Virginia), read August 2026; prorated by the hour there, whole
months here.  The free tier is left out: it is shared by the whole account.
"""

from __future__ import annotations

from decimal import Decimal

from .alarm import Alarm, CompositeAlarm

PER_ALARM_METRIC = Decimal("0.10")
PER_HIGH_RESOLUTION_METRIC = Decimal("0.30")
PER_COMPOSITE = Decimal("0.50")


def monthly_cost(alarm: Alarm | CompositeAlarm) -> Decimal:
    """US dollars a month.  A metric-math alarm pays for each metric it reads, periods under a minute three times."""
    if isinstance(alarm, CompositeAlarm):
        return PER_COMPOSITE
    rate = PER_ALARM_METRIC if alarm.period >= 60 else PER_HIGH_RESOLUTION_METRIC
    return rate * max(1, len(alarm.metrics))
