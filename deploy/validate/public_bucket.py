"""Nothing makes the bucket public."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from deploy.validate.check import Check, CheckFailedError
from deploy.validate.target import DATA_PIPELINE, Target
from tocsin.cloud.session import asking, error_code

# Amazon S3 user guide, "Blocking public access to your Amazon S3 storage": all four.
SETTINGS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
REFUSALS = ("AccessDenied", "403")


def run(target: Target) -> str:
    """Read the bucket's settings and its policy's status, then try to list and to read it without credentials."""
    bucket = target.output(DATA_PIPELINE, "IncomingName")
    if gaps := [*_blocked(target, bucket), *_policy(target, bucket), *_anonymous(target, bucket)]:
        raise CheckFailedError(f"bucket {bucket}: {'; '.join(gaps)}")
    return "public access is blocked; nobody gets in without credentials"


def _blocked(target: Target, bucket: str) -> Iterator[str]:
    with asking(f"read the public access block of bucket {bucket}"):
        try:
            block = target.client("s3").get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        except Exception as error:
            if error_code(error) != "NoSuchPublicAccessBlockConfiguration":
                raise
            block = {}
    if off := [setting for setting in SETTINGS if block.get(setting) is not True]:
        yield f"{', '.join(off)} {'is' if len(off) == 1 else 'are'} off"


def _policy(target: Target, bucket: str) -> Iterator[str]:
    with asking(f"read the policy status of bucket {bucket}"):
        try:
            status = target.client("s3").get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]
        except Exception as error:
            if error_code(error) == "NoSuchBucketPolicy":
                return  # then it is not public; plain_http says what is amiss
            raise
    if status.get("IsPublic"):
        yield "its policy is public"


def _anonymous(target: Target, bucket: str) -> Iterator[str]:
    s3 = target.anonymous("s3")
    requests: dict[str, Callable[[], object]] = {
        "listed": lambda: s3.list_objects_v2(Bucket=bucket, MaxKeys=1),
        "read": lambda: s3.get_object(Bucket=bucket, Key="incoming/synthetic/nothing.csv"),
        "written": lambda: s3.put_object(Bucket=bucket, Key="incoming/synthetic/nobody.csv", Body=b"id,put_at\n"),
    }
    for what, ask in requests.items():
        with asking(f"ask bucket {bucket} without credentials"):
            try:
                ask()
            except Exception as error:
                code = error_code(error)
                if code in REFUSALS:
                    continue
                # Whoever is told that a key does not exist may list the bucket.
                if code != "NoSuchKey":
                    raise
        yield f"it was {what} without credentials"


CHECK = Check(
    name="public-access-refused",
    holds="the bucket is not public",
    mend="stop: block public access at once (aws s3api put-public-access-block), then deploy again",
    run=run,
)
