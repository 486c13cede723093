"""What AWS leaves open: each named reading beside the default, on the smallest case in which they differ."""

from __future__ import annotations

import pytest
from shorthand import METRIC, NOON, alarm, minutes, slots, store

from tocsin.alarm import AlarmState, CompositeAlarm, TreatMissingData
from tocsin.errors import SimulationError
from tocsin.simulate.composite import evaluate_rule, names_in, parse_rule
from tocsin.simulate.metric_alarm import evaluate
from tocsin.simulate.reading import Counted, FreshBreach, Precedence, Premature, Reading, Share
from tocsin.simulate.template import AlarmTemplate
from tocsin.simulate.timeline import simulate
from tocsin.simulate.verdict import Verdict, judge

A, O, I = AlarmState.ALARM, AlarmState.OK, AlarmState.INSUFFICIENT_DATA  # noqa: E741
MISSING = TreatMissingData.MISSING


@pytest.mark.parametrize(
    ("pattern", "n", "m", "default", "readings"),
    [
        ("----X", 3, 3, "OK", {"old": "INSUFFICIENT_DATA", "window": "OK", "range": "OK"}),
        ("----X", 3, 2, "OK", {"old": "INSUFFICIENT_DATA", "window": "OK", "range": "OK"}),
        ("X----", 3, 3, "ALARM", {"old": "ALARM", "window": "OK", "range": "ALARM"}),
        ("-X---", 3, 3, "ALARM", {"old": "ALARM", "window": "OK", "range": "ALARM"}),
        ("XX000", 3, 2, "OK", {"old": "OK", "window": "OK", "range": "ALARM"}),
        ("X-X00", 3, 2, "OK", {"old": "OK", "window": "OK", "range": "ALARM"}),
    ],
)
@pytest.mark.parametrize("literal", [False, True])
def test_where_readings_of_missing_data_differ(
    pattern: str, n: int, m: int, default: str, readings: dict[str, str], literal: bool
) -> None:
    named = {
        "old": Reading(fresh_breach=FreshBreach.INSUFFICIENT_DATA),
        "window": Reading(premature=Premature.WINDOW),
        "range": Reading(counted=Counted.RANGE),
    }
    expected = {Reading(): default} | {named[name]: result for name, result in readings.items()}
    for reading, result in expected.items():
        assert judge(slots(pattern), n, m, MISSING, reading) is Verdict(result)
        # And the same from data, by either evaluator.
        found = simulate(AlarmTemplate((alarm(n, m),)), store(pattern), NOON, NOON, reading=reading, literal=literal)
        assert found.changes["faults"][0].state is AlarmState(result)


def test_the_length_of_the_range() -> None:
    one = alarm(1, 1, TreatMissingData.NOT_BREACHING)
    states = [evaluate(one, store("X--"), NOON, O, reading=Reading(extra_periods=extra)).state for extra in range(4)]
    assert states == [O, O, A, A]
    with pytest.raises(SimulationError, match="must be 0 or more"):
        Reading(extra_periods=-1)


STATES = {"yes": A, "no": O}
LEFT = Reading(precedence=Precedence.LEFT_TO_RIGHT)


@pytest.mark.parametrize(
    ("rule", "default", "left_to_right"),
    [
        ("TRUE OR FALSE AND FALSE", True, False),
        ("FALSE AND FALSE OR TRUE", True, True),
        ("TRUE OR (FALSE AND FALSE)", True, True),
        ("NOT FALSE AND FALSE", False, False),
        ("ALARM(yes) OR ALARM(yes) AND ALARM(no) OR ALARM(no)", True, False),
        ("(TRUE OR FALSE AND FALSE) OR FALSE", True, False),
        ("ALARM(yes)", True, True),
    ],
)
def test_the_precedence_of_and_and_or(rule: str, default: bool, left_to_right: bool) -> None:
    assert evaluate_rule(parse_rule(rule), STATES) is default
    assert evaluate_rule(parse_rule(rule, LEFT), STATES) is left_to_right
    assert names_in(parse_rule(rule)) == names_in(parse_rule(rule, LEFT))


def test_a_long_rule_from_left_to_right_is_no_deep_one() -> None:
    assert evaluate_rule(parse_rule("FALSE AND TRUE OR " * 240 + "TRUE", LEFT), {}) is True
    with pytest.raises(SimulationError, match="position 10: unexpected"):
        parse_rule("ALARM(a) ALARM(b)", LEFT)


@pytest.mark.parametrize(
    ("share", "of", "counts"),
    [
        ("34%", 3, (2, 1, 1)),
        ("33%", 3, (1, 1, 1)),
        ("50%", 3, (2, 1, 2)),
        ("7%", 100, (7, 7, 7)),
        ("100%", 3, (3, 3, 3)),
    ],
)
def test_the_rounding_of_at_least(share: str, of: int, counts: tuple[int, ...]) -> None:
    rule = f"AT_LEAST({share}, ALARM, ({', '.join(f'a{i}' for i in range(of))}))"
    for rounding, count in zip((Share.UP, Share.DOWN, Share.NEAREST), counts, strict=True):
        tree = parse_rule(rule, Reading(at_least=rounding))
        for firing in (count - 1, count):
            states = {f"a{i}": A if i < firing else O for i in range(of)}
            assert evaluate_rule(tree, states) is (firing == count)


def test_a_timeline_reads_its_rules_as_it_is_told() -> None:
    composite = CompositeAlarm("all", "TRUE OR FALSE AND ALARM(faults)")
    template = AlarmTemplate((alarm(1, 1, TreatMissingData.NOT_BREACHING, metric=METRIC),), (composite,))
    states = [
        simulate(template, store("0"), NOON, NOON + minutes(1), reading=reading).changes["all"][0].state
        for reading in (Reading(), LEFT)
    ]
    assert states == [A, O]
