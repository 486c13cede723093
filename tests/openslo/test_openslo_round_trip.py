"""What both sides can say comes back as it went: exactly, and in a declaration that needs no formatter."""

from __future__ import annotations

import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from command_line import ROOT, tocsin
from openslo.openslo_rules import problems
from openslo.openslo_systems import offers, stack_of, systems, write_templates
from tocsin.cloudformation.document import load
from tocsin.declarations import load_systems
from tocsin.model import System
from tocsin.openslo.documents import decimals, to_yaml
from tocsin.openslo.export import export
from tocsin.openslo.imported import Imported, import_files
from tocsin.openslo.node import exact
from tocsin.openslo.reading import read_files

# A system prints over pages, and is small enough as it is drawn.
UNSHRUNK = [Phase.explicit, Phase.reuse, Phase.generate]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("openslo")
    write_templates(folder)
    (folder / "monitoring" / "systems").mkdir(parents=True)
    return folder


def there_and_back(folder: Path, *declared: System) -> tuple[Imported, tuple[System, ...]]:
    """Export, import, and load what was written."""
    path = folder / "exported.yaml"
    path.write_text(to_yaml(export(declared).documents), encoding="utf-8")
    imported = import_files(read_files([path]), None, lambda name: stack_of(folder, name))
    (folder / "monitoring" / "systems" / "imported.py").write_text(imported.text, encoding="utf-8")
    return imported, load_systems(folder, "monitoring/systems")


