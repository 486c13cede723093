"""AWS::S3::Bucket: requests that fail or crawl, and objects that are not replicated, where the bucket counts them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ..alarm import Comparison, Metric, MetricQuery, TreatMissingData
from ..cloudformation.symbolic import Symbolic, escape
from ..errors import DeclarationError
from ..model import Counted, Ranked, Resource, SliKind
from ..units import in_milliseconds
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
    SliOffer,
    name_of,
)
from .expressions import above, compare, share
from .properties import known_when_deployed, mappings, physical_name

NAMESPACE = "AWS/S3"
METRICS_PAGE = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-dimensions.html"
PERFORMANCE_PAGE = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"
REPLICATION_PAGE = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/repl-metrics.html"

#: The slow end of what S3 names for the first byte of a small object, in milliseconds.
ORDINARY_FIRST_BYTE_MS = 200
#: Fewer failed requests in five minutes are no share worth a ticket: SDKs retry, and callers probe for objects.
MINIMUM_ERRORS = 5

_SWITCHED_OFF = "its request metrics are switched off (they are paid for); add MetricsConfigurations: [{Id: EntireBucket}] to the bucket"


def _filters(bucket: Resource) -> tuple[str, ...] | Inapplicable:
    """The ids of the metrics configurations to alarm on: the one for the whole bucket, or else each part's."""
    configurations = mappings(bucket.properties.get("MetricsConfigurations"))
    if not configurations:
        if isinstance(bucket.properties.get("MetricsConfigurations"), Symbolic):
            return known_when_deployed("whether its request metrics are switched on")
        return Inapplicable(_SWITCHED_OFF)
    whole = [item for item in configurations if item.keys() <= {"Id"}]
    ids = [item.get("Id") for item in whole or configurations]
    if any(isinstance(found, Symbolic) or not isinstance(found, str) for found in ids):
        return known_when_deployed("the id of its metrics configuration")
    return tuple(sorted(set(map(str, ids))))


def _opted_in(bucket: Resource) -> bool:
    return not isinstance(_filters(bucket), Inapplicable)


def _metric(bucket: Resource, filter_id: str, name: str) -> Metric:
    return Metric(NAMESPACE, name, (("BucketName", name_of(bucket)), ("FilterId", escape(filter_id))))


