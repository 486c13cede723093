"""Which handler answers which request: the values every dialect of the embedded on-call server is written in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered.  ``body``: bytes and text as they are, None for nothing, anything else as JSON."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def content(self) -> bytes:
        """The body's bytes."""
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


class Refused(Exception):  # noqa: N818  # an answer, raised from the depth of a handler
    """Ends a handler early with an answer."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked.

    ``path`` is decoded and without the query; header names are lower-case; of a repeated query parameter the last one
    counts; ``match`` are the pattern's ``{names}``, decoded.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    match: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body as JSON, None when it is empty.  Raises ValueError."""
        return json.loads(self.body) if self.body.strip() else None


Handler = Callable[[Request], Response]


@dataclass(frozen=True)
class Route:
    """One address: ``pattern`` is a path in which ``{name}`` stands for one segment.

    A handler runs with the state's lock held, so that no two change it at once; ``alone=False`` for one that calls
    other servers and takes the lock itself.
    """

    method: str
    pattern: str
    handler: Handler
    alone: bool = True

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """The pattern over the undecoded path."""
        parts = re.split(r"\{(\w+)\}", self.pattern)
        text = "".join(
            re.escape(part) if number % 2 == 0 else f"(?P<{part}>[^/]+)" for number, part in enumerate(parts)
        )
        return re.compile(text)


@dataclass(frozen=True)
class RoutingTable:
    """All routes; the first that fits counts."""

    routes: tuple[Route, ...] = field(default=())

    def find(self, method: str, raw_path: str) -> tuple[Route, Mapping[str, str]] | None:
        """The route of an undecoded path and what its names stand for; None if there is none for this method."""
        for route in self.routes:
            if route.method == method and (match := route.expression.fullmatch(raw_path)):
                return route, {name: unquote(value) for name, value in match.groupdict().items()}
        return None

    def methods(self, raw_path: str) -> tuple[str, ...]:
        """The methods for which a path has a route: what a 405 says."""
        return tuple(sorted({route.method for route in self.routes if route.expression.fullmatch(raw_path)}))


def joined(*parts: Iterable[Route]) -> RoutingTable:
    """One table of several dialects' routes."""
    return RoutingTable(tuple(route for part in parts for route in part))
