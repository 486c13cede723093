"""Runs the contracting migrations: what the release before still needed is dropped once this one is validated."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.validate.target import DATA_PIPELINE, target_of
from tocsin.cloud.environments import Environment
from tocsin.errors import CloudError


def contract(environment: Environment) -> Iterator[str]:
    """Let Migrator run them; yields what was applied.  Raises CloudError when one fails, which changes nothing."""
    answer = target_of(environment).invoke(DATA_PIPELINE, "Migrator", {"phase": "contract"})
    if not isinstance(answer, dict) or "applied" not in answer:
        raise CloudError(f"Migrator answered {answer!r} instead of what it applied; look at its log")
    applied = answer["applied"]
    yield from (f"applied {name}" for name in applied)
    if not applied:
        yield f"{environment.name}: no contracting migration was left to apply"
