"""Queue delivery: put a message with attributes into a queue, for a service that acts by itself."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping
from typing import Any

from .base import core, service


def put(queue_arn: str, body: str, attributes: Mapping[str, str]) -> bool:
    """Append a message; False if there is no such queue.  Whether the sender may is the caller's matter."""
    sqs = service("sqs")
    queue = sqs._queue_by_arn(queue_arn)
    if not queue:
        return False
    given = {
        name: {"DataType": "Number" if value.isdecimal() else "String", "StringValue": value}
        for name, value in attributes.items()
    }
    now = time.time()
    message: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "body": body,
        "md5": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
        "message_attributes": given,
        "md5_attrs": sqs._md5_msg_attrs(given),
        "receipt_handle": None,
        "sent_at": now,
        "visible_at": now + sqs.queue_delay(queue),
        "receive_count": 0,
    }
    sqs._ensure_msg_fields(message)
    queue["messages"].append(message)
    core("concurrency").esm_wake.set()
    return True
