"""Past alerts of the on-call tools: by each adapter and by Opsgenie's own SDK against the embedded server, and their pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import opsgenie_sdk
import pytest
from between import Line, line_to
from declared_teams import TOOL, file_of, team
from embedded_client import Clock, ask, notification, post
from hypothesis import given, settings
from hypothesis import strategies as st
from jira_contract import check
from opsgenie_between import Between, between

from tocsin.errors import PagingError
from tocsin.paging.declared import OnCall, ToolName
from tocsin.paging.drill_marks import drill_reason, is_drill
from tocsin.paging.embedded import EmbeddedOnCall, Fault, embedded_oncall
from tocsin.paging.past_alerts import FURTHEST, PAGE, PastAlert, Span, list_opened, milliseconds
from tocsin.paging.tool import OnCallTool
from tocsin.paging.tools import open_tool

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
START = datetime(2026, 11, 21, 8, tzinfo=UTC)
ALWAYS = [(START - 365 * DAY, START + 365 * DAY)]
PAGE_ALARM = "live-shop-orders-page"
PEOPLE = ("payments-primary@example.com",)


def declared(name: ToolName) -> OnCall:
    extra: dict[str, str] = {"site": "cloud-1", "account": "tocsin@example.com"} if name is ToolName.JIRA else {}
    return file_of(name, "ON_CALL_KEY", team(TOOL, TOOL, people=PEOPLE), **extra)


class Stage:
    """An embedded server with a clock of its own, and an adapter that reaches it."""

    def __init__(self, name: ToolName, oncall: EmbeddedOnCall, clock: Clock, line: Between | Line) -> None:
        self.name, self.oncall, self.clock, self.line = name, oncall, clock, line
        self.tool: OnCallTool = open_tool(declared(name), oncall.key, line.url)

    def told(self, aliases: Sequence[str] = (PAGE_ALARM,), spans: Sequence[Span] = ALWAYS) -> tuple[PastAlert, ...]:
        return self.tool.past_alerts(list(spans), aliases)

    def open(self, alias: str = PAGE_ALARM, **fields: Any) -> None:
        """As CloudWatch's message does it."""
        post(self.oncall.cloudwatch_address("shop"), notification(alias, at=self.clock.now, **fields))

    def change(self, what: str, alias: str = PAGE_ALARM) -> None:
        """As a person does it, in the tool's own interface."""
        ask(self.oncall, "POST", f"/v2/alerts/{alias}/{what}?identifierType=alias", {"user": PEOPLE[0]})

    def asked(self) -> list[str]:
        """The paths that were asked for."""
        if isinstance(self.line, Line):
            return [one.path for one in self.line.passed]
        return [path for _, path, _, _ in self.line.passed]


@contextmanager
def staged(name: ToolName) -> Iterator[Stage]:
    clock = Clock()
    with embedded_oncall(users=PEOPLE) as oncall:
        oncall.state.clock = clock
        if name is ToolName.JIRA:
            with line_to(oncall.url) as line:
                yield Stage(name, oncall, clock, line)
            for one in line.passed:
                check(one.method, one.path, one.body, one.status, one.answer)
        else:
            with between(oncall.url) as checked:
                yield Stage(name, oncall, clock, checked)
            assert checked.wrong == []


@pytest.fixture(params=[ToolName.OPSGENIE, ToolName.JIRA], ids=lambda name: name.value)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with staged(request.param) as one:
        yield one


def test_an_alert_is_told_as_it_goes_on(stage: Stage) -> None:
    assert stage.told() == ()
    stage.open()
    (opened,) = stage.told()
    assert (opened.alias, opened.opened, opened.acknowledged, opened.closed) == (PAGE_ALARM, START, None, None)
    assert opened.opened.utcoffset() == timedelta(0)
    stage.clock.advance(7 * MINUTE)
    stage.change("acknowledge")
    assert [(one.acknowledged, one.closed) for one in stage.told()] == [(START + 7 * MINUTE, None)]
    stage.clock.advance(timedelta(minutes=13, milliseconds=250))
    stage.change("close")
    ended = START + timedelta(minutes=20, milliseconds=250)
    assert [(one.acknowledged, one.closed) for one in stage.told()] == [(START + 7 * MINUTE, ended)]
    stage.clock.advance(MINUTE)
    stage.open()
    assert [(one.opened, one.acknowledged, one.closed) for one in stage.told()] == [
        (START, START + 7 * MINUTE, ended),
        (ended + MINUTE, None, None),
    ]


def test_an_alert_that_nobody_took_has_no_such_time(stage: Stage) -> None:
    stage.open()
    stage.clock.advance(MINUTE)
    stage.open(state="OK")
    assert [(one.acknowledged, one.closed) for one in stage.told()] == [(None, START + MINUTE)]


