"""What should happen: for a constant share the workbook's formula, to the second; and beyond it the same rule."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import numpy as np
import pytest
from tests.backtest.promised import KINDS, promise, ratio

from tocsin.alarm import AlarmState
from tocsin.backtest.theory import Expected, expect_burn, expect_run
from tocsin.backtest.traffic import Course, Traffic, moment, record
from tocsin.burn_rate import HeartbeatWindow, tiers, time_to_fire
from tocsin.model import Severity
from tocsin.simulate.reading import Reading
from tocsin.simulate.timeline import simulate

HISTORY, DAY = 3 * 1440, 1440
MINUTE = timedelta(minutes=1)


def constant(share: float, minutes: int, rate: float = 100) -> Course:
    shares = np.concatenate((np.zeros(HISTORY), np.full(minutes, share), np.zeros(480)))
    return Course(np.full(len(shares), rate), shares)


@pytest.mark.parametrize("objective", ["95%", "99%", "99.9%", "99.99%"])
@pytest.mark.parametrize("window", ["7d", "28d", "30d", "90d"])
@pytest.mark.parametrize("burn", [Fraction(3, 2), Fraction(2), Fraction(7), Fraction(15), Fraction(100), None])
def test_a_constant_share_is_the_workbooks_formula(objective: str, window: str, burn: Fraction | None) -> None:
    """``burn`` is a burn rate, None a full outage; so is what cannot be reached."""
    slo = ratio(objective, window=window, fewest=1)
    share = Fraction(1) if burn is None else min(Fraction(1), burn * slo.error_budget)
    for severity in Severity:
        own = [tier for tier in tiers(slo)[0] if tier.severity is severity]
        # Far from every threshold, where nothing is left to chance.
        if any(Fraction(97, 100) < share / tier.bad_ratio < Fraction(103, 100) for tier in own):
            continue
        times = [time for tier in own if (time := time_to_fire(tier, share)) is not None]
        found = expect_burn(slo, own, constant(float(share), 4 * DAY, 1e6), HISTORY, HISTORY)
        if not times:
            assert found.expected is Expected.SILENT
            continue
        assert found.expected is Expected.FIRES
        assert found.after is not None
        assert abs(found.after - min(times)) < timedelta(seconds=1)


def test_fewer_bad_events_than_it_takes_come_later_or_never() -> None:
    slo = ratio(fewest=600)
    own = [tier for tier in tiers(slo)[0] if tier.severity is Severity.PAGE]
    assert expect_burn(slo, own, constant(1, 60), HISTORY, HISTORY).after == 6 * MINUTE
    assert expect_burn(slo, own, constant(0.1, 50), HISTORY, HISTORY).expected is Expected.SILENT


def test_at_the_threshold_chance_decides() -> None:
    slo = ratio()
    own = [tier for tier in tiers(slo)[0] if tier.severity is Severity.TICKET]
    assert expect_burn(slo, own, constant(0.001, 4 * DAY), HISTORY, HISTORY).expected is Expected.EITHER


def test_a_window_of_days_may_take_almost_two_hours_longer() -> None:
    slo = ratio()
    own = [tier for tier in tiers(slo)[0] if tier.severity is Severity.TICKET]
    found = expect_burn(slo, own, constant(0.002, 3 * DAY), HISTORY, HISTORY)
    assert found.after == timedelta(hours=36)
    assert found.at_latest == timedelta(hours=37, minutes=59), "to the next full hour, and to the last minute of it"


@pytest.mark.parametrize(
    ("successes", "expected", "after"),
    [
        ([300, 1740, 3180, 4620], Expected.SILENT, None),
        ([300, 1740, 4620], Expected.FIRES, 2 * 60),
        # 26 hours and a minute: seen if a full hour falls into that minute.
        ([300, 1740, 1740 + 1561, 4620], Expected.EITHER, 2 * 60),
        # More than an hour after them holds a full hour, even if it is evaluated after the run.
        ([300, 1740, 1740 + 1621, 4620], Expected.FIRES, 2 * 60),
    ],
)
def test_a_heartbeat(successes: list[int], expected: Expected, after: int | None) -> None:
    window = HeartbeatWindow(3600, 26)
    found = expect_run(window, np.array(successes, dtype=float), 4700, 1750, 1740 + DAY)
    assert found.expected is expected
    assert found.after == (None if after is None else after * MINUTE)
    assert found.at_latest == (None if after is None else (after + 119) * MINUTE)


@pytest.mark.parametrize("evaluated", [0, 3, 30, 59])
@pytest.mark.parametrize("since", [0, 1, 29, 59])
def test_a_heartbeat_fires_within_its_times_in_whatever_minute_it_is_evaluated(since: int, evaluated: int) -> None:
    one = promise(KINDS["daily"]())
    last = DAY + since
    runs = np.array([since, last], dtype=float)
    theory = expect_run(HeartbeatWindow(3600, 26), runs, 4 * DAY, last + 1, last + DAY)
    valid = np.zeros(4 * DAY)
    valid[runs.astype(int)] = 1
    traffic = Traffic(Course(valid, np.zeros(len(valid))), valid, np.zeros(len(valid)), 1.0, last + 1)
    store, name = record(one.slo.sli.measure, traffic), one.alarms[Severity.PAGE]
    timeline = simulate(
        one.template,
        store,
        moment(last + 1),
        traffic.end,
        initial={alarm.name: AlarmState.OK for alarm in one.template.alarms},
        reading=Reading(hourly_minute=evaluated),
    )
    fired = next(change.at for change in timeline.changes[name] if change.state is AlarmState.ALARM)
    assert theory.after is not None
    assert theory.at_latest is not None
    assert theory.expected is Expected.FIRES
    assert theory.after <= fired - moment(last + DAY) <= theory.at_latest
