"""EventBridge connections and API destinations: their calls, their secrets and their CloudFormation types.

Mended here (source: EventBridge API reference and user guide, "Connections for HTTP endpoint targets"; AWS
CloudFormation template reference, AWS::Events::Connection and AWS::Events::ApiDestination):

- ARNs end with a unique id.
- A connection keeps its authorization in a secret of its own, ``events!connection/NAME/ID``; DescribeConnection shows
  the secret's ARN and of the authorization only what is no secret.  The connection's key is the secret's.
- What an authorization type needs must be given.
- An endpoint is HTTPS; plain HTTP is taken on this machine only.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from .base import core, service

Response = tuple[int, dict[str, str], bytes]
Made = tuple[str, dict[str, Any]]
CONNECTION, DESTINATION = "AWS::Events::Connection", "AWS::Events::ApiDestination"
_LOCAL = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/|$)")
_NEEDED = {
    "API_KEY": ("ApiKeyAuthParameters", ("ApiKeyName", "ApiKeyValue")),
    "BASIC": ("BasicAuthParameters", ("Username", "Password")),
}
_NAME = re.compile(r"[.\-_A-Za-z0-9]{1,64}")


def install() -> None:
    """Put ours before ministack's calls, and add the types."""
    events = service("eventbridge")
    create, update, delete, describe = (
        events._create_connection, events._update_connection, events._delete_connection, events._describe_connection,
    )  # fmt: skip
    deauthorize = events._deauthorize_connection
    create_destination, update_destination = events._create_api_destination, events._update_api_destination

    def create_connection(data: dict[str, Any]) -> Response:
        if problem := _problem(data, whole=True):
            return _invalid(problem)
        answer: Response = create(data)
        if answer[0] >= 400:
            return answer
        record = events._connections[data["Name"]]
        identifier = str(uuid.uuid4())
        record["ConnectionArn"] += f"/{identifier}"
        secret = f"events!connection/{data['Name']}/{identifier}"
        service("secretsmanager").create_secret_in_process(secret, _content(record), "")
        held = service("secretsmanager")._secrets[secret]
        held["OwningService"] = "events"
        record["SecretArn"] = held["ARN"]
        _keep_key(record, data)
        return _answer(record, "ConnectionArn", "ConnectionState", "CreationTime", "LastModifiedTime")

    def update_connection(data: dict[str, Any]) -> Response:
        present = events._connections.get(data.get("Name")) or {}
        kind = data.get("AuthorizationType") or present.get("AuthorizationType")
        if present and (problem := _problem({**data, "AuthorizationType": kind}, whole="AuthorizationType" in data)):
            return _invalid(problem)
        merged = dict(data)
        if data.get("AuthParameters"):
            merged["AuthParameters"] = {**(present.get("AuthParameters") or {}), **data["AuthParameters"]}
        answer: Response = update(merged)
        if answer[0] < 400:
            service("secretsmanager").put_secret_value_in_process(present["SecretArn"], _content(present))
            _keep_key(present, data)
        return answer

    def delete_connection(data: dict[str, Any]) -> Response:
        present = events._connections.get(data.get("Name")) or {}
        answer: Response = delete(data)
        if answer[0] < 400:
            _forget(present)
        return answer

    def deauthorize_connection(data: dict[str, Any]) -> Response:
        present = events._connections.get(data.get("Name")) or {}
        answer: Response = deauthorize(data)
        if answer[0] < 400:
            _forget(present)
        return answer

    def describe_connection(data: dict[str, Any]) -> Response:
        record = events._connections.get(data.get("Name"))
        if not record:
            refusal: Response = describe(data)
            return refusal
        shown = {name: value for name, value in record.items() if value is not None}
        answer: Response = core("responses").json_response({**shown, "AuthParameters": _shown(record)})
        return answer

    def checked(call: Callable[[dict[str, Any]], Response]) -> Callable[[dict[str, Any]], Response]:
        def run(data: dict[str, Any]) -> Response:
            problem = _destination_problem(data)
            return _invalid(problem) if problem else call(data)

        return run

    def create_api_destination(data: dict[str, Any]) -> Response:
        answer: Response = create_destination(data)
        if answer[0] >= 400:
            return answer
        record = events._api_destinations[data["Name"]]
        record["ApiDestinationArn"] += f"/{uuid.uuid4()}"
        return _answer(record, "ApiDestinationArn", "ApiDestinationState", "CreationTime", "LastModifiedTime")

    events._create_connection, events._update_connection = create_connection, update_connection
    events._delete_connection, events._describe_connection = delete_connection, describe_connection
    events._deauthorize_connection = deauthorize_connection
    events._create_api_destination = checked(create_api_destination)
    events._update_api_destination = checked(update_destination)
    provisioners = service("cloudformation").provisioners
    for kind, noun, arn in (
        (CONNECTION, "connection", "ConnectionArn"),
        (DESTINATION, "api_destination", "ApiDestinationArn"),
    ):
        provisioners._RESOURCE_HANDLERS[kind] = _handler(noun, arn)
        provisioners._REPLACING_PROPERTIES[kind] = ("Name",)


