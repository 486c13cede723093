"""The notification system as CloudFormation: schedule, queues, three functions, four tables; the API is in api.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from troposphere import GetAtt, Output, Parameter, Ref, Sub, Template, awslambda, dynamodb, events, sqs

from deploy.functions import Function, Statement, add_code_parameters, add_function

from .api import add_api, add_api_parameters, user_sessions

HANDLERS = "deploy.notification.handlers"
MAX_RECEIVES = 3
CONCURRENCY = (
    10  # notifications written at once: at eight threads each, what a new on-demand table takes without throttling
)
FOUR_DAYS, FOURTEEN_DAYS = 4 * 24 * 3600, 14 * 24 * 3600  # fourteen is the longest a queue keeps a message
START_WITHIN = 3600  # seconds: what starts later than this has to be looked at by a person anyway

# Function name -> further Python distributions its package needs beside the handlers.
PACKAGES: dict[str, tuple[str, ...]] = {"FindDailyNotifications": (), "GetNotifications": (), "MessageGenerator": ()}


def template() -> Template:
    """The whole stack."""
    stack = Template(Description="Notifications: generated once a day for every subscriber, read through an API")
    stack.set_version()
    add_code_parameters(stack)
    _add_parameters(stack)
    add_api_parameters(stack)
    definitions = _add_table(stack, "Definitions", "day", "notification")
    subscriptions = _add_table(stack, "Subscriptions", "topic", "user")
    notifications = _add_table(stack, "Notifications", "user", "day_notification", ttl="expires_at")
    runs = _add_table(stack, "Runs", "day", "item", ttl="expires_at")
    queue = _add_message_queues(stack)
    finder = _add_finder(stack, definitions, runs, queue)
    _add_rules(stack, finder, _add_event_dead_letters(stack, finder))
    _add_generator(stack, queue, definitions, subscriptions, notifications, runs)
    add_api(stack, _add_reader(stack, notifications))
    return stack


def _add_parameters(stack: Template) -> None:
    for parameter in (
        Parameter(
            "DailySchedule",
            Type="String",
            Default="cron(30 4 * * ? *)",
            Description="When the day's notifications are generated (EventBridge expression, UTC)",
        ),
        Parameter(
            "ReadableBy",
            Type="String",
            Default="06:30",
            AllowedPattern="([01][0-9]|2[0-3]):[0-5][0-9]",
            Description="Time of the day (UTC) by which users are to be able to read the day's notifications",
        ),
        Parameter(
            "DeletionProtection",
            Type="String",
            Default="true",
            AllowedValues=["true", "false"],
            Description="Whether the tables refuse to be deleted",
        ),
        Parameter(
            "NotificationRetentionDays",
            Type="Number",
            Default=90,
            MinValue=1,
            Description="Days a user can read a notification, counted from its day",
        ),
        Parameter(
            "GenerateTimeoutSeconds",
            Type="Number",
            Default=60,
            MinValue=1,
            MaxValue=900,
            Description="Timeout of MessageGenerator; what does not fit goes on in a further message",
        ),
        Parameter(
            "GenerateVisibilitySeconds",
            Type="Number",
            Default=360,
            MinValue=6,
            MaxValue=43200,
            Description="How long the queue hides a message that is worked on: at least six times GenerateTimeoutSeconds",
        ),
    ):
        stack.add_parameter(parameter)


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


def _add_message_queues(stack: Template) -> sqs.Queue:
    # The dead-letter queue has to name its source, which names it: a name of our own breaks the circle.
    name = "${AWS::StackName}-GenerateMessage"
    source = Sub(f"arn:${{AWS::Partition}}:sqs:${{AWS::Region}}:${{AWS::AccountId}}:{name}")
    dead_letters = _add_queue(
        stack,
        "GenerateMessageDeadLetters",
        "URL of the queue of failed messages",
        MessageRetentionPeriod=FOURTEEN_DAYS,
        RedriveAllowPolicy={"redrivePermission": "byQueue", "sourceQueueArns": [source]},
    )
    queue = _add_queue(
        stack,
        "GenerateMessage",
        "URL of the queue of due notifications",
        QueueName=Sub(name),
        MessageRetentionPeriod=FOUR_DAYS,
        VisibilityTimeout=Ref("GenerateVisibilitySeconds"),
        RedriveAllowPolicy={"redrivePermission": "denyAll"},
        RedrivePolicy=sqs.RedrivePolicy(deadLetterTargetArn=GetAtt(dead_letters, "Arn"), maxReceiveCount=MAX_RECEIVES),
    )
    for each in (dead_letters, queue):
        _add_queue_policy(stack, each)
    return queue


def _add_queue(stack: Template, name: str, description: str, **properties: Any) -> sqs.Queue:
    queue = stack.add_resource(
        sqs.Queue(name, UpdateReplacePolicy="Retain", DeletionPolicy="Delete", SqsManagedSseEnabled=True, **properties)
    )
    stack.add_output(Output(f"{name}Url", Value=Ref(queue), Description=description))
    return queue


def _add_queue_policy(stack: Template, queue: sqs.Queue, allow: Sequence[dict[str, Any]] = ()) -> None:
    """Nobody may use the queue without TLS; ``allow`` is for AWS services, as our own roles say themselves what they may."""
    tls_only = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": GetAtt(queue, "Arn"),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    stack.add_resource(
        sqs.QueuePolicy(
            f"{queue.title}Policy",
            Queues=[Ref(queue)],
            PolicyDocument={"Version": "2012-10-17", "Statement": [*allow, tls_only]},
        )
    )


def _add_finder(
    stack: Template, definitions: dynamodb.Table, runs: dynamodb.Table, queue: sqs.Queue
) -> awslambda.Function:
    return add_function(
        stack,
        Function(
            name="FindDailyNotifications",
            description="Queues one message per notification due today",
            handler=f"{HANDLERS}.find_daily_notifications.handler",
            timeout=300,
            memory=512,
            environment={
                "DEFINITIONS_TABLE": Ref(definitions),
                "RUNS_TABLE": Ref(runs),
                "QUEUE_URL": Ref(queue),
                "RETENTION_DAYS": Ref("NotificationRetentionDays"),
            },
            allow=[
                Statement(["dynamodb:Query"], [GetAtt(definitions, "Arn")]),
                Statement(["dynamodb:GetItem", "dynamodb:UpdateItem"], [GetAtt(runs, "Arn")]),
                Statement(
                    ["sqs:SendMessage"], [GetAtt(queue, "Arn"), GetAtt("FindDailyNotificationsDeadLetters", "Arn")]
                ),
            ],
        ),
    )


def _add_event_dead_letters(stack: Template, finder: awslambda.Function) -> sqs.Queue:
    """Where an event goes that did not reach the finder, or that it failed at three times."""
    dead_letters = _add_queue(
        stack,
        "FindDailyNotificationsDeadLetters",
        "URL of the queue of events that started no run",
        MessageRetentionPeriod=FOURTEEN_DAYS,
        RedriveAllowPolicy={"redrivePermission": "denyAll"},
    )
    from_rule = {
        "Sid": "DailyRule",
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": GetAtt(dead_letters, "Arn"),
        "Condition": {"ArnEquals": {"aws:SourceArn": GetAtt("DailyRule", "Arn")}},
    }
    _add_queue_policy(stack, dead_letters, [from_rule])
    stack.add_resource(
        awslambda.EventInvokeConfig(
            "FindDailyNotificationsInvocations",
            FunctionName=Ref(finder),
            Qualifier="$LATEST",
            MaximumRetryAttempts=2,
            MaximumEventAgeInSeconds=START_WITHIN,
            DestinationConfig=awslambda.DestinationConfig(
                OnFailure=awslambda.OnFailure(Destination=GetAtt(dead_letters, "Arn"))
            ),
        )
    )
    return dead_letters


def _add_rules(stack: Template, finder: awslambda.Function, dead_letters: sqs.Queue) -> None:
    daily = stack.add_resource(
        events.Rule(
            "DailyRule",
            Description="Starts FindDailyNotifications once a day",
            ScheduleExpression=Ref("DailySchedule"),
            State="ENABLED",
            Targets=[
                events.Target(
                    Id="FindDailyNotifications",
                    Arn=GetAtt(finder, "Arn"),
                    DeadLetterConfig=events.DeadLetterConfig(Arn=GetAtt(dead_letters, "Arn")),
                    RetryPolicy=events.RetryPolicy(MaximumEventAgeInSeconds=START_WITHIN, MaximumRetryAttempts=60),
                )
            ],
        )
    )
    validation = stack.add_resource(
        events.Rule(
            "ValidationRule",
            Description="Queues one synthetic notification, on the event of whoever validates a deployment",
            EventPattern={
                "source": ["tocsin.validation"],
                "detail-type": ["Synthetic notification"],
                "detail": {"stack": [Ref("AWS::StackName")]},
            },
            State="ENABLED",
            # No dead-letter queue: whoever sent the event waits for what comes of it and reports what does not come.
            Targets=[events.Target(Id="FindDailyNotifications", Arn=GetAtt(finder, "Arn"))],
        )
    )
    for rule in (daily, validation):
        stack.add_resource(
            awslambda.Permission(
                f"{rule.title}Permission",
                Action="lambda:InvokeFunction",
                FunctionName=Ref(finder),
                Principal="events.amazonaws.com",
                SourceArn=GetAtt(rule, "Arn"),
            )
        )
    stack.add_output(Output("DailyRuleName", Value=Ref(daily), Description="Name of the daily rule"))
    stack.add_output(Output("ValidationRuleName", Value=Ref(validation), Description="Name of the validation's rule"))


def _add_generator(
    stack: Template,
    queue: sqs.Queue,
    definitions: dynamodb.Table,
    subscriptions: dynamodb.Table,
    notifications: dynamodb.Table,
    runs: dynamodb.Table,
) -> None:
    generator = add_function(
        stack,
        Function(
            name="MessageGenerator",
            description="Writes one record per receiving user for each message",
            handler=f"{HANDLERS}.message_generator.handler",
            timeout=Ref("GenerateTimeoutSeconds"),
            memory=1024,  # the processor comes with the memory, and making a million requests takes some
            environment={
                "DEFINITIONS_TABLE": Ref(definitions),
                "SUBSCRIPTIONS_TABLE": Ref(subscriptions),
                "NOTIFICATIONS_TABLE": Ref(notifications),
                "RUNS_TABLE": Ref(runs),
                "QUEUE_URL": Ref(queue),
                "READABLE_BY": Ref("ReadableBy"),
                "RETENTION_DAYS": Ref("NotificationRetentionDays"),
            },
            allow=[
                Statement(["dynamodb:GetItem"], [GetAtt(definitions, "Arn")]),
                Statement(["dynamodb:Query"], [GetAtt(subscriptions, "Arn")]),
                Statement(["dynamodb:BatchWriteItem"], [GetAtt(notifications, "Arn")]),
                Statement(["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], [GetAtt(runs, "Arn")]),
                Statement(
                    ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:SendMessage"],
                    [GetAtt(queue, "Arn")],
                ),
            ],
            recursive_loop=True,  # a topic with many subscribers goes on in a message to its own queue
        ),
    )
    mapping = stack.add_resource(
        awslambda.EventSourceMapping(
            "GenerateMessageMapping",
            EventSourceArn=GetAtt(queue, "Arn"),
            FunctionName=Ref(generator),
            BatchSize=10,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )
    )
    # troposphere has two classes ScalingConfig, of which the one for something else hides the one that is meant here.
    mapping.properties["ScalingConfig"] = {"MaximumConcurrency": CONCURRENCY}


def _add_reader(stack: Template, notifications: dynamodb.Table) -> awslambda.Function:
    return add_function(
        stack,
        Function(
            name="GetNotifications",
            description="Reads the notifications of one user, newest first",
            handler=f"{HANDLERS}.get_notifications.handler",
            timeout=20,  # a caller waits; the API itself gives up a little later
            memory=512,
            environment={
                "NOTIFICATIONS_TABLE": Ref(notifications),
                "API_AUTHORIZATION": Ref("ApiAuthorization"),
                "USER_SESSIONS": user_sessions(),
            },
            allow=[Statement(["dynamodb:Query"], [GetAtt(notifications, "Arn")])],
        ),
    )
