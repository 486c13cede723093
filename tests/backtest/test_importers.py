"""The importers under examples/: what they make of files, and that backtest and tune can read it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tocsin.backtest.labels import read_labels
from tocsin.cli import main
from tocsin.simulate.series import load_series

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SHARED = ROOT.parent / "shared" / "data"


def run(importer: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = EXAMPLES / "importers" / f"{importer}.py"
    command = [sys.executable, "-I", str(program), *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def imported(importer: str, folder: Path, out: Path) -> tuple[Path, Path]:
    series, labels = out / f"{importer}.jsonl", out / f"{importer}.labels.jsonl"
    done = run(importer, folder, "--series", series, "--labels", labels)
    assert done.returncode == 0, done.stderr
    return series, labels


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def tocsin(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize("importer", ["nab", "petshop"])
def test_help(importer: str) -> None:
    done = run(importer, "--help")
    assert done.returncode == 0
    assert "--series" in done.stdout
    assert "--labels" in done.stdout


def test_samples_are_what_their_program_makes() -> None:
    sys.path.insert(0, str(EXAMPLES))
    try:
        import make_samples
    finally:
        sys.path.remove(str(EXAMPLES))
    for path, text in make_samples.texts().items():
        assert (EXAMPLES / path).read_text(encoding="utf-8") == text, f"{path}: run examples/make_samples.py"


@pytest.mark.parametrize("name", ["nab", "petshop"])
def test_the_sample_can_be_judged_and_tuned(name: str, tmp_path: Path) -> None:
    sample = EXAMPLES / name / "sample"
    series, labels = imported(name, sample, tmp_path)
    history = ("--template", sample / "alarms.yaml", "--series", series, "--labels", labels)
    code, output = tocsin("backtest", *history, "--json")
    judged = json.loads(output)
    assert code == (1 if judged["missed"] else 0)
    assert not judged["without_data"]
    assert not judged["refused"]
    assert judged["whole"]["incidents"] == len(read_labels(labels))
    code, output = tocsin("tune", *history, "--json")
    assert code == 0
    tuned = json.loads(output)
    assert set(tuned["proposals"]) | set(tuned["kept"]) == set(judged["alarms"])


@pytest.mark.parametrize("name", ["nab-cloudwatch", "petshop"])
def test_real_histories_can_be_judged(name: str, tmp_path: Path) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"../shared/data/{name} is not there")
    importer = name.partition("-")[0]
    series, labels = imported(importer, SHARED / name, tmp_path)
    template = EXAMPLES / importer / "alarms.yaml"
    code, output = tocsin("backtest", "--template", template, "--series", series, "--labels", labels, "--json")
    judged = json.loads(output)
    assert code == 1, "these alarms do not see everything"
    assert not judged["without_data"]
    assert judged["whole"]["incidents"] == {"nab": 14, "petshop": 20}[importer]
    assert 0 < judged["whole"]["recall"] < 1


def test_nab_values_times_gaps_and_moments_given_twice(tmp_path: Path) -> None:
    (tmp_path / "ec2_cpu_utilization_abc.csv").write_text(
        "timestamp,value\n2026-03-01 10:04:00,1.5\n2026-03-01 10:09:00,2\n2026-03-01 10:09:00,4\n2026-03-01 10:19:30,5\n"
    )
    (tmp_path / "something_else.csv").write_text("timestamp,value\n2026-03-01T10:04:00+02:00,7\n")
    windows = {
        "ec2_cpu_utilization_abc.csv": [["2026-03-01 10:04:00.000000", "2026-03-01 10:09:00.000000"]],
        "something_else.csv": [],
        "not_here.csv": [["2026-03-01 10:04:00", "2026-03-01 10:09:00"]],
    }
    (tmp_path / "windows.json").write_text(json.dumps(windows))
    done = run("nab", tmp_path, "--series", tmp_path / "s.jsonl", "--labels", tmp_path / "l.jsonl")
    assert done.returncode == 0
    assert "1 of its moments are given more than once" in done.stderr
    assert records(tmp_path / "s.jsonl") == [
        {
            "Namespace": "AWS/EC2",
            "MetricName": "CPUUtilization",
            "Dimensions": {"InstanceId": "abc"},
            "Period": 300,
            "Start": "2026-03-01T10:04:00Z",
            "Statistic": "Average",
            "Values": [1.5, 3.0, None, 5.0],
        },
        {
            "Namespace": "NAB",
            "MetricName": "Value",
            "Dimensions": {"Series": "something_else"},
            "Period": 300,
            "Start": "2026-03-01T08:04:00Z",
            "Statistic": "Average",
            "Values": [7.0],
        },
    ]
    (label,) = records(tmp_path / "l.jsonl")
    assert label == {
        "Name": "abc 1",
        "Start": "2026-03-01T10:04:00Z",
        "End": "2026-03-01T10:14:00Z",
        "Alarms": ["*abc*"],
    }
    assert len(load_series(tmp_path / "s.jsonl").metrics()) == 2


def wide(folder: Path, *rows: list[str]) -> None:
    head = [
        ["microservice", "Shop", "Shop", "Shop", "Idle"],
        ["metric", "latency", "latency", "requests", "latency"],
        ["statistic", "Average", "p99", "Sum", "Average"],
        ["unix_timestamp", "", "", "", ""],
    ]
    folder.mkdir(parents=True)
    with (folder / "metrics.csv").open("w", newline="") as file:
        csv.writer(file).writerows([*head, *rows])


def test_petshop_headers_empty_cells_and_several_folders(tmp_path: Path) -> None:
    data = tmp_path / "data"
    wide(data / "quiet", ["1772355600", "0.1", "0.5", "10", ""], ["1772356200", "", "0.6", "0", ""])
    wide(data / "train" / "issue_0", ["1772366520.0", "0.3", "", "12", ""])
    (data / "train" / "issue_0" / "target.json").write_text(json.dumps({"target": {"timestamp": 1772366530}}))
    series, labels = imported("petshop", data, tmp_path)
    found = {(one["MetricName"], one["Start"]): one for one in records(series)}
    assert found["latency", "2026-03-01T09:00:00Z"]["Values"] == [0.1, None, None]
    assert found["latency", "2026-03-01T09:00:00Z"]["Statistic"] == "Average"
    assert found["latency_p99", "2026-03-01T09:00:00Z"]["Values"] == [0.5, None, 0.6]
    assert found["latency_p99", "2026-03-01T09:00:00Z"]["Statistic"] == "p99"
    assert found["requests", "2026-03-01T09:00:00Z"]["Values"] == [10, None, 0]
    assert found["latency", "2026-03-01T12:02:00Z"]["Values"] == [0.3]
    assert len(found) == 5, "columns without any value are left out"
    assert all(one["Dimensions"] == {"Service": "Shop"} for one in found.values())
    (incident,) = read_labels(labels)
    assert incident.name == "issue_0" or incident.name.endswith("/issue_0")
    assert (incident.end - incident.start).total_seconds() == 1200
    assert len(load_series(series).metrics()) == 3


@pytest.mark.parametrize(
    ("importer", "name", "text", "said"),
    [
        ("nab", "x.csv", "timestamp,value\nyesterday,1\n", "x.csv:2: Invalid isoformat"),
        ("nab", "x.csv", "timestamp,value\n2026-01-01 00:00:00\n", "x.csv:2: not enough values"),
        ("nab", "x.csv", "timestamp,value\n", "x.csv: holds no datapoint"),
        ("nab", "x.txt", "", "holds no such .csv file"),
        ("petshop", "metrics.csv", "a,b\n1,2\n", "its first rows are not microservice, metric, statistic"),
        ("petshop", "x.csv", "", "holds no metrics.csv"),
    ],
)
def test_files_of_another_form_are_refused(tmp_path: Path, importer: str, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    done = run(importer, tmp_path, "--series", tmp_path / "out.jsonl")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
