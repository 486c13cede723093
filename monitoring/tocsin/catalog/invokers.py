"""What invokes a Lambda function, as far as its template tells, and how often."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ..cloudformation.symbolic import references
from ..model import Resource
from .schedules import interval_of


def invokers(function: Resource) -> tuple[Resource, ...]:
    """The resources of the same template that invoke the function, by logical id.

    Rules and schedules with it as a target, event source mappings, buckets and topics that notify it, and
    permissions (which stand for APIs and for callers outside the template).
    """
    return tuple(
        resource
        for _, resource in sorted(function.surroundings.items())
        if function.logical_id in {found.logical_id for found in references(_invocation_field(resource))}
    )


def _invocation_field(resource: Resource) -> Any:
    """The part of a resource that names the function it invokes."""
    properties = resource.properties
    match resource.type:
        case "AWS::Events::Rule":
            targets = properties.get("Targets")
            return (
                [target.get("Arn") for target in targets if isinstance(target, dict)]
                if isinstance(targets, list)
                else None
            )
        case "AWS::Scheduler::Schedule":
            target = properties.get("Target")
            return target.get("Arn") if isinstance(target, dict) else None
        case "AWS::Lambda::EventSourceMapping" | "AWS::Lambda::Permission":
            return properties.get("FunctionName")
        case "AWS::S3::Bucket":
            configuration = properties.get("NotificationConfiguration")
            return configuration.get("LambdaConfigurations") if isinstance(configuration, dict) else None
        case "AWS::SNS::Subscription":
            return properties.get("Endpoint")
        case "AWS::ApiGateway::Method":
            return properties.get("Integration")
        case "AWS::ApiGatewayV2::Integration":
            return properties.get("IntegrationUri")
    return None


def is_request_driven(function: Resource) -> bool:
    """Whether a person or a queue invokes the function many times a day: one odd failure is then not news."""
    return any(
        resource.type
        in ("AWS::Lambda::EventSourceMapping", "AWS::ApiGateway::Method", "AWS::ApiGatewayV2::Integration")
        or (resource.type == "AWS::Lambda::Permission" and "apigateway" in str(resource.properties.get("Principal")))
        for resource in invokers(function)
    )


def is_invoked_by_rest_api(function: Resource) -> bool:
    """Whether API Gateway waits for the function, at most 29 seconds."""
    return any(
        resource.type == "AWS::ApiGateway::Method"
        or (resource.type == "AWS::Lambda::Permission" and "apigateway" in str(resource.properties.get("Principal")))
        for resource in invokers(function)
    )


def is_asynchronous(function: Resource) -> bool:
    """Whether events wait in Lambda's own queue: rules, schedules, buckets and topics invoke that way."""
    return any(
        resource.type in ("AWS::Events::Rule", "AWS::Scheduler::Schedule", "AWS::S3::Bucket", "AWS::SNS::Subscription")
        for resource in invokers(function)
    )


def expected_interval(function: Resource) -> timedelta | None:
    """The longest regular gap between two invocations, if schedules alone invoke the function; None if unknown.

    A permission beside a rule or schedule only lets that one in and is no source of its own.
    """
    gaps = []
    for resource in invokers(function):
        if resource.type == "AWS::Lambda::Permission" and "apigateway" not in str(resource.properties.get("Principal")):
            continue
        if resource.type not in ("AWS::Events::Rule", "AWS::Scheduler::Schedule"):
            return None
        gap = interval_of(resource)
        if gap is None:
            return None
        gaps.append(gap)
    return min(gaps, default=None)
