"""What an event source mapping reads from: a queue, a stream, a broker."""

from __future__ import annotations

import re

from ..model import Resource
from .properties import named_by

_SOURCES = {
    "AWS::SQS::Queue": "sqs",
    "AWS::Kinesis::Stream": "kinesis",
    "AWS::Kinesis::StreamConsumer": "kinesis",
    "AWS::DynamoDB::Table": "dynamodb",
    "AWS::DynamoDB::GlobalTable": "dynamodb",
    "AWS::MSK::Cluster": "kafka",
    "AWS::MSK::ServerlessCluster": "kafka",
    "AWS::AmazonMQ::Broker": "mq",
    "AWS::DocDB::DBCluster": "rds",
}
_SERVICE = re.compile(r"arn:[^:]*:(\w+):")
#: Those that keep records for a time, read or not, and publish how far behind the reader is.
STREAMS = ("kinesis", "dynamodb")


def source_of(mapping: Resource) -> str | None:
    """The kind of source that the mapping reads; None where only a deployment can tell."""
    if mapping.properties.get("SelfManagedEventSource"):
        return "kafka"
    arn = mapping.properties.get("EventSourceArn")
    if target := named_by(arn, mapping):
        return _SOURCES.get(target.type)
    match = _SERVICE.match(arn) if isinstance(arn, str) else None
    return match[1] if match else None
