"""SNS to HTTP(S): confirmations for every subscription, true signatures, AWS's headers, retries, delivery metrics."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from contextvars import copy_context
from typing import Any

from .base import scope, service
from .clock import iso_milliseconds
from .parts import Parts

RETRY_DELAYS = (0.5, 1.0, 2.0, 4.0)
"""Real seconds before each further attempt; AWS waits 20 s by default, which tests and people need not."""
TIMEOUT_SECONDS = 15.0
"""How long an endpoint may take to answer (SNS developer guide, "Amazon SNS message delivery retries")."""

_log = logging.getLogger("tocsin.sns")
_HTTP = ("http", "https")
_TOO_MANY_REQUESTS = 429


def install(parts: Parts) -> None:
    """Replace ministack's envelope, confirmation and HTTP delivery by ours."""
    sns = service("sns")
    post = _Post(parts)

    def build_envelope(
        topic_arn: str, msg_id: str, message: str, subject: str, message_attributes: dict[str, Any], raw: bool
    ) -> str:
        return message if raw else post.notification(topic_arn, msg_id, message, subject, message_attributes)

    async def deliver(endpoint: str, payload: str) -> None:
        post.deliver(endpoint, payload)

    async def confirm(topic_arn: str, subscription: dict[str, Any]) -> None:
        post.ask_confirmation(topic_arn, subscription)

    sns._build_envelope = build_envelope
    sns._deliver_to_http = deliver
    sns._send_subscription_confirmation = confirm
    _count_published(parts)

    handlers = service("cloudformation").provisioners._RESOURCE_HANDLERS
    for name in ("AWS::SNS::Topic", "AWS::SNS::Subscription"):
        handlers[name] = _confirming(handlers[name], post)


def _count_published(parts: Parts) -> None:
    """NumberOfMessagesPublished and PublishSize of each topic: everything that is published passes the fan-out."""
    sns = service("sns")
    original = sns._fanout

    def fanout(topic_arn: str, msg_id: str, message: str, *arguments: Any, **options: Any) -> None:
        _record(parts, topic_arn, "NumberOfMessagesPublished", 1, "Count")
        _record(parts, topic_arn, "PublishSize", len(message.encode()), "Bytes")
        original(topic_arn, msg_id, message, *arguments, **options)

    sns._fanout = fanout


def _record(parts: Parts, topic_arn: str, name: str, value: float, unit: str) -> None:
    _, _, _, region, account, topic = topic_arn.split(":", 5)
    with scope(account, region):
        parts.recorder.record("AWS/SNS", name, {"TopicName": topic}, value, unit)


def _confirming(handler: dict[str, Any], post: _Post) -> dict[str, Any]:
    """The CloudFormation handler, which also asks the HTTP subscriptions it made for their confirmation."""

    def then_ask(step: Any) -> Any:
        def run(*arguments: Any) -> Any:
            result = step(*arguments)
            post.ask_unconfirmed()
            return result

        return run

    return {**handler, "create": then_ask(handler["create"]), "update": then_ask(handler["update"])}


