"""RDS Proxy: shares of what the pool may open, waits in the unit the metric has."""

from __future__ import annotations

import pytest
from catalog_stacks import dimensions, only, reason, ref, stack

from tocsin.alarm import Comparison
from tocsin.catalog import CATALOG

ENTRY = CATALOG["AWS::RDS::DBProxy"]
KINDS = [kind.id for kind in ENTRY.alarm_kinds]


def proxy(**pool):
    group = {"DBProxyName": ref("Proxy"), "TargetGroupName": "default", "ConnectionPoolConfigurationInfo": pool}
    return stack(Proxy=("AWS::RDS::DBProxy", {}), Group=("AWS::RDS::DBProxyTargetGroup", group))["Proxy"]


def published(name):
    return next(metric for metric in ENTRY.metrics if metric.name == name)


@pytest.mark.parametrize("kind", KINDS)
def test_every_alarm_reads_dimensions_that_the_proxy_publishes(kind):
    for query in only(proxy(), kind).queries:
        if query.stat:
            names = tuple(sorted(name for name, _ in query.stat.metric.dimensions))
            assert names in {tuple(sorted(one)) for one in published(query.stat.metric.name).dimension_sets}


@pytest.mark.parametrize(
    ("kind", "metric", "threshold"),
    [
        ("rds-proxy-connections", "DatabaseConnectionsCurrentlyBorrowed", 80),
        ("rds-proxy-pinning", "DatabaseConnectionsCurrentlySessionPinned", 50),
    ],
)
def test_a_full_pool_is_a_share_of_what_it_may_open(kind, metric, threshold):
    condition = only(proxy(), kind)
    used, limit = (query.stat for query in condition.queries if query.stat)
    assert (used.metric.name, limit.metric.name) == (metric, "MaxDatabaseConnectionsAllowed")
    assert used.statistic == limit.statistic == "Average"
    assert condition.threshold == threshold


def test_the_wait_for_a_connection_is_in_microseconds():
    """A threshold in another unit than the metric's never fires, or always does."""
    condition = only(proxy(), "rds-proxy-borrow-latency")
    assert published("DatabaseConnectionsBorrowLatency").unit == "Microseconds"
    assert condition.threshold == 1_000_000
    assert "1 s" in condition.because


def test_clients_that_never_wait_have_no_wait_to_alarm_on():
    assert "do not wait" in reason(proxy(ConnectionBorrowTimeout=0), "rds-proxy-borrow-latency")
    assert only(proxy(ConnectionBorrowTimeout=ref("Timeout")), "rds-proxy-borrow-latency")


def test_availability_is_published_per_role_only():
    condition = only(proxy(), "rds-proxy-availability")
    assert dimensions(condition) == {
        "ProxyName": "${ProxyName}",
        "TargetGroup": "default",
        "TargetRole": "READ_WRITE",
    }
    assert (condition.comparison, condition.threshold) == (Comparison.LESS, 90)


@pytest.mark.parametrize("value", [None, 7, "text", [], {}, True, ref("X")])
def test_no_property_makes_a_proxy_crash(value):
    group = ("AWS::RDS::DBProxyTargetGroup", {"DBProxyName": ref("Proxy"), "ConnectionPoolConfigurationInfo": value})
    resource = stack(Proxy=("AWS::RDS::DBProxy", {"DBProxyName": value}), Group=group)["Proxy"]
    for kind in ENTRY.alarm_kinds:
        kind.conditions(resource)
    assert ENTRY.panels(resource)
