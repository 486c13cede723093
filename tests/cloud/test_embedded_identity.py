"""Verdicts of the embedded AWS with ``iam``: what a policy allows, what it does not, and what the root may."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tocsin.cloud.embedded import EmbeddedAws, embedded

ACCOUNT = "000000000000"
REGION = "eu-west-1"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue"
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/table"
TASK_ROLE = f"arn:aws:iam::{ACCOUNT}:role/task"
TASK = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/load:1"
CLUSTER = {"ArnEquals": {"ecs:cluster": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/loads"}}
PUT = {"Put": {"TableName": "table", "Item": {"k": {"S": "a"}}}}
CHECK = {
    "ConditionCheck": {"TableName": "table", "Key": {"k": {"S": "z"}}, "ConditionExpression": "attribute_not_exists(k)"}
}


def allow(action: str, resource: str = "*", condition: Mapping[str, Any] | None = None) -> dict[str, Any]:
    given = {"Condition": dict(condition)} if condition else {}
    return {"Effect": "Allow", "Action": action, "Resource": resource, **given}


@pytest.fixture(scope="module")
def aws(tmp_path_factory) -> Iterator[EmbeddedAws]:
    with embedded(tmp_path_factory.mktemp("aws"), iam=True) as running:
        yield running


@pytest.fixture(scope="module")
def user(client) -> Callable[..., dict[str, str]]:
    """``user(statement, …)``: the access key of a new user with these permissions."""
    made: list[str] = []

    def create(*statements: Mapping[str, Any]) -> dict[str, str]:
        iam, name = client("iam"), f"user-{len(made)}"
        made.append(name)
        iam.create_user(UserName=name)
        if statements:
            document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}

    return create


@pytest.fixture(scope="module", autouse=True)
def things(client) -> dict[str, str]:
    """What the calls below work on, made by the root."""
    client("sqs").create_queue(QueueName="queue")
    client("sns").create_topic(Name="topic")
    client("dynamodb").create_table(
        TableName="table",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    s3 = client("s3")
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket="bucket", Key="k", Body=b"x")["VersionId"]
    client("logs").create_log_group(logGroupName="group")
    trust = {
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": ["ecs-tasks.amazonaws.com", "lambda.amazonaws.com"]},
                "Action": "sts:AssumeRole",
            }
        ]
    }
    client("iam").create_role(RoleName="task", AssumeRolePolicyDocument=json.dumps(trust))
    client("ecs").create_cluster(clusterName="loads")
    client("ecs").register_task_definition(
        family="load", taskRoleArn=TASK_ROLE, executionRoleArn=TASK_ROLE,
        containerDefinitions=[{"name": "loader", "image": "example"}],
    )  # fmt: skip
    return {"version": version}


def url(client: Any) -> str:
    return client("sqs").get_queue_url(QueueName="queue")["QueueUrl"]


CALLS: dict[str, Callable[..., Any]] = {
    "send batch": lambda c, root, _: c("sqs").send_message_batch(
        QueueUrl=url(root), Entries=[{"Id": "1", "MessageBody": "x"}]
    ),
    "receive": lambda c, root, _: c("sqs").receive_message(QueueUrl=url(root)),
    "delete batch": lambda c, root, _: c("sqs").delete_message_batch(
        QueueUrl=url(root), Entries=[{"Id": "1", "ReceiptHandle": "x"}]
    ),
    "visibility batch": lambda c, root, _: c("sqs").change_message_visibility_batch(
        QueueUrl=url(root), Entries=[{"Id": "1", "ReceiptHandle": "x", "VisibilityTimeout": 0}]
    ),
    "publish batch": lambda c, *_: c("sns").publish_batch(
        TopicArn=f"arn:aws:sns:{REGION}:{ACCOUNT}:topic", PublishBatchRequestEntries=[{"Id": "1", "Message": "x"}]
    ),
    "metric": lambda c, *_: c("cloudwatch").put_metric_data(Namespace="N", MetricData=[{"MetricName": "m", "Value": 1}]),
    "event": lambda c, *_: c("events").put_events(Entries=[{"Source": "mine", "DetailType": "d", "Detail": "{}"}]),
    "batch write": lambda c, *_: c("dynamodb").batch_write_item(
        RequestItems={"table": [{"PutRequest": {"Item": {"k": {"S": "a"}}}}]}
    ),
    "transaction": lambda c, *_: c("dynamodb").transact_write_items(TransactItems=[PUT]),
    "transaction with check": lambda c, *_: c("dynamodb").transact_write_items(TransactItems=[PUT, CHECK]),
    "get": lambda c, *_: c("s3").get_object(Bucket="bucket", Key="k"),
    "get version": lambda c, _, things: c("s3").get_object(Bucket="bucket", Key="k", VersionId=things["version"]),
    "list": lambda c, *_: c("s3").list_objects_v2(Bucket="bucket"),
    "log stream": lambda c, root, _: (
        c("logs").create_log_stream(logGroupName="group", logStreamName="s"),
        root("logs").delete_log_stream(logGroupName="group", logStreamName="s"),
    ),
    "run task": lambda c, *_: c("ecs").run_task(cluster="loads", taskDefinition="load:1"),
    "run task by family": lambda c, *_: c("ecs").run_task(cluster="loads", taskDefinition="load"),
    "create function": lambda c, *_: c("lambda").create_function(
        FunctionName="f", Role=TASK_ROLE, Runtime="python3.11", Handler="i.h", Code={"ZipFile": b"PK\5\6" + b"\0" * 18}
    ),
    "failure destination": lambda c, *_: c("lambda").put_function_event_invoke_config(
        FunctionName="missing", MaximumRetryAttempts=0
    ),
}  # fmt: skip
NAMESPACE = {"StringEquals": {"cloudwatch:namespace": "N"}}
ALLOWED = [
    ("send batch", [allow("sqs:SendMessage", QUEUE)]),
    ("receive", [allow("sqs:ReceiveMessage", QUEUE)]),
    ("delete batch", [allow("sqs:DeleteMessage", QUEUE)]),
    ("visibility batch", [allow("sqs:ChangeMessageVisibility", QUEUE)]),
    ("publish batch", [allow("sns:Publish")]),
    ("metric", [allow("cloudwatch:PutMetricData", "*", NAMESPACE)]),
    ("event", [allow("events:PutEvents", f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default")]),
    ("event", [allow("events:PutEvents", "*", {"StringEquals": {"events:source": "mine", "events:detail-type": "d"}})]),
    ("batch write", [allow("dynamodb:BatchWriteItem", TABLE)]),
    ("transaction", [allow("dynamodb:PutItem", TABLE)]),
    ("transaction with check", [allow("dynamodb:PutItem", TABLE), allow("dynamodb:ConditionCheckItem", TABLE)]),
    ("get", [allow("s3:GetObject", "arn:aws:s3:::bucket/*")]),
    ("get version", [allow("s3:GetObjectVersion", "arn:aws:s3:::bucket/*")]),
    ("list", [allow("s3:ListBucket", "arn:aws:s3:::bucket")]),
    ("log stream", [allow("logs:CreateLogStream", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:group:*")]),
    ("run task", [allow("ecs:RunTask", TASK, CLUSTER), allow("iam:PassRole", TASK_ROLE)]),
    ("run task by family", [allow("ecs:RunTask", TASK), allow("iam:PassRole", TASK_ROLE)]),
    (
        "run task",
        [
            allow("ecs:RunTask", TASK),
            allow("iam:PassRole", TASK_ROLE, {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}),
        ],
    ),
    ("create function", [allow("lambda:CreateFunction"), allow("iam:PassRole", TASK_ROLE)]),
]
DENIED = [
    ("send batch", [allow("sqs:SendMessageBatch", QUEUE)], "sqs:SendMessage"),
    ("send batch", [allow("sqs:SendMessage", f"{QUEUE}-2")], "sqs:SendMessage"),
    ("delete batch", [allow("sqs:ReceiveMessage", QUEUE)], "sqs:DeleteMessage"),
    ("metric", [allow("cloudwatch:PutMetricData", "*", {"StringEquals": {"cloudwatch:namespace": "M"}})], "PutMetricData"),
    ("event", [allow("events:PutEvents", "*", {"StringEquals": {"events:source": "other"}})], "events:PutEvents"),
    ("batch write", [allow("dynamodb:PutItem", TABLE)], "dynamodb:BatchWriteItem"),
    ("transaction", [allow("dynamodb:TransactWriteItems", TABLE)], "dynamodb:PutItem"),
    ("transaction with check", [allow("dynamodb:PutItem", TABLE)], "dynamodb:ConditionCheckItem"),
    ("get", [allow("s3:GetObjectVersion", "arn:aws:s3:::bucket/*")], "s3:GetObject"),
    ("get version", [allow("s3:GetObject", "arn:aws:s3:::bucket/*")], "s3:GetObjectVersion"),
    ("list", [allow("s3:GetObject", "arn:aws:s3:::bucket/*")], "s3:ListBucket"),
    ("log stream", [allow("logs:CreateLogStream", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:group")], "logs:CreateLogStream"),
    ("run task", [allow("ecs:RunTask", TASK)], "iam:PassRole"),
    ("run task", [allow("ecs:RunTask", TASK, {"ArnEquals": {"ecs:cluster": "arn:aws:ecs:::cluster/no"}}), allow("iam:PassRole")], "ecs:RunTask"),
    ("run task", [allow("ecs:RunTask"), allow("iam:PassRole", "*", {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}})], "iam:PassRole"),
    ("create function", [allow("lambda:CreateFunction")], "iam:PassRole"),
    ("failure destination", [allow("lambda:UpdateFunctionCode")], "lambda:PutFunctionEventInvokeConfig"),
]  # fmt: skip


def named(case: Any) -> str:
    return case.replace(" ", "-") if isinstance(case, str) else ""


@pytest.mark.parametrize(("call", "statements"), ALLOWED, ids=named)
def test_policy_that_suffices_at_aws_suffices(client, user, things, call, statements):
    key = user(*statements)
    CALLS[call](lambda service: client(service, **key), client, things)


@pytest.mark.parametrize(("call", "statements", "lacking"), DENIED, ids=named)
def test_policy_that_lacks_something_is_denied(client, user, things, call, statements, lacking):
    key = user(*statements)
    with pytest.raises(ClientError) as raised:
        CALLS[call](lambda service: client(service, **key), client, things)
    error = raised.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)
    assert "not authorized to perform" in error["Error"]["Message"]
    assert lacking.lower() in error["Error"]["Message"].lower()


def test_root_may_everything_and_strangers_nothing(client, user):
    client("sqs").list_queues()
    key = user(allow("sqs:*"))
    client("sqs", **key).list_queues()
    for stranger in ({"access_key": "AKIAUNKNOWNUNKNOWN00", "secret_key": "x"}, {**key, "secret_key": "wrong"}):
        with pytest.raises(ClientError) as raised:
            client("sqs", **stranger).list_queues()
        assert raised.value.response["Error"]["Code"] in ("InvalidClientTokenId", "SignatureDoesNotMatch")


def test_boundary_narrows_a_role_and_its_sessions(client, user):
    iam = client("iam")
    boundary = iam.create_policy(
        PolicyName="edge", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow("sqs:ListQueues")]})
    )["Policy"]["Arn"]
    trust = {
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
        ]
    }
    iam.create_role(RoleName="narrow", AssumeRolePolicyDocument=json.dumps(trust), PermissionsBoundary=boundary)
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("sqs:*")]})
    iam.put_role_policy(RoleName="narrow", PolicyName="p", PolicyDocument=document)
    caller = user(allow("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/narrow"))
    got = client("sts", **caller).assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/narrow", RoleSessionName="ann")
    session = session_of(got)
    client("sqs", **session).list_queues()
    with pytest.raises(ClientError, match="not authorized"):
        client("sqs", **session).receive_message(QueueUrl=url(client))


def session_of(got: Mapping[str, Any]) -> dict[str, str]:
    given = got["Credentials"]
    return {
        "access_key": given["AccessKeyId"],
        "secret_key": given["SecretAccessKey"],
        "token": given["SessionToken"],
    }


def test_trust_policy_may_ask_for_the_name_of_the_session(client, user):
    trust = {
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringLike": {"sts:RoleSessionName": "user-*"}},
            }
        ]
    }
    client("iam").create_role(RoleName="named", AssumeRolePolicyDocument=json.dumps(trust))
    arn = f"arn:aws:iam::{ACCOUNT}:role/named"
    sts = client("sts", **user(allow("sts:AssumeRole", arn)))
    got = sts.assume_role(RoleArn=arn, RoleSessionName="user-ann")
    assert got["AssumedRoleUser"]["Arn"].endswith("assumed-role/named/user-ann")
    with pytest.raises(ClientError, match="sts:AssumeRole"):
        sts.assume_role(RoleArn=arn, RoleSessionName="ann")
    with pytest.raises(ClientError, match="sts:AssumeRole"):
        client("sts", **user()).assume_role(RoleArn=arn, RoleSessionName="user-ann")


def test_wildcard_stands_for_any_character_of_a_key(client, user):
    s3 = client("s3")
    s3.create_bucket(Bucket="odd-keys", CreateBucketConfiguration={"LocationConstraint": REGION})
    caller = client("s3", **user(allow("s3:*Object", "arn:aws:s3:::odd-keys/in/*")))
    for key in ("in/a\nb.csv", "in/a\r\n", "in/\n", "in/a b+c%.csv"):
        caller.put_object(Bucket="odd-keys", Key=key, Body=b"a")
        assert caller.get_object(Bucket="odd-keys", Key=key)["Body"].read() == b"a"
    for key in ("in", "out/in/a.csv", "\nin/a.csv"):
        with pytest.raises(ClientError, match="not authorized"):
            caller.put_object(Bucket="odd-keys", Key=key, Body=b"a")


def test_bucket_policy_names_its_writers(client, user):
    s3, iam = client("s3"), client("iam")
    s3.create_bucket(Bucket="closed", CreateBucketConfiguration={"LocationConstraint": REGION})
    writer, other = user(allow("s3:*")), user(allow("s3:*"))
    trust = {
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
        ]
    }
    iam.create_role(RoleName="writer", Path="/loading/", AssumeRolePolicyDocument=json.dumps(trust))
    arn = f"arn:aws:iam::{ACCOUNT}:role/loading/writer"
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("s3:PutObject")]})
    iam.put_role_policy(RoleName="writer", PolicyName="p", PolicyDocument=document)
    session = session_of(client("sts", **user(allow("sts:AssumeRole"))).assume_role(RoleArn=arn, RoleSessionName="one"))
    writing = client("sts", **writer).get_caller_identity()["Arn"]
    s3.put_bucket_policy(
        Bucket="closed",
        Policy=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:PutObject",
                        "Resource": "arn:aws:s3:::closed/*",
                        "Condition": {"StringNotLike": {"aws:PrincipalArn": [writing, arn]}},
                    }
                ],
            }
        ),
    )
    for key in (writer, session):
        client("s3", **key).put_object(Bucket="closed", Key="k", Body=b"")
    with pytest.raises(ClientError, match="explicit deny"):
        client("s3", **other).put_object(Bucket="closed", Key="k", Body=b"")
    client("s3", **other).get_object(Bucket="closed", Key="k")


def test_nobody_reads_a_bucket_unnamed(aws):
    context = ssl.create_default_context(cafile=aws.ca_file)
    for path in ("/bucket/k", "/bucket?list-type=2"):
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(f"{aws.tls_endpoint}{path}", context=context)
        with raised.value:
            assert raised.value.code == 403


def test_stack_role_is_passed(client, user):
    template = json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}})
    key = user(allow("cloudformation:*"))
    with pytest.raises(ClientError, match="iam:PassRole"):
        client("cloudformation", **key).create_stack(StackName="passed", TemplateBody=template, RoleARN=TASK_ROLE)
    only = {"ArnEquals": {"cloudformation:RoleArn": TASK_ROLE}}
    key = user(allow("cloudformation:CreateStack", "*", only), allow("iam:PassRole", TASK_ROLE))
    with pytest.raises(ClientError, match="cloudformation:CreateStack"):
        client("cloudformation", **key).create_stack(StackName="passed", TemplateBody=template)
    client("cloudformation", **key).create_stack(StackName="passed", TemplateBody=template, RoleARN=TASK_ROLE)
