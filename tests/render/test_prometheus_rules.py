"""The rules for Prometheus: what is in them, that promtool takes them, and that they are kept up to date when asked for."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from tests.debian_programs import NoProgramError, debian_program

from command_line import SHOP, declare, only_line, refused, snapshot, tocsin
from tocsin.burn_rate import tiers
from tocsin.declarations import load_systems
from tocsin.declare import availability, heartbeat
from tocsin.exporter.metrics import FAMILIES
from tocsin.model import Resource, Slo, System
from tocsin.plan import Settings, plan
from tocsin.render.prometheus import exact, prometheus_duration, prometheus_rules

ROOT = Path(__file__).parents[2]
READER = Resource("AWS::Lambda::Function", "Reader", "reader", {"Timeout": 10})
RUN = Resource("AWS::Events::Rule", "Daily", "daily", {"ScheduleExpression": "rate(1 day)"})


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return debian_program("promtool")
    except NoProgramError as reason:
        pytest.skip(str(reason))


def rules_of(*slos: Slo, settings: Settings | None = None) -> list[dict[str, Any]]:
    resources = {slo.sli.resource.logical_id: slo.sli.resource for slo in slos}
    text = prometheus_rules(plan(System("shop", "payments", list(resources.values()), slos), settings or Settings()))
    assert text is not None
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def alerts(rules: list[dict[str, Any]], severity: str, slo: str) -> list[dict[str, Any]]:
    return [
        rule
        for rule in rules
        if "alert" in rule and rule["labels"].items() >= {"severity": severity, "slo": slo}.items()
    ]


def works(objective: str = "99.9%", window: str = "30d", **rest: Any) -> Slo:
    return availability(READER, objective=objective, window=window, name="works", **rest)


def test_thresholds_are_exact_and_from_the_window_table() -> None:
    for objective, window in (
        ("99.9%", "28d"),
        ("99.95%", "30d"),
        ("99.99%", "90d"),
        ("95%", "7d"),
        ("99.97%", "28d"),
    ):
        slo = works(objective, window)
        rules = rules_of(slo)
        for tier in tiers(slo)[0]:
            (alert,) = alerts(rules, tier.severity, "works")
            (long, short) = (prometheus_duration(one) for one in (tier.long_window, tier.short_window))
            found = re.findall(
                rf"ratio_increase{long}{{[^}}]*}} > ([0-9.]+)\n  and \S+increase{short}{{[^}}]*}} > ([0-9.]+)",
                alert["expr"],
            )
            assert [[Fraction(number) for number in pair] for pair in found] == [[tier.bad_ratio] * 2]


def test_a_tier_out_of_reach_has_no_rule() -> None:
    slo = works("90%", "28d")
    (page,) = alerts(rules_of(slo), "page", "works")
    assert "increase1h" not in page["expr"]
    assert "increase6h" in page["expr"]


def test_the_gate_for_little_traffic() -> None:
    (alert,) = alerts(rules_of(works(minimum_bad_events=5)), "page", "works")
    assert re.findall(r"slo:sli_bad:increase(\w+){[^}]*} >= ([0-9.]+)", alert["expr"]) == [("1h", "4.5"), ("6h", "4.5")]
    assert "Fewer than 5 bad events" in alert["annotations"]["description"]


def test_where_to_read_on() -> None:
    settings = Settings(runbooks="https://wiki.example.com/runbooks/", dashboards="https://grafana.example.com")
    for alert in (
        one for one in rules_of(works(), settings=settings) if "slo" in one.get("labels", ()) and "alert" in one
    ):
        assert alert["annotations"]["runbook_url"] == "https://wiki.example.com/runbooks/slo-availability.md"
        assert alert["annotations"]["dashboard_url"] == "https://grafana.example.com/d/tocsin-shop"
        assert alert["labels"]["owner"] == "payments"


def test_text_of_people_is_no_template() -> None:
    (alert,) = alerts(rules_of(works(because='Users see {{ "an error" }}.')), "page", "works")
    assert alert["annotations"]["description"].startswith('Users see {{ "{{" }} "an error" }}.')


def test_a_heartbeat_has_an_alert_and_no_budget() -> None:
    slo = heartbeat(READER, name="nightly", every="1d", tolerates="2h")
    rules = rules_of(slo)
    assert [rule["alert"] for rule in rules] == ["SloHeartbeatMissed", "SloFiguresMissing"]
    assert rules[0]["expr"].endswith("> 93600"), "26 hours"
    assert rules[0]["labels"]["severity"] == "page"


def test_nothing_promised_no_rules() -> None:
    assert prometheus_rules(plan(System("shop", "payments", [READER]))) is None


def test_every_series_is_shown_by_the_exporter_or_recorded_before() -> None:
    shown = {family.name: set(family.labels) for family in FAMILIES}
    for system in load_systems(ROOT, "monitoring/systems", {}):
        text = prometheus_rules(plan(system))
        assert text is not None
        recorded: set[str] = set()
        for group in yaml.safe_load(text)["groups"]:
            for rule in group["rules"]:
                names = set(re.findall(r"(?<![\w:])slo[_:][\w:]+", re.sub(r'"[^"]*"', '""', rule["expr"])))
                assert names <= shown.keys() | recorded, rule
                recorded |= {rule["record"]} if "record" in rule else set()
        joined = re.search(r"max by \((.*?)\)", text)
        assert joined is not None
        assert set(joined[1].split(", ")) <= shown["slo_sli_valid_total"]


def test_promtool_takes_them(program: Path, tmp_path: Path) -> None:
    files = []
    for system in load_systems(ROOT, "monitoring/systems", {}):
        path = tmp_path / f"{system.name}.rules.yaml"
        path.write_text(prometheus_rules(plan(system)) or "", encoding="utf-8")
        files.append(path)
    done = subprocess.run(
        [program, "check", "rules", "--lint=all", "--lint-fatal", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_an_alert_says(program: Path, tmp_path: Path) -> None:
    """Labels and filled-in annotations as Alertmanager gets them; a heartbeat's alert; and figures that are missing."""
    slo = works(because="Somebody waits.")
    nightly = heartbeat(READER, name="nightly", every="1d", tolerates="2h", because="The books are closed.")
    text = prometheus_rules(plan(System("shop", "payments", [READER], [slo, nightly])))
    assert text is not None
    (tmp_path / "shop.rules.yaml").write_text(text, encoding="utf-8")
    rules = {
        (rule["alert"], rule["labels"].get("slo"), rule["labels"]["severity"]): rule
        for rule in rules_of(slo, nightly)
        if "alert" in rule
    }
    labels = {"environment": "prod", "owner": "payments", "system": "shop"}
    page = rules["SloErrorBudgetBurn", "works", "page"]
    missed = rules["SloHeartbeatMissed", "nightly", "page"]
    said = {
        "page": page["annotations"]
        | {"description": page["annotations"]["description"].replace("{{ $value | humanizePercentage }}", "50%")},
        "missed": missed["annotations"]
        | {
            "description": missed["annotations"]["description"].replace(
                "{{ $value | humanizeDuration }}", "1d 2h 1m 0s"
            )
        },
        "nothing": rules["SloFiguresMissing", None, "ticket"]["annotations"],
    }
    series = '{environment="prod",instance="%s",owner="payments",slo="%s",system="shop"}'
    both = [
        (f"slo_sli_{kind}_total" + series % (instance, "works"), step)
        for instance in "ab"
        for kind, step in (("good", 50), ("valid", 100))
    ]
    test = {
        "interval": "1m",
        "input_series": [
            *({"series": name, "values": f"0+{step}x1600"} for name, step in both),
            {"series": 'slo_data_timestamp_seconds{environment="prod",system="shop"}', "values": "0+60x1600"},
            {"series": "slo_heartbeat_last_success_timestamp_seconds" + series % ("a", "nightly"), "values": "0x1600"},
        ],
        "alert_rule_test": [
            {
                "eval_time": "2h",
                "alertname": "SloErrorBudgetBurn",
                "exp_alerts": [
                    {"exp_labels": {**labels, "severity": "page", "slo": "works"}, "exp_annotations": said["page"]}
                ],
            },
            {"eval_time": "26h", "alertname": "SloHeartbeatMissed", "exp_alerts": []},
            {
                "eval_time": "26h1m",
                "alertname": "SloHeartbeatMissed",
                "exp_alerts": [
                    {"exp_labels": {**labels, "severity": "page", "slo": "nightly"}, "exp_annotations": said["missed"]}
                ],
            },
            {"eval_time": "26h1m", "alertname": "SloFiguresMissing", "exp_alerts": []},
        ],
    }
    # A ticket fires beside the page; only the page is of interest here, as Alertmanager would inhibit the ticket.
    ticket = rules["SloErrorBudgetBurn", "works", "ticket"]
    annotations = ticket["annotations"] | {
        "description": ticket["annotations"]["description"].replace("{{ $value | humanizePercentage }}", "50%")
    }
    test["alert_rule_test"][0]["exp_alerts"].append(
        {"exp_labels": {**labels, "severity": "ticket", "slo": "works"}, "exp_annotations": annotations}
    )
    silent = {
        "interval": "1m",
        "input_series": [],
        "alert_rule_test": [
            {"eval_time": "14m", "alertname": "SloFiguresMissing", "exp_alerts": []},
            {
                "eval_time": "15m",
                "alertname": "SloFiguresMissing",
                "exp_alerts": [
                    {
                        "exp_labels": {"owner": "payments", "severity": "ticket", "system": "shop"},
                        "exp_annotations": said["nothing"],
                    }
                ],
            },
        ],
    }
    old = {
        "interval": "1m",
        "input_series": [{"series": 'slo_data_timestamp_seconds{environment="prod",system="shop"}', "values": "0x60"}],
        "alert_rule_test": [
            {"eval_time": "30m", "alertname": "SloFiguresMissing", "exp_alerts": []},
            {
                "eval_time": "31m",
                "alertname": "SloFiguresMissing",
                "exp_alerts": [{"exp_labels": {**labels, "severity": "ticket"}, "exp_annotations": said["nothing"]}],
            },
        ],
    }
    whole = {"rule_files": ["shop.rules.yaml"], "evaluation_interval": "1m", "tests": [test, silent, old]}
    (tmp_path / "test.json").write_text(json.dumps(whole), encoding="utf-8")
    done = subprocess.run(
        [program, "test", "rules", "test.json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@example(Fraction(1, 2**41))  # more digits than a Decimal keeps
@given(st.fractions(min_value=0, max_value=1000))
def test_exact_numbers(value: Fraction) -> None:
    text = exact(value)
    if text.startswith("("):
        over, under = text.strip("()").split(" / ")
        assert Fraction(int(over), int(under)) == value
    else:
        assert Fraction(text) == value
        assert "e" not in text.lower()


@pytest.mark.parametrize(
    ("window", "text"),
    [
        (timedelta(minutes=5), "5m"),
        (timedelta(hours=2), "2h"),
        (timedelta(days=28), "28d"),
        (timedelta(minutes=90), "90m"),
        (timedelta(seconds=7), "7s"),
    ],
)
def test_durations(window: timedelta, text: str) -> None:
    assert prometheus_duration(window) == text


SLOS = 'availability(stack["Reader"], objective="99.9%", window="28d")'


class TestBuild:
    @pytest.fixture(autouse=True)
    def inside(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        declare(tmp_path, SLOS)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    def test_only_when_asked_for_and_from_then_on(self, inside: Path) -> None:
        assert tocsin("build").exit_code == 0
        assert not (inside / "prometheus").exists()
        assert tocsin("check").exit_code == 0
        done = tocsin("build", "--prometheus")
        assert "wrote    prometheus/shop.rules.yaml" in done.output
        assert tocsin("check").exit_code == 0
        before = snapshot(inside)
        assert tocsin("build").exit_code == 0
        assert tocsin("build", "--prometheus").exit_code == 0
        assert snapshot(inside) == before
        declare(inside, SLOS.replace("99.9%", "99.5%"))
        found = tocsin("check")
        assert found.exit_code == 1
        assert "prometheus/shop.rules.yaml: T001" in found.output
        assert tocsin("build").exit_code == 0
        assert "0.0672" in (inside / "prometheus" / "shop.rules.yaml").read_text()
        assert tocsin("check").exit_code == 0

    def test_an_edit_by_hand_is_drift(self, inside: Path) -> None:
        tocsin("build", "--prometheus")
        path = inside / "prometheus" / "shop.rules.yaml"
        path.write_text(path.read_text().replace("0.01344", "0.05"))
        found = tocsin("check")
        assert found.exit_code == 1
        assert "prometheus/shop.rules.yaml: T001" in found.output

    def test_rules_of_a_system_that_is_gone(self, inside: Path) -> None:
        tocsin("build", "--prometheus")
        (inside / "prometheus" / "mine.rules.yaml").write_text("groups: []\n")
        (inside / "monitoring" / "systems" / "shop.py").unlink()
        declare(inside, text=(f"{DECLARED}"), file="other.py")
        found = tocsin("check")
        assert "prometheus/shop.rules.yaml: T003" in found.output
        assert "mine" not in found.output
        assert "removed  prometheus/shop.rules.yaml" in tocsin("build").output
        assert sorted(path.name for path in (inside / "prometheus").iterdir()) == [
            "mine.rules.yaml",
            "other.rules.yaml",
        ]

    def test_removing_the_folder_ends_it(self, inside: Path) -> None:
        tocsin("build", "--prometheus")
        (inside / "prometheus" / "shop.rules.yaml").unlink()
        (inside / "prometheus").rmdir()
        assert tocsin("check").exit_code == 0
        tocsin("build")
        assert not (inside / "prometheus").exists()

    def test_the_rules_of_others_are_left_alone(self, inside: Path) -> None:
        tocsin("build")
        (inside / "prometheus").mkdir()
        (inside / "prometheus" / "shop.rules.yaml").write_text("groups: []\n")
        assert tocsin("build").exit_code == 0, "they are nobody's wish for ours"
        assert "Tocsin did not generate this file" in refused("build", "--prometheus")

    def test_nothing_promised(self, inside: Path) -> None:
        declare(inside, "")
        assert refused("build", "--prometheus").startswith("--prometheus: no declared system promises anything")

    def test_templates_promise_nothing(self, inside: Path) -> None:
        (inside / "one.yaml").write_text(SHOP)
        result = tocsin("build", "--template", "one.yaml", "--prometheus")
        assert result.exit_code == 2
        assert only_line(result.stderr).startswith("--prometheus goes with declared systems")


DECLARED = """\
from tocsin import System, availability, discover

stack = discover("template.yaml")
slo = availability(stack["Reader"], objective="99.9%", window="28d")
system = System(name="other", owner="payments", resources=stack, slos=[slo])
"""
