"""Whether each promise would page: both windows of each pair, as they slide, in one row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ...burn_rate import Tier
from ...model import Counted, Severity
from ...units import format_duration
from .panels import ALARM, BREACHING, OK
from .promise_math import Promise, events, exact
from .sliding import datapoints_so_far, queries_for, sums_of_last
from .targets import Queries

_SECOND = timedelta(seconds=1)


def paging_tiers(promise: Promise) -> tuple[Tier, ...]:
    """The tiers of a promise that page."""
    return tuple(tier for tier in promise.planned.tiers if tier.severity is Severity.PAGE)


def page_queries(promise: Promise) -> int:
    """How many queries the rows of a promise take, at most."""
    tiers = paging_tiers(promise)
    return 4 + 2 * len(tiers) + 2 * queries_for(*_counts(tiers))


def draw_pages(queries: Queries, promise: Promise) -> None:
    """A row for each tier: ALARM while both windows burn too fast, breaching while only the short one does.

    Every window is summed up of the shortest one, so it slides by that; CloudWatch's slides by the minute.  What lies
    before the time shown is taken for as much traffic with nothing bad in it.  Nothing is divided by traffic, so that
    there is a state without any.
    """
    tiers = paging_tiers(promise)
    period = min(tier.short_window for tier in tiers) // _SECOND
    bad, valid = events(queries, promise.slo, period)
    bads = sums_of_last(queries, bad, _counts(tiers), period, f"{promise.label} bad")
    valids = sums_of_last(queries, valid, _counts(tiers), period, f"{promise.label} valid")
    for tier in tiers:
        long, short = tier.long_window // _SECOND // period, tier.short_window // _SECOND // period
        limit = exact(tier.bad_ratio)
        state = f"IF({_over(queries, bads[long], valids[long], limit, long, period)}, {ALARM}, {BREACHING})"
        fewest = promise.slo.minimum_bad_events
        if fewest > 1 and isinstance(promise.slo.sli.measure, Counted):
            state = f"IF({bads[long]} >= {fewest}, {state}, {BREACHING})"
        over = f"{bad} > {limit} * {valid}"
        if short > 1:
            over = _over(queries, bads[short], valids[short], limit, short, period)
        # The longer window alone names the row: a longer label leaves no room for the hours below the bars.
        name = f"{promise.label}, {format_duration(tier.long_window)}"
        queries.math(f"IF({over}, {state}, {OK})", period, f"{name} pages", name)


def _over(queries: Queries, bad: str, valid: str, limit: str, count: int, period: int) -> str:
    """Whether the share of bad events in ``count`` datapoints is over the limit, however few are shown yet."""
    passed = datapoints_so_far(queries, period)
    shown = queries.shared(f"IF({passed} < {count}, {passed}, {count})", period, f"periods of {period} up to {count}")
    return f"{bad} * {shown} > {limit} * {count} * {valid}"


def _counts(tiers: Sequence[Tier]) -> tuple[int, ...]:
    """Of how many of the shortest windows the windows consist, but for that one itself."""
    shortest = min(tier.short_window for tier in tiers)
    windows = {window // shortest for tier in tiers for window in (tier.long_window, tier.short_window)}
    return tuple(sorted(windows - {1}))
