"""GetNotifications: the notifications of one user, newest first, a page at a time.

Environment: NOTIFICATIONS_TABLE.  ``GET /users/{user}/notifications?limit=20&cursor=…`` answers
``{"notifications": [{"day", "notification", "topic", "title", "body"}, …], "cursor": "…" or null}``.
A request that cannot be read is a 400; whatever goes wrong on our side is a 500.  Both carry ``{"error": "…"}``.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.clients import client
from deploy.structured_log import log

DEFAULT_LIMIT = 20
LARGEST_LIMIT = 100
LONGEST_USER = 256
FIELDS = ("day", "notification", "topic", "title", "body")
SORT_KEY = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}#.{1,1000}", re.DOTALL)  # DynamoDB allows a sort key 1,024 bytes


class BadRequestError(Exception):
    """The caller's mistake; the text is shown to him."""


@dataclass(frozen=True, slots=True)
class Request:
    """One page of one user's notifications: at most ``limit``, those after the sort key ``after`` if given."""

    user: str
    limit: int
    after: str | None


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Answer one API Gateway proxy event."""
    try:
        return respond(200, fetch(parse_request(event), int(time.time())))
    except BadRequestError as error:
        log("WARN", "bad-request", {"reason": str(error), "request_id": context.aws_request_id})
        return respond(400, {"error": str(error)})
    except Exception as error:  # the caller gets JSON whatever happens; the log gets the cause
        details = {"error": type(error).__name__, "reason": str(error), "traceback": traceback.format_exc()}
        log("ERROR", "request-failed", {**details, "request_id": context.aws_request_id})
        return respond(500, {"error": "internal error", "request_id": context.aws_request_id})


def parse_request(event: Mapping[str, Any]) -> Request:
    """What is asked for.  Raises BadRequestError with a text for the caller."""
    user = (event.get("pathParameters") or {}).get("user")
    if not isinstance(user, str) or not 0 < len(user) <= LONGEST_USER or not user.isprintable():
        raise BadRequestError(f"the user in the path must have 1 to {LONGEST_USER} printable characters")
    query = event.get("queryStringParameters") or {}
    return Request(user=user, limit=parse_limit(query.get("limit")), after=parse_cursor(query.get("cursor")))


def parse_limit(text: str | None) -> int:
    """The page size asked for, DEFAULT_LIMIT if none."""
    if text is None:
        return DEFAULT_LIMIT
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= LARGEST_LIMIT:
        raise BadRequestError(f"limit must be a whole number from 1 to {LARGEST_LIMIT}")
    return int(text)


def write_cursor(after: str) -> str:
    """The cursor that continues after this sort key.  It names no user, so it opens nobody else's notifications."""
    return base64.urlsafe_b64encode(after.encode()).decode().rstrip("=")


def parse_cursor(text: str | None) -> str | None:
    """The sort key in a cursor of ``write_cursor``."""
    if text is None:
        return None
    try:
        after = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        if SORT_KEY.fullmatch(after):
            return after.decode()
    except ValueError:  # not base64, or not UTF-8 inside
        pass
    raise BadRequestError("cursor is not one that this API gave out")


def fetch(request: Request, now: int) -> dict[str, Any]:
    """The page asked for.  Expired records are left out: the table deletes them only within a few days."""
    query: dict[str, Any] = {
        "TableName": os.environ["NOTIFICATIONS_TABLE"],
        "KeyConditionExpression": "#user = :user",
        "FilterExpression": "#expires_at > :now",
        "ExpressionAttributeNames": {"#user": "user", "#expires_at": "expires_at"},
        "ExpressionAttributeValues": {":user": {"S": request.user}, ":now": {"N": str(now)}},
        "ScanIndexForward": False,
        "Limit": request.limit,
    }
    if request.after is not None:
        query["ExclusiveStartKey"] = {"user": {"S": request.user}, "day_notification": {"S": request.after}}
    page = client("dynamodb").query(**query)
    last = page.get("LastEvaluatedKey")
    return {
        "notifications": [{name: item[name]["S"] for name in FIELDS} for item in page["Items"]],
        "cursor": None if last is None else write_cursor(last["day_notification"]["S"]),
    }


def respond(status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    """An API Gateway proxy answer; notifications are personal, so nobody on the way may keep it."""
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store"},
        "body": json.dumps(body, ensure_ascii=False),
    }
