"""What must be true of every entry of the catalog, tried on resources that switch each alarm on."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from catalog_stacks import ref, stack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tocsin.alarm import Comparison, Metric, MetricStat
from tocsin.catalog import CATALOG, entries
from tocsin.catalog.entry import (
    AlarmKind,
    Condition,
    Inapplicable,
    Nature,
    Publication,
    PublishedMetric,
    ResourceType,
)
from tocsin.cloudformation.symbolic import Symbolic
from tocsin.errors import DeclarationError
from tocsin.model import Counted, Measure, Ranked, Resource, SinceSuccess

GRAFANA_UNITS = {
    "short", "none", "s", "ms", "µs", "percent", "percentunit", "bytes", "decbytes", "iops", "Bps", "reqps", "ops",
    "currencyUSD", "cps",
}  # fmt: skip

FULL = stack(
    Find=(
        "AWS::Lambda::Function",
        {
            "Timeout": 60,
            "ReservedConcurrentExecutions": 10,
            "DeadLetterConfig": {"TargetArn": ref("DeadLetters.Arn")},
        },
    ),
    Generate=("AWS::Lambda::Function", {}),
    Late=(
        "AWS::Lambda::EventInvokeConfig",
        {"FunctionName": ref("Find"), "DestinationConfig": {"OnFailure": {"Destination": ref("DeadLetters.Arn")}}},
    ),
    Daily=(
        "AWS::Events::Rule",
        {
            "ScheduleExpression": "cron(0 7 * * ? *)",
            "Targets": [{"Arn": ref("Find.Arn"), "DeadLetterConfig": {"Arn": ref("DeadLetters.Arn")}}],
        },
    ),
    OnBus=(
        "AWS::Events::Rule",
        {"EventBusName": ref("Bus"), "EventPattern": {}, "Targets": [{"Arn": ref("Orders.Arn")}]},
    ),
    Bus=("AWS::Events::EventBus", {"Name": "orders"}),
    Weekly=("AWS::Events::Rule", {"ScheduleExpression": "rate(7 days)", "Targets": [{"Arn": ref("Orders.Arn")}]}),
    Nightly=(
        "AWS::Scheduler::Schedule",
        {
            "GroupName": ref("Nights"),
            "ScheduleExpression": "rate(1 day)",
            "Target": {"Arn": ref("Orders.Arn"), "DeadLetterConfig": {"Arn": ref("DeadLetters.Arn")}},
        },
    ),
    Nights=("AWS::Scheduler::ScheduleGroup", {}),
    Hourly=("AWS::Scheduler::Schedule", {"ScheduleExpression": "rate(1 hour)", "Target": {"Arn": ref("Find.Arn")}}),
    Orders=(
        "AWS::SQS::Queue",
        {"RedrivePolicy": {"deadLetterTargetArn": ref("DeadLetters.Arn"), "maxReceiveCount": 5}},
    ),
    DeadLetters=("AWS::SQS::Queue", {"MessageRetentionPeriod": 1_209_600}, "dlq"),
    Polled=("AWS::SQS::Queue", {}),
    Reader=(
        "AWS::Lambda::EventSourceMapping",
        {"EventSourceArn": ref("Orders.Arn"), "FunctionName": ref("Generate")},
    ),
    StreamReader=(
        "AWS::Lambda::EventSourceMapping",
        {
            "EventSourceArn": ref("Stream.Arn"),
            "FunctionName": ref("Generate.Arn"),
            "MetricsConfig": {"Metrics": ["EventCount"]},
        },
    ),
    Stream=("AWS::Kinesis::Stream", {}),
    News=("AWS::SNS::Topic", {}),
    ToOrders=(
        "AWS::SNS::Subscription",
        {
            "TopicArn": ref("News"),
            "Protocol": "sqs",
            "FilterPolicy": {"kind": ["order"]},
            "RedrivePolicy": {"deadLetterTargetArn": ref("DeadLetters.Arn")},
        },
    ),
    ByBody=(
        "AWS::SNS::Subscription",
        {"TopicArn": ref("News"), "Protocol": "sqs", "FilterPolicy": {"a": [1]}, "FilterPolicyScope": "MessageBody"},
    ),
    Files=(
        "AWS::S3::Bucket",
        {
            "MetricsConfigurations": [{"Id": "EntireBucket"}],
            "ReplicationConfiguration": {
                "Rules": [
                    {
                        "Id": "all",
                        "Status": "Enabled",
                        "Destination": {"Bucket": "arn:aws:s3:::copies", "Metrics": {"Status": "Enabled"}},
                    }
                ]
            },
        },
    ),
    Table=(
        "AWS::DynamoDB::Table",
        {
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
            "GlobalSecondaryIndexes": [{"IndexName": "by-user"}],
        },
    ),
    Database=("AWS::RDS::DBInstance", {"DBInstanceClass": "db.t3.medium", "Engine": "postgres", "AllocatedStorage": "100"}),
    Proxy=("AWS::RDS::DBProxy", {"EngineFamily": "POSTGRESQL"}),
    Api=("AWS::ApiGateway::RestApi", {"Name": "orders"}),
    Stage=("AWS::ApiGateway::Stage", {"RestApiId": ref("Api"), "StageName": "prod"}),
    HttpApi=("AWS::ApiGatewayV2::Api", {"Name": "orders", "ProtocolType": "HTTP"}),
    HttpStage=("AWS::ApiGatewayV2::Stage", {"ApiId": ref("HttpApi"), "StageName": "$default"}),
)  # fmt: skip

WATCHED = [resource for resource in FULL.values() if resource.type in CATALOG]


def _applying() -> Iterator[tuple[Resource, ResourceType, AlarmKind, Condition]]:
    for resource in WATCHED:
        entry = CATALOG[resource.type]
        for kind in entry.alarm_kinds:
            found = kind.conditions(resource)
            if not isinstance(found, Inapplicable):
                for condition in found:
                    yield resource, entry, kind, condition


CASES = [
    pytest.param(resource, entry, kind, condition, id=f"{resource.logical_id}-{kind.id}{condition.suffix}")
    for resource, entry, kind, condition in _applying()
]
EACH_CONDITION = pytest.mark.parametrize(("resource", "entry", "kind", "condition"), CASES)
EACH_ENTRY = pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.type)


def _published(entry: ResourceType, metric: Metric) -> PublishedMetric:
    dimensions = {name for name, _ in metric.dimensions}
    for published in entry.metrics:
        if (published.namespace, published.name) == (metric.namespace, metric.name):
            sets = [set(one) for one in published.dimension_sets]
            assert dimensions in sets, f"{metric.name} is not published by {sorted(dimensions)}, but by {sets}"
            return published
    raise AssertionError(f"{entry.type} does not publish {metric.namespace} {metric.name}")


def _check_statistic(published: PublishedMetric, statistic: str) -> None:
    fits = {
        Nature.COUNTER: statistic in ("Sum", "SampleCount"),
        Nature.GAUGE: statistic != "Sum",
        Nature.DURATION: statistic != "Sum",
        Nature.RATIO: statistic in ("Average", "Sum", "SampleCount"),
    }
    assert fits[published.nature], f"{statistic} of {published.name}, a {published.nature}"


def _stats(condition: Condition) -> list[MetricStat]:
    return [query.stat for query in condition.queries if query.stat]


@EACH_CONDITION
def test_an_alarm_reads_what_its_service_publishes(
    resource: Resource, entry: ResourceType, kind: AlarmKind, condition: Condition
) -> None:
    """Defects 11, 12, 13 and 15 of other tools: a wrong dimension, or a metric that nobody switched on."""
    for stat in _stats(condition):
        published = _published(entry, stat.metric)
        if published.publication is Publication.OPT_IN:
            assert published.opted_in is not None
            assert published.opted_in(resource)
        assert stat.period % published.resolution == 0
        assert stat.unit in (None, published.unit)


@EACH_CONDITION
def test_a_statistic_fits_the_metric_and_the_direction(
    resource: Resource, entry: ResourceType, kind: AlarmKind, condition: Condition
) -> None:
    """Defect 5 of other tools: the sum of a level, and the maximum where less is worse."""
    for stat in _stats(condition):
        published = _published(entry, stat.metric)
        _check_statistic(published, stat.statistic)
        is_alone = len(condition.queries) == 1
        if is_alone and published.nature is Nature.GAUGE:
            if condition.comparison in (Comparison.LESS, Comparison.LESS_OR_EQUAL):
                assert stat.statistic in ("Minimum", "Average", "SampleCount")  # a count of samples is about silence
            else:
                assert stat.statistic != "Minimum"


@EACH_CONDITION
def test_a_threshold_can_be_reached(
    resource: Resource, entry: ResourceType, kind: AlarmKind, condition: Condition
) -> None:
    (first, *others) = _stats(condition)
    highest = _published(entry, first.metric).highest
    most = highest(resource) if highest and not others else None
    if most is not None and condition.comparison is Comparison.GREATER and first.statistic != "Sum":
        assert condition.threshold < most


@EACH_CONDITION
def test_a_condition_is_one_that_cloudwatch_takes(
    resource: Resource, entry: ResourceType, kind: AlarmKind, condition: Condition
) -> None:
    assert 1 <= condition.datapoints_to_alarm <= condition.evaluation_periods
    (period,) = {query.stat.period for query in condition.queries if query.stat}
    length = period * condition.evaluation_periods
    assert length <= (86_400 if period < 3600 else 604_800)
    assert [query.return_data for query in condition.queries].count(True) == 1
    ids = [query.id for query in condition.queries]
    assert len(set(ids)) == len(ids) <= 20
    assert all(re.fullmatch(r"[a-z][A-Za-z0-9_]*", found) for found in ids)
    assert len(_stats(condition)) <= 10
    assert math.isfinite(condition.threshold)
    assert re.fullmatch(r"[A-Za-z0-9]*", condition.suffix)


@EACH_CONDITION
def test_a_condition_says_why(resource: Resource, entry: ResourceType, kind: AlarmKind, condition: Condition) -> None:
    assert 10 < len(condition.because) < 400
    assert "$" not in condition.because.replace("${", "$")
    assert not condition.because.endswith(".")


@EACH_CONDITION
def test_something_that_runs_once_a_day_needs_one_bad_datapoint(
    resource: Resource, entry: ResourceType, kind: AlarmKind, condition: Condition
) -> None:
    """Defect 6 of other tools: 3 of 3 periods of five minutes, on a job that runs once."""
    interval = entry.expected_interval(resource)
    retried = kind.id in (
        "scheduler-schedule-target-errors",
        "scheduler-schedule-target-throttled",
        "scheduler-schedule-throttled",
    )  # Scheduler itself tries again, minutes apart; a run without retries counts as dropped
    always = kind.id in ("lambda-function-concurrency",)  # about load, not about one run
    if interval and interval > timedelta(hours=1) and not retried and not always:
        assert condition.datapoints_to_alarm == 1


@EACH_ENTRY
def test_ids_are_unique_and_begin_with_the_type(entry: ResourceType) -> None:
    ids = [kind.id for kind in entry.alarm_kinds]
    assert len(set(ids)) == len(ids)
    for found in ids:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", found)
        assert found.startswith(f"{entry.slug}-")


def test_two_types_share_a_kind_only_if_it_means_the_same() -> None:
    seen: dict[str, str] = {}
    for entry in entries():
        for kind in entry.alarm_kinds:
            assert seen.setdefault(kind.id, kind.symptom) == kind.symptom


@EACH_ENTRY
def test_every_number_has_a_reason_and_a_source(entry: ResourceType) -> None:
    for kind in entry.alarm_kinds:
        assert kind.because.endswith(".")
        assert kind.source.startswith("https://")
        assert not kind.symptom.endswith(".")
    for found in entry.slis:
        assert found.source.startswith("https://")
        assert found.needs_limit == (found.limit is not None)
    for metric, why in entry.not_alarmed.items():
        assert metric
        assert len(why) > 15


@pytest.mark.parametrize("resource", WATCHED, ids=lambda resource: resource.logical_id)
def test_panels_show_what_is_published_in_units_that_grafana_knows(resource: Resource) -> None:
    entry = CATALOG[resource.type]
    panels = entry.panels(resource)
    kinds = {kind.id for kind in entry.alarm_kinds}
    assert len({panel.title for panel in panels}) == len(panels)
    for panel in panels:
        assert panel.unit in GRAFANA_UNITS
        assert set(panel.alarm_kinds) <= kinds
        assert panel.title.rstrip(")").endswith("?") or "?" in panel.title
        assert panel.description.endswith(".")
        for series in panel.series:
            _check_statistic(_published(entry, series.metric), series.statistic)


@pytest.mark.parametrize("resource", WATCHED, ids=lambda resource: resource.logical_id)
def test_slis_measure_what_is_published(resource: Resource) -> None:
    entry = CATALOG[resource.type]
    for found in entry.slis:
        if found.applies(resource) is None:
            limit = timedelta(seconds=1) if found.needs_limit else None
            for metric, statistic in _measured(found.measure(resource, limit)):
                _check_statistic(_published(entry, metric), statistic)


def _measured(measure: Measure) -> list[tuple[Metric, str]]:
    match measure:
        case Counted():
            return [(measure.bad, measure.bad_statistic), (measure.valid, measure.valid_statistic)]
        case Ranked():
            return [(measure.metric, "PR(:1)")]
        case SinceSuccess():
            return [(metric, "Sum") for metric in (measure.started, measure.failed) if metric]


# Amazon CloudWatch User Guide, "Recommended alarms", for the types that this catalog has.
RECOMMENDED = {
    "AWS::Lambda::Function": ("Errors", "Throttles", "Duration", "ConcurrentExecutions", "ClaimedAccountConcurrency"),
    "AWS::SQS::Queue": (
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesVisible",
        "NumberOfMessagesSent",
    ),
    "AWS::SNS::Topic": (
        "NumberOfMessagesPublished",
        "NumberOfNotificationsDelivered",
        "NumberOfNotificationsFailed",
        "NumberOfNotificationsFilteredOut-InvalidAttributes",
        "NumberOfNotificationsFilteredOut-InvalidMessageBody",
        "NumberOfNotificationsRedrivenToDlq",
        "NumberOfNotificationsFailedToRedriveToDlq",
        "SMSMonthToDateSpentUSD",
        "SMSSuccessRate",
    ),
    "AWS::Scheduler::Schedule": (
        "TargetErrorThrottledCount",
        "InvocationThrottleCount",
        "InvocationDroppedCount",
        "InvocationsFailedToBeSentToDeadLetterCount",
    ),
    "AWS::S3::Bucket": ("4xxErrors", "5xxErrors", "OperationsFailedReplication"),
    # Peers alarm on these; AWS recommends nothing for rules and mappings.
    "AWS::Events::Rule": (
        "FailedInvocations",
        "ThrottledRules",
        "InvocationsSentToDlq",
        "InvocationsFailedToBeSentToDlq",
        "TriggeredRules",
        "IngestionToInvocationSuccessLatency",
    ),
    "AWS::Lambda::EventSourceMapping": ("IteratorAge",),
}


@pytest.mark.parametrize("kind", RECOMMENDED)
def test_each_recommended_alarm_is_there_or_left_out_with_a_reason(kind: str) -> None:
    alarmed = {
        stat.metric.name for _, entry, _, condition in _applying() if entry.type == kind for stat in _stats(condition)
    }
    missing = set(RECOMMENDED[kind]) - alarmed - set(CATALOG[kind].not_alarmed)
    assert not missing


# Whatever a template says, an entry answers: with an alarm or with a reason.
_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 10**12),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
        st.sampled_from(["Enabled", "DISABLED", "rate(1 day)", "cron(0 0 * * ? *)", "FIFO", "{}", "arn:aws:sqs:x:1:q"]),
        st.sampled_from([Symbolic("${Stage}"), Symbolic("${Other}"), Symbolic("${Other.Arn}-x"), Symbolic("${Self}")]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
_PROPERTIES = sorted(
    {name for resource in FULL.values() for name in resource.properties}
    | {
        "VisibilityTimeout",
        "DelaySeconds",
        "FifoQueue",
        "State",
        "Enabled",
        "Subscription",
        "MaximumRecordAgeInSeconds",
    }
    | {"FlexibleTimeWindow", "ScheduleExpressionTimezone", "SelfManagedEventSource", "RetentionPeriodHours"}
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    entry=st.sampled_from(entries()),
    properties=st.dictionaries(st.sampled_from(_PROPERTIES), _VALUES, max_size=8),
    around=st.sampled_from(sorted({resource.type for resource in FULL.values()})),
    other=st.dictionaries(st.sampled_from(_PROPERTIES), _VALUES, max_size=5),
    role=st.sampled_from([None, "dlq"]),
)
def test_any_property_gets_an_answer(entry, properties, around, other, role) -> None:
    surroundings: dict[str, Resource] = {}
    resource = Resource(entry.type, "Self", properties=properties, role=role, surroundings=surroundings)
    surroundings["Self"] = resource
    surroundings["Other"] = Resource(around, "Other", properties=other, surroundings=surroundings)
    assert entry.unwatched(resource) is None or entry.unwatched(resource)
    for kind in entry.alarm_kinds:
        found = kind.conditions(resource)
        if isinstance(found, Inapplicable):
            assert found.reason
        else:
            assert found
            assert len({condition.suffix for condition in found}) == len(found)
            assert all(math.isfinite(condition.threshold) for condition in found)
    entry.panels(resource)
    interval = entry.expected_interval(resource)
    assert interval is None or interval > timedelta(0)
    for sli in entry.slis:
        if sli.applies(resource) is None:
            with contextlib.suppress(DeclarationError):
                sli.measure(resource, timedelta(milliseconds=900) if sli.needs_limit else None)
