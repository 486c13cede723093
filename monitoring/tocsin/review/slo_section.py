"""Writes the section of one SLO: its plots, the incidents that spent its budget, the numbers behind, and what if."""

from __future__ import annotations

from datetime import timedelta

from ..units import format_ratio
from . import charts, heartbeat_strip, shown, small_charts
from .canvas import Canvas
from .elements import Column, badge, bullets, definitions, figure, folded, name, prose, table
from .pack import Count, Incident, Pack, SloReview, State
from .summary import attained_text, is_heartbeat, objective_of, objective_text
from .svg import words


def slo_section(canvas: Canvas, review: SloReview, anchor: str, prefix: str) -> str:
    """Everything of one SLO.  ``prefix`` begins every id within it."""
    parts = [
        f'<section class="slo" id="{anchor}" aria-labelledby="{prefix}h"><header><h3 id="{prefix}h">{name(review.slo)}</h3>'
        f"{badge(review.state)}</header>",
        f'<p class="soft">The share of {words(review.good)}. Owner: {name(review.owner)}.</p>',
        f"<p>{prose(_sentence(review.words))}</p>" if review.words else "",
        _facts(canvas, review),
    ]
    if is_heartbeat(review):
        parts.append(_heartbeat(canvas, review, prefix))
    else:
        parts.append(_plots(canvas, review, prefix))
        parts.append(_incidents(canvas, review))
    parts.append(_numbers(canvas, review))
    parts.append(
        f'<div class="pair">{_what_if(review)}<div>{_notes(review)}{_told(canvas, review)}{_by_day(review)}</div></div>'
    )
    return "".join(parts) + "</section>"


def _notes(review: SloReview) -> str:
    return f"<h4>Notes</h4>{bullets([prose(note) for note in review.notes], 20)}" if review.notes else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _facts(canvas: Canvas, review: SloReview) -> str:
    facts = [
        ("Promise", words(objective_text(review))),
        ("Attained in the calendar month", words(attained_text(review))),
    ]
    if not is_heartbeat(review):
        facts.append(("Error budget of the month", words(shown.budget_left(review.month.spent))))
        window = (
            f"Attained in the rolling {shown.duration(review.in_force[-1].window)}"
            if review.in_force
            else "Rolling window"
        )
        facts.append((window, words(shown.attained(review.rolling.attained, objective_of(review)))))
    changed = shown.changed_within(review.in_force, canvas.pack.span)
    for promise in changed:
        if promise.since is not None:
            said = format_ratio(promise.objective) if promise.objective is not None else shown.duration(promise.window)
            facts.append(("Promise changed", words(f"{said} since {canvas.clock.moment(promise.since)}")))
    return definitions(facts)


def _plots(canvas: Canvas, review: SloReview, prefix: str) -> str:
    if review.state is State.UNKNOWN or not (review.burn_down or review.days):
        return ""
    burn = figure(
        charts.burn_down(canvas, review, f"{prefix}a"), "Error budget left.", charts.told_of_burn_down(canvas, review)
    )
    days = figure(charts.by_day(canvas, review, f"{prefix}b"), "SLI by day.", charts.told_of_days(review))
    small = "".join(
        figure(drawn, length, said) for drawn, length, said in small_charts.burn_rates(canvas, review, f"{prefix}w")
    )
    rates = f'<h4>Burn rate by window</h4><div class="four">{small}</div>' if small else ""
    return f'<div class="pair">{burn}{days}</div>{rates}'


def _heartbeat(canvas: Canvas, review: SloReview, prefix: str) -> str:
    drawn = heartbeat_strip.heartbeat_days(canvas, review, f"{prefix}a")
    text = figure(
        f'<div class="strip">{drawn}</div>', "Kept or broken, by day.", heartbeat_strip.told_of_heartbeat(review)
    )
    if review.broken:
        rows = [
            (
                words(canvas.clock.moment(span.start)),
                words(canvas.clock.moment(span.end)),
                shown.duration(span.end - span.start),
            )
            for span in review.broken
        ]
        columns = (Column(f"Start ({canvas.clock.name})", "w"), Column("End", "w"), Column("Duration", "n"))
        text += f"<h4>When it was broken</h4>{table('No success within the promised time', columns, rows, 'narrow')}"
    return text


def incident_cells(canvas: Canvas, number: int, incident: Incident) -> tuple[str, ...]:
    """An incident in words, for a line of a table: number, start, end, duration, events, budget, who was told, delay."""
    told = incident.told
    began = incident.began or incident.span.start
    return (
        str(number),
        canvas.clock.moment(began),
        "still going on" if incident.open else canvas.clock.moment(incident.span.end),
        ("over " if incident.open else "") + shown.duration(incident.span.end - began),
        f"{shown.number(incident.bad)} of {shown.number(incident.valid)}",
        shown.spent(incident.spent),
        f"{told.severity.value}: {told.alarm}" if told else "nobody was told",
        shown.duration(incident.delay) if told else shown.NOTHING,
    )


INCIDENT_HEADS = ("#", "Start", "End", "Duration", "Bad events", "Budget spent", "Who was told", "After")


