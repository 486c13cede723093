"""Pushes the metrics to a Pushgateway, once."""

from __future__ import annotations

from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, push_to_gateway

from ..errors import InputError

_SECONDS = 30


def check_address(url: str) -> None:
    """Raise InputError for an address that is none of a Pushgateway."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # urllib reads it only when asked
    except ValueError as error:
        raise InputError(f"--push: {error}; name one such as http://127.0.0.1:9091") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"--push {url}: not an address; name one such as http://127.0.0.1:9091")
    if parts.username is not None or parts.password is not None:
        raise InputError("--push: a password has no place in an address; put the gateway behind a proxy that adds it")


def push(registry: CollectorRegistry, url: str, job: str, environment: str) -> None:
    """Put everything in the place of what was pushed before for this job and environment.  Raises InputError."""
    try:
        push_to_gateway(url, job=job, registry=registry, grouping_key={"environment": environment}, timeout=_SECONDS)
    except HTTPError as error:
        with error:
            said = error.read(500).decode("utf-8", "replace").strip().splitlines()
        reason = f"{error.code} {error.reason}" + (f": {said[0]}" if said else "")
        raise InputError(f"--push {url}: the Pushgateway refused it: {reason}; is it the gateway's address?") from None
    except (URLError, OSError) as error:
        because = getattr(error, "reason", None) or error
        because = getattr(because, "strerror", None) or because
        raise InputError(f"--push {url}: {because}; is the Pushgateway running?") from None
