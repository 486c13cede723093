"""Something in front of an on-call server: counts what passes, fails each third page if told to, and can be away."""

from __future__ import annotations

import http.client
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

PAGES = "/v1/json/cloudwatch"
_PASSED = ("authorization", "content-type", "x-amz-sns-message-type", "x-amz-sns-message-id", "x-amz-sns-topic-arn")


@dataclass
class EveryThird:
    """``url`` leads to ``behind``.  While ``failing``, each third page is answered 500: before it gets there, or after.

    ``requests`` counts what came.
    """

    behind: str
    port: int = 0
    failing: bool = False
    requests: int = 0
    _server: Any = None
    _thread: Any = None
    _count: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: Any = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Listen."""
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.front = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more; the port is kept in mind."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def turn(self, path: str) -> tuple[bool, bool]:
        """Whether this request fails, and whether it is passed on all the same."""
        with self._lock:
            self.requests += 1
            if not self.failing or not path.startswith(PAGES):
                return False, True
            number = next(self._count)
        return number % 3 == 0, number % 6 == 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True
    front: EveryThird

    def handle_error(self, *_: Any) -> None:
        """A connection that is cut is meant to be."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    server: Any

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fails, passes = self.server.front.turn(self.path)
        status, headers, content = 500, {}, b""
        if passes or not fails:
            status, headers, content = self._ask(body)
        if fails:
            status, headers, content = 500, {}, b""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815  # the names the library calls

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """What the server behind answers; what it does to a connection is done to this one."""
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(self.server.front.behind).port, timeout=30)
        try:
            given = {name: value for name, value in self.headers.items() if name.lower() in _PASSED}
            connection.request(self.command, self.path, body or None, given)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        kept = {name: value for name, value in answer.getheaders() if name in ("Content-Type", "Retry-After")}
        return answer.status, kept, content

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def every_third(behind: str) -> Iterator[EveryThird]:
    """In front of the server at ``behind``, for the length of the block."""
    front = EveryThird(behind)
    front.open()
    try:
        yield front
    finally:
        front.close()
