"""``tocsin review``: from a history to files, and what it says when something is missing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from datetime import datetime
from pathlib import Path

import pytest
from tests.command_line import command, refused, snapshot, tocsin
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


def parquet(project: Path, table: str, month: str = "2026-10", system: str = "shop") -> Path:
    return project / f"history/v1/{table}/environment=prod/system={system}/month={month}/rows.parquet"


def test_a_newer_version_beside_it_takes_nothing_away(project: Path) -> None:
    shutil.copytree(project / "history" / "v1", project / "history" / "v2")
    result = tocsin("review", "--month", "2026-10", "--json")
    said = json.loads(result.stdout)
    assert said["slos"][0]["state"] == "broken"
    assert {gap["where"].partition("/")[0] for gap in said["gaps"]} == {"v2"}
    assert all("update Tocsin" in gap["what"] and "history pull" not in gap["what"] for gap in said["gaps"])
    assert said["slos"][0]["month"]["covered"]["exact"] == "1/1"


@pytest.mark.parametrize(
    ("table", "month_of_it", "said"),
    [
        ("promise", "2026-01", "there is no history yet; run `tocsin history pull ENVIRONMENT` first; v1/promise/"),
        (
            "coverage",
            "2026-10",
            "the history of prod holds no figures yet; run `tocsin history pull prod`; v1/coverage/",
        ),
    ],
)
def test_where_all_is_damaged_the_file_is_named(project: Path, table: str, month_of_it: str, said: str) -> None:
    for path in parquet(project, table, month_of_it).parents[1].rglob("rows.parquet"):
        path.write_bytes(b"")
    found = refused("review", "--month", "2026-10", folder=project)
    assert found.startswith(said)
    assert "it is no Parquet file" in found


def test_a_damaged_file_of_another_environment_takes_nothing_away(project: Path) -> None:
    month("dev").write(project / "history")
    asked = ("review", "--month", "2026-10", "--env", "prod", "--json")
    before = tocsin(*asked).stdout
    for table in ("sli", "alarm_state"):
        path = parquet(project, table)
        other = Path(str(path).replace("environment=prod", "environment=dev"))
        other.write_bytes(b"PAR1")
    assert tocsin(*asked).stdout == before
    assert "could not be read" in tocsin("review", "--month", "2026-10", "--env", "dev", "--json").stdout


def test_a_newer_version_alone_is_named(project: Path) -> None:
    (project / "history" / "v1").rename(project / "history" / "v2")
    said = refused("review", "--month", "2026-10", folder=project)
    assert said.startswith("there is no history yet; ")
    assert "v2/alarm/" in said
    assert "another version of Tocsin" in said


def test_a_review_writes_nothing_into_the_history(project: Path) -> None:
    parquet(project, "sli").write_bytes(b"PAR1")
    before = snapshot(project / "history")
    assert tocsin("review", "--month", "2026-10").exit_code == 0
    assert snapshot(project / "history") == before


def test_what_is_missing_of_many_is_one_line(project: Path) -> None:
    for number in range(6):
        short = month(systems=(f"cart-{number}",))
        short.rows["coverage", f"cart-{number}"] = []
        short.asked("api", utc("2026-09-01 00:00"), utc("2026-10-29 00:00"), system=f"cart-{number}")
        short.write(project / "history")
    result = tocsin("review", "--month", "2026-10")
    lines = [line for line in result.stdout.splitlines() if line.startswith("missing: ")]
    assert len(lines) == 1
    assert lines[0].startswith("missing: cart-0: api; cart-1: api; cart-2: api; and 3 others: 2 d 23 h of this month, ")
    assert "and 3 others" in (project / "review" / "2026-10.md").read_text(encoding="utf-8")
    gaps = json.loads(tocsin("review", "--month", "2026-10", "--json").stdout)["gaps"]
    assert [gap["where"] for gap in gaps] == [f"cart-{number}: api" for number in range(6)]


def test_nobody_reads_to_the_end(project: Path) -> None:
    with subprocess.Popen(
        command("review", "--month", "2026-10", "--json"),
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == b""


def test_interrupted_it_leaves_no_half_report(project: Path) -> None:
    """A pipe in the place of the actions holds the command until it is interrupted."""
    held = project / "review" / "actions.toml"
    held.parent.mkdir()
    os.mkfifo(held)
    with subprocess.Popen(
        command("review", "--month", "2026-10"), cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        writer = held.open("wb")  # returns once the command has begun to read
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=60)
        writer.close()
    assert running.returncode == 130, said
    assert b"Traceback" not in said[1]
    assert list(held.parent.iterdir()) == [held]


def test_the_tools_times_are_in_the_report(project: Path) -> None:
    history = month()
    page = "prod-shop-api-page"
    opened = utc("2026-10-14 08:07")
    for day, (acknowledged, closed) in enumerate(((4, 90), (6, 30), (50, None))):
        at = opened + day * 24 * HOUR
        history.alert(page, at, at + acknowledged * MINUTE, None if closed is None else at + closed * MINUTE)
    history.write(project / "history")
    assert tocsin("review", "--month", "2026-10").exit_code == 0
    text = (project / "review" / "2026-10.md").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {page} |")]
    assert line.endswith("| 6 min | 1 h |")  # medians, of the two that were closed too
    page_of_it = (project / "review" / "2026-10.html").read_text(encoding="utf-8")
    assert "6\u00a0min" in page_of_it
