"""What a test of the embedded AWS works with: clients, stacks, a wait for a condition, an HTTP endpoint for SNS."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from tocsin.cloud.embedded import EmbeddedAws


def clients_of(aws: EmbeddedAws) -> Callable[..., Any]:
    import boto3
    from botocore.config import Config

    def make(
        service: str,
        access_key: str = "test",
        secret_key: str = "test",
        token: str | None = None,
        retries: int = 4,
    ) -> Any:
        return boto3.client(
            service,
            endpoint_url=aws.endpoint,
            region_name=aws.region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": retries + 1}),
        )

    return make


@dataclass
class Stack:
    """One stack, created, changed and deleted through the API."""

    cloudformation: Any
    name: str

    def create(self, resources: dict[str, Any], outputs: dict[str, Any] | None = None, **rest: Any) -> None:
        body = {"Resources": resources, **({"Outputs": outputs} if outputs else {}), **rest}
        self.cloudformation.create_stack(
            StackName=self.name, TemplateBody=json.dumps(body), Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        assert self.settled() == "CREATE_COMPLETE", self.reasons()

    def update(self, resources: dict[str, Any], outputs: dict[str, Any] | None = None) -> str:
        body = {"Resources": resources, **({"Outputs": outputs} if outputs else {})}
        self.cloudformation.update_stack(
            StackName=self.name, TemplateBody=json.dumps(body), Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        return self.settled()

    def delete(self) -> str:
        self.cloudformation.delete_stack(StackName=self.name)
        return self.settled()

    def settled(self) -> str:
        """The status, once nothing is in progress; a deleted stack is DELETE_COMPLETE."""
        from botocore.exceptions import ClientError

        def status() -> str | None:
            try:
                found = self.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"]
            except ClientError:
                return "DELETE_COMPLETE"
            return None if found.endswith("IN_PROGRESS") else found

        return eventually(status, f"stack {self.name} to settle")

    def reasons(self) -> list[str]:
        events = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return [event["ResourceStatusReason"] for event in events if event.get("ResourceStatusReason")]

    def ids(self) -> dict[str, str]:
        resources = self.cloudformation.describe_stack_resources(StackName=self.name)["StackResources"]
        return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}

    def outputs(self) -> dict[str, str]:
        found = self.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def eventually(condition: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    """The first true value of ``condition``, asked again and again; fails the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s for {what}")
        time.sleep(0.02)


def http(url: str, data: bytes | None = None) -> tuple[int, bytes]:
    """A request without proxy; error statuses are answers, too."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, data, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@dataclass
class Receiver:
    """What an HTTP endpoint subscribed to SNS got: (headers, message) each.  ``failures`` statuses come first."""

    url: str
    received: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    confirms: bool = True

    def messages(self, kind: str = "Notification") -> list[dict[str, Any]]:
        return [message for _, message in self.received if message["Type"] == kind]

    def alarms(self) -> list[dict[str, Any]]:
        return [json.loads(message["Message"]) for message in self.messages()]


@contextmanager
def receiving() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.received.append(({name.lower(): value for name, value in self.headers.items()}, message))
            status = receiver.failures.pop(0) if receiver.failures else 200
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            if message["Type"] == "SubscriptionConfirmation" and receiver.confirms:
                threading.Thread(target=http, args=(message["SubscribeURL"],), daemon=True).start()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}/alarms")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()


ROLE = {
    "Type": "AWS::IAM::Role",
    "Properties": {
        "AssumeRolePolicyDocument": {
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
            ]
        }
    },
}
HANDLER = """
import json
def handler(event, context):
    text = json.dumps(event)
    if "crash" in text:
        raise ValueError("asked to crash")
    if "slow" in text:
        import time
        time.sleep(30)
    if "status400" in text:
        return {"statusCode": 400, "body": "no"}
    return {"statusCode": 200, "body": "done"}
"""


def function(name: str, code: str = HANDLER, **properties: object) -> dict:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": name,
            "Runtime": "python3.11",
            "Handler": "index.handler",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Code": {"ZipFile": code},
            "Timeout": 10,
            **properties,
        },
    }


def rest_api(name: str) -> dict:
    uri = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function.Arn}/invocations"
    return {
        "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": name}},
        "Item": {
            "Type": "AWS::ApiGateway::Resource",
            "Properties": {"RestApiId": {"Ref": "Api"}, "ParentId": {"Fn::GetAtt": ["Api", "RootResourceId"]}, "PathPart": "items"},
        },
        "Get": {
            "Type": "AWS::ApiGateway::Method",
            "Properties": {
                "RestApiId": {"Ref": "Api"}, "ResourceId": {"Ref": "Item"}, "HttpMethod": "GET", "AuthorizationType": "NONE",
                "Integration": {"Type": "AWS_PROXY", "IntegrationHttpMethod": "POST", "Uri": {"Fn::Sub": uri}},
            },
        },
        "Deployment": {"Type": "AWS::ApiGateway::Deployment", "DependsOn": "Get", "Properties": {"RestApiId": {"Ref": "Api"}}},
        "Stage": {
            "Type": "AWS::ApiGateway::Stage",
            "Properties": {"RestApiId": {"Ref": "Api"}, "DeploymentId": {"Ref": "Deployment"}, "StageName": "prod"},
        },
        "Permission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {"FunctionName": {"Ref": "Function"}, "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com"},
        },
    }  # fmt: skip


def verify(message: dict) -> None:
    """Check a message as a receiver does: independently of our own string_to_sign.  Raises InvalidSignature."""
    status, certificate = http(message["SigningCertURL"])
    assert status == 200
    names = ["Message", "MessageId"]
    if message["Type"] == "Notification":
        names += ["Subject"] * ("Subject" in message) + ["Timestamp", "TopicArn", "Type"]
    else:
        names += ["SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{message[name]}\n" for name in names)
    digest = hashes.SHA256() if message["SignatureVersion"] == "2" else hashes.SHA1()
    key = x509.load_pem_x509_certificate(certificate).public_key()
    key.verify(base64.b64decode(message["Signature"]), text.encode(), PKCS1v15(), digest)
