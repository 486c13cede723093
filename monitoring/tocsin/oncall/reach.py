"""Whether the way of a page leads to its end: subscriptions that were confirmed, and a dead-man's switch that is heard of.

SNS tells a subscription nothing until its endpoint has confirmed it, and a heartbeat of a tool watches nothing until its
first sign of life.  Neither shows in a stack, so both are looked up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ..cloud.environments import Environment
from ..cloud.secrets import read_secret
from ..cloud.session import Cloud
from ..cloud.stacks import Stack
from ..cloud.subscriptions import Subscription, ask_again, subscriptions_of
from ..model import Severity
from ..paging.declared import OnCall, Route, Way
from ..paging.tool import OnCallTool, heartbeat_name
from .deliveries import wanted_slots
from .lost_key import is_refused

_Left = TypeVar("_Left")
_HTTP = ("https", "http")
_POLL_SECONDS = 0.5
SECOND_WAY = "on-call-second-way"  # the end of its topic's name


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds `apply` waits: for the confirmations that SNS asks for by itself, for those that it was made to ask
    for again, and for the first sign of life beyond the time between two of them (None: not at all)."""

    confirmation: float = 10.0
    asked_again: float = 20.0
    sign_of_life: float | None = 90.0


def patience_for(environment: Environment) -> Patience:
    """The usual one; for a stand-in on this machine no sign of life is waited for: its silence wakes nobody."""
    return Patience(sign_of_life=None) if environment.oncall_url else Patience()


@dataclass(frozen=True, slots=True)
class Promise:
    """A subscription that the on-call file promises: of which topic, by which protocols, and to ``whom`` in words.

    ``address`` is where it goes, if the file says so.  ``slot`` is the name of the key of one that goes to the tool.
    """

    topic: str
    protocols: tuple[str, ...]
    whom: str
    address: str = field(default="", repr=False)
    chat: bool = False
    slot: str = ""

    def is_kept_by(self, subscription: Subscription) -> bool:
        """Whether that is the promised one, confirmed or not."""
        return (
            subscription.protocol in self.protocols
            and subscription.chat is self.chat
            and (not self.address or subscription.endpoint.lower() == self.address.lower())
        )


@dataclass(frozen=True, slots=True)
class Open:
    """Something that stands in the way of a page, or of the word that a page was lost.

    ``blocks``: the tool is not told, where it was to be.  Otherwise a person has something to do.
    """

    what: str
    blocks: bool = False


def promises(declared: OnCall, environment: Environment) -> tuple[Promise, ...]:
    """What the file promises of this environment's topics, by topic; those of the second way among them."""
    name = environment.name
    listed = name in declared.environments and not environment.oncall_url
    found = [
        promise
        for team in declared.teams
        for owner in team.owners
        for severity, route in team.routes.items()
        for promise in _of_route(declared, name, owner, severity, route, chat=listed)
    ]
    if declared.second_way:
        protocol = "sms" if declared.second_way.startswith("+") else "email"
        found.append(Promise(f"{name}-tocsin-{SECOND_WAY}", (protocol,), declared.second_way, declared.second_way))
    return tuple(sorted(found, key=lambda one: (one.topic, one.protocols)))


def _of_route(
    declared: OnCall, environment: str, owner: str, severity: Severity, route: Route, *, chat: bool
) -> Iterator[Promise]:
    topic = f"{environment}-tocsin-{owner}-{severity.value}"
    for way in route.ways:
        match way:
            case Way.TOOL:
                yield Promise(topic, _HTTP, declared.tool.name.value, slot=f"{owner}-{severity.value}")
            case Way.FORWARDER:
                yield Promise(topic, ("sqs",), "the forwarder")
            case Way.EMAIL:
                yield Promise(topic, ("email",), route.email, route.email)
            case Way.CHAT:
                if chat:
                    yield Promise(topic, ("https",), "the chat", chat=True)


def topics_of(routing: Stack | Mapping[str, str] | None) -> Mapping[str, str]:
    """Name → ARN of the topics of a routing stack, or of its outputs; none where there is no such stack."""
    if routing is None:
        return {}
    outputs = routing.outputs if isinstance(routing, Stack) else routing
    return {arn.rpartition(":")[2]: arn for arn in outputs.values() if arn.startswith("arn:") and ":sns:" in arn}


def unkept(
    cloud: Cloud, topics: Mapping[str, str], promised: tuple[Promise, ...]
) -> tuple[tuple[Promise, Subscription | None], ...]:
    """The promises that are not kept: with the subscription that is not confirmed, or None where there is none.

    A topic that is not among ``topics`` has none.  Raises CloudError.
    """
    there = {name: subscriptions_of(cloud, topics[name]) for name in {one.topic for one in promised} if name in topics}
    found = []
    for promise in promised:
        same = [one for one in there.get(promise.topic, ()) if promise.is_kept_by(one)]
        if not any(one.confirmed for one in same):
            found.append((promise, same[0] if same else None))
    return tuple(found)


