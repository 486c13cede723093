"""CloudFormation of the embedded AWS: types and properties it was taught, read back; the rest is named by the guard."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO

import pytest
from embedded_tools import ROLE, Stack, eventually, function, rest_api

from tocsin.cloud.embedded.guard import DROPPED, INERT, read_back, require, unsupported
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
    # Whether a property is on one of the lists does not depend on its value being read back.
    dropped, inert = ({(kind, name) for kind, names in each.items() for name in names} for each in (DROPPED, INERT))
    assert not dropped & inert
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
    """Each property on the first list is really dropped; one that starts to work leaves the list."""
    machine = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "StateMachineName": "dropping", "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
            "DefinitionString": json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
            "TracingConfiguration": {"Enabled": True}, "LoggingConfiguration": {"Level": "ALL"},
        },
    }  # fmt: skip
    topic = {
        "Type": "AWS::SNS::Topic",
        "Properties": {"DataProtectionPolicy": {"Name": "p"}, "MaximumMessageSize": 2048, "TracingConfig": "Active"},
    }
    subscription = {
        "Type": "AWS::SNS::Subscription",
        "Properties": {
            "TopicArn": {"Ref": "Topic"}, "Protocol": "sqs", "Endpoint": "arn:aws:sqs:eu-west-1:000000000000:q",
            "ReplayPolicy": {"PointType": "Timestamp"}, "SubscriptionRoleArn": "arn:aws:iam::000000000000:role/r",
        },
    }  # fmt: skip
    key = {"ApiKeyAuthParameters": {"ApiKeyName": "a", "ApiKeyValue": "b"}}
    private = {"ResourceParameters": {"ResourceConfigurationArn": "arn:aws:vpc-lattice:r"}}
    connection = {
        "Type": "AWS::Events::Connection",
        "Properties": {
            "AuthorizationType": "API_KEY", "AuthParameters": key, "InvocationConnectivityParameters": private,
            "KmsKeyIdentifier": "alias/of-connection",
        },
    }  # fmt: skip
    made = stack(
        "dropped",
        {"Role": ROLE, "Machine": machine, "Topic": topic, "Subscription": subscription, "Connection": connection},
    )
    ids, sns = made.ids(), client("sns")
    attributes = sns.get_topic_attributes(TopicArn=ids["Topic"])["Attributes"]
    assert "DataProtectionPolicy" not in attributes
    assert (attributes["MaximumMessageSize"], attributes["TracingConfig"]) == ("2048", "Active")
    attributes = sns.get_subscription_attributes(SubscriptionArn=ids["Subscription"])["Attributes"]
    assert "ReplayPolicy" not in attributes
    assert attributes["SubscriptionRoleArn"] == "arn:aws:iam::000000000000:role/r"
    shown = client("events").describe_connection(Name=ids["Connection"])
    assert "InvocationConnectivityParameters" not in shown
    assert shown["KmsKeyIdentifier"] == "alias/of-connection"
    assert client("secretsmanager").describe_secret(SecretId=shown["SecretArn"])["KmsKeyId"] == "alias/of-connection"
    kept = client("stepfunctions").describe_state_machine(stateMachineArn=made.ids()["Machine"])
    assert not kept.get("tracingConfiguration", {}).get("enabled")
    assert kept.get("loggingConfiguration", {}).get("level", "OFF") == "OFF"
    assert {kind: set(names) for kind, names in DROPPED.items()} == {
        "AWS::Events::Connection": {"InvocationConnectivityParameters"},
        "AWS::SNS::Subscription": {"ReplayPolicy"},
        "AWS::SNS::Topic": {"DataProtectionPolicy"},
        "AWS::StepFunctions::StateMachine": {"LoggingConfiguration", "TracingConfiguration"},
    }


POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}],
}


def test_private_network_is_read_back(stack, client):
    def zone(number: int) -> dict:
        return {"Fn::Select": [number, {"Fn::GetAZs": ""}]}

    def endpoint(service: str, **properties: object) -> dict:
        return {
            "Type": "AWS::EC2::VPCEndpoint",
            "Properties": {
                "VpcId": {"Ref": "Vpc"}, "ServiceName": {"Fn::Sub": f"com.amazonaws.${{AWS::Region}}.{service}"},
                "PolicyDocument": POLICY, **properties,
            },
        }  # fmt: skip

    subnets = {
        f"Subnet{number}": {
            "Type": "AWS::EC2::Subnet",
            "Properties": {
                "VpcId": {"Ref": "Vpc"},
                "CidrBlock": f"10.0.{number}.0/24",
                "AvailabilityZone": zone(number),
            },
        }
        for number in (0, 1)
    }
    trust = {"Effect": "Allow", "Principal": {"Service": "vpc-flow-logs.amazonaws.com"}, "Action": "sts:AssumeRole"}
    resources = {
        "Vpc": VPC, **subnets, "Group": group(),
        "Table": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}}},
        "Storage": endpoint("s3", VpcEndpointType="Gateway", RouteTableIds=[{"Ref": "Table"}]),
        "Queues": endpoint(
            "sqs", VpcEndpointType="Interface", SubnetIds=[{"Ref": "Subnet0"}, {"Ref": "Subnet1"}],
            SecurityGroupIds=[{"Ref": "Group"}], PrivateDnsEnabled=True,
        ),
        "Key": {"Type": "AWS::KMS::Key", "Properties": {"EnableKeyRotation": True, "KeyPolicy": POLICY}},
        "Logs": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {"LogGroupName": "/flows", "RetentionInDays": 14, "KmsKeyId": {"Fn::GetAtt": ["Key", "Arn"]}},
        },
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": [trust]}}},
        "Flows": {
            "Type": "AWS::EC2::FlowLog",
            "Properties": {
                "ResourceType": "VPC", "ResourceId": {"Ref": "Vpc"}, "TrafficType": "ALL", "LogGroupName": {"Ref": "Logs"},
                "DeliverLogsPermissionArn": {"Fn::GetAtt": ["Role", "Arn"]}, "MaxAggregationInterval": 60,
                "Tags": [{"Key": "team", "Value": "data"}],
            },
        },
    }  # fmt: skip
    outputs = {"Cidr": {"Value": {"Fn::GetAtt": ["Vpc", "CidrBlock"]}}}
    made = stack("private", resources, outputs)
    ids, ec2 = made.ids(), client("ec2")
    assert made.outputs() == {"Cidr": "10.0.0.0/16"}
    endpoints = {each["VpcEndpointId"]: each for each in ec2.describe_vpc_endpoints()["VpcEndpoints"]}
    storage, queues = endpoints[ids["Storage"]], endpoints[ids["Queues"]]
    assert json.loads(storage["PolicyDocument"]) == json.loads(queues["PolicyDocument"]) == POLICY
    assert (storage["RouteTableIds"], storage["PrivateDnsEnabled"]) == ([ids["Table"]], False)
    assert queues["SubnetIds"] == [ids["Subnet0"], ids["Subnet1"]]
    assert (queues["Groups"][0]["GroupId"], queues["PrivateDnsEnabled"]) == (ids["Group"], True)
    (flows,) = ec2.describe_flow_logs(FlowLogIds=[ids["Flows"]])["FlowLogs"]
    assert (flows["ResourceId"], flows["LogGroupName"], flows["MaxAggregationInterval"]) == (ids["Vpc"], "/flows", 60)
    assert flows["DeliverLogsPermissionArn"].endswith(ids["Role"])
    assert {"Key": "team", "Value": "data"} in flows["Tags"]
    zones = {
        each["AvailabilityZone"] for each in ec2.describe_subnets(SubnetIds=[ids["Subnet0"], ids["Subnet1"]])["Subnets"]
    }
    assert len(zones) == 2
    lists = {
        each["PrefixListName"]: each["PrefixListId"] for each in ec2.describe_managed_prefix_lists()["PrefixLists"]
    }
    assert {"com.amazonaws.eu-west-1.s3", "com.amazonaws.eu-west-1.dynamodb"} <= set(lists)

    # A flow log cannot be changed: a new interval is a new one, and the old one goes.
    resources["Flows"]["Properties"]["MaxAggregationInterval"] = 600
    assert made.update(resources, outputs) == "UPDATE_COMPLETE"
    (flows,) = ec2.describe_flow_logs()["FlowLogs"]
    assert (flows["FlowLogId"] != ids["Flows"], flows["MaxAggregationInterval"]) == (True, 600)
    assert made.delete() == "DELETE_COMPLETE"
    assert ec2.describe_flow_logs()["FlowLogs"] == []


def test_flow_log_of_nothing_fails(client):
    made = Stack(client("cloudformation"), "flowless")
    properties = {"ResourceType": "VPC", "ResourceId": "vpc-0", "TrafficType": "ALL"}
    with pytest.raises(AssertionError):
        made.create({"Flows": {"Type": "AWS::EC2::FlowLog", "Properties": properties}})
    assert any("does not exist" in reason for reason in made.reasons())
    made.delete()


def test_identity_provider_is_made_changed_and_removed(stack, client):
    def provider(*audiences: str, url: str = "https://token.actions.githubusercontent.com") -> dict:
        properties = {
            "Url": url,
            "ClientIdList": list(audiences),
            "ThumbprintList": ["6938fd4d98bab03faadb97b34396831e3780aea1"],
        }
        return {"Provider": {"Type": "AWS::IAM::OIDCProvider", "Properties": properties}}

    iam = client("iam")
    made = stack("delivery", provider("sts.amazonaws.com"), {"Arn": {"Value": {"Fn::GetAtt": ["Provider", "Arn"]}}})
    arn = made.ids()["Provider"]
    assert made.outputs()["Arn"] == arn == "arn:aws:iam::000000000000:oidc-provider/token.actions.githubusercontent.com"
    assert made.update(provider("sts.amazonaws.com", "other")) == "UPDATE_COMPLETE"
    kept = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert (kept["Url"], kept["ClientIDList"]) == (
        "https://token.actions.githubusercontent.com",
        ["sts.amazonaws.com", "other"],
    )
    assert made.update(provider("sts.amazonaws.com", url="https://gitlab.com")) == "UPDATE_COMPLETE"
    (kept,) = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert kept["Arn"].endswith("/gitlab.com")
    assert made.delete() == "DELETE_COMPLETE"
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == []


def test_bucket_keeps_lifecycle_access_logs_and_notifications(stack, client):
    rules = [
        {
            "Id": "arrived", "Status": "Enabled", "Prefix": "incoming/", "ExpirationInDays": 30,
            "NoncurrentVersionExpiration": {"NoncurrentDays": 7, "NewerNoncurrentVersions": 2},
            "Transitions": [{"StorageClass": "STANDARD_IA", "TransitionInDays": 10}],
        },
        {"Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
        {"Status": "Disabled", "ExpiredObjectDeleteMarker": True, "Prefix": "a", "TagFilters": [{"Key": "k", "Value": "v"}]},
    ]  # fmt: skip
    filtered = {"S3Key": {"Rules": [{"Name": "prefix", "Value": "incoming/"}]}}
    told = {"Event": "s3:ObjectCreated:*", "Queue": {"Fn::GetAtt": ["Queue", "Arn"]}, "Filter": filtered}
    bucket = {
        "BucketName": "arriving",
        "LifecycleConfiguration": {"Rules": rules},
        "LoggingConfiguration": {"DestinationBucketName": {"Ref": "Logs"}, "LogFilePrefix": "arriving/"},
        "NotificationConfiguration": {"QueueConfigurations": [told]},
    }
    resources = {
        "Queue": {"Type": "AWS::SQS::Queue"},
        "Logs": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "logs-of-arriving"}},
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": bucket},
    }
    made = stack("arriving", resources)
    s3, sqs = client("s3"), client("sqs")
    first, second, third = s3.get_bucket_lifecycle_configuration(Bucket="arriving")["Rules"]
    assert (first["ID"], first["Expiration"], first["Filter"]) == ("arrived", {"Days": 30}, {"Prefix": "incoming/"})
    assert first["NoncurrentVersionExpiration"] == {"NoncurrentDays": 7, "NewerNoncurrentVersions": 2}
    assert first["Transitions"] == [{"Days": 10, "StorageClass": "STANDARD_IA"}]
    assert second["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert third["Expiration"] == {"ExpiredObjectDeleteMarker": True}
    assert third["Filter"]["And"]["Tags"] == [{"Key": "k", "Value": "v"}]
    logging = s3.get_bucket_logging(Bucket="arriving")["LoggingEnabled"]
    assert (logging["TargetBucket"], logging["TargetPrefix"]) == ("logs-of-arriving", "arriving/")
    (notified,) = s3.get_bucket_notification_configuration(Bucket="arriving")["QueueConfigurations"]
    (rule,) = notified["Filter"]["Key"]["FilterRules"]
    assert (rule["Name"].lower(), rule["Value"]) == ("prefix", "incoming/")

    queue = made.ids()["Queue"]
    sqs.purge_queue(QueueUrl=queue)
    for key in ("elsewhere/a", "incoming/b"):
        s3.put_object(Bucket="arriving", Key=key, Body=b"x")
    (message,) = eventually(
        lambda: sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"), "the notification"
    )
    assert json.loads(message["Body"])["Records"][0]["s3"]["object"]["key"] == "incoming/b"
    for key in ("elsewhere/a", "incoming/b"):
        s3.delete_object(Bucket="arriving", Key=key)

    resources["Bucket"]["Properties"] = {"BucketName": "arriving"}
    assert made.update(resources) == "UPDATE_COMPLETE"
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket="arriving")
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket="arriving")


def test_container_and_database_pieces_are_read_back(stack, client):
    subnets = {
        f"Subnet{number}": {
            "Type": "AWS::EC2::Subnet",
            "Properties": {
                "VpcId": {"Ref": "Vpc"}, "CidrBlock": f"10.0.{number}.0/24",
                "AvailabilityZone": {"Fn::Select": [number, {"Fn::GetAZs": ""}]},
            },
        }
        for number in (0, 1)
    }  # fmt: skip
    resources = {
        "Vpc": VPC, **subnets,
        "Repository": {
            "Type": "AWS::ECR::Repository",
            "Properties": {
                "ImageTagMutability": "IMMUTABLE", "ImageScanningConfiguration": {"ScanOnPush": True},
                "EncryptionConfiguration": {"EncryptionType": "KMS"},
                "LifecyclePolicy": {"LifecyclePolicyText": json.dumps({"rules": []})},
            },
        },
        "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}]}},
        "Task": {
            "Type": "AWS::ECS::TaskDefinition",
            "Properties": {
                "Family": "piece", "Cpu": "512", "Memory": "1024", "NetworkMode": "awsvpc",
                "RequiresCompatibilities": ["FARGATE"], "EphemeralStorage": {"SizeInGiB": 30},
                "RuntimePlatform": {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"},
                "ContainerDefinitions": [
                    {"Name": "c", "Image": {"Fn::Sub": "${Repository.RepositoryUri}:1"}, "ReadonlyRootFilesystem": True,
                     "Secrets": [{"Name": "S", "ValueFrom": "arn:x"}]}
                ],
            },
        },
        "Subnets": {
            "Type": "AWS::RDS::DBSubnetGroup",
            "Properties": {"DBSubnetGroupDescription": "d", "SubnetIds": [{"Ref": "Subnet0"}, {"Ref": "Subnet1"}]},
        },
        "Parameters": {
            "Type": "AWS::RDS::DBParameterGroup",
            "Properties": {"Description": "d", "Family": "postgres18", "Parameters": {"rds.force_ssl": "1"}},
        },
        "Dead": {"Type": "AWS::SQS::Queue", "Properties": {"RedriveAllowPolicy": {"redrivePermission": "denyAll"}}},
        "DeadPolicy": {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": [{"Ref": "Dead"}], "PolicyDocument": POLICY}},
        "Rule": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "EventPattern": {"source": ["x"]},
                "Targets": [
                    {
                        "Id": "t", "Arn": {"Fn::GetAtt": ["Dead", "Arn"]}, "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["Dead", "Arn"]}},
                        "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 600},
                    }
                ],
            },
        },
    }  # fmt: skip
    ids = stack("pieces", resources).ids()
    (repository,) = client("ecr").describe_repositories(repositoryNames=[ids["Repository"]])["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"]["scanOnPush"] is True
    (cluster,) = client("ecs").describe_clusters(clusters=[ids["Cluster"]], include=["SETTINGS"])["clusters"]
    assert cluster["settings"] == [{"name": "containerInsights", "value": "enabled"}]
    task = client("ecs").describe_task_definition(taskDefinition=ids["Task"])["taskDefinition"]
    assert task["runtimePlatform"] == {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}
    assert task["ephemeralStorage"] == {"sizeInGiB": 30}
    assert task["containerDefinitions"][0]["secrets"] == [{"name": "S", "valueFrom": "arn:x"}]
    (found,) = client("rds").describe_db_subnet_groups(DBSubnetGroupName=ids["Subnets"])["DBSubnetGroups"]
    assert {each["SubnetIdentifier"] for each in found["Subnets"]} == {ids["Subnet0"], ids["Subnet1"]}
    values = client("rds").describe_db_parameters(DBParameterGroupName=ids["Parameters"], Source="user")["Parameters"]
    assert [(each["ParameterName"], each["ParameterValue"]) for each in values] == [("rds.force_ssl", "1")]
    queue = client("sqs").get_queue_attributes(QueueUrl=ids["Dead"], AttributeNames=["All"])["Attributes"]
    assert json.loads(queue["RedriveAllowPolicy"]) == {"redrivePermission": "denyAll"}
    assert json.loads(queue["Policy"]) == POLICY
    (target,) = client("events").list_targets_by_rule(Rule=ids["Rule"])["Targets"]
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 600}
    assert "DeadLetterConfig" in target