class _Post:
    """Writes, signs and posts SNS messages."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def notification(
        self, topic_arn: str, message_id: str, message: str, subject: str, attributes: dict[str, Any]
    ) -> str:
        """A signed Notification, as JSON."""
        envelope: dict[str, Any] = {
            "Type": "Notification",
            "MessageId": message_id,
            "TopicArn": topic_arn,
            **({"Subject": subject} if subject else {}),
            "Message": message,
            "Timestamp": iso_milliseconds(self._parts.clock.time()),
        }
        self._sign(envelope)
        # Replaced by the subscription's own when the message goes to an HTTP endpoint; it is not signed.
        envelope["UnsubscribeURL"] = self._url(Action="Unsubscribe", SubscriptionArn=topic_arn)
        if attributes:
            envelope["MessageAttributes"] = {
                name: {
                    "Type": attribute.get("DataType", "String"),
                    "Value": attribute.get("StringValue", attribute.get("BinaryValue", "")),
                }
                for name, attribute in attributes.items()
            }
        return json.dumps(envelope, indent=2)

    def ask_unconfirmed(self) -> None:
        """Send a SubscriptionConfirmation for each HTTP subscription of this account that never had one."""
        for topic in service("sns")._topics.values():
            for subscription in topic["subscriptions"]:
                if (
                    subscription["protocol"] in _HTTP
                    and not subscription["confirmed"]
                    and not subscription.get("token")
                ):
                    subscription["token"] = uuid.uuid4().hex * 2
                    attributes = subscription.setdefault("attributes", {})
                    for name, value in {
                        "SubscriptionArn": subscription["arn"],
                        "TopicArn": topic["arn"],
                        "Protocol": subscription["protocol"],
                        "Endpoint": subscription["endpoint"],
                        "Owner": subscription.get("owner", ""),
                        "RawMessageDelivery": "false",
                        "PendingConfirmation": "true",
                        "ConfirmationWasAuthenticated": "false",
                    }.items():
                        attributes.setdefault(name, value)
                    self.ask_confirmation(topic["arn"], subscription)

    def ask_confirmation(self, topic_arn: str, subscription: dict[str, Any]) -> None:
        """Post a SubscriptionConfirmation in the background."""
        token = subscription.get("token") or ""
        message = {
            "Type": "SubscriptionConfirmation",
            "MessageId": str(uuid.uuid4()),
            "Token": token,
            "TopicArn": topic_arn,
            "Message": f"You have chosen to subscribe to the topic {topic_arn}.\n"
            "To confirm the subscription, visit the SubscribeURL included in this message.",
            "SubscribeURL": self._url(Action="ConfirmSubscription", TopicArn=topic_arn, Token=token),
            "Timestamp": iso_milliseconds(self._parts.clock.time()),
        }
        self._sign(message)
        context = copy_context()
        threading.Thread(
            target=context.run,
            args=(self._post, subscription["endpoint"], json.dumps(message, indent=2), message, subscription),
            daemon=True,
        ).start()

    def deliver(self, endpoint: str, payload: str) -> None:
        """Post one notification to an endpoint; runs in a thread of its own."""
        try:
            envelope = json.loads(payload)
            if not isinstance(envelope, dict) or "SigningCertURL" not in envelope:
                envelope = {}
        except ValueError:
            envelope = {}
        subscription = self._subscription(envelope.get("TopicArn", ""), endpoint)
        if envelope and subscription:
            envelope["UnsubscribeURL"] = self._url(Action="Unsubscribe", SubscriptionArn=subscription["arn"])
            payload = json.dumps(envelope, indent=2)
        self._post(endpoint, payload, envelope, subscription)

    def _post(self, endpoint: str, payload: str, message: dict[str, Any], subscription: dict[str, Any] | None) -> None:
        request = _request(endpoint, payload, message, subscription)
        problem = ""
        for delay in (0.0, *RETRY_DELAYS):
            time.sleep(delay)
            try:
                with self._opener.open(request, timeout=TIMEOUT_SECONDS):
                    self._delivered(message, True)
                    return
            except urllib.error.HTTPError as error:
                error.close()
                problem = f"status {error.code}"
                # SNS takes other 4xx answers as final (developer guide, "Amazon SNS message delivery retries").
                if 400 <= error.code < 500 and error.code != _TOO_MANY_REQUESTS:
                    break
            except OSError as error:
                problem = str(error)
        _log.warning("no delivery to %s: %s", endpoint, problem)
        self._delivered(message, False)
        self._dead_letter(payload, subscription)

    def _delivered(self, message: dict[str, Any], success: bool) -> None:
        if message.get("Type") == "Notification":
            name = "NumberOfNotificationsDelivered" if success else "NumberOfNotificationsFailed"
            _record(self._parts, message["TopicArn"], name, 1, "Count")

    def _dead_letter(self, payload: str, subscription: dict[str, Any] | None) -> None:
        policy = (subscription or {}).get("attributes", {}).get("RedrivePolicy")
        if subscription and policy:
            queue = json.loads(policy)["deadLetterTargetArn"]
            _, _, _, region, account, _ = queue.split(":", 5)
            with scope(account, region):
                service("sns")._deliver_to_sqs(queue, payload, False, payload, topic_arn=subscription["topic_arn"])

    def _subscription(self, topic_arn: str, endpoint: str) -> dict[str, Any] | None:
        topic = service("sns")._topic_by_arn_any_scope(topic_arn) if topic_arn else None
        for subscription in (topic or {}).get("subscriptions", ()):
            if subscription["endpoint"] == endpoint:
                found: dict[str, Any] = subscription
                return found
        return None

    def _sign(self, message: dict[str, Any]) -> None:
        topic = service("sns")._topic_by_arn_any_scope(message["TopicArn"]) or {}
        version = topic.get("attributes", {}).get("SignatureVersion") or "1"
        signer = self._parts.signer
        message["SignatureVersion"] = version
        message["Signature"] = signer.sign(message, version)
        message["SigningCertURL"] = f"{self._parts.endpoint}/_tocsin/sns/{signer.certificate_name}"

    def _url(self, **query: str) -> str:
        return f"{self._parts.endpoint}/?{urllib.parse.urlencode({**query, 'Version': '2010-03-31'})}"


def _request(
    endpoint: str, payload: str, message: dict[str, Any], subscription: dict[str, Any] | None
) -> urllib.request.Request:
    """The POST as SNS makes it; user information in the URL becomes basic authentication."""
    parsed = urllib.parse.urlsplit(endpoint)
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
        "x-amz-sns-message-type": message.get("Type", "Notification"),
    }
    if message:
        headers["x-amz-sns-message-id"] = message["MessageId"]
        headers["x-amz-sns-topic-arn"] = message["TopicArn"]
    else:
        headers["x-amz-sns-rawdelivery"] = "true"
    if subscription and message.get("Type") == "Notification":
        headers["x-amz-sns-subscription-arn"] = subscription["arn"]
    if parsed.username is not None:
        user = f"{urllib.parse.unquote(parsed.username)}:{urllib.parse.unquote(parsed.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
        endpoint = urllib.parse.urlunsplit(parsed._replace(netloc=parsed.netloc.rpartition("@")[2]))
    return urllib.request.Request(endpoint, payload.encode(), headers, method="POST")  # noqa: S310  # http(s) by SNS
