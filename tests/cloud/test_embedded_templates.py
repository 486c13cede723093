"""CloudFormation of the embedded AWS: types and properties it was taught, read back; the rest is named by the guard."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO

import pytest
from embedded_tools import ROLE, eventually, function, rest_api

from tocsin.cloud.embedded.guard import DROPPED, read_back, require, unsupported
from tocsin.errors import CloudError

VPC = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}


def group(**properties: object) -> dict:
    return {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {"GroupDescription": "test", "VpcId": {"Ref": "Vpc"}, **properties},
    }


def test_security_group_rules_are_added_changed_and_removed(stack, client):
    ec2 = client("ec2")
    from_loader = {
        "Type": "AWS::EC2::SecurityGroupIngress",
        "Properties": {
            "GroupId": {"Fn::GetAtt": ["Database", "GroupId"]},
            "IpProtocol": "tcp",
            "FromPort": 5432,
            "ToPort": "5432",
            "SourceSecurityGroupId": {"Fn::GetAtt": ["Loader", "GroupId"]},
        },
    }
    to_database = {
        "Type": "AWS::EC2::SecurityGroupEgress",
        "Properties": {
            "GroupId": {"Fn::GetAtt": ["Loader", "GroupId"]},
            "IpProtocol": "tcp",
            "FromPort": 5432,
            "ToPort": 5432,
            "DestinationSecurityGroupId": {"Fn::GetAtt": ["Database", "GroupId"]},
        },
    }
    base = {"Vpc": VPC, "Database": group(), "Loader": group()}
    made = stack("groups", {**base, "In": from_loader, "Out": to_database})
    ids = made.ids()

    def rules(name: str, direction: str) -> list:
        (found,) = ec2.describe_security_groups(GroupIds=[ids[name]])["SecurityGroups"]
        return [
            (rule["FromPort"], rule["ToPort"], [pair["GroupId"] for pair in rule["UserIdGroupPairs"]])
            for rule in found[direction]
            if "FromPort" in rule
        ]

    assert rules("Database", "IpPermissions") == [(5432, 5432, [ids["Loader"]])]
    assert rules("Loader", "IpPermissionsEgress") == [(5432, 5432, [ids["Database"]])]
    assert ids["In"].startswith("sgr-")
    other_port = {**from_loader, "Properties": {**from_loader["Properties"], "FromPort": 6432, "ToPort": 6432}}
    assert made.update({**base, "In": other_port}) == "UPDATE_COMPLETE"
    assert rules("Database", "IpPermissions") == [(6432, 6432, [ids["Loader"]])]
    assert rules("Loader", "IpPermissionsEgress") == []
    assert made.update(base) == "UPDATE_COMPLETE"
    assert rules("Database", "IpPermissions") == []


def test_unknown_type_is_refused(client):
    cloudformation = client("cloudformation")
    body = json.dumps({"Resources": {"X": {"Type": "AWS::CloudWatch::Nonsense"}}})
    with pytest.raises(cloudformation.exceptions.ClientError, match="Unrecognized resource types"):
        cloudformation.create_stack(StackName="unknown", TemplateBody=body)


def test_topic_keeps_key_and_signature_version(stack, client):
    made = stack(
        "topic",
        {"T": {"Type": "AWS::SNS::Topic", "Properties": {"KmsMasterKeyId": "alias/k", "SignatureVersion": "2"}}},
    )
    attributes = client("sns").get_topic_attributes(TopicArn=made.ids()["T"])["Attributes"]
    assert (attributes["KmsMasterKeyId"], attributes["SignatureVersion"]) == ("alias/k", "2")


def test_bucket_keeps_encryption_and_tags(stack, client):
    rule = {
        "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/k"},
        "BucketKeyEnabled": True,
    }
    bucket = {
        "BucketName": "kept-bucket",
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [rule]},
        "Tags": [{"Key": "team", "Value": "data"}],
    }
    stack("bucket", {"B": {"Type": "AWS::S3::Bucket", "Properties": bucket}})
    s3 = client("s3")
    (kept,) = s3.get_bucket_encryption(Bucket="kept-bucket")["ServerSideEncryptionConfiguration"]["Rules"]
    assert kept["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/k"}
    assert kept["BucketKeyEnabled"] is True
    assert s3.get_bucket_tagging(Bucket="kept-bucket")["TagSet"] == [{"Key": "team", "Value": "data"}]


def test_function_keeps_reserved_concurrency_and_dead_letters(stack, client):
    resources = {
        "Role": ROLE,
        "Dead": {"Type": "AWS::SQS::Queue"},
        "Function": function(
            "kept", ReservedConcurrentExecutions=3, DeadLetterConfig={"TargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}}
        ),
    }
    made = stack("function", resources)
    functions = client("lambda")
    assert functions.get_function_concurrency(FunctionName="kept")["ReservedConcurrentExecutions"] == 3
    assert "Dead" in functions.get_function_configuration(FunctionName="kept")["DeadLetterConfig"]["TargetArn"]
    functions.invoke(FunctionName="kept", InvocationType="Event", Payload=b'{"x": "crash"}')
    received = eventually(
        lambda: client("sqs").receive_message(QueueUrl=made.ids()["Dead"]).get("Messages"), "the dead letter", 30
    )
    assert "crash" in received[0]["Body"]
    resources["Function"] = function("kept")
    assert made.update(resources) == "UPDATE_COMPLETE"
    assert "ReservedConcurrentExecutions" not in functions.get_function_concurrency(FunctionName="kept")


def test_table_keeps_ttl_recovery_and_encryption(stack, client):
    properties = {
        "TableName": "kept-table",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        "SSESpecification": {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/k"},
    }
    stack("table", {"T": {"Type": "AWS::DynamoDB::Table", "Properties": properties}})
    dynamodb = client("dynamodb")
    assert dynamodb.describe_time_to_live(TableName="kept-table")["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED",
        "AttributeName": "expires",
    }
    backups = dynamodb.describe_continuous_backups(TableName="kept-table")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    assert dynamodb.describe_table(TableName="kept-table")["Table"]["SSEDescription"]["SSEType"] == "KMS"


def test_stages_keep_access_log_and_route_settings(stack, client):
    resources = {"Role": ROLE, "Function": function("staged"), **rest_api("kept-api")}
    log = {"DestinationArn": "arn:aws:logs:eu-west-1:000000000000:log-group:x", "Format": "$context.requestId"}
    resources["Stage"]["Properties"]["AccessLogSetting"] = log
    resources["Web"] = {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Name": "w", "ProtocolType": "HTTP"}}
    resources["WebStage"] = {
        "Type": "AWS::ApiGatewayV2::Stage",
        "Properties": {
            "ApiId": {"Ref": "Web"},
            "StageName": "live",
            "DefaultRouteSettings": {"ThrottlingBurstLimit": 7},
        },
    }
    ids = stack("stages", resources).ids()
    kept = client("apigateway").get_stage(restApiId=ids["Api"], stageName="prod")["accessLogSettings"]
    assert kept == {"destinationArn": log["DestinationArn"], "format": log["Format"]}
    web = client("apigatewayv2").get_stage(ApiId=ids["Web"], StageName="live")
    assert web["DefaultRouteSettings"]["ThrottlingBurstLimit"] == 7


def test_role_keeps_its_boundary(stack, client):
    boundary = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    role = {**ROLE, "Properties": {**ROLE["Properties"], "RoleName": "bounded", "PermissionsBoundary": boundary}}
    stack("role", {"Role": role})
    kept = client("iam").get_role(RoleName="bounded")["Role"]["PermissionsBoundary"]
    assert kept["PermissionsBoundaryArn"] == boundary


def test_function_code_from_a_bucket_and_its_update(stack, client):
    def package(word: str) -> bytes:
        buffer = BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("app/main.py", "from app import word\ndef handler(event, context): return word.WORD\n")
            archive.writestr("app/word.py", f"WORD = {word!r}\n")
            archive.writestr("app/__init__.py", "")
        return buffer.getvalue()

    s3, functions = client("s3"), client("lambda")
    s3.create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="code", Key="one.zip", Body=package("one"))
    s3.put_object(Bucket="code", Key="two.zip", Body=package("two"))

    def resources(key: str, **properties: object) -> dict:
        made = function("packaged", Handler="app.main.handler", **properties)
        made["Properties"]["Code"] = {"S3Bucket": "code", "S3Key": key}
        return {"Role": ROLE, "Function": made}

    def answer() -> object:
        return json.load(functions.invoke(FunctionName="packaged", Payload=b"{}")["Payload"])

    made = stack("packaged", resources("one.zip"))
    assert answer() == "one"
    assert made.update(resources("two.zip")) == "UPDATE_COMPLETE"
    assert answer() == "two"
    functions.update_function_code(FunctionName="packaged", S3Bucket="code", S3Key="one.zip")
    assert answer() == "one"


def test_environment_change_takes_effect_on_the_next_call(stack, client):
    code = "import os\ndef handler(event, context): return os.environ.get('MODE')"
    stack("mode", {"Role": ROLE, "Function": function("mode", code, Environment={"Variables": {"MODE": "fine"}})})
    functions = client("lambda")
    for mode in ("fine", "broken", "mended"):
        functions.update_function_configuration(FunctionName="mode", Environment={"Variables": {"MODE": mode}})
        assert json.load(functions.invoke(FunctionName="mode", Payload=b"{}")["Payload"]) == mode


def test_exception_ends_the_invocation_and_not_the_process(stack, client):
    code = """
