"""Properties that ministack's CloudFormation drops although its services know them: set after create and update.

What is still dropped afterwards stands in `guard`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from . import bucket_properties
from .alarm_records import truth
from .base import here, service

Keep = Callable[[str, Mapping[str, Any]], None]


def install() -> None:
    """Let each handler below run after ministack's own."""
    handlers = service("cloudformation").provisioners._RESOURCE_HANDLERS
    for name, keep in _KEEPERS.items():
        handlers[name] = _followed(handlers[name], keep)
    _show_endpoint_policies()


def _followed(handler: Mapping[str, Any], keep: Keep) -> dict[str, Any]:
    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        made = handler["create"](logical_id, properties, stack)
        keep(made[0], properties)
        return made

    def update(physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, *logical_id: Any) -> Any:
        made = handler["update"](physical_id, old, new, stack, *logical_id)
        keep(made[0], new)
        return made

    return {**handler, "create": create, **({"update": update} if "update" in handler else {})}


def _topic(arn: str, properties: Mapping[str, Any]) -> None:
    attributes = service("sns")._topics[arn]["attributes"]
    for name in ("ArchivePolicy", "KmsMasterKeyId", "MaximumMessageSize", "SignatureVersion", "TracingConfig"):
        attributes.pop(name, None)
        if value := properties.get(name):
            attributes[name] = json.dumps(value) if isinstance(value, dict) else str(value)
    for name in [each for each in attributes if "Feedback" in each]:
        del attributes[name]
    for entry in properties.get("DeliveryStatusLogging") or ():
        protocol = str(entry.get("Protocol", ""))
        if protocol not in _LOGGED:
            raise ValueError(f"Protocol of DeliveryStatusLogging is one of {', '.join(_LOGGED)}, not {protocol!r}")
        for name in ("SuccessFeedbackRoleArn", "SuccessFeedbackSampleRate", "FailureFeedbackRoleArn"):
            if entry.get(name) not in (None, ""):
                attributes[_LOGGED[protocol] + name] = str(entry[name])
    # ministack's default policy lets every account publish; AWS's is for the owner's resources only.
    policy = json.loads(attributes.get("Policy") or "{}")
    if policy.get("Id") == "__default_policy_ID":
        owner = {"StringEquals": {"AWS:SourceOwner": attributes["Owner"]}}
        policy["Statement"] = [{**statement, "Condition": owner} for statement in policy["Statement"]]
        attributes["Policy"] = json.dumps(policy)


_LOGGED = {
    "http/s": "HTTP", "sqs": "SQS", "lambda": "Lambda", "firehose": "Firehose", "application": "Application",
}  # fmt: skip


def _bucket(name: str, properties: Mapping[str, Any]) -> None:
    s3 = service("s3")
    rules = (properties.get("BucketEncryption") or {}).get("ServerSideEncryptionConfiguration") or ()
    if rules:
        s3._bucket_encryption[name] = _encryption_xml(rules)
    else:
        s3._bucket_encryption.pop(name, None)
    tags = {tag["Key"]: str(tag.get("Value", "")) for tag in properties.get("Tags") or ()}
    if tags:
        s3._bucket_tags[name] = tags
    for store, content in (
        (s3._bucket_lifecycle, bucket_properties.lifecycle(properties.get("LifecycleConfiguration") or {})),
        (s3._bucket_logging_config, bucket_properties.logging(properties.get("LoggingConfiguration"))),
    ):
        store.pop(name, None)
        if content:
            store[name] = content


def _encryption_xml(rules: Any) -> str:
    parts = []
    for rule in rules:
        default = rule.get("ServerSideEncryptionByDefault") or {}
        key = default.get("KMSMasterKeyID")
        parts.append(
            "<Rule><ApplyServerSideEncryptionByDefault>"
            f"<SSEAlgorithm>{escape(str(default.get('SSEAlgorithm', 'AES256')))}</SSEAlgorithm>"
            + (f"<KMSMasterKeyID>{escape(str(key))}</KMSMasterKeyID>" if key else "")
            + "</ApplyServerSideEncryptionByDefault>"
            f"<BucketKeyEnabled>{'true' if truth(rule.get('BucketKeyEnabled', False)) else 'false'}</BucketKeyEnabled></Rule>"
        )
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<ServerSideEncryptionConfiguration xmlns="{space}">{"".join(parts)}</ServerSideEncryptionConfiguration>'


def _function(name: str, properties: Mapping[str, Any]) -> None:
    record = service("lambda_svc")._functions[name]
    reserved = properties.get("ReservedConcurrentExecutions")
    record["concurrency"] = None if reserved is None else int(reserved)
    record["config"].pop("DeadLetterConfig", None)
    if properties.get("DeadLetterConfig"):
        record["config"]["DeadLetterConfig"] = dict(properties["DeadLetterConfig"])


