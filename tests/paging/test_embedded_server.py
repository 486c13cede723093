"""The embedded on-call server as a server: what is no good request, what goes wrong on purpose, how it starts and ends."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from embedded_client import Answer, ask, notification, post, send

from tocsin.errors import PagingError
from tocsin.paging.embedded import EmbeddedOnCall, Fault, embedded_oncall


@pytest.fixture
def oncall() -> Iterator[EmbeddedOnCall]:
    with embedded_oncall() as running:
        yield running


def port_of(oncall: EmbeddedOnCall) -> int:
    return int(oncall.url.rpartition(":")[2])


def raw(oncall: EmbeddedOnCall, request: bytes) -> bytes:
    """Send bytes, close our half, and read all that is answered."""
    with socket.create_connection(("127.0.0.1", port_of(oncall)), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def alerts(oncall: EmbeddedOnCall) -> Answer:
    return send(oncall.url, "GET", "/alerts")


def test_a_connection_is_kept_for_several_requests(oncall: EmbeddedOnCall) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(oncall), timeout=20)
    for path in ("/alerts", "/nothing", "/alerts"):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert not answer.will_close
    connection.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v2/alerts/../../etc/passwd", 404),
        ("PUT", "/alerts", 405),
        ("DELETE", "/v2/alerts", 405),
        ("GET", "/v1/json/cloudwatch", 405),
        ("GET", "/?" + "&".join("a=1" for _ in range(200)), 400),
    ],
)
def test_what_has_no_address_is_said(oncall: EmbeddedOnCall, method: str, path: str, status: int) -> None:
    answer = send(oncall.url, method, path)
    assert (answer.status, bool(answer.json["message"])) == (status, True)


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /alerts HTTP/9.9\r\n\r\n", b"505"),
        (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", b"501"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"POST /v2/alerts HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /v2/alerts HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"POST /v2/alerts HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n", b"400"),
        (b"POST /v2/alerts HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", b"413"),
        (b"POST /v2/alerts HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
    ],
)
def test_what_is_no_good_request_is_refused(oncall: EmbeddedOnCall, request_text: bytes, status: bytes) -> None:
    assert raw(oncall, request_text).split(b" ", 2)[1] == status
    assert alerts(oncall).status == 200


def test_a_request_that_is_cut_off_changes_nothing(oncall: EmbeddedOnCall) -> None:
    head = f"POST /v2/alerts?apiKey={oncall.key} HTTP/1.1\r\nContent-Length: 30\r\n\r\n".encode()
    assert raw(oncall, head + b'{"message": "x"}') == b""
    raw(oncall, b"GET /ale")
    assert alerts(oncall).json == []


def test_a_down_server_refuses_connections_until_it_is_up_and_loses_nothing(oncall: EmbeddedOnCall) -> None:
    address = oncall.cloudwatch_address("alarms")
    kept = http.client.HTTPConnection("127.0.0.1", port_of(oncall), timeout=20)
    kept.request("GET", "/alerts")
    kept.getresponse().read()
    post(address, notification("a"))
    oncall.set_fault(Fault("down"))
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            alerts(oncall)
    assert kept.sock.recv(1) == b""  # what was open is ended
    kept.close()
    with pytest.raises(PagingError, match="choose another port"), embedded_oncall(port=port_of(oncall)):
        pass  # the port is not given away meanwhile
    oncall.set_fault(None)
    assert [one["alias"] for one in alerts(oncall).json] == ["a"]
    post(address, notification("b"))
    assert oncall.open_alerts() == ("a", "b")


def test_a_server_that_is_down_for_a_number_of_connections_resets_them(oncall: EmbeddedOnCall) -> None:
    oncall.set_fault(Fault("down", times=2))
    for _ in range(2):
        with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
            alerts(oncall)
    assert alerts(oncall).status == 200


@pytest.mark.parametrize(
    ("retry_after", "header"), [(7, "7"), ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT")]
)
def test_a_status_with_the_time_to_wait(oncall: EmbeddedOnCall, retry_after: int | str, header: str) -> None:
    oncall.set_fault(Fault("status", status=429, retry_after=retry_after, times=1, path="/v2/"))
    assert alerts(oncall).status == 200
    answer = send(oncall.url, "GET", "/v2/alerts")
    assert (answer.status, answer.headers["Retry-After"]) == (429, header)
    assert send(oncall.url, "GET", "/v2/alerts").status == 401


def test_garbage_is_no_json(oncall: EmbeddedOnCall) -> None:
    oncall.set_fault(Fault("garbage", times=1))
    answer = alerts(oncall)
    assert answer.status == 200
    with pytest.raises(UnicodeDecodeError):
        _ = answer.json
    assert alerts(oncall).json == []


def test_a_cut_answer_was_done_nevertheless(oncall: EmbeddedOnCall) -> None:
    address = oncall.cloudwatch_address("alarms")
    oncall.set_fault(Fault("cut", times=1, path="/v1/"))
    with pytest.raises(http.client.IncompleteRead):
        post(address, notification("a"))
    assert oncall.open_alerts() == ("a",)


def test_a_slow_answer_is_true_and_holds_nobody_else_up(oncall: EmbeddedOnCall) -> None:
    oncall.set_fault(Fault("slow", seconds=60, path="/v2/"))
    answers: list[int] = []

    def ask_slowly() -> None:
        try:
            answers.append(send(oncall.url, "GET", "/v2/alerts").status)
        except OSError:
            answers.append(0)

    thread = threading.Thread(target=ask_slowly)
    thread.start()
    assert alerts(oncall).status == 200
    oncall.set_fault(Fault("down"))  # ends the wait, too
    thread.join(20)
    assert not thread.is_alive()
    oncall.set_fault(Fault("slow", seconds=0.01, times=1))
    assert alerts(oncall).json == []


def test_a_fault_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="there are: down, slow"):
        Fault("sulky")
    with pytest.raises(ValueError, match="leave the path out"):
        Fault("down", path="/v2/")


def test_a_port_that_is_taken_is_named() -> None:
    with (
        embedded_oncall() as first,
        pytest.raises(PagingError, match=f":{port_of(first)}: Address already in use"),
        embedded_oncall(port=port_of(first)),
    ):
        pass
    with pytest.raises(PagingError, match="no such port"), embedded_oncall(port=70_000):
        pass


def test_a_port_can_be_had_again_and_nothing_is_left(oncall: EmbeddedOnCall) -> None:
    with embedded_oncall() as first:
        port = port_of(first)
        alerts(first)
    for _ in range(3):
        with embedded_oncall(port=port) as again:
            assert alerts(again).json == []
    assert [thread.name for thread in threading.enumerate()].count("on-call") == 1  # the fixture's


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_alone_and_ends_cleanly(number: int) -> None:
    command = [sys.executable, "-m", "tocsin.paging.embedded", "--user", "somebody@example.com"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as child:
        try:
            assert child.stdout is not None
            url = child.stdout.readline().strip().removeprefix("on-call tool at ")
            key = child.stdout.readline().strip().removeprefix("export OPSGENIE_API_KEY=")
            headers = {"Authorization": f"GenieKey {key}"}
            users = send(url, "GET", "/v2/users", headers=headers).data
            assert [one["username"] for one in users] == ["somebody@example.com"]
            child.send_signal(number)
            out, err = child.communicate(timeout=20)
            assert (child.returncode, out, err) == (0, "", "")
        finally:
            child.kill()


def test_it_says_when_its_port_is_taken(oncall: EmbeddedOnCall) -> None:
    command = [sys.executable, "-m", "tocsin.paging.embedded", "--port", str(port_of(oncall))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "choose another port" in done.stderr


def test_no_key_is_in_the_log(oncall: EmbeddedOnCall, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    ask(oncall, "GET", "/v2/teams")
    post(oncall.cloudwatch_address("alarms"), {"Type": "Notification", "Message": "{"})
    assert caplog.text == ""


def test_half_a_heartbeat_is_not_kept(oncall: EmbeddedOnCall) -> None:
    """However it comes into the table; the clock then finds all that it asks of one."""
    heartbeats = oncall.state.heartbeats
    for half in (
        {},
        {"name": ""},
        {"name": "aws"},
        {"name": "aws", "interval": 10, "intervalUnit": "fortnights"},
        {"name": "aws", "interval": 0, "intervalUnit": "minutes"},
        {"name": "aws", "interval": "10", "intervalUnit": "minutes"},
        {"name": "aws", "interval": 10, "intervalUnit": "minutes", "pinged": "yesterday"},
    ):
        with pytest.raises(ValueError, match="heartbeat"):
            heartbeats.add(half)
    kept = heartbeats.add({"name": "aws", "interval": 1, "intervalUnit": "minutes"})
    assert (kept["expired"], kept["pinged"], kept["enabled"], kept["alertPriority"]) == (False, None, True, "P3")
    assert len(heartbeats) == 1
    assert alerts(oncall).status == 200


def test_what_fails_by_the_clock_does_not_stop_the_server(
    oncall: EmbeddedOnCall, caplog: pytest.LogCaptureFixture
) -> None:
    beat = oncall.state.heartbeats.add(
        {"name": "aws", "interval": 1, "intervalUnit": "minutes", "pinged": oncall.state.clock()}
    )
    del beat["expired"]
    for _ in range(3):
        assert alerts(oncall).status == 200
    assert "what is due by the clock failed" in caplog.text
