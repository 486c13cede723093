"""Writes a review as Markdown, for a pull request or a chat: the first page and the tables, without the plots."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from ..units import format_ratio
from . import alarm_section, shown, slo_section
from .first_page import data_until, headline
from .gaps import gathered
from .pack import Pack
from .slo_section import canvas_of
from .summary import (
    Row,
    alarms_that_did_not,
    alarms_that_told,
    decisions_by_policy,
    is_heartbeat,
    overdue,
    rows,
    state_counts,
    told_by_system,
)

# What Markdown, GitHub's mentions and references, or HTML would read as their own.
_SIGNS = re.compile(r"[\\`*\[\]<>|~$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])|^[#+-]|(?<!\w)#(?=\d)|!(?=\[)")
_CODE = re.compile(r"`([^`<>|]+)`")


def render_markdown(pack: Pack) -> str:
    """The review in GitHub's Markdown.  The same pack gives the same text on every machine."""
    lines = rows(pack)
    parts = [
        *_title(pack),
        *_promises(lines),
        *_listed("To be decided", _decisions(pack)),
        *_listed("What changed", [prose(sentence) for sentence in pack.changes]),
        *_listed("Overdue", [_late(cells) for cells in map(alarm_section.action_cells, overdue(pack))]),
        *_listed(
            "Missing from this report", [f"**{text(gap.where)}**: {prose(gap.what)}" for gap in gathered(pack.gaps)]
        ),
        *_incidents(pack, lines),
        *_broken(pack, lines),
        *_numbers(pack, lines),
        *_what_if(lines),
        *_notes(lines),
        *_alarms(pack),
        *_actions(pack),
    ]
    return "\n".join(parts) + "\n"


def text(content: str) -> str:
    """Somebody's text in one line, with nothing in it that Markdown would act on."""
    safe = _SIGNS.sub(lambda found: f"\\{found.group()}", shown.plain(content).replace("&", "&amp;"))
    return safe.replace("\\<", "&lt;").replace("\\>", "&gt;").replace("@", "&#64;")


def prose(content: str) -> str:
    """A sentence in which what stands between backquotes stays a command or a file."""
    parts = _CODE.split(content)
    return "".join(f"`{shown.plain(part)}`" if index % 2 else _kept(part) for index, part in enumerate(parts))


def _kept(part: str) -> str:
    """``text``, with the blanks at both ends."""
    inside = part.strip()
    if not inside:
        return " " if part else ""
    return f"{' ' * part[:1].isspace()}{text(inside)}{' ' * part[-1:].isspace()}"


def _title(pack: Pack) -> Iterator[str]:
    clock = shown.Clock.of(pack.zone, pack.span)
    yield f"# SLO review: {text(shown.month_name(pack.month))}"
    yield ""
    yield (
        f"Environment **{text(pack.environment)}**, {clock.span(pack.span)}, times in {text(clock.name)}; "
        f"{data_until(pack, clock)}."
    )
    yield ""
    yield headline(pack)
    counts = state_counts(pack)
    if counts:
        yield ""
        yield " · ".join(f"{shown.SIGNS[state]} {count} {state.value}" for state, count in counts)


def _promises(lines: Sequence[Row]) -> Iterator[str]:
    if not lines:
        return
    yield from ("", "## The promises", "", "Worst first; the calendar month.", "")
    yield from _table(
        ("System", "SLO", "Objective", "Attained", "Error budget", "Three months before", "State"),
        [
            (
                text(line.review.system),
                text(line.review.slo),
                line.objective,
                "; ".join((line.attained, *line.notes)),
                f"{bar(line.spent)} {line.left}".strip(),
                line.trend + (f" ({line.direction})" if line.direction else ""),
                f"{shown.SIGNS[line.state]} {line.state.value}",
            )
            for line in lines
        ],
    )
    said = [
        f"**{text(line.review.system)} {text(line.review.slo)}**: {prose(line.words)}" for line in lines if line.words
    ]
    if said:
        yield ""
        yield from (f"- {sentence}" for sentence in said)