def wait_for_confirmations(
    cloud: Cloud,
    topics: Mapping[str, str],
    promised: tuple[Promise, ...],
    patience: Patience,
    told: Callable[[str], None] = lambda what: None,
) -> None:
    """Wait until the tool has confirmed its subscriptions; those that it has not are asked once more.

    What is left is for `unkept` to say.  People are not waited for.  Raises CloudError.
    """
    by_tool = tuple(one for one in promised if one.slot)

    def pending() -> list[tuple[Promise, Subscription]]:
        return [(one, there) for one, there in unkept(cloud, topics, by_tool) if there is not None]

    left = _until_none(pending, patience.confirmation)
    for promise, there in left:
        told(f"{promise.whom} has not confirmed the subscription to {promise.topic}; it is asked again")
        ask_again(cloud, topics[promise.topic], there)
    if left:
        _until_none(pending, patience.asked_again)


def wait_for_heartbeat(
    tool: OnCallTool,
    declared: OnCall,
    environment: str,
    patience: Patience,
    told: Callable[[str], None] = lambda what: None,
) -> None:
    """Wait for the first sign of life of the dead-man's switch.  Raises PagingError."""
    if declared.heartbeat is None or patience.sign_of_life is None:
        return
    seconds = declared.heartbeat.every.total_seconds() + patience.sign_of_life
    if tool.hears_heartbeat(declared, environment) is False:
        told(f"waiting for the first sign of life of the dead-man's switch, for {seconds:.0f} s at most")
        _until_none(lambda: [""] if tool.hears_heartbeat(declared, environment) is False else [], seconds, pause=3.0)


def open_points(
    cloud: Cloud,
    tool: OnCallTool,
    declared: OnCall,
    environment: Environment,
    topics: Mapping[str, str],
    *,
    deployed: bool = True,
    alive: bool = True,
) -> tuple[Open, ...]:
    """What stands in the way; as long as the routing is not ``deployed`` as it should be, only what a person has to do.

    ``alive``: whether the dead-man's switch has had the time for a first sign of life.  Raises CloudError and PagingError.
    """
    name = environment.name
    found = [
        _open(promise, there, name, topics.get(promise.topic, promise.topic))
        for promise, there in unkept(cloud, topics, promises(declared, environment))
        if deployed or there is not None
    ]
    if deployed:
        found += _refused_keys(cloud, tool, declared, name)
    if deployed and alive and tool.hears_heartbeat(declared, name) is False:
        found.append(
            Open(
                f"the dead-man's switch {heartbeat_name(declared.project, name)} watches nothing: {tool.name} has not heard "
                f"of it, or no more; look again with `tocsin oncall plan {name}`, and if it stays so, at the rule "
                f"{name}-tocsin-heartbeat in EventBridge"
            )
        )
    return tuple(found)


def _refused_keys(cloud: Cloud, tool: OnCallTool, declared: OnCall, environment: str) -> Iterator[Open]:
    """Keys that the tool says it does not take, as far as it says so."""
    for slot in wanted_slots(declared, environment):
        held = read_secret(cloud, slot.secret) if slot.owner else None
        if held is not None and is_refused(held):
            yield Open(
                f"{tool.name} refuses the key in the secret {slot.secret}: it was revoked, or is another's; run "
                f"`tocsin oncall apply {environment} --renew {slot.name}`",
                blocks=True,
            )


def _open(promise: Promise, there: Subscription | None, environment: str, arn: str) -> Open:
    topic = promise.topic
    if promise.slot:
        if there is None:
            return Open(
                f"{promise.whom} is not subscribed to {topic}, though it was: nothing of it arrives there; run "
                f"`tocsin oncall apply {environment} --renew {promise.slot}`",
                blocks=True,
            )
        return Open(
            f"{promise.whom} has not confirmed its subscription to {topic}: nothing of it arrives there; run "
            f"`tocsin oncall apply {environment}` again, and if it stays so, with --renew {promise.slot}",
            blocks=True,
        )
    if there is None:
        return Open(
            f"{promise.whom} is not subscribed to {topic}, though it was; subscribe it again: aws sns subscribe --topic-arn "
            f"{arn} --protocol {promise.protocols[0]} --notification-endpoint {promise.address or 'ITS-ARN'}"
        )
    return Open(
        f"{promise.whom} has not confirmed the subscription to {topic}: somebody has to follow the link in the mail from "
        "AWS Notifications, within two days of it"
    )


def _until_none(look: Callable[[], list[_Left]], seconds: float, pause: float = _POLL_SECONDS) -> list[_Left]:
    end = time.monotonic() + seconds
    while (found := look()) and (left := end - time.monotonic()) > 0:
        time.sleep(min(pause, left))
    return found
