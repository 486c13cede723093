"""Promises by a team's own metrics: how they are written, what is refused, and that their alarms ring."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.alarm import Alarm, AlarmState, Metric
from tocsin.burn_rate import tiers, window_condition
from tocsin.catalog import entries
from tocsin.cloudformation.symbolic import Symbolic
from tocsin.cost import monthly_cost
from tocsin.declare import availability, completeness, freshness, heartbeat, latency
from tocsin.errors import DeclarationError
from tocsin.model import Counted, Ranked, Resource, SinceSuccess, SliKind, Slo, System
from tocsin.own_metrics import counted, ranked, report, succeeded
from tocsin.plan import Plan, plan
from tocsin.render.alarms import alarm_template
from tocsin.render.dashboards import system_dashboard
from tocsin.render.documents import slo_document
from tocsin.simulate.series import Store
from tocsin.simulate.template import read_template
from tocsin.simulate.timeline import Timeline, simulate

START = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LOADER = Resource("AWS::Lambda::Function", "Loader", None, {"Timeout": 10})
FINDER = Resource("AWS::Lambda::Function", "Finder", None, {"Timeout": 10})
SCHEDULE = Resource("AWS::Scheduler::Schedule", "Nightly", None, {})
FILES = counted(namespace="Pipeline", good="Loaded", bad="Rejected", share_of="files that are loaded")
SECONDS = ranked("SecondsToQueryable", unit="Seconds", namespace="Pipeline")
DONE = succeeded("RunCompleted", namespace="Pipeline")


def own(name: str, resource: str = "Loader") -> Metric:
    return Metric("Pipeline", name, (("FunctionName", f"${{{resource}Name}}"),))


def share(**more: object) -> Slo:
    return availability(LOADER, objective="99%", window="28d", measure=FILES, **more)  # type: ignore[arg-type]


def planned(*slos: Slo, resources: tuple[Resource, ...] = (LOADER, FINDER)) -> Plan:
    return plan(System(name="shop", owner="payments", resources=resources, slos=slos))


def test_good_and_bad_ones_are_counted_together() -> None:
    measure = share().sli.measure
    assert measure == Counted(own("Rejected"), own("Loaded"), bad_in_valid=False)


def test_bad_ones_are_counted_among_all() -> None:
    rows = counted(namespace="Pipeline", valid="RowsRead", bad="RowsRejected")
    slo = completeness(LOADER, objective="99.9%", window="28d", measure=rows)
    assert slo.sli.measure == Counted(own("RowsRejected"), own("RowsRead"), bad_in_valid=True)
    assert slo.sli.kind is SliKind.COMPLETENESS


@pytest.mark.parametrize(
    ("unit", "limit"),
    [("Seconds", Fraction(90)), ("Milliseconds", Fraction(90_000)), ("Microseconds", Fraction(90_000_000))],
)
@pytest.mark.parametrize("promise", [latency, freshness])
def test_the_limit_is_in_the_unit_of_the_metric(unit: str, limit: Fraction, promise: Callable[..., Slo]) -> None:
    measure = ranked("Took", unit=unit, namespace="Pipeline")
    slo = promise(LOADER, below="90s", objective="95%", window="28d", measure=measure)
    assert slo.sli.measure == Ranked(own("Took"), limit, unit)


@given(st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=30)))
def test_a_limit_is_the_same_time_in_every_unit(limit: timedelta) -> None:
    seconds, milliseconds, microseconds = (
        ranked("Took", unit=unit, namespace="Pipeline").limit(limit)
        for unit in ("Seconds", "Milliseconds", "Microseconds")
    )
    assert seconds * 1_000_000 == milliseconds * 1000 == microseconds == limit / timedelta(microseconds=1)


def test_a_heartbeat_adds_its_tolerance() -> None:
    slo = heartbeat(LOADER, every="1d", tolerates="2h", measure=DONE)
    assert slo.sli.measure == SinceSuccess(own("RunCompleted"), None, 26 * HOUR)


def test_a_heartbeat_takes_its_interval_from_the_schedule() -> None:
    surroundings: dict[str, Resource] = {}
    job = Resource("AWS::Lambda::Function", "Job", surroundings=surroundings)
    rule = {"ScheduleExpression": "cron(30 4 * * ? *)", "Targets": [{"Arn": Symbolic("${Job.Arn}")}]}
    surroundings |= {"Job": job, "Daily": Resource("AWS::Events::Rule", "Daily", properties=rule)}
    measure = heartbeat(job, tolerates="2h", measure=DONE).sli.measure
    assert isinstance(measure, SinceSuccess)
    assert measure.within == 26 * HOUR


def test_freshness_by_counters_takes_no_limit() -> None:
    measure = counted(namespace="Pipeline", good="OnTime", bad="Late")
    assert freshness(LOADER, objective="99%", window="28d", measure=measure).sli.kind is SliKind.FRESHNESS
    with pytest.raises(DeclarationError, match="leave below= out"):
        freshness(LOADER, below="1min", objective="99%", window="28d", measure=measure)


def test_dimensions_of_ones_own() -> None:
    measure = counted(
        namespace="Shop/Orders", good="G", bad="B", dimensions={"Service": "a ${b}", "FunctionName": FINDER}
    )
    slo = availability(LOADER, objective="99%", window="28d", measure=measure)
    assert slo.sli.metrics[0].dimensions == (("FunctionName", "${FinderName}"), ("Service", "a ${!b}"))
    assert {parameter.name for parameter in planned(slo).parameters} >= {"FinderName"}


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda: counted(namespace="P"), 'say which metric counts bad events, bad="…", and which good ones'),
        (lambda: counted(namespace="P", good="G"), 'say which metric counts bad events, bad="…"'),
        (lambda: counted(namespace="P", bad="B"), 'good="…" where a metric counts the good events, valid="…"'),
        (lambda: counted(namespace="P", bad="B", good="G", valid="V"), "good= or valid=, not both"),
        (lambda: counted(namespace="P", bad="B", good="B"), "B cannot count both"),
        (lambda: counted(namespace="AWS/Lambda", bad="Errors", valid="Invocations"), "AWS/Lambda is AWS's own"),
        (lambda: counted(namespace=":x", bad="B", good="G"), "namespace ':x'"),
        (lambda: counted(namespace="", bad="B", good="G"), "namespace ''"),
        (lambda: counted(namespace="P", bad="B${x}", good="G"), "is no name of a metric"),
        (lambda: counted(namespace="P", bad="B", good="G", dimensions={"Service": ""}), "dimension 'Service'"),
        (lambda: ranked("S", unit="Second", namespace="P"), "did you mean 'Seconds'"),
        (lambda: ranked("S", unit="Minutes", namespace="P"), "unit 'Minutes'"),
        (lambda: succeeded("", namespace="P"), "is no name of a metric"),
        (lambda: report(LOADER, namespace="P"), "name at least one metric"),
        (lambda: report(LOADER, "A", namespace="P", unit="Rows"), "unit 'Rows'"),
        (
            lambda: succeeded("S", namespace="P", reported_by=[LOADER], dimensions={"A": "b"}),
            "reported_by= or dimensions=",
        ),
        (lambda: availability(LOADER, objective="99%", window="28d", measure=SECONDS), "takes counted(…), not ranked"),
        (lambda: availability(LOADER, objective="99%", window="28d", measure="Loaded"), "takes counted(…), got 'Loaded'"),
        (lambda: latency(LOADER, below="1s", objective="99%", window="28d", measure=FILES), "takes ranked(…), not"),
        (lambda: heartbeat(LOADER, every="1d", measure=FILES), "takes succeeded(…), not counted"),
        (lambda: heartbeat(LOADER, measure=DONE), "say so with every=…"),
        (lambda: freshness(LOADER, objective="99%", window="28d", measure=SECONDS), "say how old at most"),
        (lambda: freshness(LOADER, below="1s", measure=SECONDS), "say which objective over which window"),
        (
            lambda: availability(SCHEDULE, objective="99%", window="28d", measure=FILES),
            "Nightly (EventBridge Scheduler schedule) has no dimension",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_explained(write: Callable[[], object], says: str) -> None:
    with pytest.raises(DeclarationError) as told:
        write()
    assert says in str(told.value)
    assert "\n" not in str(told.value)


def test_an_own_dimension_is_one_that_the_type_publishes_under() -> None:
    for entry in entries():
        if entry.own_dimension is not None:
            published = {name for metric in entry.metrics for names in metric.dimension_sets for name in names}
            assert entry.own_dimension in published, entry.type


def test_the_bill_is_that_of_any_promise_of_its_shape() -> None:
    def cost(slo: Slo) -> object:
        return sum(monthly_cost(one.alarm) for one in planned(slo).alarms if one.slo == slo.name)

    assert cost(share()) == cost(availability(LOADER, objective="99%", window="28d"))
    slow = latency(LOADER, below="1s", objective="99%", window="28d")
    assert cost(latency(LOADER, below="1s", objective="99%", window="28d", measure=SECONDS)) == cost(slow)


def test_documents_and_dashboard_show_them() -> None:
    slow = freshness(LOADER, below="1min", objective="95%", window="28d", measure=SECONDS, name="fresh")
    decided = planned(share(), slow)
    assert "files that are loaded (Loader)" in slo_document([decided])
    rows = {panel["title"]: panel for panel in system_dashboard(decided)["panels"]}
    text = str(rows)
    assert "Is Loader-availability kept?" in text
    assert "How long by its own clock (SecondsToQueryable)?" in text


def test_each_promise_counts_on_a_graph_of_its_own() -> None:
    """Ten rejected files are not seen beside a million rejected rows, and two red lines cannot be told apart."""
    measure = counted(namespace="Pipeline", valid="RowsRead", bad="RowsRejected")
    rows = completeness(LOADER, objective="99.9%", window="28d", measure=measure, name="rows")
    group = next(group for group in planned(share(), rows).panels if group.resource is LOADER)
    shown = [[series.metric.name for series in panel.series] for panel in group.panels]
    assert ["Rejected", "Loaded"] in shown
    assert ["RowsRejected", "RowsRead"] in shown


def test_what_promises_nothing_can_be_shown() -> None:
    counters = report(LOADER, "RowsLoaded", "RowsRead", "Bytes", "Keys", namespace="Pipeline")
    times = report(LOADER, "Waited", namespace="Pipeline", unit="Milliseconds")
    decided = plan(
        System(name="shop", owner="payments", resources=(LOADER,), slos=[share()], reports=[counters, times])
    )
    (group,) = decided.panels
    own_ones = {panel.title: panel for panel in group.panels if "itself" in panel.title or "own clock" in panel.title}
    assert [len(panel.series) for panel in own_ones.values()] == [4, 3]
    assert own_ones["How long by its own clock (Waited)?"].unit == "ms"
    assert decided.alarms == planned(share(), resources=(LOADER,)).alarms, "no alarm comes of it"


def test_a_report_of_another_system_is_refused() -> None:
    with pytest.raises(DeclarationError, match="not among the system's resources"):
        plan(System("shop", "payments", (LOADER,), reports=[report(FINDER, "A", namespace="P")]))


# What the rendered alarms do, by the simulator.

NAMES = {"LoaderName": "loader", "FinderName": "finder"}


def reported(name: str, by: str = "loader") -> Metric:
    return Metric("Pipeline", name, (("FunctionName", by),))


def run(decided: Plan, store: Store, length: timedelta, tmp_path: Path) -> Timeline:
    path = tmp_path / "alarms.yaml"
    path.write_text(alarm_template(decided), encoding="utf-8")
    template = read_template(path, NAMES)
    assert not template.unsupported
    states = {one.name: AlarmState.OK for one in (*template.alarms, *template.composites)}
    return simulate(template, store, START, START + length, initial=states)


def pages(timeline: Timeline, name: str) -> list[datetime]:
    return [change.at for change in timeline.changes[f"prod-shop-{name}-page"] if change.state is AlarmState.ALARM]


def each_minute(length: timedelta, samples: Callable[[datetime], dict[str, float]]) -> Store:
    store, at = Store(), START
    while at < START + length:
        for name, value in samples(at).items():
            store.add(reported(name), at, value)
        at += MINUTE
    return store


def test_files_that_are_rejected_page_and_loaded_ones_do_not(tmp_path: Path) -> None:
    fault, decided = START + 8 * HOUR, planned(share(name="files"))

    def samples(at: datetime) -> dict[str, float]:
        bad = at >= fault and at.minute % 2 == 0
        return {"Loaded": float(not bad), "Rejected": float(bad)}

    (page,) = pages(run(decided, each_minute(10 * HOUR, samples), 10 * HOUR, tmp_path), "files")
    assert fault < page <= fault + 20 * MINUTE


def test_files_that_are_late_page(tmp_path: Path) -> None:
    fault = START + 8 * HOUR
    slo = freshness(LOADER, below="1min", objective="95%", window="28d", measure=SECONDS, name="fresh")
    store = each_minute(10 * HOUR, lambda at: {"SecondsToQueryable": 61.0 if at >= fault else 60.0})
    (page,) = pages(run(planned(slo), store, 10 * HOUR, tmp_path), "fresh")
    assert fault + 30 * MINUTE < page <= fault + 45 * MINUTE, "60 s are in time, 61 s are not"


@pytest.mark.parametrize("by", ["loader", "finder"])
def test_whoever_reports_the_success_keeps_the_promise(by: str, tmp_path: Path) -> None:
    """The other one has never reported it, so its metric does not exist."""
    done = succeeded("RunCompleted", namespace="Pipeline", reported_by=[LOADER, FINDER])
    decided = planned(heartbeat(LOADER, every="1d", tolerates="2h", measure=done, name="run"))
    alarm = next(one.alarm for one in decided.alarms if one.slo == "run")
    assert isinstance(alarm, Alarm)
    assert alarm.queries[0].expression == "SUM([FILL(started, 0), FILL(started2, 0)])"
    store = Store()
    for day in range(4):
        store.add(reported("RunCompleted", by), START + day * DAY + 5 * HOUR, 1.0)
    found = pages(run(decided, store, 6 * DAY, tmp_path), "run")
    assert [at for at in found if at > START + DAY + 8 * HOUR] == [START + 4 * DAY + 8 * HOUR]


def test_the_gate_is_that_of_the_promise() -> None:
    slo = share(minimum_bad_events=3)
    tier = tiers(slo)[0][0]
    queries, _, _ = window_condition(slo, tier, tier.long_window, gated=True)
    assert queries[0].expression == "IF(FILL(bad, 0) >= 3, FILL(bad, 0) / (FILL(valid, 0) + FILL(bad, 0)), 0)"
