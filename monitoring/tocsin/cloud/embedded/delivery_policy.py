"""Delivery policies of SNS: when a failed delivery to an HTTP endpoint is tried again, and how many go out a second.

Sources: Amazon SNS developer guide, "Amazon SNS message delivery retries" (phases, defaults, limits; at most 3,600
seconds in all) and "Setting Amazon SNS delivery retry policies for HTTP/HTTPS endpoints" (linear: 20, 30, 40 seconds
for three retries from 20 to 40).  Not published: the curves between the first and the last delay of the other backoff
functions, and the words in which a policy of more than 3,600 seconds is refused; both are ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any

LONGEST_SECONDS = 3600
MOST_RETRIES = 100
DEFAULTS: Mapping[str, Any] = {
    "minDelayTarget": 20,
    "maxDelayTarget": 20,
    "numRetries": 3,
    "numMaxDelayRetries": 0,
    "numNoDelayRetries": 0,
    "numMinDelayRetries": 0,
    "backoffFunction": "linear",
}
_FUNCTIONS = ("arithmetic", "exponential", "geometric", "linear")
_CONTENT_TYPE = "text/plain; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """``delays``: seconds before each retry.  ``per_second``: at most so many deliveries a second; None: no limit."""

    delays: tuple[float, ...]
    per_second: int | None = None
    content_type: str = _CONTENT_TYPE


def read_subscription_policy(text: str) -> DeliveryPolicy:
    """The DeliveryPolicy attribute of a subscription.  Raises ValueError with what SNS would object to."""
    document = _document(text)
    return _read(document, "", "healthyRetryPolicy", "throttlePolicy", "requestPolicy")


def read_topic_policy(text: str) -> tuple[DeliveryPolicy, bool]:
    """The DeliveryPolicy attribute of a topic, and whether it overrides its subscriptions'.  Raises ValueError."""
    inside = _mapping(_document(text).get("http") or {}, "http")
    policy = _read(inside, "http.", "defaultHealthyRetryPolicy", "defaultThrottlePolicy", "defaultRequestPolicy")
    return policy, inside.get("disableSubscriptionOverrides") is True


def effective(subscription: str | None, topic: str | None) -> DeliveryPolicy:
    """What holds for one subscription: its own policy, unless the topic overrides; SNS's default without either."""
    of_topic, overrides = read_topic_policy(topic) if topic else (None, False)
    if subscription and not (of_topic and overrides):
        return read_subscription_policy(subscription)
    return of_topic or DeliveryPolicy(retry_delays(DEFAULTS))


def retry_delays(retries: Mapping[str, Any]) -> tuple[float, ...]:
    """Seconds before each retry of a checked healthyRetryPolicy: immediate, pre-backoff, backoff, post-backoff."""
    whole = {**DEFAULTS, **retries}
    low, high = float(whole["minDelayTarget"]), float(whole["maxDelayTarget"])
    none, least, most = (whole[name] for name in ("numNoDelayRetries", "numMinDelayRetries", "numMaxDelayRetries"))
    backoff = whole["numRetries"] - none - least - most
    return (
        *repeat(0.0, none),
        *repeat(low, least),
        *(_delay(str(whole["backoffFunction"]), low, high, place, backoff) for place in range(backoff)),
        *repeat(high, most),
    )


def _delay(function: str, low: float, high: float, place: int, count: int) -> float:
    if count == 1:
        return low
    last = count - 1
    if function == "geometric":
        return float(low * (high / low) ** (place / last))
    share = {
        "linear": place / last,
        "arithmetic": place * (place + 1) / (last * (last + 1)),
        "exponential": (2.0**place - 1) / (2.0**last - 1),
    }[function]
    return low + (high - low) * share


def _read(document: Mapping[str, Any], prefix: str, retry: str, throttle: str, request: str) -> DeliveryPolicy:
    retries = _mapping(document.get(retry) or {}, prefix + retry)
    _check_retries(retries, prefix + retry)
    delays = retry_delays(retries)
    if sum(delays) > LONGEST_SECONDS:
        raise ValueError(
            f"{prefix}{retry}: total retry time of {sum(delays):.0f} seconds must be less than or equal to {LONGEST_SECONDS}"
        )
    limits = _mapping(document.get(throttle) or {}, prefix + throttle)
    rate = limits.get("maxReceivesPerSecond")
    if rate is not None:
        _whole(rate, 1, None, f"{prefix}{throttle}.maxReceivesPerSecond")
    content = _mapping(document.get(request) or {}, prefix + request).get("headerContentType")
    return DeliveryPolicy(delays, rate, str(content or _CONTENT_TYPE))


def _check_retries(retries: Mapping[str, Any], where: str) -> None:
    whole = {**DEFAULTS, **retries}
    _whole(whole["numRetries"], 0, MOST_RETRIES, f"{where}.numRetries")
    for name in ("numNoDelayRetries", "numMinDelayRetries", "numMaxDelayRetries"):
        _whole(whole[name], 0, None, f"{where}.{name}")
    _whole(whole["maxDelayTarget"], 1, LONGEST_SECONDS, f"{where}.maxDelayTarget")
    _whole(whole["minDelayTarget"], 1, None, f"{where}.minDelayTarget")
    if whole["minDelayTarget"] > whole["maxDelayTarget"]:
        raise ValueError(f"{where}.minDelayTarget must be less than or equal to maxDelayTarget")
    named = whole["numNoDelayRetries"] + whole["numMinDelayRetries"] + whole["numMaxDelayRetries"]
    if named > whole["numRetries"]:
        raise ValueError(f"{where}.numRetries must be greater than or equal to the sum of the retries of its phases")
    if whole["backoffFunction"] not in _FUNCTIONS:
        raise ValueError(f"{where}.backoffFunction must be one of {', '.join(_FUNCTIONS)}")


def _whole(value: Any, least: int, most: int | None, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{where} must be an integer")  # noqa: TRY004  # SNS says it of a value
    if value < least:
        raise ValueError(f"{where} must be greater than or equal to {least}")
    if most is not None and value > most:
        raise ValueError(f"{where} must be less than or equal to {most}")


def _document(text: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except (TypeError, ValueError):
        raise ValueError("failed to parse JSON") from None
    return _mapping(document, "the policy")


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} must be an object")  # noqa: TRY004  # as above
    return value
