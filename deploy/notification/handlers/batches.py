"""Sending in batches to services that may take only a part of each batch, several batches at a time."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
ATTEMPTS = 8
THREADS = 8  # below the ten connections that a client keeps open
IN_FLIGHT = 2 * THREADS  # so that a thread that is done finds the next batch waiting


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


def in_parallel(items: Iterable[T], work: Callable[[T], R]) -> Iterator[tuple[T, R]]:
    """Each item with what ``work`` made of it, in order; several threads work ahead of what was asked for.

    When the caller stops asking, what was begun is finished first: an item that was taken and not yet given back is
    given up only if it had not been begun.  An error of ``work`` is raised in the place of its item.
    """
    pool = ThreadPoolExecutor(THREADS)
    waiting: deque[tuple[T, Future[R]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) >= IN_FLIGHT:
                first, result = waiting.popleft()
                yield first, result.result()
        while waiting:
            first, result = waiting.popleft()
            yield first, result.result()
    finally:
        pool.shutdown(cancel_futures=True)


def attempts(count: int = ATTEMPTS, *, pause: Callable[[float], None] = time.sleep) -> Iterator[int]:
    """The numbers of the attempts, with a random wait before each but the first, up to twice as long each time."""
    for attempt in range(count):
        if attempt:
            pause(random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)))  # noqa: S311  jitter, no secret
        yield attempt


def send_until_taken(
    items: Sequence[T],
    send: Callable[[Sequence[T]], Sequence[T]],
    *,
    count: int = ATTEMPTS,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Call ``send`` with what is left until nothing is; ``send`` returns what the service did not take.

    Raises TimeoutError when items are still left after ``count`` attempts.
    """
    left = items
    for _ in attempts(count, pause=pause):
        left = send(left)
        if not left:
            return
    raise TimeoutError(f"{len(left)} of {len(items)} items were not taken after {count} attempts")
