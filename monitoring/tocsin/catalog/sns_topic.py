"""AWS::SNS::Topic: notifications that never reach their subscribers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..alarm import Metric
from ..errors import DeclarationError
from ..model import Counted, Resource, SliKind
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
from .properties import mappings, names

NAMESPACE = "AWS/SNS"
METRICS_PAGE = "https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html"
RETRIES_PAGE = "https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html"
DEAD_LETTER_PAGE = "https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html"
FILTER_PAGE = "https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html"

#: SNS tries an HTTP(S) endpoint once and three times more unless a delivery policy says otherwise.
HTTP_ATTEMPTS = 4


def _metric(topic: Resource, name: str) -> Metric:
    return Metric(NAMESPACE, name, (("TopicName", name_of(topic)),))


def _subscriptions(topic: Resource) -> tuple[Mapping[str, Any], ...]:
    """The properties of the template's subscriptions to the topic, its own list first."""
    apart = (
        resource.properties
        for _, resource in sorted(topic.surroundings.items())
        if resource.type == "AWS::SNS::Subscription" and names(resource.properties.get("TopicArn"), topic)
    )
    return (*mappings(topic.properties.get("Subscription")), *apart)


def _has_http(topic: Resource) -> bool:
    return any(str(subscription.get("Protocol")) in ("http", "https") for subscription in _subscriptions(topic))


def _failed(topic: Resource) -> tuple[Condition, ...]:
    metric = _metric(topic, "NumberOfNotificationsFailed")
    if _has_http(topic):
        because = (
            f"SNS counts every failed attempt at an HTTP(S) subscription and makes {HTTP_ATTEMPTS}: "
            f"more than {HTTP_ATTEMPTS - 1} in five minutes means a notification was given up"
        )
        return (above(metric, "Sum", HTTP_ATTEMPTS - 1, because, period=300),)
    because = "SNS counts a failure when it stops trying: one is one notification that its subscriber never gets"
    return (above(metric, "Sum", 0, because, period=300),)


def _invalid(topic: Resource) -> tuple[Condition, ...] | Inapplicable:
    filtering = [subscription for subscription in _subscriptions(topic) if subscription.get("FilterPolicy")]
    if not filtering:
        return Inapplicable("no subscription of the template has a filter policy")
    on_body = {str(subscription.get("FilterPolicyScope")) == "MessageBody" for subscription in filtering}
    conditions = []
    if False in on_body:
        because = "a filter policy cannot read the attributes of a message, so its subscriber never gets it"
        metric = _metric(topic, "NumberOfNotificationsFilteredOut-InvalidAttributes")
        conditions.append(above(metric, "Sum", 0, because, period=300, suffix="Attributes"))
    if True in on_body:
        because = "a filter policy cannot read the body of a message, so its subscriber never gets it"
        metric = _metric(topic, "NumberOfNotificationsFilteredOut-InvalidMessageBody")
        conditions.append(above(metric, "Sum", 0, because, period=300, suffix="MessageBody"))
    return tuple(conditions)


def _dead_letter_kind(name: str, because: str, topic: Resource) -> tuple[Condition, ...] | Inapplicable:
    if not any(subscription.get("RedrivePolicy") for subscription in _subscriptions(topic)):
        return Inapplicable("no subscription of the template has a dead-letter queue")
    return (above(_metric(topic, name), "Sum", 0, because, period=300),)


def _dead_lettered(topic: Resource) -> tuple[Condition, ...] | Inapplicable:
    because = "each one is a notification that its subscriber did not get; its copy waits in the dead-letter queue"
    return _dead_letter_kind("NumberOfNotificationsRedrivenToDlq", because, topic)


def _dead_letter_failed(topic: Resource) -> tuple[Condition, ...] | Inapplicable:
    because = "a notification that cannot be dead-lettered either is lost"
    return _dead_letter_kind("NumberOfNotificationsFailedToRedriveToDlq", because, topic)


