"""Deliveries: attempts at endpoints outside, on a bounded pool of threads; whoever waits for a retry holds no thread.

SNS and EventBridge deliver through here.  What one endpoint keeps busy is limited as well, so that one that hangs does
not hold up the others.  Delays are AWS's seconds and pass ``speed`` times as fast as real ones, whatever the clock of
this AWS does: retries are a matter of running endpoints, and an hour of them is ten seconds by default.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from contextvars import copy_context
from dataclasses import dataclass, field

from ...errors import InputError

SPEED = 360.0
"""AWS seconds of a retry delay per real second: an hour of retries takes ten seconds."""
TIMEOUT_SECONDS = 15.0
"""Real seconds an endpoint may take to answer (SNS developer guide, "Amazon SNS message delivery retries")."""
WORKERS = 32
PER_LANE = 8

_log = logging.getLogger("tocsin.deliveries")

Attempt = Callable[[], float | None]
"""One try: None when it is over, else the AWS seconds until the next try."""


@dataclass
class _Lane:
    """What is under way to one endpoint, and what waits for its turn."""

    running: int = 0
    waiting: deque[Callable[[], None]] = field(default_factory=deque)
    free_at: float = 0.0


class Deliveries:
    """Runs attempts, each in the account and region it was submitted in; safe to use from any thread."""

    def __init__(self, speed: float = SPEED, timeout: float = TIMEOUT_SECONDS) -> None:
        self.speed = speed
        self.timeout = timeout
        self._lock = threading.Lock()
        self._offered = threading.Condition(self._lock)
        self._postponed = threading.Condition(self._lock)
        self._later: list[tuple[float, int, Hashable, Callable[[], None]]] = []
        self._lanes: dict[Hashable, _Lane] = {}
        self._ready: deque[tuple[Hashable, Callable[[], None]]] = deque()
        self._count = itertools.count()
        self._workers = 0
        self._idle = 0
        self._clock: threading.Thread | None = None
        self._under_way = 0
        self._stopped = False

    def stop(self) -> None:
        """Begin no further attempt; threads end when theirs is over."""
        with self._lock:
            self._stopped = True
            self._offered.notify_all()
            self._postponed.notify_all()

    def tune(self, speed: float | None = None, timeout: float | None = None) -> None:
        """Change what is not None.  Raises InputError unless above 0.  Delays that run already are not changed."""
        for value in (speed, timeout):
            if value is not None and not value > 0:
                raise InputError(f"the speed and the timeout of deliveries are numbers above 0, not {value}")
        self.speed = self.speed if speed is None else speed
        self.timeout = self.timeout if timeout is None else timeout

    @property
    def under_way(self) -> int:
        """How many deliveries are not over yet."""
        with self._lock:
            return self._under_way

    def submit(self, lane: Hashable, attempt: Attempt, *, per_second: int | None = None) -> None:
        """Try as soon as there is a thread, and again until ``attempt`` says that it is over.

        ``per_second`` spaces the first tries and the retries of a lane, in real time.
        """
        context = copy_context()

        def run() -> None:
            again: float | None = None
            try:
                again = context.run(attempt)
            except Exception:
                _log.exception("a delivery failed")
            if again is None:
                with self._lock:
                    self._under_way -= 1
            else:
                self._schedule(lane, run, again / self.speed, per_second)

        with self._lock:
            self._under_way += 1
        self._schedule(lane, run, 0.0, per_second)

    def _schedule(self, lane: Hashable, run: Callable[[], None], delay: float, per_second: int | None) -> None:
        with self._lock:
            at = time.monotonic() + delay
            if per_second:
                held = self._lanes.setdefault(lane, _Lane())
                at = max(at, held.free_at)
                held.free_at = at + 1 / per_second
            if at <= time.monotonic():
                self._enqueue(lane, run)
                return
            heapq.heappush(self._later, (at, next(self._count), lane, run))
            if self._clock is None:
                self._clock = threading.Thread(target=self._wake, daemon=True, name="tocsin-deliveries-clock")
                self._clock.start()
            self._postponed.notify()

    def _enqueue(self, lane: Hashable, run: Callable[[], None]) -> None:
        held = self._lanes.setdefault(lane, _Lane())
        if held.running >= PER_LANE:
            held.waiting.append(run)
            return
        held.running += 1
        self._ready.append((lane, run))
        self._offered.notify()
        if self._idle < len(self._ready) and self._workers < WORKERS:
            self._workers += 1
            threading.Thread(target=self._work, daemon=True, name=f"tocsin-delivery-{self._workers}").start()

    def _wake(self) -> None:
        while True:
            with self._lock:
                if self._stopped:
                    return
                now = time.monotonic()
                while self._later and self._later[0][0] <= now:
                    _, _, lane, run = heapq.heappop(self._later)
                    self._enqueue(lane, run)
                self._postponed.wait(self._later[0][0] - now if self._later else None)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
                while not self._ready and not self._stopped:
                    self._offered.wait()
                self._idle -= 1
                if self._stopped:
                    return
                lane, run = self._ready.popleft()
            run()
            with self._lock:
                held = self._lanes[lane]
                held.running -= 1
                if held.waiting:
                    held.running += 1
                    self._ready.append((lane, held.waiting.popleft()))
                    self._offered.notify()
                elif not held.running and held.free_at <= time.monotonic():
                    del self._lanes[lane]
