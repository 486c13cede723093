"""A part of one version of an object: ministack's S3 takes the Range of a request only for the current version.

Source: Amazon S3 API Reference, GetObject: Range and versionId go together; checksums are of whole objects only.
"""

from __future__ import annotations

from typing import Any

from .base import service

Response = tuple[int, dict[str, str], Any]


def install() -> None:
    """Cut the answer to a request for a version as the request says."""
    s3 = service("s3")
    get_object = s3._get_object

    def get(bucket: str, key: str, headers: dict[str, str], *rest: Any, **named: Any) -> Response:
        status, answer, body = get_object(bucket, key, headers, *rest, **named)
        wanted = headers.get("range", "")
        if status != 200 or not wanted:  # a current version was cut already, and is a 206
            return status, answer, body
        cut = s3._parse_range(wanted, len(body))
        if cut is None:
            refusal = {"Content-Type": "application/xml", "Content-Range": f"bytes */{len(body)}"}
            return 416, refusal, s3._xml_body(s3._range_error_xml(bucket, key))
        start, end = cut
        kept = {name: value for name, value in answer.items() if not name.lower().startswith("x-amz-checksum-")}
        piece = body[start : end + 1]
        kept |= {"Content-Length": str(len(piece)), "Content-Range": f"bytes {start}-{end}/{len(body)}"}
        return 206, kept, piece

    s3._get_object = get
