"""AWS::ApiGateway::RestApi and its stages: requests that fail, are refused, or take too long."""

from __future__ import annotations

from ..alarm import Metric
from ..cloudformation.symbolic import escape
from ..model import Resource
from .api_gateway import NAMESPACE, NOT_ALARMED, Family, alarm_kinds, panels, published, slis
from .entry import Inapplicable, NameSource, ResourceType, name_of
from .properties import named_by, names

_GUIDE = "https://docs.aws.amazon.com/apigateway/latest/developerguide"
#: API Gateway gives up on an integration after this long, unless the method says otherwise.
LONGEST_INTEGRATION_S = 29

_NO_API = "its API is not in the template, and its metrics carry the API's name"


def _api_of(resource: Resource) -> Resource | None:
    """The API itself, or the API of the template that a stage belongs to."""
    if resource.type != "AWS::ApiGateway::Stage":
        return resource
    api = named_by(resource.properties.get("RestApiId"), resource)
    return api if api is not None and api.type in ("AWS::ApiGateway::RestApi", "AWS::Serverless::Api") else None


def _metric(resource: Resource, name: str) -> Metric:
    api = _api_of(resource)
    dimensions = [("ApiName", name_of(api or resource))]
    if resource.type == "AWS::ApiGateway::Stage":
        stage = resource.properties.get("StageName")
        # A deployed stage is found by its name, so text that is complete needs no parameter.
        dimensions.append(("Stage", escape(stage) if type(stage) is str and stage else name_of(resource)))
    return Metric(NAMESPACE, name, tuple(dimensions))


def _refused(resource: Resource) -> Inapplicable | None:
    if resource.type == "AWS::ApiGateway::Stage":
        return None if _api_of(resource) else Inapplicable(_NO_API)
    stages = [
        logical_id
        for logical_id, other in sorted(resource.surroundings.items())
        if other.type == "AWS::ApiGateway::Stage" and names(other.properties.get("RestApiId"), resource)
    ]
    return Inapplicable(f"alarmed per stage: {', '.join(stages)}") if stages else None


_FAMILY = Family(
    slug="rest-api",
    client_errors="4XXError",
    server_errors="5XXError",
    longest=LONGEST_INTEGRATION_S,
    metrics_page=f"{_GUIDE}/api-gateway-metrics-and-dimensions.html",
    quotas_page=f"{_GUIDE}/api-gateway-execution-service-limits-table.html",
    metric=_metric,
    api=_api_of,
    refused=_refused,
)

_DIMENSIONS = (("ApiName",), ("ApiName", "Stage"), ("ApiName", "Method", "Resource", "Stage"))

TYPES = (
    ResourceType(
        type="AWS::ApiGateway::RestApi",
        user_facing=True,
        aliases=("AWS::Serverless::Api",),
        slug="rest-api",
        title="REST API",
        name_property="Name",
        name_source=NameSource.REST_API_NAME,
        own_dimension="ApiName",
        metrics=published(_FAMILY, _DIMENSIONS),
        alarm_kinds=alarm_kinds(_FAMILY),
        slis=slis(_FAMILY, lambda api: None),
        panels=lambda api: panels(_FAMILY, api),
        not_alarmed=NOT_ALARMED,
    ),
    ResourceType(
        type="AWS::ApiGateway::Stage",
        slug="rest-api",
        title="REST API stage",
        name_property="StageName",
        name_source=NameSource.PHYSICAL_ID,
        metrics=published(_FAMILY, _DIMENSIONS),
        alarm_kinds=alarm_kinds(_FAMILY),
        slis=slis(_FAMILY, lambda stage: None if _api_of(stage) else _NO_API),
        panels=lambda stage: panels(_FAMILY, stage),
        not_alarmed=NOT_ALARMED,
        unwatched=lambda stage: None if _api_of(stage) else _NO_API,
    ),
)
