"""Draws the small plots: the bar of budget left, the trend of a few months, and burn rates side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from ..burn_rate import WINDOW_TABLE, burn_rate
from ..model import Severity
from . import shown, svg
from .canvas import Canvas, silent_days, unpulled_days
from .pack import SloReview
from .summary import objective_of

_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)


def budget_bar(spent: Fraction | None, name: str) -> str:
    """What is left of the budget, with a mark at the half that the policy speaks of; overspent is a hatched bar."""
    if spent is None:
        return ""
    left = 1 - spent
    inside = [svg.rectangle(1, 2, 158, 16, "track")]
    if left > 0:
        inside.append(
            svg.rectangle(
                1, 2, max(2, round(158 * min(left, Fraction(1)))), 16, "fill" if left >= Fraction(1, 2) else "fill low"
            )
        )
    elif left < 0:
        inside.append(svg.rectangle(1, 2, 158, 16, "over"))
    inside.append(svg.line("M80 0V20", "half"))
    return svg.picture(name, "Error budget left", shown.budget_left(spent), 160, 20, "bar", inside)


def trend(review: SloReview, month: str, name: str) -> str:
    """The months before and this one, against the objective; a month without data is a cross."""
    points = [*review.trend, (month, review.month.attained)]
    objective = objective_of(review)
    values = [float(1 - value) for _, value in points if value is not None]
    if all(value is None for _, value in review.trend) or not values or objective is None:
        return ""
    budget = float(1 - objective)
    top = max([*values, budget * 1.3, 1e-9])

    def y(bad: float) -> int:
        return 8 + round(44 * bad / top)

    step = 136 // (len(points) - 1)
    drawn: list[svg.Point | None] = [
        (12 + step * index, y(float(1 - value))) if value is not None else None
        for index, (_, value) in enumerate(points)
    ]
    inside = [svg.line(f"M0 {y(budget)}H160", "objective")]
    line = ""
    for before, here in pairwise(drawn):
        if before and here:
            line += f"M{before[0]} {before[1]}L{here[0]} {here[1]}"
    inside.append(svg.line(line, "left"))
    dots, diamonds, crosses = "", "", ""
    for index, place in enumerate(drawn):
        value = points[index][1]
        if place is None or value is None:
            crosses += f"M{8 + step * index} 26l8 8m0-8l-8 8"
        elif value < objective:
            diamonds += f"M{place[0]} {place[1] - 8}l8 8l-8 8l-8-8z"
        else:
            dots += f"M{place[0]} {place[1]}h0"
    inside += [svg.line(dots, "dots"), svg.line(diamonds, "diamond"), svg.line(crosses, "nodata")]
    said = ", ".join(
        f"{shown.month_name(when)} {'no data' if value is None else shown.attained(value, objective)}"
        for when, value in points
    )
    return svg.picture(name, "Attained by month", said, 160, 60, "trend", inside)


def thresholds(window: timedelta) -> dict[int, tuple[Severity, Fraction]]:
    """At which burn rate each window's tier tells whom, by the window's seconds; the two windows of a tier share it."""
    found: dict[int, tuple[Severity, Fraction]] = {}
    for pair in WINDOW_TABLE.get(window, ()):
        rate = burn_rate(pair.budget_share, window, pair.long_window)
        for length in (pair.long_window, pair.short_window):
            found.setdefault(length // _SECOND, (pair.severity, rate))
    return found


@dataclass(frozen=True, slots=True)
class _Window:
    """One burn-rate window of one SLO: ``values`` as floats, for what is drawn, and ``rates`` exactly, for what is said."""

    seconds: int
    values: list[tuple[datetime, float | None]]
    rates: Sequence[tuple[datetime, Fraction | None]]
    limit: tuple[Severity, Fraction] | None

    @property
    def length(self) -> str:
        return shown.duration(timedelta(seconds=self.seconds))

    @property
    def known(self) -> list[float]:
        return [value for _, value in self.values if value is not None]

    @property
    def highest(self) -> Fraction:
        """A float is the nearest to its Fraction, so that the largest Fraction is among those of the largest float."""
        top = max(self.known)
        return max(
            rate
            for (_, value), (_, rate) in zip(self.values, self.rates, strict=True)
            if value == top and rate is not None
        )

    def above(self, limit: Fraction) -> int:
        """How many are over a limit."""
        near = float(limit)
        return sum(
            value is not None and rate is not None and (value > near or (value == near and rate > limit))
            for (_, value), (_, rate) in zip(self.values, self.rates, strict=True)
        )


def burn_rates(canvas: Canvas, review: SloReview, name: str) -> Iterator[tuple[str, str, str]]:
    """For each window, its plot, its length and what it saw."""
    limits = thresholds(review.in_force[-1].window) if review.in_force else {}
    for number, (seconds, rates) in enumerate(sorted(review.burn_rates.items())):
        values = [(at, None if value is None else float(value)) for at, value in rates]
        window = _Window(seconds, values, rates, limits.get(seconds))
        said = _told_of_window(review, window)
        yield _one_window(canvas, review, window, said, f"{name}{number}"), f"{window.length}:", said


def _told_of_window(review: SloReview, window: _Window) -> str:
    known = window.known
    if not known:
        return "no data."
    said = f"at most {shown.rate(window.highest)}"
    if window.limit is None:
        return f"{said}."
    severity, rate = window.limit
    objective = objective_of(review)
    if objective is not None and rate * (1 - objective) >= 1:
        return f"{said}; a {severity.value} at {shown.rate(rate)} is out of reach of this objective."
    return f"{said}; above the {severity.value}'s {shown.rate(rate)} for {window.above(rate)} of {len(known)} h."


def _one_window(canvas: Canvas, review: SloReview, window: _Window, said: str, name: str) -> str:
    frame = canvas.frame(480, 264, left=84, right=14, top=34, bottom=46)
    limit = window.limit
    highest = max([2.0, *window.known, *([float(limit[1]) * 1.4] if limit else [])])
    bottom, scale = frame.inner_bottom, (frame.inner_bottom - frame.top) / math.log10(1 + highest)

    def y(value: float) -> int:
        return bottom - round(math.log10(1 + value) * scale) if value > 0 else bottom

    lines, missing = svg.pieces(frame, window.values, y, _HOUR)
    grid, labels, last = "", [], 10_000
    for tick in (0, 1, 10, 100, 1000, 10_000, 100_000):
        if tick <= highest and last - y(tick) > 24:
            last = y(tick)
            grid += f"M{frame.left} {last}H{frame.inner_right}"
            labels.append(svg.text(frame.left - 10, last + 8, f"{tick:,}", "e"))
    unpulled = [(frame.x(a), frame.x(b)) for a, b in unpulled_days(canvas, review.days)]
    empty = [(frame.x(a), frame.x(b)) for a, b in [*missing, *silent_days(canvas, review.days)]]
    inside = [
        svg.line(grid, "grid"),
        *labels,
        svg.line(svg.boxes(empty, frame.top, frame.inner_bottom), "nothing"),
        svg.line(svg.boxes(unpulled, frame.top, frame.inner_bottom), "unpulled"),
        svg.line(f"M{frame.left} {y(1)}H{frame.inner_right}", "zero"),
        *(svg.line(svg.path(points), "left") for points in lines),
        *_days(canvas, frame),
    ]
    if limit is not None:
        severity, rate = limit
        at = y(float(rate))
        inside.append(svg.line(f"M{frame.left} {at}H{frame.inner_right}", f"limit {severity.value}"))
        inside.append(svg.text(frame.inner_right - 6, at - 9, f"{severity.value} {shown.rate(rate)}", "e halo"))
    title = f"Burn rate over {window.length}, {review.system} {review.slo}"
    return svg.picture(name, title, said, 480, 264, "plot small", inside)


def _days(canvas: Canvas, frame: svg.Frame) -> Iterator[str]:
    first = canvas.clock.local(canvas.pack.span.start).date()
    marks = f"M{frame.left} {frame.inner_bottom}H{frame.inner_right}"
    for number in range(0, (canvas.pack.span.end - canvas.pack.span.start).days + 1, 14):
        x = frame.x(canvas.midnight(first + timedelta(days=number)))
        marks += f"M{x} {frame.inner_bottom}v8"
        day = first + timedelta(days=number)
        yield svg.text(x, frame.height - 10, shown.day(day) if not number else str(day.day), "b" if number else "m")
    yield svg.line(marks, "axis")
