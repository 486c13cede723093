"""The endpoint of a DB instance: TLS demanded or not, passwords relayed, IAM tokens checked, secrets managed."""

from __future__ import annotations

import io
import json
import socket
import ssl
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pg8000.dbapi as pg8000
import pytest
from embedded_tools import ROLE, Stack, clients_of, eventually, function

from tocsin.cloud.embedded import embedded

# The driver leaves the socket of a refused login to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
PASSWORD = "a-master-password"
OUTPUTS = {
    "Host": {"Value": {"Fn::GetAtt": ["Database", "Endpoint.Address"]}},
    "Port": {"Value": {"Fn::GetAtt": ["Database", "Endpoint.Port"]}},
    "Id": {"Value": {"Fn::GetAtt": ["Database", "DbiResourceId"]}},
}


def instance(**properties: object) -> dict:
    return {
        "Type": "AWS::RDS::DBInstance",
        "Properties": {
            "DBInstanceIdentifier": "store", "Engine": "postgres", "EngineVersion": "18", "DBName": "sales",
            "DBInstanceClass": "db.t4g.micro", "AllocatedStorage": "20", "MasterUsername": "owner",
            **properties,
        },
    }  # fmt: skip


class Endpoint:
    """Ways to log in at one instance's endpoint."""

    def __init__(self, aws: Any, made: Stack) -> None:
        outputs = made.outputs()
        self.host, self.port, self.resource_id = outputs["Host"], int(outputs["Port"]), outputs["Id"]
        self.trusting = ssl.create_default_context(cafile=str(aws.ca_file))

    def connect(self, user: str, password: str, *, tls: bool = True, database: str = "sales") -> Any:
        context = self.trusting if tls else False
        return pg8000.connect(
            user=user, password=password, host=self.host, port=self.port, database=database, ssl_context=context
        )

    def owner(self, password: str = PASSWORD) -> Any:
        connection = self.connect("owner", password)
        connection.autocommit = True
        return connection

    def token(self, client: Any, user: str = "loader", **other: Any) -> str:
        target = {"DBHostname": self.host, "Port": self.port, "DBUsername": user, **other}
        return client.generate_db_auth_token(**target)


@pytest.fixture(scope="module")
def endpoint(aws, client) -> Endpoint:
    """An instance with IAM authentication, a user ``loader`` in rds_iam and a user ``clerk`` with a password."""
    made = Stack(client("cloudformation"), "store")
    made.create({"Database": instance(MasterUserPassword=PASSWORD, EnableIAMDatabaseAuthentication=True)}, OUTPUTS)
    found = Endpoint(aws, made)
    owner = found.owner()
    for statement in (
        "CREATE ROLE loader LOGIN",
        "GRANT rds_iam TO loader",
        "CREATE ROLE clerk LOGIN PASSWORD 'clerks-password'",
        "CREATE TABLE rows (text text, n int)",
        "GRANT INSERT, SELECT ON rows TO loader",
    ):
        owner.cursor().execute(statement)
    owner.close()
    return found


def current_user(connection: Any) -> str:
    cursor = connection.cursor()
    cursor.execute("SELECT current_user")
    (user,) = cursor.fetchone()
    connection.close()
    return user


def test_password_users_log_in_over_tls(endpoint):
    assert current_user(endpoint.connect("owner", PASSWORD)) == "owner"
    assert current_user(endpoint.connect("clerk", "clerks-password")) == "clerk"
    for user, password in (("owner", "wrong"), ("clerk", "wrong"), ("nobody", "wrong"), ("rdsadmin", "")):
        with pytest.raises(pg8000.Error, match="password authentication failed"):
            endpoint.connect(user, password)


def test_the_certificate_is_for_the_endpoint_and_verifies(endpoint):
    with socket.create_connection((endpoint.host, endpoint.port)) as plain:
        plain.sendall(struct.pack("!ii", 8, 80877103))
        assert plain.recv(1) == b"S"
        with endpoint.trusting.wrap_socket(plain, server_hostname=endpoint.host) as secure:
            assert secure.version() in ("TLSv1.2", "TLSv1.3")
    with pytest.raises(ssl.SSLCertVerificationError):
        pg8000.connect(
            user="owner", password=PASSWORD, host=endpoint.host, port=endpoint.port,
            ssl_context=ssl.create_default_context(),
        )  # fmt: skip


@pytest.mark.parametrize(("user", "password"), [("owner", PASSWORD), ("loader", "token")])
def test_plain_connections_are_refused_in_postgresqls_words(endpoint, client, user, password):
    given = endpoint.token(client("rds")) if password == "token" else password
    with pytest.raises(pg8000.Error) as caught:
        endpoint.connect(user, given, tls=False)
    error = caught.value.args[0]
    assert (error["S"], error["C"]) == ("FATAL", "28000")
    assert error["M"] == f'no pg_hba.conf entry for host "127.0.0.1", user "{user}", database "sales", no encryption'


