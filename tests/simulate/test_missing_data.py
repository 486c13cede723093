"""The documented tables of missing data, cell by cell, and the named readings beside them."""

from __future__ import annotations

import json

import pytest
from shorthand import NOON, alarm, slots, store

from tocsin.alarm import AlarmState, TreatMissingData
from tocsin.errors import SimulationError
from tocsin.simulate.metric_alarm import evaluate
from tocsin.simulate.reading import FreshBreach, Premature, Reading
from tocsin.simulate.verdict import Verdict, judge

# User guide, "Configuring how CloudWatch alarms treat missing data": both tables, complete.
DOCUMENTED = json.loads("""
{"range": 5,
 "order": ["missing", "ignore", "breaching", "notBreaching"],
 "rows": [
  {"n": 3, "m": 3, "pattern": "0-X-X", "result": ["OK", "OK", "OK", "OK"]},
  {"n": 3, "m": 3, "pattern": "0----", "result": ["OK", "OK", "OK", "OK"]},
  {"n": 3, "m": 3, "pattern": "-----", "result": ["INSUFFICIENT_DATA", "RETAIN", "ALARM", "OK"]},
  {"n": 3, "m": 3, "pattern": "0XX-X", "result": ["ALARM", "ALARM", "ALARM", "ALARM"]},
  {"n": 3, "m": 3, "pattern": "--X--", "result": ["ALARM", "RETAIN", "ALARM", "OK"]},
  {"n": 3, "m": 2, "pattern": "0-X-X", "result": ["ALARM", "ALARM", "ALARM", "ALARM"]},
  {"n": 3, "m": 2, "pattern": "00X0X", "result": ["ALARM", "ALARM", "ALARM", "ALARM"]},
  {"n": 3, "m": 2, "pattern": "0-X--", "result": ["OK", "OK", "ALARM", "OK"]},
  {"n": 3, "m": 2, "pattern": "----0", "result": ["OK", "OK", "ALARM", "OK"]},
  {"n": 3, "m": 2, "pattern": "---X-", "result": ["ALARM", "RETAIN", "ALARM", "OK"]}
 ]}
""")
CELLS = [
    (row["n"], row["m"], row["pattern"], TreatMissingData(treat), Verdict(result))
    for row in DOCUMENTED["rows"]
    for treat, result in zip(DOCUMENTED["order"], row["result"], strict=True)
]


def test_the_tables_have_forty_cells() -> None:
    assert len(CELLS) == 40


@pytest.mark.parametrize(("n", "m", "pattern", "treat", "expected"), CELLS)
def test_documented_cell(n: int, m: int, pattern: str, treat: TreatMissingData, expected: Verdict) -> None:
    assert judge(slots(pattern), n, m, treat) is expected


@pytest.mark.parametrize(("n", "m", "pattern", "treat", "expected"), CELLS)
@pytest.mark.parametrize("before", list(AlarmState))
def test_documented_cell_from_data(
    n: int, m: int, pattern: str, treat: TreatMissingData, expected: Verdict, before: AlarmState
) -> None:
    found = evaluate(alarm(n, m, treat), store(pattern), NOON, before, evaluation_range=5)
    assert found.state is expected.state(before)
    assert found.kept is (expected is Verdict.RETAIN)


@pytest.mark.parametrize(
    ("pattern", "treat", "expected"),
    [
        # In the guide's prose beside table A: not ALARM at once.
        ("----X", "missing", Verdict.OK),
        ("---X-", "missing", Verdict.OK),
        ("--X--", "missing", Verdict.ALARM),
        ("-----", "breaching", Verdict.ALARM),
    ],
)
def test_prose_beside_the_tables(pattern: str, treat: str, expected: Verdict) -> None:
    assert judge(slots(pattern), 3, 3, TreatMissingData(treat)) is expected