def _no_completeness(topic: Resource) -> str | None:
    if _has_http(topic):
        return "for HTTP(S) subscriptions SNS counts attempts, not notifications, so the share is not known"
    return None


def _completeness(topic: Resource) -> Counted:
    if reason := _no_completeness(topic):
        raise DeclarationError(f"{topic.logical_id} has no completeness SLI: {reason}")
    return Counted(
        bad=_metric(topic, "NumberOfNotificationsFailed"),
        valid=_metric(topic, "NumberOfNotificationsDelivered"),
        bad_in_valid=False,
    )


def _panels(topic: Resource) -> tuple[Panel, ...]:
    return (
        Panel(
            title="Do notifications arrive?",
            description="Messages published beside notifications delivered and failed. One message makes a notification for each subscription; failed is normally 0.",
            unit="short",
            series=(
                Series(_metric(topic, "NumberOfMessagesPublished"), "Sum", "published"),
                Series(_metric(topic, "NumberOfNotificationsDelivered"), "Sum", "delivered"),
                Series(_metric(topic, "NumberOfNotificationsFailed"), "Sum", "failed", Meaning.FAILED),
            ),
            alarm_kinds=("sns-topic-failed",),
            no_value="nothing published in this time",
        ),
    )


def _counter(name: str) -> PublishedMetric:
    return PublishedMetric(NAMESPACE, name, "Count", Nature.COUNTER, (("TopicName",),), Publication.WHEN_ACTIVE)


TYPES = (
    ResourceType(
        type="AWS::SNS::Topic",
        slug="sns-topic",
        title="SNS topic",
        name_property="TopicName",
        name_source=NameSource.LAST_ARN_SEGMENT,
        own_dimension="TopicName",
        metrics=(
            _counter("NumberOfMessagesPublished"),
            _counter("NumberOfNotificationsDelivered"),
            _counter("NumberOfNotificationsFailed"),
            _counter("NumberOfNotificationsFilteredOut-InvalidAttributes"),
            _counter("NumberOfNotificationsFilteredOut-InvalidMessageBody"),
            _counter("NumberOfNotificationsRedrivenToDlq"),
            _counter("NumberOfNotificationsFailedToRedriveToDlq"),
        ),
        alarm_kinds=(
            AlarmKind(
                id="sns-topic-failed",
                symptom="notifications are not delivered",
                because="The publisher is told that all is well; only this counter knows that nobody heard.",
                source=RETRIES_PAGE,
                conditions=_failed,
            ),
            AlarmKind(
                id="sns-topic-filtered-invalid",
                symptom="messages cannot be filtered",
                because="A message that a filter policy cannot read is left out like one that does not match.",
                source=FILTER_PAGE,
                conditions=_invalid,
            ),
            AlarmKind(
                id="sns-topic-dead-lettered",
                symptom="notifications are dead-lettered",
                because="The notification can still be saved, but nobody does it unless told.",
                source=DEAD_LETTER_PAGE,
                conditions=_dead_lettered,
            ),
            AlarmKind(
                id="sns-topic-dead-letter-failed",
                symptom="failed notifications cannot be dead-lettered",
                because="The dead-letter queue is the last place a notification can go; a missing permission loses it.",
                source=DEAD_LETTER_PAGE,
                conditions=_dead_letter_failed,
            ),
        ),
        slis=(
            SliOffer(
                kind=SliKind.COMPLETENESS,
                good="notifications that reach their subscriber",
                source=METRICS_PAGE,
                measure=lambda topic, limit: _completeness(topic),
                applies=_no_completeness,
            ),
        ),
        panels=_panels,
        not_alarmed={
            "NumberOfMessagesPublished": "too few messages is a promise of the publisher, not a cause; a quiet topic is not broken",
            "NumberOfNotificationsDelivered": "too few is seen as failed, or is the publisher's silence",
            "SMSMonthToDateSpentUSD": "belongs to the account, not to a topic of any template; alarm on it once per account",
            "SMSSuccessRate": "belongs to the account and a country, not to a topic of any template",
        },
    ),
)
