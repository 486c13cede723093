"""What is committed is what is declared, and the same on every machine; what is not is found."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import NOTIFICATION, ROOT, process, snapshot, tocsin
from tocsin.declarations import load_systems
from tocsin.plan import plan
from tocsin.project import find_project
from tocsin.workspace import compare, generate, runbooks

GENERATED = ("SLOs.md", "alarms", "dashboards", "deploy/routing.yaml", "runbooks/README.md")


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All of this repository that the command line reads or writes, in a place where it may be changed."""
    for name in ("alarms", "dashboards", "deploy", "monitoring/systems", "runbooks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("SLOs.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def findings() -> list[tuple[str, str]]:
    return [(one["id"], one["where"]) for one in json.loads(tocsin("check", "--json").stdout)["findings"]]


def test_regenerated_equals_committed() -> None:
    project = find_project(ROOT)
    plans = [plan(system, project.settings) for system in load_systems(project.root, project.systems)]
    assert compare(ROOT, generate(plans, project), (project.alarms, project.dashboards)) == ()
    assert all((ROOT / one.path).is_file() for one in runbooks(plans, project))


def test_a_copy_elsewhere_is_built_to_the_same_bytes(copy: Path) -> None:
    """Nothing of a path, a clock or a version gets into what is generated."""
    for name in GENERATED:
        path = copy / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert tocsin("build").exit_code == 0
    for name in GENERATED:
        for path in sorted((ROOT / name).rglob("*")) if (ROOT / name).is_dir() else [ROOT / name]:
            if path.is_file() and name != "runbooks/README.md":
                assert (copy / path.relative_to(ROOT)).read_bytes() == path.read_bytes(), path
    assert findings() == []


def test_two_hash_seeds_two_processes_two_places_one_result(tmp_path: Path) -> None:
    trees = []
    for seed, place in (("1", "here"), ("4242", "there/deeper")):
        folder = tmp_path / place
        (folder / "templates").mkdir(parents=True)
        for name in ("notification", "data_pipeline"):
            shutil.copy(ROOT / "deploy" / name / "template.yaml", folder / "templates" / f"{name}.yaml")
        surroundings = {"PYTHONHASHSEED": seed, "TZ": f"UTC{seed[0]}", "LC_ALL": "C.UTF-8" if seed == "1" else "C"}
        outcome = process("build", "--templates", "templates", "--out", "out", cwd=folder, environment=surroundings)
        assert outcome.returncode == 0, outcome.stderr
        trees.append((snapshot(folder / "out"), outcome.stdout))
    assert trees[0] == trees[1]
    assert len(trees[0][0]) > 10


def test_the_order_of_a_template_is_of_no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    from tocsin.cloudformation.document import load

    monkeypatch.chdir(tmp_path)
    tree = load(NOTIFICATION).tree
    reversed_tree = {**tree, "Resources": dict(reversed(tree["Resources"].items()))}
    results = []
    for name, one in (("one", tree), ("two", reversed_tree)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "shop.yaml").write_text(yaml.safe_dump(one, sort_keys=False))
        assert tocsin("build", "--template", f"{name}/shop.yaml", "--out", f"{name}/out").exit_code == 0
        results.append(snapshot(tmp_path / name / "out"))
    assert results[0] == results[1]


class TestDrift:
    @pytest.fixture(autouse=True)
    def built(self, copy: Path) -> None:
        assert tocsin("build").exit_code == 0

    def test_none(self, copy: Path) -> None:
        assert findings() == []

    def test_an_alarm_edited_by_hand_is_shown_with_the_difference(self, copy: Path) -> None:
        path = copy / "alarms" / "notification.yaml"
        text = path.read_text()
        path.write_text(text.replace("EvaluationPeriods: 1\n", "EvaluationPeriods: 2\n", 1))
        result = tocsin("check")
        assert result.exit_code == 1
        lines = result.stdout.splitlines()
        begin = lines.index("alarms/notification.yaml: T001 edited by hand, or not rebuilt")
        assert lines[begin + 1 : begin + 3] == [
            "--- alarms/notification.yaml",
            "+++ alarms/notification.yaml (as declared)",
        ]
        removed = next(line for line in lines[begin + 3 :] if line.startswith("-"))
        added = next(line for line in lines[begin + 3 :] if line.startswith("+"))
        assert (removed.split(), added.split()) == (["-", "EvaluationPeriods:", "2"], ["+", "EvaluationPeriods:", "1"])
        assert tocsin("build").exit_code == 0
        assert path.read_text() == text

    @pytest.mark.parametrize(
        "name", ["SLOs.md", "dashboards/data_pipeline.json", "alarms/README.md", "deploy/routing.yaml"]
    )
    def test_any_generated_file(self, name: str, copy: Path) -> None:
        text = (copy / name).read_text()
        (copy / name).write_text(text + "\n")
        assert findings() == [("T001", name)]
        (copy / name).unlink()
        assert findings() == [("T002", name)]

    def test_a_changed_declaration_that_was_not_built(self, copy: Path) -> None:
        path = copy / "monitoring" / "systems" / "notification.py"
        path.write_text(path.read_text().replace('objective="99.9%"', 'objective="99.8%"', 1))
        where = {where for rule, where in findings() if rule == "T001"}
        assert {"SLOs.md", "alarms/notification.yaml", "dashboards/notification.json"} <= where
        assert "alarms/data_pipeline.yaml" not in where

    def test_a_changed_template_that_was_not_built(self, copy: Path) -> None:
        path = copy / "deploy" / "notification" / "template.yaml"
        text = path.read_text()
        assert "Default: 60" in text
        path.write_text(text.replace("Default: 60", "Default: 45", 1))
        assert ("T001", "alarms/notification.yaml") in findings()

    def test_a_system_that_is_declared_no_more(self, copy: Path) -> None:
        (copy / "monitoring" / "systems" / "data_pipeline.py").unlink()
        assert {("T003", "alarms/data_pipeline.yaml"), ("T003", "dashboards/data_pipeline.json")} <= set(findings())
        assert tocsin("build").exit_code == 0
        assert not (copy / "alarms" / "data_pipeline.yaml").exists()
        # Its owner still has a team, which is a person's to take out.
        assert findings() == [("T063", "deploy/oncall.toml")]


def test_the_stacks_of_the_reference_systems_are_as_rendered() -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "deploy.render", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
