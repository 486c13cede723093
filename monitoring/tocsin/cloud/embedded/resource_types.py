"""CloudFormation types that ministack refuses although its services know the thing: flow logs, identity providers.

Handlers as in `templates`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from .base import here, service

Made = tuple[str, dict[str, Any]]


def install() -> None:
    """Add the handlers, and the attribute of a VPC that templates ask for."""
    provisioners = service("cloudformation").provisioners
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::EC2::FlowLog"] = {"create": _create_flow_log, "delete": _delete_flow_log}
    handlers["AWS::IAM::OIDCProvider"] = {
        "create": _create_provider, "update": _update_provider, "delete": _delete_provider,
    }  # fmt: skip
    provisioners._STACK_TAG_PROPERTY["AWS::EC2::FlowLog"] = ("Tags", "list")
    provisioners._STACK_TAG_PROPERTY["AWS::IAM::OIDCProvider"] = ("Tags", "list")
    # Nothing about a flow log but its tags can change in place.
    provisioners._REPLACING_PROPERTIES["AWS::EC2::FlowLog"] = _FLOW_LOG_PROPERTIES
    provisioners._REPLACING_PROPERTIES["AWS::IAM::OIDCProvider"] = ("Url",)
    vpc = handlers["AWS::EC2::VPC"]
    handlers["AWS::EC2::VPC"] = {**vpc, "create": _with_cidr(vpc["create"]), "update": _with_cidr(vpc["update"])}
    ec2 = service("ec2")
    ec2._describe_flow_logs = ec2._ACTION_MAP["DescribeFlowLogs"] = _describe_flow_logs


_FLOW_LOG_PROPERTIES = (
    "ResourceId",
    "ResourceType",
    "TrafficType",
    "LogDestinationType",
    "LogDestination",
    "LogGroupName",
    "LogFormat",
    "MaxAggregationInterval",
    "DeliverLogsPermissionArn",
)
_XML_NAMES = {
    "FlowLogId": "flowLogId", "ResourceId": "resourceId", "TrafficType": "trafficType",
    "LogDestinationType": "logDestinationType", "LogDestination": "logDestination", "LogGroupName": "logGroupName",
    "LogFormat": "logFormat", "MaxAggregationInterval": "maxAggregationInterval",
    "DeliverLogsPermissionArn": "deliverLogsPermissionArn", "FlowLogStatus": "flowLogStatus",
    "CreationTime": "creationTime",
}  # fmt: skip


def _with_cidr(call: Callable[..., Made]) -> Callable[..., Made]:
    def run(*arguments: Any) -> Made:
        identifier, attributes = call(*arguments)
        record = service("ec2")._vpcs.get(identifier) or {}
        return identifier, {**attributes, "CidrBlock": record.get("CidrBlock", "")}

    return run


def _create_flow_log(_logical_id: str, properties: dict[str, Any], _stack: str) -> Made:
    ec2 = service("ec2")
    watched, kind = properties.get("ResourceId", ""), properties.get("ResourceType", "")
    known = {"VPC": "_vpcs", "Subnet": "_subnets", "NetworkInterface": "_network_interfaces"}
    if kind not in known:
        raise ValueError(f"ResourceType of a flow log is one of {', '.join(known)} here, not {kind!r}")
    if watched not in getattr(ec2, known[kind]):
        raise ValueError(f"the {kind} '{watched}' does not exist")
    identifier = f"fl-{service('cloudformation').provisioners.new_uuid().replace('-', '')[:17]}"
    record = {name: str(properties[name]) for name in _FLOW_LOG_PROPERTIES if properties.get(name) not in (None, "")}
    ec2._flow_logs[identifier] = {
        "LogDestinationType": "cloud-watch-logs",
        "TrafficType": "ALL",
        "MaxAggregationInterval": "600",
        **record,
        "FlowLogId": identifier,
        "FlowLogStatus": "ACTIVE",
        "CreationTime": ec2._now_ts(),
    }
    ec2._tags[identifier] = _tags(properties)
    return identifier, {"Id": identifier}


def _delete_flow_log(identifier: str, _properties: dict[str, Any]) -> None:
    ec2 = service("ec2")
    ec2._flow_logs.pop(identifier, None)
    ec2._tags.pop(identifier, None)


def _describe_flow_logs(params: Any) -> Any:
    """ministack's own answer leaves out the log group, the role and the interval."""
    ec2 = service("ec2")
    identifiers, filters = ec2._parse_member_list(params, "FlowLogId"), ec2._parse_filters(params)
    items = []
    for record in ec2._flow_logs.values():
        identifier = record["FlowLogId"]
        if identifiers and identifier not in identifiers:
            continue
        if filters.get("resource-id") and record["ResourceId"] not in filters["resource-id"]:
            continue
        if not ec2._resource_matches_tag_filters(identifier, filters):
            continue
        fields = "".join(
            f"<{xml}>{escape(str(record[name]))}</{xml}>" for name, xml in _XML_NAMES.items() if record.get(name)
        )
        items.append(f"<item>{fields}{ec2._tag_set_xml(identifier)}</item>")
    return ec2._xml(200, "DescribeFlowLogsResponse", f"<flowLogSet>{''.join(items)}</flowLogSet>")


def _create_provider(_logical_id: str, properties: dict[str, Any], _stack: str) -> Made:
    iam, url = service("iam"), str(properties.get("Url", ""))
    parsed = urlsplit(url)
    if parsed.scheme != "https" or not parsed.netloc or parsed.query or parsed.port:
        raise ValueError(f"Url of an OIDC provider is https://… without port or query, not {url!r}")
    account, _ = here()
    arn = f"arn:aws:iam::{account}:oidc-provider/{(parsed.netloc + parsed.path).rstrip('/')}"
    if arn in iam._oidc_providers:
        raise ValueError(f"Provider with url {url} already exists.")
    iam._oidc_providers[arn] = {"Url": url, "Arn": arn, "CreateDate": iam._now(), **_provider_fields(properties)}
    return arn, {"Arn": arn}


def _update_provider(arn: str, _old: Mapping[str, Any], new: dict[str, Any], _stack: str) -> Made:
    service("iam")._oidc_providers[arn].update(_provider_fields(new))
    return arn, {"Arn": arn}


def _delete_provider(arn: str, _properties: dict[str, Any]) -> None:
    service("iam")._oidc_providers.pop(arn, None)


def _provider_fields(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "ClientIDList": list(properties.get("ClientIdList") or ()),
        "ThumbprintList": list(properties.get("ThumbprintList") or ()),
        "Tags": _tags(properties),
    }


def _tags(properties: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"Key": tag["Key"], "Value": str(tag.get("Value", ""))} for tag in properties.get("Tags") or ()]
