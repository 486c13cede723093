"""The scenario library: alarms as planned do what theory says, alarms that are broken are found out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.backtest.promised import KINDS, changed, outcomes, promise, ratio, rewritten

from tocsin.alarm import Alarm, CompositeAlarm
from tocsin.backtest.judge import firings, play, run_scenario
from tocsin.backtest.outcome import Remark, Verdict
from tocsin.backtest.promises import Promise
from tocsin.backtest.report import run_library
from tocsin.backtest.scenarios import SCENARIOS, chosen
from tocsin.backtest.theory import Expected
from tocsin.backtest.year import healthy_year
from tocsin.errors import InputError
from tocsin.model import Severity

PAGE, TICKET = Severity.PAGE, Severity.TICKET
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.mark.parametrize("kind", KINDS)
def test_planned_alarms_do_what_theory_says(kind: str) -> None:
    report = run_library([promise(KINDS[kind]())], chosen([]), "shop.yaml", seed=7, years=False)
    assert report.findings == ()
    assert len(report.outcomes) >= 5
    assert len(report.runs) + len(report.left_out) == len(SCENARIOS)


@pytest.mark.parametrize(
    ("scenario", "page", "ticket"),
    [
        ("diurnal-load", None, None),
        ("half-budget-noise", None, None),
        ("full-outage", 48.384, 241.92),
        ("burn-2", None, 36 * 3600),
        ("burn-6", 5.6 * 3600, 11.2 * 3600),
        ("burn-14.4", 56 * 60, 2.8 / 14.4 * 86400),
        ("burn-100", 0.1344 * 3600, 0.028 * 86400),
        ("spike-10-minutes", 0.01344 / 0.15 * 3600, None),
        ("traffic-stops", 48.384, 241.92),
        ("single-failure-when-quiet", None, None),
        ("outage-when-quiet", 7 * 60, 7 * 60),
        ("gap", None, None),
        ("deploy-blip", None, None),
    ],
)
def test_the_theory_of_99_9_percent_and_the_simulation_beside_it(
    scenario: str, page: float | None, ticket: float | None
) -> None:
    """Seconds after which each fires; the simulation is at most the next evaluation later, tickets over days an hour."""
    found = outcomes(promise(ratio()), scenario)
    for severity, seconds in ((PAGE, page), (TICKET, ticket)):
        one = found[severity]
        assert one.fired is (seconds is not None)
        if seconds is None:
            assert one.expected is Expected.SILENT
            continue
        theory = timedelta(seconds=seconds)
        assert one.theory is not None
        assert one.in_alarm_after is not None
        assert abs(one.theory - theory) < timedelta(seconds=1)
        late = HOUR if theory > timedelta(days=1) else timedelta(0)
        assert theory * 0.9 <= one.in_alarm_after <= theory * 1.1 + 2 * MINUTE + late


def test_the_budget_and_the_reset_of_a_full_outage() -> None:
    """81 of 100 requests a minute fail until it can fire: 2 % of what 28 days allow."""
    found = outcomes(promise(ratio()), "full-outage")
    assert found[PAGE].budget_gone == pytest.approx(0.0248, rel=0.2)
    assert found[PAGE].reset_after == 30 * MINUTE
    assert found[TICKET].reset_after == 6 * HOUR
    assert [one.notifications for one in found.values()] == [1, 1]


def test_the_ticket_waits_while_the_page_is_out() -> None:
    run = run_scenario(promise(ratio()), SCENARIOS["full-outage"], 1)
    page, ticket = run.promise.alarms[PAGE], run.promise.alarms[TICKET]
    told = {one.alarm: one.at for one in run.timeline.notifications if one.state == "ALARM"}
    assert firings(run.timeline, ticket)[0].at < told[ticket]
    assert told[ticket] >= run.timeline.changes[page][-1].at


def test_what_is_held_back_is_shown_when_it_tells() -> None:
    found = outcomes(promise(ratio()), "full-outage")
    page, ticket = found[PAGE], found[TICKET]
    assert page.told_after == page.in_alarm_after == MINUTE
    assert (page.held_back, ticket.held_back) == (False, True)
    assert ticket.in_alarm_after is not None
    assert ticket.in_alarm_after < 6 * MINUTE
    assert ticket.told_after is not None
    assert ticket.told_after >= HOUR + 30 * MINUTE, "the page is over first"
    assert ticket.budget_gone == pytest.approx(60 * 100 / 4032, rel=0.05), "all of the outage"
    alone = outcomes(promise(ratio()), "burn-2")[TICKET]
    assert alone.in_alarm_after is not None
    assert (alone.told_after, alone.held_back) == (alone.in_alarm_after + MINUTE, False), "it waits for a page"


def with_composite(one: Promise, severity: Severity, **properties: object) -> Promise:
    """The promise with other properties of the alarm that tells with that severity."""
    composites = tuple(
        replace(composite, **properties) if composite.name == one.alarms[severity] else composite  # type: ignore[arg-type]
        for composite in one.template.composites
    )
    return replace(one, template=replace(one.template, composites=composites))


def short_of_an_hour(one: Promise) -> str:
    return next(alarm.name for alarm in one.template.alarms if alarm.name.endswith("1h-short"))


def told(one: Promise, severity: Severity, *, enabled: bool, to: tuple[str, ...]) -> Promise:
    alarm: Alarm | CompositeAlarm = next(
        composite for composite in one.template.composites if composite.name == one.alarms[severity]
    )
    return with_composite(one, severity, actions=replace(alarm.actions, enabled=enabled, alarm=to))


@pytest.mark.parametrize(
    ("broken", "scenario", "severity"),
    [
        (lambda one: told(one, PAGE, enabled=False, to=("topic",)), "full-outage", PAGE),
        (lambda one: told(one, PAGE, enabled=True, to=()), "full-outage", PAGE),
        (lambda one: told(one, TICKET, enabled=False, to=("topic",)), "burn-2", TICKET),
        # The page tells of an outage, but that is no merit of a ticket that cannot tell.
        (lambda one: told(one, TICKET, enabled=False, to=("topic",)), "full-outage", TICKET),
        (
            lambda one: with_composite(
                one, PAGE, suppressor=short_of_an_hour(one), suppressor_wait=60, suppressor_extension=60
            ),
            "spike-10-minutes",
            PAGE,
        ),
    ],
)
def test_an_alarm_that_tells_nobody_is_a_finding(
    broken: Callable[[Promise], Promise], scenario: str, severity: Severity
) -> None:
    one = promise(ratio())
    assert outcomes(one, scenario)[severity].verdict is Verdict.AS_EXPECTED
    found = outcomes(broken(one), scenario)[severity]
    assert (found.fired, found.told_after, found.budget_gone) == (True, None, None)
    assert found.verdict is Verdict.TOLD_NOBODY
    report = run_library([broken(one)], chosen([scenario]), "shop.yaml", seed=1, years=False)
    assert any("and told nobody: look at its actions" in finding for finding in report.findings)


def test_a_ticket_that_waits_though_no_page_told_is_late() -> None:
    patient = with_composite(promise(ratio()), TICKET, suppressor_wait=86400)
    assert outcomes(patient, "full-outage")[TICKET].verdict is Verdict.AS_EXPECTED, "the page told"
    assert outcomes(patient, "burn-2")[TICKET].verdict is Verdict.LATE
    deaf = told(promise(ratio()), PAGE, enabled=False, to=("topic",))
    found = outcomes(deaf, "full-outage")[TICKET]
    assert (found.verdict, found.held_back) == (Verdict.LATE, False)


def test_to_tell_of_one_incident_again_and_again_is_a_finding() -> None:
    flapping = changed(
        promise(ratio()), lambda alarm: replace(alarm, threshold=0.1) if alarm.name.endswith("-short") else alarm
    )
    report = run_library([flapping], chosen(["burn-100"]), "shop.yaml", seed=1, years=False)
    page = report.outcomes[0]
    assert page.notifications > 2
    assert (page.verdict, page.remark) == (Verdict.FLAPS, Remark.NONE)
    assert report.findings[0].endswith(f"burn-100: the page told {page.notifications} times of one incident")


@pytest.mark.parametrize(
    ("kind", "objective", "scenario", "severity", "remark"),
    [
        ("counted", "99.9%", "burn-14.4", PAGE, Remark.AT_THRESHOLD),
        ("counted", "99.9%", "burn-1", TICKET, Remark.AT_THRESHOLD),
        ("counted", "95%", "outage-when-quiet", PAGE, Remark.QUIET),
    ],
)
def test_flapping_that_no_alarm_could_help_is_only_said(
    kind: str, objective: str, scenario: str, severity: Severity, remark: Remark
) -> None:
    report = run_library([promise(ratio(objective))], chosen([scenario]), "shop.yaml", seed=1, years=False)
    found = next(one for one in report.outcomes if one.severity is severity)
    assert found.notifications > 2
    assert (found.verdict, found.remark) == (Verdict.AS_EXPECTED, remark)
    assert report.findings == ()
    assert any(line.endswith(f"as expected, {remark}") for line in report.lines())
    assert any("its short window is empty" in note for note in report.notes) is (remark is Remark.QUIET)


@pytest.mark.parametrize("scenario", ["burn-100", "spike-10-minutes"])
def test_few_events_are_late_by_luck_and_no_finding(scenario: str) -> None:
    """At three events a minute the second bad event may come minutes after it was due; a deaf alarm is still found out."""
    one = promise(ratio())
    found = [outcomes(one, scenario, seed, usual=3)[PAGE] for seed in range(1, 13)]
    assert {outcome.verdict for outcome in found} == {Verdict.AS_EXPECTED}
    lags = [(outcome.in_alarm_after, outcome.theory) for outcome in found if outcome.fired]
    assert any(after > theory * 1.1 + 2 * MINUTE for after, theory in lags if after and theory)
    deaf = changed(one, lambda alarm: replace(alarm, threshold=0.5))
    assert {outcomes(deaf, "burn-100", seed, usual=3)[PAGE].verdict for seed in range(1, 4)} == {Verdict.MISSED}


def test_two_bad_events_by_luck_in_a_window_that_should_hold_one_are_no_finding() -> None:
    """At a burn rate of 6 and a request every two minutes one in five and a half hours is bad; the gate is two in six."""
    found = outcomes(promise(ratio()), "burn-6", usual=0.5)[PAGE]
    assert (found.fired, found.expected, found.verdict) == (True, Expected.EITHER, Verdict.AS_EXPECTED)


def test_to_cross_the_threshold_more_than_once_on_the_way_out_is_no_flapping() -> None:
    found = outcomes(promise(ratio("99%", fewest=5)), "burn-2", 16, usual=3)[TICKET]
    assert (found.notifications, found.verdict, found.remark) == (3, Verdict.AS_EXPECTED, Remark.NONE)


def test_ten_requests_an_hour_without_the_gate_page() -> None:
    """One failure in an hour of ten requests is a burn rate of 100; the gate is what keeps it quiet."""
    gated = promise(ratio())
    open_ = rewritten(gated, "FILL(bad, 0) >= 2", "FILL(bad, 0) >= 1")
    assert outcomes(gated, "single-failure-when-quiet")[PAGE].verdict is Verdict.AS_EXPECTED
    found = outcomes(open_, "single-failure-when-quiet")[PAGE]
    assert (found.fired, found.verdict) == (True, Verdict.FALSE_ALARM)
    # Where nobody set a gate, nobody is told by a number typed in here either.
    assert outcomes(promise(ratio(fewest=1)), "single-failure-when-quiet")[PAGE].verdict is Verdict.FALSE_ALARM


def test_a_threshold_that_is_too_high_misses() -> None:
    one = changed(promise(ratio()), lambda alarm: replace(alarm, threshold=0.5))
    found = outcomes(one, "burn-100")
    assert {outcome.verdict for outcome in found.values()} == {Verdict.MISSED}
    assert outcomes(one, "full-outage")[PAGE].verdict is Verdict.LATE


def test_a_threshold_that_is_too_low_is_a_false_alarm() -> None:
    one = changed(promise(ratio()), lambda alarm: replace(alarm, threshold=alarm.threshold / 100))
    assert outcomes(one, "half-budget-noise")[PAGE].verdict is Verdict.FALSE_ALARM


def test_without_its_short_window_an_alarm_is_stuck() -> None:
    one = promise(ratio())
    rules = tuple(
        replace(composite, rule=" OR ".join(part for part in composite.rule.split('"') if part.endswith("-long")))
        for composite in one.template.composites
    )
    rules = tuple(
        replace(rule, rule=" OR ".join(f'ALARM("{name}")' for name in rule.rule.split(" OR "))) for rule in rules
    )
    broken = replace(one, template=replace(one.template, composites=rules))
    found = outcomes(broken, "full-outage")[PAGE]
    assert (found.fired, found.verdict) == (True, Verdict.STUCK)


def test_a_plain_ratio_hangs_when_traffic_stops() -> None:
    """What the FILL in every expression is for: without it an older datapoint is looked at, again and again."""
    one = promise(ratio())
    plain = rewritten(
        rewritten(one, "FILL(bad, 0) / FILL(valid, 0)", "bad / valid"), "IF(FILL(bad, 0) >= ", "IF(bad >= "
    )
    plain = rewritten(plain, ", 0)", ")")
    assert outcomes(one, "traffic-stops")[PAGE].verdict is Verdict.AS_EXPECTED
    found = outcomes(plain, "traffic-stops")[PAGE]
    assert found.reset_after is None or found.reset_after > 30 * MINUTE
    assert found.verdict is Verdict.STUCK


def test_what_comes_later_than_a_window_is_long_is_not_seen_by_it() -> None:
    """Five minutes late, the five-minute window is always empty: the page comes from the tier of half an hour."""
    one = promise(ratio())
    late = SCENARIOS["late-data"].build(one.slo, 1, system="shop")

    def after(delay: timedelta) -> timedelta:
        timeline = play(one, replace(late, delay=delay))
        return firings(timeline, one.alarms[PAGE])[0].at - late.incidents[0].start

    assert after(timedelta(0)) == MINUTE
    assert after(3 * MINUTE) == 4 * MINUTE
    assert after(5 * MINUTE) >= 7 * MINUTE


def test_burns_out_of_reach_are_said() -> None:
    slo = promise(ratio("95%")).slo
    assert SCENARIOS["burn-100"].left_out(slo) == (
        "out of reach: with everything failing the budget burns 20 times as fast as allowed"
    )
    assert SCENARIOS["burn-14.4"].left_out(slo) is None


@pytest.mark.parametrize(
    ("scenario", "fired", "reset"),
    [
        ("job-in-time", None, None),
        ("job-late", None, None),
        ("job-fails-once", (2 * HOUR, 3 * HOUR), HOUR),
        ("job-too-late", (2 * HOUR, 3 * HOUR), HOUR),
        ("job-never-runs", (2 * HOUR, 3 * HOUR), None),
    ],
)
def test_a_daily_job(scenario: str, fired: tuple[timedelta, timedelta] | None, reset: timedelta | None) -> None:
    found = outcomes(promise(KINDS["daily"]()), scenario)[PAGE]
    assert found.fired is (fired is not None)
    assert found.budget_gone is None
    if fired is not None:
        assert found.in_alarm_after is not None
        assert fired[0] <= found.in_alarm_after <= fired[1]
    assert (found.reset_after is None) is (reset is None)
    assert found.reset_after is None or reset is None or found.reset_after <= reset


def test_a_heartbeat_that_looks_too_far_back_misses() -> None:
    one = promise(KINDS["daily"]())
    patient = changed(one, lambda alarm: replace(alarm, evaluation_periods=72, datapoints_to_alarm=72))
    assert outcomes(patient, "job-fails-once")[PAGE].verdict is Verdict.MISSED
    assert outcomes(patient, "job-never-runs")[PAGE].verdict is Verdict.LATE


@pytest.mark.parametrize("kind", ["counted", "gauge", "daily"])
def test_a_healthy_month_pages_nobody(kind: str) -> None:
    found = healthy_year(promise(KINDS[kind]()), 3, days=30)
    assert found.told[PAGE] == 0
    assert found.days == 30


def test_a_report_is_the_same_however_it_was_asked_for() -> None:
    one = promise(ratio())
    whole = run_library([one], chosen([]), "shop.yaml", seed=5, years=False)
    part = run_library([one], chosen(["gap", "full-outage"]), "shop.yaml", seed=5, years=False)
    again = {(outcome.scenario, outcome.severity): outcome for outcome in whole.outcomes}
    assert all(again[outcome.scenario, outcome.severity] == outcome for outcome in part.outcomes)
    assert [run.scenario for run in part.runs] == ["full-outage", "gap"]
    other = run_library([one], chosen(["full-outage"]), "shop.yaml", seed=6, years=False)
    assert other.outcomes[0].budget_gone != part.outcomes[0].budget_gone


def test_an_unknown_scenario() -> None:
    with pytest.raises(InputError, match="did you mean 'full-outage'"):
        chosen(["ful-outage"])


def test_every_scenario_says_what_it_is() -> None:
    for name, scenario in SCENARIOS.items():
        assert scenario.name == name
        assert scenario.about.endswith(".")
        assert scenario.applies
