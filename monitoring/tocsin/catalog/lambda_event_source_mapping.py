"""AWS::Lambda::EventSourceMapping: records of a stream that are read late or thrown away."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from ..alarm import Metric
from ..cloudformation.symbolic import escape, references
from ..errors import DeclarationError
from ..model import Counted, Ranked, Resource, SliKind
from ..units import format_duration, in_milliseconds
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
from .expressions import above
from .properties import amount, is_switched_off, known_when_deployed, named_by
from .stream_sources import STREAMS, source_of

NAMESPACE = "AWS/Lambda"
METRICS_PAGE = "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"
RETRIES_PAGE = "https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html"

#: DynamoDB keeps stream records for a day; so does Kinesis unless a stream says otherwise.
STREAM_RETENTION_H = 24

_HOW_TO_OPT_IN = "add MetricsConfig: {Metrics: [EventCount]} to the mapping"


def _function(mapping: Resource) -> str | None:
    """The name of the function as an alarm template writes it; None where only a deployment can tell."""
    value: Any = mapping.properties.get("FunctionName")
    target = named_by(value, mapping)
    if target and target.type in ("AWS::Lambda::Alias", "AWS::Lambda::Version"):
        value = target.properties.get("FunctionName")
        target = named_by(value, mapping)
    if target or not isinstance(value, str):
        return name_of(target) if target else None
    # A name, a partial or a full ARN, each perhaps with a version or alias behind.
    rest = type(value)(value.rpartition(":function:")[2])
    return None if references(rest) else escape(rest.partition(":")[0]) or None


def _iterator_age_metric(function: str) -> Metric:
    return Metric(NAMESPACE, "IteratorAge", (("FunctionName", function),))


def _metric(mapping: Resource, name: str) -> Metric:
    return Metric(NAMESPACE, name, (("EventSourceMappingUUID", name_of(mapping)),))


def _no_iterator_age(mapping: Resource) -> str | None:
    match source_of(mapping):
        case "sqs":
            return "a queue has no iterator age; the queue's own age alarm watches its backlog"
        case None:
            return "its event source is only known when it is deployed; give it with --param"
        case source if source not in STREAMS:
            return f"only Kinesis and DynamoDB streams publish an iterator age, and it reads from {source}"
    if _function(mapping) is None:
        return "the name of its function is only known when it is deployed; give it with --param"
    return None


def _retention_s(mapping: Resource) -> float | None:
    """Seconds that the source keeps a record."""
    stream = named_by(mapping.properties.get("EventSourceArn"), mapping)
    if stream and stream.type == "AWS::Kinesis::StreamConsumer":
        stream = named_by(stream.properties.get("StreamARN"), mapping)
    if stream and stream.type == "AWS::Kinesis::Stream":
        hours = amount(stream, "RetentionPeriodHours", STREAM_RETENTION_H)
        return None if hours is None else hours * 3600
    return STREAM_RETENTION_H * 3600.0


def _highest_age_ms(mapping: Resource) -> float | None:
    retention = _retention_s(mapping)
    return None if retention is None else retention * 1000


def _own_iterator_age(mapping: Resource) -> tuple[Condition, ...] | Inapplicable:
    if reason := _no_iterator_age(mapping):
        return Inapplicable(reason)
    retention = _retention_s(mapping)
    # −1, the default, means that Lambda never gives a record up for its age.
    limit = mapping.properties.get("MaximumRecordAgeInSeconds")
    longest = 0.0 if str(limit) == "-1" else amount(mapping, "MaximumRecordAgeInSeconds", 0)
    if retention is None or longest is None:
        return known_when_deployed("how long its records are kept")
    threshold = retention * 0.1
    kept = format_duration(timedelta(seconds=retention))
    because = f"10 % of the {kept} that the stream keeps a record; the rest is the time left to catch up"
    if 0 < longest / 2 < threshold:
        threshold = longest / 2
        because = f"half of the {format_duration(timedelta(seconds=longest))} after which Lambda throws a record away"
    metric = _iterator_age_metric(_function(mapping) or "")
    because += ", for 15 minutes"
    return (above(metric, "Maximum", threshold * 1000, because, period=300, evaluation_periods=3),)


def _iterator_age(mapping: Resource) -> tuple[Condition, ...] | Inapplicable:
    """Several mappings of one function share its metric: the strictest speaks for all of them."""
    own = _own_iterator_age(mapping)
    if isinstance(own, Inapplicable):
        return own
    rivals = []
    for logical_id, other in mapping.surroundings.items():
        if other.type != mapping.type or logical_id == mapping.logical_id or is_switched_off(other):
            continue
        theirs = _own_iterator_age(replace(other, surroundings=mapping.surroundings))
        if not isinstance(theirs, Inapplicable) and theirs[0].queries == own[0].queries:
            rivals.append((theirs[0].threshold, logical_id))
    if rivals and min(rivals) < (own[0].threshold, mapping.logical_id):
        return Inapplicable(
            f"its function has one iterator age for all that it reads, and the alarm of {min(rivals)[1]} watches that"
        )
    return own


def _counts_events(mapping: Resource) -> bool:
    config = mapping.properties.get("MetricsConfig")
    metrics = config.get("Metrics") if isinstance(config, dict) else None
    return isinstance(metrics, list) and "EventCount" in metrics


def _no_drops(mapping: Resource) -> str | None:
    if source_of(mapping) == "sqs":
        return "Lambda drops no message of a queue; what fails too often goes to the queue's dead-letter queue"
    if not _counts_events(mapping):
        return f"its event metrics are switched off; {_HOW_TO_OPT_IN}"
    return None


def _dropped(mapping: Resource) -> tuple[Condition, ...] | Inapplicable:
    if reason := _no_drops(mapping):
        return Inapplicable(reason)
    because = "a record that is given up without a failure destination to keep it is lost; one is enough"
    return (above(_metric(mapping, "DroppedEventCount"), "Sum", 0, because, period=300),)


def _freshness(mapping: Resource, limit: timedelta | None) -> Ranked:
    function = _function(mapping)
    if limit is None:
        raise DeclarationError(f'{mapping.logical_id}: a freshness SLO needs a limit, such as below="1min"')
    if function is None:
        raise DeclarationError(f"{mapping.logical_id}: {_no_iterator_age(mapping)}")
    return Ranked(_iterator_age_metric(function), in_milliseconds(limit))


def _panels(mapping: Resource) -> tuple[Panel, ...]:
    panels = []
    if _no_iterator_age(mapping) is None:
        panels.append(
            Panel(
                title="How far behind is the reader?",
                description="Age of the last record of each batch. Normally seconds; a steady climb means too slow a function or one record that fails over and over.",
                unit="ms",
                series=(Series(_iterator_age_metric(_function(mapping) or ""), "Maximum", "oldest record"),),
                alarm_kinds=("lambda-event-source-mapping-iterator-age",),
                no_value="nothing to read in this time",
            )
        )
    if _counts_events(mapping):
        counts: list[tuple[str, str, Meaning | None]] = [
            ("PolledEventCount", "read", None),
            ("InvokedEventCount", "handed over", None),
            ("FailedInvokeEventCount", "failed", Meaning.FAILED),
        ]
        if source_of(mapping) != "sqs":
            counts.append(("DroppedEventCount", "dropped", Meaning.FAILED))
        panels.append(
            Panel(
                title="What becomes of the events?",
                description="Events read, handed to the function, failed and dropped. More handed over than read means retries; dropped is normally 0.",
                unit="short",
                series=tuple(Series(_metric(mapping, name), "Sum", label, meaning) for name, label, meaning in counts),
                alarm_kinds=("lambda-event-source-mapping-dropped",),
                no_value="nothing to read in this time",
            )
        )
    return tuple(panels)


def _event_count(name: str) -> PublishedMetric:
    return PublishedMetric(
        NAMESPACE,
        name,
        "Count",
        Nature.COUNTER,
        (("EventSourceMappingUUID",),),
        Publication.OPT_IN,
        opted_in=_counts_events,
    )


TYPES = (
    ResourceType(
        type="AWS::Lambda::EventSourceMapping",
        slug="lambda-event-source-mapping",
        title="Lambda event source mapping",
        name_property=None,
        name_source=NameSource.PHYSICAL_ID,
        metrics=(
            PublishedMetric(
                NAMESPACE,
                "IteratorAge",
                "Milliseconds",
                Nature.DURATION,
                (("FunctionName",), ("FunctionName", "Resource")),
                Publication.WHEN_ACTIVE,
                highest=_highest_age_ms,
            ),
            _event_count("PolledEventCount"),
            _event_count("InvokedEventCount"),
            _event_count("FailedInvokeEventCount"),
            _event_count("DroppedEventCount"),
        ),
        alarm_kinds=(
            AlarmKind(
                id="lambda-event-source-mapping-iterator-age",
                symptom="records are read late",
                because="A stream deletes its records whether they were read or not; a reader that falls behind loses them in the end.",
                source=METRICS_PAGE,
                conditions=_iterator_age,
            ),
            AlarmKind(
                id="lambda-event-source-mapping-dropped",
                symptom="records are thrown away",
                because="Lambda gives a record up after its retries or its age, and no other metric counts what was not kept.",
                source=RETRIES_PAGE,
                conditions=_dropped,
            ),
        ),
        slis=(
            SliOffer(
                kind=SliKind.FRESHNESS,
                good="batches whose records are read in time",
                source=METRICS_PAGE,
                measure=_freshness,
                needs_limit=True,
                objective="99%",
                limit="1min",
                applies=_no_iterator_age,
            ),
            SliOffer(
                kind=SliKind.COMPLETENESS,
                good="records that are not thrown away",
                source=METRICS_PAGE,
                measure=lambda mapping, limit: Counted(
                    _metric(mapping, "DroppedEventCount"), _metric(mapping, "PolledEventCount")
                ),
                applies=_no_drops,
            ),
        ),
        panels=_panels,
        unwatched=lambda mapping: "the template switches it off" if is_switched_off(mapping) else None,
        not_alarmed={
            "FailedInvokeEventCount": "the function's own error alarm sees the same failures, and needs no opt-in",
            "OnFailureDestinationDeliveredEventCount": "the record is kept; the destination, a queue or bucket, is watched where it stands",
            "OffsetLag": "a number of Kafka messages says nothing without their rate; promise a freshness instead",
        },
    ),
)
