"""Starts the embedded on-call server and stops it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from .dialects import all_routes
from .oncall import EmbeddedOnCall
from .opsgenie.heartbeats import expire
from .server import Listening
from .state import State


@contextmanager
def embedded_oncall(
    *, port: int = 0, users: Collection[str] = (), certificates_from: str = ""
) -> Iterator[EmbeddedOnCall]:
    """An on-call server on 127.0.0.1 for the length of the block; port 0 for a free one.  ``users`` are those it knows.

    Raises PagingError if the port is taken.
    """
    listening = Listening(port)
    try:
        state = State(users)
        oncall = EmbeddedOnCall(listening, state, certificates_from)

        def tick() -> None:
            with state.lock:
                expire(state)

        listening.start(all_routes(oncall), state.lock, tick)
        yield oncall
    finally:
        listening.stop()
