"""JSON over HTTPS to an on-call tool: waits when told to, repeats what may be repeated, and never tells a key."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from ..errors import PagingError

#: What may be sent again although it may have been carried out already (RFC 9110, section 9.2.2); PATCH, because
#: what is sent here states values and never adds to them.
_REPEATABLE: Final = frozenset({"GET", "PUT", "PATCH", "DELETE"})
_CONNECT_SECONDS: Final = 10.0
_FIRST_WAIT: Final = 0.5
#: More than any of the tools tells at once: lists come in pages.
_LONGEST_ANSWER: Final = 10_000_000
_CHUNK: Final = 65_536
#: A text shorter than this is no key, and blotting it out would make the rest unreadable.
_SHORTEST_KEY: Final = 6


class RestError(PagingError):
    """The tool refused, failed or did not answer.

    ``status`` is that of its answer, None where there was none.  ``unknown``: the request may have been carried out all
    the same; whoever sent it must look before sending it again.
    """

    def __init__(self, message: str, status: int | None = None, *, unknown: bool = False) -> None:
        self.status, self.unknown = status, unknown
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: ``value`` is what its JSON says, None for an empty body."""

    status: int
    value: Any


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
        self.base_url = _refuse_unsafe(base_url)
        self.sleep = sleep
        self._key_shown, self._tool = key_shown, tool
        self._attempts, self._longest_wait, self._patience, self._whole = attempts, longest_wait, patience, whole
        if any(not value.isascii() or not value.isprintable() or value != value.strip() for value in headers.values()):
            raise PagingError(f"{key_shown} holds characters that no key has: look for a line break or a space in it")
        self._headers = {"Accept": "application/json", "User-Agent": "tocsin", **headers}
        self._secrets = _spellings((*secrets, *_keys_in(headers)))
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
        hidden = (*self._secrets, *_spellings(_keys_in(headers or {})))
        for attempt in range(1, self._attempts + 1):
            outcome = self._try(method, path, body, query, headers or {})
            if isinstance(outcome, Answer):
                return outcome
            wait = self._wait_before_next(outcome, attempt)
            last = attempt == self._attempts
            if last or wait is None or not (again or outcome.certainly_not_done):
                raise RestError(
                    _one_line(
                        f"{self._tool}: {method} {path}: {outcome.text}{self._told(outcome, wait, attempt)}", hidden
                    ),
                    outcome.status,
                    unknown=not again and outcome.perhaps_done,
                ) from None
            self.sleep(wait)
        raise AssertionError("there is at least one attempt")

    def _wait_before_next(self, failure: _Failure, attempt: int) -> float | None:
        """Seconds; None where another attempt is of no use."""
        if failure.final:
            return None
        if failure.asked_to_wait is not None:
            return failure.asked_to_wait if failure.asked_to_wait <= self._longest_wait else None
        # Half of it by chance, so that many who were refused together do not come back together.
        longest: float = min(self._longest_wait, _FIRST_WAIT * 2 ** (attempt - 1))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311

    def _told(self, failure: _Failure, wait: float | None, attempt: int) -> str:
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
    ) -> Answer | _Failure:
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
        late = _Failure(f"did not finish its answer within {self._whole:g} s", perhaps_done=True)
        try:
            with self._pool.cut_after(self._whole, cut):
                answer, told = self._pool.ask(method, address, content, sent)
        except urllib3.exceptions.SSLError:
            if cut.is_set():
                return late
            return _Failure("its certificate is not to be trusted, or this is no HTTPS", final=True)
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError):
            return _Failure(f"{_origin(self.base_url)} cannot be reached", certainly_not_done=True)
        except urllib3.exceptions.ReadTimeoutError:
            return _Failure(f"did not answer within {self._patience:g} s", perhaps_done=True)
        except (urllib3.exceptions.HTTPError, OSError):
            if cut.is_set():
                return late
            return _Failure("cut the connection before the end of its answer", perhaps_done=True)
        if cut.is_set():  # an answer without a length ends where it is cut
            return late
        if told is None:
            return _Failure(f"{answer.status}: the answer is longer than {_LONGEST_ANSWER // 1_000_000} MB", final=True)
        return _judge(answer.status, answer.headers, told)


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


