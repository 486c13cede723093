"""Proposals for thresholds and M of N: what is proposed, what is not and why, and that the quick trial is the simulator."""

from __future__ import annotations

import ast
import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.alarm import (
    Actions,
    Alarm,
    Comparison,
    CompositeAlarm,
    EvaluationWindow,
    Metric,
    MetricQuery,
    MetricStat,
    TreatMissingData,
    single,
)
from tocsin.backtest.incident import Incident
from tocsin.backtest.scoring import firings
from tocsin.backtest.search import round_within
from tocsin.backtest.subject import Declared, Written, written_subjects
from tocsin.backtest.trial import Setting, Trial
from tocsin.backtest.tune import Proposal, Tuning, tune
from tocsin.cli import main
from tocsin.errors import SimulationError
from tocsin.model import Override, Severity
from tocsin.simulate.series import Series, Store
from tocsin.simulate.template import AlarmTemplate
from tocsin.simulate.timeline import simulate

ROOT = Path(__file__).parents[2]
START = datetime(2026, 3, 2, tzinfo=UTC)
METRIC = Metric("Test", "Load", (("Host", "web"),))
TELLS = Actions(alarm=("arn:aws:sns:eu-west-1:123456789012:on-call",))
DAY = 288


def at(row: int) -> datetime:
    return START + timedelta(minutes=5 * row)


def alarm(
    threshold: float = 80,
    n: int = 1,
    m: int = 1,
    *,
    comparison: Comparison = Comparison.GREATER,
    treat: TreatMissingData = TreatMissingData.MISSING,
    period: int = 300,
    name: str = "load",
) -> Alarm:
    stat = single(MetricStat(METRIC, "Average", period))
    return Alarm(name, stat, comparison, threshold, n, m, treat, actions=TELLS)


def store(values: Sequence[float | None], period: int = 300) -> Store:
    found = Store()
    found.add_series(Series(METRIC, START, period, values=values))
    return found


def load(
    days: int, *, bad: Sequence[tuple[int, int]] = (), spikes: Sequence[int] = (), high: float = 95
) -> list[float]:
    """Between 30 and 50, but for ``bad`` stretches from ``high`` to 3 above it, and ``spikes`` of one value about 84."""
    chance = random.Random(days)
    values = [30 + 20 * chance.random() for _ in range(days * DAY)]
    for row in spikes:
        values[row] = 83 + 2 * chance.random()
    for start, end in bad:
        values[start:end] = [high + 3 * chance.random() for _ in range(start, end)]
    return values


def propose(
    one: Alarm, values: Sequence[float | None], hurt: Sequence[tuple[int, int]] | None, subject: object = None
) -> Tuning:
    incidents = None if hurt is None else [Incident(f"{a}", at(a), at(b)) for a, b in hurt]
    subjects = {one.name: subject or Written("Load")}
    return tune(AlarmTemplate((one,)), store(values), incidents, START, at(len(values)), subjects)  # type: ignore[arg-type]


def only(tuning: Tuning) -> Proposal:
    assert len(tuning.proposals) == 1, tuning.kept
    return tuning.proposals[0]


BAD = [(300, 312), (820, 830), (1400, 1414), (1990, 2002)]
NIGHTLY = [200 + DAY * day for day in range(8)]


