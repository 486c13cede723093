"""The bucket refuses plain HTTP, whoever asks."""

from __future__ import annotations

from deploy.validate.check import Check, CheckFailedError
from deploy.validate.target import DATA_PIPELINE, Target
from tocsin.cloud.session import asking, error_code


def run(target: Target) -> str:
    """List the bucket over HTTP with the caller's credentials, which over TLS are good enough."""
    bucket = target.output(DATA_PIPELINE, "IncomingName")
    with asking(f"list bucket {bucket}"):
        target.client("s3").list_objects_v2(Bucket=bucket, MaxKeys=1)
    plain = target.plain("s3")
    with asking(f"list bucket {bucket} over plain HTTP"):
        try:
            plain.list_objects_v2(Bucket=bucket, MaxKeys=1)
        except Exception as error:
            if error_code(error) in ("AccessDenied", "403"):
                return "refused with AccessDenied; the same over TLS is answered"
            raise
    raise CheckFailedError(f"bucket {bucket} was listed over plain HTTP")


CHECK = Check(
    name="plain-http-refused",
    holds="the bucket refuses plain HTTP",
    mend="deploy again: the bucket's policy must deny every request where aws:SecureTransport is false",
    run=run,
)
