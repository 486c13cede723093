"""The metric math of dashboards, answered by the simulator's CloudWatch: tiles, burn-down lines and alarm states."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from dashboard_systems import checkout, evaluate, panel, queries, queues
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.alarm import Alarm, Comparison, Metric
from tocsin.render.dashboards import system_dashboard
from tocsin.simulate.metric_math import evaluate_queries
from tocsin.simulate.series import Store

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PLAN = checkout()
DASHBOARD = system_dashboard(PLAN)
INVOCATIONS = Metric("AWS/Lambda", "Invocations", (("FunctionName", "${OrdersName}"),))
ERRORS = Metric("AWS/Lambda", "Errors", (("FunctionName", "${OrdersName}"),))
DURATION = Metric("AWS/Lambda", "Duration", (("FunctionName", "${OrdersName}"),))


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

    assert last(evaluate(panel(DASHBOARD, "Attained, 28 d"), label, store, NOW)) == pytest.approx(attained)
    assert last(evaluate(panel(DASHBOARD, "Error budget left, 28 d"), label, store, NOW)) == pytest.approx(left)


def test_without_traffic_a_tile_has_no_value():
    store = orders((600, 0, 0))
    for title in ("Attained, 28 d", "Error budget left, 28 d", "Burn rate, last hour (28 d)"):
        item = panel(DASHBOARD, title)
        assert last(evaluate(item, "Orders-availability", store, NOW)) is None
        assert item["fieldConfig"]["defaults"]["noValue"] == "no traffic"


def test_the_burn_rate_is_that_of_the_last_hour():
    item = panel(DASHBOARD, "Burn rate, last hour (28 d)")
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

    attained = last(evaluate(panel(DASHBOARD, "Attained, 28 d"), "Orders-latency", store, NOW))
    assert attained == pytest.approx(100 * (fast + busy) / (fast + slow + busy))


def test_the_burn_down_ends_at_the_budget_left_and_the_even_line_at_zero():
    store = orders((600, 10_000, 5), (200, 10_000, 5), (3, 10_000, 2))
    item = panel(DASHBOARD, "Orders-availability: how is the error budget spent?")
    line = [value for value in evaluate(item, "budget left", store, NOW) if value is not None]
    even = [value for value in evaluate(item, "spent evenly", store, NOW) if value is not None]

    left = last(evaluate(panel(DASHBOARD, "Error budget left, 28 d"), "Orders-availability", store, NOW))
    assert line[-1] == pytest.approx(left)
    assert line == sorted(line, reverse=True)
    assert even[-1] == pytest.approx(0)
    assert even[0] == pytest.approx(100, abs=0.2)


def test_the_burn_graph_is_the_bad_share_over_the_budget():
    store = orders((3, 1_000, 4))
    item = panel(DASHBOARD, "Orders-availability: how fast is the budget burning?")

    assert [value for value in evaluate(item, "over 1 h", store, NOW) if value is not None] == [pytest.approx(4)]


def test_a_dead_letter_counts_once_however_long_it_lies_there():
    dashboard, store = system_dashboard(queues()), Store()
    depth = Metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", (("QueueName", "${DeadName}"),))
    deleted = Metric("AWS/SQS", "NumberOfMessagesDeleted", (("QueueName", "${WorkName}"),))
    for ago, level in ((100, 0), (90, 2), (80, 2), (70, 2), (60, 0), (50, 3), (2, 3)):
        store.add(depth, NOW - timedelta(hours=ago), level)
    store.add(deleted, NOW - timedelta(hours=100), 995)

    attained = last(evaluate(panel(dashboard, "Attained, 7 d"), "Work-completeness", store, NOW))
    assert attained == pytest.approx(99.5)
    left = last(evaluate(panel(dashboard, "Error budget left, 7 d"), "Work-completeness", store, NOW))
    assert left == pytest.approx(50)


def test_a_job_shows_its_successes_and_when_the_last_one_was():
    started = Metric("AWS/Lambda", "Invocations", (("FunctionName", "${NightlyName}"),))
    failed = Metric("AWS/Lambda", "Errors", (("FunctionName", "${NightlyName}"),))
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


_BREACHING = {
    Comparison.GREATER: lambda value, limit: value > limit,
    Comparison.GREATER_OR_EQUAL: lambda value, limit: value >= limit,
    Comparison.LESS: lambda value, limit: value < limit,
    Comparison.LESS_OR_EQUAL: lambda value, limit: value <= limit,
}


@given(
    bad=st.lists(st.integers(0, 40), min_size=72, max_size=72),
    slow=st.lists(st.sampled_from([100.0, 8_100.0, 9_900.0]), min_size=72, max_size=72),
)
@settings(max_examples=10, deadline=None)
def test_the_state_timelines_are_the_alarms_own_conditions(bad, slow):
    store = Store()
    for step, (errors, duration) in enumerate(zip(bad, slow, strict=True)):
        at = NOW - timedelta(hours=6) + timedelta(minutes=5 * step)
        store.add(INVOCATIONS, at, 100)
        store.add(ERRORS, at, errors)
        store.add(DURATION, at, duration)
    checked = 0
    for title in ("Would it page?", "Which causes are in alarm?"):
        item = panel(DASHBOARD, title)
        by_id = {query.id: label for label, query in queries(item).items()}
        for planned in PLAN.alarms:
            name = planned.logical_id[0].lower() + planned.logical_id[1:]
            if planned.resource != "Orders" or name not in by_id or not isinstance(planned.alarm, Alarm):
                continue
            alarm = planned.alarm
            periods = 6 * 3600 // alarm.period
            values = evaluate_queries(alarm.queries, store, NOW - timedelta(hours=6), periods, alarm.period)
            states = evaluate(item, by_id[name], store, NOW)
            shown = 1 if alarm.datapoints_to_alarm == 1 else 2
            for value, state in zip(values, states, strict=True):
                if value is not None:
                    assert state == (shown if _BREACHING[alarm.comparison](value, alarm.threshold) else 0)
            checked += 1
    assert checked >= 10
