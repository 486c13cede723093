"""HTTP APIs in front of their functions as at AWS: throttling, authorization, the event, and access logs.

Mended here:

- A route with ``AWS_IAM`` needs a valid SigV4 signature for ``execute-api``, with and without ``iam``; with ``iam`` the
  caller needs ``execute-api:Invoke`` too.  Everybody else gets 403 ``{"message":"Forbidden"}``.
- A JWT authorizer may have its issuer on this machine, by http or by https certified by this AWS's authority.  A token
  that cannot be read is answered with 401, whatever it holds.  Times in tokens are compared with real time.
- ``throttlingRateLimit`` and ``throttlingBurstLimit`` of a stage, or of one of its routes, answer 429 when the token
  bucket is empty.  It fills in real time.  Without limits there are none (an account of AWS has 10000 a second).
- A function that fails gives 500 ``{"message":"Internal Server Error"}`` and none of its own words.
- Under a stage other than ``$default`` the event's paths begin with the stage.
- An access log line per request goes to the stage's log group, if that exists.

Not simulated: custom domains' mutual TLS, CORS of refused requests, detailed metrics per route.

Sources: Amazon API Gateway developer guide, "Control access to HTTP APIs with IAM authorization", "Control access to HTTP
APIs with JWT authorizers", "Throttle requests to your HTTP APIs", "Customize HTTP API access logs"; AWS Lambda
developer guide, "Invoking a Lambda function using an Amazon API Gateway endpoint".
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import ssl
import threading
import time
import urllib.request
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from . import tls
from .base import core, scope, service
from .parts import Parts

Response = tuple[int, dict[str, Any], Any]

_VARIABLE = re.compile(r"\$context\.([A-Za-z0-9_.]+)")
# API Gateway developer guide, "Gateway response types".
_RESPONSE_TYPES = {401: "UNAUTHORIZED", 403: "ACCESS_DENIED", 429: "THROTTLED", 504: "INTEGRATION_TIMEOUT"}


@dataclass
class Present:
    """What is known of the request being served, for its event and its access log."""

    request_id: str
    started: float = field(default_factory=time.perf_counter)
    integration_ms: float | None = None
    integration_status: int | None = None
    caller: Mapping[str, Any] | None = None
    claims: Mapping[str, Any] | None = None
    error: str | None = None


_present: ContextVar[Present | None] = ContextVar("present_http_request", default=None)


def install(parts: Parts) -> None:
    """Put the front before every HTTP API."""
    http: Any = service("apigateway")
    app: Any = import_module("ministack.app")
    _trust(http, parts)
    _tell_apart(http)
    enforce, execute = app._enforce_execute_api, http.handle_execute
    buckets = _Buckets()

    def enforce_execute_api(api: str, *arguments: Any, **options: Any) -> Any:
        # What is refused below is measured and logged like any other request.
        return None if http.find_api_scope(api) is not None else enforce(api, *arguments, **options)

    async def handle_execute(
        api: str, stage: str, path: str, method: str, headers: Any, body: Any, parameters: Any, **options: Any
    ) -> Response:
        where = http.find_api_scope(api)
        if where is None:
            refused: Response = await execute(api, stage, path, method, headers, body, parameters, **options)
            return refused
        present = Present(base64.b64encode(os.urandom(11)).decode())
        token = _present.set(present)
        try:
            with scope(*where):
                settings = http._stages.get(api, {}).get(stage) or {}
                route = http._match_route(api, method, "/" + path.lstrip("/")) if settings else None
                response = _refusal(
                    parts, buckets, (api, stage, path, method), settings, route, headers, body, parameters
                )
            if response is None:
                # ministack looks for the header only; a signature may stand in the query as well.
                known = {"authorization": "", **headers}
                response = await execute(api, stage, path, method, known, body, parameters, **options)
            status, answer_headers, content = response
            answer_headers["apigw-requestid"] = present.request_id
            with scope(*where):
                _log_access(parts, api, stage, path, method, settings, route, headers, status, content, present)
            return status, answer_headers, content
        finally:
            _present.reset(token)

    app._enforce_execute_api, http.handle_execute = enforce_execute_api, handle_execute


def _refusal(
    parts: Parts,
    buckets: _Buckets,
    target: tuple[str, str, str, str],
    settings: Mapping[str, Any],
    route: Mapping[str, Any] | None,
    headers: Mapping[str, str],
    body: bytes,
    parameters: Any,
) -> Response | None:
    """The answer to a request that is not to reach its route; None for one that is."""
    if route is None:
        return None
    api, stage, path, method = target
    if not buckets.take(f"{api}/{stage}", str(route.get("routeKey")), settings):
        return _answer(429, "Too Many Requests")
    if str(route.get("authorizationType") or "NONE").upper() == "AWS_IAM":
        where = core("responses")
        arn = core("arn").execute_api_arn(where.get_region(), where.get_account_id(), api, stage, method, path)
        if not _signed(method, headers, parameters, body) or (
            parts.enforce_iam and not _permitted(headers, parameters, arn)
        ):
            return _answer(403, "Forbidden")
    return None


def _signed(method: str, headers: Mapping[str, str], parameters: Any, body: bytes) -> bool:
    """Whether the request carries a valid SigV4 signature for ``execute-api``."""
    evaluator, sigv4 = core("iam_evaluator"), core("sigv4")
    arrived = tls.arrival()
    presigned = not headers.get("authorization", "")
    key = core("router").extract_access_key_id(headers, parameters)
    if arrived is None or not key:
        return False
    parsed = sigv4.parse_query_signature(parameters) if presigned else sigv4.parse_header_signature(headers)
    if isinstance(parsed, tuple) or parsed.service != "execute-api":
        return False
    request = evaluator.SignedRequest(
        key, method, arrived.raw_path, parameters, dict(headers), body or b"", presigned=presigned
    )
    evaluator._signed_request.set(request)
    checked = evaluator.authenticate(key, core("responses").get_account_id())
    return checked is not None and not isinstance(checked, evaluator.AuthError)


def _permitted(headers: Mapping[str, str], parameters: Any, arn: str) -> bool:
    where = core("responses")
    key = core("router").extract_access_key_id(headers, parameters)
    return (
        core("iam_evaluator").enforce(
            key, "execute-api:Invoke", "apigateway", where.get_region(), resource_arn=arn
        )
        is None
    )  # fmt: skip


class _Buckets:
    """Token buckets, one for each stage and each of its routes that has limits."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, str], tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, stage: str, route: str, settings: Mapping[str, Any]) -> bool:
        """Whether there is a token for a request; takes one from each bucket that counts it."""
        with self._lock:
            limits = {
                "": settings.get("defaultRouteSettings") or {},
                route: (settings.get("routeSettings") or {}).get(route) or {},
            }
            # A route's own limits replace the stage's.
            name = route if _limits(limits[route]) else ""
            found = _limits(limits[name])
            if found is None:
                return True
            rate, burst = found
            now = time.monotonic()
            left, since = self._left.get((stage, name), (burst, now))
            left = min(burst, left + rate * (now - since))
            self._left[(stage, name)] = (left - 1 if left >= 1 else left, now)
            return left >= 1


