"""GetNotifications: the notifications of one user, newest first, a page at a time.

Environment: NOTIFICATIONS_TABLE, and what request.py names.  ``GET /users/{user}/notifications`` with the query
parameters ``limit``, ``since``, ``until`` and ``cursor`` answers ``{"notifications": [{"day", "notification", "topic",
"title", "body"}, …], "cursor": "…" or null}``.  A request that cannot be read is a 400, one for somebody else's
notifications a 403; whatever goes wrong on our side is a 500.  All carry ``{"error": "…"}``.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Mapping
from typing import Any

from deploy.clients import client
from deploy.structured_log import log

from .request import BadRequestError, ForbiddenError, Request, parse_request, write_cursor

FIELDS = ("day", "notification", "topic", "title", "body")


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Answer one event of the HTTP API."""
    where = {"request_id": context.aws_request_id}
    try:
        return respond(200, fetch(parse_request(event), int(time.time())))
    except BadRequestError as error:
        log("WARN", "bad-request", {**where, "reason": str(error)})
        return respond(400, {"error": str(error)})
    except ForbiddenError as error:
        log("WARN", "forbidden", {**where, "reason": str(error)})
        return respond(403, {"error": "these notifications are another user's"})
    except Exception as error:  # the caller gets JSON whatever happens; the log gets the cause
        details = {"error": type(error).__name__, "reason": str(error), "traceback": traceback.format_exc()}
        log("ERROR", "request-failed", {**where, **details})
        return respond(500, {"error": "internal error", **where})


def fetch(request: Request, now: int) -> dict[str, Any]:
    """The page asked for.  Expired records are left out: the table deletes them only within a few days."""
    values: dict[str, Any] = {":user": {"S": request.user}, ":now": {"N": str(now)}}
    condition = "#user = :user"
    first, last = request.bounds
    if first is not None:
        values[":first"] = {"S": first}
    if last is not None:
        values[":last"] = {"S": last}
    if first is not None and last is not None:
        condition += " AND #key BETWEEN :first AND :last"
    elif first is not None:
        condition += " AND #key >= :first"
    elif last is not None:
        condition += " AND #key <= :last"
    names = {"#user": "user", "#expires_at": "expires_at"}
    if "#key" in condition:
        names["#key"] = "day_notification"
    start: dict[str, Any] = {}
    if request.after is not None:
        start["ExclusiveStartKey"] = {"user": {"S": request.user}, "day_notification": {"S": request.after}}
    page = client("dynamodb").query(
        TableName=os.environ["NOTIFICATIONS_TABLE"],
        KeyConditionExpression=condition,
        FilterExpression="#expires_at > :now",
        ExpressionAttributeNames=names,
        ExpressionAttributeValues=values,
        ScanIndexForward=False,
        Limit=request.limit,
        **start,
    )
    end = page.get("LastEvaluatedKey")
    return {
        "notifications": [{name: item[name]["S"] for name in FIELDS} for item in page["Items"]],
        "cursor": None if end is None else write_cursor(request, end["day_notification"]["S"]),
    }


def respond(status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    """An answer in payload format 2.0; notifications are personal, so nobody on the way may keep it."""
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store"},
        "body": json.dumps(body, ensure_ascii=False),
    }
