"""A pull against a CloudWatch over HTTP: how many calls it makes, what it asks, what it writes, what it does when refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from metric_server import NOW, UNTIL, MetricServer, cloud_of, counter, serving, slo_of, steady, system_of

from tocsin.cloud.session import Cloud
from tocsin.history.cloudwatch import CloudWatch, present
from tocsin.history.gaps import end_of_pull
from tocsin.history.layout import keys_of
from tocsin.history.partitions import Partition, read_rows
from tocsin.history.pull import Pulled, pull
from tocsin.history.schema import ALARM, ALARM_COVERAGE, ALARM_STATE, COVERAGE, PROMISE, SLI, Table
from tocsin.history.store import Store, open_store
from tocsin.history.watched import PulledSystem
from tocsin.model import Counted

pytestmark = pytest.mark.long

DAY = timedelta(days=1)


@pytest.fixture
def server() -> Iterator[MetricServer]:
    with serving() as one:
        yield one


@pytest.fixture
def cloud(server, monkeypatch) -> Cloud:
    return cloud_of(server, monkeypatch)


@pytest.fixture
def store(tmp_path) -> Store:
    return open_store(str(tmp_path / "history"))


def pulled(cloud: Cloud, store: Store, *systems: PulledSystem, since: datetime | None = None, now=NOW) -> Pulled:
    return pull(CloudWatch(cloud), store, systems, since, end_of_pull(now), now)


def rows(store: Store, table: Table, system: str = "shop") -> list[tuple]:
    found = [keys_of(path) for path in store.paths(table)]
    return [
        row
        for environment, of, month in found
        if of == system
        for row in map(aware, read_rows(store, Partition(table, environment, of, month)))
    ]


def aware(row: tuple) -> tuple:
    return tuple(value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for value in row)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def totals(store: Store, system: str = "shop") -> dict[str, tuple[Fraction, Fraction]]:
    found: dict[str, tuple[Fraction, Fraction]] = {}
    for slo, _, _, good, valid in rows(store, SLI, system):
        before = found.get(slo, (Fraction(0), Fraction(0)))
        found[slo] = before[0] + Fraction(good), before[1] + Fraction(valid)
    return found


def expected(start: datetime, end: datetime) -> tuple[int, int]:
    """Good and valid orders of ``steady``."""
    first, last = int(start.timestamp()) // 60, int(end.timestamp()) // 60
    bad = sum(minute % 7 == 0 for minute in range(first, last))
    return 10 * (last - first) - bad, 10 * (last - first)


def spans(store: Store, slo: str) -> list[tuple[datetime, datetime, int]]:
    return [(row[1], row[2], row[3]) for row in rows(store, COVERAGE) if row[0] == slo]


def asked_twice(server: MetricServer) -> list[str]:
    """Metrics of which a moment was asked more than once."""
    spans: dict[str, list[tuple[datetime, datetime]]] = {}
    for asked in server.asked:
        for metric in asked.metrics:
            spans.setdefault(metric, []).append((asked.start, asked.end))
    return [
        metric
        for metric, those in spans.items()
        if any(earlier[1] > later[0] for earlier, later in pairwise(sorted(those)))
    ]


def test_fifty_systems_of_three_slos_take_the_fewest_calls_that_the_limits_allow(server, cloud, store) -> None:
    systems = [system_of(f"system-{number:02}", slos=3, alarms=0) for number in range(50)]
    done = pulled(cloud, store, *systems)
    # 300 queries: 15 days less an hour by the minute, rounded to where periods of five minutes begin; the rest by these.
    minutes = int((UNTIL - (NOW - 15 * DAY + timedelta(hours=1))).total_seconds()) // 300 * 5
    fives = 28 * 288 - minutes // 5
    floor = -(-300 * minutes // 100_800) + -(-300 * fives // 100_800)
    assert len(server.asked) == done.calls == done.fewest == floor == 77
    assert max(asked.datapoints for asked in server.asked) <= 100_800
    assert sum(asked.datapoints for asked in server.asked) == 300 * (minutes + fives)
    assert not asked_twice(server)
    assert done.complete
    assert len(spans(store, "orders-0")) == 0  # of no system called shop
    assert {row[0] for row in rows(store, COVERAGE, "system-49")} == {"orders-0", "orders-1", "orders-2"}
    again = pulled(cloud, store, *systems)
    assert (len(server.asked), again.calls, again.since) == (floor, 0, None)


def test_counts_are_exact_in_every_period(server, cloud, store) -> None:
    server.value = steady
    done = pulled(cloud, store, system_of(slos=2))
    assert (done.systems[0].periods, done.systems[0].slos) == ((60, 300), 2)
    good, valid = expected(UNTIL - 28 * DAY, UNTIL)
    assert totals(store) == {"orders-0": (good, valid), "orders-1": (good, valid)}
    border = utc("2026-11-06 13:10")
    assert {row[2] for row in rows(store, SLI) if row[1] < border} == {300}
    assert {row[2] for row in rows(store, SLI) if row[1] >= border} == {60}
    assert spans(store, "orders-0") == [
        (utc("2026-10-24 11:50"), utc("2026-11-01"), 300),
        (utc("2026-11-01"), border, 300),
        (border, UNTIL, 60),
    ]


def test_a_second_pull_asks_only_for_what_is_new(server, cloud, store) -> None:
    server.value = steady
    pulled(cloud, store, system_of())
    server.asked.clear()
    later = NOW + timedelta(hours=3)
    server.now = later
    done = pulled(cloud, store, system_of(), now=later)
    [asked] = server.asked
    assert (asked.start, asked.end) == (UNTIL, UNTIL + timedelta(hours=3))
    assert done.since == UNTIL
    assert totals(store)["orders-0"] == expected(UNTIL - 28 * DAY, UNTIL + timedelta(hours=3))
    assert len(spans(store, "orders-0")) == 3  # the last span is longer, not one more


def test_what_was_pulled_finer_stays_finer(server, cloud, store) -> None:
    """A month without a pull: what is missing is had in five minutes only, what was there is left alone."""
    server.value = steady
    pulled(cloud, store, system_of(), since=UNTIL - 2 * DAY)
    before = rows(store, SLI)
    server.asked.clear()
    later = NOW + 30 * DAY
    server.now = later
    pulled(cloud, store, system_of(), now=later)
    assert [row for row in rows(store, SLI) if row[1] < UNTIL] == before
    assert {row[2] for row in before} == {60}
    assert {asked.period for asked in server.asked} == {60, 300}
    assert totals(store)["orders-0"] == expected(UNTIL - 2 * DAY, UNTIL + 30 * DAY)


def test_hours_are_what_is_left_of_the_oldest(server, cloud, store) -> None:
    server.value = steady
    pulled(cloud, store, system_of(), since=NOW - 70 * DAY)
    assert {row[2] for row in rows(store, SLI)} == {60, 300, 3600}
    start = datetime(2026, 9, 12, 13, tzinfo=UTC)
    assert totals(store)["orders-0"] == expected(start, UNTIL)


def test_the_first_pull_goes_as_far_back_as_the_window_needs(server, cloud, store) -> None:
    short, long = slo_of("week", days=7), slo_of("quarter", days=90)
    pulled(cloud, store, PulledSystem("prod", "shop", "sales", (short, long)))
    firsts = {row[0]: row[1] for row in reversed(rows(store, COVERAGE))}
    assert firsts["week"] == utc("2026-10-24 11:50")
    assert firsts["quarter"] == utc("2026-08-23 12:00")  # the first full hour


def test_a_new_slo_is_pulled_beside_the_others(server, cloud, store) -> None:
    server.value = steady
    pulled(cloud, store, system_of(slos=1))
    server.asked.clear()
    pulled(cloud, store, system_of(slos=2))
    assert {metric.split("/")[1] for asked in server.asked for metric in asked.metrics} == {
        "orders-1-bad",
        "orders-1-valid",
    }
    assert totals(store)["orders-0"] == totals(store)["orders-1"]


def test_a_metric_that_two_slos_read_is_asked_once(server, cloud, store) -> None:
    server.value = steady
    shared = counter("orders-valid")
    slos = tuple(slo_of(name, measure=Counted(counter(f"{name}-bad"), shared)) for name in ("taken", "paid"))
    pulled(cloud, store, PulledSystem("prod", "shop", "sales", slos), since=NOW - DAY)
    [asked] = server.asked
    assert len(asked.metrics) == 3
    assert totals(store)["taken"] == totals(store)["paid"] != (0, 0)


def test_a_level_counts_what_it_rose_by_across_pulls(server, cloud, store) -> None:
    """A message lies in the queue at the end of one pull and is not counted again by the next."""
    rises = [UNTIL - timedelta(minutes=90), UNTIL - timedelta(minutes=30), UNTIL + timedelta(minutes=5)]

    def value(stat, at):
        return float(sum(rise <= at for rise in rises)) if stat["Stat"] == "Maximum" else 10.0

    server.value = value
    level = Counted(counter("dead"), counter("taken"), bad_in_valid=False, bad_is_level=True)
    system = PulledSystem("prod", "shop", "sales", (slo_of(measure=level),))
    pulled(cloud, store, system, since=UNTIL - timedelta(hours=1))
    assert totals(store)["orders"] == (600, 601)
    server.now = NOW + timedelta(hours=1)
    pulled(cloud, store, system, since=UNTIL - timedelta(hours=1), now=server.now)
    assert totals(store)["orders"] == (1200, 1202)
    assert len(server.asked) == 2


def test_a_period_without_datapoints_has_no_row_but_is_covered(server, cloud, store) -> None:
    server.value = lambda stat, at: 3.0 if at == UNTIL - timedelta(minutes=10) else None
    pulled(cloud, store, system_of(), since=UNTIL - timedelta(hours=1))
    [row] = rows(store, SLI)
    assert row[1:] == ((UNTIL - timedelta(minutes=10)), 60, 0, 3)
    assert spans(store, "orders-0") == [((UNTIL - timedelta(hours=1)), UNTIL, 60)]


def test_an_answer_in_pages_is_read_whole(server, cloud, store) -> None:
    server.value, server.page = steady, 1000
    done = pulled(cloud, store, system_of(), since=UNTIL - DAY)
    assert done.calls == 3
    assert totals(store)["orders-0"] == expected(UNTIL - DAY, UNTIL)


def test_throttling_is_waited_for(server, cloud, store) -> None:
    server.value, server.faults = steady, [(400, "Throttling"), (503, "ServiceUnavailable")]
    done = pulled(cloud, store, system_of(), since=UNTIL - DAY)
    assert done.complete
    assert totals(store)["orders-0"] == expected(UNTIL - DAY, UNTIL)


def test_throttling_without_end_is_given_up_and_told_of_each_system(server, cloud, store, monkeypatch) -> None:
    """Each call is repeated a bounded number of times; after two in a row that failed for good the rest is left."""
    monkeypatch.setattr("tocsin.cloud.session._ATTEMPTS", 2)
    tried = []
    server.refuse = lambda asked: tried.append(asked) or (400, "Throttling")
    systems = [system_of(name, slos=8) for name in ("shop", "other", "third")]
    done = pulled(cloud, store, *systems)
    assert done.fewest > 2
    assert len(tried) == 2 * 2
    for system in done.systems:
        assert system.problems == ("cannot read metrics (GetMetricData): Rate exceeded (Throttling)",)
    assert rows(store, SLI) == rows(store, COVERAGE) == []


def test_what_is_refused_is_told_and_the_rest_is_kept(server, cloud, store) -> None:
    """A pull of two spans, the later of which is refused for good; the next pull asks for that one alone."""
    server.value = steady
    border = NOW - 10 * DAY
    server.refuse = lambda asked: (400, "ValidationError") if asked.period == 60 else None
    done = pulled(cloud, store, system_of(), system_of("other"))
    assert {system.name: len(system.problems) for system in done.systems} == {"shop": 1, "other": 1}
    assert done.systems[0].problems == ("cannot read metrics (GetMetricData): Rate exceeded (ValidationError)",)
    assert {row[2] for row in rows(store, SLI)} == {300}
    server.asked.clear()
    server.refuse = lambda asked: None
    done = pulled(cloud, store, system_of(), system_of("other"))
    assert done.complete
    assert {asked.period for asked in server.asked} == {60}
    assert border > UNTIL - 28 * DAY
    assert totals(store)["orders-0"] == totals(store, "other")["orders-0"] == expected(UNTIL - 28 * DAY, UNTIL)


def test_a_denied_call_is_not_tried_again_for_the_others(server, cloud, store) -> None:
    server.denied = {"GetMetricData"}
    done = pulled(cloud, store, system_of(), system_of("other"))
    assert done.calls == 0
    for system in done.systems:
        [problem] = system.problems
        assert problem.startswith("not allowed to read metrics (GetMetricData)")
    assert rows(store, PROMISE), "what is promised is written all the same"


def test_a_denied_alarm_history_leaves_the_metrics(server, cloud, store) -> None:
    server.value, server.denied = steady, {"DescribeAlarmHistory"}
    done = pulled(cloud, store, system_of(), since=UNTIL - DAY)
    [problem] = done.systems[0].problems
    assert problem.startswith("not allowed to read the alarm history (DescribeAlarmHistory)")
    assert totals(store)["orders-0"] == expected(UNTIL - DAY, UNTIL)
    assert rows(store, ALARM_COVERAGE) == []


def test_a_metric_that_is_forbidden_is_told_and_not_covered(server, cloud, store) -> None:
    server.value = steady
    server.forbidden = {"Shop/orders-1-bad/System=shop/Sum"}
    done = pulled(cloud, store, system_of(slos=2), since=UNTIL - DAY)
    [problem] = done.systems[0].problems
    assert problem == "cannot read Shop/orders-1-bad{System=shop}: Forbidden"
    assert set(totals(store)) == {"orders-0"}
    assert spans(store, "orders-1") == []


def test_changes_of_our_alarms_are_kept_and_others_are_not(server, cloud, store) -> None:
    mine, at = "prod-shop-orders-0-page", UNTIL - 3 * DAY
    server.changes = [
        (mine, at, "OK", "ALARM"),
        (mine, at + timedelta(minutes=7), "ALARM", "OK"),
        ("prod-shop-orders-0-burn-1h", at, "OK", "ALARM"),
        (mine, UNTIL + timedelta(minutes=5), "OK", "ALARM"),  # too new for this pull
    ]
    done = pulled(cloud, store, system_of(), since=UNTIL - 10 * DAY)
    assert [(row[0], row[1], row[2], row[3]) for row in rows(store, ALARM_STATE)] == [
        (mine, at, "OK", "ALARM"),
        (mine, (at + timedelta(minutes=7)), "ALARM", "OK"),
    ]
    assert done.history_calls == len(server.listed) == 1
    later = NOW + DAY
    server.now = later
    pulled(cloud, store, system_of(), now=later)
    assert [row[3] for row in rows(store, ALARM_STATE)] == ["ALARM", "OK", "ALARM"]


@pytest.mark.parametrize(("others", "requests"), [(50, 1), (550, 6), (20_000, 1 + 10)])
def test_the_alarm_history_takes_the_cheaper_way(server, cloud, store, others, requests) -> None:
    """One listing while it is short; an account with much going on in it is asked for each of the ten alarms."""
    start = UNTIL - 10 * DAY
    step = 10 * DAY / others
    server.changes = [("somebody-elses", start + number * step, "OK", "ALARM") for number in range(others)]
    server.changes.append(("prod-shop-orders-9-page", UNTIL - DAY, "OK", "ALARM"))
    done = pulled(cloud, store, system_of(slos=10, alarms=10), since=start)
    assert done.history_calls == len(server.listed) == requests
    assert [row[0] for row in rows(store, ALARM_STATE)] == ["prod-shop-orders-9-page"]


def test_promises_and_alarms_are_written_when_they_change(server, cloud, store) -> None:
    def at(days: int, *systems: PulledSystem) -> None:
        server.now = NOW + days * DAY
        pulled(cloud, store, *systems, now=server.now)

    at(0, system_of(slos=2, alarms=2))
    at(1, system_of(slos=2, alarms=2))
    at(2, system_of(slos=1, alarms=1))
    at(12, system_of(slos=2, alarms=2))
    kinds = [(row[0], (row[1] - NOW).days, row[2], row[3]) for row in rows(store, PROMISE)]
    assert sorted(kinds) == [
        ("orders-0", 0, "availability", "99/100"),
        ("orders-1", 0, "availability", "99/100"),
        ("orders-1", 2, "vanished", None),
        ("orders-1", 12, "availability", "99/100"),
    ]
    assert [(row[0][-6:], row[2]) for row in rows(store, ALARM)] == [
        ("0-page", "page"),
        ("1-page", "page"),
        ("1-page", "vanished"),
        ("1-page", "page"),
    ]


def test_the_time_is_that_of_aws(server, cloud) -> None:
    now, remark = present(cloud)
    assert now == NOW.replace(microsecond=0)
    assert remark is None or "ahead" in remark
    server.now = datetime.now(UTC) - timedelta(minutes=9, seconds=30)
    now, remark = present(cloud)
    assert now == server.now.replace(microsecond=0)
    assert remark == "this machine's clock is 9 min ahead of AWS's, whose time is used; set the clock"
    server.denied = {"DescribeAlarmHistory"}
    assert present(cloud)[1] is None


def test_an_unreadable_month_is_put_aside_and_pulled_again(server, cloud, store, tmp_path) -> None:
    server.value = steady
    pulled(cloud, store, system_of())
    before = rows(store, SLI)
    [broken] = [path for path in store.paths(SLI) if "2026-10" in path]
    (tmp_path / "history" / broken).write_bytes(b"PAR1 no longer")
    server.asked.clear()
    done = pulled(cloud, store, system_of())
    assert done.complete
    [note] = done.notes
    assert broken in note
    assert "rows.parquet.corrupt-1" in note
    assert server.asked
    assert max(asked.end for asked in server.asked) == datetime(2026, 11, 1, tzinfo=UTC)
    # Where the lost month began is not known any more, so that all of it is asked.
    assert set(before) <= set(rows(store, SLI))
    assert spans(store, "orders-0")[0] == (utc("2026-10-01"), utc("2026-11-01"), 300)
