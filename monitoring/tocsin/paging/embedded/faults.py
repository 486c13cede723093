"""What goes wrong on purpose: the ways an on-call tool fails its callers."""

from __future__ import annotations

import threading
from dataclasses import dataclass

KINDS = ("down", "slow", "status", "garbage", "cut")


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail.

    ``down`` refuses connections, or resets them where ``times`` counts them; ``slow`` answers truly after ``seconds``; ``status`` answers that ``status``, with
    ``Retry-After`` if ``retry_after`` is given (seconds, or an HTTP date); ``garbage`` answers 200 with what is no JSON;
    ``cut`` does what was asked and ends the connection in the middle of the answer.  It happens ``times`` times (None:
    until it is taken back), to requests whose path starts with ``path`` (None: to all).  ``down`` knows no path.
    """

    kind: str
    status: int = 500
    retry_after: int | str | None = None
    seconds: float = 0.0
    times: int | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault is called {self.kind!r}; there are: {', '.join(KINDS)}")
        if self.kind == "down" and self.path is not None:
            raise ValueError("a server that is down is so for every path; leave the path out")


class FaultLine:
    """The fault that is set, and how often it is still to happen.  Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fault: Fault | None = None
        self._left: int | None = None
        self.happened = 0

    def set(self, fault: Fault | None) -> None:
        """Replace the fault; None: all is well again."""
        with self._lock:
            self._fault, self._left, self.happened = fault, fault.times if fault else None, 0

    def take(self, path: str) -> Fault | None:
        """The fault that happens to this request, which uses up one of its times."""
        with self._lock:
            fault = self._fault
            if fault is None or fault.kind == "down" or not path.startswith(fault.path or ""):
                return None
            return fault if self._use_up() else None

    def take_connection(self) -> bool:
        """Whether a new connection meets a server that is down, which uses up one of its times."""
        with self._lock:
            return self._fault is not None and self._fault.kind == "down" and self._use_up()

    def _use_up(self) -> bool:
        if self._left == 0:
            return False
        if self._left is not None:
            self._left -= 1
        self.happened += 1
        return True
