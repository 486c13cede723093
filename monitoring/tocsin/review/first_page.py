"""Writes the first page of the HTML report: what a meeting has to know before it talks, read in a minute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import shown, small_charts
from .elements import badge, bullets, folded, name, prose
from .gaps import gathered
from .pack import ActionItem, Pack, State
from .summary import Row, decisions_by_policy, is_running, overdue, rows, state_counts
from .svg import words

#: With more SLOs than this, those that are kept fold away.
MOST_ROWS = 15

_HEADS = ("SLO", "Objective", "Attained", "Error budget", "Three months before", "State")


def first_page(pack: Pack) -> str:
    """Title, counts, the table of SLOs, what changed, what is to be decided, what is overdue and what is missing."""
    lines = rows(pack)
    return (
        f'<section class="first" aria-label="First page">{_title(pack)}{_tiles(pack)}{_tables(pack, lines)}'
        f'<div class="pair">{_decisions(pack, lines)}{_changes(pack)}</div>{_overdue(pack)}{_gaps(pack)}</section>'
    )


def headline(pack: Pack) -> str:
    """The month in one sentence."""
    if not pack.slos:
        return "No SLO is in this review."
    counts = dict(state_counts(pack))
    total = len(pack.slos)
    kept = counts.get(State.KEPT, 0) + counts.get(State.AT_RISK, 0)
    judged = kept + counts.get(State.BROKEN, 0)
    sentence = f"{kept} of {judged} promises that can be judged were kept" if judged else "No promise can be judged"
    if counts.get(State.AT_RISK):
        sentence += f", {counts[State.AT_RISK]} of them with more than half of the budget gone"
    if total > judged:
        sentence += f"; {total - judged} cannot be judged" if judged else ""
    return sentence + "."


def data_until(pack: Pack, clock: shown.Clock) -> str:
    """Up to when there is data, in words."""
    if not is_running(pack):
        return "data of the whole month"
    return f"data up to {clock.full(pack.until)}, so figures are those so far"


def _title(pack: Pack) -> str:
    clock = shown.Clock.of(pack.zone, pack.span)
    return (
        f"<h1>SLO review: {words(shown.month_name(pack.month))}</h1>"
        f'<p class="where">Environment <b>{name(pack.environment)}</b> · {words(clock.span(pack.span))} · '
        f"times in <b>{words(clock.name)}</b> · {words(data_until(pack, clock))}</p>"
        f'<p class="lead">{words(headline(pack))}</p>'
    )


def _tiles(pack: Pack) -> str:
    tiles = [
        f'<li><b>{count}</b><span class="badge {_kind(state)}"><i aria-hidden="true">{shown.SIGNS[state]}</i>'
        f"{words(state.value)}</span></li>"
        for state, count in state_counts(pack)
    ]
    decisions, late = len(pack.decisions), len(overdue(pack))
    if pack.slos:
        tiles.append(f"<li><b>{decisions}</b>{'decision' if decisions == 1 else 'decisions'} to take</li>")
        tiles.append(f"<li><b>{late}</b>{'action' if late == 1 else 'actions'} overdue</li>")
    return f'<ul class="tiles">{"".join(tiles)}</ul>' if tiles else ""


def _kind(state: State) -> str:
    return {State.BROKEN: "broken", State.AT_RISK: "at-risk", State.KEPT: "is-kept"}.get(state, "unsure")


def _tables(pack: Pack, lines: Sequence[Row]) -> str:
    month = f"calendar month {shown.month_name(pack.month)}; rolling windows are in each SLO's section"
    if not lines:
        return ""
    heading = '<h2 id="slos">The promises</h2>'
    if len(lines) <= MOST_ROWS:
        return heading + _table(pack, f"All SLOs, worst first: {month}", lines, 0)
    kept = [line for line in lines if line.state is State.KEPT]
    others = [line for line in lines if line.state is not State.KEPT]
    text = heading
    if others:
        text += _table(pack, f"SLOs that need a word, worst first: {month}", others, 0)
    if kept:
        text += folded(
            f"{len(kept)} SLOs that were kept", _table(pack, f"SLOs that were kept: {month}", kept, len(others))
        )
    return text


def _table(pack: Pack, caption: str, lines: Sequence[Row], begin: int) -> str:
    heads = "".join(f'<th scope="col" role="columnheader">{head}</th>' for head in _HEADS)
    body = "".join("".join(_line(pack, line, begin + index)) for index, line in enumerate(lines))
    return (
        f'<div class="wide card" tabindex="0" role="region" aria-label="{words(caption)}">'
        f'<table class="slos" role="table"><caption>{words(caption)}</caption><thead role="rowgroup">'
        f'<tr role="row">{heads}</tr></thead><tbody role="rowgroup">{body}</tbody></table></div>'
    )


def _line(pack: Pack, line: Row, number: int) -> Iterator[str]:
    # Roles are stated because on a narrow screen the table is laid out as cards, and a reader aloud must not mind.
    review = line.review
    yield (
        f'<tr role="row"><th scope="row" role="rowheader" class="name"><a href="#{line.anchor}">{name(review.slo)}</a>'
        f'<span class="small">{name(review.system)}</span></th>'
    )
    yield _cell(0, words(line.objective))
    notes = "".join(f'<span class="small">{words(note)}</span>' for note in line.notes)
    yield _cell(1, f"<span>{words(line.attained)}</span>{notes}")
    bar = small_charts.budget_bar(line.spent, f"b{number}")
    yield _cell(2, f"{bar}<span>{words(line.left)}</span>")
    drawn = small_charts.trend(review, pack.month, f"r{number}")
    compared = f'<span class="compared">{drawn}{line.direction}</span>' if drawn else ""
    yield _cell(3, f'{compared}<span class="small">{words(line.trend)}</span>')
    yield _cell(4, f'{badge(line.state)}<span class="say-state">{prose(line.words)}</span>') + "</tr>"


def _cell(number: int, inside: str) -> str:
    return f'<td role="cell" data-of="{_HEADS[number + 1]}"><div>{inside}</div></td>'


def _decisions(pack: Pack, lines: Sequence[Row]) -> str:
    known = {(line.review.system, line.review.slo): line.anchor for line in lines}
    parts = []
    for policy, decisions in decisions_by_policy(pack):
        items = []
        for decision in decisions:
            label = f"{name(decision.system)} {name(decision.slo)}"
            anchor = known.get((decision.system, decision.slo))
            linked = f'<a href="#{anchor}">{label}</a>' if anchor else label
            items.append(f"<b>{linked}</b>: {prose(decision.because)}")
        parts.append(f"<h3>{prose(policy)}</h3>{bullets(items)}")
    body = "".join(parts) or "<p>Nothing: no promise is at the point where the policy asks for a decision.</p>"
    return (
        f'<section class="card"><h2>To be decided</h2><p class="soft small">What the error-budget policy in SLOs.md asks '
        f"of this meeting.</p>{body}</section>"
    )


def _changes(pack: Pack) -> str:
    items = [prose(sentence) for sentence in pack.changes]
    body = bullets(items) if items else "<p>Nothing since the month before.</p>"
    return f'<section class="card"><h2>What changed</h2>{body}</section>'


def action_text(item: ActionItem) -> str:
    """Where an action item belongs, for a list."""
    return " ".join(part for part in (item.system, item.slo) if part)


def _overdue(pack: Pack) -> str:
    late = overdue(pack)
    if not late:
        return ""
    items = [
        f'<b>{prose(item.what)}</b> <span class="soft">({words(", ".join(part for part in (action_text(item), item.owner) if part))}; '
        f"due {words(shown.full_day(item.due))}, decided {words(item.decided)})</span>"
        for item in late
    ]
    return f'<section class="card over-now"><h2>Overdue from earlier reviews</h2>{bullets(items)}</section>'


def _gaps(pack: Pack) -> str:
    if not pack.gaps:
        return ""
    items = [f"<b>{name(gap.where)}</b>: {prose(gap.what)}" for gap in gathered(pack.gaps)]
    return f'<section class="card gaps"><h2>Missing from this report</h2>{bullets(items)}</section>'
