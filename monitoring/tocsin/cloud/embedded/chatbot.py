"""AWS Chatbot (Amazon Q Developer in chat applications): Slack channel configurations, and what they would have shown.

DescribeSlackChannelConfigurations, CreateSlackChannelConfiguration, UpdateSlackChannelConfiguration and
DeleteSlackChannelConfiguration, and AWS::Chatbot::SlackChannelConfiguration.  What is published to a configuration's
topics is kept for reading and goes nowhere.  The channel's role is not used: it is for commands, not for notifications.
Sources: AWS Chatbot API reference; AWS CloudFormation template reference, AWS::Chatbot::SlackChannelConfiguration.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from .base import core, here, service
from .clock import iso_milliseconds
from .parts import Parts
from .sns_delivery import Fanout

TYPE = "AWS::Chatbot::SlackChannelConfiguration"
Made = tuple[str, dict[str, Any]]
_SHAPES = {
    "SlackWorkspaceId": r"[0-9A-Z]{1,255}",
    "SlackChannelId": r"[A-Za-z0-9]{1,256}",
    "ConfigurationName": r"[A-Za-z0-9-_]{1,128}",
    "IamRoleArn": r"arn:aws[a-zA-Z-]*:iam::\d{12}:role/.+",
    "LoggingLevel": r"ERROR|INFO|NONE",
}
_NEEDED = ("SlackWorkspaceId", "SlackChannelId", "ConfigurationName", "IamRoleArn")


class Chats:
    """The configurations of every account, and the messages that reached them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._configurations: dict[tuple[str, str], dict[str, Any]] = {}
        self._messages: list[dict[str, str]] = []

    def view(self) -> list[dict[str, str]]:
        """What was shown in channels so far: ``channel``, ``configuration``, ``topic``, ``subject``, ``message``, ``at``."""
        with self._lock:
            return list(self._messages)

    def show(self, topic_arn: str, subject: str, message: str) -> None:
        """A message was published to a topic."""
        at = iso_milliseconds(self._parts.clock.time())
        with self._lock:
            for record in self._configurations.values():
                if topic_arn in record["SnsTopicArns"]:
                    named = {"channel": record["SlackChannelId"], "configuration": record["ConfigurationName"]}
                    self._messages.append(
                        {**named, "topic": topic_arn, "subject": subject, "message": message, "at": at}
                    )

    def put(self, properties: Mapping[str, Any], *, arn: str = "") -> str:
        """Create a configuration, or change the one with ``arn``; its ARN.  Raises ValueError."""
        for name, shape in _SHAPES.items():
            value = properties.get(name)
            if (value is None and name in _NEEDED) or (value is not None and not re.fullmatch(shape, str(value))):
                raise ValueError(f"{name} of a Slack channel configuration is not valid")
        account, _ = here()
        made = f"arn:aws:chatbot::{account}:chat-configuration/slack-channel/{properties['ConfigurationName']}"
        with self._lock:
            if not arn and (account, made) in self._configurations:
                raise ValueError(f"configuration {properties['ConfigurationName']} already exists")
            self._configurations[account, made] = {
                "SlackTeamName": "",
                "SlackTeamId": properties["SlackWorkspaceId"],
                "SlackChannelId": properties["SlackChannelId"],
                "SlackChannelName": "",
                "ChatConfigurationArn": made,
                "IamRoleArn": properties["IamRoleArn"],
                "SnsTopicArns": list(properties.get("SnsTopicArns") or ()),
                "ConfigurationName": properties["ConfigurationName"],
                "LoggingLevel": properties.get("LoggingLevel") or "NONE",
                "GuardrailPolicyArns": list(properties.get("GuardrailPolicies") or ()),
                "UserAuthorizationRequired": str(properties.get("UserRoleRequired", False)).lower() == "true",
                "Tags": [
                    {"TagKey": tag["Key"], "TagValue": str(tag.get("Value", ""))}
                    for tag in properties.get("Tags") or ()
                ],
                "State": "ENABLED",
            }
        return made

    def delete(self, arn: str) -> bool:
        """Forget a configuration; False if there is none."""
        with self._lock:
            return self._configurations.pop((here()[0], arn), None) is not None

    def found(self, arn: str = "") -> list[dict[str, Any]]:
        """The configurations of this account, or the one with this ARN."""
        with self._lock:
            mine = [record for (account, _), record in sorted(self._configurations.items()) if account == here()[0]]
        return [record for record in mine if arn in ("", record["ChatConfigurationArn"])]