def test_an_acknowledgement_taken_back_did_not_happen(stage: Stage) -> None:
    stage.open()
    stage.change("acknowledge")
    stage.change("unacknowledge")
    assert [one.acknowledged for one in stage.told()] == [None]


@pytest.mark.parametrize(
    ("begins", "ends", "found"),
    [
        (timedelta(0), timedelta(milliseconds=1), True),
        (-DAY, timedelta(0), False),
        (timedelta(milliseconds=1), DAY, False),
        (-DAY, DAY, True),
        (timedelta(0), timedelta(0), False),
    ],
)
def test_a_span_has_its_start_and_not_its_end(stage: Stage, begins: timedelta, ends: timedelta, found: bool) -> None:
    stage.clock.advance(timedelta(milliseconds=123, microseconds=456))  # the tools tell milliseconds
    stage.open()
    at = START + timedelta(milliseconds=123)
    assert [one.opened for one in stage.told(spans=[(at + begins, at + ends)])] == [at] * found


def test_only_our_alerts_are_read_whole(stage: Stage) -> None:
    for alias in ("somebody-elses", PAGE_ALARM, "another"):
        stage.open(alias)
    assert [one.alias for one in stage.told()] == [PAGE_ALARM]
    lists = [path for path in stage.asked() if "query=" in path]
    assert (len(lists), len(stage.asked())) == (1, 2)


def test_a_drill_is_known_by_its_description(stage: Stage) -> None:
    stage.open(NewStateReason=drill_reason("does the page arrive?", page=True))
    stage.open("live-shop-orders-ticket")
    told = stage.told([PAGE_ALARM, "live-shop-orders-ticket"])
    assert {one.alias: is_drill(one.description) for one in told} == {
        PAGE_ALARM: True,
        "live-shop-orders-ticket": False,
    }


def test_every_page_is_read_and_many_spans_are(stage: Stage) -> None:
    """Two and a half pages; then each alert by a span of its own, of which a query holds some."""
    aliases = [f"live-shop-{number}" for number in range(250)]
    with stage.oncall.state.lock:
        for alias in aliases:
            stage.oncall.state.alerts.raise_alert(alias, alias)
            stage.clock.advance(timedelta(seconds=1))
    mine = [aliases[3], aliases[120], aliases[249]]
    told = stage.told(mine)
    assert [one.alias for one in told] == mine
    lists = [path for path in stage.asked() if "query=" in path]
    assert (len(lists), len(stage.asked())) == (3, 3 + len(mine))
    spans = [(START + timedelta(seconds=place), START + timedelta(seconds=place + 0.001)) for place in range(50)]
    assert [one.alias for one in stage.told(aliases, spans)] == aliases[:50]
    assert sum("query=" in path for path in stage.asked()) == 3 + 3


def test_a_tool_that_throttles_is_waited_for(stage: Stage) -> None:
    stage.open()
    waits: list[float] = []
    tool: Any = open_tool(declared(stage.name), stage.oncall.key, stage.oncall.url)
    (tool._ops if stage.name is ToolName.JIRA else tool._rest).sleep = waits.append
    stage.oncall.set_fault(Fault("status", status=429, retry_after=7, times=2))
    assert len(tool.past_alerts(ALWAYS, [PAGE_ALARM])) == 1
    assert waits == [7.0, 7.0]
    stage.oncall.set_fault(Fault("status", status=429, retry_after=600))
    with pytest.raises(PagingError, match=r"it asks to wait 600 s: run the command again after that"):
        tool.past_alerts(ALWAYS, [PAGE_ALARM])


@pytest.mark.parametrize("path", ["alerts?", "alerts/"], ids=["list", "alert"])
def test_a_tool_that_fails_says_so_in_one_line(stage: Stage, path: str) -> None:
    stage.open()
    where = "/v2" if stage.name is ToolName.OPSGENIE else "/jsm/ops/api/cloud-1/v1"
    stage.oncall.set_fault(Fault("status", status=403, path=f"{where}/{path.rstrip('?')}"))
    with pytest.raises(PagingError) as error:
        stage.told()
    assert "\n" not in str(error.value)
    assert stage.oncall.key not in str(error.value)
    if isinstance(stage.line, Between):
        stage.line.wrong.clear()  # the fault's answer is not in Opsgenie's frame


@pytest.mark.parametrize("name", [ToolName.PAGERDUTY, ToolName.WEBHOOK], ids=lambda name: name.value)
def test_a_tool_that_cannot_tell_says_why(name: ToolName) -> None:
    tool = open_tool(declared(name), "0123456789" * 4, "https://example.com/hook")
    assert tool.tells_no_past
    with pytest.raises(PagingError) as error:
        tool.past_alerts(ALWAYS, [PAGE_ALARM])
    assert tool.tells_no_past in str(error.value)


