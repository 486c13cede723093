"""The Markdown report: the first page and the tables, safe to paste."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from tests.review.packs import PACKS, full, many

from tocsin.review.markdown import bar, prose, render_markdown, text


@pytest.mark.parametrize("name", PACKS)
def test_every_table_is_square(name: str) -> None:
    width = 0
    for line in render_markdown(PACKS[name]()).splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        assert width in (0, cells), line
        width = cells


def test_it_says_what_the_first_page_says() -> None:
    said = render_markdown(full())
    for part in (
        "# SLO review: October 2026",
        "Environment **prod**, 1 Oct to 31 Oct 2026, times in Europe/Berlin; data of the whole month.",
        "✕ 2 broken · ▲ 1 at risk",
        "| checkout | api-availability | 99.9 % | 99.83 % | ░░░░░░░░░░ 70 % overspent |",
        "## To be decided",
        "## What changed",
        "## Overdue",
        "run `tocsin history pull prod` with",
        "| checkout | api-availability | 2 | 14 Oct 18:04 CEST |",
        "nobody was told",
        "Never told anybody: prod-checkout-Reader-throttles.",
        "| overdue | Warm the cache",
        "Calendar month: 1 Oct to 31 Oct 2026",
        "Rolling 28 d: 4 Oct 01:00 CEST to 1 Nov 00:00 CET",
    ):
        assert part in said
    assert said.endswith("\n")
    assert said == render_markdown(full())


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("data_pipeline", "data_pipeline"),
        ("_private_", "\\_private\\_"),
        ("a|b", "a\\|b"),
        ("<script>", "&lt;script&gt;"),
        ("@everyone", "&#64;everyone"),
        ("[x](http://y)", "\\[x\\](http://y)"),
        ("a`b", "a\\`b"),
        ("AT&T &lt;", "AT&amp;T &amp;lt;"),
        ("see #12", "see \\#12"),
        ("# x", "\\# x"),
        ("two\nlines", "two lines"),
        ("\u202eevil", "\\\\u202eevil"),
    ],
)
def test_names_are_text(name: str, safe: str) -> None:
    assert text(name) == safe


def test_nothing_hostile_is_left() -> None:
    said = render_markdown(PACKS["hostile"]())
    assert "<" not in said
    assert "@" not in said
    assert not re.search(r"(?<!\\)\]\(", said)
    assert not re.search("[\u202a-\u202e\x00-\x08\x1b\ud800-\udfff]", said)


def test_a_command_in_a_sentence_stays_one() -> None:
    assert prose("run `tocsin build`, then go_on *now*") == "run `tocsin build`, then go_on \\*now\\*"


@pytest.mark.parametrize(
    ("spent", "boxes"),
    [(Fraction(0), 10), (Fraction(1, 2), 5), (Fraction(999, 1000), 1), (Fraction(1), 0), (Fraction(7), 0)],
)
def test_a_bar_shows_the_last_of_it(spent: Fraction, boxes: int) -> None:
    assert bar(spent) == "█" * boxes + "░" * (10 - boxes)


def test_fifty_systems_are_one_file() -> None:
    assert len(render_markdown(many()).encode()) < 500_000
