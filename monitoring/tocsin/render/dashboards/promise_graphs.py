"""Graphs of promises that are shares: the error budget over the window, and the burn rate with what it sets off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from fractions import Fraction
from typing import Any

from ...burn_rate import budget_spent
from ...model import Severity
from ...units import format_duration, format_number
from .panels import NO_LINE, NOW, SOON, Block, block, graph, neutral, override, steps
from .promise_math import WINDOW_PERIOD, Promise, events, exact, joined, queries_of, time_range, window_of
from .targets import Queries


def burn_down(promise: Promise, width: int) -> Block:
    """The error budget over the SLO window, beside the line of one that is spent evenly."""
    slo = promise.slo
    window = window_of(slo)
    queries = Queries(promise.names)
    bad, valid = events(queries, slo, WINDOW_PERIOD)
    left = queries.math(
        f"100 * (1 - RUNNING_SUM({bad}) / SUM({valid}) / {exact(slo.error_budget)})",
        WINDOW_PERIOD,
        f"{promise.label} budget left",
        "budget left",
    )
    ideal = _ideal(queries, window)
    panel = graph(
        f"{promise.label}: how is the error budget spent?",
        f"Budget left from the beginning of the last {format_duration(window)} to now, measured against the traffic of "
        "the whole window. Above the even line there is room for risk; below zero the promise is broken. "
        "A step down is an incident: look at the marks there.",
        unit="percent",
        no_value="no traffic",
        legend="below",
        minimum=None,
        maximum=100,
        thresholds=steps(NOW, (NO_LINE, 0.0)),
        time_from=time_range(window),
        overrides=[_even(ideal), override(left, color={"mode": "fixed", "fixedColor": "blue"})],
    )
    return block(f"promise {promise.label} burn down", panel, queries, width, 8)


def burn_downs(window: timedelta, promises: Sequence[Promise], width: int) -> Block:
    """The budgets of several promises with one window in one graph."""
    queries, drawn = queries_of(promises), []
    for promise in promises:
        own = queries[promise.names]
        bad, valid = events(own, promise.slo, WINDOW_PERIOD)
        text = f"100 * (1 - RUNNING_SUM({bad}) / SUM({valid}) / {exact(promise.slo.error_budget)})"
        drawn.append(own.math(text, WINDOW_PERIOD, f"{promise.label} budget left", promise.label))
    together = joined(queries)
    ideal = _ideal(together, window)
    panel = graph(
        f"How are the error budgets of {format_duration(window)} spent?",
        f"Budget left from the beginning of the last {format_duration(window)} to now. Below zero a promise is broken.",
        unit="percent",
        no_value="no traffic",
        legend="beside",
        minimum=None,
        maximum=100,
        thresholds=steps(NOW, (NO_LINE, 0.0)),
        time_from=time_range(window),
        overrides=[_even(ideal), *neutral(drawn)],
    )
    return block(f"promises burn down {format_duration(window)}", panel, together, width, 10)


def _ideal(queries: Queries, window: timedelta) -> str:
    periods = window // timedelta(seconds=WINDOW_PERIOD)
    # Grafana asks for one datapoint more than the window has when its ends are not whole hours.
    passed = "RUNNING_SUM(TIME_SERIES(1))"
    return queries.math(
        f"IF({passed} < {periods}, 100 * (1 - {passed} / {periods}), 0)", WINDOW_PERIOD, "spent evenly", "spent evenly"
    )


def _even(identifier: str) -> dict[str, Any]:
    return override(
        identifier,
        color={"mode": "fixed", "fixedColor": "text"},
        **{"custom.lineStyle": {"fill": "dash", "dash": [10, 10]}},
    )


def burn_graph(promise: Promise, width: int) -> Block:
    """The burn rate over short and long windows with the rates that page and write tickets as lines."""
    slo = promise.slo
    budget = exact(slo.error_budget)
    queries = Queries(promise.names)
    lines: dict[Fraction, str] = {}
    for tier in promise.planned.tiers:
        color = NOW if tier.severity is Severity.PAGE else SOON
        lines[tier.burn_rate] = NOW if NOW in (color, lines.get(tier.burn_rate)) else color
    # The fastest pair is the one to read during an incident; the slower windows are in the tiles and alarms.
    fastest = min(promise.planned.tiers, key=lambda tier: tier.long_window)
    drawn = []
    for window in (fastest.short_window, fastest.long_window):
        period = window // timedelta(seconds=1)
        bad, valid = events(queries, slo, period)
        text = f"{bad} / {valid} / {budget}"
        drawn.append(queries.math(text, period, f"{promise.label} burn {period}", f"over {format_duration(window)}"))
    told = "; ".join(
        f"{tier.severity.value} at {format_number(tier.burn_rate)} over {format_duration(tier.long_window)} and "
        f"{format_duration(tier.short_window)} ({format_number(100 * budget_spent(tier, window_of(slo)))} % of the budget)"
        for tier in promise.planned.tiers
    )
    panel = graph(
        f"{promise.label}: how fast is the budget burning?",
        f"1 spends the budget in exactly {format_duration(window_of(slo))}. Lines: {told}. The scale is logarithmic above 1.",
        unit="short",
        no_value="no traffic in this time",
        legend="below",
        logarithmic=True,
        reaches=2 * float(max(lines)),
        overrides=neutral(drawn),
        thresholds=steps(NO_LINE, *((color, float(rate)) for rate, color in lines.items())),
    )
    return block(f"promise {promise.label} burn rate", panel, queries, width, 8)
