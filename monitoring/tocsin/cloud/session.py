"""Connections to AWS, or to the endpoint that stands in for it, and its refusals as one-line errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from ..errors import CloudError

# "adaptive" slows down by itself when a service throttles (boto3 guide, "Retries").
_ATTEMPTS = 8
_PROBE_ATTEMPTS = 2
_CONNECT_SECONDS = 5

_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "UnauthorizedOperation",
}
_BAD_CREDENTIALS = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_UNTRUSTED = re.compile(r"certificate verify failed: ([^(\]]*[^(\] ])")
_LOG_IN = "log in again, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


@dataclass(frozen=True, slots=True)
class Cloud:
    """One account in one region; ``connect`` makes it."""

    region: str
    endpoint_url: str | None
    _session: Any = field(repr=False, compare=False)
    _clients: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def client(self, service: str) -> Any:
        """The boto3 client of a service, made once."""
        if service not in self._clients:
            self._clients[service] = self._make(service, _ATTEMPTS)
        return self._clients[service]

    def account(self) -> str:
        """The account the credentials belong to.

        Needs no permission, so it is the quick way to learn whether anything answers at all.  Raises CloudError.
        """
        with asking("find out the account"):
            identity = self._make("sts", _PROBE_ATTEMPTS).get_caller_identity()
        return str(identity["Account"])

    def _make(self, service: str, attempts: int) -> Any:
        Config: Any = import_module("botocore.config").Config  # noqa: N806  # boto3 is untyped
        config = Config(
            retries={"mode": "adaptive", "total_max_attempts": attempts},
            connect_timeout=_CONNECT_SECONDS,
            user_agent_extra="tocsin",
        )
        with asking(f"use {service}"):
            client = self._session.client(
                service, region_name=self.region, endpoint_url=self.endpoint_url, config=config
            )
            if service == "s3" and "amazonaws.com" not in client.meta.endpoint_url:
                # A stand-in has no name in the DNS for each bucket.
                path_style = config.merge(Config(s3={"addressing_style": "path"}))
                client = self._session.client(
                    service, region_name=self.region, endpoint_url=self.endpoint_url, config=path_style
                )
        return client


def connect(region: str | None = None, *, profile: str | None = None, endpoint_url: str | None = None) -> Cloud:
    """A connection for ``region``, by default that of the profile or of AWS_REGION.

    Without ``endpoint_url``, boto3's own settings decide: AWS_ENDPOINT_URL or ``endpoint_url`` in the AWS config file.
    Sends nothing yet.  Raises CloudError when there is no region or no such profile.
    """
    import os

    boto3: Any = import_module("boto3")
    with asking("read the AWS configuration"):
        core: Any = import_module("botocore.session").get_session()
        core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
        session = boto3.Session(botocore_session=core, profile_name=profile)
    # AWS_REGION is what Lambda and the AWS SDKs set; boto3 itself reads only AWS_DEFAULT_REGION.
    chosen = region or os.environ.get("AWS_REGION") or session.region_name
    if not chosen:
        raise CloudError("no AWS region: give the environment a region, or set AWS_REGION")
    return Cloud(chosen, endpoint_url, session)


def _moment(value: Any) -> datetime:
    """A timestamp of an answer.

    botocore puts a number into the local time zone with a library of its own: of an answer with 100,800 datapoints, that
    is 0.95 s of 1.10 s.  The AWS CLI gives botocore its own parser in the same way.
    """
    if isinstance(value, int | float):
        with suppress(ValueError, OverflowError, OSError):
            return datetime.fromtimestamp(value, UTC)
    parsed: datetime = import_module("botocore.utils").parse_timestamp(value)
    return parsed


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn every failure of boto3 inside the block into a CloudError; ``what`` completes "cannot …"."""
    try:
        yield
    except Exception as error:
        text = _explain(error, what)
        if text is None:
            raise
        raise CloudError(" ".join(text.split())) from error


def error_code(error: Exception) -> str:
    """The service's own code of a boto3 ClientError; empty for anything else."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def _explain(error: Exception, what: str) -> str | None:
    """What to tell the user, or None for an error that is not AWS's."""
    from botocore import exceptions as aws

    match error:
        case aws.ProfileNotFound():
            return f"cannot {what}: {error}; name one of your profiles, or unset AWS_PROFILE"
        case aws.NoCredentialsError() | aws.PartialCredentialsError() | aws.CredentialRetrievalError():
            return f"cannot {what}: no AWS credentials: {_LOG_IN}"
        case aws.SSOError() | aws.TokenRetrievalError():
            return f"cannot {what}: the AWS login has expired or is missing: {_LOG_IN}"
        case aws.NoRegionError():
            return f"cannot {what}: no AWS region: give the environment a region, or set AWS_REGION"
        case aws.SSLError():
            because = getattr(error, "kwargs", {}).get("error") or error
            untrusted = _UNTRUSTED.search(str(because))
            where = getattr(error, "kwargs", {}).get("endpoint_url") or "the endpoint"
            failed = f"the certificate of {where} is not trusted" if untrusted else f"there is no TLS with {where}"
            reason = untrusted[1] if untrusted else because
            return f"cannot {what}: {failed}: {reason}; check the address, and AWS_CA_BUNDLE, the file of authorities to trust"
        case aws.ConnectionError() | aws.HTTPClientError():
            endpoint = getattr(error, "kwargs", {}).get("endpoint_url")
            where = f"{endpoint} does not answer" if endpoint else f"the connection failed: {error}"
            return f"cannot {what}: {where}; check the network, the region and AWS_ENDPOINT_URL"
        case aws.ClientError():
            code = error_code(error)
            message = error.response.get("Error", {}).get("Message", "") or "no message"
            if code in _DENIED:
                return f"not allowed to {what}: {message}; ask for the permission, or use other credentials"
            if code in _BAD_CREDENTIALS:
                return f"cannot {what}: the AWS credentials are not accepted ({code}): {_LOG_IN}"
            return f"cannot {what}: {message} ({code})"
        case aws.BotoCoreError():
            return f"cannot {what}: {error}"
        case _:
            return None
