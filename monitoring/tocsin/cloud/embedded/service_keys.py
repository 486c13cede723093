"""Service keys: whether a key's policy lets an AWS service use it, with ``iam``.

A service that publishes to an encrypted topic or sends to an encrypted queue needs ``kms:GenerateDataKey`` and
``kms:Decrypt`` from the key's own policy.  A key that AWS manages, such as ``alias/aws/sns``, lets no other service in:
its policy cannot be changed.
Sources: Amazon SNS developer guide, "Managing Amazon SNS encryption keys and costs" (page section "Enable compatibility
between event sources from AWS services and encrypted topics"); Amazon SQS developer guide, "Configuring KMS
permissions".
"""

from __future__ import annotations

from typing import Any

from .base import service
from .parts import Parts
from .service_roles import service_may_call

_NEEDED = ("kms:GenerateDataKey", "kms:Decrypt")


def service_may_use(parts: Parts, key: Any, principal: str, source: str, account: str, own: str = "") -> bool:
    """Whether the service ``principal`` may use ``key`` (id, ARN or alias; empty: none) for the resource ``source``.

    ``own`` is the service whose AWS-managed key it may use, such as ``sqs`` for queues.
    """
    if not parts.enforce_iam or not key:
        return True
    record = service("kms")._resolve_key(str(key))
    if record is None or record.get("KeyManager") == "AWS" or str(key).startswith("alias/aws/"):
        return bool(own) and str(key) == f"alias/aws/{own}"
    return all(
        service_may_call(record.get("Policy"), principal, action, record["Arn"], source, account) for action in _NEEDED
    )
