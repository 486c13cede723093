from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from catalog_stacks import conditions, offer, only, reason, ref, stack

from tocsin.alarm import Alarm, AlarmState, TreatMissingData
from tocsin.catalog import CATALOG
from tocsin.cloudformation.symbolic import Symbolic
from tocsin.errors import DeclarationError
from tocsin.model import Counted, Ranked, SliKind
from tocsin.simulate.metric_alarm import evaluate
from tocsin.simulate.series import Store

QUEUE, MAPPING = "AWS::SQS::Queue", "AWS::Lambda::EventSourceMapping"
READER = (MAPPING, {"EventSourceArn": ref("Orders.Arn"), "FunctionName": "reader"})
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def _alarm(condition) -> Alarm:
    return Alarm(
        "test",
        condition.queries,
        condition.comparison,
        condition.threshold,
        condition.evaluation_periods,
        condition.datapoints_to_alarm,
        condition.treat_missing_data,
    )


def _redrive(receives: object = 3, target: object = ref("DeadLetters.Arn")) -> dict[str, object]:
    return {"RedrivePolicy": {"deadLetterTargetArn": target, "maxReceiveCount": receives}}


@pytest.mark.parametrize(
    ("properties", "threshold", "words"),
    [
        # a message is through after receives × visibility timeout; under a quarter of an hour is an ordinary burst
        ({"VisibilityTimeout": 30, **_redrive(3)}, 900, "3 × the visibility timeout of 30 s = 1 min 30 s"),
        ({"VisibilityTimeout": 180, **_redrive(5)}, 900, "5 × the visibility timeout of 3 min = 15 min"),
        ({"VisibilityTimeout": "360", **_redrive("5")}, 1800, "5 × the visibility timeout of 6 min = 30 min"),
        ({"VisibilityTimeout": 360, "DelaySeconds": 60, **_redrive(5)}, 1860, "and the delay of 1 min = 31 min"),
        ({"VisibilityTimeout": 360}, 1080, "3 × the visibility timeout of 6 min = 18 min"),
        ({"VisibilityTimeout": 360, "RedrivePolicy": json.dumps({"maxReceiveCount": 4})}, 1440, "4 × "),
        # never later than half of the retention
        ({"VisibilityTimeout": 43_200, **_redrive(1000)}, 172_800, "half of the 4 d"),
        ({"MessageRetentionPeriod": 600, **_redrive(3)}, 300, "half of the 10 min"),
    ],
)
def test_the_age_of_a_queue_that_is_read_at_once(properties: dict[str, object], threshold: float, words: str) -> None:
    orders = stack(Orders=(QUEUE, properties), Reader=READER)["Orders"]
    condition = only(orders, "sqs-queue-age")
    assert condition.threshold == threshold
    assert words in condition.because


@pytest.mark.parametrize(
    "reader",
    [
        None,
        (MAPPING, {**READER[1], "Enabled": False}),
        (MAPPING, {"EventSourceArn": ref("Others.Arn"), "FunctionName": "reader"}),
    ],
)
def test_a_queue_whose_reader_is_not_known_is_held_to_its_retention(reader) -> None:
    around = {"Reader": reader} if reader else {}
    condition = only(stack(Orders=(QUEUE, _redrive()), **around)["Orders"], "sqs-queue-age")
    assert condition.threshold == 172_800
    assert "nothing in the template tells who reads the queue" in condition.because


@pytest.mark.parametrize(
    "reader",
    [
        ("AWS::Pipes::Pipe", {"Source": ref("Orders.Arn")}),
        (
            "AWS::Serverless::Function",
            {"Events": {"Work": {"Type": "SQS", "Properties": {"Queue": ref("Orders.Arn")}}}},
        ),
    ],
)
def test_pipes_and_sam_events_read_at_once_too(reader) -> None:
    assert only(stack(Orders=(QUEUE, _redrive()), Reader=reader)["Orders"], "sqs-queue-age").threshold == 900


