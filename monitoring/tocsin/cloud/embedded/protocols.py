"""Protocols of CloudWatch: one request and its answer in CBOR, JSON or the query form, as botocore speaks them.

ministack reads and writes each call by hand; the calls it does not know are read and written here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from .base import service

Response = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True, slots=True)
class Moment:
    """A timestamp in an answer, seconds since 1970: each protocol writes it in its own way."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """One request: ``operation`` such as PutAlarmMuteRule, its parameters, and how to answer it."""

    operation: str
    request: Mapping[str, Any]
    cbor: bool
    json: bool

    def answer(self, content: Mapping[str, Any] | None = None) -> Response:
        """The answer with this content; None stands for nothing at all."""
        cloudwatch = service("cloudwatch")
        if self.cbor:
            cbor2 = import_module("cbor2")
            made: Response = cloudwatch._cbor_ok(_moments(content or {}, lambda at: cbor2.CBORTag(1, at)))
            return made
        if self.json:
            # Not ministack's: it would cut fractions of a second off.
            body = json.dumps(_moments(content or {}, lambda at: at)).encode()
            return 200, {"Content-Type": "application/x-amz-json-1.0"}, body
        inside = _xml(_moments(content or {}, lambda at: datetime.fromtimestamp(at, UTC).isoformat()))
        written: Response = cloudwatch._xml(
            200, f"{self.operation}Response", f"<{self.operation}Result>{inside}</{self.operation}Result>"
        )
        return written

    def refuse(self, code: str, message: str, status: int = 400) -> Response:
        """An error of the service."""
        made: Response = service("cloudwatch")._error(code, message, status, use_json=self.json, use_cbor=self.cbor)
        return made


def read_call(path: str, headers: Mapping[str, str], body: bytes, parameters: Mapping[str, Any] | None) -> Call:
    """Read a request of CloudWatch in any of its protocols; what cannot be read has an empty operation."""
    kind, target = headers.get("content-type", ""), headers.get("x-amz-target", "")
    if "cbor" in kind or "cbor" in headers.get("smithy-protocol", ""):
        named = re.search(r"/operation/([^/?]+)", path)
        try:
            request = import_module("cbor2").loads(body) if body else {}
        except Exception:
            request = {}
        return Call(named[1] if named else "", request if isinstance(request, dict) else {}, True, False)
    if "json" in kind or target:
        try:
            request = json.loads(body or b"{}")
        except ValueError:
            request = {}
        return Call(target.rpartition(".")[2], request if isinstance(request, dict) else {}, False, True)
    pairs = {name: each[0] if isinstance(each, list) else each for name, each in (parameters or {}).items()}
    pairs |= dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    return Call(str(pairs.get("Action", "")), _nested(pairs), False, False)


def _nested(pairs: Mapping[str, Any]) -> dict[str, Any]:
    """``{"A.B": 1, "C.member.1": 2}`` as ``{"A": {"B": 1}, "C": [2]}``."""
    tree: dict[str, Any] = {}
    for name, value in pairs.items():
        *parents, last = name.split(".")
        at = tree
        for parent in parents:
            at = at.setdefault(parent, {})
            if not isinstance(at, dict):
                break
        else:
            at[last] = value
    return {name: _listed(value) for name, value in tree.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) == {"member"} and isinstance(value["member"], dict):
        places = sorted((place for place in value["member"] if place.isdecimal()), key=int)
        return [_listed(value["member"][place]) for place in places]
    return {name: _listed(each) for name, each in value.items()}


def _moments(value: Any, write: Any) -> Any:
    if isinstance(value, Moment):
        return write(value.seconds)
    if isinstance(value, Mapping):
        return {name: _moments(each, write) for name, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_moments(each, write) for each in value]
    return value


def _xml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{name}>{_xml(each)}</{name}>" for name, each in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{_xml(each)}</member>" for each in value)
    return escape(str(value))
