"""The alarms on tables, APIs, databases and proxies ring when they should, end when it is over, and sleep otherwise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from catalog_stacks import conditions, only, ref, stack

from tocsin.alarm import Alarm, AlarmState, Metric
from tocsin.catalog.entry import Condition
from tocsin.simulate.metric_alarm import evaluate
from tocsin.simulate.series import Store

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
Feed = Callable[[int], dict[str, list[float]]]


def rang(condition: Condition, minutes: int, feed: Feed) -> list[int]:
    """The minutes at whose end the alarm is in ALARM; ``feed`` gives each minute's samples by query id or metric."""
    store = Store()
    by_key: dict[str, Metric] = {}
    for query in condition.queries:
        if query.stat:
            by_key[query.id] = by_key[query.stat.metric.name] = query.stat.metric
    for minute in range(minutes):
        for key, samples in feed(minute).items():
            for sample in samples:
                store.add(by_key[key], START + minute * MINUTE, sample)
    alarm = Alarm(
        name="alarm",
        queries=condition.queries,
        comparison=condition.comparison,
        threshold=condition.threshold,
        evaluation_periods=condition.evaluation_periods,
        datapoints_to_alarm=condition.datapoints_to_alarm,
        treat_missing_data=condition.treat_missing_data,
    )
    state, found = AlarmState.OK, []
    for minute in range(1, minutes + 1):
        state = evaluate(alarm, store, START + minute * MINUTE, state).state
        if state is AlarmState.ALARM:
            found.append(minute)
    return found


def table_alarm(kind: str) -> Condition:
    return conditions(stack(T=("AWS::DynamoDB::Table", {"BillingMode": "PAY_PER_REQUEST"}))["T"], kind)[0]


def test_a_batch_of_two_minutes_that_is_throttled_rings_and_ends():
    def feed(minute):
        busy = 30 <= minute < 32
        return {"WriteThrottleEvents": [40.0], "ConsumedWriteCapacityUnits": [500.0]} if busy else {}

    found = rang(table_alarm("dynamodb-table-write-throttles"), 60, feed)
    assert found[0] == 31
    assert found[-1] == 36, "the window of five minutes has passed the batch, and no older datapoint is judged again"


def test_a_table_that_throttles_everything_rings_without_any_consumption():
    found = rang(table_alarm("dynamodb-table-read-throttles"), 20, lambda m: {"ReadThrottleEvents": [5.0]})
    assert found[0] == 3


def test_a_few_throttles_of_a_busy_table_are_no_news():
    feed = lambda minute: {"WriteThrottleEvents": [20.0], "ConsumedWriteCapacityUnits": [60_000.0]}  # noqa: E731
    assert not rang(table_alarm("dynamodb-table-write-throttles"), 30, feed)


def test_the_retries_of_one_call_are_no_news():
    feed = lambda minute: {"WriteThrottleEvents": [10.0]} if minute == 10 else {}  # noqa: E731
    assert not rang(table_alarm("dynamodb-table-write-throttles"), 30, feed)


def test_system_errors_of_one_operation_ring_though_the_others_are_silent():
    def feed(minute):
        return {"e3": [4.0], "reads": [50.0]} if 10 <= minute < 25 else {"reads": [50.0]}

    found = rang(table_alarm("dynamodb-table-system-errors"), 50, feed)
    assert 10 < found[0] <= 20
    assert found[-1] < 37


def stage_alarm(kind: str) -> Condition:
    return only(
        stack(
            Api=("AWS::ApiGateway::RestApi", {}),
            Prod=("AWS::ApiGateway::Stage", {"RestApiId": ref("Api"), "StageName": "prod"}),
        )["Prod"],
        kind,
    )


def test_server_errors_ring_within_minutes_and_end_with_the_traffic():
    def feed(minute):
        if 20 <= minute < 30:
            return {"5XXError": [1.0, 0.0, 0.0, 0.0]}
        return {"5XXError": [0.0] * 4} if minute < 20 else {}

    found = rang(stage_alarm("rest-api-server-errors"), 60, feed)
    assert 20 < found[0] <= 27
    assert found[-1] <= 40, "silence after a burst is not a burst"


