"""The front of a database: TLS with a certificate the clients trust, and IAM tokens in place of passwords.

It listens where RDS says the instance is and hands each connection on to the real server over a socket that only it
can reach.  Users with a password prove it to the server itself (SCRAM passes through).  For a member of ``rds_iam``
the server's own rules ask for nothing on that socket; the front then asks for the password over TLS and lets the user
in if it is an IAM token.  To the server every connection is a local one, so ``pg_stat_ssl`` says nothing of the TLS.
Sources: PostgreSQL documentation, "Message Flow" and "Message Formats"; Amazon RDS user guide, "IAM database
authentication" and "Using SSL with a PostgreSQL DB instance".
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

HOST = "127.0.0.1"
_log = logging.getLogger("tocsin.rds")
_SSL_REQUEST, _GSS_REQUEST, _CANCEL_REQUEST = 80877103, 80877104, 80877102
_LONGEST_STARTUP = 10_000  # what PostgreSQL itself accepts
_LONGEST_TOKEN = 65_536
_STARTUP_SECONDS = 60.0  # PostgreSQL's authentication_timeout
_CHUNK = 256 * 1024
_ANYTHING_GOES_WRONG = (OSError, ssl.SSLError, EOFError, TimeoutError, ValueError, struct.error)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Gate:
    """What the front must know of an instance: its socket, and two questions asked anew for each connection."""

    socket: Path
    needs_tls: Callable[[], bool]
    refusal: Callable[[str, str], str | None]
    """Why (database user, token) may not enter; None lets them in."""


class Fronts:
    """The fronts of all instances, served by one thread that starts with the first."""

    def __init__(self, certificate: Callable[[str], tuple[Path, Path]]) -> None:
        self._certificate = certificate
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._open: dict[int, tuple[asyncio.Server, set[asyncio.Task[None]]]] = {}

    def open(self, gate: Gate) -> int:
        """Listen for one instance; the port, on 127.0.0.1."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*self._certificate(HOST))
        return self._run(self._listen(gate, context))

    def close(self, port: int) -> None:
        """Stop listening there, and end its connections."""
        if port in self._open:
            self._run(self._end(port))

    def stop(self) -> None:
        """Close every front and end the thread."""
        for port in list(self._open):
            self.close(port)
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = None

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="tocsin-databases")
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self, gate: Gate, context: ssl.SSLContext) -> int:
        tasks: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None  # for the type checker: this runs in one
            tasks.add(task)
            try:
                await _Connection(gate, context, reader, writer).serve()
            finally:
                tasks.discard(task)

        server = await asyncio.start_server(serve, HOST, 0, limit=_CHUNK, backlog=512)
        port: int = server.sockets[0].getsockname()[1]
        self._open[port] = (server, tasks)
        return port

    async def _end(self, port: int) -> None:
        server, tasks = self._open.pop(port)
        server.close()
        ending = list(tasks)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)


