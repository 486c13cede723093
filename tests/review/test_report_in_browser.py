"""A real Chromium opens the report: nothing is said on its console, nothing is fetched, nothing sticks out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.browser.chromium import Shade, browser, opened
from tests.review.packs import PACKS, many

from tocsin.review.html import render_html

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.long

SIZES = (1280, 390)
SHADES: tuple[Shade, ...] = ("light", "dark")
#: WCAG 2.2, success criterion 1.4.3.
LEAST_CONTRAST = 4.5


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    files = {}
    for name, make in {**PACKS, "many": lambda: many(12)}.items():
        files[name] = folder / f"{name}.html"
        files[name].write_text(render_html(make()), encoding="utf-8")
    return files


@pytest.mark.parametrize("shade", SHADES)
@pytest.mark.parametrize("width", SIZES)
@pytest.mark.parametrize("name", [*PACKS, "many"])
def test_it_opens_clean(chromium: Browser, reports: dict[str, Path], name: str, width: int, shade: Shade) -> None:
    file = reports[name]
    with opened(chromium, file, width, shade) as seen:
        seen.page.evaluate("document.querySelectorAll('details').forEach(node => { node.open = true })")
        needed, there, sticking_out = seen.overflow()
        assert needed <= there, sticking_out
        assert sticking_out == []
        poor = [one for one in seen.text_contrasts() if one[0] < LEAST_CONTRAST]
        assert poor == []
        assert seen.messages == []
        assert [request for request in seen.requests if request != file.as_uri()] == []


def test_captions_and_what_if_are_read_whole_on_a_telephone(chromium: Browser, reports: dict[str, Path]) -> None:
    """A table may scroll sideways; what says what it is does not go with it, and a small one does not scroll."""
    beyond = """selector => [...document.querySelectorAll(selector)].filter(node => {
        const box = node.closest('.wide').getBoundingClientRect()
        return node.getBoundingClientRect().right > box.right + 1 && box.width
    }).map(node => node.textContent)"""
    with opened(chromium, reports["full"], 390, "light") as seen:
        assert seen.page.locator("caption").count() > 5
        assert seen.page.evaluate(beyond, "caption") == []
        assert seen.page.evaluate(beyond, ".narrow .badge") == []


def test_the_page_is_dark_in_the_dark_and_light_on_paper(chromium: Browser, reports: dict[str, Path]) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    with opened(chromium, reports["full"], 1280, "light") as seen:
        light = seen.page.evaluate(background)
    with opened(chromium, reports["full"], 1280, "dark") as seen:
        dark = seen.page.evaluate(background)
        seen.page.emulate_media(media="print", color_scheme="dark")
        paper = seen.page.evaluate(background)
        ink = seen.page.evaluate("getComputedStyle(document.body).color")
        poor = [one for one in seen.text_contrasts() if one[0] < LEAST_CONTRAST]
    assert light != dark
    assert paper == "rgb(255, 255, 255)"
    assert ink == "rgb(27, 36, 48)"
    assert poor == []


def test_what_is_folded_is_printed(chromium: Browser, reports: dict[str, Path]) -> None:
    seen_ones = "[...document.querySelectorAll('details .wide, details ul')].map(node => node.checkVisibility())"
    with opened(chromium, reports["full"], 1280, "light") as seen:
        assert not any(seen.page.evaluate(seen_ones))
        seen.page.emulate_media(media="print")
        assert all(seen.page.evaluate(seen_ones))


#: A4 less the margins, at 96 to the inch.
PAPER = 703


@pytest.mark.parametrize("name", ["full", "hostile", "long-names"])
def test_nothing_is_cut_off_on_paper(chromium: Browser, reports: dict[str, Path], name: str) -> None:
    with opened(chromium, reports[name], PAPER, "light") as seen:
        seen.page.emulate_media(media="print")
        needed, there, sticking_out = seen.overflow()
        assert needed <= there, sticking_out


@pytest.mark.parametrize("name", ["full", "hostile", "long-names"])
def test_it_prints(chromium: Browser, reports: dict[str, Path], name: str) -> None:
    with opened(chromium, reports[name], 1280, "dark") as seen:
        printed = seen.page.pdf(prefer_css_page_size=True, print_background=True)
    assert printed.startswith(b"%PDF-")
    assert printed.count(b"/Type /Page\n") > 2


def test_the_keyboard_skips_to_the_report_and_reaches_wide_tables(chromium: Browser, reports: dict[str, Path]) -> None:
    with opened(chromium, reports["full"], 390, "light") as seen:
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.className") == "skip"
        assert seen.page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
        wide = "[...document.querySelectorAll('.wide')].every(node => node.tabIndex === 0 && node.getAttribute('aria-label'))"
        assert seen.page.evaluate(wide)


def test_a_narrow_table_is_still_a_table_to_who_hears_it(chromium: Browser, reports: dict[str, Path]) -> None:
    with opened(chromium, reports["full"], 390, "light") as seen:
        assert seen.page.get_by_role("columnheader", name="Error budget").count() >= 1
        row = seen.page.get_by_role("row").filter(has=seen.page.get_by_role("link", name="api-availability"))
        assert row.get_by_role("cell").count() == 5


def test_a_link_of_the_first_page_leads_to_its_section(chromium: Browser, reports: dict[str, Path]) -> None:
    with opened(chromium, reports["many"], 1280, "light") as seen:
        seen.page.get_by_role("link", name="availability").first.click()
        assert "#slo-system-" in seen.page.url
        where = "document.querySelector(location.hash).getBoundingClientRect().top"
        seen.page.wait_for_function(f"Math.abs({where}) < innerHeight")
