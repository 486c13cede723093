"""RDS: every threshold follows from the instance's class, engine and storage, or a reason says why there is none."""

from __future__ import annotations

import pytest
from catalog_stacks import conditions, only, reason, ref, stack

from tocsin.alarm import Comparison, TreatMissingData
from tocsin.catalog import CATALOG
from tocsin.catalog.entry import Inapplicable
from tocsin.catalog.rds_connections import connection_limit, evaluate, usable_memory
from tocsin.catalog.rds_instance_classes import instance_class
from tocsin.cloudformation.symbolic import Symbolic

GIB = 2**30
ENTRY = CATALOG["AWS::RDS::DBInstance"]
KINDS = [kind.id for kind in ENTRY.alarm_kinds]
POSTGRES = {"Engine": "postgres", "DBInstanceClass": "db.t3.medium", "AllocatedStorage": "100"}


def instance(properties=None, /, *, without=(), **changes):
    own = {**(POSTGRES if properties is None else properties), **changes}
    return stack(Db=("AWS::RDS::DBInstance", {name: own[name] for name in own if name not in without}))["Db"]


def with_others(properties, **others):
    return stack(Db=("AWS::RDS::DBInstance", {**POSTGRES, **properties}), **others)["Db"]


def metric_of(condition):
    return next(query.stat for query in condition.queries if query.stat)


@pytest.mark.parametrize(
    ("name", "vcpus", "memory", "bursts", "local"),
    [
        ("db.t2.micro", 1, 1, False, False),
        ("db.t3.micro", 2, 1, True, False),
        ("db.t4g.large", 2, 8, True, False),
        ("db.m5.large", 2, 8, True, False),
        ("db.m5.4xlarge", 16, 64, False, False),
        ("db.m6gd.2xlarge", 8, 32, True, True),
        ("db.m6i.32xlarge", 128, 512, False, False),
        ("db.m7i.48xlarge", 192, 768, False, False),
        ("db.r4.large", 2, 15.25, False, False),
        ("db.r5b.xlarge", 4, 32, True, False),
        ("db.r6g.16xlarge", 64, 512, False, False),
        ("db.r7g.4xlarge", 16, 128, True, False),
        ("db.x2g.large", 2, 32, True, False),
        ("db.c6gd.medium", 1, 2, True, True),
    ],
)
def test_the_hardware_of_a_class(name, vcpus, memory, bursts, local):
    found = instance_class(name)
    assert (found.vcpus, found.memory, found.ebs_bursts, found.local_storage) == (vcpus, memory, bursts, local)


@pytest.mark.parametrize(
    "name",
    ["db.serverless", "db.r5.2xlarge.tpc2.mem4x", "db.m6i.metal", "m5.large", "db.m5", "", "db.t3.24xlarge", "db..x"],
)
def test_a_class_that_is_not_in_the_table_is_not_guessed(name):
    assert instance_class(name) is None


@pytest.mark.parametrize(("gib", "divisor", "documented"), [(1, 12582880, 60), (8, 12582880, 630)])
def test_usable_memory_stays_below_what_aws_documents(gib, divisor, documented):
    assert 0.9 * documented <= usable_memory(gib) / divisor <= documented


@pytest.mark.parametrize(("gib", "seen"), [(2, 198), (4, 413), (8, 856), (15.25, 1660)])
def test_the_estimate_for_postgresql_stays_below_what_instances_report(gib, seen):
    assert 0.85 * seen <= usable_memory(gib) / 9531392 <= seen


@pytest.mark.parametrize(
    ("formula", "memory", "expected"),
    [
        ("500", 0, 500),
        ("{DBInstanceClassMemory/9531392}", 9531392 * 7, 7),
        ("LEAST({DBInstanceClassMemory/9531392},5000)", 2**50, 5000),
        ("LEAST({DBInstanceClassMemory/9531392}, 5000)", 9531392 * 80, 80),
        ("GREATEST({DBInstanceClassMemory/9868951},80)", 1, 80),
        ("{log(DBInstanceClassMemory/1024)*45}", 4096, 90),
        ("SUM(1,2,{DBInstanceClassMemory*2})", 10, 23),
        ("{DBInstanceClassMemory*3/4}", 8, 6),
    ],
)
def test_parameter_formulas(formula, memory, expected):
    assert evaluate(formula, memory) == pytest.approx(expected)


