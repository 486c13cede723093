"""Declared promises that were never pulled, and what `tocsin tune` proposes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.review.reference_tables import DAY, History, utc

from tocsin.backtest.scoring import Detection, Score
from tocsin.backtest.trial import Setting
from tocsin.backtest.tune import Proposal, Tuning
from tocsin.declarations import load_systems
from tocsin.errors import InputError
from tocsin.plan import Plan, plan
from tocsin.review.make import make_pack
from tocsin.review.pack import State
from tocsin.review.suggestions import tuned

ROOT = Path(__file__).parents[2]
NOW, START, END = utc("2026-11-21 00:00"), utc("2026-10-01 00:00"), utc("2026-11-01 00:00")


@pytest.fixture(scope="module")
def declared() -> Plan:
    (system,) = load_systems(ROOT, "monitoring/systems", {}, "notification")
    return plan(system)


def history() -> History:
    made = History()
    made.promise("api-availability", "999/1000", system="notification")
    made.asked("api-availability", START, END, system="notification")
    made.steady("api-availability", START, END, 1000, period=3600, system="notification")
    return made


def test_what_is_declared_and_was_never_pulled_is_in_the_pack(declared: Plan) -> None:
    pack = make_pack(history().in_memory(), "2026-10", "prod", "UTC", None, NOW, [declared])
    states = {one.slo: one.state for one in pack.slos}
    assert states.pop("api-availability") is State.KEPT
    assert set(states) == {slo.name for slo in declared.system.slos} - {"api-availability"}
    assert set(states.values()) == {State.UNKNOWN}
    assert [one.slo for one in pack.slos] == sorted(one.slo for one in pack.slos)
    gaps = {gap.where: gap.what for gap in pack.gaps}
    assert gaps["notification: daily-run"].startswith(
        "it is declared, and was never pulled; run `tocsin history pull prod`"
    )
    assert pack.decisions == ()


def test_systems_that_are_not_asked_for_are_not_there(declared: Plan) -> None:
    made = history()
    made.promise("api", "99/100")
    made.asked("api", START, END)
    pack = make_pack(made.in_memory(), "2026-10", "prod", "UTC", ["shop"], NOW, [declared])
    assert [one.system for one in pack.slos] == ["shop"]


def test_a_declared_system_without_history_is_no_wrong_name(declared: Plan) -> None:
    made = History()
    made.promise("api", "99/100")
    made.asked("api", START, END)
    with pytest.raises(
        InputError, match="the history of prod holds nothing of notification yet; run `tocsin history pull prod`"
    ):
        make_pack(made.in_memory(), "2026-10", "prod", "UTC", ["notification"], NOW, [declared])


def score(seen: int, false: int) -> Score:
    return Score(
        name="x",
        incidents=("a", "b"),
        detections=tuple(Detection("a", timedelta(), False, "x") for _ in range(seen)),
        firings=false,
        true_firings=0,
        in_alarm=timedelta(),
        in_alarm_outside=timedelta(),
        outside=DAY,
    )


def test_what_tune_proposes_is_a_suggestion() -> None:
    good = Proposal(
        alarm="errors",
        now=Setting(20.0, 5, 3),
        new=Setting(35.5, 5, 4),
        before=score(1, 9),
        after=score(2, 1),
        low=30.0,
        high=40.0,
        confirmed=True,
        check="confirmed: it is wrong less often after it too",
        lines=(),
    )
    doubtful = replace(good, alarm="other", confirmed=False)
    (one,) = tuned(Tuning(START, END, True, 2, (good, doubtful), {}), "shop")
    assert (one.system, one.alarm) == ("shop", "errors")
    assert one.change == "threshold 20, 3 of 5 → threshold 35.5, 4 of 5"
    assert one.because == (
        "false alarms 9 → 1, incidents seen 1 → 2 of 2 from 2026-10-01 to 2026-11-01; "
        "confirmed: it is wrong less often after it too"
    )
