"""Which secret says where a topic's alerts go, read when needed and kept for a few minutes.

Environment: ENVIRONMENT.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import fields

from botocore.exceptions import BotoCoreError, ClientError

from deploy.clients import client
from tocsin.model import Severity
from tocsin.paging.tool import Delivery, secret_name

from .failures import RefusedError, TryLaterError

KEPT_SECONDS = 300.0
_kept: dict[str, tuple[float, Delivery]] = {}


def secret_of(topic_arn: str) -> str:
    """The name of the secret for a topic, ``<environment>-tocsin-<owner>-<severity>``.  Raises RefusedError."""
    environment = os.environ["ENVIRONMENT"]
    topic = topic_arn.rpartition(":")[2]
    severities = "|".join(severity.value for severity in Severity)
    found = re.fullmatch(rf"{re.escape(environment)}-tocsin-(.+)-({severities})", topic)
    if found is None:
        raise RefusedError(f"topic {topic!r} is none of the routing of {environment}: no secret says where it goes")
    return secret_name(environment, found[1], Severity(found[2]))


def delivery(name: str, *, anew: bool = False) -> Delivery:
    """Where that secret says to deliver; ``anew`` reads it whatever is remembered.  Raises TryLaterError."""
    kept = _kept.get(name)
    if kept is not None and not anew and time.monotonic() - kept[0] < KEPT_SECONDS:
        return kept[1]
    try:
        text = client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    except (ClientError, BotoCoreError, KeyError) as error:
        raise TryLaterError(f"secret {name} cannot be read: {code_of(error)}") from None
    try:
        parsed = json.loads(text)
        stated = {each.name: parsed.get(each.name, "") for each in fields(Delivery)}
    except (ValueError, AttributeError):
        stated = {}
    if not stated.get("endpoint") or not all(isinstance(value, str) for value in stated.values()):
        raise TryLaterError(f"secret {name} holds no delivery: run `tocsin oncall apply`")
    found = Delivery(**stated)
    _kept[name] = (time.monotonic(), found)
    return found


def forget() -> None:
    """Read every secret anew when it is next wanted."""
    _kept.clear()


def code_of(error: Exception) -> str:
    """AWS's word for an error, or the error's own name: never its text, which may quote what was sent."""
    response = getattr(error, "response", None)
    return (
        str(response["Error"]["Code"]) if isinstance(response, dict) and "Error" in response else type(error).__name__
    )