# The trial.


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(st.sampled_from([None, None, 0.0, 1.0, 1.5, 2.0, 3.0]), min_size=1, max_size=60),
    threshold=st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.5, 9.0]),
    shape=st.sampled_from([(1, 1), (1, 2), (2, 2), (2, 3), (3, 5), (5, 5), (3, 9)]),
    treat=st.sampled_from(list(TreatMissingData)),
    comparison=st.sampled_from(list(Comparison)),
    period=st.sampled_from([60, 120, 300]),
    spacing=st.sampled_from([60, 300]),
)
def test_the_trial_fires_when_the_simulator_does(
    values: list[float | None],
    threshold: float,
    shape: tuple[int, int],
    treat: TreatMissingData,
    comparison: Comparison,
    period: int,
    spacing: int,
) -> None:
    m, n = shape
    one = alarm(threshold, n, m, comparison=comparison, treat=treat, period=period)
    data, end = store(values, spacing), START + timedelta(seconds=spacing * len(values) + 1800)
    setting = Setting.of(one)
    trial = Trial(alarm(99, comparison=comparison, treat=treat, period=period), data, START, end, max(n, 9))
    assert trial.fixed
    expected = firings(simulate(AlarmTemplate((one,)), data, START, end))["load"]
    whole = trial.part(START, end + timedelta(minutes=1), [], [(START, end + timedelta(minutes=1))])
    found = trial.figures(setting, whole)
    assert found.firings == len([one for one in expected if one.start < one.end]) + _at_the_end(trial, setting)
    states = trial.in_alarm(setting)
    for fired in expected:
        row = int((trial.times <= fired.start.timestamp()).sum()) - 1
        assert states[row]
        assert trial.times[row] == fired.start.timestamp()


@pytest.mark.parametrize("period", [3600, 14_400, 18_000, 21_600, 43_200, 86_400])
@pytest.mark.parametrize("treat", list(TreatMissingData))
def test_the_trial_of_long_periods_fires_when_the_simulator_does(period: int, treat: TreatMissingData) -> None:
    """However many datapoints are asked for: more than a day of them would be evaluated hourly."""
    chance = random.Random(period)
    values = [chance.choice([None, 0.0, 1.0, 3.0]) for _ in range(400)]
    values[100:130] = [3.0] * 30
    values[200:260] = [None] * 60
    data, end = store(values, 1200), START + timedelta(seconds=1200 * len(values))
    tried = [shape for shape in ((1, 1), (1, 2), (2, 2), (2, 3), (3, 5)) if shape[1] * period <= 86_400]
    trial = Trial(alarm(period=period, treat=treat), data, START, end, 5)
    for threshold in (0.4, 0.9, 1.6):
        for m, n in tried:
            one = alarm(threshold, n, m, treat=treat, period=period)
            expected = firings(simulate(AlarmTemplate((one,)), data, START, end))["load"]
            states = trial.in_alarm(Setting.of(one))
            begins = trial.times[states & ~np.concatenate(([False], states[:-1]))]
            assert begins.tolist() == [int(one.start.timestamp()) for one in expected]


def _at_the_end(trial: Trial, setting: Setting) -> int:
    """One that begins with the very last evaluation: the timeline ends there, so it has no length."""
    states = trial.in_alarm(setting)
    last = int((trial.until == trial.until[-1]).argmax())
    begins = bool(states[last]) and (last == 0 or not states[last - 1])
    return int(begins and trial.until[last] - trial.times[last] == 60)


# What is proposed.


def test_a_threshold_between_what_is_wrong_and_what_is_not() -> None:
    tuning = propose(alarm(), load(8, bad=BAD, spikes=NIGHTLY), BAD)
    found = only(tuning)
    assert found.before.false_alarms == 8
    assert found.after.false_alarms == 0
    assert found.after.recall == found.before.recall == 1
    assert found.low < found.new.threshold < found.high
    assert 49 < found.low < 98
    assert found.confirmed is True
    assert f"Threshold: {found.new.threshold:g}" in found.lines


def test_an_alarm_that_sees_nothing_is_lowered() -> None:
    found = only(propose(alarm(99, 3, 3), load(8, bad=BAD, high=70), BAD))
    assert (found.before.recall, found.after.recall) == (0, 1)
    assert 50 < found.new.threshold < 70
    assert found.after.false_alarms == 0


def test_low_values_can_be_what_is_wrong() -> None:
    values = [100 - value for value in load(8, bad=BAD, spikes=NIGHTLY)]
    found = only(propose(alarm(20, comparison=Comparison.LESS), values, BAD))
    assert 2 < found.low < found.new.threshold < found.high < 51
    assert (found.after.recall, found.after.false_alarms) == (1, 0)


