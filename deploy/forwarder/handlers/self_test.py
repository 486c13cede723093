"""The forwarder's own heartbeat: a message through its queue, its table and its secrets to the on-call tool's door.

Environment: ROUTES, TOOL_HEARTBEAT and what routes.py and memory.py name.  Success is the metric SelfTests, whose absence
is an alarm; with TOOL_HEARTBEAT the tool hears of it, too, and pages when it does not.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from urllib.parse import urlsplit

from deploy.metrics import Measured, publish
from tocsin.model import Severity
from tocsin.paging.tool import Delivery, secret_name

from . import memory
from .failures import DeliveryError, KeyRefusedError, TryLaterError
from .post import Call, send
from .routes import delivery

NAMESPACE = "Tocsin/Forwarder"


def self_test() -> None:
    """Do what a page needs, short of paging.  Raises DeliveryError and what boto3 raises."""
    memory.mark_delivered("self-test", memory.NEWEST)
    memory.was_delivered("self-test", datetime.now(UTC).isoformat())
    environment = os.environ["ENVIRONMENT"]
    found: dict[str, Delivery] = {}
    problem = TryLaterError("no route has a secret: run `tocsin oncall apply`")
    for route in os.environ["ROUTES"].split(","):
        owner, _, severity = route.rpartition("-")
        try:
            one = delivery(secret_name(environment, owner, Severity(severity)))
        except TryLaterError as error:
            # A route that goes another way has no secret; that alone is no fault.
            if "ResourceNotFoundException" not in str(error):
                raise
            problem = error
        else:
            parts = urlsplit(one.endpoint)
            found.setdefault(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/", one)
    if not found:
        raise problem
    for door in found:
        # Any answer will do: it proves name, network and certificate, and asks nothing of the tool.
        send(Call("HEAD", door, {"User-Agent": "tocsin-forwarder"}, b""))
    if os.environ["TOOL_HEARTBEAT"] == "true":
        _ping(delivery(heartbeat_secret(environment)))
    publish(NAMESPACE, Measured("SelfTests", 1))


def heartbeat_secret(environment: str) -> str:
    """The secret with the heartbeat of the forwarder itself: that of the dead-man's switch must not be kept alive by it."""
    return f"tocsin/{environment}/on-call/forwarder-heartbeat"


def _ping(where: Delivery) -> None:
    headers = {"Content-Type": "application/json", "User-Agent": "tocsin-forwarder"}
    if where.authorization:
        headers["Authorization"] = where.authorization
    answer = send(Call("POST", where.endpoint, headers, b"{}"))
    if answer.status in (401, 403):
        delivery(heartbeat_secret(os.environ["ENVIRONMENT"]), anew=True)
        raise KeyRefusedError("the heartbeat's key is not taken")
    if not 200 <= answer.status < 300:
        raise DeliveryError(f"the heartbeat was answered with status {answer.status}")