@pytest.mark.parametrize(
    "formula",
    [
        "",
        "many",
        "LEAST()",
        "1/0",
        "__import__('os')",
        "(1).real",
        "2**9",
        "LEAST(1",
        "log(0)",
        "True",
        "nan",
        "LEAST(a=1)",
    ],
)
def test_a_formula_that_cannot_be_read_has_no_value(formula):
    assert evaluate(formula, 1.0) is None


@pytest.mark.parametrize(
    ("engine", "gib", "limit"),
    [
        ("postgres", 1024, 5000),
        ("aurora-postgresql", 1024, 5000),
        ("mariadb", 1024, 12000),
        ("oracle-ee-cdb", 1024, 20000),
        ("db2-se", 8, 64000),
        ("aurora-mysql", 2, 45),
        ("aurora-mysql", 4, 90),
        ("aurora-mysql", 8, 135),
    ],
)
def test_default_connection_limits(engine, gib, limit):
    assert connection_limit(instance(), engine, gib)[0] == limit


@pytest.mark.parametrize("engine", ["sqlserver-ex", "custom-sqlserver-ee", "neptune"])
def test_an_engine_without_a_limit_has_no_connection_alarm(engine):
    assert "sets no limit" in reason(instance(Engine=engine), "rds-instance-connections")


def test_connections_are_alarmed_at_80_percent_of_the_engines_default():
    condition = only(instance(), "rds-instance-connections")
    limit, _ = connection_limit(instance(), "postgres", 4)
    assert condition.threshold == pytest.approx(limit * 0.8)
    assert limit < 413, "a db.t3.medium allows 413"
    assert f"({limit} connections)" in condition.because
    # A gauge: a sum over five minutes would be five times the number of connections.
    assert metric_of(condition).statistic == "Average"


@pytest.mark.parametrize(
    ("value", "limit"), [("500", 500), (200, 200), ("LEAST({DBInstanceClassMemory/19062784},5000)", 198)]
)
def test_a_parameter_group_overrides_the_default(value, limit):
    group = ("AWS::RDS::DBParameterGroup", {"Parameters": {"max_connections": value}})
    db = with_others({"DBParameterGroupName": ref("Group")}, Group=group)
    condition = only(db, "rds-instance-connections")
    assert condition.threshold == pytest.approx(limit * 0.8, rel=0.02)
    assert "parameter group Group" in condition.because


@pytest.mark.parametrize(
    ("value", "why"),
    [(ref("Most"), "--param"), ("plenty", "no number of connections"), (0, "no number of connections")],
)
def test_a_parameter_group_that_cannot_be_read_says_so(value, why):
    group = ("AWS::RDS::DBParameterGroup", {"Parameters": {"max_connections": value}})
    assert why in reason(with_others({"DBParameterGroupName": ref("Group")}, Group=group), "rds-instance-connections")


def test_free_storage_is_a_minimum_below_a_share_of_what_is_allocated():
    """The maximum of a period would hide that storage ran out, and a number of bytes fits one size only."""
    condition = only(instance(), "rds-instance-storage")
    assert (condition.comparison, metric_of(condition).statistic) == (Comparison.LESS, "Minimum")
    assert condition.threshold == 10 * GIB
    assert "10 % of the allocated storage (100 GiB)" in condition.because


def test_with_storage_autoscaling_the_alarm_waits_for_it_to_fail():
    condition = only(instance(MaxAllocatedStorage=1000), "rds-instance-storage")
    assert condition.threshold == 5 * GIB
    assert condition.evaluation_periods == 30
    assert "autoscaling" in condition.because
    assert only(instance(MaxAllocatedStorage=100), "rds-instance-storage").threshold == 10 * GIB


