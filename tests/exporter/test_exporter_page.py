"""docs/exporter.md: its commands print what it shows, its table is what is exposed, its policy is what is needed."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from tests.debian_programs import NoProgramError, debian_program
from tests.exporter.exporter_world import ENVIRONMENT, World, receiving_pushes, shop_world
from tests.oncall.oncall_tools import ACCOUNT, allow, as_caller, cloud_of, lessened, make_caller

from command_line import command, tocsin
from documents import ROOT, SHELL, Step, broken_links, fences, missing, steps
from tocsin.declarations import load_systems
from tocsin.exporter.metrics import FAMILIES
from tocsin.exporter.refresh import READ_AGAIN, SETTLED_AFTER
from tocsin.history.counts import queries_of

pytestmark = pytest.mark.long

PAGE = ROOT / "docs" / "exporter.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = fences(PAGE, "docs/exporter.md")
COMMANDS = [step for fence in BLOCKS if fence.language in SHELL for step in steps(fence)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    pytest.importorskip("ministack", reason="the embedded AWS is not installed")
    with shop_world(tmp_path_factory.mktemp("aws"), tmp_path_factory.mktemp("project")) as world:
        world.enter("prod")
        yield world


@pytest.fixture
def shop(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(world.project)
    return world


@pytest.mark.parametrize("step", COMMANDS, ids=lambda step: step.command)
def test_commands_print_what_is_shown(shop: World, step: Step) -> None:
    words = shlex.split(step.command)
    if words[0] == "promtool":
        printed = rules_are_fine(shop)
    elif "--push" in words:
        with receiving_pushes(200) as (address, requests):
            place = words.index("--push") + 1
            shown_address, words[place] = words[place], address
            printed = run(words).replace(address, shown_address)
            assert len(requests) == 1
    elif words[1] == "exporter":
        printed = served(shop, words)
    else:
        printed = run(words)
    absent = missing(list(step.shown), printed, whole=True)
    assert absent is None, f"{step.where}: does not print\n{absent}\n\nbut\n{printed}"


def run(words: list[str]) -> str:
    done = tocsin(*words[1:])
    assert done.exit_code == 0, done.output
    return done.output


def served(shop: World, words: list[str]) -> str:
    """What the command prints until it is told to end; on a free port, since the usual one may be taken here."""
    child = subprocess.Popen(
        [*command(*words[1:]), "--port", "0"], cwd=shop.project, stdout=subprocess.PIPE, encoding="utf-8"
    )
    late = threading.Timer(200, child.kill)
    late.start()
    try:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(2)]
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    finally:
        late.cancel()
        child.kill()
        child.communicate()
    return re.sub(r"(127\.0\.0\.1):\d+", r"\1:9464", "".join(lines))


def rules_are_fine(shop: World) -> str:
    try:
        program = debian_program("promtool")
    except NoProgramError as reason:
        pytest.skip(str(reason))
    assert tocsin("build", "--prometheus").exit_code == 0
    files = sorted((shop.project / "prometheus").glob("*.rules.yaml"))
    done = subprocess.run([program, "check", "rules", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_configuration_of_prometheus(tmp_path: Path) -> None:
    (text,) = [fence.text for fence in BLOCKS if fence.options.get("file") == "prometheus.yml"]
    (tmp_path / "prometheus.yml").write_text(text)
    (tmp_path / "prometheus").mkdir()
    try:
        program = debian_program("promtool")
    except NoProgramError as reason:
        pytest.skip(str(reason))
    done = subprocess.run(
        [program, "check", "config", "prometheus.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert yaml.safe_load(text)["scrape_configs"][0]["static_configs"][0]["targets"] == ["127.0.0.1:9464"]


def test_the_inhibition_names_labels_that_there_are() -> None:
    (text,) = [fence.text for fence in BLOCKS if fence.options.get("file") == "alertmanager.yml"]
    (rule,) = yaml.safe_load(text)["inhibit_rules"]
    (labels,) = [family.labels for family in FAMILIES if family.name == "slo_sli_valid_total"]
    assert set(rule["equal"]) <= set(labels)


def test_the_table_is_what_is_exposed() -> None:
    rows = re.findall(r"^\| `(slo_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", TEXT, re.MULTILINE)
    expected = [
        (
            family.name,
            "counter" if family.counter else "gauge",
            " ".join(f"`{label}`" for label in family.labels),
            family.help,
        )
        for family in FAMILIES
    ]
    assert rows == expected


def test_the_cost_is_computed() -> None:
    systems = load_systems(ROOT, "monitoring/systems", {})
    own = sum(len(queries_of(slo, 60)) for system in systems for slo in system.slos)
    slos = sum(len(system.slos) for system in systems)
    assert f"| {own}, the {'ten' if slos == 10 else slos} SLOs of this repository |" in TEXT
    rows = re.findall(r"^\| (\d+), .*? \| USD ([\d.]+) a month \| USD ([\d.]+) a month \|$", TEXT, re.MULTILINE)
    assert len(rows) == 2
    for metrics, *stated in rows:
        for seconds, usd in zip((60, 300), stated, strict=True):
            refreshes = Fraction(730 * 3600, seconds)
            assert f"{float(int(metrics) * refreshes / 100_000):.2f}" == usd


def test_what_it_says_of_time() -> None:
    assert SETTLED_AFTER.total_seconds() == 120
    assert "read two minutes\nafter its end" in TEXT
    assert f"again for {READ_AGAIN.total_seconds() / 60:.0f} minutes" in TEXT


def test_links_lead_somewhere() -> None:
    assert broken_links(PAGE) == []


def test_the_policy_is_exactly_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ministack", reason="the embedded AWS is not installed")
    (text,) = [fence.text for fence in BLOCKS if fence.options.get("policy") == "exporter"]
    (tmp_path / "aws").mkdir()
    (tmp_path / "project").mkdir()
    with shop_world(tmp_path / "aws", tmp_path / "project", iam=True) as shop:
        monkeypatch.chdir(shop.project)
        shop.enter("prod")
        # Straight to the AWS: what a proxy passes on is signed for another address.
        (shop.project / "deploy" / "environments.toml").write_text(
            ENVIRONMENT.format(name="prod", endpoint=shop.aws.endpoint)
        )
        root = cloud_of(shop.aws)
        policy = json.loads(text.replace("111122223333", ACCOUNT))
        caller = make_caller(root, "exporter")
        allow(root, caller, policy)
        with receiving_pushes(200) as (address, requests), as_caller(shop.aws, key=caller.key, secret=caller.secret):
            done = tocsin("exporter", "prod", "--push", address)
            assert done.exit_code == 0, done.output
            for action, statements in lessened(policy):
                allow(root, caller, statements)
                refused = tocsin("exporter", "prod", "--push", address)
                assert refused.exit_code == 2, f"{action} is not needed"
                assert "not allowed" in refused.stderr
            assert len(requests) == 1
