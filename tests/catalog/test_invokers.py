"""Who invokes a function, how often, and what follows for its alarms."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from catalog_stacks import ref, stack

from tocsin.catalog.invokers import expected_interval, is_asynchronous, is_request_driven

FUNCTION: tuple[str, dict[str, Any]] = ("AWS::Lambda::Function", {})


def rule(expression: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return ("AWS::Events::Rule", {"ScheduleExpression": expression, "Targets": [{"Arn": ref("F.Arn")}], **more})


def schedule(expression: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return ("AWS::Scheduler::Schedule", {"ScheduleExpression": expression, "Target": {"Arn": ref("F.Arn")}, **more})


@pytest.mark.parametrize(
    ("invoking", "interval"),
    [
        ({"A": rule("rate(1 day)")}, timedelta(days=1)),
        ({"A": rule("rate(1 day)"), "B": rule("rate(5 minutes)", State="DISABLED")}, timedelta(days=1)),
        ({"A": rule("rate(1 day)"), "B": schedule("rate(1 hour)", State="DISABLED")}, timedelta(days=1)),
        ({"A": rule("rate(1 day)"), "B": schedule("rate(1 hour)", EndDate="2026-01-01T00:00:00Z")}, timedelta(days=1)),
        ({"A": rule("rate(1 day)", State="DISABLED")}, None),
        ({"A": rule("rate(1 day)"), "B": rule("rate(1 hour)")}, timedelta(hours=1)),
        ({"A": rule("rate(1 day)"), "U": ("AWS::Lambda::Url", {"TargetFunctionArn": ref("F.Arn")})}, None),
    ],
)
def test_the_interval_is_that_of_the_schedules_that_run(invoking: dict[str, Any], interval: timedelta | None) -> None:
    assert expected_interval(stack(F=FUNCTION, **invoking)["F"]) == interval


@pytest.mark.parametrize(
    "caller",
    [
        ("AWS::Lambda::Url", {"TargetFunctionArn": ref("F.Arn")}),
        ("AWS::ElasticLoadBalancingV2::TargetGroup", {"Targets": [{"Id": ref("F.Arn")}]}),
        ("AWS::ApiGateway::RestApi", {"Body": {"paths": {"/": {"get": {"uri": ref("F.Arn")}}}}}),
        ("AWS::ApiGateway::Authorizer", {"AuthorizerUri": ref("F.Arn")}),
        ("AWS::Cognito::UserPool", {"LambdaConfig": {"PreSignUp": ref("F.Arn")}}),
        ("AWS::AppSync::DataSource", {"LambdaConfig": {"LambdaFunctionArn": ref("F.Arn")}}),
        ("AWS::Lambda::Permission", {"FunctionName": ref("F"), "Principal": "elasticloadbalancing.amazonaws.com"}),
    ],
    ids=lambda caller: caller[0],
)
def test_callers_with_people_behind_them_call_often(caller: tuple[str, dict[str, Any]]) -> None:
    assert is_request_driven(stack(F=FUNCTION, Caller=caller)["F"])


@pytest.mark.parametrize(
    "caller",
    [
        ("AWS::IoT::TopicRule", {"TopicRulePayload": {"Actions": [{"Lambda": {"FunctionArn": ref("F.Arn")}}]}}),
        ("AWS::Logs::SubscriptionFilter", {"DestinationArn": ref("F.Arn")}),
        ("AWS::Lambda::EventInvokeConfig", {"FunctionName": ref("F")}),
        ("AWS::Lambda::Permission", {"FunctionName": ref("F"), "Principal": "s3.amazonaws.com"}),
    ],
    ids=lambda caller: caller[0],
)
def test_events_wait_in_lambdas_own_queue(caller: tuple[str, dict[str, Any]]) -> None:
    found = stack(F=FUNCTION, Caller=caller)["F"]
    assert is_asynchronous(found)
    assert not is_request_driven(found)


def test_a_role_an_alarm_and_another_function_invoke_nothing() -> None:
    found = stack(
        F=FUNCTION,
        Role=("AWS::IAM::Role", {"Policies": [{"Resource": ref("F.Arn")}]}),
        Alarm=("AWS::CloudWatch::Alarm", {"Dimensions": [{"Value": ref("F")}]}),
        Other=("AWS::Lambda::Function", {"Environment": {"Variables": {"NEXT": ref("F")}}}),
    )["F"]
    assert not is_request_driven(found)
    assert not is_asynchronous(found)
    assert expected_interval(found) is None
