"""What a person types about a simulation, through the command line: results, and one line for each mistake."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import tocsin

from tocsin.alarm import AlarmState, Metric
from tocsin.errors import InputError
from tocsin.simulate.changes import Forced
from tocsin.simulate.options import parse_delays, parse_forced
from tocsin.simulate.reading import (
    AfterMute,
    Counted,
    DynamoDbMissing,
    FreshBreach,
    Precedence,
    Premature,
    Reading,
    Share,
    parse_reading,
)

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
DEPTH, OTHER = Metric("Shop", "Depth", (("Queue", "orders"),)), Metric("Shop", "Other")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    plain = {
        "Namespace": "Shop", "MetricName": "Depth", "Dimensions": [{"Name": "Queue", "Value": "orders"}],
        "Statistic": "Maximum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
    }  # fmt: skip
    mute = {
        "Name": "deploy",
        "Rule": {"Schedule": {"Expression": "at(2026-03-02T09:00)", "Duration": "PT5M"}},
        "MuteTargets": {"AlarmNames": [{"Ref": "Muted"}, "gone"]},
    }
    resources = {
        "Deep": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": plain | {"AlarmName": "too deep", "AlarmActions": ["t"]},
        },
        "Muted": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": plain | {"AlarmName": "muted", "AlarmActions": ["t"]},
        },
        "Page": {
            "Type": "AWS::CloudWatch::CompositeAlarm",
            "Properties": {"AlarmName": "page", "AlarmRule": 'ALARM("too deep")'},
        },
        "Quiet": {"Type": "AWS::CloudWatch::AlarmMuteRule", "Properties": mute},
    }
    template, series = tmp_path / "alarms.json", tmp_path / "depth.json"
    template.write_text(json.dumps({"Resources": resources}), encoding="utf-8")
    depth = {"Namespace": "Shop", "MetricName": "Depth", "Dimensions": {"Queue": "orders"}, "Period": 60}
    first = depth | {"Start": "2026-03-02T09:00:00Z", "Values": [1, 9, None, None, None, None, 1, 1, 1]}
    unread = {"Namespace": "Shop", "MetricName": "Lost", "Period": 60, "Start": "2026-03-02T09:00:00Z", "Values": [1]}
    series.write_text(json.dumps([first, unread]), encoding="utf-8")
    return template, series


def simulated(files: tuple[Path, Path], *more: str) -> dict[str, Any]:
    result = tocsin("simulate", "--template", files[0], "--series", files[1], "--json", *more)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)  # type: ignore[no-any-return]


def course(report: dict[str, Any], name: str = "too deep") -> list[tuple[str, str]]:
    return [(one["at"][11:16], one["state"]) for one in report["alarms"][name]]


def test_the_evaluation_range(files: tuple[Path, Path]) -> None:
    assert course(simulated(files)) == [("09:00", "OK"), ("09:02", "ALARM"), ("09:05", "OK")]
    assert course(simulated(files, "--evaluation-range", "1")) == [("09:00", "OK"), ("09:02", "ALARM"), ("09:03", "OK")]
    assert course(simulated(files, "--reading", "extra-periods=0")) == course(
        simulated(files, "--evaluation-range", "1")
    )


def test_forced_states(files: tuple[Path, Path]) -> None:
    report = simulated(files, "--force", "2026-03-02T09:06:30Z ALARM too deep", "--force", "2026-03-02T09:08Z OK page")
    assert course(report)[-2:] == [("09:06", "ALARM"), ("09:07", "OK")]
    assert report["alarms"]["too deep"][-2]["reason"] == "State set by hand"


def test_the_minute_of_multi_day_alarms(tmp_path: Path) -> None:
    """What breaks at 10:02 is seen in the hour from 11:00; the guide's example is evaluated three minutes past."""
    slow = {
        "AlarmName": "slow", "Namespace": "Shop", "MetricName": "Depth", "Statistic": "Maximum", "Period": 259_200,
        "EvaluationPeriods": 1, "Threshold": 5, "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }  # fmt: skip
    template, series = tmp_path / "slow.json", tmp_path / "depth.json"
    template.write_text(
        json.dumps({"Resources": {"Slow": {"Type": "AWS::CloudWatch::Alarm", "Properties": slow}}}), encoding="utf-8"
    )
    depth = {"Namespace": "Shop", "MetricName": "Depth", "Period": 60, "Start": "2026-03-02T10:00:00Z"}
    series.write_text(json.dumps([depth | {"Values": [1, 1, 9] + [1] * 177}]), encoding="utf-8")
    for more, seen in (
        ([], "11:00"),
        (["--reading", "hourly-minute=3"], "11:03"),
        (["--reading", "hourly-minute=59"], "11:59"),
    ):
        assert course(simulated((template, series), *more), "slow") == [("10:00", "OK"), (seen, "ALARM")]


FAR = {"Namespace": "Shop", "MetricName": "Far", "Dimensions": {"Queue": "orders"}, "Period": 60, "Values": [1]}


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--to", "9999-01-01T00:00:00Z"], "2026-03-02T09:00:00Z (the first datapoint of Shop/Depth{Queue=orders}) to 9999-01-01T00:00:00Z (--to)"),
        (["--from", "1980-01-01T00:00:00Z"], "1980-01-01T00:00:00Z (--from) to 2026-03-02T09:09:00Z (the last datapoint of Shop/Depth{Queue=orders})"),
        (["--from", "2026-01-01", "--to", "2036-01-03"], "2026-01-01T00:00:00Z (--from) to 2036-01-03T00:00:00Z (--to)"),
        (["far.json"], "to 2206-03-02T09:01:00Z (the last datapoint of Shop/Far{Queue=orders})"),
        (["early.json"], "from 1990-03-02T09:00:00Z (the first datapoint of Shop/Far{Queue=orders}) to"),
    ],
)  # fmt: skip
def test_a_timeline_of_more_than_ten_years_is_refused(files: tuple[Path, Path], more: list[str], named: str) -> None:
    for name, year in (("far.json", 2206), ("early.json", 1990)):
        series = FAR | {"Start": f"{year}-03-02T09:00:00Z"}
        (files[0].parent / name).write_text(json.dumps([series]), encoding="utf-8")
    arguments = [str(files[0].parent / one) if one.endswith(".json") else one for one in more]
    result = tocsin("simulate", "--template", files[0], "--series", files[1], *arguments)
    assert result.exit_code == 2
    (line,) = result.output.strip().splitlines()
    assert named in line
    assert line.endswith("is longer than ten years; evaluate a part of it")


