"""JSON over HTTP to an on-call tool, against a real server that fails in every way."""

from __future__ import annotations

import json
import socket
import threading
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.errors import PagingError
from tocsin.paging.rest import Answer, Rest, RestError

KEY = "5f1c0ffe-0000-4000-8000-c0ffee5f1c0f"

Play = Callable[["Handler"], None]


@dataclass
class Server:
    """A real server that plays one answer after the other, the last of them for ever."""

    url: str = ""
    plays: list[Play] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    """Plays the next answer of its server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _play(self) -> None:
        server: Server = self.server.played  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server.seen.append((self.command, self.path, dict(self.headers.items()), body))
        play = server.plays.pop(0) if len(server.plays) > 1 else server.plays[0]
        play(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _play  # noqa: N815 (http.server names them)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as one:
        yield one


@contextmanager
def serving() -> Iterator[Server]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.played = Server(f"http://127.0.0.1:{http.server_address[1]}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield http.played  # type: ignore[attr-defined]
    finally:
        http.played.released.set()  # type: ignore[attr-defined]
        http.shutdown()
        thread.join()
        http.server_close()


def fine(body: Any = None, status: int = 200) -> Play:
    return lambda handler: handler.answer(status, body)


def failing(status: int, body: Any = None, **headers: str) -> Play:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.answer(status, body, named)


def cut(handler: Handler) -> None:
    """Half an answer, then the end."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"data": {"id"')
    handler.close_connection = True


def silent(handler: Handler) -> None:
    """Nothing until the test is over."""
    handler.server.played.released.wait(20)  # type: ignore[attr-defined]
    handler.close_connection = True


def rest(server: Server | str, waits: list[float] | None = None, **options: Any) -> Rest:
    url = server if isinstance(server, str) else server.url
    waited = [] if waits is None else waits
    headers = {"Authorization": f"GenieKey {KEY}"}
    return Rest(url, headers, key_shown="the variable OPSGENIE_KEY", sleep=waited.append, **options)


