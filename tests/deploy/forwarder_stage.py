"""What the forwarder's tests work with: an on-call tool that can fail, the deployed stack, and the handler in this process."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
from deploy.package import packages

from tocsin.cloud.embedded import EmbeddedAws

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT, STACK = "laptop", "laptop-forwarder"
KEY = "the-key-that-must-not-be-shown"
ROUTES = ("data-platform-page", "data-platform-ticket", "engagement-page", "engagement-ticket")


@dataclass
class Request:
    """What the tool was asked."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Tool:
    """An on-call tool with the alert API: alerts open and close by alias.  ``faults`` are for the next requests."""

    url: str
    requests: list[Request] = field(default_factory=list)
    faults: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)
    keys: set[str] = field(default_factory=lambda: {KEY})
    open: dict[str, bool] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.Lock)

    def take(self, request: Request) -> int:
        """The status of a request of the alert API; alerts change accordingly."""
        with self.lock:
            self.requests.append(request)
            if request.headers.get("authorization", "").removeprefix("GenieKey ") not in self.keys:
                return 403
            if request.path == "/v2/alerts":
                self.open[request.json["alias"]] = True
            elif request.path.endswith("/close"):
                self.open[unquote(request.path.split("/")[3])] = False
            return 202

    def told(self, alias: str) -> list[str]:
        """What was asked about one alias, in order."""
        found = []
        for each in list(self.requests):
            if each.path == "/v2/alerts" and each.json["alias"] == alias:
                found.append("ALARM")
            elif each.path.endswith("/close") and unquote(each.path.split("/")[3]) == alias:
                found.append("OK")
        return found

    def delivery(self) -> dict[str, str]:
        return {"endpoint": f"{self.url}/v2/alerts", "authorization": "", "key": KEY}


def answer(status: int, body: bytes = b'{"result": "Request will be processed"}', **headers: str) -> Any:
    """A fault: this answer instead of the right one."""

    def say(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return say


def cut(handler: BaseHTTPRequestHandler) -> None:
    """A fault: half an answer, then nothing."""
    handler.wfile.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\n{")
    handler.close_connection = True


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """A fault: no answer at all."""
    handler.close_connection = True


@contextmanager
def tool_running(port: int = 0) -> Iterator[Tool]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, parts.path, parse_qs(parts.query), headers, body)
            with tool.lock:
                fault = tool.faults.pop(0) if tool.faults and self.command != "HEAD" else None
            if fault is not None:
                fault(self)
                return
            status = tool.take(request)
            answer(status, b"" if self.command == "HEAD" else b'{"result": "Request will be processed"}')(self)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that is gone is what some tests are about."""

    with Server(("127.0.0.1", port), Handler) as server:
        tool = Tool(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield tool
        server.shutdown()
        thread.join()


@dataclass
class Deployed:
    """The forwarder's stack in an embedded AWS, with topics that deliver to its queue and secrets that name the tool."""

    aws: EmbeddedAws
    tool: Tool
    ids: Mapping[str, str]
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.aws.endpoint if service not in ("sqs", "secretsmanager") else self.aws.tls_endpoint,
                verify=str(self.aws.ca_file),
                region_name=self.aws.region,
                aws_access_key_id="test",
                aws_secret_access_key="test",
            )
        return self._clients[service]

    def topic(self, route: str) -> str:
        return f"arn:aws:sns:{self.aws.region}:000000000000:{ENVIRONMENT}-tocsin-{route}"

    def variables(self) -> dict[str, str]:
        """The process environment for the handler in this process."""
        return {
            **self.aws.boto3_environment(),
            "AWS_LAMBDA_FUNCTION_NAME": "Forwarder",
            "ENVIRONMENT": ENVIRONMENT,
            "QUEUE_URL": self.ids["Alerts"],
            "REDRIVE_URL": self.ids["AlertsRedrive"],
            "ROUTES": ",".join(ROUTES),
            "TABLE": self.ids["Delivered"],
        }

    def put_secret(self, name: str, value: Mapping[str, str]) -> None:
        secrets, text = self.client("secretsmanager"), json.dumps(value)
        try:
            secrets.create_secret(Name=name, SecretString=text)
        except secrets.exceptions.ResourceExistsException:
            secrets.put_secret_value(SecretId=name, SecretString=text)

    def redriven(self) -> list[dict[str, Any]]:
        """What lies in the redrive queue, taken out of it."""
        found = []
        url = self.ids["AlertsRedrive"]
        while (
            messages := self.client("sqs")
            .receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
            .get("Messages")
        ):
            for each in messages:
                found.append(each)
                self.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
        return found

    def log(self) -> str:
        pages = self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=self.ids["ForwarderLogs"])
        return "\n".join(event["message"] for page in pages for event in page["events"])


