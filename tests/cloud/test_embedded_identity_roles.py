"""Service roles of the embedded AWS: take one permission away, and what needed it fails as it does at AWS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from embedded_tools import Stack, eventually, function, http

from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.errors import CloudError

LOG = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
POLL = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
NETWORK = (
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)
PLAIN = "def handler(event, context):\n    print('seen', event)\n    if 'crash' in str(event):\n        raise ValueError('no')\n"


@pytest.fixture(scope="module")
def aws(tmp_path_factory) -> Iterator[EmbeddedAws]:
    with embedded(tmp_path_factory.mktemp("aws"), iam=True) as running:
        yield running


def role(*actions: str) -> dict[str, Any]:
    """A role of a function that may do these things, everywhere."""
    policies = [
        {"PolicyName": "p", "PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}}
    ]  # fmt: skip
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {
                "Statement": [
                    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
                ]
            },
            **({"Policies": policies} if actions else {}),
        },
    }


def mapping() -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::EventSourceMapping",
        "Properties": {
            "FunctionName": {"Ref": "Function"},
            "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
            "BatchSize": 1,
        },
    }


@pytest.fixture
def lines(client) -> Callable[[str], list[str]]:
    """What a function wrote; no line if there is no group."""

    def read(name: str) -> list[str]:
        logs = client("logs")
        try:
            events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in events if "seen" in event["message"]]

    return read


@pytest.fixture
def refused(client) -> Iterator[Callable[[str, dict[str, Any]], str]]:
    """``refused("name", resources)``: why a stack cannot be created."""
    made: list[Stack] = []

    def create(name: str, resources: dict[str, Any]) -> str:
        one = Stack(client("cloudformation"), name)
        made.append(one)
        with pytest.raises(AssertionError):
            one.create(resources)
        return " ".join(one.reasons())

    yield create
    for one in made:
        one.delete()


@pytest.mark.parametrize("missing", [None, *LOG])
def test_log_lines_need_permission_and_the_function_runs_without(stack, client, lines, missing):
    name = f"logs-{(missing or 'none').rpartition(':')[2]}".lower()
    allowed = [action for action in LOG if action != missing] or ["logs:DescribeLogGroups"]
    stack(name, {"Role": role(*allowed), "Function": function(name, PLAIN)})
    answer = client("lambda").invoke(FunctionName=name, Payload=b"{}")
    assert "FunctionError" not in answer
    assert len(lines(name)) == (0 if missing else 1)


@pytest.mark.parametrize("missing", POLL)
def test_mapping_is_not_made_without_each_permission(refused, missing):
    name = f"map-{missing.rpartition(':')[2]}".lower()
    said = refused(
        name,
        {
            "Role": role(*LOG, *(action for action in POLL if action != missing)),
            "Function": function(name, PLAIN),
            "Queue": {"Type": "AWS::SQS::Queue"},
            "Mapping": mapping(),
        },
    )
    assert f"does not have permissions to call {missing.rpartition(':')[2]} on SQS" in said


def test_mapping_stops_and_goes_on_with_its_permission(stack, client, lines):
    made = stack(
        "polled",
        {
            "Role": role(*LOG, *POLL),
            "Function": function("polled", PLAIN),
            "Queue": {"Type": "AWS::SQS::Queue"},
            "Mapping": mapping(),
        },
    )
    ids = made.ids()
    send = client("sqs").send_message
    send(QueueUrl=ids["Queue"], MessageBody="first")
    eventually(lambda: len(lines("polled")) == 1, "the first message")
    document = client("iam").get_role_policy(RoleName=ids["Role"], PolicyName="p")["PolicyDocument"]
    less = {"Statement": [{"Effect": "Deny", "Action": "sqs:DeleteMessage", "Resource": "*"}, *document["Statement"]]}
    client("iam").put_role_policy(RoleName=ids["Role"], PolicyName="p", PolicyDocument=json.dumps(less))
    send(QueueUrl=ids["Queue"], MessageBody="second")

    def state() -> str:
        return client("lambda").get_event_source_mapping(UUID=ids["Mapping"])["LastProcessingResult"]

    eventually(lambda: state().startswith("PROBLEM"), "the mapping to give up")
    assert len(lines("polled")) == 1
    client("iam").put_role_policy(RoleName=ids["Role"], PolicyName="p", PolicyDocument=json.dumps(document))
    eventually(lambda: len(lines("polled")) == 2, "the second message")


@pytest.mark.parametrize("may", [True, False])
def test_what_failed_reaches_its_destination_only_with_permission(stack, client, lines, may):
    name = f"failing-{may}".lower()
    made = stack(
        name,
        {
            "Role": role(*LOG, *(["sqs:SendMessage"] if may else [])),
            "Function": function(name, PLAIN),
            "Queue": {"Type": "AWS::SQS::Queue"},
            "Failures": {
                "Type": "AWS::Lambda::EventInvokeConfig",
                "Properties": {
                    "FunctionName": {"Ref": "Function"},
                    "Qualifier": "$LATEST",
                    "MaximumRetryAttempts": 0,
                    "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["Queue", "Arn"]}}},
                },
            },
        },
    )
    client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=b'{"x": "crash"}')
    eventually(lambda: lines(name), "the function to run")
    url, sqs = made.ids()["Queue"], client("sqs")

    def arrived() -> bool:
        return bool(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages"))

    if may:
        eventually(arrived, "the failure")
    else:
        assert not arrived()


@pytest.mark.parametrize("missing", [None, *NETWORK])
def test_function_in_a_vpc_needs_its_network_permissions(stack, refused, client, missing):
    name = f"net-{(missing or 'none').rpartition(':')[2]}".lower()
    resources = {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
        "Subnet": {
            "Type": "AWS::EC2::Subnet",
            "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24"},
        },
        "Group": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {"GroupDescription": "functions", "VpcId": {"Ref": "Vpc"}},
        },
        "Role": role(*LOG, *(action for action in NETWORK if action != missing)),
        "Function": function(
            name, PLAIN,
            VpcConfig={"SubnetIds": [{"Ref": "Subnet"}], "SecurityGroupIds": [{"Ref": "Group"}]},
            RecursiveLoop="Allow",
        ),
    }  # fmt: skip
    if missing:
        said = refused(name, resources)
        assert f"does not have permissions to call {missing.rpartition(':')[2]} on EC2" in said
        return
    ids = stack(name, resources).ids()
    functions = client("lambda")
    network = functions.get_function_configuration(FunctionName=name)["VpcConfig"]
    assert (network["SubnetIds"], network["SecurityGroupIds"], network["VpcId"]) == (
        [ids["Subnet"]], [ids["Group"]], ids["Vpc"],
    )  # fmt: skip
    assert functions.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Allow"
    client("iam").delete_role_policy(RoleName=ids["Role"], PolicyName="p")
    with pytest.raises(functions.exceptions.InvalidParameterValueException, match="CreateNetworkInterface on EC2"):
        functions.update_function_configuration(
            FunctionName=name, VpcConfig={"SubnetIds": [ids["Subnet"]], "SecurityGroupIds": [ids["Group"]]}
        )
    # What does not touch the network is changed as before.
    functions.update_function_configuration(FunctionName=name, Timeout=5)


def rule(**target: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::Events::Rule",
        "Properties": {"ScheduleExpression": "rate(1 day)", "Targets": [{"Id": "one", **target}]},
    }


@pytest.mark.parametrize("may", [True, False])
def test_rule_calls_a_function_and_a_queue_only_if_they_let_it(stack, client, aws, lines, may):
    name = f"ruled-{may}".lower()
    resources: dict[str, Any] = {
        "Role": role(*LOG),
        "Function": function(name, PLAIN),
        "Queue": {"Type": "AWS::SQS::Queue"},
        "ToFunction": rule(Arn={"Fn::GetAtt": ["Function", "Arn"]}),
        "ToQueue": rule(Arn={"Fn::GetAtt": ["Queue", "Arn"]}),
    }
    other = {"Fn::Sub": "arn:aws:events:${AWS::Region}:${AWS::AccountId}:rule/another"}
    resources["Permission"] = {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "FunctionName": {"Ref": "Function"},
            "Action": "lambda:InvokeFunction",
            "Principal": "events.amazonaws.com",
            "SourceArn": {"Fn::GetAtt": ["ToFunction", "Arn"]} if may else other,
        },
    }
    resources["Policy"] = {
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {
            "Queues": [{"Ref": "Queue"}],
            "PolicyDocument": {
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "events.amazonaws.com"},
                        "Action": "sqs:SendMessage",
                        "Resource": {"Fn::GetAtt": ["Queue", "Arn"]},
                        "Condition": {
                            "ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["ToQueue", "Arn"]} if may else other}
                        },
                    }
                ]
            },
        },
    }
    ids = stack(name, resources).ids()
    for each in ("ToFunction", "ToQueue"):
        aws.fire(ids[each].rpartition("/")[2])
    sqs = client("sqs")
    got = sqs.receive_message(QueueUrl=ids["Queue"], WaitTimeSeconds=1).get("Messages")
    assert bool(got) is may
    if may:
        eventually(lambda: lines(name), "the function to run")
    else:
        assert lines(name) == []


@pytest.mark.parametrize("may", [True, False])
def test_bucket_calls_a_function_only_if_it_lets_it(stack, client, lines, may):
    name = f"arrival-{may}".lower()
    resources: dict[str, Any] = {
        "Role": role(*LOG),
        "Function": function(name, PLAIN),
        "Bucket": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "BucketName": name,
                "NotificationConfiguration": {
                    "LambdaConfigurations": [
                        {"Event": "s3:ObjectCreated:*", "Function": {"Fn::GetAtt": ["Function", "Arn"]}}
                    ]
                },
            },
        },
    }
    if may:
        resources["Permission"] = {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "FunctionName": {"Ref": "Function"},
                "Action": "lambda:InvokeFunction",
                "Principal": "s3.amazonaws.com",
                "SourceAccount": {"Ref": "AWS::AccountId"},
                "SourceArn": f"arn:aws:s3:::{name}",
            },
        }
    stack(name, resources)
    s3 = client("s3")
    s3.put_object(Bucket=name, Key="one", Body=b"1")
    if may:
        eventually(lambda: lines(name), "the function to run")
    else:
        # A second function that may be called shows when the notification would have come.
        client("lambda").invoke(FunctionName=name, Payload=b'"direct"')
        assert [line for line in lines(name) if "direct" not in line] == []
    s3.delete_object(Bucket=name, Key="one")


@pytest.mark.parametrize("may", [True, False])
def test_api_calls_a_function_only_if_it_lets_it(stack, aws, may):
    name = f"called-{may}".lower()
    resources: dict[str, Any] = {
        "Role": role(*LOG),
        "Function": function(name),
        "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Name": name, "ProtocolType": "HTTP"}},
        "Integration": {
            "Type": "AWS::ApiGatewayV2::Integration",
            "Properties": {
                "ApiId": {"Ref": "Api"},
                "IntegrationType": "AWS_PROXY",
                "IntegrationUri": {"Fn::GetAtt": ["Function", "Arn"]},
                "PayloadFormatVersion": "2.0",
            },
        },
        "Route": {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": {
                "ApiId": {"Ref": "Api"},
                "RouteKey": "GET /users/{user}",
                "Target": {"Fn::Join": ["/", ["integrations", {"Ref": "Integration"}]]},
            },
        },
        "Stage": {
            "Type": "AWS::ApiGatewayV2::Stage",
            "Properties": {"ApiId": {"Ref": "Api"}, "StageName": "live", "AutoDeploy": True},
        },
        "Permission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "FunctionName": {"Ref": "Function"},
                "Action": "lambda:InvokeFunction",
                "Principal": "apigateway.amazonaws.com",
                "SourceArn": {
                    "Fn::Sub": "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/"
                    + ("live/GET/users/*" if may else "live/POST/users/*")
                },
            },
        },
    }
    api = stack(name, resources).ids()["Api"]
    status, content = http(f"{aws.endpoint}/_aws/execute-api/{api}/live/users/ann")
    assert (status, content) == ((200, b"done") if may else (500, b'{"message":"Internal Server Error"}'))


def test_function_runs_with_its_role_and_its_code_is_known_by_its_function(stack, client):
    code = """
