"""TLS of the embedded AWS: a verified endpoint beside the plain one, and policies that refuse plain HTTP."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError, SSLError

from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.embedded.authority import Authority


@pytest.fixture(scope="module", params=[False, True], ids=["everybody", "iam"])
def aws(request, tmp_path_factory) -> Iterator[EmbeddedAws]:
    with embedded(tmp_path_factory.mktemp("aws"), iam=request.param) as running:
        yield running


@pytest.fixture
def over(aws):
    """``over("s3", tls=True)``: the root's client over the one endpoint or the other."""

    def make(service: str, *, tls: bool, key: tuple[str, str] = ("test", "test")):
        return boto3.client(
            service,
            endpoint_url=aws.tls_endpoint if tls else aws.endpoint,
            verify=str(aws.ca_file),
            region_name=aws.region,
            aws_access_key_id=key[0],
            aws_secret_access_key=key[1],
        )

    return make


def test_environment_leads_to_the_encrypted_endpoint(aws):
    code = "import boto3; client = boto3.client('sqs'); print(client.meta.endpoint_url, client.create_queue(QueueName='q'))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=aws.boto3_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("https://127.0.0.1:")
    assert aws.boto3_environment()["AWS_CA_BUNDLE"] == aws.boto3_environment()["PGSSLROOTCERT"] == str(aws.ca_file)


def test_both_endpoints_are_one_aws(over):
    url = over("sqs", tls=False).create_queue(QueueName="both")["QueueUrl"]
    over("sqs", tls=True).send_message(QueueUrl=url, MessageBody="x")
    (message,) = over("sqs", tls=False).receive_message(QueueUrl=url)["Messages"]
    over("sqs", tls=True).delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def test_certificate_is_verified_strictly(aws):
    port = int(aws.tls_endpoint.rpartition(":")[2])
    trusting = ssl.create_default_context(cafile=aws.ca_file)
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection(("127.0.0.1", port)) as raw,
        trusting.wrap_socket(raw, server_hostname="127.0.0.1") as encrypted,
    ):
        assert encrypted.version() in ("TLSv1.2", "TLSv1.3")
    with socket.create_connection(("127.0.0.1", port)) as raw, pytest.raises(ssl.SSLCertVerificationError):
        trusting.wrap_socket(raw, server_hostname="elsewhere.example")
    stranger = boto3.client(
        "sqs",
        endpoint_url=aws.tls_endpoint,
        region_name=aws.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    with pytest.raises(SSLError):
        stranger.list_queues()


def test_restart_keeps_the_authority(tmp_path):
    with embedded(tmp_path) as first:
        known = first.ca_file.read_bytes()
    with embedded(tmp_path) as second:
        assert second.ca_file.read_bytes() == known
        assert second.tls_endpoint


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "database.example"])
def test_authority_certifies_any_host(tmp_path, host):
    authority = Authority(tmp_path)
    certificate, key = authority.certificate_for(host)
    assert authority.certificate_for(host) == (certificate, key)
    assert key.stat().st_mode & 0o077 == 0
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=authority.ca_file)
    server.load_cert_chain(certificate, key)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(incoming, outgoing, server_hostname=host)
    right = server.wrap_bio(outgoing, incoming, server_side=True)
    for _ in range(4):
        for side in (left, right):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert left.getpeercert()


def deny_plain(action: str, *resources: str) -> str:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": action,
                    "Resource": list(resources),
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ],
        }
    )


def test_bucket_that_demands_tls_refuses_plain_http_to_everybody(aws, over):
    s3 = over("s3", tls=True)
    s3.create_bucket(Bucket="sealed", CreateBucketConfiguration={"LocationConstraint": aws.region})
    plain = over("s3", tls=False)
    plain.put_object(Bucket="sealed", Key="k", Body=b"1")
    s3.put_bucket_policy(Bucket="sealed", Policy=deny_plain("s3:*", "arn:aws:s3:::sealed", "arn:aws:s3:::sealed/*"))
    for call in (
        lambda: plain.get_object(Bucket="sealed", Key="k"),
        lambda: plain.put_object(Bucket="sealed", Key="k", Body=b"2"),
        lambda: plain.list_objects_v2(Bucket="sealed"),
    ):
        with pytest.raises(ClientError) as raised:
            call()
        assert raised.value.response["Error"]["Code"] == "AccessDenied"
    assert s3.get_object(Bucket="sealed", Key="k")["Body"].read() == b"1"


def test_header_does_not_make_a_request_secure(aws, over, request):
    s3 = over("s3", tls=True)
    s3.create_bucket(Bucket="forwarded", CreateBucketConfiguration={"LocationConstraint": aws.region})
    s3.put_bucket_policy(Bucket="forwarded", Policy=deny_plain("s3:*", "arn:aws:s3:::forwarded"))
    iam = over("iam", tls=True)
    iam.create_user(UserName="anybody")
    document = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="anybody", PolicyName="p", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName="anybody")["AccessKey"]
    plain = over("s3", tls=False, key=(key["AccessKeyId"], key["SecretAccessKey"]))
    # A condition of its own beside the transport is ministack's to judge, and that only with iam.
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "arn:aws:s3:::forwarded",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}, "StringLike": {"aws:PrincipalArn": "*:user/anybody"}},
    }
    if "iam" in request.node.callspec.id:
        s3.put_bucket_policy(Bucket="forwarded", Policy=json.dumps({"Statement": [statement]}))
    plain.meta.events.register(
        "before-send.s3", lambda request, **_: request.headers.__setitem__("X-Forwarded-Proto", "https")
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        plain.list_objects_v2(Bucket="forwarded")


def test_queue_that_demands_tls_refuses_plain_http(over):
    sqs = over("sqs", tls=True)
    url = sqs.create_queue(QueueName="sealed")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": deny_plain("sqs:*", arn)})
    with pytest.raises(ClientError, match="explicit deny"):
        over("sqs", tls=False).send_message(QueueUrl=url, MessageBody="x")
    sqs.send_message(QueueUrl=url, MessageBody="x")
