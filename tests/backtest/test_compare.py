"""The difference between two backtests."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tocsin.alarm import Actions, Alarm, Comparison, Metric, MetricStat, TreatMissingData, single
from tocsin.backtest.compare import compare_scenarios, compare_scores
from tocsin.backtest.incident import Incident
from tocsin.backtest.labelled import Scores, backtest_labelled
from tocsin.simulate.series import Series, Store
from tocsin.simulate.template import AlarmTemplate

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
METRIC = Metric("Test", "Load")
TELLS = Actions(alarm=("arn:aws:sns:eu-west-1:123456789012:on-call",))


class Report:
    """What compare reads of a report of scenarios: its figures as JSON."""

    def __init__(self, *outcomes: Mapping[str, Any], years: Mapping[str, Mapping[str, int]] | None = None) -> None:
        self.outcomes = outcomes
        self.years = years or {}

    def as_json(self) -> dict[str, Any]:
        years = [{"slo": slo, "told": told} for slo, told in self.years.items()]
        return {"outcomes": list(self.outcomes), "healthy_year": years}


def outcome(scenario: str, **figures: Any) -> dict[str, Any]:
    usual = {
        "slo": "availability",
        "scenario": scenario,
        "severity": "page",
        "expected": "fires",
        "fired": True,
        "in_alarm_after": 120.0,
        "told_after": 120.0,
        "held_back": False,
        "reset_after": 300.0,
        "budget_gone": 0.001,
        "notifications": 1,
        "verdict": "as expected",
    }
    return {**usual, **figures}


def scores(low: float, name: str = "load", metric: Metric = METRIC) -> Scores:
    values = [1.0] * 600
    values[100:110] = [9.0] * 10
    values[300:320] = [20.0] * 20
    store = Store()
    store.add_series(Series(METRIC, NOON, 60, values=values))
    stat = single(MetricStat(metric, "Maximum", 60))
    alarm = Alarm(name, stat, Comparison.GREATER, low, 1, 1, TreatMissingData.NOT_BREACHING, actions=TELLS)
    incident = Incident("overload", NOON + timedelta(minutes=298), NOON + timedelta(minutes=330))
    return backtest_labelled(AlarmTemplate((alarm,)), store, [incident], NOON, NOON + timedelta(minutes=600))


def test_what_is_the_same_is_no_difference() -> None:
    for found in (
        compare_scores(scores(5), scores(5)),
        compare_scenarios(Report(outcome("outage")), Report(outcome("outage"))),  # type: ignore[arg-type]
    ):
        assert list(found.lines()) == ["no difference"]
        assert found.as_json() == {"changes": [], "only_here": [], "only_there": [], "better": 0, "worse": 0}


def test_a_threshold_that_is_wrong_less_often_is_better() -> None:
    found = compare_scores(scores(10), scores(5))
    changed = {(one.what, one.figure): (one.here, one.there, one.better) for one in found.changes}
    assert changed["load", "precision"] == (1, 0.5, True)
    assert changed["load", "false_alarms_per_week"][2] is True
    assert changed["load", "firings"] == (1, 2, None)
    assert ("load", "recall") not in changed
    assert not found.worse
    assert "better here than there, 0 worse" in list(found.lines())[-1]


def test_an_incident_that_is_told_no_more_is_worse() -> None:
    found = compare_scores(scores(50), scores(5))
    assert [(one.here, one.there) for one in found.worse if one.what == "overload"] == [(False, True)]
    assert ("load", "recall") in {(one.what, one.figure) for one in found.worse}
    # Without firings there is no precision; that is neither better nor worse.
    assert [one.better for one in found.changes if one.figure == "precision"] == [None, None]


def test_an_incident_that_only_alarms_without_data_could_see_is_worse() -> None:
    """Such an incident is not missed, but neither is anybody told of it."""
    found = compare_scores(scores(5, metric=Metric("Test", "Laod")), scores(5))
    told = next(one for one in found.changes if one.what == "overload")
    assert (told.figure, told.here, told.there, told.better) == ("told", "no data", True, False)
    assert any(line.split() == ["overload", "told", "no", "data", "yes", "worse"] for line in found.lines())
    other = compare_scores(scores(5), scores(5, metric=Metric("Test", "Laod")))
    assert [one.better for one in other.changes if one.what == "overload"] == [True]
    missed = compare_scores(scores(5, metric=Metric("Test", "Laod")), scores(50))
    assert [(one.here, one.there, one.better) for one in missed.changes if one.what == "overload"] == [
        ("no data", False, False)
    ]


def test_what_is_better_here_is_worse_the_other_way_round() -> None:
    one, other = compare_scores(scores(10), scores(5)), compare_scores(scores(5), scores(10))
    opposite = {True: False, False: True, None: None}
    assert [opposite[a.better] for a in one.changes] == [a.better for a in other.changes]


def test_alarms_of_one_side_are_named() -> None:
    found = compare_scores(scores(5), scores(5, "burden"))
    assert (found.only_here, found.only_there) == (("load",), ("burden",))
    assert list(found.lines()) == ["only here: load", "only there: burden"]


@pytest.mark.parametrize(
    ("here", "there", "better"),
    [
        ({"in_alarm_after": 60.0}, {}, {"in_alarm_after": True}),
        ({"told_after": 60.0}, {}, {"told_after": True}),
        ({}, {"reset_after": 100.0}, {"reset_after": False}),
        ({"budget_gone": 0.1}, {}, {"budget_gone": False}),
        ({"notifications": 3}, {}, {"notifications": False}),
        ({"notifications": 1}, {"notifications": 11}, {"notifications": True}),
        ({"notifications": 0}, {}, {"notifications": False}),
        ({"notifications": 0}, {"notifications": 11}, {"notifications": False}),
        ({"notifications": 0, "held_back": True}, {}, {"notifications": None}),
        (
            {"notifications": 1, "expected": "silent"},
            {"notifications": 2, "expected": "silent"},
            {"notifications": True},
        ),
        (
            {"notifications": 0, "expected": "silent"},
            {"notifications": 2, "expected": "silent"},
            {"notifications": True},
        ),
        (
            {"notifications": 0, "expected": "either"},
            {"notifications": 2, "expected": "either"},
            {"notifications": None},
        ),
        ({"verdict": "missed", "fired": False, "notifications": 0}, {}, {"verdict": False, "fired": None}),
        ({}, {"verdict": "late"}, {"verdict": True}),
        ({"verdict": "missed"}, {"verdict": "late"}, {"verdict": None}),
        ({"expected": "silent"}, {"expected": "silent", "in_alarm_after": 5.0}, {"in_alarm_after": None}),
        ({"in_alarm_after": None}, {}, {"in_alarm_after": None}),
        ({"told_after": None, "held_back": True}, {}, {"told_after": None}),
    ],
)
def test_scenarios(here: dict[str, Any], there: dict[str, Any], better: dict[str, bool | None]) -> None:
    found = compare_scenarios(Report(outcome("outage", **here)), Report(outcome("outage", **there)))  # type: ignore[arg-type]
    assert {one.figure: one.better for one in found.changes} == better
    assert {one.what for one in found.changes} == {"availability, outage, page"}


def test_healthy_years_and_scenarios_of_one_side() -> None:
    here = Report(outcome("outage"), years={"availability": {"page": 0, "ticket": 4}})
    there = Report(outcome("leak"), years={"availability": {"page": 2, "ticket": 3}})
    found = compare_scenarios(here, there)  # type: ignore[arg-type]
    assert [(one.figure, one.here, one.there, one.better) for one in found.changes] == [
        ("pages", 0, 2, True),
        ("tickets", 4, 3, False),
    ]
    assert found.only_here == ("availability, outage, page",)
    assert found.only_there == ("availability, leak, page",)
