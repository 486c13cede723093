"""What a check is, what it needs, and what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from deploy.validate.target import Target
from tocsin.errors import CloudError, InputError


class CheckFailedError(Exception):
    """What was checked is not so; the text is one line that says what was found instead."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold of the deployed systems.

    ``name`` never changes, ``holds`` is what must hold as a sentence, ``mend`` what to do where it does not.  ``run``
    returns what was found, in a few words, or raises CheckFailedError.
    """

    name: str
    holds: str
    mend: str
    run: Callable[[Target], str]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a check: ``found`` is the reason where it has not passed."""

    check: Check
    passed: bool
    seconds: float
    found: str


def perform(check: Check, target: Target) -> Result:
    """Run a check and time it.  What stops it from being carried out is a failure, too: nothing was shown."""
    begun = time.monotonic()
    try:
        found, passed = check.run(target), True
    except CheckFailedError as error:
        found, passed = str(error), False
    except (CloudError, InputError) as error:
        found, passed = f"cannot be carried out: {error}", False
    return Result(check, passed, time.monotonic() - begun, " ".join(found.split()))
