"""Connections: what is said when there is no region, no credentials, no permission or no answer."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from botocore import exceptions as aws_errors
from plain_server import ACCOUNT, REGION, Server, free_port

from tocsin.cloud.embedded.authority import Authority
from tocsin.cloud.session import asking, connect, error_code
from tocsin.errors import CloudError

pytest_plugins = ["plain_ministack"]


def without_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_account_and_region_come_from_the_users_settings(plain_aws: Server) -> None:
    cloud = connect()
    assert cloud.region == REGION
    assert cloud.account() == ACCOUNT


def test_an_explicit_region_and_endpoint_win(plain_aws: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    cloud = connect("eu-central-1", endpoint_url=plain_aws.endpoint)
    assert cloud.region == "eu-central-1"
    assert cloud.account() == ACCOUNT


def test_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    without_aws(monkeypatch)
    with pytest.raises(CloudError, match=r"no AWS region: .* AWS_REGION"):
        connect()


def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    without_aws(monkeypatch)
    with pytest.raises(CloudError, match=r"no AWS credentials: .*AWS_PROFILE") as caught:
        connect("eu-west-1", endpoint_url=f"http://127.0.0.1:{free_port()}").account()
    assert "\n" not in str(caught.value)


def test_unknown_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    without_aws(monkeypatch)
    with pytest.raises(CloudError, match=r"profile .*nobodys.*unset AWS_PROFILE"):
        connect("eu-west-1", profile="nobodys")


def test_nothing_answers(plain_aws: Server) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(CloudError, match=rf"{endpoint}.* does not answer; check .*AWS_ENDPOINT_URL"):
        connect(endpoint_url=endpoint).account()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("AccessDenied", "not allowed to read stacks: as AWS puts it; ask for the permission"),
        ("AccessDeniedException", "not allowed to read stacks"),
        ("ExpiredToken", r"credentials are not accepted \(ExpiredToken\): log in again"),
        ("SignatureDoesNotMatch", "credentials are not accepted"),
        ("ValidationError", r"cannot read stacks: as AWS puts it \(ValidationError\)"),
    ],
)
def test_refusals_are_one_line(code: str, said: str) -> None:
    refusal = aws_errors.ClientError({"Error": {"Code": code, "Message": "as AWS\n  puts it"}}, "DescribeStacks")
    with pytest.raises(CloudError, match=said) as caught, asking("read stacks"):
        raise refusal
    assert "\n" not in str(caught.value)
    assert error_code(refusal) == code


def test_errors_that_are_not_of_aws_pass() -> None:
    with pytest.raises(ZeroDivisionError), asking("divide"):
        raise ZeroDivisionError
    assert error_code(ZeroDivisionError()) == ""


@contextmanager
def tls_server(folder: Path) -> Iterator[str]:
    """An endpoint with a certificate of an authority of its own; it answers nothing."""
    certificate, key = Authority(folder).certificate_for("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, suppress(OSError), context.wrap_socket(connection, server_side=True):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("bundle", ["another authority", "nothing there", "no certificates in it"])
def test_authorities_that_do_not_fit_are_not_a_matter_of_the_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bundle: str
) -> None:
    without_aws(monkeypatch)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    file = tmp_path / "bundle.pem"
    if bundle == "another authority":
        file = Authority(tmp_path / "another").ca_file
    elif bundle == "no certificates in it":
        file.write_text("none\n")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(file))
    with tls_server(tmp_path / "own") as endpoint, pytest.raises(CloudError) as caught:
        connect("eu-west-1", endpoint_url=endpoint).account()
    said = str(caught.value)
    assert "AWS_CA_BUNDLE" in said
    assert "does not answer" not in said
    assert "\n" not in said
