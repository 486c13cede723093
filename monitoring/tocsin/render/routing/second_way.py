"""The second way: alarms about the way of a page itself, told by another topic and another protocol.

One alarm, `delivery`, says that something is wrong and later that all is well again: it is up from the first failures
until nothing is tried or waits any more.  The others say what exactly is wrong, once, and never that it is over: a
notification that was given up is no longer failing and not delivered either.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from troposphere import Output, Parameter, Ref, Sub, Template
from troposphere.cloudwatch import Alarm, CompositeAlarm, MetricDimension
from troposphere.sns import SubscriptionResource, Topic

from ...paging.declared import OnCall, Way
from ...plan import ENVIRONMENT, camel
from ..delivery_runbook import KIND
from .conditions import ON_CALL, add_given
from .redrive import KEPT, QUEUE, QUEUE_NAME
from .topics import OwnedTopic, add_topic_policy

_TOPIC = "SecondWayTopic"
_EMAIL = "SecondWayEmail"
_DELIVERY = "DeliveryBroken"
_NAME = f"${{{ENVIRONMENT}}}-tocsin-on-call"

# Over HTTP, NumberOfNotificationsFailed counts every attempt (SNS developer guide, "Amazon SNS metrics"): one more than the
# first and its three immediate retries is an outage that they did not cure.  Other protocols count what was given up.
_FAILED_ATTEMPTS = 5
# Metrics of a queue that nobody has used for hours begin up to fifteen minutes late (SQS developer guide, "Available
# CloudWatch metrics"): so long, and one period more, failures keep `delivery` up by themselves.
_BRIDGED = 4
_DAYS_LEFT = 4  # a long weekend
_LOST_BEATS = 3  # of five: one that is late or lost is no outage


def add_second_way(template: Template, oncall: OnCall | None, runbooks: str, topics: Sequence[OwnedTopic]) -> None:
    """The topic, who reads it, the alarms of the redrive queue, and the one over all.

    The topic has no key of ours: then nothing that breaks the pages' key silences the word of it, and what is published
    names an alarm and a runbook.
    """
    topic = template.add_resource(
        # The name stands before each text message, and in the From of an e-mail.
        Topic(_TOPIC, TopicName=Sub(f"{_NAME}-second-way"), DisplayName="Pager down")
    )
    add_topic_policy(template, topic)
    if oncall is None:
        template.add_parameter(
            Parameter(
                _EMAIL,
                Type="String",
                Default="",
                Description="E-mail address that is told when pages or tickets cannot be delivered; empty for none",
            )
        )
    if oncall is None or oncall.second_way:
        # A telephone wakes somebody, a mailbox does not.
        by_text = oncall is not None and oncall.second_way.startswith("+")
        template.add_resource(
            SubscriptionResource(
                f"{_TOPIC}{'Sms' if by_text else 'Email'}",
                Condition=add_given(template, _EMAIL) if oncall is None else ON_CALL,
                TopicArn=Ref(topic),
                Protocol="sms" if by_text else "email",
                Endpoint=Ref(_EMAIL) if oncall is None else oncall.second_way,
            )
        )
    template.add_output(
        Output(f"{_TOPIC}Arn", Value=Ref(topic), Description="Who is told when the way of pages is broken")
    )
    queue = {"QueueName": QUEUE_NAME}
    _add_alarm(
        template,
        f"{QUEUE}Waiting",
        "redrive-waiting",
        "Undelivered notifications lie in the redrive queue. Deliver them: tocsin oncall replay ENVIRONMENT",
        runbooks,
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", queue),
        threshold=1,
    )
    days = KEPT.days - _DAYS_LEFT
    _add_alarm(
        template,
        f"{QUEUE}Age",
        "redrive-age",
        f"Undelivered notifications have lain in the redrive queue for {days} days, and are gone after {KEPT.days}.",
        runbooks,
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", queue),
        threshold=days * 86_400,
        period=300,
    )
    _add_delivery(template, topics, runbooks)


def _add_delivery(template: Template, topics: Sequence[OwnedTopic], runbooks: str) -> None:
    """The alarm over all: an outage of the tool is one message when it begins and one when it is over."""
    parts = [f"{QUEUE}Waiting", *(_failing(topic) for topic in topics)]
    runbook = f"{runbooks}/{KIND}.md"
    template.add_resource(
        CompositeAlarm(
            _DELIVERY,
            Metadata={"Tocsin": {"Kind": KIND, "Runbook": runbook}},
            AlarmName=Sub(f"{_NAME}-delivery"),
            AlarmDescription=(
                f"Pages or tickets do not get through, or lie undelivered in the redrive queue.\nRunbook: {runbook}"
            ),
            AlarmRule=Sub(" OR ".join(f'ALARM("${{{part}}}")' for part in parts)),
            AlarmActions=[Ref(_TOPIC)],
            OKActions=[Ref(_TOPIC)],
        )
    )


def _failing(topic: OwnedTopic) -> str:
    return camel(topic.owner, topic.severity.value, "failing")


def add_topic_alarms(template: Template, topic: OwnedTopic, runbooks: str) -> None:
    """What can go wrong with a topic's deliveries: they fail for now, they were given up, they are lost."""
    whose = f"{topic.owner}'s {topic.severity.value}s"
    posted = topic.route is None or topic.goes(Way.TOOL)
    measured = {"TopicName": topic.name.data["Fn::Sub"]}
    _add_alarm(
        template,
        _failing(topic),
        f"{topic.owner}-{topic.severity.value}-failing",
        f"{whose} do not get through and are tried again, for up to an hour."
        if posted
        else f"{whose} did not get through.",
        runbooks,
        ("AWS/SNS", "NumberOfNotificationsFailed", "Sum", measured),
        threshold=_FAILED_ATTEMPTS if posted else 1,
        period=300,
        remembered=_BRIDGED,
        tells=False,
    )
    for kind, text, metric in (
        (
            "redriven",
            f"{whose} could not be delivered and lie in the redrive queue.",
            "NumberOfNotificationsRedrivenToDlq",
        ),
        (
            "lost",
            f"{whose} could be neither delivered nor put into the redrive queue: they are lost. Look at the alarms.",
            "NumberOfNotificationsFailedToRedriveToDlq",
        ),
    ):
        _add_alarm(
            template,
            camel(topic.owner, topic.severity.value, kind),
            f"{topic.owner}-{topic.severity.value}-{kind}",
            text,
            runbooks,
            ("AWS/SNS", metric, "Sum", measured),
            threshold=1,
        )