def refused(call: Callable[[], Any]) -> RestError:
    with pytest.raises(PagingError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert isinstance(caught.value, RestError)
    return caught.value


def test_a_good_answer_is_its_json(server: Server) -> None:
    server.plays = [fine({"data": [1]}), fine(None, 204)]
    one = rest(server)
    assert one.get("/v2/teams", query={"name": "a b&c"}) == {"data": [1]}
    assert one.delete("/v2/teams/x") is None
    (method, path, headers, body), gone = server.seen
    assert (method, path, body) == ("GET", "/v2/teams?name=a+b%26c", b"")
    assert headers["Authorization"] == f"GenieKey {KEY}"
    assert gone[0] == "DELETE"


@pytest.mark.parametrize("method", ["post", "put", "patch"])
def test_a_body_is_sent_as_json(server: Server, method: str) -> None:
    server.plays = [fine({})]
    getattr(rest(server), method)("/x", {"name": "Zürich"})
    ((_, _, headers, body),) = server.seen
    assert json.loads(body) == {"name": "Zürich"}
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "0"}, 0.0),
        ({"X_RateLimit_Period_In_Sec": "2"}, 2.0),
        (
            {
                "Retry_After": format_datetime(datetime(2026, 1, 1, 0, 0, 9, tzinfo=UTC), usegmt=True),
                "Date": format_datetime(datetime(2026, 1, 1, tzinfo=UTC), usegmt=True),
            },
            9.0,
        ),
        ({"Retry_After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("status", [429, 503])
def test_it_waits_as_long_as_it_is_asked_to(
    server: Server, headers: dict[str, str], wait: float, method: str, status: int
) -> None:
    # http.server writes a Date of its own; where the case brings one, that counts by being the first.
    server.plays = [lambda handler: throttle(handler, status, headers), fine({"done": True})]
    waits: list[float] = []
    assert getattr(rest(server, waits), method)("/v2/teams") == {"done": True}
    assert waits == [pytest.approx(wait)]


def throttle(handler: Handler, status: int, headers: dict[str, str]) -> None:
    handler.send_response_only(status)
    for name, value in {"Content-Length": "0", **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def test_a_date_without_the_servers_clock_is_by_ours(server: Server) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    server.plays = [lambda handler: throttle(handler, 429, {"Retry_After": until}), fine({})]
    waits: list[float] = []
    rest(server, waits).get("/v2/teams")
    assert 20 < waits[0] <= 30


def test_a_wait_too_long_is_an_error_at_once_that_says_how_long(server: Server) -> None:
    server.plays = [failing(429, {"message": "You are making too many requests!"}, Retry_After="3600")]
    waits: list[float] = []
    error = refused(lambda: rest(server, waits).get("/v2/teams"))
    assert (waits, len(server.seen), error.status, error.unknown) == ([], 1, 429, False)
    assert "asks to wait 3600 s" in str(error)
    assert "You are making too many requests!" in str(error)


def test_throttled_without_an_end_is_given_up_after_the_attempts(server: Server) -> None:
    server.plays = [failing(429, Retry_After="1")]
    waits: list[float] = []
    error = refused(lambda: rest(server, waits, attempts=4).post("/v2/teams", {}))
    assert (waits, len(server.seen), error.unknown) == ([1.0] * 3, 4, False)
    assert "429" in str(error)


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
@pytest.mark.parametrize("play", [failing(500), failing(502), failing(503), cut, fine(b"<html>sorry</html>")])
def test_what_may_be_sent_again_is(server: Server, method: str, play: Play) -> None:
    server.plays = [play, play, fine({"done": True})]
    waits: list[float] = []
    assert getattr(rest(server, waits), method)("/v2/teams") == {"done": True}
    assert len(server.seen) == 3
    # Exponential, up to half of it left to chance.
    assert 0.25 <= waits[0] <= 0.5 <= waits[1] <= 1.0


@pytest.mark.parametrize(
    ("play", "words"),
    [
        (failing(500, {"message": "Oops"}), "500 Internal Server Error: Oops"),
        (failing(503), "503 Service Unavailable"),
        (cut, "cut the connection"),
        (fine(b"<html>sorry</html>"), "the answer is no JSON (application/json, 18 bytes)"),
        (silent, "did not answer within 0.2 s"),
    ],
)
def test_a_creation_is_sent_once_and_its_outcome_unknown(server: Server, play: Play, words: str) -> None:
    server.plays = [play]
    error = refused(lambda: rest(server, patience=0.2).post("/v2/teams", {"name": "x"}))
    assert len(server.seen) == 1
    assert error.unknown
    assert words in str(error)
    assert "POST /v2/teams" in str(error)


def test_a_creation_that_does_no_harm_twice_may_be_sent_again(server: Server) -> None:
    server.plays = [cut, failing(500), fine({"done": True})]
    assert rest(server).request("POST", "/x/close", {}, repeatable=True) == Answer(200, {"done": True})


def test_a_slow_server_is_asked_again(server: Server) -> None:
    server.plays = [silent, fine({"done": True})]
    assert rest(server, patience=0.2).get("/v2/teams") == {"done": True}


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_server_that_is_down_is_tried_again_because_nothing_was_sent(method: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    waits: list[float] = []
    error = refused(lambda: getattr(rest(url, waits, attempts=3), method)("/v2/teams"))
    assert (len(waits), error.status, error.unknown) == (2, None, False)
    assert "cannot be reached (3 attempts)" in str(error)


@pytest.mark.parametrize("status", [400, 404, 405, 409, 410, 422, 428])
def test_what_is_refused_is_not_sent_again(server: Server, status: int) -> None:
    server.plays = [failing(status, {"message": "No such thing", "errors": {"name": "can not be empty."}})]
    error = refused(lambda: rest(server).get("/v2/teams", query={"name": "private"}))
    assert (len(server.seen), error.status, error.unknown) == (1, status, False)
    assert "GET /v2/teams" in str(error)
    assert "No such thing" in str(error)
    assert "name: can not be empty." in str(error)
    assert "private" not in str(error)


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "the variable OPSGENIE_KEY is missing, wrong or revoked"), (403, "OPSGENIE_KEY is not allowed to do this")],
)
def test_a_refused_key_is_named_by_where_it_is_from(server: Server, status: int, words: str) -> None:
    server.plays = [failing(status, {"message": f"Key [{KEY}] is not valid"})]
    error = refused(lambda: rest(server).get("/v2/teams"))
    assert words in str(error)
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_with_the_key(server: Server, status: int) -> None:
    with serving() as elsewhere:
        elsewhere.plays = [fine({})]
        server.plays = [failing(status, Location=f"{elsewhere.url}/v2/teams?apiKey={KEY}")]
        error = refused(lambda: rest(server).get("/v2/teams"))
        assert elsewhere.seen == []
    assert "127.0.0.1, where the key does not go" in str(error)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://api.opsgenie.com", "write https://api.opsgenie.com"),
        ("http://169.254.1.1", "write https://169.254.1.1"),
        ("http://localhost.example.com", "write https://localhost.example.com"),
        ("ftp://api.opsgenie.com", "write https://host"),
        ("api.opsgenie.com", "write https://host"),
        ("https://", "write https://host"),
        ("https://[::1", "write https://host"),
        (f"https://me:{KEY}@api.opsgenie.com", "take the rest out"),
        (f"https://api.opsgenie.com?apiKey={KEY}", "take the rest out"),
    ],
)
def test_an_address_that_would_show_the_key_is_refused(url: str, words: str) -> None:
    with pytest.raises(PagingError) as caught:
        Rest(url, {"Authorization": KEY})
    assert words in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://api.eu.opsgenie.com/", "http://127.0.0.1:9", "http://localhost", "http://[::1]:9"]
)
def test_https_and_this_machine_are_fine(url: str) -> None:
    assert Rest(url, {}).base_url == url.rstrip("/")


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY} ", f"{KEY}\r\nX-Other: 1", "schlüssel", "\x00" * 8])
def test_a_key_with_other_signs_than_a_key_has_is_refused_by_name(key: str) -> None:
    with pytest.raises(PagingError, match="the secret tocsin/key holds characters that no key has") as caught:
        Rest("https://api.opsgenie.com", {"Authorization": f"GenieKey {key}"}, key_shown="the secret tocsin/key")
    assert key not in str(caught.value)


KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60)


@settings(deadline=None, max_examples=60)
@given(key=KEYS, status=st.sampled_from([200, 302, 400, 401, 403, 404, 422, 429, 500, 503]), quoted=st.booleans())
def test_no_error_holds_the_key_whatever_the_tool_says(key: str, status: int, quoted: bool) -> None:
    shown = quote(key, safe="") if quoted else key
    said = {
        "message": f"Key {shown} is bad, Basic {b64encode(key.encode()).decode()}",
        "errors": {shown: [shown], "x": json.dumps(key)},
    }
    with SERVING as server:
        body: Any = said if status != 200 else f"not json {key}".encode()
        headers = {"Location": f"https://x.example.com/{quote(key, safe='')}"} if status == 302 else {}
        server.plays = [failing(status, body, **headers)]
        one = Rest(server.url, {"Authorization": f"GenieKey {key}"}, secrets=(key,), attempts=1)
        with pytest.raises(PagingError) as caught:
            one.get(f"/integration/{quote(key, safe='')}/enqueue", query={"apiKey": key})
        told = "".join(traceback.format_exception(caught.value)) + repr(one)
        # The frames of the traceback quote this file and the library, not values; the message is what is told.
        for form in (key, quote(key, safe=""), b64encode(key.encode()).decode()):
            assert form not in str(caught.value)
            assert form not in repr(caught.value)
        assert f"GenieKey {key}" not in told


