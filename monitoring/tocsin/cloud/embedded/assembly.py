"""Assembly: puts our additions into ministack and keeps the simulated minutes turning."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from . import (
    alarm_api,
    custom_resources,
    ecs,
    functions,
    http_api,
    iam,
    kept,
    keys,
    metric_data,
    metrics_apigateway,
    metrics_dynamodb,
    metrics_emf,
    metrics_events,
    metrics_lambda,
    metrics_sqs,
    object_versions,
    rds,
    recorder,
    resource_types,
    service_roles,
    sns,
    templates,
    tls,
)
from .alarms import Alarms
from .base import core
from .clock import Clock
from .control import Control, moment, number
from .parts import Addresses, Parts
from .recorder import Recorder
from .signing import Signer

_log = logging.getLogger("tocsin.minutes")
_MINUTE = 60
_QUICK = 10


@dataclass(frozen=True, slots=True)
class Running:
    """The application to serve, and how to end what it started."""

    app: Any
    stop: Callable[[], None]


def assemble(clock: Clock, directory: Path, addresses: Addresses, *, enforce_iam: bool) -> Running:
    """Patch ministack in this process and start the rounds."""
    endpoint, tls_endpoint, authority = addresses.endpoint, addresses.tls_endpoint, addresses.authority
    parts = Parts(clock, Recorder(clock), Signer(directory), directory, endpoint, authority, tls_endpoint, enforce_iam)
    alarms = Alarms(parts)
    recorder.install(parts.recorder, clock)
    metric_data.install(parts.recorder)
    alarm_api.install(alarms)
    kept.install()
    object_versions.install()
    templates.install()
    keys.install(parts)
    iam.install(parts)
    resource_types.install()
    custom_resources.install(parts)
    sns.install(parts)
    queues = metrics_sqs.install(parts)
    databases = rds.install(parts)
    functions.install()
    metrics_lambda.install(parts)
    metrics_events.install(parts)
    service_roles.install(parts)
    http_api.install(parts)
    metrics_apigateway.install(parts)
    metrics_dynamodb.install(parts)
    metrics_emf.install(parts)
    tasks = ecs.install(parts)
    rounds = Rounds(clock, [queues.sample, databases.sample], alarms)
    rounds.start()

    def set_clock(given: dict[str, Any]) -> dict[str, Any]:
        clock.set_factor(number(given, "factor"))
        rounds.wake()
        return _clock_view(clock)

    def advance(given: dict[str, Any]) -> dict[str, Any]:
        clock.advance(number(given, "seconds"))
        rounds.wake()
        return _clock_view(clock)

    def next_minute(_given: dict[str, Any]) -> dict[str, Any]:
        rounds.next_minute()
        return _clock_view(clock)

    def fire(given: dict[str, Any]) -> dict[str, Any]:
        return {"targets": metrics_events.fire(parts, str(given.get("rule")), str(given.get("bus") or "default"))}

    app = Control(
        import_module("ministack.app").app,
        reads={
            "clock": lambda: _clock_view(clock),
            "databases": lambda: {"databases": databases.view()},
            f"sns/{parts.signer.certificate_name}": lambda: parts.signer.certificate,
        },
        writes={
            "clock": set_clock,
            "advance": advance,
            "next-minute": next_minute,
            "fire": fire,
            "functions-endpoint": lambda given: functions.call_endpoint(str(given.get("url") or tls_endpoint)),
        },
    )

    def stop() -> None:
        rounds.stop()
        core("lambda_runtime").reset()
        tasks.stop()
        databases.stop()

    return Running(tls.Front(app), stop)


def _clock_view(clock: Clock) -> dict[str, Any]:
    return {"now": moment(clock.time()), "factor": clock.factor, "real": moment(time.time())}


class Rounds:
    """One round at each full simulated minute: sample the gauges, then evaluate the alarms.

    While there are alarms with a period below a minute, those are evaluated every ten seconds as well.

    When the clock outruns the machine, minutes are skipped rather than made up late: a gauge that was not looked at
    has no value.
    """

    def __init__(self, clock: Clock, samplers: Sequence[Callable[[float], None]], alarms: Alarms) -> None:
        self._clock = clock
        self._samplers = samplers
        self._alarms = alarms
        self._wake = threading.Event()
        self._stopping = False
        self._lock = threading.Lock()
        self._done = float(self._minute())
        self._thread = threading.Thread(target=self._turn, daemon=True, name="tocsin-minutes")

    def start(self) -> None:
        """Begin with the next full minute."""
        self._thread.start()

    def stop(self) -> None:
        """No further rounds."""
        self._stopping = True
        self._wake.set()

    def wake(self) -> None:
        """The clock was changed: work out anew when the next minute is."""
        self._wake.set()

    def next_minute(self) -> None:
        """Move the clock to the next full minute and be done with its round on return."""
        with self._lock:
            target = max(self._done, float(self._minute())) + _MINUTE
            self._clock.advance(max(0.0, target - self._clock.time()))
            self._round(self._minute())
        self.wake()

    def _turn(self) -> None:
        while not self._stopping:
            due = self._done + _MINUTE
            if self._alarms.quick():
                due = min(due, (math.floor(self._clock.time() / _QUICK) + 1) * float(_QUICK))
            # A moment behind it, so that the present is never taken for the minute before.
            if self._wake.wait(self._clock.real_seconds_until(due) + 0.001):
                self._wake.clear()
            with self._lock:
                self._round(self._minute())
                if due % _MINUTE and due <= self._clock.time() and due > self._done:
                    self._evaluate(due)

    def _minute(self) -> int:
        return math.floor(self._clock.time() / _MINUTE) * _MINUTE

    def _round(self, at: float) -> None:
        if at <= self._done or self._stopping:
            return
        self._done = at
        for sample in self._samplers:
            try:
                sample(at)
            except Exception:
                _log.exception("a sampler failed")
        self._evaluate(at)

    def _evaluate(self, at: float) -> None:
        try:
            self._alarms.round(datetime.fromtimestamp(at, UTC))
        except Exception:
            _log.exception("a round of alarms failed")