@pytest.mark.parametrize(
    ("properties", "what"),
    [
        ({"MessageRetentionPeriod": Symbolic("${Days}")}, "its retention period"),
        ({"VisibilityTimeout": Symbolic("${Timeout}")}, "its visibility timeout"),
        ({"VisibilityTimeout": [30]}, "its visibility timeout"),
        ({"VisibilityTimeout": float("nan")}, "its visibility timeout"),
        ({"RedrivePolicy": Symbolic("${Policy}")}, "redrive policy"),
        (_redrive(Symbolic("${Receives}")), "redrive policy"),
    ],
)
def test_what_only_a_deployment_knows_is_said(properties: dict[str, object], what: str) -> None:
    orders = stack(Orders=(QUEUE, properties), Reader=READER)["Orders"]
    assert what in reason(orders, "sqs-queue-age")
    assert "give it with --param" in reason(orders, "sqs-queue-age")


@pytest.mark.parametrize("name", ["orders", "orders.fifo"])
def test_messages_in_flight_are_held_to_the_quota(name: str) -> None:
    orders = stack(Orders=(QUEUE, {"QueueName": name, "FifoQueue": name.endswith(".fifo")}))["Orders"]
    condition = only(orders, "sqs-queue-in-flight")
    assert condition.threshold == 96_000
    assert "120,000" in condition.because


DLQ = stack(
    Orders=(QUEUE, {"VisibilityTimeout": 3600, **_redrive(24)}),
    DeadLetters=(QUEUE, {"MessageRetentionPeriod": 432_000}, "dlq"),
)


def test_a_dead_letter_queue_has_the_one_alarm_it_needs_and_no_in_flight_alarm() -> None:
    """Defect 10 of other tools: in flight at 96,000, and nothing on messages."""
    assert only(DLQ["DeadLetters"], "sqs-dead-letter-queue-not-empty").threshold == 0
    assert "dead-letter queue" in reason(DLQ["DeadLetters"], "sqs-queue-in-flight")
    assert "dead-letter queue" in reason(DLQ["DeadLetters"], "sqs-queue-age")
    assert "ordinary queue" in reason(DLQ["Orders"], "sqs-dead-letter-queue-not-empty")
    assert "ordinary queue" in reason(DLQ["Orders"], "sqs-dead-letter-queue-age")


def test_a_dead_letter_is_told_within_a_minute_and_the_alarm_ends_with_it() -> None:
    """Defect 17 of other tools: 15 of 15 minutes."""
    condition = only(DLQ["DeadLetters"], "sqs-dead-letter-queue-not-empty")
    assert (condition.evaluation_periods, condition.datapoints_to_alarm) == (1, 1)
    alarm, store = _alarm(condition), Store()
    (metric,) = alarm.metrics
    assert evaluate(alarm, store, NOW, AlarmState.INSUFFICIENT_DATA).state is AlarmState.OK
    store.add(metric, NOW, 1)
    assert evaluate(alarm, store, NOW, AlarmState.OK).state is AlarmState.OK  # not yet
    assert evaluate(alarm, store, NOW + timedelta(minutes=1), AlarmState.OK).state is AlarmState.ALARM
    store.add(metric, NOW + timedelta(minutes=1), 0)
    assert evaluate(alarm, store, NOW + timedelta(minutes=2), AlarmState.ALARM).state is AlarmState.OK


def test_a_queue_used_once_a_day_is_not_in_alarm_the_rest_of_the_day() -> None:
    """Defect 16 of other tools: no messages sent for 15 minutes."""
    orders = stack(Orders=(QUEUE, _redrive()), Reader=READER)["Orders"]
    age = only(orders, "sqs-queue-age")
    assert age.treat_missing_data is TreatMissingData.NOT_BREACHING
    assert evaluate(_alarm(age), Store(), NOW, AlarmState.OK).state is AlarmState.OK
    assert "NumberOfMessagesSent" in CATALOG[QUEUE].not_alarmed
    assert "ApproximateNumberOfMessagesVisible" in CATALOG[QUEUE].not_alarmed


