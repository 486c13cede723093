"""AWS::RDS::DBInstance: a database that is down, short of CPU, memory, storage or connections, or behind its source."""

from __future__ import annotations

from collections.abc import Callable

from ..model import Resource
from . import rds_instance_conditions as when
from .entry import (
    AlarmKind,
    Inapplicable,
    NameSource,
    Nature,
    Panel,
    Publication,
    PublishedMetric,
    ResourceType,
    Series,
)
from .rds_connections import PAGE as CONNECTIONS_PAGE
from .rds_instance_conditions import NAMESPACE, facts, is_member, metric

_GUIDE = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide"
METRICS_PAGE = f"{_GUIDE}/rds-metrics.html"
RECOMMENDED = (
    "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html"
)
AUTOSCALING_PAGE = f"{_GUIDE}/USER_PIOPS.Autoscaling.html"
CREDITS_PAGE = f"{_GUIDE}/Concepts.DBInstanceClass.Types.html"
REPLICA_PAGE = f"{_GUIDE}/USER_ReadRepl.Monitoring.html"
WRAPAROUND_PAGE = "https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND"
HISTORY_PAGE = "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/proactive-insights.history-list.html"


def _panels(instance: Resource) -> tuple[Panel, ...]:
    panels = [
        _panel(
            instance,
            "How busy is the CPU?",
            "Share of the CPU in use. The line is the alarm threshold; look at the load by SQL statement when it is crossed.",
            "percent",
            (("CPUUtilization", "Average", "CPU"),),
            "rds-instance-cpu",
        ),
        _panel(
            instance,
            "How many connections are open?",
            "Open connections. The line is 80 % of what the engine allows; idle ones in the application's pools count too.",
            "short",
            (("DatabaseConnections", "Maximum", "connections"),),
            "rds-instance-connections",
        ),
        _panel(
            instance,
            "How much memory is left?",
            "Memory the system could hand out. A steady fall ends in swapping; the line is 5 % of the instance's memory.",
            "bytes",
            (("FreeableMemory", "Average", "freeable"),),
            "rds-instance-memory",
        ),
        _panel(
            instance,
            "How much is swapped?",
            "Memory that was moved to the disk. A little that stays is harmless; growth beside little freeable memory slows every query.",
            "bytes",
            (("SwapUsage", "Average", "swap in use"),),
            None,
        ),
        _panel(
            instance,
            "How long does the storage take?",
            "Average time of one read and one write. A few milliseconds is normal; the line is at 20 ms.",
            "s",
            (("ReadLatency", "Average", "read"), ("WriteLatency", "Average", "write")),
            "rds-instance-disk-latency",
        ),
    ]
    if not is_member(instance):
        panels.append(
            _panel(
                instance,
                "How much storage is left?",
                "Free storage. The database stops when it reaches 0; the line is the alarm threshold.",
                "bytes",
                (("FreeStorageSpace", "Minimum", "free"),),
                "rds-instance-storage",
            )
        )
    optional: tuple[tuple[Callable[[Resource], when.Result], Panel], ...] = (
        (
            when.load,
            _panel(
                instance,
                "How many sessions are at work?",
                "Average active sessions. Above the line, the number of vCPUs, sessions wait for each other.",
                "short",
                (("DBLoad", "Average", "active sessions"),),
                "rds-instance-load",
            ),
        ),
        (
            when.replica_lag,
            _panel(
                instance,
                "How far behind is the replica?",
                "Seconds behind the source; −1 means replication has stopped. The line is at 60 s.",
                "s",
                (("ReplicaLag", "Maximum", "behind"),),
                "rds-instance-replica-lag",
            ),
        ),
    )
    return (*panels, *(panel for applies, panel in optional if not isinstance(applies(instance), Inapplicable)))


