"""Recorded history that does not fit the alarms or the labels: what is refused, what is said, what is not scored."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import refused, tocsin

from tocsin.alarm import Alarm, Comparison, Metric, MetricQuery, MetricStat
from tocsin.backtest.coverage import PAUSE, pauses, recorded
from tocsin.backtest.incident import Incident
from tocsin.simulate.series import Series, Store
from tocsin.simulate.template import AlarmTemplate

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALARM = """\
  {id}:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: {name}
      Namespace: {namespace}
      MetricName: Errors
      Statistic: Sum
      Period: 60
      EvaluationPeriods: 1
      Threshold: 5
      ComparisonOperator: GreaterThanThreshold
      AlarmActions: ["arn:aws:sns:eu-west-1:111122223333:page"]
"""


def series(namespace: str = "Shop", *, start: str = "2026-03-02T00:00:00Z", hours: int = 10) -> dict[str, Any]:
    """Ten bad minutes in every five hours, the first at 01:40."""
    values = [10 if minute % 300 in range(100, 110) else 0 for minute in range(hours * 60)]
    return {"Namespace": namespace, "MetricName": "Errors", "Period": 60, "Start": start, "Values": values}


def label(name: str, start: str, end: str) -> dict[str, str]:
    return {"Name": name, "Start": f"2026-03-{start}:00Z", "End": f"2026-03-{end}:00Z"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    text = "Resources:\n" + ALARM.format(id="One", name="errors", namespace="Shop")
    (tmp_path / "alarms.yaml").write_text(text)
    write("series.json", series())
    write("labels.json", label("first", "02T01:40", "02T01:50"))
    return tmp_path


def write(name: str, *records: Any) -> None:
    Path(name).write_text(json.dumps(list(records)))


JUDGE = ("backtest", "--template", "alarms.yaml", "--series", "series.json")


def judged(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = tocsin(*JUDGE, *arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.parametrize("command", ["backtest", "tune"])
def test_series_that_no_alarm_reads_are_refused_with_both_spellings(here: Path, command: str) -> None:
    write("series.json", series("Shpo"), series("Other"))
    assert refused(command, *JUDGE[1:]) == (
        "no alarm of alarms.yaml reads any of the series; the series hold Other/Errors{} and 1 more, "
        "the alarms read Shop/Errors{}; did you mean 'Shop/Errors{}'?"
    )


def test_a_time_without_data_of_any_alarm_is_refused(here: Path) -> None:
    write("series.json", series(), series("Other", start="2026-03-04T00:00:00Z"))
    assert "no alarm of alarms.yaml has data between" in refused(*JUDGE, "--from", "2026-03-04T01:00:00Z")


def test_series_that_no_alarm_reads_are_named_and_count_as_recorded(here: Path) -> None:
    write("series.json", series(), series("Other", hours=90))
    code, found = judged("--labels", "labels.json")
    assert (code, found["unread"], found["paused"]) == (0, ["Other/Errors{}"], [])
    assert "1 metric that no alarm reads: Other/Errors{}" in tocsin(*JUDGE).stdout
    assert "recorded" not in tocsin(*JUDGE).stdout


def test_an_incident_in_time_that_nobody_recorded_is_not_scored(here: Path) -> None:
    write("series.json", series(), series(start="2026-03-05T00:00:00Z"))
    write("labels.json", label("first", "02T01:40", "02T01:50"), label("mid", "03T12:00", "03T13:00"))
    code, found = judged("--labels", "labels.json")
    assert (code, found["unrecorded"], found["whole"]["incidents"]) == (0, ["mid"], 1)
    assert len(found["paused"]) == 1
    lines = tocsin(*JUDGE, "--labels", "labels.json").stdout
    assert "not scored, at a time of which there is no data: mid" in lines


def test_a_label_that_begins_before_the_series_counts_from_the_first_datapoint(here: Path) -> None:
    write("labels.json", label("early", "01T20:00", "02T02:00"), label("old", "01T10:00", "01T11:00"))
    code, found = judged("--labels", "labels.json")
    assert (code, found["clipped"], found["beyond"]) == (0, ["early"], ["old"])
    assert found["whole"]["median_delay_seconds"] == 101 * 60
    assert "from which the delay counts: early" in tocsin(*JUDGE, "--labels", "labels.json").stdout


def test_that_no_incident_can_be_scored_is_a_finding(here: Path) -> None:
    write("labels.json", label("old", "01T10:00", "01T11:00"))
    code, found = judged("--labels", "labels.json")
    assert (code, found["findings"]) == (1, ["no incident could be scored, of 1 that were given"])
    write("labels.json")
    assert judged("--labels", "labels.json")[0] == 0, "a history without incidents is one"


def test_several_label_files_are_one_list_of_incidents(here: Path) -> None:
    write("more.json", label("second", "02T06:40", "02T06:50"))
    code, found = judged("--labels", "labels.json", "--labels", "more.json")
    assert (code, found["whole"]["incidents"], found["whole"]["seen"]) == (0, 2, 2)
    said = refused(*JUDGE, "--labels", "labels.json", "--labels", "labels.json")
    assert "incident 'first' is given twice, first in labels.json" in said


@pytest.mark.parametrize("option", ["--from", "--to"])
@pytest.mark.parametrize("command", ["backtest", "tune"])
def test_a_moment_is_given_once(here: Path, command: str, option: str) -> None:
    moment = (option, "2026-03-02T01:00:00Z")
    assert f"'{option}': given 2 times; give it once" in refused(command, *JUDGE[1:], *moment, *moment)


def test_an_alarm_whose_metric_is_not_there_is_left_alone_for_that(here: Path) -> None:
    text = (here / "alarms.yaml").read_text() + ALARM.format(id="Two", name="elsewhere", namespace="Else")
    (here / "alarms.yaml").write_text(text)
    result = tocsin("tune", *JUDGE[1:])
    assert result.exit_code == 0
    assert "left as they are, without data: elsewhere" in result.stdout.splitlines()


def at(hours: float) -> datetime:
    return START + hours * HOUR


@pytest.mark.parametrize(
    ("begin", "end", "where"),
    [
        (-5, -4, "beyond"),
        (0, 1, "unrecorded"),
        (1, 3, "clipped"),
        (3, 4, "scored"),
        (9.5, 60, "scored"),
        (10, 20, "scored"),
        (20, 21, "unrecorded"),
        (20, 60, "unrecorded"),
        (20, 61, "scored"),
        (70, 71, "unrecorded"),
        (79, 90, "unrecorded"),
        (80, 90, "beyond"),
    ],
)
def test_what_a_history_can_say_of_an_incident(begin: float, end: float, where: str) -> None:
    """A history of 80 hours: data from the second on, none from the tenth to the sixtieth, none from the 65th on."""
    one = Incident("it", at(begin), at(end))
    found = recorded([one], at(0), at(80), (at(2), at(65)), [(at(10), at(60))])
    assert {"beyond": found.beyond, "unrecorded": found.unrecorded}.get(where, ()) == (
        ("it",) if where in ("beyond", "unrecorded") else ()
    )
    assert [one.name for one in found.scored] == (["it"] if where in ("clipped", "scored") else [])
    assert found.clipped == (("it",) if where == "clipped" else ())


@pytest.mark.parametrize("period", [60, 3600, 86400])
def test_what_no_alarm_reads_covers_time_by_its_usual_distance(period: int) -> None:
    read, other = Metric("Shop", "Errors"), Metric("Other", "Errors")
    data = Store()
    data.add_series(Series(read, START, 60, values=[1.0] * 60))
    length = 20 * 86400 // period
    gap = range(5 * 86400 // period, 9 * 86400 // period)
    values = [None if index in gap else 1.0 for index in range(length)]
    data.add_series(Series(other, START, period, values=values, statistic="p99"))
    queries = (MetricQuery("m", MetricStat(read, "Sum", 60)),)
    template = AlarmTemplate((Alarm("errors", queries, Comparison.GREATER, 5, 1, 1),))
    assert pauses(template, data, START, START + 20 * PAUSE) == [(START + 5 * PAUSE, START + 9 * PAUSE)]


P99 = ALARM.replace("Statistic: Sum", "ExtendedStatistic: p99").format(id="Two", name="slow", namespace="Shop")


def test_an_alarm_that_the_series_do_not_fit_is_said_and_the_rest_scored(here: Path) -> None:
    (here / "alarms.yaml").write_text((here / "alarms.yaml").read_text() + P99)
    ended = tocsin("backtest", "--template", "alarms.yaml", "--series", "series.json", "--labels", "labels.json")
    assert (
        "not evaluated: slow: p99 of Shop/Errors{} cannot be had from Values; give the series as Samples"
        in ended.stdout
    )
    assert "errors" in ended.stdout
    assert ended.exit_code == 0


def test_nothing_is_left_to_score(here: Path) -> None:
    (here / "alarms.yaml").write_text("Resources:\n" + P99)
    said = refused("backtest", "--template", "alarms.yaml", "--series", "series.json", "--labels", "labels.json")
    assert said.startswith("no alarm can be evaluated; slow: p99 of Shop/Errors{} cannot be had from Values")
