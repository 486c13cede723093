"""TLS: the encrypted side of the endpoint, and how a policy learns that a request came over it.

One server answers on two ports.  ``aws:SecureTransport`` is true for a request that came over TLS and for no other:
ministack would believe any caller's ``X-Forwarded-Proto``, which stands for a load balancer that is not there.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio import constants
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from .authority import Authority

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it came in: whether over TLS, and its path as it was sent."""

    secure: bool
    raw_path: str


_arrival: ContextVar[Arrival | None] = ContextVar("arrival", default=None)


def arrival() -> Arrival | None:
    """The request being served; None for what the AWS does of itself."""
    return _arrival.get()


def plain() -> bool:
    """Whether a request is being served that came without TLS."""
    request = _arrival.get()
    return request is not None and not request.secure


class Front:
    """Hands requests on with the truth about their transport."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one ASGI request or connection."""
        if "headers" in scope:
            headers = [each for each in scope["headers"] if each[0].lower() != b"x-forwarded-proto"]
            scope = {**scope, "headers": headers}
        if scope["type"] == "http":
            raw_path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
            _arrival.set(Arrival(scope["scheme"] == "https", raw_path))
        await self._app(scope, receive, send)


def _told(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what goes wrong in the loop, except that a client did not answer the end of its connection."""
    if not (isinstance(context.get("exception"), TimeoutError) and "SSL shutdown" in str(context["exception"])):
        loop.default_exception_handler(context)


def serve_both(config: Any, plain: socket.socket, secure: socket.socket, authority: Authority) -> None:
    """Let a hypercorn configuration serve ``plain`` without and ``secure`` with TLS.  The sockets become hypercorn's."""
    certificate, key = authority.certificate_for(HOST)
    config.bind = [f"fd://{secure.detach()}"]
    config.insecure_bind = [f"fd://{plain.detach()}"]
    config.certfile, config.keyfile = str(certificate), str(key)
    config.alpn_protocols = ["http/1.1"]
    # A client that gives up in a handshake must not hold a connection for hypercorn's minute.
    config.ssl_handshake_timeout = 10
    # Nor may one that keeps an idle connection open hold up the end of the server for asyncio's half minute.
    constants.SSL_SHUTDOWN_TIMEOUT = 0.1
    asyncio.get_running_loop().set_exception_handler(_told)


def function_environment(tls_endpoint: str, authority: Authority) -> dict[str, str]:
    """What functions and tasks find in their environment so that all they do goes over TLS and is verified."""
    ca_file = str(authority.ca_file)
    return {"AWS_ENDPOINT_URL": tls_endpoint, "AWS_CA_BUNDLE": ca_file, "PGSSLROOTCERT": ca_file}