def add_heartbeat_alarm(template: Template, rule: str, every: timedelta, runbooks: str, condition: str) -> None:
    """The signs of life of the dead-man's switch do not arrive.

    The tool tells of silence itself, but only after its first sign of life, and only if it is the tool that hears nothing:
    what EventBridge gave up shows here, from the first minutes on.
    """
    minutes = max(1, round(every.total_seconds() / 60))
    _add_alarm(
        template,
        "HeartbeatFailing",
        "heartbeat-failing",
        "The dead-man's switch does not get through to the on-call tool: silence may page nobody.",
        runbooks,
        # FailedInvocations counts what was given up for good, not what is tried again (Amazon EventBridge user guide,
        # "Monitoring Amazon EventBridge").
        ("AWS/Events", "FailedInvocations", "Sum", {"RuleName": rule}),
        threshold=_LOST_BEATS,
        period=60 * minutes * (_LOST_BEATS + 2),
        condition=condition,
    )


def _add_alarm(
    template: Template,
    logical_id: str,
    name: str,
    text: str,
    runbooks: str,
    measured: tuple[str, str, str, dict[str, Any]],
    *,
    threshold: int,
    period: int = 60,
    remembered: int = 1,
    tells: bool = True,
    condition: str = "",
) -> None:
    """An alarm that goes the second way when it begins, unless it ``tells`` nobody.  Silence of a metric is no trouble.

    ``condition`` is that of what it watches.  It stays up for ``remembered`` periods, so that what goes on is told once.
    """
    namespace, metric, statistic, dimensions = measured
    runbook = f"{runbooks}/{KIND}.md"
    alarm = template.add_resource(
        Alarm(
            logical_id,
            Metadata={"Tocsin": {"Kind": KIND, "Runbook": runbook}},
            AlarmName=Sub(f"{_NAME}-{name}"),
            AlarmDescription=f"{text[0].upper()}{text[1:]}\nRunbook: {runbook}",
            Namespace=namespace,
            MetricName=metric,
            Statistic=statistic,
            Dimensions=[MetricDimension(Name=key, Value=Sub(value)) for key, value in dimensions.items()],
            Period=period,
            EvaluationPeriods=remembered,
            DatapointsToAlarm=1,
            Threshold=threshold,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            TreatMissingData="notBreaching",
        )
    )
    if tells:
        alarm.AlarmActions = [Ref(_TOPIC)]
    if condition:
        alarm.Condition = condition
