"""A user of the API for the length of a check: assumed by the identity layer's role, or the bearer of a token."""

from __future__ import annotations

import base64
import binascii
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.validate.check import CheckFailedError
from deploy.validate.target import NOTIFICATION, Target
from deploy.validate.web import Answer, get, signature
from tocsin.cloud.session import asking

SESSION_SECONDS = 900  # the shortest that STS grants


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who may read the notifications of ``user`` and of nobody else."""

    target: Target
    user: str
    _credentials: Mapping[str, str] | None
    _token: str | None

    def reads(self, user: str) -> Answer:
        """What the API answers this reader about a user."""
        url = self.target.notifications_url(user)
        if self._credentials is not None:
            return get(url, signature(url, self._credentials, self.target.cloud.region))
        return get(url, {"Authorization": f"Bearer {self._token}"})


def reader(target: Target) -> Reader:
    """A synthetic user, or the one the configured token is for.  Raises CheckFailedError, CloudError."""
    if target.parameter(NOTIFICATION, "ApiAuthorization") == "JWT":
        token = _token(target)
        return Reader(target, _subject(token), None, token)
    user = f"synthetic-{uuid.uuid4().hex[:16]}"
    role = target.output(NOTIFICATION, "UserRoleArn")
    with asking(f"assume {role} as user {user}"):
        answer = target.client("sts").assume_role(RoleArn=role, RoleSessionName=user, DurationSeconds=SESSION_SECONDS)
    return Reader(target, user, answer["Credentials"], None)


def _token(target: Target) -> str:
    """The token in the configured variable."""
    environment = target.environment
    if environment.validation_token is None:
        raise CheckFailedError(
            f"the API wants a token: state {environment.name}.validation_token = {{ variable = "
            f'"VALIDATION_TOKEN" }} in {environment.path}'
        )
    token = os.environ.get(environment.validation_token.variable, "").strip()
    if not token:
        raise CheckFailedError(f"the API wants a token, but {environment.validation_token.variable} is not set")
    return token


def _subject(token: str) -> str:
    """The user a token is for: its claim ``sub`` (RFC 7519).  It is the API that verifies the token."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return str(claims["sub"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        raise CheckFailedError("the token is no JSON Web Token with a claim sub") from None