class _Connection:
    """One client, from its first byte to its last."""

    def __init__(
        self, gate: Gate, context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._gate = gate
        self._context = context
        self._reader = reader
        self._writer = writer
        self._encrypted = False

    async def serve(self) -> None:
        """Greet, connect to the server, hand bytes to and fro."""
        upstream: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(_STARTUP_SECONDS):
                startup = await self._greet()
                if startup is None:
                    return
                reader, upstream = await asyncio.open_unix_connection(str(self._gate.socket), limit=_CHUNK)
                upstream.write(startup)
                if not await self._log_in(_parameters(startup), reader):
                    return
            await self._relay(reader, upstream)
        except _ANYTHING_GOES_WRONG as error:
            _log.debug("a database connection ended: %s", error)
        finally:
            for writer in (upstream, self._writer):
                if writer is not None:
                    writer.close()

    async def _greet(self) -> bytes | None:
        """The client's startup packet; None if there is nothing (more) to do for it."""
        while True:
            head = await self._reader.readexactly(8)
            length, code = struct.unpack("!ii", head)
            if not 8 <= length <= _LONGEST_STARTUP:
                return None
            packet = head + await self._reader.readexactly(length - 8)
            if code == _SSL_REQUEST and not self._encrypted:
                await self._encrypt()
            elif code == _GSS_REQUEST:
                self._writer.write(b"N")
            elif code == _CANCEL_REQUEST:
                await self._cancel(packet)
                return None
            elif self._encrypted or not self._gate.needs_tls():
                return packet
            else:
                await self._refuse_plain(packet)
                return None

    async def _encrypt(self) -> None:
        self._writer.write(b"S")
        # Whatever came before the handshake was not protected by it.
        if self._reader._buffer:  # type: ignore[attr-defined]
            raise ValueError("unencrypted data after SSLRequest")
        await self._writer.start_tls(self._context, ssl_handshake_timeout=_STARTUP_SECONDS)
        self._encrypted = True

    async def _cancel(self, packet: bytes) -> None:
        _, upstream = await asyncio.open_unix_connection(str(self._gate.socket))
        upstream.write(packet)
        await upstream.drain()
        upstream.close()

    async def _log_in(self, parameters: dict[str, str], upstream: asyncio.StreamReader) -> bool:
        """Pass on what the server asks for, or ask for a token where it asks for nothing."""
        while True:
            kind, message = await _message(upstream)
            if kind != b"R" or message[5:9] != b"\0\0\0\0":
                self._writer.write(message)
                if kind == b"v":  # the server names the protocol it speaks, then goes on
                    continue
                return True
            break
        user = parameters.get("user", "")
        if not self._encrypted:
            await self._refuse_plain(b"", parameters)
            return False
        self._writer.write(b"R" + struct.pack("!ii", 8, 3))
        kind, answer = await _message(self._reader, _LONGEST_TOKEN)
        if kind != b"p":
            return False
        token = answer[5:].rstrip(b"\0").decode("utf-8", "replace")
        reason = await asyncio.to_thread(self._gate.refusal, user, token)
        if reason is not None:
            _log.warning("database user %s was refused: %s", user, reason)
            await self._refuse(f'PAM authentication failed for user "{user}"')
            return False
        self._writer.write(message)
        return True

    async def _refuse_plain(self, startup: bytes, parameters: dict[str, str] | None = None) -> None:
        given = _parameters(startup) if parameters is None else parameters
        user = given.get("user", "")
        await self._refuse(
            f'no pg_hba.conf entry for host "{HOST}", user "{user}", '
            f'database "{given.get("database") or user}", no encryption'
        )

    async def _refuse(self, text: str) -> None:
        """PostgreSQL's FATAL invalid_authorization_specification."""
        fields = {"S": "FATAL", "V": "FATAL", "C": "28000", "M": text}
        body = b"".join(name.encode() + value.encode() + b"\0" for name, value in fields.items()) + b"\0"
        self._writer.write(b"E" + struct.pack("!i", len(body) + 4) + body)
        await self._writer.drain()

    async def _relay(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        """Hand bytes over until one side has no more; what was still to be written is written."""
        directions = [
            asyncio.create_task(_pump(reader, self._writer)),
            asyncio.create_task(_pump(self._reader, upstream)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in directions:
                task.cancel()
            await asyncio.gather(*directions, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(*_ANYTHING_GOES_WRONG):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


async def _message(reader: asyncio.StreamReader, longest: int = _LONGEST_STARTUP) -> tuple[bytes, bytes]:
    """One message after the startup: its type, and all of it.  Raises ValueError if it is longer than that."""
    head = await reader.readexactly(5)
    (length,) = struct.unpack("!i", head[1:])
    if not 4 <= length <= longest:
        raise ValueError(f"a message of {length} bytes")
    return head[:1], head + await reader.readexactly(length - 4)


def _parameters(startup: bytes) -> dict[str, str]:
    """User, database and the rest of a startup packet."""
    words = [word.decode("utf-8", "replace") for word in startup[8:].split(b"\0")]
    return dict(zip(words[::2], words[1::2], strict=False))
