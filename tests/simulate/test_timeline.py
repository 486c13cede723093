"""Whole timelines: changes, actions, composites, suppression, forced states, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from shorthand import METRIC, NOON, alarm, minutes, store

from tocsin.alarm import Actions, AlarmState, Comparison, CompositeAlarm, Metric, TreatMissingData
from tocsin.errors import SimulationError
from tocsin.simulate.reading import Reading
from tocsin.simulate.series import Series, Store
from tocsin.simulate.suppression import SuppressedBy
from tocsin.simulate.template import AlarmTemplate
from tocsin.simulate.timeline import Change, Forced, Timeline, simulate

A, O, I = AlarmState.ALARM, AlarmState.OK, AlarmState.INSUFFICIENT_DATA  # noqa: E741
TOLD = Actions(alarm=("page",), ok=("clear",), insufficient_data=("shrug",))
ONE = replace(alarm(1, 1, TreatMissingData.NOT_BREACHING, name="one"), actions=TOLD)


def short(changes: tuple[Change, ...]) -> list[tuple[int, AlarmState, tuple[str, ...]]]:
    return [(round((one.at - NOON).total_seconds() / 60), one.state, one.actions) for one in changes]


def faults(pattern: str, metric: Metric = METRIC) -> Store:
    """One sign a minute from noon on."""
    return store(pattern, end=NOON + minutes(len(pattern)), metric=metric)


def run(*alarms: object, source: Store, length: int = 30, **more: object) -> Timeline:
    template = AlarmTemplate(
        tuple(one for one in alarms if not isinstance(one, CompositeAlarm)),
        tuple(one for one in alarms if isinstance(one, CompositeAlarm)),
    )
    return simulate(template, source, NOON, NOON + minutes(length), **more)


def test_changes_with_their_actions() -> None:
    found = run(ONE, source=faults("000XX000"))
    # The alarm is new, so OK is a change at once; then one fault, and the action runs once, not each minute.
    assert short(found.changes["one"])[:3] == [(0, O, ("clear",)), (4, A, ("page",)), (6, O, ("clear",))]
    first = found.changes["one"][0]
    assert (first.from_state, first.acted_at) == (I, NOON)
    assert [(one.state, one.actions) for one in found.notifications] == [
        (O, ("clear",)),
        (A, ("page",)),
        (O, ("clear",)),
    ]
    assert found.state_at("one", NOON + minutes(3)) is O
    assert found.state_at("one", NOON + minutes(4)) is A


def test_an_alarm_that_was_there_before() -> None:
    found = run(ONE, source=faults("0000"), initial={"one": O})
    assert short(found.changes["one"]) == [(0, O, ())]
    assert found.notifications == ()


def test_datapoints_from_before_the_creation_count() -> None:
    assert short(run(ONE, source=store("XXX"), length=0).changes["one"]) == [(0, A, ("page",))]


def test_disabled_actions_do_not_run() -> None:
    found = run(replace(ONE, actions=replace(TOLD, enabled=False)), source=faults("0X0"))
    assert found.notifications == ()


def test_what_the_alarm_saw() -> None:
    other = replace(ONE, name="other", queries=alarm(metric=Metric("Test", "Nothing")).queries)
    found = run(ONE, other, source=faults("00X-"), length=10)
    assert found.without_data == ("other",)
    seen = found.evidence["one"]
    # Evaluations at 12:00 to 12:10; the range of three datapoints still holds a real one until 12:05.
    assert (seen.evaluations, seen.with_data) == (11, 5)
    assert seen.range_dependent > 0


def composite(rule: str, name: str = "all", **more: object) -> CompositeAlarm:
    return CompositeAlarm(name, rule, actions=TOLD, **more)


TWO = replace(ONE, name="two", queries=alarm(metric=Metric("Test", "Other")).queries, actions=Actions())
QUIET = replace(ONE, actions=Actions())


def both(first: str, second: str) -> Store:
    made = faults(first)
    made.add_series(
        Series(Metric("Test", "Other"), NOON, 60, values=[{"0": 0.0, "X": 1.0, "-": None}[sign] for sign in second])
    )
    return made


def test_a_composite_follows_its_children() -> None:
    found = run(QUIET, TWO, composite("ALARM(one) AND ALARM(two)"), source=both("0XXX000000", "000X000000"))
    assert short(found.changes["all"]) == [(0, O, ("clear",)), (4, A, ("page",)), (5, O, ("clear",))]
    assert found.changes["all"][1].reason == "two transitioned to ALARM at Wednesday 04 March, 2026 12:04:00 UTC"


def test_composites_of_composites_settle_in_one_moment() -> None:
    found = run(
        QUIET,
        composite("NOT ALARM(inner)", name="a-outer"),
        composite("ALARM(one)", name="inner"),
        composite("ALARM(inner) AND ALARM(a-outer)", name="never"),
        source=faults("00X00"),
    )
    assert [(at, state) for at, state, _ in short(found.changes["inner"])] == [(0, O), (3, A), (4, O)]
    assert [(at, state) for at, state, _ in short(found.changes["a-outer"])] == [(0, A), (3, O), (4, A)]
    assert [(at, state) for at, state, _ in short(found.changes["never"])] == [(0, O)]


def test_a_suppressor_holds_actions_back() -> None:
    gated = composite("ALARM(one)", suppressor="two", suppressor_wait=120, suppressor_extension=180)
    initial = {"all": O, "one": O, "two": O}

    def acts(first: str, second: str) -> list[tuple[int, AlarmState]]:
        found = run(QUIET, TWO, gated, source=both(first, second), initial=initial)
        return [(round((one.at - NOON).total_seconds() / 60), one.state) for one in found.notifications]

    # The documented timelines, with minutes for ticks.
    assert acts("0" + "X" * 30, "0" * 31) == [(4, A)]
    assert acts("0" + "X" * 30, "00" + "X" * 29) == []
    assert acts("0X" + "0" * 29, "0" * 31) == [(5, O)]
    assert acts("0" + "X" * 30, "X" * 31) == []
    assert acts("0" + "X" * 30, "00XXX" + "0" * 26) == [(9, A)]
    assert acts("0XXXXX" + "0" * 25, "00XXX" + "0" * 26) == [(9, O)]


def test_a_held_back_action_belongs_to_its_change() -> None:
    gated = composite("ALARM(one)", suppressor="two", suppressor_wait=120, suppressor_extension=60)
    found = run(QUIET, TWO, gated, source=both("0XXXXX", "000000"), initial={"all": O, "one": O, "two": O})
    change = found.changes["all"][1]
    assert (change.at, change.acted_at, change.actions) == (NOON + minutes(2), NOON + minutes(4), ("page",))
    assert change.suppressed_by is SuppressedBy.WAIT_PERIOD


@pytest.mark.parametrize(
    ("composites", "refused"),
    [
        ([composite("ALARM(gone)")], {"all": "it depends on 'gone'"}),
        ([composite("ALARM(gone)"), composite("OK(all)", name="top")], {"all": "'gone'", "top": "'all'"}),
        ([composite("ALARM(b)", name="a"), composite("ALARM(a)", name="b")], {"a": "a -> b -> a", "b": "a -> b -> a"}),
        ([composite("ALARM(all)")], {"all": "all -> all"}),
        (
            [composite('ALARM("x -> b: c")', name="x: -> a"), composite('ALARM("x: -> a")', name="x -> b: c")],
            dict.fromkeys(["x: -> a", "x -> b: c"], "in a circle: x -> b: c -> x: -> a -> x -> b: c"),
        ),
        ([composite("ALARM(one")], {"all": "position 10"}),
        ([composite("ALARM(one)", suppressor="gone", suppressor_wait=1, suppressor_extension=1)], {"all": "'gone'"}),
    ],
)
def test_what_cannot_be_evaluated_is_refused_and_the_rest_runs(
    composites: list[CompositeAlarm], refused: dict[str, str]
) -> None:
    found = run(QUIET, composite("ALARM(one)", name="fine"), *composites, source=faults("0X"))
    assert {one.name for one in found.refused} == set(refused)
    for one in found.refused:
        assert refused[one.name] in one.reason
    assert set(found.changes) == {"one", "fine"}


def test_a_forced_metric_alarm_returns_at_its_next_evaluation() -> None:
    drill = Forced(NOON + timedelta(seconds=150), "one", A, "drill")
    for literal in (False, True):
        found = run(ONE, source=faults("0" * 30), forced=[drill], initial={"one": O}, literal=literal)
        assert short(found.changes["one"]) == [(0, O, ()), (2, A, ("page",)), (3, O, ("clear",))]
        assert found.changes["one"][1].reason == "drill"


def test_a_forced_composite_stays_until_a_child_changes() -> None:
    drill = Forced(NOON + minutes(2), "all", A, "drill")
    found = run(
        QUIET,
        composite("ALARM(one)"),
        source=faults("0" * 8 + "X0" + "0" * 20),
        forced=[drill],
        initial={"one": O, "all": O},
    )
    assert [(at, state) for at, state, _ in short(found.changes["all"])] == [(0, O), (2, A), (10, O)]


def test_multi_day_alarms_change_on_their_hour() -> None:
    source = Store()
    source.add(METRIC, NOON + minutes(2), 1)
    slow = replace(alarm(1, 1, TreatMissingData.NOT_BREACHING, period=259_200), name="slow")
    at_zero = run(slow, source=source, length=180)
    at_three = run(slow, source=source, length=180, hourly_minute=3)
    assert [(at, state) for at, state, _ in short(at_zero.changes["slow"])] == [(0, O), (60, A)]
    assert [(at, state) for at, state, _ in short(at_three.changes["slow"])] == [(0, O), (63, A)]
    assert run(slow, source=source, length=180, reading=Reading(hourly_minute=3)).changes == at_three.changes
    guide = Reading(hourly_minute=3)
    assert run(slow, source=source, length=180, reading=guide, hourly_minute=0).changes == at_zero.changes


def test_high_resolution_alarms_are_evaluated_every_ten_seconds() -> None:
    source = Store()
    source.add(METRIC, NOON + timedelta(seconds=25), 1)
    found = run(alarm(1, 1, TreatMissingData.NOT_BREACHING, period=10), source=source, length=2, evaluation_range=1)
    assert [(one.at - NOON).total_seconds() for one in found.changes["faults"]] == [0, 30, 40]


@pytest.mark.parametrize(
    ("start", "end", "more", "message"),
    [
        (NOON, NOON - minutes(1), {}, "ends at 2026-03-04T11:59:00Z, before it begins"),
        (NOON.replace(tzinfo=None), NOON, {}, "has no zone"),
        (NOON, NOON + timedelta(days=3654), {}, "to 2036-.* is longer than ten years; evaluate a part of it"),
        (NOON, NOON, {"hourly_minute": 60}, "hourly_minute lies between 0 and 59"),
        (NOON, NOON, {"evaluation_range": 0}, "one: .* range of 0 is shorter"),
        (NOON, NOON, {"forced": [Forced(NOON, "gone", A)]}, "'gone' that is to be forced is not evaluated"),
        (NOON, NOON, {"forced": [Forced(NOON - minutes(1), "one", A)]}, "before the timeline begins"),
    ],
)
def test_errors(start: datetime, end: datetime, more: dict[str, object], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        simulate(AlarmTemplate((ONE,)), faults("0"), start, end, **more)


def test_a_statistic_that_cannot_be_had_names_the_alarm() -> None:
    with pytest.raises(SimulationError, match=r"^faults: p90 of Test/Faults.* give the series as Samples"):
        run(alarm(1, 1, statistic="p90"), source=faults("0"))


def test_composites_that_share_nothing_do_not_see_each_other() -> None:
    def team(name: str) -> list[object]:
        alone = replace(alarm(1, 1, TreatMissingData.NOT_BREACHING, name=name), actions=TOLD)
        shield = replace(alone, name=f"{name} shield", comparison=Comparison.LESS_OR_EQUAL)
        return [
            alone,
            shield,
            CompositeAlarm(f"{name} any", f'ALARM("{name}")', actions=TOLD),
            CompositeAlarm(
                f"{name} held", f'ALARM("{name} any")', "", TOLD, f"{name} shield", suppressor_wait=60,
                suppressor_extension=120,
            ),
        ]  # fmt: skip

    source = faults("00XX0X0000XXX000")
    together = run(*team("red"), *team("blue"), source=source)
    apart = run(*team("red"), source=source).changes | run(*team("blue"), source=source).changes
    assert together.changes == apart
    assert len({len(changes) for changes in together.changes.values()}) > 1
