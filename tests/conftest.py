"""What holds for every test module."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def no_leftover_session() -> Iterator[None]:
    """boto3's default session keeps the credentials it was first used with: not for the next module."""
    yield
    if "boto3" in sys.modules:
        sys.modules["boto3"].DEFAULT_SESSION = None
