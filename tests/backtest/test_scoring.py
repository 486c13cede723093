"""Firings held against incidents: the figures, by hand, by properties and by brute force; and whole templates."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.alarm import Actions, Alarm, Comparison, CompositeAlarm, Metric, MetricStat, TreatMissingData, single
from tocsin.backtest.incident import Incident
from tocsin.backtest.labelled import backtest_labelled
from tocsin.backtest.scoring import Firing, Score, intersect, merge, score_alarm, score_set, subtract, total
from tocsin.simulate.series import Series, Store
from tocsin.simulate.template import AlarmTemplate

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LENGTH = 600
ALL = [(NOON, NOON + timedelta(minutes=LENGTH))]


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def firing(start: int, end: int, alarm: str = "a") -> Firing:
    return Firing(alarm, at(start), at(end), at(start))


def incident(start: int, end: int, *patterns: str) -> Incident:
    return Incident(f"{start}-{end}{patterns}", at(start), at(end), patterns)


def score(fired: Sequence[tuple[int, int]], hurt: Sequence[tuple[int, int]]) -> Score:
    return score_alarm("a", [firing(*one) for one in fired], [incident(*one) for one in hurt], ALL)


@pytest.mark.parametrize(
    ("fired", "hurt", "recall", "precision", "false", "delay", "already"),
    [
        # Nothing at all, only firings, only incidents.
        ([], [], None, None, 0, None, 0),
        ([(10, 20)], [], None, 0, 1, None, 0),
        ([], [(10, 20)], 0, None, 0, None, 0),
        # Seen after five minutes; the end of an incident and of a firing do not belong to it.
        ([(15, 30)], [(10, 20)], 1, 1, 0, 5, 0),
        ([(20, 30)], [(10, 20)], 0, 0, 1, None, 0),
        ([(0, 10)], [(10, 20)], 0, 0, 1, None, 0),
        # In ALARM before: seen, at once, and said; what fires anew during the incident counts first.
        ([(5, 15)], [(10, 20)], 1, 1, 0, 0, 1),
        ([(5, 12), (14, 16)], [(10, 20)], 1, 1, 0, 4, 0),
        # One firing over two incidents, two firings in one incident, one of each kind.
        ([(12, 50)], [(10, 20), (40, 60)], 1, 1, 0, 1, 1),
        ([(12, 13), (15, 16)], [(10, 20)], 1, 1, 0, 2, 0),
        ([(12, 13), (30, 31), (32, 33)], [(10, 20), (40, 60)], 0.5, 1 / 3, 2, 2, 0),
    ],
)
def test_the_figures_of_one_alarm(
    fired: list[tuple[int, int]],
    hurt: list[tuple[int, int]],
    recall: float | None,
    precision: float | None,
    false: int,
    delay: int | None,
    already: int,
) -> None:
    found = score(fired, hurt)
    assert found.recall == recall
    assert found.precision == precision
    assert found.false_alarms == false
    assert found.median_delay == (None if delay is None else timedelta(minutes=delay))
    assert found.already == already


def test_false_alarms_a_week_are_of_the_time_outside_incidents() -> None:
    found = score([(10, 20), (150, 160), (590, 600)], [(100, 200)])
    assert found.false_alarms == 2
    assert found.outside == timedelta(minutes=500)
    assert found.false_alarms_per_week == pytest.approx(2 / 500 * 7 * 24 * 60)
    assert found.in_alarm == timedelta(minutes=30)
    assert found.in_alarm_outside == timedelta(minutes=20)
    assert found.noise == pytest.approx(20 / 500)


def test_without_any_time_outside_there_is_no_rate() -> None:
    found = score([(10, 20)], [(0, LENGTH)])
    assert found.false_alarms_per_week is None
    assert found.noise is None


def test_the_set_sees_what_any_of_its_alarms_sees() -> None:
    fired = {"a": [firing(12, 15, "a")], "b": [firing(11, 12, "b"), firing(300, 310, "b")], "c": []}
    watched = dict.fromkeys(fired, ALL)
    found = score_set("all", fired, [incident(10, 20), incident(100, 110)], watched)
    assert (found.recall, found.false_alarms, found.firings) == (0.5, 1, 3)
    assert found.detections[0].by == "b"
    assert found.median_delay == timedelta(minutes=1)
    assert found.missed == ("100-110()",)


def test_an_incident_of_one_alarm_is_no_excuse_for_another() -> None:
    fired = {"cpu": [firing(12, 15, "cpu")], "disk": [firing(12, 15, "disk")]}
    found = score_set("all", fired, [incident(10, 20, "cpu")], dict.fromkeys(fired, ALL))
    assert (found.recall, found.precision, found.false_alarms) == (1, 0.5, 1)
    assert found.outside == timedelta(minutes=LENGTH), "the disk could be false at any time"


def test_an_incident_of_no_alarm_is_missed_by_the_set() -> None:
    fired = {"cpu": [firing(12, 15, "cpu")]}
    found = score_set("all", fired, [incident(10, 20, "disk")], {"cpu": ALL})
    assert (found.recall, found.precision) == (0, 0)


# Firings of one alarm are apart; incidents may overlap when they are for different alarms.
edges = st.lists(st.integers(0, LENGTH), max_size=16, unique=True).map(sorted)
spans = edges.map(lambda found: list(zip(found[::2], found[1::2], strict=False)))


@given(spans, spans)
def test_shares_are_shares(fired: list[tuple[int, int]], hurt: list[tuple[int, int]]) -> None:
    found = score(fired, hurt)
    for share in (found.recall, found.precision, found.noise):
        assert share is None or 0 <= share <= 1
    assert (found.recall is None) == (not hurt)
    assert (found.precision is None) == (not fired)
    assert found.median_delay is None or timedelta() <= found.median_delay < timedelta(minutes=LENGTH)
    assert found.in_alarm_outside <= found.in_alarm


@given(spans, spans, st.integers(0, LENGTH - 1))
def test_a_firing_outside_helps_nothing(fired: list[tuple[int, int]], hurt: list[tuple[int, int]], when: int) -> None:
    one = firing(when, when + 1)
    if any(start <= when + 1 and when <= end for start, end in fired) or any(s <= when < e for s, e in hurt):
        return
    before = score(fired, hurt)
    after = score_alarm("a", [*(firing(*f) for f in fired), one], [incident(*i) for i in hurt], ALL)
    assert after.recall == before.recall
    assert after.false_alarms == before.false_alarms + 1
    assert before.precision is None or after.precision is not None
    assert (after.precision or 0) <= (before.precision if before.precision is not None else 1)


@given(spans, spans, st.integers(0, LENGTH - 1))
def test_a_firing_during_an_incident_never_lowers_recall(
    fired: list[tuple[int, int]], hurt: list[tuple[int, int]], when: int
) -> None:
    before = score(fired, hurt)
    more = [*(firing(*one) for one in fired), firing(when, when + 1)]
    after = score_alarm("a", more, [incident(*one) for one in hurt], ALL)
    assert (after.recall or 0) >= (before.recall or 0)


@given(spans, spans)
def test_brute_force_over_minutes_agrees(fired: list[tuple[int, int]], hurt: list[tuple[int, int]]) -> None:
    found = score(fired, hurt)
    on = [any(start <= minute < end for start, end in fired) for minute in range(LENGTH)]
    bad = [any(start <= minute < end for start, end in hurt) for minute in range(LENGTH)]
    fresh = {start for start, _ in fired}
    delays, already = [], 0
    for start, end in hurt:
        if any(on[start:end]):
            anew = [minute for minute in range(start, end) if minute in fresh]
            delays.append(anew[0] - start if anew else 0)
            already += not anew
    false = sum(not any(bad[start:end]) for start, end in fired)
    assert len(found.detections) == len(delays)
    assert found.already == already
    assert found.false_alarms == false
    assert found.in_alarm == timedelta(minutes=sum(on))
    assert found.in_alarm_outside == timedelta(minutes=sum(a and not b for a, b in zip(on, bad, strict=True)))
    assert found.outside == timedelta(minutes=bad.count(False))
    if delays:
        assert found.median_delay == timedelta(minutes=statistics.median(delays))


@given(spans, spans)
def test_arithmetic_of_spans(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    a, b = [(at(s), at(e)) for s, e in some], [(at(s), at(e)) for s, e in others]
    inside, outside = intersect(merge(a), merge(b)), subtract(a, b)
    assert total(inside) + total(outside) == total(merge(a))
    assert not intersect(inside, outside)
    assert merge([*inside, *outside]) == merge(a)


# Whole templates.

METRIC = Metric("Test", "Load", (("Host", "web"),))
TELLS = Actions(alarm=("arn:aws:sns:eu-west-1:123456789012:on-call",))


def alarm(name: str, threshold: float, *, actions: Actions = TELLS, metric: Metric = METRIC) -> Alarm:
    queries = single(MetricStat(metric, "Maximum", 60))
    return Alarm(name, queries, Comparison.GREATER, threshold, 1, 1, TreatMissingData.NOT_BREACHING, actions=actions)


def store(values: Sequence[float | None], metric: Metric = METRIC, start: datetime = NOON) -> Store:
    found = Store()
    found.add_series(Series(metric, start, 60, values=values))
    return found


def course(*high: tuple[int, int, float]) -> list[float | None]:
    values: list[float | None] = [1.0] * LENGTH
    for start, end, value in high:
        values[start:end] = [value] * (end - start)
    return values


def test_a_template_is_scored_from_what_the_simulator_says() -> None:
    template = AlarmTemplate((alarm("low", 5), alarm("high", 50), alarm("silent", 5, metric=Metric("Test", "None"))))
    data = store(course((100, 110, 9), (300, 320, 99)))
    found = backtest_labelled(template, data, [incident(298, 330), incident(5000, 5001)], NOON, at(LENGTH))
    figures = {one.name: (one.recall, one.precision, one.firings) for one in found.alarms}
    assert figures == {"low": (1, 0.5, 2), "high": (1, 1, 1)}
    assert (found.whole.recall, found.whole.firings, found.whole.false_alarms) == (1, 3, 1)
    # The datapoint of minute 300 is complete at 301.
    assert found.whole.median_delay == timedelta(minutes=3)
    assert found.without_data == ("silent",)
    assert found.beyond == ("5000-5001()",)
    assert not found.missed
    text = "\n".join(found.lines())
    assert "not scored, outside the time that was evaluated: 5000-5001()" in text
    assert "1 alarm without data, not scored: silent" in text


def test_only_alarms_that_tell_somebody_make_the_set() -> None:
    quiet = Actions(alarm=TELLS.alarm, enabled=False)
    template = AlarmTemplate((alarm("told", 50), alarm("off", 5, actions=quiet), alarm("mute", 5, actions=Actions())))
    data = store(course((100, 110, 9), (300, 320, 99)))
    found = backtest_labelled(template, data, [incident(95, 120)], NOON, at(LENGTH))
    assert found.telling == ("told",)
    assert (found.whole.recall, found.whole.firings) == (0, 1)
    assert found.missed == ("95-120()",)
    assert "nobody was told of 95-120()" in "\n".join(found.lines())


def test_where_nobody_is_told_of_anything_all_alarms_are_the_set() -> None:
    template = AlarmTemplate((alarm("a", 5, actions=Actions()), alarm("b", 50, actions=Actions())))
    found = backtest_labelled(template, store(course((300, 320, 99))), [incident(290, 330)], NOON, at(LENGTH))
    assert not found.anybody_told
    assert (found.whole.recall, found.whole.firings) == (1, 2)
    assert "no alarm has an action, so the last line counts all of them" in "\n".join(found.lines())


def test_a_composite_whose_actions_are_suppressed_tells_nobody() -> None:
    page = CompositeAlarm(
        "page", 'ALARM("cause")', actions=TELLS, suppressor="works", suppressor_wait=60, suppressor_extension=60
    )
    causes = (alarm("cause", 5, actions=Actions()), alarm("works", 50, actions=Actions()))
    found = backtest_labelled(
        AlarmTemplate(causes, (page,)), store(course((300, 320, 99))), [incident(290, 330)], NOON, at(LENGTH)
    )
    assert {one.name: one.firings for one in found.alarms} == {"cause": 1, "works": 1, "page": 1}
    assert found.whole.firings == 0
    assert found.missed == ("290-330()",)


def test_incidents_that_name_unknown_or_silent_alarms_are_said() -> None:
    silent = alarm("silent", 5, metric=Metric("Test", "None"))
    found = backtest_labelled(
        AlarmTemplate((alarm("a", 5), silent)),
        store(course((300, 320, 99))),
        [incident(10, 20, "nobody-*"), incident(30, 40, "silent")],
        NOON,
        at(LENGTH),
    )
    assert found.missed == ("10-20('nobody-*',)",)
    assert found.unclaimed == found.missed
    assert found.unseeable == ("30-40('silent',)",)
    assert found.findings[:2] == (
        "nobody was told of 10-20('nobody-*',): no alarm of this template has a name that it asks for",
        "nobody could have been told of 30-40('silent',): the alarms for it have no data",
    )
    assert set(found.findings) < set(found.lines())


def test_time_without_any_data_does_not_count() -> None:
    data = store([1.0] * 60)
    data.add_series(Series(METRIC, at(3 * 1440), 60, values=[1.0] * 60))
    found = backtest_labelled(AlarmTemplate((alarm("a", 5),)), data, [], NOON, at(3 * 1440 + 60))
    assert found.paused == ((at(60), at(3 * 1440)),)
    assert found.watched == timedelta(minutes=120)
    assert found.alarms[0].outside == timedelta(minutes=120)


def test_an_alarm_that_cannot_tell_is_not_said_to_be_quiet() -> None:
    """With INSUFFICIENT_DATA there are no false alarms, so that time makes none rarer."""
    values: list[float | None] = [9.0, *[1.0] * 59, *[None] * 240]
    one = Alarm("a", single(MetricStat(METRIC, "Maximum", 60)), Comparison.GREATER, 5, 1, 1, actions=TELLS)
    found = backtest_labelled(AlarmTemplate((one,)), store(values), [], NOON, at(300))
    assert found.alarms[0].outside < timedelta(minutes=70)
    assert found.alarms[0].false_alarms == 1


def test_an_outage_that_stops_the_metrics_counts() -> None:
    heartbeat = Alarm(
        "heartbeat",
        single(MetricStat(METRIC, "Maximum", 60)),
        Comparison.LESS,
        0.5,
        3,
        3,
        TreatMissingData.BREACHING,
        actions=TELLS,
    )
    data = store([1.0] * 60)
    data.add_series(Series(METRIC, at(2 * 1440), 60, values=[1.0] * 60))
    found = backtest_labelled(AlarmTemplate((heartbeat,)), data, [incident(60, 2 * 1440)], NOON, at(2 * 1440 + 60))
    assert found.whole.recall == 1
    assert not found.paused
    unlabelled = backtest_labelled(AlarmTemplate((heartbeat,)), data, [], NOON, at(2 * 1440 + 60))
    # Nor does it count that nothing had been heard when the history began.
    assert (unlabelled.whole.firings, unlabelled.in_pauses) == (0, 2)


def test_without_labels_only_firings_are_counted() -> None:
    found = backtest_labelled(AlarmTemplate((alarm("a", 5),)), store(course((300, 320, 99))), None, NOON, at(LENGTH))
    figures = found.as_json()["alarms"]["a"]
    assert set(figures) == {"firings", "firings_per_week", "in_alarm_seconds"}
    assert figures["firings_per_week"] == pytest.approx(7 * 24 * 60 / LENGTH)
    assert "without --labels nothing says which firings were right" in "\n".join(found.lines())


def test_an_alarm_in_alarm_from_the_start_is_counted() -> None:
    found = backtest_labelled(
        AlarmTemplate((alarm("a", 0.5),)), store(course()), [incident(100, 200)], at(10), at(LENGTH)
    )
    assert (found.whole.firings, found.whole.already, found.whole.recall) == (1, 1, 1)
    assert found.whole.noise == 1
