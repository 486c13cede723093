"""Objects of an S3 bucket that may change: listed, fetched unless unchanged, written on a condition, moved."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import CloudError
from .session import Cloud, asking, error_code

_GONE = ("404", "NoSuchKey", "NotFound")
# 412: the condition does not hold. 409: another conditional write of the same object is under way
# (Amazon S3 user guide, "How to prevent object overwrites with conditional writes").
_REFUSED = ("412", "PreconditionFailed", "409", "ConditionalRequestConflict")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object: ``etag`` changes with its content."""

    key: str
    etag: str


def list_objects(cloud: Cloud, bucket: str, prefix: str) -> list[StoredObject]:
    """Every object whose key begins with ``prefix``, by key.  Raises CloudError."""
    found: list[StoredObject] = []
    with _of(bucket, f"list s3://{bucket}/{prefix}"):
        for page in cloud.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            found += [StoredObject(item["Key"], item["ETag"].strip('"')) for item in page.get("Contents", [])]
    return sorted(found, key=lambda each: each.key)


def read_object(cloud: Cloud, bucket: str, key: str) -> tuple[bytes, str] | None:
    """Content and ETag of an object; None where there is none.  Raises CloudError."""
    with _of(bucket, f"read s3://{bucket}/{key}"):
        try:
            found = cloud.client("s3").get_object(Bucket=bucket, Key=key)
            return found["Body"].read(), found["ETag"].strip('"')
        except Exception as error:
            if error_code(error) in _GONE:
                return None
            raise


def write_object(
    cloud: Cloud, bucket: str, key: str, content: bytes, *, only_new: bool = False, instead_of: str | None = None
) -> str | None:
    """Put an object in one step and return its ETag; None where a condition does not hold.

    ``only_new``: there must be none yet.  ``instead_of``: what is there must have this ETag.  Raises CloudError.
    """
    condition = {"IfNoneMatch": "*"} if only_new else {}
    if instead_of is not None:
        condition["IfMatch"] = f'"{instead_of}"'
    with _of(bucket, f"write s3://{bucket}/{key}"):
        try:
            put = cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=content, **condition)
        except Exception as error:
            # If-Match on an object that has gone is a 404.
            if condition and error_code(error) in (*_REFUSED, *_GONE):
                return None
            raise
    return str(put["ETag"].strip('"'))


def move_object(cloud: Cloud, bucket: str, key: str, to: str, note: str) -> None:
    """Copy an object, with ``note`` in its metadata, and delete it.  Raises CloudError."""
    s3 = cloud.client("s3")
    plain = " ".join(note.encode("ascii", "replace").decode().split())[:1000]  # metadata is a header: one line, short
    with _of(bucket, f"move s3://{bucket}/{key}"):
        s3.copy_object(
            Bucket=bucket,
            Key=to,
            CopySource={"Bucket": bucket, "Key": key},
            Metadata={"tocsin-reason": plain},
            MetadataDirective="REPLACE",
        )
        s3.delete_object(Bucket=bucket, Key=key)


def delete_object(cloud: Cloud, bucket: str, key: str) -> None:
    """Delete an object that may be gone already.  Raises CloudError."""
    with _of(bucket, f"delete s3://{bucket}/{key}"):
        cloud.client("s3").delete_object(Bucket=bucket, Key=key)


def fetch_object(cloud: Cloud, bucket: str, key: str, to: Path) -> bool:
    """Write an object to a file that is complete or not there; False where there is no such object.

    Raises CloudError, OSError.
    """
    found = read_object(cloud, bucket, key)
    if found is None:
        return False
    to.parent.mkdir(parents=True, exist_ok=True)
    beside = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        beside.write_bytes(found[0])
        beside.replace(to)
    finally:
        beside.unlink(missing_ok=True)
    return True


@contextmanager
def _of(bucket: str, what: str) -> Iterator[None]:
    """Errors of boto3 as CloudErrors, and of a bucket that does not exist what to do."""
    with asking(what):
        try:
            yield
        except Exception as error:
            if error_code(error) == "NoSuchBucket":
                raise CloudError(
                    f"cannot {what}: bucket {bucket} does not exist; create it, or name another"
                ) from error
            raise
