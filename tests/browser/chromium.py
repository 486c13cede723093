"""Opens a file in the system's Chromium without a screen, and looks at what comes of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
Shade = Literal["light", "dark"]


def chromium() -> str:
    """Where Chromium is; skips the test where there is none."""
    for candidate in (os.environ.get("CHROMIUM"), "/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome"):
        if candidate and (found := shutil.which(candidate)):
            return found
    pytest.skip("no Chromium on this machine: install it, or say where it is in CHROMIUM")


@contextmanager
def browser() -> Iterator[Browser]:
    """A running Chromium; ended at the end."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = chromium()
    with playwright.sync_playwright() as running:
        # Its own profile and no network service: nothing that a person set up changes what is seen.
        opened = running.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield opened
        finally:
            opened.close()


@dataclass
class Seen:
    """What a page said and asked for while it was open."""

    page: Page
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def text_contrasts(self) -> list[tuple[float, str, str]]:
        """Each different text with its contrast to what is behind it and the elements it is in, the poorest first."""
        found = self.page.evaluate(CONTRAST)
        return sorted((round(ratio, 2), where, text) for ratio, where, text in found)

    def overflow(self) -> tuple[int, int, list[str]]:
        """The width that the page needs, the width that it has, and what sticks out."""
        return tuple(self.page.evaluate(OVERFLOW))  # type: ignore[return-value]


@contextmanager
def opened(browser: Browser, file: Path, width: int, shade: Shade, height: int = 900) -> Iterator[Seen]:
    """``file`` in a window of its own."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=shade)
    page = context.new_page()
    seen = Seen(page)
    page.on("console", lambda message: seen.messages.append(message.text))
    page.on("pageerror", lambda error: seen.messages.append(str(error)))
    page.on("request", lambda request: seen.requests.append(request.url))
    try:
        page.goto(file.as_uri())
        yield seen
    finally:
        context.close()


#: WCAG 2.2, "contrast ratio" and "relative luminance".  The background is that of the nearest elements behind, laid over
#: one another; words in a plot have their fill.
CONTRAST = """() => {
  const parse = text => {
    const m = text.match(/rgba?\\(([^)]+)\\)/);
    if (!m) return null;
    const p = m[1].split(/[ ,/]+/).map(Number);
    return [p[0], p[1], p[2], p.length > 3 ? p[3] : 1];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const luminance = c => {
    const [r, g, b] = c.map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = node => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) {
      const c = parse(getComputedStyle(at).backgroundColor);
      if (c && c[3] > 0) { layers.push(c); if (c[3] === 1) break; }
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const seen = new Map();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const text = node.textContent.trim(), parent = node.parentElement;
    if (!text || parent.closest('title,desc,style,.skip')) continue;
    const style = getComputedStyle(parent);
    let ink = parse(parent instanceof SVGElement ? style.fill : style.color), back = behind(parent);
    if (parent.matches('text.on')) back = parse(getComputedStyle(parent.previousElementSibling).fill);
    if (!ink || !back) continue;
    const a = luminance(over(ink, back)), b = luminance(back);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const where = parent.tagName.toLowerCase() + '.' + (parent.getAttribute('class') || '');
    const key = where + ratio.toFixed(2);
    if (!seen.has(key)) seen.set(key, [ratio, where, text.slice(0, 40)]);
  }
  return [...seen.values()];
}"""

OVERFLOW = """() => {
  const root = document.documentElement, wide = [];
  for (const node of document.body.querySelectorAll('*')) {
    if (node.closest('.wide, .skip, svg') && !node.matches('.wide, svg')) continue;
    const box = node.getBoundingClientRect();
    if (box.right > root.clientWidth + 0.5 && box.width) wide.push(node.tagName + '.' + (node.getAttribute('class') || ''));
  }
  return [root.scrollWidth, root.clientWidth, wide];
}"""