class _Shared:
    """One server for all examples of a property."""

    def __enter__(self) -> Server:
        if not hasattr(self, "context"):
            self.context = serving()
            self.server = self.context.__enter__()
        return self.server

    def __exit__(self, *_: object) -> None:
        """Stays for the next example."""

    def close(self) -> None:
        if hasattr(self, "context"):
            self.context.__exit__(None, None, None)


SERVING = _Shared()


@pytest.fixture(autouse=True, scope="module")
def _end() -> Iterator[None]:
    yield
    SERVING.close()


# Answers that have no end


def trickling(head: bool) -> Play:
    """A byte at a time, of the header lines or of the answer, until whoever asked is gone."""

    def play(handler: Handler) -> None:
        handler.close_connection = True
        started = b"HTTP/1.1 200 OK\r\nX-More: " if head else b"HTTP/1.1 200 OK\r\n\r\n"
        released = handler.server.played.released  # type: ignore[attr-defined]
        try:
            handler.wfile.write(started)
            while not released.wait(0.05):
                handler.wfile.write(b" ")
        except OSError:
            return

    return play


@pytest.mark.parametrize("head", [True, False])
def test_an_answer_that_trickles_is_cut(server: Server, head: bool) -> None:
    server.plays = [trickling(head)]
    with pytest.raises(RestError, match=r"GET /v2/teams: did not finish its answer within 0\.4 s \(2 attempts\)"):
        rest(server, whole=0.4, attempts=2).get("/v2/teams")
    with pytest.raises(RestError) as caught:
        rest(server, whole=0.4).post("/v2/teams", {})
    assert caught.value.unknown


def test_after_an_answer_that_was_cut_the_next_one_is_heard(server: Server) -> None:
    server.plays = [trickling(head=False), fine({"data": 1})]
    assert rest(server, whole=0.4).get("/v2/teams") == {"data": 1}


def test_an_answer_of_any_length_is_not_kept(server: Server) -> None:
    server.plays = [fine(b'"' + b"x" * 10_000_001 + b'"')]
    with pytest.raises(RestError, match=r"GET /v2/teams: 200: the answer is longer than 10 MB$"):
        rest(server).get("/v2/teams")
    server.plays = [fine(b'"' + b"x" * 9_000_000 + b'"')]
    assert len(rest(server).get("/v2/teams")) == 9_000_000


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5_000])
def test_an_answer_that_cannot_be_read_is_no_answer(server: Server, body: bytes) -> None:
    server.plays = [fine(body)]
    with pytest.raises(RestError, match="200: the answer is no JSON"):
        rest(server, attempts=1).get("/v2/teams")
    server.plays = [failing(422, body)]
    with pytest.raises(RestError, match="422 Unprocessable Entity"):
        rest(server, attempts=1).get("/v2/teams")


def test_what_cannot_be_reached_is_named_by_host_and_port_alone() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]
        with pytest.raises(RestError, match=rf": http://127\.0\.0\.1:{port} cannot be reached") as caught:
            rest(f"http://127.0.0.1:{port}/secret-path", attempts=1).get("/v2/teams", query={"apiKey": KEY})
    assert "secret-path" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_another_key_of_the_same_tool(server: Server) -> None:
    server.plays = [fine({}), failing(403, {"message": f"not with {KEY[::-1]}"})]
    first = rest(server, attempts=1)
    first.get("/v2/teams")
    with pytest.raises(RestError, match="the variable OPSGENIE_KEY is not allowed to do this") as caught:
        first.carrying({"Authorization": f"GenieKey {KEY[::-1]}"}).get("/v2/teams")
    assert KEY[::-1] not in str(caught.value)
    assert [headers["Authorization"] for _, _, headers, _ in server.seen] == [
        f"GenieKey {KEY}",
        f"GenieKey {KEY[::-1]}",
    ]
