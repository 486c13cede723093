"""What the plots of a month share: its span and clock, the axes, and marks for gaps, changes and the end of data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from ..units import format_ratio
from . import shown, svg
from .pack import Day, Pack, SloReview
from .summary import is_running

#: Of a plot, in units of its viewBox.
WIDTH, HEIGHT = 960, 440
_MARGINS = {"left": 118, "right": 26, "top": 62, "bottom": 52}


@dataclass(frozen=True, slots=True)
class Canvas:
    """What all plots of a month share: its span, its clock, and where its data ends."""

    pack: Pack
    clock: shown.Clock

    @property
    def end(self) -> datetime:
        """The end of data, or of the month if that is earlier."""
        return min(self.pack.until, self.pack.span.end)

    def frame(self, width: int = WIDTH, height: int = HEIGHT, **margins: int) -> svg.Frame:
        """A box over the whole month."""
        box = margins or _MARGINS
        return svg.Frame(width, height, start=self.pack.span.start, end=self.pack.span.end, **box)

    def midnight(self, day: date) -> datetime:
        """When a local day begins."""
        return datetime.combine(day, time(), tzinfo=self.clock.zone).astimezone(UTC)

    def bounds(self, day: date) -> tuple[datetime, datetime]:
        """A local day, be it of 23, 24 or 25 hours."""
        return self.midnight(day), self.midnight(day + timedelta(days=1))


def unpulled_days(canvas: Canvas, days: Iterable[Day]) -> list[tuple[datetime, datetime]]:
    """The days of which nothing was asked, up to the end of data."""
    return [canvas.bounds(day.day) for day in days if not day.covered and canvas.midnight(day.day) < canvas.end]


def silent_days(canvas: Canvas, days: Iterable[Day]) -> list[tuple[datetime, datetime]]:
    """The days that were asked for and had no valid event."""
    return [canvas.bounds(day.day) for day in days if day.covered and not day.valid]


def axes(canvas: Canvas, frame: svg.Frame, ticks: Iterable[tuple[int, str]]) -> Iterator[str]:
    """Lines across with their values, and the days on which weeks of the month begin."""
    lines, labels, last = "", [], None
    for y, label in ticks:
        lines += f"M{frame.left} {y}H{frame.inner_right}"
        if last is None or abs(y - last) > 22:
            labels.append(svg.text(frame.left - 12, y + 8, label, "e"))
            last = y
    yield svg.line(lines, "grid")
    yield from labels
    first = canvas.clock.local(canvas.pack.span.start).date()
    marks = ""
    for number in range(0, (canvas.pack.span.end - canvas.pack.span.start).days + 1, 7):
        day = first + timedelta(days=number)
        x = frame.x(canvas.midnight(day))
        marks += f"M{x} {frame.inner_bottom}v10"
        yield svg.text(x, frame.height - 12, shown.day(day) if not number else str(day.day), "b" if number else "")
    yield svg.line(marks, "axis")


def gaps(
    frame: svg.Frame, unpulled: Iterable[tuple[datetime, datetime]], silent: Iterable[tuple[datetime, datetime]]
) -> Iterator[str]:
    """Fields over the time of which nothing was asked, and over that without a valid event."""
    for spans, kind in ((unpulled, "unpulled"), (silent, "nothing")):
        data = svg.boxes([(frame.x(start), frame.x(end)) for start, end in spans], frame.top, frame.inner_bottom)
        yield svg.line(data, kind)


def changes(canvas: Canvas, frame: svg.Frame, review: SloReview) -> Iterator[str]:
    """Where the objective changed, and to what."""
    for promise in shown.changed_within(review.in_force, canvas.pack.span):
        if promise.since is None or promise.objective is None:
            continue
        x = frame.x(promise.since)
        yield svg.line(f"M{x} {frame.top}V{frame.inner_bottom}", "change")
        late = x > frame.width * 0.6
        label = f"{format_ratio(promise.objective)} from here"
        yield svg.text(x - 8 if late else x + 8, frame.top + 24, label, "e halo" if late else "s halo")


def end_of_data(canvas: Canvas, frame: svg.Frame) -> Iterator[str]:
    """Where a month that still runs is known up to."""
    if not is_running(canvas.pack):
        return
    x = frame.x(canvas.pack.until)
    yield svg.line(f"M{x} {frame.top}V{frame.inner_bottom}", "until")
    late = x > frame.width * 0.6
    yield svg.text(x - 8 if late else x + 8, frame.inner_bottom - 34, "end of data", "e halo" if late else "s halo")
