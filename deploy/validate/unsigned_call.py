"""The API refuses whoever does not say who he is."""

from __future__ import annotations

from deploy.validate.check import Check, CheckFailedError
from deploy.validate.target import Target
from deploy.validate.web import get


def run(target: Target) -> str:
    """Ask without signature and without token."""
    answer = get(target.notifications_url("synthetic-nobody"))
    if answer.status not in (401, 403):
        raise CheckFailedError(f"an unsigned request was answered with {answer.status}, not 401 or 403")
    return f"refused with {answer.status}"


CHECK = Check(
    name="unsigned-call-refused",
    holds="the API refuses an unsigned call",
    mend="deploy again: the route must have an authorizer, AWS_IAM or JWT",
    run=run,
)