def _panel(
    instance: Resource,
    title: str,
    description: str,
    unit: str,
    series: tuple[tuple[str, str, str], ...],
    kind: str | None,
) -> Panel:
    return Panel(
        title=title,
        description=description,
        unit=unit,
        series=tuple(Series(metric(instance, name), statistic, label) for name, statistic, label in series),
        alarm_kinds=(kind,) if kind else (),
        no_value="the database reported nothing in this time",
    )


_INSTANCE = (
    ("DBInstanceIdentifier",),
    ("DBClusterIdentifier",),
    ("DBClusterIdentifier", "Role"),
    ("DatabaseClass",),
    ("EngineName",),
    (),
)


def _insights(instance: Resource) -> bool:
    return not isinstance(when.load(instance), Inapplicable)


def _gauge(
    name: str,
    unit: str,
    *,
    resolution: int = 60,
    opted_in: Callable[[Resource], bool] | None = None,
    lowest: float = 0,
) -> PublishedMetric:
    nature = Nature.DURATION if name.endswith("Latency") else Nature.GAUGE
    publication = Publication.OPT_IN if opted_in else Publication.ALWAYS
    return PublishedMetric(NAMESPACE, name, unit, nature, _INSTANCE, publication, resolution, opted_in, lowest=lowest)


def _published_if(conditions: Callable[[Resource], when.Result]) -> Callable[[Resource], bool]:
    """A metric that exists for some classes or engines only exists where its own alarm makes sense."""
    return lambda instance: not isinstance(conditions(instance), Inapplicable)


