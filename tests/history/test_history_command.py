"""``tocsin history`` on the command line: what it prints, its exit codes, and one line for whatever is wrong."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from command_line import command, declare, only_line, refused, tocsin
from tocsin.history.layout import keys_of
from tocsin.history.partitions import Partition, read_rows
from tocsin.history.schema import COVERAGE, SLI, Table
from tocsin.history.store import open_store

SLOS = """
    completeness(stack["Orders"], name="taken", objective="99%", window="28d"),
    freshness(stack["Orders"], name="fresh", below="5min", objective="99%", window="28d"),
"""
QUEUE = "${OrdersName}"


def line(name: str, queue: str = QUEUE, **form: object) -> str:
    return json.dumps(
        {
            "Namespace": "AWS/SQS",
            "MetricName": name,
            "Dimensions": {"QueueName": queue},
            "Period": 60,
            "Start": "2026-10-01T00:00:00Z",
            **form,
        }
    )


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A built project with a recording of an hour; the queue's name is as the alarm template has it."""
    monkeypatch.chdir(tmp_path)
    declare(tmp_path, SLOS)
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "environments.toml").write_text("[dev]\nregion = 'eu-west-1'\n[prod]\n")
    assert tocsin("build").exit_code == 0
    folder = tmp_path / "recorded"
    folder.mkdir()
    lines = [
        line("NumberOfMessagesDeleted", Values=[10] * 60),
        line("ApproximateNumberOfMessagesVisible", "${FailedName}", Values=[0] * 30 + [2] * 30),
        line("ApproximateAgeOfOldestMessage", Samples=[[5]] * 59 + [[900]]),
    ]
    (folder / "series.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def rows(table: Table, history: str = "history") -> list[tuple]:
    store = open_store(history)
    return [row for path in store.paths(table) for row in read_rows(store, Partition(table, *keys_of(path)))]


def test_a_recording_is_pulled_shown_and_not_pulled_again(project) -> None:
    first = tocsin("history", "pull", "laptop", "--recorded", "recorded")
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout.splitlines() == [
        "shop  complete: 2 SLOs at 60 s; 1 call",
        "pulled 2026-10-01 … 2026-10-01 for 1 system: 2 SLOs, 1 call of GetMetricData (the least that its limits allow), "
        "1 of DescribeAlarmHistory",
    ]
    assert sum(row[4] - row[3] for row in rows(SLI) if row[0] == "taken") == 2
    assert sum(row[4] - row[3] for row in rows(SLI) if row[0] == "fresh") == 1
    again = tocsin("history", "pull", "laptop", "--recorded", "recorded")
    assert again.stdout.splitlines() == [
        "shop  up to date",
        "laptop: nothing new up to 2026-10-01 01:00 UTC for 1 system: 2 SLOs",
    ]
    shown = tocsin("history", "show")
    assert [row.split() for row in shown.stdout.splitlines() if "laptop" in row] == [
        ["laptop", "shop", slo, "1", "2026-10-01", "00:00", "2026-10-01", "01:00", "100", "%"]
        for slo in ("fresh", "taken")
    ]
    asked = json.loads(tocsin("history", "show", "--json").stdout)
    assert [one["slo"] for one in asked] == ["fresh", "taken"]


def test_names_of_a_recording_are_read_from_it(project) -> None:
    text = (project / "recorded" / "series.jsonl").read_text()
    (project / "recorded" / "series.jsonl").write_text(text.replace("${OrdersName}", "prod-orders"))
    (project / "recorded" / "names.json").write_text('{"shop": {"OrdersName": "prod-orders"}}')
    assert tocsin("history", "pull", "laptop", "--recorded", "recorded").exit_code == 0
    assert sum(row[4] for row in rows(SLI) if row[0] == "taken") == 602


def test_json_says_the_same(project) -> None:
    result = tocsin("history", "pull", "laptop", "--recorded", "recorded", "--json")
    said = json.loads(result.stdout)
    assert said["complete"] is True
    assert said["get_metric_data"] == {"calls": 1, "fewest": 1, "metrics": 4}
    assert said["systems"] == [{"name": "shop", "slos": 2, "calls": 1, "periods": [60], "problems": []}]


@pytest.mark.parametrize(
    ("since", "zone", "first"),
    [
        ("30min", "UTC", "2026-10-01 00:30"),
        ("2026-10-01", "UTC", "2026-10-01 00:00"),
        ("2026-10-01", "Europe/Berlin", "2026-09-30 22:00"),
        ("2026-10", "Europe/Berlin", "2026-09-30 22:00"),
        ("2026-10-01T00:20Z", "Europe/Berlin", "2026-10-01 00:20"),
        ("2026-10-01T02:20+02:00", "UTC", "2026-10-01 00:20"),
        ("2026-10-01T02:20:30", "Europe/Berlin", "2026-10-01 00:20"),
        ("1d", "UTC", "2026-09-30 01:00"),
    ],
)
def test_since_in_its_spellings(project, since, zone, first) -> None:
    (project / "tocsin.toml").write_text(f'timezone = "{zone}"\n')
    result = tocsin("history", "pull", "laptop", "--recorded", "recorded", "--since", since)
    assert result.exit_code == 0, result.output
    assert min(row[1] for row in rows(COVERAGE)) == datetime.fromisoformat(first)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pull", "prdo"], "deploy/environments.toml: no environment 'prdo'; did you mean 'prod'?"),
        (["pull", "x", "--recorded", "none"], "none: no such folder"),
        (["pull", "x", "--recorded", "deploy"], "deploy: holds no series"),
        (["pull", "x", "--recorded", "recorded", "--system", "shpo"], "did you mean 'shop'?"),
        (
            ["pull", "x", "--recorded", "recorded", "--since", "2027-01-01"],
            "lies in the future; it is 2026-10-01 01:00",
        ),
        (["pull", "x", "--recorded", "recorded", "--since", "yesterday"], "--since 'yesterday': no time; write it as"),
        (["pull", "x", "--recorded", "recorded", "--since", "2026-13"], "--since '2026-13': no time; write it as"),
        (["pull", "x", "--recorded", "recorded", "--since", "999999d"], "--since '999999d': no time; write it as"),
        (["pull", "x", "--recorded", "recorded", "--history", "s3://B/x"], "'B' is no name of a bucket"),
        (["pull", "x", "--recorded", "recorded", "--history", "template.yaml"], "template.yaml"),
        (["pull"], "Missing argument 'ENVIRONMENT'"),
        (["show", "--history", ""], "neither a folder nor s3://"),
    ],
)
def test_wrong_input_is_told_in_one_line(project, arguments, told) -> None:
    assert told in refused("history", *arguments)