def test_spikes_as_high_as_incidents_are_told_apart_by_their_length() -> None:
    values = load(8, bad=BAD)
    for row in NIGHTLY:
        values[row] = 99
    found = only(propose(alarm(), values, BAD))
    assert found.new.datapoints_to_alarm > 1
    assert (found.after.recall, found.after.false_alarms) == (1, 0)
    assert "EvaluationPeriods" in found.lines[-2]


def test_an_hour_of_delay_is_not_paid_for_a_wider_margin() -> None:
    """Incidents begin with an hour at 70 and go on at 95: a threshold between 70 and 95 would be told of one period later."""
    chance = random.Random(3)
    values = [30 + 20 * chance.random() for _ in range(20 * 24)]
    hurt = [(at, at + 8) for at in range(60, 20 * 24 - 8, 50)]
    for begin, close in hurt:
        values[begin : close + 1] = [70, *(95 + chance.random() for _ in range(close - begin))]
    begins = [START + timedelta(hours=begin) for begin, _ in hurt]
    incidents = [Incident(f"{one:%d}", one, one + timedelta(hours=8)) for one in begins]
    one, end = alarm(40, period=3600), START + timedelta(hours=len(values))
    template = AlarmTemplate((one,))
    found = only(tune(template, store(values, 3600), incidents, START, end, {one.name: Written("Load")}))
    assert 49 < found.low < found.new.threshold < found.high <= 70
    assert found.after.false_alarms == 0 < found.before.false_alarms


def test_a_history_of_more_than_ten_years_is_refused() -> None:
    one = alarm()
    with pytest.raises(SimulationError, match="longer than ten years"):
        tune(
            AlarmTemplate((one,)), store([1.0, 2.0]), None, START, START.replace(year=2050), {one.name: Written("Load")}
        )


def test_figures_are_those_of_a_full_simulation() -> None:
    values = load(8, bad=BAD, spikes=NIGHTLY)
    found = only(propose(alarm(), values, BAD))
    timeline = simulate(AlarmTemplate((found.new.applied(alarm()),)), store(values), START, at(len(values)))
    assert found.after.firings == len(firings(timeline)["load"])


def test_detection_is_never_given_up_for_quiet() -> None:
    """One incident looks like the spikes: no threshold may lose it."""
    values = load(8, bad=BAD, spikes=NIGHTLY)
    values[1400:1414] = [82.0] * 14
    tuning = propose(alarm(), values, BAD)
    for found in tuning.proposals:
        assert found.after.recall == 1


def test_more_is_not_seen_at_the_price_of_noise() -> None:
    """What the incident shows is everyday: to see it costs more false alarms than there are incidents."""
    tuning = propose(alarm(99), load(8), BAD)
    assert not tuning.proposals
    assert tuning.kept == {"load": "they never fired"}


@pytest.mark.parametrize("seed", range(6))
def test_that_noise_sees_incidents_is_never_confirmed(seed: int) -> None:
    chance = random.Random(seed)
    values = [chance.gauss(50, 10) for _ in range(8 * DAY)]
    hurt = sorted(chance.sample(range(40, 8 * DAY - 40, 40), 6))
    tuning = propose(alarm(80), values, [(row, row + 12) for row in hurt])
    assert not [one for one in tuning.proposals if "sees more after it too" in one.check]


# Without labels.


def test_a_healthy_history_asks_for_more_datapoints_first() -> None:
    tuning = propose(alarm(), load(8, spikes=NIGHTLY), None)
    found = only(tuning)
    assert found.new.threshold == 80
    assert found.new.datapoints_to_alarm > 1
    assert found.after.firings == 0
    assert "taken as healthy" in next(iter(tuning.lines()))


def test_where_more_datapoints_do_not_help_the_threshold_is_moved() -> None:
    found = only(propose(alarm(), load(8, bad=BAD), None))
    assert found.new.threshold > 98
    assert (found.new.evaluation_periods, found.new.datapoints_to_alarm) == (1, 1)
    assert found.after.firings == 0


