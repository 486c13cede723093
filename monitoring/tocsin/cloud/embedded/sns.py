"""SNS messages: what is written into them, true signatures, AWS's headers, and confirmations for every subscription.

What goes out of a topic, and what becomes of it, stands in `sns_delivery`; the calls of the API that ministack answers
otherwise than AWS in `sns_api`.
"""

from __future__ import annotations

import base64
import http.client
import json
import logging
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .base import service
from .clock import iso_milliseconds
from .parts import Parts

HTTP = ("http", "https")
MAIL = ("email", "email-json")
CONFIRMATION_DELAYS = (20.0, 20.0, 20.0)

_log = logging.getLogger("tocsin.sns")


def install(parts: Parts) -> Messages:
    """Replace ministack's envelope and confirmation by ours; the result writes the messages."""
    sns = service("sns")
    messages = Messages(parts)

    def build_envelope(
        topic_arn: str, msg_id: str, message: str, subject: str, message_attributes: dict[str, Any], raw: bool
    ) -> str:
        return message if raw else messages.notification(topic_arn, msg_id, message, subject, message_attributes)

    async def confirm(topic_arn: str, subscription: dict[str, Any]) -> None:
        messages.ask_confirmation(topic_arn, subscription)

    sns._build_envelope = build_envelope
    sns._send_subscription_confirmation = confirm
    handlers = service("cloudformation").provisioners._RESOURCE_HANDLERS
    for name in ("AWS::SNS::Topic", "AWS::SNS::Subscription"):
        handlers[name] = _confirming(handlers[name], messages)
    return messages


