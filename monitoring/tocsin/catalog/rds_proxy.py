"""AWS::RDS::DBProxy: a pool that is full, slow to hand out connections, or cut off from its database."""

from __future__ import annotations

from ..alarm import Comparison, Metric, MetricQuery, MetricStat, TreatMissingData
from ..model import Resource
from .entry import (
    AlarmKind,
    Condition,
    Inapplicable,
    Meaning,
    NameSource,
    Nature,
    Panel,
    Publication,
    PublishedMetric,
    ResourceType,
    Series,
    name_of,
)
from .expressions import below, compare, share
from .properties import mappings, names

NAMESPACE = "AWS/RDS"
_GUIDE = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide"
METRICS_PAGE = f"{_GUIDE}/rds-proxy.monitoring.html"
CONNECTIONS_PAGE = f"{_GUIDE}/rds-proxy-connections.html"
PINNING_PAGE = f"{_GUIDE}/rds-proxy-pinning.html"
TROUBLE_PAGE = f"{_GUIDE}/rds-proxy.troubleshooting.html"

#: BorrowLatency is published in microseconds.
MICROSECONDS = 1_000_000


def _metric(proxy: Resource, name: str) -> Metric:
    return Metric(NAMESPACE, name, (("ProxyName", name_of(proxy)),))


def _of_limit(proxy: Resource, name: str) -> tuple[MetricQuery, ...]:
    """A connection count as a percentage of what the pool may open.

    Each node behind the proxy reports once a minute, so Average over Average is the share of all nodes whatever the
    period; a Sum would grow with the period.
    """
    return (
        MetricQuery(
            id="share",
            expression="IF(FILL(limit, 0) > 0, 100 * FILL(used, 0) / FILL(limit, 0), 0)",
            label=f"{name} in percent",
        ),
        MetricQuery(id="used", stat=MetricStat(_metric(proxy, name), "Average", 60), return_data=False),
        MetricQuery(
            id="limit",
            stat=MetricStat(_metric(proxy, "MaxDatabaseConnectionsAllowed"), "Average", 60),
            return_data=False,
        ),
    )


def _connections(proxy: Resource) -> tuple[Condition, ...]:
    queries = _of_limit(proxy, "DatabaseConnectionsCurrentlyBorrowed")
    because = "more than 80 % of the connections the pool may open are in use, in 4 of 5 minutes"
    return (compare(queries, Comparison.GREATER, 80, because, evaluation_periods=5, datapoints_to_alarm=4),)


def _pinned(proxy: Resource) -> tuple[Condition, ...]:
    queries = _of_limit(proxy, "DatabaseConnectionsCurrentlySessionPinned")
    because = "more than half of the connections the pool may open are pinned to one client each, in 12 of 15 minutes"
    return (compare(queries, Comparison.GREATER, 50, because, evaluation_periods=15, datapoints_to_alarm=12),)


def _borrow_latency(proxy: Resource) -> tuple[Condition, ...] | Inapplicable:
    for _, group in sorted(proxy.surroundings.items()):
        if group.type == "AWS::RDS::DBProxyTargetGroup" and names(group.properties.get("DBProxyName"), proxy):
            pool = next(iter(mappings(group.properties.get("ConnectionPoolConfigurationInfo"))), {})
            if str(pool.get("ConnectionBorrowTimeout")) == "0":
                return Inapplicable("its clients do not wait: the borrow timeout is 0, so they fail at once")
    latency = MetricStat(_metric(proxy, "DatabaseConnectionsBorrowLatency"), "Average", 300)
    queries = (
        MetricQuery(id="wait", expression="FILL(borrow, 0)", label="Time to borrow a connection"),
        MetricQuery(id="borrow", stat=latency, return_data=False),
    )
    because = (
        "over five minutes clients wait more than 1 s on average for a connection (the metric is in µs); even opening a "
        "new one takes less"
    )
    return (compare(queries, Comparison.GREATER, 1 * MICROSECONDS, because),)


def _setup_failures(proxy: Resource) -> tuple[Condition, ...]:
    failed, requests = _metric(proxy, "DatabaseConnectionsSetupFailed"), _metric(proxy, "DatabaseConnectionRequests")
    because = "within five minutes more than 10 % of the attempts to open a database connection fail"
    return (compare(share(failed, requests, period=300), Comparison.GREATER, 10, because),)


def _rejected_clients(proxy: Resource) -> tuple[Condition, ...]:
    refused = _metric(proxy, "ClientConnectionsSetupFailedAuth")
    received = _metric(proxy, "ClientConnectionsReceived")
    because = (
        "within five minutes more than 5 % of clients, and at least 3, are refused for their password, role or TLS"
    )
    return (compare(share(refused, received, period=300, minimum_bad=3), Comparison.GREATER, 5, because),)


#: RDS Proxy allows one target group, of this name; the role of the target that takes writes.
_WRITER = (("TargetGroup", "default"), ("TargetRole", "READ_WRITE"))


def _availability(proxy: Resource) -> tuple[Condition, ...]:
    metric = Metric(NAMESPACE, "AvailabilityPercentage", (("ProxyName", name_of(proxy)), *_WRITER))
    because = "the proxy's health checks reach the database less than 90 % of the time for five minutes; a failover is shorter"
    return (below(metric, "Average", 90, because, evaluation_periods=5, missing=TreatMissingData.MISSING),)


