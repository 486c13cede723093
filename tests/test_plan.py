"""What is decided for a system: names, severities, parameters, exceptions; and what is refused."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from tocsin.alarm import Alarm, CompositeAlarm, TreatMissingData
from tocsin.declarations import load_systems
from tocsin.declare import availability, completeness, freshness, heartbeat, latency, override
from tocsin.errors import DeclarationError, PlanError
from tocsin.model import Resource, Severity, System
from tocsin.plan import Plan, Settings, plan
from tocsin.project import find_project


def function(logical_id: str = "Reader", **properties: object) -> Resource:
    return Resource("AWS::Lambda::Function", logical_id, None, {"Timeout": 10, **properties})


def system(*slos: object, resources: tuple[Resource, ...] = (), **more: object) -> System:
    return System(name="shop", owner="payments", resources=resources or (function(),), slos=slos, **more)  # type: ignore[arg-type]


def alarms(planned: Plan) -> dict[str, Alarm | CompositeAlarm]:
    return {one.logical_id: one.alarm for one in planned.alarms}


def test_a_ratio_slo_becomes_eight_window_alarms_and_two_composites() -> None:
    planned = plan(system(availability(function(), objective="99.9%", window="28d", name="read")))
    own = [one for one in planned.alarms if one.slo == "read"]
    windows = [one for one in own if isinstance(one.alarm, Alarm)]
    composites = [one for one in own if isinstance(one.alarm, CompositeAlarm)]
    assert len(windows) == 8
    assert {one.logical_id for one in composites} == {"ReadPage", "ReadTicket"}
    assert all(one.severity is None and one.alarm.actions.alarm == () for one in windows), (
        "only composites tell anybody"
    )
    assert {window.alarm.period for window in windows} == {300, 1800, 3600, 7200, 21600, 86400, 259200}  # type: ignore[union-attr]
    page = alarms(planned)["ReadPage"]
    assert isinstance(page, CompositeAlarm)
    assert page.rule == (
        '(ALARM("${Environment}-shop-read-burn-1h-long") AND ALARM("${Environment}-shop-read-burn-1h-short"))'
        ' OR (ALARM("${Environment}-shop-read-burn-6h-long") AND ALARM("${Environment}-shop-read-burn-6h-short"))'
    )
    assert page.actions.alarm == page.actions.ok == ("${PageTopicArn}",)
    ticket = alarms(planned)["ReadTicket"]
    assert isinstance(ticket, CompositeAlarm)
    assert ticket.suppressor == page.name, "a ticket is held back while the same promise pages"


def test_window_alarms_always_have_a_value_and_carry_the_gate_in_the_long_window() -> None:
    planned = plan(system(availability(function(), objective="99.9%", window="28d", name="read")))
    long, short = alarms(planned)["ReadBurn1hLong"], alarms(planned)["ReadBurn1hShort"]
    assert isinstance(long, Alarm)
    assert isinstance(short, Alarm)
    assert long.queries[0].expression == "IF(FILL(bad, 0) >= 2, FILL(bad, 0) / FILL(valid, 0), 0)"
    assert short.queries[0].expression == "IF(FILL(bad, 0) >= 1, FILL(bad, 0) / FILL(valid, 0), 0)"
    assert (long.evaluation_periods, long.datapoints_to_alarm) == (1, 1)
    assert long.treat_missing_data is TreatMissingData.NOT_BREACHING


def test_a_latency_slo_reads_a_percentile_rank_and_counts_in_its_long_windows() -> None:
    planned = plan(system(latency(function(), below="800ms", objective="99%", window="28d", name="fast")))
    long, short = alarms(planned)["FastBurn1hLong"], alarms(planned)["FastBurn1hShort"]
    assert isinstance(long, Alarm)
    assert isinstance(short, Alarm)
    assert [query.stat.statistic for query in short.queries if query.stat] == ["PR(:800)"]
    assert [query.stat.statistic for query in long.queries if query.stat] == ["PR(:800)", "SampleCount"]
    assert long.threshold == short.threshold == pytest.approx(86.56)


def test_a_latency_slo_without_a_gate_costs_one_metric_a_window() -> None:
    slo = latency(function(), below="800ms", objective="99%", window="28d", name="fast", minimum_bad_events=1)
    windows = [one.alarm for one in plan(system(slo)).alarms if one.slo == "fast" and isinstance(one.alarm, Alarm)]
    assert [len(window.metrics) for window in windows] == [1] * 8


def test_a_heartbeat_is_one_alarm_that_pages() -> None:
    planned = plan(system(heartbeat(function(), every="1d", tolerates="2h", name="daily")))
    beat = alarms(planned)["DailyPage"]
    assert isinstance(beat, Alarm)
    assert (beat.period, beat.evaluation_periods, beat.datapoints_to_alarm) == (3600, 26, 26)
    assert beat.treat_missing_data is TreatMissingData.BREACHING
    assert beat.actions.alarm == ("${PageTopicArn}",)


def test_only_promises_page() -> None:
    planned = plan(system(availability(function(), objective="99.9%", window="28d")))
    assert {one.severity for one in planned.alarms if one.slo is None} == {Severity.TICKET}


def test_every_dimension_gets_its_name_from_a_parameter() -> None:
    planned = plan(system(resources=(function(), Resource("AWS::Lambda::Function", "Writer", "writer", {}))))
    assert [(one.name, one.default) for one in planned.parameters] == [("ReaderName", None), ("WriterName", "writer")]


def test_what_does_not_apply_is_said_and_not_silently_left_out() -> None:
    planned = plan(system())
    kinds = {left.kind for left in planned.left_out}
    assert "lambda-function-concurrency" in kinds
    assert all(left.reason for left in planned.left_out)


def test_texts_carry_threshold_reason_runbook_and_dashboard() -> None:
    settings = Settings("https://runbooks.example", "https://grafana.example/")
    text = plan(system(), settings)["ReaderLambdaFunctionDuration"].alarm.description
    assert "80 % of the timeout (10 s)" in text
    assert "https://runbooks.example/lambda-function-duration.md" in text
    assert "https://grafana.example/d/tocsin-shop" in text
    assert "Source: https://" in text


@pytest.mark.parametrize("name", ["ReadPage", "ReadTicket", "ReadBurn1hLong", "DailyPage"])
def test_a_promises_alarm_names_what_it_is_measured_on(name: str) -> None:
    """A composite has no dimensions: who is woken by it has only this text to find the function by."""
    slos = (
        availability(function(), objective="99.9%", window="28d", name="read"),
        heartbeat(function(), every="1d", tolerates="2h", name="daily"),
    )
    text = alarms(plan(system(*slos)))[name].description
    assert "Resource: Reader (FunctionName ${ReaderName})." in text.splitlines()
    if "Burn" not in name:  # those tell nobody
        assert "Dashboard: /d/tocsin-shop in Grafana" in text.splitlines()
    with_address = alarms(plan(system(*slos), Settings("https://r.example", "https://g.example/")))[name].description
    assert "Dashboard: https://g.example/d/tocsin-shop" in with_address.splitlines()


def test_names_that_would_make_a_description_too_long_are_left_out() -> None:
    def text(because: str) -> str:
        slo = availability(function(), objective="99.9%", window="28d", name="read", because=because)
        return alarms(plan(system(slo)))["ReadPage"].description

    assert "Resource: Reader (FunctionName ${ReaderName})." in text("x" * 500)
    assert "Resource: Reader." in text("x" * 700)


def test_a_persons_text_is_no_placeholder() -> None:
    slo = availability(function(), objective="99.9%", window="28d", name="read", because="The ${PRICE} is shown.")
    assert "${!PRICE}" in plan(system(slo))["ReadPage"].alarm.description


def test_an_override_replaces_the_number_and_its_reason() -> None:
    one = override(
        "lambda-function-duration",
        function(),
        threshold=9000,
        severity=Severity.PAGE,
        because="A nightly report runs long, and nobody waits for it.",
    )
    found = plan(system(overrides=(one,)))["ReaderLambdaFunctionDuration"]
    assert isinstance(found.alarm, Alarm)
    assert (found.alarm.threshold, found.severity) == (9000, Severity.PAGE)
    assert found.threshold_because == one.because


def test_a_switched_off_alarm_is_listed_with_its_reason() -> None:
    one = override("lambda-function-errors", function(), enabled=False, because="Its caller counts the errors.")
    planned = plan(system(overrides=(one,)))
    assert "ReaderLambdaFunctionErrors" not in alarms(planned)
    assert any("Its caller counts the errors." in left.reason for left in planned.left_out)


def test_one_system_never_sees_the_settings_of_another() -> None:
    """A peer's macro let one team's thresholds and switches reach the next team in the same process."""
    strict = override("lambda-function-duration", function(), threshold=1, because="A test of leaks.")
    off = override("lambda-function-errors", function(), enabled=False, because="A test of leaks.")
    before = plan(system())
    plan(system(overrides=(strict, off)))
    assert plan(system()) == before


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: availability(function(), objective="100%", window="28d"), "leaves no error budget"),
        (lambda: availability(function(), objective="0%", window="28d"), "promises nothing"),
        (lambda: availability(function(), objective="89%", window="28d"), "outside 90 % to 99.99 %"),
        (lambda: availability(function(), objective="99.999%", window="28d"), "outside 90 % to 99.99 %"),
        (lambda: availability(function(), objective="99%", window="14d"), "use one of 7d, 28d, 30d, 90d"),
        (lambda: completeness(function(), objective="99%", window="28d"), "it has: availability, latency"),
        (lambda: latency(function(), below="10s", objective="99%", window="28d"), "always met"),
        (lambda: heartbeat(function()), "nobody knows when it should run"),
        (lambda: freshness(function(), below="1h", objective="99%", window="28d"), "leave objective and window out"),
        (lambda: override("lambda-function-error", function(), because="x"), "did you mean 'lambda-function-errors'"),
        (lambda: override("lambda-function-errors", function(), because=" "), "say why"),
        (lambda: System(name="Shop", owner="a", resources=()), "lower-case letters"),
        (lambda: System(name="shop", owner="A team", resources=()), "owner 'A team'"),
        (lambda: System(name="s" * 64, owner="a", resources=()), "at most 63"),
    ],
)
def test_declarations_that_contradict_themselves_are_refused(declare: object, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        declare()  # type: ignore[operator]


def test_plans_that_cannot_be_are_refused() -> None:
    twice = availability(function(), objective="99%", window="28d")
    with pytest.raises(DeclarationError, match="two SLOs are called"):
        plan(system(twice, twice))
    with pytest.raises(DeclarationError, match="not among the system's resources"):
        plan(system(availability(function("Other"), objective="99%", window="28d")))
    with pytest.raises(DeclarationError, match="did you mean 'Reader'"):
        plan(system(overrides=(override("lambda-function-errors", function("Raeder"), because="typo"),)))
    with pytest.raises(PlanError, match="would both be"):
        plan(
            system(
                availability(function(), objective="99%", window="28d", name="a-b"),
                availability(function(), objective="99%", window="28d", name="a_b"),
            )
        )
    with pytest.raises(PlanError, match="seven days"):
        plan(system(heartbeat(function(), every="8d")))


def test_logical_ids_do_not_move_when_a_resource_is_added() -> None:
    before = {one.logical_id: one.alarm for one in plan(system()).alarms}
    after = {one.logical_id: one.alarm for one in plan(system(resources=(function(), function("Another")))).alarms}
    assert before.items() <= after.items()


def test_a_freshness_promise_of_something_that_runs_is_time_since_success() -> None:
    slo = freshness(function(), below="1h", name="fresh")
    beat = plan(system(slo))["FreshPage"].alarm
    assert isinstance(beat, Alarm)
    assert timedelta(seconds=beat.period * beat.evaluation_periods) == timedelta(hours=1)


ROOT = Path(__file__).parents[1]
PLANS = [
    plan(one, find_project(ROOT).settings) for one in load_systems(ROOT, find_project(ROOT).systems)
]  # the systems that are watched in earnest


@pytest.mark.parametrize("planned", PLANS, ids=[one.system.name for one in PLANS])
def test_every_description_fits_whatever_its_names_become(planned: Plan) -> None:
    for one in planned.alarms:
        assert len(re.sub(r"\$\{[A-Za-z0-9]+\}", "x" * 80, one.alarm.description)) <= 1024, one.logical_id


@pytest.mark.parametrize("planned", PLANS, ids=[one.system.name for one in PLANS])
def test_every_cause_can_be_looked_at(planned: Plan) -> None:
    """Each alarm on a cause has a graph, among its resource's, of something that it compares."""
    shown = {
        group.resource.logical_id: {series.metric for panel in group.panels for series in panel.series}
        for group in planned.panels
    }
    for one in planned.alarms:
        if one.slo is None and isinstance(one.alarm, Alarm):
            assert shown[one.resource] & set(one.alarm.metrics), one.logical_id


def test_an_alarm_whose_metric_no_graph_shows_gets_one() -> None:
    database = Resource(
        "AWS::RDS::DBInstance", "Database", None, {"Engine": "postgres", "DBInstanceClass": "db.t3.large"}
    )
    (group,) = plan(system(resources=(database,))).panels
    found = {panel.title: panel for panel in group.panels}
    credits = found["CPU credits run out?"]
    assert [series.metric.name for series in credits.series] == ["CPUSurplusCreditsCharged"]
    assert credits.alarm_kinds == ("rds-instance-cpu-credits",), "the threshold is drawn on it"
    parts = [title for title in found if title.startswith("Storage burst credits run out (")]
    assert len(parts) == 2, "lower limits share a graph with nothing else"
    assert len({panel.key or panel.title for panel in group.panels}) == len(group.panels)
