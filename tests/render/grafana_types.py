"""Grafana's own types held against a dashboard: what its schema does not know, and what has the wrong type."""

from __future__ import annotations

import enum
import json
import types
import typing
import warnings
from functools import cache
from typing import Any


def problems(dashboard: dict[str, Any]) -> list[str]:
    """Keys that are lost and values of the wrong type when grafana-foundation-sdk reads the dashboard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the SDK prefers its v2 classes, we write classic JSON
        from grafana_foundation_sdk.cog import plugins
        from grafana_foundation_sdk.cog.encoder import JSONEncoder
        from grafana_foundation_sdk.models.dashboard import Dashboard

        plugins.register_default_plugins()
        read = Dashboard.from_json(dashboard)
        written = json.loads(JSONEncoder(sort_keys=True).encode(read))
    return [*_lost(dashboard, written, "$"), *_wrong(read, "$")]


def _lost(before: Any, after: Any, path: str) -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            text
            for key, value in before.items()
            for text in (
                _lost(value, after[key], f"{path}.{key}") if key in after else [f"{path}.{key}: not in the schema"]
            )
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            text
            for index, pair in enumerate(zip(before, after, strict=True))
            for text in _lost(*pair, f"{path}[{index}]")
        ]
    return [] if before == after else [f"{path}: {before!r} became {after!r}"]


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _wrong(value: Any, path: str) -> list[str]:
    if isinstance(value, list):
        return [text for index, item in enumerate(value) for text in _wrong(item, f"{path}[{index}]")]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in _wrong(item, f"{path}.{key}")]
    if not type(value).__module__.startswith("grafana_foundation_sdk") or isinstance(value, enum.Enum):
        return []
    found = []
    for name, hint in _hints(type(value)).items():
        item = getattr(value, name)
        if not _fits(item, hint):
            found.append(f"{path}.{name}: {item!r} is not {hint}")
        found += _wrong(item, f"{path}.{name}")
    return found


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or hint is object:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin is list:
        return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(item, arguments[1]) for item in value.values())
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return isinstance(value, hint) or value in {member.value for member in hint}
    if isinstance(value, dict) and getattr(hint, "__name__", "") == "DashboardLink":
        # The SDK leaves a panel's links as they are; read them with its own class all the same.
        read = hint.from_json(value)
        return not _wrong(read, "") and value.items() <= read.to_json().items()
    return not isinstance(hint, type) or isinstance(value, hint)
