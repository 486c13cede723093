"""Jira Service Management operations' API as assertions: what a request may say, and what an answer must.

The facts, and where they are from, are in ``jira_shapes.json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "list": list,
}


@cache
def facts() -> dict[str, Any]:
    """The whole file."""
    found: dict[str, Any] = json.loads((Path(__file__).parent / "jira_shapes.json").read_text(encoding="utf-8"))
    return found


def check(method: str, path: str, body: Any, status: int, answer: Any) -> None:
    """Raise AssertionError unless the API has this operation, takes this body and, if it went well, answers so."""
    operation = _operation(method, urlsplit(path).path)
    where = f"{method} {operation['path']}"
    for name, _ in parse_qsl(urlsplit(path).query, keep_blank_values=True):
        assert name in operation["query"], f"{where}: no query parameter {name!r}"
    if operation["body"] is not None and status < 400:
        _check(body, {"ref": operation["body"]}, f"{where}: body")
    if status >= 400:
        return
    assert status == operation["status"], f"{where}: answers {operation['status']}, got {status}"
    expected = operation["answer"]
    if expected is None:
        assert answer is None, f"{where}: answers nothing, got {answer!r}"
    elif isinstance(expected, str):
        _check(answer, {"ref": expected}, f"{where}: answer")
    elif "page" in expected:
        assert set(answer) == {"values", "links"}, where
        _check(answer["values"], {"list": {"ref": expected["page"]}}, f"{where}: values")
    else:
        _check(answer, {"list": {"ref": expected["list"]}}, f"{where}: answer")


def known(method: str, path: str) -> bool:
    """Whether the file knows the operation."""
    return any(
        one["method"] == method and re.fullmatch(_pattern(one["path"]), urlsplit(path).path)
        for one in facts()["operations"]
    )


def _operation(method: str, path: str) -> dict[str, Any]:
    for one in facts()["operations"]:
        if one["method"] == method and re.fullmatch(_pattern(one["path"]), path):
            found: dict[str, Any] = one
            return found
    raise AssertionError(f"{method} {path}: the API has no such operation")


@cache
def _pattern(path: str) -> str:
    parts = re.split(r"\{\w+\}", path)
    return "[^/]+".join(map(re.escape, parts))


@cache
def _shape(name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    one = facts()["shapes"][name]
    base = _shape(one["as"])[0] if "as" in one else {}
    return {**base, **one.get("fields", {})}, tuple(one["required"])


def _check(value: Any, expected: Any, where: str) -> None:
    if isinstance(expected, str):
        if expected.startswith("moment"):
            if not (value is None and expected.endswith("?")):
                assert datetime.fromisoformat(value).tzinfo is not None, f"{where}: {value!r} has no offset"
            return
        fits = isinstance(value, _TYPES[expected]) and not (expected == "integer" and isinstance(value, bool))
        assert fits, f"{where}: {value!r} is no {expected}"
    elif "enum" in expected:
        assert value in expected["enum"], f"{where}: {value!r} is none of {expected['enum']}"
    elif "list" in expected:
        assert isinstance(value, list), f"{where}: {value!r} is no list"
        for number, one in enumerate(value):
            _check(one, expected["list"], f"{where}[{number}]")
    elif value is None:
        assert expected.get("null"), f"{where}: null"
    else:
        fields, required = _shape(expected["ref"])
        assert isinstance(value, dict), f"{where}: {value!r} is no object"
        for name in required:
            assert value.get(name) is not None, f"{where}: {name} is missing"
        for name, one in value.items():
            assert name in fields, f"{where}: unknown field {name!r}"
            if one is not None or name in required:
                _check(one, fields[name], f"{where}.{name}")