def test_the_official_sdk_lists_what_was_acknowledged_and_closed() -> None:
    """The SDK as its own documentation sets it up."""
    clock = Clock()
    with embedded_oncall(users=PEOPLE) as oncall:
        oncall.state.clock = clock
        configuration = opsgenie_sdk.configuration.Configuration()
        configuration.host = oncall.url
        configuration.api_key["Authorization"] = oncall.key
        configuration.api_key_prefix["Authorization"] = "GenieKey"
        api = opsgenie_sdk.AlertApi(api_client=opsgenie_sdk.ApiClient(configuration=configuration))
        for alias in ("first", "second", "third"):
            api.create_alert(opsgenie_sdk.CreateAlertPayload(message=alias, alias=alias))
            clock.advance(MINUTE)
        api.acknowledge_alert("second", identifier_type="alias", acknowledge_alert_payload=None)
        clock.advance(timedelta(milliseconds=500))
        api.close_alert("second", identifier_type="alias", close_alert_payload=None)

        def listed(query: str, **options: Any) -> Any:
            return api.list_alerts(query=query, sort="createdAt", order="asc", **options)

        since, until = milliseconds(START + MINUTE), milliseconds(START + 2 * MINUTE)
        (second,) = listed(f"createdAt >= {since} AND createdAt < {until}").data
        assert (second.alias, second.status, second.acknowledged) == ("second", "closed", True)
        assert (second.report.ack_time, second.report.close_time) == (120_000, 120_500)
        assert (second.report.acknowledged_by, second.report.closed_by) == ("Alert API", "Alert API")
        begun = milliseconds(START)
        both = f"(createdAt >= {begun} AND createdAt < {begun + 1}) OR (createdAt >= {since} AND createdAt < {until})"
        assert [one.alias for one in listed(both).data] == ["first", "second"]
        page = listed(f"createdAt >= {begun}", limit=2)
        assert [one.alias for one in page.data] == ["first", "second"]
        assert "offset=2" in page.paging.next
        rest = listed(f"createdAt >= {begun}", limit=2, offset=2)
        assert [(one.alias, one.report.ack_time, one.report.close_time) for one in rest.data] == [("third", None, None)]
        assert rest.paging.next is None
        with pytest.raises(opsgenie_sdk.exceptions.ConfigurationException, match="422"):
            listed("", limit=100, offset=FURTHEST - 99)


# Pages, and where they end


def book(
    times: Sequence[int], asked: list[tuple[str, int]]
) -> Callable[[str, int], tuple[list[tuple[str, datetime]], bool]]:
    """A list of alerts, opened so many seconds after the start, that keeps to the limits."""
    rows = [(str(number), START + timedelta(seconds=at)) for number, at in enumerate(sorted(times))]

    def page(query: str, offset: int) -> tuple[list[tuple[str, datetime]], bool]:
        assert offset + PAGE <= FURTHEST
        asked.append((query, offset))
        found = matching(query)
        return found[offset : offset + PAGE], offset + PAGE < len(found)

    @cache
    def matching(query: str) -> list[tuple[str, datetime]]:
        words = query.replace("(", " ").replace(")", " ").split()
        limits = [int(word) for word in words if word.isdecimal()]
        spans = list(zip(limits[::2], limits[1::2], strict=True))
        return [row for row in rows if any(low <= milliseconds(row[1]) < high for low, high in spans)]

    return page


def test_more_alerts_than_a_list_holds_are_listed_by_several() -> None:
    asked: list[tuple[str, int]] = []
    times = [number // 3 for number in range(45_000)]
    found = list_opened(book(times, asked), lambda row: row, [(START, START + DAY)])
    assert [row[0] for row in found] == [str(number) for number in range(45_000)]
    assert len({query for query, _ in asked}) == 3


def test_more_alerts_in_a_moment_than_a_list_holds_are_an_error() -> None:
    with pytest.raises(PagingError, match=r"more than 20,000 alerts were opened at 2026-11-21 08:00:05 UTC"):
        list_opened(book([5] * (FURTHEST + 1), []), lambda row: row, [(START, START + DAY)])


@given(
    st.lists(st.integers(0, 300), max_size=400),
    st.lists(st.tuples(st.integers(-10, 310), st.integers(-10, 310)), max_size=50),
)
@settings(deadline=None)
def test_what_is_listed_is_what_was_opened_in_the_spans(times: list[int], spans: list[tuple[int, int]]) -> None:
    asked: list[tuple[str, int]] = []
    moments = [(START + timedelta(seconds=low), START + timedelta(seconds=high)) for low, high in spans]
    found = list_opened(book(times, asked), lambda row: row, moments)
    expected = sorted(at for at in times if any(low <= at < high for low, high in spans))
    assert [(row[1] - START).total_seconds() for row in found] == expected
    assert len({row[0] for row in found}) == len(found)
    assert len(json.dumps([query for query, _ in asked])) < 3000 * (len(asked) + 1), "a query is part of an address"
