"""SNS calls that ministack answers otherwise than AWS: policies are checked, and e-mail waits for its confirmation.

- DeliveryPolicy and RedrivePolicy are refused with InvalidParameter where SNS refuses them, in stacks as well.
- An endpoint must fit its protocol; refusals never hold the endpoint, which may hold a key.
- A subscription by e-mail is pending until its link is visited.  Lists show ``PendingConfirmation`` in place of its ARN.
- Subscribing once more what is pending asks for its confirmation once more.
- Subscribe knows ReturnSubscriptionArn; GetSubscriptionAttributes shows the EffectiveDeliveryPolicy.
Source: Amazon SNS API reference, Subscribe, SetSubscriptionAttributes, SetTopicAttributes, ListSubscriptions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from .base import here, service
from .delivery_policy import DEFAULTS, read_subscription_policy, read_topic_policy
from .sns import HTTP, MAIL, Messages, describe

Response = tuple[int, dict[str, str], bytes]
_CHECKED = ("DeliveryPolicy", "RedrivePolicy", "FilterPolicy")


def install(messages: Messages) -> None:
    """Put ours before ministack's."""
    sns = service("sns")
    subscribe, set_subscription, set_topic = (
        sns._subscribe, sns._set_subscription_attributes, sns._set_topic_attributes,
    )  # fmt: skip
    create_topic, get_subscription = sns._create_topic, sns._get_subscription_attributes

    def subscribed(params: Any) -> Response:
        protocol, endpoint = sns._p(params, "Protocol"), sns._p(params, "Endpoint")
        try:
            check_endpoint(protocol, endpoint)
            for name, value in _entries(params).items():
                check_attribute(name, value, "Attributes Reason: ")
        except ValueError as error:
            return _refusal(error)
        before = _arns(sns._p(params, "TopicArn"))
        response: Response = subscribe(params)
        if response[0] >= 400:
            return response
        made = [each for each in _of_topic(sns._p(params, "TopicArn")) if each["arn"] not in before]
        for subscription in made:
            if protocol in MAIL:
                describe(subscription["topic_arn"], subscription)
                messages.ask_confirmation(subscription["topic_arn"], subscription)
                sns._refresh_subscription_counts(sns._topic_by_arn_any_scope(subscription["topic_arn"]))
        shown = _found(sns._p(params, "TopicArn"), protocol, endpoint)
        if shown and not made and not shown["confirmed"]:  # subscribed once more, it is asked once more
            messages.ask_confirmation(shown["topic_arn"], shown)
        wants = sns._p(params, "ReturnSubscriptionArn").lower() == "true"
        arn = shown["arn"] if shown and (wants or shown["confirmed"]) else "pending confirmation"
        inside = f"<SubscribeResult><SubscriptionArn>{arn}</SubscriptionArn></SubscribeResult>"
        answer: Response = sns._xml(200, "SubscribeResponse", inside)
        return answer

    def subscription_set(params: Any) -> Response:
        name, value = sns._p(params, "AttributeName"), sns._p(params, "AttributeValue")
        try:
            check_attribute(name, value, "")
        except ValueError as error:
            return _refusal(error)
        answer: Response = set_subscription(params)
        return answer

    def topic_set(params: Any) -> Response:
        try:
            _check_topic_attribute(sns._p(params, "AttributeName"), sns._p(params, "AttributeValue"), "")
        except ValueError as error:
            return _refusal(error)
        answer: Response = set_topic(params)
        return answer

    def topic_created(params: Any) -> Response:
        try:
            for name, value in _entries(params).items():
                _check_topic_attribute(name, value, "Attributes Reason: ")
        except ValueError as error:
            return _refusal(error)
        answer: Response = create_topic(params)
        return answer

    def subscription_shown(params: Any) -> Response:
        subscription = _by_arn(sns._p(params, "SubscriptionArn"))
        if subscription and subscription["protocol"] in HTTP:
            own = json.loads(subscription["attributes"].get("DeliveryPolicy") or "{}")
            shown = {
                "guaranteed": False,
                **own,
                "healthyRetryPolicy": {**DEFAULTS, **(own.get("healthyRetryPolicy") or {})},
            }
            subscription["attributes"]["EffectiveDeliveryPolicy"] = json.dumps(shown)
        if subscription:
            described = subscription["attributes"]
            for name, field in (("SubscriptionArn", "arn"), ("TopicArn", "topic_arn"), ("Protocol", "protocol"),
                                ("Endpoint", "endpoint"), ("Owner", "owner")):  # fmt: skip
                described.setdefault(name, subscription[field])
            described["PendingConfirmation"] = "false" if subscription["confirmed"] else "true"
        answer: Response = get_subscription(params)
        return answer

    sns._subscribe, sns._set_subscription_attributes, sns._set_topic_attributes = (
        subscribed,
        subscription_set,
        topic_set,
    )
    sns._create_topic, sns._get_subscription_attributes = topic_created, subscription_shown
    for name in ("_list_subscriptions", "_list_subscriptions_by_topic"):
        setattr(sns, name, _hiding_pending(getattr(sns, name)))
    handlers = service("cloudformation").provisioners._RESOURCE_HANDLERS
    handlers["AWS::SNS::Subscription"] = _checking(handlers["AWS::SNS::Subscription"])


