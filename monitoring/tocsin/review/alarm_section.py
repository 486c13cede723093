"""Writes what is said about alarms and decisions: were the pages worth it, what to change, what was decided."""

from __future__ import annotations

from collections.abc import Sequence

from . import shown
from .elements import Column, bullets, folded, name, prose, table
from .first_page import action_text
from .pack import ActionItem, AlarmQuality, Pack
from .summary import (
    Told,
    alarms_that_did_not,
    alarms_that_told,
    counted,
    done,
    middle,
    overdue,
    still_open,
    told_by_system,
)
from .svg import words

SYSTEM_HEADS = (
    "System",
    "Pages",
    "Pages while budget burned",
    "Pages at night",
    "Tickets",
    "Flaps",
    "Never told",
    "Acknowledged in",
    "Closed in",
)
ALARM_HEADS = (
    "Alarm",
    "System",
    "Tells",
    "Times",
    "While budget burned",
    "At night",
    "Flaps",
    "In alarm",
    "Acknowledged in",
    "Closed in",
)
ACTION_HEADS = ("State", "What", "For", "Owner", "Due", "Decided", "Done")
SUGGESTION_HEADS = ("Alarm", "System", "Change", "Because")


def alarm_section(pack: Pack) -> str:
    """Alarm quality by system and by alarm, those that never told, and suggested changes."""
    if not pack.alarms and not pack.suggestions:
        return '<section class="card" aria-label="Alarms"><h2 id="alarms">Were the pages worth it?</h2><p>No alarm is in this history.</p></section>'
    begin, end = pack.night
    parts = [
        '<section class="card" aria-label="Alarms"><h2 id="alarms">Were the pages worth it?</h2>',
        f'<p class="soft">A page is worth waking up for when budget of its SLO burned. Night is {begin:02d}:00 to {end:02d}:00 '
        f"{words(pack.zone)}. A flap is telling again within an hour. Times to acknowledge and to close are medians, as the "
        "on-call tool has them.</p>",
    ]
    if pack.alarms:
        kinds = ("name", *"nnnnnnnn")
        parts.append(
            table(
                "Alarms by system",
                _columns(SYSTEM_HEADS, kinds),
                [_escaped(system_cells(line)) for line in told_by_system(pack)],
            )
        )
    told = alarms_that_told(pack)
    if told:
        kinds = ("name", "", "", *"nnnnnnn")
        parts.append("<h3>Alarm by alarm</h3>")
        parts.append(
            table(
                "Alarms that told somebody",
                _columns(ALARM_HEADS, kinds),
                [_escaped(alarm_cells(alarm)) for alarm in told],
            )
        )
    never = alarms_that_did_not(pack)
    if never:
        items = [
            f'{name(alarm.alarm)} <span class="soft">({words(alarm.system)}, {alarm.severity.value})</span>'
            for alarm in never
        ]
        parts.append(
            folded(f"{counted(len(never), 'alarm')} that never told anybody this month", bullets(items, len(items)))
        )
    parts.append("<h3>Suggested changes</h3>")
    if pack.suggestions:
        rows = [(name(one.alarm), name(one.system), prose(one.change), prose(one.because)) for one in pack.suggestions]
        parts.append(table("Changes worth talking about", _columns(SUGGESTION_HEADS, ("name", "", "say", "say")), rows))
    else:
        parts.append("<p>None.</p>")
    return "".join(parts) + "</section>"


def system_cells(line: Told) -> tuple[str, ...]:
    """One system's alarms in words."""
    return (
        line.name,
        shown.number(line.pages),
        line.worth,
        shown.number(line.night),
        shown.number(line.tickets),
        shown.number(line.flaps),
        shown.number(line.silent),
        shown.duration(line.acknowledged),
        shown.duration(line.closed),
    )


def alarm_cells(alarm: AlarmQuality) -> tuple[str, ...]:
    """One alarm in words."""
    return (
        alarm.alarm,
        alarm.system,
        alarm.severity.value,
        shown.number(alarm.told),
        "a cause" if alarm.burning is None else f"{alarm.burning} of {alarm.told}",
        shown.number(alarm.night),
        shown.number(alarm.flaps),
        shown.duration(alarm.in_alarm),
        shown.duration(middle(list(alarm.acknowledged))),
        shown.duration(middle(list(alarm.closed))),
    )


def action_cells(item: ActionItem) -> tuple[str, ...]:
    """One action item in words."""
    return (
        item.what,
        action_text(item) or shown.NOTHING,
        item.owner,
        shown.full_day(item.due),
        item.decided,
        shown.full_day(item.done) if item.done else shown.NOTHING,
    )


def action_section(pack: Pack) -> str:
    """What earlier reviews decided: overdue, open, done."""
    start = '<section class="card" aria-label="Action items"><h2 id="actions">What was decided</h2>'
    if not pack.actions:
        return f"{start}<p>No action item is open, and none was done this month.</p></section>"
    columns = _columns(ACTION_HEADS, ("w", "say", "", "", "w", "w", "w"))
    rows = [_escaped(cells) for cells in action_rows(pack)]
    return f"{start}{table('Action items of this review and those before', columns, rows)}</section>"


def action_rows(pack: Pack) -> list[tuple[str, ...]]:
    """All action items in words: overdue, then open, then done."""
    groups = (("overdue", overdue(pack)), ("open", still_open(pack)), ("done", done(pack)))
    return [(state, *action_cells(item)) for state, items in groups for item in items]


def _columns(heads: Sequence[str], kinds: Sequence[str]) -> list[Column]:
    return [Column(head, kind) for head, kind in zip(heads, kinds, strict=True)]


def _escaped(cells: Sequence[str]) -> list[str]:
    return [name(cell) for cell in cells]
