"""``tocsin exporter`` as people run it: a process that is scraped, told to end, mis-called; and one that pushes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.debian_programs import NoProgramError, debian_program
from tests.exporter.exporter_world import DECLARATION, World, minutes, receiving_pushes, shop_world

from command_line import command, only_line, process, refused, tocsin
from tocsin.exporter.metrics import FAMILIES

pytestmark = pytest.mark.long

_numbers = count(1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    pytest.importorskip("ministack", reason="the embedded AWS is not installed")
    with shop_world(tmp_path_factory.mktemp("aws"), tmp_path_factory.mktemp("project")) as world:
        yield world


@pytest.fixture
def shop(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world in an environment of the test's own, in which a hundred orders a minute are placed, a tenth of them lost."""
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(world.project)
    world.enter(f"c{next(_numbers)}")
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)
    world.put("Placed", minutes(start, [100.0] * 125))
    world.put("Lost", minutes(start, [10.0] * 125))
    world.put_alarm(f"{world.environment}-shop-orders-page", "ALARM")
    return world


def fetch(url: str, accept: str = "") -> str:
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return str(answer.read().decode())


def eventually(url: str, wanted: str, seconds: float = 200) -> str:
    """The page once it has this in it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if re.search(wanted, page := fetch(url)):
                return page
        except OSError:
            page = "no answer"
        time.sleep(0.1)
    pytest.fail(f"{wanted} did not appear at {url}: {page[-2000:]}")


@contextmanager
def exporting(world: World, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running program and where it is scraped."""
    child = subprocess.Popen(
        command("exporter", world.environment, "--port", "0", *options),
        cwd=world.project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line.startswith("serving http://127.0.0.1:"), (line, child.stderr and child.stderr.read())
        yield child, line.split()[1]
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate(timeout=60)


def test_scraped_often_it_asks_rarely_and_ends_when_told(shop: World, tmp_path: Path) -> None:
    with exporting(shop, "--interval", "1h", "--stale-after", "2h") as (child, url):
        page = eventually(url, r"slo_exporter_refreshes_total\{.*\} 1.0")
        before = sum(shop.proxy.counted.values())
        for _ in range(100):
            page = fetch(url)
        assert sum(shop.proxy.counted.values()) == before, "a scrape asks AWS nothing"
        found = {family.name: family for family in text_string_to_metric_families(page)}
        burn = {
            sample.labels["window"]: sample.value
            for sample in found["slo_burn_rate"].samples
            if sample.labels["slo"] == "orders"
        }
        assert burn["1h"] == 100.0, "a tenth is lost where a thousandth may be"
        assert "process_cpu_seconds" in found
        assert "python_info" in found
        check_metrics(page)
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
        assert out.splitlines()[-1] == "ended"
        assert "3 SLOs of 1 system read with " in out
        assert "5 metrics a refresh: USD 0.04 a month" in out, "5 x 730 times USD 0.00001"
        assert err == ""


def check_metrics(page: str) -> None:
    """promtool finds nothing wrong with names, units and help; where it can be had."""
    try:
        checked = debian_program("promtool")
    except NoProgramError as reason:
        pytest.skip(str(reason))
    # What the client library says of its process is its own business.
    own = "\n".join(line for line in page.splitlines() if re.match(r"(# (HELP|TYPE) )?slo_", line)) + "\n"
    assert own.count("# HELP") == len(FAMILIES)
    for text in (own, page):
        done = subprocess.run([checked, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_it_refreshes_by_itself_and_tells_of_a_refusal_once(shop: World) -> None:
    with exporting(shop, "--interval", "10s") as (child, url):
        eventually(url, r"slo_exporter_refreshes_total\{.*\} 1.0")
        shop.proxy.refusals["GetMetricData"] = (400, "AccessDeniedException")
        page = eventually(url, r'slo_exporter_refresh_failures_total\{.*reason="denied".*\} [2-9]')
        assert "slo_objective_ratio{" in page, "still young enough"
        (before,) = re.findall(r"^slo_exporter_last_success_timestamp_seconds\{.*\} (\S+)$", page, re.MULTILINE)
        shop.proxy.refusals.clear()
        eventually(url, rf"slo_exporter_last_success_timestamp_seconds\{{.*\}} (?!{re.escape(before)}\n)")
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
        assert child.returncode == 0
        lines = err.splitlines()
        assert len(lines) == 2, err
        assert "not allowed to read metrics" in lines[0]
        assert lines[1] == "tocsin: shop: up to date again"


class TestMisused:
    def test_a_port_that_is_taken(self, shop: World) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            done = process("exporter", shop.environment, "--port", str(port), cwd=shop.project)
        assert done.returncode == 2
        assert only_line(done.stderr).startswith(f"cannot listen on 127.0.0.1, port {port}: Address already in use")

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--interval", "soon"], "--interval: not a duration"),
            (["--interval", "1s"], "--interval: CloudWatch has a datapoint a minute"),
            (["--interval", "20min"], "--stale-after: figures would be withdrawn before the next refresh"),
            (
                ["--interval", "14min"],
                "--stale-after: figures would be withdrawn before the next refresh, for they are up to 3 minutes old "
                "when they are read; give at least 17min",
            ),
            (["--interval", "10s", "--stale-after", "3min"], "--stale-after: figures would be withdrawn before"),
            (["--stale-after", "x"], "--stale-after: not a duration"),
            (["--system", "shpo"], "--system shpo: no such system is declared; did you mean 'shop'?"),
            (["--job", "x"], "--job goes with --push"),
            (["--json"], "--json goes with --push"),
            (["--push", "http://127.0.0.1:9", "--job", ""], "--job: a job needs a name"),
            (["--push", "http://127.0.0.1:9", "--port", "1"], "--port goes without --push"),
            (["--push", "http://127.0.0.1:9", "--interval", "1h"], "--interval goes without --push"),
            (["--push", "gateway:9091"], "--push gateway:9091: not an address"),
            (["--push", "http://user:secret@127.0.0.1:9"], "--push: a password has no place in an address"),
            (["--push", "http://127.0.0.1:x"], "--push: Port could not be cast"),
            (["--history", "ftp://x"], "history 'ftp://x': neither a folder nor s3://bucket/prefix"),
        ],
    )
    def test_options(self, shop: World, options: list[str], said: str) -> None:
        line = refused("exporter", shop.environment, *options)
        assert line.startswith(said), line
        assert "secret" not in line

    def test_an_unknown_environment(self, shop: World) -> None:
        assert "no environment" in refused("exporter", "prdo")

    def test_nothing_promised(self, shop: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for path in ("deploy", "monitoring/systems"):
            (tmp_path / path).mkdir(parents=True)
        (tmp_path / "deploy" / "environments.toml").write_text("[dev]\n")
        text = 'from tocsin import System, discover\nsystem = System("shop", "payments", discover("template.yaml"))\n'
        (tmp_path / "monitoring" / "systems" / "shop.py").write_text(text)
        (tmp_path / "template.yaml").write_text("Resources: {Orders: {Type: AWS::SQS::Queue}}\n")
        monkeypatch.chdir(tmp_path)
        assert "no declared system promises anything" in refused("exporter", "dev")


class TestPush:
    def test_to_a_gateway(self, shop: World, gateway: str) -> None:
        for _ in range(2):  # the second takes the place of the first
            done = tocsin("exporter", shop.environment, "--push", gateway, "--job", "slo")
            assert done.exit_code == 0, done.output
            assert done.stdout == f"pushed 3 SLOs of 1 system to {gateway}\n"
        page = fetch(f"{gateway}/metrics")
        found = {family.name: family.samples for family in text_string_to_metric_families(page)}
        (objective,) = (
            one
            for one in found["slo_objective_ratio"]
            if one.labels["slo"] == "orders" and one.labels["environment"] == shop.environment
        )
        assert objective.value == 0.999
        assert objective.labels["job"] == "slo"
        valid = next(
            one.value
            for one in found["slo_sli_valid"]
            if one.labels["slo"] == "orders" and one.labels["environment"] == shop.environment
        )
        assert valid > 0, "since midnight"
        assert "slo_data_age_seconds" not in found, "what is pushed stands, so an age would not be true for long"
        assert not [
            name
            for name in found
            if name.startswith("process_") and any(s.labels.get("job") == "slo" for s in found[name])
        ]

    def test_what_a_gateway_gets(self, shop: World) -> None:
        with receiving_pushes(200) as (address, requests):
            done = tocsin("exporter", shop.environment, "--push", address, "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout) == {
            "pushed": {"shop": ["orders", "mails", "closing"]},
            "failed": [],
            "to": address,
            "job": "tocsin",
        }
        ((method, path, body),) = requests
        assert (method, path) == ("PUT", f"/metrics/job/tocsin/environment/{shop.environment}")
        assert "slo_burn_rate{" in body

    def test_a_system_that_cannot_be_read_is_missing(self, shop: World) -> None:
        other = shop.project / "monitoring" / "systems" / "other.py"
        other.write_text(DECLARATION.replace('name="shop"', 'name="other"'))
        try:
            assert tocsin("build").exit_code == 0
            with receiving_pushes(200) as (address, requests):
                done = tocsin("exporter", shop.environment, "--push", address)
                assert done.exit_code == 1
                assert f"tocsin: other: stack {shop.environment}-other does not exist" in done.stderr
                assert 'slo_exporter_refresh_failures_total{environment="' in requests[0][2]
                assert 'system="other"} 1.0' in requests[0][2]
                assert tocsin("exporter", shop.environment, "--push", address, "--system", "shop").exit_code == 0
        finally:
            other.unlink()
            assert tocsin("build").exit_code == 0
        assert "pushed 3 SLOs of 1 system" in done.stdout
        assert len(requests) == 2

    def test_a_gateway_that_refuses(self, shop: World) -> None:
        with receiving_pushes(400) as (address, _):
            line = refused("exporter", shop.environment, "--push", address)
        assert line.startswith(f"--push {address}: the Pushgateway refused it: 400 Bad Request: not like this")

    def test_a_gateway_that_is_not_there(self, shop: World) -> None:
        line = refused("exporter", shop.environment, "--push", "http://127.0.0.1:9")
        assert line == "--push http://127.0.0.1:9: Connection refused; is the Pushgateway running?"

    def test_nothing_could_be_read(self, shop: World) -> None:
        shop.proxy.refusals["GetMetricData"] = (400, "AccessDeniedException")
        with receiving_pushes(200) as (address, requests):
            done = tocsin("exporter", shop.environment, "--push", address)
        assert done.exit_code == 2
        assert requests == []
        first, last = done.stderr.splitlines()
        assert "not allowed to read metrics" in first
        assert last.startswith(f"tocsin: nothing of {shop.environment} could be read, so nothing was pushed")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's Pushgateway."""
    with running(
        "prometheus-pushgateway", tmp_path_factory.mktemp("gateway"), "--web.listen-address=127.0.0.1:{port}"
    ) as url:
        yield url


@contextmanager
def running(name: str, folder: Path, *options: str) -> Iterator[str]:
    """One of Debian's programs on a free port; skips the test where it cannot be had."""
    try:
        path = debian_program(name)
    except NoProgramError as reason:
        pytest.skip(str(reason))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / f"{name}.log").open("wb") as log:
        child = subprocess.Popen(
            [path, *(option.format(port=port) for option in options)], cwd=folder, stdout=log, stderr=log
        )
        try:
            eventually(f"http://127.0.0.1:{port}/-/ready", "(?i)ok|ready")
            yield f"http://127.0.0.1:{port}"
        finally:
            child.terminate()
            child.wait(60)


def test_prometheus_scrapes_it_and_its_rules_fire(shop: World, tmp_path: Path) -> None:
    """The exporter, the real Prometheus and the generated rules together: the figures arrive, and what is missing is told."""
    assert tocsin("build", "--prometheus").exit_code == 0
    rules = (shop.project / "prometheus" / "shop.rules.yaml").read_text().replace("interval: 1m", "interval: 1s")
    try:
        (tmp_path / "shop.rules.yaml").write_text(rules)
        with exporting(shop, "--interval", "10s") as (_, url):
            (tmp_path / "prometheus.yml").write_text(
                "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
                "rule_files: [shop.rules.yaml]\n"
                f"scrape_configs: [{{job_name: slo, static_configs: [{{targets: ['{url.split('/')[2]}']}}]}}]\n"
            )
            options = (
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                "--web.listen-address=127.0.0.1:{port}",
            )
            with running("prometheus", tmp_path, *options) as prometheus:
                query = f"{prometheus}/api/v1/query?query="
                page = eventually(f'{query}slo_burn_rate{{slo="orders",window="1h"}}', r'"value":\[[0-9.]+,"100"\]')
                assert f'"environment":"{shop.environment}"' in page
                alarm = eventually(f'{query}slo_alarm_state{{state="ALARM"}}==1', r'"value":\[[0-9.]+,"1"\]')
                assert f'"alarm":"{shop.environment}-shop-orders-page"' in alarm
                # The next minutes' events reach the counters, and the share of lost ones burns.
                eventually(f"{prometheus}/api/v1/alerts", r'"alertname":"SloErrorBudgetBurn"[^}]*"severity":"page"')
                assert '"health":"err"' not in fetch(f"{prometheus}/api/v1/rules")
    finally:
        (shop.project / "prometheus" / "shop.rules.yaml").unlink()
        (shop.project / "prometheus").rmdir()
