"""The clock of the embedded AWS: how simulated time maps to real time, and what follows it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from embedded_tools import eventually
from hypothesis import given
from hypothesis import strategies as st

from tocsin.cloud.embedded import clock as module
from tocsin.cloud.embedded.clock import Clock, ClockedTime
from tocsin.errors import CloudError, InputError

START = datetime(2026, 3, 1, tzinfo=UTC)


class Real:
    """Real time under the test's control: what the clock reads instead of the module ``time``."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def time(self) -> float:
        return 5_000_000 + self.seconds

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def real(monkeypatch) -> Real:
    real = Real()
    monkeypatch.setattr(module, "real_time", real)
    return real


def test_factor_one_is_plain_time():
    clock = Clock()
    assert abs(clock.time() - time.time()) < 1
    assert clock.now().tzinfo is UTC


def test_time_is_start_plus_factor_times_elapsed(real):
    clock = Clock(60, START)
    assert clock.now() == START
    real.seconds += 30
    assert clock.now() == START + timedelta(minutes=30)
    assert clock.real_seconds_until((START + timedelta(hours=1)).timestamp()) == 30
    assert clock.real_seconds_until(START.timestamp()) == 0


def test_changes_bend_the_line_at_the_present(real):
    clock = Clock(1, START)
    real.seconds += 10
    sent = real.time()
    clock.set_factor(60)
    real.seconds += 10
    assert clock.now() == START + timedelta(seconds=610)
    clock.advance(1000)
    assert clock.now() == START + timedelta(seconds=1610)
    real.seconds += 1
    assert clock.now() == START + timedelta(seconds=1670)
    assert clock.at_real(sent) == START.timestamp() + 10
    assert clock.at_real(sent + 5) == START.timestamp() + 310
    assert clock.at_real(sent - 20) == START.timestamp() - 10


@given(st.lists(st.tuples(st.sampled_from(["wait", "factor", "advance"]), st.floats(0.01, 1000)), max_size=20))
def test_never_runs_backwards(steps):
    real = Real()
    original, module.real_time = module.real_time, real
    try:
        clock = Clock(1, START)
        moments = []
        for step, amount in steps:
            moments.append((real.time(), clock.time()))
            if step == "wait":
                real.seconds += amount
            elif step == "factor":
                clock.set_factor(amount)
            else:
                clock.advance(amount)
        simulated = [moment for _, moment in moments]
        assert simulated == sorted(simulated)
        for moment, was in moments:
            assert clock.at_real(moment) >= was - 1e-3
    finally:
        module.real_time = original


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf"), 1e9])
def test_impossible_factors_are_refused(factor):
    with pytest.raises(InputError, match="factor"):
        Clock(factor)


def test_clock_does_not_go_back():
    with pytest.raises(InputError, match="forward"):
        Clock().advance(-1)


def test_stand_in_for_the_time_module(real):
    clock = Clock(60, START)
    stand_in = ClockedTime(clock)
    real.seconds += 60
    assert stand_in.time() == START.timestamp() + 3600
    assert stand_in.monotonic() == real.seconds


def test_control_endpoint_reads_and_changes_the_clock(aws, client):
    before = aws.now()
    assert aws.clock_factor == 1
    aws.advance(7200)
    assert timedelta(hours=2) <= aws.now() - before < timedelta(hours=2, minutes=2)
    aws.set_clock_factor(3600)
    assert aws.clock_factor == 3600
    passed = aws.now()
    eventually(lambda: aws.now() - passed > timedelta(hours=1), "an hour")
    client("cloudwatch").put_metric_data(Namespace="Test", MetricData=[{"MetricName": "Stamp", "Value": 1}])
    aws.set_clock_factor(1)
    points = client("cloudwatch").get_metric_statistics(
        Namespace="Test", MetricName="Stamp", StartTime=passed, EndTime=aws.now(), Period=60, Statistics=["Sum"]
    )["Datapoints"]
    assert [point["Sum"] for point in points] == [1]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("clock", {"factor": 0}),
        ("clock", {"factor": "fast"}),
        ("advance", {"seconds": -1}),
        ("advance", {}),
        ("fire", {"rule": "nobody"}),
        ("nonsense", {}),
    ],
)
def test_control_endpoint_refuses_nonsense(aws, path, body):
    with pytest.raises(CloudError, match="refused"):
        aws.ask(path, body)


def test_advancing_makes_no_data(aws, client):
    aws.advance(86400)
    aws.next_minute()
    assert client("cloudwatch").list_metrics(Namespace="AWS/SQS")["Metrics"] == []