def _limits(settings: Mapping[str, Any]) -> tuple[float, float] | None:
    """The rate and the burst that settings demand, in either spelling of their names."""
    named = {name[:1].lower() + name[1:]: value for name, value in settings.items()}
    rate, burst = named.get("throttlingRateLimit"), named.get("throttlingBurstLimit")
    if rate in (None, "") and burst in (None, ""):
        return None
    rate = float(rate) if rate not in (None, "") else 10_000.0
    return rate, float(burst) if burst not in (None, "") else max(rate, 1.0)


def _tell_apart(http: Any) -> None:
    """Complete the event, and note what the access log tells of a request."""
    identify, validate, invoke = http._iam_caller_identity_v2, http._validate_jwt_authorizer, http._invoke_lambda_proxy
    proxy, unique, functions = http._invoke_http_proxy, http.new_uuid, service("lambda_svc")
    shape = functions.lambda_execute_result_to_api_proxy_response

    def caller_identity(headers: Any, parameters: Any) -> Any:
        caller = identify(headers, parameters)
        if caller is not None:
            caller = {**caller, "cognitoIdentity": caller.get("cognitoIdentity")}
            caller.setdefault("principalOrgId", None)
        if (present := _present.get()) is not None:
            present.caller = caller
        return caller

    async def validate_jwt(route: Any, authorizer: Any, headers: Any, parameters: Any) -> Any:
        try:
            claims, scopes, refused = await validate(route, authorizer, headers, parameters)
        except (ValueError, TypeError, AttributeError, KeyError):
            claims, scopes, refused = None, None, http._jwt_unauthorized()
        if (present := _present.get()) is not None:
            present.claims = claims
            if refused is not None:
                present.error = json.loads(refused[2])["message"]
        return claims, scopes, refused

    async def invoke_function(
        integration: Any, api: str, stage: str, path: str, method: str, headers: Any, *arguments: Any, **options: Any
    ) -> Response:
        whole = path if stage == "$default" else f"/{stage}{path}"
        sent = {name: value for name, value in headers.items() if value or name != "authorization"}
        return await _timed(invoke(integration, api, stage, whole, method, sent, *arguments, **options))

    def shaped(result: dict[str, Any]) -> Any:
        # A function that fails is a 502 of a REST API and a 500 of an HTTP API, and its error stays its own.
        if _present.get() is not None and result.get("error") and not result.get("throttle"):
            return {"statusCode": 500, "body": '{"message":"Internal Server Error"}'}, None
        return shape(result)

    async def invoke_http(*arguments: Any, **options: Any) -> Response:
        return await _timed(proxy(*arguments, **options))

    def new_uuid() -> str:
        present = _present.get()
        return present.request_id if present is not None else str(unique())

    http._iam_caller_identity_v2, http._validate_jwt_authorizer = caller_identity, validate_jwt
    http._invoke_lambda_proxy, http._invoke_http_proxy = invoke_function, invoke_http
    http.new_uuid, functions.lambda_execute_result_to_api_proxy_response = new_uuid, shaped


