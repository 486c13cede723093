"""The clock of the embedded AWS: simulated time that runs `factor` times as fast as real time.

What follows it: metric timestamps, alarm evaluation, alarm history, SNS timestamps, EventBridge rules and
schedules.  What stays in real seconds, because it belongs to running code: Lambda timeouts, SQS visibility
timeouts and retries, the log lines of handlers, and ``datetime.now()`` inside a handler.

Ages that CloudWatch would see are converted: a message that has waited 2 real seconds under factor 60 has an
ApproximateAgeOfOldestMessage of 120.
"""

from __future__ import annotations

import threading
import time as real_time
from datetime import UTC, datetime
from types import ModuleType

from ...errors import InputError


class Clock:
    """Simulated UTC time: ``start + factor × real seconds since then``; it never runs backwards.

    Changing the factor bends the line at the present moment; advancing moves it forward.  Neither makes data.
    """

    def __init__(self, factor: float = 1.0, start: datetime | None = None) -> None:
        """Start at ``start`` (aware; the real present by default).  Raises InputError for a factor of 0 or less."""
        self._lock = threading.Lock()
        self._origin_real = real_time.monotonic()
        self._origin = real_time.time() if start is None else start.timestamp()
        self._factor = _checked(factor)
        # (real time.time(), simulated) pairs at each bend, so that a real moment can be placed afterwards.
        self._bends: list[tuple[float, float, float]] = [(real_time.time(), self._origin, self._factor)]

    @property
    def factor(self) -> float:
        """Simulated seconds per real second."""
        return self._factor

    def time(self) -> float:
        """The simulated present, in seconds since 1970."""
        with self._lock:
            return self._present()

    def now(self) -> datetime:
        """The simulated present, aware, UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def at_real(self, moment: float) -> float:
        """The simulated time of a real moment (``time.time()`` seconds), such as when a message was sent."""
        with self._lock:
            for real, simulated, factor in reversed(self._bends):
                if moment >= real:
                    return simulated + factor * (moment - real)
            real, simulated, factor = self._bends[0]
            return simulated - (real - moment)

    def set_factor(self, factor: float) -> None:
        """Run at another speed from now on.  Raises InputError for a factor of 0 or less."""
        checked = _checked(factor)
        with self._lock:
            self._bend(self._present(), checked)

    def advance(self, seconds: float) -> None:
        """Move the clock forward, as if that much time had passed without traffic.  Raises InputError if negative."""
        if not seconds >= 0:
            raise InputError(f"the clock only moves forward; advance by 0 seconds or more, not {seconds}")
        with self._lock:
            self._bend(self._present() + seconds, self._factor)

    def real_seconds_until(self, moment: float) -> float:
        """Real seconds until the simulated ``moment`` (seconds since 1970); 0 if it has passed."""
        with self._lock:
            return max(0.0, (moment - self._present()) / self._factor)

    def _present(self) -> float:
        return self._origin + self._factor * (real_time.monotonic() - self._origin_real)

    def _bend(self, present: float, factor: float) -> None:
        self._origin_real, self._origin, self._factor = real_time.monotonic(), present, factor
        self._bends.append((real_time.time(), present, factor))


def _checked(factor: float) -> float:
    if not 0 < factor <= 100_000:
        raise InputError(f"the clock factor is a number above 0 and up to 100000, not {factor}")
    return float(factor)


class ClockedTime(ModuleType):
    """A stand-in for the module ``time`` whose ``time()`` is the simulated present; all else is real."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("time")
        self._clock = clock

    def time(self) -> float:
        """The simulated present, in seconds since 1970."""
        return self._clock.time()

    def gmtime(self, seconds: float | None = None) -> real_time.struct_time:
        """As ``time.gmtime``, from the simulated present."""
        return real_time.gmtime(self._clock.time() if seconds is None else seconds)

    def __getattr__(self, name: str) -> object:
        return getattr(real_time, name)


def iso_milliseconds(seconds: float) -> str:
    """``2026-11-21T08:00:00.123Z``: how SNS writes a moment given in seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
