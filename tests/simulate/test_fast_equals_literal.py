"""The evaluation of a whole range at once equals evaluating every moment on its own, on random alarms and data."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from shorthand import METRIC, NOON, VALUES, alarm, expression_alarm, minutes

from tocsin.alarm import Alarm, AlarmState, Comparison, Metric, MetricStat, TreatMissingData
from tocsin.simulate.delay import LateSource, horizon
from tocsin.simulate.metric_alarm import evaluate
from tocsin.simulate.reading import Counted, DynamoDbMissing, FreshBreach, Premature, Reading
from tocsin.simulate.series import Series, Store
from tocsin.simulate.template import AlarmTemplate
from tocsin.simulate.timeline import simulate

OTHER = Metric("Test", "Other")
PATTERNS = st.text(alphabet="0X-", min_size=1, max_size=60)
READINGS = st.builds(
    Reading,
    st.integers(0, 4),
    st.sampled_from(Premature),
    st.sampled_from(FreshBreach),
    st.sampled_from(DynamoDbMissing),
    st.booleans(),
    st.sampled_from(Counted),
)
SECONDS = st.one_of(st.just(0), st.integers(1, 900)).map(lambda count: timedelta(seconds=count))
EXPRESSIONS = st.sampled_from(
    [
        "m1",
        "m1 + m2",
        "m2 / m1",
        "IF(FILL(m2, 0) > 0, FILL(m1, 0) / FILL(m2, 0), 0)",
        "IF(m1, m2)",
        "IF(m1 > m2, 1, m2)",
        "FILL(m1, REPEAT)",
        "FILL(m1, LINEAR)",
        "m1 - AVG(m1)",
        "RATE(m1) * 60",
        "DIFF(FILL(m1, 0))",
        "RUNNING_SUM(m1)",
        "MAX([m1, m2])",
        "SUM(METRICS()) - DATAPOINT_COUNT([m1, m2])",
        "FIRST(SORT(METRICS(), SUM, DESC))",
        "m1 * (MINUTE(m1) / 30)",
    ]
)


class LiteralSource:
    """Sums minute by minute in plain Python; knows nothing of arrays or windows."""

    def __init__(self, series: dict[Metric, str]) -> None:
        self._values = {
            (metric, NOON + minutes(index)): VALUES[sign]
            for metric, pattern in series.items()
            for index, sign in enumerate(pattern)
        }

    def datapoints(self, stat: MetricStat, start: datetime, periods: int) -> list[float | None]:
        found: list[float | None] = []
        for index in range(periods):
            begin = start + timedelta(seconds=index * stat.period)
            inside = [self._values.get((stat.metric, begin + minutes(step))) for step in range(stat.period // 60)]
            real = [value for value in inside if value is not None]
            found.append(sum(real) if real else None)
        return found


@st.composite
def alarms(draw: st.DrawFn) -> Alarm:
    n = draw(st.integers(1, 5))
    m = draw(st.integers(1, n))
    period = draw(st.sampled_from([60, 120, 300]))
    treat = draw(st.sampled_from(TreatMissingData))
    threshold, comparison = draw(st.sampled_from([0, 0.5, 1, 2])), draw(st.sampled_from(Comparison))
    if draw(st.booleans()):
        return replace(alarm(n, m, treat, period=period), threshold=threshold, comparison=comparison)
    return expression_alarm(
        draw(EXPRESSIONS), {"m1": METRIC, "m2": OTHER}, period=period, n=n, m=m, treat=treat, threshold=threshold,
        comparison=comparison,
    )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(alarms(), PATTERNS, PATTERNS, READINGS, st.sampled_from(AlarmState), st.one_of(st.none(), st.integers(5, 9)))
def test_fast_equals_literal(
    one: Alarm, first: str, second: str, reading: Reading, began: AlarmState, evaluation_range: int | None
) -> None:
    store = Store()
    for metric, pattern in ((METRIC, first), (OTHER, second)):
        store.add_series(Series(metric, NOON, 60, values=[VALUES[sign] for sign in pattern]))
    end = NOON + minutes(len(first) + 5)
    literal = LiteralSource({METRIC: first, OTHER: second})
    fast, slow = (
        simulate(
            AlarmTemplate((one,)), source, NOON, end, initial={one.name: began}, reading=reading,
            evaluation_range=evaluation_range,
        )
        for source in (store, literal)
    )  # fmt: skip
    assert fast.changes == slow.changes
    assert fast.evidence == slow.evidence
    # And the literal timeline is nothing but one evaluation after the other.
    state = began
    for minute in range(len(first) + 6):
        at = NOON + minutes(minute)
        state = evaluate(one, literal, at, state, reading=reading, evaluation_range=evaluation_range).state
        assert fast.state_at(one.name, at) is state


@settings(max_examples=300, deadline=None)
@given(alarms(), PATTERNS, PATTERNS, READINGS, SECONDS, SECONDS, st.integers(0, 59))
def test_fast_equals_literal_for_late_data(
    one: Alarm, first: str, second: str, reading: Reading, late: timedelta, later: timedelta, offset: int
) -> None:
    store = Store()
    for metric, pattern in ((METRIC, first), (OTHER, second)):
        store.add_series(Series(metric, NOON, 60, values=[VALUES[sign] for sign in pattern]))
    start = NOON + timedelta(seconds=offset)
    end = start + minutes(len(first) + 5)
    literal = LiteralSource({METRIC: first, OTHER: second})
    delays = {METRIC: late, OTHER: later}
    fast, slow = (
        simulate(AlarmTemplate((one,)), source, start, end, reading=reading, delays=delays)
        for source in (store, literal)
    )
    assert fast.changes == slow.changes
    assert fast.evidence == slow.evidence
    # And the literal timeline is nothing but evaluations of what has arrived.
    state = AlarmState.INSUFFICIENT_DATA
    for minute in range(len(first) + 6):
        at = start if minute == 0 else NOON + minutes(minute)
        if at <= end:
            arrived = {metric: horizon(one, at, delay) for metric, delay in delays.items()}
            state = evaluate(one, LateSource(literal, arrived), at, state, reading=reading).state
            assert fast.state_at(one.name, at) is state


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=1, max_size=120),
    st.sampled_from([(3600, 25, 3), (86_400, 2, 1), (259_200, 1, 1), (3660, 30, 2)]),
    st.integers(0, 59),
    st.integers(0, 59),
    st.sampled_from(TreatMissingData),
    st.one_of(st.just(0), st.integers(1, 200)),
)
def test_fast_equals_literal_for_multi_day_alarms(
    hours: list[int | None],
    shape: tuple[int, int, int],
    hourly_minute: int,
    offset: int,
    treat: TreatMissingData,
    late: int,
) -> None:
    period, n, m = shape
    store = Store()
    for index, value in enumerate(hours):
        if value is not None:
            store.add(METRIC, NOON + timedelta(hours=index, minutes=7 * index % 60), value)
    one = replace(alarm(n, m, treat, period=period), threshold=2)
    start = NOON + minutes(offset)
    both = [
        simulate(
            AlarmTemplate((one,)),
            store,
            start,
            start + timedelta(hours=150),
            hourly_minute=hourly_minute,
            literal=literal,
            delays=minutes(late),
        )
        for literal in (False, True)
    ]
    assert both[0] == both[1]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9), st.integers(1, 30)), max_size=40),
    st.sampled_from(["p50", "p90", "tm75", "PR(:4)", "SampleCount", "Maximum", "Minimum"]),
    st.booleans(),
    st.sampled_from([60, 120, 300]),
    SECONDS,
)
def test_fast_equals_literal_for_samples(
    samples: list[tuple[int, int, int]], statistic: str, evaluate_low: bool, period: int, late: timedelta
) -> None:
    store = Store()
    for minute, value, count in samples:
        store.add(METRIC, NOON + minutes(minute), value, count=count)
    one = replace(alarm(3, 2, statistic=statistic, period=period), threshold=4.5, evaluate_low_samples=evaluate_low)
    both = [
        simulate(AlarmTemplate((one,)), store, NOON, NOON + minutes(50), literal=literal, delays=late)
        for literal in (False, True)
    ]
    assert both[0] == both[1]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=1, max_size=40),
    st.sampled_from([10, 20, 30]),
    st.integers(1, 4),
    st.integers(0, 100),
    st.sampled_from(TreatMissingData),
)
def test_fast_equals_literal_every_ten_seconds(
    values: list[int | None], period: int, n: int, late: int, treat: TreatMissingData
) -> None:
    store = Store()
    for index, value in enumerate(values):
        if value is not None:
            store.add(METRIC, NOON + timedelta(seconds=10 * index), value)
    one = replace(alarm(n, n, treat, period=period), threshold=1)
    both = [
        simulate(
            AlarmTemplate((one,)),
            store,
            NOON,
            NOON + minutes(5),
            literal=literal,
            delays={METRIC: timedelta(seconds=late)},
        )
        for literal in (False, True)
    ]
    assert both[0] == both[1]
