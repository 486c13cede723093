"""A proxy that injects faults before the embedded AWS, and a record of the calls that handlers make through botocore.

The proxy is microburst, a process of its own.  What it cannot do is in `Partial`: a service that takes only a part.
"""

from __future__ import annotations

import ast
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from unittest.mock import patch
from urllib.error import HTTPError

import botocore.client
from botocore.config import Config
from botocore.retries.standard import ExponentialBackoff

from deploy import clients

READ_TIMEOUT = (
    1.0  # seconds that the clients wait for an answer, when answers come late; a busy machine answers within it
)
LATE = 2 * READ_TIMEOUT * 1000  # milliseconds after which the proxy passes a request on, when nobody waits any more
SHORT = 2  # faults in a row that a call must ride out; the handlers' clients try four times

THROTTLED = {
    "dynamodb": {"code": "ThrottlingException", "status": 400},
    "ecs": {"code": "ThrottlingException", "status": 400},
    "s3": {"code": "SlowDown", "status": 503},
    "secretsmanager": {"code": "ThrottlingException", "status": 400},
    "sqs": {"code": "RequestThrottled", "status": 403},
}
NO_CALLS = {"generate_db_auth_token"}  # what a client does without asking AWS
KINDS = ("throttled", "unavailable", "reset", "late", "answer-lost")


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """One call of a handler: the service's name for it, on what, and for an update which expression."""

    service: str
    operation: str
    resource: str = ""
    expression: str = ""

    def __str__(self) -> str:
        return ":".join(part for part in (self.operation, self.resource, self.expression[:24]) if part)


# Three things that microburst 0.10.0 does unlike AWS are put right before it starts.  It puts AWS.SimpleQueueService before
# every error code of SQS; to RequestThrottled, by which clients know that they may try again, SQS does not (its service
# model, trait awsQueryError).  It passes answers on without their Content-Length, which S3 always sends.  And it looks
# for UploadId where S3 has uploadId, so it takes a part of an upload for an object.
START = """
import microburst.detection.rest, microburst.forward, microburst.models
from microburst.cli import main
microburst.models._QUERY_ERROR_NAMESPACE.clear()
microburst.forward.HOP_BY_HOP -= {"content-length"}
for operation in microburst.detection.rest.rest_operations("s3"):
    operation["required_query"] = {name[0].lower() + name[1:] for name in operation["required_query"]}
main()
"""


def effect(kind: str, service: str) -> dict[str, Any]:
    """What the proxy does to a call."""
    return {
        "throttled": {"error": THROTTLED[service]},
        "unavailable": {"error": {"code": "ServiceUnavailable", "status": 503}},
        "reset": {"reset": True},
        "late": {"latency": LATE},  # after that it is passed on, so the service does what nobody waits for
        "answer-lost": {"response": {"abort_bytes": 0}},  # the service has done it, and nobody hears of it
        "cut": {"response": {"abort_frac": 0.5}},  # the half of an answer
    }[kind]


