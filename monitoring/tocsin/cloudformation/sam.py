"""Says SAM resources in CloudFormation's words: properties by their CloudFormation names, event sources as resources.

Only what monitoring needs is translated; the resource keeps its SAM type and its own properties beside.
Source: AWS SAM developer guide, resource and property reference, and "Generated CloudFormation resources".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from .intrinsics import Resolved
from .symbolic import Symbolic, references

FUNCTION = "AWS::Serverless::Function"
API = "AWS::Serverless::Api"
HTTP_API = "AWS::Serverless::HttpApi"
SIMPLE_TABLE = "AWS::Serverless::SimpleTable"

_GLOBALS = {FUNCTION: "Function", API: "Api", HTTP_API: "HttpApi", SIMPLE_TABLE: "SimpleTable"}
_POLLED = {
    "SQS": "Queue",
    "Kinesis": "Stream",
    "DynamoDB": "Stream",
    "MSK": "Stream",
    "MQ": "Broker",
    "DocumentDB": "Cluster",
}
_ATTRIBUTE_TYPES = {"String": "S", "Number": "N", "Binary": "B"}


def translate(
    resources: Iterable[Resolved], shared: Mapping[str, Any]
) -> tuple[tuple[Resolved, ...], tuple[Resolved, ...]]:
    """The resources in CloudFormation's words, and beside them those that SAM would add for their events and stages.

    ``shared`` is the template's ``Globals``.
    """
    translated = {resource.logical_id: _translate(resource, shared) for resource in resources}
    implied: dict[str, Resolved] = {}
    for resource in list(translated.values()):
        for extra in _implied_by(resource):
            if extra.logical_id not in translated:
                implied[extra.logical_id] = extra
        for bucket, function in _notifying_buckets(resource):
            if bucket in translated:
                translated[bucket] = _notifying(translated[bucket], function)
    return tuple(translated.values()), tuple(implied.values())


def _translate(resource: Resolved, shared: Mapping[str, Any]) -> Resolved:
    if resource.type not in _GLOBALS:
        return resource
    properties = _merged(shared.get(_GLOBALS[resource.type]), resource.properties)
    properties = properties if isinstance(properties, dict) else {}
    if resource.type == FUNCTION:
        words = _function(properties)
    elif resource.type == SIMPLE_TABLE:
        words = _simple_table(properties)
    elif resource.type == HTTP_API:
        words = {"ProtocolType": "HTTP", "StageName": properties.get("StageName", "$default")}
    else:
        words = {"Body": properties["DefinitionBody"]} if "DefinitionBody" in properties else {}
    return replace(resource, properties={**properties, **words})


def _merged(shared: Any, own: Any) -> Any:
    """Globals under a resource's own properties: mappings merge, lists are joined, anything else is overridden."""
    if isinstance(shared, dict) and isinstance(own, dict):
        both = {key: _merged(shared[key], own[key]) for key in shared.keys() & own.keys()}
        return {**shared, **own, **both}
    if isinstance(shared, list) and isinstance(own, list):
        return shared + own
    return shared if own is None else own


def _function(properties: Mapping[str, Any]) -> dict[str, Any]:
    words: dict[str, Any] = {}
    queue = properties.get("DeadLetterQueue")
    if isinstance(queue, dict) and "TargetArn" in queue:
        words["DeadLetterConfig"] = {"TargetArn": queue["TargetArn"]}
    if isinstance(properties.get("Tracing"), str):
        words["TracingConfig"] = {"Mode": properties["Tracing"]}
    return words


def _simple_table(properties: Mapping[str, Any]) -> dict[str, Any]:
    key = properties.get("PrimaryKey")
    key = key if isinstance(key, dict) else {}
    name, kind = key.get("Name", "id"), key.get("Type", "String")
    words: dict[str, Any] = {
        "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": _ATTRIBUTE_TYPES.get(str(kind), "S")}],
    }
    if "ProvisionedThroughput" not in properties:
        words["BillingMode"] = "PAY_PER_REQUEST"
    return words


