"""When an RDS instance is in trouble: each condition with the figures of this instance's class, engine and storage."""

from __future__ import annotations

from dataclasses import dataclass

from ..alarm import Comparison, Metric, MetricQuery, MetricStat, TreatMissingData
from ..model import Resource
from ..units import format_number
from .entry import Condition, Inapplicable, name_of
from .expressions import above, below, compare, percent_of
from .properties import amount, known_when_deployed, mappings, named_by
from .rds_connections import connection_limit
from .rds_instance_classes import InstanceClass, instance_class

NAMESPACE = "AWS/RDS"
GIB = 2**30
Result = tuple[Condition, ...] | Inapplicable


def metric(instance: Resource, name: str) -> Metric:
    """One metric of the instance."""
    return Metric(NAMESPACE, name, (("DBInstanceIdentifier", name_of(instance)),))


@dataclass(frozen=True, slots=True)
class Facts:
    """What the template says of an instance.  None: not said, or only known when it is deployed."""

    engine: str | None
    class_name: str | None
    hardware: InstanceClass | None

    @property
    def is_aurora(self) -> bool:
        return (self.engine or "").startswith("aurora")

    @property
    def is_postgres(self) -> bool:
        return self.engine in ("postgres", "aurora-postgresql")


def facts(instance: Resource) -> Facts:
    """Engine and hardware; a read replica and a cluster's member inherit the engine."""
    engine = _text(instance, "Engine")
    if engine is None and (origin := source_of(instance) or cluster_of(instance)):
        engine = _text(origin, "Engine")
    class_name = _text(instance, "DBInstanceClass")
    return Facts(engine, class_name, instance_class(class_name) if class_name else None)


def _text(resource: Resource, name: str) -> str | None:
    value = resource.properties.get(name)
    return value.lower() if type(value) is str and value else None


def source_of(instance: Resource) -> Resource | None:
    """The instance of the template that this one is a replica of."""
    return named_by(instance.properties.get("SourceDBInstanceIdentifier"), instance)


def cluster_of(instance: Resource) -> Resource | None:
    """The cluster of the template that this instance is a member of."""
    return named_by(instance.properties.get("DBClusterIdentifier"), instance)


def is_member(instance: Resource) -> bool:
    """Whether storage, backups and writes belong to a cluster."""
    return bool(instance.properties.get("DBClusterIdentifier")) or facts(instance).is_aurora


_MEMBER = Inapplicable("it is a member of a cluster: its storage is the cluster's and grows by itself")


def _no_hardware(known: Facts) -> Inapplicable:
    if known.class_name is None:
        return known_when_deployed("its instance class")
    if known.class_name == "db.serverless":
        return Inapplicable("it is serverless: it has no fixed vCPUs and memory")
    return Inapplicable(f"instance class {known.class_name} is not in the table of vCPUs and memory")


def silent(instance: Resource) -> Result:
    if facts(instance).class_name == "db.serverless":
        cluster = cluster_of(instance)
        scaling = cluster.properties.get("ServerlessV2ScalingConfiguration") if cluster else None
        least = [one.get("MinCapacity") for one in mappings(scaling)]
        if not least or str(least[0]) in ("0", "0.0", "None"):
            return Inapplicable("it is serverless and may pause: nothing reported is then its normal state")
    because = (
        "an instance that reports nothing for ten minutes is down, or stopped; a reboot or failover is over by then"
    )
    reports = MetricStat(metric(instance, "CPUUtilization"), "SampleCount", 60)
    queries = (
        MetricQuery(id="heard", expression="FILL(reports, 0)", label="Reports in a minute"),
        MetricQuery(id="reports", stat=reports, return_data=False),
    )
    missing = TreatMissingData.BREACHING
    return (compare(queries, Comparison.LESS, 1, because, evaluation_periods=10, missing=missing),)


def cpu(instance: Resource) -> Result:
    because = "the CPU is over 90 % busy for five minutes; shorter peaks do no harm"
    missing = TreatMissingData.MISSING
    return (above(metric(instance, "CPUUtilization"), "Average", 90, because, evaluation_periods=5, missing=missing),)


