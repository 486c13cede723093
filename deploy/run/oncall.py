"""A local stand-in for the on-call tool: takes pages from SNS over HTTP, opens and closes alerts by alarm name."""

from __future__ import annotations

import base64
import json
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import load_pem_x509_certificate

# Amazon SNS developer guide, "Verifying the signatures of Amazon SNS messages": these fields, in this order.
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}


@dataclass(frozen=True, slots=True)
class Told:
    """One notification that arrived: which alarm went into which state, by CloudWatch's clock and by ours."""

    severity: str
    alarm: str
    state: str
    reason: str
    description: str
    changed_at: datetime
    sent_at: datetime


@dataclass
class OnCall:
    """What has been received.  ``url(severity)`` is where a topic posts to; an alert is open from ALARM to OK."""

    port: int
    certificates_from: str = ""
    received: list[Told] = field(default_factory=list)
    confirmed: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def url(self, severity: str) -> str:
        """The address for the notifications of one severity."""
        return f"http://127.0.0.1:{self.port}/{severity}"

    def wait_for(self, alarm: str, state: str, after: datetime, seconds: float) -> Told | None:
        """The first notification that the alarm entered ``state`` at ``after`` or later; None if none comes in real ``seconds``."""
        found: list[Told] = []

        def arrived() -> bool:
            found.extend(
                told
                for told in self.received
                if (told.alarm, told.state) == (alarm, state) and told.changed_at >= after
            )
            return bool(found)

        with self._changed:
            self._changed.wait_for(arrived, seconds)
        return found[0] if found else None

    def open_alerts(self) -> tuple[str, ...]:
        """The alarms that have told of ALARM and not yet of OK."""
        with self._changed:
            last = {told.alarm: told.state for told in self.received}
        return tuple(sorted(alarm for alarm, state in last.items() if state == "ALARM"))

    def take(self, severity: str, message: Mapping[str, Any]) -> None:
        """Handle one SNS message whose signature holds."""
        if message["Type"] == "SubscriptionConfirmation":
            self._get(message["SubscribeURL"])
            with self._changed:
                self.confirmed.add(severity)
                self._changed.notify_all()
            return
        alarm = json.loads(message["Message"])
        told = Told(
            severity=severity,
            alarm=alarm["AlarmName"],
            state=alarm["NewStateValue"],
            reason=alarm["NewStateReason"],
            description=alarm.get("AlarmDescription") or "",
            changed_at=_moment(alarm["StateChangeTime"]),
            sent_at=_moment(message["Timestamp"]),
        )
        with self._changed:
            self.received.append(told)
            self._changed.notify_all()

    def verify(self, message: Mapping[str, Any]) -> None:
        """Raise InvalidSignature unless the embedded AWS signed this message."""
        if not self.certificates_from or not str(message.get("SigningCertURL", "")).startswith(self.certificates_from):
            raise InvalidSignature("the certificate is not from the embedded AWS")
        certificate = load_pem_x509_certificate(self._get(message["SigningCertURL"]))
        fields = _SIGNED[message["Type"]]
        text = "".join(f"{name}\n{message[name]}\n" for name in fields if message.get(name) is not None)
        digest = hashes.SHA256() if message.get("SignatureVersion") == "2" else hashes.SHA1()  # noqa: S303 (SNS version 1)
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey):
            raise InvalidSignature("the certificate holds no RSA key")
        key.verify(base64.b64decode(message["Signature"]), text.encode(), PKCS1v15(), digest)

    def _get(self, url: str) -> bytes:
        if urlsplit(url).hostname != "127.0.0.1":
            raise InvalidSignature(f"{url} is not on this machine")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
            content: bytes = answer.read()
            return content


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("+0000", "+00:00")).astimezone(UTC)


@contextmanager
def oncall() -> Iterator[OnCall]:
    """An on-call endpoint on 127.0.0.1 for the length of the block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.oncall = OnCall(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, name="on-call", daemon=True)
    thread.start()
    try:
        yield server.oncall
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    """Serves each message in a thread of its own; quiet when the sender is gone before it has its answer."""

    daemon_threads = True
    oncall: OnCall

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection cut off is not worth a word when everything is being stopped; anything else is."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        oncall = self.server.oncall
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            message = json.loads(body)
            oncall.verify(message)
            oncall.take(self.path.strip("/"), message)
        except (ValueError, KeyError, InvalidSignature, OSError) as error:
            oncall.refused.append(f"{type(error).__name__}: {error}")
            self._answer(403, b"refused")
            return
        self._answer(200, b"taken")

    def do_GET(self) -> None:
        oncall = self.server.oncall
        if self.path != "/alerts":
            self._answer(404, b"see /alerts")
            return
        alerts = [
            {"alarm": told.alarm, "state": told.state, "severity": told.severity, "at": told.changed_at.isoformat()}
            for told in list(oncall.received)
        ]
        self._answer(200, json.dumps(alerts, indent=2).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet: what arrives is told in the timeline."""
