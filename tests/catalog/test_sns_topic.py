from __future__ import annotations

import pytest
from catalog_stacks import conditions, dimensions, offer, only, reason, ref, stack

from tocsin.errors import DeclarationError
from tocsin.model import SliKind

SUBSCRIPTION = "AWS::SNS::Subscription"


def _topic(*subscriptions: dict[str, object], **properties: object):
    around = {f"S{n}": (SUBSCRIPTION, {"TopicArn": ref("News"), **found}) for n, found in enumerate(subscriptions)}
    around["Elsewhere"] = (SUBSCRIPTION, {"TopicArn": ref("Others"), "Protocol": "https", "FilterPolicy": {"a": [1]}})
    return stack(News=("AWS::SNS::Topic", properties), **around)["News"]


@pytest.mark.parametrize(
    ("topic", "threshold", "words"),
    [
        (_topic(), 0, "one is one notification"),
        (_topic({"Protocol": "sqs"}), 0, "one is one notification"),
        (_topic({"Protocol": "sqs"}, {"Protocol": "https"}), 3, "counts every failed attempt"),
        (_topic(Subscription=[{"Protocol": "http", "Endpoint": "http://x"}]), 3, "counts every failed attempt"),
        (_topic(Subscription="odd"), 0, "one is one notification"),
    ],
)
def test_a_notification_that_was_given_up_is_told(topic, threshold: float, words: str) -> None:
    condition = only(topic, "sns-topic-failed")
    assert condition.threshold == threshold
    assert words in condition.because
    assert dimensions(condition) == {"TopicName": "${NewsName}"}
    assert (condition.evaluation_periods, condition.datapoints_to_alarm) == (1, 1)


@pytest.mark.parametrize(
    ("topic", "suffixes"),
    [
        (_topic({"FilterPolicy": {"a": [1]}}), ["Attributes"]),
        (_topic({"FilterPolicy": {"a": [1]}, "FilterPolicyScope": "MessageBody"}), ["MessageBody"]),
        (
            _topic({"FilterPolicy": {"a": [1]}}, {"FilterPolicy": {"a": [1]}, "FilterPolicyScope": "MessageBody"}),
            ["Attributes", "MessageBody"],
        ),
    ],
)
def test_what_cannot_be_filtered_is_told_for_the_scopes_in_use(topic, suffixes: list[str]) -> None:
    assert [found.suffix for found in conditions(topic, "sns-topic-filtered-invalid")] == suffixes


def test_metrics_that_only_some_subscriptions_make_are_not_alarmed_on_without_them() -> None:
    """Defect 15 of other tools: an alarm on a dead-letter queue that is not there."""
    topic = _topic({"Protocol": "sqs"})
    assert "filter policy" in reason(topic, "sns-topic-filtered-invalid")
    assert "dead-letter queue" in reason(topic, "sns-topic-dead-lettered")
    assert "dead-letter queue" in reason(topic, "sns-topic-dead-letter-failed")


def test_dead_letters_of_a_subscription() -> None:
    topic = _topic({"Protocol": "lambda", "RedrivePolicy": {"deadLetterTargetArn": ref("Dlq.Arn")}})
    assert only(topic, "sns-topic-dead-lettered").threshold == 0
    assert only(topic, "sns-topic-dead-letter-failed").threshold == 0


def test_completeness_needs_notifications_to_be_counted_and_not_attempts() -> None:
    quiet, loud = _topic({"Protocol": "sqs"}), _topic({"Protocol": "https"})
    found = offer(quiet, SliKind.COMPLETENESS)
    assert found.applies(quiet) is None
    assert found.measure(quiet, None).bad_in_valid is False
    assert "attempts" in str(found.applies(loud))
    with pytest.raises(DeclarationError, match="attempts"):
        found.measure(loud, None)