def install(parts: Parts, fanout: Fanout) -> Chats:
    """Answer the API, add the type, and listen to what is published."""
    chats = Chats(parts)
    fanout.listen(chats.show)
    router, actions = core("router"), core("iam_actions")
    router.SERVICE_PATTERNS["chatbot"] = {"host_patterns": [r"chatbot\."]}
    actions.SERVICE_TO_IAM_NAMESPACE["chatbot"] = "chatbot"
    actions._BOTOCORE_SERVICE_MAP["chatbot"] = ["chatbot"]

    async def handler(_method: str, path: str, _headers: dict[str, str], body: bytes, _parameters: Any) -> Any:
        return _answer(chats, path, json.loads(body or b"{}"))

    import_module("ministack.app").SERVICE_HANDLERS["chatbot"] = handler
    provisioners = service("cloudformation").provisioners
    provisioners._RESOURCE_HANDLERS[TYPE] = _handler(chats)
    provisioners._STACK_TAG_PROPERTY[TYPE] = ("Tags", "list")
    provisioners._REPLACING_PROPERTIES[TYPE] = ("SlackWorkspaceId", "ConfigurationName")
    return chats


def _answer(chats: Chats, path: str, request: Mapping[str, Any]) -> Any:
    json_response, refuse = core("responses").json_response, core("responses").error_response_json
    arn = str(request.get("ChatConfigurationArn") or "")
    operation = path.strip("/")
    if operation == "describe-slack-channel-configurations":
        return json_response({"SlackChannelConfigurations": chats.found(arn)})
    if operation == "delete-slack-channel-configuration":
        if not chats.delete(arn):
            return refuse("ResourceNotFoundException", "there is no such configuration", 404)
        return 204, {}, b""
    if operation in ("create-slack-channel-configuration", "update-slack-channel-configuration"):
        present = chats.found(arn) if arn else []
        properties = {
            "SlackWorkspaceId": request.get("SlackTeamId"),
            "GuardrailPolicies": request.get("GuardrailPolicyArns"),
            "UserRoleRequired": request.get("UserAuthorizationRequired", False),
            **request,
        }
        if arn and not present:
            return refuse("ResourceNotFoundException", "there is no such configuration", 404)
        if present:
            old = present[0]
            for name in ("ConfigurationName", "IamRoleArn", "SnsTopicArns", "LoggingLevel", "SlackChannelId"):
                properties.setdefault(name, old[name])
            properties["SlackWorkspaceId"] = old["SlackTeamId"]
        properties["Tags"] = [{"Key": tag["TagKey"], "Value": tag["TagValue"]} for tag in request.get("Tags") or ()]
        try:
            made = chats.put(properties, arn=arn)
        except ValueError as error:
            return refuse("InvalidParameterException", str(error), 400)
        status = 200 if arn else 201
        return (
            status,
            {"Content-Type": "application/json"},
            json.dumps({"ChannelConfiguration": chats.found(made)[0]}).encode(),
        )
    return refuse("InvalidRequestException", f"{operation} is not answered here", 400)


def _handler(chats: Chats) -> dict[str, Any]:
    def create(_logical_id: str, properties: dict[str, Any], _stack: str) -> Made:
        arn = chats.put(properties)
        return arn, {"Arn": arn}

    def update(physical_id: str, old: dict[str, Any], new: dict[str, Any], _stack: str) -> Made:
        replaced = any(old.get(name) != new.get(name) for name in ("SlackWorkspaceId", "ConfigurationName"))
        arn = chats.put(new, arn="" if replaced else physical_id)
        if arn != physical_id:
            service("cloudformation").provisioners._delete_predecessor(delete, physical_id, old)
        return arn, {"Arn": arn}

    def delete(physical_id: str, _properties: dict[str, Any]) -> None:
        chats.delete(physical_id)

    return {"create": create, "update": update, "delete": delete}
