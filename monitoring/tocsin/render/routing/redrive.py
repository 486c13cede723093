"""The redrive queue: where SNS puts what it could not deliver, to be replayed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from troposphere import GetAtt, Output, Ref, Sub, Template
from troposphere.sqs import Queue, QueuePolicy

from ...plan import ENVIRONMENT
from .topics import OwnedTopic

QUEUE = "RedriveQueue"
QUEUE_NAME = f"${{{ENVIRONMENT}}}-tocsin-on-call-redrive"
KEPT = timedelta(days=14)  # the longest SQS keeps a message (SQS developer guide, "Message quotas")


def redrive_policy() -> dict[str, Any]:
    """What a subscription does with a notification that it could not deliver."""
    return {"deadLetterTargetArn": GetAtt(QUEUE, "Arn")}


def add_redrive(template: Template, topics: Sequence[OwnedTopic]) -> None:
    """The queue and who may fill it.

    SQS encrypts it with its own key: under the topics' key, SNS could put nothing here just when that key is what is
    broken.
    """
    template.add_resource(
        Queue(
            QUEUE,
            # It goes with the topics: kept, its name would be in the way of the next routing.
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
            QueueName=Sub(QUEUE_NAME),
            MessageRetentionPeriod=int(KEPT.total_seconds()),
            SqsManagedSseEnabled=True,
        )
    )
    template.add_resource(
        QueuePolicy(
            f"{QUEUE}Policy",
            Queues=[Ref(QUEUE)],
            PolicyDocument={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "TheTopicsPutHereWhatTheyCouldNotDeliver",
                        "Effect": "Allow",
                        "Principal": {"Service": "sns.amazonaws.com"},
                        "Action": "sqs:SendMessage",
                        "Resource": GetAtt(QUEUE, "Arn"),
                        "Condition": {"ArnEquals": {"aws:SourceArn": [Ref(topic.logical_id) for topic in topics]}},
                    },
                    {
                        "Sid": "NobodyWithoutTls",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "sqs:*",
                        "Resource": GetAtt(QUEUE, "Arn"),
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    },
                ],
            },
        )
    )
    template.add_output(Output("RedriveQueueArn", Value=GetAtt(QUEUE, "Arn"), Description="What was not delivered"))
    template.add_output(
        Output("RedriveQueueUrl", Value=Ref(QUEUE), Description="What `tocsin oncall replay` takes up again")
    )