def test_a_quiet_alarm_is_left_alone() -> None:
    assert propose(alarm(), load(8), None).kept == {"load": "they never fired"}


# Where history is not enough.


@pytest.mark.parametrize(
    ("one", "values", "hurt", "reason"),
    [
        (alarm(), load(8, bad=BAD), BAD[:1], "fewer than 2 incidents are theirs"),
        (alarm(), load(1, bad=[(10, 20), (40, 50)])[:150], [(10, 20), (40, 50)], "fewer than 200 datapoints"),
        (alarm(), load(1, bad=[(10, 20), (40, 50)]), [(10, 20), (40, 50)], "less than 1 d outside incidents"),
        (alarm(), load(5, spikes=NIGHTLY[:5]), None, "less than 7 d"),
        (alarm(), [None] * 500 + [], BAD[:2], "saw no data"),
        (alarm(), [5.0] * 8 * DAY, BAD, "their metric never changed"),
        (alarm(treat=TreatMissingData.BREACHING), load(8), BAD, "tell of missing data"),
        (alarm(n=2, m=2, period=86_400), load(8), BAD, "looks back more than a day"),
        (alarm(n=40, m=2), load(8), BAD, "more than 36 datapoints"),
    ],
)
def test_nothing_is_proposed_from_too_little(
    one: Alarm, values: list[float | None], hurt: list[tuple[int, int]] | None, reason: str
) -> None:
    tuning = propose(one, values, hurt)
    assert not tuning.proposals
    assert reason in tuning.kept["load"]
    assert any(reason in line for line in tuning.lines())


def test_by_the_clock_and_by_ranges_nothing_is_tried() -> None:
    wall = Alarm(
        **{
            **{field: getattr(alarm(), field) for field in ("name", "queries", "comparison", "threshold", "actions")},
            "evaluation_periods": 1,
            "datapoints_to_alarm": 1,
            "evaluation_window": EvaluationWindow.WALL_CLOCK,
        }
    )
    assert "by the clock" in propose(wall, load(8), BAD).kept["load"]
    stat = MetricQuery("m", MetricStat(METRIC, "Average", 300), return_data=False)
    running = Alarm("load", (stat, MetricQuery("e", expression="RUNNING_SUM(m)")), Comparison.GREATER, 80, 1, 1)
    assert "how many are read" in propose(running, load(8), BAD).kept["load"]


def test_halves_that_disagree_are_said() -> None:
    """In the first four days an incident is a value of 70, later 70 is everyday."""
    bad = [(300, 312), (500, 512), (700, 712), (1400, 1412), (1700, 1712), (2000, 2012)]
    values = load(4, bad=bad[:3], high=70) + load(4, high=0)
    chance = random.Random(1)
    values[4 * DAY :] = [30 + 55 * (row % 24 == 0) + 5 * chance.random() for row in range(4 * DAY)]
    for start, end in bad[3:]:
        values[start:end] = [95.0 + chance.random()] * (end - start)
    tuning = propose(alarm(88), values, bad)
    assert [one.confirmed for one in tuning.proposals] == [False]
    assert "doubtful: " in "\n".join(tuning.lines())


# What is to be pasted.


def test_an_override_keeps_what_another_override_says() -> None:
    now, new = Setting(80, 3, 3), Setting(90.5, 5, 3)
    there = Override("rds-instance-cpu", "Db", "before", severity=Severity.PAGE, datapoints_to_alarm=3)
    (line, note) = Declared("rds-instance-cpu", "Db", there).change(now, new, "A reason.")
    call = ast.parse(line.rstrip(","), mode="eval").body
    assert isinstance(call, ast.Call)
    assert {word.arg: ast.unparse(word.value) for word in call.keywords} == {
        "threshold": "90.5",
        "evaluation_periods": "5",
        "datapoints_to_alarm": "3",
        "severity": "Severity.PAGE",
        "because": "'A reason.'",
    }
    assert [ast.unparse(one) for one in call.args] == ["'rds-instance-cpu'", "stack['Db']"]
    assert "in place of" in note
    assert Declared("rds-instance-cpu", "Db").change(now, Setting(90, 3, 3), "x") == (
        'override("rds-instance-cpu", stack["Db"], threshold=90, because="x"),',
    )