import os
calls = 0
def handler(event, context):
    global calls
    calls += 1
    if event.get("fail"):
        raise KeyError("missing")
    return [os.getpid(), calls]
"""
    stack("raising", {"Role": ROLE, "Function": function("raising", code)})

    def call(payload: bytes) -> dict:
        return client("lambda").invoke(FunctionName="raising", Payload=payload)

    first = json.load(call(b"{}")["Payload"])
    failed = call(b'{"fail": true}')
    assert failed["FunctionError"] == "Unhandled"
    error = json.load(failed["Payload"])
    assert (error["errorType"], error["errorMessage"]) == ("KeyError", "'missing'")
    assert any("handler" in line for line in error["stackTrace"])
    assert json.load(call(b"{}")["Payload"]) == [first[0], 3]


def test_handlers_reach_other_services_with_plain_boto3(stack, client):
    code = """
import boto3, os
queue = boto3.client("sqs")
def handler(event, context):
    queue.send_message(QueueUrl=os.environ["QUEUE"], MessageBody="from the handler")
"""
    variables = {"Variables": {"QUEUE": {"Ref": "Queue"}}}
    made = stack(
        "plain",
        {
            "Role": ROLE,
            "Queue": {"Type": "AWS::SQS::Queue"},
            "Function": function("plain", code, Environment=variables),
        },
    )
    answer = client("lambda").invoke(FunctionName="plain", Payload=b"{}")
    assert "FunctionError" not in answer, answer["Payload"].read()
    (message,) = client("sqs").receive_message(QueueUrl=made.ids()["Queue"])["Messages"]
    assert message["Body"] == "from the handler"


def test_guard_names_what_would_be_dropped():
    template = {
        "Resources": {
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {"TracingConfiguration": {"Enabled": True}},
            },
            "Bucket": {
                "Type": "AWS::S3::Bucket",
                "Properties": {"LifecycleConfiguration": {"Rules": []}, "BucketName": "b"},
            },
            "Plain": {"Type": "AWS::S3::Bucket"},
            "Other": {"Type": "AWS::SQS::Queue", "Properties": {"LifecycleConfiguration": {}}},
        }
    }
    assert [(finding.logical_id, finding.property) for finding in unsupported(template)] == [
        ("Bucket", "LifecycleConfiguration"),
        ("Machine", "TracingConfiguration"),
    ]
    assert "objects never expire" in str(unsupported(template)[0])
    assert unsupported({}) == unsupported({"Resources": {}}) == ()
    with pytest.raises(CloudError, match="Machine"):
        require(template)
    require({"Resources": {"Other": template["Resources"]["Other"]}})


def test_read_back_lists_what_is_really_there(stack, client):
    made = stack("listed", {"Q": {"Type": "AWS::SQS::Queue"}, "T": {"Type": "AWS::SNS::Topic"}})
    found = read_back(client("cloudformation"), "listed")
    assert found == made.ids()
    assert list(found) == ["Q", "T"]


def test_guard_is_still_needed(stack, client):
    """Each property on the list is really dropped; one that starts to work leaves the list."""
    lifecycle = {"Rules": [{"Id": "r", "Status": "Enabled", "ExpirationInDays": 1}]}
    stack(
        "dropped",
        {
            "B": {
                "Type": "AWS::S3::Bucket",
                "Properties": {"BucketName": "dropping", "LifecycleConfiguration": lifecycle},
            }
        },
    )
    s3 = client("s3")
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket="dropping")
    assert set(DROPPED) == {"AWS::EC2::VPCEndpoint", "AWS::S3::Bucket", "AWS::StepFunctions::StateMachine"}
