"""IAM resources: on which ARNs AWS authorizes calls of CloudWatch, EventBridge and AWS Chatbot.

ministack reads the request of CloudWatch in two of its three protocols only, and knows neither mute rules nor
connections nor API destinations.  Calls on several resources need the permission on each.
Source: Service Authorization Reference, "Amazon CloudWatch", "Amazon EventBridge"; CloudWatch API reference,
PutAlarmMuteRule (rule and alarms), DescribeAlarms and DescribeAlarmHistory (composite alarms need ``*``).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import Any

from . import mute_api
from .base import core, here, service
from .protocols import read_call

Handler = Callable[[str, str, dict[str, str], bytes, Any], Awaitable[Any]]

_OF_RULES = ("PutRule", "DeleteRule", "DescribeRule", "EnableRule", "DisableRule")
_OF_TARGETS = ("PutTargets", "RemoveTargets", "ListTargetsByRule")
_OF_CONNECTIONS = (
    "CreateConnection", "DescribeConnection", "UpdateConnection", "DeleteConnection", "DeauthorizeConnection",
)  # fmt: skip
_OF_DESTINATIONS = ("CreateApiDestination", "DescribeApiDestination", "UpdateApiDestination", "DeleteApiDestination")


def find_arns(name: str, path: str, headers: Mapping[str, str], body: bytes, parameters: Any) -> tuple[str, ...] | None:
    """What a call of the service ``name`` is authorized on; None where ministack's own answer holds."""
    if name == "monitoring":
        call = read_call(path, headers, body, parameters)
        return _of_cloudwatch(call.operation, call.request)
    if name == "events":
        return _of_events(headers.get("x-amz-target", "").rpartition(".")[2], _json(body))
    return None


def install() -> None:
    """Check the further resources of calls that name several; the first is checked with the call."""
    handlers = import_module("ministack.app").SERVICE_HANDLERS
    handlers["monitoring"] = _checking_all("monitoring", handlers["monitoring"])


def _checking_all(name: str, handle: Handler) -> Handler:
    actions, evaluator, app = core("iam_actions"), core("iam_evaluator"), import_module("ministack.app")

    async def handler(method: str, path: str, headers: dict[str, str], body: bytes, parameters: Any) -> Any:
        found = find_arns(name, path, headers, body, parameters) or ()
        if len(found) > 1:
            action = actions.extract_iam_action(name, method, path, headers, body, parameters) or ""
            key = app.extract_access_key_id(headers, parameters)
            for arn in found[1:]:
                denied = evaluator.enforce(key, action, name, here()[1], resource_arn=arn)
                if denied is not None:
                    return actions.access_denied_response(
                        name, action, getattr(denied, "principal_arn", ""), "several", headers=headers,
                        resource_arn=arn, explicit_deny=getattr(denied, "decision", "") == "Deny",
                    )  # fmt: skip
        return await handle(method, path, headers, body, parameters)

    return handler


def _of_cloudwatch(operation: str, request: Mapping[str, Any]) -> tuple[str, ...] | None:
    if operation.endswith("AlarmMuteRule"):
        return mute_api.arns(request)
    account, region = here()
    base = f"arn:aws:cloudwatch:{region}:{account}:alarm:"
    names = request.get("AlarmNames") or ([request["AlarmName"]] if request.get("AlarmName") else [])
    if operation in ("SetAlarmState", "PutMetricAlarm", "PutCompositeAlarm"):
        return tuple(base + str(name) for name in names) or None
    if operation in ("DeleteAlarms", "EnableAlarmActions", "DisableAlarmActions"):
        return tuple(base + str(name) for name in names) or None
    if operation in ("DescribeAlarms", "DescribeAlarmHistory"):
        composites = service("cloudwatch")._composite_alarms
        if "CompositeAlarm" in (request.get("AlarmTypes") or ()) or any(name in composites for name in names):
            return ("*",)
        return tuple(base + str(name) for name in names) or ("*",)
    if operation in ("TagResource", "UntagResource", "ListTagsForResource") and request.get("ResourceARN"):
        return (str(request["ResourceARN"]),)
    return None


def _of_events(operation: str, request: Mapping[str, Any]) -> tuple[str, ...] | None:
    account, region = here()
    base = f"arn:aws:events:{region}:{account}:"
    name = request.get("Rule") if operation in _OF_TARGETS else request.get("Name")
    if not name:
        arn = request.get("ResourceARN")
        return (str(arn),) if arn else None
    if operation in _OF_RULES or operation in _OF_TARGETS:
        bus = str(request.get("EventBusName") or "default").rpartition("/")[2]
        return (f"{base}rule/{name}" if bus == "default" else f"{base}rule/{bus}/{name}",)
    if operation in _OF_CONNECTIONS:
        return (f"{base}connection/{name}",)
    if operation in _OF_DESTINATIONS:
        return (f"{base}api-destination/{name}",)
    return None


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
