"""The names of resources that stand beside an alarm in its template, as references to them give these names.

AWS CloudFormation template reference: the return values of ``Ref`` and ``Fn::GetAtt`` of each type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..cloudformation.symbolic import Symbolic, escape, references

if TYPE_CHECKING:
    from ..cloudformation.document import Document
    from ..cloudformation.intrinsics import Resolved

_NOTHING: Mapping[str, str] = {}
# Types whose Ref is the name, with the property that gives it.  The Ref of a queue is a URL, that of a topic an ARN.
_REF = {
    "AWS::ApiGateway::Stage": "StageName",
    "AWS::ApiGatewayV2::Stage": "StageName",
    "AWS::AutoScaling::AutoScalingGroup": "AutoScalingGroupName",
    "AWS::DynamoDB::GlobalTable": "TableName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::ECS::Cluster": "ClusterName",
    "AWS::ElastiCache::CacheCluster": "ClusterName",
    "AWS::ElastiCache::ReplicationGroup": "ReplicationGroupId",
    "AWS::ElasticLoadBalancing::LoadBalancer": "LoadBalancerName",
    "AWS::Kinesis::Stream": "Name",
    "AWS::KinesisFirehose::DeliveryStream": "DeliveryStreamName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::RDS::DBCluster": "DBClusterIdentifier",
    "AWS::RDS::DBInstance": "DBInstanceIdentifier",
    "AWS::S3::Bucket": "BucketName",
    "AWS::Serverless::Function": "FunctionName",
    "AWS::Serverless::SimpleTable": "TableName",
}
# The attribute that is the name, with the property that gives it.
_ATTRIBUTE = {
    "AWS::ECS::Service": ("Name", "ServiceName"),
    "AWS::SNS::Topic": ("TopicName", "TopicName"),
    "AWS::SQS::Queue": ("QueueName", "QueueName"),
    "AWS::Serverless::StateMachine": ("Name", "Name"),
    "AWS::StepFunctions::StateMachine": ("Name", "StateMachineName"),
}
# These services keep identifiers in small letters, however a template writes them.
_SMALL = ("AWS::RDS::", "AWS::ElastiCache::")
_SPAN = re.compile(r"\$\{([A-Za-z0-9]+(?:\.[A-Za-z0-9.]+)?)\}")


def resolve_named(
    document: Document, parameters: Mapping[str, str], *, pseudo: Mapping[str, str] = _NOTHING
) -> tuple[Resolved, ...]:
    """The resources of a template, those of CloudWatch with names in place of references to resources that have one.

    ``parameters`` may hold names of resources beside values of parameters, by logical id or as ``Orders.QueueName``,
    and values of pseudo parameters.  Raises as ``resolve`` does.
    """
    from ..cloudformation.intrinsics import resolve

    declared, bodies = (
        section if isinstance(section := document.tree.get(key), dict) else {} for key in ("Parameters", "Resources")
    )
    others = {name: value for name, value in parameters.items() if name not in declared}
    given = {name: value for name, value in others.items() if name.partition(".")[0] in bodies}
    values = {name: value for name, value in others.items() if name.startswith("AWS::")}
    rest = {name: value for name, value in parameters.items() if name not in given and name not in values}
    resources = resolve(document, rest, pseudo={**pseudo, **values})
    names = _names(resources, given)
    return tuple(
        replace(one, properties=_with_names(one.properties, names)) if one.type.startswith("AWS::CloudWatch::") else one
        for one in resources
    )


def _names(resources: tuple[Resolved, ...], given: Mapping[str, str]) -> dict[str, str]:
    """By placeholder such as ``Checkout`` or ``Orders.QueueName``: the name in the template, or else the one given.

    A name ``given`` for ``Orders`` is that of ``Orders.QueueName`` as well.
    """
    found: dict[str, str] = {}
    for one in resources:
        attribute, key = _ATTRIBUTE.get(one.type, (None, _REF.get(one.type)))
        if key is None or one.exists is False:
            continue
        placeholder = f"{one.logical_id}.{attribute}" if attribute else one.logical_id
        value = one.properties.get(key)
        if isinstance(value, str) and value:
            small = one.type.startswith(_SMALL) and not isinstance(value, Symbolic)
            found[placeholder] = value.lower() if small else value
        if one.logical_id in given:
            found[placeholder] = given[one.logical_id]
    return found | dict(given)


def _with_names(value: Any, names: Mapping[str, str]) -> Any:
    """``value`` with ``names`` put in for their placeholders, in lists and mappings too."""
    if isinstance(value, Symbolic):
        named = Symbolic(_SPAN.sub(lambda match: escape(names.get(match.group(1), Symbolic(match.group()))), value))
        if named == value:
            return value
        return named if references(named) else str(named).replace("${!", "${")
    if isinstance(value, dict):
        return {key: _with_names(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_names(item, names) for item in value]
    return value
