"""The forwarder as CloudFormation: a queue, a function, what it remembers, and its own alarms and heartbeat."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from troposphere import (
    Equals,
    GetAtt,
    If,
    NoValue,
    Output,
    Parameter,
    Ref,
    Sub,
    Template,
    awslambda,
    cloudwatch,
    dynamodb,
    events,
    sqs,
)

from deploy.functions import Function, Statement, add_function, add_package_parameters
from tocsin.cloudformation.document import load
from tocsin.model import Severity
from tocsin.paging.declared import OnCall, Way
from tocsin.paging.oncall_file import read_oncall
from tocsin.paging.tool import secret_name

ROUTING = Path(__file__).resolve().parents[1] / "routing.yaml"
ON_CALL = ROUTING.with_name("oncall.toml")
FUNCTION_SECONDS = 40
# Six times the function's time, as AWS advises (Lambda Developer Guide, "Using Lambda with Amazon SQS"): how long a message
# is hidden whose function was cut off.  One that failed is hidden for as long as the function says.
HIDDEN_SECONDS = 6 * FUNCTION_SECONDS
# With the waits of handlers/forward.py (5 s doubled up to 300 s) this many receives take 12 hours; see the README.
MOST_RECEIVES = 150
# Batches of ten alarms at once.  Reserved, because an incident that takes up all of the account's concurrency is one that
# has to be told; no more, because fifty calls at once is what an on-call tool takes before it answers 429.
CONCURRENCY = 5
FOURTEEN_DAYS = 14 * 24 * 3600
SELF_TEST = "rate(5 minutes)"
NAMESPACE = "Tocsin/Forwarder"

PACKAGES: dict[str, tuple[str, ...]] = {"Forwarder": ()}
# The engine's own files that the package holds beside the handlers: what an alert says is written once.
ENGINE = (
    "alarm.py",
    "errors.py",
    "model.py",
    "paging/__init__.py",
    "paging/alert.py",
    "paging/alert_addresses.py",
    "paging/declared.py",
    "paging/drill_marks.py",
    "paging/tool.py",
    "paging/webhook.py",
    "units.py",
)


def template(forwarded: Sequence[str] | None = None) -> Template:
    """The whole stack.

    ``forwarded`` are the routes over it, which the self-test tries and whose secrets it may read; else those of
    the committed on-call file.
    """
    stack = Template(
        Description="Forwarder: tells the on-call tool of alarms, with what the tool cannot show by itself"
    )
    stack.set_version()
    add_package_parameters(stack)
    _add_parameters(stack)
    redrive, queue = _add_queues(stack)
    table = _add_table(stack)
    tried = over_forwarder(read_oncall(ON_CALL)) if forwarded is None else forwarded
    function = _add_function(stack, queue, redrive, table, tried)
    _add_self_test(stack, queue)
    _add_alarms(stack, queue, redrive, function)
    stack.add_output(
        Output("ForwarderQueueArn", Value=GetAtt(queue, "Arn"), Description="Queue that topics deliver to")
    )
    stack.add_output(
        Output("ForwarderRedriveUrl", Value=Ref(redrive), Description="URL of the queue of alerts nobody was told of")
    )
    return stack


def routes() -> list[str]:
    """``<owner>-<severity>`` of every topic of the committed routing."""
    owners = load(ROUTING).tree["Metadata"]["Tocsin"]["Owners"]
    return [f"{owner}-{severity.value}" for owner in sorted(owners) for severity in Severity]


def over_forwarder(oncall: OnCall) -> list[str]:
    """Those of them that the on-call file sends over the forwarder."""
    found = []
    for route in routes():
        owner, _, severity = route.rpartition("-")
        team = oncall.team_of(owner)
        declared = team.routes.get(Severity(severity)) if team is not None else None
        if declared is not None and Way.FORWARDER in declared.ways:
            found.append(route)
    return found


def _add_parameters(stack: Template) -> None:
    for parameter in (
        Parameter(
            "Environment",
            Type="String",
            AllowedPattern="[a-z][a-z0-9-]{0,31}",
            Description="Name of the environment, with which the names of topics and secrets begin",
        ),
        Parameter(
            "ReserveConcurrency",
            Type="String",
            AllowedValues=["true", "false"],
            Default="true",
            Description="Whether the forwarder has executions of its own; Lambda takes no reservation in a small account",
        ),
        Parameter(
            "SecondWayTopicArn",
            Type="String",
            AllowedPattern=r"(arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[\w-]+)?",
            Default="",
            Description="Topic that the forwarder's own alarms tell; empty for the second way of the routing",
        ),
    ):
        stack.add_parameter(parameter)
    stack.add_condition("ReservesConcurrency", Equals(Ref("ReserveConcurrency"), "true"))
    stack.add_condition("UsesSecondWay", Equals(Ref("SecondWayTopicArn"), ""))


def _add_queues(stack: Template) -> tuple[sqs.Queue, sqs.Queue]:
    # The redrive queue has to name its source, which names it: a name of our own breaks the circle.
    name = "${AWS::StackName}-Alerts"
    source = Sub(f"arn:${{AWS::Partition}}:sqs:${{AWS::Region}}:${{AWS::AccountId}}:{name}")
    redrive = stack.add_resource(
        sqs.Queue(
            "AlertsRedrive",
            UpdateReplacePolicy="Retain",
            DeletionPolicy="Delete",
            SqsManagedSseEnabled=True,
            MessageRetentionPeriod=FOURTEEN_DAYS,
            RedriveAllowPolicy={"redrivePermission": "byQueue", "sourceQueueArns": [source]},
        )
    )
    queue = stack.add_resource(
        sqs.Queue(
            "Alerts",
            UpdateReplacePolicy="Retain",
            DeletionPolicy="Delete",
            QueueName=Sub(name),
            SqsManagedSseEnabled=True,
            MessageRetentionPeriod=FOURTEEN_DAYS,
            VisibilityTimeout=HIDDEN_SECONDS,
            RedriveAllowPolicy={"redrivePermission": "denyAll"},
            RedrivePolicy=sqs.RedrivePolicy(deadLetterTargetArn=GetAtt(redrive, "Arn"), maxReceiveCount=MOST_RECEIVES),
        )
    )
    topics = [
        Sub(f"arn:${{AWS::Partition}}:sns:${{AWS::Region}}:${{AWS::AccountId}}:${{Environment}}-tocsin-{route}")
        for route in routes()
    ]
    from_topics = _may_send("Topics", "sns.amazonaws.com", queue, topics)
    from_rule = _may_send("SelfTest", "events.amazonaws.com", queue, GetAtt("SelfTestRule", "Arn"))
    for each, allow in ((redrive, []), (queue, [from_topics, from_rule])):
        tls_only = {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": GetAtt(each, "Arn"),
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        stack.add_resource(
            sqs.QueuePolicy(
                f"{each.title}Policy",
                Queues=[Ref(each)],
                PolicyDocument={"Version": "2012-10-17", "Statement": [*allow, tls_only]},
            )
        )
    return redrive, queue


def _may_send(sid: str, service: str, queue: sqs.Queue, sources: Any) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": GetAtt(queue, "Arn"),
        "Condition": {"ArnEquals": {"aws:SourceArn": sources}},  # of this account, as the ARNs say
    }


def _add_table(stack: Template) -> dynamodb.Table:
    keys = {"alarm": "HASH", "change": "RANGE"}
    return stack.add_resource(
        dynamodb.Table(
            "Delivered",
            # Nothing in it is worth keeping: without it, alerts are delivered a second time at most.
            UpdateReplacePolicy="Delete",
            DeletionPolicy="Delete",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[dynamodb.AttributeDefinition(AttributeName=key, AttributeType="S") for key in keys],
            KeySchema=[dynamodb.KeySchema(AttributeName=key, KeyType=kind) for key, kind in keys.items()],
            TimeToLiveSpecification=dynamodb.TimeToLiveSpecification(AttributeName="expires_at", Enabled=True),
        )
    )


def _secret(name: str) -> Sub:
    # Secrets Manager adds a hyphen and six characters to the name; exactly these six are left open.
    return Sub(f"arn:${{AWS::Partition}}:secretsmanager:${{AWS::Region}}:${{AWS::AccountId}}:secret:{name}-??????")


def _secrets(forwarded: Sequence[str]) -> list[Statement]:
    """Of the routes over it alone: those of the others hold keys that are not the forwarder's."""
    split = (route.rpartition("-") for route in forwarded)
    names = [secret_name("${Environment}", owner, Severity(severity)) for owner, _, severity in split]
    return [Statement(["secretsmanager:GetSecretValue"], [_secret(name) for name in names])] if names else []


