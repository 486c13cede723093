"""The grammar of composite alarms, what rules mean, and what is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.alarm import AlarmState
from tocsin.errors import SimulationError
from tocsin.simulate.composite import evaluate_rule, evaluation_order, names_in, parse_rule

A, O, I = AlarmState.ALARM, AlarmState.OK, AlarmState.INSUFFICIENT_DATA  # noqa: E741
STATES = {"a": A, "b": O, "c": I, 'say "hi"': A, "two words": A, "back\\slash": A, "x,y": A}
ARN = "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("ALARM(a)", True),
        ('ALARM("a")', True),
        ("OK(a)", False),
        ("OK(b)", True),
        ("INSUFFICIENT_DATA(c)", True),
        ("ALARM(c)", False),
        ("TRUE", True),
        ("FALSE", False),
        ("NOT FALSE", True),
        ("NOT NOT TRUE", True),
        ("NOT ALARM(b)", True),
        ("ALARM(a) AND ALARM(b)", False),
        ("ALARM(a) OR ALARM(b)", True),
        ("ALARM(a)AND OK(b)", True),
        ("(ALARM(a) AND ALARM(b)) OR (ALARM(a) AND OK(b))", True),
        ("NOT (ALARM(a) AND OK(b))", False),
        # NOT before AND before OR.
        ("TRUE OR FALSE AND FALSE", True),
        ("(TRUE OR FALSE) AND FALSE", False),
        ("NOT FALSE AND FALSE", False),
        (f"ALARM({ARN}a)", True),
        (f'ALARM("{ARN}two words")', True),
        (r'ALARM("say \"hi\"")', True),
        (r'ALARM("back\\slash")', True),
        ('ALARM("x,y")', True),
        ("\n  ALARM ( a )\n  AND\n  OK ( b )\n", True),
        ("AT_LEAST(1, ALARM, (a, b, c))", True),
        ("AT_LEAST(2, ALARM, (a, b, c))", False),
        ("AT_LEAST(2, NOT ALARM, (a, b, c))", True),
        ("AT_LEAST(3, NOT ALARM, (a, b, c))", False),
        ('AT_LEAST(2, ALARM, (a, "two words", b))', True),
        ("AT_LEAST(34%, ALARM, (a, b, c))", False),
        ("AT_LEAST(33%, ALARM, (a, b, c))", True),
        ("AT_LEAST(50%, NOT OK, (a, b, c))", True),
        ("AT_LEAST(100%, OK, (b))", True),
        ("NOT AT_LEAST(1, OK, (a, c))", True),
        (f"AT_LEAST(1, ALARM, ({ARN}a, b))", True),
    ],
)
def test_rules(rule: str, expected: bool) -> None:
    assert evaluate_rule(parse_rule(rule), STATES) is expected


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("", "position 1: expected ALARM"),
        ("ALARM", "position 6: expected '\\('"),
        ("ALARM()", "position 7: expected the name"),
        ('ALARM("")', "position 7: the name of an alarm is empty"),
        ("ALARM(a", "position 8: expected '\\)'"),
        ("ALARM(a) ALARM(b)", "position 10: unexpected 'ALARM'"),
        ("ALARM(a) AND", "position 13: expected ALARM"),
        ('ALARM("a)', "position 7: a quotation mark is not closed"),
        ("alarm(a)", "position 1: expected ALARM"),
        ("ALARM(two words)", "position 11: expected '\\)'"),
        ("AT_LEAST(0, ALARM, (a))", "position 10: AT_LEAST 0 of 1"),
        ("AT_LEAST(2, ALARM, (a))", "AT_LEAST 2 of 1"),
        ("AT_LEAST(101%, ALARM, (a))", "AT_LEAST 101% of 1"),
        ("AT_LEAST(x, ALARM, (a))", "begins with a number or a percentage"),
        ("AT_LEAST(1, ALARM, ())", "expected the name"),
        ("(" * 100 + "TRUE" + ")" * 100, "nested deeper than 60"),
        ("TRUE OR " * 501 + "TRUE", "502 elements"),
        (" OR ".join(f"ALARM(a{i})" for i in range(101)), "over 101 alarms"),
        ("TRUE OR " * 2000 + "TRUE", "at most 10240"),
    ],
)
def test_refused_rules(rule: str, message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        parse_rule(rule)


def test_an_unknown_alarm_is_named_even_where_the_outcome_is_clear() -> None:
    with pytest.raises(SimulationError, match="unknown alarm 'gone'"):
        evaluate_rule(parse_rule("ALARM(a) OR ALARM(gone)"), STATES)


def test_names_in_a_rule() -> None:
    assert names_in(parse_rule("NOT ALARM(b) AND (OK(a) OR AT_LEAST(1, ALARM, (d, b)))")) == ("a", "b", "d")
    assert names_in(parse_rule("TRUE")) == ()


def test_composites_stand_after_those_they_mention() -> None:
    rules = {
        name: parse_rule(text) for name, text in {"a": "ALARM(b)", "b": "ALARM(c) OR ALARM(m)", "c": "OK(m)"}.items()
    }
    assert evaluation_order(rules) == ("c", "b", "a")


@pytest.mark.parametrize(
    ("rules", "circle"),
    [
        ({"a": "ALARM(a)"}, "a -> a"),
        ({"a": "ALARM(b)", "b": "ALARM(c)", "c": "NOT OK(a)"}, "a -> b -> c -> a"),
    ],
)
def test_circles_are_refused(rules: dict[str, str], circle: str) -> None:
    with pytest.raises(SimulationError, match=f"in a circle: {circle}"):
        evaluation_order({name: parse_rule(text) for name, text in rules.items()})


TREES = st.recursive(
    st.one_of(
        st.tuples(st.sampled_from(list(AlarmState)), st.sampled_from("abc")).map(
            lambda leaf: (f"{leaf[0]}({leaf[1]})", lambda states: states[leaf[1]] is leaf[0])
        ),
        st.booleans().map(lambda value: (str(value).upper(), lambda states: value)),
    ),
    lambda inner: st.one_of(
        inner.map(lambda one: (f"NOT ({one[0]})", lambda states: not one[1](states))),
        st.tuples(inner, inner).map(
            lambda two: (f"({two[0][0]}) AND ({two[1][0]})", lambda states: two[0][1](states) and two[1][1](states))
        ),
        st.tuples(inner, inner).map(
            lambda two: (f"({two[0][0]}) OR ({two[1][0]})", lambda states: two[0][1](states) or two[1][1](states))
        ),
    ),
    max_leaves=12,
)


@given(TREES, st.fixed_dictionaries({name: st.sampled_from(list(AlarmState)) for name in "abc"}))
def test_rules_mean_what_they_say(tree: tuple[str, object], states: dict[str, AlarmState]) -> None:
    text, meaning = tree
    assert evaluate_rule(parse_rule(text), states) is meaning(states)


@given(st.text(alphabet='ALARMOKNTDSEINFUC_(),"\\ %12ab', max_size=60))
def test_any_text_is_a_rule_or_an_error(text: str) -> None:
    with contextlib.suppress(SimulationError):
        assert len(names_in(parse_rule(text))) <= 100
