"""Writes small SVG: frames, paths of few bytes, and lines thinned to what the eye can tell apart.

Not matplotlib, which draws the pictures of a backtest: a review holds hundreds of plots in one file that must come in a
second, weigh little, follow the reader's light or dark colours, scale with the page and be read aloud.  Coordinates are
whole numbers in a viewBox about twice as wide as the plot is shown, so half a pixel is the finest step, and the same
values give the same bytes on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from itertools import pairwise

from .shown import plain

Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Frame:
    """A plot's box and its time axis: ``start`` at ``left``, ``end`` at ``width`` − ``right``."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    start: datetime
    end: datetime

    @property
    def inner_right(self) -> int:
        """The x of ``end``."""
        return self.width - self.right

    @property
    def inner_bottom(self) -> int:
        """The y of the plot's floor."""
        return self.height - self.bottom

    def x(self, at: datetime) -> int:
        """Where a moment lies; outside the frame's time, its nearest edge."""
        part = (at - self.start) / (self.end - self.start) if self.end > self.start else 0.0
        return self.left + round(min(1.0, max(0.0, part)) * (self.inner_right - self.left))

    def y(self, part: float) -> int:
        """Where a share of the height lies, counted from the floor; outside 0 to 1, the nearest edge."""
        return self.inner_bottom - round(min(1.0, max(0.0, part)) * (self.inner_bottom - self.top))


def element(tag: str, attributes: str = "", *inside: str) -> str:
    """One element; without content it closes itself."""
    opened = f"<{tag} {attributes}" if attributes else f"<{tag}"
    return f"{opened}>{''.join(inside)}</{tag}>" if inside else f"{opened}/>"


def picture(name: str, title: str, description: str, width: int, height: int, kind: str, inside: Iterable[str]) -> str:
    """A whole plot with its text alternative.  ``name`` is an id that nothing else in the page has."""
    return (
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}t {name}d">'
        f'<title id="{name}t">{words(title)}</title><desc id="{name}d">{words(description)}</desc>'
        f"{''.join(inside)}</svg>"
    )


def words(text: str) -> str:
    """Text of somebody else, safe inside an element or a quoted attribute; a number stays with its unit."""
    return _UNIT.sub("\u00a0", escape(plain(text), quote=True))


_UNIT = re.compile(r"(?<=[0-9]) (?=(?:%|d|h|min|s|ms)(?![a-zA-Z]))")


def text(x: int, y: int, content: str, kind: str = "") -> str:
    """A word in a plot; ``content`` is escaped here."""
    attributes = f'x="{x}" y="{y}"' + (f' class="{kind}"' if kind else "")
    return f"<text {attributes}>{words(content)}</text>"


def rectangle(x: int, y: int, width: int, height: int, kind: str, *inside: str) -> str:
    """A box, at least one unit wide so that nothing short is lost."""
    return element("rect", f'class="{kind}" x="{x}" y="{y}" width="{max(1, width)}" height="{max(1, height)}"', *inside)


def line(data: str, kind: str) -> str:
    """A path of ``data``; nothing where that is empty."""
    return f'<path class="{kind}" d="{data}"/>' if data else ""


def thinned(points: Sequence[Point], column: int = 4) -> list[Point]:
    """Of all points in one column of the picture: the first, the lowest, the highest and the last, in their order.

    A line through them covers the same picture as a line through all (Jugel et al., "M4: A visualization-oriented time
    series data aggregation", VLDB 2014), so no extreme is lost.  ``points`` are in the order of x; a column is as wide
    as two pixels of the screen.
    """
    kept: list[Point] = []
    here: list[Point] = []
    now = None
    for point in points:
        place = point[0] // column
        if place != now:
            kept += _outline(here)
            here, now = [], place
        here.append(point)
    return kept + _outline(here)


def _outline(column: list[Point]) -> list[Point]:
    if len(column) <= 2:
        return column
    heights = [point[1] for point in column]
    low, high = heights.index(max(heights)), heights.index(min(heights))
    return [column[index] for index in sorted({0, low, high, len(column) - 1})]


def path(points: Sequence[Point]) -> str:
    """The data of a line in relative steps; a point on the way between its neighbours is left out.

    A single point becomes a dot.
    """
    corners: list[Point] = []
    for point in thinned(points):
        if corners and point == corners[-1]:
            continue
        if len(corners) > 1 and _straight(corners[-2], corners[-1], point):
            corners[-1] = point
        else:
            corners.append(point)
    if not corners:
        return ""
    if len(corners) == 1:
        return f"M{_pair(*corners[0])}h1"
    steps = [_step(here[0] - before[0], here[1] - before[1]) for before, here in pairwise(corners)]
    return f"M{_pair(*corners[0])}{''.join(steps)}"


def _straight(first: Point, second: Point, third: Point) -> bool:
    """Whether the second lies on the way from the first to the third, and not on a way back."""
    ahead = (second[0] - first[0], second[1] - first[1])
    on = (third[0] - second[0], third[1] - second[1])
    return ahead[0] * on[1] == ahead[1] * on[0] and ahead[0] * on[0] + ahead[1] * on[1] > 0


def _step(dx: int, dy: int) -> str:
    if not dy:
        return f"h{dx}"
    return f"v{dy}" if not dx else f"l{_pair(dx, dy)}"


def _pair(x: int, y: int) -> str:
    return f"{x}{y}" if y < 0 else f"{x} {y}"


def boxes(spans: Iterable[tuple[int, int]], top: int, bottom: int) -> str:
    """The data of one path that fills several spans of x from ``top`` to ``bottom``; spans that touch become one."""
    merged: list[list[int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, max(end, start + 1)])
    return "".join(f"M{start} {top}h{end - start}v{bottom - top}h{start - end}z" for start, end in merged)


def pieces(
    frame: Frame, values: Iterable[tuple[datetime, float | None]], y: Callable[[float], int], step: timedelta
) -> tuple[list[list[Point]], list[tuple[datetime, datetime]]]:
    """Lines through the values, and the spans without one.

    A value stands for the ``step`` that ends at its moment; where one is None or none is there, the line is broken and
    the span returned.
    """
    lines: list[list[Point]] = []
    missing: list[tuple[datetime, datetime]] = []
    start, left, right = frame.start, frame.left, frame.inner_right
    scale = (right - left) / ((frame.end - start).total_seconds() or 1.0)
    length, last = step.total_seconds(), None
    line: list[Point] = []
    for at, value in values:  # of fifty systems, half a million times
        seconds = (at - start).total_seconds()
        if last is not None and seconds - last > length:
            missing.append((start + timedelta(seconds=last), at - step))
            lines.append(line)
            line = []
        last = seconds
        if value is None:
            missing.append((at - step, at))
            lines.append(line)
            line = []
            continue
        x = left + round(seconds * scale)
        if x < left or x > right:
            x = left if x < left else right
        line.append((x, y(value)))
    lines.append(line)
    return [one for one in lines if one], missing