def _incidents(canvas: Canvas, review: SloReview) -> str:
    if review.month.spent is None:
        return ""
    if not review.incidents:
        return (
            "<h4>What spent the budget</h4><p>No stretch spent 1 % of it. Smaller ones and single events spent "
            f"{words(shown.spent(review.small_spent))}.</p>"
        )
    kinds = ("n", "w", "w", "n", "n", "n", "say", "n")
    columns = [Column(head, kind) for head, kind in zip(INCIDENT_HEADS, kinds, strict=True)]
    rows = []
    for number, incident in enumerate(review.incidents, 1):
        cells = [words(cell) for cell in incident_cells(canvas, number, incident)]
        if incident.told is None:
            cells[6] = f'<span class="badge broken"><i aria-hidden="true">✕</i>{cells[6]}</span>'
        rows.append(cells)
    foot = (
        f"<tr><th scope=row colspan=4>smaller stretches and single events<td><td class=n>{shown.spent(review.small_spent)}"
        f"<td colspan=2><tr><th scope=row colspan=4>all of the month<td class=n>{shown.number(review.month.bad)}"
        f"<td class=n>{shown.spent(review.month.spent)}<td colspan=2>"
    )
    caption = f"Burning stretches that spent 1 % of the month's budget or more; times in {canvas.clock.name}"
    return f"<h4>What spent the budget</h4>{table(caption, columns, rows, foot=foot)}"


def count_cells(label: str, span: str, count: Count, review: SloReview) -> tuple[str, ...]:
    """The events of one span in words, for a line of a table."""
    judged = not is_heartbeat(review)
    if not count.covered:  # nothing is known, which is not zero
        return (f"{label}: {span}", *[shown.NOTHING] * 6, "0 %", shown.NOTHING)
    return (
        f"{label}: {span}",
        shown.number(count.good),
        shown.number(count.bad),
        shown.number(count.valid),
        shown.attained(count.attained, objective_of(review)) if judged else shown.NOTHING,
        shown.number(count.allowed) if judged else shown.NOTHING,
        shown.spent(count.spent) if judged else shown.NOTHING,
        shown.share(count.covered),
        shown.share(count.silent),
    )


COUNT_HEADS = ("Span", "Good", "Bad", "Valid", "Attained", "Bad allowed", "Budget spent", "Asked for", "Without events")


def rolling_label(review: SloReview) -> str:
    """What the rolling row is called, with the length of the window."""
    window = review.in_force[-1].window if review.in_force else timedelta(0)
    return f"Rolling {shown.duration(window)}"


def _numbers(canvas: Canvas, review: SloReview) -> str:
    columns = [Column(head, "n" if index else "name") for index, head in enumerate(COUNT_HEADS)]
    rows = [count_cells("Calendar month", canvas.clock.span(review.month.span), review.month, review)]
    if not is_heartbeat(review):
        rows.append(count_cells(rolling_label(review), canvas.clock.span(review.rolling.span), review.rolling, review))
    cells = [[words(cell) for cell in row] for row in rows]
    caption = "Events; what was not asked for, or had none, counts neither as good nor as bad"
    return f"<h4>The numbers behind</h4>{table(caption, columns, cells)}"


def _what_if(review: SloReview) -> str:
    if not review.what_if:
        return ""
    now = objective_of(review)
    entries = {what.objective: (shown.spent(what.spent), badge(what.state)) for what in review.what_if}
    if now is not None and now not in entries:
        entries[now] = (shown.spent(review.month.spent), badge(review.state))
    rows = [
        (words(format_ratio(objective)) + (" (promised)" if objective == now else ""), words(gone), state)
        for objective, (gone, state) in sorted(entries.items(), reverse=True)
    ]
    columns = (Column("Objective", "w"), Column("Budget spent", "n"), Column("State", "w"))
    return f"<div><h4>What if</h4>{table('This calendar month under another objective', columns, rows, 'narrow')}</div>"


def _told(canvas: Canvas, review: SloReview) -> str:
    if not review.told:
        return ""
    rows = [
        (
            words(canvas.clock.moment(told.at)),
            words(told.severity.value),
            name(told.alarm),
            words(canvas.clock.moment(told.until)) if told.until else "still in alarm",
            shown.duration(told.until - told.at) if told.until else shown.NOTHING,
        )
        for told in review.told
    ]
    columns = (
        Column(f"At ({canvas.clock.name})", "w"),
        Column("Told"),
        Column("Alarm", "name"),
        Column("Until", "w"),
        Column("For", "n"),
    )
    return folded(
        "Who was told, and when" if len(rows) == 1 else f"Who was told, {len(rows)} times",
        table("Times that an alarm told somebody", columns, rows),
    )


def _by_day(review: SloReview) -> str:
    if not review.days:
        return ""
    objective = objective_of(review)
    columns = [Column("Day", "w"), Column("Attained", "n"), Column("Valid events", "n")]
    partly = any(day.covered < 1 for day in review.days)
    if partly:
        columns.append(Column("Asked for", "n"))
    rows = []
    for day in review.days:
        said = shown.attained(day.attained, objective)
        if day.attained is None:
            said = "no event" if day.covered else "not pulled"
        row = (words(shown.day(day.day)), words(said), shown.number(day.valid) if day.covered else shown.NOTHING)
        rows.append((*row, words(shown.share(day.covered))) if partly else row)
    return folded("Numbers by day", table("Each local day", columns, rows, "narrow"))


def canvas_of(pack: Pack) -> Canvas:
    """What the sections of one review share."""
    return Canvas(pack, shown.Clock.of(pack.zone, pack.span))
