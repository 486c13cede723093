"""Writes a review as one HTML file that needs nothing else: no network, no script, no font."""

from __future__ import annotations

from itertools import groupby

from . import shown
from .alarm_section import action_section, alarm_section
from .elements import folded, name
from .first_page import first_page
from .pack import Pack, SloReview
from .slo_section import canvas_of, slo_section
from .style import content_security_policy, style_sheet
from .summary import anchors, counted
from .svg import words

_PATTERNS = (
    '<svg class="defs" aria-hidden="true" focusable="false"><defs>'
    '<pattern id="hatch" width="14" height="14" patternUnits="userSpaceOnUse"><path class="hatching" d="M-3 17L17-3M-3 3L3-3M11 17L17 11"/></pattern>'
    '<pattern id="dots" width="14" height="14" patternUnits="userSpaceOnUse"><circle class="dotting" cx="4" cy="4" r="2.2"/></pattern>'
    '<pattern id="over" width="14" height="14" patternUnits="userSpaceOnUse"><rect class="overback" width="14" height="14"/>'
    '<path class="crossing" d="M-3 17L17-3M-3 3L3-3M11 17L17 11"/></pattern></defs></svg>'
)


#: With more SLOs, a browser lays out only the sections that are looked at.
_LONG = 30


def render_html(pack: Pack) -> str:
    """The whole report.  The same pack gives the same text on every machine."""
    sheet = style_sheet()
    long = ' class="long"' if len(pack.slos) > _LONG else ""
    title = f"SLO review {shown.month_name(pack.month)}, {shown.plain(pack.environment)}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{content_security_policy(sheet)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f'<title>{words(title)}</title>\n<link rel="icon" href="data:,">\n<style>{sheet}</style>\n</head>\n<body>\n'
        f'<a class="skip" href="#main">Skip to the report</a>\n{_PATTERNS}\n<main id="main"{long}>\n'
        f"{first_page(pack)}\n{_contents(pack)}\n{_sections(pack)}\n{alarm_section(pack)}\n{action_section(pack)}\n"
        f"{_reading()}\n</main>\n</body>\n</html>\n"
    )


def _by_system(pack: Pack) -> list[tuple[str, list[SloReview]]]:
    ordered = sorted(pack.slos, key=lambda review: (review.system, review.slo))
    return [(system, list(reviews)) for system, reviews in groupby(ordered, key=lambda review: review.system)]


def _contents(pack: Pack) -> str:
    """Where to find each system; in a long report only."""
    systems = _by_system(pack)
    if len(systems) < 2:
        return ""
    links = ", ".join(f'<a href="#system-{number}">{name(system)}</a>' for number, (system, _) in enumerate(systems))
    rest = '<a href="#alarms">alarms</a>, <a href="#actions">decisions</a>, <a href="#reading">how to read this</a>'
    inside = f"<p>{links}; {rest}</p>"
    if len(systems) > 12:
        inside = folded(f"Contents: {counted(len(systems), 'system')}", inside)
    return f'<nav aria-label="Contents">{inside}</nav>'


def _sections(pack: Pack) -> str:
    canvas, named = canvas_of(pack), anchors(pack)
    parts, number = [], 0
    for index, (system, reviews) in enumerate(_by_system(pack)):
        parts.append(f'<div class="system"><h2 id="system-{index}">{name(system)}</h2>')
        for review in reviews:
            parts.append(slo_section(canvas, review, named[review.system, review.slo], f"s{number}"))
            number += 1
        parts.append("</div>")
    return "\n".join(parts)


def _key(meaning: str, drawn: str) -> str:
    return f'<svg class="key" viewBox="0 0 34 20" role="img" aria-label="{meaning}">{drawn}</svg>'


_AMBER = _key("amber band", '<rect class="band" width="34" height="20"/>')
_RED = _key("red band", '<rect class="band silent" width="34" height="20"/>')
_PAGE = _key("triangle", '<path class="page" d="M17 1l9 18h-18z"/>')
_TICKET = _key("square", '<path class="ticket" d="M10 3h14v14h-14z"/>')
_IDEAL = _key("dashed line", '<path class="ideal" d="M0 2L34 18"/>')
_UNPULLED = _key("hatched", '<path class="unpulled" d="M0 0h34v20H0z"/>')
_NOTHING = _key("dotted", '<path class="nothing" d="M0 0h34v20H0z"/>')


def _reading() -> str:
    items = (
        "<b>Error budget</b>: the events that may be bad, each under the objective in force at its time. The calendar month "
        "and the SLO's own rolling window have budgets of their own and are never added.",
        "<b>Burn rate</b>: how many times faster than allowed budget is spent. At 1 it lasts exactly as long as its window.",
        "<b>Incident</b>: periods that burn faster than 1, with at most 15 minutes between them. Those that spent 1 % of the "
        "month's budget are listed and numbered.",
        f"{_AMBER} an incident that an alarm told somebody of; {_RED} one that nobody was told of.",
        f"{_PAGE} a page; {_TICKET} a ticket; {_IDEAL} the ideal line: the budget spent evenly over the month.",
        f"{_UNPULLED} not pulled; {_NOTHING} no valid event. Neither is zero, and neither is 100 %.",
        "<b>States</b>: broken, more than all of the budget is gone; at risk, more than half; kept; too few events to judge, "
        "when a single bad event would break the promise; no data; not pulled.",
        "<b>SLI by day</b> stands on a scale in which each step up has ten times fewer bad events, as distance from the "
        "objective's dashed line: a dot is a day that met it, a diamond one that did not.",
        "Percentages are rounded so that none reaches an objective that was missed.",
    )
    listed = "".join(f"<li>{item}</li>" for item in items)
    return f'<section class="card" aria-label="How to read this"><h2 id="reading">How to read this</h2><ul>{listed}</ul></section>'
