"""The notification system as CloudFormation: schedule, queue, three functions, three tables, one API."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from troposphere import (
    GetAtt,
    Output,
    Parameter,
    Ref,
    Sub,
    Template,
    apigateway,
    awslambda,
    dynamodb,
    events,
    sqs,
)

from deploy.functions import Function, Statement, add_code_parameters, add_function

HANDLERS = "deploy.notification.handlers"
STAGE = "live"
MAX_RECEIVES = 3
FOURTEEN_DAYS = 14 * 24 * 3600  # the longest a queue keeps a message

# Function name -> further Python distributions its package needs beside the handlers.
PACKAGES: dict[str, tuple[str, ...]] = {"FindDailyNotifications": (), "GetNotifications": (), "MessageGenerator": ()}


def template() -> Template:
    """The whole stack."""
    stack = Template(Description="Notifications: generated once a day for every subscriber, read through an API")
    stack.set_version()
    add_code_parameters(stack)
    _add_parameters(stack)
    definitions = _add_table(stack, "Definitions", "day", "notification")
    subscriptions = _add_table(stack, "Subscriptions", "topic", "user")
    notifications = _add_table(stack, "Notifications", "user", "day_notification", ttl="expires_at")
    queue = _add_queues(stack)
    _add_finder(stack, definitions, queue)
    _add_generator(stack, queue, definitions, subscriptions, notifications)
    _add_api(stack, _add_reader(stack, notifications))
    return stack


def _add_parameters(stack: Template) -> None:
    stack.add_parameter(
        Parameter(
            "DailySchedule",
            Type="String",
            Default="cron(0 5 * * ? *)",
            Description="When the day's notifications are generated (EventBridge expression, UTC)",
        )
    )
    stack.add_parameter(
        Parameter(
            "DeletionProtection",
            Type="String",
            Default="true",
            AllowedValues=["true", "false"],
            Description="Whether the tables refuse to be deleted",
        )
    )
    stack.add_parameter(
        Parameter(
            "NotificationRetentionDays",
            Type="Number",
            Default=90,
            MinValue=1,
            Description="Days a user can read a notification, counted from its day",
        )
    )
    stack.add_parameter(
        Parameter(
            "GenerateTimeoutSeconds",
            Type="Number",
            Default=60,
            MinValue=1,
            MaxValue=900,
            Description="Timeout of MessageGenerator",
        )
    )
    stack.add_parameter(
        Parameter(
            "GenerateVisibilitySeconds",
            Type="Number",
            Default=360,
            MinValue=6,
            MaxValue=43200,
            Description="How long the queue hides a message that is worked on: at least six times GenerateTimeoutSeconds",
        )
    )


def _add_table(stack: Template, name: str, partition_key: str, sort_key: str, ttl: str | None = None) -> dynamodb.Table:
    optional: dict[str, Any] = {}
    if ttl is not None:
        optional["TimeToLiveSpecification"] = dynamodb.TimeToLiveSpecification(AttributeName=ttl, Enabled=True)
    table = stack.add_resource(
        dynamodb.Table(
            name,
            # A table with data outlives a change that would replace it; deletion is what the parameter governs.
            UpdateReplacePolicy="Retain",
            DeletionPolicy="Delete",
            BillingMode="PAY_PER_REQUEST",
            DeletionProtectionEnabled=Ref("DeletionProtection"),
            AttributeDefinitions=[
                dynamodb.AttributeDefinition(AttributeName=key, AttributeType="S") for key in (partition_key, sort_key)
            ],
            KeySchema=[
                dynamodb.KeySchema(AttributeName=partition_key, KeyType="HASH"),
                dynamodb.KeySchema(AttributeName=sort_key, KeyType="RANGE"),
            ],
            PointInTimeRecoverySpecification=dynamodb.PointInTimeRecoverySpecification(PointInTimeRecoveryEnabled=True),
            **optional,
        )
    )
    stack.add_output(Output(f"{name}Name", Value=Ref(table), Description=f"Name of the table {name}"))
    return table


def _add_queues(stack: Template) -> sqs.Queue:
    dead_letters = stack.add_resource(
        sqs.Queue(
            "GenerateMessageDeadLetters",
            UpdateReplacePolicy="Retain",
            DeletionPolicy="Delete",
            MessageRetentionPeriod=FOURTEEN_DAYS,
            SqsManagedSseEnabled=True,
        )
    )
    queue = stack.add_resource(
        sqs.Queue(
            "GenerateMessage",
            UpdateReplacePolicy="Retain",
            DeletionPolicy="Delete",
            MessageRetentionPeriod=4 * 24 * 3600,
            VisibilityTimeout=Ref("GenerateVisibilitySeconds"),
            RedrivePolicy=sqs.RedrivePolicy(
                deadLetterTargetArn=GetAtt(dead_letters, "Arn"), maxReceiveCount=MAX_RECEIVES
            ),
            SqsManagedSseEnabled=True,
        )
    )
    stack.add_output(
        Output("GenerateMessageUrl", Value=Ref(queue), Description="URL of the queue of due notifications")
    )
    stack.add_output(
        Output(
            "GenerateMessageDeadLettersUrl", Value=Ref(dead_letters), Description="URL of the queue of failed messages"
        )
    )
    return queue


def _add_finder(stack: Template, definitions: dynamodb.Table, queue: sqs.Queue) -> None:
    finder = add_function(
        stack,
        Function(
            name="FindDailyNotifications",
            description="Queues one message per notification due today",
            handler=f"{HANDLERS}.find_daily_notifications.handler",
            timeout=60,
            memory=256,
            environment={"DEFINITIONS_TABLE": Ref(definitions), "QUEUE_URL": Ref(queue)},
            allow=[
                Statement(["dynamodb:Query"], [GetAtt(definitions, "Arn")]),
                Statement(["sqs:SendMessage"], [GetAtt(queue, "Arn")]),
            ],
        ),
    )
    rule = stack.add_resource(
        events.Rule(
            "DailyRule",
            Description="Starts FindDailyNotifications once a day",
            ScheduleExpression=Ref("DailySchedule"),
            State="ENABLED",
            Targets=[events.Target(Id="FindDailyNotifications", Arn=GetAtt(finder, "Arn"))],
        )
    )
    stack.add_resource(
        awslambda.Permission(
            "DailyRulePermission",
            Action="lambda:InvokeFunction",
            FunctionName=Ref(finder),
            Principal="events.amazonaws.com",
            SourceArn=GetAtt(rule, "Arn"),
        )
    )
    stack.add_output(Output("DailyRuleName", Value=Ref(rule), Description="Name of the daily rule"))


def _add_generator(
    stack: Template,
    queue: sqs.Queue,
    definitions: dynamodb.Table,
    subscriptions: dynamodb.Table,
    notifications: dynamodb.Table,
) -> None:
    generator = add_function(
        stack,
        Function(
            name="MessageGenerator",
            description="Writes one record per receiving user for each message",
            handler=f"{HANDLERS}.message_generator.handler",
            timeout=Ref("GenerateTimeoutSeconds"),
            memory=512,
            environment={
                "DEFINITIONS_TABLE": Ref(definitions),
                "SUBSCRIPTIONS_TABLE": Ref(subscriptions),
                "NOTIFICATIONS_TABLE": Ref(notifications),
                "RETENTION_DAYS": Ref("NotificationRetentionDays"),
            },
            allow=[
                Statement(["dynamodb:GetItem"], [GetAtt(definitions, "Arn")]),
                Statement(["dynamodb:Query"], [GetAtt(subscriptions, "Arn")]),
                Statement(["dynamodb:BatchWriteItem"], [GetAtt(notifications, "Arn")]),
                Statement(
                    ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], [GetAtt(queue, "Arn")]
                ),
            ],
        ),
    )
    stack.add_resource(
        awslambda.EventSourceMapping(
            "GenerateMessageMapping",
            EventSourceArn=GetAtt(queue, "Arn"),
            FunctionName=Ref(generator),
            BatchSize=10,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )
    )


def _add_reader(stack: Template, notifications: dynamodb.Table) -> awslambda.Function:
    return add_function(
        stack,
        Function(
            name="GetNotifications",
            description="Reads the notifications of one user, newest first",
            handler=f"{HANDLERS}.get_notifications.handler",
            timeout=20,  # a caller waits; API Gateway itself gives up after 29 s
            memory=512,
            environment={"NOTIFICATIONS_TABLE": Ref(notifications)},
            allow=[Statement(["dynamodb:Query"], [GetAtt(notifications, "Arn")])],
        ),
    )


def _add_api(stack: Template, reader: awslambda.Function) -> None:
    api = stack.add_resource(
        apigateway.RestApi(
            "NotificationsApi",
            Name=Sub("${AWS::StackName}"),
            Description="The notifications of a user",
            EndpointConfiguration=apigateway.EndpointConfiguration(Types=["REGIONAL"]),
        )
    )
    parent: Any = GetAtt(api, "RootResourceId")
    for title, part in (("UsersResource", "users"), ("UserResource", "{user}"), ("ListResource", "notifications")):
        resource = stack.add_resource(apigateway.Resource(title, RestApiId=Ref(api), ParentId=parent, PathPart=part))
        parent = Ref(resource)
    method = stack.add_resource(
        apigateway.Method(
            "ListMethod",
            RestApiId=Ref(api),
            ResourceId=parent,
            HttpMethod="GET",
            AuthorizationType="AWS_IAM",
            Integration=apigateway.Integration(
                Type="AWS_PROXY",
                IntegrationHttpMethod="POST",
                Uri=Sub(
                    "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"
                    "${GetNotifications.Arn}/invocations"
                ),
            ),
        )
    )
    stack.add_resource(
        awslambda.Permission(
            "NotificationsApiPermission",
            Action="lambda:InvokeFunction",
            FunctionName=Ref(reader),
            Principal="apigateway.amazonaws.com",
            SourceArn=Sub(
                "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:"
                "${NotificationsApi}/*/GET/users/*/notifications"
            ),
        )
    )
    deployment = stack.add_resource(
        apigateway.Deployment(
            # A deployment is a snapshot: only a new logical id takes a changed method to the stage.
            f"NotificationsApiDeployment{_fingerprint(method)}",
            RestApiId=Ref(api),
            DependsOn=[method.title],
        )
    )
    stack.add_resource(
        apigateway.Stage(
            "NotificationsApiStage",
            RestApiId=Ref(api),
            DeploymentId=Ref(deployment),
            StageName=STAGE,
            MethodSettings=[
                apigateway.MethodSetting(
                    HttpMethod="*", ResourcePath="/*", ThrottlingRateLimit=50, ThrottlingBurstLimit=100
                )
            ],
        )
    )
    stack.add_output(
        Output(
            "ApiUrl",
            Value=Sub(f"https://${{NotificationsApi}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/{STAGE}"),
            Description="GET {ApiUrl}/users/{user}/notifications, signed with AWS credentials",
        )
    )
    stack.add_output(Output("ApiId", Value=Ref(api), Description="Id of the API"))


def _fingerprint(method: apigateway.Method) -> str:
    text = json.dumps(method.to_dict(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