def deploy_forwarder(
    aws: EmbeddedAws, tool: Tool, parameters: Mapping[str, str] = {}, template: str | None = None
) -> Deployed:
    """The committed template and the package, deployed as they are; with topics and secrets beside them."""
    stage = Deployed(aws, tool, {})
    s3, iam = stage.client("s3"), stage.client("iam")
    s3.create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": aws.region})
    (package,) = packages("forwarder")
    s3.put_object(Bucket="code", Key=package.key, Body=package.content)
    anything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    boundary = iam.create_policy(PolicyName="boundary", PolicyDocument=json.dumps(anything))["Policy"]["Arn"]
    values = {
        "CodeBucket": "code",
        "Environment": ENVIRONMENT,
        "ForwarderCodeKey": package.key,
        "PermissionsBoundaryArn": boundary,
        **parameters,
    }
    formation = stage.client("cloudformation")
    formation.create_stack(
        StackName=STACK,
        TemplateBody=template or (ROOT / "deploy" / "forwarder" / "template.yaml").read_text(encoding="utf-8"),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    formation.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 0.2, "MaxAttempts": 100})
    found = formation.describe_stack_resources(StackName=STACK)["StackResources"]
    stage.ids = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}
    outputs = formation.describe_stacks(StackName=STACK)["Stacks"][0]["Outputs"]
    (queue,) = (each["OutputValue"] for each in outputs if each["OutputKey"] == "ForwarderQueueArn")
    sns = stage.client("sns")
    for route in ROUTES:
        topic = sns.create_topic(Name=f"{ENVIRONMENT}-tocsin-{route}")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
        stage.put_secret(f"tocsin/{ENVIRONMENT}/on-call/{route}", tool.delivery())
    return stage


DESCRIPTION = """api-availability: the error budget burns too fast.
Resource: NotificationsApi (ApiId a1b2c3).
Threshold: burn rate above 13.44 over 1 h and 5 min or 5.6 over 6 h and 30 min.
Why: Users see an empty page when their notifications cannot be read.
Severity: page. Owner: engagement. System: notification.
SLO: api-availability, 99.9 % over 28 d.
Runbook: https://runbooks.example.com/slo-availability.md
Dashboard: https://grafana.example.com/d/tocsin-notification
Source: https://sre.google/workbook/alerting-on-slos/"""


def notification(
    alarm: str, state: str, changed_at: datetime, description: str | None = DESCRIPTION, **more: Any
) -> dict[str, Any]:
    """What CloudWatch publishes."""
    return {
        "AlarmName": alarm,
        "AlarmDescription": description,
        "AWSAccountId": "111122223333",
        "NewStateValue": state,
        "NewStateReason": f"The alarm is {state}.",
        "StateChangeTime": changed_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000"),
        "Region": "EU (Ireland)",
        "AlarmArn": f"arn:aws:cloudwatch:eu-west-1:111122223333:alarm:{alarm}",
        "OldStateValue": "OK" if state == "ALARM" else "ALARM",
        **more,
    }


def record(message: Mapping[str, Any], topic: str, receives: int = 1) -> dict[str, Any]:
    """A message of SNS as the queue hands it to the function."""
    envelope = {
        "Type": "Notification",
        "MessageId": str(uuid.uuid4()),
        "TopicArn": topic,
        "Message": json.dumps(message),
    }
    return {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": "none",
        "body": json.dumps(envelope),
        "attributes": {"ApproximateReceiveCount": str(receives)},
    }


CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 40_000, aws_request_id="1")


def soon(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """The first true value of ``condition``, or the last false one after ``seconds``."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return value
