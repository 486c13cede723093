"""Tiles of promises that are kept or broken: did a run succeed in time, and when did the last one?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from ...burn_rate import heartbeat_window
from ...errors import PlanError
from ...model import SinceSuccess, Slo
from ...units import format_duration
from .panels import FINE, NOW, Block, block, override, steps, tiles
from .promise_math import Promise, joined, link_down, queries_of, time_range
from .targets import Queries

_LAST_SUCCESS = timedelta(days=7)


def heartbeat_blocks(promises: Sequence[Promise], width: int) -> list[Block]:
    """For promises that are kept or broken: runs that succeeded in time, and when the last one did."""
    groups: dict[timedelta, list[Promise]] = {}
    for promise in promises:
        if isinstance(promise.slo.sli.measure, SinceSuccess):
            groups.setdefault(promise.slo.sli.measure.within, []).append(promise)
    blocks: list[Block] = []
    for within, group in sorted(groups.items()):
        height = max(4, 2 * len(group))
        blocks += [_in_time(within, group, width, height), _last_success(within, group, width, height)]
    return blocks


def _in_time(within: timedelta, group: Sequence[Promise], width: int, height: int) -> Block:
    queries, overrides = queries_of(group), []
    for promise in group:
        own = queries[promise.names]
        period = heartbeat_window(promise.slo).period
        text = f"RUNNING_SUM({_successes(own, promise.slo, period)[0]})"
        identifier = own.math(text, period, f"{promise.label} in time", promise.label)
        overrides.append(override(identifier, **link_down(promise)))
    panel = tiles(
        f"Successful runs in the last {format_duration(within)}",
        f"At least one is promised. Red: no run has succeeded for {format_duration(within)}, and somebody is paged.",
        unit="short",
        thresholds=steps(NOW, (FINE, 1.0)),
        no_value="none",
        no_value_color=NOW,
        decimals=0,
        time_from=time_range(within),
        overrides=overrides,
        mappings=[_value(0, "none", NOW)],
    )
    return block(f"heartbeat {format_duration(within)}", panel, joined(queries), width, height)


def _last_success(within: timedelta, group: Sequence[Promise], width: int, height: int) -> Block:
    queries, overrides = queries_of(group), []
    for promise in group:
        own = queries[promise.names]
        period = heartbeat_window(promise.slo).period
        successes, started = _successes(own, promise.slo, period)
        text = f"IF({successes} > 0, 1000 * EPOCH({started}), 0)"
        identifier = own.math(text, period, f"{promise.label} last success", promise.label)
        overrides.append(override(identifier, **link_down(promise)))
    panel = tiles(
        "Last success",
        f"When the last successful run began, as far as the last {format_duration(_LAST_SUCCESS)} show.",
        unit="dateTimeFromNow",
        thresholds=steps("blue"),
        no_value="not in 7 days",
        no_value_color=NOW,
        time_from=time_range(_LAST_SUCCESS),
        reduce="max",
        overrides=overrides,
        mappings=[_value(0, "not in 7 days", NOW)],
    )
    return block(f"last success {format_duration(within)}", panel, joined(queries), width, height)


def _successes(queries: Queries, slo: Slo, period: int) -> tuple[str, str]:
    measure = slo.sli.measure
    if not isinstance(measure, SinceSuccess):
        raise PlanError(f"SLO {slo.name} is a share, not a heartbeat")
    started = queries.stat(measure.started, "Sum", period)
    if measure.also:
        counters = [started, *(queries.stat(metric, "Sum", period) for metric in measure.also)]
        successes = f"SUM([{', '.join(f'FILL({counter}, 0)' for counter in counters)}])"
        return successes, successes
    if measure.failed is None:
        return f"FILL({started}, 0)", started
    failed = queries.stat(measure.failed, "Sum", period)
    return f"(FILL({started}, 0) - FILL({failed}, 0))", started


def _value(value: int, text: str, color: str) -> dict[str, Any]:
    return {"type": "value", "options": {str(value): {"text": text, "color": color, "index": 0}}}
