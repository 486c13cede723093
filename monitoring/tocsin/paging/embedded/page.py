"""What arrived, for people at ``/`` and as JSON at ``/alerts``.

The page needs nothing from elsewhere and runs no script; every text in it may come from a stranger and is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .alert_book import AlertRecord
from .opsgenie.answers import moment
from .routing_table import Response, Route

if TYPE_CHECKING:
    from .oncall import EmbeddedOnCall

_MOST_CLOSED = 50
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_STYLE = """
:root { color-scheme: light dark;
  --ground: #f6f7f9; --card: #fff; --ink: #1b2027; --quiet: #58616d; --line: #dde1e7; --link: #0b5cad;
  --p1: #b3261e; --p2: #a34a00; --p3: #0b5cad; --p4: #4d5866; --p5: #4d5866; --good: #1a6b3c; --on: #fff }
@media (prefers-color-scheme: dark) { :root {
  --ground: #14171b; --card: #1e2329; --ink: #e8ebef; --quiet: #a3adb9; --line: #343b44; --link: #82b8f5;
  --p1: #ffb4ab; --p2: #ffb77c; --p3: #9ecaff; --p4: #c3cad3; --p5: #c3cad3; --good: #86d7a2; --on: #14171b } }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif }
header, main { max-width: 60rem; margin: 0 auto; padding: 0 1rem }
header { padding-top: 1.5rem }
main { padding-bottom: 3rem }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 }
h2 { font-size: 1.05rem; margin: 2rem 0 .75rem }
h3 { font-size: 1rem; line-height: 1.35; margin: 0; overflow-wrap: anywhere }
p { margin: .25rem 0 0 }
a { color: var(--link) }
a:focus-visible, summary:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 2px }
.quiet { color: var(--quiet); font-size: .875rem; font-variant-numeric: tabular-nums }
ul { list-style: none; margin: 0; padding: 0 }
.card { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--edge, var(--line));
  border-radius: 6px; padding: .75rem 1rem; margin-bottom: .75rem }
.head { display: flex; gap: .625rem; align-items: baseline; flex-wrap: wrap }
.head h3 { flex: 1 1 14rem }
.chip { background: var(--edge, var(--quiet)); color: var(--on); border-radius: 4px; padding: 0 .45rem;
  font-size: .8125rem; font-weight: 650; white-space: nowrap }