def test_a_queue_that_is_watched_has_alarms_and_not_only_a_panel() -> None:
    """Defect 18 of other tools."""
    orders = stack(Orders=(QUEUE, {}))["Orders"]
    assert conditions(orders, "sqs-queue-age")
    assert conditions(orders, "sqs-queue-in-flight")


def test_a_backlog_fires_after_five_minutes_and_ends_soon_after_it_is_worked_off() -> None:
    orders = stack(Orders=(QUEUE, _redrive()), Reader=READER)["Orders"]
    alarm, store = _alarm(only(orders, "sqs-queue-age")), Store()
    (metric,) = alarm.metrics
    for minute in range(5):
        store.add(metric, NOW + timedelta(minutes=minute), 901 + 60 * minute)
    assert evaluate(alarm, store, NOW + timedelta(minutes=4), AlarmState.OK).state is AlarmState.OK
    assert evaluate(alarm, store, NOW + timedelta(minutes=5), AlarmState.OK).state is AlarmState.ALARM
    # Nothing is published any more: the last datapoints count for two minutes longer.
    assert evaluate(alarm, store, NOW + timedelta(minutes=7), AlarmState.ALARM).state is AlarmState.ALARM
    assert evaluate(alarm, store, NOW + timedelta(minutes=8), AlarmState.ALARM).state is AlarmState.OK


def test_dead_letters_of_a_standard_queue_are_deleted_by_the_time_of_first_sending() -> None:
    condition = only(DLQ["DeadLetters"], "sqs-dead-letter-queue-age")
    # 5 d of retention less the day of 24 tries of an hour, and half of that.
    assert condition.threshold == 4 * 86_400 / 2
    assert "tried for 1 d in Orders" in condition.because


def test_dead_letters_of_a_fifo_queue_start_anew() -> None:
    around = stack(
        Orders=(QUEUE, {"FifoQueue": True, "VisibilityTimeout": 3600, **_redrive(24)}),
        DeadLetters=(QUEUE, {"FifoQueue": True, "MessageRetentionPeriod": 432_000}, "dlq"),
    )
    assert only(around["DeadLetters"], "sqs-dead-letter-queue-age").threshold == 5 * 86_400 / 2


def test_a_dead_letter_queue_that_keeps_nothing_says_so() -> None:
    around = stack(
        Orders=(QUEUE, {"VisibilityTimeout": 3600, **_redrive(24)}),
        DeadLetters=(QUEUE, {"MessageRetentionPeriod": 3600}, "dlq"),
    )
    assert "raise MessageRetentionPeriod" in reason(around["DeadLetters"], "sqs-dead-letter-queue-age")


def test_completeness_counts_the_depth_of_the_dead_letter_queue() -> None:
    """Redrives do not count as NumberOfMessagesSent of a dead-letter queue."""
    found = offer(DLQ["Orders"], SliKind.COMPLETENESS)
    assert found.applies(DLQ["Orders"]) is None
    measure = found.measure(DLQ["Orders"], None)
    assert isinstance(measure, Counted)
    assert str(measure.bad) == "AWS/SQS/ApproximateNumberOfMessagesVisible{QueueName=${DeadLettersName}}"
    assert str(measure.valid) == "AWS/SQS/NumberOfMessagesDeleted{QueueName=${OrdersName}}"
    assert (measure.bad_is_level, measure.valid_statistic, measure.bad_in_valid) == (True, "Sum", False)


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        ({"RedrivePolicy": Symbolic('{"deadLetterTargetArn":"${DeadLetters.Arn}","maxReceiveCount":3}')}, "${DeadLettersName}"),
        (_redrive(target="arn:aws:sqs:eu-west-1:123456789012:orders-dlq"), "orders-dlq"),
        (_redrive(target=Symbolic("arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:orders-dlq.fifo")), "orders-dlq.fifo"),
    ],
)  # fmt: skip
def test_the_dead_letter_queue_is_found_however_it_is_written(policy: dict[str, object], name: str) -> None:
    orders = stack(Orders=(QUEUE, policy), DeadLetters=(QUEUE, {}, "dlq"))["Orders"]
    measure = offer(orders, SliKind.COMPLETENESS).measure(orders, None)
    assert dict(measure.bad.dimensions) == {"QueueName": name}