def test_one_override_for_several_alarms_is_not_proposed() -> None:
    subject = Declared("kind", "Table", siblings=("other",))
    assert "several alarms" in propose(alarm(), load(8, bad=BAD, spikes=NIGHTLY), BAD, subject).kept["load"]


def test_parts_of_composites_and_silent_alarms_are_no_subjects(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"Resources": {}}))
    part, quiet, told = alarm(name="part"), alarm(name="quiet"), alarm(name="told")
    quiet = Alarm(**{field: getattr(quiet, field) for field in quiet.__slots__} | {"actions": Actions()})
    template = AlarmTemplate((part, quiet, told), (CompositeAlarm("page", 'ALARM("part")', actions=TELLS),))
    assert set(written_subjects(template, path, {})) == {"told"}
    assert set(written_subjects(AlarmTemplate((quiet,)), path, {})) == {"quiet"}


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_rounding_stays_inside(low: float, width: float) -> None:
    high = low + width
    value = round_within((low + high) / 2, low, high)
    assert low <= value <= high


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(85.9, 96.1, 90), (0.2, 0.264, 0.23), (3, 4, 3.5), (18, 18.7, 18.4), (-12, -8, -10)]
)
def test_rounding_is_what_a_person_would_write(low: float, high: float, expected: float) -> None:
    assert round_within((low + high) / 2, low, high) == expected


# The command.


def command(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["tune", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_a_declared_system_gets_a_line_for_its_declaration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    bad = [(start, end) for start, end in BAD]
    series = {
        "Namespace": "AWS/RDS",
        "MetricName": "CPUUtilization",
        "Dimensions": {"DBInstanceIdentifier": "flights"},
        "Period": 60,
        "Start": "2026-03-02T00:00:00Z",
        "Values": [value for value in load(8, bad=bad, high=70) for _ in range(5)],
    }
    (tmp_path / "s.jsonl").write_text(json.dumps(series))
    labels = [{"Name": str(a), "Start": at(a).isoformat(), "End": at(b).isoformat()} for a, b in bad]
    (tmp_path / "l.json").write_text(json.dumps(labels))
    code, output = command(
        "data_pipeline",
        "--series",
        tmp_path / "s.jsonl",
        "--labels",
        tmp_path / "l.json",
        "--param",
        "DatabaseName=flights",
    )
    assert code == 0, output
    (line,) = [line.strip() for line in output.splitlines() if "override(" in line]
    assert line.startswith('override("rds-instance-cpu", stack["Database"], ')
    declaration = (ROOT / "monitoring" / "systems" / "data_pipeline.py").read_text(encoding="utf-8")
    assert line not in declaration, "nothing is edited"
    ast.parse(line.rstrip(","))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a declared system or give --template"),
        (("data_pipeline", "--template", "x.yaml"), "one of the two"),
        (("no_such_system",), "no system 'no_such_system'"),
        (("--template", "none.yaml"), "none.yaml"),
    ],
)
def test_wrong_input(arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "s.jsonl").write_text(
        json.dumps({"Namespace": "T", "MetricName": "L", "Period": 60, "Start": "2026-03-02T00:00:00Z", "Values": [1]})
    )
    code, output = command(*arguments, "--series", tmp_path / "s.jsonl")
    assert code == 2
    assert said in output


def test_what_is_on_for_hours_while_nothing_is_wrong_is_not_proposed() -> None:
    """Two false alarms for four incidents would be few, but each lasts ten hours."""
    values = load(8, bad=[*BAD, (450, 570), (1600, 1720)], high=70)
    assert propose(alarm(99), values, BAD).kept == {"load": "they never fired"}
    assert only(propose(alarm(99), load(8, bad=[*BAD, (450, 455), (1600, 1605)], high=70), BAD)).after.recall == 1
