"""Counts the requests that really go to AWS, repeated ones too, and what came of each."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import Any

from ..cloud.session import Cloud

OK, THROTTLED, DENIED, FAILED = "ok", "throttled", "denied", "failed"

# The codes by which services of AWS refuse what comes too fast (botocore's own list, botocore.retries.standard).
_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
        "EC2ThrottledException",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"})


def outcome_of(code: str) -> str:
    """What a service's error code means for a request; ``ok`` for none."""
    if not code:
        return OK
    return THROTTLED if code in _THROTTLED else DENIED if code in _DENIED else FAILED


class Calls:
    """How many requests there were, by operation and outcome.  May be read while requests are made."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made: Counter[tuple[str, str]] = Counter()

    def watch(self, cloud: Cloud, *services: str) -> None:
        """Count the requests that the clients of these services make from now on."""
        for service in services:
            events = cloud.client(service).meta.events
            name = f"response-received.{cloud.client(service).meta.service_model.service_id.hyphenize()}"
            events.register(name, self._received, unique_id=f"tocsin-calls-{id(self)}")

    @property
    def made(self) -> dict[tuple[str, str], int]:
        """(operation, outcome) → requests so far."""
        with self._lock:
            return dict(self._made)

    def _received(self, event_name: str = "", parsed_response: Any = None, exception: Any = None, **_rest: Any) -> None:
        """One answer, or none: boto3 calls this for every attempt."""
        operation = event_name.rpartition(".")[2]
        if exception is not None or parsed_response is None:
            outcome = FAILED
        else:
            outcome = outcome_of(str(parsed_response.get("Error", {}).get("Code", "")))
        with self._lock:
            self._made[operation, outcome] += 1
