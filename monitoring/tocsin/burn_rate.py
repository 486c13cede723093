"""The window table: one Slo becomes burn-rate alarms, one per window, and the rules that join them.

Burn rates follow from the share of the error budget that may be gone when an alarm fires (Google SRE workbook,
chapter 5, "Alerting on SLOs", table 5-8 and the ticket pair of its code listing):
burn rate = budget share x SLO window / long window.  The short window is a twelfth of the long one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

from .alarm import Comparison, MetricQuery, MetricStat
from .errors import PlanError
from .model import Counted, Ranked, Severity, SinceSuccess, Slo
from .units import format_duration, format_number

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
WORKBOOK = "https://sre.google/workbook/alerting-on-slos/"


@dataclass(frozen=True, slots=True)
class WindowPair:
    """One row of the window table: told to whom, over which windows, when which share of the budget is gone."""

    severity: Severity
    long_window: timedelta
    budget_share: Fraction

    @property
    def short_window(self) -> timedelta:
        """A twelfth of the long window: how soon the tier resets once the burning stops."""
        return self.long_window / 12


# Severity, long window, budget share in percent.  A week's budget is so small in hours that 2 % of it would fire at a
# burn rate of 3.4, several times a week; the weekly shares are those Sloth uses for seven days, made exact.
_USUAL = (
    (Severity.PAGE, _HOUR, 2),
    (Severity.PAGE, 6 * _HOUR, 5),
    (Severity.TICKET, _DAY, 10),
    (Severity.TICKET, 3 * _DAY, 10),
)
_WEEK = (
    (Severity.PAGE, _HOUR, 8),
    (Severity.PAGE, 6 * _HOUR, Fraction(25, 2)),
    (Severity.TICKET, _DAY, 20),
    (Severity.TICKET, 3 * _DAY, 42),
)

#: SLO windows that a burn rate is defined for → their pairs.
WINDOW_TABLE = {
    timedelta(days=days): tuple(WindowPair(severity, long, Fraction(share) / 100) for severity, long, share in rows)
    for days, rows in ((7, _WEEK), (28, _USUAL), (30, _USUAL), (90, _USUAL))
}


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier of one SLO: fires while both windows burn faster than ``burn_rate``."""

    severity: Severity
    long_window: timedelta
    short_window: timedelta
    burn_rate: Fraction
    bad_ratio: Fraction

    @property
    def budget_spent(self) -> Fraction:
        """What ``burn_rate`` held for the whole long window spends, times the SLO window."""
        return self.burn_rate * Fraction(self.long_window // timedelta(seconds=1))


@dataclass(frozen=True, slots=True)
class UnreachableTier:
    """A tier that is left out because no outage is bad enough for it."""

    severity: Severity
    long_window: timedelta
    burn_rate: Fraction
    reason: str


def burn_rate(budget_share: Fraction, slo_window: timedelta, long_window: timedelta) -> Fraction:
    """How many times faster than allowed the budget is spent if ``budget_share`` of it goes in ``long_window``.

    Never under 1: a tier below it would fire on a service that keeps its promise.
    """
    return max(Fraction(1), budget_share * Fraction(slo_window // _SECOND, long_window // _SECOND))


_SECOND = timedelta(seconds=1)


def budget_spent(tier: Tier, slo_window: timedelta) -> Fraction:
    """The share of the error budget gone when the tier fires after a full long window at its burn rate."""
    return tier.burn_rate * Fraction(tier.long_window // _SECOND, slo_window // _SECOND)


def time_to_fire(tier: Tier, error_ratio: Fraction) -> timedelta | None:
    """How long a constant ``error_ratio``, after perfect service, takes to fire the tier; None if it never does.

    Workbook: (1 - SLO) / error ratio x window x burn rate.  CloudWatch adds up to a minute until it evaluates.
    """
    if error_ratio <= tier.bad_ratio:
        return None
    return timedelta(seconds=float(tier.bad_ratio / error_ratio * (tier.long_window // _SECOND)))


def tiers(slo: Slo) -> tuple[tuple[Tier, ...], tuple[UnreachableTier, ...]]:
    """The tiers of an SLO, and those that its objective puts out of reach.

    Raises PlanError for a window that has no row in the table or an objective that no tier can watch.
    """
    if slo.objective is None or slo.window is None:
        raise PlanError(f"SLO {slo.name} is kept or broken, not a share: it has no burn rate")
    if slo.window not in WINDOW_TABLE:
        known = ", ".join(f"{window.days}d" for window in WINDOW_TABLE)
        raise PlanError(
            f"SLO {slo.name}: window {format_duration(slo.window)} has no burn-rate windows; use one of {known}"
        )
    reachable, unreachable = [], []
    for pair in WINDOW_TABLE[slo.window]:
        rate = burn_rate(pair.budget_share, slo.window, pair.long_window)
        bad_ratio = rate * slo.error_budget
        if bad_ratio < 1:
            reachable.append(Tier(pair.severity, pair.long_window, pair.short_window, rate, bad_ratio))
        else:
            fastest = 1 / slo.error_budget
            reason = (
                f"a burn rate of {format_number(rate)} cannot be reached: with everything failing the budget "
                f"of {format_number(slo.error_budget * 100)} % burns {format_number(fastest)} times as fast as allowed"
            )
            unreachable.append(UnreachableTier(pair.severity, pair.long_window, rate, reason))
    if not reachable:
        raise PlanError(
            f"SLO {slo.name}: no burn rate can ever be reached with an error budget of {format_number(slo.error_budget * 100)} %; raise the objective"
        )
    return tuple(reachable), tuple(unreachable)


def window_condition(
    slo: Slo, tier: Tier, window: timedelta, *, gated: bool
) -> tuple[tuple[MetricQuery, ...], Comparison, float]:
    """What one window's alarm compares: one datapoint as long as the window, which always has a value.

    Without traffic the value says "nothing bad": a plain bad/valid has no datapoint then, and CloudWatch would fall
    back on an older one and keep the alarm in ALARM.  ``gated`` applies the SLO's minimum number of bad events.
    """
    period = window // _SECOND
    measure = slo.sli.measure
    if isinstance(measure, Counted):
        return (
            _counted(measure, max(1, slo.minimum_bad_events) if gated else 1, period),
            Comparison.GREATER,
            float(tier.bad_ratio),
        )
    if isinstance(measure, Ranked):
        minimum = slo.minimum_bad_events if gated else 1
        return _ranked(measure, minimum, period), Comparison.LESS, float(100 * (1 - tier.bad_ratio))
    raise PlanError(f"SLO {slo.name} has no burn rate")


def _counted(measure: Counted, minimum: int, period: int) -> tuple[MetricQuery, ...]:
    """The share of bad events in one datapoint, 0 where there are fewer than ``minimum``.

    A level counts what it rose by since the window before, which CloudWatch reads too: its evaluation range is longer
    than the one datapoint that is judged (User Guide, "Configuring how CloudWatch alarms treat missing data").
    """
    inputs = [
        MetricQuery(
            id="bad",
            stat=MetricStat(measure.bad, "Maximum" if measure.bad_is_level else measure.bad_statistic, period),
            return_data=False,
        ),
        MetricQuery(id="valid", stat=MetricStat(measure.valid, measure.valid_statistic, period), return_data=False),
    ]
    bad = "FILL(bad, 0)"
    if measure.bad_is_level:
        rise = "DIFF(FILL(bad, 0))"
        added = MetricQuery(
            id="added",
            expression=f"FILL(IF({rise} > 0, {rise}, 0), 0)",
            label="bad events",
            return_data=False,
        )
        inputs.insert(0, added)
        bad = "added"
    total = "FILL(valid, 0)" if measure.bad_in_valid else f"(FILL(valid, 0) + {bad})"
    ratio = MetricQuery(id="ratio", expression=f"IF({bad} >= {minimum}, {bad} / {total}, 0)", label="bad share")
    return (ratio, *inputs)


def _ranked(measure: Ranked, minimum: int, period: int) -> tuple[MetricQuery, ...]:
    """The share of good samples in percent, 100 where fewer than ``minimum`` are bad; the gate costs a second metric."""
    good = MetricQuery(id="good", stat=MetricStat(measure.metric, measure.statistic, period), return_data=False)
    label = "good share in percent"
    if minimum <= 1:
        return MetricQuery(id="share", expression="FILL(good, 100)", label=label), good
    # The count of bad samples comes from a rounded percentage; half a sample less absorbs that.
    bad = "FILL(count, 0) * (100 - FILL(good, 100)) / 100"
    gate = format_number(Fraction(2 * minimum - 1, 2))
    return (
        MetricQuery(id="share", expression=f"IF({bad} >= {gate}, FILL(good, 100), 100)", label=label),
        good,
        MetricQuery(id="count", stat=MetricStat(measure.metric, "SampleCount", period), return_data=False),
    )


@dataclass(frozen=True, slots=True)
class HeartbeatWindow:
    """How "no success for this long" is put to CloudWatch: ``periods`` datapoints of ``period`` seconds, all empty."""

    period: int
    periods: int


def heartbeat_window(slo: Slo) -> HeartbeatWindow:
    """The datapoints of a SinceSuccess measure.

    Over a day they are hours, because CloudWatch then evaluates hourly on data clipped to the hour; up to a day they
    are five minutes, under an hour one.  Many short datapoints rather than a single long one: a stale datapoint
    that CloudWatch may fall back on is then at most two short periods old.  Raises PlanError beyond seven days.
    """
    measure = slo.sli.measure
    if not isinstance(measure, SinceSuccess):
        raise PlanError(f"SLO {slo.name} is a share, not a heartbeat")
    seconds = -(-(measure.within // _SECOND) // 1)
    if seconds > 7 * 86_400:
        raise PlanError(
            f"SLO {slo.name}: no success within {format_duration(measure.within)} cannot be watched; "
            "CloudWatch looks back seven days at most"
        )
    period = 60 if seconds < 3600 else 300 if seconds <= 86_400 else 3600
    return HeartbeatWindow(period, -(-seconds // period))


def heartbeat_condition(slo: Slo) -> tuple[tuple[MetricQuery, ...], Comparison, float, HeartbeatWindow]:
    """What a heartbeat alarm compares: successes in each datapoint of its window, fewer than one in all of them."""
    measure = slo.sli.measure
    window = heartbeat_window(slo)
    if not isinstance(measure, SinceSuccess):  # heartbeat_window has refused it already; this is for the type checker
        raise PlanError(f"SLO {slo.name} is a share, not a heartbeat")
    started = MetricQuery(id="started", stat=MetricStat(measure.started, "Sum", window.period), return_data=False)
    inputs: tuple[MetricQuery, ...]
    if measure.also:
        # SUM over an array rather than "+": a counter that has never been reported must not hide the others.
        inputs = (
            started,
            *(
                MetricQuery(id=f"started{number}", stat=MetricStat(metric, "Sum", window.period), return_data=False)
                for number, metric in enumerate(measure.also, 2)
            ),
        )
        expression = f"SUM([{', '.join(f'FILL({query.id}, 0)' for query in inputs)}])"
    elif measure.failed is None:
        expression, inputs = "FILL(started, 0)", (started,)
    else:
        failed = MetricQuery(id="failed", stat=MetricStat(measure.failed, "Sum", window.period), return_data=False)
        expression, inputs = "FILL(started, 0) - FILL(failed, 0)", (started, failed)
    successes = MetricQuery(id="successes", expression=expression, label="successful runs")
    return (successes, *inputs), Comparison.LESS, 1.0, window
