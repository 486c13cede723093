"""The HTTP server: reads requests, lets faults happen, asks the routing table, answers.

HTTP/1.1 with Content-Length on both sides, on 127.0.0.1 only.
"""

from __future__ import annotations

import json
import logging
import socket
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ...errors import PagingError
from .faults import Fault, FaultLine
from .routing_table import Refused, Request, Response, Route, RoutingTable

HOST = "127.0.0.1"
LARGEST_BODY = 1 << 20
"""Bytes.  SNS sends at most 256 KiB, which JSON may write twice as long."""

_POLL_SECONDS = 0.1
_IDLE_SECONDS = 60.0
_log = logging.getLogger("tocsin.oncall")


class Listening:
    """The port and whoever listens on it.  While the server is down the port stays ours, and connections are refused."""

    def __init__(self, port: int) -> None:
        # Bound but not listening: it keeps the port from others while nobody listens.
        self._placeholder = _bound(port)
        self.port: int = self._placeholder.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        self._faults = FaultLine()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._start: Callable[[], _Server] | None = None

    def start(self, table: RoutingTable, lock: AbstractContextManager[Any], tick: Callable[[], None]) -> None:
        """Listen; ``tick`` is called before each request and ten times a second."""
        self._start = lambda: _Server(self.port, table, lock, tick, self._faults)
        self._listen()

    def set_fault(self, fault: Fault | None) -> None:
        """Fail in that way from now on."""
        self._faults.set(fault)
        if fault is not None and fault.kind == "down" and fault.times is None:
            self._close()
        elif self._server is None:
            self._listen()

    def stop(self) -> None:
        """Listen no more and give the port back."""
        self._close()
        self._placeholder.close()

    def _listen(self) -> None:
        if self._start is None:
            return
        server = self._server = self._start()
        self._thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="on-call", daemon=True)
        self._thread.start()

    def _close(self) -> None:
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.cut_all()
        self._server = self._thread = None


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        # Without SO_REUSEPORT first: a port that another server of ours has must not be shared with it.
        if port:
            _check_free(port)
        made.bind((HOST, port))
        # It was good for binding after an earlier server; from now on nobody else may have the port.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except (OSError, OverflowError) as error:
        made.close()
        reason = error.strerror if isinstance(error, OSError) else "there is no such port"
        raise PagingError(f"the on-call server cannot listen on {HOST}:{port}: {reason}; choose another port") from None
    return made


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))


class _Server(ThreadingHTTPServer):
    """One span of listening; each connection has a thread of its own."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(
        self,
        port: int,
        table: RoutingTable,
        lock: AbstractContextManager[Any],
        tick: Callable[[], None],
        faults: FaultLine,
    ) -> None:
        self.table, self.lock, self._tick, self.faults = table, lock, tick, faults
        self.closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__((HOST, port), _Handler)

    def server_bind(self) -> None:
        """Bind beside the placeholder."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = HOST, self.server_address[1]

    def service_actions(self) -> None:
        """Time passes also while nobody asks."""
        self.pass_time()

    def pass_time(self) -> None:
        """Do what is due by the clock.  Whatever goes wrong with that, the server goes on answering."""
        try:
            self._tick()
        except Exception:
            _log.exception("what is due by the clock failed")

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """False while the server is down for a number of connections: they are reset."""
        if self.faults.take_connection():
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        with self._open_lock:
            self._open.add(request)
        return True

    def shutdown_request(self, request: Any) -> None:
        """The end of a connection; one to be reset must not be ended in good order first."""
        with self._open_lock:
            known = request in self._open
            self._open.discard(request)
        if known:
            super().shutdown_request(request)
        else:
            request.close()

    def cut_all(self) -> None:
        """End the connections that are still open."""
        self.closing.set()
        with self._open_lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A connection that was cut off is not worth a word; anything else is."""
        if not isinstance(sys.exc_info()[1], OSError):
            _log.exception("a request failed")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "tocsin-oncall", ""
    timeout = _IDLE_SECONDS
    wbufsize = 1 << 16  # head and body go out together
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        body = self._body()
        if body is None:
            return
        fault = self.server.faults.take(urlsplit(self.path).path)
        if fault is not None and fault.kind == "slow":
            self.server.closing.wait(fault.seconds)
        if fault is not None and fault.kind == "status":
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            self._answer(Response(fault.status, {"message": "A fault that was asked for.", "took": 0.0}, headers))
        elif fault is not None and fault.kind == "garbage":
            self._answer(Response(200, b'\x1f\x8b<html>{"result": ', content_type="text/html"))
        else:
            self._answer(self._respond(body), cut=fault is not None and fault.kind == "cut")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  # the names the library calls

    def _body(self) -> bytes | None:
        """The request's body; None when it was answered already because it cannot be read."""
        if self.headers.get("Transfer-Encoding"):
            self._give_up(411, "Send a Content-Length.")
            return None
        length = self.headers.get("Content-Length", "0")
        if not length.isascii() or not length.isdecimal() or len(length) > 12:
            self._give_up(400, "Content-Length is not a number.")
            return None
        if int(length) > LARGEST_BODY:
            self._give_up(413, f"A body may have {LARGEST_BODY} bytes.")
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return None
        return body

    def _give_up(self, status: int, message: str) -> None:
        self.close_connection = True
        self._answer(Response(status, {"message": message, "took": 0.0}))

    def _respond(self, body: bytes) -> Response:
        try:
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=100))
        except ValueError:
            return Response(400, {"message": "The address cannot be read.", "took": 0.0})
        found = self.server.table.find(self.command, parts.path)
        if found is None:
            return self._unknown(parts.path)
        route, match = found
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, unquote(parts.path), query, headers, body, match)
        try:
            self.server.pass_time()
            return self._handled(route, request)
        except Refused as refused:
            return refused.response
        except Exception:
            _log.exception("%s %s failed", self.command, route.pattern)
            return Response(500, {"message": "The embedded on-call server failed; see its log.", "took": 0.0})

    def _handled(self, route: Route, request: Request) -> Response:
        if not route.alone:
            return route.handler(request)
        with self.server.lock:
            answer = route.handler(request)
            # Turned into bytes while nobody changes what it shows.
            return Response(answer.status, answer.content(), answer.headers, answer.content_type)

    def _unknown(self, path: str) -> Response:
        if methods := self.server.table.methods(path):
            return Response(405, {"message": "Method not allowed", "took": 0.0}, {"Allow": ", ".join(methods)})
        return Response(404, {"message": "There is nothing at this address; alerts are at /alerts.", "took": 0.0})

    def _answer(self, response: Response, *, cut: bool = False) -> None:
        content = response.content()
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(content)))
        for name, value in response.headers.items():
            self.send_header(name, value)
        if self.close_connection or cut:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = self.close_connection or cut

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What the library refuses by itself, such as a request line that is none: as JSON too."""
        self.close_connection = True
        self.request_version = self.protocol_version  # what could not be read is taken for the first version
        with suppress(OSError):
            self._answer(Response(code, json.dumps({"message": message or "Bad request", "took": 0.0})))

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet: an address may hold a key, and what arrives is shown on the page."""
