"""``tocsin review`` with answers of Athena, and with what ``tocsin tune`` makes of recorded series."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.command_line import ROOT, refused, tocsin
from tests.review.reference_tables import DAY, MINUTE, History, utc

from tocsin.cloud.embedded import embedded
from tocsin.cloud.session import connect
from tocsin.history.partitions import merge_rows
from tocsin.history.store import open_store
from tocsin.render.history_stack import render_history_stack

OCTOBER, NOVEMBER = utc("2026-10-01 00:00"), utc("2026-11-01 00:00")
BUCKET, PREFIX = "reviews-of-slos", "tocsin"


def month(system: str = "shop") -> History:
    """October with an hour of failures that paged, and what the on-call tool says of it."""
    history = History()
    history.promise("api", system=system)
    history.asked("api", OCTOBER, NOVEMBER, system=system, period=3600)
    failed = utc("2026-10-14 08:00")
    history.steady("api", OCTOBER, failed, 1000, system=system)
    history.steady("api", failed, failed + timedelta(hours=1), 1000, 400, system=system)
    history.steady("api", failed + timedelta(hours=1), NOVEMBER, 1000, system=system)
    page = f"prod-{system}-api-page"
    history.alarm(page, "page", "api", system=system)
    history.alarms_asked(OCTOBER, NOVEMBER, system=system)
    history.alarmed(page, failed + 7 * MINUTE, failed + 90 * MINUTE, system=system)
    history.alert(page, failed + 7 * MINUTE, failed + 11 * MINUTE, failed + 97 * MINUTE, system=system)
    return history


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """The environment's variables of an embedded AWS with the history's stack, and the month in its bucket."""
    with pytest.MonkeyPatch.context() as patch, embedded(tmp_path_factory.mktemp("aws")) as aws:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_REGION", aws.region)
        patch.setenv("AWS_ENDPOINT_URL", aws.endpoint)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        cloud = connect()
        cloud.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.region})
        formation = cloud.client("cloudformation")
        given = {"Bucket": BUCKET, "Prefix": PREFIX, "Systems": "shop"}
        formation.create_stack(
            StackName="history",
            TemplateBody=render_history_stack(),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        formation.get_waiter("stack_create_complete").wait(
            StackName="history", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        store = open_store(f"s3://{BUCKET}/{PREFIX}", lambda: cloud)
        with store.locked():
            for partition, rows in month().partitions():
                merge_rows(store, partition, rows)
        yield patch


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tocsin.toml").write_text('timezone = "Europe/Berlin"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_athena_and_the_bucket_give_the_review_of_a_folder(deployed: pytest.MonkeyPatch, project: Path) -> None:
    month().write(project / "history")
    said = []
    for name, where in (("folder", ()), ("bucket", ("--history", f"s3://{BUCKET}/{PREFIX}")), ("athena", ())):
        engine = ("--engine", "athena") if name == "athena" else ()
        result = tocsin("review", "--month", "2026-10", *where, *engine, "-o", f"{name}.html")
        assert result.exit_code == 0, result.output
        said.append(result.stdout.replace(name, "it"))
    assert said[0] == said[1] == said[2]
    assert "99.95 %" in said[0]
    for kind in ("html", "md"):
        pages = [(project / f"{name}.{kind}").read_bytes() for name in ("folder", "bucket", "athena")]
        assert pages[0] == pages[1] == pages[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--workgroup", "nobody"), "cannot ask Athena (workgroup nobody, database tocsin_history)"),
        (("--database", "nothing"), "cannot ask Athena (workgroup tocsin-history, database nothing)"),
        (("--history", "history"), "--history goes with --engine duckdb"),
        (("--system", "shp"), "no system 'shp'"),
    ],
)
def test_what_athena_cannot_answer_is_one_line(
    deployed: pytest.MonkeyPatch, project: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = tocsin("review", "--month", "2026-10", "--engine", "athena", *arguments)
    assert result.exit_code != 0
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("tocsin: ")
    assert said in line
    assert list(project.iterdir()) == [project / "tocsin.toml"]


# --- series -----------------------------------------------------------------------------------------------------------


def busy_database(path: Path) -> Path:
    """Two weeks of a database that is busy for eight minutes each night, when a job runs."""
    minutes = [97 if 120 <= minute % 1440 < 128 else 30 + (minute * 7919) % 23 for minute in range(14 * DAY // MINUTE)]
    series = {
        "Namespace": "AWS/RDS",
        "MetricName": "CPUUtilization",
        "Dimensions": {"DBInstanceIdentifier": "orders"},
        "Period": 60,
        "Start": "2026-10-05T00:00:00Z",
        "Statistic": "Average",
        "Values": minutes,
    }
    path.write_text(json.dumps(series) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project of the reference systems, and a history of one of them elsewhere."""
    monkeypatch.chdir(ROOT)
    month("data_pipeline").write(tmp_path / "history")
    return tmp_path


def test_series_become_suggestions_with_their_reasons(here: Path) -> None:
    series = busy_database(here / "cpu.jsonl")
    asked = ("review", "--month", "2026-10", "--history", here / "history", "--series", series)
    result = tocsin(*asked, "--param", "DatabaseName=orders", "-o", here / "r.html", "--json")
    assert result.exit_code == 0, result.output
    (one,) = [each for each in json.loads(result.stdout)["suggestions"] if "threshold" in each["change"]]
    assert (one["system"], one["alarm"]) == ("data_pipeline", "prod-data_pipeline-Database-rds-instance-cpu")
    assert one["change"].startswith("threshold 90, 5 of 5 → threshold ")
    assert one["because"].startswith("false alarms 14 → 0")
    assert one["because"].partition("from ")[2].startswith("2026-10-05 to 2026-10-19")
    assert "false alarms 14 → 0" in (here / "r.html").read_text(encoding="utf-8")
    assert "false alarms 14 → 0" in (here / "r.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "cpu.jsonl"),
        ("not json", "cpu.jsonl"),
        ("", "holds no series"),
        (None, "no alarm"),
    ],
)
def test_series_of_no_use_are_one_line(here: Path, text: str | None, said: str) -> None:
    path = busy_database(here / "cpu.jsonl")
    if text is not None:
        path.write_text(text, encoding="utf-8")
    # Without --param the alarm is on another database.
    asked = ("review", "--month", "2026-10", "--history", here / "history", "--series", path, "-o", here / "r.html")
    result = tocsin(*asked)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert said in line
    assert not (here / "r.html").exists()


def test_series_of_a_system_that_is_not_declared(here: Path) -> None:
    series = busy_database(here / "cpu.jsonl")
    month().write(here / "history")
    said = refused(
        "review",
        "--month",
        "2026-10",
        "--history",
        here / "history",
        "--series",
        series,
        "--system",
        "shop",
        folder=here,
    )
    assert "no system 'shop' is declared here" in said