def test_delays(files: tuple[Path, Path]) -> None:
    later = [("09:00", "OK"), ("09:03", "ALARM"), ("09:05", "OK")]
    for delay in ("60s", "Shop/Depth{Queue=orders}=1min"):
        assert course(simulated(files, "--delay", delay)) == later
    assert course(simulated(files, "--delay", "5min", "--delay", "Shop/Depth{Queue=orders}=1min")) == later


def test_what_each_alarm_saw(files: tuple[Path, Path]) -> None:
    report = simulated(files)
    assert report["evidence"]["too deep"] == {
        "evaluations": 10, "with_data": 7, "range_dependent": 4, "silent_metrics": [],
    }  # fmt: skip
    assert report["evidence"]["page"] == {"watches": ["too deep"]}
    assert report["unread"] == ["Shop/Lost{}"]
    assert set(report["evidence"]) == set(report["alarms"])


def test_mutes_are_shown(files: tuple[Path, Path]) -> None:
    report = simulated(files)
    assert report["mute_rules"] == {"deploy": {"alarms": ["muted", "gone"], "unknown": ["gone"]}}
    (_, fired, _) = report["alarms"]["muted"]
    assert (fired["muted_by"], fired["actions"], fired["acted_at"]) == ("deploy", [], None)
    assert report["alarms"]["too deep"][1]["muted_by"] is None
    text = tocsin("simulate", "--template", files[0], "--series", files[1]).output
    assert "  tells nobody: muted by deploy" in text
    assert "mute rule deploy names 'gone', not evaluated here" in text
    assert "read by no alarm: Shop/Lost{}" in text
    assert "2 alarms had data at some evaluations: muted (7 of 10), too deep (7 of 10)" in text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--evaluation-range", "0"], "0 is not in the range"),
        (["--evaluation-range", "x"], "'x' is not a valid integer"),
        (["--reading", "premature"], "premature is one of range, window"),
        (["--reading", "premature=maybe"], "premature is one of range, window"),
        (["--reading", "prematur=window"], "did you mean 'premature'?"),
        (["--reading", "premature=window", "--reading", "premature=range"], "premature is given twice"),
        (["--reading", "fill-empty=2"], "fill-empty is yes or no"),
        (["--reading", "extra-periods=-1"], "extra-periods is a whole number from 0"),
        (["--force", "2026-03-02T09:06:00Z"], "is not a time, a state and an alarm"),
        (["--force", "2026-03-02T09:06:00Z ALARM"], "is not a time, a state and an alarm"),
        (["--force", "soon ALARM page"], "--force: not a time: 'soon'"),
        (["--force", "2026-03-02T09:06:00Z alarm page"], "'alarm' is no state; it is one of OK, ALARM"),
        (["--force", "2026-03-02T09:06:00Z ALARM gone"], "'gone' that is to be forced is not evaluated"),
        (["--force", "2026-03-02T08:59:00Z ALARM page"], "page: a state is forced at 2026-03-02T08:59:00Z, before the"),
        (["--force", "2026-03-02T23:59:00Z ALARM page"], "after the timeline ends"),
        (["--delay", "soon"], "--delay 'soon': not a duration"),
        (["--delay", "2min", "--delay", "3min"], "the second delay for all metrics"),
        (["--delay", "Shop=2min"], "write it as Namespace/Name"),
        (["--delay", "Shop/Depth=2min"], "no alarm reads Shop/Depth{}; a metric has all its dimensions"),
        (["--delay", "Shop/Depth{Queue=orders}=x"], "not a duration"),
        (["--delay", "20d"], "lies between nothing and 14 days"),
    ],
)
def test_mistakes_are_one_line(files: tuple[Path, Path], more: list[str], message: str) -> None:
    result = tocsin("simulate", "--template", files[0], "--series", files[1], *more)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
    assert len([line for line in result.output.splitlines() if "rror" in line]) <= 1


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("extra-periods=3", Reading(extra_periods=3)),
        ("premature=window", Reading(premature=Premature.WINDOW)),
        ("fresh-breach=INSUFFICIENT_DATA", Reading(fresh_breach=FreshBreach.INSUFFICIENT_DATA)),
        ("fresh_breach = insufficient_data", Reading(fresh_breach=FreshBreach.INSUFFICIENT_DATA)),
        ("dynamodb=always-ignore", Reading(dynamodb=DynamoDbMissing.ALWAYS_IGNORE)),
        ("fill-empty=no", Reading(fill_empty=False)),
        ("counted=range", Reading(counted=Counted.RANGE)),
        ("precedence=left-to-right", Reading(precedence=Precedence.LEFT_TO_RIGHT)),
        ("at-least=down", Reading(at_least=Share.DOWN)),
        ("after-mute=changed", Reading(after_mute=AfterMute.CHANGED)),
        ("hourly-minute=59", Reading(hourly_minute=59)),
    ],
)
def test_every_reading_can_be_named(text: str, reading: Reading) -> None:
    assert parse_reading([text]) == reading != Reading()


def test_a_forced_state_names_any_alarm() -> None:
    assert parse_forced("2026-03-02T09:00:00Z  ALARM  two words") == Forced(START, "two words", AlarmState.ALARM)


def test_the_delay_of_one_metric_goes_before_that_of_all() -> None:
    found = parse_delays(["2min", "Shop/Depth{Queue=orders}=0s"], [DEPTH, OTHER])
    assert found == {OTHER: timedelta(minutes=2)}
    with pytest.raises(InputError, match="given twice"):
        parse_delays(["Shop/Other=1min", "Shop/Other=1min"], [OTHER])
