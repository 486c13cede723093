"""The data pipeline's bucket as CloudFormation: the key that encrypts it, who may read and write, how long things stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from troposphere import Equals, GetAtt, If, Join, Not, NoValue, Output, Parameter, Ref, Split, Sub, Template, kms, s3

from deploy.functions import KEPT, Value
from deploy.keys import THIS_KEY, key_policy, use_through

INCOMING, QUARANTINE = "incoming/", "quarantine/"

# The bucket tells the loader, so the loader, its role and its permission must know the bucket's name before it exists.
BUCKET_NAME = "${AWS::StackName}-incoming-${AWS::AccountId}-${AWS::Region}"
BUCKET_ARN = f"arn:${{AWS::Partition}}:s3:::{BUCKET_NAME}"

# Parameter with names -> condition that there are any.
NAMED = {"WriterArns": "HasWriters", "ReaderArns": "HasReaders", "DeliveryRoleArn": "HasDelivery"}


def add_storage_parameters(stack: Template) -> None:
    """Who may put files and read them beside the pipeline itself, and how long they stay."""
    for name, purpose in (("WriterArns", "may put files under incoming/"), ("ReaderArns", "may read all files")):
        stack.add_parameter(
            Parameter(name, Type="CommaDelimitedList", Default="", Description=f"ARNs of roles and users who {purpose}")
        )
    stack.add_parameter(
        Parameter(
            "DeliveryRoleArn",
            Type="String",
            Default="",
            Description="Role that puts a file of its own to validate a deployment; empty for none",
        )
    )
    for name, condition in NAMED.items():
        value = Ref(name) if name == "DeliveryRoleArn" else Join("", Ref(name))
        stack.add_condition(condition, Not(Equals(value, "")))
    for name, default, purpose in (
        ("QuarantineRetentionDays", 90, "rejected rows"),
        ("NoncurrentRetentionDays", 30, "versions of files that were replaced or deleted"),
        ("AccessLogRetentionDays", 90, "the log of who did what in the bucket"),
    ):
        stack.add_parameter(
            Parameter(name, Type="Number", Default=default, MinValue=1, Description=f"Days to keep {purpose}")
        )


def add_key(stack: Template) -> kms.Key:
    """The key of everything the pipeline keeps: files, database, secret."""
    return stack.add_resource(
        kms.Key(
            "DataKey",
            UpdateReplacePolicy="Retain",
            DeletionPolicy=KEPT,  # what it encrypts outlives the stack: snapshots, files
            Description="Encrypts the files, the database and its secret",
            EnableKeyRotation=True,
            PendingWindowInDays=30,
            KeyPolicy=key_policy(
                *use_through(["s3", "rds", "secretsmanager"]),
                # Roles of this account get what their own policies allow; those of others must be named here.
                _key_of_named("HasWriters", "WriterArns", ["kms:Decrypt", "kms:GenerateDataKey"]),
                _key_of_named("HasReaders", "ReaderArns", ["kms:Decrypt"]),
            ),
        )
    )


def _key_of_named(condition: str, parameter: str, actions: Sequence[str]) -> If:
    statement = {
        "Sid": parameter,
        "Effect": "Allow",
        "Principal": {"AWS": Ref(parameter)},
        "Action": list(actions),
        "Resource": THIS_KEY,
        "Condition": {"StringEquals": {"kms:ViaService": Sub("s3.${AWS::Region}.amazonaws.com")}},
    }
    return If(condition, statement, NoValue)


def add_bucket(stack: Template, key: kms.Key, loader: Value, permission: str, task_role: Value) -> None:
    """The bucket, which tells the function ``loader`` of each file as soon as ``permission`` allows it."""
    log = _add_access_log(stack)
    bucket = stack.add_resource(
        s3.Bucket(
            "Incoming",
            DependsOn=[permission],
            UpdateReplacePolicy="Retain",
            DeletionPolicy="Delete",  # refused by S3 while there is a file in it
            BucketName=Sub(BUCKET_NAME),
            VersioningConfiguration=s3.VersioningConfiguration(Status="Enabled"),
            BucketEncryption=s3.BucketEncryption(
                ServerSideEncryptionConfiguration=[
                    s3.ServerSideEncryptionRule(
                        ServerSideEncryptionByDefault=s3.ServerSideEncryptionByDefault(
                            SSEAlgorithm="aws:kms", KMSMasterKeyID=GetAtt(key, "Arn")
                        ),
                        BucketKeyEnabled=True,
                    )
                ]
            ),
            LoggingConfiguration=s3.LoggingConfiguration(DestinationBucketName=Ref(log), LogFilePrefix="incoming/"),
            LifecycleConfiguration=s3.LifecycleConfiguration(
                Rules=[
                    s3.LifecycleRule(
                        Id="Leftovers",
                        Status="Enabled",
                        AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(DaysAfterInitiation=1),
                        NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(
                            NoncurrentDays=Ref("NoncurrentRetentionDays")
                        ),
                    ),
                    s3.LifecycleRule(
                        Id="Quarantine",
                        Status="Enabled",
                        Prefix=QUARANTINE,
                        ExpirationInDays=Ref("QuarantineRetentionDays"),
                    ),
                ]
            ),
            NotificationConfiguration=s3.NotificationConfiguration(
                LambdaConfigurations=[
                    s3.LambdaConfigurations(
                        Event="s3:ObjectCreated:*",
                        Function=loader,
                        Filter=s3.Filter(S3Key=s3.S3Key(Rules=[s3.Rules(Name="prefix", Value=INCOMING)])),
                    )
                ]
            ),
            OwnershipControls=_ownership(),
            PublicAccessBlockConfiguration=_nothing_public(),
        )
    )
    stack.add_resource(
        s3.BucketPolicy(
            "IncomingPolicy",
            Bucket=Ref(bucket),
            PolicyDocument={"Version": "2012-10-17", "Statement": _bucket_statements(key, task_role)},
        )
    )
    stack.add_output(Output("IncomingName", Value=Ref(bucket), Description="Bucket that takes the CSV files"))


def _bucket_statements(key: kms.Key, task_role: Value) -> list[Any]:
    """Deny by default: what is done with files is done by those named here, over TLS and with our key.

    Who administers the bucket can still change this policy, and so let himself in, but not unseen.
    """
    everything = [Sub(BUCKET_ARN), Sub(f"{BUCKET_ARN}/*")]
    own = [GetAtt("LoaderRole", "Arn"), task_role]
    encryption = "s3:x-amz-server-side-encryption"
    return [
        _deny("PlainHttp", ["s3:*"], everything, {"Bool": {"aws:SecureTransport": "false"}}),
        _deny(
            "UnnamedReaders",
            ["s3:GetObject*", "s3:ListBucket*", "s3:ListMultipartUploadParts"],
            everything,
            {"ArnNotEquals": {"aws:PrincipalArn": _any_of(own, "ReaderArns", "DeliveryRoleArn")}},
        ),
        _deny(
            "UnnamedWriters",
            ["s3:AbortMultipartUpload", "s3:DeleteObject*", "s3:PutObject*", "s3:ReplicateObject", "s3:RestoreObject"],
            everything,
            {"ArnNotEquals": {"aws:PrincipalArn": _any_of(own, "WriterArns", "DeliveryRoleArn")}},
        ),
        # Nothing said about encryption means the bucket's own, which is right.
        _deny(
            "OtherEncryption",
            ["s3:PutObject"],
            everything[1:],
            {"StringNotEquals": {encryption: "aws:kms"}, "Null": {encryption: "false"}},
        ),
        _deny(
            "OtherKey",
            ["s3:PutObject"],
            everything[1:],
            {
                "ArnNotEquals": {f"{encryption}-aws-kms-key-id": GetAtt(key, "Arn")},
                "Null": {f"{encryption}-aws-kms-key-id": "false"},
            },
        ),
        _allow_named("WriterArns", ["s3:AbortMultipartUpload", "s3:PutObject"], [Sub(f"{BUCKET_ARN}/{INCOMING}*")]),
        _allow_named("ReaderArns", ["s3:GetObject", "s3:GetObjectVersion"], everything[1:]),
        _allow_named("ReaderArns", ["s3:ListBucket", "s3:ListBucketVersions"], everything[:1]),
    ]


def _any_of(always: Sequence[Value], *parameters: str) -> Split:
    """One list of ARNs; a parameter that names nobody adds again what is in the list anyway."""
    named = [
        If(NAMED[name], Ref(name) if name == "DeliveryRoleArn" else Join(",", Ref(name)), always[0])
        for name in parameters
    ]
    return Split(",", Join(",", [*always, *named]))


def _allow_named(parameter: str, actions: Sequence[str], resources: Sequence[Value]) -> If:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": Ref(parameter)},
        "Action": list(actions),
        "Resource": list(resources),
    }
    return If(NAMED[parameter], statement, NoValue)


def _deny(sid: str, actions: Sequence[str], resources: Sequence[Value], condition: dict[str, Any]) -> dict[str, Any]:
    return {
        "Sid": f"Deny{sid}",
        "Effect": "Deny",
        "Principal": "*",
        "Action": list(actions),
        "Resource": list(resources),
        "Condition": condition,
    }


def _add_access_log(stack: Template) -> s3.Bucket:
    """Where S3 writes who did what with the files.  S3 delivers such logs only under its own key (SSE-S3)."""
    log = stack.add_resource(
        s3.Bucket(
            "AccessLog",
            UpdateReplacePolicy="Retain",
            DeletionPolicy=KEPT,
            BucketEncryption=s3.BucketEncryption(
                ServerSideEncryptionConfiguration=[
                    s3.ServerSideEncryptionRule(
                        ServerSideEncryptionByDefault=s3.ServerSideEncryptionByDefault(SSEAlgorithm="AES256")
                    )
                ]
            ),
            VersioningConfiguration=s3.VersioningConfiguration(Status="Enabled"),
            LifecycleConfiguration=s3.LifecycleConfiguration(
                Rules=[
                    s3.LifecycleRule(
                        Id="Old",
                        Status="Enabled",
                        AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(DaysAfterInitiation=1),
                        ExpirationInDays=Ref("AccessLogRetentionDays"),
                        NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(NoncurrentDays=1),
                    )
                ]
            ),
            OwnershipControls=_ownership(),
            PublicAccessBlockConfiguration=_nothing_public(),
        )
    )
    both = [GetAtt(log, "Arn"), Sub("${AccessLog.Arn}/*")]
    stack.add_resource(
        s3.BucketPolicy(
            "AccessLogPolicy",
            Bucket=Ref(log),
            PolicyDocument={
                "Version": "2012-10-17",
                "Statement": [
                    _deny("PlainHttp", ["s3:*"], both, {"Bool": {"aws:SecureTransport": "false"}}),
                    {
                        "Sid": "Deliver",
                        "Effect": "Allow",
                        "Principal": {"Service": "logging.s3.amazonaws.com"},
                        "Action": ["s3:PutObject"],
                        "Resource": [Sub("${AccessLog.Arn}/incoming/*")],
                        "Condition": {
                            "ArnEquals": {"aws:SourceArn": Sub(BUCKET_ARN)},
                            "StringEquals": {"aws:SourceAccount": Ref("AWS::AccountId")},
                        },
                    },
                ],
            },
        )
    )
    return log


def _ownership() -> s3.OwnershipControls:
    return s3.OwnershipControls(Rules=[s3.OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")])


def _nothing_public() -> s3.PublicAccessBlockConfiguration:
    return s3.PublicAccessBlockConfiguration(
        BlockPublicAcls=True, BlockPublicPolicy=True, IgnorePublicAcls=True, RestrictPublicBuckets=True
    )
