"""Users who read their notifications: steady signed requests to the API, each counted by the moment it was sent."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from deploy.run.stage import Stage

PAUSE_SECONDS = 0.05


@dataclass
class Traffic:
    """Requests so far and how many of them failed; ``first_failure`` by the embedded clock."""

    stage: Stage
    users: tuple[str, ...]
    requests: int = 0
    failures: int = 0
    first_failure: datetime | None = None
    started: datetime | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Traffic:
        self.started = self.stage.aws.now()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def per_minute(self) -> float:
        """Requests a simulated minute, from the first on."""
        assert self.started is not None, "the traffic runs"
        minutes = (self.stage.aws.now() - self.started).total_seconds() / 60
        return self.requests / minutes if minutes > 0 else 0.0

    def _run(self) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            user = self.users[self.requests % len(self.users)]
            try:
                status, _ = self.stage.read_notifications(user)
            except OSError:  # the embedded AWS is going down
                return
            self.requests += 1
            if status >= 500:
                self.failures += 1
                if self.first_failure is None:
                    took = timedelta(seconds=(time.monotonic() - begun) * self.stage.aws.clock_factor)
                    self.first_failure = self.stage.aws.now() - took
            self._stop.wait(max(0.0, PAUSE_SECONDS - (time.monotonic() - begun)))
