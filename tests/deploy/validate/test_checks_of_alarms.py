"""The checks of the alarms and of the dead letters: each passes on what was deployed, and fails on what was broken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from deploy.run.stage import Stage
from deploy.validate.alarm_stacks import deployed_alarms

from deploy.validate import Result, Target, alarms_exist, alarms_ok, alarms_reach_people, dead_letters, perform

ALARM = "laptop-notification-GenerateMessageDeadLetters-sqs-dead-letter-queue-not-empty"


def judged(stage: Stage, target: Target, *states: str) -> Result:
    """What the check says of the alarm put into these states, one after the other.

    CloudWatch may evaluate the alarm in between and put it right; three minutes in a row it does not.
    """
    cloudwatch = stage.client("cloudwatch")
    try:
        for _ in range(3):
            for state in states:
                cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue=state, StateReason=f"put into {state} by hand")
            result = perform(alarms_ok.CHECK, target)
            if not result.passed:
                break
    finally:
        cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue="OK", StateReason="mended")
    return result


def test_every_alarm_is_there(target: Target) -> None:
    result = perform(alarms_exist.CHECK, target)
    assert result.passed, result.found
    assert " of data_pipeline, " in result.found


def test_an_alarm_deleted_by_hand(stage: Stage, target: Target) -> None:
    cloudwatch = stage.client("cloudwatch")
    [alarm] = cloudwatch.describe_alarms(AlarmNames=[ALARM])["MetricAlarms"]
    cloudwatch.delete_alarms(AlarmNames=[ALARM])
    try:
        result = perform(alarms_exist.CHECK, target)
    finally:
        cloudwatch.put_metric_alarm(**_as_put(cloudwatch, alarm))
    assert (result.passed, result.found) == (False, f"not there: {ALARM}")
    assert perform(alarms_exist.CHECK, target).passed


def _as_put(cloudwatch: Any, alarm: dict[str, Any]) -> dict[str, Any]:
    shape = cloudwatch.meta.service_model.operation_model("PutMetricAlarm").input_shape
    return {name: value for name, value in alarm.items() if name in shape.members}


def test_alarms_in_ok_or_without_any_data_yet(target: Target) -> None:
    result = perform(alarms_ok.CHECK, target)
    assert result.passed, result.found
    assert "in OK" in result.found


def test_an_alarm_in_alarm(stage: Stage, hasty: Target) -> None:
    result = judged(stage, hasty, "ALARM")
    assert (result.passed, result.found) == (False, f"{ALARM} is in ALARM: put into ALARM by hand")


def test_an_alarm_that_has_lost_its_data(stage: Stage, hasty: Target) -> None:
    result = judged(stage, hasty, "OK", "INSUFFICIENT_DATA")
    assert not result.passed
    assert f"{ALARM} is in INSUFFICIENT_DATA though it has had data" in result.found


HEARTBEAT = "laptop-notification-daily-run-page"


def test_a_heartbeat_is_excused_until_it_has_seen_a_success_or_is_older_than_it_looks_back(
    stage: Stage, target: Target, hasty: Target
) -> None:
    cloudwatch = stage.client("cloudwatch")

    def put(state: str) -> None:
        cloudwatch.set_alarm_state(AlarmName=HEARTBEAT, StateValue=state, StateReason=f"put into {state} by hand")

    put("ALARM")
    try:
        result = perform(alarms_ok.CHECK, target)
        assert result.passed, result.found
        assert f"{HEARTBEAT} is in ALARM because no run has ended yet: start the first one by hand" in result.found
        assert result.found.endswith("it fails this check once it is older than the 1 d 2 h it looks back")
        [alarm] = [one for one in deployed_alarms(target)["notification"] if one.name == HEARTBEAT]
        now = datetime.now(UTC)
        ages = {
            hours: alarms_ok.waits_for_first_success(target, alarm, now + timedelta(hours=hours)) for hours in (25, 27)
        }
        assert ages == {25: True, 27: False}
        put("OK")
        put("ALARM")  # the next run is missing: what the alarm is for
        result = perform(alarms_ok.CHECK, hasty)
        assert (result.passed, result.found) == (False, f"{HEARTBEAT} is in ALARM: put into ALARM by hand")
    finally:
        put("OK")


def test_no_other_alarm_is_excused_for_being_new(stage: Stage, target: Target) -> None:
    """It was never in OK, and was made a moment ago."""
    cloudwatch = stage.client("cloudwatch")
    [alarm] = cloudwatch.describe_alarms(AlarmNames=[ALARM])["MetricAlarms"]
    cloudwatch.delete_alarms(AlarmNames=[ALARM])
    cloudwatch.put_metric_alarm(**_as_put(cloudwatch, alarm))
    cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue="ALARM", StateReason="at once")
    try:
        [found] = [one for one in deployed_alarms(target)["notification"] if one.name == ALARM]
        assert found.state == "ALARM"
        assert not alarms_ok.waits_for_first_success(target, found, datetime.now(UTC))
    finally:
        cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue="OK", StateReason="mended")


def test_every_topic_has_somebody(target: Target) -> None:
    result = perform(alarms_reach_people.CHECK, target)
    assert result.passed, result.found
    assert result.found == "4 topics, each with a confirmed subscription, and 5 that deploy/oncall.toml promises"


def test_a_topic_without_subscription(stage: Stage, target: Target) -> None:
    sns = stage.client("sns")
    [subscription] = [
        each for each in sns.list_subscriptions()["Subscriptions"] if "engagement-ticket" in each["TopicArn"]
    ]
    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    try:
        result = perform(alarms_reach_people.CHECK, target)
    finally:
        sns.subscribe(
            TopicArn=subscription["TopicArn"], Protocol=subscription["Protocol"], Endpoint=subscription["Endpoint"]
        )
    assert not result.passed
    assert f"no confirmed subscription to {subscription['TopicArn']}" in result.found
    assert "run `tocsin oncall apply ENV`" in result.check.mend


@pytest.mark.parametrize(
    ("topic", "somebody", "found"),
    [
        (
            "laptop-tocsin-engagement-page",
            "somebody-else@example.com",
            "opsgenie is not subscribed to laptop-tocsin-engagement-page",
        ),
        (
            "laptop-tocsin-on-call-second-way",
            "somebody-else@example.com",
            "on-call-fallback@example.com is not subscribed to laptop-tocsin-on-call-second-way",
        ),
        ("laptop-tocsin-on-call-second-way", "", "on-call-fallback@example.com is not subscribed to"),
    ],
)
def test_somebody_else_who_reads_the_topic_is_not_whom_the_file_promises(
    stage: Stage, target: Target, topic: str, somebody: str, found: str
) -> None:
    sns = stage.client("sns")
    [own] = [each for each in sns.list_subscriptions()["Subscriptions"] if each["TopicArn"].endswith(f":{topic}")]
    sns.unsubscribe(SubscriptionArn=own["SubscriptionArn"])
    other = ""
    if somebody:
        other = sns.subscribe(
            TopicArn=own["TopicArn"], Protocol="email", Endpoint=somebody, ReturnSubscriptionArn=True
        )["SubscriptionArn"]
    try:
        result = perform(alarms_reach_people.CHECK, target)
    finally:
        if other:
            sns.unsubscribe(SubscriptionArn=other)
        sns.subscribe(TopicArn=own["TopicArn"], Protocol=own["Protocol"], Endpoint=own["Endpoint"])
    assert not result.passed
    assert found in result.found


def test_one_that_is_not_confirmed_does_not_count(stage: Stage, target: Target) -> None:
    sns = stage.client("sns")
    [own] = [each for each in sns.list_subscriptions()["Subscriptions"] if "second-way" in each["TopicArn"]]
    sns.unsubscribe(SubscriptionArn=own["SubscriptionArn"])
    stage.aws.confirm_mail(False)
    try:
        sns.subscribe(TopicArn=own["TopicArn"], Protocol=own["Protocol"], Endpoint=own["Endpoint"])
        result = perform(alarms_reach_people.CHECK, target)
    finally:
        stage.aws.confirm_mail()
        link = [mail for mail in stage.aws.mails if mail["kind"] == "confirmation"][-1]["confirm"]
        token = link.partition("Token=")[2].partition("&")[0]
        sns.confirm_subscription(TopicArn=own["TopicArn"], Token=token)
    assert (result.passed, result.found) == (
        False,
        "on-call-fallback@example.com has not confirmed the subscription to laptop-tocsin-on-call-second-way",
    )
    assert perform(alarms_reach_people.CHECK, target).passed


def test_actions_that_are_switched_off(stage: Stage, target: Target) -> None:
    cloudwatch = stage.client("cloudwatch")
    cloudwatch.disable_alarm_actions(AlarmNames=[ALARM])
    try:
        result = perform(alarms_reach_people.CHECK, target)
    finally:
        cloudwatch.enable_alarm_actions(AlarmNames=[ALARM])
    assert (result.passed, result.found) == (False, f"the actions of {ALARM} are switched off")


def test_no_dead_letters(target: Target) -> None:
    result = perform(dead_letters.CHECK, target)
    assert result.passed, result.found


def test_a_dead_letter(stage: Stage, target: Target) -> None:
    sqs, url = stage.client("sqs"), stage.outputs["data_pipeline"]["LoaderDeadLettersUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="a load that failed")
    try:
        result = perform(dead_letters.CHECK, target)
    finally:
        sqs.purge_queue(QueueUrl=url)
    assert (result.passed, result.found) == (False, f"1 message in LoaderDeadLetters ({url})")