def _add_function(
    stack: Template, queue: sqs.Queue, redrive: sqs.Queue, table: dynamodb.Table, tried: Sequence[str]
) -> awslambda.Function:
    function = add_function(
        stack,
        Function(
            name="Forwarder",
            description="Tells the on-call tool of each change of an alarm's state",
            handler="deploy.forwarder.handlers.forward.handler",
            timeout=FUNCTION_SECONDS,
            memory=512,
            environment={
                "ENVIRONMENT": Ref("Environment"),
                "QUEUE_URL": Ref(queue),
                "REDRIVE_URL": Ref(redrive),
                # Of a route that goes another way the secret may be missing or another kind of key.
                "ROUTES": ",".join(tried),
                "TABLE": Ref(table),
            },
            allow=[
                Statement(["dynamodb:GetItem", "dynamodb:PutItem"], [GetAtt(table, "Arn")]),
                *_secrets(tried),
                # CloudWatch knows no resource for metrics, and describes alarms by name to those who may describe all.
                Statement(["cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData"], ["*"]),
                Statement(
                    [
                        "sqs:ChangeMessageVisibility",
                        "sqs:DeleteMessage",
                        "sqs:GetQueueAttributes",
                        "sqs:ReceiveMessage",
                    ],
                    [GetAtt(queue, "Arn")],
                ),
                Statement(["sqs:SendMessage"], [GetAtt(redrive, "Arn")]),
            ],
            reserved_concurrency=If("ReservesConcurrency", CONCURRENCY, NoValue),
            in_network=False,  # the network has no way to the internet, where the on-call tool is
        ),
    )
    mapping = stack.add_resource(
        awslambda.EventSourceMapping(
            "AlertsMapping",
            EventSourceArn=GetAtt(queue, "Arn"),
            FunctionName=Ref(function),
            BatchSize=10,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )
    )
    # No more batches than the function has room for: one that Lambda throttles counts as received.
    mapping.properties["ScalingConfig"] = {"MaximumConcurrency": CONCURRENCY}
    return function


