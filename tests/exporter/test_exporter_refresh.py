"""What the exporter reads from CloudWatch and shows: counts, budgets, burn rates, states; and what it does when refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import count

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from tests.exporter.exporter_world import World, minutes, shop_world

from tocsin.cloud.committed import Committed
from tocsin.cloud.environments import read_environment
from tocsin.cloud.preparation import connect_to
from tocsin.declarations import load_systems
from tocsin.exporter.metrics import FAMILIES, FiguresCollector, make_registry
from tocsin.exporter.refresh import SETTLED_AFTER, Refresher
from tocsin.exporter.subject import find_sources
from tocsin.history.folder import Folder
from tocsin.history.partitions import Partition, merge_rows, month_of
from tocsin.history.schema import COVERAGE, SLI
from tocsin.plan import plan

pytestmark = pytest.mark.long

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LIMIT = timedelta(minutes=15)


_numbers = count(1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    pytest.importorskip("ministack", reason="the embedded AWS is not installed")
    with shop_world(tmp_path_factory.mktemp("aws"), tmp_path_factory.mktemp("project")) as world:
        yield world


@pytest.fixture
def shop(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world in an environment of the test's own."""
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(world.project)
    world.enter(f"t{next(_numbers)}")
    yield world
    shutil.rmtree(world.project / "history", ignore_errors=True)


@pytest.fixture
def now() -> datetime:
    """A quarter past a full hour, in the past, so that an exporter may come to know what happens later."""
    return datetime.now(UTC).replace(minute=15, second=20, microsecond=0) - 6 * HOUR


def open_refresher(
    world: World, *, anchored: bool = False, history: bool = False, tell: Callable[[str], None] = lambda _line: None
) -> Refresher:
    systems = load_systems(world.project, "monitoring/systems", {})
    sources = find_sources(
        [plan(system) for system in systems],
        Committed(world.project / "alarms", world.project / "deploy" / "routing.yaml"),
    )
    target = read_environment(world.project / "deploy" / "environments.toml", world.environment)
    store = Folder(world.project / "history") if history else None
    return Refresher(sources, target, connect_to(target), store=store, anchored=anchored, tell=tell)


def shown(refresher: Refresher, now: datetime) -> dict[tuple[str, ...], float]:
    """Samples by metric name and the labels that tell them apart here."""
    registry = make_registry(FiguresCollector(lambda: refresher.figures, LIMIT, lambda: now), process=False)
    return samples(registry)


