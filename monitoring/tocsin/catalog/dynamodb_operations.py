"""Which operations a DynamoDB table serves, as far as the permissions in its template tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from ..model import Resource
from .properties import names

#: The operations that are watched.  DynamoDB publishes SystemErrors and SuccessfulRequestLatency for each alone, and
#: an alarm may read ten metrics: transactions and PartiQL are left out unless a policy names them.
COMMON = ("GetItem", "BatchGetItem", "Query", "Scan", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")
#: Values of the Operation dimension that name a table's own requests.  Source: "DynamoDB metrics and dimensions".
ALL = (*COMMON, "TransactGetItems", "TransactWriteItems", "ExecuteStatement", "BatchExecuteStatement")
MOST = len(COMMON)


def operations(table: Resource) -> tuple[str, ...]:
    """The operations that policies of the template allow on this very table, at most eight; the common ones if none do."""
    patterns = {
        action.partition(":")[2]
        for resource in table.surroundings.values()
        if resource.type.startswith(("AWS::IAM::", "AWS::Serverless::"))
        for statement in _statements(resource.properties)
        if names(statement["Resource"], table)
        for action in _texts(statement["Action"])
        if action.startswith("dynamodb:")
    }
    granted = tuple(name for name in ALL if any(fnmatchcase(name, pattern) for pattern in patterns))
    return granted[:MOST] or COMMON


def _statements(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every statement that allows something, wherever it stands in ``value``."""
    if isinstance(value, Mapping):
        if "Action" in value and "Resource" in value and value.get("Effect", "Allow") == "Allow":
            yield value
        else:
            for item in value.values():
                yield from _statements(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _statements(item)


def _texts(value: Any) -> tuple[str, ...]:
    """A text or the texts of a list."""
    items = value if isinstance(value, list | tuple) else (value,)
    return tuple(item for item in items if isinstance(item, str))
