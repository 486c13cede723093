"""CATALOG: every resource type Tocsin watches, the one registry that everything else reads."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from .entry import ResourceType

# One line a catalog file; a file's TYPES lists its entries.
_FILES = (
    "api_gateway_http_api",
    "api_gateway_rest_api",
    "dynamodb_table",
    "events_rule",
    "lambda_event_source_mapping",
    "lambda_function",
    "rds_instance",
    "rds_proxy",
    "s3_bucket",
    "scheduler_schedule",
    "sns_topic",
    "sqs_queue",
)


def _collect() -> Mapping[str, ResourceType]:
    collected: dict[str, ResourceType] = {}
    for file in _FILES:
        types: tuple[ResourceType, ...] = import_module(f".{file}", __name__).TYPES
        for entry in types:
            for name in (entry.type, *entry.aliases):
                if name in collected:
                    raise RuntimeError(f"two catalog entries for {name}")
                collected[name] = entry
    return MappingProxyType(collected)


#: CloudFormation type → entry; an alias (a SAM type) maps to the same entry.
CATALOG: Mapping[str, ResourceType] = _collect()


def entries() -> tuple[ResourceType, ...]:
    """Every entry once, by type."""
    return tuple(sorted({entry.type: entry for entry in CATALOG.values()}.values(), key=lambda entry: entry.type))