.plain { background: none; color: var(--quiet); border: 1px solid var(--line); font-weight: 500 }
.P1 { --edge: var(--p1) } .P2 { --edge: var(--p2) } .P3 { --edge: var(--p3) } .P4 { --edge: var(--p4) } .P5 { --edge: var(--p5) }
.card.closed { --edge: var(--line) }
.closed .chip:not(.plain) { background: none; color: var(--quiet); border: 1px solid var(--line) }
dl { display: grid; grid-template-columns: fit-content(9rem) minmax(0, 1fr); gap: .1rem .75rem; margin: .5rem 0 0; font-size: .9375rem }
dt { color: var(--quiet); overflow-wrap: anywhere }
dd { grid-column: 2; margin: 0; overflow-wrap: anywhere; min-width: 0; font-variant-numeric: tabular-nums }
details { margin-top: .5rem; font-size: .9375rem }
summary { cursor: pointer; color: var(--link); width: max-content; padding: .125rem 0 }
.text { white-space: pre-wrap; overflow-wrap: anywhere; margin: .25rem 0 0 }
.none { color: var(--quiet); border: 1px dashed var(--line); border-radius: 6px; padding: .75rem 1rem; margin: 0 }
.beats .card { --edge: var(--quiet) } .beats .well { --edge: var(--good) } .beats .lost { --edge: var(--p1) }
"""


def routes(oncall: EmbeddedOnCall) -> Sequence[Route]:
    """The page and its data."""

    def page() -> Response:
        return Response(200, _page(oncall), _HEADERS, "text/html; charset=utf-8")

    def alerts() -> Response:
        shown = [_as_json(record) for record in oncall.state.alerts]
        return Response(200, json.dumps(shown, indent=2) + "\n", {"Cache-Control": "no-store"})

    return (Route("GET", "/", lambda _: page()), Route("GET", "/alerts", lambda _: alerts()))


def _as_json(record: AlertRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "tinyId": record.tiny_id,
        "alias": record.alias,
        "status": record.status,
        "acknowledged": record.acknowledged,
        "message": record.message,
        "description": record.description,
        "priority": record.priority,
        "owner": record.owner,
        "tags": record.tags,
        "details": record.details,
        "count": record.count,
        "createdAt": moment(record.created_at),
        "closedAt": moment(record.closed_at) if record.closed_at else None,
        "notified": list(record.notified),
        "escalatesTo": [{"minutes": minutes, "users": list(users)} for minutes, users in record.escalates_to],
        "integration": record.integration.get("name", ""),
        "runbook": record.runbook,
        "notes": [note.text for note in record.notes],
    }


def _page(oncall: EmbeddedOnCall) -> str:
    state, now = oncall.state, oncall.state.clock()
    newest_first = list(state.alerts)[::-1]
    opened = sorted((one for one in newest_first if one.open), key=lambda one: one.priority)
    closed = [one for one in newest_first if not one.open]
    beats = sorted(state.heartbeats, key=lambda one: str(one["name"]))
    told = f"{_counted(len(opened), 'open alert')}, {len(closed)} closed"
    more = f" The {_MOST_CLOSED} newest of {len(closed)}." if len(closed) > _MOST_CLOSED else ""
    parts = [
        _section("Open alerts", [_card(one, now) for one in opened], "No alert is open."),
        _section("Closed alerts", [_card(one, now) for one in closed[:_MOST_CLOSED]], "None was closed yet.", more),
        _section("Heartbeats", [_beat(one, now) for one in beats], "There are no heartbeats.", kind="beats"),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{len(opened)} open · On call</title>\n<link rel="icon" href="data:,">\n<style>{_STYLE}</style>\n</head>\n<body>\n'
        f'<header>\n<h1>On call</h1>\n<p class="quiet">{told} at {_time(now)}. Embedded in this machine: it wakes nobody. '
        f'<a href="/">Look again</a> · <a href="/alerts">JSON</a></p>\n</header>\n'
        f"<main>\n{''.join(parts)}</main>\n</body>\n</html>\n"
    )


def _section(title: str, cards: list[str], none: str, more: str = "", kind: str = "") -> str:
    name = title.split(maxsplit=1)[0].lower()
    inside = f'<ul class="{kind}">\n{"".join(cards)}</ul>' if cards else f'<p class="none">{none}</p>'
    note = f'<p class="quiet">{more.strip()}</p>\n' if more else ""
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}">{title}</h2>\n{inside}\n{note}</section>\n'


def _card(record: AlertRecord, now: datetime) -> str:
    chips = [f'<span class="chip">{escape(record.priority)}</span>']
    if record.count > 1:
        chips.append(f'<span class="chip plain">{record.count} times</span>')
    if record.acknowledged:
        chips.append('<span class="chip plain">acknowledged</span>')
    facts = [("Owner", escape(record.owner) or "not stated")]
    if record.message != record.alias:
        facts.append(("Alias", escape(record.alias)))
    facts.append(
        ("Raised", f"{_time(record.created_at)}{'' if not record.open else f', {_ago(now - record.created_at)} ago'}")
    )
    if record.closed_at:
        facts.append(("Closed", f"{_time(record.closed_at)}, after {_ago(record.closed_at - record.created_at)}"))
    facts.append(("Told", escape(", ".join(record.notified)) or "nobody"))
    if record.escalates_to:
        steps = (f"{', '.join(users)} after {minutes} min" for minutes, users in record.escalates_to)
        facts.append(("Then", "</dd><dd>".join(escape(step) for step in steps)))
    if record.tags:
        facts.append(("Tags", escape(", ".join(record.tags))))
    if record.runbook:
        facts.append(("Runbook", _link(record.runbook)))
    facts += [
        (escape(name), _link(value))
        for name, value in record.details.items()
        if name.lower() not in ("owner", "runbook", "runbook_url")
    ]
    state = "" if record.open else " closed"
    text = f'<details><summary>Description</summary><p class="text">{escape(record.description)}</p></details>'
    return (
        f'<li class="card {escape(record.priority)}{state}">\n'
        f'<div class="head">{chips[0]}<h3>{escape(record.message)}</h3>{"".join(chips[1:])}</div>\n'
        f"{_facts(facts)}\n{text if record.description else ''}</li>\n"
    )


def _beat(heartbeat: dict[str, Any], now: datetime) -> str:
    last: datetime | None = heartbeat["pinged"]
    if not heartbeat["enabled"]:
        kind, word = "", "off"
    elif heartbeat["expired"]:
        kind, word = "lost", "silent"
    else:
        kind, word = ("well", "well") if last else ("", "not begun")
    facts = [
        ("Last heard", f"{_time(last)}, {_ago(now - last)} ago" if last else "never"),
        ("May be silent", f"{heartbeat['interval']} {escape(heartbeat['intervalUnit'])}"),
    ]
    return (
        f'<li class="card {kind}">\n<div class="head"><span class="chip">{word}</span>'
        f"<h3>{escape(heartbeat['name'])}</h3></div>\n{_facts(facts)}\n</li>\n"
    )


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in facts)}</dl>"


def _link(text: str) -> str:
    """A link, if the text is nothing but an http address."""
    try:
        web = urlsplit(text).scheme in ("http", "https") and not any(letter.isspace() for letter in text)
    except ValueError:
        web = False
    return f'<a href="{escape(text)}" rel="noopener noreferrer">{escape(text)}</a>' if web else escape(text)


def _time(when: datetime) -> str:
    return f'<time datetime="{moment(when)}">{when:%Y-%m-%d %H:%M:%S} UTC</time>'


def _ago(span: timedelta) -> str:
    """``2 d 3 h``: the two greatest units."""
    seconds = max(int(span.total_seconds()), 0)
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds % 60, "s")]
    first = next((number for number, (count, _) in enumerate(parts) if count), 3)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
