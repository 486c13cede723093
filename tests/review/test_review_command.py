"""``tocsin review``: from a history to files, and what it says when something is missing."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from tests.command_line import refused, snapshot, tocsin
from tests.review.reference_tables import HOUR, MINUTE, History, utc

from tocsin.cli.review import _last_full_month

OCTOBER, NOVEMBER = utc("2026-10-01 00:00"), utc("2026-11-01 00:00")


def month(environment: str = "prod", systems: tuple[str, ...] = ("shop",)) -> History:
    """October of an availability that failed for two hours, with a page."""
    history = History(environment)
    for system in systems:
        history.promise("api", system=system)
        history.asked("api", utc("2026-09-01 00:00"), NOVEMBER, system=system, period=3600)
        failed = utc("2026-10-14 08:00")
        history.steady("api", utc("2026-09-01 00:00"), failed, 1000, system=system)
        history.steady("api", failed, failed + 2 * HOUR, 1000, 900, system=system)
        history.steady("api", failed + 2 * HOUR, NOVEMBER, 1000, system=system)
        history.alarm(f"{environment}-{system}-api-page", "page", "api", system=system)
        history.alarms_asked(utc("2026-09-01 00:00"), NOVEMBER, system=system)
        history.alarmed(f"{environment}-{system}-api-page", failed + 7 * MINUTE, failed + 3 * HOUR, system=system)
    return history


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tocsin.toml").write_text('timezone = "Europe/Berlin"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    month().write(tmp_path / "history")
    return tmp_path


def test_it_writes_the_report_and_prints_the_first_page(project: Path) -> None:
    result = tocsin("review", "--month", "2026-10")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "SLO review of October 2026, prod: data of the whole month"
    assert "0 of 1 promises that can be judged were kept." in lines
    assert any("shop" in line and "99.76 %" in line and "✕ broken" in line for line in lines)
    assert lines[-2:] == ["review/2026-10.html", "review/2026-10.md"]
    page = (project / "review" / "2026-10.html").read_text(encoding="utf-8")
    assert "Europe/Berlin" in page
    assert "14 Oct 10:00 CEST" in page
    assert "prod-shop-api-page" in page
    assert (project / "review" / "2026-10.md").read_text(encoding="utf-8").startswith("# SLO review: October 2026")


def test_the_same_history_gives_the_same_bytes(project: Path) -> None:
    tocsin("review", "--month", "2026-10")
    first = snapshot(project / "review")
    tocsin("review", "--month", "2026-10")
    assert snapshot(project / "review") == first


def test_output_elsewhere_and_another_zone(project: Path, tmp_path: Path) -> None:
    result = tocsin("review", "--month", "2026-10", "--zone", "UTC", "-o", "out/of/here.html")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (project / "out" / "of").iterdir()) == ["here.html", "here.md"]
    assert not (project / "review").exists()
    assert "14 Oct 08:00" in (project / "out" / "of" / "here.html").read_text(encoding="utf-8")


def test_json_writes_no_file_unless_asked(project: Path) -> None:
    result = tocsin("review", "--month", "2026-10", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["month"], said["zone"], said["environment"]) == ("2026-10", "Europe/Berlin", "prod")
    assert said["slos"][0]["state"] == "broken"
    assert not (project / "review").exists()
    assert tocsin("review", "--month", "2026-10", "--json", "-o", "r.html").exit_code == 0
    assert (project / "r.html").is_file()


def test_one_system_of_several(project: Path) -> None:
    month(systems=("cart",)).write(project / "history")
    result = tocsin("review", "--month", "2026-10", "--system", "cart", "--json")
    assert {slo["system"] for slo in json.loads(result.stdout)["slos"]} == {"cart"}
    assert "no system 'crt'" in refused("review", "--month", "2026-10", "--system", "crt", folder=project)


def test_decisions_of_the_review_before(project: Path) -> None:
    (project / "review").mkdir()
    (project / "review" / "actions.toml").write_text(
        '[cache]\nwhat = "Warm the cache"\nowner = "payments"\ndue = 2026-10-10\ndecided = "2026-09"\n',
        encoding="utf-8",
    )
    result = tocsin("review", "--month", "2026-10")
    assert "1 action item overdue" in result.stdout
    assert "Warm the cache" in (project / "review" / "2026-10.md").read_text(encoding="utf-8")


def test_two_environments_have_to_be_told_apart(project: Path) -> None:
    month("dev").write(project / "history")
    said = refused("review", "--month", "2026-10", folder=project)
    assert said == "the history holds 2 environments: dev, prod; choose one with --env"
    assert tocsin("review", "--month", "2026-10", "--env", "dev").exit_code == 0
    assert "no environment 'pord'" in refused("review", "--month", "2026-10", "--env", "pord", folder=project)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--month", "October"), "--month 'October' is not a month"),
        (("--month", "2026-13"), "is not a month"),
        (("--month", "9000-01"), "has not begun yet"),
        (("--month", "2020-01"), "has nothing of it"),
        (("--month", "2026-10", "--month", "2026-09"), "given 2 times"),
        (("--zone", "Mars/Base"), "timezone 'Mars/Base' is not known"),
        (("--month", "2026-10", "-o", "report.pdf"), "-o report.pdf: name a file that ends in .html"),
        (("--month", "2026-10", "-o", "folder.html"), "folder.html: is a folder"),
        (("--month", "2026-10", "--history", "nowhere"), "nowhere: no history there"),
        (("--month", "2026-10", "--history", "gs://x/y"), "neither a folder nor s3://bucket/prefix"),
        (("--month", "2026-10", "--workgroup", "x"), "--workgroup goes with --engine athena"),
        (("--month", "2026-10", "--param", "A=b"), "--param goes with --series"),
        (("--month", "2026-10", "--engine", "sqlite"), "'sqlite' is not one of"),
    ],
)
def test_what_it_cannot_do_it_says_in_one_line(project: Path, arguments: tuple[str, ...], said: str) -> None:
    (project / "folder.html").mkdir()
    assert said in refused("review", *arguments, folder=project)


def test_no_history_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no history there" in refused("review", folder=tmp_path)
    (tmp_path / "history").mkdir()
    assert "there is no history yet" in refused("review", folder=tmp_path)


def test_a_failed_write_leaves_the_old_report(project: Path) -> None:
    assert tocsin("review", "--month", "2026-10").exit_code == 0
    (project / "review" / "2026-10.md").unlink()
    (project / "review" / "2026-10.md").mkdir()
    before = (project / "review" / "2026-10.html").read_bytes()
    assert "is a folder" in refused("review", "--month", "2026-10", "--zone", "UTC", folder=project)
    assert (project / "review" / "2026-10.html").read_bytes() == before


def test_a_damaged_file_is_told_and_the_report_comes_out(project: Path) -> None:
    month(systems=("cart",)).write(project / "history")
    damaged = project / "history" / "v1" / "sli" / "environment=prod" / "system=cart" / "month=2026-10" / "rows.parquet"
    damaged.write_bytes(b"PAR1 nothing of it PAR1")
    result = tocsin("review", "--month", "2026-10")
    assert result.exit_code == 0, result.output
    assert "missing: " in result.stdout
    assert "system=cart" in result.stdout


@pytest.mark.parametrize(
    ("now", "month_before"),
    [("2026-11-21T12:00", "2026-10"), ("2026-03-31T23:59", "2026-02"), ("2027-01-01T00:00", "2026-12")],
)
def test_the_last_full_month(now: str, month_before: str) -> None:
    assert _last_full_month(datetime.fromisoformat(f"{now}+00:00")) == month_before