import boto3, os
def handler(event, context):
    queue = os.environ["QUEUE"]
    try:
        boto3.client("sqs").send_message(QueueUrl=queue, MessageBody="x")
        sent = True
    except Exception as error:
        sent = str(error)
    return {"sent": sent, "as": boto3.client("sts").get_caller_identity()["Arn"], "name": os.environ["AWS_LAMBDA_FUNCTION_NAME"],
            "endpoint": os.environ["AWS_ENDPOINT_URL"], "ca": os.environ["AWS_CA_BUNDLE"] == os.environ["PGSSLROOTCERT"]}
"""
    made = stack(
        "own",
        {
            "Role": role(*LOG, "sqs:SendMessage"),
            "Queue": {"Type": "AWS::SQS::Queue"},
            "Function": function("own", code, Environment={"Variables": {"QUEUE": {"Ref": "Queue"}}}),
        },
    )
    ids = made.ids()

    def run() -> dict[str, Any]:
        return json.load(client("lambda").invoke(FunctionName="own", Payload=b"{}")["Payload"])

    answer = run()
    assert answer["sent"] is True
    assert answer["as"] == f"arn:aws:sts::000000000000:assumed-role/{ids['Role']}/own"
    assert (answer["name"], answer["ca"], answer["endpoint"][:8]) == ("own", True, "https://")
    # A Deny for code in functions, which Lambda's own work for the function does not meet.
    deny = {
        "Statement": [
            {
                "Effect": "Deny",
                "Action": "sqs:*",
                "Resource": "*",
                "Condition": {
                    "ArnEquals": {"lambda:SourceFunctionArn": "arn:aws:lambda:eu-west-1:000000000000:function:own"}
                },
            }
        ]
    }
    client("iam").put_role_policy(RoleName=ids["Role"], PolicyName="code", PolicyDocument=json.dumps(deny))
    assert "explicit deny" in run()["sent"]


def test_function_needs_a_role_that_trusts_lambda(refused):
    stranger = role(*LOG)
    (statement,) = stranger["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    statement["Principal"] = {"Service": "ecs-tasks.amazonaws.com"}
    said = refused("stranger", {"Role": stranger, "Function": function("stranger", PLAIN)})
    assert "cannot be assumed by Lambda" in said


PULL = (
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchGetImage",
)


@pytest.mark.parametrize("missing", [None, *PULL, *LOG[1:]])
def test_task_needs_each_permission_of_its_execution_role(client, missing):
    name = f"task-{(missing or 'none').rpartition(':')[2]}".lower()
    iam, ecs = client("iam"), client("ecs")
    trust = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]["Arn"]
    actions = [action for action in (*PULL, *LOG[1:]) if action != missing]
    document = {"Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(document))
    ecs.create_cluster(clusterName="tasks")
    client("logs").create_log_group(logGroupName=f"/task/{name}")
    ecs.register_task_definition(
        family=name,
        executionRoleArn=arn,
        containerDefinitions=[
            {
                "name": "one",
                "image": "000000000000.dkr.ecr.eu-west-1.amazonaws.com/work:1",
                "command": ["python", "-m", "platform"],
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {
                        "awslogs-group": f"/task/{name}",
                        "awslogs-region": "eu-west-1",
                        "awslogs-stream-prefix": "one",
                    },
                },
            }
        ],
    )
    (task,) = ecs.run_task(cluster="tasks", taskDefinition=name)["tasks"]

    def stopped() -> dict[str, Any] | None:
        (found,) = ecs.describe_tasks(cluster="tasks", tasks=[task["taskArn"]])["tasks"]
        return found if found["lastStatus"] == "STOPPED" else None

    ended = eventually(stopped, "the task to stop")
    if missing:
        assert ended["stopCode"] == "TaskFailedToStart"
        assert "AccessDeniedException" in ended["stoppedReason"]
        assert missing in ended["stoppedReason"]
    else:
        assert ended["containers"][0]["exitCode"] == 0
        assert client("logs").filter_log_events(logGroupName=f"/task/{name}")["events"]


def test_functions_call_where_they_are_told(stack, client, aws):
    code = "import os\ndef handler(event, context):\n    return os.environ['AWS_ENDPOINT_URL']\n"
    stack("pointed", {"Role": role(*LOG), "Function": function("pointed", code)})

    def where() -> str:
        return json.load(client("lambda").invoke(FunctionName="pointed", Payload=b"{}")["Payload"])

    assert where() == aws.tls_endpoint
    aws.set_function_endpoint("http://127.0.0.1:9")
    assert where() == "http://127.0.0.1:9"
    aws.set_function_endpoint(None)
    assert where() == aws.tls_endpoint
    with pytest.raises(CloudError, match="a URL of this machine"):
        aws.set_function_endpoint("https://elsewhere.example")
