"""One call of the notifications API: who calls, what he asks for, and whether he may.

Environment: API_AUTHORIZATION (AWS_IAM or JWT), USER_SESSIONS: the ARN that the sessions of the stack's role for users
begin with.  Source of the event's shape: API Gateway Developer Guide, "Working with AWS Lambda proxy integrations for
HTTP APIs", payload format 2.0.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from .days import parse_day

DEFAULT_LIMIT = 20
LARGEST_LIMIT = 100
PARAMETERS = ("cursor", "limit", "since", "until")
LONGEST_USER = 256
DIGEST = 8


class BadRequestError(Exception):
    """The caller's mistake; the text is shown to him."""


class ForbiddenError(Exception):
    """The caller may not have this; the text is for our log only."""


@dataclass(frozen=True, slots=True)
class Request:
    """One page of one user's notifications: at most ``limit``, of the days from ``since`` to ``until`` (both included).

    ``after`` is the sort key of the last notification of the page before.
    """

    user: str
    limit: int = DEFAULT_LIMIT
    since: date | None = None
    until: date | None = None
    after: str | None = None

    @property
    def bounds(self) -> tuple[str | None, str | None]:
        """The sort keys between which the notifications lie."""
        first = None if self.since is None else f"{self.since.isoformat()}#"
        last = None if self.until is None else f"{self.until.isoformat()}$"  # $ comes right after # and in no key
        return first, last


def parse_request(event: Mapping[str, Any]) -> Request:
    """What is asked for.  Raises ForbiddenError, and BadRequestError with a text for the caller."""
    user = (event.get("pathParameters") or {}).get("user")
    if not isinstance(user, str) or not 0 < len(user) <= LONGEST_USER or not user.isprintable():
        raise BadRequestError(f"the user in the path must have 1 to {LONGEST_USER} printable characters")
    caller = caller_of(event)
    if caller != user:
        raise ForbiddenError(f"{caller!r} asked for the notifications of {user!r}")
    query = event.get("queryStringParameters") or {}
    if unknown := sorted(name for name in query if name not in PARAMETERS):
        raise BadRequestError(f"unknown parameter {unknown[0][:60]!r}; there are {', '.join(PARAMETERS)}")
    limit = parse_limit(query.get("limit"))
    since, until = (parse_bound(name, query.get(name)) for name in ("since", "until"))
    if since is not None and until is not None and since > until:
        raise BadRequestError(f"since ({since}) is later than until ({until})")
    request = Request(user, limit, since, until)
    cursor = query.get("cursor")
    return request if cursor is None else Request(user, limit, since, until, parse_cursor(cursor, request))


def caller_of(event: Mapping[str, Any]) -> str:
    """The user whom the API's authorizer found the caller to be.  Raises ForbiddenError if he is no user.

    A token names him as its subject; a signed call is made in a session of the users' role, which carries his name.
    """
    authorizer = event.get("requestContext", {}).get("authorizer") or {}
    if os.environ["API_AUTHORIZATION"] == "JWT":
        subject = (authorizer.get("jwt") or {}).get("claims", {}).get("sub")
        if isinstance(subject, str) and subject:
            return subject
        raise ForbiddenError("the token has no subject")
    arn, sessions = str((authorizer.get("iam") or {}).get("userArn")), os.environ["USER_SESSIONS"]
    if sessions and arn.startswith(sessions) and arn != sessions:
        return arn.removeprefix(sessions)
    raise ForbiddenError(f"{arn} is no session of the role for users")


def parse_limit(text: str | None) -> int:
    """The page size asked for, DEFAULT_LIMIT if none."""
    if text is None:
        return DEFAULT_LIMIT
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= LARGEST_LIMIT:
        raise BadRequestError(f"limit must be a whole number from 1 to {LARGEST_LIMIT}")
    return int(text)


def parse_bound(name: str, text: str | None) -> date | None:
    """The day in ``since`` or ``until``."""
    if text is None:
        return None
    try:
        return parse_day(text)
    except ValueError as error:
        raise BadRequestError(f"{name}: {error}") from None


def write_cursor(request: Request, after: str) -> str:
    """The cursor that goes on after this sort key, for the same user and the same days."""
    content = after.encode()
    return base64.urlsafe_b64encode(_digest(request, content) + content).decode().rstrip("=")


def parse_cursor(text: str, request: Request) -> str:
    """The sort key in a cursor of ``write_cursor``.  Raises BadRequestError for any other text.

    Nothing secret protects a cursor, nor has to: it only says where among the caller's own notifications to go on.
    """
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        digest, after = content[:DIGEST], content[DIGEST:].decode()
    except ValueError:  # not base64, or not UTF-8 inside
        digest, after = b"", ""
    first, last = request.bounds
    inside = (first is None or first <= after) and (last is None or after < last)
    if not after or not inside or digest != _digest(request, after.encode()):
        raise BadRequestError("cursor is not one that this API gave out for this user, since and until")
    return after


def _digest(request: Request, after: bytes) -> bytes:
    bound = json.dumps([request.user, *request.bounds]).encode()
    return hashlib.blake2b(bound + b"\0" + after, digest_size=DIGEST).digest()
