"""What an alarm tells reaches somebody."""

from __future__ import annotations

from deploy.validate.alarm_stacks import deployed_alarms
from deploy.validate.check import Check, CheckFailedError
from deploy.validate.target import Target
from tocsin.cloud.session import asking, error_code


def run(target: Target) -> str:
    """Look whether actions are on, and whether each of their topics has a confirmed subscription."""
    topics: dict[str, str] = {}
    for system, alarms in deployed_alarms(target).items():
        if off := [alarm.name for alarm in alarms if alarm.actions and not alarm.enabled]:
            raise CheckFailedError(f"the actions of {off[0]} are switched off" + _and_more(off))
        own = {action: alarm.name for alarm in alarms for action in alarm.actions if ":sns:" in action}
        if not own:
            raise CheckFailedError(f"no alarm of {system} tells anybody: none has a topic among its actions")
        topics |= own
    silent = [f"{topic} (for {alarm})" for topic, alarm in sorted(topics.items()) if not _confirmed(target, topic)]
    if silent:
        raise CheckFailedError(f"no confirmed subscription to {silent[0]}" + _and_more(silent))
    return f"{len(topics)} topics, each with a confirmed subscription"


def _confirmed(target: Target, topic: str) -> bool:
    with asking(f"list the subscriptions of {topic}"):
        pages = target.client("sns").get_paginator("list_subscriptions_by_topic")
        try:
            found = [item for page in pages.paginate(TopicArn=topic) for item in page["Subscriptions"]]
        except Exception as error:
            if error_code(error) in ("NotFound", "NotFoundException"):
                return False
            raise
    # Until it is confirmed, a subscription has a word in the place of its ARN.
    return any(str(item["SubscriptionArn"]).startswith("arn:") for item in found)


def _and_more(names: list[str]) -> str:
    return f"; and {len(names) - 1} more" if len(names) > 1 else ""


CHECK = Check(
    name="alarms-reach-people",
    holds="every alarm's topic has a confirmed subscription",
    mend="run `tocsin oncall apply ENV`, which makes the subscriptions to the on-call tool; confirm those by e-mail from the mail",
    run=run,
)