def test_a_replica_has_the_storage_and_engine_of_its_source():
    replica = with_others(
        {},
        Replica=("AWS::RDS::DBInstance", {"SourceDBInstanceIdentifier": ref("Db"), "DBInstanceClass": "db.t3.medium"}),
    ).surroundings["Replica"]
    assert only(replica, "rds-instance-storage").threshold == 10 * GIB
    assert only(replica, "rds-instance-connections").threshold > 0
    behind, stopped = conditions(replica, "rds-instance-replica-lag")
    assert (behind.threshold, behind.comparison, behind.evaluation_periods) == (60, Comparison.GREATER, 10)
    assert (stopped.threshold, stopped.comparison) == (0, Comparison.LESS)
    assert {behind.suffix, stopped.suffix} == {"Behind", "Stopped"}


@pytest.mark.parametrize(
    ("name", "memory"), [("db.t3.micro", 1), ("db.m6g.large", 8), ("db.r7i.xlarge", 32), ("db.r4.large", 15.25)]
)
def test_memory_is_a_share_of_the_class(name, memory):
    condition = only(instance(DBInstanceClass=name), "rds-instance-memory")
    assert condition.threshold == pytest.approx(memory * GIB * 0.05)
    assert f"5 % of the memory of {name}" in condition.because


@pytest.mark.parametrize(("name", "vcpus"), [("db.t3.micro", 2), ("db.m6g.4xlarge", 16)])
@pytest.mark.parametrize("switch", [True, "true"])
def test_load_is_measured_against_the_vcpus(name, vcpus, switch):
    condition = only(instance(DBInstanceClass=name, EnablePerformanceInsights=switch), "rds-instance-load")
    assert (condition.threshold, condition.evaluation_periods) == (vcpus, 15)


def test_without_performance_insights_there_is_no_load_to_alarm_on():
    assert "Performance Insights is off" in reason(instance(), "rds-instance-load")
    assert all("DBLoad" not in str(line.metric) for panel in ENTRY.panels(instance()) for line in panel.series)


@pytest.mark.parametrize(
    ("changes", "suffixes"),
    [
        ({}, {"Io", "Throughput"}),
        ({"StorageType": "gp2"}, {"Io", "Throughput", "Volume"}),
        ({"DBInstanceClass": "db.m5.8xlarge", "StorageType": "gp2"}, {"Volume"}),
        ({"DBInstanceClass": "db.m5.large", "StorageType": "gp3"}, {"Io", "Throughput"}),
    ],
)
def test_burst_credits_are_watched_where_they_are_published(changes, suffixes):
    found = conditions(instance(**changes), "rds-instance-burst-balance")
    assert {condition.suffix for condition in found} == suffixes
    assert all(condition.threshold == 10 for condition in found)


def test_nothing_bursts_on_a_large_instance_with_a_large_volume():
    db = instance(DBInstanceClass="db.m5.8xlarge", StorageType="gp2", AllocatedStorage=2000)
    assert "neither class db.m5.8xlarge nor its volume" in reason(db, "rds-instance-burst-balance")


def test_cpu_credits_are_a_limit_on_t2_and_a_bill_on_t3():
    old = only(instance(DBInstanceClass="db.t2.small"), "rds-instance-cpu-credits")
    assert (metric_of(old).metric.name, old.threshold) == ("CPUCreditBalance", pytest.approx(28.8))
    new = only(instance(), "rds-instance-cpu-credits")
    assert (metric_of(new).metric.name, new.threshold) == ("CPUSurplusCreditsCharged", 0)
    assert metric_of(new).period % 300 == 0, "credits are published every five minutes"
    assert "does not burst" in reason(instance(DBInstanceClass="db.m5.large"), "rds-instance-cpu-credits")


@pytest.mark.parametrize("engine", ["postgres", "aurora-postgresql"])
def test_transaction_ids_are_alarmed_on_postgresql(engine):
    assert only(instance(Engine=engine), "rds-instance-transaction-ids").threshold == 1e9


@pytest.mark.parametrize("engine", ["mysql", "mariadb", "aurora-mysql", "oracle-se2"])
def test_other_engines_have_no_transaction_ids(engine):
    assert f"engine {engine} has no" in reason(instance(Engine=engine), "rds-instance-transaction-ids")


