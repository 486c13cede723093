"""Single requests over the web: post a notification as SNS does, and ask whether an address answers.

An address may hold a key, so no error repeats it.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

_SECONDS = 30.0  # an endpoint of SNS has 15 (SNS developer guide, "message delivery retries")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: ``status`` is 0 where nothing did.  ``problem`` says in words what is wrong, without the address."""

    status: int
    problem: str = ""

    @property
    def taken(self) -> bool:
        """Whether the other side has it now."""
        return 200 <= self.status < 300


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The key in an address is for that host only."""

    def redirect_request(self, *_arguments: Any) -> None:
        """Follow nobody."""
        return


def post_notification(address: str, envelope: Mapping[str, Any]) -> Answer:
    """Post an SNS notification with the headers SNS sends (SNS developer guide, "HTTP/HTTPS headers")."""
    host = urlsplit(address).hostname or ""
    if urlsplit(address).scheme != "https" and host not in _LOOPBACK:
        return Answer(0, "the endpoint is not https")
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "tocsin",
        "x-amz-sns-message-type": str(envelope.get("Type", "Notification")),
        "x-amz-sns-message-id": str(envelope.get("MessageId", "")),
        "x-amz-sns-topic-arn": str(envelope.get("TopicArn", "")),
    }
    body = json.dumps(envelope).encode()
    return _ask(urllib.request.Request(address, body, headers, method="POST"), host, _NoRedirects())  # noqa: S310 (checked above)


def visit(address: str) -> Answer:
    """Ask for a page that people open; redirects are followed, as a browser does."""
    if urlsplit(address).scheme not in ("http", "https"):
        return Answer(0, "no address of the web")
    request = urllib.request.Request(address, headers={"User-Agent": "tocsin"})  # noqa: S310 (checked above)
    return _ask(request, urlsplit(address).hostname or "")


def _is_of_somebody_else(content: bytes) -> bool:
    """Whether no on-call tool says that: they answer JSON, a word or nothing."""
    try:
        return content.decode().lstrip().startswith("<")
    except UnicodeDecodeError:
        return True


def _ask(request: urllib.request.Request, host: str, *handlers: urllib.request.BaseHandler) -> Answer:
    if host in _LOOPBACK:
        handlers = (*handlers, urllib.request.ProxyHandler({}))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=_SECONDS) as answer:
            # An answer that is cut off in the middle raises here.
            if request.data is not None and _is_of_somebody_else(answer.read()):
                return Answer(
                    0,
                    f"{host} answers {answer.status} with a page of the web or garbage, so somebody else answers in its "
                    "place: look for a proxy or a login on the way",
                )
            return Answer(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, f"{host} answers {error.code} {error.reason}".rstrip())
    except TimeoutError:
        return Answer(0, f"{host} does not answer within {_SECONDS:g} s")
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else type(error).__name__
        return Answer(0, f"{host} does not answer: {reason}")
