"""The page of the embedded on-call server: complete, escaped, and in need of nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from embedded_client import Clock, ask, notification, post, send
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall

VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """What a browser makes of the page: tags in balance, attributes, text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def oncall() -> Iterator[EmbeddedOnCall]:
    with embedded_oncall(users=["payments-primary@example.com"]) as running:
        running.state.clock = Clock()
        yield running


@pytest.fixture
def clock(oncall: EmbeddedOnCall) -> Clock:
    assert isinstance(oncall.state.clock, Clock)
    for record in oncall.state.alerts:
        oncall.state.alerts.delete(record)
    for heartbeat in oncall.state.heartbeats:
        oncall.state.heartbeats.remove(heartbeat["id"])
    return oncall.state.clock


def page(oncall: EmbeddedOnCall) -> Page:
    answer = send(oncall.url, "GET", "/")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    return Page(answer.content.decode())


def test_an_empty_page_says_so(oncall: EmbeddedOnCall, clock: Clock) -> None:
    found = page(oncall)
    for text in ("No alert is open.", "None was closed yet.", "There are no heartbeats.", "0 open alerts, 0 closed"):
        assert text in found.text


def test_the_page_shows_what_somebody_on_call_asks_first(oncall: EmbeddedOnCall, clock: Clock) -> None:
    address = oncall.cloudwatch_address("alarms", "P1")
    post(address, notification("live-shop-page"))
    post(address, notification("live-shop-page"))
    clock.advance(timedelta(minutes=61))
    post(address, notification("live-other-page"))
    clock.advance(timedelta(seconds=5))
    post(address, notification("live-other-page", "OK"))
    ask(
        oncall,
        "POST",
        "/v2/heartbeats",
        {"name": "tocsin-shop-live", "interval": 10, "intervalUnit": "minutes", "enabled": True},
    )
    ask(oncall, "GET", "/v2/heartbeats/tocsin-shop-live/ping")
    found = page(oncall)
    for text in (
        "1 open alert, 1 closed",
        "live-shop-page",
        "P1",
        "2 times",
        "payments",
        "1 h 1 min ago",
        "after 5 s",
        "nobody",
    ):
        assert text in found.text, text
    for text in ("tocsin-shop-live", "well", "0 s ago", "10 minutes"):
        assert text in found.text, text
    links = [one["href"] for one in found.named("a")]
    assert "https://example.com/runbooks/slo-availability.md" in links
    clock.advance(timedelta(minutes=10))
    assert "silent" in page(oncall).text


def test_the_page_is_accessible_and_loads_nothing(oncall: EmbeddedOnCall, clock: Clock) -> None:
    post(oncall.cloudwatch_address("alarms"), notification("live-shop-page"))
    found = page(oncall)
    assert found.named("html") == [{"lang": "en"}]
    assert len(found.named("title")) == len(found.named("main")) == len(found.named("h1")) == 1
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in found.named("meta")
    ids = [one["id"] for _, one in found.tags if "id" in one]
    assert [one["aria-labelledby"] for one in found.named("section")] == ids
    for tag in ("script", "img", "iframe", "form", "object"):
        assert found.named(tag) == []
    assert [one["href"] for one in found.named("link")] == ["data:,"]


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>",
    "javascript:alert(1)",
    "https://example.com/\"onmouseover='alert(1)'",
    "&lt;b&gt;",
    "\x00\x1b[31m",
    "\u202e evil",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_stranger_s_text_stays_text(oncall: EmbeddedOnCall, clock: Clock, text: str) -> None:
    plain = {name for name, _ in page(oncall).tags}
    details = {text: text, "Owner": text, "Runbook": text, "link": f"https://example.com/{text}"}
    body = {"message": text, "alias": text, "description": text, "tags": [text], "details": details, "priority": "P1"}
    assert ask(oncall, "POST", "/v2/alerts", body).status == 202
    ask(oncall, "POST", "/v2/heartbeats", {"name": text, "interval": 1, "intervalUnit": "days", "enabled": False})
    found = page(oncall)
    assert {name for name, _ in found.tags} <= plain | {
        "ul",
        "li",
        "dl",
        "dt",
        "dd",
        "div",
        "span",
        "h3",
        "time",
        "details",
        "summary",
    }
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
    for one in found.named("a"):
        assert str(one["href"]).startswith(("/", "http://", "https://"))
    assert send(oncall.url, "GET", "/alerts").json[0]["message"] == text


@given(text=st.text(min_size=1, max_size=130).filter(str.strip))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_breaks_the_page(oncall: EmbeddedOnCall, text: str) -> None:
    for record in oncall.state.alerts:
        oncall.state.alerts.delete(record)
    assert ask(oncall, "POST", "/v2/alerts", {"message": text, "details": {text: text}}).status == 202
    assert [one.get("class") for one in page(oncall).named("li")][:1] == ["card P3"]


def test_of_many_closed_alerts_the_newest_are_shown(oncall: EmbeddedOnCall, clock: Clock) -> None:
    with oncall.state.lock:
        for number in range(60):
            record, _ = oncall.state.alerts.raise_alert(f"a{number}", f"a{number}")
            oncall.state.alerts.close(record)
    found = page(oncall)
    assert len([one for one in found.named("li") if "closed" in str(one["class"])]) == 50
    assert "The 50 newest of 60." in found.text
