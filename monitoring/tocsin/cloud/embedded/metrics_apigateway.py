"""AWS/ApiGateway: one sample of each metric per request, for REST APIs (by ApiName) and HTTP APIs (by ApiId).

Errors are samples of 0 or 1, so that their Average is the share of failed requests.  Latencies are real
milliseconds, because real code ran.  A request that reaches no stage is not published, as at AWS; one
that is refused or throttled at its stage (see `http_api`) is a 4xx.
Sources: Amazon API Gateway developer guide, "Amazon API Gateway dimensions and metrics" and "HTTP API metrics".
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from .base import scope, service
from .parts import Parts


@dataclass
class _Integration:
    """How long the integration of the present request took, in milliseconds; None if none ran."""

    milliseconds: float | None = None


_present: ContextVar[_Integration | None] = ContextVar("present_integration", default=None)
_REST = ("_invoke_lambda_proxy_v1", "_invoke_lambda_custom_v1", "_invoke_sqs_v1", "_invoke_http_proxy_v1")
_HTTP = ("_invoke_lambda_proxy", "_invoke_http_proxy")


def install(parts: Parts) -> None:
    """Measure every request that reaches a stage."""
    rest, http = service("apigateway_v1"), service("apigateway")
    for module, names in ((rest, _REST), (http, _HTTP)):
        for name in names:
            setattr(module, name, _timed(getattr(module, name)))
    rest_execute, http_execute = rest.handle_execute, http.handle_execute

    async def execute_rest(
        api_id: str, stage_name: str, method: str, path: str, headers: Any, body: Any, query_params: Any
    ) -> Any:
        started, at, integration = time.perf_counter(), parts.clock.time(), _Integration()
        token = _present.set(integration)
        try:
            response = await rest_execute(api_id, stage_name, method, path, headers, body, query_params)
        finally:
            _present.reset(token)
        where = rest.find_api_scope(api_id)
        if where is not None and stage_name in rest.stages_for_api(api_id):
            with scope(*where):
                name = rest._rest_apis[api_id]["name"]
                samples = _samples(response[0], started, integration, "4XXError", "5XXError")
                for dimensions in ({"ApiName": name}, {"ApiName": name, "Stage": stage_name}):
                    for metric, value, unit in samples:
                        parts.recorder.record("AWS/ApiGateway", metric, dimensions, value, unit, at=at)
        return response

    async def execute_http(
        api_id: str, stage: str, path: str, method: str, headers: Any, body: Any, query_params: Any, **options: Any
    ) -> Any:
        started, at, integration = time.perf_counter(), parts.clock.time(), _Integration()
        token = _present.set(integration)
        try:
            response = await http_execute(api_id, stage, path, method, headers, body, query_params, **options)
        finally:
            _present.reset(token)
        where = http.find_api_scope(api_id)
        if where is not None and stage in http.stages_for_api(api_id):
            with scope(*where):
                samples = _samples(response[0], started, integration, "4xx", "5xx")
                samples.append(("DataProcessed", float(len(body or b"")) + _length(response[2]), "Bytes"))
                for dimensions in ({"ApiId": api_id}, {"ApiId": api_id, "Stage": stage}):
                    for metric, value, unit in samples:
                        parts.recorder.record("AWS/ApiGateway", metric, dimensions, value, unit, at=at)
        return response

    rest.handle_execute, http.handle_execute = execute_rest, execute_http


def _samples(
    status: int, started: float, integration: _Integration, client_error: str, server_error: str
) -> list[tuple[str, float, str]]:
    samples = [
        ("Count", 1.0, "Count"),
        (client_error, 1.0 if 400 <= status < 500 else 0.0, "Count"),
        (server_error, 1.0 if status >= 500 else 0.0, "Count"),
        ("Latency", (time.perf_counter() - started) * 1000, "Milliseconds"),
    ]
    if integration.milliseconds is not None:
        samples.append(("IntegrationLatency", integration.milliseconds, "Milliseconds"))
    return samples


def _timed(invoke: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def run(*arguments: Any, **options: Any) -> Any:
        before, integration = time.perf_counter(), _present.get()
        try:
            return await invoke(*arguments, **options)
        finally:
            if integration is not None:
                integration.milliseconds = (time.perf_counter() - before) * 1000

    return run


def _length(body: Any) -> float:
    return float(len(body)) if isinstance(body, bytes | str) else 0.0
