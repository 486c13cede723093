"""Draws what happened to one SLO in a month: its budget burning down, and its SLI day by day."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from fractions import Fraction

from ..model import Severity
from ..units import format_ratio
from . import shown, svg
from .canvas import HEIGHT, WIDTH, Canvas, axes, changes, end_of_data, gaps, silent_days, unpulled_days
from .pack import Day, Incident, SloReview
from .summary import counted, objective_of

_HOUR = timedelta(hours=1)
_MOST_NUMBERED = 9


def burn_down(canvas: Canvas, review: SloReview, name: str) -> str:
    """The month's budget, hour by hour, against the line of spending it evenly."""
    frame = canvas.frame()
    left = [(at, float(value)) for at, value in review.burn_down]
    low = min(0.0, *(value for _, value in left)) if left else 0.0
    span = (1 - low) * (1.06 if low < 0 else 1)

    def part(value: float) -> float:
        return (value - 1 + span) / span

    if left and left[0][0] - frame.start <= _HOUR:
        left.insert(0, (frame.start, 1.0))
    lines, missing = svg.pieces(frame, left, lambda value: frame.y(part(value)), _HOUR)
    zero = frame.y(part(0))
    paths = [(svg.path(points), points[0][0]) for points in lines]
    inside = [
        *axes(canvas, frame, [(frame.y(part(tick)), _percent(tick)) for tick in _even_ticks(low)]),
        *(svg.line(f"{data}V{zero}H{first}z", "area") for data, first in paths),
    ]
    if low < 0:
        inside.append(
            svg.rectangle(frame.left, zero, frame.inner_right - frame.left, frame.inner_bottom - zero, "debt")
        )
    inside += [
        *gaps(frame, [*unpulled_days(canvas, review.days), *missing], silent_days(canvas, review.days)),
        *_bands(canvas, frame, review.incidents),
        svg.line(f"M{frame.left} {frame.y(part(1))}L{frame.inner_right} {zero}", "ideal"),
        svg.line(f"M{frame.left} {zero}H{frame.inner_right}", "zero"),
        *(svg.line(data, "left") for data, _ in paths),
    ]
    inside += [
        *changes(canvas, frame, review),
        *_told(frame, review),
        *end_of_data(canvas, frame),
        *_numbers(frame, review.incidents),
    ]
    return svg.picture(
        name,
        f"Error budget left, {review.system} {review.slo}",
        told_of_burn_down(canvas, review),
        WIDTH,
        HEIGHT,
        "plot",
        inside,
    )


def told_of_burn_down(canvas: Canvas, review: SloReview) -> str:
    """The burn-down in a sentence."""
    if not review.burn_down:
        return "No budget to draw: no event, or nothing was pulled."
    last = review.burn_down[-1][1]
    sentence = f"{shown.budget_left(1 - last)} at {canvas.clock.moment(review.burn_down[-1][0])}"
    gone = next((at for at, value in review.burn_down if value <= 0), None)
    if gone is not None:
        sentence += f"; all of it was gone at {canvas.clock.moment(gone)}"
    listed = counted(len(review.incidents), "incident")
    return f"{sentence[0].upper()}{sentence[1:]}; {listed} spent 1 % of it or more."


def by_day(canvas: Canvas, review: SloReview, name: str) -> str:
    """The SLI of each day, as its distance from the objective.

    The scale is logarithmic in bad events: each step up has ten times fewer of them.  On an even scale one bad day
    would press all others, and the objective, into one line.
    """
    frame = canvas.frame()
    days = [(day, _objective_on(canvas, review, day.day)) for day in review.days]
    bad = [float(1 - day.attained) for day in review.days if day.attained is not None]
    budgets = [float(1 - objective) for _, objective in days if objective is not None and objective < 1] or [0.01]
    worst = min(1.0, max([*bad, *(2 * budget for budget in budgets)]) * 1.25)
    least = min([*(share for share in bad if share > 0), *(budget / 4 for budget in budgets)])
    least = max(least, min(budgets) / 1000) / 1.8
    reach = math.log10(worst / least)

    def y(share: float) -> int:
        return frame.y(1.0 if share <= 0 else math.log10(worst / max(share, least * 1.3)) / reach)

    ticks = [(y(0), "100 %")]
    for power in range(12):
        share = 10.0**-power
        if least * 1.7 <= share <= worst:
            ticks.append((y(share), _percent(1 - Fraction(1, 10**power))))
    good_stems, bad_stems, good_dots, diamonds, objective_line = "", "", "", [], ""
    strips: list[str] = []
    for day, objective in days:
        start, end = (frame.x(at) for at in canvas.bounds(day.day))
        middle = (start + end) // 2
        if objective is not None:
            objective_line += f"M{start} {y(float(1 - objective))}H{end}"
        if 0 < day.covered < 1:
            strips.append(svg.boxes([(start, end)], frame.inner_bottom - 14, frame.inner_bottom))
        if day.attained is None:
            continue
        at = y(float(1 - day.attained))
        base = y(float(1 - objective)) if objective is not None else at
        if objective is not None and day.attained < objective:
            bad_stems += f"M{middle} {base}V{at}"
            diamonds.append((middle, at, day))
        else:
            good_stems += f"M{middle} {base}V{at}"
            good_dots += f"M{middle} {at}h0"
    inside = [
        *axes(canvas, frame, ticks),
        *gaps(frame, unpulled_days(canvas, review.days), silent_days(canvas, review.days)),
        svg.line("".join(strips), "unpulled"),
        svg.line(objective_line, "objective"),
        svg.line(good_stems, "stem"),
        svg.line(bad_stems, "stem under"),
        svg.line(good_dots, "dots"),
        *(_diamond(x, at, day, objective_of(review)) for x, at, day in diamonds),
        *_worst(frame, diamonds, objective_of(review)),
        *changes(canvas, frame, review),
        *end_of_data(canvas, frame),
    ]
    return svg.picture(
        name, f"SLI by day, {review.system} {review.slo}", told_of_days(review), WIDTH, HEIGHT, "plot", inside
    )


