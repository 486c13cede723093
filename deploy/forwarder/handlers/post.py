"""One HTTP call to the on-call tool, with an end to waiting: no redirects, no proxies, nothing but the standard library."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from urllib.parse import urlsplit

from .failures import RefusedError, TryLaterError

SECONDS = 8.0  # for the whole call; the tool's own APIs answer within one
MOST_BYTES = 65_536  # of an answer; what we read of it is short
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be sent.  Address and headers may hold a key: they are not shown."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.  ``retry_after`` is in seconds, 0 if the tool did not say."""

    status: int
    body: bytes
    retry_after: float = 0


def send(call: Call, seconds: float = SECONDS) -> Answer:
    """Make the call.  Raises TryLaterError when no whole answer comes in time, RefusedError for plain HTTP to elsewhere."""
    parts = urlsplit(call.url)
    host = parts.hostname or ""
    if parts.scheme != "https" and host not in LOOPBACK:
        raise RefusedError(f"the address of the on-call tool at {host or 'nowhere'} is not HTTPS: nothing was sent")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, parts.port, timeout=seconds, context=_tls())
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=seconds)
    # A socket's own time limit is for each read: an answer that drips would never reach it.
    sockets: list[socket.socket] = []
    late = threading.Timer(seconds, _hang_up, [sockets, done := threading.Event()])
    late.daemon = True
    try:
        late.start()
        connection.connect()
        sockets.append(connection.sock)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(call.method, target or "/", call.body or None, dict(call.headers))
        response = connection.getresponse()
        body = response.read(MOST_BYTES)
        if done.is_set() or (len(body) < MOST_BYTES and response.length):
            raise http.client.IncompleteRead(b"", response.length)  # a read up to a limit does not mind by itself
        return Answer(response.status, body, seconds_of(response.getheader("Retry-After")))
    except (OSError, http.client.HTTPException) as error:
        why = f"no whole answer in {seconds:g} s" if done.is_set() else type(error).__name__
        raise TryLaterError(f"{call.method} to {host}: {why}") from None
    finally:
        late.cancel()
        connection.close()


def seconds_of(retry_after: str | None) -> float:
    """Seconds in a Retry-After header, which holds them or a date; 0 for anything else."""
    if not retry_after:
        return 0
    if retry_after.strip().isdecimal():
        return float(retry_after)
    with suppress(ValueError, TypeError):
        moment = parsedate_to_datetime(retry_after)
        return max(0.0, (moment - datetime.now(moment.tzinfo or UTC)).total_seconds())
    return 0


def _hang_up(sockets: list[socket.socket], done: threading.Event) -> None:
    done.set()
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