def _confirming(handler: dict[str, Any], messages: Messages) -> dict[str, Any]:
    """The CloudFormation handler, which also asks the subscriptions it made for their confirmation."""

    def then_ask(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            result = step(*arguments)
            messages.ask_unconfirmed()
            return result

        return run

    return {**handler, "create": then_ask(handler["create"]), "update": then_ask(handler["update"])}


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint made of a post: its status (0: none came), the start of its body, or what went wrong."""

    status: int
    text: str

    @property
    def taken(self) -> bool:
        """The endpoint has the message."""
        return 200 <= self.status < 300

    @property
    def worth_retrying(self) -> bool:
        """SNS retries server errors, 429 and what never answered; all else is final (developer guide, HTTP/S policy)."""
        return self.status < 200 or self.status == 429 or self.status >= 500


class Messages:
    """Writes, signs and posts SNS messages."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def notification(
        self,
        topic_arn: str,
        message_id: str,
        message: str,
        subject: str,
        attributes: Mapping[str, Any],
        subscription_arn: str = "",
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
        # It is not signed.
        envelope["UnsubscribeURL"] = self._url(Action="Unsubscribe", SubscriptionArn=subscription_arn or topic_arn)
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
        """Send a confirmation for each subscription of this account that needs one and never had one."""
        for topic in service("sns")._topics.values():
            for subscription in topic["subscriptions"]:
                if subscription["protocol"] in MAIL and "token" not in subscription:
                    subscription["confirmed"] = False
                waits = subscription["protocol"] in (*HTTP, *MAIL) and not subscription["confirmed"]
                if waits and not subscription.get("token"):
                    describe(topic["arn"], subscription)
                    self.ask_confirmation(topic["arn"], subscription)

    def ask_confirmation(self, topic_arn: str, subscription: dict[str, Any]) -> None:
        """Post, or mail, a SubscriptionConfirmation in the background."""
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
        if subscription["protocol"] in MAIL:
            self._mail_confirmation(message, subscription)
            return
        self._sign(message)
        payload, delays = json.dumps(message, indent=2), iter(CONFIRMATION_DELAYS)

        def attempt() -> float | None:
            answer = self.post(subscription["endpoint"], payload, headers_of(message))
            if answer.taken:
                return None
            wait = next(delays, None) if answer.worth_retrying else None
            if wait is None:
                _log.warning("no confirmation of %s: %s", subscription["arn"], answer.text)
            return wait

        self._parts.deliveries.submit(("sns", subscription["arn"]), attempt)

    def post(self, endpoint: str, payload: str, headers: Mapping[str, str]) -> Answer:
        """One POST as SNS makes it; user information in the address becomes basic authentication."""
        parsed = urllib.parse.urlsplit(endpoint)
        given = {"User-Agent": "Amazon Simple Notification Service Agent", **headers}
        if parsed.username is not None:
            user = f"{urllib.parse.unquote(parsed.username)}:{urllib.parse.unquote(parsed.password or '')}"
            given["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
            endpoint = urllib.parse.urlunsplit(parsed._replace(netloc=parsed.netloc.rpartition("@")[2]))
        request = urllib.request.Request(endpoint, payload.encode(), given, method="POST")  # noqa: S310  # by SNS
        try:
            with self._opener.open(request, timeout=self._parts.deliveries.timeout) as response:
                return Answer(response.status, response.read(1024).decode(errors="replace"))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, f"status {error.code}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Answer(0, _without_address(error))

    def _mail_confirmation(self, message: Mapping[str, str], subscription: dict[str, Any]) -> None:
        self._parts.mailbox.add(
            {
                "to": subscription["endpoint"],
                "kind": "confirmation",
                "subject": "AWS Notification - Subscription Confirmation",
                "body": f"{message['Message']}\n{message['SubscribeURL']}",
                "topic": message["TopicArn"],
                "confirm": message["SubscribeURL"],
                "at": message["Timestamp"],
            }
        )
        if self._parts.mailbox.confirms:
            service("sns")._confirm_subscription({"TopicArn": message["TopicArn"], "Token": message["Token"]})

    def _sign(self, message: dict[str, Any]) -> None:
        topic = service("sns")._topic_by_arn_any_scope(message["TopicArn"]) or {}
        version = topic.get("attributes", {}).get("SignatureVersion") or "1"
        signer = self._parts.signer
        message["SignatureVersion"] = version
        message["Signature"] = signer.sign(message, version)
        message["SigningCertURL"] = f"{self._parts.endpoint}/_tocsin/sns/{signer.certificate_name}"

    def _url(self, **query: str) -> str:
        return f"{self._parts.endpoint}/?{urllib.parse.urlencode({**query, 'Version': '2010-03-31'})}"


def describe(topic_arn: str, subscription: dict[str, Any]) -> None:
    """Give a new, unconfirmed subscription its token, and its record what GetSubscriptionAttributes shows."""
    subscription["token"] = uuid.uuid4().hex * 2
    subscription["confirmed"] = False
    attributes = subscription.setdefault("attributes", {})
    for name, value in {
        "SubscriptionArn": subscription["arn"],
        "TopicArn": topic_arn,
        "Protocol": subscription["protocol"],
        "Endpoint": subscription["endpoint"],
        "Owner": subscription.get("owner", ""),
        "RawMessageDelivery": "false",
    }.items():
        attributes.setdefault(name, value)
    attributes.update({"PendingConfirmation": "true", "ConfirmationWasAuthenticated": "false"})


def headers_of(
    message: Mapping[str, str],
    subscription_arn: str = "",
    content_type: str = "text/plain; charset=UTF-8",
    *,
    raw: bool = False,
) -> dict[str, str]:
    """The headers of one POST; ``message`` has Type, MessageId and TopicArn."""
    return {
        "Content-Type": content_type,
        "x-amz-sns-message-type": message["Type"],
        "x-amz-sns-message-id": message["MessageId"],
        "x-amz-sns-topic-arn": message["TopicArn"],
        **({"x-amz-sns-subscription-arn": subscription_arn} if subscription_arn else {}),
        **({"x-amz-sns-rawdelivery": "true"} if raw else {}),
    }


def _without_address(error: Exception) -> str:
    """What went wrong; addresses hold keys, so only the system's own words are kept."""
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or type(reason).__name__)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other; nothing is sent where it points."""

    def redirect_request(self, *_arguments: Any, **_options: Any) -> None:
        return None
