"""The metric math of dashboards, answered by the simulator's CloudWatch: tiles, burn-down lines and alarm states."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from dashboard_systems import checkout, evaluate, function, panel, panels, queries, queues, shown
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.alarm import Alarm, Comparison, Metric, MetricQuery, MetricStat, TreatMissingData, single
from tocsin.declare import availability, heartbeat
from tocsin.model import System
from tocsin.own_metrics import succeeded
from tocsin.plan import plan
from tocsin.render.dashboards import system_dashboard
from tocsin.render.dashboards.alarm_states import condition
from tocsin.render.dashboards.names import Names
from tocsin.render.dashboards.sliding import queries_for, sums_of_last
from tocsin.render.dashboards.targets import Queries
from tocsin.simulate.metric_math import evaluate_expression, evaluate_queries
from tocsin.simulate.series import Store

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PLAN = checkout()
DASHBOARD = system_dashboard(PLAN)
INVOCATIONS = Metric("AWS/Lambda", "Invocations", (("FunctionName", "${Stack}-${OrdersName}"),))
ERRORS = Metric("AWS/Lambda", "Errors", (("FunctionName", "${Stack}-${OrdersName}"),))
DURATION = Metric("AWS/Lambda", "Duration", (("FunctionName", "${Stack}-${OrdersName}"),))


def last(values):
    """What a tile shows: the last value that is there."""
    return next((value for value in reversed(values) if value is not None), None)


def orders(*hours: tuple[int, int, int]) -> Store:
    """Invocations and errors so many hours before now."""
    store = Store()
    for ago, invocations, errors in hours:
        at = NOW - timedelta(hours=ago) + timedelta(minutes=7)
        store.add(INVOCATIONS, at, invocations)
        store.add(ERRORS, at, errors)
    return store


@pytest.mark.parametrize(
    ("hours", "attained", "left"),
    [
        (((600, 10_000, 0),), 100, 100),
        (((600, 10_000, 5),), 99.95, 50),
        (((600, 10_000, 5), (20, 10_000, 15)), 99.9, 0),
        (((600, 1_000, 10), (1, 1_000, 0)), 99.5, -400),
        (((700, 1_000, 1_000), (20, 1_000, 0)), 100, 100),  # 700 hours ago is before the window
    ],
)
def test_attained_and_budget_left_count_the_whole_window(hours, attained, left):
    store = orders(*hours)
    label = "Orders-availability"

    assert last(evaluate(panel(DASHBOARD, "Attained, 28 d"), f"{label} (99.9 %)", store, NOW)) == pytest.approx(
        attained
    )
    assert last(evaluate(panel(DASHBOARD, "Budget left, 28 d"), label, store, NOW)) == pytest.approx(left)


def test_without_traffic_a_tile_has_no_value():
    store = orders((600, 0, 0))
    for title in ("Attained, 28 d", "Budget left, 28 d", "Burn rate, 1 h (28 d)"):
        item = panel(DASHBOARD, title)
        (label,) = [target["label"] for target in item["targets"] if target["label"].startswith("Orders-avail")]
        assert last(evaluate(item, label, store, NOW)) is None
        assert item["fieldConfig"]["defaults"]["noValue"] == "no traffic"


def test_a_tile_without_a_value_is_grey_and_not_green():
    for item in panels(DASHBOARD):
        if item["type"] == "stat":
            (nothing,) = [
                mapping for mapping in item["fieldConfig"]["defaults"]["mappings"] if mapping["type"] == "special"
            ]
            result = nothing["options"]["result"]
            assert nothing["options"]["match"] == "null+nan"
            assert result["text"] == item["fieldConfig"]["defaults"]["noValue"]
            # A job that did not run is no matter of taste.
            assert result["color"] == ("red" if result["text"] in ("none", "not in 7 days") else "#808080")


def test_the_burn_rate_is_that_of_the_last_hour():
    item = panel(DASHBOARD, "Burn rate, 1 h (28 d)")
    store = Store()
    for minute in range(120):
        at = NOW - timedelta(minutes=minute + 1)
        store.add(INVOCATIONS, at, 100)
        store.add(ERRORS, at, 1 if minute < 30 else 0 if minute < 60 else 100)

    # Half an hour of 1 % in an hour of a 0.1 % budget: five times as fast as allowed.
    assert last(evaluate(item, "Orders-availability", store, NOW)) == pytest.approx(5)


@given(fast=st.integers(0, 40), slow=st.integers(0, 40), busy=st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_a_latency_is_weighted_by_its_samples(fast, slow, busy):
    store = Store()
    for hour, quick, lame in ((50, fast, slow), (5, busy, 0)):
        at = NOW - timedelta(hours=hour)
        for count, value in ((quick, 100.0), (lame, 2000.0)):
            if count:
                store.add(DURATION, at, value, count=count)

    attained = last(evaluate(panel(DASHBOARD, "Attained, 28 d"), "Orders-latency (99 %)", store, NOW))
    assert attained == pytest.approx(100 * (fast + busy) / (fast + slow + busy))


def test_the_burn_down_ends_at_the_budget_left_and_the_even_line_at_zero():
    store = orders((600, 10_000, 5), (200, 10_000, 5), (3, 10_000, 2))
    item = panel(DASHBOARD, "Orders-availability: how is the error budget spent?")
    line = [value for value in evaluate(item, "budget left", store, NOW) if value is not None]
    even = [value for value in evaluate(item, "spent evenly", store, NOW) if value is not None]

    left = last(evaluate(panel(DASHBOARD, "Budget left, 28 d"), "Orders-availability", store, NOW))
    assert line[-1] == pytest.approx(left)
    assert line == sorted(line, reverse=True)
    assert even[-1] == pytest.approx(0, abs=0.2)
    # A time that does not begin on the hour has one datapoint more; below 0 it would stretch the axis.
    longer = queries(item)["spent evenly"]
    assert longer.expression is not None
    assert evaluate_expression([longer], longer.id, store, NOW - timedelta(hours=673), 673, 3600)[-1] == 0
    assert even[0] == pytest.approx(100, abs=0.2)


def test_the_burn_graph_is_the_bad_share_over_the_budget():
    store = orders((3, 1_000, 4))
    item = panel(DASHBOARD, "Orders-availability: how fast is the budget burning?")

    assert [value for value in evaluate(item, "over 1 h", store, NOW) if value is not None] == [pytest.approx(4)]


def test_a_dead_letter_counts_once_however_long_it_lies_there():
    dashboard, store = system_dashboard(queues()), Store()
    depth = Metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", (("QueueName", "${Stack}-${DeadName}"),))
    deleted = Metric("AWS/SQS", "NumberOfMessagesDeleted", (("QueueName", "${Stack}-${WorkName}"),))
    # Two come and go, three come and stay.  A queue out of use reports nothing: that is empty, not "as before".
    for ago in range(90, 60, -1):
        store.add(depth, NOW - timedelta(hours=ago), 2)
    for ago in range(50, 0, -1):
        store.add(depth, NOW - timedelta(hours=ago), 3)
    store.add(deleted, NOW - timedelta(hours=100), 995)

    attained = last(evaluate(panel(dashboard, "Attained, 7 d"), "Work-completeness (99 %)", store, NOW))
    assert attained == pytest.approx(99.5)
    left = last(evaluate(panel(dashboard, "Budget left, 7 d"), "Work-completeness", store, NOW))
    assert left == pytest.approx(50)


def test_a_job_shows_its_successes_and_when_the_last_one_was():
    started = Metric("AWS/Lambda", "Invocations", (("FunctionName", "${Stack}-${NightlyName}"),))
    failed = Metric("AWS/Lambda", "Errors", (("FunctionName", "${Stack}-${NightlyName}"),))
    in_time, when = panel(DASHBOARD, "Successful runs"), panel(DASHBOARD, "Last success")
    good, bad = NOW - timedelta(hours=30), NOW - timedelta(hours=6)
    store = Store()
    for at, failures in ((good, 0), (bad, 1)):
        store.add(started, at, 1)
        store.add(failed, at, failures)

    # A day and an hour is promised: the only success is 30 hours old.
    assert in_time["timeFrom"] == "25h"
    assert last(evaluate(in_time, "Nightly-heartbeat", store, NOW)) == 0
    seen = [value for value in evaluate(when, "Nightly-heartbeat", store, NOW) if value is not None]
    assert max(seen) == 1000 * good.timestamp()

    store.add(started, NOW - timedelta(hours=1), 1)
    assert last(evaluate(in_time, "Nightly-heartbeat", store, NOW)) == 1


@pytest.mark.parametrize("by", ["Orders", "Nightly"])
def test_a_success_counts_whoever_of_several_reports_it(by):
    """The other function has never reported any."""
    one, other = function("Orders"), function("Nightly")
    measure = succeeded("Done", namespace="Shop", reported_by=[one, other])
    promised = heartbeat(one, every="1d", tolerates="2h", measure=measure, name="done")
    dashboard = system_dashboard(plan(System("shop", "payments", (one, other), [promised])))
    in_time, when = panel(dashboard, "Successful runs"), panel(dashboard, "Last success")
    done = Metric("Shop", "Done", (("FunctionName", f"${{Stack}}-${{{by}Name}}"),))
    store, at = Store(), NOW - timedelta(hours=5)
    store.add(done, at, 1)

    assert last(evaluate(in_time, "done", store, NOW)) == 1
    assert max(value for value in evaluate(when, "done", store, NOW) if value is not None) == 1000 * at.timestamp()


_BREACHING = {
    Comparison.GREATER: lambda value, limit: value > limit,
    Comparison.GREATER_OR_EQUAL: lambda value, limit: value >= limit,
    Comparison.LESS: lambda value, limit: value < limit,
    Comparison.LESS_OR_EQUAL: lambda value, limit: value <= limit,
}
OK, ALARM, BREACHING = 0, 1, 2


def as_shown(alarm: Alarm) -> tuple[MetricQuery, ...]:
    """An alarm's queries with the dashboard's names for things."""
    names = Names(PLAN)
    return tuple(
        replace(query, stat=replace(query.stat, metric=shown(query.stat.metric, names))) if query.stat else query
        for query in alarm.queries
    )


@given(
    bad=st.lists(st.integers(0, 40), min_size=72, max_size=72),
    slow=st.lists(st.sampled_from([100.0, 8_100.0, 9_900.0]), min_size=72, max_size=72),
)
@settings(max_examples=10, deadline=None)
def test_the_causes_are_in_alarm_when_enough_datapoints_breach(bad, slow):
    store = Store()
    for step, (errors, duration) in enumerate(zip(bad, slow, strict=True)):
        at = NOW - timedelta(hours=6) + timedelta(minutes=5 * step)
        store.add(INVOCATIONS, at, 100)
        store.add(ERRORS, at, errors)
        store.add(DURATION, at, duration)
    several = checked = 0
    item = panel(DASHBOARD, "Which causes are in alarm?")
    by_id = {query.id: label for label, query in queries(item).items()}
    for planned in PLAN.alarms:
        name = planned.logical_id[0].lower() + planned.logical_id[1:]
        if planned.resource != "Orders" or name not in by_id or not isinstance(planned.alarm, Alarm):
            continue
        alarm = planned.alarm
        periods = 6 * 3600 // alarm.period
        values = evaluate_queries(as_shown(alarm), store, NOW - timedelta(hours=6), periods, alarm.period)
        states = evaluate(item, by_id[name], store, NOW)
        breaches = [value is not None and _BREACHING[alarm.comparison](value, alarm.threshold) for value in values]
        for index, (value, state) in enumerate(zip(values, states, strict=True)):
            if value is not None:
                judged = breaches[max(0, index + 1 - alarm.evaluation_periods) : index + 1]
                in_alarm = sum(judged) >= alarm.datapoints_to_alarm
                assert state == (ALARM if in_alarm else BREACHING if breaches[index] else OK)
        several += alarm.evaluation_periods > 1
        checked += 1
    assert checked >= 3
    assert several >= 1


@given(
    trouble=st.integers(0, 71),
    length=st.integers(1, 40),
    rate=st.sampled_from([1, 2, 5, 20, 100]),
)
@settings(max_examples=25, deadline=None)
def test_a_promise_pages_when_both_windows_of_a_pair_do(trouble, length, rate):
    store = Store()
    start = NOW - timedelta(hours=6)
    for step in range(-72, 72):
        at = start + timedelta(minutes=5 * step)
        store.add(INVOCATIONS, at, 100)
        store.add(ERRORS, at, rate if trouble <= step < trouble + length else 0)
    item = panel(DASHBOARD, "Would it page?")
    for windows, prefix in (("1 h", "Burn1h"), ("6 h", "Burn6h")):
        states = evaluate(item, f"Orders-availability, {windows}", store, NOW)
        long, short = (PLAN[f"OrdersAvailability{prefix}{part}"].alarm for part in ("Long", "Short"))
        for step, state in enumerate(states):
            end = start + timedelta(minutes=5 * (step + 1))
            over = [
                evaluate_queries(as_shown(alarm), store, end - timedelta(seconds=alarm.period), 1, alarm.period)[0]
                > alarm.threshold
                for alarm in (long, short)
            ]
            if end - timedelta(seconds=short.period) >= start:
                assert state == (ALARM if all(over) else BREACHING if over[1] else OK), (windows, step)


@pytest.mark.parametrize(
    ("missing", "states"),
    [
        # Levels 9, 9, -, 9, 1, -, -, 9 against "more than 5 in 2 of 3": gaps are passed over, or count as they are told.
        (TreatMissingData.MISSING, [BREACHING, ALARM, None, ALARM, ALARM, None, None, ALARM]),
        (TreatMissingData.IGNORE, [BREACHING, ALARM, None, ALARM, ALARM, None, None, ALARM]),
        (TreatMissingData.NOT_BREACHING, [BREACHING, ALARM, ALARM, ALARM, OK, OK, OK, BREACHING]),
        (TreatMissingData.BREACHING, [BREACHING, ALARM, ALARM, ALARM, ALARM, ALARM, ALARM, ALARM]),
    ],
)
def test_missing_datapoints_count_as_the_alarm_is_told(missing, states):
    store = Store()
    for step, level in enumerate((9, 9, None, 9, 1, None, None, 9)):
        if level is not None:
            store.add(DURATION, NOW - timedelta(minutes=40 - 5 * step), level)
    names = Names(PLAN)
    metric = Metric("AWS/Lambda", "Duration", (("FunctionName", "${OrdersName}"),))
    alarm = Alarm("a", single(MetricStat(metric, "Maximum", 300)), Comparison.GREATER, 5, 3, 2, missing)
    asked = Queries(names)
    identifier = asked.math(condition(asked, alarm, "a"), 300, "state")
    known = list(queries({"targets": [target.to_json_data() for target in asked.targets]}).values())

    assert list(evaluate_expression(known, identifier, store, NOW - timedelta(minutes=40), 8, 300)) == states


def test_without_traffic_nothing_pages():
    store = Store()
    store.add(INVOCATIONS, NOW - timedelta(hours=5), 0)
    store.add(ERRORS, NOW - timedelta(hours=5), 0)

    assert set(evaluate(panel(DASHBOARD, "Would it page?"), "Orders-availability, 1 h", store, NOW)) == {OK}


def test_a_few_bad_events_page_only_from_the_fewest_that_count_on():
    orders = function("Orders")
    slo = availability(orders, objective="99.9%", window="28d", minimum_bad_events=3)
    item = panel(system_dashboard(plan(System("checkout", "payments", (orders,), [slo]))), "Would it page?")
    for errors, state in ((2, BREACHING), (3, ALARM)):
        store = Store()
        store.add(INVOCATIONS, NOW - timedelta(minutes=2), 10)
        store.add(ERRORS, NOW - timedelta(minutes=2), errors)
        # The traffic before is unknown and taken for as much; here that is none but for these five minutes.
        for step in range(72):
            store.add(INVOCATIONS, NOW - timedelta(minutes=5 * step + 2), 1)

        assert evaluate(item, "Orders-availability, 1 h", store, NOW)[-1] == state


def test_a_heartbeat_has_no_row_for_its_tile_says_it():
    rows = [target["label"] for target in panel(DASHBOARD, "Would it page?")["targets"] if target["label"]]

    assert len(rows) == 6
    assert not any("Nightly" in row for row in rows)
    assert all(target["label"].startswith("Nightly") for target in panel(DASHBOARD, "Successful runs")["targets"][-1:])


@pytest.mark.parametrize("counts", [(1,), (2,), (5,), (6,), (7,), (12,), (6, 12, 72)])
def test_a_sliding_sum_is_that_of_the_last_datapoints(counts):
    store = Store()
    values = [(7 * step + 5) % 11 for step in range(80)]
    for step, value in enumerate(values):
        store.add(INVOCATIONS, NOW - timedelta(hours=6, minutes=40) + timedelta(minutes=5 * step), value)
    asked = Queries(Names(PLAN))
    metric = asked.stat(Metric("AWS/Lambda", "Invocations", (("FunctionName", "${OrdersName}"),)), "Sum", 300)
    sums = sums_of_last(asked, metric, counts, 300, "sum")
    last_ids = {count: asked.math(text, 300, f"of {count}") for count, text in sums.items()}
    item = {"targets": [target.to_json_data() for target in asked.targets]}
    known = list(queries(item).values())
    begin = NOW - timedelta(hours=6, minutes=40)

    assert len(asked.targets) == 1 + queries_for(*counts) + len(counts)
    for count, identifier in last_ids.items():
        answered = evaluate_expression(known, identifier, store, begin, 80, 300)
        assert answered == pytest.approx([sum(values[max(0, step + 1 - count) : step + 1]) for step in range(80)])