def test_one_failed_request_of_a_quiet_api_is_no_news():
    assert not rang(stage_alarm("rest-api-server-errors"), 40, lambda m: {"5XXError": [1.0]} if m == 15 else {})


def test_a_scanner_on_a_quiet_api_is_no_news_and_a_lost_route_is():
    scanner = lambda minute: {"bad": [1.0] * 3, "valid": [1.0] * 3}  # noqa: E731
    assert not rang(stage_alarm("rest-api-client-errors"), 30, scanner)
    lost = lambda minute: {"bad": [1.0] * 30 + [0.0] * 30, "valid": [1.0] * 60}  # noqa: E731
    assert rang(stage_alarm("rest-api-client-errors"), 30, lost)


DATABASE = {"Engine": "postgres", "DBInstanceClass": "db.t3.medium", "AllocatedStorage": 100}


def database_alarm(kind: str) -> Condition:
    return only(stack(Db=("AWS::RDS::DBInstance", DATABASE))["Db"], kind)


def test_a_database_that_stops_reporting_rings_once_a_failover_would_be_over():
    feed = lambda minute: {} if minute >= 30 else {"CPUUtilization": [20.0]}  # noqa: E731
    found = rang(database_alarm("rds-instance-silent"), 60, feed)
    assert found[0] == 40
    assert found[-1] == 60


def test_a_failover_of_four_minutes_is_no_news():
    feed = lambda minute: {} if 30 <= minute < 34 else {"CPUUtilization": [20.0]}  # noqa: E731
    assert not rang(database_alarm("rds-instance-silent"), 60, feed)


@pytest.mark.parametrize(("free", "rings"), [(9.0, True), (11.0, False)])
def test_storage_rings_below_a_tenth(free, rings):
    feed = lambda minute: {"FreeStorageSpace": [free * 2**30]}  # noqa: E731
    assert bool(rang(database_alarm("rds-instance-storage"), 20, feed)) is rings


def test_an_idle_postgresql_source_lets_the_lag_climb_to_five_minutes_and_that_is_no_news():
    replica = stack(
        Db=("AWS::RDS::DBInstance", DATABASE),
        Copy=("AWS::RDS::DBInstance", {"SourceDBInstanceIdentifier": ref("Db"), "DBInstanceClass": "db.t3.medium"}),
    )["Copy"]
    behind, stopped = conditions(replica, "rds-instance-replica-lag")
    sawtooth = lambda minute: {"ReplicaLag": [float(minute % 5 * 60)]}  # noqa: E731
    assert not rang(behind, 60, sawtooth)
    assert rang(behind, 60, lambda minute: {"ReplicaLag": [61.0]})
    assert rang(stopped, 20, lambda minute: {"ReplicaLag": [-1.0]})
    assert not rang(stopped, 20, sawtooth)


PROXY = stack(Proxy=("AWS::RDS::DBProxy", {}))["Proxy"]


def test_a_full_pool_of_three_nodes_rings_and_an_idle_one_does_not():
    full = lambda minute: {"used": [30.0] * 3, "limit": [33.0] * 3}  # noqa: E731
    assert rang(only(PROXY, "rds-proxy-connections"), 15, full)
    assert not rang(only(PROXY, "rds-proxy-connections"), 15, lambda minute: {"used": [9.0] * 3, "limit": [33.0] * 3})
    assert not rang(only(PROXY, "rds-proxy-connections"), 15, lambda minute: {})


def test_one_run_a_day_that_waits_for_connections_rings():
    feed = lambda minute: {"borrow": [3e6, 2e6]} if minute == 30 else {}  # noqa: E731
    found = rang(only(PROXY, "rds-proxy-borrow-latency"), 60, feed)
    assert found == [31, 32, 33, 34, 35]


def test_a_rotated_secret_rings_at_the_first_failures():
    feed = lambda minute: {"bad": [2.0], "valid": [2.0]} if minute >= 10 else {"valid": [1.0]}  # noqa: E731
    assert rang(only(PROXY, "rds-proxy-setup-failures"), 20, feed)[0] == 11
