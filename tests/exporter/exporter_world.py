"""A small system in an embedded AWS, its metrics, and a proxy before it that counts requests and can refuse them."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest

from command_line import tocsin
from tocsin.cloud.embedded import EmbeddedAws, embedded

REGION = "eu-west-1"

TEMPLATE = """\
Resources:
  Orders: {Type: AWS::SQS::Queue}
  Mails: {Type: AWS::SQS::Queue}
"""

DECLARATION = """\
from tocsin import System, availability, counted, discover, heartbeat, latency, ranked, succeeded

stack = discover("template.yaml")
own = dict(namespace="Shop")
system = System(
    name="shop",
    owner="payments",
    resources=stack,
    slos=[
        availability(stack["Orders"], name="orders", objective="99.9%", window="28d",
                     measure=counted(valid="Placed", bad="Lost", share_of="orders that are kept", **own)),
        latency(stack["Mails"], name="mails", below="5s", objective="99%", window="7d",
                measure=ranked("Seconds", unit="Seconds", share_of="mails sent in time", **own)),
        heartbeat(stack["Orders"], name="closing", every="1d", tolerates="2h",
                  measure=succeeded("Closed", share_of="days that are closed", **own)),
    ],
)
"""

ENVIRONMENT = """\
[{name}]
region = "eu-west-1"
endpoint_url = "{endpoint}"
"""


class CountingProxy(ThreadingHTTPServer):
    """Passes requests on and counts them by operation.  ``refusals``: operation → (status, code) instead of an answer."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream.removeprefix("http://")
        self.counted: Counter[str] = Counter()
        self.bodies: list[tuple[str, dict[str, Any]]] = []
        self.refusals: dict[str, tuple[int, str]] = {}
        self.times: dict[str, int] = {}

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def refusal(self, operation: str) -> tuple[int, str] | None:
        """What is answered instead; for ``times`` of the operation, or for good."""
        if operation not in self.refusals or self.times.get(operation, 1) == 0:
            return None
        if operation in self.times:
            self.times[operation] -= 1
        return self.refusals[operation]


class _Handler(BaseHTTPRequestHandler):
    server: CountingProxy
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = self.headers.get("X-Amz-Target", "")
        operation = target.rpartition(".")[2] or _action(body)
        self.server.counted[operation] += 1
        if target:
            self.server.bodies.append((operation, json.loads(body)))
        if refusal := self.server.refusal(operation):
            status, code = refusal
            said = f"{operation} is refused"
            if target:
                kind, text = "application/x-amz-json-1.0", json.dumps({"__type": code, "message": said})
            else:  # the query protocol, in which CloudFormation answers
                error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{said}</Message></Error>"
                kind, text = "text/xml", f"<ErrorResponse>{error}<RequestId>0</RequestId></ErrorResponse>"
            self._answer(status, kind, text.encode())
            return
        upstream = HTTPConnection(self.server.upstream, timeout=60)
        upstream.request("POST", self.path, body, dict(self.headers))
        response = upstream.getresponse()
        answer = response.read()
        self._answer(response.status, response.headers.get("Content-Type", "text/xml"), answer)
        upstream.close()

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _action(body: bytes) -> str:
    for part in body.decode("utf-8", "replace").split("&"):
        if part.startswith("Action="):
            return part.removeprefix("Action=")
    return ""


@contextmanager
def counting_proxy(upstream: str) -> Iterator[CountingProxy]:
    with CountingProxy(upstream) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@dataclass
class World:
    """The AWS, the proxy before it and the project, whose environment leads through the proxy."""

    aws: EmbeddedAws
    proxy: CountingProxy
    project: Path
    environment: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    def enter(self, environment: str, template: str = TEMPLATE) -> None:
        """An environment of its own, with the shop deployed and no metrics; nothing is counted or refused yet."""
        self.environment = environment
        text = ENVIRONMENT.format(name=environment, endpoint=self.proxy.endpoint)
        (self.project / "deploy" / "environments.toml").write_text(text, encoding="utf-8")
        stacks, stack = self.client("cloudformation"), f"{environment}-shop"
        stacks.create_stack(StackName=stack, TemplateBody=template)
        stacks.get_waiter("stack_create_complete").wait(
            StackName=stack, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
        )
        found = stacks.describe_stack_resources(StackName=stack)["StackResources"]
        self.names = {one["LogicalResourceId"]: one["PhysicalResourceId"].rpartition("/")[2] for one in found}
        self.proxy.refusals.clear()
        self.proxy.times.clear()
        self.proxy.counted.clear()
        self.proxy.bodies.clear()

    def client(self, service: str) -> Any:
        """A client of the test's own, past the proxy."""
        session = boto3.Session("test", "test", None, REGION)
        return session.client(service, endpoint_url=self.aws.endpoint)

    @property
    def variables(self) -> dict[str, str]:
        """Credentials for whoever reaches the AWS through the proxy."""
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "NO_PROXY": "127.0.0.1",
        }

    def put(
        self, metric: str, values: Mapping[datetime, float] | Sequence[tuple[datetime, float]], of: str = "Orders"
    ) -> None:
        """Samples of one of the shop's own metrics."""
        pairs = list(values.items()) if isinstance(values, Mapping) else list(values)
        cloudwatch = self.client("cloudwatch")
        for begin in range(0, len(pairs), 500):
            cloudwatch.put_metric_data(
                Namespace="Shop",
                MetricData=[
                    {
                        "MetricName": metric,
                        "Dimensions": [{"Name": "QueueName", "Value": self.names[of]}],
                        "Timestamp": at,
                        "Value": value,
                    }
                    for at, value in pairs[begin : begin + 500]
                ],
            )

    def put_alarm(self, name: str, state: str) -> None:
        """An alarm in a state, which it keeps."""
        cloudwatch = self.client("cloudwatch")
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="Shop",
            MetricName="Nothing",
            Statistic="Sum",
            Period=86_400,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="ignore",
        )
        cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="as the test wants")


def make_project(folder: Path) -> Path:
    """The declaration of the shop."""
    (folder / "monitoring" / "systems").mkdir(parents=True)
    (folder / "deploy").mkdir()
    (folder / "template.yaml").write_text(TEMPLATE, encoding="utf-8")
    (folder / "monitoring" / "systems" / "shop.py").write_text(DECLARATION, encoding="utf-8")
    return folder


@contextmanager
def shop_world(state: Path, project: Path, *, iam: bool = False) -> Iterator[World]:
    """The embedded AWS with the proxy before it, and the project with its alarms built."""
    with embedded(state, iam=iam) as aws, counting_proxy(aws.endpoint) as proxy:
        world = World(aws, proxy, make_project(project))
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(world.project)
            assert tocsin("build").exit_code == 0
        yield world


def minutes(start: datetime, values: Sequence[float]) -> dict[datetime, float]:
    """A value for each minute from ``start`` on."""
    return {start + timedelta(minutes=number): value for number, value in enumerate(values)}


@contextmanager
def receiving_pushes(status: int) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """An HTTP server in the place of a Pushgateway: where it is, and the requests it got."""
    requests: list[tuple[str, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((self.command, self.path, body.decode()))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"not like this\n" if status != 200 else b"")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()