def test_a_token_lets_its_user_in_and_nothing_else_does(endpoint, client):
    rds = client("rds")
    assert current_user(endpoint.connect("loader", endpoint.token(rds))) == "loader"
    token = endpoint.token(rds)
    wrong = {
        "a password": "clerks-password",
        "another user's": endpoint.token(rds, user="clerk"),
        "another port's": endpoint.token(rds, Port=endpoint.port + 1),
        "another host's": endpoint.token(rds, DBHostname="elsewhere"),
        "a changed signature": token[:-1] + ("0" if token[-1] != "0" else "1"),
        "unknown credentials": endpoint.token(client("rds", "AKIAUNKNOWN", "secret")),
        "a wrong secret": endpoint.token(client("rds", "test", "other")),
        "an invented session": endpoint.token(client("rds", "test", "test", "session")),
        "another service's": token.replace("Action=connect", "Action=other"),
        "a presigned call": client("sts").generate_presigned_url("get_caller_identity"),
        "nothing": "",
    }
    for what, password in wrong.items():
        with pytest.raises(pg8000.Error) as caught:
            endpoint.connect("loader", password)
        assert caught.value.args[0]["M"] == 'PAM authentication failed for user "loader"', what
    with pytest.raises(pg8000.Error, match="password authentication failed"):
        endpoint.connect("clerk", endpoint.token(rds, user="clerk"))  # clerk is no member of rds_iam


def signed_at(endpoint: Endpoint, moment: float) -> str:
    """A token as it was made at another time: the SDK's signer with its clock moved."""
    import datetime
    from unittest.mock import patch

    import botocore.auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    url = f"https://{endpoint.host}:{endpoint.port}/?Action=connect&DBUser=loader"
    request = AWSRequest("GET", url)
    signer = botocore.auth.SigV4QueryAuth(Credentials("test", "test"), "rds-db", "eu-west-1", expires=900)
    when = datetime.datetime.fromtimestamp(moment, datetime.UTC).replace(tzinfo=None)
    name = "get_current_datetime"
    with patch.object(botocore.auth, name, lambda *_args, **_named: when):
        signer.add_auth(request)
    return request.url.removeprefix("https://")


def test_a_token_is_good_for_fifteen_minutes(endpoint):
    assert current_user(endpoint.connect("loader", signed_at(endpoint, time.time() - 840))) == "loader"
    for moment in (time.time() - 901, time.time() + 600):
        with pytest.raises(pg8000.Error, match="PAM authentication failed"):
            endpoint.connect("loader", signed_at(endpoint, moment))


def test_sessions_of_roles_bring_their_session_token(endpoint, client):
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
    client("iam").create_role(RoleName="job", AssumeRolePolicyDocument=json.dumps(trust))
    arn = "arn:aws:iam::000000000000:role/job"
    given = client("sts").assume_role(RoleArn=arn, RoleSessionName="one")["Credentials"]
    keys = (given["AccessKeyId"], given["SecretAccessKey"])
    assert (
        current_user(endpoint.connect("loader", endpoint.token(client("rds", *keys, given["SessionToken"]))))
        == "loader"
    )
    for token in (None, "another"):
        with pytest.raises(pg8000.Error, match="PAM authentication failed"):
            endpoint.connect("loader", endpoint.token(client("rds", *keys, token)))


def test_many_at_once(endpoint, client):
    token = endpoint.token(client("rds"))

    def ask(number: int) -> int:
        connection = endpoint.connect("loader", token)
        cursor = connection.cursor()
        cursor.execute("SELECT %s::int", (number,))
        (found,) = cursor.fetchone()
        connection.close()
        return found

    with ThreadPoolExecutor(30) as pool:
        assert list(pool.map(ask, range(90))) == list(range(90))


def test_a_copy_of_many_megabytes_goes_through_both_ways(endpoint, client):
    content = b"".join(b"%s,%d\n" % (b"x" * 80, number) for number in range(200_000))
    connection = endpoint.connect("loader", endpoint.token(client("rds")))
    cursor = connection.cursor()
    cursor.execute("COPY rows FROM STDIN (FORMAT csv)", stream=io.BytesIO(content))
    back = io.BytesIO()
    cursor.execute("COPY rows TO STDOUT (FORMAT csv)", stream=back)
    assert back.getvalue() == content
    connection.close()


def test_cancel_request_reaches_the_server(endpoint):
    connection = endpoint.connect("owner", PASSWORD)
    cursor = connection.cursor()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cursor.execute, "SELECT pg_sleep(60)")
        watching = endpoint.owner()
        watcher = watching.cursor()

        def sleeping() -> bool:
            watcher.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            return watcher.fetchone() == [1]

        eventually(sleeping, "the statement to run")
        with socket.create_connection((endpoint.host, endpoint.port)) as plain:
            plain.sendall(struct.pack("!ii", 16, 80877102) + connection._backend_key_data)
        with pytest.raises(pg8000.Error, match="canceling statement due to user request"):
            waiting.result(20)
    watching.close()
    connection.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\0\0\0\x08",
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("!ii", 8, 80877103) + struct.pack("!ii", 8, 196608),  # words before the handshake
        struct.pack("!ii", 2**31 - 1, 196608),
        struct.pack("!ii", -1, 196608),
    ],
)
def test_nonsense_is_hung_up_on_and_others_go_on(endpoint, sent):
    with socket.create_connection((endpoint.host, endpoint.port)) as plain:
        plain.settimeout(10)
        plain.sendall(sent)
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(4096):
            pass
    endpoint.owner().close()


def test_a_session_ends_on_the_server_with_its_client(endpoint, aws):
    watching = endpoint.owner()
    leaving = endpoint.connect("clerk", "clerks-password")

    def clerks() -> int:
        cursor = watching.cursor()
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'clerk'")
        return cursor.fetchone()[0]

    assert clerks() == 1
    leaving._usock.shutdown(socket.SHUT_RDWR)  # gone without a word
    eventually(lambda: clerks() == 0, "the server's side to end")
    watching.close()


def test_parameter_group_decides_about_tls(stack, client, aws):
    def group(value: str) -> dict:
        properties = {"Family": "postgres18", "Description": "d", "Parameters": {"rds.force_ssl": value}}
        return {"Type": "AWS::RDS::DBParameterGroup", "Properties": properties}

    database = instance(DBInstanceIdentifier="lax", MasterUserPassword=PASSWORD, DBParameterGroupName={"Ref": "Group"})
    made = stack("lax", {"Group": group("0"), "Database": database}, OUTPUTS)
    lax = Endpoint(aws, made)
    lax.connect("owner", PASSWORD, tls=False).close()
    lax.owner().close()
    assert made.update({"Group": group("1"), "Database": database}, OUTPUTS) == "UPDATE_COMPLETE"
    with pytest.raises(pg8000.Error, match="no encryption"):
        lax.connect("owner", PASSWORD, tls=False)
    (described,) = client("rds").describe_db_instances(DBInstanceIdentifier="lax")["DBInstances"]
    assert [each["DBParameterGroupName"] for each in described["DBParameterGroups"]] == [made.ids()["Group"]]


def test_without_iam_authentication_no_token_helps(stack, client, aws):
    made = stack("none", {"Database": instance(DBInstanceIdentifier="none", MasterUserPassword=PASSWORD)}, OUTPUTS)
    none = Endpoint(aws, made)
    owner = none.owner()
    owner.cursor().execute("CREATE ROLE loader LOGIN IN ROLE rds_iam")
    owner.close()
    with pytest.raises(pg8000.Error, match="PAM authentication failed"):
        none.connect("loader", none.token(client("rds")))
    client("rds").modify_db_instance(
        DBInstanceIdentifier="none", EnableIAMDatabaseAuthentication=True, ApplyImmediately=True
    )
    assert current_user(none.connect("loader", none.token(client("rds")))) == "loader"


@pytest.fixture
def managed(stack, client, aws) -> Callable[[], tuple[Endpoint, str]]:
    def make() -> tuple[Endpoint, str]:
        secret = {"Secret": {"Value": {"Fn::GetAtt": ["Database", "MasterUserSecret.SecretArn"]}}}
        database = instance(
            DBInstanceIdentifier="managed", ManageMasterUserPassword=True, MasterUserSecret={"KmsKeyId": "alias/k"}
        )
        made = stack("managed", {"Database": database}, OUTPUTS | secret)
        return Endpoint(aws, made), made.outputs()["Secret"]

    return make


def secret_of(client, arn: str, stage: str = "AWSCURRENT") -> dict[str, str]:
    return json.loads(client("secretsmanager").get_secret_value(SecretId=arn, VersionStage=stage)["SecretString"])


@pytest.mark.parametrize("how", ["secret", "instance"])
def test_rotation_changes_the_password_in_secret_and_server(managed, client, how):
    found, arn = managed()
    (described,) = client("rds").describe_db_instances(DBInstanceIdentifier="managed")["DBInstances"]
    assert described["MasterUserSecret"] == {"SecretArn": arn, "SecretStatus": "active", "KmsKeyId": "alias/k"}
    before = secret_of(client, arn)
    assert before["username"] == "owner"
    found.owner(before["password"]).close()
    if how == "secret":
        client("secretsmanager").rotate_secret(SecretId=arn)
    else:
        client("rds").modify_db_instance(
            DBInstanceIdentifier="managed", RotateMasterUserPassword=True, ApplyImmediately=True
        )
    after = secret_of(client, arn)
    assert after["password"] != before["password"]
    found.owner(after["password"]).close()
    with pytest.raises(pg8000.Error, match="password authentication failed"):
        found.owner(before["password"])
    assert secret_of(client, arn, "AWSPREVIOUS") == before


