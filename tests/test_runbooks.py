"""A runbook for each alarm kind, an alarm kind for each runbook, and commands in them that exist."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

from tocsin.catalog import entries
from tocsin.model import SliKind

FOLDER = Path(__file__).parents[1] / "runbooks"
SECTIONS = ["Meaning", "Impact", "First look", "Mitigate", "Escalate", "Tune"]
SYMPTOMS = {kind.id: kind.symptom for entry in entries() for kind in entry.alarm_kinds}
KINDS = sorted({*SYMPTOMS, *(f"slo-{kind.value}" for kind in SliKind)})
# The index is generated; everything else here was written by a person.
FILES = sorted(path.stem for path in FOLDER.glob("*.md") if path.name != "README.md")

# Commands that only the command line has, with the options used here.
_GROUP_RULE = {"--group-id", "--protocol", "--port", "--source-group", "--cidr"}
CLI_ONLY = {
    ("ec2", "authorize-security-group-egress"): _GROUP_RULE,
    ("ec2", "authorize-security-group-ingress"): _GROUP_RULE,
    ("ec2", "revoke-security-group-ingress"): _GROUP_RULE,
    ("logs", "tail"): {"--since", "--filter-pattern", "--follow", "--format"},
    ("rds", "wait"): {"--db-instance-identifier"},
}
EVERYWHERE = {
    "--query",
    "--output",
    "--region",
    "--cli-binary-format",
    "--max-items",
    "--no-cli-pager",
    "--cli-input-json",
}

each_runbook = pytest.mark.parametrize("kind", FILES)


def _text(kind: str) -> str:
    return (FOLDER / f"{kind}.md").read_text(encoding="utf-8")


def _blocks(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_runbooks_and_alarm_kinds_are_in_bijection() -> None:
    assert KINDS == FILES


@each_runbook
def test_a_runbook_begins_with_its_kind_and_symptom(kind: str) -> None:
    title = _text(kind).splitlines()[0]
    assert re.fullmatch(rf"# {re.escape(kind)}: .*[^.]", title)
    if kind in SYMPTOMS:
        assert title == f"# {kind}: {SYMPTOMS[kind]}"


@each_runbook
def test_a_runbook_has_the_six_sections_in_order_and_none_is_empty(kind: str) -> None:
    prose = re.sub(r"^```.*?^```$", "block", _text(kind), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"^## (.*)$", prose, re.MULTILINE) == SECTIONS
    assert re.findall(r"^#+ ", prose, re.MULTILINE) == ["# "] + ["## "] * 6
    for body in re.split(r"^## .*$", prose, flags=re.MULTILINE)[1:]:
        assert len(body.split()) >= 5


@each_runbook
def test_links_lead_to_runbooks_that_are_there(kind: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", _text(kind)):
        assert target.startswith("https://") or (FOLDER / target).is_file(), target


@each_runbook
def test_every_variable_of_a_command_is_set_in_the_same_block_or_before(kind: str) -> None:
    known: set[str] = set()
    blocks = _blocks(_text(kind))
    assert blocks
    assert set(re.findall(r"^```(.*)$", _text(kind), re.MULTILINE)) <= {"sh", "sql", "text", ""}
    for block in blocks:
        for line in block.splitlines():
            used = set(re.findall(r"\$\{?([A-Z][A-Z0-9_]*)", line))
            known |= set(re.findall(r"(?:^|\s)([A-Z][A-Z0-9_]*)=", line))
            known |= set(re.findall(r"\bfor ([A-Z][A-Z0-9_]*) in", line))
            assert used <= known, f"{sorted(used - known)} in: {line}"


@each_runbook
def test_every_block_is_shell(kind: str) -> None:
    for block in _blocks(_text(kind)):
        checked = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


@functools.cache
def _options(service: str, command: str) -> set[str]:
    session = botocore.session.get_session()
    model = session.get_service_model({"s3api": "s3"}.get(service, service))
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    assert command in operations, f"aws {service} {command} does not exist"
    shape = model.operation_model(operations[command]).input_shape
    options = set()
    for name, member in (shape.members if shape else {}).items():
        options.add(f"--{xform_name(name, '-')}")
        if member.type_name == "boolean":
            options.add(f"--no-{xform_name(name, '-')}")
    return options


@each_runbook
def test_commands_exist_and_take_these_options(kind: str) -> None:
    text = _text(kind).replace("\\\n", " ")
    calls = re.findall(r"\baws ([a-z][a-z0-9-]+) ([a-z][a-z0-9-]+)(.*?)(?=\baws [a-z]|\n|`)", text)
    assert calls or kind.startswith("slo-")
    for service, command, rest in calls:
        known = CLI_ONLY.get((service, command)) or _options(service, command)
        given = set(re.findall(r"(?<=\s)--[a-z][a-z0-9-]*", rest))
        assert given <= known | EVERYWHERE, f"aws {service} {command}: {sorted(given - known - EVERYWHERE)}"
