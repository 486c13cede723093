"""What an answer of an on-call tool means: done, refused, to be asked again, and when."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from ..errors import PagingError


class RestError(PagingError):
    """The tool refused, failed or did not answer.

    ``status`` is that of its answer, None where there was none.  ``unknown``: the request may have been carried out all
    the same; whoever sent it must look before sending it again.
    """

    def __init__(self, message: str, status: int | None = None, *, unknown: bool = False) -> None:
        self.status, self.unknown = status, unknown
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: ``value`` is what its JSON says, None for an empty body."""

    status: int
    value: Any


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that did not succeed, and what may follow from it."""

    text: str
    status: int | None = None
    final: bool = False
    certainly_not_done: bool = False
    perhaps_done: bool = False
    asked_to_wait: float | None = None


def judge(status: int, headers: Mapping[str, str], content: bytes) -> Answer | Failure:
    """What the other side's answer comes to."""
    try:
        value = json.loads(content) if content.strip() else None
        readable = True
    except (ValueError, RecursionError):
        value, readable = None, False
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        there = urlsplit(headers.get("Location", "")).hostname or "another address"
        return Failure(
            f"{status}: sends on to {there}, where the key does not go: correct the address", status, final=True
        )
    if status < HTTPStatus.MULTIPLE_CHOICES:
        if readable:
            return Answer(status, value)
        kind = headers.get("Content-Type", "no type").partition(";")[0]
        return Failure(f"{status}: the answer is no JSON ({kind}, {len(content)} bytes)", status, perhaps_done=True)
    said = _message_of(value) if readable else ""
    text = f"{status} {_phrase(status)}".strip() + (f": {said}" if said else "")
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        wait = _wait_asked_for(headers)
        refused = status == HTTPStatus.TOO_MANY_REQUESTS or wait is not None
        return Failure(text, status, certainly_not_done=refused, perhaps_done=not refused, asked_to_wait=wait)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Failure(text, status, perhaps_done=True)
    return Failure(text, status, final=True)


def _wait_asked_for(headers: Mapping[str, str]) -> float | None:
    """Seconds, from Retry-After in either form, or from the period that Opsgenie names when it throttles."""
    asked = headers.get("Retry-After") or headers.get("X-RateLimit-Period-In-Sec") or ""
    try:
        return max(0.0, float(asked))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(asked)
    except (TypeError, ValueError):
        return None
    try:
        # By the tool's own clock where it tells it: ours may go wrong.
        now = parsedate_to_datetime(headers.get("Date") or "")
    except (TypeError, ValueError):
        now = datetime.now(UTC)
    return max(0.0, (_aware(until) - _aware(now)).total_seconds())


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _message_of(value: Any, depth: int = 0) -> str:
    """What the tool says is wrong, wherever in its answer it says so."""
    if isinstance(value, str):
        return value[:300]
    if depth > 5:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_message_of(one, depth + 1) for one in value[:3])))
    if not isinstance(value, dict):
        return ""
    texts = [
        _message_of(value.get(name), depth + 1)
        for name in ("message", "error", "title", "detail", "errors", "errorMessages")
    ]
    if isinstance(value.get("errors"), dict):
        texts.append(
            "; ".join(f"{name}: {_message_of(one, depth + 1)}" for name, one in list(value["errors"].items())[:3])
        )
    return "; ".join(dict.fromkeys(filter(None, texts)))[:300]


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