async def _timed(integration: Any) -> Response:
    before = time.perf_counter()
    response: Response = await integration
    if (present := _present.get()) is not None:
        present.integration_ms = (time.perf_counter() - before) * 1000
        present.integration_status = response[0]
    return response


def _trust(http: Any, parts: Parts) -> None:
    """Let issuers on this machine be certified by our own authority."""

    def fetch(request: Any, timeout_seconds: float) -> Any:
        context = ssl.create_default_context()
        context.load_verify_locations(parts.authority.ca_file)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(request, timeout=timeout_seconds) as response:
            return response.status, dict(response.headers.items()), response.read()

    async def urlopen(request: Any, timeout_seconds: float) -> Any:
        return await asyncio.to_thread(fetch, request, timeout_seconds)

    http._urlopen_async = urlopen


def _log_access(
    parts: Parts,
    api: str,
    stage: str,
    path: str,
    method: str,
    settings: Mapping[str, Any],
    route: Mapping[str, Any] | None,
    headers: Mapping[str, str],
    status: int,
    content: Any,
    present: Present,
) -> None:
    access = settings.get("accessLogSettings") or {}
    logs = service("cloudwatch_logs")
    group = str(access.get("destinationArn", "")).partition(":log-group:")[2].removesuffix(":*")
    if not access.get("format") or group not in logs._log_groups:
        return
    responses = core("responses")
    account, region = responses.get_account_id(), responses.get_region()
    now = datetime.fromtimestamp(parts.clock.time(), UTC)
    caller, integration_ms = present.caller or {}, present.integration_ms
    message = present.error or (_message(content) if integration_ms is None else None)
    values: dict[str, Any] = {
        "accountId": account,
        "apiId": api,
        "authorizer.error": present.error,
        "domainName": f"{api}.execute-api.{region}.amazonaws.com",
        "domainPrefix": api,
        "error.message": message,
        "error.messageString": json.dumps(message) if message else None,
        "error.responseType": _RESPONSE_TYPES.get(status, f"DEFAULT_{status // 100}XX") if message else None,
        "extendedRequestId": present.request_id,
        "httpMethod": method,
        "identity.accountId": caller.get("accountId"),
        "identity.caller": caller.get("callerId"),
        "identity.sourceIp": "127.0.0.1",
        "identity.user": caller.get("userId"),
        "identity.userAgent": headers.get("user-agent"),
        "identity.userArn": caller.get("userArn"),
        "integration.latency": None if integration_ms is None else round(integration_ms),
        "integration.status": present.integration_status,
        "integrationLatency": None if integration_ms is None else round(integration_ms),
        "integrationStatus": present.integration_status,
        "path": path if stage == "$default" else f"/{stage}{path}",
        "protocol": "HTTP/1.1",
        "requestId": present.request_id,
        "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": round(now.timestamp() * 1000),
        "responseLatency": round((time.perf_counter() - present.started) * 1000),
        "responseLength": len(content) if isinstance(content, bytes | str) else 0,
        "routeKey": (route or {}).get("routeKey"),
        "stage": stage,
        "status": status,
    }
    values |= {f"authorizer.claims.{name}": value for name, value in (present.claims or {}).items()}
    line = _VARIABLE.sub(lambda found: _written(values.get(found[1])), str(access["format"]))
    stream = f"{api}-{stage.replace('$', '')}"
    if stream not in logs._log_groups[group]["streams"]:
        logs._create_log_stream({"logGroupName": group, "logStreamName": stream})
    at = round(time.time() * 1000)
    logs._append_log_events(
        logs._log_groups[group]["streams"][stream], [{"timestamp": at, "message": line, "ingestionTime": at}]
    )


def _message(content: Any) -> str | None:
    """What a refusal says."""
    try:
        return str(json.loads(content)["message"])
    except (ValueError, TypeError, KeyError):
        return None


def _written(value: Any) -> str:
    return "-" if value is None else str(value)


def _answer(status: int, message: str) -> Response:
    if (present := _present.get()) is not None:
        present.error = message
    return status, {"Content-Type": "application/json"}, json.dumps({"message": message}).encode()
