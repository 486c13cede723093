"""How long an API of API Gateway waits for what stands behind it, as far as its template tells."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..cloudformation.symbolic import references
from ..model import Resource
from .entry import Inapplicable
from .properties import amount, known_when_deployed, mappings, names

_FUNCTIONS = ("AWS::Lambda::Function", "AWS::Serverless::Function")
#: Lambda's default where a template names none.
_DEFAULT_TIMEOUT_S = 3


def longest_wait(api: Resource, gateway_limit: float) -> tuple[float, str] | Inapplicable:
    """The longest that a request to ``api`` can take, in seconds, and what sets that limit.

    Each integration waits for its own timeout or ``gateway_limit``, and for a Lambda function of the template no
    longer than that may run.  Where no integration is found, ``gateway_limit`` holds.
    """
    waits = [_wait(api, integration, gateway_limit) for integration in _integrations(api)]
    for wait in waits:
        if isinstance(wait, Inapplicable):
            return wait
    known = [wait for wait in waits if not isinstance(wait, Inapplicable)]
    return max(known, key=lambda wait: wait[0], default=(gateway_limit, "the time API Gateway waits"))


def _integrations(api: Resource) -> Iterator[Any]:
    """The part of each resource, or of the API's own OpenAPI text, that says what one integration is."""
    for _, resource in sorted(api.surroundings.items()):
        properties = resource.properties
        match resource.type:
            case "AWS::ApiGateway::Method" if names(properties.get("RestApiId"), api):
                yield from (one for one in mappings(properties.get("Integration")) if one.get("Type") != "MOCK")
            case "AWS::ApiGatewayV2::Integration" if names(properties.get("ApiId"), api):
                yield properties
            case "AWS::Serverless::Function" if names(properties.get("Events"), api):
                yield resource
    for property_name in ("Body", "DefinitionBody"):
        body = api.properties.get(property_name)
        found = {reference.logical_id for reference in references(body)} & api.surroundings.keys()
        behind = (api.surroundings[logical_id] for logical_id in sorted(found))
        yield from (resource for resource in behind if resource.type in _FUNCTIONS)


def _wait(api: Resource, integration: Any, gateway_limit: float) -> tuple[float, str] | Inapplicable:
    limit, what = gateway_limit, "the time API Gateway waits"
    if isinstance(integration, Resource):
        functions = {integration.logical_id}
    else:
        settings = Resource("", "", properties=integration)
        milliseconds = amount(settings, "TimeoutInMillis", gateway_limit * 1000)
        if not milliseconds:
            return known_when_deployed("the timeout of an integration")
        if milliseconds != gateway_limit * 1000:
            limit, what = milliseconds / 1000, "the integration's timeout"
        uri = integration.get("Uri", integration.get("IntegrationUri"))
        functions = {reference.logical_id for reference in references(uri)}
    for logical_id in sorted(functions & api.surroundings.keys()):
        function = api.surroundings[logical_id]
        if function.type in _FUNCTIONS:
            timeout = amount(function, "Timeout", _DEFAULT_TIMEOUT_S)
            if timeout is None:
                return known_when_deployed(f"the timeout of function {logical_id}")
            if 0 < timeout < limit:
                limit, what = timeout, f"the timeout of function {logical_id}"
    return (limit, what) if math.isfinite(limit) else known_when_deployed("the timeout of an integration")