def samples(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    from prometheus_client import generate_latest

    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            kept = ("slo", "window", "alarm", "state", "reason", "operation", "outcome")
            key = (sample.name, *(sample.labels[label] for label in kept if sample.labels.get(label)))
            assert key not in found
            found[key] = sample.value
    return found


def settled(now: datetime) -> datetime:
    """The end of the data that a refresh at ``now`` reads."""
    return (now - SETTLED_AFTER).replace(second=0, microsecond=0)


def test_figures_of_an_outage(shop: World, now: datetime) -> None:
    """An hour ago half of the orders were lost for ten minutes; before that, all was well for a day."""
    until = settled(now)
    shop.put("Placed", minutes(until - DAY, [100.0] * 1440))
    shop.put("Lost", minutes(until - HOUR, [50.0] * 10))
    shop.put("Closed", {until - 3 * HOUR: 1.0})
    page, ticket = (f"{shop.environment}-shop-orders-{one}" for one in ("page", "ticket"))
    shop.put_alarm(page, "ALARM")
    shop.put_alarm(ticket, "OK")
    refresher = open_refresher(shop)
    assert refresher.refresh(now) == ()
    found = shown(refresher, now)
    bad, budget = 500, Fraction(1, 1000)
    assert found["slo_objective_ratio", "orders"] == 0.999
    assert found["slo_burn_rate", "orders", "1h"] == float(Fraction(bad, 6000) / budget)
    assert found["slo_burn_rate", "orders", "5m"] == 0
    assert found["slo_burn_rate", "orders", "1d"] == float(Fraction(bad, 144_000) / budget)
    assert found["slo_error_budget_remaining_ratio", "orders"] == float(1 - Fraction(bad, 144_000) / budget)
    assert ("slo_error_budget_remaining_ratio", "mails") not in found, "nothing was sent, so nobody can say"
    assert found["slo_burn_rate", "mails", "1h"] == 0
    assert found["slo_window_seconds", "mails"] == 7 * 86_400
    assert ("slo_objective_ratio", "closing") not in found
    assert found["slo_heartbeat_last_success_timestamp_seconds", "closing"] == (until - 3 * HOUR).timestamp()
    assert found["slo_heartbeat_limit_seconds", "closing"] == 26 * 3600
    states = {state: found["slo_alarm_state", "orders", page, state] for state in ("OK", "ALARM")}
    assert states == {"OK": 0, "ALARM": 1}
    assert found["slo_alarm_state", "orders", ticket, "OK"] == 1
    assert found["slo_exporter_missing_alarms",] == 23
    assert found["slo_data_timestamp_seconds",] == until.timestamp()
    assert found["slo_data_age_seconds",] == (now - until).total_seconds()
    assert found["slo_exporter_last_success_timestamp_seconds",] == now.timestamp()


def test_percentile_ranks_are_counts(shop: World, now: datetime) -> None:
    until = settled(now)
    shop.put("Seconds", [(until - 30 * MINUTE, value) for value in [1.0] * 96 + [9.0] * 4], of="Mails")
    refresher = open_refresher(shop)
    refresher.refresh(now)
    found = shown(refresher, now)
    assert found["slo_burn_rate", "mails", "1h"] == pytest.approx(4, abs=1e-12)
    assert found["slo_error_budget_remaining_ratio", "mails"] == pytest.approx(-3, abs=1e-12)


def test_counters_count_each_event_once_and_late_ones_too(shop: World, now: datetime) -> None:
    until = settled(now)
    shop.put("Placed", minutes(until - HOUR, [10.0] * 60))
    refresher = open_refresher(shop)
    refresher.refresh(now)
    assert counters(refresher, now) == (0, 0), "they count from the exporter's start"
    shop.put("Placed", minutes(until, [10.0] * 5))
    now += 5 * MINUTE
    refresher.refresh(now)
    refresher.refresh(now)
    assert counters(refresher, now) == (50, 50)
    shop.put("Placed", {until + MINUTE: 7.0, until - MINUTE: 1000.0})  # late; the second was before the start
    refresher.refresh(now)
    assert counters(refresher, now) == (57, 57)
    shop.put("Lost", {until + 2 * MINUTE: 4.0})  # late: so many were not good after all
    now += 2 * MINUTE
    refresher.refresh(now)
    assert counters(refresher, now) == (57, 57), "a counter does not fall"
    shop.put("Placed", minutes(until + 5 * MINUTE, [10.0] * 2))
    refresher.refresh(now)
    assert counters(refresher, now) == (73, 77), "what was too much is made up for"


def counters(refresher: Refresher, now: datetime) -> tuple[float, float]:
    found = shown(refresher, now)
    return found["slo_sli_good_total", "orders"], found["slo_sli_valid_total", "orders"]


def test_a_gap_is_caught_up(shop: World, now: datetime) -> None:
    """CloudWatch was out of reach for five hours: what happened meanwhile is counted when it answers again."""
    until = settled(now)
    refresher = open_refresher(shop)
    refresher.refresh(now)
    shop.put("Placed", minutes(until, [1.0] * 300))
    refresher.refresh(now + 5 * HOUR)
    assert counters(refresher, now + 5 * HOUR) == (300, 300)


def test_pushed_counters_count_since_midnight(shop: World, now: datetime) -> None:
    until = settled(now)
    midnight = until.replace(hour=0, minute=0)
    shop.put("Placed", {midnight - MINUTE: 100.0, midnight: 1.0, until - MINUTE: 2.0})
    refresher = open_refresher(shop, anchored=True)
    refresher.refresh(now)
    assert counters(refresher, now) == (3, 3)


def test_the_budget_counts_the_whole_window(shop: World, now: datetime) -> None:
    """Older than the minutes: from CloudWatch by the hour, and no longer than the window."""
    until = settled(now)
    shop.put("Placed", {until - 27 * DAY: 1000.0, until - 30 * DAY: 1_000_000.0, until - HOUR: 1000.0})
    shop.put("Lost", {until - 27 * DAY: 1.0})
    refresher = open_refresher(shop)
    refresher.refresh(now)
    assert shown(refresher, now)["slo_error_budget_remaining_ratio", "orders"] == pytest.approx(0.5, abs=1e-12)
    hourly = [body for _, body in shop.proxy.bodies if _period(body) == 3600]
    assert hourly, "asked by the hour"
    before = len(hourly)
    refresher.refresh(now + MINUTE)
    assert len([body for _, body in shop.proxy.bodies if _period(body) == 3600]) == before, "and only once a day"


def _period(body: dict[str, object]) -> int:
    queries = body.get("MetricDataQueries")
    return queries[0]["MetricStat"]["Period"] if isinstance(queries, list) else 0


def test_the_budget_comes_from_a_history_where_it_has_the_time(shop: World, now: datetime) -> None:
    pytest.importorskip("duckdb", reason="histories need duckdb")
    until = settled(now)
    start = (until - 29 * DAY).replace(minute=0)
    store = Folder(shop.project / "history")
    spans = _by_month(start, until - DAY)
    with store.locked():
        for since, end in spans:
            for slo in ("orders", "mails", "closing"):
                merge_rows(
                    store, Partition(COVERAGE, shop.environment, "shop", month_of(since)), [(slo, since, end, 300)]
                )
        day = until - 20 * DAY
        rows = [("orders", day, 300, Fraction(999), Fraction(1000))]
        merge_rows(store, Partition(SLI, shop.environment, "shop", month_of(day)), rows)
    shop.put("Placed", {until - HOUR: 1000.0, day: 5_000_000.0})  # the history goes before CloudWatch
    refresher = open_refresher(shop, history=True)
    refresher.refresh(now)
    assert shown(refresher, now)["slo_error_budget_remaining_ratio", "orders"] == pytest.approx(0.5, abs=1e-12)
    assert not [body for _, body in shop.proxy.bodies if _period(body) == 3600], "nothing is left to ask"


def test_a_history_that_cannot_be_read_is_told_of(shop: World, now: datetime) -> None:
    pytest.importorskip("duckdb", reason="histories need duckdb")
    until = settled(now)
    path = shop.project / "history" / Partition(SLI, shop.environment, "shop", month_of(until - 10 * DAY)).path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no Parquet")
    shop.put("Placed", {until - HOUR: 1000.0})
    told: list[str] = []
    refresher = open_refresher(shop, history=True, tell=told.append)
    assert refresher.refresh(now) == ()
    assert any("cannot be read" in line and "CloudWatch by the hour" in line for line in told), told
    assert path.read_bytes() == b"no Parquet", "to read is not to write"
    assert list(path.parent.iterdir()) == [path]
    assert shown(refresher, now)["slo_error_budget_remaining_ratio", "orders"] == 1


def _by_month(since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    spans = []
    while since < until:
        end = min(until, (since.replace(day=1, hour=0, minute=0) + 32 * DAY).replace(day=1))
        spans.append((since, end))
        since = end
    return spans


class TestRefused:
    def test_denied_is_counted_told_and_the_figures_grow_old(self, shop: World, now: datetime) -> None:
        shop.put("Placed", {settled(now) - MINUTE: 5.0})
        refresher = open_refresher(shop)
        refresher.refresh(now)
        shop.proxy.refusals["GetMetricData"] = (400, "AccessDeniedException")
        (failure,) = refresher.refresh(now + MINUTE)
        assert (failure.system, failure.reason) == ("shop", "denied")
        assert "not allowed to read metrics" in failure.text
        soon, late = shown(refresher, now + 5 * MINUTE), shown(refresher, now + LIMIT)
        assert soon["slo_exporter_refresh_failures_total", "denied"] == 1
        assert soon["slo_exporter_api_calls_total", "GetMetricData", "denied"] == 1
        assert soon["slo_data_age_seconds",] == (now + 5 * MINUTE - settled(now)).total_seconds()
        assert ("slo_objective_ratio", "orders") in soon
        assert not [key for key in late if key[0] in WITHDRAWN], "too old to be shown as true"
        assert late["slo_data_age_seconds",] > LIMIT.total_seconds()
        assert late["slo_exporter_last_success_timestamp_seconds",] == now.timestamp()
        shop.proxy.refusals.clear()
        assert refresher.refresh(now + LIMIT) == ()
        assert ("slo_objective_ratio", "orders") in shown(refresher, now + LIMIT)

    def test_throttled_for_a_while_is_counted_and_ridden_out(self, shop: World, now: datetime) -> None:
        shop.proxy.refusals["GetMetricData"] = (400, "ThrottlingException")
        shop.proxy.times["GetMetricData"] = 1
        refresher = open_refresher(shop)
        assert refresher.refresh(now) == ()
        found = shown(refresher, now)
        assert found["slo_exporter_api_calls_total", "GetMetricData", "throttled"] == 1
        assert found["slo_exporter_api_calls_total", "GetMetricData", "ok"] >= 2

    def test_alarms_that_may_not_be_read(self, shop: World, now: datetime) -> None:
        shop.proxy.refusals["DescribeAlarms"] = (400, "AccessDeniedException")
        refresher = open_refresher(shop)
        (failure,) = refresher.refresh(now)
        assert failure.reason == "denied"
        assert not [key for key in shown(refresher, now) if key[0] in WITHDRAWN]

    def test_a_stack_that_is_not_there(self, shop: World, now: datetime) -> None:
        target = shop.project / "deploy" / "environments.toml"
        before = target.read_text()
        target.write_text(before + f'\n[{shop.environment}.shop]\nstack = "elsewhere"\n')
        try:
            refresher = open_refresher(shop)
        finally:
            target.write_text(before)
        (failure,) = refresher.refresh(now)
        assert failure.reason == "failed"
        assert "elsewhere" in failure.text
        assert "\n" not in failure.text

    def test_names_that_are_known_hold_on_while_they_may_not_be_looked_up(self, shop: World, now: datetime) -> None:
        """Figures come from CloudWatch: that CloudFormation does not answer is told of, and withdraws nothing."""
        shop.put("Placed", {settled(now + HOUR) - MINUTE: 5.0})
        refresher = open_refresher(shop)
        refresher.refresh(now)
        shop.proxy.refusals["DescribeStacks"] = (400, "AccessDenied")
        later = now + HOUR
        (failure,) = refresher.refresh(later)
        assert (failure.system, failure.reason) == ("shop", "denied")
        found = shown(refresher, later)
        assert found["slo_exporter_refresh_failures_total", "denied"] == 1
        assert found["slo_sli_valid_total", "orders"] == 5
        assert found["slo_exporter_last_success_timestamp_seconds",] == later.timestamp()
        shop.proxy.refusals.clear()
        assert refresher.refresh(later + MINUTE) == (), "looked up again at once, and not an hour later"
        before = shop.proxy.counted["DescribeStacks"]
        assert refresher.refresh(later + 2 * MINUTE) == ()
        assert shop.proxy.counted["DescribeStacks"] == before

    def test_an_alarm_template_that_is_being_replaced(self, shop: World, now: datetime) -> None:
        refresher = open_refresher(shop)
        refresher.refresh(now)
        path = shop.project / "alarms" / "shop.yaml"
        text = path.read_bytes()
        path.unlink()
        try:
            (failure,) = refresher.refresh(now + HOUR)
        finally:
            path.write_bytes(text)
        assert failure.reason == "failed"
        assert "shop.yaml" in failure.text
        assert refresher.refresh(now + HOUR + MINUTE) == ()

    def test_a_queue_that_is_not_there_hides_no_other_promise(self, shop: World, now: datetime) -> None:
        shop.enter(f"t{next(_numbers)}", "Resources: {Orders: {Type: AWS::SQS::Queue}}\n")
        told: list[str] = []
        refresher = open_refresher(shop, tell=told.append)
        assert refresher.refresh(now) == ()
        found = shown(refresher, now)
        assert ("slo_sli_valid_total", "orders") in found
        assert ("slo_sli_valid_total", "mails") not in found
        assert found["slo_exporter_missing_slos",] == 1
        assert any("SLO mails: Mails has no name in the account" in line for line in told), told


WITHDRAWN = {family.name for family in FAMILIES if not family.name.startswith(("slo_exporter_", "slo_data_"))}


def test_requests_are_those_at_the_wire(shop: World, now: datetime) -> None:
    refresher = open_refresher(shop)
    before = shop.proxy.counted.copy()
    refresher.refresh(now)
    refresher.refresh(now + MINUTE)
    wire = shop.proxy.counted - before
    told: dict[str, float] = {}
    for key, value in shown(refresher, now).items():
        if key[0] == "slo_exporter_api_calls_total":
            told[key[1]] = told.get(key[1], 0) + value
    assert told == dict(wire)
    assert wire["GetMetricData"] == 4, "minutes and two spans of hours, then the new minutes"


def test_a_scrape_never_asks_aws(shop: World, now: datetime) -> None:
    refresher = open_refresher(shop)
    refresher.refresh(now)
    before = sum(shop.proxy.counted.values())
    for _ in range(200):
        assert shown(refresher, now)
    assert sum(shop.proxy.counted.values()) == before