@pytest.mark.parametrize(
    ("around", "why"),
    [
        (stack(Orders=(QUEUE, {})), "no dead-letter queue"),
        (stack(Orders=(QUEUE, {}, "dlq")), "is a dead-letter queue"),
        (stack(Orders=(QUEUE, _redrive(target=Symbolic("${DlqArn}")))), "give it with --param"),
        (stack(Orders=(QUEUE, _redrive(target=Symbolic("arn:aws:sqs:x:1:${Stage}-dlq")))), "give it with --param"),
        (stack(Orders=(QUEUE, {"RedrivePolicy": ["odd"]})), "give it with --param"),
        (stack(Orders=(QUEUE, _redrive()), Others=(QUEUE, _redrive()), DeadLetters=(QUEUE, {})), "also serves Others"),
    ],
)
def test_without_a_dead_letter_queue_of_its_own_there_is_no_completeness(around, why: str) -> None:
    found = offer(around["Orders"], SliKind.COMPLETENESS)
    assert why in str(found.applies(around["Orders"]))
    with pytest.raises(DeclarationError, match="no completeness SLI"):
        found.measure(around["Orders"], None)


def test_freshness_is_the_share_of_minutes_in_which_no_message_is_older_than_the_limit() -> None:
    found = offer(DLQ["Orders"], SliKind.FRESHNESS)
    measure = found.measure(DLQ["Orders"], timedelta(minutes=5))
    assert isinstance(measure, Ranked)
    assert measure.limit == Fraction(300)
    assert measure.metric.name == "ApproximateAgeOfOldestMessage"
    assert "dead-letter queue" in str(found.applies(DLQ["DeadLetters"]))


@pytest.mark.parametrize(("limit", "words"), [(None, "needs a limit"), (timedelta(days=4), "choose less")])
def test_a_freshness_that_says_nothing_is_refused(limit: timedelta | None, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        offer(DLQ["Orders"], SliKind.FRESHNESS).measure(DLQ["Orders"], limit)


def test_a_queue_and_a_dead_letter_queue_show_different_panels() -> None:
    panels = CATALOG[QUEUE].panels
    assert panels(DLQ["DeadLetters"])[0].title == "Was work given up?"
    assert panels(DLQ["Orders"])[0].title == "Does work wait?"


def test_a_queue_that_lambda_alone_reads_cannot_reach_the_in_flight_quota() -> None:
    """1,250 executions of ten messages each, or five where the mapping says so; never 96,000."""
    mapping = "AWS::Lambda::EventSourceMapping"
    found = stack(
        Orders=(QUEUE, {}),
        Reader=(mapping, {"EventSourceArn": Symbolic("${Orders.Arn}"), "BatchSize": 10}),
        Few=(QUEUE, {}),
        Slow=(mapping, {"EventSourceArn": Symbolic("${Few.Arn}"), "ScalingConfig": {"MaximumConcurrency": 5}}),
        Bulk=(QUEUE, {}),
        Wide=(mapping, {"EventSourceArn": Symbolic("${Bulk.Arn}"), "BatchSize": 10_000}),
    )
    assert "12,500 messages at once" in reason(found["Orders"], "sqs-queue-in-flight")
    assert "50 messages at once" in reason(found["Few"], "sqs-queue-in-flight")
    assert only(found["Bulk"], "sqs-queue-in-flight").threshold == 96_000
