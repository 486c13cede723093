"""Checks of the deployed systems, not of their templates: what must work works, what must be refused is refused.

It is the gate between environments: `make validate ENV=qa` stands between qa and prod.
"""

from collections.abc import Iterator

from deploy.validate import (
    alarms_exist,
    alarms_ok,
    alarms_reach_people,
    dead_letters,
    file_travels,
    notification_travels,
    other_user,
    plain_database,
    plain_http,
    public_bucket,
    reader_writes,
    unsigned_call,
)
from deploy.validate.check import Check, CheckFailedError, Result, perform
from deploy.validate.target import PATIENCE_SECONDS, Target, target_of
from deploy.validate.wording import as_json
from tocsin.cloud.environments import Environment

CHECKS: tuple[Check, ...] = (
    notification_travels.CHECK,
    file_travels.CHECK,
    plain_http.CHECK,
    unsigned_call.CHECK,
    other_user.CHECK,
    reader_writes.CHECK,
    plain_database.CHECK,
    public_bucket.CHECK,
    alarms_exist.CHECK,
    alarms_ok.CHECK,
    alarms_reach_people.CHECK,
    dead_letters.CHECK,
)
"""In this order: the synthetic work first, so that what it leaves in a dead-letter queue is seen."""


def validate(environment: Environment, *, patience: float = PATIENCE_SECONDS) -> Iterator[Result]:
    """The result of each check as soon as there is one.  Raises CloudError where nothing is deployed to be checked."""
    target = target_of(environment, patience)
    return (perform(check, target) for check in CHECKS)


__all__ = ["CHECKS", "Check", "CheckFailedError", "Result", "Target", "as_json", "perform", "target_of", "validate"]
