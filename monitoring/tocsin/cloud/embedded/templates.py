"""CloudFormation: the types and properties ministack lacks, as handlers in its own table.

A handler's create gets (logical id, properties, stack name), its update (physical id, old properties, new properties,
stack name, logical id), its delete (physical id, properties); create and update return the physical id and the
attributes of Fn::GetAtt.  A ValueError fails the resource and rolls the stack back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .alarm_records import request_of, truth
from .base import here, service

Made = tuple[str, dict[str, Any]]


def install() -> None:
    """Add our handlers to ministack's table."""
    provisioners = service("cloudformation").provisioners
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::CloudWatch::Alarm"] = _named(_put_metric_alarm, _delete_alarm)
    handlers["AWS::CloudWatch::CompositeAlarm"] = _named(_put_composite_alarm, _delete_alarm)
    provisioners._STACK_TAG_PROPERTY["AWS::CloudWatch::CompositeAlarm"] = ("Tags", "list")
    provisioners._REPLACING_PROPERTIES["AWS::CloudWatch::Alarm"] = ("AlarmName",)
    provisioners._REPLACING_PROPERTIES["AWS::CloudWatch::CompositeAlarm"] = ("AlarmName",)
    for direction in ("Ingress", "Egress"):
        handlers[f"AWS::EC2::SecurityGroup{direction}"] = _rule_handler(direction)


def _named(put: Callable[[str, dict[str, Any]], Made], delete: Callable[[str], None]) -> dict[str, Any]:
    """The handler of an alarm: everything but its name changes in place; a new name is a new alarm."""
    provisioners = service("cloudformation").provisioners

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Made:
        return put(_name(logical_id, properties, stack), properties)

    def update(physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str = "") -> Made:
        made = put(_name(logical_id or physical_id, new, stack), new)
        if made[0] != physical_id:
            provisioners._delete_predecessor(remove, physical_id, old)
        return made

    def remove(physical_id: str, _properties: dict[str, Any]) -> None:
        delete(physical_id)

    def _name(logical_id: str, properties: dict[str, Any], stack: str) -> str:
        return str(properties.get("AlarmName") or provisioners._physical_name(stack, logical_id, max_len=255))

    return {"create": create, "update": update, "update_with_logical_id": True, "delete": remove}


def _put_metric_alarm(name: str, properties: dict[str, Any]) -> Made:
    cloudwatch = service("cloudwatch")
    _checked(cloudwatch._put_metric_alarm({}, _typed(request_of, properties, name), False, True))
    return _tagged(name, properties)


def _put_composite_alarm(name: str, properties: dict[str, Any]) -> Made:
    cloudwatch = service("cloudwatch")
    request = {key: value for key, value in properties.items() if key != "Tags" and value not in (None, "")}
    request["AlarmName"] = name
    if "ActionsEnabled" in request:
        request["ActionsEnabled"] = truth(request["ActionsEnabled"])
    for field in ("ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod"):
        if field in request:
            request[field] = int(request[field])
    _checked(cloudwatch._put_composite_alarm({}, request, False, True))
    return _tagged(name, properties)


def _typed(
    build: Callable[[dict[str, Any], str], dict[str, Any]], properties: dict[str, Any], name: str
) -> dict[str, Any]:
    try:
        return build(properties, name)
    except (TypeError, KeyError) as error:
        raise ValueError(f"alarm {name}: a property has the wrong type: {error}") from None


def _tagged(name: str, properties: dict[str, Any]) -> Made:
    tags = [tag for tag in properties.get("Tags") or () if tag.get("Key")]
    service("cloudwatch").cloudformation_set_metric_alarm_tags(name, tags)
    account, region = here()
    return name, {"Arn": f"arn:aws:cloudwatch:{region}:{account}:alarm:{name}"}


def _delete_alarm(name: str) -> None:
    _checked(service("cloudwatch")._delete_alarms({}, {"AlarmNames": [name]}, False, True))


def _checked(response: tuple[int, dict[str, str], bytes]) -> None:
    status, _, body = response
    if status >= 400:
        raise ValueError(json.loads(body).get("message") or body.decode())


def _rule_handler(direction: str) -> dict[str, Any]:
    """AWS::EC2::SecurityGroupIngress and …Egress: one rule in a group made elsewhere."""
    store = "IpPermissions" if direction == "Ingress" else "IpPermissionsEgress"

    def group_of(properties: dict[str, Any]) -> dict[str, Any]:
        groups = service("ec2")._security_groups
        wanted = properties.get("GroupId") or properties.get("GroupName")
        for group_id, group in groups.items():
            if wanted in (group_id, group.get("GroupName")):
                found: dict[str, Any] = group
                return found
        raise ValueError(f"The security group '{wanted}' does not exist")

    def permissions(properties: dict[str, Any]) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = service("cloudformation").provisioners._ec2_sg_permissions([properties])
        return made

    def create(_logical_id: str, properties: dict[str, Any], _stack: str) -> Made:
        added = permissions(properties)
        held = group_of(properties).setdefault(store, [])
        if any(rule in held for rule in added):
            raise ValueError("the specified rule already exists in the security group")
        held.extend(added)
        identifier = f"sgr-{service('cloudformation').provisioners.new_uuid().replace('-', '')[:17]}"
        return identifier, {"Id": identifier}

    def update(physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str = "") -> Made:
        delete(physical_id, old)
        return create(logical_id, new, stack)

    def delete(_physical_id: str, properties: dict[str, Any]) -> None:
        try:
            held = group_of(properties).get(store, [])
        except ValueError:
            return  # The group went first, and its rules with it.
        for rule in permissions(properties):
            if rule in held:
                held.remove(rule)

    return {"create": create, "update": update, "update_with_logical_id": True, "delete": delete}
