"""Who a topic has told SNS to tell: its subscriptions, which of them are confirmed, and asking again for a confirmation.

An endpoint may hold a key, so no error repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .session import Cloud, asking, error_code

_GONE = ("NotFound", "NotFoundException")
# Where Amazon Q Developer in chat applications, once AWS Chatbot, is subscribed (its administrator guide, "Troubleshooting").
_CHAT = "https://global.sns-api.chatbot.amazonaws.com"


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription.  Until it is ``confirmed``, SNS tells its endpoint nothing."""

    protocol: str
    endpoint: str = field(repr=False)
    confirmed: bool

    @property
    def chat(self) -> bool:
        """Whether it goes to a chat, which is posted to as an on-call tool is."""
        return self.endpoint.startswith(_CHAT)


def subscriptions_of(cloud: Cloud, topic: str) -> tuple[Subscription, ...]:
    """The subscriptions of a topic, named by its ARN; none for one that is gone.

    Needs ``sns:ListSubscriptionsByTopic``.  Raises CloudError.
    """
    with asking(f"list the subscriptions of {topic.rpartition(':')[2]}"):
        try:
            pages = cloud.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
            listed = [one for page in pages for one in page["Subscriptions"]]
        except Exception as error:
            if error_code(error) in _GONE:
                return ()
            raise
    # One that is not confirmed has a word in the place of its ARN, and so has one that was deleted.
    return tuple(
        Subscription(
            str(one.get("Protocol", "")),
            str(one.get("Endpoint", "")),
            str(one.get("SubscriptionArn", "")).startswith("arn:"),
        )
        for one in listed
        if one.get("SubscriptionArn") != "Deleted"
    )


def ask_again(cloud: Cloud, topic: str, subscription: Subscription) -> None:
    """Have SNS ask an endpoint once more to confirm; what was subscribed stays as it is.

    Needs ``sns:Subscribe``.  Raises CloudError.
    """
    with asking(f"ask a subscriber of {topic.rpartition(':')[2]} again to confirm"):
        cloud.client("sns").subscribe(TopicArn=topic, Protocol=subscription.protocol, Endpoint=subscription.endpoint)
