"""The routing template: who may publish, which way notifications go, what is tried for how long, and who hears if not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.render.routing_examples import DIRECT, ON_CALL, OWNERS, large, team

from tocsin.cloud.artifacts import MAX_BYTES
from tocsin.cloudformation.document import parse
from tocsin.cloudformation.intrinsics import Resolved, resolve
from tocsin.errors import QuotaError
from tocsin.paging.declared import Heartbeat, OnCall, Route, Way
from tocsin.render.routing import routing_template
from tocsin.render.routing.delivery import MOST_A_SECOND, RETRIES, longest_retrying

PSEUDO = {"AWS::AccountId": "111122223333", "AWS::Partition": "aws", "AWS::Region": "eu-west-1"}
KEYS = {"PaymentsPageKeyVersion": "v1", "SearchTicketKeyVersion": "v2", "HeartbeatKeyVersion": "v3"}


def tree(oncall: OnCall | None = ON_CALL) -> dict[str, Any]:
    return parse(routing_template(OWNERS, oncall), "deploy/routing.yaml").tree


def made(oncall: OnCall | None = ON_CALL, /, **parameters: str) -> dict[str, Resolved]:
    """The resources that a deployment with these parameters makes."""
    document = parse(routing_template(OWNERS, oncall), "deploy/routing.yaml")
    defaults = {
        name: str(body["Default"])
        for name, body in document.tree["Parameters"].items()
        if body.get("Default") is not None
    }
    found = resolve(document, {**defaults, **parameters}, pseudo=PSEUDO)
    assert not [one.logical_id for one in found if one.exists is None]
    return {one.logical_id: one for one in found if one.exists}


def of_type(resources: Mapping[str, Resolved], kind: str) -> dict[str, dict[str, Any]]:
    return {name: one.properties for name, one in resources.items() if one.type == kind}


def subscriptions(**parameters: str) -> dict[str, tuple[str, str]]:
    """What is subscribed: logical id → protocol and endpoint."""
    found = of_type(made(**parameters), "AWS::SNS::Subscription")
    return {name: (str(one["Protocol"]), str(one["Endpoint"])) for name, one in found.items()}


class TestWays:
    def test_without_a_key_nothing_goes_to_the_tool(self) -> None:
        assert subscriptions(Environment="dev") == {}

    def test_an_environment_that_is_listed_tells_people_and_chat_without_any_key(self) -> None:
        assert subscriptions(Environment="prod") == {
            "PaymentsTicketTopicEmail": ("email", "payments-tickets@example.com"),
            "SecondWayTopicEmail": ("email", "on-call-fallback@example.com"),
        }
        ((name, chat),) = of_type(made(Environment="prod"), "AWS::Chatbot::SlackChannelConfiguration").items()
        assert (name, chat["SlackWorkspaceId"], chat["SlackChannelId"]) == (
            "ChatT0123ABCDC0123ABCD",
            "T0123ABCD",
            "C0123ABCD",
        )
        assert chat["SnsTopicArns"] == ["${SearchTicketTopic}"]

    def test_keys_make_subscriptions_by_reference_to_one_version(self) -> None:
        found = subscriptions(Environment="dev", **KEYS)
        assert found == {
            "PaymentsPageTopicSubscription": (
                "https",
                "{{resolve:secretsmanager:tocsin/dev/on-call/payments-page:SecretString:endpoint::v1}}",
            ),
            "SearchTicketTopicSubscription": (
                "https",
                "{{resolve:secretsmanager:tocsin/dev/on-call/search-ticket:SecretString:endpoint::v2}}",
            ),
        }

    def test_the_forwarder_is_subscribed_when_it_is_there(self) -> None:
        found = made(Environment="dev", ForwarderQueueArn="arn:aws:sqs:eu-west-1:111122223333:dev-forwarder")
        forwarder = found["SearchPageTopicForwarder"].properties
        assert (forwarder["Protocol"], forwarder["Endpoint"], forwarder["RawMessageDelivery"]) == (
            "sqs",
            "arn:aws:sqs:eu-west-1:111122223333:dev-forwarder",
            False,
        )
        assert [name for name in found if name.endswith("Forwarder")] == ["SearchPageTopicForwarder"]

    def test_an_address_that_is_given_goes_before_the_secret_in_the_same_resource(self) -> None:
        given_one = {"PaymentsPageEndpoint": "https://stand-in.example/page"}
        alone = subscriptions(Environment="dev", **given_one)
        both = subscriptions(Environment="dev", **given_one, **KEYS)
        assert alone["PaymentsPageTopicSubscription"] == both["PaymentsPageTopicSubscription"]
        assert both["PaymentsPageTopicSubscription"] == ("https", "https://stand-in.example/page")

    def test_a_stand_in_is_on_call_but_not_in_chat(self) -> None:
        for environment in ("laptop", "prod"):
            found = made(Environment=environment, OnCall="stand-in")
            assert "SecondWayTopicEmail" in found
            assert of_type(found, "AWS::Chatbot::SlackChannelConfiguration") == {}

    def test_without_an_on_call_file_addresses_are_parameters_that_are_never_shown(self) -> None:
        stated = tree(None)
        endpoints = {name: body for name, body in stated["Parameters"].items() if name.endswith("Endpoint")}
        assert sorted(endpoints) == [
            "PaymentsPageEndpoint",
            "PaymentsTicketEndpoint",
            "SearchPageEndpoint",
            "SearchTicketEndpoint",
        ]
        assert {(body["NoEcho"], body["Default"]) for body in endpoints.values()} == {(True, "")}
        assert "Secrets" not in stated["Metadata"]["Tocsin"]
        found = of_type(
            made(None, SecondWayEmail="fallback@example.com", SearchPageEndpoint="https://tool.example"),
            "AWS::SNS::Subscription",
        )
        assert sorted(found) == ["SearchPageTopicSubscription", "SecondWayTopicEmail"]

    def test_an_owner_without_a_team_ends_at_its_topic(self) -> None:
        oncall = replace(ON_CALL, teams=(team("payments", DIRECT, DIRECT),))
        found = made(oncall, Environment="prod", PaymentsPageKeyVersion="v")
        assert [name for name in found if name.startswith("Search") and "Subscription" in name] == []
        assert "SearchPageTopic" in found

    @settings(deadline=None, max_examples=40)
    @given(st.integers(0, 40))
    def test_exactly_the_environments_of_the_file_are_on_call(self, number: int) -> None:
        names = tuple(f"env-{each}" for each in range(number))
        document = parse(routing_template(OWNERS, replace(ON_CALL, environments=names)), "x")
        for environment in (*names[:1], *names[8:12], *names[-1:], "another"):
            resources = resolve(document, {"Environment": environment}, pseudo=PSEUDO)
            found = {one.logical_id for one in resources if one.exists}
            assert ("SecondWayTopicEmail" in found) == (environment in names), environment

    def test_one_channel_of_several_topics_is_one_configuration(self) -> None:
        told = Route((Way.CHAT,), chat_workspace="T0123ABCD", chat_channel="C0123ABCD")
        found = made(replace(ON_CALL, teams=(team("payments", told, told), team("search", DIRECT, told))))
        ((_, chat),) = of_type(found, "AWS::Chatbot::SlackChannelConfiguration").items()
        assert chat["SnsTopicArns"] == ["${PaymentsPageTopic}", "${PaymentsTicketTopic}", "${SearchTicketTopic}"]


class TestSecrets:
    def test_the_metadata_says_which_version_each_parameter_is(self) -> None:
        assert tree()["Metadata"]["Tocsin"]["Secrets"] == {
            "HeartbeatKeyVersion": {"Secret": "tocsin/{Environment}/on-call/heartbeat"},
            "PaymentsPageKeyVersion": {"Secret": "tocsin/{Environment}/on-call/payments-page"},
            "SearchTicketKeyVersion": {"Secret": "tocsin/{Environment}/on-call/search-ticket"},
        }

    def test_nothing_that_a_key_is_in_is_shown_by_an_output(self) -> None:
        for name, output in tree()["Outputs"].items():
            assert "resolve" not in json.dumps(output), name
            assert "Endpoint" not in json.dumps(output), name

    @pytest.mark.parametrize(
        "line",
        [
            "https://api.eu.opsgenie.com/v1/json/cloudwatch?apiKey=0a1b2c3d-0a1b-4c2d-8e3f-0a1b2c3d4e5f",
            "https://events.pagerduty.com/integration/0123456789abcdef0123456789abcdef/enqueue",
        ],
    )
    def test_keys_in_addresses_are_masked_in_every_log(self, line: str) -> None:
        groups = of_type(made(), "AWS::Logs::LogGroup")
        assert len(groups) == 8
        for group in groups.values():
            policy = group["DataProtectionPolicy"]
            (identifier,) = policy["Configuration"]["CustomDataIdentifier"]
            # CloudWatch Logs User Guide, "Custom data identifier constraints".
            assert re.fullmatch(r"[A-Za-z0-9_#=@/;,\- ^$?\[\]{}|\\*+.]{1,200}", identifier["Regex"])
            assert re.fullmatch(r"[A-Za-z0-9_-]{1,128}", identifier["Name"])
            key = max(re.findall(r"[0-9a-f-]{32,}", line), key=len)
            assert key not in re.sub(identifier["Regex"], "***", line)
            audit, mask = policy["Statement"]
            assert audit["DataIdentifier"] == mask["DataIdentifier"] == [identifier["Name"]]
            assert "MaskConfig" in mask["Operation"]["Deidentify"]


class TestRetries:
    def test_nearly_the_whole_hour_that_sns_knows_is_used(self) -> None:
        assert 3_500 < longest_retrying() < 3_600

    def test_the_values_are_ones_that_sns_takes(self) -> None:
        """SNS developer guide, "Amazon SNS message delivery retries", constraints of the delivery policy."""
        assert 1 <= RETRIES["minDelayTarget"] <= RETRIES["maxDelayTarget"] <= 3_600
        assert 0 < RETRIES["numRetries"] <= 100
        phases = [RETRIES[name] for name in ("numNoDelayRetries", "numMinDelayRetries", "numMaxDelayRetries")]
        assert sum(phases) < RETRIES["numRetries"]  # the rest backs off
        assert RETRIES["backoffFunction"] in ("arithmetic", "exponential", "geometric", "linear")

    def test_a_storm_is_spread_before_the_tool_refuses_it(self) -> None:
        found = of_type(made(Environment="prod", **KEYS), "AWS::SNS::Subscription")
        throttled = {
            name: one["DeliveryPolicy"]["throttlePolicy"] for name, one in found.items() if "DeliveryPolicy" in one
        }
        assert throttled
        assert set(map(json.dumps, throttled.values())) == {json.dumps({"maxReceivesPerSecond": MOST_A_SECOND})}

    def test_every_subscription_over_http_has_them_and_whatever_is_replayed_is_redriven(self) -> None:
        found = of_type(made(Environment="prod", ForwarderQueueArn="arn:x", **KEYS), "AWS::SNS::Subscription")
        for name, one in found.items():
            assert ("DeliveryPolicy" in one) == (one["Protocol"] == "https"), name
            assert ("RedrivePolicy" in one) == (one["Protocol"] in ("https", "sqs")), name
        assert {one["RedrivePolicy"]["deadLetterTargetArn"] for one in found.values() if "RedrivePolicy" in one} == {
            "${RedriveQueue.Arn}"
        }

    def test_the_queue_keeps_for_as_long_as_sqs_does_and_only_the_topics_fill_it(self) -> None:
        found = made()
        queue = found["RedriveQueue"].properties
        assert queue["MessageRetentionPeriod"] == 14 * 86_400
        assert queue["SqsManagedSseEnabled"] is True
        assert "KmsMasterKeyId" not in queue
        allow, deny = found["RedriveQueuePolicy"].properties["PolicyDocument"]["Statement"]
        assert (allow["Principal"], allow["Action"]) == ({"Service": "sns.amazonaws.com"}, "sqs:SendMessage")
        topics = [f"${{{name}}}" for name in of_type(found, "AWS::SNS::Topic") if name != "SecondWayTopic"]
        assert sorted(allow["Condition"]["ArnEquals"]["aws:SourceArn"]) == sorted(topics)
        assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


ALARMS_OF_THE_ACCOUNT = {
    "StringEquals": {"aws:SourceAccount": "111122223333"},
    "ArnLike": {"aws:SourceArn": "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:*"},
}


class TestPolicies:
    def test_only_alarms_of_the_account_publish_and_only_over_tls(self) -> None:
        found = made()
        topics, documents = of_type(found, "AWS::SNS::Topic"), of_type(found, "AWS::SNS::TopicPolicy")
        assert sorted(documents) == sorted(f"{name}Policy" for name in topics)
        for one in documents.values():
            allow, deny = one["PolicyDocument"]["Statement"]
            assert allow["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
            assert (allow["Action"], allow["Condition"]) == ("sns:Publish", ALARMS_OF_THE_ACCOUNT)
            assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "sns:Publish")
            assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            assert [allow["Resource"]] == [deny["Resource"]] == one["Topics"]

    def test_the_key_lets_in_the_account_and_its_alarms(self) -> None:
        account, alarms = made()["TopicKey"].properties["KeyPolicy"]["Statement"]
        assert account["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}
        assert alarms["Condition"] == ALARMS_OF_THE_ACCOUNT
        assert alarms["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]

    def test_each_role_does_one_thing_within_the_boundary(self) -> None:
        roles = of_type(made(Environment="prod", PermissionsBoundaryArn="arn:boundary", **KEYS), "AWS::IAM::Role")
        assert {name: one["PermissionsBoundary"] for name, one in roles.items()} == dict.fromkeys(
            ("ChatRole", "DeliveryLogRole", "HeartbeatRole"), "arn:boundary"
        )
        assert "Policies" not in roles["ChatRole"]
        (heartbeat,) = roles["HeartbeatRole"]["Policies"][0]["PolicyDocument"]["Statement"]
        assert (heartbeat["Action"], heartbeat["Resource"]) == (
            "events:InvokeApiDestination",
            "${HeartbeatDestination.Arn}",
        )
        (trust,) = roles["HeartbeatRole"]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Condition"]["ArnEquals"] == {
            "aws:SourceArn": "arn:aws:events:eu-west-1:111122223333:rule/prod-tocsin-heartbeat"
        }
        (log,) = roles["DeliveryLogRole"]["Policies"][0]["PolicyDocument"]["Statement"]
        assert log["Resource"] == (
            "arn:aws:logs:eu-west-1:111122223333:log-group:sns/eu-west-1/111122223333/prod-tocsin-*"
        )
        for group in of_type(made(Environment="prod"), "AWS::Logs::LogGroup").values():
            assert f"arn:aws:logs:eu-west-1:111122223333:log-group:{group['LogGroupName']}".startswith(
                log["Resource"].removesuffix("*")
            )

    def test_chat_cannot_do_anything_in_the_account(self) -> None:
        ((_, chat),) = of_type(made(Environment="prod"), "AWS::Chatbot::SlackChannelConfiguration").items()
        assert chat["GuardrailPolicies"] == ["arn:aws:iam::aws:policy/AWSDenyAll"]
        assert chat["LoggingLevel"] == "ERROR"

    def test_every_delivery_is_logged_into_groups_that_are_there_first(self) -> None:
        document = tree()
        for name, body in document["Resources"].items():
            if body["Type"] == "AWS::SNS::Topic" and name != "SecondWayTopic":
                assert body["DependsOn"] == [f"{name}Log", f"{name}FailureLog"]
                first = body["Properties"]["DeliveryStatusLogging"][0]
                assert (first["Protocol"], first["SuccessFeedbackSampleRate"]) == ("http/s", "100")
                assert {"FailureFeedbackRoleArn", "SuccessFeedbackRoleArn"} <= first.keys()
        forwarded = document["Resources"]["SearchPageTopic"]["Properties"]["DeliveryStatusLogging"]
        assert [one["Protocol"] for one in forwarded] == ["http/s", "sqs"]


class TestSecondWay:
    def test_every_failure_of_every_topic_has_an_alarm_and_so_has_the_queue(self) -> None:
        alarms = of_type(made(Environment="prod", HeartbeatKeyVersion="v"), "AWS::CloudWatch::Alarm")
        watched = sorted(
            (one["MetricName"], one["Dimensions"][0]["Value"].removeprefix("prod-tocsin-")) for one in alarms.values()
        )
        topics = [f"{owner}-{severity}" for owner in OWNERS for severity in ("page", "ticket")]
        assert watched == sorted(
            [
                (name, topic)
                for topic in topics
                for name in (
                    "NumberOfNotificationsFailed",
                    "NumberOfNotificationsRedrivenToDlq",
                    "NumberOfNotificationsFailedToRedriveToDlq",
                )
            ]
            + [("ApproximateAgeOfOldestMessage", "on-call-redrive")]
            + [("ApproximateNumberOfMessagesVisible", "on-call-redrive")]
            + [("FailedInvocations", "heartbeat")]
        )

    def test_they_go_another_way_that_no_key_of_ours_can_break(self) -> None:
        found = made(Environment="prod", **KEYS)
        for one in of_type(found, "AWS::CloudWatch::Alarm").values():
            assert one["AlarmName"].startswith("prod-tocsin-on-call-")
            assert one.get("AlarmActions", ["${SecondWayTopic}"]) == ["${SecondWayTopic}"]
            assert one["AlarmDescription"].splitlines()[-1] == "Runbook: runbooks/on-call-delivery.md"
            assert one["TreatMissingData"] == "notBreaching"
        assert "KmsMasterKeyId" not in found["SecondWayTopic"].properties
        (way,) = [
            one for one in of_type(found, "AWS::SNS::Subscription").values() if one["TopicArn"] == "${SecondWayTopic}"
        ]
        assert (way["Protocol"], way["Endpoint"]) == ("email", "on-call-fallback@example.com")

    def test_a_telephone_is_sent_a_text_message(self) -> None:
        found = made(replace(ON_CALL, second_way="+447700900123"), Environment="prod")
        ways = [one for one in of_type(found, "AWS::SNS::Subscription").values() if "SecondWay" in one["TopicArn"]]
        assert [(way["Protocol"], way["Endpoint"]) for way in ways] == [("sms", "+447700900123")]
        # It stands before every message, of which the alarm's name is to be read without scrolling.
        assert len(found["SecondWayTopic"].properties["DisplayName"]) <= 10

    def test_an_outage_is_told_once_and_only_one_alarm_says_that_it_is_over(self) -> None:
        """Attempts fail for an hour for every topic, are given up and wait: not one message for each and each end."""
        found = made(Environment="prod", **KEYS)
        alarms = of_type(found, "AWS::CloudWatch::Alarm") | of_type(found, "AWS::CloudWatch::CompositeAlarm")
        assert [name for name, one in alarms.items() if "OKActions" in one] == ["DeliveryBroken"]
        silent = {name for name, one in alarms.items() if "AlarmActions" not in one}
        assert silent == {
            f"{owner}{severity}Failing" for owner in ("Payments", "Search") for severity in ("Page", "Ticket")
        }
        over_all = found["DeliveryBroken"].properties
        assert over_all["AlarmName"] == "prod-tocsin-on-call-delivery"
        watched = set(re.findall(r'ALARM\("\$\{(\w+)\}"\)', over_all["AlarmRule"]))
        assert watched == {*silent, "RedriveQueueWaiting"}
        told = [name for name in alarms if name == "DeliveryBroken" or name.endswith(("Redriven", "Waiting"))]
        assert len(told) == 2 + 4

    def test_between_the_last_failure_and_the_queues_late_metric_nothing_says_that_it_is_over(self) -> None:
        alarms = of_type(made(), "AWS::CloudWatch::Alarm")
        late = 15 * 60  # SQS developer guide, "Available CloudWatch metrics": of a queue that was idle
        for name in ("PaymentsPageFailing", "PaymentsTicketFailing"):
            assert alarms[name]["DatapointsToAlarm"] == 1
            assert (alarms[name]["EvaluationPeriods"] - 1) * alarms[name]["Period"] >= late

    def test_each_page_that_was_given_up_is_told_of_anew(self) -> None:
        alarms = of_type(made(), "AWS::CloudWatch::Alarm")
        for name in ("PaymentsPageRedriven", "PaymentsPageLost"):
            assert (alarms[name]["Period"], alarms[name]["EvaluationPeriods"]) == (60, 1)

    def test_over_http_a_blip_that_an_immediate_retry_cures_is_no_alarm(self) -> None:
        alarms = of_type(made(), "AWS::CloudWatch::Alarm")
        assert alarms["PaymentsPageFailing"]["Threshold"] > 1 + RETRIES["numNoDelayRetries"]
        # Its first minute has the first attempt and every retry until the backoff: enough for one page to be noticed.
        first_minute = 1 + RETRIES["numNoDelayRetries"] + RETRIES["numMinDelayRetries"]
        assert alarms["PaymentsPageFailing"]["Threshold"] <= first_minute
        assert alarms["PaymentsTicketFailing"]["Threshold"] == 1  # SNS counts an e-mail when it has given it up

    def test_the_age_leaves_a_long_weekend(self) -> None:
        alarm = made()["RedriveQueueAge"].properties
        assert alarm["Threshold"] == 10 * 86_400


class TestHeartbeat:
    def test_there_is_none_without_a_key(self) -> None:
        assert not {name for name in made(Environment="prod") if name.startswith("Heartbeat")}

    def test_there_is_none_without_one_in_the_file(self) -> None:
        document = tree(replace(ON_CALL, heartbeat=None))
        assert "Heartbeat" not in json.dumps(document)

    def test_a_rule_posts_with_the_key_to_the_address_of_the_secret(self) -> None:
        found = made(Environment="prod", **KEYS)
        secret = "{{resolve:secretsmanager:tocsin/prod/on-call/heartbeat:SecretString:%s::v3}}"
        assert found["HeartbeatConnection"].properties["AuthParameters"]["ApiKeyAuthParameters"] == {
            "ApiKeyName": "Authorization",
            "ApiKeyValue": secret % "authorization",
        }
        assert found["HeartbeatDestination"].properties["InvocationEndpoint"] == secret % "endpoint"
        rule = found["HeartbeatRule"].properties
        (target,) = rule["Targets"]
        assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 minute)", "ENABLED")
        assert (target["Arn"], target["RoleArn"]) == ("${HeartbeatDestination.Arn}", "${HeartbeatRole.Arn}")

    @pytest.mark.parametrize(
        ("every", "rate", "age"),
        [(60, "rate(1 minute)", 60), (120, "rate(2 minutes)", 120), (300, "rate(5 minutes)", 300)],
    )
    def test_one_that_is_late_is_dropped_when_the_next_is_due(self, every: int, rate: str, age: int) -> None:
        heartbeat = Heartbeat("payments", timedelta(seconds=every))
        rule = made(replace(ON_CALL, heartbeat=heartbeat), HeartbeatKeyVersion="v")["HeartbeatRule"].properties
        assert rule["ScheduleExpression"] == rate
        assert rule["Targets"][0]["RetryPolicy"]["MaximumEventAgeInSeconds"] == age
        assert "DeadLetterConfig" not in rule["Targets"][0]

    @pytest.mark.parametrize(("every", "period"), [(60, 300), (300, 1500), (3600, 18_000)])
    def test_signs_of_life_that_do_not_arrive_are_told_by_the_second_way(self, every: int, period: int) -> None:
        heartbeat = Heartbeat("payments", timedelta(seconds=every), timedelta(days=1))
        found = made(replace(ON_CALL, heartbeat=heartbeat), Environment="prod", HeartbeatKeyVersion="v")
        alarm = found["HeartbeatFailing"].properties
        assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == (
            "AWS/Events",
            "FailedInvocations",
            "Sum",
        )
        assert alarm["Dimensions"] == [{"Name": "RuleName", "Value": found["HeartbeatRule"].properties["Name"]}]
        assert alarm["AlarmActions"] == ["${SecondWayTopic}"]
        assert alarm["Period"] == period
        beats = alarm["Period"] / every
        assert 1 < alarm["Threshold"] < beats, "one lost sign of life is no outage, and an outage is told in one period"


class TestLimits:
    def test_twenty_owners_with_every_way_at_once_fit(self) -> None:
        owners, oncall = large(20)
        text = routing_template(owners, oncall)
        document = parse(text, "deploy/routing.yaml").tree
        assert len(text.encode()) <= MAX_BYTES
        assert len(document["Resources"]) <= 500
        rule = document["Resources"]["DeliveryBroken"]["Properties"]["AlarmRule"]["Fn::Sub"]
        children = re.findall(r"\$\{\w+\}", rule)
        assert len(children) <= 100  # CloudWatch API reference, PutCompositeAlarm: children, and length of the rule
        longest = f"{'e' * 32}-tocsin-on-call-{owners[0]}-ticket-failing"
        assert len(re.sub(r"\$\{\w+\}", longest, rule)) <= 10_240
        assert len(document["Parameters"]) <= 200
        policy = document["Resources"]["RedriveQueuePolicy"]["Properties"]["PolicyDocument"]
        topic = f"arn:aws:sns:ap-southeast-1:111122223333:{'e' * 32}-tocsin-{owners[0]}-ticket"
        text = re.sub(r'\{"Ref":"\w+"\}', f'"{topic}"', json.dumps(policy, separators=(",", ":")))
        assert len(text) <= 8_192  # Amazon SQS developer guide, "Policy quotas"

    def test_two_owners_fit_into_a_request(self) -> None:
        assert len(routing_template(OWNERS, ON_CALL).encode()) <= 51_200

    def test_more_than_fit_are_refused_in_one_line(self) -> None:
        with pytest.raises(
            QuotaError, match=r"^routing: the topics of 30 owners .*; let several systems have one owner$"
        ):
            routing_template(*large(30))

    @pytest.mark.parametrize("oncall", [None, ON_CALL], ids=["addresses", "on-call"])
    def test_cfn_lint_has_nothing_against_it(self, oncall: OnCall | None, tmp_path: Path) -> None:
        path = tmp_path / "routing.yaml"
        path.write_text(routing_template(OWNERS, oncall))
        program = Path(sys.executable).with_name("cfn-lint")
        ended = subprocess.run([program, "--template", path], check=False, capture_output=True, text=True)
        assert (ended.returncode, ended.stdout) == (0, "")

    def test_the_order_of_owners_and_teams_is_of_no_account(self) -> None:
        turned = replace(ON_CALL, teams=ON_CALL.teams[::-1])
        assert routing_template(OWNERS[::-1], turned) == routing_template(OWNERS, ON_CALL)
