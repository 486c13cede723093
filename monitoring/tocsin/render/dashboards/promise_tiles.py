"""Tiles of promises that are shares: burning now, error budget left, attained."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from fractions import Fraction

from ...burn_rate import WINDOW_TABLE, burn_rate
from ...model import Severity, Slo
from ...units import format_duration, format_number
from .panels import FINE, NOW, SOON, Block, block, override, steps, tiles
from .promise_math import (
    WINDOW_PERIOD,
    Promise,
    exact,
    joined,
    link_down,
    promise_windows,
    queries_of,
    spent,
    time_range,
)

_HOUR = timedelta(hours=1)
_MINUTE = 60


def share_blocks(promises: Sequence[Promise], widths: tuple[int, int, int]) -> list[Block]:
    """For each SLO window three panels side by side, one tile for each promise in each: a promise reads across."""
    blocks: list[Block] = []
    windows = promise_windows(promises)
    burning, left, attained = widths
    for window, group in windows:
        # Side by side as far as the width goes; every promise has the same height in all three.  The burn rate comes
        # first: it is the only one that moves within minutes.
        height = max(4, 2 * len(group))
        blocks += [
            _burning(window, group, burning, height, titled=len(windows) > 1),
            _budget_left(window, group, left, height),
            _attained(window, group, attained, height),
        ]
    return blocks


def _attained(window: timedelta, group: Sequence[Promise], width: int, height: int) -> Block:
    queries, overrides = queries_of(group), []
    for promise in group:
        slo, own = promise.slo, queries[promise.names]
        text = f"100 * (1 - {spent(own, slo, WINDOW_PERIOD)})"
        objective = _objective(slo) * 100
        label = f"{promise.label} ({format_number(objective)} %)"
        identifier = own.math(text, WINDOW_PERIOD, f"{promise.label} attained", label)
        overrides.append(
            override(
                identifier,
                decimals=_decimals(objective),
                **link_down(promise),
                thresholds={"mode": "absolute", "steps": steps(NOW, (FINE, float(objective)))},
            )
        )
    panel = tiles(
        f"Attained, {format_duration(window)}",
        "The share of good events. Green: what was promised, in brackets, is kept. "
        "Red: read the burn rate next to it, then the causes below.",
        unit="percent",
        thresholds=steps(NOW),
        no_value="no traffic",
        time_from=time_range(window),
        overrides=overrides,
    )
    return block(group_key("attained", window), panel, joined(queries), width, height)


def _budget_left(window: timedelta, group: Sequence[Promise], width: int, height: int) -> Block:
    queries, overrides = queries_of(group), []
    for promise in group:
        own = queries[promise.names]
        text = f"100 * (1 - {spent(own, promise.slo, WINDOW_PERIOD)} / {exact(promise.slo.error_budget)})"
        identifier = own.math(text, WINDOW_PERIOD, f"{promise.label} budget left", promise.label)
        overrides.append(override(identifier, **link_down(promise)))
    low = 100 * max(pair.budget_share for pair in WINDOW_TABLE[window])
    panel = tiles(
        f"Budget left, {format_duration(window)}",
        f"Error budget: what may still go wrong in these {format_duration(window)}. 100 % is untouched, below 0 the promise is broken. "
        f"Orange below {format_number(low)} %: what a burn may take before its ticket is written.",
        unit="percent",
        thresholds=steps(NOW, (SOON, 0.0), (FINE, float(low))),
        no_value="no traffic",
        decimals=0,
        time_from=time_range(window),
        overrides=overrides,
    )
    return block(group_key("budget", window), panel, joined(queries), width, height)


def _burning(window: timedelta, group: Sequence[Promise], width: int, height: int, *, titled: bool) -> Block:
    queries, overrides = queries_of(group), []
    for promise in group:
        own = queries[promise.names]
        text = f"{spent(own, promise.slo, _MINUTE)} / {exact(promise.slo.error_budget)}"
        identifier = own.math(text, _MINUTE, f"{promise.label} burn rate", promise.label)
        overrides.append(override(identifier, **link_down(promise)))
    paging = min(
        burn_rate(pair.budget_share, window, pair.long_window)
        for pair in WINDOW_TABLE[window]
        if pair.severity is Severity.PAGE
    )
    panel = tiles(
        "Burn rate, 1 h" + (f" ({format_duration(window)})" if titled else ""),
        f"The last hour: how many times faster than allowed the budget is spent. 1 spends it in exactly {format_duration(window)}; "
        f"from {format_number(paging)} on somebody is paged if it goes on.",
        unit="short",
        thresholds=steps(FINE, (SOON, 1.0), (NOW, float(paging))),
        no_value="no traffic",
        decimals=2,
        time_from=time_range(_HOUR),
        overrides=overrides,
    )
    return block(group_key("burn", window), panel, joined(queries), width, height)


def group_key(kind: str, window: timedelta) -> str:
    return f"promises {kind} {format_duration(window)}"


def _objective(slo: Slo) -> Fraction:
    return 1 - slo.error_budget


def _decimals(percent: Fraction) -> int:
    """Two digits more than the objective has, so that 99.9955 % does not read as 100 % of 99.9 %."""
    digits = 0
    while digits < 6 and (percent * 10**digits).denominator != 1:
        digits += 1
    return digits + 2
