"""Requests to the API: signed with given credentials, with a token, or with nothing."""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from deploy.validate.check import CheckFailedError


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.  ``content`` is the JSON body, or its text where it is none."""

    status: int
    content: Any

    @property
    def message(self) -> str:
        """What the API said about it."""
        told = self.content.get("message", "") if isinstance(self.content, dict) else self.content
        return str(told or "")[:200]


def get(url: str, headers: Mapping[str, str] = {}) -> Answer:
    """GET an address; statuses of refusal are answers.  Raises CheckFailedError where nothing answers."""
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310  # an address that AWS told
    # The same certificates as boto3, so that a stand-in for AWS is trusted by the same setting.
    context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
    try:
        with urllib.request.build_opener(urllib.request.HTTPSHandler(context=context)).open(
            request, timeout=30
        ) as answer:
            return Answer(answer.status, _content(answer.read()))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _content(error.read()))
    except OSError as error:
        raise CheckFailedError(f"{url} does not answer: {error}") from None


def signature(url: str, credentials: Mapping[str, str], region: str) -> dict[str, str]:
    """The headers of a GET signed with an assumed role's credentials (Signature Version 4)."""
    request = import_module("botocore.awsrequest").AWSRequest("GET", url)
    identity = import_module("botocore.credentials").Credentials(
        credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
    )
    import_module("botocore.auth").SigV4Auth(identity, "execute-api", region).add_auth(request)
    return dict(request.headers.items())


def _content(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
