"""The forwarder's own heartbeat: a message through its queue, its table and its secrets to the on-call tool, key and all.

Environment: ROUTES, those that go over the forwarder, and what routes.py and memory.py name.  Success is the metric
SelfTests, whose absence is an alarm.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from deploy.metrics import Measured, publish
from tocsin.model import Severity
from tocsin.paging.tool import secret_name

from . import memory
from .failures import DeliveryError
from .post import send
from .routes import code_of, delivery
from .tools import knock_of, refuses_key, target_of

NAMESPACE = "Tocsin/Forwarder"


def self_test() -> None:
    """Do what a page needs, short of paging, for every route.  Raises DeliveryError, which names each one that fails."""
    memory.mark_delivered("self-test", memory.NEWEST)
    memory.was_delivered("self-test", datetime.now(UTC).isoformat())
    routes = [each for each in os.environ["ROUTES"].split(",") if each]
    if routes:
        # All at once: one tool that is slow takes no longer than one call, however many routes lead to it.
        with ThreadPoolExecutor(len(routes)) as pool:
            problems = [
                f"{route}: {problem}" for route, problem in zip(routes, pool.map(_try, routes), strict=True) if problem
            ]
        if problems:
            raise DeliveryError("; ".join(problems))
    publish(NAMESPACE, Measured("SelfTests", 1))


def _try(route: str) -> str:
    """What is wrong with one route; empty if nothing is."""
    owner, _, severity = route.rpartition("-")
    try:
        secret = secret_name(os.environ["ENVIRONMENT"], owner, Severity(severity))
        for anew in (False, True):
            target = target_of(delivery(secret, anew=anew))
            # Any other answer will do: a tool that is down is told of by the alerts that fail.
            if not refuses_key(send(knock_of(target)), target):
                return ""
    except DeliveryError as error:
        return str(error)
    except Exception as error:  # it is this route's, and the others are to be tried all the same
        return code_of(error)
    return f"the on-call tool refuses the key of secret {secret}: run `tocsin oncall apply`"
