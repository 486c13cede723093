"""The bucket: reads one version of an object from end to end, also when a connection breaks, and writes quarantine files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy.clients import client
from deploy.structured_log import log

from .files import File

CHUNK = 1 << 17  # bytes handed to COPY at a time; larger ones were no quicker
PART = 8 << 20  # bytes of one part of a quarantine file; S3 takes 5 MiB to 5 GiB, 10,000 of them
TRIES = 5  # to go on reading without a single byte in between

# What a broken stream raises: botocore's own errors, or the socket's.  An answer of S3 that says no is another matter.
BROKEN = (BotoCoreError, OSError)


class S3Store:
    """Files in S3, with the function's own role."""

    def read(self, file: File) -> Iterator[bytes]:
        """The object's bytes.  A stream that breaks is taken up again where it broke: a version never changes."""
        position, total, failures = 0, None, 0
        while total is None or position < total:
            wanted: dict[str, Any] = {"Range": f"bytes={position}-"} if position else {}
            answer = client("s3").get_object(Bucket=file.bucket, Key=file.key, VersionId=file.version, **wanted)
            if position and not str(answer.get("ContentRange", "")).startswith(f"bytes {position}-"):
                answer["Body"].close()
                raise OSError(f"S3 was asked to go on at byte {position} of {file.key} and answered with another part")
            total = position + int(answer["ContentLength"])
            try:
                for chunk in answer["Body"].iter_chunks(CHUNK):
                    position += len(chunk)
                    failures = 0
                    yield chunk
            except BROKEN as error:
                failures += 1
                if failures >= TRIES:
                    raise
                log("WARN", "stream-broken", {"key": file.key, "position": position, "error": type(error).__name__})
            finally:
                answer["Body"].close()

    @contextmanager
    def quarantine(self, file: File) -> Iterator[_Upload]:
        """Write the file's quarantine file; in parts if it is large."""
        upload = _Upload(file.bucket, file.quarantine_key)
        try:
            yield upload
            upload.complete()
        except BaseException:
            upload.abort()
            raise


class _Upload:
    def __init__(self, bucket: str, key: str) -> None:
        self._object = {"Bucket": bucket, "Key": key}
        self._buffer = bytearray()
        self._upload: str | None = None
        self._parts: list[dict[str, Any]] = []

    def write(self, data: bytes) -> int:
        self._buffer += data
        if len(self._buffer) >= PART:
            self._send()
        return len(data)

    def complete(self) -> None:
        if self._upload is None:
            client("s3").put_object(**self._object, Body=bytes(self._buffer), ContentType="text/csv")
            return
        if self._buffer:
            self._send()
        client("s3").complete_multipart_upload(
            **self._object, UploadId=self._upload, MultipartUpload={"Parts": self._parts}
        )

    def abort(self) -> None:
        if self._upload is not None:
            with suppress(BotoCoreError, ClientError):  # the bucket's lifecycle removes what is left
                client("s3").abort_multipart_upload(**self._object, UploadId=self._upload)

    def _send(self) -> None:
        if self._upload is None:
            self._upload = client("s3").create_multipart_upload(**self._object, ContentType="text/csv")["UploadId"]
        number = len(self._parts) + 1
        sent = client("s3").upload_part(
            **self._object, UploadId=self._upload, PartNumber=number, Body=bytes(self._buffer)
        )
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        self._buffer.clear()