@dataclass(frozen=True, slots=True)
class Proxy:
    """The running proxy."""

    endpoint: str

    @contextmanager
    def fault(self, call: Call, kind: str, *, names: Mapping[str, str], times: int | None = None) -> Iterator[None]:
        """A fault of the kind for the call while the block runs, ``times`` or for good; at the end it must have fired.

        ``names`` are the real names behind the call's resource.
        """
        self.set_rule(call, effect(kind, call.service), names=names, times=times)
        try:
            yield
            assert self.fired(), f"{call} was not called while it was {kind}"
        finally:
            self.ask("rules", "POST", [])

    def set_rule(
        self, call: Call, what: Mapping[str, Any], *, names: Mapping[str, str], times: int | None = None
    ) -> None:
        """Take this one rule, with nothing fired as yet."""
        rule: dict[str, Any] = {"service": call.service, "operation": call.operation, **what}
        if call.service == "dynamodb" and call.operation in {"GetItem", "Query", "UpdateItem"}:
            rule["body"] = f"TableName == '{names[call.resource]}'"
        if call.expression:
            rule["body"] += f" && UpdateExpression == '{call.expression}'"
        if times is not None:
            rule["times"] = times
        self.ask("fired", "DELETE")
        self.ask("rules", "POST", [rule])

    def fired(self) -> int:
        """How often the rule has fired."""
        return len(self.ask("fired"))

    def ask(self, path: str, method: str = "GET", body: object = None) -> Any:
        """The control interface."""
        request = urllib.request.Request(
            f"{self.endpoint}/_microburst/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as response:
            return json.load(response)


@contextmanager
def proxy(upstream: str, log: Any) -> Iterator[Proxy]:
    """A proxy before ``upstream``, on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", START, "--host", "127.0.0.1", "--port", str(port), "--upstream", upstream]
    child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        running = Proxy(f"http://127.0.0.1:{port}")
        _wait_for(running, child)
        _warm(running)
        yield running
    finally:
        child.terminate()
        child.wait(10)


def _wait_for(running: Proxy, child: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert child.poll() is None, "the proxy ended at once"
        try:
            running.ask("health")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the proxy does not answer")


def _warm(running: Proxy) -> None:
    """One call through it: the first takes seconds on a busy machine, longer than clients wait where answers come late."""
    running.ask(
        "rules", "POST", [{"service": "dynamodb", "operation": "ListTables", "body": "Limit == `1`", "latency": 1}]
    )
    headers = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}
    request = urllib.request.Request(running.endpoint, data=b'{"Limit": 1}', headers=headers)
    with suppress(HTTPError), urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60):
        pass  # it is not signed, so whatever the answer is
    assert running.fired(), "the proxy does not see the calls"
    running.ask("rules", "POST", [])


class Partial(ThreadingHTTPServer):
    """A proxy that has a service take only the first of a batch, or nothing of it, and say so in its answer."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _PartialHandler)
        self.upstream = upstream.removeprefix("http://")
        self.operation = ""
        self.fired = 0
        self._times: int | None = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def fault(self, call: Call, *, times: int | None = None) -> Iterator[None]:
        """While the block runs, take only the first item ``times`` in a row, or nothing for good."""
        self.operation, self._times, self.fired = call.operation, times, 0
        try:
            yield
            assert self.fired, f"{call} was not called while its batches were not taken"
        finally:
            self.operation = ""

    def most(self, operation: str, count: int) -> int:
        """How many of the ``count`` items of this batch to take."""
        if operation != self.operation or self._times == 0:
            return count
        self.fired += 1
        if self._times is None:
            return 0
        self._times -= 1
        return 1


@contextmanager
def partial(upstream: str) -> Iterator[Partial]:
    """A `Partial` before ``upstream``."""
    with Partial(upstream) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _PartialHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Partial

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        left: dict[str, Any] = {}
        if operation in _SPLIT:
            request = json.loads(body)
            taken, left = _SPLIT[operation](request, self.server.most)
            if not taken:
                self.answer(200, [("Content-Type", "application/x-amz-json-1.0")], json.dumps(left).encode())
                return
            body = json.dumps(request | taken).encode()
        upstream = HTTPConnection(self.server.upstream, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "content-length"}
        upstream.request("POST", self.path, body=body, headers=headers)
        response = upstream.getresponse()
        content = response.read()
        if left:
            content = json.dumps(json.loads(content) | left).encode()
        # The checksum is that of the answer before; without one the client asks for none.
        dropped = {"content-length", "transfer-encoding", "connection", "x-amz-crc32", "date", "server"}
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in dropped]
        upstream.close()
        self.answer(response.status, kept, content)

    def answer(self, status: int, headers: Sequence[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(content)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the test says what it sees."""


Most = Callable[[str, int], int]


def _first_items(request: dict[str, Any], most: Most) -> tuple[dict[str, Any], dict[str, Any]]:
    ((table, items),) = request["RequestItems"].items()
    count = most("BatchWriteItem", len(items))
    taken = {"RequestItems": {table: items[:count]}} if count else {}
    return taken, {"UnprocessedItems": {table: items[count:]}} if items[count:] else {}


def _first_entries(request: dict[str, Any], most: Most) -> tuple[dict[str, Any], dict[str, Any]]:
    entries = request["Entries"]
    count = most("SendMessageBatch", len(entries))
    failed = [{"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"} for entry in entries[count:]]
    return {"Entries": entries[:count]} if count else {}, {"Failed": failed} if failed else {}


_SPLIT = {"BatchWriteItem": _first_items, "SendMessageBatch": _first_entries}
IN_BATCHES = tuple(_SPLIT)


@contextmanager
def recorded(names: Mapping[str, str]) -> Iterator[list[Call]]:
    """Record every call through botocore while the block runs, with the resource's name in ``names`` for the real one."""
    calls: list[Call] = []
    original = botocore.client.BaseClient._make_api_call
    short = {real: name for name, real in names.items()}

    def call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        service = client.meta.service_model.signing_name
        calls.append(Call(service, operation, _resource(parameters, short), parameters.get("UpdateExpression", "")))
        return original(client, operation, parameters)

    with patch.object(botocore.client.BaseClient, "_make_api_call", call):
        yield calls


def _resource(parameters: Mapping[str, Any], short: Mapping[str, str]) -> str:
    for key in ("TableName", "QueueUrl", "Bucket", "SecretId"):
        if key in parameters:
            return short[str(parameters[key]).rpartition("/")[2]]
    tables = set(parameters.get("RequestItems", ()))
    for item in parameters.get("TransactItems", ()):
        tables |= {part["TableName"] for part in item.values()}
    return short[min(tables)] if tables else ""


@contextmanager
def quick(kind: str = "") -> Iterator[None]:
    """The handlers' clients made anew, as they are configured, but with short waits between tries.

    They wait for an answer as long as they do in earnest, unless answers come late.
    """
    config = clients.CONFIG.merge(Config(read_timeout=READ_TIMEOUT)) if kind == "late" else clients.CONFIG
    clients.forget_clients()
    with (
        patch.object(clients, "CONFIG", config),
        patch.object(ExponentialBackoff, "delay_amount", lambda self, context: 0.01),
    ):
        yield
    clients.forget_clients()


def calls_in(*folders: Path) -> set[tuple[str, str]]:
    """Service and operation of every ``client("service").operation(…)`` in the Python files of these folders."""
    found = set()
    for path in (path for folder in folders for path in folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Call(func=ast.Name(id="client"), args=[ast.Constant(value=str(service))]),
                        attr=method,
                    ),
                    args=arguments,
                ):
                    if method == "get_paginator" and isinstance(arguments[0], ast.Constant):
                        method = str(arguments[0].value)
                    if method not in NO_CALLS:
                        found.add((service, "".join(word.capitalize() for word in method.split("_"))))
    return found
