"""One sentence on how a promise stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from ..units import format_duration, format_ratio
from .pack import Count, Incident, Span, State
from .shown import MONTHS, attained, duration, number, share

_NEARLY_ALL, _MOST = Fraction(9, 10), Fraction(1, 2)
_UNKNOWN = "not pulled: nothing of this month was asked of CloudWatch"


def day_text(at: datetime, zone: ZoneInfo) -> str:
    """``14 October``, where it is."""
    local = at.astimezone(zone)
    return f"{local.day} {MONTHS[local.month - 1]}"


def in_words(
    state: State, month: Count, objective: Fraction | None, incidents: Sequence[Incident], zone: ZoneInfo
) -> str:
    """Of a promise with a budget: ``kept: 99.95 % of 99.9 %, 48 % of the budget left``."""
    if state is State.UNKNOWN:
        return _UNKNOWN
    if state is State.NO_DATA or month.attained is None:
        return "no data: no valid event in what was asked"
    if state is State.TOO_FEW:
        bad = "none bad" if not month.bad else f"{number(month.bad)} bad"
        return (
            f"too few events to judge: {number(month.valid)}, {bad}, "
            f"where the budget allows {number(month.allowed)}, less than one"
        )
    of = attained(month.attained, objective)
    if objective is not None:
        of += f" of {format_ratio(objective)}"
    spent = month.spent or Fraction(0)
    if state is State.KEPT:
        return f"kept: {of}, {share(1 - spent)} of the budget left"
    return f"{state.value}: {of}, {share(spent)} of the budget gone{_where(spent, incidents, zone)}"


def heartbeat_in_words(state: State, broken: Sequence[Span], limit: timedelta, zone: ZoneInfo) -> str:
    """Of a heartbeat: ``broken: no success within 1 d 2 h on 14 October, for 3 h in all``."""
    if state is State.UNKNOWN:
        return _UNKNOWN
    within = format_duration(limit)
    if state is State.NO_DATA:
        return f"no data: what was asked is too short to miss a success within {within}"
    if not broken:
        return f"kept: never without a success for longer than {within}"
    total = sum((one.end - one.start for one in broken), timedelta(0))
    days = list(dict.fromkeys(day_text(one.start, zone) for one in broken))
    when = f"on {days[0]}" if len(days) == 1 else f"first on {days[0]}"
    times = "" if len(broken) == 1 else f"{len(broken)} times, "
    return f"broken: no success within {within}, {times}{when}, for {duration(total)} in all"


def _where(spent: Fraction, incidents: Sequence[Incident], zone: ZoneInfo) -> str:
    """Which incident took the budget."""
    if not incidents:
        return ", little by little: no single incident took 1 % of it"
    largest = max(incidents, key=lambda one: (one.spent, one.span.start))
    when = day_text(largest.span.start, zone)
    if largest.spent >= spent:
        return f", all of it in one incident on {when}"
    if largest.spent >= spent * _NEARLY_ALL:
        return f", nearly all of it in one incident on {when}"
    if largest.spent >= spent * _MOST:
        return f", most of it in one incident on {when}"
    if len(incidents) == 1:
        return f", {share(largest.spent)} in one incident on {when} and the rest little by little"
    return f", {share(largest.spent)} in the largest of {len(incidents)} incidents, on {when}"
