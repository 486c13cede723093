"""Sending in batches to services that may take only a part of each batch."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in order, ``size`` at a time; the last batch may be shorter."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def send_until_taken(
    items: Sequence[T],
    send: Callable[[Sequence[T]], Sequence[T]],
    *,
    attempts: int = 8,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Call ``send`` with what is left until nothing is; ``send`` returns what the service did not take.

    Waits a random time between attempts, up to twice as long each time, as AWS asks for unprocessed items.
    Raises TimeoutError when items are still left after the last attempt.
    """
    left = items
    for attempt in range(attempts):
        if attempt:
            pause(random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)))  # noqa: S311  jitter, no secret
        left = send(left)
        if not left:
            return
    raise TimeoutError(f"{len(left)} of {len(items)} items were not taken after {attempts} attempts")
