from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from catalog_stacks import dimensions, offer, only, reason, ref, stack

from tocsin.catalog import CATALOG
from tocsin.cloudformation.symbolic import Symbolic
from tocsin.model import SliKind

MAPPING = "AWS::Lambda::EventSourceMapping"
AGE, DROPPED = "lambda-event-source-mapping-iterator-age", "lambda-event-source-mapping-dropped"
COUNTED = {"MetricsConfig": {"Metrics": ["EventCount"]}}


def _mapping(source: object = ref("Stream.Arn"), function: object = ref("Reader"), /, **properties: object):
    return stack(
        Mapping=(MAPPING, {"EventSourceArn": source, "FunctionName": function, **properties}),
        Reader=("AWS::Lambda::Function", {}),
        Live=("AWS::Lambda::Alias", {"FunctionName": ref("Reader")}),
        Stream=("AWS::Kinesis::Stream", {}),
        LongStream=("AWS::Kinesis::Stream", {"RetentionPeriodHours": 168}),
        AnyStream=("AWS::Kinesis::Stream", {"RetentionPeriodHours": Symbolic("${Hours}")}),
        Consumer=("AWS::Kinesis::StreamConsumer", {"StreamARN": ref("LongStream.Arn")}),
        Table=("AWS::DynamoDB::Table", {}),
        Orders=("AWS::SQS::Queue", {}),
        Cluster=("AWS::MSK::Cluster", {}),
    )["Mapping"]


@pytest.mark.parametrize(
    ("mapping", "hours", "words"),
    [
        (_mapping(), 2.4, "10 % of the 1 d"),
        (_mapping(ref("Table.StreamArn")), 2.4, "10 % of the 1 d"),
        (_mapping(ref("LongStream.Arn")), 16.8, "10 % of the 7 d"),
        (_mapping(ref("Consumer")), 16.8, "10 % of the 7 d"),
        (_mapping("arn:aws:kinesis:eu-west-1:123456789012:stream/orders"), 2.4, "10 % of the 1 d"),
        (_mapping(MaximumRecordAgeInSeconds=-1), 2.4, "10 % of the 1 d"),
        (_mapping(MaximumRecordAgeInSeconds=3600), 0.5, "half of the 1 h after which Lambda throws"),
        (_mapping(MaximumRecordAgeInSeconds=604_800), 2.4, "10 % of the 1 d"),
    ],
)
def test_a_reader_of_a_stream_is_held_to_the_time_left(mapping, hours: float, words: str) -> None:
    condition = only(mapping, AGE)
    assert condition.threshold == pytest.approx(hours * 3_600_000)
    assert words in condition.because


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (ref("Reader"), "${ReaderName}"),
        (ref("Reader.Arn"), "${ReaderName}"),
        (ref("Live"), "${ReaderName}"),
        ("reader", "reader"),
        ("reader:live", "reader"),
        ("arn:aws:lambda:eu-west-1:123456789012:function:reader:live", "reader"),
        (Symbolic("arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:reader"), "reader"),
        (Symbolic("arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:${Reader}"), "${ReaderName}"),
    ],
)
def test_the_iterator_age_is_published_under_the_function(function: object, name: str) -> None:
    assert dimensions(only(_mapping(ref("Stream.Arn"), function), AGE)) == {"FunctionName": name}


@pytest.mark.parametrize(
    ("mapping", "why"),
    [
        (_mapping(ref("Orders.Arn")), "a queue has no iterator age"),
        (_mapping("arn:aws:sqs:eu-west-1:123456789012:orders"), "a queue has no iterator age"),
        (_mapping(ref("Cluster")), "reads from kafka"),
        (_mapping(None, SelfManagedEventSource={"Endpoints": {}}), "reads from kafka"),
        (_mapping(Symbolic("${SourceArn}")), "give it with --param"),
        (_mapping(None), "give it with --param"),
        (_mapping(ref("Stream.Arn"), Symbolic("${AWS::StackName}-reader")), "the name of its function"),
        (_mapping(ref("Stream.Arn"), 7), "the name of its function"),
        (_mapping(ref("AnyStream.Arn")), "how long its records are kept"),
        (_mapping(MaximumRecordAgeInSeconds=Symbolic("${Age}")), "how long its records are kept"),
    ],
)
def test_an_iterator_age_that_nobody_publishes_is_not_alarmed_on(mapping, why: str) -> None:
    """Defect 13 of other tools: IteratorAge on a function fed by a queue."""
    assert why in reason(mapping, AGE)


def test_a_mapping_of_a_queue_is_watched_all_the_same() -> None:
    mapping = _mapping(ref("Orders.Arn"))
    assert CATALOG[MAPPING].unwatched(mapping) is None
    assert "dead-letter queue" in reason(mapping, DROPPED)
    assert CATALOG[MAPPING].panels(mapping) == ()


@pytest.mark.parametrize("enabled", [False, "false"])
def test_a_mapping_that_is_switched_off_is_not_watched(enabled: object) -> None:
    assert CATALOG[MAPPING].unwatched(_mapping(Enabled=enabled))


def test_dropped_records_need_their_switch() -> None:
    assert "MetricsConfig: {Metrics: [EventCount]}" in reason(_mapping(), DROPPED)
    condition = only(_mapping(**COUNTED), DROPPED)
    assert dimensions(condition) == {"EventSourceMappingUUID": "${MappingName}"}
    assert (condition.threshold, condition.datapoints_to_alarm) == (0, 1)
    assert offer(_mapping(), SliKind.COMPLETENESS).applies(_mapping())
    assert offer(_mapping(**COUNTED), SliKind.COMPLETENESS).applies(_mapping(**COUNTED)) is None


def test_freshness_is_in_milliseconds() -> None:
    """Defect 4 of other tools: a threshold in another unit than the metric."""
    measure = offer(_mapping(), SliKind.FRESHNESS).measure(_mapping(), timedelta(minutes=1))
    assert measure.limit == Fraction(60_000)


def test_two_mappings_of_one_function_have_one_alarm_the_stricter() -> None:
    """The iterator age is the function's: two alarms on it would ring together, or one never without the other."""

    def reads(stream: str, function: str = "Reader") -> tuple[str, dict[str, object]]:
        return MAPPING, {"EventSourceArn": ref(f"{stream}.Arn"), "FunctionName": ref(function)}

    found = stack(
        Reader=("AWS::Lambda::Function", {}),
        Other=("AWS::Lambda::Function", {}),
        Week=("AWS::Kinesis::Stream", {"RetentionPeriodHours": 168}),
        Day=("AWS::Kinesis::Stream", {}),
        A=reads("Week"),
        B=reads("Day"),
        C=reads("Day"),
        D=reads("Week", "Other"),
    )
    assert only(found["B"], AGE).threshold == pytest.approx(2.4 * 3_600_000)
    assert reason(found["A"], AGE) == reason(found["C"], AGE)
    assert "the alarm of B watches that" in reason(found["A"], AGE)
    assert only(found["D"], AGE).threshold == pytest.approx(16.8 * 3_600_000), "another function's"
