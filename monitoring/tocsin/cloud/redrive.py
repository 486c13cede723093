"""The queue of what could not be delivered: read it whole, keep it to oneself meanwhile, delete what has arrived."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..errors import CloudError
from .session import Cloud, asking, error_code

# Long enough for a batch of slow answers; a run that is cut off gives everything back after it.
HIDDEN_SECONDS = 300
_BATCH = 10  # the most that SQS takes or gives at once
_WAIT_SECONDS = 1  # a long poll asks all servers of a queue (SQS developer guide, "short and long polling")


@dataclass(frozen=True, slots=True)
class Waiting:
    """One message of a queue.  ``body`` may hold what nobody else is to read; ``receipt`` is what deletes it."""

    id: str
    body: str = field(repr=False)
    queued_at: datetime
    receipt: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many messages a queue holds, and how many of them somebody is looking at; both approximate."""

    waiting: int
    hidden: int


def queue_address(cloud: Cloud, name: str) -> str:
    """The address of a queue that is named by its name, ARN or address.  Raises CloudError."""
    if name.startswith(("https://", "http://")):
        return name
    with asking(f"find queue {name.rpartition(':')[2]}"):
        try:
            return str(cloud.client("sqs").get_queue_url(QueueName=name.rpartition(":")[2])["QueueUrl"])
        except Exception as error:
            if error_code(error).endswith(("NonExistentQueue", "QueueDoesNotExist")):
                raise CloudError(f"queue {name.rpartition(':')[2]} is gone; deploy the routing again") from None
            raise


def backlog(cloud: Cloud, queue: str) -> Backlog:
    """What lies in the queue.  Raises CloudError."""
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    with asking(f"look at queue {_shown(queue)}"):
        found = cloud.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=list(names))["Attributes"]
    waiting, hidden = (int(found[name]) for name in names)
    return Backlog(waiting, hidden)


def read_queue(cloud: Cloud, queue: str) -> tuple[Waiting, ...]:
    """Every message that nobody else is looking at; hidden from others for ``HIDDEN_SECONDS``.  Raises CloudError."""
    found: dict[str, Waiting] = {}
    with asking(f"read queue {_shown(queue)}"):
        while True:
            answer = cloud.client("sqs").receive_message(
                QueueUrl=queue,
                MaxNumberOfMessages=_BATCH,
                VisibilityTimeout=HIDDEN_SECONDS,
                WaitTimeSeconds=_WAIT_SECONDS,
                MessageSystemAttributeNames=["SentTimestamp"],
            )
            messages = answer.get("Messages") or ()
            if not messages:
                return tuple(found.values())
            for each in messages:
                sent = int(each["Attributes"]["SentTimestamp"]) / 1000
                found[each["MessageId"]] = Waiting(
                    each["MessageId"], each["Body"], datetime.fromtimestamp(sent, UTC), each["ReceiptHandle"]
                )


def keep_hidden(cloud: Cloud, queue: str, messages: Sequence[Waiting]) -> None:
    """Hide the messages for ``HIDDEN_SECONDS`` from now.  Raises CloudError."""
    _change_visibility(cloud, queue, messages, HIDDEN_SECONDS)


def give_back(cloud: Cloud, queue: str, messages: Sequence[Waiting]) -> None:
    """Let others see the messages again.  Raises CloudError."""
    _change_visibility(cloud, queue, messages, 0)


def delete(cloud: Cloud, queue: str, message: Waiting) -> None:
    """Delete a message for good.  Raises CloudError."""
    with asking(f"delete a message from queue {_shown(queue)}"):
        cloud.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message.receipt)


def _change_visibility(cloud: Cloud, queue: str, messages: Sequence[Waiting], seconds: int) -> None:
    with asking(f"hold messages of queue {_shown(queue)}"):
        for batch in _batches(messages):
            entries: list[dict[str, Any]] = [
                {"Id": str(number), "ReceiptHandle": each.receipt, "VisibilityTimeout": seconds}
                for number, each in enumerate(batch)
            ]
            # What is refused was given to somebody else meanwhile, or is back already.
            cloud.client("sqs").change_message_visibility_batch(QueueUrl=queue, Entries=entries)


def _batches(messages: Sequence[Waiting]) -> Iterator[Sequence[Waiting]]:
    for at in range(0, len(messages), _BATCH):
        yield messages[at : at + _BATCH]


def _shown(queue: str) -> str:
    return queue.rpartition("/")[2]
