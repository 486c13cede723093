"""AWS::ApiGatewayV2::Api for HTTP and its stages: requests that fail, are refused, or take too long."""

from __future__ import annotations

from typing import Any

from ..alarm import Metric
from ..cloudformation.symbolic import escape
from ..model import Resource
from .api_gateway import NAMESPACE, NOT_ALARMED, Family, alarm_kinds, panels, published, slis
from .entry import Inapplicable, NameSource, ResourceType, name_of
from .properties import named_by, names

_GUIDE = "https://docs.aws.amazon.com/apigateway/latest/developerguide"
#: An HTTP API gives up on an integration after this long, unless the integration says otherwise.
LONGEST_INTEGRATION_S = 30

_STAGE = "AWS::ApiGatewayV2::Stage"
_NO_API = "its API is not in the template, and its metrics carry the API's id"
_WEBSOCKET = "WebSocket APIs publish other metrics (messages, connections), which Tocsin does not watch yet"


def _api_of(resource: Resource) -> Resource | None:
    """The API itself, or the API of the template that a stage belongs to."""
    if resource.type != _STAGE:
        return resource
    api = named_by(resource.properties.get("ApiId"), resource)
    return api if api is not None and api.type in ("AWS::ApiGatewayV2::Api", "AWS::Serverless::HttpApi") else None


def _plain(value: Any) -> str | None:
    """Text that is complete before deployment."""
    return escape(value) if type(value) is str and value else None


def _metric(resource: Resource, name: str) -> Metric:
    api = _api_of(resource)
    if resource.type != _STAGE:
        return Metric(NAMESPACE, name, (("ApiId", name_of(resource)),))
    api_id = name_of(api) if api else _plain(resource.properties.get("ApiId")) or name_of(resource)
    stage = _plain(resource.properties.get("StageName")) or name_of(resource)
    return Metric(NAMESPACE, name, (("ApiId", api_id), ("Stage", stage)))


def _unwatched(resource: Resource) -> str | None:
    api = _api_of(resource)
    if api is None:
        return None if _plain(resource.properties.get("ApiId")) else _NO_API
    if str(api.properties.get("ProtocolType")) == "WEBSOCKET":
        return _WEBSOCKET
    return None


def _refused(resource: Resource) -> Inapplicable | None:
    if reason := _unwatched(resource):
        return Inapplicable(reason)
    if resource.type == _STAGE:
        return None
    stages = [
        logical_id
        for logical_id, other in sorted(resource.surroundings.items())
        if other.type == _STAGE and names(other.properties.get("ApiId"), resource)
    ]
    return Inapplicable(f"alarmed per stage: {', '.join(stages)}") if stages else None


_FAMILY = Family(
    slug="http-api",
    client_errors="4xx",
    server_errors="5xx",
    longest=LONGEST_INTEGRATION_S,
    metrics_page=f"{_GUIDE}/http-api-metrics.html",
    quotas_page=f"{_GUIDE}/http-api-quotas.html",
    metric=_metric,
    api=_api_of,
    refused=_refused,
)

_DIMENSIONS = (
    ("ApiId",),
    ("ApiId", "Stage"),
    ("ApiId", "Route", "Stage"),
    ("ApiId", "Method", "Resource", "Stage"),
)
_NOT_ALARMED = {
    **NOT_ALARMED,
    "ClientError": "published by WebSocket APIs only, which are not watched",
    "ExecutionError": "published by WebSocket APIs only, which are not watched",
    "MessageCount": "published by WebSocket APIs only, which are not watched",
}

TYPES = (
    ResourceType(
        type="AWS::ApiGatewayV2::Api",
        user_facing=True,
        aliases=("AWS::Serverless::HttpApi",),
        slug="http-api",
        title="HTTP API",
        name_property=None,
        name_source=NameSource.PHYSICAL_ID,
        own_dimension="ApiId",
        metrics=published(_FAMILY, _DIMENSIONS),
        alarm_kinds=alarm_kinds(_FAMILY),
        slis=slis(_FAMILY, _unwatched),
        panels=lambda api: panels(_FAMILY, api),
        not_alarmed=_NOT_ALARMED,
        unwatched=_unwatched,
    ),
    ResourceType(
        type=_STAGE,
        slug="http-api",
        title="HTTP API stage",
        name_property="StageName",
        name_source=NameSource.PHYSICAL_ID,
        metrics=published(_FAMILY, _DIMENSIONS),
        alarm_kinds=alarm_kinds(_FAMILY),
        slis=slis(_FAMILY, _unwatched),
        panels=lambda stage: panels(_FAMILY, stage),
        not_alarmed=_NOT_ALARMED,
        unwatched=_unwatched,
    ),
)
