"""Keeps keys out of what is said: in whichever form they come back, and to whichever address they would go."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Collection, Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import quote, urlsplit

from ..errors import PagingError

#: A text shorter than this is no key, and blotting it out would make the rest unreadable.
_SHORTEST_KEY: Final = 6


def one_line(text: str, secrets: Collection[str]) -> str:
    """The text in one line, without what is secret."""
    for secret in secrets:
        text = text.replace(secret, "…")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def keys_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The value of each header that identifies us, whole and without its scheme."""
    values = [
        value for name, value in headers.items() if name.lower() not in ("accept", "content-type", "user-agent", "from")
    ]
    return (*values, *(value.partition(" ")[2] for value in values))


def spellings(secrets: Collection[str]) -> tuple[str, ...]:
    """Each in the forms it may come back in, the longest first, so that none is left in pieces."""
    forms = {
        form
        for one in secrets
        if len(one) >= _SHORTEST_KEY
        for form in (one, quote(one, safe=""), json.dumps(one)[1:-1], b64encode(one.encode()).decode())
    }
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def origin(url: str) -> str:
    """Scheme, host and port of an address, and nothing that may be secret."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def refuse_unsafe(url: str) -> str:
    """The address; raises PagingError for one that is none, or that would carry the key in the clear."""
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