def _suffix(text: str, several: bool) -> str:
    """CamelCase of an id, where several conditions must be told apart."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", text)) if several else ""


def _per_filter(bucket: Resource, condition: Any) -> tuple[Condition, ...] | Inapplicable:
    filters = _filters(bucket)
    if isinstance(filters, Inapplicable):
        return filters
    return tuple(condition(filter_id, _suffix(filter_id, len(filters) > 1)) for filter_id in filters)


def _error_share(bucket: Resource, filter_id: str, name: str) -> tuple[MetricQuery, ...]:
    bad, valid = _metric(bucket, filter_id, name), _metric(bucket, filter_id, "AllRequests")
    return share(bad, valid, period=300, minimum_bad=MINIMUM_ERRORS)


def _errors(bucket: Resource, name: str, what: str) -> tuple[Condition, ...] | Inapplicable:
    because = (
        f"{what} for more than 5 % of requests, and at least {MINIMUM_ERRORS}, in two of three five-minute periods; "
        "5 % is AWS's own recommendation"
    )
    return _per_filter(
        bucket,
        lambda filter_id, suffix: compare(
            _error_share(bucket, filter_id, name),
            Comparison.GREATER,
            5,
            because,
            evaluation_periods=3,
            datapoints_to_alarm=2,
            suffix=suffix,
        ),
    )


def _latency(bucket: Resource) -> tuple[Condition, ...] | Inapplicable:
    because = f"five times the {ORDINARY_FIRST_BYTE_MS} ms that AWS names for a small object, at the 90th percentile for 15 minutes"
    return _per_filter(
        bucket,
        lambda filter_id, suffix: above(
            _metric(bucket, filter_id, "FirstByteLatency"),
            "p90",
            5 * ORDINARY_FIRST_BYTE_MS,
            because,
            period=300,
            evaluation_periods=3,
            suffix=suffix,
        ),
    )


def _replicating(bucket: Resource) -> tuple[Mapping[str, Any], ...]:
    """The replication rules that publish metrics."""
    configuration = bucket.properties.get("ReplicationConfiguration")
    rules = mappings(configuration.get("Rules")) if isinstance(configuration, Mapping) else ()
    return tuple(
        rule
        for rule in rules
        if str(rule.get("Status")) == "Enabled"
        for destination in mappings(rule.get("Destination"))
        for metrics in mappings(destination.get("Metrics"))
        if str(metrics.get("Status")) == "Enabled"
    )


def _replication(bucket: Resource) -> tuple[Condition, ...] | Inapplicable:
    if not bucket.properties.get("ReplicationConfiguration"):
        return Inapplicable("it replicates nothing")
    rules = _replicating(bucket)
    if not rules:
        return Inapplicable(
            "its replication metrics are switched off; add Metrics: {Status: Enabled} to the rule's destination"
        )
    conditions = []
    for rule in rules:
        rule_id = rule.get("Id")
        if not isinstance(rule_id, str) or isinstance(rule_id, Symbolic):
            return Inapplicable(
                "a replication rule has no id in the template, and its metrics carry one; give it an Id"
            )
        target = physical_name(mappings(rule["Destination"])[0].get("Bucket"), bucket)
        if target is None:
            return known_when_deployed("the destination of its replication")
        dimensions = (("SourceBucket", name_of(bucket)), ("DestinationBucket", target), ("RuleId", escape(rule_id)))
        because = f"the rule {rule_id} could not copy an object, and S3 does not try again by itself"
        metric = Metric(NAMESPACE, "OperationsFailedReplication", dimensions)
        # AWS advises "ignore": while nothing is replicated, a missing copy is still missing.
        missing, suffix = TreatMissingData.IGNORE, _suffix(rule_id, len(rules) > 1)
        conditions.append(above(metric, "Sum", 0, because, period=300, missing=missing, suffix=suffix))
    return tuple(conditions)


def _no_requests(bucket: Resource) -> str | None:
    filters = _filters(bucket)
    if isinstance(filters, Inapplicable):
        return filters.reason
    if len(filters) > 1:
        return (
            "its request metrics cover several parts; add a metrics configuration without a filter for the whole bucket"
        )
    return None


def _only_filter(bucket: Resource) -> str:
    filters = _filters(bucket)
    if isinstance(filters, Inapplicable) or len(filters) > 1:
        raise DeclarationError(f"{bucket.logical_id} has no such SLI: {_no_requests(bucket)}")
    return filters[0]


def _request_latency(bucket: Resource, limit: timedelta | None) -> Ranked:
    if limit is None:
        raise DeclarationError(f'{bucket.logical_id}: a latency SLO needs a limit, such as below="500ms"')
    return Ranked(_metric(bucket, _only_filter(bucket), "FirstByteLatency"), in_milliseconds(limit))


def _panels(bucket: Resource) -> tuple[Panel, ...]:
    size = (("BucketName", name_of(bucket)), ("StorageType", "StandardStorage"))
    panels = [
        Panel(
            title="How much does the bucket hold?",
            description="Bytes in standard storage, measured once a day. A sudden rise costs money, a sudden fall is lost data.",
            unit="bytes",
            series=(Series(Metric(NAMESPACE, "BucketSizeBytes", size), "Average", "standard storage"),),
            no_value="not measured in this time",
            time_from=timedelta(days=30),
            period=timedelta(days=1),
        )
    ]
    filters = _filters(bucket)
    for filter_id in () if isinstance(filters, Inapplicable) else filters:
        part = f" ({filter_id})" if isinstance(filters, tuple) and len(filters) > 1 else ""
        panels += [
            Panel(
                title=f"Do requests fail?{part}",
                description="Requests beside those answered with a client error (4xx) and with a server error (5xx). Both are normally near 0.",
                unit="short",
                series=tuple(
                    Series(_metric(bucket, filter_id, name), "Sum", label, meaning)
                    for name, label, meaning in (
                        ("AllRequests", "requests", None),
                        ("4xxErrors", "client errors", Meaning.REFUSED),
                        ("5xxErrors", "server errors", Meaning.FAILED),
                    )
                ),
                no_value="no requests in this time",
            ),
            Panel(
                title=f"How long until the first byte?{part}",
                description="Time until S3 begins to answer. Ordinary is 100 to 200 ms for small objects.",
                unit="ms",
                series=(
                    Series(_metric(bucket, filter_id, "FirstByteLatency"), "p50", "median"),
                    Series(_metric(bucket, filter_id, "FirstByteLatency"), "p90", "90th percentile"),
                ),
                alarm_kinds=("s3-bucket-latency",),
                no_value="no requests in this time",
            ),
        ]
    return tuple(panels)


def _request_metric(name: str, unit: str, nature: Nature) -> PublishedMetric:
    dimension_sets = (("BucketName", "FilterId"),)
    return PublishedMetric(NAMESPACE, name, unit, nature, dimension_sets, Publication.OPT_IN, opted_in=_opted_in)


TYPES = (
    ResourceType(
        type="AWS::S3::Bucket",
        slug="s3-bucket",
        title="S3 bucket",
        name_property="BucketName",
        name_source=NameSource.PHYSICAL_ID,
        own_dimension="BucketName",
        metrics=(
            _request_metric("AllRequests", "Count", Nature.COUNTER),
            _request_metric("4xxErrors", "Count", Nature.RATIO),
            _request_metric("5xxErrors", "Count", Nature.RATIO),
            _request_metric("FirstByteLatency", "Milliseconds", Nature.DURATION),
            PublishedMetric(
                NAMESPACE,
                "OperationsFailedReplication",
                "Count",
                Nature.RATIO,
                (("DestinationBucket", "RuleId", "SourceBucket"),),
                Publication.OPT_IN,
                opted_in=lambda bucket: bool(_replicating(bucket)),
            ),
            PublishedMetric(
                NAMESPACE,
                "BucketSizeBytes",
                "Bytes",
                Nature.GAUGE,
                (("BucketName", "StorageType"),),
                resolution=86_400,
            ),
        ),
        alarm_kinds=(
            AlarmKind(
                id="s3-bucket-client-errors",
                symptom="requests are refused",
                because="A burst of 4xx answers is a permission taken away, an object that is gone, or a caller gone wrong.",
                source=METRICS_PAGE,
                conditions=lambda bucket: _errors(bucket, "4xxErrors", "S3 answers with a client error"),
            ),
            AlarmKind(
                id="s3-bucket-server-errors",
                symptom="requests fail in S3",
                because="SDKs retry a 5xx answer, so a lasting share of them slows every caller before it stops them.",
                source=METRICS_PAGE,
                conditions=lambda bucket: _errors(bucket, "5xxErrors", "S3 answers with a server error"),
            ),
            AlarmKind(
                id="s3-bucket-latency",
                symptom="S3 answers slowly",
                because="A slow first byte holds up everything that reads the bucket.",
                source=PERFORMANCE_PAGE,
                conditions=_latency,
            ),
            AlarmKind(
                id="s3-bucket-replication-failed",
                symptom="objects are not replicated",
                because="The copy is missing from the day it is needed for, and S3 does not retry a failed replication.",
                source=REPLICATION_PAGE,
                conditions=_replication,
            ),
        ),
        slis=(
            SliOffer(
                kind=SliKind.AVAILABILITY,
                good="requests answered without a server error",
                source=METRICS_PAGE,
                measure=lambda bucket, limit: Counted(
                    _metric(bucket, _only_filter(bucket), "5xxErrors"),
                    _metric(bucket, _only_filter(bucket), "AllRequests"),
                ),
                applies=_no_requests,
            ),
            SliOffer(
                kind=SliKind.LATENCY,
                good="requests whose first byte comes in time",
                source=PERFORMANCE_PAGE,
                measure=_request_latency,
                needs_limit=True,
                objective="99%",
                limit="500ms",
                applies=_no_requests,
            ),
        ),
        panels=_panels,
        not_alarmed={
            "TotalRequestLatency": "grows with the size of the object; the first byte tells S3's own share of it",
            "HeadRequests": "a volume, not a fault",
            "AllRequests": "a volume, not a fault; too few is a promise of the caller",
        },
    ),
)
