"""AWS clients for the handlers: one per service and sandbox, made when first wanted, so that importing needs no region."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

# A hanging call must leave time for another try before the function's own timeout; the defaults are 60 s each.
CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 4})

# boto3's default session makes clients one at a time only (boto3 guide, "Resources", "Multithreading"); what it has made
# may be used by all threads.
_making = threading.Lock()


def client(service: str) -> Any:
    """The client of that service in the function's own region, with the function's own role."""
    with _making:
        return _made(service)


@cache
def _made(service: str) -> Any:
    return boto3.client(service, config=CONFIG)


def forget_clients() -> None:
    """Make every client anew when it is next wanted: for whoever goes on in another AWS."""
    _made.cache_clear()
