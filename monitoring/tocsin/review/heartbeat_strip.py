"""Draws the month of a heartbeat: a box a day, kept or broken, and the broken spans below."""

from __future__ import annotations

from . import shown, svg
from .canvas import WIDTH, Canvas, axes, end_of_data, unpulled_days
from .pack import SloReview
from .summary import broken_for

_HEIGHT = 200


def heartbeat_days(canvas: Canvas, review: SloReview, name: str) -> str:
    """A month of a promise that is kept or broken: a box a day, with the broken spans drawn below."""
    frame = canvas.frame(height=_HEIGHT, left=26, right=26, top=24, bottom=52)
    inside = [*axes(canvas, frame, [])]
    ticks, crosses = "", ""
    for day in review.days:
        start, end = canvas.bounds(day.day)
        left, right = frame.x(start), frame.x(end)
        middle = (left + right) // 2
        if not day.covered or start >= canvas.end:
            continue
        broken = any(span.start < end and span.end > start for span in review.broken)
        inside.append(svg.rectangle(left + 2, frame.top, right - left - 4, 84, "lost" if broken else "kept"))
        if broken:
            crosses += f"M{middle - 8} {frame.top + 34}l16 16m0-16l-16 16"
        else:
            ticks += f"M{middle - 9} {frame.top + 42}l6 8l11-16"
    unpulled = unpulled_days(canvas, review.days)
    inside += [
        svg.line(svg.boxes([(frame.x(a), frame.x(b)) for a, b in unpulled], frame.top, frame.top + 84), "unpulled"),
        svg.line(ticks, "tick"),
        svg.line(crosses, "cross"),
        *(
            svg.rectangle(
                frame.x(span.start),
                frame.top + 92,
                frame.x(span.end) - frame.x(span.start),
                24,
                "band silent",
                f"<title>{svg.words(canvas.clock.span(span))}</title>",
            )
            for span in review.broken
        ),
        *end_of_data(canvas, frame),
    ]
    return svg.picture(
        name,
        f"Kept or broken by day, {review.system} {review.slo}",
        told_of_heartbeat(review),
        WIDTH,
        _HEIGHT,
        "plot",
        inside,
    )


def told_of_heartbeat(review: SloReview) -> str:
    """A heartbeat's month in a sentence."""
    if not any(day.covered for day in review.days) and not review.broken:
        return "Nothing was pulled of this month."
    if not review.broken:
        return "Kept throughout what was pulled."
    times = "once" if len(review.broken) == 1 else f"{len(review.broken)} times"
    return f"Broken {times}, for {shown.duration(broken_for(review))} in all."
