"""A server between a client and the embedded on-call: writes down what passes, and cuts the line after so many requests."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Passed:
    """One request and its answer."""

    method: str
    path: str
    body: Any
    status: int
    answer: Any


@dataclass
class Line:
    """What passes.  After ``left`` more requests that change something no further one does.

    ``carried_out``: the first that does not pass is done all the same, and its answer lost.
    """

    url: str = ""
    left: int | None = None
    carried_out: bool = False
    passed: list[Passed] = field(default_factory=list)

    def writes(self) -> list[Passed]:
        """What was asked for and changes something."""
        return [one for one in self.passed if one.method != "GET"]


@contextmanager
def line_to(url: str) -> Iterator[Line]:
    """A line to the server at ``url``, for the length of the block."""
    line, there = Line(), urlsplit(url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # head and body go out together
        disable_nagle_algorithm = True

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            changes = self.command != "GET"
            cut = changes and line.left == 0
            if changes and line.left:
                line.left -= 1
            if cut and not line.carried_out:
                self.close_connection = True
                return
            connection = http.client.HTTPConnection(there.hostname or "", there.port, timeout=20)
            headers = {name: value for name, value in self.headers.items() if name not in ("Host", "Connection")}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if cut:
                line.carried_out = False
                self.close_connection = True
                return
            line.passed.append(Passed(self.command, self.path, _json(body), answer.status, _json(content)))
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    line.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield line
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _json(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return content