def _panels(proxy: Resource) -> tuple[Panel, ...]:
    return (
        Panel(
            title="Is the pool full?",
            description="Average per proxy node. Borrowed connections near the allowed ones mean that clients queue.",
            unit="short",
            series=(
                Series(_metric(proxy, "MaxDatabaseConnectionsAllowed"), "Average", "allowed"),
                Series(_metric(proxy, "DatabaseConnections"), "Average", "open"),
                Series(_metric(proxy, "DatabaseConnectionsCurrentlyBorrowed"), "Average", "borrowed"),
                Series(_metric(proxy, "DatabaseConnectionsCurrentlySessionPinned"), "Average", "pinned"),
                Series(_metric(proxy, "ClientConnections"), "Average", "clients"),
            ),
        ),
        Panel(
            title="How long do clients wait?",
            description="Time to borrow a connection and to answer a query. The alarm is at 1 s; normal is well under 10 ms.",
            unit="µs",
            series=(
                Series(_metric(proxy, "DatabaseConnectionsBorrowLatency"), "Average", "borrow"),
                Series(_metric(proxy, "QueryResponseLatency"), "Average", "query"),
            ),
            alarm_kinds=("rds-proxy-borrow-latency",),
            stretched=False,
        ),
        Panel(
            title="Do connections fail?",
            description="Connections that could not be opened, and clients turned away. Normally 0; look at the secret first.",
            unit="short",
            series=(
                Series(_metric(proxy, "DatabaseConnectionsSetupFailed"), "Sum", "to the database", Meaning.FAILED),
                Series(_metric(proxy, "ClientConnectionsSetupFailedAuth"), "Sum", "from clients", Meaning.REFUSED),
            ),
        ),
    )


_CLIENT = (("ProxyName",), ("EndpointName", "ProxyName"))
_DATABASE = (
    ("ProxyName",),
    ("ProxyName", "Target", "TargetGroup"),
    ("ProxyName", "TargetGroup", "TargetRole"),
)


def _published(
    name: str, nature: Nature, dimension_sets: tuple[tuple[str, ...], ...], unit: str = "Count"
) -> PublishedMetric:
    return PublishedMetric(NAMESPACE, name, unit, nature, dimension_sets, Publication.WHEN_ACTIVE)


TYPES = (
    ResourceType(
        type="AWS::RDS::DBProxy",
        slug="rds-proxy",
        title="RDS proxy",
        name_property="DBProxyName",
        name_source=NameSource.PHYSICAL_ID,
        own_dimension="ProxyName",
        metrics=(
            _published("AvailabilityPercentage", Nature.GAUGE, (_DATABASE[2],), "Percent"),
            _published("ClientConnections", Nature.GAUGE, _CLIENT),
            _published("ClientConnectionsReceived", Nature.COUNTER, _CLIENT),
            _published("ClientConnectionsSetupFailedAuth", Nature.COUNTER, _CLIENT),
            _published("DatabaseConnectionRequests", Nature.COUNTER, _DATABASE),
            _published("DatabaseConnections", Nature.GAUGE, _DATABASE),
            _published("DatabaseConnectionsBorrowLatency", Nature.DURATION, _CLIENT, "Microseconds"),
            _published("DatabaseConnectionsCurrentlyBorrowed", Nature.GAUGE, _DATABASE),
            _published("DatabaseConnectionsCurrentlySessionPinned", Nature.GAUGE, _DATABASE),
            _published("DatabaseConnectionsSetupFailed", Nature.COUNTER, _DATABASE),
            _published("MaxDatabaseConnectionsAllowed", Nature.GAUGE, _DATABASE),
            _published("QueryResponseLatency", Nature.DURATION, _CLIENT, "Microseconds"),
        ),
        alarm_kinds=(
            AlarmKind(
                id="rds-proxy-connections",
                symptom="the pool is nearly used up",
                because="When all connections are borrowed, further clients wait, then fail after the borrow timeout.",
                source=CONNECTIONS_PAGE,
                conditions=_connections,
            ),
            AlarmKind(
                id="rds-proxy-borrow-latency",
                symptom="clients wait for a connection",
                because="The wait is added to every query, and ends in an error at the borrow timeout.",
                source=METRICS_PAGE,
                conditions=_borrow_latency,
            ),
            AlarmKind(
                id="rds-proxy-setup-failures",
                symptom="it cannot open database connections",
                because="A stale secret, a closed security group or a database without free connections: clients fail next.",
                source=TROUBLE_PAGE,
                conditions=_setup_failures,
            ),
            AlarmKind(
                id="rds-proxy-rejected-clients",
                symptom="clients are refused",
                because="Clients with the wrong password, role or TLS setting never reach the database, which sees nothing of it.",
                source=TROUBLE_PAGE,
                conditions=_rejected_clients,
            ),
            AlarmKind(
                id="rds-proxy-pinning",
                symptom="connections are pinned to clients",
                because="A pinned connection serves one client only, so the pool stops being one.",
                source=PINNING_PAGE,
                conditions=_pinned,
            ),
            AlarmKind(
                id="rds-proxy-availability",
                symptom="the database is out of its reach",
                because="What the proxy cannot reach, its clients cannot either.",
                source=METRICS_PAGE,
                conditions=_availability,
            ),
        ),
        panels=_panels,
        not_alarmed={
            "ClientConnections": "many clients are what a proxy is for; what hurts them is the wait for a connection",
            "DatabaseConnections": "counts idle connections that the pool keeps on purpose; the borrowed ones are alarmed",
            "QueryResponseLatency": "is the database's time in the first place; promise the latency of what calls it",
        },
    ),
)