def _origin(url: str) -> str:
    """Scheme, host and port of an address, and nothing that may be secret."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


@dataclass(frozen=True, slots=True)
class _Failure:
    """One attempt that did not succeed, and what may follow from it."""

    text: str
    status: int | None = None
    final: bool = False
    certainly_not_done: bool = False
    perhaps_done: bool = False
    asked_to_wait: float | None = None


def _judge(status: int, headers: Mapping[str, str], content: bytes) -> Answer | _Failure:
    try:
        value = json.loads(content) if content.strip() else None
        readable = True
    except (ValueError, RecursionError):
        value, readable = None, False
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        there = urlsplit(headers.get("Location", "")).hostname or "another address"
        return _Failure(
            f"{status}: sends on to {there}, where the key does not go: correct the address", status, final=True
        )
    if status < HTTPStatus.MULTIPLE_CHOICES:
        if readable:
            return Answer(status, value)
        kind = headers.get("Content-Type", "no type").partition(";")[0]
        return _Failure(f"{status}: the answer is no JSON ({kind}, {len(content)} bytes)", status, perhaps_done=True)
    said = _message_of(value) if readable else ""
    text = f"{status} {_phrase(status)}".strip() + (f": {said}" if said else "")
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        wait = _wait_asked_for(headers)
        refused = status == HTTPStatus.TOO_MANY_REQUESTS or wait is not None
        return _Failure(text, status, certainly_not_done=refused, perhaps_done=not refused, asked_to_wait=wait)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _Failure(text, status, perhaps_done=True)
    return _Failure(text, status, final=True)


def _wait_asked_for(headers: Mapping[str, str]) -> float | None:
    """Seconds, from Retry-After in either form, or from the period that Opsgenie names when it throttles."""
    asked = headers.get("Retry-After") or headers.get("X-RateLimit-Period-In-Sec") or ""
    try:
        return max(0.0, float(asked))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(asked)
    except (TypeError, ValueError):
        return None
    try:
        # By the tool's own clock where it tells it: ours may go wrong.
        now = parsedate_to_datetime(headers.get("Date") or "")
    except (TypeError, ValueError):
        now = datetime.now(UTC)
    return max(0.0, (_aware(until) - _aware(now)).total_seconds())


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _message_of(value: Any, depth: int = 0) -> str:
    """What the tool says is wrong, wherever in its answer it says so."""
    if isinstance(value, str):
        return value[:300]
    if depth > 5:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_message_of(one, depth + 1) for one in value[:3])))
    if not isinstance(value, dict):
        return ""
    texts = [
        _message_of(value.get(name), depth + 1)
        for name in ("message", "error", "title", "detail", "errors", "errorMessages")
    ]
    if isinstance(value.get("errors"), dict):
        texts.append(
            "; ".join(f"{name}: {_message_of(one, depth + 1)}" for name, one in list(value["errors"].items())[:3])
        )
    return "; ".join(dict.fromkeys(filter(None, texts)))[:300]


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _one_line(text: str, secrets: Collection[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "…")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _keys_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The value of each header that identifies us, whole and without its scheme."""
    values = [
        value for name, value in headers.items() if name.lower() not in ("accept", "content-type", "user-agent", "from")
    ]
    return (*values, *(value.partition(" ")[2] for value in values))


def _spellings(secrets: Collection[str]) -> tuple[str, ...]:
    """Each in the forms it may come back in, the longest first, so that none is left in pieces."""
    forms = {
        form
        for one in secrets
        if len(one) >= _SHORTEST_KEY
        for form in (one, quote(one, safe=""), json.dumps(one)[1:-1], b64encode(one.encode()).decode())
    }
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _refuse_unsafe(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise PagingError("the on-call tool's address is none: write https://host") from None
    shown = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
    if parts.username is not None or parts.query or parts.fragment:
        raise PagingError(f"{shown}: the on-call tool's address holds more than host and path: take the rest out")
    if not host or parts.scheme not in ("https", "http"):
        raise PagingError(f"{shown}: the on-call tool's address is none: write https://host")
    if parts.scheme == "http" and not is_loopback(host):
        raise PagingError(f"{shown}: the key would be readable on the way: write https://{host}")
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own, where plain HTTP shows a key to nobody."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
