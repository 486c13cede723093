"""A real server between the adapter and the on-call server: holds every exchange to Opsgenie's description, and cuts."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opsgenie_contract import check_request, check_response


@dataclass
class Between:
    """What passed through, and what is to go wrong.

    ``cut_at`` is the number, from 1, of the write that is cut: ``lost`` before it is carried out, else in its answer.
    ``dead``: after that nothing passes any more.
    """

    url: str = ""
    behind: str = ""
    passed: list[tuple[str, str, Any, int]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    writes: int = 0
    cut_at: int = 0
    lost: bool = False
    dead: bool = False
    died: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def written(self) -> list[tuple[str, str]]:
        """The writes, method and path."""
        return [(method, path) for method, path, _, _ in self.passed if method != "GET"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _pass(self) -> None:
        between: Between = self.server.between  # type: ignore[attr-defined]
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with between.lock:
            if between.died:
                self.close_connection = True
                return
            between.writes += self.command != "GET"
            cut = self.command != "GET" and between.writes == between.cut_at
            between.died = cut and between.dead
            if cut and between.lost:
                self.close_connection = True
                return
            status, headers, answer = _forward(between.behind, self.command, self.path, dict(self.headers), content)
            self._check(between, content, status, answer)
        if cut:
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer) + 10))
            self.end_headers()
            self.close_connection = True
            return
        self.send_response(status)
        for name in ("Content-Type", "Retry-After"):
            if name in headers:
                self.send_header(name, headers[name])
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _check(self, between: Between, content: bytes, status: int, answer: bytes) -> None:
        body = json.loads(content) if content else None
        between.passed.append((self.command, self.path, body, status))
        try:
            check_request(self.command, self.path, body)
            check_response(self.command, self.path, status, json.loads(answer))
        except (AssertionError, ValueError) as error:
            between.wrong.append(str(error))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 (http.server names them)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _forward(
    behind: str, method: str, path: str, headers: dict[str, str], content: bytes
) -> tuple[int, dict[str, str], bytes]:
    sent = {name: headers[name] for name in ("Authorization", "Content-Type") if name in headers}
    request = urllib.request.Request(behind + path, content or None, sent, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


@contextmanager
def between(behind: str) -> Iterator[Between]:
    """A server before the one at ``behind``."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    http.daemon_threads = True
    http.between = Between(f"http://127.0.0.1:{http.server_address[1]}", behind)  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield http.between  # type: ignore[attr-defined]
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
