"""The queue of due notifications, as both the finder and the generator write to it.  Environment: QUEUE_URL."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from deploy.clients import client

from .batches import send_until_taken
from .message import Due, write_message

BATCH = 10  # SendMessageBatch takes at most ten entries


def queue(batch: Sequence[Due]) -> None:
    """Queue up to BATCH notifications.  Raises when one could not be queued."""
    entries: list[Mapping[str, str]] = [
        {"Id": str(index), "MessageBody": write_message(due)} for index, due in enumerate(batch)
    ]
    send_until_taken(entries, _send)


def _send(entries: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Queue the entries; return those the queue did not take this time.  Raises ValueError for one it never will."""
    response = client("sqs").send_message_batch(QueueUrl=os.environ["QUEUE_URL"], Entries=list(entries))
    refused = {failure["Id"]: failure for failure in response.get("Failed", ())}
    for failure in refused.values():
        if failure["SenderFault"]:
            raise ValueError(f"the queue refuses a message: {failure['Code']} {failure.get('Message', '')}")
    return [entry for entry in entries if entry["Id"] in refused]