TYPES = (
    ResourceType(
        type="AWS::RDS::DBInstance",
        slug="rds-instance",
        title="RDS instance",
        name_property="DBInstanceIdentifier",
        name_source=NameSource.PHYSICAL_ID,
        own_dimension="DBInstanceIdentifier",
        metrics=(
            _gauge("CPUUtilization", "Percent"),
            _gauge("DatabaseConnections", "Count"),
            _gauge("FreeableMemory", "Bytes"),
            _gauge("SwapUsage", "Bytes"),
            _gauge("ReadLatency", "Seconds"),
            _gauge("WriteLatency", "Seconds"),
            _gauge("FreeStorageSpace", "Bytes", opted_in=lambda instance: not is_member(instance)),
            _gauge("FreeLocalStoragePercent", "Percent", opted_in=_published_if(when.local_storage)),
            _gauge("DBLoad", "None", opted_in=_insights),
            _gauge("ReplicaLag", "Seconds", opted_in=_published_if(when.replica_lag), lowest=-1),
            _gauge("EBSIOBalance%", "Percent", opted_in=_published_if(when.burst_balance)),
            _gauge("EBSByteBalance%", "Percent", opted_in=_published_if(when.burst_balance)),
            _gauge("BurstBalance", "Percent", opted_in=_published_if(when.burst_balance)),
            _gauge("CPUCreditBalance", "Count", resolution=300, opted_in=_published_if(when.cpu_credits)),
            _gauge("CPUSurplusCreditsCharged", "Count", resolution=300, opted_in=_published_if(when.cpu_credits)),
            _gauge("MaximumUsedTransactionIDs", "Count", opted_in=lambda instance: facts(instance).is_postgres),
            _gauge("BufferCacheHitRatio", "Percent", opted_in=_published_if(when.buffer_cache)),
            _gauge("RollbackSegmentHistoryListLength", "Count", opted_in=_published_if(when.history_list)),
        ),
        alarm_kinds=(
            AlarmKind(
                id="rds-instance-silent",
                symptom="it has stopped reporting",
                because="Every running instance reports each minute; none of its other alarms can speak while it is down.",
                source=METRICS_PAGE,
                conditions=when.silent,
            ),
            AlarmKind(
                id="rds-instance-cpu",
                symptom="the CPU is saturated",
                because="Without CPU to spare every query waits, and the backlog grows until connections time out.",
                source=RECOMMENDED,
                conditions=when.cpu,
            ),
            AlarmKind(
                id="rds-instance-cpu-credits",
                symptom="CPU credits run out",
                because="Without credits a db.t2 falls back to a fraction of its CPU, and a db.t3 or db.t4g costs more each hour.",
                source=CREDITS_PAGE,
                conditions=when.cpu_credits,
            ),
            AlarmKind(
                id="rds-instance-load",
                symptom="more sessions are active than it has vCPUs",
                because="Load above the number of vCPUs is time that sessions spend waiting, for CPU, locks or storage.",
                source=RECOMMENDED,
                conditions=when.load,
            ),
            AlarmKind(
                id="rds-instance-storage",
                symptom="storage runs out",
                because="An instance without free storage stops accepting writes and may go down.",
                source=AUTOSCALING_PAGE,
                conditions=when.storage,
            ),
            AlarmKind(
                id="rds-instance-local-storage",
                symptom="local storage runs out",
                because="Sorts and temporary tables that find no local storage fail.",
                source=METRICS_PAGE,
                conditions=when.local_storage,
            ),
            AlarmKind(
                id="rds-instance-memory",
                symptom="memory runs out",
                because="Next the instance swaps, then the engine is killed and restarts. AWS advises 25 % for an engine at "
                "rest and 5 % where it fills its memory by design, as MySQL's buffer pool of 75 % does.",
                source=RECOMMENDED,
                conditions=when.memory,
            ),
            AlarmKind(
                id="rds-instance-connections",
                symptom="connections run out",
                because="At the limit every further client is turned away, the on-call engineer's included.",
                source=CONNECTIONS_PAGE,
                conditions=when.connections,
            ),
            AlarmKind(
                id="rds-instance-disk-latency",
                symptom="storage answers slowly",
                because="Slow storage makes every query slow that is not served from memory; above 20 ms AWS advises to look.",
                source=RECOMMENDED,
                conditions=when.disk_latency,
            ),
            AlarmKind(
                id="rds-instance-burst-balance",
                symptom="storage burst credits run out",
                because="Without credits storage falls back to its baseline, often a fraction of what it just delivered.",
                source=RECOMMENDED,
                conditions=when.burst_balance,
            ),
            AlarmKind(
                id="rds-instance-replica-lag",
                symptom="the replica is behind or has stopped",
                because="What is read from it is old, and its lag is what would be lost if it had to take over.",
                source=REPLICA_PAGE,
                conditions=when.replica_lag,
            ),
            AlarmKind(
                id="rds-instance-transaction-ids",
                symptom="transaction ids run out",
                because="PostgreSQL refuses all writes when its transaction ids are used up, and the cure then takes hours.",
                source=WRAPAROUND_PAGE,
                conditions=when.transaction_ids,
            ),
            AlarmKind(
                id="rds-instance-buffer-cache",
                symptom="too few reads are served from memory",
                because="When the working set no longer fits in memory, queries slow down together.",
                source=RECOMMENDED,
                conditions=when.buffer_cache,
            ),
            AlarmKind(
                id="rds-instance-history-list",
                symptom="old row versions pile up",
                because="A long history list slows every query and can delay a restart; a forgotten transaction is the usual cause.",
                source=HISTORY_PAGE,
                conditions=when.history_list,
            ),
        ),
        panels=_panels,
        not_alarmed={
            "AuroraBinlogReplicaLag": "belongs to the cluster (DBClusterIdentifier), not to an instance",
            "AuroraVolumeBytesLeftTotal": "belongs to the cluster (DBClusterIdentifier), not to an instance",
            "BlockedTransactions": "AWS names no number for it; sessions that wait for each other show in DBLoad",
            "EngineUptime": "belongs to the cluster (DBClusterIdentifier); an instance that is down is rds-instance-silent",
            "FreeLocalStorage": "FreeLocalStoragePercent says the same without knowing the size; on Aurora the size is not published",
            "StorageNetworkThroughput": "belongs to the cluster (DBClusterIdentifier); slow storage shows in the latencies",
            "SwapUsage": "a little swap is normal for months on end; the panel shows it beside the freeable memory",
        },
    ),
)
