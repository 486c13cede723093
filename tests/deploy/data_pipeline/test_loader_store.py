"""The bucket: reading goes on where a connection broke, quarantine files are there as a whole, in parts when they are large."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError, ResponseStreamingError
from botocore.response import StreamingBody
from deploy.data_pipeline.handlers import loader, store
from deploy.data_pipeline.handlers.contracts import TABLES
from deploy.data_pipeline.handlers.files import File
from deploy.data_pipeline.handlers.load import load
from deploy.data_pipeline.handlers.store import S3Store
from loading_tools import ARRIVED, Database

from tocsin.cloud.embedded import embedded


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of the embedded AWS with a versioned bucket."""
    with embedded(tmp_path_factory.mktemp("aws")) as aws:
        environment = aws.boto3_environment()
        client = boto3.client(
            "s3",
            region_name=environment.get("AWS_DEFAULT_REGION", "eu-west-1"),
            endpoint_url=aws.endpoint,
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_bucket(Bucket="incoming", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        client.put_bucket_versioning(Bucket="incoming", VersioningConfiguration={"Status": "Enabled"})
        yield client


@pytest.fixture
def through(s3: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(store, "client", lambda service: s3)
    return s3


def put(s3: Any, key: str, content: bytes) -> File:
    return File("incoming", key, s3.put_object(Bucket="incoming", Key=key, Body=content)["VersionId"], ARRIVED)


class TestRead:
    def test_the_version_is_read_not_the_newest(self, through: Any) -> None:
        first = put(through, "incoming/a.csv", b"first")
        put(through, "incoming/a.csv", b"second")
        assert b"".join(S3Store().read(first)) == b"first"

    def test_an_empty_object_is_no_endless_one(self, through: Any) -> None:
        assert b"".join(S3Store().read(put(through, "incoming/empty.csv", b""))) == b""

    @pytest.mark.parametrize(
        "error",
        [
            ConnectionResetError("peer"),
            ResponseStreamingError(error=ValueError("broken")),
            ReadTimeoutError(endpoint_url="https://s3"),
        ],
    )
    def test_a_broken_stream_is_taken_up_where_it_broke(
        self, through: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        content = bytes(range(256)) * 4096
        file = put(through, "incoming/large.csv", content)
        asked: list[Any] = []

        class Breaking:
            def get_object(self, **wanted: Any) -> Any:
                asked.append(wanted.get("Range"))
                answer = through.get_object(**wanted)
                answer["Body"] = Body(answer["Body"], breaks=len(asked) < 4)
                return answer

        class Body:
            def __init__(self, body: StreamingBody, *, breaks: bool) -> None:
                self._body, self._breaks = body, breaks

            def iter_chunks(self, size: int) -> Iterator[bytes]:
                for number, chunk in enumerate(self._body.iter_chunks(size)):
                    if self._breaks and number == 2:
                        raise error
                    yield chunk

            def close(self) -> None:
                self._body.close()

        monkeypatch.setattr(store, "client", lambda service: Breaking())
        assert b"".join(S3Store().read(file)) == content
        assert asked == [None, f"bytes={2 * store.CHUNK}-", f"bytes={4 * store.CHUNK}-", f"bytes={6 * store.CHUNK}-"]

    def test_a_stream_that_never_gets_on_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Dead:
            tries = 0

            def get_object(self, **wanted: Any) -> Any:
                Dead.tries += 1
                return {"ContentLength": 10, "Body": self}

            def iter_chunks(self, size: int) -> Iterator[bytes]:
                raise ConnectionResetError("peer")

            def close(self) -> None:
                pass

        monkeypatch.setattr(store, "client", lambda service: Dead())
        with pytest.raises(ConnectionResetError):
            list(S3Store().read(File("incoming", "incoming/a.csv", "v1", ARRIVED)))
        assert Dead.tries == store.TRIES


class TestQuarantine:
    def file(self, name: str) -> File:
        return File("incoming", f"incoming/airlines/{name}.csv", "v1", ARRIVED)

    @pytest.mark.parametrize("pieces", [0, 1, 7])
    def test_it_holds_what_was_written(self, through: Any, monkeypatch: pytest.MonkeyPatch, pieces: int) -> None:
        monkeypatch.setattr(store, "PART", 6 << 20)
        piece = b"line,reason,row\n" * (1 << 17)
        with S3Store().quarantine(self.file(f"q{pieces}")) as sink:
            for _ in range(pieces):
                sink.write(piece)
        found = through.get_object(Bucket="incoming", Key=f"quarantine/airlines/q{pieces}.csv/v1.csv")
        assert found["Body"].read() == piece * pieces

    def test_one_that_is_not_finished_is_not_there(self, through: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store, "PART", 1000)
        with pytest.raises(KeyError), S3Store().quarantine(self.file("half")) as sink:  # noqa: PT012
            sink.write(b"x" * 2000)
            raise KeyError
        assert "Contents" not in through.list_objects_v2(Bucket="incoming", Prefix="quarantine/airlines/half")
        assert not through.list_multipart_uploads(Bucket="incoming").get("Uploads")


def test_a_file_travels_from_bucket_to_table_and_its_bad_row_to_quarantine(
    through: Any, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loader, "connect", database.connect)
    monkeypatch.setenv("MAX_REJECTED_SHARE", "0.5")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "the-loader")
    monkeypatch.delenv("TASK_DEFINITION", raising=False)
    file = put(through, "incoming/airlines/ü b.csv", b"carrier,name\nAA,American\nX\n")
    record = {
        "eventTime": "2026-11-21T06:00:00.000Z",
        "s3": {
            "bucket": {"name": "incoming"},
            "object": {"key": "incoming/airlines/%C3%BC+b.csv", "versionId": file.version, "size": 30},
        },
    }
    context = type("Context", (), {"aws_request_id": "r", "get_remaining_time_in_millis": lambda self: 300_000})()
    assert loader.handler({"Records": [record]}, context)["loaded"] == 1
    assert database.rows("select * from airlines") == [["AA", "American"]]
    logged = json.loads(capsys.readouterr().out.splitlines()[0])
    kept = through.get_object(Bucket="incoming", Key=logged["quarantine"])["Body"].read().decode()
    assert kept == "line,reason,row\n3,1 values where 2 are wanted,X\n"


def test_a_version_that_is_gone_fails_and_leaves_nothing(through: Any, database: Database) -> None:
    file = put(through, "incoming/airlines/gone.csv", b"carrier,name\nAA,American\n")
    through.delete_object(Bucket="incoming", Key=file.key, VersionId=file.version)
    with closing(database.connect()) as connection, pytest.raises(through.exceptions.ClientError, match="NoSuch"):
        load(connection, file, S3Store(), TABLES, deadline=lambda: None, max_rejected_share=1)
    assert database.rows("select count(*) from loaded_files") == [[0]]