def test_protected_instance_is_not_deleted(stack, client):
    protected = instance(DBInstanceIdentifier="kept", MasterUserPassword=PASSWORD, DeletionProtection=True)
    made = stack("kept", {"Database": protected})
    assert made.delete() == "DELETE_FAILED"
    assert any("disable deletion protection" in reason for reason in made.reasons())
    client("rds").modify_db_instance(DBInstanceIdentifier="kept", DeletionProtection=False, ApplyImmediately=True)
    assert made.delete() == "DELETE_COMPLETE"


def test_where_iam_is_enforced_the_policy_decides(tmp_path):
    with embedded(tmp_path, iam=True) as aws:
        client = clients_of(aws)
        made = Stack(client("cloudformation"), "store")
        made.create({"Database": instance(MasterUserPassword=PASSWORD, EnableIAMDatabaseAuthentication=True)}, OUTPUTS)
        found = Endpoint(aws, made)
        owner = found.owner()
        owner.cursor().execute("CREATE ROLE loader LOGIN IN ROLE rds_iam")
        owner.cursor().execute("CREATE ROLE reader LOGIN IN ROLE rds_iam")
        owner.close()
        iam = client("iam")
        trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
        iam.create_role(RoleName="loading", AssumeRolePolicyDocument=json.dumps(trust))
        given = client("sts").assume_role(
            RoleArn="arn:aws:iam::000000000000:role/loading", RoleSessionName="one"
        )["Credentials"]  # fmt: skip
        rds = client("rds", given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])

        def allow(user: str, instance_id: str) -> None:
            resource = f"arn:aws:rds-db:eu-west-1:000000000000:dbuser:{instance_id}/{user}"
            statement = {"Effect": "Allow", "Action": "rds-db:connect", "Resource": resource}
            iam.put_role_policy(
                RoleName="loading", PolicyName="p", PolicyDocument=json.dumps({"Statement": [statement]})
            )

        def enters(user: str) -> bool:
            try:
                found.connect(user, found.token(rds, user)).close()
            except pg8000.Error as error:
                if "PAM authentication failed" in str(error):
                    return False
                raise
            return True

        assert not enters("loader")
        allow("loader", "db-SOMEOTHER")
        assert not enters("loader")
        allow("loader", found.resource_id)
        assert enters("loader")
        assert not enters("reader")

        Stack(client("cloudformation"), "function").create(from_a_function(found))
        answers = {
            user: json.load(
                client("lambda").invoke(FunctionName="connecting", Payload=json.dumps({"user": user}))["Payload"]
            )
            for user in ("loader", "reader")
        }
        assert answers == {"loader": "loader", "reader": "PAM authentication failed"}


def from_a_function(endpoint: Endpoint) -> dict:
    """A function whose role may connect as ``loader``, over TLS that it verifies."""
    code = """
import os, ssl
import boto3, pg8000.dbapi
def handler(event, context):
    host, port = os.environ["HOST"], int(os.environ["PORT"])
    token = boto3.client("rds").generate_db_auth_token(DBHostname=host, Port=port, DBUsername=event["user"])
    trusting = ssl.create_default_context(cafile=os.environ["PGSSLROOTCERT"])
    try:
        connection = pg8000.dbapi.connect(
            user=event["user"], password=token, host=host, port=port, database="sales", ssl_context=trusting)
    except pg8000.Error as error:
        return str(error.args[0]["M"])[:25]
    cursor = connection.cursor()
    cursor.execute("SELECT current_user")
    return cursor.fetchone()[0]
"""
    resource = f"arn:aws:rds-db:eu-west-1:000000000000:dbuser:{endpoint.resource_id}/loader"
    statement = {"Effect": "Allow", "Action": "rds-db:connect", "Resource": resource}
    policy = {"PolicyName": "connect", "PolicyDocument": {"Statement": [statement]}}
    role = {**ROLE, "Properties": {**ROLE["Properties"], "Policies": [policy]}}
    variables = {"HOST": endpoint.host, "PORT": str(endpoint.port)}
    return {"Role": role, "Function": function("connecting", code, Environment={"Variables": variables})}


def test_quoting_is_not_needed_for_odd_passwords(stack, client, aws):
    odd = "o'dd \"pass\\word ümlaut" + quote("%")
    made = stack("odd", {"Database": instance(DBInstanceIdentifier="odd", MasterUserPassword=odd)}, OUTPUTS)
    Endpoint(aws, made).owner(odd).close()
