"""The server process: ministack on a free port of 127.0.0.1, our additions put into it, until it is told to stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ...errors import CloudError
from .authority import Authority
from .base import check_version
from .clock import Clock
from .parts import Addresses
from .tls import HOST, function_environment, serve_both


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: see `__main__` for the meaning of each."""

    directory: Path
    region: str
    port: int = 0
    tls_port: int = 0
    clock_factor: float = 1.0
    clock_start: datetime | None = None
    gauges: bool = True
    enforce_iam: bool = False
    until_stdin_closes: bool = False
    ready_line: bool = False


def serve(options: Options) -> None:
    """Serve until SIGTERM, SIGINT or, if asked for, the end of standard input.  Raises CloudError.

    Threads of ministack may still run afterwards; the process is meant to end.
    """
    check_version()
    listeners = _listen(options.port, "--port"), _listen(options.tls_port, "--tls-port")
    port, tls_port = (listener.getsockname()[1] for listener in listeners)
    addresses = Addresses(f"http://{HOST}:{port}", f"https://{HOST}:{tls_port}", Authority(options.directory))
    _prepare_environment(options, port, addresses)
    # Not asyncio.run: it would wait for every handler that still runs in a thread of the loop's.
    asyncio.new_event_loop().run_until_complete(_serve(options, listeners, addresses))


def _listen(port: int, option: str) -> socket.socket:
    """A listening socket: whoever reads the ready line later is never refused.  Raises CloudError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise CloudError(f"port {port} of {HOST} cannot be used: {error}; choose another with {option}") from None
    listener.listen(128)
    return listener


def _prepare_environment(options: Options, port: int, addresses: Addresses) -> None:
    """ministack reads its settings when it is imported, and handlers inherit this environment."""
    temporary = options.directory / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        {
            "GATEWAY_PORT": str(port),
            "BIND_HOST": HOST,
            "MINISTACK_HOST": HOST,
            "MINISTACK_REGION": options.region,
            "AUTH": "true" if options.enforce_iam else "false",
            "LAMBDA_EXECUTOR": "local",
            # Neither is used here; both would open a port of their own.
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            # Code packages and worker files go where the state is, and away with it.
            "TMPDIR": str(temporary),
            "LOG_LEVEL": os.environ.get("LOG_LEVEL", "INFO"),
            "NO_PROXY": "127.0.0.1,localhost",
            "PYTHONDONTWRITEBYTECODE": "1",
            **function_environment(addresses.tls_endpoint, addresses.authority),
        }
    )


async def _serve(options: Options, listeners: tuple[socket.socket, socket.socket], addresses: Addresses) -> None:
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config

    from .assembly import assemble

    clock = Clock(options.clock_factor, options.clock_start)
    running = assemble(clock, options.directory, addresses, enforce_iam=options.enforce_iam, gauges=options.gauges)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.until_stdin_closes:
        threading.Thread(target=_watch_stdin, args=(lambda: loop.call_soon_threadsafe(stop.set),), daemon=True).start()

    def started() -> None:
        if options.ready_line:
            ready = {
                "endpoint": addresses.endpoint,
                "tls_endpoint": addresses.tls_endpoint,
                "ca_file": str(addresses.authority.ca_file),
                "region": options.region,
            }
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()

    config = Config()
    serve_both(config, *listeners, addresses.authority)
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.2
    config.loglevel = "WARNING"
    await hypercorn_serve(_with_start(running.app, started), config, shutdown_trigger=stop.wait)
    running.stop()


def _watch_stdin(ended: Callable[[], Any]) -> None:
    while os.read(0, 4096):
        pass
    ended()


def _with_start(app: Any, started: Callable[[], None]) -> Any:
    """The application, which calls ``started`` when it is ready for requests."""

    async def run(scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def announce(message: dict[str, Any]) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                started()

        await app(scope, receive, announce if scope["type"] == "lifespan" else send)

    return run
