"""An embedded AWS with a bucket, for the tests of histories in S3."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tocsin.cloud.embedded import embedded
from tocsin.cloud.session import Cloud, connect

BUCKET = "history-of-slos"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory) -> Iterator[Cloud]:
    """A connection to an embedded AWS that has the bucket."""
    with pytest.MonkeyPatch.context() as patch, embedded(tmp_path_factory.mktemp("aws")) as aws:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        made = connect(aws.region, endpoint_url=aws.endpoint)
        made.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.region})
        yield made


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The user's cache folder, empty."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder
