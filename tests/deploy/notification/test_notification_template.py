"""What the notification system's template promises of its tables, queues, rules, functions and API."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from deploy.notification.handlers import find_daily_notifications
from deploy.notification.stack import template
from notification_tools import TABLES

from tocsin.cloudformation.document import load
from tocsin.cloudformation.intrinsics import resolve

TEMPLATE = template().to_dict()
RESOURCES: dict[str, dict[str, Any]] = json.loads(json.dumps(TEMPLATE["Resources"]))
PATH = Path(__file__).parents[3] / "deploy" / "notification" / "template.yaml"
OUTPUTS = [
    *("ApiId", "ApiUrl", "DailyRuleName", "DefinitionsName", "FindDailyNotificationsDeadLettersUrl"),
    *("FindDailyNotificationsName", "GenerateMessageDeadLettersUrl", "GenerateMessageUrl", "GetNotificationsName"),
    *(
        "MessageGeneratorName",
        "NotificationsName",
        "RunsName",
        "SubscriptionsName",
        "UserRoleArn",
        "ValidationRuleName",
    ),
]


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: body["Properties"] for name, body in RESOURCES.items() if body["Type"] == kind}


def actions(function: str) -> set[str]:
    """What a function's own code may do."""
    (policy,) = RESOURCES[f"{function}Role"]["Properties"]["Policies"]
    return {
        action
        for statement in policy["PolicyDocument"]["Statement"]
        for action in statement["Action"]
        if statement["Effect"] == "Allow" and action.partition(":")[0] in ("dynamodb", "sqs")
    }


def test_other_stacks_and_people_find_everything_by_its_output() -> None:
    assert sorted(TEMPLATE["Outputs"]) == sorted(OUTPUTS)


@pytest.mark.parametrize("table", TABLES)
def test_tables_can_be_restored_and_are_not_deleted_by_mistake(table: str) -> None:
    properties = RESOURCES[table]["Properties"]
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}
    assert TEMPLATE["Parameters"]["DeletionProtection"]["Default"] == "true"
    assert RESOURCES[table]["UpdateReplacePolicy"] == "Retain"


def test_what_grows_by_the_day_expires() -> None:
    expiring = {name for name, table in of_type("AWS::DynamoDB::Table").items() if "TimeToLiveSpecification" in table}
    assert expiring == {"Notifications", "Runs"}


def test_no_function_may_scan_and_each_may_only_what_it_does() -> None:
    assert {function: sorted(actions(function)) for function in of_type("AWS::Lambda::Function")} == {
        "FindDailyNotifications": ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem", "sqs:SendMessage"],
        "GetNotifications": ["dynamodb:Query"],
        "MessageGenerator": [
            *(
                "dynamodb:BatchWriteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:UpdateItem",
            ),
            *("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"),
        ],
    }


def test_every_queue_is_encrypted_and_refuses_whoever_comes_without_tls() -> None:
    queues = of_type("AWS::SQS::Queue")
    policies = {policy["Queues"][0]["Ref"]: policy for policy in of_type("AWS::SQS::QueuePolicy").values()}
    assert (
        sorted(policies)
        == sorted(queues)
        == [
            "FindDailyNotificationsDeadLetters",
            "GenerateMessage",
            "GenerateMessageDeadLetters",
        ]
    )
    for name, queue in queues.items():
        assert queue["SqsManagedSseEnabled"] is True
        assert policies[name]["PolicyDocument"]["Statement"][-1] == {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": {"Fn::GetAtt": [name, "Arn"]},
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }


def test_only_the_queue_itself_may_use_its_dead_letter_queue() -> None:
    queues = of_type("AWS::SQS::Queue")
    source = queues["GenerateMessage"]["QueueName"]["Fn::Sub"]
    allowed = queues["GenerateMessageDeadLetters"]["RedriveAllowPolicy"]
    assert allowed["redrivePermission"] == "byQueue"
    (arn,) = allowed["sourceQueueArns"]
    assert arn["Fn::Sub"].endswith(f":{source}")
    for name in ("GenerateMessage", "FindDailyNotificationsDeadLetters"):
        assert queues[name]["RedriveAllowPolicy"] == {"redrivePermission": "denyAll"}


