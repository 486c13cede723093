"""The committed template deployed on an embedded AWS that enforces IAM: from the schedule to a user, and nobody else."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from deploy.package import packages

from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.embedded.authority import Authority

TEMPLATE = Path(__file__).parents[3] / "deploy" / "notification" / "template.yaml"
AUDIENCE = "notifications"
QUICK = {"GenerateTimeoutSeconds": "3", "GenerateVisibilitySeconds": "18", "DeletionProtection": "false"}
PLENTY = {"ApiRateLimit": "1000", "ApiBurstLimit": "1000"}


@pytest.fixture(scope="module")
def enforcing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    with embedded(tmp_path_factory.mktemp("enforcing"), iam=True) as running:
        yield running


@dataclass
class Deployed:
    """The deployed system, and what is done to it and asked of it from outside."""

    aws: EmbeddedAws
    outputs: dict[str, str]
    clients: dict[str, Any]

    def client(self, service: str) -> Any:
        return self.clients.setdefault(service, client_of(self.aws, service))

    def put(self, table: str, **texts: str) -> None:
        item = {name: {"S": text} for name, text in texts.items()}
        self.client("dynamodb").put_item(TableName=self.outputs[f"{table}Name"], Item=item)

    def get(
        self, user: str, headers: Callable[[str], dict[str, str]] = lambda url: {}, query: str = ""
    ) -> tuple[int, Any]:
        """What the API answers."""
        path = f"/_aws/execute-api/{self.outputs['ApiId']}/live/users/{user}/notifications{query}"
        url = self.aws.tls_endpoint + path
        context = ssl.create_default_context(cafile=str(self.aws.ca_file))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(urllib.request.Request(url, headers=headers(url)), timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def signed_by(self, user: str) -> Callable[[str], dict[str, str]]:
        """The headers of a call in a session of the role for users."""
        answer = self.client("sts").assume_role(RoleArn=self.outputs["UserRoleArn"], RoleSessionName=user)
        keys = answer["Credentials"]
        credentials = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])

        def headers(url: str) -> dict[str, str]:
            request = AWSRequest("GET", url)
            SigV4Auth(credentials, "execute-api", self.aws.region).add_auth(request)
            return dict(request.headers)

        return headers

    def depth(self, queue: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.client("sqs").get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)


def client_of(aws: EmbeddedAws, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=aws.tls_endpoint,
        verify=str(aws.ca_file),
        region_name=aws.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def eventually(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.05)
    return value


def deploy(aws: EmbeddedAws, name: str, **parameters: str) -> Deployed:
    """Create the stack with its code, in a network and under a boundary that are the test's own."""
    made: dict[str, Any] = {service: client_of(aws, service) for service in ("s3", "ec2", "iam", "cloudformation")}
    bucket = f"{name}-code"
    made["s3"].create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.region})
    network = made["ec2"].create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = made["ec2"].create_subnet(VpcId=network, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    group = made["ec2"].create_security_group(GroupName=name, Description="all", VpcId=network)["GroupId"]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    boundary = made["iam"].create_policy(PolicyName=f"{name}-boundary", PolicyDocument=json.dumps(everything))
    given = {
        **QUICK,
        **PLENTY,
        "CodeBucket": bucket,
        "VpcId": network,
        "PrivateSubnetIds": subnet,
        "EndpointClientsSecurityGroupId": group,
        "PermissionsBoundaryArn": boundary["Policy"]["Arn"],
        **parameters,
    }
    for package in packages("notification"):
        made["s3"].put_object(Bucket=bucket, Key=package.key, Body=package.content)
        given[package.parameter] = package.key
    cloudformation = made["cloudformation"]
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=TEMPLATE.read_text(encoding="utf-8"),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        Capabilities=["CAPABILITY_IAM"],
    )

    def settled() -> Any:
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        return None if stack["StackStatus"].endswith("IN_PROGRESS") else stack

    stack = eventually(settled, "the stack")
    reasons = [
        (event["LogicalResourceId"], event.get("ResourceStatusReason"))
        for event in cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        if "FAILED" in event["ResourceStatus"]
    ]
    assert stack["StackStatus"] == "CREATE_COMPLETE", reasons
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    return Deployed(aws, outputs, made)


