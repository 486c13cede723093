"""SNS delivery: every message to every subscription, retried by its policy, and what could not be delivered redriven.

- HTTP: the delivery policy of the subscription or its topic (`delivery_policy`), on the pool of `deliveries`.
- SQS and Lambda: at once.  A queue or function that is missing or does not let SNS in is a client error, which is final.
- E-mail goes into the mailbox.  Other protocols are accepted and go nowhere.

Undelivered messages go to the queue of the subscription's RedrivePolicy, with the attributes RequestID, ErrorCode and
ErrorMessage.  Counted per topic: NumberOfNotificationsDelivered, …Failed, …FilteredOut, …RedrivenToDlq and
…FailedToRedriveToDlq.
Sources: Amazon SNS developer guide, "Amazon SNS message delivery retries", "Amazon SNS dead-letter queues", "Monitoring
Amazon SNS topics using CloudWatch".
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import delivery_policy, sns_log
from .base import scope, service
from .clock import iso_milliseconds
from .parts import Parts
from .service_keys import service_may_use
from .service_roles import function_lets
from .sns import HTTP, MAIL, Answer, Messages, headers_of

_log = logging.getLogger("tocsin.sns")
Listener = Callable[[str, str, str], None]


def install(parts: Parts, messages: Messages) -> Fanout:
    """Replace ministack's fan-out."""
    fanout = Fanout(parts, messages)
    service("sns")._fanout = fanout.publish
    return fanout


@dataclass
class Delivery:
    """One message on its way to one subscription."""

    topic_arn: str
    subscription: Mapping[str, Any]
    message_id: str
    payload: str
    attempts: int = 0
    delivery_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    published: float = field(default_factory=time.time)


