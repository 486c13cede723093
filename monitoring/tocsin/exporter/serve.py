"""Serves the metrics until told to stop, while a thread of its own refreshes them: a scrape never waits for AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Event, Thread

from prometheus_client import CollectorRegistry, start_http_server

from ..errors import InputError
from .refresh import Failure, Refresher

# How long the end waits for a refresh that is under way.  Its thread ends with the process anyway.
_PATIENCE = 2.0


@contextmanager
def serving(registry: CollectorRegistry, address: str, port: int) -> Iterator[int]:
    """Answer scrapes at ``address`` for the length of the block; gives the port, chosen by the system for 0.

    Raises InputError where that address cannot be listened on.
    """
    try:
        server, thread = start_http_server(port, address, registry)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot listen on {address}, port {port}: {reason}; choose another --port or --address"
        ) from None
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(_PATIENCE)


class Loop:
    """Refreshes at once and then every ``interval``, in a thread, until stopped."""

    def __init__(
        self,
        refresher: Refresher,
        interval: timedelta,
        stop: Event,
        now: Callable[[], datetime],
        done: Callable[[Sequence[Failure]], None],
    ) -> None:
        self._refresher, self._interval, self._stop = refresher, interval, stop
        self._now, self._done = now, done
        self._thread = Thread(target=self._run, name="refresh", daemon=True)
        self._error: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Stop, and raise what ended the thread before its time: a mistake of the program itself."""
        self._stop.set()
        self._thread.join(_PATIENCE)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                begun = self._now()
                self._done(self._refresher.refresh(begun))
                # From beginning to beginning, so that what a refresh takes does not add up.
                rest = self._interval - (self._now() - begun)
                self._stop.wait(max(0.0, rest.total_seconds()))
        except BaseException as error:  # without this thread the figures would grow old in silence
            self._error = error
            self._stop.set()
