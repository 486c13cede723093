"""Custom resources: a function is asked, answers over TLS, and its refusals, silences and crashes fail the stack."""

from __future__ import annotations

import json

import pytest
from embedded_tools import ROLE, Stack, function

ANSWERING = """
import json, os, urllib.request
import boto3
table = {"asked": []}
def handler(event, context):
    boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody=json.dumps(event))
    properties = event["ResourceProperties"]
    mode = properties.get("Mode", "fine")
    if mode == "crash":
        raise RuntimeError("no such database")
    if mode == "silent":
        return
    failing = mode == "refuse" and event["RequestType"] != "Delete"
    answer = {
        "Status": "FAILED" if failing else "SUCCESS",
        "PhysicalResourceId": properties.get("Name", "schema"),
        "StackId": event["StackId"], "RequestId": event["RequestId"], "LogicalResourceId": event["LogicalResourceId"],
        "Data": {"Version": "7", "Echo": properties.get("Echo", "")},
    }
    if failing:
        answer["Reason"] = "migration 0003 failed: column exists"
    if mode == "nameless":
        del answer["PhysicalResourceId"]
    request = urllib.request.Request(event["ResponseURL"], data=json.dumps(answer).encode(), method="PUT")
    assert event["ResponseURL"].startswith("https://")
    urllib.request.urlopen(request, timeout=5).read()
"""


def resources(**properties: object) -> dict:
    return {
        "Role": ROLE,
        "Asked": {"Type": "AWS::SQS::Queue"},
        "Function": function("migrator", ANSWERING, Environment={"Variables": {"QUEUE": {"Ref": "Asked"}}}),
        "Schema": {
            "Type": "Custom::Schema",
            "Properties": {"ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]}, **properties},
        },
    }


def requests(client, queue: str) -> list[dict]:
    sqs, found = client("sqs"), []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_create_change_replace_and_delete(client):
    made = Stack(client("cloudformation"), "custom")
    outputs = {
        "Version": {"Value": {"Fn::GetAtt": ["Schema", "Version"]}},
        "Id": {"Value": {"Ref": "Schema"}},
        "Echo": {"Value": {"Fn::GetAtt": ["Schema", "Echo"]}},
    }
    made.create(resources(Echo=1, Deep={"Yes": True}), outputs)
    queue = made.ids()["Asked"]
    assert made.outputs() == {"Version": "7", "Id": "schema", "Echo": "1"}
    (asked,) = requests(client, queue)
    assert (asked["RequestType"], asked["ResourceType"], asked["LogicalResourceId"]) == (
        "Create",
        "Custom::Schema",
        "Schema",
    )
    assert asked["ResourceProperties"]["Deep"] == {"Yes": "true"}
    assert asked["StackId"].startswith("arn:aws:cloudformation:")

    assert made.update(resources(Echo=2), outputs) == "UPDATE_COMPLETE"
    (asked,) = requests(client, queue)
    assert (asked["RequestType"], asked["PhysicalResourceId"]) == ("Update", "schema")
    assert (asked["OldResourceProperties"]["Echo"], asked["ResourceProperties"]["Echo"]) == ("1", "2")

    assert made.update(resources(Echo=2), outputs | {"More": {"Value": "x"}}) == "UPDATE_COMPLETE"
    assert requests(client, queue) == []  # nothing of it changed

    assert made.update(resources(Echo=2, Name="other"), outputs) == "UPDATE_COMPLETE"
    kinds = [(each["RequestType"], each.get("PhysicalResourceId")) for each in requests(client, queue)]
    assert kinds == [("Update", "schema"), ("Delete", "schema")]
    assert made.outputs()["Id"] == "other"
    assert made.delete() == "DELETE_COMPLETE"


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("refuse", "Message returned: migration 0003 failed: column exists"),
        ("crash", "RuntimeError: no such database"),
        ("silent", "did not receive a response from your Custom Resource within 1 seconds"),
        ("nameless", "Invalid PhysicalResourceId"),
    ],
)
def test_what_fails_rolls_the_stack_back_and_says_why(client, mode, reason):
    made = Stack(client("cloudformation"), f"custom-{mode}")
    try:
        with pytest.raises(AssertionError):
            made.create(resources(Mode=mode, ServiceTimeout=1))
        assert made.settled() == "ROLLBACK_COMPLETE"
        assert any(reason in each for each in made.reasons()), made.reasons()
    finally:
        made.delete()


def test_what_failed_to_be_created_is_asked_to_delete_itself(client):
    keep = {**resources(Mode="refuse")}
    sqs = client("sqs")
    queue = sqs.create_queue(QueueName="asked-before")["QueueUrl"]
    keep["Function"]["Properties"]["Environment"] = {"Variables": {"QUEUE": queue}}
    made = Stack(client("cloudformation"), "custom-undone")
    with pytest.raises(AssertionError):
        made.create(keep)
    asked = [(each["RequestType"], each.get("PhysicalResourceId")) for each in requests(client, queue)]
    assert asked == [("Create", None), ("Delete", "schema")]
    made.delete()


def test_failed_change_goes_back_to_what_was(client):
    made = Stack(client("cloudformation"), "custom-back")
    made.create(resources(Echo=1))
    queue = made.ids()["Asked"]
    requests(client, queue)
    assert made.update(resources(Echo=2, Mode="refuse")) == "UPDATE_ROLLBACK_COMPLETE"
    kinds = [(each["RequestType"], each["ResourceProperties"]["Echo"]) for each in requests(client, queue)]
    assert kinds == [("Update", "2"), ("Update", "1")]
    assert made.delete() == "DELETE_COMPLETE"


def test_missing_function_and_bad_timeout_are_clear(client):
    for properties, reason in (
        ({"ServiceToken": "arn:aws:lambda:eu-west-1:000000000000:function:nobody"}, "does not exist"),
        ({"ServiceTimeout": 4000}, "from 1 to 3600"),
    ):
        made = Stack(client("cloudformation"), "custom-wrong")
        with pytest.raises(AssertionError):
            made.create(resources(**properties))
        assert any(reason in each for each in made.reasons())
        made.delete()
