"""Opsgenie's official description as assertions: what a request may say and what an answer must.

The facts are in ``opsgenie_shapes.json``, which names its source.  Used by the adapter's tests and by those of the
stand-in for the tool, so that neither can agree with the other on something that Opsgenie would not understand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "map": (dict,),
}


def check_request(method: str, path: str, body: Any = None) -> None:
    """Raise AssertionError unless Opsgenie's description has this operation and this body.

    ``path`` starts with ``/v2/`` and may have a query.
    """
    operation = _operation(method, path)
    where = f"{method} {operation['path']}"
    for name, value in parse_qsl(urlsplit(path).query, keep_blank_values=True):
        assert name in operation["query"], (
            f"{where}: no query parameter {name!r}; there are {sorted(operation['query'])}"
        )
        known = operation["query"][name]
        _check(int(value) if known["type"] == "integer" else value, known, f"{where}: query {name}")
    if operation["body"] is None:
        assert body in (None, {}), f"{where}: takes no body, got {body!r}"
    elif body is None:
        assert not operation["bodyRequired"], f"{where}: the body is missing"
    else:
        _check(body, {"ref": operation["body"]}, f"{where}: body")


def check_response(method: str, path: str, status: int, body: Any) -> None:
    """Raise AssertionError unless Opsgenie's description has this answer to that operation."""
    operation = _operation(method, path)
    where = f"{method} {operation['path']} -> {status}"
    if status >= 400:
        _check(body, {"ref": "ErrorResponse"}, where)
        return
    assert str(status) in operation["responses"], f"{where}: answers {sorted(operation['responses'])} when it succeeds"
    _check(body, {"ref": operation["responses"][str(status)]}, where)


@cache
def shapes() -> Mapping[str, Any]:
    """The facts."""
    found: Mapping[str, Any] = json.loads(Path(__file__).with_name("opsgenie_shapes.json").read_text(encoding="utf-8"))
    return found


def _operation(method: str, path: str) -> Mapping[str, Any]:
    plain = urlsplit(path).path
    found = [one for one in shapes()["operations"] if one["method"] == method and _matches(one["path"], plain)]
    # A path without a placeholder is the nearer one: /v2/alerts/requests/{id} and /v2/alerts/{id}/close are different.
    assert found, f"{method} {unquote(plain)}: no such operation in Opsgenie's description"
    nearest: Mapping[str, Any] = min(found, key=lambda one: one["path"].count("{"))
    return nearest


@cache
def _matches(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\\\{[^/]*?\\\}", "[^/]+", re.escape(template)), path) is not None


def _check(value: Any, shape: Mapping[str, Any], where: str) -> None:
    if "ref" in shape:
        shape = {**shapes()["definitions"][shape["ref"]], **{k: v for k, v in shape.items() if k != "ref"}}
    kind = shape["type"]
    if kind == "any" or (value is None and shape.get("nullable")):
        return
    fits = isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
    assert fits, f"{where}: is {value!r}, should be {kind}"
    if kind == "object":
        _check_object(value, shape, where)
    elif kind == "map":
        for name, one in value.items():
            _check(one, shape["values"], f"{where}.{name}")
    elif kind == "array":
        assert shape.get("minItems", 0) <= len(value), f"{where}: has {len(value)} items, too few"
        assert len(value) <= shape.get("maxItems", len(value)), f"{where}: has {len(value)} items, too many"
        for number, one in enumerate(value):
            _check(one, shape["items"], f"{where}[{number}]")
    else:
        _check_value(value, shape, where)


def _check_object(value: Mapping[str, Any], shape: Mapping[str, Any], where: str) -> None:
    properties, required = dict(shape["properties"]), list(shape["required"])
    if "discriminator" in shape:
        chosen = value.get(shape["discriminator"])
        assert chosen in shape["variants"], (
            f"{where}: {shape['discriminator']} is {chosen!r}, there are {sorted(shape['variants'])}"
        )
        properties |= shape["variants"][chosen]["properties"]
        required += shape["variants"][chosen]["required"]
    missing = [name for name in required if name not in value]
    assert not missing, f"{where}: {', '.join(missing)} missing"
    unknown = sorted(set(value) - set(properties))
    assert not unknown, f"{where}: no property {', '.join(unknown)}; there are {', '.join(sorted(properties))}"
    for name, one in value.items():
        _check(one, properties[name], f"{where}.{name}")


def _check_value(value: Any, shape: Mapping[str, Any], where: str) -> None:
    if "enum" in shape:
        assert value in shape["enum"], f"{where}: is {value!r}, should be one of {shape['enum']}"
    if "maxLength" in shape:
        assert len(value) <= shape["maxLength"], f"{where}: has {len(value)} characters, at most {shape['maxLength']}"
    if "minLength" in shape:
        assert len(value) >= shape["minLength"], f"{where}: is empty"
    if "minimum" in shape:
        assert value >= shape["minimum"], f"{where}: is {value}, at least {shape['minimum']}"
    if "maximum" in shape:
        assert value <= shape["maximum"], f"{where}: is {value}, at most {shape['maximum']}"
    if shape.get("format") == "date-time":
        assert datetime.fromisoformat(value).tzinfo is not None, f"{where}: {value!r} has no time zone"
