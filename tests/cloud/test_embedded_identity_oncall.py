"""What on-call needs permission for in the embedded AWS with ``iam``: each right that is missing is missed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from embedded_tools import Receiver, eventually

from tocsin.cloud.embedded import EmbeddedAws, embedded

ACCOUNT, REGION = "000000000000", "eu-west-1"
METRIC = {
    "Namespace": "Test", "MetricName": "Rights", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1,
    "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "ignore",
}  # fmt: skip
ALARM = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:"
RULE = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm-mute-rule:"


@pytest.fixture(scope="module")
def aws(tmp_path_factory) -> Iterator[EmbeddedAws]:
    with embedded(tmp_path_factory.mktemp("aws"), iam=True) as running:
        running.set_deliveries(speed=36000)
        yield running


@pytest.fixture(scope="module")
def user(client) -> Callable[..., Callable[[str], Any]]:
    """``user(("cloudwatch:SetAlarmState", arn), …)``: clients of a new user who may do just that."""

    def create(*rights: tuple[str, str]) -> Callable[[str], Any]:
        iam, name = client("iam"), f"user-{uuid.uuid4()}"
        iam.create_user(UserName=name)
        statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in rights]
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Statement": statements}))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return lambda service: client(service, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])

    return create


def denied(call: Callable[[], Any]) -> bool:
    try:
        call()
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("AccessDenied", "AccessDeniedException", "AuthorizationError"):
            raise
        return True
    return False


def put_alarm(client: Any, name: str, *topics: str) -> str:
    client("cloudwatch").put_metric_alarm(AlarmName=name, **METRIC, AlarmActions=list(topics))
    return ALARM + name


def test_state_is_set_for_the_alarms_that_are_allowed(client, user):
    for name in ("mine", "yours"):
        put_alarm(client, name)
    cloudwatch = user(("cloudwatch:SetAlarmState", ALARM + "mine"))("cloudwatch")
    change = {"StateValue": "ALARM", "StateReason": "Drill"}
    assert not denied(lambda: cloudwatch.set_alarm_state(AlarmName="mine", **change))
    assert denied(lambda: cloudwatch.set_alarm_state(AlarmName="yours", **change))


def test_each_of_several_alarms_must_be_allowed(client, user):
    for name in ("mine", "yours"):
        put_alarm(client, name)
    may = user(*((f"cloudwatch:{action}", ALARM + "mine") for action in ("DisableAlarmActions", "DescribeAlarms")))
    cloudwatch = may("cloudwatch")
    assert not denied(lambda: cloudwatch.disable_alarm_actions(AlarmNames=["mine"]))
    assert denied(lambda: cloudwatch.disable_alarm_actions(AlarmNames=["mine", "yours"]))
    assert not denied(lambda: cloudwatch.describe_alarms(AlarmNames=["mine"]))
    assert denied(lambda: cloudwatch.describe_alarms(AlarmNames=["mine", "yours"]))
    assert denied(cloudwatch.describe_alarms)
    assert denied(lambda: cloudwatch.describe_alarms(AlarmNames=["mine"], AlarmTypes=["CompositeAlarm"]))


def test_mute_rule_needs_the_right_on_the_rule_and_on_each_alarm(client, user):
    for name in ("mine", "other"):
        put_alarm(client, name)
    schedule = {"Schedule": {"Expression": "cron(0 2 * * *)", "Duration": "PT1H"}}

    def put(*rights: tuple[str, str], alarms: tuple[str, ...] = ("mine", "other")) -> bool:
        cloudwatch = user(*rights)("cloudwatch")
        return denied(
            lambda: cloudwatch.put_alarm_mute_rule(
                Name="quiet", Rule=schedule, MuteTargets={"AlarmNames": list(alarms)}
            )
        )

    right = "cloudwatch:PutAlarmMuteRule"
    whole = ((right, RULE + "quiet"), (right, ALARM + "mine"), (right, ALARM + "other"))
    assert not put(*whole)
    for place in range(3):
        assert put(*(each for number, each in enumerate(whole) if number != place))
    assert not put(*whole[:2], alarms=("mine",))
    assert denied(lambda: user()("cloudwatch").get_alarm_mute_rule(AlarmMuteRuleName="quiet"))
    may = user(*((f"cloudwatch:{verb}AlarmMuteRule", RULE + "quiet") for verb in ("Get", "Delete")))("cloudwatch")
    assert not denied(lambda: may.get_alarm_mute_rule(AlarmMuteRuleName="quiet"))
    assert denied(lambda: may.delete_alarm_mute_rule(AlarmMuteRuleName="loud"))
    assert denied(may.list_alarm_mute_rules)
    assert not denied(lambda: user(("cloudwatch:ListAlarmMuteRules", "*"))("cloudwatch").list_alarm_mute_rules())
    assert not denied(lambda: may.delete_alarm_mute_rule(AlarmMuteRuleName="quiet"))


def test_secrets_need_each_right_on_their_own_name(client, user):
    base = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:"
    client("secretsmanager").create_secret(Name="tocsin/dev/on-call/other", SecretString="x")
    calls: dict[str, Callable[[Any, str], Any]] = {
        "CreateSecret": lambda one, name: one.create_secret(Name=name, SecretString="one"),
        "PutSecretValue": lambda one, name: one.put_secret_value(SecretId=name, SecretString="two"),
        "DescribeSecret": lambda one, name: one.describe_secret(SecretId=name),
        "GetSecretValue": lambda one, name: one.get_secret_value(SecretId=name),
        "TagResource": lambda one, name: one.tag_resource(SecretId=name, Tags=[{"Key": "a", "Value": "b"}]),
        "DeleteSecret": lambda one, name: one.delete_secret(SecretId=name, RecoveryWindowInDays=7),
        "RestoreSecret": lambda one, name: one.restore_secret(SecretId=name),
    }
    for action, call in calls.items():
        name = "tocsin/dev/on-call/mine"
        others = user(*((f"secretsmanager:{each}", base + "tocsin/dev/on-call/*") for each in calls if each != action))
        assert denied(lambda call=call, others=others, name=name: call(others("secretsmanager"), name)), action
        may = user((f"secretsmanager:{action}", base + "tocsin/dev/on-call/mine*"))("secretsmanager")
        assert denied(lambda call=call, may=may: call(may, "tocsin/dev/on-call/other")), action
        assert not denied(lambda call=call, may=may, name=name: call(may, name)), action


def test_connections_destinations_and_rules_need_each_right(client, user):
    base = f"arn:aws:events:{REGION}:{ACCOUNT}:"
    key = {"ApiKeyAuthParameters": {"ApiKeyName": "Authorization", "ApiKeyValue": "k"}}
    client("events").create_connection(Name="of-root", AuthorizationType="API_KEY", AuthParameters=key)
    connection = client("events").describe_connection(Name="of-root")["ConnectionArn"]
    role = f"arn:aws:iam::{ACCOUNT}:role/pings"
    target = {"Id": "t", "Arn": f"{base}api-destination/mine/x", "RoleArn": role}
    named = {"Name": "mine"}
    calls: dict[tuple[str, str], Callable[[Any], Any]] = {
        ("CreateConnection", "connection/mine"): lambda one: one.create_connection(
            **named, AuthorizationType="API_KEY", AuthParameters=key
        ),
        ("UpdateConnection", "connection/mine"): lambda one: one.update_connection(**named, Description="d"),
        ("DescribeConnection", "connection/mine"): lambda one: one.describe_connection(**named),
        ("ListConnections", "*"): lambda one: one.list_connections(),
        ("CreateApiDestination", "api-destination/mine"): lambda one: one.create_api_destination(
            **named, ConnectionArn=connection, InvocationEndpoint="https://example.com", HttpMethod="POST"
        ),
        ("UpdateApiDestination", "api-destination/mine"): lambda one: one.update_api_destination(
            **named, HttpMethod="PUT"
        ),
        ("DescribeApiDestination", "api-destination/mine"): lambda one: one.describe_api_destination(**named),
        ("ListApiDestinations", "*"): lambda one: one.list_api_destinations(),
        ("PutRule", "rule/mine"): lambda one: one.put_rule(**named, ScheduleExpression="rate(1 minute)"),
        ("DescribeRule", "rule/mine"): lambda one: one.describe_rule(**named),
        ("PutTargets", "rule/mine"): lambda one: one.put_targets(Rule="mine", Targets=[target]),
        ("ListTargetsByRule", "rule/mine"): lambda one: one.list_targets_by_rule(Rule="mine"),
        ("RemoveTargets", "rule/mine"): lambda one: one.remove_targets(Rule="mine", Ids=["t"]),
        ("DeleteRule", "rule/mine"): lambda one: one.delete_rule(**named),
        ("DeleteApiDestination", "api-destination/mine"): lambda one: one.delete_api_destination(**named),
        ("DeleteConnection", "connection/mine"): lambda one: one.delete_connection(**named),
    }
    for (action, resource), call in calls.items():
        arn = resource if resource == "*" else base + resource
        others = [(f"events:{each}", "*") for each, _ in calls if each != action] + [("iam:PassRole", role)]
        assert denied(lambda call=call, others=others: call(user(*others)("events"))), action
        if resource != "*":
            elsewhere = user((f"events:{action}", arn.replace("mine", "other")), ("iam:PassRole", role))
            assert denied(lambda call=call, elsewhere=elsewhere: call(elsewhere("events"))), action
        if action == "PutTargets":
            assert denied(lambda call=call, arn=arn: call(user(("events:PutTargets", arn))("events"))), "iam:PassRole"
        may = user((f"events:{action}", arn), ("iam:PassRole", role))
        assert not denied(lambda call=call, may=may: call(may("events"))), action


def test_chat_configurations_need_the_right(user):
    assert denied(lambda: user()("chatbot").describe_slack_channel_configurations())
    may = user(("chatbot:DescribeSlackChannelConfigurations", "*"))
    assert not denied(lambda: may("chatbot").describe_slack_channel_configurations())


READS = ("secretsmanager:GetSecretValue", "kms:Decrypt", "ssm:GetParameters")


@pytest.mark.parametrize("by", ["caller", "role", "change set"])
@pytest.mark.parametrize("missing", [None, *READS])
def test_dynamic_references_need_the_rights_of_whoever_deploys(client, user, key, by, missing):
    name = f"refers-{uuid.uuid4()}"[:30]
    client("secretsmanager").create_secret(Name=name, SecretString='{"topic": "resolved"}', KmsKeyId=key())
    client("ssm").put_parameter(Name=f"/{name}", Value="resolved", Type="String")
    rights = [action for action in READS if action != missing]
    role = make_role(client, name, "cloudformation.amazonaws.com", rights)
    cloudformation = (
        user(*((action, "*") for action in ("cloudformation:*", *rights)))
        if by == "caller"
        else user(("cloudformation:*", "*"), ("iam:PassRole", role))
    )("cloudformation")
    secret = f"{{{{resolve:secretsmanager:{name}:SecretString:topic}}}}"
    properties = {"TopicName": f"{name}-{secret}", "DisplayName": f"{{{{resolve:ssm:/{name}}}}}"}
    body = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": properties}}})
    if by == "change set":
        made = cloudformation.create_change_set(
            StackName=name, ChangeSetName="c", ChangeSetType="CREATE", TemplateBody=body, RoleARN=role
        )
        cloudformation.execute_change_set(ChangeSetName=made["Id"])
    else:
        cloudformation.create_stack(StackName=name, TemplateBody=body, **({"RoleARN": role} if by == "role" else {}))
    status = eventually(
        lambda: (
            (found := cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]).endswith("COMPLETE")
            and found
        ),
        "the end",
    )
    assert status == ("CREATE_COMPLETE" if missing is None else "ROLLBACK_COMPLETE")
    if missing:
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        assert any(f"not authorized to perform: {missing}" in event.get("ResourceStatusReason", "") for event in events)


# What services do.


def history(client: Any, name: str) -> dict[str, Any]:
    (item,) = client("cloudwatch").describe_alarm_history(AlarmName=name, HistoryItemType="Action")["AlarmHistoryItems"]
    return {"summary": item["HistorySummary"], **json.loads(item["HistoryData"])}


def ring(client: Any, name: str, topic: str) -> dict[str, Any]:
    put_alarm(client, name, topic)
    client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")
    return history(client, name)


def publishing(topic: str, **condition: Any) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Action": "sns:Publish",
                 "Resource": topic, **({"Condition": condition} if condition else {})}  # fmt: skip
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


ACCOUNT_ONLY = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


@pytest.mark.parametrize(
    ("condition", "may"),
    [
        ({}, True),
        (ACCOUNT_ONLY, True),
        ({"StringEquals": {"aws:SourceAccount": "111122223333"}}, False),
        ({"ArnLike": {"aws:SourceArn": f"{ALARM}published-*"}}, True),
        ({"ArnLike": {"aws:SourceArn": f"{ALARM}others-*"}}, False),
        (None, False),
    ],
)
def test_alarm_publishes_only_if_the_topic_lets_it(client, condition, may):
    name = f"published-{uuid.uuid4()}"
    topic = client("sns").create_topic(Name=name)["TopicArn"]
    policy = json.dumps({"Statement": []}) if condition is None else publishing(topic, **condition)
    client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    item = ring(client, name, topic)
    assert item["actionState"] == ("Succeeded" if may else "Failed")
    if not may:
        assert (
            item["error"] == f"Resource: {ALARM}{name} is not authorized to perform: SNS:Publish on resource: {topic}"
        )


@pytest.mark.parametrize("made_by", ["api", "stack"])
def test_default_policy_of_a_topic_lets_alarms_of_the_account_publish(client, stack, made_by):
    name = f"default-{made_by}"
    if made_by == "api":
        topic = client("sns").create_topic(Name=name)["TopicArn"]
    else:
        topic = stack(name, {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name}}}).ids()["Topic"]
    assert ring(client, name, topic)["actionState"] == "Succeeded"
    policy = json.loads(client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
    assert policy["Statement"][0]["Condition"] == {"StringEquals": {"AWS:SourceOwner": ACCOUNT}}


@pytest.fixture
def key(client) -> Callable[..., str]:
    """``key("kms:Decrypt", …, service=…)``: a key whose policy lets a service do this, and the account everything."""

    def create(*actions: str, service: str = "cloudwatch.amazonaws.com", **condition: Any) -> str:
        statements: list[dict[str, Any]] = [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                "Action": "kms:*",
                "Resource": "*",
            }
        ]
        if actions:
            statements.append(
                {"Effect": "Allow", "Principal": {"Service": service}, "Action": list(actions), "Resource": "*",
                 **({"Condition": condition} if condition else {})}
            )  # fmt: skip
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        arn: str = client("kms").create_key(Policy=policy)["KeyMetadata"]["Arn"]
        return arn

    return create


@pytest.mark.parametrize(
    ("actions", "condition", "may"),
    [
        (("kms:Decrypt", "kms:GenerateDataKey*"), {}, True),
        (("kms:Decrypt", "kms:GenerateDataKey"), ACCOUNT_ONLY, True),
        (("kms:Decrypt", "kms:GenerateDataKey"), {"StringEquals": {"aws:SourceAccount": "111122223333"}}, False),
        (("kms:Decrypt",), {}, False),
        (("kms:GenerateDataKey*",), {}, False),
        ((), {}, False),
    ],
)
def test_alarm_publishes_to_an_encrypted_topic_only_with_its_key(client, key, actions, condition, may):
    name = f"encrypted-{uuid.uuid4()}"
    attributes = {"KmsMasterKeyId": key(*actions, **condition)}
    topic = client("sns").create_topic(Name=name, Attributes=attributes)["TopicArn"]
    item = ring(client, name, topic)
    assert item["actionState"] == ("Succeeded" if may else "Failed")
    if not may:
        assert "Service: AWSKMS; Status Code: 400; Error Code: AccessDeniedException" in item["error"]
        assert "Received error:" in item["summary"]


def test_alarm_does_not_publish_with_the_key_that_aws_manages(client):
    attributes = {"KmsMasterKeyId": "alias/aws/sns"}
    topic = client("sns").create_topic(Name="aws-managed", Attributes=attributes)["TopicArn"]
    assert ring(client, "aws-managed", topic)["actionState"] == "Failed"


def redrive(client: Any, receiver: Receiver, policy: Any, **attributes: str) -> tuple[str, str]:
    """A topic whose subscription redrives into a queue with this policy (a function of queue and topic)."""
    sns, sqs, name = client("sns"), client("sqs"), f"redrive-{uuid.uuid4()}"
    topic, url = (
        sns.create_topic(Name=name)["TopicArn"],
        sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"],
    )
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy(queue, topic))})
    sns.subscribe(
        TopicArn=topic, Protocol="http", Endpoint=receiver.url,
        Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": queue})},
    )  # fmt: skip
    confirmed = lambda: sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsConfirmed"] == "1"  # noqa: E731
    eventually(confirmed, "the confirmation")
    return topic, url


def sending(queue: str, topic: str, service: str = "sns.amazonaws.com") -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sqs:SendMessage", "Resource": queue,
                 "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}  # fmt: skip
    return {"Version": "2012-10-17", "Statement": [statement]}


@pytest.mark.parametrize("missing", [None, "policy", "topic", "key", "key-right"])
def test_sns_redrives_only_into_a_queue_that_lets_it_with_a_key_that_lets_it(client, aws, receiver, key, missing):
    rights = {"key": (), "key-right": ("kms:Decrypt",)}.get(missing or "", ("kms:Decrypt", "kms:GenerateDataKey"))
    policies: dict[str, Callable[[str, str], dict[str, Any]]] = {
        "policy": lambda queue, topic: sending(queue, topic, "events.amazonaws.com"),
        "topic": lambda queue, topic: sending(queue, topic + "x"),
    }
    topic, url = redrive(
        client, receiver, policies.get(missing or "", sending), KmsMasterKeyId=key(*rights, service="sns.amazonaws.com")
    )
    receiver.failures = [404]
    client("sns").publish(TopicArn=topic, Message="undeliverable")
    eventually(lambda: receiver.messages() and aws.deliveries_under_way == 0, "the attempt")
    found = client("sqs").receive_message(QueueUrl=url).get("Messages", [])
    assert len(found) == (1 if missing is None else 0)


@pytest.mark.parametrize(
    "missing", [None, "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "sts:AssumeRole"]
)
def test_delivery_status_needs_each_right_of_its_role(client, aws, receiver, missing):
    name = f"feedback-{uuid.uuid4()}"
    actions = [each for each in ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents") if each != missing]
    service = "lambda" if missing == "sts:AssumeRole" else "sns"
    role = make_role(client, name, f"{service}.amazonaws.com", actions)
    topic, _ = redrive(client, receiver, sending)
    for attribute in ("HTTPFailureFeedbackRoleArn", "HTTPSuccessFeedbackRoleArn"):
        client("sns").set_topic_attributes(TopicArn=topic, AttributeName=attribute, AttributeValue=role)
    receiver.failures = [404]
    client("sns").publish(TopicArn=topic, Message="undeliverable")
    eventually(lambda: receiver.messages() and aws.deliveries_under_way == 0, "the attempt")
    group = f"sns/{REGION}/{ACCOUNT}/{topic.rpartition(':')[2]}/Failure"
    try:
        lines = client("logs").filter_log_events(logGroupName=group)["events"]
    except ClientError:
        lines = []
    assert len(lines) == (1 if missing is None else 0)


def make_role(client: Any, name: str, service: str, actions: list[str], resource: str = "*") -> str:
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]}
    made = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    if actions:
        policy = {"Statement": [{"Effect": "Allow", "Action": actions, "Resource": resource}]}
        client("iam").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    arn: str = made["Arn"]
    return arn


@pytest.mark.parametrize("missing", [None, "right", "trust", "resource", "queue"])
def test_rule_invokes_an_api_destination_only_with_its_role(client, aws, receiver, missing):
    name, events, sqs = f"ping-{uuid.uuid4()}"[:40], client("events"), client("sqs")
    key = {"ApiKeyAuthParameters": {"ApiKeyName": "Authorization", "ApiKeyValue": "k"}}
    events.create_connection(Name=name, AuthorizationType="API_KEY", AuthParameters=key)
    connection = events.describe_connection(Name=name)["ConnectionArn"]
    endpoint = receiver.url if missing is None else "http://127.0.0.1:9"
    arn = events.create_api_destination(
        Name=name, ConnectionArn=connection, InvocationEndpoint=endpoint, HttpMethod="POST"
    )["ApiDestinationArn"]  # fmt: skip
    role = make_role(
        client, name, "lambda.amazonaws.com" if missing == "trust" else "events.amazonaws.com",
        [] if missing == "right" else ["events:InvokeApiDestination"], f"{arn}x" if missing == "resource" else arn,
    )  # fmt: skip
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = events.put_rule(Name=name, ScheduleExpression="rate(1 day)")["RuleArn"]
    policy = sending(queue, rule if missing != "queue" else rule + "x", "events.amazonaws.com")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    target = {
        "Id": "t", "Arn": arn, "RoleArn": role, "DeadLetterConfig": {"Arn": queue}, "Input": '{"Type": "Ping"}',
        "RetryPolicy": {"MaximumRetryAttempts": 0},
    }  # fmt: skip
    events.put_targets(Rule=name, Targets=[target])
    aws.fire(name)
    eventually(lambda: aws.deliveries_under_way == 0, "the end")
    found = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages", [])
    assert len(receiver.messages("Ping")) == (1 if missing is None else 0)
    codes = [message["MessageAttributes"]["ERROR_CODE"]["StringValue"] for message in found]
    assert codes == ([] if missing in (None, "queue") else ["NO_PERMISSIONS"])


def test_function_gets_a_message_only_if_it_lets_sns(client, aws, receiver):
    topic = client("sns").create_topic(Name="asks-a-function")["TopicArn"]
    url = client("sqs").create_queue(QueueName="asks-a-function")["QueueUrl"]
    queue = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(sending(queue, topic))})
    role = make_role(client, "asked", "lambda.amazonaws.com", [])
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", "def handler(event, context):\n    return 1\n")
    arn = client("lambda").create_function(
        FunctionName="asked", Runtime="python3.11", Handler="index.handler", Role=role, Code={"ZipFile": packed.getvalue()}
    )["FunctionArn"]  # fmt: skip
    client("sns").subscribe(
        TopicArn=topic, Protocol="lambda", Endpoint=arn,
        Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": queue})},
    )  # fmt: skip
    client("sns").publish(TopicArn=topic, Message="no")
    (message,) = eventually(
        lambda: client("sqs").receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages"),
        "the message",
    )
    assert message["MessageAttributes"]["ErrorCode"]["StringValue"] == "AccessDeniedException"
    client("sqs").purge_queue(QueueUrl=url)
    client("lambda").add_permission(
        FunctionName="asked",
        StatementId="sns",
        Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com",
        SourceArn=topic,
    )
    client("sns").publish(TopicArn=topic, Message="yes")
    assert client("sqs").receive_message(QueueUrl=url).get("Messages", []) == []


def test_sns_sends_to_a_queue_over_tls_and_for_its_own_topic_only(client):
    sns, sqs = client("sns"), client("sqs")
    mine, other = (sns.create_topic(Name=name)["TopicArn"] for name in ("to-the-queue", "to-nobody"))
    url = sqs.create_queue(QueueName="over-tls")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    only_tls = {
        "Effect": "Deny", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }  # fmt: skip
    of_mine = {
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": mine}},
    }  # fmt: skip
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Statement": [only_tls, of_mine]})})
    for topic in (other, mine):
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
        sns.publish(TopicArn=topic, Message=topic)

    def received() -> list[str]:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2).get("Messages", ())
        return [message["Body"] for message in found]

    assert received() == [mine]
    assert received() == []


def test_cloudwatch_publishes_over_tls_and_for_the_accounts_own_alarms(client):
    sns = client("sns")
    topic = sns.create_topic(Name="over-tls")["TopicArn"]
    only_tls = {
        "Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": topic,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }  # fmt: skip
    of_mine = {
        "Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Action": "sns:Publish",
        "Resource": topic, "Condition": {"ArnLike": {"aws:SourceArn": ALARM + "told-*"}},
    }  # fmt: skip
    sns.set_topic_attributes(
        TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps({"Statement": [only_tls, of_mine]})
    )
    for name, became in (("told-of", "Successfully executed action"), ("untold", "Failed to execute action")):
        put_alarm(client, name, topic)
        client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")
        history = client("cloudwatch").describe_alarm_history(AlarmName=name, HistoryItemType="Action")
        (item,) = history["AlarmHistoryItems"]
        assert item["HistorySummary"].startswith(f"{became} {topic}")