def connection_of(destination: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The connection of an API destination, if it is there."""
    arn = destination.get("ConnectionArn")
    return next((each for each in service("eventbridge")._connections.values() if each["ConnectionArn"] == arn), None)


def _problem(data: Mapping[str, Any], *, whole: bool) -> str | None:
    if not _NAME.fullmatch(str(data.get("Name") or "")):
        return "Parameter Name is not valid. Reason: it has 1 to 64 letters, digits and . - _"
    parameters = data.get("AuthParameters") or {}
    if not whole and not parameters:
        return None
    if not data.get("AuthorizationType"):
        return "AuthorizationType is required"
    if data["AuthorizationType"] in _NEEDED:
        group, names = _NEEDED[data["AuthorizationType"]]
        for name in names:
            if not (parameters.get(group) or {}).get(name):
                return f"Parameter AuthParameters is not valid. Reason: {group}.{name} is required"
    return None


def _destination_problem(data: Mapping[str, Any]) -> str | None:
    endpoint = data.get("InvocationEndpoint")
    if endpoint is not None and not (str(endpoint).startswith("https://") or _LOCAL.match(str(endpoint))):
        return "Parameter InvocationEndpoint is not valid. Reason: the endpoint must be an HTTPS endpoint."
    rate = data.get("InvocationRateLimitPerSecond")
    if rate is not None and int(rate) < 1:
        return "Parameter InvocationRateLimitPerSecond is not valid. Reason: it is 1 or more."
    arn = data.get("ConnectionArn")
    if arn is not None and connection_of(data) is None:
        return f"Connection {arn} does not exist."
    return None


def _content(record: Mapping[str, Any]) -> str:
    """What the secret of a connection holds."""
    parameters = record.get("AuthParameters") or {}
    basic, key = parameters.get("BasicAuthParameters") or {}, parameters.get("ApiKeyAuthParameters") or {}
    content: dict[str, Any] = {}
    if basic:
        content = {"username": basic.get("Username"), "password": basic.get("Password")}
    if key:
        content = {"api_key_name": key.get("ApiKeyName"), "api_key_value": key.get("ApiKeyValue")}
    if parameters.get("InvocationHttpParameters"):
        content["invocation_http_parameters"] = parameters["InvocationHttpParameters"]
    return json.dumps(content)


def _shown(record: Mapping[str, Any]) -> dict[str, Any]:
    """Of the authorization what is no secret."""
    parameters = record.get("AuthParameters") or {}
    shown: dict[str, Any] = {}
    for group, names in (
        ("BasicAuthParameters", ("Username",)),
        ("ApiKeyAuthParameters", ("ApiKeyName",)),
        ("OAuthParameters", ("AuthorizationEndpoint", "HttpMethod")),
    ):
        if parameters.get(group):
            shown[group] = {name: parameters[group][name] for name in names if name in parameters[group]}
    if client := (parameters.get("OAuthParameters") or {}).get("ClientParameters"):
        shown["OAuthParameters"]["ClientParameters"] = {"ClientID": client.get("ClientID")}
    for group, entries in (parameters.get("InvocationHttpParameters") or {}).items():
        shown.setdefault("InvocationHttpParameters", {})[group] = [
            {key: value for key, value in entry.items() if key != "Value" or not _secret(entry)} for entry in entries
        ]
    return shown


def _secret(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("IsValueSecret", False)).lower() == "true"


def _keep_key(record: dict[str, Any], data: Mapping[str, Any]) -> None:
    """The key of a connection is its secret's; an empty one takes it away."""
    if "KmsKeyIdentifier" not in data:
        return
    _, secret = service("secretsmanager")._resolve(record["SecretArn"])
    record["KmsKeyIdentifier"] = secret["KmsKeyId"] = data["KmsKeyIdentifier"] or None


def _forget(record: Mapping[str, Any]) -> None:
    store = service("secretsmanager")
    key, secret = store._resolve(record.get("SecretArn"))
    if secret:
        store._purge_secret(key, secret)


def _handler(noun: str, arn: str) -> dict[str, Any]:
    """A CloudFormation handler over the calls: Ref is the name; everything else changes in place."""
    events, provisioners = service("eventbridge"), service("cloudformation").provisioners
    store = events._connections if noun == "connection" else events._api_destinations

    def call(verb: str, data: Mapping[str, Any]) -> None:
        status, _, body = getattr(events, f"_{verb}_{noun}")(dict(data))
        if status >= 400:
            raise ValueError(str(json.loads(body).get("message")))

    def attributes(name: str) -> dict[str, Any]:
        record = store[name]
        found = {"Arn": record[arn], "ArnForPolicy": record[arn].rpartition("/")[0]}
        return {**found, "SecretArn": record["SecretArn"]} if "SecretArn" in record else found

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Made:
        name = str(properties.get("Name") or provisioners._physical_name(stack, logical_id, max_len=64))
        call("create", {**_typed(properties), "Name": name})
        return name, attributes(name)

    def update(physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str = "") -> Made:
        if (new.get("Name") or physical_id) != physical_id:
            made = create(logical_id or physical_id, new, stack)
            provisioners._delete_predecessor(delete, physical_id, old)
            return made
        # What a template leaves out is taken away again.
        empty = {"Description": "", **({"KmsKeyIdentifier": ""} if noun == "connection" else {})}
        call("update", {**empty, **_typed(new), "Name": physical_id})
        return physical_id, attributes(physical_id)

    def delete(physical_id: str, _properties: dict[str, Any]) -> None:
        if physical_id in store:
            call("delete", {"Name": physical_id})

    return {"create": create, "update": update, "update_with_logical_id": True, "delete": delete}


def _typed(properties: Mapping[str, Any]) -> dict[str, Any]:
    made = {name: value for name, value in properties.items() if value not in (None, "")}
    if "InvocationRateLimitPerSecond" in made:
        made["InvocationRateLimitPerSecond"] = int(made["InvocationRateLimitPerSecond"])
    return made


def _answer(record: Mapping[str, Any], *names: str) -> Response:
    made: Response = core("responses").json_response({name: record[name] for name in names})
    return made


def _invalid(message: str) -> Response:
    made: Response = core("responses").error_response_json("ValidationException", message, 400)
    return made
