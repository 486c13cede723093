"""AWS clients for the handlers: one per service and sandbox, made when first wanted, so that importing needs no region."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
from botocore.config import Config

# A hanging call must leave time for another try before the function's own timeout; the defaults are 60 s each.
CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 4})


@cache
def client(service: str) -> Any:
    """The client of that service in the function's own region, with the function's own role."""
    return boto3.client(service, config=CONFIG)
