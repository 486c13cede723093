"""The HTML report: everything said, nothing flattered, nothing from outside, the same bytes again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fractions import Fraction
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.review.packs import HOSTILE, HOUR, PACKS, Outages, alarms, full, heartbeat, many, month_span, pack, slo

from tocsin.review import shown, summary
from tocsin.review.html import render_html
from tocsin.review.pack import Pack, SloReview, Span, State

_VOID = {"meta", "link", "br", "path", "rect", "circle"}
_OPTIONAL = {"td", "th", "tr"}


@dataclass
class Node:
    tag: str
    attributes: dict[str, str]
    inside: list[Node | str] = field(default_factory=list)

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.inside:
            if isinstance(child, Node):
                yield from child.walk()

    def all(self, tag: str) -> list[Node]:
        return [node for node in self.walk() if node.tag == tag]

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.inside).replace("\u00a0", " ")


class Reader(HTMLParser):
    """A tree of elements, with the ends that HTML lets a writer leave out."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Node("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("td", "th"):
            self._close("td", "th")
        elif tag == "tr":
            self._close("td", "th", "tr")
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(node)
        if tag not in _VOID or (tag in ("path", "rect") and self.rawtext(tag)):
            self.open.append(node)

    def rawtext(self, tag: str) -> bool:
        """Whether a drawn element is open, with a title in it."""
        return not (self.get_starttag_text() or "").endswith("/>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].inside.append(Node(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("tbody", "thead", "tfoot", "table"):
            self._close("td", "th", "tr")
        assert self.open[-1].tag == tag, f"</{tag}> ends <{self.open[-1].tag}>"
        self.open.pop()

    def _close(self, *tags: str) -> None:
        while self.open[-1].tag in tags:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def read(text: str) -> Node:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == [reader.root], "everything is closed"
    return reader.root


@cache
def tree(name: str) -> Node:
    return read(render_html(PACKS[name]()))


def section(root: Node, slo_name: str) -> Node:
    """The section of an SLO."""
    return next(
        node
        for node in root.all("section")
        if node.attributes.get("class") == "slo" and node.all("h3")[0].text == slo_name
    )


def of(*slos: SloReview, **others: object) -> Node:
    return read(render_html(pack(slos, **others)))


@pytest.mark.parametrize("name", PACKS)
def test_a_page_is_well_built(name: str) -> None:
    root = tree(name)
    assert root.all("html")[0].attributes["lang"] == "en"
    assert len(root.all("h1")) == 1
    levels = [int(node.tag[1]) for node in root.walk() if re.fullmatch("h[1-6]", node.tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels)), "no level is left out"
    ids = [node.attributes["id"] for node in root.walk() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    for node in root.walk():
        for key in ("aria-labelledby", "aria-describedby"):
            assert set(node.attributes.get(key, "").split()) <= set(ids)
        if node.attributes.get("href", "").startswith("#"):
            assert node.attributes["href"][1:] in ids
    for table in root.all("table"):
        assert table.all("caption"), "a table says what it holds"
        assert all(head.attributes.get("scope") in ("col", "row") for head in table.all("th"))
        width = len(table.all("thead")[0].all("th"))
        for row in table.all("tr"):
            cells = [node for node in row.inside if isinstance(node, Node)]
            assert sum(int(cell.attributes.get("colspan", 1)) for cell in cells) == width
    for picture in root.all("svg"):
        if picture.attributes.get("aria-hidden") == "true":
            continue
        assert picture.attributes["role"] == "img"
        assert "aria-label" in picture.attributes or [
            node.tag for node in picture.inside[:2] if isinstance(node, Node)
        ] == ["title", "desc"]
        assert "viewbox" in picture.attributes


@pytest.mark.parametrize("name", PACKS)
def test_nothing_comes_from_outside_and_nothing_runs(name: str) -> None:
    root = tree(name)
    assert not root.all("script")
    for node in root.walk():
        assert not [key for key in node.attributes if key.startswith("on") or key in ("src", "style", "srcset")]
        href = node.attributes.get("href", "#")
        assert href.startswith("#") or href == "data:,"
    policy = next(node for node in root.all("meta") if "http-equiv" in node.attributes).attributes["content"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "url(" not in re.sub(r"url\(#\w+\)", "", root.all("style")[0].text)


def test_the_same_pack_gives_the_same_bytes() -> None:
    assert render_html(full()).encode() == render_html(full()).encode()


def test_hostile_names_are_text() -> None:
    text = render_html(PACKS["hostile"]())
    root = tree("hostile")
    assert not root.all("img")
    shown_names = {node.text for node in root.all("bdi")} | {node.text for node in root.all("h3")}
    for name in HOSTILE:
        assert shown.plain(name).replace("\u00a0", " ") in shown_names
    assert not re.search("[\u200b\u202a-\u202e\u2066-\u2069\x00-\x08\x1b\ud800-\udfff]", text)
    text.encode("utf-8")


def test_the_first_page_says_what_when_and_where() -> None:
    root = tree("full")
    first = next(node for node in root.all("section") if node.attributes.get("class") == "first")
    assert first.all("h1")[0].text == "SLO review: October 2026"
    for said in (
        "Environment prod",
        "1 Oct to 31 Oct 2026",
        "Europe/Berlin",
        "data of the whole month",
        "Changes other than fixes and security wait",
        "objective raised from 99 % to 99.5 %",
        "Warm the cache before traffic is moved",
        "access was denied",
    ):
        assert said in first.text
    assert [node.text for node in first.all("code")] == ["tocsin history pull prod"]
    states = [
        badge.text
        for row in first.all("tbody")[0].all("tr")
        for badge in row.all("span")
        if "badge" in badge.attributes.get("class", "")
    ]
    order = [state.value for state in State]
    ranks = [order.index(state[1:]) for state in states]
    assert ranks == sorted(ranks), "worst first"
    assert ranks[0] == 0


def test_a_running_month_says_up_to_when() -> None:
    text = tree("running").text
    assert "data up to 13 October 2026, 12:00 CEST, so figures are those so far" in text
    assert "of 40 % of the month" in text
    assert "end of data" in text


@pytest.mark.parametrize(
    ("value", "objective", "said"),
    [
        (Fraction(9995, 10000), Fraction(999, 1000), "99.95 %"),
        (Fraction(99899, 100000), Fraction(999, 1000), "99.899 %"),  # 99.90 would be kept
        (Fraction(9989999, 10000000), Fraction(999, 1000), "99.89999 %"),
        (Fraction(999, 1000), Fraction(999, 1000), "99.90 %"),
        (Fraction(999999, 1000000), Fraction(99, 100), "99.9999 %"),  # 100.00 would be without fault
        (Fraction(1), Fraction(999, 1000), "100 %"),
        (Fraction(0), Fraction(999, 1000), "0 %"),
        (Fraction(1, 10**9), Fraction(9, 10), "0.0000001 %"),
        (1 - Fraction(1, 10**20), Fraction(9, 10), "just under 100 %"),
        (Fraction(999, 1000) - Fraction(1, 10**20), Fraction(999, 1000), "just under 99.9 %"),
        (None, Fraction(999, 1000), "–"),
    ],
)
def test_a_share_has_the_digits_that_its_objective_needs(
    value: Fraction | None, objective: Fraction, said: str
) -> None:
    assert shown.attained(value, objective) == said


OBJECTIVES = st.integers(0, 5).flatmap(
    lambda digits: st.integers(0, 10**digits).map(lambda part: Fraction(part, 10**digits))
)
NEAR = st.tuples(OBJECTIVES, st.fractions(-1, 1), st.integers(0, 14)).map(lambda at: at[0] + at[1] / 10 ** at[2])


@given(st.one_of(st.fractions(0, 1), NEAR.filter(lambda value: 0 <= value <= 1)), OBJECTIVES)
def test_rounding_never_mends_a_broken_promise(value: Fraction, objective: Fraction) -> None:
    text = shown.attained(value, objective)
    if not text.startswith("just"):
        number = Fraction(text.removesuffix(" %")) / 100
        assert number >= objective or value < objective
        assert (number < objective) >= (value < objective)
        assert (number == 1) == (value == 1)
        assert (number == 0) == (value == 0)


@given(st.fractions(-3, 3))
def test_a_share_of_budget_stays_on_its_side_of_half_and_all(value: Fraction) -> None:
    text = shown.share(value)
    if not text.startswith("just"):
        number = Fraction(text.removesuffix(" %").replace("−", "-")) / 100
        for mark in (Fraction(0), Fraction(1, 2), Fraction(1)):
            assert (number > mark, number < mark) == (value > mark, value < mark)


@pytest.mark.parametrize(
    ("spent", "said"),
    [
        (Fraction(0), "100 % left"),
        (Fraction(1, 1000), "99.9 % left"),
        (Fraction(501, 1000), "49.9 % left"),
        (Fraction(1), "0 % left"),
        (Fraction(17, 10), "70 % overspent"),
        (Fraction(3), "spent 3 times"),
        (Fraction(12345), "spent 12,345 times"),
        (None, "–"),
    ],
)
def test_what_is_left_of_a_budget(spent: Fraction | None, said: str) -> None:
    assert shown.budget_left(spent) == said


def test_times_are_of_the_zone_and_name_the_offset_when_clocks_change() -> None:
    october = shown.Clock.of("Europe/Berlin", month_span())
    assert october.moment(month_span().start + 578 * HOUR + timedelta(minutes=30)) == "25 Oct 02:30 CEST"
    assert october.moment(month_span().start + 579 * HOUR + timedelta(minutes=30)) == "25 Oct 02:30 CET"
    july = shown.Clock.of("Europe/Berlin", month_span("2026-07"))
    assert july.moment(month_span("2026-07").start) == "1 Jul 00:00"
    assert july.span(month_span("2026-07")) == "1 Jul to 31 Jul 2026"
    assert (
        july.span(Span(month_span("2026-07").start, month_span("2026-07").end - HOUR)) == "1 Jul 00:00 to 31 Jul 23:00"
    )


def test_calendar_month_and_rolling_window_have_rows_of_their_own() -> None:
    rows = [row.all("th")[0].text for row in section(tree("full"), "api-availability").all("tr") if row.all("th")]
    assert "Calendar month: 1 Oct to 31 Oct 2026" in rows
    assert "Rolling 28 d: 4 Oct 01:00 CEST to 1 Nov 00:00 CET" in rows


def test_incidents_say_who_was_told_and_add_up() -> None:
    one = section(tree("full"), "api-availability")
    table = next(node for node in one.all("table") if "Burning stretches" in node.all("caption")[0].text)
    rows = [[cell.text for cell in row.inside if isinstance(cell, Node)] for row in table.all("tbody")[0].all("tr")]
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    assert rows[0][1:4] == ["3 Oct 02:04 CEST", "3 Oct 04:53 CEST", "2 h 49 min"]
    assert rows[0][6:] == ["page: prod-checkout-api-availability-page", "6 min 12 s"]
    assert rows[1][6:] == ["✕nobody was told", "–"]
    assert "all of the month" in table.all("tfoot")[0].text


def test_an_incident_from_before_the_month_that_still_goes_on() -> None:
    made = slo(outages={(0, 3): Fraction(1, 5)})
    (only,) = made.incidents
    made = replace(made, incidents=(replace(only, began=month_span().start - 2 * HOUR, open=True),))
    text = section(of(made), "api-availability").text
    assert "30 Sep 22:00 CEST" in text
    assert "still going on" in text
    assert "over 4 h 53 min" in text


def test_a_changed_objective_is_drawn_and_said() -> None:
    one = section(tree("changed"), "api-availability")
    assert "99.9 % since 14 Oct" in one.text
    assert "99.9 % from here" in one.text
    assert len([node for node in one.all("path") if node.attributes.get("class") == "change"]) == 2
    assert "99.5 % until 14 Oct" in tree("changed").text


@pytest.mark.parametrize(
    ("name", "kind", "said"), [("no-data", "nothing", "no event"), ("not-pulled", "unpulled", "not pulled")]
)
def test_what_is_not_known_is_neither_zero_nor_all(name: str, kind: str, said: str) -> None:
    one = section(tree(name), "api-availability")
    facts = dict(zip((node.text for node in one.all("dt")), (node.text for node in one.all("dd")), strict=True))
    assert facts["Attained in the calendar month"] == "–"
    assert facts["Error budget of the month"] == "–"
    days = one.all("details")[-1]
    assert {row.all("td")[0].text for row in days.all("tbody")[0].all("tr")} == {said}
    if name == "no-data":
        assert kind in {node.attributes.get("class") for node in one.all("path")}
        assert not [node for node in one.all("path") if node.attributes.get("class") == "dots"]
    else:
        assert not one.all("svg"), "no plot of nothing"


def test_days_without_data_are_hatched_in_every_plot() -> None:
    one = section(tree("full"), "availability")
    plots = [node for node in one.all("svg") if "plot" in node.attributes["class"]]
    assert len(plots) == 6
    for plot in plots:
        assert [node for node in plot.all("path") if node.attributes.get("class") == "unpulled"], plot.all("title")[
            0
        ].text


def test_a_heartbeat_is_kept_or_broken_and_has_no_budget() -> None:
    one = section(tree("heartbeat"), "daily-run")
    assert "broken once, 7 h" in one.text
    assert "9 Oct 08:00 CEST" in one.text
    assert "Error budget" not in one.text
    other = section(tree("heartbeat"), "weekly-run")
    assert "Kept throughout what was pulled." in other.text


def test_thresholds_are_those_of_the_slos_own_window() -> None:
    text = section(tree("good"), "api-availability").text
    for said in ("page 13.4", "page 5.6", "ticket 2.8", "ticket 1"):
        assert said in text
    loose = slo(objective=Fraction(9, 10))
    assert "a page at 13.4 is out of reach of this objective" in section(of(loose), "api-availability").text


def test_a_burn_rate_is_compared_with_its_limit_exactly() -> None:
    """One part in 10 to the 30 over a limit is above it, though no float can tell the two apart."""
    limit, hair = Fraction(336, 25), Fraction(1, 10**30)
    first = month_span().start
    rates = tuple((first + (n + 1) * HOUR, rate) for n, rate in enumerate((limit - hair, limit, limit + hair)))
    text = section(of(replace(slo(), burn_rates={3600: rates})), "api-availability").text
    assert "at most 13.4; above the page's 13.4 for 1 of 3 h" in text


def test_alarm_quality_by_system_and_by_alarm() -> None:
    root = tree("full")
    card = next(node for node in root.all("section") if node.attributes.get("aria-label") == "Alarms")
    assert "57 % (4 of 7)" in card.text
    assert "5 min" in card.text
    assert "1 alarm that never told anybody this month" in card.text
    assert "prod-checkout-Reader-throttles" in card.text
    assert "at 480 s it would have told twice" in card.text
    assert "Night is 22:00 to 07:00 Europe/Berlin" in card.text


def test_two_systems_have_a_line_for_all() -> None:
    lines = summary.told_by_system(pack((), alarms=(*alarms("one"), *alarms("two"))))
    assert [(line.name, line.pages, line.tickets) for line in lines] == [("one", 7, 7), ("two", 7, 7), ("all", 14, 14)]


def test_an_empty_review_still_reads() -> None:
    text = tree("empty").text
    assert "No SLO is in this review." in text
    assert "No alarm is in this history." in text


def test_kept_promises_fold_away_in_a_long_report() -> None:
    made = many(6)
    root = read(render_html(made))
    first = next(node for node in root.all("section") if node.attributes.get("class") == "first")
    main, kept = first.all("table")
    assert all("kept" not in [span.text for span in row.all("span")][-2:] for row in main.all("tbody")[0].all("tr"))
    total = len(main.all("tbody")[0].all("tr")) + len(kept.all("tbody")[0].all("tr"))
    assert total == len(made.slos)
    assert kept in first.all("details")[0].walk()


def test_fifty_systems_of_three_slos_stay_small() -> None:
    assert len(render_html(many()).encode()) < 3_000_000


OUTAGES: list[Outages] = [{}, {(0, 745): Fraction(1)}, {(744, 745): Fraction(1)}, {(10, 11): Fraction(1, 10**6)}]


@pytest.mark.parametrize("outages", OUTAGES)
@pytest.mark.parametrize("objective", [Fraction(1, 2), Fraction(9, 10), Fraction(99999, 100000), Fraction(2, 3)])
def test_every_objective_and_outage_can_be_drawn(objective: Fraction, outages: Outages) -> None:
    of(slo(objective=objective, outages=outages))


@pytest.mark.parametrize("month", ["2026-02", "2026-03", "2028-02", "2026-12"])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_every_month_of_every_zone_can_be_drawn(month: str, zone: str) -> None:
    root = of(slo(month=month, zone=zone), month=month, zone=zone)
    assert zone in root.text


def test_two_slos_of_one_name_have_links_of_their_own() -> None:
    named = summary.anchors(pack((slo("a b", "c"), slo("a-b", "c"), slo("ä", "ö"))))
    assert sorted(named.values()) == ["slo-a-b-c", "slo-a-b-c-2", "slo-unnamed"]


def test_a_heartbeat_is_not_compared() -> None:
    assert summary.direction(heartbeat()) == ""


def test_packs_are_all_of_the_kind_that_they_are_named_after() -> None:
    def states(one: Pack) -> set[State]:
        return {review.state for review in one.slos}

    assert states(full()) == set(State)
