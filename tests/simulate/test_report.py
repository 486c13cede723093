"""What a person reads of a simulation: few lines about alarms that the series say nothing of, all names for a machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tocsin.simulate.report import lines, run


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