def check_endpoint(protocol: str, endpoint: str) -> None:
    """Raise ValueError, with SNS's words, unless the endpoint fits its protocol."""
    if protocol in HTTP and not re.match(rf"{protocol}://[^\s/]+", endpoint or ""):
        raise ValueError("Endpoint must match the specified protocol")
    if protocol in MAIL and not re.fullmatch(r"[^@\s]+@[^@\s]+", endpoint or ""):
        raise ValueError("Email address")


def check_attribute(name: str, value: str, prefix: str) -> None:
    """Raise ValueError, with SNS's words after ``prefix``, unless a subscription may have this attribute."""
    if not value or name not in _CHECKED:
        return
    try:
        if name == "DeliveryPolicy":
            read_subscription_policy(value)
        elif name == "RedrivePolicy":
            _check_redrive(value)
        else:
            json.loads(value)
    except ValueError as error:
        reason = "failed to parse JSON" if isinstance(error, json.JSONDecodeError) else error
        raise ValueError(f"{prefix}{name}: {reason}") from None


def _check_redrive(value: str) -> None:
    account, region = here()
    target = str((json.loads(value) or {}).get("deadLetterTargetArn", ""))
    if not re.fullmatch(rf"arn:aws:sqs:{region}:{account}:[A-Za-z0-9_-]+(\.fifo)?", target):
        raise ValueError("deadLetterTargetArn is an invalid arn")


def _check_topic_attribute(name: str, value: str, prefix: str) -> None:
    if name.endswith("SuccessFeedbackSampleRate") and not (value.isdecimal() and int(value) <= 100):
        raise ValueError(f"{prefix}{name}: must be an integer between 0-100")
    if name == "DeliveryPolicy" and value:
        try:
            read_topic_policy(value)
        except ValueError as error:
            raise ValueError(f"{prefix}{name}: {error}") from None


def _checking(handler: Mapping[str, Any]) -> dict[str, Any]:
    """The CloudFormation handler of a subscription, which refuses what Subscribe refuses."""

    def check(properties: Mapping[str, Any]) -> None:
        try:
            _check_properties(properties)
        except ValueError as error:
            raise ValueError(f"Invalid parameter: {error} (Service: AmazonSNS; Status Code: 400)") from None

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        check(properties)
        return handler["create"](logical_id, _numbers(properties), stack)

    def update(physical_id: str, old: dict[str, Any], new: dict[str, Any], *rest: Any) -> Any:
        check(new)
        return handler["update"](physical_id, _numbers(old), _numbers(new), *rest)

    return {**handler, "create": create, "update": update}


def _check_properties(properties: Mapping[str, Any]) -> None:
    if not service("sns")._topics.get(str(properties.get("TopicArn", ""))):
        raise ValueError("Topic does not exist")
    check_endpoint(str(properties.get("Protocol", "")), str(properties.get("Endpoint", "")))
    for name in _CHECKED:
        value = properties.get(name) or ""
        check_attribute(name, value if isinstance(value, str) else json.dumps(value), "Attributes Reason: ")


def _numbers(properties: dict[str, Any]) -> dict[str, Any]:
    """Numbers of a template may be texts; SNS keeps a delivery policy with numbers."""
    policy = properties.get("DeliveryPolicy")
    return properties if not isinstance(policy, dict) else {**properties, "DeliveryPolicy": _numeric(policy)}


def _numeric(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _numeric(each) for name, each in value.items()}
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _hiding_pending(call: Callable[[Any], Response]) -> Callable[[Any], Response]:
    def run(params: Any) -> Response:
        status, headers, body = call(params)
        text = body.decode()
        for topic in service("sns")._topics.values():
            for subscription in topic["subscriptions"]:
                if not subscription["confirmed"]:
                    shown = f"<SubscriptionArn>{subscription['arn']}</SubscriptionArn>"
                    text = text.replace(shown, "<SubscriptionArn>PendingConfirmation</SubscriptionArn>")
        return status, headers, text.encode()

    return run


def _entries(params: Any) -> dict[str, str]:
    read, found, place = service("sns")._p, {}, 1
    while name := read(params, f"Attributes.entry.{place}.key"):
        found[name] = read(params, f"Attributes.entry.{place}.value")
        place += 1
    return found


def _of_topic(topic_arn: str) -> list[dict[str, Any]]:
    sns = service("sns")
    topic = sns._topic_by_arn_any_scope(sns._normalize_arn(topic_arn)) or {}
    return list(topic.get("subscriptions", ()))


def _arns(topic_arn: str) -> set[str]:
    return {each["arn"] for each in _of_topic(topic_arn)}


def _found(topic_arn: str, protocol: str, endpoint: str) -> dict[str, Any] | None:
    return next(
        (each for each in _of_topic(topic_arn) if (each["protocol"], each["endpoint"]) == (protocol, endpoint)), None
    )


def _by_arn(arn: str) -> dict[str, Any] | None:
    sns = service("sns")
    topic = sns._sub_arn_to_topic.get(arn)
    found: dict[str, Any] | None = sns._find_subscription(topic, arn) if topic else None
    return found


def _refusal(error: ValueError) -> Response:
    answer: Response = service("sns")._error("InvalidParameter", f"Invalid parameter: {error}", 400)
    return answer