def test_an_alarm_template_that_was_not_built_is_told(project) -> None:
    (project / "alarms" / "shop.yaml").unlink()
    assert "alarms/shop.yaml: no such file" in refused("history", "pull", "x", "--recorded", "recorded")


def test_what_cannot_be_had_is_told_and_the_rest_is_kept(project) -> None:
    text = (project / "recorded" / "series.jsonl").read_text().splitlines()
    (project / "recorded" / "series.jsonl").write_text(
        "\n".join([*text[:2], line("ApproximateAgeOfOldestMessage", Values=[5] * 60)])
    )
    result = tocsin("history", "pull", "laptop", "--recorded", "recorded")
    assert result.exit_code == 1
    assert all("cannot be had from Values" in told for told in result.stderr.splitlines())
    assert {row[0] for row in rows(SLI)} == {"taken"}
    assert "incomplete" in result.stdout


def test_a_second_pull_at_the_same_time_is_refused(project) -> None:
    """The first is another process, which holds the history until it is told to end."""
    hold = (
        "import sys; from tocsin.history.store import open_store\n"
        "with open_store('history').locked():\n    print('held', flush=True); sys.stdin.read()"
    )
    python = command()[0]
    with subprocess.Popen([python, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        result = tocsin("history", "pull", "laptop", "--recorded", "recorded")
        other.communicate()
    assert result.exit_code == 2
    assert only_line(result.stderr).startswith("another pull of history is running")
    assert tocsin("history", "pull", "laptop", "--recorded", "recorded").exit_code == 0


def test_a_system_that_is_no_longer_declared_has_vanished(project) -> None:
    assert tocsin("history", "pull", "laptop", "--recorded", "recorded").exit_code == 0
    declaration = project / "monitoring" / "systems" / "shop.py"
    declaration.write_text(declaration.read_text().replace('name="shop"', 'name="store"'))
    assert tocsin("build").exit_code == 0
    assert tocsin("history", "pull", "laptop", "--recorded", "recorded").exit_code == 0
    from tocsin.history.schema import PROMISE

    kinds = {(row[0], row[2]) for row in rows(PROMISE)}
    assert {("taken", "vanished"), ("fresh", "vanished"), ("taken", "completeness"), ("fresh", "freshness")} == kinds


def test_an_empty_history_is_shown_as_such(project) -> None:
    result = tocsin("history", "show")
    assert result.stdout == "history: no history yet; `tocsin history pull ENVIRONMENT` begins one\n"


def test_the_history_is_where_the_project_says(project, monkeypatch) -> None:
    (project / "tocsin.toml").write_text('history = "kept/here"\n')
    monkeypatch.chdir(project / "deploy")
    assert tocsin("history", "pull", "laptop", "--recorded", "../recorded").exit_code == 0
    assert (project / "kept" / "here" / "v1" / "sli").is_dir()


def test_the_stack_names_systems_and_environments(project) -> None:
    printed = tocsin("history", "stack")
    assert printed.exit_code == 0
    assert "AWS::Glue::Table" in printed.stdout
    assert "shop" in printed.stdout
    written = tocsin("history", "stack", "-o", "deploy/history.yaml")
    assert written.exit_code == 0
    assert (project / "deploy" / "history.yaml").read_text() == printed.stdout