@pytest.fixture(scope="module")
def signed(enforcing: EmbeddedAws) -> Deployed:
    return deploy(enforcing, "signed-notification")


@pytest.fixture
def day(enforcing: EmbeddedAws) -> str:
    return enforcing.now().date().isoformat()


TEXTS = {"topic": "weather", "title": "Storm ☂", "body": "Stay in."}


def test_from_the_schedule_to_the_user_and_to_no_other(signed: Deployed, day: str) -> None:
    for number in range(3):
        signed.put("Definitions", day=day, notification=f"n{number}", **TEXTS)
    for user in ("ann", "bob"):
        signed.put("Subscriptions", topic="weather", user=user)
    assert signed.aws.fire(signed.outputs["DailyRuleName"]) == 1
    ann, bob = signed.signed_by("ann"), signed.signed_by("bob")

    def all_there() -> Any:
        status, body = signed.get("ann", ann)
        assert status == 200, body
        return body["notifications"] if len(body["notifications"]) == 3 else None

    assert eventually(all_there, "the notifications") == [
        {"day": day, "notification": name, **TEXTS} for name in ("n2", "n1", "n0")
    ]
    key = {"day": {"S": day}, "item": {"S": "#run"}}

    def run() -> Any:
        item = signed.client("dynamodb").get_item(TableName=signed.outputs["RunsName"], Key=key)["Item"]
        return item if "announced" in item else None

    assert eventually(run, "the day to be completed")["done"] == {"N": "3"}

    status, first = signed.get("ann", ann, "?limit=2")
    assert (status, len(first["notifications"])) == (200, 2)
    status, last = signed.get("ann", ann, f"?limit=2&cursor={first['cursor']}")
    assert (status, [each["notification"] for each in last["notifications"]]) == (200, ["n0"])
    assert signed.get("bob", bob, f"?cursor={first['cursor']}")[0] == 400
    assert signed.get("ann", ann, "?since=tomorrow") == (
        400,
        {"error": "since: 'tomorrow' is not a date like 2026-01-31"},
    )
    assert signed.get("ann", ann, "?since=2999-01-01") == (200, {"notifications": [], "cursor": None})

    assert signed.get("bob", ann) == (403, {"error": "these notifications are another user's"})
    assert signed.get("ann", bob)[0] == 403
    assert signed.get("ann")[0] == 403  # not signed at all
    assert signed.depth("GenerateMessageDeadLettersUrl") == 0


def test_every_call_leaves_a_line_in_the_access_log(signed: Deployed) -> None:
    assert signed.get("dora")[0] == 403
    assert signed.get("dora", signed.signed_by("emil"))[0] == 403
    group = "/aws/apigateway/signed-notification-NotificationsApi"

    def lines() -> Any:
        events = signed.client("logs").filter_log_events(logGroupName=group)["events"]
        found = [json.loads(event["message"]) for event in events]
        found = [line for line in found if line["path"].endswith("/users/dora/notifications")]
        return found if len(found) == 2 else None

    unsigned, other = eventually(lines, "the access log")
    assert (unsigned["status"], other["status"]) == ("403", "403")
    assert other["caller"].endswith("/emil")
    assert unsigned["integrationStatus"] == "-"  # it did not get so far


def test_a_user_whose_id_needs_encoding_reads_his_own(signed: Deployed, day: str) -> None:
    assert signed.get("ann%40example.org", signed.signed_by("ann@example.org")) == (
        200,
        {"notifications": [], "cursor": None},
    )


def test_a_synthetic_notification_travels_by_its_event(signed: Deployed, day: str) -> None:
    signed.put("Definitions", day=day, notification="synthetic-1", **(TEXTS | {"topic": "validation"}))
    signed.put("Subscriptions", topic="validation", user="probe")
    for stack in ("another-stack", "signed-notification"):
        detail = {"stack": stack, "day": day, "notification": "synthetic-1" if stack.startswith("signed") else "storm"}
        entry = {"Source": "tocsin.validation", "DetailType": "Synthetic notification", "Detail": json.dumps(detail)}
        assert signed.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0
    headers = signed.signed_by("probe")
    found = eventually(lambda: signed.get("probe", headers)[1].get("notifications"), "the synthetic notification")
    assert [each["notification"] for each in found] == ["synthetic-1"]


