"""Burn rates: the workbook's figures, and what holds for every objective and window."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.alarm import Metric
from tocsin.burn_rate import WINDOW_TABLE, budget_spent, heartbeat_window, tiers, time_to_fire, window_condition
from tocsin.errors import PlanError
from tocsin.model import Counted, Resource, Severity, SinceSuccess, Sli, SliKind, Slo
from tocsin.units import ratio

BAD, VALID = Metric("N", "Bad"), Metric("N", "Valid")


def slo(objective: str | Fraction, days: int = 30, minimum: int = 1) -> Slo:
    sli = Sli(SliKind.AVAILABILITY, Resource("T", "Thing"), Counted(BAD, VALID), "good", "source")
    return Slo("promise", sli, ratio(objective), timedelta(days=days), minimum_bad_events=minimum)


@pytest.mark.parametrize(
    ("days", "rates"),
    [
        (30, ["14.4", "6", "3", "1"]),
        (28, ["13.44", "5.6", "2.8", "1"]),
        (90, ["43.2", "18", "9", "3"]),
        (7, ["13.44", "3.5", "1.4", "1"]),
    ],
)
def test_the_rates_follow_from_budget_share_and_windows(days: int, rates: list[str]) -> None:
    found, unreachable = tiers(slo("99.9%", days))
    assert [tier.burn_rate for tier in found] == [Fraction(rate) for rate in rates]
    assert not unreachable


def test_the_workbooks_own_table() -> None:
    """Google SRE workbook, table 5-8: severity, windows, burn rate, budget; full outage at 99.9 % fires after."""
    found, _ = tiers(slo("99.9%", 30))
    assert [
        (tier.severity.value, tier.long_window, tier.short_window, budget_spent(tier, timedelta(days=30)))
        for tier in found
    ] == [
        ("page", timedelta(hours=1), timedelta(minutes=5), Fraction(2, 100)),
        ("page", timedelta(hours=6), timedelta(minutes=30), Fraction(5, 100)),
        ("ticket", timedelta(days=1), timedelta(hours=2), Fraction(10, 100)),
        ("ticket", timedelta(days=3), timedelta(hours=6), Fraction(10, 100)),
    ]
    delays = [time_to_fire(tier, Fraction(1)) for tier in found]
    assert delays == [timedelta(minutes=minutes) for minutes in (0.864, 2.16, 4.32, 4.32)]


def test_a_tier_that_nothing_can_reach_is_left_out_and_said() -> None:
    found, unreachable = tiers(slo("93%"))
    assert [tier.burn_rate for tier in found] == [6, 3, 1]
    assert [tier.burn_rate for tier in unreachable] == [Fraction("14.4")]
    assert "cannot be reached" in unreachable[0].reason
    assert not tiers(slo("93.06%"))[1], "14.4 needs an objective above 93.05 %"


def test_a_window_without_a_row_is_refused() -> None:
    with pytest.raises(PlanError, match="use one of 7d, 28d, 30d, 90d"):
        tiers(slo("99%", 14))


@given(
    st.fractions(min_value=Fraction(9, 10), max_value=Fraction(9999, 10000)),
    st.sampled_from([window.days for window in WINDOW_TABLE]),
)
def test_every_objective_has_sound_tiers(objective: Fraction, days: int) -> None:
    promise = slo(objective, days)
    found, unreachable = tiers(promise)
    assert len(found) + len(unreachable) == 4
    assert {tier.severity for tier in found} <= set(Severity)
    for tier in found:
        assert tier.burn_rate >= 1, "a service that keeps its promise must never fire"
        assert tier.bad_ratio < 1, "a total outage must fire"
        assert tier.bad_ratio == tier.burn_rate * promise.error_budget
        assert time_to_fire(tier, Fraction(1)) is not None
        assert time_to_fire(tier, tier.bad_ratio) is None
        for window in (tier.long_window, tier.short_window):
            queries, _, threshold = window_condition(promise, tier, window, gated=True)
            (period,) = {query.stat.period for query in queries if query.stat}
            assert period % 60 == 0
            assert period <= 604_800
            assert threshold == pytest.approx(float(tier.bad_ratio), rel=1e-15)
    for left in unreachable:
        assert left.burn_rate * promise.error_budget >= 1


@given(st.integers(min_value=60, max_value=7 * 86_400))
def test_a_heartbeat_window_is_legal_and_never_shorter_than_promised(seconds: int) -> None:
    sli = Sli(
        SliKind.HEARTBEAT, Resource("T", "Job"), SinceSuccess(VALID, BAD, timedelta(seconds=seconds)), "good", "source"
    )
    window = heartbeat_window(Slo("beat", sli, None, None))
    length = window.period * window.periods
    assert seconds <= length < seconds + window.period
    assert length <= (604_800 if window.period >= 3600 else 86_400)


def test_a_heartbeat_beyond_a_week_is_refused() -> None:
    sli = Sli(SliKind.HEARTBEAT, Resource("T", "Job"), SinceSuccess(VALID, None, timedelta(days=8)), "good", "source")
    with pytest.raises(PlanError, match="seven days"):
        heartbeat_window(Slo("beat", sli, None, None))
