"""Looking again until something is so, for a limited time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.1, 3.0, 1.4


def wait_for(look: Callable[[], T | None], seconds: float) -> T | None:
    """The first value other than None that ``look`` finds, or None when there is none within ``seconds``.

    It looks at least once, often at first, and once more when the time is up.
    """
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while True:
        found = look()
        left = deadline - time.monotonic()
        if found is not None or left <= 0:
            return found
        time.sleep(min(pause, left))
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)