def test_a_poisoned_message_is_dead_lettered_and_can_be_redriven(signed: Deployed, day: str) -> None:
    sqs = signed.client("sqs")
    queue, dead_letters = signed.outputs["GenerateMessageUrl"], signed.outputs["GenerateMessageDeadLettersUrl"]
    names = ["VisibilityTimeout"]
    before = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    body = json.dumps({"schema": 2, "day": day, "notification": "late"})
    sqs.send_message(QueueUrl=queue, MessageBody=body)
    (letter,) = eventually(
        lambda: sqs.receive_message(QueueUrl=dead_letters, VisibilityTimeout=30).get("Messages"), "the dead letter"
    )
    assert letter["Body"] == body
    sqs.set_queue_attributes(QueueUrl=queue, Attributes=before)
    # What was missing is put right, and the message goes back to where it came from.
    signed.put("Definitions", day=day, notification="late", **(TEXTS | {"topic": "late"}))
    signed.put("Subscriptions", topic="late", user="cleo")
    sqs.send_message(QueueUrl=queue, MessageBody=letter["Body"])
    sqs.delete_message(QueueUrl=dead_letters, ReceiptHandle=letter["ReceiptHandle"])
    headers = signed.signed_by("cleo")
    found = eventually(lambda: signed.get("cleo", headers)[1].get("notifications"), "the notification")
    assert [each["notification"] for each in found] == ["late"]


def test_a_run_that_fails_three_times_is_a_dead_letter(signed: Deployed) -> None:
    functions = signed.client("lambda")
    name = signed.outputs["FindDailyNotificationsName"]
    functions.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"day": "someday"}')
    sqs = signed.client("sqs")
    url = signed.outputs["FindDailyNotificationsDeadLettersUrl"]
    (letter,) = eventually(lambda: sqs.receive_message(QueueUrl=url).get("Messages"), "the dead letter", 240)
    assert "someday" in letter["Body"]


@contextmanager
def issuing(aws: EmbeddedAws) -> Iterator[Callable[..., str]]:
    """An issuer of tokens on this machine; gives a function that makes one, whose attribute ``url`` is the issuer."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def encode(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).decode().rstrip("=")

    def number(value: int) -> str:
        return encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            numbers = key.public_key().public_numbers()
            public = {
                "kid": "one",
                "kty": "RSA",
                "alg": "RS256",
                "use": "sig",
                "n": number(numbers.n),
                "e": number(numbers.e),
            }
            configuration = {"issuer": url, "jwks_uri": f"{url}/keys"}
            content = json.dumps({"keys": [public]} if self.path == "/keys" else configuration).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*Authority(aws.directory).certificate_for("127.0.0.1"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = f"https://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()

        def token(subject: str, **claims: Any) -> str:
            now = int(datetime.now(UTC).timestamp())
            body = {"iss": url, "aud": AUDIENCE, "sub": subject, "iat": now - 5, "exp": now + 300, **claims}
            parts = [encode(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "one"}, body)]
            text = ".".join(parts)
            return f"{text}.{encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

        token.url = url  # type: ignore[attr-defined]
        yield token
        server.shutdown()
        thread.join()


def test_with_tokens_the_subject_reads_his_own_and_nobody_else(enforcing: EmbeddedAws, day: str) -> None:
    with issuing(enforcing) as token:
        deployed = deploy(
            enforcing, "tokens-notification", ApiAuthorization="JWT", JwtIssuer=token.url, JwtAudience=AUDIENCE
        )
        assert "UserRoleArn" not in deployed.outputs

        def bearer(*arguments: Any, **claims: Any) -> Callable[[str], dict[str, str]]:
            return lambda url: {"Authorization": f"Bearer {token(*arguments, **claims)}"}

        assert deployed.get("ann", bearer("ann")) == (200, {"notifications": [], "cursor": None})
        assert deployed.get("bob", bearer("ann")) == (403, {"error": "these notifications are another user's"})
        assert deployed.get("ann")[0] == 401
        assert deployed.get("ann", bearer("ann", aud="another"))[0] == 401
        assert deployed.get("ann", bearer("ann", exp=1))[0] == 401
        assert (
            deployed.get("ann", lambda url: {"Authorization": bearer("ann")(url)["Authorization"][:-4] + "AAAA"})[0]
            == 401
        )
