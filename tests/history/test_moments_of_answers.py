"""Moments in CloudWatch's answers are the same wherever this machine is, and are what botocore makes of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, timedelta

import pytest
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st
from metric_server import UNTIL, MetricServer, cloud_of, serving, steady, system_of

from tocsin.cloud import session
from tocsin.cloud.metric_data import read_metric_data
from tocsin.history.counts import queries_of


@pytest.fixture(params=["UTC", "Asia/Kathmandu", "America/New_York"])
def zone(request, monkeypatch) -> Iterator[str]:
    """This machine's time zone, for the length of a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


def test_datapoints_are_at_the_moments_that_were_asked(zone, monkeypatch) -> None:
    stats = {query.id: query.stat for query in queries_of(system_of().slos[0], 60) if query.stat}
    start = UNTIL - timedelta(days=14)  # with the end of daylight saving within, in New York
    with serving(MetricServer(value=steady)) as server:
        read = read_metric_data(cloud_of(server, monkeypatch), stats, start, UNTIL)
    expected = [start + timedelta(minutes=number) for number in range(14 * 1440)]
    for values in read.values.values():
        assert list(values) == expected
        assert {at.tzinfo for at in values} == {UTC}


@given(st.one_of(st.integers(-(2**31), 2**34), st.floats(-1e9, 2e10), st.just("2026-11-21T08:00:00.123Z")))
def test_a_timestamp_is_the_moment_that_botocore_reads(value) -> None:
    assert session._moment(value) == parse_timestamp(value)


@pytest.mark.parametrize("value", [1e15, -1e15])
def test_a_number_that_is_no_moment_is_left_to_botocore(value) -> None:
    with pytest.raises(Exception) as ours:  # noqa: PT011  # which one is botocore's affair
        session._moment(value)
    with pytest.raises(type(ours.value)):
        parse_timestamp(value)
