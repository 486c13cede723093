"""A pull that asks the on-call tool, over HTTP: which alerts are kept, what is asked again, and what a review makes of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from metric_server import NOW, UNTIL, MetricServer, cloud_of, serving, steady, system_of

sys.path.insert(0, str(Path(__file__).parents[1] / "paging"))

from declared_teams import TOOL, file_of, team
from embedded_client import Clock, ask, notification, post
from opsgenie_between import Between, between

from tocsin.cloud.session import Cloud
from tocsin.history.cloudwatch import CloudWatch
from tocsin.history.engine import open_duckdb
from tocsin.history.gaps import end_of_pull
from tocsin.history.layout import keys_of
from tocsin.history.partitions import Partition, read_rows
from tocsin.history.pull import Pulled, pull
from tocsin.history.schema import ALERT, ALERT_COVERAGE, SLI, Table
from tocsin.history.store import Store, open_store
from tocsin.history.watched import PulledSystem
from tocsin.paging.declared import ToolName
from tocsin.paging.drill_marks import drill_reason
from tocsin.paging.embedded import EmbeddedOnCall, Fault, embedded_oncall
from tocsin.paging.past_alerts import milliseconds
from tocsin.paging.tools import open_tool
from tocsin.review.make import make_pack

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SHOP, OTHER = "prod-shop-orders-0-page", "prod-other-orders-0-page"
BEGIN = datetime(2026, 11, 19, 6, 0, 0, 250_000, tzinfo=UTC)


class Stage:
    """A CloudWatch, an on-call tool whose requests are written down, and a store."""

    def __init__(self, cloud: Cloud, oncall: EmbeddedOnCall, clock: Clock, line: Between, store: Store) -> None:
        self.cloud, self.oncall, self.clock, self.line, self.store = cloud, oncall, clock, line, store

    def pull(self, *systems: PulledSystem, now: datetime = NOW, since: datetime | None = None) -> Pulled:
        declared = file_of(ToolName.OPSGENIE, "ON_CALL_KEY", team(TOOL, TOOL))
        tool = open_tool(declared, self.oncall.key, self.line.url)
        self.line.passed.clear()
        those = systems or (system_of(), system_of("other"))
        source = CloudWatch(self.cloud)
        return pull(source, self.store, those, since, end_of_pull(now), now, alerts=tool.past_alerts)

    def raised(self, at: datetime, alias: str, **fields: str) -> None:
        self.clock.now = at
        post(self.oncall.cloudwatch_address("shop"), notification(alias, at=at, **fields))

    def changed(self, at: datetime, what: str, alias: str) -> None:
        self.clock.now = at
        ask(self.oncall, "POST", f"/v2/alerts/{alias}/{what}?identifierType=alias", {"user": "somebody"})

    def lists(self) -> list[str]:
        """The queries of the lists that the last pull asked for."""
        paths = [path for method, path, _, _ in self.line.passed if method == "GET"]
        return [parse_qs(urlsplit(path).query)["query"][0] for path in paths if "query=" in path]

    def wholes(self) -> int:
        """How many alerts the last pull asked for by their ids."""
        return len(self.line.passed) - len(self.lists())

    def rows(self, table: Table = ALERT, system: str = "shop") -> list[tuple]:
        keys = [keys_of(path) for path in self.store.paths(table)]
        return [
            tuple(one.replace(tzinfo=UTC) if isinstance(one, datetime) else one for one in row)
            for environment, of, month in keys
            if of == system
            for row in read_rows(self.store, Partition(table, environment, of, month))
        ]


@pytest.fixture
def stage(tmp_path, monkeypatch) -> Iterator[Stage]:
    clock = Clock(BEGIN)
    with (
        serving(MetricServer(value=steady, every=3600)) as server,
        embedded_oncall() as oncall,
        between(oncall.url) as line,
    ):
        oncall.state.clock = clock
        yield Stage(cloud_of(server, monkeypatch), oncall, clock, line, open_store(str(tmp_path / "history")))
    assert line.wrong == []


def test_alerts_of_our_alarms_are_kept_with_their_times(stage) -> None:
    stage.raised(BEGIN, SHOP)
    stage.changed(BEGIN + 4 * MINUTE, "acknowledge", SHOP)
    stage.raised(BEGIN + 5 * MINUTE, OTHER)
    stage.raised(BEGIN + 6 * MINUTE, "prod-somebody-elses-page")
    stage.changed(BEGIN + 30 * MINUTE, "close", SHOP)
    stage.raised(BEGIN + 2 * HOUR, SHOP)
    done = stage.pull()
    assert done.complete
    assert done.alerts == 3
    assert stage.rows() == [
        (SHOP, BEGIN, BEGIN + 4 * MINUTE, BEGIN + 30 * MINUTE),
        (SHOP, BEGIN + 2 * HOUR, None, None),
    ]
    assert stage.rows(system="other") == [(OTHER, BEGIN + 5 * MINUTE, None, None)]
    assert stage.rows(ALERT_COVERAGE)[0][1] == UNTIL.replace(day=1, hour=0, minute=0)
    assert stage.rows(ALERT_COVERAGE)[-1][1] == UNTIL
    assert (len(stage.lists()), stage.wholes()) == (1, 3), "one list for both, and each of our alerts by its id"


def test_open_alerts_are_asked_again_until_they_are_closed_and_others_never(stage) -> None:
    stage.raised(BEGIN, SHOP)
    stage.raised(BEGIN + HOUR, OTHER)
    stage.changed(BEGIN + 2 * HOUR, "close", OTHER)
    assert stage.pull().alerts == 2
    assert (stage.pull().alerts, stage.wholes()) == (0, 1), "nothing is new, and one alert was open"
    opened = milliseconds(BEGIN)
    assert stage.lists() == [f"createdAt >= {opened} AND createdAt < {opened + 1}"]
    stage.changed(NOW, "acknowledge", SHOP)
    assert stage.pull().alerts == 1
    assert stage.rows() == [(SHOP, BEGIN, NOW, None)]
    stage.changed(NOW + MINUTE, "close", SHOP)
    later = NOW + DAY
    assert stage.pull(now=later).alerts == 1
    (row,) = stage.rows()
    assert (row[2], row[3]) == (NOW, NOW + MINUTE)
    since, until = milliseconds(UNTIL), milliseconds(end_of_pull(later))
    assert stage.lists()[0] == f"createdAt >= {since} AND createdAt < {until}", "on from where it ended"
    assert (stage.pull(now=later).alerts, stage.line.passed) == (0, []), "all are closed and all has been asked"


def test_what_is_younger_than_the_metrics_is_left_for_the_next_pull(stage) -> None:
    stage.raised(UNTIL, SHOP)
    assert stage.pull().alerts == 0
    assert stage.pull(now=NOW + HOUR).alerts == 1


def test_drills_are_left_out(stage) -> None:
    stage.raised(BEGIN, SHOP, NewStateReason=drill_reason("does a page arrive?", page=False))
    stage.changed(BEGIN + MINUTE, "close", SHOP)
    stage.raised(BEGIN + HOUR, SHOP)
    assert stage.pull().alerts == 1
    assert [row[1] for row in stage.rows()] == [BEGIN + HOUR]


def test_a_tool_that_refuses_leaves_the_rest_and_the_next_pull_goes_on(stage) -> None:
    stage.raised(BEGIN, SHOP)
    stage.changed(BEGIN + HOUR, "close", SHOP)
    stage.oncall.set_fault(Fault("status", status=403))
    done = stage.pull()
    assert not done.complete
    (problem,) = done.problems
    assert problem.startswith("alerts are not complete: Opsgenie: GET /v2/alerts: 403")
    assert [system.problems for system in done.systems] == [(), ()]
    assert stage.rows(SLI)
    assert stage.rows() == stage.rows(ALERT_COVERAGE) == []
    stage.line.wrong.clear()  # the fault's answer is not in Opsgenie's frame
    stage.oncall.set_fault(None)
    done = stage.pull()
    assert done.complete
    assert (done.alerts, done.calls) == (1, 0)
    assert [row[1] for row in stage.rows()] == [BEGIN]


def test_a_long_span_is_kept_in_parts(stage) -> None:
    """Seventy days are asked for in three goes; the tool fails in the last, and the next pull asks for that alone."""
    start = UNTIL - 70 * DAY
    stage.raised(start + DAY, SHOP)
    stage.changed(start + 2 * DAY, "close", SHOP)
    stage.raised(start + 61 * DAY, SHOP)
    stage.changed(start + 62 * DAY, "close", SHOP)
    second = next(one.id for one in stage.oncall.alerts() if one.created_at == start + 61 * DAY)
    stage.oncall.set_fault(Fault("status", status=403, path=f"/v2/alerts/{second}"))
    assert not stage.pull(since=start).complete
    stage.line.wrong.clear()
    assert [row[1] for row in stage.rows()] == [start + DAY]
    stage.oncall.set_fault(None)
    assert stage.pull(since=start).complete
    since, until = milliseconds(start + 60 * DAY), milliseconds(UNTIL)
    assert stage.lists() == [f"createdAt >= {since} AND createdAt < {until}"]
    assert [row[1] for row in stage.rows()] == [start + DAY, start + 61 * DAY]


def test_alerts_that_cannot_be_read_any_more_are_asked_again(stage) -> None:
    stage.raised(BEGIN, SHOP)
    stage.changed(BEGIN + HOUR, "close", SHOP)
    stage.pull()
    before = stage.rows()
    (path,) = [path for path in stage.store.paths(ALERT) if "shop" in path]
    Path(stage.store.local(path)).write_bytes(b"nothing that is Parquet")
    done = stage.pull()
    assert any("alert/environment=prod/system=shop" in note for note in done.notes)
    assert stage.rows() == before


def test_a_pull_without_a_tool_says_nothing_of_alerts(stage) -> None:
    source = CloudWatch(stage.cloud)
    done = pull(source, stage.store, [system_of()], None, UNTIL, NOW)
    assert (done.alerts, done.problems, stage.rows(ALERT_COVERAGE)) == (None, (), [])


def test_systems_without_alarms_are_not_asked_for(stage) -> None:
    assert stage.pull(system_of(alarms=0)).alerts == 0
    assert stage.line.passed == []


def test_a_review_tells_how_long_alerts_took(stage) -> None:
    for number, taken in enumerate((3, 5)):
        at = BEGIN + number * HOUR
        stage.raised(at, SHOP)
        stage.changed(at + taken * MINUTE, "acknowledge", SHOP)
        stage.changed(at + 10 * taken * MINUTE, "close", SHOP)
    stage.raised(BEGIN + 5 * HOUR, SHOP)
    stage.pull()
    pack = make_pack(open_duckdb(stage.store), "2026-11", "prod", "UTC", None, NOW)
    found = {one.alarm: one for one in pack.alarms}
    assert found[SHOP].acknowledged == (3 * MINUTE, 5 * MINUTE)
    assert found[SHOP].closed == (30 * MINUTE, 50 * MINUTE)
    assert found[OTHER].acknowledged == found[OTHER].closed == ()
