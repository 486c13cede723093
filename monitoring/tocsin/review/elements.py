"""Builds the HTML that pages share: tables that scroll in their own box, badges, lists that fold when they are long."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import shown
from .pack import State
from .svg import words

_BADGES = {State.BROKEN: "broken", State.AT_RISK: "at-risk", State.KEPT: "is-kept"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its head and the class of its cells (``n`` numbers, ``w`` never broken, ``name``, ``say``)."""

    head: str
    kind: str = ""


def name(text: str) -> str:
    """Somebody's text, escaped, and kept from turning the direction of what stands beside it."""
    return words(text) if text.isascii() else f"<bdi>{words(text)}</bdi>"


def prose(text: str) -> str:
    """A sentence of somebody else, escaped; what stands between backquotes is a command or a file."""
    return _CODE.sub(r"<code>\1</code>", name(text))


_CODE = re.compile(r"`([^`<>]+)`")


def table(
    caption: str, columns: Sequence[Column], lines: Iterable[Sequence[str]], kind: str = "", foot: str = ""
) -> str:
    """A table of cells that are HTML already; the first cell of each line is its header, ``foot`` the lines below.

    It scrolls in its own box, which the keyboard reaches too, and never widens the page.  Cells and lines are not
    closed, which HTML allows, so that a report of many systems stays small.
    """
    heads = "".join(
        f"<th scope=col{_kind('n' if column.kind == 'n' else '')}>{words(column.head)}" for column in columns
    )
    starts = [f"<td{_kind(column.kind)}>" for column in columns]
    starts[0] = f"<tr><th scope=row{_kind(columns[0].kind)}>"
    body = "".join(start + cell for line in lines for start, cell in zip(starts, line, strict=True))
    ended = f"<tfoot>{foot}</tfoot>" if foot else ""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{words(caption)}"><table{_kind(kind)}>'
        f"<caption>{words(caption)}</caption><thead><tr>{heads}</thead><tbody>{body}</tbody>{ended}</table></div>"
    )


def _kind(kind: str) -> str:
    return f" class={kind}" if kind else ""


def badge(state: State) -> str:
    """A state: its shape, its word, and its colour last."""
    kind = _BADGES.get(state, "unsure")
    return f'<span class="badge {kind}"><i aria-hidden="true">{shown.SIGNS[state]}</i>{words(state.value)}</span>'


def bullets(items: Sequence[str], least: int = 8) -> str:
    """A list of items that are HTML already; what is beyond ``least`` folds away, and is printed all the same."""
    if len(items) <= least + 2:
        return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"
    rest = items[least:]
    return f"{bullets(items[:least])}{folded(f'and {len(rest)} more', bullets(rest, len(rest)))}"


def folded(summary: str, inside: str) -> str:
    """What is there for whoever wants it."""
    return f"<details><summary>{words(summary)}</summary>{inside}</details>"


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """A few facts side by side; values are HTML already."""
    return (
        f'<dl class="facts">{"".join(f"<div><dt>{words(key)}</dt><dd>{value}</dd></div>" for key, value in pairs)}</dl>'
    )


def figure(drawn: str, bold: str, caption: str) -> str:
    """A plot with its caption above it."""
    return f"<figure><figcaption><b>{words(bold)}</b> {words(caption)}</figcaption>{drawn}</figure>"
