"""AWS/SQS: counters of what was sent, received and deleted, and gauges of what lies in each queue, once a minute.

A queue publishes while it holds messages and for six hours after it was last used.  Messages that a redrive policy
moves to a dead-letter queue do not count as sent to it.
Source: Amazon SQS developer guide, "Available CloudWatch metrics for Amazon SQS".
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from . import queue_delivery
from .base import here, scope, service
from .parts import Parts

ACTIVE_SECONDS = 6 * 3600
_COUNTERS = ("NumberOfMessagesSent", "NumberOfMessagesReceived", "NumberOfMessagesDeleted", "NumberOfEmptyReceives")
_MOVED_BACK_AFTER = 3
_MINUTE = 60
Owner = tuple[str, str, str]


class QueueMetrics:
    """What happened to each queue since the last full minute."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._counts: Counter[tuple[Owner, str, int]] = Counter()
        self._used: dict[Owner, float] = {}

    def count(self, queue: Mapping[str, Any], name: str, number: int) -> None:
        """Add to a counter of the present minute; 0 only marks the queue as used."""
        now = self._parts.clock.time()
        owner = (*here(), queue["name"])
        self._used[owner] = now
        if number:
            self._counts[owner, name, int(now // _MINUTE) * _MINUTE] += number

    def size(self, queue: Mapping[str, Any], body: str) -> None:
        """One sample of SentMessageSize."""
        self._parts.recorder.record(
            "AWS/SQS", "SentMessageSize", {"QueueName": queue["name"]}, len(body.encode()), "Bytes"
        )

    def sample(self, at: float) -> None:
        """Publish the minute that ended at ``at`` (and counters of earlier ones that are still there)."""
        ended = at - _MINUTE
        finished = {key: number for key, number in self._counts.items() if key[2] <= ended}
        for key in finished:
            del self._counts[key]
        queues = service("sqs")._queues
        for (account, region, _), queue in list(queues._data.items()):
            owner = (account, region, queue["name"])
            if not queue["messages"] and at - self._used.get(owner, float("-inf")) > ACTIVE_SECONDS:
                continue
            with scope(account, region):
                self._publish(queue, owner, finished, ended)

    def _publish(
        self,
        queue: Mapping[str, Any],
        owner: Owner,
        finished: Mapping[tuple[Owner, str, int], int],
        ended: float,
    ) -> None:
        dimensions = {"QueueName": queue["name"]}
        record = self._parts.recorder.record
        for name in _COUNTERS:
            minutes = {
                minute: number for (whose, what, minute), number in finished.items() if (whose, what) == (owner, name)
            }
            for minute, number in {int(ended): 0, **minutes}.items():
                record("AWS/SQS", name, dimensions, number, "Count", at=minute)
        now = time.time()
        messages = list(queue["messages"])
        visible = [message for message in messages if message["visible_at"] <= now]
        hidden = [message for message in messages if message["visible_at"] > now]
        delayed = [message for message in hidden if message["receive_count"] == 0]
        record("AWS/SQS", "ApproximateNumberOfMessagesVisible", dimensions, len(visible), "Count", at=ended)
        record(
            "AWS/SQS",
            "ApproximateNumberOfMessagesNotVisible",
            dimensions,
            len(hidden) - len(delayed),
            "Count",
            at=ended,
        )
        record("AWS/SQS", "ApproximateNumberOfMessagesDelayed", dimensions, len(delayed), "Count", at=ended)
        if messages:
            # A message that was received more than three times goes to the back of the queue.
            first = [message for message in messages if message["receive_count"] <= _MOVED_BACK_AFTER] or messages
            sent = min(message["sent_at"] for message in first)
            age = max(0.0, self._parts.clock.time() - self._parts.clock.at_real(sent))
            record("AWS/SQS", "ApproximateAgeOfOldestMessage", dimensions, int(age), "Seconds", at=ended)


def install(parts: Parts) -> QueueMetrics:
    """Count at every way into and out of a queue; the result's ``sample`` is to be called each minute."""
    metrics = QueueMetrics(parts)
    _count_calls(metrics)
    _count_poller(metrics)
    _count_other_senders(metrics)
    return metrics


def _count_calls(metrics: QueueMetrics) -> None:
    sqs = service("sqs")
    send, receive = sqs._act_send_message, sqs._act_receive_message

    def send_message(data: dict[str, Any], url: str) -> Any:
        queue = sqs._get_q(data.get("QueueUrl", url))
        before = len(queue["messages"])
        result = send(data, url)
        # A duplicate of a FIFO message is answered, but not put into the queue.
        if len(queue["messages"]) > before:
            metrics.count(queue, "NumberOfMessagesSent", 1)
            metrics.size(queue, data["MessageBody"])
        return result

    async def receive_message(data: dict[str, Any], url: str) -> Any:
        result = await receive(data, url)
        queue = sqs._get_q(data.get("QueueUrl", url))
        _count_received(metrics, queue, len(result.get("Messages", ())))
        return result

    sqs._act_send_message = sqs._HANDLERS["SendMessage"] = send_message
    sqs._HANDLERS["ReceiveMessage"] = receive_message
    for name, action in (("DeleteMessage", "_act_delete_message"), ("DeleteMessageBatch", "_act_delete_message_batch")):
        sqs._HANDLERS[name] = _counting_shrinkage(metrics, getattr(sqs, action))


def _counting_shrinkage(metrics: QueueMetrics, delete: Any) -> Any:
    def run(data: dict[str, Any], url: str) -> Any:
        queue = service("sqs")._get_q(data.get("QueueUrl", url))
        before = len(queue["messages"])
        result = delete(data, url)
        metrics.count(queue, "NumberOfMessagesDeleted", before - len(queue["messages"]))
        return result

    return run


def _count_poller(metrics: QueueMetrics) -> None:
    """Lambda's event source mappings read and delete by functions of their own."""
    sqs = service("sqs")
    receive, delete = sqs._receive_messages_for_esm, sqs._delete_messages_for_esm

    def receive_messages(url: str, most: int) -> Any:
        batch = receive(url, most)
        _count_received(metrics, sqs._get_q(url), len(batch))
        return batch

    def delete_messages(url: str, handles: set[str]) -> None:
        delete(url, handles)
        metrics.count(sqs._get_q(url), "NumberOfMessagesDeleted", len(handles))

    sqs._receive_messages_for_esm = receive_messages
    sqs._delete_messages_for_esm = delete_messages


def _count_received(metrics: QueueMetrics, queue: Mapping[str, Any], number: int) -> None:
    metrics.count(queue, "NumberOfMessagesReceived", number)
    metrics.count(queue, "NumberOfEmptyReceives", 0 if number else 1)


def _count_other_senders(metrics: QueueMetrics) -> None:
    """SNS, EventBridge, S3 and Lambda's failure destinations append to queues by themselves."""
    for module, name in (
        ("sns", "_deliver_to_sqs"),
        ("eventbridge", "_dispatch_to_sqs"),
        ("s3", "_deliver_event_to_sqs"),
        ("lambda_svc", "_route_async_failure"),
    ):
        owner = service(module)
        setattr(owner, name, _counting_growth(metrics, getattr(owner, name)))
    queue_delivery.put = _counting_growth(metrics, queue_delivery.put)


def _counting_growth(metrics: QueueMetrics, deliver: Any) -> Any:
    def run(target: Any, *arguments: Any, **options: Any) -> Any:
        queue = service("sqs")._queue_by_arn(str(target))
        before = len(queue["messages"]) if queue else 0
        result = deliver(target, *arguments, **options)
        if queue and len(queue["messages"]) > before:
            metrics.count(queue, "NumberOfMessagesSent", len(queue["messages"]) - before)
            metrics.size(queue, queue["messages"][-1]["body"])
        return result

    return run
