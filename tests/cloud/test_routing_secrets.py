"""Secrets: written once for each value, never another's, and never told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from tocsin.cloud.embedded import EmbeddedAws
from tocsin.cloud.secrets import current_version, read_secret, remove_secret, write_secret
from tocsin.cloud.session import Cloud, connect
from tocsin.errors import CloudError

OURS = {"tocsin:project": "shop"}
VALUE = '{"endpoint": "https://tool.example/?apiKey=not-for-anybody", "authorization": "", "key": "not-for-anybody"}'


@pytest.fixture
def cloud(aws: EmbeddedAws) -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws.boto3_environment().items():
            patch.setenv(name, value)
        yield connect(aws.region)


def versions(cloud: Cloud, name: str) -> set[str]:
    return set(cloud.client("secretsmanager").describe_secret(SecretId=name)["VersionIdsToStages"])


def test_a_secret_that_is_not_there(cloud: Cloud) -> None:
    assert current_version(cloud, "tocsin/dev/on-call/absent") is None
    assert read_secret(cloud, "tocsin/dev/on-call/absent") is None
    remove_secret(cloud, "tocsin/dev/on-call/absent")


def test_an_equal_value_makes_no_new_version_and_another_does(cloud: Cloud) -> None:
    name = "tocsin/dev/on-call/payments-page"
    first = write_secret(cloud, name, VALUE, OURS)
    assert (current_version(cloud, name), read_secret(cloud, name)) == (first, VALUE)
    assert write_secret(cloud, name, VALUE, OURS) == first
    second = write_secret(cloud, name, VALUE.replace("page", "other") + " ", OURS)
    assert second != first
    assert current_version(cloud, name) == second
    assert versions(cloud, name) == {first, second}


def test_its_tags_say_whose_it_is_and_it_says_nothing_of_what_is_in_it(cloud: Cloud) -> None:
    name = "tocsin/dev/on-call/search-page"
    write_secret(cloud, name, VALUE, OURS)
    described = cloud.client("secretsmanager").describe_secret(SecretId=name)
    assert {tag["Key"]: tag["Value"] for tag in described["Tags"]} == OURS
    assert "not-for-anybody" not in str(described)
    assert "KmsKeyId" not in described or described["KmsKeyId"] in (None, "", "alias/aws/secretsmanager")


def test_somebody_elses_is_left_alone(cloud: Cloud) -> None:
    name = "tocsin/dev/on-call/search-ticket"
    first = write_secret(cloud, name, VALUE, {"tocsin:project": "another"})
    with pytest.raises(CloudError, match=r"^secret tocsin/dev/on-call/search-ticket belongs to 'another'") as refusal:
        write_secret(cloud, name, "something else", OURS)
    assert "not-for-anybody" not in str(refusal.value)
    assert current_version(cloud, name) == first


def test_one_that_a_person_made_is_taken_over_and_marked(cloud: Cloud) -> None:
    name = "tocsin/dev/on-call/by-hand"
    cloud.client("secretsmanager").create_secret(Name=name, SecretString=VALUE)
    before = current_version(cloud, name)
    assert write_secret(cloud, name, VALUE, OURS) == before
    tags = cloud.client("secretsmanager").describe_secret(SecretId=name)["Tags"]
    assert {"Key": "tocsin:project", "Value": "shop"} in tags


def test_a_removed_one_counts_for_nothing_and_is_taken_back_when_it_is_needed_again(cloud: Cloud) -> None:
    name = "tocsin/dev/on-call/heartbeat"
    first = write_secret(cloud, name, VALUE, OURS)
    remove_secret(cloud, name)
    remove_secret(cloud, name)
    assert current_version(cloud, name) is None
    assert read_secret(cloud, name) is None
    assert write_secret(cloud, name, VALUE, OURS) == first
    assert read_secret(cloud, name) == VALUE


class _Refusing(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"__type": "AccessDeniedException", "Message": "not authorized to perform"}).encode()
        self.send_response(400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


def test_a_refusal_is_one_line_without_the_value(cloud: Cloud) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        refusing = connect(cloud.region, endpoint_url=f"http://127.0.0.1:{server.server_address[1]}")
        for call in (
            lambda: write_secret(refusing, "tocsin/dev/on-call/x", VALUE, OURS),
            lambda: current_version(refusing, "tocsin/dev/on-call/x"),
            lambda: read_secret(refusing, "tocsin/dev/on-call/x"),
            lambda: remove_secret(refusing, "tocsin/dev/on-call/x"),
        ):
            with pytest.raises(
                CloudError, match=r"^not allowed to .* the secret tocsin/dev/on-call/x: .*; ask"
            ) as refusal:
                call()
            assert "not-for-anybody" not in str(refusal.value)
        server.shutdown()
        thread.join()