def test_a_missing_instance_has_one_alarm_and_not_fourteen():
    silent = only(instance(), "rds-instance-silent")
    assert silent.treat_missing_data is TreatMissingData.BREACHING
    others = [kind.conditions(instance()) for kind in ENTRY.alarm_kinds if kind.id != "rds-instance-silent"]
    for found in others:
        if not isinstance(found, Inapplicable):
            assert all(condition.treat_missing_data is not TreatMissingData.BREACHING for condition in found)


def member(engine="aurora-postgresql", name="db.r6g.large", **cluster):
    return stack(
        Cluster=("AWS::RDS::DBCluster", {"Engine": engine, **cluster}),
        Db=("AWS::RDS::DBInstance", {"DBClusterIdentifier": ref("Cluster"), "DBInstanceClass": name}),
    )["Db"]


def test_a_member_of_a_cluster_leaves_storage_to_the_cluster():
    for kind in ("storage", "burst-balance", "local-storage"):
        assert reason(member(), f"rds-instance-{kind}")
    assert "lag by milliseconds" in reason(member(), "rds-instance-replica-lag")
    assert only(member(), "rds-instance-transaction-ids").threshold == 1e9
    assert only(member(), "rds-instance-buffer-cache").threshold == 80
    assert only(member("aurora-mysql"), "rds-instance-history-list").threshold == 1_000_000
    assert "only Aurora" in reason(instance(), "rds-instance-buffer-cache")
    assert "only Aurora MySQL" in reason(member(), "rds-instance-history-list")
    assert only(member(PerformanceInsightsEnabled=True), "rds-instance-load").threshold == 2
    assert all("FreeStorageSpace" not in str(line.metric) for panel in ENTRY.panels(member()) for line in panel.series)


def test_a_serverless_member_may_pause():
    assert "may pause" in reason(member(name="db.serverless"), "rds-instance-silent")
    scaling = {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 4}}
    assert only(member(name="db.serverless", **scaling), "rds-instance-silent").threshold == 1
    assert "serverless" in reason(member(name="db.serverless"), "rds-instance-memory")


@pytest.mark.parametrize(
    ("changes", "kind", "why"),
    [
        ({"DBInstanceClass": ref("Class")}, "memory", "its instance class is only known when it is deployed"),
        ({"DBInstanceClass": ref("Class")}, "connections", "--param"),
        ({"DBInstanceClass": "db.q9.huge"}, "load", "instance class db.q9.huge is not in the table"),
        ({"DBInstanceClass": "db.q9.huge"}, "cpu-credits", "not in the table"),
        ({"AllocatedStorage": ref("Size")}, "storage", "--param"),
        ({"AllocatedStorage": "0"}, "storage", "--param"),
        ({"Engine": ref("Engine")}, "connections", "its engine is only known"),
        ({"Engine": ref("Engine")}, "transaction-ids", "its engine is only known"),
        ({"Engine": "sqlserver-se"}, "memory", "SQL Server takes nearly all memory"),
        ({}, "replica-lag", "not a read replica"),
    ],
)
def test_reasons(changes, kind, why):
    assert why in reason(instance(**changes), f"rds-instance-{kind}")


def test_storage_that_comes_from_a_snapshot_is_not_known():
    assert "snapshot" in reason(instance(without=["AllocatedStorage"]), "rds-instance-storage")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "value", [None, 7, -1, "text", [], [[]], {}, True, float("nan"), float("inf"), Symbolic("${X}")]
)
def test_no_property_makes_an_instance_crash(kind, value):
    names = (
        "Engine", "DBInstanceClass", "AllocatedStorage", "MaxAllocatedStorage", "StorageType", "DBParameterGroupName",
        "DBClusterIdentifier", "SourceDBInstanceIdentifier", "EnablePerformanceInsights",
    )  # fmt: skip
    for name in names:
        db = instance(**{name: value})
        {found.id: found for found in ENTRY.alarm_kinds}[kind].conditions(db)
        ENTRY.panels(db)
        for published in ENTRY.metrics:
            assert published.opted_in is None or published.opted_in(db) in (True, False)
