"""AWS/Lambda: one sample per invocation, whoever invoked; ministack counts direct calls of the Invoke API only.

As at AWS a throttled call is neither an invocation nor an error, and Duration leaves the start of the runtime out.
Source: AWS Lambda developer guide, "Types of metrics for Lambda functions".
"""

from __future__ import annotations

import threading
import time
from typing import Any

from .base import core, service
from .parts import Parts

_overhead = threading.local()


def install(parts: Parts) -> None:
    """Record Invocations, Errors, Throttles, Duration and ConcurrentExecutions."""
    functions = service("lambda_svc")
    _measure_overhead()
    execute, acquire = functions._execute_function_dispatch, functions._acquire_execution_slot

    def dispatch(func: dict[str, Any], config: dict[str, Any], event: Any, request_id: str, started: float) -> Any:
        name = config.get("FunctionName", "unknown")
        _, in_flight = functions.executions_in_flight()
        at = parts.clock.time()
        before, _overhead.seconds = time.perf_counter(), 0.0
        result = execute(func, config, event, request_id, started)
        milliseconds = max(0.0, time.perf_counter() - before - _overhead.seconds) * 1000
        outcome = result if isinstance(result, dict) else {}
        if outcome.get("throttle"):
            throttled(name)
            return result
        dimensions = {"FunctionName": name}
        record = parts.recorder.record
        # Errors carry the time of their invocation, and so does everything else here.
        record("AWS/Lambda", "Invocations", dimensions, 1, "Count", at=at)
        record("AWS/Lambda", "Errors", dimensions, 1 if outcome.get("error") else 0, "Count", at=at)
        record("AWS/Lambda", "Throttles", dimensions, 0, "Count", at=at)
        record("AWS/Lambda", "Duration", dimensions, milliseconds, "Milliseconds", at=at)
        running = in_flight.get(functions._inflight_key(config), 1)
        record("AWS/Lambda", "ConcurrentExecutions", dimensions, running, "Count", at=at)
        return result

    def throttled(name: str) -> None:
        parts.recorder.record("AWS/Lambda", "Throttles", {"FunctionName": name}, 1, "Count")

    def acquire_slot(func: dict[str, Any], config: dict[str, Any]) -> Any:
        slot = acquire(func, config)
        if slot[0] is None:
            throttled(config.get("FunctionName", "unknown"))
        return slot

    functions._execute_function_dispatch = dispatch
    functions._acquire_execution_slot = acquire_slot
    functions._emit_lambda_metrics = lambda *_arguments, **_options: None


def _measure_overhead() -> None:
    """Add up what an invocation spends on starting the runtime and on waiting for its last log lines."""
    worker = core("lambda_runtime").Worker
    for name in ("_spawn", "_drain_stderr_bounded"):
        setattr(worker, name, _timed(getattr(worker, name)))


def _timed(step: Any) -> Any:
    def run(*arguments: Any) -> Any:
        before = time.perf_counter()
        try:
            return step(*arguments)
        finally:
            _overhead.seconds = getattr(_overhead, "seconds", 0.0) + time.perf_counter() - before

    return run
