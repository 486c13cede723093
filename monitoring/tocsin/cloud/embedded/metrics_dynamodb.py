"""AWS/DynamoDB: latency and consumed capacity of each request, throttles, errors and failed conditions.

Source: Amazon DynamoDB developer guide, "DynamoDB metrics and dimensions".
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from .base import service
from .parts import Parts

_READS = frozenset({"GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"})
_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})
_THROTTLES = ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded")


def install(parts: Parts) -> None:
    """Measure every request for items."""
    dynamodb = service("dynamodb")
    handle = dynamodb.handle_request

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query_params: Any) -> Any:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        request = _request(body) if operation in _READS | _WRITES else None
        if request is None:
            return await handle(method, path, headers, body, query_params)
        asked = request.get("ReturnConsumedCapacity", "NONE")
        if asked == "NONE":
            body = json.dumps({**request, "ReturnConsumedCapacity": "TOTAL"}).encode()
        started, at = time.perf_counter(), parts.clock.time()
        status, response_headers, answer = await handle(method, path, headers, body, query_params)
        milliseconds = (time.perf_counter() - started) * 1000
        content = json.loads(answer)
        _publish(parts, operation, request, status, content, milliseconds, at)
        if asked == "NONE" and isinstance(content, dict) and content.pop("ConsumedCapacity", None) is not None:
            answer = json.dumps(content, ensure_ascii=False).encode()
            response_headers["x-amz-crc32"] = str(zlib.crc32(answer) & 0xFFFFFFFF)
        return status, response_headers, answer

    dynamodb.handle_request = handle_request


def _request(body: bytes) -> dict[str, Any] | None:
    try:
        request = json.loads(body)
    except ValueError:
        return None
    return request if isinstance(request, dict) else None


def _publish(
    parts: Parts, operation: str, request: Mapping[str, Any], status: int, answer: Any, milliseconds: float, at: float
) -> None:
    def record(name: str, dimensions: dict[str, str], value: float, unit: str = "Count") -> None:
        parts.recorder.record("AWS/DynamoDB", name, dimensions, value, unit, at=at)

    tables = sorted(set(_tables(request)))
    direction = "Read" if operation in _READS else "Write"
    if status < 400:
        for table in tables:
            record(
                "SuccessfulRequestLatency", {"TableName": table, "Operation": operation}, milliseconds, "Milliseconds"
            )
        for table, units in _consumed(answer.get("ConsumedCapacity")):
            record(f"Consumed{direction}CapacityUnits", {"TableName": table}, units)
        return
    code = str(answer.get("__type", "")).rpartition("#")[2]
    for table in tables:
        both = {"TableName": table, "Operation": operation}
        if status >= 500:
            record("SystemErrors", both, 1)
        elif code in _THROTTLES:
            record("ThrottledRequests", both, 1)
            record(f"{direction}ThrottleEvents", {"TableName": table}, 1)
        elif code == "ConditionalCheckFailedException":
            record("ConditionalCheckFailedRequests", {"TableName": table}, 1)
    if status < 500 and code not in (*_THROTTLES, "ConditionalCheckFailedException"):
        record("UserErrors", {}, 1)


def _tables(request: Mapping[str, Any]) -> Iterable[str]:
    if "TableName" in request:
        yield _name(request["TableName"])
    yield from map(_name, request.get("RequestItems") or ())
    for item in request.get("TransactItems") or ():
        for action in item.values():
            yield _name(action.get("TableName", ""))


def _consumed(capacity: Any) -> Iterable[tuple[str, float]]:
    for each in capacity if isinstance(capacity, list) else [capacity]:
        if isinstance(each, dict) and "CapacityUnits" in each:
            yield _name(each["TableName"]), float(each["CapacityUnits"])


def _name(table: str) -> str:
    """The table's name; requests may give its ARN."""
    return table.rpartition("table/")[2] if table.startswith("arn:") else table