# Rows that stood in the guide from June 2018 to July 2019.
OLD_ROWS = [
    (3, 3, "----X", "missing", Verdict.INSUFFICIENT_DATA),
    (3, 3, "----X", "ignore", Verdict.RETAIN),
    (3, 3, "----X", "breaching", Verdict.ALARM),
    (3, 3, "----X", "notBreaching", Verdict.OK),
    (3, 3, "X----", "missing", Verdict.ALARM),
    (3, 3, "X----", "ignore", Verdict.RETAIN),
    (3, 3, "X----", "breaching", Verdict.ALARM),
    (3, 3, "X----", "notBreaching", Verdict.OK),
]


@pytest.mark.parametrize(("n", "m", "pattern", "treat", "expected"), OLD_ROWS)
def test_removed_rows_are_a_named_reading(n: int, m: int, pattern: str, treat: str, expected: Verdict) -> None:
    old = Reading(fresh_breach=FreshBreach.INSUFFICIENT_DATA)
    assert judge(slots(pattern), n, m, TreatMissingData(treat), old) is expected


def test_the_removed_two_of_three_row() -> None:
    # One fresh breach, M = 2: too new by every reading; only what it is then called differs.
    old = Reading(fresh_breach=FreshBreach.INSUFFICIENT_DATA)
    assert judge(slots("----X"), 3, 2, TreatMissingData.MISSING, old) is Verdict.INSUFFICIENT_DATA
    assert judge(slots("----X"), 3, 2, TreatMissingData.MISSING) is Verdict.OK


@pytest.mark.parametrize("pattern", ["X----", "-X---"])
def test_premature_alarm_over_the_range_or_the_window(pattern: str) -> None:
    assert judge(slots(pattern), 3, 3, TreatMissingData.MISSING) is Verdict.ALARM
    window = Reading(premature=Premature.WINDOW)
    assert judge(slots(pattern), 3, 3, TreatMissingData.MISSING, window) is Verdict.OK


@pytest.mark.parametrize(("n", "m", "pattern", "treat", "expected"), CELLS)
def test_the_window_reading_agrees_with_the_tables(
    n: int, m: int, pattern: str, treat: TreatMissingData, expected: Verdict
) -> None:
    assert judge(slots(pattern), n, m, treat, Reading(premature=Premature.WINDOW)) is expected


@pytest.mark.parametrize("treat", list(TreatMissingData))
def test_only_the_newest_n_datapoints_count(treat: TreatMissingData) -> None:
    assert judge(slots("XX000"), 3, 2, treat) is Verdict.OK
    assert judge(slots("000XX"), 3, 2, treat) is Verdict.ALARM


def test_enough_real_datapoints_in_the_range_make_the_treatment_irrelevant() -> None:
    # The stale datapoint trap: nothing new has come, yet "notBreaching" does not clear the alarm.
    assert judge(slots("X--"), 1, 1, TreatMissingData.NOT_BREACHING) is Verdict.ALARM
    assert judge(slots("---"), 1, 1, TreatMissingData.NOT_BREACHING) is Verdict.OK


def test_a_verdict_that_depends_on_the_range_is_flagged() -> None:
    stale = evaluate(alarm(1, 1, TreatMissingData.NOT_BREACHING), store("X--"), NOON, AlarmState.OK)
    assert (stale.state, stale.depends_on_range) == (AlarmState.ALARM, True)
    fresh = evaluate(alarm(1, 1, TreatMissingData.NOT_BREACHING), store("--X"), NOON, AlarmState.OK)
    assert (fresh.state, fresh.depends_on_range) == (AlarmState.ALARM, False)


def test_the_range_is_a_parameter() -> None:
    one = alarm(1, 1, TreatMissingData.NOT_BREACHING)
    states = [evaluate(one, store("X--"), NOON, AlarmState.OK, evaluation_range=r).state for r in (1, 2, 3)]
    assert states == [AlarmState.OK, AlarmState.OK, AlarmState.ALARM]
    with pytest.raises(SimulationError, match="shorter than EvaluationPeriods 3"):
        evaluate(alarm(3), store("X--"), NOON, AlarmState.OK, evaluation_range=2)
