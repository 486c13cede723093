"""``tocsin backtest SYSTEM``: the report, its exit code, what it refuses, and what a changed template does to it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import DECLARATION, SHOP, only_line, tocsin

SLOS = """
    availability(stack["Reader"], name="reads", objective="99.9%", window="28d"),
    freshness(stack["Orders"], name="orders-fresh", below="5min", objective="95%", window="28d"),
    heartbeat(stack["Reader"], name="nightly", every="1d", tolerates="2h"),
"""
QUICK = ("--scenario", "full-outage", "--scenario", "gap", "--slo", "reads")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built project."""
    (tmp_path / "monitoring" / "systems").mkdir(parents=True)
    (tmp_path / "template.yaml").write_text(SHOP)
    (tmp_path / "monitoring" / "systems" / "shop.py").write_text(DECLARATION.format(slos=SLOS))
    monkeypatch.chdir(tmp_path)
    assert tocsin("build").exit_code == 0
    return tmp_path


def report(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = tocsin("backtest", "shop", *arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


def changed(shop: Path, old: str, new: str, name: str = "other.yaml") -> str:
    """The rendered template with one text replaced, as another file."""
    text = (shop / "alarms" / "shop.yaml").read_text()
    assert old in text
    (shop / name).write_text(text.replace(old, new))
    return name


def test_the_whole_library_of_a_good_template(shop: Path) -> None:
    code, found = report()
    assert (code, found["findings"]) == (0, [])
    assert {one["slo"] for one in found["outcomes"]} == {"reads", "orders-fresh", "nightly"}
    assert {one["verdict"] for one in found["outcomes"]} == {"as expected"}
    assert {year["slo"]: year["told"]["page"] for year in found["healthy_year"]} == {
        "reads": 0,
        "orders-fresh": 0,
        "nightly": 0,
    }
    assert all(one["reason"] for one in found["left_out"])


def test_it_reads_well(shop: Path) -> None:
    result = tocsin("backtest", "shop", *QUICK)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "shop: the alarms of alarms/shop.yaml, 100 events a minute, seed 1"
    assert lines[2] == "reads: 99.9 % over 28 d; only 2 bad events in a long window tell anybody"
    assert lines[3].split("  ")[0] == "scenario"
    page = next(line for line in lines if line.startswith("full-outage"))
    for part in (" page ", " fires ", " 1 min ", " 48 s ", " 30 min ", " as expected"):
        assert part in f"{page} "
    assert lines[-1] == "4 of 4 outcomes as expected"


def test_two_runs_print_the_same_bytes(shop: Path) -> None:
    command = [sys.executable, "-m", "tocsin", "backtest", "shop", *QUICK, "--json"]
    first, second = (
        subprocess.run(command, cwd=shop, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("1", "77")
    )
    assert first == second


def test_a_seed_changes_the_traffic_and_not_the_verdict(shop: Path) -> None:
    (_, one), (_, other) = report(*QUICK), report(*QUICK, "--seed", "2")
    assert one["outcomes"] != other["outcomes"]
    assert [one["verdict"] for one in other["outcomes"]] == ["as expected"] * 4


def test_more_events_are_seen_sooner_where_it_takes_many(shop: Path) -> None:
    few, many = (
        report("--scenario", "full-outage", "--slo", "reads", "--events", number) for number in ("0.2", "1000")
    )
    first, second = (found["outcomes"][0]["in_alarm_after"] for _, found in (few, many))
    assert first > second


def test_a_threshold_raised_by_hand_is_a_finding(shop: Path) -> None:
    """The alarms that are judged are those of the rendered template, not those of the declaration."""
    name = changed(shop, "Threshold: 0.01344", "Threshold: 0.9")
    changed(shop, "Threshold: 0.01344", "Threshold: 0.9", "alarms/shop.yaml")
    for template in (("--template", name), ("--template", "alarms/shop.yaml")):
        code, found = report("--scenario", "burn-100", "--slo", "reads", *template)
        page = found["outcomes"][0]
        assert (code, page["severity"], page["verdict"]) == (1, "page", "late")
        assert found["findings"] == ["reads, burn-100: the page told somebody after 20 min; in theory after 8 min 4 s"]


def test_a_gate_taken_out_by_hand_is_a_finding(shop: Path) -> None:
    name = changed(shop, "IF(FILL(bad, 0) >= 2", "IF(FILL(bad, 0) >= 1")
    scenario = ("--scenario", "single-failure-when-quiet", "--slo", "reads")
    assert report(*scenario)[0] == 0
    code, found = report(*scenario, "--template", name)
    assert code == 1
    assert found["findings"] == [
        "reads, single-failure-when-quiet: the page fired; nobody should have been told",
        "reads, single-failure-when-quiet: the ticket fired; nobody should have been told",
    ]


def test_a_page_that_tells_nobody_is_a_finding(shop: Path) -> None:
    text = (shop / "alarms" / "shop.yaml").read_text()
    begin, head, rest = text.partition("\n  ReadsPage:\n")
    (shop / "other.yaml").write_text(
        begin + head + rest.replace("    Properties:\n", "    Properties:\n      ActionsEnabled: false\n", 1)
    )
    code, found = report("--scenario", "full-outage", "--slo", "reads", "--template", "other.yaml")
    page = found["outcomes"][0]
    assert (code, page["verdict"], page["in_alarm_after"], page["told_after"]) == (1, "told nobody", 60, None)
    assert found["findings"][0] == (
        "reads, full-outage: the page was in ALARM after 1 min and told nobody: look at its actions and its suppressor"
    )


def test_alarms_that_cannot_be_evaluated_are_said(shop: Path) -> None:
    text = (shop / "alarms" / "shop.yaml").read_text()
    odd = (
        "  Odd:\n    Type: AWS::CloudWatch::Alarm\n    Properties: {AlarmName: odd, EvaluationPeriods: 0}\n"
        "  Lost:\n    Type: AWS::CloudWatch::CompositeAlarm\n    Properties: {AlarmName: lost, AlarmRule: ALARM(gone)}\n"
    )
    (shop / "other.yaml").write_text(text.replace("\nResources:\n", f"\nResources:\n{odd}"))
    code, found = report(*QUICK, "--template", "other.yaml")
    assert code == 0
    assert set(found["refused"]) == {"odd", "lost"}
    lines = tocsin("backtest", "shop", *QUICK, "--template", "other.yaml").stdout.splitlines()
    assert [line.split(":")[1] for line in lines if line.startswith("not evaluated: ")] == [" odd", " lost"]


def test_a_page_of_what_cannot_be_evaluated_is_refused(shop: Path) -> None:
    name = changed(shop, 'AlarmRule: !Sub (ALARM("${ReadsBurn1hLong}")', 'AlarmRule: !Sub (ALARM("gone")')
    result = tocsin("backtest", "shop", *QUICK, "--template", name)
    assert result.exit_code == 2
    assert "prod-shop-reads-page of SLO reads cannot be evaluated" in only_line(result.stderr)


def test_only_the_alarms_of_the_promise_are_looked_at(shop: Path) -> None:
    """Another SLO's alarms may be missing; its own may not."""
    text = (shop / "alarms" / "shop.yaml").read_text()
    (shop / "other.yaml").write_text(text.replace("shop-nightly-page", "shop-renamed"))
    assert report(*QUICK, "--template", "other.yaml")[0] == 0
    result = tocsin("backtest", "shop", "--template", "other.yaml")
    assert result.exit_code == 2
    assert only_line(result.stderr) == ("other.yaml: has no alarm 'prod-shop-nightly-page', by which SLO nightly tells")


def test_names_of_resources_may_be_given(shop: Path) -> None:
    assert report(*QUICK, "--param", "ReaderName=reader-of-prod", "--param", "Environment=dev")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("sho",), "no system 'sho'; did you mean 'shop'?"),
        (("shop", "--scenario", "full-outtage"), "no scenario 'full-outtage'; did you mean 'full-outage'?"),
        (("shop", "--slo", "red"), "--slo red: shop has no such SLO; did you mean 'reads'?"),
        (("shop", "--template", "no.yaml"), "no.yaml: no such file"),
        (("shop", "--against", "no.yaml"), "no.yaml: no such file"),
        (("shop", "--labels", "l.json"), "--labels goes with --series, the recorded history that it is about"),
        (("shop", "--from", "2026-01-01"), "--from goes with --series, the recorded history that it is about"),
        (
            ("shop", "--series", "s.json", "--seed", "1"),
            "--seed is about scenarios and --series about recorded history; give one of them",
        ),
        (("shop", "--series", "no.json"), "no.json"),
        (("--series", "s.json"), "name a system, or give --template, whose alarms are to be judged"),
        ((), "name a system to run scenarios against, or give --series to judge by recorded history"),
        (("shop", "--events", "nan"), "--events nan: give a number of events a minute, such as 100"),
        (("shop", "--events", "-3"), "'--events'"),
        (("shop", "--plot", "x.png"), "--plot draws one scenario of one SLO of one template"),
        (
            ("shop", "--plot", "x.png", "--scenario", "gap", "--scenario", "late-data", "--slo", "reads"),
            "--plot draws one",
        ),
        (
            ("shop", "--plot", "x.doc", "--scenario", "gap", "--slo", "reads"),
            "x.doc: a picture's name ends with one of",
        ),
        (
            ("shop", "--scenario", "burn-100", "--slo", "orders-fresh"),
            "nothing to run: burn-100 for orders-fresh: it is about events, not minutes of a gauge",
        ),
    ],
)
def test_wrong_input(shop: Path, arguments: tuple[str, ...], says: str) -> None:
    result = tocsin("backtest", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert says in only_line(result.stderr)


def test_a_system_that_was_not_built_or_promises_nothing(shop: Path) -> None:
    (shop / "alarms" / "shop.yaml").unlink()
    result = tocsin("backtest", "shop")
    assert (result.exit_code, "shop.yaml: no such file; `tocsin build`" in only_line(result.stderr)) == (2, True)
    (shop / "monitoring" / "systems" / "shop.py").write_text(DECLARATION.format(slos=""))
    assert "declares no SLO" in only_line(tocsin("backtest", "shop").stderr)


def test_a_system_without_promises_is_built_without_numpy(shop: Path) -> None:
    (shop / "monitoring" / "systems" / "shop.py").write_text(DECLARATION.format(slos=""))
    code = (
        "import sys; from tocsin.cli import main; main(['build'], standalone_mode=False); print('numpy' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=shop, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "False"


class TestAgainst:
    """Another template for the same system: only what differs is printed."""

    def test_the_same_template_makes_no_difference(self, shop: Path) -> None:
        result = tocsin(
            "backtest", "shop", *QUICK, "--against", changed(shop, "Threshold: 0.01344", "Threshold: 0.01344")
        )
        assert (result.exit_code, result.stdout) == (0, "no difference\n")

    def test_a_change_shows_what_it_does(self, shop: Path) -> None:
        name = changed(shop, "Threshold: 0.01344", "Threshold: 0.05")
        code, found = report(*QUICK, "--against", name)
        assert code == 0, "the findings of the other template are not ours"
        assert {one["what"] for one in found["changes"]} == {"reads, full-outage, page"}
        (delay,) = (one for one in found["changes"] if one["figure"] == "in_alarm_after")
        assert (delay["here"] < delay["there"], delay["better"]) == (True, True)


class TestRecorded:
    """Recorded history instead of scenarios."""

    @pytest.fixture
    def files(self, shop: Path) -> tuple[str, ...]:
        minutes = 600
        errors = [20 if 300 <= minute < 330 else 0 for minute in range(minutes)]
        dimensions = {"FunctionName": "reader"}
        common = {"Namespace": "AWS/Lambda", "Dimensions": dimensions, "Period": 60, "Start": "2026-03-02T00:00:00Z"}
        series = [
            {**common, "MetricName": "Errors", "Values": errors},
            {**common, "MetricName": "Invocations", "Values": [20] * minutes},
        ]
        (shop / "series.json").write_text(json.dumps(series))
        times = {"Start": "2026-03-02T05:00:00Z", "End": "2026-03-02T05:30:00Z"}
        (shop / "labels.json").write_text(json.dumps([{"Name": "outage", **times, "Alarms": ["*-reads-page"]}]))
        return ("--series", "series.json", "--labels", "labels.json", "--param", "ReaderName=reader")

    def test_a_labelled_incident_is_seen(self, files: tuple[str, ...]) -> None:
        code, found = report(*files)
        assert (code, found["missed"]) == (0, [])
        assert found["alarms"]["prod-shop-reads-page"]["recall"] == 1

    def test_a_missed_incident_is_a_finding(self, shop: Path, files: tuple[str, ...]) -> None:
        text = (shop / "alarms" / "shop.yaml").read_text()
        (shop / "deaf.yaml").write_text(
            text.replace("Threshold: 0.01344", "Threshold: 1").replace("Threshold: 0.0056", "Threshold: 1")
        )
        code, found = report(*files, "--template", "deaf.yaml")
        assert (code, found["missed"]) == (1, ["outage"])
        difference = report(*files, "--against", "deaf.yaml")
        assert difference[0] == 0
        assert {"outage", "prod-shop-reads-page"} <= {one["what"] for one in difference[1]["changes"]}

    def test_an_incident_that_only_alarms_without_data_could_see_is_a_finding(
        self, shop: Path, files: tuple[str, ...]
    ) -> None:
        labels = json.loads((shop / "labels.json").read_text())
        labels[0]["Alarms"] = ["*-orders-fresh-page"]
        (shop / "labels.json").write_text(json.dumps(labels))
        code, found = report(*files)
        assert (code, found["missed"], found["unseeable"]) == (1, [], ["outage"])
        assert found["findings"][0] == "nobody could have been told of outage: the alarms for it have no data"

    def test_any_template_without_a_system(self, files: tuple[str, ...]) -> None:
        result = tocsin("backtest", "--template", "alarms/shop.yaml", *files)
        assert result.exit_code == 0
        assert "prod-shop-reads-page" in result.stdout

    def test_without_labels_nothing_is_true_or_false(self, files: tuple[str, ...]) -> None:
        code, found = report(*files[:2], *files[4:])
        assert (code, found["labelled"]) == (0, False)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_picture_of_one_scenario(shop: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    arguments = ("--scenario", "full-outage", "--slo", "reads", "--plot", f"outage.{suffix}")
    assert tocsin("backtest", "shop", *arguments).exit_code == 0
    assert (shop / f"outage.{suffix}").stat().st_size > 1000


def test_progress_is_shown_on_a_terminal_only(shop: Path) -> None:
    command = [sys.executable, "-m", "tocsin", "backtest", "shop", *QUICK]
    piped = subprocess.run(command, cwd=shop, capture_output=True, text=True, check=True)
    assert piped.stderr == ""
