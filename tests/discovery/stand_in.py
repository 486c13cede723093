"""A small catalog that depends on nothing but the types, for tests of discovery alone."""

from __future__ import annotations

from tocsin.catalog.entry import NameSource, ResourceType
from tocsin.model import Resource


def _entry(type_name: str, name_property: str | None, *aliases: str) -> ResourceType:
    return ResourceType(
        type=type_name,
        slug=type_name.rpartition("::")[2].lower(),
        title=type_name,
        name_property=name_property,
        name_source=NameSource.PHYSICAL_ID,
        metrics=(),
        alarm_kinds=(),
        aliases=aliases,
        unwatched=_off,
    )


def _off(resource: Resource) -> str | None:
    return "it is switched off" if resource.properties.get("State") == "DISABLED" else None


ENTRIES = (
    _entry("AWS::Lambda::Function", "FunctionName", "AWS::Serverless::Function"),
    _entry("AWS::SQS::Queue", "QueueName"),
    _entry("AWS::DynamoDB::Table", "TableName", "AWS::Serverless::SimpleTable"),
    _entry("AWS::Events::Rule", "Name"),
    _entry("AWS::S3::Bucket", "BucketName"),
)
STAND_IN = {name: entry for entry in ENTRIES for name in (entry.type, *entry.aliases)}
