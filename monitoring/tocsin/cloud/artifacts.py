"""Files that CloudFormation fetches from S3: templates too large to send along, and code."""

from __future__ import annotations

import hashlib

from ..errors import CloudError, QuotaError
from .session import Cloud, asking, error_code

# AWS CloudFormation quotas: "Template body size in a request" and "Template body size in an S3 object".
MAX_INLINE_BYTES = 51_200
MAX_BYTES = 1_000_000


def refuse_oversize(text: str, source: str, bucket: str | None) -> None:
    """Refuse a template that CloudFormation will not take; ``source`` names it in errors.

    Raises QuotaError over 1 MB, CloudError where a bucket is needed and there is none.
    """
    size = len(text.encode())
    if size > MAX_BYTES:
        raise QuotaError(
            f"{source}: {size:,} bytes, but CloudFormation takes at most {MAX_BYTES:,}; split the system in two"
        )
    if size > MAX_INLINE_BYTES and bucket is None:
        raise CloudError(
            f"{source}: {size:,} bytes, more than the {MAX_INLINE_BYTES:,} that fit into a request; "
            "give the environment an artifacts_bucket"
        )


def template_argument(cloud: Cloud, text: str, source: str, bucket: str | None) -> dict[str, str]:
    """How to hand a template to CloudFormation: in the request, or through ``bucket`` when it is too large for that.

    Raises QuotaError and CloudError as ``refuse_oversize`` does, and CloudError when the bucket takes nothing.
    """
    refuse_oversize(text, source, bucket)
    if bucket is None or len(text.encode()) <= MAX_INLINE_BYTES:
        return {"TemplateBody": text}
    key = upload(cloud, bucket, "templates", text.encode(), ".yaml")
    return {"TemplateURL": f"{cloud.client('s3').meta.endpoint_url}/{bucket}/{key}"}


def upload(cloud: Cloud, bucket: str, folder: str, content: bytes, suffix: str) -> str:
    """Put ``content`` under a key made of its own hash, so that equal content is one object; returns the key."""
    key = f"tocsin/{folder}/{hashlib.sha256(content).hexdigest()}{suffix}"
    put_object(cloud, bucket, key, content)
    return key


def put_object(cloud: Cloud, bucket: str, key: str, content: bytes) -> None:
    """Put ``content`` under ``key``, which must be made of the content: what is there already is not sent again.

    Raises CloudError.
    """
    s3 = cloud.client("s3")
    with asking(f"put {key} into bucket {bucket}"):
        try:
            s3.head_object(Bucket=bucket, Key=key)
        except Exception as error:
            # Without the permission to list the bucket, S3 answers 403 for what is not there.
            if error_code(error) not in ("403", "404", "NoSuchKey", "NotFound", "NoSuchBucket"):
                raise
        else:
            return
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=content)
        except Exception as error:
            if error_code(error) == "NoSuchBucket":
                raise CloudError(
                    f"bucket {bucket} does not exist; create it, or name another artifacts_bucket"
                ) from error
            raise