def cpu_credits(instance: Resource) -> Result:
    known = facts(instance)
    if known.hardware is None:
        return _no_hardware(known)
    if not known.hardware.burstable:
        return Inapplicable(f"class {known.class_name} does not burst its CPU")
    if known.hardware.most_credits is None:
        because = f"{known.class_name} bursts on without credits, and AWS charges for each; within one hour"
        return (above(metric(instance, "CPUSurplusCreditsCharged"), "Maximum", 0, because, period=3600),)
    most = known.hardware.most_credits
    because = (
        "less than "
        + percent_of(10, most, "credits", f"the most that {known.class_name} can save")
        + " is left, for 15 minutes"
    )
    balance = metric(instance, "CPUCreditBalance")
    return (below(balance, "Average", most * 0.1, because, period=300, evaluation_periods=3),)


def load(instance: Resource) -> Result:
    known = facts(instance)
    if known.hardware is None:
        return _no_hardware(known)
    holders = [holder for holder in (instance, cluster_of(instance)) if holder is not None]
    switches = [
        holder.properties.get(name)
        for holder in holders
        for name in ("EnablePerformanceInsights", "PerformanceInsightsEnabled")
    ]
    if not any(str(switch).lower() == "true" for switch in switches):
        return Inapplicable("Performance Insights is off, so DBLoad is not published; set EnablePerformanceInsights")
    vcpus = known.hardware.vcpus
    because = (
        f"more sessions are active than {known.class_name} has vCPUs ({vcpus}) for 15 minutes, so sessions wait in line"
    )
    return (above(metric(instance, "DBLoad"), "Average", vcpus, because, evaluation_periods=15),)


def storage(instance: Resource) -> Result:
    if is_member(instance):
        return _MEMBER
    holder = instance
    if "AllocatedStorage" not in instance.properties:
        source = source_of(instance)
        if source is None:
            return known_when_deployed("its allocated storage, which comes from a snapshot or another instance,")
        holder = source
    allocated = amount(holder, "AllocatedStorage", 0)
    if not allocated:
        return known_when_deployed("its allocated storage")
    most = amount(instance, "MaxAllocatedStorage", 0)
    if most is not None and most <= allocated:
        part, minutes, after = 10, 5, ", for 5 minutes"
    else:
        part, minutes = 5, 30
        after = ", for 30 minutes: autoscaling acts at 10 %, so it has reached its maximum or is in its six-hour pause"
    because = "less than " + percent_of(part, allocated, "GiB", "the allocated storage") + " is free" + after
    free = metric(instance, "FreeStorageSpace")
    return (below(free, "Minimum", allocated * GIB * part / 100, because, evaluation_periods=minutes),)


def local_storage(instance: Resource) -> Result:
    known = facts(instance)
    if known.hardware is None:
        return _no_hardware(known)
    if is_member(instance) or not known.hardware.local_storage:
        return Inapplicable(f"class {known.class_name} has no local NVMe storage that RDS reports in percent")
    because = "less than 10 % of the local storage, where temporary tables live, is free for five minutes"
    return (below(metric(instance, "FreeLocalStoragePercent"), "Average", 10, because, evaluation_periods=5),)


def memory(instance: Resource) -> Result:
    known = facts(instance)
    if known.hardware is None:
        return _no_hardware(known)
    if known.engine is not None and "sqlserver" in known.engine:
        return Inapplicable("SQL Server takes nearly all memory by design, so free memory says nothing")
    total = known.hardware.memory
    because = (
        "less than " + percent_of(5, total, "GiB", f"the memory of {known.class_name}") + " is free, for 15 minutes"
    )
    free = metric(instance, "FreeableMemory")
    return (below(free, "Average", total * GIB * 0.05, because, evaluation_periods=15),)


def connections(instance: Resource) -> Result:
    known = facts(instance)
    if known.engine is None:
        return known_when_deployed("its engine")
    if known.hardware is None:
        return _no_hardware(known)
    limit = connection_limit(instance, known.engine, known.hardware.memory)
    if isinstance(limit, Inapplicable):
        return limit
    most, what = limit
    because = percent_of(80, most, "connections", f"{what} on {known.class_name}") + ", for 5 minutes"
    missing = TreatMissingData.MISSING
    used = metric(instance, "DatabaseConnections")
    return (above(used, "Average", most * 0.8, because, evaluation_periods=5, missing=missing),)


