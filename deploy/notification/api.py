"""The HTTP API of the notification system: one route, one of two ways to know the caller, limits, and an access log."""

from __future__ import annotations

import json
from typing import Any

from troposphere import (
    And,
    AWSHelperFn,
    Condition,
    Equals,
    GetAtt,
    If,
    Join,
    Not,
    NoValue,
    Output,
    Parameter,
    Ref,
    Sub,
    Template,
    apigatewayv2,
    awslambda,
    iam,
    logs,
)

STAGE = "live"
ROUTE = "GET /users/{user}/notifications"

# What the access log keeps of a call.  Nothing of the answer, and of the caller only who he is.
# Source of the variables: API Gateway Developer Guide, "Customize HTTP API access logs".
LOGGED = {
    "requestId": "$context.requestId",
    "time": "$context.requestTime",
    "route": "$context.routeKey",
    "path": "$context.path",
    "status": "$context.status",
    # The kind of error and not its message: that may hold quotes and line ends, which are written as they are; and what is
    # written of its quoted form (messageString) when there is no error, a bare dash, is no JSON either.
    "error": "$context.error.responseType",
    "authorizerError": "$context.authorizer.error",
    "integrationStatus": "$context.integrationStatus",
    "integrationError": "$context.integrationErrorMessage",
    "latency": "$context.responseLatency",
    "sourceIp": "$context.identity.sourceIp",
    "caller": "$context.identity.userArn",
    "subject": "$context.authorizer.claims.sub",
}


def add_api_parameters(stack: Template) -> None:
    """How callers are known, and how much they may call."""
    for parameter in (
        Parameter(
            "ApiAuthorization",
            Type="String",
            Default="AWS_IAM",
            AllowedValues=["AWS_IAM", "JWT"],
            Description="How callers of the API prove who they are: signed calls in a session of UserRole, or a token",
        ),
        Parameter(
            "IdentityLayerArn",
            Type="String",
            Default="",
            AllowedPattern=r"(arn:[a-z0-9-]+:iam::[0-9]{12}:(role|user)/[\w+=,.@/-]+)?",
            Description=(
                "AWS_IAM: who may take on UserRole, giving the user as session name; "
                "empty: whom IAM policies of this account allow it"
            ),
        ),
        Parameter(
            "DeliveryRoleArn",
            Type="String",
            Default="",
            Description="AWS_IAM: role that reads as a user of its own making to validate a deployment; empty for none",
        ),
        Parameter(
            "JwtIssuer",
            Type="String",
            Default="",
            AllowedPattern="(https://.+)?",
            Description="JWT: issuer of the tokens, whose subject (sub) is the user",
        ),
        Parameter("JwtAudience", Type="String", Default="", Description="JWT: audience that a token must be for"),
        Parameter(
            "ApiRateLimit",
            Type="Number",
            Default=50,
            MinValue=1,
            Description="Calls a second that the API answers in the long run; more get 429",
        ),
        Parameter(
            "ApiBurstLimit",
            Type="Number",
            Default=100,
            MinValue=1,
            Description="Calls that the API answers at once",
        ),
    ):
        stack.add_parameter(parameter)
    stack.add_condition("SignedCalls", Equals(Ref("ApiAuthorization"), "AWS_IAM"))
    stack.add_condition("TokenCalls", Equals(Ref("ApiAuthorization"), "JWT"))
    stack.add_condition("HasDelivery", Not(Equals(Ref("DeliveryRoleArn"), "")))
    stack.add_condition("IdentityLayerNamed", And(Condition("SignedCalls"), Not(Equals(Ref("IdentityLayerArn"), ""))))
    stack.add_rule(
        "TokensAreOfSomebodyForSomebody",
        {
            "RuleCondition": Equals(Ref("ApiAuthorization"), "JWT"),
            "Assertions": [
                {
                    "Assert": Not(Equals(Ref(name), "")),
                    "AssertDescription": f"ApiAuthorization JWT needs {name}",
                }
                for name in ("JwtIssuer", "JwtAudience")
            ],
        },
    )


def user_sessions() -> If:
    """The ARN that every session of the role for users begins with; the rest is the user."""
    return If("SignedCalls", Sub("arn:${AWS::Partition}:sts::${AWS::AccountId}:assumed-role/${UserRole}/"), "")


