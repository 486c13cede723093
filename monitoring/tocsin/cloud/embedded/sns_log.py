"""Delivery status logging of SNS: a line for each delivery, where the topic names a role that may write it.

The group is ``sns/<region>/<account>/<topic>``, and the same with ``/Failure`` for what failed.  With ``iam`` the role
must trust SNS and may ``logs:CreateLogGroup``, ``logs:CreateLogStream`` and ``logs:PutLogEvents``; else there is no line.
As at AWS the line holds the endpoint as it was subscribed, a key in its query included.
Source: Amazon SNS developer guide, "Amazon SNS message delivery status".
"""

from __future__ import annotations

import json
import logging
import random
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .base import here, service
from .parts import Parts
from .service_roles import allowed, trusts

PREFIXES: Mapping[str, str] = {"http": "HTTP", "https": "HTTP", "sqs": "SQS", "lambda": "Lambda"}
"""How the attributes of a topic name the protocols that can be logged here."""
_NEEDED = ("logs:CreateLogStream", "logs:PutLogEvents")
_log = logging.getLogger("tocsin.sns")
_stream = str(uuid.uuid4())


def write(
    parts: Parts, topic_arn: str, protocol: str, message_id: str, delivery: Mapping[str, Any], *, success: bool
) -> None:
    """Write the line of one delivery, if the topic wants it; in the scope of the topic."""
    attributes = (service("sns")._topic_by_arn_any_scope(topic_arn) or {}).get("attributes", {})
    prefix = PREFIXES.get(protocol)
    role = attributes.get(f"{prefix}{'Success' if success else 'Failure'}FeedbackRoleArn")
    if not prefix or not role:
        return
    # Every failure, and of the successes a share (0 to 100 percent; 0 if none is given).
    share = float(attributes.get(f"{prefix}SuccessFeedbackSampleRate") or 0)
    if success and random.random() * 100 >= share:  # noqa: S311  # a sample, no secret
        return
    account, region = here()
    group = f"sns/{region}/{account}/{topic_arn.rpartition(':')[2]}{'' if success else '/Failure'}"
    if refused := _refused(parts, str(role), group):
        _log.warning("no delivery status in %s: %s", group, refused)
        return
    now = parts.clock.now()
    line = {
        "notification": {
            "messageId": message_id,
            "topicArn": topic_arn,
            "timestamp": now.astimezone(UTC).isoformat(" ", "milliseconds").removesuffix("+00:00"),
        },
        "delivery": dict(delivery),
        "status": "SUCCESS" if success else "FAILURE",
    }
    _put(group, json.dumps(line), now)


def _refused(parts: Parts, role: str, group: str) -> str | None:
    if not parts.enforce_iam:
        return None
    if not trusts(role, "sns.amazonaws.com"):
        return f"{role} cannot be assumed by SNS"
    account, region = here()
    arn = f"arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:"
    missing = group not in service("cloudwatch_logs")._log_groups
    for action in ("logs:CreateLogGroup", *_NEEDED) if missing else _NEEDED:
        if not allowed(role, "sns", action, arn):
            return f"{role} may not {action}"
    return None


def _put(group: str, message: str, now: datetime) -> None:
    logs = service("cloudwatch_logs")
    if group not in logs._log_groups:
        logs._create_log_group({"logGroupName": group})
    if _stream not in logs._log_groups[group]["streams"]:
        logs._create_log_stream({"logGroupName": group, "logStreamName": _stream})
    event = {"timestamp": int(now.timestamp() * 1000), "message": message}
    logs._put_log_events({"logGroupName": group, "logStreamName": _stream, "logEvents": [event]})
