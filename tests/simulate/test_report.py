"""What a person reads of a simulation: few lines about alarms that the series say nothing of, all names for a machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tocsin.errors import InputError, SimulationError
from tocsin.simulate.report import Simulation, lines, run


def simulated(folder: Path, silent: int) -> tuple[list[str], dict[str, object]]:
    """One alarm with data, and ``silent`` ones without."""

    def alarm(name: str, metric: str) -> dict[str, object]:
        return {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmName": name,
                "Namespace": "Shop",
                "MetricName": metric,
                "Statistic": "Maximum",
                "Period": 60,
                "EvaluationPeriods": 1,
                "Threshold": 5,
                "ComparisonOperator": "GreaterThanThreshold",
            },
        }

    resources = {"Seen": alarm("seen", "Depth")} | {f"S{i}": alarm(f"silent-{i}", f"Other{i}") for i in range(silent)}
    template, series = folder / "alarms.json", folder / "depth.json"
    template.write_text(json.dumps({"Resources": resources}), encoding="utf-8")
    depth = {"Namespace": "Shop", "MetricName": "Depth", "Period": 60, "Start": "2026-03-02T09:00:00Z"}
    series.write_text(json.dumps([{**depth, "Values": [1, 9, 1]}]), encoding="utf-8")
    result = run(template, [series], {}, None, None)
    return list(lines(result)), result.as_json()


@pytest.mark.parametrize(
    ("silent", "said"),
    [
        (0, []),
        (1, ["1 alarm saw no data: silent-0"]),
        (3, ["3 alarms saw no data: silent-0, silent-1, silent-2"]),
        (5, ["5 alarms saw no data: silent-0, silent-1, silent-2 and 2 more, all named by --json"]),
    ],
)
def test_alarms_without_data_take_one_line(silent: int, said: list[str], tmp_path: Path) -> None:
    shown, machine = simulated(tmp_path, silent)
    assert [line for line in shown if "no data" in line] == said
    assert machine["without_data"] == [f"silent-{i}" for i in range(silent)]
    assert "2026-03-02T09:02:00Z  seen: OK → ALARM" in shown


DEPTH = {"Namespace": "Shop", "MetricName": "Depth", "Period": 60, "Start": "2026-03-02T09:00:00Z"}
DEEP = {
    "AlarmName": "deep", "Namespace": "Shop", "MetricName": "Depth", "Statistic": "Maximum", "Period": 60,
    "EvaluationPeriods": 1, "Threshold": 5, "ComparisonOperator": "GreaterThanThreshold",
}  # fmt: skip


def alarm(name: str, **more: Any) -> dict[str, Any]:
    body = DEEP | {"AlarmName": name} | more
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": {key: one for key, one in body.items() if one is not None}}


def math(name: str, expression: str, statistic: str = "Maximum") -> dict[str, Any]:
    metric = {"Metric": {"Namespace": "Shop", "MetricName": "Depth"}, "Period": 60, "Stat": statistic}
    queries = [
        {"Id": "e", "Expression": expression, "Period": 60},
        {"Id": "a", "MetricStat": metric, "ReturnData": False},
        {"Id": "b", "MetricStat": metric, "ReturnData": False},
    ]
    plain = dict.fromkeys(("Namespace", "MetricName", "Statistic", "Period"))
    return alarm(name, **plain, Metrics=queries)


def composite(name: str, rule: str, **more: Any) -> dict[str, Any]:
    return {"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": {"AlarmName": name, "AlarmRule": rule} | more}


def of(
    folder: Path,
    resources: dict[str, Any],
    values: list[float | None],
    *,
    top: dict[str, Any] | None = None,
    **more: Any,
) -> Simulation:
    template, series = folder / "alarms.json", folder / "depth.json"
    template.write_text(json.dumps({"Resources": resources} | (top or {})), encoding="utf-8")
    series.write_text(json.dumps([DEPTH | {"Values": values}]), encoding="utf-8")
    given = {"parameters": {}, "start": None, "end": None} | more
    return run(template, [series], **given)


def strips(shown: list[str]) -> dict[str, str]:
    drawn = [line for line in shown if line.endswith("|") and "  |" in line]
    return {line.partition("|")[0].strip(): line.partition("|")[2][:-1] for line in drawn}


def test_an_alarm_that_is_not_ok_all_the_time_is_named_and_drawn(tmp_path: Path) -> None:
    resources = {
        "Stuck": alarm("stuck", AlarmActions=["arn:team"]),
        "Any": composite("any", 'ALARM("stuck")'),
        "Fine": alarm("fine", Threshold=99),
        "Silent": alarm("silent", MetricName="Other"),
    }
    shown = list(lines(of(tmp_path, resources, [9, 9, 9], start="2026-03-02T09:01:00Z")))
    assert "2026-03-02T09:01:00Z  stuck: ALARM from the start" in shown
    assert "2026-03-02T09:01:00Z  any: ALARM from the start" in shown
    assert "  tells arn:team" in shown
    assert "no alarm changed its state" in shown
    assert strips(shown) == {"any": "█" * 60, "silent": " " * 60, "stuck": "█" * 60}
    assert "1 alarm was OK all the time" in shown


@pytest.mark.parametrize(("values", "last"), [([1, 1, 1, 9], "█"), ([9, 9, 9, 1], "·"), ([9, 9, 1, 1], "·")])
def test_a_strip_ends_with_the_state_at_the_end(values: list[float | None], last: str, tmp_path: Path) -> None:
    simulation = of(tmp_path, {"A": alarm("deep")}, values)
    (strip,) = strips(list(lines(simulation))).values()
    assert len(strip) == 60
    assert strip[-1] == last


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (math("odd", "METRICS()"), "query 'e' gives 2 series, not one time series"),
        (math("odd", "1"), "query 'e' gives a number, not one time series; TIME_SERIES(…) makes a series of it"),
        (math("odd", "a", "p99"), "p99 of Shop/Depth{} cannot be had from Values; give the series as Samples"),
        (
            alarm("odd", Statistic=None, ExtendedStatistic="p99"),
            "p99 of Shop/Depth{} cannot be had from Values; give the series as Samples",
        ),
    ],
)
def test_an_alarm_that_the_series_do_not_fit_is_refused_and_the_rest_runs(
    odd: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    resources = {"Odd": odd, "Deep": alarm("deep"), "Page": composite("page", "ALARM(odd)")}
    simulation = of(tmp_path, resources, [1, 9])
    refused = {"odd": reason, "page": "it depends on 'odd', which is not evaluated here"}
    assert simulation.as_json()["refused"] == refused
    assert set(simulation.as_json()["alarms"]) == {"deep"}
    assert [line for line in lines(simulation) if line.startswith("not evaluated")] == [
        f"not evaluated: {name}: {why}" for name, why in refused.items()
    ]
    with pytest.raises(SimulationError, match=r"alarms\.json: no alarm that can be evaluated \(odd: "):
        of(tmp_path, {"Odd": odd}, [1, 9])


def test_a_composite_without_an_action_for_its_state_is_not_said_to_be_suppressed(tmp_path: Path) -> None:
    resources = {
        "Deep": alarm("deep"),
        "Shield": alarm("shield", Threshold=100),
        "Page": composite(
            "page",
            "ALARM(deep)",
            AlarmActions=["arn:team"],
            ActionsSuppressor="shield",
            ActionsSuppressorWaitPeriod=120,
            ActionsSuppressorExtensionPeriod=60,
        ),
    }
    shown = list(lines(of(tmp_path, resources, [1, 9, 1, 1, 1, 1])))
    assert "2026-03-02T09:02:00Z  page: OK → ALARM" in shown
    assert [line for line in shown if "tells" in line] == ["  tells nobody: suppressed (WaitPeriod)"]
    assert "2026-03-02T09:03:00Z  page: ALARM → OK" in shown


@pytest.mark.parametrize(
    ("parameters", "notes"),
    [
        ({}, ["condition IsProd taken as true, because Env has no value"]),
        ({"Env": "prod"}, []),
    ],
)
def test_a_condition_that_cannot_be_decided_is_said(
    parameters: dict[str, str], notes: list[str], tmp_path: Path
) -> None:
    top = {
        "Parameters": {"Env": {"Type": "String"}, "Region": {"Type": "String", "Default": "x"}},
        "Conditions": {
            "IsProd": {"Fn::And": [{"Fn::Equals": [{"Ref": "Env"}, "prod"]}, {"Fn::Equals": [{"Ref": "Region"}, "x"]}]}
        },
    }
    resources = {name: alarm(name) | {"Condition": "IsProd"} for name in ("one", "two")}
    simulation = of(tmp_path, resources, [1, 9], top=top, parameters=parameters)
    assert simulation.as_json()["notes"] == notes
    assert [line for line in lines(simulation) if "taken as true" in line] == notes
    assert set(simulation.as_json()["alarms"]) == {"one", "two"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"evaluation_range": 1},
            "--evaluation-range 1 is shorter than the EvaluationPeriods of deep; give at least 3",
        ),
        ({"delays": ["400d"]}, "--delay: the delay of Shop/Depth{} lies between nothing and 14 days, got 400 d"),
        (
            {"start": "2026-03-02T10:00:00Z", "end": "2026-03-02T09:30:00Z"},
            "--to, 2026-03-02T09:30:00Z, is before --from, 2026-03-02T10:00:00Z; give --from and --to in order",
        ),
        ({"start": "2027-01-01"}, "is before --from, 2027-01-01T00:00:00Z; give --from and --to in order"),
        ({"end": "2025-01-01"}, "--to, 2025-01-01T00:00:00Z, is before the first datapoint of Shop/Depth{}, 2026-"),
    ],
)
def test_options_that_do_not_fit_are_named(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        of(tmp_path, {"Deep": alarm("deep", EvaluationPeriods=3)}, [1, 9], **more)
    assert message in str(raised.value)
    assert str(raised.value).count("deep") <= 1
