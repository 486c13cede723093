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
    api_destinations,
    change_sets,
    chatbot,
    connections,
    custom_resources,
    dynamic_references,
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
    mute_api,
    object_versions,
    rds,
    recorder,
    resource_types,
    secrets_api,
    service_roles,
    sns,
    sns_api,
    sns_delivery,
    templates,
    tls,
)
from .alarms import Alarms
from .base import core
from .clock import Clock
from .control import Control, moment, number, optional_number
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


def assemble(clock: Clock, directory: Path, addresses: Addresses, *, enforce_iam: bool, gauges: bool = True) -> Running:
    """Patch ministack in this process and start the rounds, which sample ``gauges`` of queues and databases."""
    endpoint, tls_endpoint, authority = addresses.endpoint, addresses.tls_endpoint, addresses.authority
    parts = Parts(clock, Recorder(clock), Signer(directory), directory, endpoint, authority, tls_endpoint, enforce_iam)
    alarms = Alarms(parts)
    recorder.install(parts.recorder, clock)
    metric_data.install(parts.recorder)
    alarm_api.install(alarms)
    kept.install()
    object_versions.install()
    templates.install()
    change_sets.install()
    mute_api.install(alarms, clock)
    keys.install(parts)
    iam.install(parts)
    resource_types.install()
    custom_resources.install(parts)
    messages = sns.install(parts)
    sns_api.install(messages)
    chats = chatbot.install(parts, sns_delivery.install(parts, messages))
    secrets_api.install(clock)
    queues = metrics_sqs.install(parts)
    databases = rds.install(parts)
    functions.install()
    metrics_lambda.install(parts)
    connections.install()
    api_destinations.install(parts)
    metrics_events.install(parts)
    service_roles.install(parts)
    dynamic_references.install(parts)
    http_api.install(parts)
    metrics_apigateway.install(parts)
    metrics_dynamodb.install(parts)
    metrics_emf.install(parts)
    tasks = ecs.install(parts)
    rounds = Rounds(clock, [queues.sample, databases.sample] if gauges else [], alarms)
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

    def tune_deliveries(given: dict[str, Any]) -> dict[str, Any]:
        parts.deliveries.tune(optional_number(given, "speed"), optional_number(given, "timeout"))
        return _deliveries_view(parts)

    def confirm_mails(given: dict[str, Any]) -> dict[str, Any]:
        parts.mailbox.confirms = given.get("confirms") is True
        return {"confirms": parts.mailbox.confirms}

    app = Control(
        import_module("ministack.app").app,
        reads={
            "clock": lambda: _clock_view(clock),
            "databases": lambda: {"databases": databases.view()},
            "deliveries": lambda: _deliveries_view(parts),
            "mails": lambda: {"mails": parts.mailbox.view()},
            "chats": lambda: {"chats": chats.view()},
            f"sns/{parts.signer.certificate_name}": lambda: parts.signer.certificate,
        },
        writes={
            "clock": set_clock,
            "advance": advance,
            "next-minute": next_minute,
            "fire": fire,
            "deliveries": tune_deliveries,
            "mails": confirm_mails,
            "functions-endpoint": lambda given: functions.call_endpoint(str(given.get("url") or tls_endpoint)),
        },
    )

    def stop() -> None:
        rounds.stop()
        parts.deliveries.stop()
        core("lambda_runtime").reset()
        tasks.stop()
        databases.stop()

    return Running(tls.Front(app), stop)


def _clock_view(clock: Clock) -> dict[str, Any]:
    return {"now": moment(clock.time()), "factor": clock.factor, "real": moment(time.time())}


def _deliveries_view(parts: Parts) -> dict[str, Any]:
    deliveries = parts.deliveries
    return {"speed": deliveries.speed, "timeout": deliveries.timeout, "under_way": deliveries.under_way}


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
