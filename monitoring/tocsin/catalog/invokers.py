"""What invokes a Lambda function, as far as its template tells, and how often."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ..cloudformation.symbolic import references
from ..model import Resource
from .properties import is_switched_off
from .schedules import interval_of

_RULE, _SCHEDULE = "AWS::Events::Rule", "AWS::Scheduler::Schedule"

# Types that name a function without invoking it: they grant, configure, publish or watch it.
_PASSIVE = (
    "AWS::ApplicationAutoScaling::",
    "AWS::CloudFormation::",
    "AWS::CloudWatch::",
    "AWS::CodeDeploy::",
    "AWS::IAM::",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::SSM::Parameter",
)

# Invocations of these wait in Lambda's own queue and are retried (Lambda guide, "Invoking a function asynchronously").
_ASYNCHRONOUS = (
    _RULE,
    _SCHEDULE,
    "AWS::IoT::TopicRule",
    "AWS::Logs::SubscriptionFilter",
    "AWS::S3::Bucket",
    "AWS::SES::ReceiptRule",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
)
_ASYNCHRONOUS_CALLERS = ("events.", "s3.", "sns.", "iot.", "logs.", "ses.", "scheduler.")

# Callers with a person or a stream behind them call often; a workflow, a custom resource or a script need not.
_REQUESTS = (
    "AWS::ApiGateway::",
    "AWS::ApiGatewayV2::",
    "AWS::AppSync::",
    "AWS::CloudFront::",
    "AWS::Cognito::",
    "AWS::ElasticLoadBalancingV2::",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Url",
    "AWS::Serverless::Api",
    "AWS::Serverless::HttpApi",
    "AWS::VpcLattice::",
)
_REQUEST_CALLERS = ("apigateway.", "elasticloadbalancing.", "cognito-idp.", "appsync.", "lex.", "alexa-")


def invokers(function: Resource) -> tuple[Resource, ...]:
    """The resources of the same template that invoke the function, by logical id; none that is switched off.

    A permission stands for a caller that names the function nowhere else, such as an API described by a document.
    """
    return tuple(
        resource
        for _, resource in sorted(function.surroundings.items())
        if resource.logical_id != function.logical_id
        and not is_switched_off(resource)
        and (resource.type == "AWS::Lambda::Permission" or not resource.type.startswith(_PASSIVE))
        and function.logical_id in {found.logical_id for found in references(_invocation_field(resource))}
    )


def _invocation_field(resource: Resource) -> Any:
    """The part of a resource that names the functions it invokes; all of it where no other part could."""
    properties = resource.properties
    match resource.type:
        case "AWS::Events::Rule":
            targets = properties.get("Targets")
            return [t.get("Arn") for t in targets if isinstance(t, dict)] if isinstance(targets, list) else None
        case "AWS::Scheduler::Schedule":
            target = properties.get("Target")
            return target.get("Arn") if isinstance(target, dict) else None
        case "AWS::Lambda::EventSourceMapping" | "AWS::Lambda::Permission":
            return properties.get("FunctionName")
        case "AWS::S3::Bucket":
            return properties.get("NotificationConfiguration")
        case "AWS::SNS::Subscription":
            return properties.get("Endpoint")
        case "AWS::Lambda::Function" | "AWS::Serverless::Function":
            return None  # a function that gets another's name may call it, or may not
    return dict(properties)


def _caller(resource: Resource) -> str:
    """Who a permission lets in, such as ``apigateway.amazonaws.com``."""
    return str(resource.properties.get("Principal")) if resource.type == "AWS::Lambda::Permission" else ""


def is_request_driven(function: Resource) -> bool:
    """Whether a person or a queue invokes the function many times a day: one odd failure is then not news."""
    return any(
        resource.type.startswith(_REQUESTS)
        or _caller(resource).startswith(_REQUEST_CALLERS)
        or "FunctionUrlAuthType" in resource.properties
        for resource in invokers(function)
    )


def is_invoked_by_rest_api(function: Resource) -> bool:
    """Whether API Gateway waits for the function, at most 29 seconds."""
    return any(
        resource.type == "AWS::ApiGateway::Method" or _caller(resource).startswith("apigateway.")
        for resource in invokers(function)
    )


def asynchronous_settings(function: Resource) -> tuple[Resource, ...]:
    """What the template says of the function's asynchronous events: retries, age, destinations; by logical id."""
    return tuple(
        resource
        for _, resource in sorted(function.surroundings.items())
        if resource.type == "AWS::Lambda::EventInvokeConfig"
        and function.logical_id in {found.logical_id for found in references(resource.properties.get("FunctionName"))}
    )


def is_asynchronous(function: Resource) -> bool:
    """Whether events wait in Lambda's own queue; a dead-letter queue or retry setting of the function says so too."""
    return (
        bool(function.properties.get("DeadLetterConfig"))
        or bool(asynchronous_settings(function))
        or any(
            resource.type in _ASYNCHRONOUS or _caller(resource).startswith(_ASYNCHRONOUS_CALLERS)
            for resource in invokers(function)
        )
    )


def expected_interval(function: Resource) -> timedelta | None:
    """The longest regular gap between two invocations, if schedules alone invoke the function; None if unknown.

    A permission for events beside a rule or schedule only lets that one in and is no source of its own.
    """
    gaps = []
    for resource in invokers(function):
        if _caller(resource).startswith(("events.", "scheduler.")):
            continue
        if resource.type not in (_RULE, _SCHEDULE):
            return None
        if resource.properties.get("EndDate") is not None:
            continue  # it ends, so nothing can be expected of it
        gap = interval_of(resource)
        if gap is None:
            return None
        gaps.append(gap)
    return min(gaps, default=None)
