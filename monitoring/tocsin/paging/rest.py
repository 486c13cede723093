"""JSON over HTTPS to an on-call tool: waits when told to, repeats what may be repeated, and never tells a key."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from ..errors import PagingError
from .rest_answers import Answer, Failure, RestError, judge
from .rest_secrets import is_loopback, keys_in, one_line, origin, refuse_unsafe, spellings

__all__ = ["Answer", "Rest", "RestError", "is_loopback"]

#: What may be sent again although it may have been carried out already (RFC 9110, section 9.2.2); PATCH, because
#: what is sent here states values and never adds to them.
_REPEATABLE: Final = frozenset({"GET", "PUT", "PATCH", "DELETE"})
_CONNECT_SECONDS: Final = 10.0
_FIRST_WAIT: Final = 0.5
#: More than any of the tools tells at once: lists come in pages.
_LONGEST_ANSWER: Final = 10_000_000
_CHUNK: Final = 65_536


class Rest:
    """One tool's API below ``base_url``.

    ``headers`` go with each request and hold the key; ``secrets`` are further texts that no error may show.
    ``key_shown`` is how an error names the key, ``tool`` how it names the tool.  A call is tried ``attempts`` times, each
    for ``patience`` seconds of silence and ``whole`` seconds altogether.  No wait is longer than ``longest_wait`` seconds: where the tool asks for a
    longer one, that is an error at once, because to ask sooner is what it forbids.

    A POST creates, so it is sent again only where it cannot have been carried out: no connection, 429, or 503 with
    Retry-After; ``request(…, repeatable=True)`` is for those that do no harm twice.  Raises PagingError for an address
    that would carry the key in the clear.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        key_shown: str = "the key",
        tool: str = "the on-call tool",
        secrets: Collection[str] = (),
        attempts: int = 6,
        longest_wait: float = 60.0,
        patience: float = 30.0,
        whole: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = refuse_unsafe(base_url)
        self.sleep = sleep
        self._key_shown, self._tool = key_shown, tool
        self._attempts, self._longest_wait, self._patience, self._whole = attempts, longest_wait, patience, whole
        if any(not value.isascii() or not value.isprintable() or value != value.strip() for value in headers.values()):
            raise PagingError(f"{key_shown} holds characters that no key has: look for a line break or a space in it")
        self._headers = {"Accept": "application/json", "User-Agent": "tocsin", **headers}
        self._secrets = spellings((*secrets, *keys_in(headers)))
        self._pool: Any = None

    def __repr__(self) -> str:
        return f"Rest({self.base_url!r})"

    def carrying(self, headers: Mapping[str, str]) -> Rest:
        """The same tool, asked with other headers: another key."""
        return Rest(
            self.base_url,
            headers,
            key_shown=self._key_shown,
            tool=self._tool,
            attempts=self._attempts,
            longest_wait=self._longest_wait,
            patience=self._patience,
            whole=self._whole,
            sleep=self.sleep,
        )

    def get(self, path: str, body: Any = None, query: Mapping[str, str] | None = None) -> Any:
        """What is there.  Raises PagingError, as all of these do."""
        return self.request("GET", path, body, query).value

    def post(self, path: str, body: Any = None, query: Mapping[str, str] | None = None) -> Any:
        """Create something, once."""
        return self.request("POST", path, body, query).value

    def put(self, path: str, body: Any = None, query: Mapping[str, str] | None = None) -> Any:
        """Replace something."""
        return self.request("PUT", path, body, query).value

    def patch(self, path: str, body: Any = None, query: Mapping[str, str] | None = None) -> Any:
        """Set the values that ``body`` states."""
        return self.request("PATCH", path, body, query).value

    def delete(self, path: str, body: Any = None, query: Mapping[str, str] | None = None) -> Any:
        """Remove something."""
        return self.request("DELETE", path, body, query).value

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        *,
        repeatable: bool | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One call with as many attempts as it takes.  ``headers`` replace those of the same name; raises RestError."""
        again = method in _REPEATABLE if repeatable is None else repeatable
        hidden = (*self._secrets, *spellings(keys_in(headers or {})))
        for attempt in range(1, self._attempts + 1):
            outcome = self._try(method, path, body, query, headers or {})
            if isinstance(outcome, Answer):
                return outcome
            wait = self._wait_before_next(outcome, attempt)
            last = attempt == self._attempts
            if last or wait is None or not (again or outcome.certainly_not_done):
                raise RestError(
                    one_line(
                        f"{self._tool}: {method} {path}: {outcome.text}{self._told(outcome, wait, attempt)}", hidden
                    ),
                    outcome.status,
                    unknown=not again and outcome.perhaps_done,
                ) from None
            self.sleep(wait)
        raise AssertionError("there is at least one attempt")

    def _wait_before_next(self, failure: Failure, attempt: int) -> float | None:
        """Seconds; None where another attempt is of no use."""
        if failure.final:
            return None
        if failure.asked_to_wait is not None:
            return failure.asked_to_wait if failure.asked_to_wait <= self._longest_wait else None
        # Half of it by chance, so that many who were refused together do not come back together.
        longest: float = min(self._longest_wait, _FIRST_WAIT * 2 ** (attempt - 1))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311

    def _told(self, failure: Failure, wait: float | None, attempt: int) -> str:
        if failure.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            said = (
                "missing, wrong or revoked" if failure.status == HTTPStatus.UNAUTHORIZED else "not allowed to do this"
            )
            return f"; {self._key_shown} is {said}"
        if failure.asked_to_wait is not None and wait is None:
            return f"; it asks to wait {failure.asked_to_wait:.0f} s: run the command again after that"
        return f" ({attempt} attempts)" if attempt > 1 else ""

    def _try(
        self, method: str, path: str, body: Any, query: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> Answer | Failure:
        import urllib3

        if self._pool is None:
            self._pool = _Pool(urllib3.Timeout(connect=_CONNECT_SECONDS, read=self._patience))
        address = f"{self.base_url}{path}" + (f"?{urlencode(query)}" if query else "")
        sent = {**self._headers, **headers}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        cut = threading.Event()
        late = Failure(f"did not finish its answer within {self._whole:g} s", perhaps_done=True)
        try:
            with self._pool.cut_after(self._whole, cut):
                answer, told = self._pool.ask(method, address, content, sent)
        except urllib3.exceptions.SSLError:
            if cut.is_set():
                return late
            return Failure("its certificate is not to be trusted, or this is no HTTPS", final=True)
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError):
            return Failure(f"{origin(self.base_url)} cannot be reached", certainly_not_done=True)
        except urllib3.exceptions.ReadTimeoutError:
            return Failure(f"did not answer within {self._patience:g} s", perhaps_done=True)
        except (urllib3.exceptions.HTTPError, OSError):
            if cut.is_set():
                return late
            return Failure("cut the connection before the end of its answer", perhaps_done=True)
        if cut.is_set():  # an answer without a length ends where it is cut
            return late
        if told is None:
            return Failure(f"{answer.status}: the answer is longer than {_LONGEST_ANSWER // 1_000_000} MB", final=True)
        return judge(answer.status, answer.headers, told)


class _Pool:
    """Connections that can be cut while they are in use: a server that trickles is silent for no moment."""

    def __init__(self, timeout: Any) -> None:
        import urllib3

        self._open: list[Any] = []
        self._manager = urllib3.PoolManager(timeout=timeout)
        self._manager.pool_classes_by_scheme = {
            scheme: type("Kept", (pool,), {"ConnectionCls": self._kept(pool.ConnectionCls)})
            for scheme, pool in (("http", urllib3.HTTPConnectionPool), ("https", urllib3.HTTPSConnectionPool))
        }

    def _kept(self, connection: Any) -> Any:
        known = self._open

        def connect(one: Any) -> None:
            known.append(one)
            connection.connect(one)
            known.append(one.sock)  # an answer without a length takes it away from its connection

        return type("Kept", (connection,), {"connect": connect})

    def ask(
        self, method: str, address: str, content: bytes | None, headers: Mapping[str, str]
    ) -> tuple[Any, bytes | None]:
        """The answer and what it says, None for more than anybody asks for."""
        # Neither redirects nor attempts are left to urllib3: it would carry the key along, and not say so.
        answer = self._manager.request(
            method, address, body=content, headers=headers, redirect=False, retries=False, preload_content=False
        )
        told = bytearray()
        while chunk := answer.read(_CHUNK):
            told += chunk
            if len(told) > _LONGEST_ANSWER:
                answer.close()
                return answer, None
        answer.release_conn()
        return answer, bytes(told)

    @contextmanager
    def cut_after(self, seconds: float, cut: threading.Event) -> Iterator[None]:
        """End the block's connections after so long; ``cut`` tells of it."""

        def end() -> None:
            cut.set()
            for one in tuple(self._open):
                held = one if isinstance(one, socket.socket) else one.sock
                if held is not None:
                    with suppress(OSError):
                        # The socket's own: that of TLS would change what the reading side is at.
                        socket.socket.shutdown(held, socket.SHUT_RDWR)

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self._open[:] = [one for one in self._open if isinstance(one, socket.socket) and one.fileno() >= 0]
