"""What came of a validation, for a person and for a machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from deploy.validate.check import Result


def lines(result: Result) -> Iterator[str]:
    """A check; where it has not passed, also why and what to do."""
    mark = "ok    " if result.passed else "FAILED"
    yield f"{mark} {result.seconds:6.1f} s  {result.check.name:<23} {result.check.holds}"
    if not result.passed:
        yield f"{'':17}why: {result.found}"
        yield f"{'':17}do:  {result.check.mend}"


def summary(results: Sequence[Result]) -> str:
    """All of it in one line."""
    seconds = sum(result.seconds for result in results)
    failed = [result.check.name for result in results if not result.passed]
    if not failed:
        return f"validated: {len(results)} checks in {seconds:.1f} s"
    return f"{len(failed)} of {len(results)} checks failed in {seconds:.1f} s: {', '.join(failed)}"


def as_json(environment: str, results: Sequence[Result]) -> dict[str, Any]:
    """All of it for a machine."""
    return {
        "environment": environment,
        "passed": all(result.passed for result in results),
        "checks": [
            {
                "name": result.check.name,
                "holds": result.check.holds,
                "passed": result.passed,
                "seconds": round(result.seconds, 3),
                "found": result.found,
                **({} if result.passed else {"mend": result.check.mend}),
            }
            for result in results
        ],
    }