@given(data=st.data())
@settings(
    phases=UNSHRUNK,
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_a_system_comes_back_as_it_went(folder: Path, data: st.DataObject) -> None:
    declared = data.draw(systems(folder))
    imported, loaded = there_and_back(folder, declared)
    assert imported.left_out == imported.remarks == ()
    (found,) = loaded
    assert (found.name, found.owner, found.description, found.template) == (
        declared.name,
        declared.owner,
        declared.description,
        declared.template,
    )
    assert found.slos == declared.slos
    assert imported.systems == loaded


@given(data=st.data())
@settings(
    phases=UNSHRUNK,
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_what_is_exported_keeps_to_the_specification_and_is_the_same_each_time(
    folder: Path, data: st.DataObject
) -> None:
    declared = data.draw(st.lists(systems(folder), min_size=1, max_size=3, unique_by=lambda one: one.name))
    text = to_yaml(export(declared).documents)
    documents = list(yaml.safe_load_all(text))
    assert problems(documents) == []
    assert to_yaml(export(reversed(declared)).documents) == text
    assert sum(one["kind"] == "SLO" for one in documents) == sum(len(one.slos) for one in declared)


@pytest.mark.parametrize("name", ["notification.yaml", "data_pipeline.yaml", "shop.yaml"])
def test_every_promise_that_a_template_offers_comes_back(folder: Path, name: str) -> None:
    found = offers(folder, name)
    assert len(found) > 20
    from datetime import timedelta

    from openslo.openslo_systems import made

    slos = [made(offer, Fraction(999, 1000), timedelta(days=28), name=f"p{n}") for n, offer in enumerate(found)]
    declared = System("all", "team", stack_of(folder, name), [slo for slo in slos if slo])
    imported, (loaded,) = there_and_back(folder, declared)
    assert imported.left_out == imported.remarks == ()
    assert loaded.slos == declared.slos


def test_the_reference_systems_come_back_but_for_the_heartbeat(tmp_path: Path) -> None:
    declared = load_systems(ROOT, "monitoring/systems")
    exported = export(declared)
    path = tmp_path / "all.yaml"
    path.write_text(to_yaml(exported.documents), encoding="utf-8")
    by_path = {system.template: system for system in declared}
    from tocsin.discovery import discover

    imported = import_files(read_files([path]), None, lambda name: discover(ROOT / name, shown_as=name))
    assert imported.left_out == imported.remarks == ()
    for system in imported.systems:
        before = [slo for slo in by_path[system.template].slos if slo.objective is not None]
        assert [(one.name, one.objective, one.window, one.because, one.minimum_bad_events) for one in system.slos] == [
            (one.name, one.objective, one.window, one.because, one.minimum_bad_events) for one in before
        ]
        assert [one.sli.measure for one in system.slos] == [one.sli.measure for one in before]
        assert [one.sli.good for one in system.slos] == [one.sli.good for one in before]
    assert [line for line in exported.left_out if "daily-run" in line] == [
        "notification/daily-run: heartbeat is kept or broken; OpenSLO knows shares only"
    ]


def test_a_declaration_that_was_imported_needs_no_formatter(folder: Path) -> None:
    declared = load_systems(ROOT, "monitoring/systems")
    path = folder / "all.yaml"
    path.write_text(to_yaml(export(declared).documents), encoding="utf-8")
    from tocsin.discovery import discover

    text = import_files(read_files([path]), None, lambda name: discover(ROOT / name, shown_as=name)).text
    for command in (["check", "--select", "E4,E7,E9,F,I,UP,B,W,RUF100"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@given(st.fractions(0, 1))
def test_a_decimal_is_exact_or_it_is_none(value: Fraction) -> None:
    text = decimals(value)
    if text is None:
        assert pow(10, value.denominator.bit_length(), value.denominator) != 0
    else:
        assert exact(text) == value


def test_an_objective_is_written_and_read_without_a_float_between(folder: Path) -> None:
    assert decimals(Fraction(999, 1000)) == "0.999"
    assert exact("0.999") == Fraction(999, 1000)
    assert exact("99.95") == Fraction(9995, 100)
    assert Fraction(0.999) != Fraction(999, 1000)


def test_the_reference_systems_imported_by_commands_build_the_same_alarms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what OpenSLO can say: not of the heartbeat, nor of what no SLO is about."""
    for name in ("notification", "data_pipeline"):
        declared = ROOT / "deploy" / name / "template.yaml"
        (tmp_path / "deploy" / name).mkdir(parents=True)
        (tmp_path / "deploy" / name / "template.yaml").write_bytes(declared.read_bytes())
    documents = tmp_path / "all.yaml"
    monkeypatch.chdir(ROOT)
    assert tocsin("export", "openslo", "-o", str(documents)).exit_code == 0
    monkeypatch.chdir(tmp_path)
    done = tocsin("import", "openslo", "all.yaml", "-o", "monitoring/systems/all.py")
    assert done.exit_code == 0, done.output
    built = tocsin("build")
    assert built.exit_code == 0, built.output
    for name in ("notification", "data_pipeline"):
        before, after = (alarms_of_slos(folder / "alarms" / f"{name}.yaml") for folder in (ROOT, tmp_path))
        assert after == {key: one for key, one in before.items() if "-daily-run-" not in key}
        assert len(after) >= 40


def alarms_of_slos(path: Path) -> dict[str, object]:
    """The alarms on burn rates of an alarm template, and those that tell people of them, by name."""
    resources = load(path).tree["Resources"]
    found = {str(one["Properties"]["AlarmName"]["Fn::Sub"]): one["Properties"] for one in resources.values()}
    return {key: one for key, one in found.items() if re.search(r"-(burn-\w+-(long|short)|page|ticket)$", key)}


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=12), max_size=5))
def test_any_text_is_read_again_as_it_was(texts: list[str]) -> None:
    assert list(yaml.safe_load_all(to_yaml([{"a": texts}]))) == [{"a": texts}]


@pytest.mark.parametrize(
    "text", ["yes", "1e3", "0x1f", "2026-01-01", "~", "a: b", "\x85", "a\n\x85", "\u2028", "\ufeff", "\r\n"]
)
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert list(yaml.safe_load_all(to_yaml([{"a": text}]))) == [{"a": text}]