def test_dead_letters_are_kept_longer_than_the_messages_they_were() -> None:
    queues = of_type("AWS::SQS::Queue")
    # A dead letter keeps the time it was first sent at (Amazon SQS Developer Guide, "Using dead-letter queues").
    for name in ("GenerateMessageDeadLetters", "FindDailyNotificationsDeadLetters"):
        assert queues[name]["MessageRetentionPeriod"] > queues["GenerateMessage"]["MessageRetentionPeriod"]


def test_a_message_stays_hidden_six_times_as_long_as_the_function_may_take() -> None:
    defaults = {name: parameter.get("Default") for name, parameter in TEMPLATE["Parameters"].items()}
    assert defaults["GenerateVisibilitySeconds"] >= 6 * defaults["GenerateTimeoutSeconds"]


def test_messages_fail_one_by_one_and_a_function_may_feed_itself() -> None:
    assert RESOURCES["GenerateMessageMapping"]["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert RESOURCES["MessageGenerator"]["Properties"]["RecursiveLoop"] == "Allow"
    assert [name for name, each in of_type("AWS::Lambda::Function").items() if "RecursiveLoop" in each] == [
        "MessageGenerator"
    ]


def test_a_run_that_does_not_start_is_tried_again_and_then_kept() -> None:
    dead_letters = {"Fn::GetAtt": ["FindDailyNotificationsDeadLetters", "Arn"]}
    (target,) = RESOURCES["DailyRule"]["Properties"]["Targets"]
    assert target["DeadLetterConfig"] == {"Arn": dead_letters}
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    (invocations,) = of_type("AWS::Lambda::EventInvokeConfig").values()
    assert invocations["MaximumRetryAttempts"] == 2
    assert invocations["DestinationConfig"] == {"OnFailure": {"Destination": dead_letters}}
    statement = RESOURCES["FindDailyNotificationsDeadLettersPolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["DailyRule", "Arn"]}}}


def test_a_validation_reaches_its_own_stack_only() -> None:
    pattern = RESOURCES["ValidationRule"]["Properties"]["EventPattern"]
    source, detail_type = find_daily_notifications.VALIDATION
    assert pattern == {
        "source": [source],
        "detail-type": [detail_type],
        "detail": {"stack": [{"Ref": "AWS::StackName"}]},
    }


def resolved(**parameters: str) -> dict[str, Any]:
    found = resolve(load(PATH), parameters)
    return {each.logical_id: each.properties for each in found}


class TestApi:
    def test_signed_calls_or_tokens_by_a_parameter_and_never_neither(self) -> None:
        assert TEMPLATE["Parameters"]["ApiAuthorization"]["AllowedValues"] == ["AWS_IAM", "JWT"]
        (route,) = of_type("AWS::ApiGatewayV2::Route").values()
        assert route["RouteKey"] == "GET /users/{user}/notifications"
        assert route["AuthorizationType"] == {"Ref": "ApiAuthorization"}
        assert route["AuthorizerId"] == {"Fn::If": ["TokenCalls", {"Ref": "TokenAuthorizer"}, {"Ref": "AWS::NoValue"}]}
        assert resolved(ApiAuthorization="AWS_IAM")["ListRoute"]["AuthorizationType"] == "AWS_IAM"
        token = resolved(ApiAuthorization="JWT", JwtIssuer="https://issuer.example", JwtAudience="app")
        assert token["TokenAuthorizer"]["JwtConfiguration"] == {"Audience": ["app"], "Issuer": "https://issuer.example"}

    def test_tokens_need_an_issuer_and_an_audience(self) -> None:
        (rule,) = TEMPLATE["Rules"].values()
        assert [each["AssertDescription"] for each in rule["Assertions"]] == [
            "ApiAuthorization JWT needs JwtIssuer",
            "ApiAuthorization JWT needs JwtAudience",
        ]

    def test_calls_are_limited_and_logged(self) -> None:
        (stage,) = of_type("AWS::ApiGatewayV2::Stage").values()
        assert stage["DefaultRouteSettings"] == {
            "ThrottlingRateLimit": {"Ref": "ApiRateLimit"},
            "ThrottlingBurstLimit": {"Ref": "ApiBurstLimit"},
        }
        logged = json.loads(stage["AccessLogSettings"]["Format"])
        assert {"requestId", "status", "error", "caller", "subject", "latency"} <= set(logged)
        # API Gateway writes a message as it is, quotes and line ends and all: a word only, or the line is no JSON.
        assert logged["error"] == "$context.error.responseType"
        assert not [value for value in logged.values() if "error.message" in value]
        assert RESOURCES["NotificationsApiLogs"]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}

    def test_the_function_ends_before_the_api_gives_up(self) -> None:
        (integration,) = of_type("AWS::ApiGatewayV2::Integration").values()
        assert integration["PayloadFormatVersion"] == "2.0"
        timeout = RESOURCES["GetNotifications"]["Properties"]["Timeout"]
        assert timeout * 1000 < integration["TimeoutInMillis"] <= 30_000

    def test_a_user_may_call_the_one_route_and_is_what_the_identity_layer_says(self) -> None:
        role = RESOURCES["UserRole"]["Properties"]
        (policy,) = role["Policies"]
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert statement["Action"] == ["execute-api:Invoke"]
        assert statement["Resource"][0]["Fn::Sub"].endswith("${NotificationsApi}/live/GET/users/*/notifications")
        users, validation = role["AssumeRolePolicyDocument"]["Statement"]
        condition, layer, account = users["Principal"]["AWS"]["Fn::If"]
        assert (condition, layer) == ("IdentityLayerNamed", {"Ref": "IdentityLayerArn"})
        assert account["Fn::Sub"].endswith(":iam::${AWS::AccountId}:root")
        assert "Condition" not in users
        # Validation calls the API as a user of its own making, and the role that deploys may become no other; where the
        # account is trusted, that role's own policy says so.
        nothing = {"Ref": "AWS::NoValue"}
        named, delivery, otherwise = validation["Fn::If"]
        assert (named, otherwise) == ("IdentityLayerNamed", nothing)
        condition, synthetic, otherwise = delivery["Fn::If"]
        assert (condition, otherwise) == ("HasDelivery", nothing)
        assert synthetic["Principal"] == {"AWS": {"Ref": "DeliveryRoleArn"}}
        assert synthetic["Condition"] == {"StringLike": {"sts:RoleSessionName": "synthetic-*"}}

    def test_the_reader_knows_the_sessions_of_that_role(self) -> None:
        variables = RESOURCES["GetNotifications"]["Properties"]["Environment"]["Variables"]
        condition, sessions, nothing = variables["USER_SESSIONS"]["Fn::If"]
        assert (condition, nothing) == ("SignedCalls", "")
        assert sessions["Fn::Sub"] == "arn:${AWS::Partition}:sts::${AWS::AccountId}:assumed-role/${UserRole}/"
        assert variables["API_AUTHORIZATION"] == {"Ref": "ApiAuthorization"}


def test_the_first_run_is_started_by_hand_as_the_documentation_says() -> None:
    """The command names an output of this stack and an event that the finder takes."""
    text = (Path(__file__).parents[3] / "docs" / "how-to.md").read_text(encoding="utf-8")
    section = text.partition("\n## Deploy the reference systems for the first time\n")[2]
    command = section.partition("```sh\n")[2].partition("```")[0]
    (output,) = re.findall(r"OutputKey=='(\w+)'", command)
    assert TEMPLATE["Outputs"][output]["Value"] == {"Ref": "FindDailyNotifications"}
    (payload,) = re.findall(r'--payload "(.*)" /dev/stdout', command)
    event = json.loads(payload.replace('\\"', '"').replace("$(date -u +%F)", "2026-01-31"))
    assert find_daily_notifications.parse_event(event).day == date(2026, 1, 31)
