"""Where a topic's notifications go: to the endpoint its secret holds, or into the forwarder's queue."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..cloud.environments import Environment
from ..cloud.redrive import queue_address
from ..cloud.secrets import read_secret
from ..cloud.session import Cloud, asking
from ..cloud.stacks import Stack, find_stack, require_stack
from ..errors import CloudError
from ..model import Severity
from ..paging.declared import OnCall, Way
from ..paging.tool import secret_name
from .web import Answer, post_notification

FORWARDER = "ForwarderQueueArn"  # the routing's parameter
QUEUE, FORWARDER_QUEUE = "RedriveQueueUrl", "ForwarderRedriveUrl"  # outputs of the stacks
FORWARDER_STACK = "forwarder"
_KEY_REFUSED = (401, 403)


@dataclass(frozen=True, slots=True)
class Topic:
    """Whose notifications of which severity a topic carries."""

    owner: str
    severity: Severity


def redrive_queues(cloud: Cloud, environment: Environment) -> tuple[Stack, Mapping[str, str]]:
    """The routing stack, and the queues of what was not delivered: name → address, the forwarder's where there is one.

    Raises CloudError when the routing is not deployed.
    """
    advice = f"run `tocsin deploy {environment.name}` first"
    routing = require_stack(cloud, environment.routing_stack, advice)
    if QUEUE not in routing.outputs:
        raise CloudError(f"stack {routing.name} has no output {QUEUE}; {advice}")
    queues = {"redrive queue": routing.outputs[QUEUE]}
    forwarder = find_stack(cloud, environment.other(FORWARDER_STACK).stack)
    if forwarder is not None and FORWARDER_QUEUE in forwarder.outputs:
        queues["redrive queue of the forwarder"] = forwarder.outputs[FORWARDER_QUEUE]
    return routing, queues


def topic_of(environment: str, arn: str) -> Topic | None:
    """What ``<environment>-tocsin-<owner>-<severity>`` says; None for a topic of another name."""
    severities = "|".join(severity.value for severity in Severity)
    match = re.fullmatch(rf"{re.escape(environment)}-tocsin-([a-z][a-z0-9_-]*)-({severities})", arn.rpartition(":")[2])
    return Topic(match[1], Severity(match[2])) if match else None


def sender(
    cloud: Cloud,
    environment: str,
    declared: OnCall | None,
    routing: Stack,
    post: Callable[[str, Mapping[str, Any]], Answer] = post_notification,
) -> Callable[[str, Mapping[str, Any]], Answer]:
    """Delivers a notification of a topic to where the topic's go.

    ``declared`` says which go through the forwarder, ``routing`` is the deployed stack.  What is returned raises CloudError
    where a secret or a queue cannot be read; what an endpoint refuses is an Answer.
    """
    addresses: dict[Topic, str] = {}

    def send(arn: str, envelope: Mapping[str, Any]) -> Answer:
        topic = topic_of(environment, arn)
        if topic is None:
            return Answer(0, f"{arn.rpartition(':')[2]} is no topic of the routing of {environment}")
        if _is_forwarded(declared, topic):
            queue = routing.parameters.get(FORWARDER)
            if not queue:
                return Answer(0, f"the forwarder of {topic.owner}'s {topic.severity.value}s is not deployed")
            return _enqueue(cloud, queue, envelope)
        if topic not in addresses:
            addresses[topic] = _endpoint(cloud, environment, topic)
        if not addresses[topic]:
            secret = secret_name(environment, topic.owner, topic.severity)
            return Answer(0, f"the secret {secret} holds no endpoint; run `tocsin oncall apply {environment}`")
        answer = post(addresses[topic], envelope)
        if answer.status in _KEY_REFUSED:
            secret = secret_name(environment, topic.owner, topic.severity)
            renew = f"tocsin oncall apply {environment} --renew {topic.owner}-{topic.severity.value}"
            mend = f"the key in the secret {secret} is refused; run `{renew}`"
            return Answer(answer.status, f"{answer.problem}: {mend}")
        return answer

    return send


def _is_forwarded(declared: OnCall | None, topic: Topic) -> bool:
    team = declared.team_of(topic.owner) if declared is not None else None
    route = team.routes.get(topic.severity) if team is not None else None
    return route is not None and Way.FORWARDER in route.ways and Way.TOOL not in route.ways


def _endpoint(cloud: Cloud, environment: str, topic: Topic) -> str:
    held = read_secret(cloud, secret_name(environment, topic.owner, topic.severity))
    try:
        return str(json.loads(held or "{}").get("endpoint") or "")
    except (ValueError, AttributeError):
        return ""


def _enqueue(cloud: Cloud, queue: str, envelope: Mapping[str, Any]) -> Answer:
    """The forwarder's queue takes a notification as SNS puts it there."""
    try:
        address = queue_address(cloud, queue)
        with asking("send to the forwarder's queue"):
            cloud.client("sqs").send_message(QueueUrl=address, MessageBody=json.dumps(envelope))
    except CloudError as error:
        return Answer(0, str(error))
    return Answer(200)