def bar(spent: Fraction | None) -> str:
    """Ten boxes, filled as far as budget is left; the last of it is never rounded away."""
    if spent is None:
        return ""
    left = max(Fraction(0), 1 - spent)
    filled = min(10, -int(-left * 10 // 1))
    return "█" * filled + "░" * (10 - filled)


def _decisions(pack: Pack) -> list[str]:
    return [
        "\n".join(
            (
                prose(policy),
                *(f"  - **{text(one.system)} {text(one.slo)}**: {prose(one.because)}" for one in decisions),
            )
        )
        for policy, decisions in decisions_by_policy(pack)
    ]


def _late(cells: Sequence[str]) -> str:
    what, of, owner, due, decided, _ = cells
    return f"**{prose(what)}** ({text(of)}, {text(owner)}; due {due}, decided {text(decided)})"


def _listed(heading: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield from ("", f"## {heading}", "")
        yield from (f"- {item}" for item in items)


def _incidents(pack: Pack, lines: Sequence[Row]) -> Iterator[str]:
    canvas = canvas_of(pack)
    found = [
        (text(line.review.system), text(line.review.slo), *map(text, slo_section.incident_cells(canvas, number, one)))
        for line in lines
        for number, one in enumerate(line.review.incidents, 1)
    ]
    if found:
        yield from ("", "## What spent budget", "")
        yield f"Burning stretches that spent 1 % of a month's budget or more; times in {text(pack.zone)}."
        yield ""
        yield from _table(("System", "SLO", *slo_section.INCIDENT_HEADS), found)


def _broken(pack: Pack, lines: Sequence[Row]) -> Iterator[str]:
    clock = canvas_of(pack).clock
    found = [
        (
            text(line.review.system),
            text(line.review.slo),
            clock.moment(span.start),
            clock.moment(span.end),
            shown.duration(span.end - span.start),
        )
        for line in lines
        for span in line.review.broken
    ]
    if found:
        yield from ("", "## When a heartbeat was missed", "")
        yield from _table(("System", "SLO", "Start", "End", "Duration"), found)


def _numbers(pack: Pack, lines: Sequence[Row]) -> Iterator[str]:
    canvas = canvas_of(pack)
    found = []
    for line in lines:
        review = line.review
        spans = [("Calendar month", review.month)]
        if not is_heartbeat(review):
            spans.append((slo_section.rolling_label(review), review.rolling))
        for label, count in spans:
            cells = slo_section.count_cells(label, canvas.clock.span(count.span), count, review)
            found.append((text(review.system), text(review.slo), *map(text, cells)))
    if found:
        yield from ("", "## The numbers behind", "")
        yield from _table(("System", "SLO", *slo_section.COUNT_HEADS), found)


def _what_if(lines: Sequence[Row]) -> Iterator[str]:
    found = [
        (
            text(line.review.system),
            text(line.review.slo),
            format_ratio(what.objective),
            shown.spent(what.spent),
            f"{shown.SIGNS[what.state]} {what.state.value}",
        )
        for line in lines
        for what in line.review.what_if
    ]
    if found:
        yield from ("", "## What if", "", "The calendar month under another objective.", "")
        yield from _table(("System", "SLO", "Objective", "Budget spent", "State"), found)


def _notes(lines: Sequence[Row]) -> Iterator[str]:
    notes = [
        f"**{text(line.review.system)} {text(line.review.slo)}**: {prose(note)}"
        for line in lines
        for note in line.review.notes
    ]
    yield from _listed("Notes", notes)


def _alarms(pack: Pack) -> Iterator[str]:
    if not pack.alarms and not pack.suggestions:
        return
    yield from ("", "## Were the pages worth it?", "")
    if pack.alarms:
        systems = [tuple(map(text, alarm_section.system_cells(line))) for line in told_by_system(pack)]
        yield from _table(alarm_section.SYSTEM_HEADS, systems)
    told = [tuple(map(text, alarm_section.alarm_cells(alarm))) for alarm in alarms_that_told(pack)]
    if told:
        yield ""
        yield from _table(alarm_section.ALARM_HEADS, told)
    never = alarms_that_did_not(pack)
    if never:
        yield ""
        yield f"Never told anybody: {', '.join(text(alarm.alarm) for alarm in never)}."
    if pack.suggestions:
        yield from ("", "### Suggested changes", "")
        yield from _table(
            alarm_section.SUGGESTION_HEADS,
            [(text(one.alarm), text(one.system), prose(one.change), prose(one.because)) for one in pack.suggestions],
        )


def _actions(pack: Pack) -> Iterator[str]:
    found = [tuple(map(text, cells)) for cells in alarm_section.action_rows(pack)]
    if found:
        yield from ("", "## What was decided", "")
        yield from _table(alarm_section.ACTION_HEADS, found)


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for line in lines:
        yield f"| {' | '.join(cell or shown.NOTHING for cell in line)} |"
