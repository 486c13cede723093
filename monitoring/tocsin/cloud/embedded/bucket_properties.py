"""A bucket's lifecycle rules and access logs, from the words of CloudFormation into those of S3's API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from .alarm_records import truth

_SPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def logging(properties: Mapping[str, Any] | None) -> str | None:
    """The BucketLoggingStatus document; None if the bucket logs nothing."""
    if not properties:
        return None
    key_format = ""
    if given := properties.get("TargetObjectKeyFormat"):
        source = (given.get("PartitionedPrefix") or {}).get("PartitionDateSource")
        chosen = (
            f"<PartitionedPrefix><PartitionDateSource>{escape(str(source))}</PartitionDateSource></PartitionedPrefix>"
        )
        key_format = f"<TargetObjectKeyFormat>{chosen if source else '<SimplePrefix/>'}</TargetObjectKeyFormat>"
    return (
        f'<BucketLoggingStatus xmlns="{_SPACE}"><LoggingEnabled>'
        f"<TargetBucket>{escape(str(properties.get('DestinationBucketName', '')))}</TargetBucket>"
        f"<TargetPrefix>{escape(str(properties.get('LogFilePrefix', '')))}</TargetPrefix>{key_format}"
        "</LoggingEnabled></BucketLoggingStatus>"
    )


def lifecycle(properties: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The rules as ministack's S3 keeps them; None without rules.  Raises ValueError for what S3 would refuse."""
    rules = [_rule(rule) for rule in properties.get("Rules") or ()]
    return rules or None


def _rule(given: Mapping[str, Any]) -> dict[str, Any]:
    status = given.get("Status")
    if status not in ("Enabled", "Disabled"):
        raise ValueError(f"Status of a lifecycle rule is Enabled or Disabled, not {status!r}")
    rule: dict[str, Any] = {"Status": status, "Filter": _filter(given)}
    if given.get("Id"):
        rule["ID"] = given["Id"]
    if expiration := _expiration(given):
        rule["Expiration"] = expiration
    old = given.get("NoncurrentVersionExpiration") or {}
    if days := old.get("NoncurrentDays") or given.get("NoncurrentVersionExpirationInDays"):
        rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": int(days), **_newer(old)}
    if upload := given.get("AbortIncompleteMultipartUpload"):
        rule["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": int(upload["DaysAfterInitiation"])}
    if transitions := given.get("Transitions") or [given[name] for name in ("Transition",) if given.get(name)]:
        rule["Transitions"] = [
            {
                "StorageClass": each["StorageClass"],
                **({"Days": int(each["TransitionInDays"])} if each.get("TransitionInDays") is not None else {}),
                **({"Date": each["TransitionDate"]} if each.get("TransitionDate") else {}),
            }
            for each in transitions
        ]
    if older := given.get("NoncurrentVersionTransitions"):
        rule["NoncurrentVersionTransitions"] = [
            {"StorageClass": each["StorageClass"], "NoncurrentDays": int(each["TransitionInDays"]), **_newer(each)}
            for each in older
        ]
    if len(rule) <= 2 + ("ID" in rule):
        raise ValueError("At least one action needs to be specified in a lifecycle rule")
    return rule


def _expiration(given: Mapping[str, Any]) -> dict[str, Any]:
    if given.get("ExpirationInDays") is not None:
        return {"Days": int(given["ExpirationInDays"])}
    if given.get("ExpirationDate"):
        return {"Date": given["ExpirationDate"]}
    if truth(given.get("ExpiredObjectDeleteMarker") or False):
        return {"ExpiredObjectDeleteMarker": True}
    return {}


def _newer(given: Mapping[str, Any]) -> dict[str, Any]:
    kept = given.get("NewerNoncurrentVersions")
    return {} if kept is None else {"NewerNoncurrentVersions": int(kept)}


def _filter(given: Mapping[str, Any]) -> dict[str, Any]:
    """Prefix, tags and sizes; more than one of them stand together in And."""
    parts: dict[str, Any] = {}
    if given.get("Prefix"):
        parts["Prefix"] = given["Prefix"]
    for name in ("ObjectSizeGreaterThan", "ObjectSizeLessThan"):
        if given.get(name) is not None:
            parts[name] = int(given[name])
    tags = [{"Key": tag["Key"], "Value": tag["Value"]} for tag in given.get("TagFilters") or ()]
    if len(parts) + len(tags) > 1:
        return {"And": {**parts, **({"Tags": tags} if tags else {})}}
    return {"Tag": tags[0]} if tags else parts or {"Prefix": ""}