def _table(name: str, properties: Mapping[str, Any]) -> None:
    dynamodb = service("dynamodb")
    # A table's physical id is its name.
    if ttl := properties.get("TimeToLiveSpecification"):
        spec = {"AttributeName": ttl.get("AttributeName", ""), "Enabled": truth(ttl.get("Enabled", False))}
        _checked(dynamodb._update_ttl({"TableName": name, "TimeToLiveSpecification": spec}))
    if recovery := properties.get("PointInTimeRecoverySpecification"):
        spec = {"PointInTimeRecoveryEnabled": truth(recovery.get("PointInTimeRecoveryEnabled", False))}
        _checked(dynamodb._update_continuous_backups({"TableName": name, "PointInTimeRecoverySpecification": spec}))
    if sse := properties.get("SSESpecification"):
        wanted = {
            "Enabled": truth(sse.get("SSEEnabled", False)),
            "SSEType": sse.get("SSEType"),
            "KMSMasterKeyId": sse.get("KMSMasterKeyId"),
        }
        dynamodb._tables[name]["SSEDescription"] = dynamodb._sse_description_from_spec(wanted)


def _rest_stage(name: str, properties: Mapping[str, Any]) -> None:
    stage = service("apigateway_v1")._stages_v1[properties["RestApiId"]][name]
    log = properties.get("AccessLogSetting") or {}
    stage["accessLogSettings"] = {
        key: log[given] for key, given in (("destinationArn", "DestinationArn"), ("format", "Format")) if log.get(given)
    }


def _http_stage(name: str, properties: Mapping[str, Any]) -> None:
    stage = service("apigateway")._stages[properties["ApiId"]][name]
    stage["defaultRouteSettings"] = {
        key[:1].lower() + key[1:]: value for key, value in (properties.get("DefaultRouteSettings") or {}).items()
    }


def _role(name: str, properties: Mapping[str, Any]) -> None:
    role = service("iam")._roles[name]
    role.pop("PermissionsBoundary", None)
    if properties.get("PermissionsBoundary"):
        role["PermissionsBoundary"] = properties["PermissionsBoundary"]


def _task_definition(arn: str, properties: Mapping[str, Any]) -> None:
    record = next(each for each in service("ecs")._task_defs.values() if each["taskDefinitionArn"] == arn)
    lower = service("cloudformation").provisioners._pascal_to_camel
    for container in record["containerDefinitions"]:
        for name in ("secrets", "ulimits", "dependsOn", "healthCheck", "linuxParameters", "repositoryCredentials"):
            if name in container:
                container[name] = lower(container[name])
    for name in ("RuntimePlatform", "EphemeralStorage"):
        record.pop(name[:1].lower() + name[1:], None)
        if properties.get(name):
            record[name[:1].lower() + name[1:]] = lower(properties[name])
    if size := (record.get("ephemeralStorage") or {}).get("sizeInGiB"):
        record["ephemeralStorage"]["sizeInGiB"] = int(size)


def _show_endpoint_policies() -> None:
    """A VPC endpoint's record keeps its policy, groups and private names; DescribeVpcEndpoints leaves them out."""
    ec2 = service("ec2")
    written = ec2._vpce_fields_xml

    def fields(endpoint: Mapping[str, Any], tag: str = "item") -> str:
        policy = endpoint.get("PolicyDocument")
        text = policy if isinstance(policy, str) else json.dumps(policy)
        groups = "".join(f"<item><groupId>{each}</groupId></item>" for each in endpoint.get("SecurityGroupIds") or ())
        private = "true" if truth(endpoint.get("PrivateDnsEnabled") or False) else "false"
        more = f"<groupSet>{groups}</groupSet><privateDnsEnabled>{private}</privateDnsEnabled>"
        if policy:
            more += f"<policyDocument>{escape(text)}</policyDocument>"
        plain: str = written(endpoint, tag)
        return plain.removesuffix(f"</{tag}>") + more + f"</{tag}>"

    ec2._vpce_fields_xml = fields


def _checked(response: tuple[int, Any, Any]) -> None:
    if response[0] >= 400:
        account, region = here()
        raise ValueError(f"{response[2]!r} ({account}, {region})")


_KEEPERS: dict[str, Keep] = {
    "AWS::ApiGateway::Stage": _rest_stage,
    "AWS::ApiGatewayV2::Stage": _http_stage,
    "AWS::DynamoDB::Table": _table,
    "AWS::ECS::TaskDefinition": _task_definition,
    "AWS::IAM::Role": _role,
    "AWS::Lambda::Function": _function,
    "AWS::S3::Bucket": _bucket,
    "AWS::SNS::Topic": _topic,
}