def disk_latency(instance: Resource) -> Result:
    return tuple(
        above(
            metric(instance, f"{direction}Latency"),
            "Average",
            0.02,
            f"a {direction.lower()} takes more than 20 ms on average, for 15 minutes; healthy storage needs a few",
            period=300,
            evaluation_periods=3,
            suffix=direction,
        )
        for direction in ("Read", "Write")
    )


def burst_balance(instance: Resource) -> Result:
    if is_member(instance):
        return _MEMBER
    known = facts(instance)
    allocated = amount(instance, "AllocatedStorage", 0)
    found = []
    if known.hardware is not None and known.hardware.ebs_bursts:
        found += [
            (name, suffix, f"less than 10 % of the {what} credits of {known.class_name} is left, for 15 minutes")
            for name, suffix, what in (("EBSIOBalance%", "Io", "I/O"), ("EBSByteBalance%", "Throughput", "throughput"))
        ]
    if _text(instance, "StorageType") == "gp2" and allocated and allocated < 1000:
        because = (
            f"less than 10 % of the credits of the gp2 volume ({format_number(allocated)} GiB) is left, for 15 minutes"
        )
        found.append(("BurstBalance", "Volume", because))
    if found:
        return tuple(
            below(metric(instance, name), "Average", 10, because, period=300, evaluation_periods=3, suffix=suffix)
            for name, suffix, because in found
        )
    if known.hardware is None:
        return _no_hardware(known)
    return Inapplicable(f"neither class {known.class_name} nor its volume lives on burst credits")


def replica_lag(instance: Resource) -> Result:
    if is_member(instance):
        return Inapplicable("it is a member of a cluster, whose replicas share the storage and lag by milliseconds")
    if not instance.properties.get("SourceDBInstanceIdentifier"):
        return Inapplicable("it is not a read replica")
    lag = metric(instance, "ReplicaLag")
    behind = (
        "the replica is more than 60 s behind for ten minutes; an idle PostgreSQL source lets the figure climb to five "
        "minutes and fall back, which is shorter"
    )
    stopped = "replication has stopped: RDS reports −1 for five minutes"
    return (
        above(lag, "Maximum", 60, behind, evaluation_periods=10, missing=TreatMissingData.MISSING, suffix="Behind"),
        below(lag, "Average", 0, stopped, evaluation_periods=5, suffix="Stopped"),
    )


def transaction_ids(instance: Resource) -> Result:
    known = facts(instance)
    if known.engine is None:
        return known_when_deployed("its engine")
    if not known.is_postgres:
        return Inapplicable(f"engine {known.engine} has no transaction ids to run out of; PostgreSQL has")
    because = "the oldest transaction is a billion ids old, half of what PostgreSQL has; vacuum should have frozen it at 200 million"
    missing = TreatMissingData.MISSING
    used = metric(instance, "MaximumUsedTransactionIDs")
    return (above(used, "Average", 1_000_000_000, because, period=300, missing=missing),)


def buffer_cache(instance: Resource) -> Result:
    known = facts(instance)
    if not known.is_aurora:
        return Inapplicable("only Aurora publishes its buffer cache hit ratio")
    because = "less than 80 % of reads are served from memory for 30 minutes; the rest wait for storage"
    return (below(metric(instance, "BufferCacheHitRatio"), "Average", 80, because, period=300, evaluation_periods=6),)


def history_list(instance: Resource) -> Result:
    known = facts(instance)
    if not known.is_aurora or known.is_postgres:
        return Inapplicable("only Aurora MySQL publishes the length of its history list")
    because = "over a million old row versions wait to be purged for five minutes"
    length = metric(instance, "RollbackSegmentHistoryListLength")
    missing = TreatMissingData.MISSING
    return (above(length, "Average", 1_000_000, because, evaluation_periods=5, missing=missing),)
