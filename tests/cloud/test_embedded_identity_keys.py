"""Keys of the embedded AWS with ``iam``: who may read a thing may read it only with its key."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tocsin.cloud.embedded import EmbeddedAws, embedded

ACCOUNT = "000000000000"
REGION = "eu-west-1"
WORK = ("s3:*", "sqs:*", "sns:*", "secretsmanager:*")


@pytest.fixture(scope="module")
def aws(tmp_path_factory) -> Iterator[EmbeddedAws]:
    with embedded(tmp_path_factory.mktemp("aws"), iam=True) as running:
        yield running


@pytest.fixture(scope="module")
def key(client) -> str:
    """A key that the account's IAM gives out, through services only."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "kms:*",
        "Resource": "*",
        "Condition": {"StringLike": {"kms:ViaService": f"*.{REGION}.amazonaws.com", "kms:CallerAccount": ACCOUNT}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    arn: str = client("kms").create_key(Policy=policy)["KeyMetadata"]["Arn"]
    return arn


@pytest.fixture(scope="module")
def holder(client, key) -> Callable[..., Callable[[str], Any]]:
    """``holder("kms:Decrypt", via="s3")``: clients of a user who may work with everything, and with the key so far."""
    count = iter(range(1000))

    def create(*actions: str, via: str = "*") -> Callable[[str], Any]:
        name = f"holder-{next(count)}"
        statements: list[Mapping[str, Any]] = [{"Effect": "Allow", "Action": list(WORK), "Resource": "*"}]
        if actions:
            through = {"StringLike": {"kms:ViaService": f"{via}.{REGION}.amazonaws.com"}}
            statements.append({"Effect": "Allow", "Action": list(actions), "Resource": key, "Condition": through})
        iam = client("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Statement": statements}))
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return lambda service: client(service, access_key=made["AccessKeyId"], secret_key=made["SecretAccessKey"])

    return create


@pytest.fixture(scope="module", autouse=True)
def things(client, key) -> dict[str, str]:
    s3 = client("s3")
    s3.create_bucket(Bucket="locked", CreateBucketConfiguration={"LocationConstraint": REGION})
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    s3.put_bucket_encryption(Bucket="locked", ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_object(Bucket="locked", Key="k", Body=b"1")
    client("secretsmanager").create_secret(Name="locked", SecretString="x", KmsKeyId=key)
    url = client("sqs").create_queue(QueueName="locked", Attributes={"KmsMasterKeyId": key})["QueueUrl"]
    topic = client("sns").create_topic(Name="locked", Attributes={"KmsMasterKeyId": key})["TopicArn"]
    return {"queue": url, "topic": topic}


CALLS: dict[str, Callable[[Any, Mapping[str, str]], Any]] = {
    "s3 get": lambda c, _: c("s3").get_object(Bucket="locked", Key="k"),
    "s3 put": lambda c, _: c("s3").put_object(Bucket="locked", Key="k2", Body=b"2"),
    "s3 parts": lambda c, _: c("s3").upload_part(
        Bucket="locked", Key="k3", PartNumber=1, Body=b"3",
        UploadId=c("s3").create_multipart_upload(Bucket="locked", Key="k3")["UploadId"],
    ),
    "secretsmanager get": lambda c, _: c("secretsmanager").get_secret_value(SecretId="locked"),
    "sqs send": lambda c, things: c("sqs").send_message(QueueUrl=things["queue"], MessageBody="x"),
    "sqs receive": lambda c, things: c("sqs").receive_message(QueueUrl=things["queue"]),
    "sns publish": lambda c, things: c("sns").publish(TopicArn=things["topic"], Message="x"),
}  # fmt: skip
NEEDED = [
    ("s3 get", "kms:Decrypt"),
    ("s3 put", "kms:GenerateDataKey"),
    ("s3 parts", "kms:GenerateDataKey"),
    ("s3 parts", "kms:Decrypt"),
    ("secretsmanager get", "kms:Decrypt"),
    ("sqs send", "kms:GenerateDataKey"),
    ("sqs send", "kms:Decrypt"),
    ("sqs receive", "kms:Decrypt"),
    ("sns publish", "kms:GenerateDataKey"),
]


@pytest.mark.parametrize(("call", "missing"), NEEDED)
def test_call_needs_the_key(holder, things, call, missing):
    service = call.partition(" ")[0]
    both = {"kms:Decrypt", "kms:GenerateDataKey"}
    CALLS[call](holder(*both, via=service), things)
    with pytest.raises(ClientError, match=f"not authorized to perform: (?i:{missing})"):
        CALLS[call](holder(*(both - {missing})), things)
    with pytest.raises(ClientError, match=r"not authorized to perform: (?i:kms:)"):
        CALLS[call](holder(*both, via="another"), things)


def test_key_is_not_used_where_another_encryption_is_asked_for(holder):
    s3 = holder()("s3")
    s3.put_object(Bucket="locked", Key="plain", Body=b"1", ServerSideEncryption="AES256")
    assert s3.get_object(Bucket="locked", Key="plain")["Body"].read() == b"1"


def test_root_and_key_policy_without_the_account(client, holder, things, key):
    client("s3").get_object(Bucket="locked", Key="k")
    allowed = holder("kms:Decrypt", via="s3")
    CALLS["s3 get"](allowed, things)
    before = client("kms").get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    client("kms").put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps({"Statement": []}))
    try:
        with pytest.raises(ClientError, match="kms:Decrypt"):
            CALLS["s3 get"](allowed, things)
    finally:
        client("kms").put_key_policy(KeyId=key, PolicyName="default", Policy=before)