def told_of_days(review: SloReview) -> str:
    """The days in a sentence."""
    judged = [day for day in review.days if day.attained is not None]
    if not judged:
        return "No day with an event."
    objective = objective_of(review)
    worst = min(judged, key=lambda day: day.attained or Fraction(0))
    sentence = f"Worst day: {shown.day(worst.day)} with {shown.attained(worst.attained, objective)}"
    if objective is not None:
        under = sum(day.attained is not None and day.attained < objective for day in judged)
        sentence += f"; {counted(under, 'day')} of {len(judged)} under the objective of {format_ratio(objective)}"
    return sentence + "."


def _objective_on(canvas: Canvas, review: SloReview, day: date) -> Fraction | None:
    """The objective in force at the end of a day."""
    promise = shown.in_force_at(review.in_force, canvas.midnight(day + timedelta(days=1)) - timedelta(seconds=1))
    return promise.objective if promise else None


def _even_ticks(low: float) -> list[float]:
    """At most six round values from 1 down to ``low``, 0 among them."""
    step = (
        next(
            size * factor
            for size in (0.25, 1, 10, 100, 1000, 1e4, 1e5, 1e6, 1e7)
            for factor in (1, 2, 5)
            if (1 - low) / (size * factor) <= 5
        )
        if low > -3e7
        else -low / 4
    )
    below = [-step * count for count in range(1, int(-low / step + 1e-9) + 1)]
    above = [step * count for count in range(1, int(1 / step) + 1)] if step < 1 else [1.0]
    return [*reversed(above), 0.0, *below]


def _percent(value: float | Fraction) -> str:
    exact = Fraction(value).limit_denominator(10**13) * 100
    text = shown.number(exact) if exact.denominator == 1 else format_ratio(exact / 100).removesuffix(" %")
    return f"{text} %"


def _bands(canvas: Canvas, frame: svg.Frame, incidents: Iterable[Incident]) -> Iterator[str]:
    for number, incident in enumerate(incidents, 1):
        x = frame.x(incident.span.start)
        told = incident.told.severity.value if incident.told else "nobody was told"
        title = f"{number}: {canvas.clock.moment(incident.span.start)}, {shown.duration(incident.span.end - incident.span.start)}, {shown.spent(incident.spent)} of the budget, {told}"
        kind = "band" if incident.told else "band silent"
        width = max(4, frame.x(incident.span.end) - x)
        yield svg.rectangle(
            x, frame.top, width, frame.inner_bottom - frame.top, kind, f"<title>{svg.words(title)}</title>"
        )


def _numbers(frame: svg.Frame, incidents: tuple[Incident, ...]) -> Iterator[str]:
    """The numbers of the incidents that spent most, where they do not stand on one another."""
    largest = sorted(range(len(incidents)), key=lambda index: (-incidents[index].spent, index))[:_MOST_NUMBERED]
    placed: list[int] = []
    for index in largest:
        span = incidents[index].span
        x = (frame.x(span.start) + frame.x(span.end)) // 2
        if all(abs(x - other) >= 36 for other in placed):
            placed.append(x)
            yield f'<circle class="no" cx="{x}" cy="{frame.top - 24}" r="17"/>'
            yield svg.text(x, frame.top - 16, str(index + 1), "m on")


def _told(frame: svg.Frame, review: SloReview) -> Iterator[str]:
    """A triangle where a page was sent, a square where a ticket was."""
    pages = tickets = ""
    for told in review.told:
        x = frame.x(told.at)
        if told.severity is Severity.PAGE:
            pages += f"M{x} {frame.inner_bottom - 22}l9 18h-18z"
        else:
            tickets += f"M{x - 7} {frame.inner_bottom - 19}h14v14h-14z"
    yield svg.line(tickets, "ticket")
    yield svg.line(pages, "page")


def _diamond(x: int, y: int, day: Day, objective: Fraction | None) -> str:
    title = f"{shown.day(day.day)}: {shown.attained(day.attained, objective)}"
    return svg.element(
        "path", f'class="diamond" d="M{x} {y - 12}l12 12l-12 12l-12-12z"', f"<title>{svg.words(title)}</title>"
    )


def _worst(frame: svg.Frame, diamonds: list[tuple[int, int, Day]], objective: Fraction | None) -> Iterator[str]:
    if not diamonds:
        return
    x, y, day = min(diamonds, key=lambda one: one[2].attained or Fraction(0))
    late = x > frame.width * 0.6
    label = f"{shown.day(day.day)}: {shown.attained(day.attained, objective)}"
    yield svg.text(
        x - 20 if late else x + 20, min(y + 8, frame.inner_bottom - 6), label, "e halo" if late else "s halo"
    )
