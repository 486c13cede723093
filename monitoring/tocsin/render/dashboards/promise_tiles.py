"""Tiles of promises that are shares: attained, error budget left, burning now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from fractions import Fraction

from ...burn_rate import WINDOW_TABLE, burn_rate
from ...model import Severity, Slo
from ...units import format_duration, format_number, format_ratio
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


def share_blocks(promises: Sequence[Promise], width: int) -> list[Block]:
    """For each SLO window three panels side by side, one tile for each promise in each: a promise reads across."""
    blocks: list[Block] = []
    for window, group in promise_windows(promises):
        # Side by side as far as the width goes; every promise has the same height in all three.
        height = max(4, 2 + 2 * len(group))
        blocks += [
            _attained(window, group, width, height),
            _budget_left(window, group, width, height),
            _burning(window, group, width, height),
        ]
    return blocks


def _attained(window: timedelta, group: Sequence[Promise], width: int, height: int) -> Block:
    queries, overrides = queries_of(group), []
    for promise in group:
        slo, own = promise.slo, queries[promise.names]
        text = f"100 * (1 - {spent(own, slo, WINDOW_PERIOD)})"
        identifier = own.math(text, WINDOW_PERIOD, f"{promise.label} attained", promise.label)
        objective = _objective(slo) * 100
        overrides.append(
            override(
                identifier,
                decimals=_decimals(objective),
                **link_down(promise),
                thresholds={"mode": "absolute", "steps": steps(NOW, (FINE, float(objective)))},
            )
        )
    promised = "; ".join(f"{promise.label}: {format_ratio(_objective(promise.slo))}" for promise in group)
    panel = tiles(
        f"Attained, {format_duration(window)}",
        f"The share of good events. Green: the promise is kept. Promised: {promised}. "
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
        f"Error budget left, {format_duration(window)}",
        f"What may still go wrong in these {format_duration(window)}. 100 % is untouched, below 0 the promise is broken. "
        f"Orange below {format_number(low)} %: what a burn may take before its ticket is written.",
        unit="percent",
        thresholds=steps(NOW, (SOON, 0.0), (FINE, float(low))),
        no_value="no traffic",
        decimals=0,
        time_from=time_range(window),
        overrides=overrides,
    )
    return block(group_key("budget", window), panel, joined(queries), width, height)


def _burning(window: timedelta, group: Sequence[Promise], width: int, height: int) -> Block:
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
        f"Burn rate, last hour ({format_duration(window)})",
        f"How many times faster than allowed the budget is spent. 1 spends it in exactly {format_duration(window)}; "
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
    """One digit more than the objective has, so that 99.95 % does not read as 99.9 %."""
    digits = 0
    while digits < 6 and (percent * 10**digits).denominator != 1:
        digits += 1
    return digits + 1
