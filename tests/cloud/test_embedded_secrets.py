"""Secrets Manager of the embedded AWS, and dynamic references of stacks: used, and shown nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from embedded_tools import eventually

SECRET = "not-to-be-shown"


@pytest.fixture
def secrets(client) -> Iterator[Any]:
    one = client("secretsmanager")
    yield one
    for each in one.list_secrets(IncludePlannedDeletion=True)["SecretList"]:
        one.delete_secret(SecretId=each["ARN"], ForceDeleteWithoutRecovery=True)


def code(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def test_versions_and_their_stages(secrets):
    token = "a" * 32
    made = secrets.create_secret(
        Name="v", SecretString="one", ClientRequestToken=token, Tags=[{"Key": "k", "Value": "v"}]
    )
    assert made["VersionId"] == token
    second = secrets.put_secret_value(SecretId="v", SecretString="two")["VersionId"]
    assert secrets.describe_secret(SecretId="v")["VersionIdsToStages"] == {
        token: ["AWSPREVIOUS"],
        second: ["AWSCURRENT"],
    }
    third = secrets.put_secret_value(SecretId="v", SecretString="three", VersionStages=["NEXT"])["VersionId"]
    for query, value in (
        ({}, "two"), ({"VersionId": token}, "one"), ({"VersionStage": "AWSPREVIOUS"}, "one"), ({"VersionStage": "NEXT"}, "three"),
        ({"VersionId": third, "VersionStage": "NEXT"}, "three"),
    ):  # fmt: skip
        assert secrets.get_secret_value(SecretId="v", **query)["SecretString"] == value
    for query in (
        {"VersionId": "b" * 32},
        {"VersionStage": "NONE"},
        {"VersionId": third, "VersionStage": "AWSCURRENT"},
    ):
        with pytest.raises(ClientError) as refused:
            secrets.get_secret_value(SecretId="v", **query)
        assert code(refused) == "ResourceNotFoundException"
    secrets.tag_resource(SecretId="v", Tags=[{"Key": "owner", "Value": "tocsin"}])
    tags = {tag["Key"]: tag["Value"] for tag in secrets.describe_secret(SecretId="v")["Tags"]}
    assert tags == {"k": "v", "owner": "tocsin"}


@pytest.mark.parametrize("call", ["put_secret_value", "update_secret"])
def test_same_token_again_changes_nothing_and_another_value_is_refused(secrets, call):
    secrets.create_secret(Name="t", SecretString="one")
    token = "c" * 32
    for _ in range(2):
        assert getattr(secrets, call)(SecretId="t", SecretString="two", ClientRequestToken=token)["VersionId"] == token
    assert secrets.get_secret_value(SecretId="t")["SecretString"] == "two"
    with pytest.raises(ClientError) as refused:
        getattr(secrets, call)(SecretId="t", SecretString=SECRET, ClientRequestToken=token)
    assert code(refused) == "ResourceExistsException"
    assert SECRET not in str(refused.value)


def test_secret_without_a_value_has_no_version(secrets):
    assert "VersionId" not in secrets.create_secret(Name="empty")
    assert not secrets.describe_secret(SecretId="empty").get("VersionIdsToStages")
    with pytest.raises(ClientError) as refused:
        secrets.get_secret_value(SecretId="empty")
    assert code(refused) == "ResourceNotFoundException"
    secrets.put_secret_value(SecretId="empty", SecretString="now")
    assert secrets.get_secret_value(SecretId="empty")["SecretString"] == "now"
    with pytest.raises(ClientError) as refused:
        secrets.create_secret(Name="empty", SecretString="again")
    assert code(refused) == "ResourceExistsException"


def test_deletion_waits_for_its_window_and_can_be_taken_back(secrets, aws):
    secrets.create_secret(Name="kept", SecretString="one")
    for days in (6, 31):
        with pytest.raises(ClientError) as refused:
            secrets.delete_secret(SecretId="kept", RecoveryWindowInDays=days)
        assert code(refused) == "InvalidParameterException"
    secrets.delete_secret(SecretId="kept", RecoveryWindowInDays=7)
    for call in (
        lambda: secrets.get_secret_value(SecretId="kept"),
        lambda: secrets.put_secret_value(SecretId="kept", SecretString="two"),
        lambda: secrets.create_secret(Name="kept", SecretString="two"),
    ):
        with pytest.raises(ClientError) as refused:
            call()
        assert code(refused) == "InvalidRequestException"
    assert secrets.describe_secret(SecretId="kept")["DeletedDate"] > aws.now()
    secrets.restore_secret(SecretId="kept")
    assert secrets.get_secret_value(SecretId="kept")["SecretString"] == "one"
    secrets.delete_secret(SecretId="kept", RecoveryWindowInDays=7)
    aws.advance(7 * 86400 + 1)
    with pytest.raises(ClientError) as refused:
        secrets.restore_secret(SecretId="kept")
    assert code(refused) == "ResourceNotFoundException"
    secrets.create_secret(Name="kept", SecretString="anew")


# Dynamic references.


def everything(client: Any, stack: str, *more: Any) -> str:
    """All that CloudFormation shows of a stack."""
    cloudformation = client("cloudformation")
    shown = [
        cloudformation.describe_stacks(StackName=stack)["Stacks"],
        cloudformation.describe_stack_events(StackName=stack)["StackEvents"],
        cloudformation.describe_stack_resources(StackName=stack)["StackResources"],
        cloudformation.get_template(StackName=stack)["TemplateBody"],
        cloudformation.get_template_summary(StackName=stack),
        *more,
    ]
    for resource in cloudformation.describe_stack_resources(StackName=stack)["StackResources"]:
        shown.append(
            cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=resource["LogicalResourceId"])
        )
    return json.dumps(shown, default=str)


def subscription(reference: Any) -> dict[str, Any]:
    return {
        "Topic": {"Type": "AWS::SNS::Topic"},
        "Subscription": {
            "Type": "AWS::SNS::Subscription",
            "Properties": {"TopicArn": {"Ref": "Topic"}, "Protocol": "http", "Endpoint": reference},
        },
    }


def endpoint_of(client: Any, made: Any) -> str:
    attributes = client("sns").get_subscription_attributes(SubscriptionArn=made.ids()["Subscription"])["Attributes"]
    return str(attributes["Endpoint"])


@pytest.mark.parametrize(
    "reference",
    [
        "{{resolve:secretsmanager:tocsin/dev/key:SecretString:endpoint}}",
        "{{resolve:secretsmanager:tocsin/dev/key:SecretString:endpoint:AWSCURRENT}}",
        "{{resolve:secretsmanager:tocsin/dev/key:SecretString:endpoint::VERSION}}",
        {"Fn::Sub": "{{resolve:secretsmanager:tocsin/${Stage}/key:SecretString:endpoint::${Version}}}"},
        {"Fn::Sub": "http://127.0.0.1:9/?apiKey={{resolve:secretsmanager:tocsin/${Stage}/key:SecretString:key}}"},
        {"Fn::Join": ["", ["http://127.0.0.1:9/?apiKey=", "{{resolve:ssm-secure:/tocsin/key}}"]]},
        "http://127.0.0.1:9/?apiKey={{resolve:ssm:/tocsin/key:1}}",
    ],
)
def test_reference_reaches_the_resource_and_is_shown_nowhere(stack, client, secrets, aws, reference):
    endpoint = f"http://127.0.0.1:9/?apiKey={SECRET}"
    made = secrets.create_secret(Name="tocsin/dev/key", SecretString=json.dumps({"endpoint": endpoint, "key": SECRET}))
    version = made["VersionId"]
    client("ssm").put_parameter(Name="/tocsin/key", Value=SECRET, Type="SecureString", Overwrite=True)
    if not isinstance(reference, dict):
        reference = reference.replace("VERSION", version)
    parameters = {
        "Stage": {"Type": "String", "Default": "dev"}, "Version": {"Type": "String", "Default": version},
    }  # fmt: skip
    if "ssm:/" in str(reference):
        history = client("ssm").get_parameter_history(Name="/tocsin/key")["Parameters"]
        assert history[0]["Version"] == 1
    one = stack("refers", subscription(reference), {"Out": {"Value": {"Ref": "Subscription"}}}, Parameters=parameters)
    assert endpoint_of(client, one) == endpoint
    assert SECRET not in everything(client, "refers")
    cloudformation = client("cloudformation")
    body = {"Resources": {**subscription(reference), "More": {"Type": "AWS::SNS::Topic"}}, "Parameters": parameters}
    cloudformation.create_change_set(StackName="refers", ChangeSetName="c", TemplateBody=json.dumps(body))

    def described() -> Any:
        found = cloudformation.describe_change_set(StackName="refers", ChangeSetName="c", IncludePropertyValues=True)
        return found if found["Status"] in ("CREATE_COMPLETE", "FAILED") else None

    assert SECRET not in everything(client, "refers", eventually(described, "the change set"))
    assert SECRET not in (aws.directory / "embedded-aws.log").read_text(errors="replace")


def test_new_version_in_the_template_is_read_and_the_same_is_not(stack, client, secrets):
    first = secrets.create_secret(Name="turns", SecretString='{"endpoint": "http://127.0.0.1:9/a"}')["VersionId"]
    reference = "{{resolve:secretsmanager:turns:SecretString:endpoint::%s}}"
    one = stack("turns", subscription(reference % first))
    assert endpoint_of(client, one) == "http://127.0.0.1:9/a"
    second = secrets.put_secret_value(SecretId="turns", SecretString='{"endpoint": "http://127.0.0.1:9/b"}')[
        "VersionId"
    ]
    # A template with dynamic references is never "no update", but the same reference is not read again.
    assert one.update(subscription(reference % first)) == "UPDATE_COMPLETE"
    assert endpoint_of(client, one) == "http://127.0.0.1:9/a"
    assert one.update(subscription(reference % second)) == "UPDATE_COMPLETE"
    assert endpoint_of(client, one) == "http://127.0.0.1:9/b"


@pytest.mark.parametrize(
    "reference",
    [
        "{{resolve:secretsmanager:nowhere:SecretString:endpoint}}",
        "{{resolve:secretsmanager:broken:SecretString:nowhere}}",
        "{{resolve:secretsmanager:broken:SecretString:endpoint::0123456789abcdef0123456789abcdef}}",
        # It resolves, but to what is no endpoint.
        "{{resolve:secretsmanager:broken:SecretString:endpoint}}",
        "{{resolve:ssm:/nowhere}}",
    ],
)
def test_reference_that_fails_rolls_back_and_tells_no_secret(client, secrets, reference):
    secrets.create_secret(Name="broken", SecretString=json.dumps({"endpoint": SECRET}))
    cloudformation = client("cloudformation")
    body = json.dumps({"Resources": subscription(reference)})
    cloudformation.create_stack(StackName="broken", TemplateBody=body)
    status = eventually(
        lambda: (
            (found := cloudformation.describe_stacks(StackName="broken")["Stacks"][0]["StackStatus"]).endswith(
                "COMPLETE"
            )
            and found
        ),
        "the end",
    )
    assert status == "ROLLBACK_COMPLETE"
    assert SECRET not in everything(client, "broken")
    cloudformation.delete_stack(StackName="broken")


def test_parameter_without_echo_is_shown_nowhere(client, stack):
    resources = subscription({"Fn::Sub": "http://127.0.0.1:9/?apiKey=${Key}"})
    one = stack("silent-key", resources, Parameters={"Key": {"Type": "String", "NoEcho": True, "Default": "default"}})
    cloudformation = client("cloudformation")
    body = json.dumps({"Resources": resources, "Parameters": {"Key": {"Type": "String", "NoEcho": True}}})
    given = [{"ParameterKey": "Key", "ParameterValue": SECRET}]
    cloudformation.create_change_set(StackName="silent-key", ChangeSetName="c", TemplateBody=body, Parameters=given)

    def described() -> Any:
        found = cloudformation.describe_change_set(
            StackName="silent-key", ChangeSetName="c", IncludePropertyValues=True
        )
        return found if found["Status"] in ("CREATE_COMPLETE", "FAILED") else None

    found = eventually(described, "the change set")
    assert found["Status"] == "CREATE_COMPLETE"
    assert SECRET not in json.dumps(found, default=str)
    cloudformation.execute_change_set(StackName="silent-key", ChangeSetName="c")
    assert one.settled() == "UPDATE_COMPLETE"
    assert SECRET not in everything(client, "silent-key")
    assert endpoint_of(client, one).endswith(SECRET)