def _add_self_test(stack: Template, queue: sqs.Queue) -> None:
    stack.add_resource(
        events.Rule(
            "SelfTestRule",
            Description="Puts a self-test into the forwarder's queue",
            ScheduleExpression=SELF_TEST,
            State="ENABLED",
            # No dead-letter queue: the alarm is on the self-test that did not come through.
            Targets=[events.Target(Id="Alerts", Arn=GetAtt(queue, "Arn"), Input='{"self_test": true}')],
        )
    )


def _add_alarms(stack: Template, queue: sqs.Queue, redrive: sqs.Queue, function: awslambda.Function) -> None:
    """What tells, by the second way, that the first one may not work."""
    of_function = {"FunctionName": Ref(function)}
    rules: list[tuple[str, str, str, str, dict[str, Any], str, int, float, int, int]] = [
        ("Errors", "The forwarder fails or runs out of time: look at its log.",
         "AWS/Lambda", "Errors", of_function, "Sum", 300, 1, 1, 1),
        ("Throttles", "The forwarder is not let run: look at the account's Lambda concurrency.",
         "AWS/Lambda", "Throttles", of_function, "Sum", 300, 1, 1, 1),
        ("Failing", "Alerts have not been told for ten minutes and are tried again: is the on-call tool up, is its key good?",
         NAMESPACE, "Failures", of_function, "Sum", 300, 1, 3, 2),
        ("Waiting", "An alert has waited for ten minutes: the forwarder does not read its queue.",
         "AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": GetAtt(queue, "QueueName")}, "Maximum", 60, 600, 1, 1),
        # Tried again every five minutes at most, so it stays up until the key is good.
        ("Refused", "The on-call tool refuses the key: run `tocsin oncall apply`; what was kept is then told by itself.",
         NAMESPACE, "Refused", of_function, "Sum", 60, 1, 10, 1),
        ("GivenUp", "An alert reached nobody, for the on-call tool will never take it: it lies in the redrive queue, and why is in the log.",
         NAMESPACE, "GivenUp", of_function, "Sum", 60, 1, 15, 1),
        ("Redrive", "Alerts that reached nobody lie in the redrive queue: mend the cause, then run `tocsin oncall replay`.",
         "AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": GetAtt(redrive, "QueueName")}, "Maximum", 60, 1, 1, 1),
    ]  # fmt: skip
    for name, text, namespace, metric, dimensions, statistic, period, threshold, periods, datapoints in rules:
        _add_alarm(
            stack,
            name,
            text,
            Namespace=namespace,
            MetricName=metric,
            Dimensions=_dimensions(dimensions),
            Statistic=statistic,
            Period=period,
            EvaluationPeriods=periods,
            DatapointsToAlarm=datapoints,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            Threshold=threshold,
            TreatMissingData="notBreaching",
        )
    _add_alarm(
        stack,
        "Silent",
        "The forwarder's self-test has not come through for a quarter of an hour: pages would not, either.",
        Namespace=NAMESPACE,
        MetricName="SelfTests",
        Dimensions=_dimensions(of_function),
        Statistic="Sum",
        Period=300,
        EvaluationPeriods=3,
        DatapointsToAlarm=3,
        ComparisonOperator="LessThanThreshold",
        Threshold=1,
        TreatMissingData="breaching",
    )


def _add_alarm(stack: Template, name: str, text: str, **properties: Any) -> None:
    topic = "arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:${Environment}-tocsin-on-call-second-way"
    second_way = [{"Fn::If": ["UsesSecondWay", {"Fn::Sub": topic}, {"Ref": "SecondWayTopicArn"}]}]
    kebab = re.sub("(?<=[a-z])(?=[A-Z])", "-", name).lower()
    alarm = cloudwatch.Alarm(f"{name}Alarm", AlarmName=Sub(f"${{Environment}}-forwarder-{kebab}"), **properties)
    alarm.properties |= {"AlarmDescription": text, "AlarmActions": second_way}
    if name != "GivenUp":  # it is over when the redrive queue is empty, which is an alarm of its own
        alarm.properties["OKActions"] = second_way
    stack.add_resource(alarm)


def _dimensions(values: dict[str, Any]) -> list[cloudwatch.MetricDimension]:
    return [cloudwatch.MetricDimension(Name=name, Value=value) for name, value in values.items()]
