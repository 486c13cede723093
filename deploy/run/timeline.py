"""What happened, as a person reads it: the moments in order, time to detect beside theory, the budget, where to look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from tocsin.burn_rate import Tier, time_to_fire
from tocsin.units import format_duration


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened at a moment of the embedded clock."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault from its beginning to its end.

    ``moments`` are in order.  ``detected`` is from the fault to the page or ticket; ``theory`` explains what to
    expect; ``budget`` and ``look`` are lines to print.
    """

    title: str
    moments: tuple[Moment, ...]
    detected: timedelta
    theory: str
    budget: str
    look: Mapping[str, str]


def lines(fault: Fault) -> Iterator[str]:
    """The fault as text."""
    yield fault.title
    yield ""
    first = fault.moments[0].at
    for moment in fault.moments:
        after = moment.at - first
        yield f"  {moment.at:%H:%M:%S}  {'+' + spoken(after) if after else '':>14}  {moment.what}"
    yield ""
    yield f"  time to detect  {spoken(fault.detected)}   {fault.theory}"
    yield f"  error budget    {fault.budget}"
    for label, where in fault.look.items():
        yield f"  {label:<15} {where}"


def spoken(length: timedelta) -> str:
    """A duration to the second."""
    seconds = round(length.total_seconds())
    return format_duration(timedelta(seconds=seconds)) if seconds > 0 else "0 s"


def expected_delay(tiers: tuple[Tier, ...], traffic_so_far: timedelta) -> tuple[timedelta, timedelta]:
    """How long a total outage takes to page: with windows full of good traffic, and with what there has been.

    The first is the workbook's formula.  In the second the long window holds ``traffic_so_far`` of good service and
    then the outage: t / (so far + t) passes the tier's ratio at so far x ratio / (1 - ratio).
    """
    full = min(delay for tier in tiers if (delay := time_to_fire(tier, Fraction(1))) is not None)
    young = min(
        timedelta(seconds=float(min(traffic_so_far, tier.long_window) / timedelta(seconds=1)) * ratio / (1 - ratio))
        for tier in tiers
        for ratio in (float(tier.bad_ratio),)
    )
    return full, young