def add_api(stack: Template, reader: awslambda.Function) -> None:
    """The API before the function ``reader``."""
    api = stack.add_resource(
        apigatewayv2.Api(
            "NotificationsApi",
            Name=Sub("${AWS::StackName}"),
            Description="The notifications of a user",
            ProtocolType="HTTP",
        )
    )
    integration = stack.add_resource(
        apigatewayv2.Integration(
            "NotificationsIntegration",
            ApiId=Ref(api),
            IntegrationType="AWS_PROXY",
            IntegrationUri=GetAtt(reader, "Arn"),
            PayloadFormatVersion="2.0",
            TimeoutInMillis=21_000,  # the function's own timeout comes first, so that its log says what happened
        )
    )
    authorizer = stack.add_resource(
        apigatewayv2.Authorizer(
            "TokenAuthorizer",
            Condition="TokenCalls",
            ApiId=Ref(api),
            Name="tokens",
            AuthorizerType="JWT",
            IdentitySource=["$request.header.Authorization"],
            JwtConfiguration=apigatewayv2.JWTConfiguration(Audience=[Ref("JwtAudience")], Issuer=Ref("JwtIssuer")),
        )
    )
    stack.add_resource(
        apigatewayv2.Route(
            "ListRoute",
            ApiId=Ref(api),
            RouteKey=ROUTE,
            AuthorizationType=Ref("ApiAuthorization"),
            AuthorizerId=If("TokenCalls", Ref(authorizer), NoValue),
            Target=Join("/", ["integrations", Ref(integration)]),
        )
    )
    _add_stage(stack, api)
    stack.add_resource(
        awslambda.Permission(
            "NotificationsApiPermission",
            Action="lambda:InvokeFunction",
            FunctionName=Ref(reader),
            Principal="apigateway.amazonaws.com",
            SourceArn=Sub(
                "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:"
                f"${{NotificationsApi}}/{STAGE}/GET/users/*/notifications"
            ),
        )
    )
    _add_user_role(stack)
    stack.add_output(
        Output(
            "ApiUrl",
            Value=Sub(f"https://${{NotificationsApi}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/{STAGE}"),
            Description="GET {ApiUrl}/users/{user}/notifications",
        )
    )
    stack.add_output(Output("ApiId", Value=Ref(api), Description="Id of the API"))


def _add_stage(stack: Template, api: apigatewayv2.Api) -> None:
    log_group = stack.add_resource(
        logs.LogGroup(
            "NotificationsApiLogs",
            UpdateReplacePolicy="Delete",
            DeletionPolicy="Delete",
            LogGroupName=Sub("/aws/apigateway/${AWS::StackName}-NotificationsApi"),
            RetentionInDays=Ref("LogRetentionDays"),
        )
    )
    stack.add_resource(
        apigatewayv2.Stage(
            "NotificationsApiStage",
            ApiId=Ref(api),
            StageName=STAGE,
            AutoDeploy=True,
            AccessLogSettings=apigatewayv2.AccessLogSettings(
                DestinationArn=GetAtt(log_group, "Arn"), Format=json.dumps(LOGGED, separators=(",", ":"))
            ),
            DefaultRouteSettings=apigatewayv2.RouteSettings(
                ThrottlingRateLimit=Ref("ApiRateLimit"), ThrottlingBurstLimit=Ref("ApiBurstLimit")
            ),
        )
    )


def _may_assume(who: AWSHelperFn, conditions: dict[str, Any] | None = None) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"AWS": who}, "Action": "sts:AssumeRole"}
    return {**statement, "Condition": conditions} if conditions else statement


def _add_user_role(stack: Template) -> None:
    account = Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")
    everybody = _may_assume(If("IdentityLayerNamed", Ref("IdentityLayerArn"), account))
    # Where the account is trusted, the delivery's own policy says the same.
    synthetic = _may_assume(Ref("DeliveryRoleArn"), {"StringLike": {"sts:RoleSessionName": "synthetic-*"}})
    trusted = [everybody, If("IdentityLayerNamed", If("HasDelivery", synthetic, NoValue), NoValue)]
    role = stack.add_resource(
        iam.Role(
            "UserRole",
            Condition="SignedCalls",
            Description="A user of the notifications API: the session's name says which",
            PermissionsBoundary=Ref("PermissionsBoundaryArn"),
            AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": trusted},
            Policies=[
                iam.Policy(
                    PolicyName="ReadNotifications",
                    PolicyDocument={
                        "Version": "2012-10-17",
                        "Statement": [
                            {
                                "Effect": "Allow",
                                "Action": ["execute-api:Invoke"],
                                # No variable of IAM is the session's name alone, so the reader compares it with {user}.
                                "Resource": [
                                    Sub(
                                        "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:"
                                        f"${{NotificationsApi}}/{STAGE}/GET/users/*/notifications"
                                    )
                                ],
                            }
                        ],
                    },
                )
            ],
        )
    )
    stack.add_output(
        Output(
            "UserRoleArn",
            Condition="SignedCalls",
            Value=GetAtt(role, "Arn"),
            Description="Role whose sessions, named after their users, may call the API",
        )
    )
