"""Metric math over the last few datapoints: CloudWatch has no window function, but running sums and differences."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from math import comb

from .targets import Queries

# Lets the expressions stay short enough to be read.
_FARTHEST = 6


def datapoints_so_far(queries: Queries, period: int) -> str:
    """The id of math that counts the periods from the beginning of the time shown."""
    return queries.shared("RUNNING_SUM(TIME_SERIES(1))", period, f"periods of {period}")


def sums_of_last(
    queries: Queries, text: str, counts: Collection[int], period: int, key: str, *, gaps: bool = False
) -> dict[int, str]:
    """Math for the sum of each datapoint of ``text`` and those before it, by how many they are in all.

    At the beginning of the time shown it is the sum of what there is.  Where ``text`` has ``gaps`` they are skipped,
    not counted.  The queries this takes are hidden and read no metric of their own, so they cost nothing.
    """
    if gaps:
        passed = queries.math(f"RUNNING_SUM(IF({text} >= 0, 1, 1))", period, f"{key} datapoints", hide=True)
    else:
        passed = datapoints_so_far(queries, period)
    total = queries.math(f"RUNNING_SUM({text})", period, f"{key} total", hide=True)
    found: dict[int, str] = {}
    before, ago = total, 0
    for count in sorted(counts):
        while ago < count:
            step = min(count - ago, _FARTHEST)
            ago += step
            before = queries.math(_earlier(step).replace("x", before), period, f"{key} {ago} before", hide=True)
        # Before so many have passed there is nothing to take away, and DIFF has no first value to make it of.
        found[count] = f"({total} - FILL(IF({passed} > {count}, {before}, 0), 0))"
    return found


def queries_for(*counts: int) -> int:
    """How many queries ``sums_of_last`` adds to a panel, at most."""
    return 2 + sum(
        -(-(count - before) // _FARTHEST) for before, count in zip((0, *sorted(counts)), sorted(counts), strict=False)
    )


@cache
def _earlier(steps: int) -> str:
    """Math for the value of ``x`` so many datapoints ago.

    DIFF(x) is x less the value before, so x - DIFF(x) is the value before: 1 - D.  Applying that k times is the
    binomial (1 - D)^k, here by Horner's rule.
    """
    text = "x"
    for power in range(steps - 1, 0, -1):
        text = f"{comb(steps, power)} * x - DIFF({text})"
    return f"x - DIFF({text})"
