"""The checks of the data pipeline: each passes on what was deployed, and fails on what was broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pg8000.native
import pytest
from deploy.package import packages, write_zip
from deploy.run.stage import Stage

from deploy.validate import (
    Target,
    file_travels,
    perform,
    plain_database,
    plain_http,
    public_bucket,
    reader_writes,
)

pytestmark = pytest.mark.long


@contextmanager
def as_owner(stage: Stage) -> Iterator[pg8000.native.Connection]:
    """A connection with all rights, past everything that stands before the database."""
    secret = json.loads(
        stage.client("secretsmanager").get_secret_value(
            SecretId=stage.outputs["data_pipeline"]["DatabaseSecretArn"]
        )["SecretString"]
    )  # fmt: skip
    database = stage.aws.postgres
    with pg8000.native.Connection(
        secret["username"],
        password=secret["password"],
        host=database.host,
        port=database.port,
        database=database.name,
    ) as connection:
        yield connection


@contextmanager
def answers(stage: Stage, function: str, what: str) -> Iterator[None]:
    """The function with code that answers always the same."""
    functions, name = stage.client("lambda"), stage.outputs["data_pipeline"][f"{function}Name"]
    before = functions.get_function_configuration(FunctionName=name)["Handler"]
    code = f"def handler(event, context):\n    return {what}\n"
    functions.update_function_code(FunctionName=name, ZipFile=write_zip({"always.py": code.encode()}))
    functions.update_function_configuration(FunctionName=name, Handler="always.handler")
    try:
        yield
    finally:
        [package] = [each for each in packages("data_pipeline") if each.parameter == f"{function}CodeKey"]
        functions.update_function_code(FunctionName=name, ZipFile=package.content)
        functions.update_function_configuration(FunctionName=name, Handler=before)


@pytest.fixture
def bucket(stage: Stage) -> str:
    """The bucket that takes files."""
    return stage.outputs["data_pipeline"]["IncomingName"]


@contextmanager
def another_policy(stage: Stage, bucket: str, policy: dict[str, object] | None) -> Iterator[None]:
    """The bucket with another policy, or with none."""
    s3 = stage.client("s3")
    before = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    if policy is None:
        s3.delete_bucket_policy(Bucket=bucket)
    else:
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    try:
        yield
    finally:
        s3.put_bucket_policy(Bucket=bucket, Policy=before)


def test_a_file_travels_and_is_taken_away(stage: Stage, target: Target, bucket: str) -> None:
    result = perform(file_travels.CHECK, target)
    assert result.passed, result.found
    assert stage.client("s3").list_objects_v2(Bucket=bucket, Prefix="incoming/synthetic/")["KeyCount"] == 0


def test_a_file_that_nobody_is_told_of(stage: Stage, hasty: Target, bucket: str) -> None:
    s3 = stage.client("s3")
    before = s3.get_bucket_notification_configuration(Bucket=bucket)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    try:
        result = perform(file_travels.CHECK, hasty)
    finally:
        del before["ResponseMetadata"]
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=before)
    assert not result.passed
    assert "is not in table synthetic after 2 s" in result.found


def test_plain_http_is_refused(target: Target) -> None:
    result = perform(plain_http.CHECK, target)
    assert result.passed, result.found


def test_a_bucket_without_policy_takes_plain_http(stage: Stage, target: Target, bucket: str) -> None:
    with another_policy(stage, bucket, None):
        result = perform(plain_http.CHECK, target)
    assert (result.passed, result.found) == (False, f"bucket {bucket} was listed over plain HTTP")


def test_an_aws_without_plain_address_shows_nothing(target: Target) -> None:
    result = perform(
        plain_http.CHECK, replace(target, environment=replace(target.environment, plain_endpoint_url=None))
    )
    assert not result.passed
    assert "has no address without TLS; state laptop.plain_endpoint_url" in result.found


def test_a_write_by_the_reader_is_refused(target: Target) -> None:
    result = perform(reader_writes.CHECK, target)
    assert result.passed, result.found
    assert "permission denied" in result.found


def test_a_reader_that_may_insert(stage: Stage, target: Target) -> None:
    with as_owner(stage) as connection:
        connection.run("grant insert on synthetic to reader")
        try:
            result = perform(reader_writes.CHECK, target)
        finally:
            connection.run("revoke insert on synthetic from reader")
    assert (result.passed, result.found) == (False, "a write by the role reader was not refused")


def test_a_plain_connection_is_refused(target: Target) -> None:
    result = perform(plain_database.CHECK, target)
    assert result.passed, result.found


def test_a_database_that_takes_plain_connections(stage: Stage, target: Target) -> None:
    rds = stage.client("rds")
    (instance,) = rds.describe_db_instances()["DBInstances"]
    group = instance["DBParameterGroups"][0]["DBParameterGroupName"]

    def force_tls(value: str) -> None:
        forced = {"ParameterName": "rds.force_ssl", "ParameterValue": value, "ApplyMethod": "immediate"}
        rds.modify_db_parameter_group(DBParameterGroupName=group, Parameters=[forced])

    force_tls("0")
    try:
        result = perform(plain_database.CHECK, target)
    finally:
        force_tls("1")
    assert (result.passed, result.found) == (False, "the database took a connection without TLS")


def test_the_bucket_is_not_public(target: Target) -> None:
    result = perform(public_bucket.CHECK, target)
    assert result.passed, result.found


@pytest.mark.parametrize("setting", public_bucket.SETTINGS)
def test_a_public_access_block_with_a_gap(stage: Stage, target: Target, bucket: str, setting: str) -> None:
    s3, block = stage.client("s3"), dict.fromkeys(public_bucket.SETTINGS, True)
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={**block, setting: False})
    try:
        result = perform(public_bucket.CHECK, target)
    finally:
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    assert (result.passed, result.found) == (False, f"bucket {bucket}: {setting} is off")


def test_a_bucket_without_public_access_block(stage: Stage, target: Target, bucket: str) -> None:
    s3 = stage.client("s3")
    s3.delete_public_access_block(Bucket=bucket)
    try:
        result = perform(public_bucket.CHECK, target)
    finally:
        s3.put_public_access_block(
            Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(public_bucket.SETTINGS, True)
        )
    assert not result.passed
    assert result.found.endswith("RestrictPublicBuckets are off")


def test_a_bucket_that_anybody_may_list(stage: Stage, target: Target, bucket: str) -> None:
    everybody = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": ["s3:ListBucket"],
                "Resource": [f"arn:aws:s3:::{bucket}"],
            }
        ],
    }
    s3 = stage.client("s3")
    s3.delete_public_access_block(Bucket=bucket)
    try:
        with another_policy(stage, bucket, everybody):
            result = perform(public_bucket.CHECK, target)
    finally:
        s3.put_public_access_block(
            Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(public_bucket.SETTINGS, True)
        )
    assert not result.passed
    assert "it was listed without credentials" in result.found
    assert "it was written without credentials" not in result.found