def _implied_by(resource: Resolved) -> list[Resolved]:
    properties = resource.properties
    if resource.type == API and isinstance(properties.get("StageName"), str):
        stage: dict[str, Any] = {
            name: properties[name]
            for name in ("StageName", "MethodSettings", "TracingEnabled", "CacheClusterEnabled")
            if name in properties
        }
        stage["RestApiId"] = Symbolic(f"${{{resource.logical_id}}}")
        return [
            _made(resource, f"{resource.logical_id}{properties['StageName']}Stage", "AWS::ApiGateway::Stage", stage)
        ]
    if resource.type == HTTP_API:
        stage = {"StageName": properties["StageName"], "ApiId": Symbolic(f"${{{resource.logical_id}}}")}
        if "DefaultRouteSettings" in properties:
            stage["DefaultRouteSettings"] = properties["DefaultRouteSettings"]
        name = "ApiGatewayDefaultStage" if stage["StageName"] == "$default" else f"{stage['StageName']}Stage"
        return [_made(resource, f"{resource.logical_id}{name}", "AWS::ApiGatewayV2::Stage", stage)]
    if resource.type == FUNCTION:
        return [
            made
            for name, kind, event in _events(resource)
            if (made := _event_source(resource, f"{resource.logical_id}{name}", kind, event))
        ]
    return []


def _events(function: Resolved) -> list[tuple[str, str, dict[str, Any]]]:
    events = function.properties.get("Events")
    found = []
    for name, body in events.items() if isinstance(events, dict) else ():
        if isinstance(body, dict) and isinstance(body.get("Type"), str):
            properties = body.get("Properties")
            found.append((name, body["Type"], properties if isinstance(properties, dict) else {}))
    return found


def _event_source(function: Resolved, logical_id: str, kind: str, event: dict[str, Any]) -> Resolved | None:
    """What SAM makes of one event of a function."""
    arn = Symbolic(f"${{{function.logical_id}.Arn}}")
    if kind in _POLLED:
        words = {"FunctionName": Symbolic(f"${{{function.logical_id}}}"), "EventSourceArn": event.get(_POLLED[kind])}
        return _made(function, logical_id, "AWS::Lambda::EventSourceMapping", {**event, **words})
    target = {"Arn": arn, "Id": logical_id} | _some(event, "DeadLetterConfig", "RetryPolicy", "Input")
    if kind == "Schedule":
        words = {"ScheduleExpression": event.get("Schedule"), "Targets": [target]}
        if event.get("Enabled") in (False, "false"):
            words["State"] = "DISABLED"
        return _made(function, logical_id, "AWS::Events::Rule", {**_some(event, "State", "Name"), **words})
    if kind in ("EventBridgeRule", "CloudWatchEvent"):
        words = {"EventPattern": event.get("Pattern"), "Targets": [target]}
        return _made(function, logical_id, "AWS::Events::Rule", {**_some(event, "EventBusName", "State"), **words})
    if kind == "ScheduleV2":
        return _made(function, logical_id, "AWS::Scheduler::Schedule", {**event, "Target": target})
    if kind == "SNS":
        words = {"Protocol": "lambda", "TopicArn": event.get("Topic"), "Endpoint": arn}
        return _made(function, logical_id, "AWS::SNS::Subscription", {**_some(event, "RedrivePolicy"), **words})
    if kind in ("Api", "HttpApi"):
        words = {"FunctionName": arn, "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com"}
        return _made(function, f"{logical_id}Permission", "AWS::Lambda::Permission", words)
    return None


def _notifying_buckets(function: Resolved) -> list[tuple[str, Resolved]]:
    if function.type != FUNCTION:
        return []
    return [
        (reference.logical_id, function)
        for _, kind, event in _events(function)
        if kind == "S3"
        for reference in references(event.get("Bucket"))
    ]


def _notifying(bucket: Resolved, function: Resolved) -> Resolved:
    """The bucket with the notification that SAM adds to it."""
    own = bucket.properties.get("NotificationConfiguration")
    own = own if isinstance(own, dict) else {}
    listed = own.get("LambdaConfigurations")
    added = {"Event": "s3:ObjectCreated:*", "Function": Symbolic(f"${{{function.logical_id}.Arn}}")}
    configuration = {**own, "LambdaConfigurations": [*(listed if isinstance(listed, list) else ()), added]}
    return replace(bucket, properties={**bucket.properties, "NotificationConfiguration": configuration})


def _some(mapping: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: mapping[name] for name in names if name in mapping}


def _made(parent: Resolved, logical_id: str, type_name: str, properties: dict[str, Any]) -> Resolved:
    return replace(parent, logical_id=logical_id, type=type_name, properties=properties, body={}, metadata=None)