class Fanout:
    """Everything that is published passes through here."""

    def __init__(self, parts: Parts, messages: Messages) -> None:
        self._parts = parts
        self._messages = messages
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call ``listener(topic ARN, subject, message)`` for everything that is published from now on."""
        self._listeners.append(listener)

    def publish(
        self,
        topic_arn: str,
        msg_id: str,
        message: str,
        subject: str,
        message_structure: str = "",
        message_attributes: dict[str, Any] | None = None,
        message_group_id: str = "",
        message_dedup_id: str = "",
    ) -> None:
        """Send a message to all subscriptions of a topic; the names are those of ministack's ``_fanout``."""
        sns = service("sns")
        topic = sns._topic_by_arn_any_scope(topic_arn)
        if not topic:
            return
        attributes = message_attributes or {}
        _, _, _, region, account, _ = topic_arn.split(":", 5)
        with scope(account, region):
            self._count(topic_arn, "NumberOfMessagesPublished")
            self._count(topic_arn, "PublishSize", len(message.encode()), "Bytes")
            for subscription in list(topic["subscriptions"]):
                if not subscription.get("confirmed"):
                    continue
                protocol = subscription.get("protocol", "")
                text = sns._resolve_message_for_protocol(message, message_structure, protocol)
                if not sns._matches_filter_policy(subscription, attributes, text):
                    self._count(topic_arn, "NumberOfNotificationsFilteredOut")
                    continue
                raw = subscription.get("attributes", {}).get("RawMessageDelivery", "false") == "true"
                payload = (
                    text
                    if raw
                    else self._messages.notification(topic_arn, msg_id, text, subject, attributes, subscription["arn"])
                )
                delivery = Delivery(topic_arn, subscription, msg_id, payload)
                if protocol in HTTP:
                    self._post(delivery, topic, raw)
                elif protocol == "sqs":
                    groups = {"message_group_id": message_group_id, "message_dedup_id": message_dedup_id}
                    self._send(delivery, text, attributes, raw, groups)
                elif protocol == "lambda":
                    self._call(delivery)
                elif protocol in MAIL:
                    self._mail(delivery, text, subject)
            for listener in self._listeners:
                listener(topic_arn, subject, message)

    def _post(self, delivery: Delivery, topic: Mapping[str, Any], raw: bool) -> None:
        subscription = delivery.subscription
        policy = delivery_policy.effective(
            subscription["attributes"].get("DeliveryPolicy"), topic["attributes"].get("DeliveryPolicy")
        )
        named = {"Type": "Notification", "MessageId": delivery.message_id, "TopicArn": delivery.topic_arn}
        headers = headers_of(named, subscription["arn"], policy.content_type, raw=raw)

        def attempt() -> float | None:
            if subscription not in topic["subscriptions"]:
                return None  # Nobody waits for it any more.
            delivery.attempts += 1
            answer = self._messages.post(subscription["endpoint"], delivery.payload, headers)
            if answer.taken:
                self._delivered(delivery, answer)
            elif answer.worth_retrying and delivery.attempts <= len(policy.delays):
                return policy.delays[delivery.attempts - 1]
            else:
                self._failed(delivery, answer, str(answer.status) if answer.status else "ConnectionError")
            return None

        self._parts.deliveries.submit(("sns", subscription["arn"]), attempt, per_second=policy.per_second)

    def _send(
        self, delivery: Delivery, text: str, attributes: Mapping[str, Any], raw: bool, groups: Mapping[str, str]
    ) -> None:
        delivery.attempts = 1
        queue = str(delivery.subscription["endpoint"])
        if refused := self._refused_by_queue(queue, delivery.topic_arn):
            self._failed(delivery, Answer(403, refused[1]), refused[0])
            return
        service("sns")._deliver_to_sqs(
            queue,
            delivery.payload,
            raw,
            text,
            message_attributes=dict(attributes),
            topic_arn=delivery.topic_arn,
            **groups,
        )
        self._delivered(delivery, Answer(200, "{}"))

    def _call(self, delivery: Delivery) -> None:
        """Lambda takes the event and sees to its own retries (developer guide, "Asynchronous invocation")."""
        functions, arn = service("lambda_svc"), str(delivery.subscription["endpoint"])
        delivery.attempts = 1
        record, config, _ = functions._get_func_record_for_ref(arn)
        if not record or not config:
            self._failed(delivery, Answer(404, f"Function not found: {arn}"), "ResourceNotFoundException")
            return
        if self._parts.enforce_iam and not function_lets(arn, "sns.amazonaws.com", delivery.topic_arn):
            self._failed(delivery, Answer(403, f"SNS may not invoke {arn}"), "AccessDeniedException")
            return
        event = {
            "Records": [
                {
                    "EventVersion": "1.0",
                    "EventSubscriptionArn": delivery.subscription["arn"],
                    "EventSource": "aws:sns",
                    "Sns": _for_lambda(delivery.payload),
                }
            ]
        }
        functions.invoke_async_with_retry(functions._execution_record_for_config(record, config), event)
        self._delivered(delivery, Answer(202, ""))

    def _mail(self, delivery: Delivery, text: str, subject: str) -> None:
        subscription = delivery.subscription
        self._parts.mailbox.add(
            {
                "to": subscription["endpoint"],
                "kind": "notification",
                "subject": subject or "AWS Notification Message",
                "body": delivery.payload if subscription["protocol"] == "email-json" else text,
                "topic": delivery.topic_arn,
                "at": iso_milliseconds(self._parts.clock.time()),
            }
        )
        self._count(delivery.topic_arn, "NumberOfNotificationsDelivered")

    def _delivered(self, delivery: Delivery, answer: Answer) -> None:
        self._count(delivery.topic_arn, "NumberOfNotificationsDelivered")
        self._note(delivery, answer, success=True)

    def _failed(self, delivery: Delivery, answer: Answer, code: str) -> None:
        # The address may hold a key.
        _log.warning("no delivery to %s: %s", delivery.subscription["arn"], answer.text)
        self._count(delivery.topic_arn, "NumberOfNotificationsFailed")
        self._note(delivery, answer, success=False)
        if policy := delivery.subscription["attributes"].get("RedrivePolicy"):
            redriven = self._redrive(delivery, str(json.loads(policy).get("deadLetterTargetArn", "")), answer, code)
            name = "NumberOfNotificationsRedrivenToDlq" if redriven else "NumberOfNotificationsFailedToRedriveToDlq"
            self._count(delivery.topic_arn, name)

    def _redrive(self, delivery: Delivery, queue: str, answer: Answer, code: str) -> bool:
        if refused := self._refused_by_queue(queue, delivery.topic_arn):
            _log.warning("%s was not redriven to %s: %s", delivery.message_id, queue, refused[1])
            return False
        kind = "Number" if code.isdecimal() else "String"
        attributes = {
            "RequestID": {"DataType": "String", "StringValue": delivery.delivery_id},
            "ErrorCode": {"DataType": kind, "StringValue": code},
            "ErrorMessage": {"DataType": "String", "StringValue": answer.text or "no message"},
        }
        service("sns")._deliver_to_sqs(
            queue, delivery.payload, True, delivery.payload, message_attributes=attributes, topic_arn=delivery.topic_arn
        )
        return True

    def _refused_by_queue(self, queue: str, topic_arn: str) -> tuple[str, str] | None:
        """Error code and message if SNS may not send to a queue; None if it may."""
        sqs, account = service("sqs"), topic_arn.split(":")[4]
        record = sqs._queue_by_arn(queue)
        if not record:
            return "AWS.SimpleQueueService.NonExistentQueue", f"The specified queue does not exist: {queue}"
        if not sqs.queue_policy_allows(queue, "sns.amazonaws.com", topic_arn, account):
            return "AccessDenied", f"the policy of {queue} does not let sns.amazonaws.com send for {topic_arn}"
        key = record["attributes"].get("KmsMasterKeyId")
        if not service_may_use(self._parts, key, "sns.amazonaws.com", topic_arn, account):
            return "KMS.AccessDeniedException", f"the key of {queue} does not let sns.amazonaws.com use it"
        return None

    def _note(self, delivery: Delivery, answer: Answer, *, success: bool) -> None:
        entry = {
            "deliveryId": delivery.delivery_id,
            "destination": delivery.subscription["endpoint"],
            "providerResponse": answer.text,
            "dwellTimeMs": int((time.time() - delivery.published) * 1000),
            "attempts": delivery.attempts,
            **({"statusCode": answer.status} if answer.status else {}),
        }
        sns_log.write(
            self._parts, delivery.topic_arn, str(delivery.subscription["protocol"]), delivery.message_id, entry,
            success=success,
        )  # fmt: skip

    def _count(self, topic_arn: str, name: str, value: float = 1, unit: str = "Count") -> None:
        topic = topic_arn.rpartition(":")[2]
        self._parts.recorder.record("AWS/SNS", name, {"TopicName": topic}, value, unit)


def _for_lambda(payload: str) -> dict[str, Any]:
    """The envelope as a function gets it: other names for two fields, and the attributes always there."""
    envelope = json.loads(payload)
    for mine, theirs in (("SigningCertURL", "SigningCertUrl"), ("UnsubscribeURL", "UnsubscribeUrl")):
        envelope[theirs] = envelope.pop(mine)
    return {"Subject": None, "MessageAttributes": {}, **envelope}
