"""A runbook for each alarm kind, an alarm kind for each runbook, and commands in them that exist and find their values."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import botocore.session
import jmespath
import pytest
from botocore import xform_name
from botocore.validate import validate_parameters

from tocsin.catalog import entries
from tocsin.cloudformation.document import load
from tocsin.model import SliKind
from tocsin.render import delivery_runbook

FOLDER = Path(__file__).parents[1] / "runbooks"
SECTIONS = ["Meaning", "Impact", "First look", "Mitigate", "Escalate", "Tune"]
SYMPTOMS = {
    **{kind.id: kind.symptom for entry in entries() for kind in entry.alarm_kinds},
    delivery_runbook.KIND: delivery_runbook.SYMPTOM,  # of the routing, not of a system
}
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
    ("s3", "cp"): set[str](),
}
# These set everything at once: what the command does not name is taken away.
OVERWRITING = {("lambda", "put-function-event-invoke-config")}
EVERYWHERE = {
    "--query",
    "--output",
    "--region",
    "--cli-binary-format",
    "--cli-read-timeout",
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


def _calls(text: str) -> list[tuple[str, str, str]]:
    """Service, command and the rest of each call, in blocks and in the text between them."""
    joined = text.replace("\\\n", " ")
    return re.findall(r"\baws ([a-z][a-z0-9-]+) ([a-z][a-z0-9-]+)(.*?)(?=\baws [a-z]|\n|`)", joined)


@each_runbook
def test_commands_exist_and_take_these_options(kind: str) -> None:
    calls = _calls(_text(kind))
    assert calls
    for service, command, rest in calls:
        assert (service, command) not in OVERWRITING, f"aws {service} {command} replaces what it does not name"
        known = CLI_ONLY[service, command] if (service, command) in CLI_ONLY else _options(service, command)
        given = set(re.findall(r"(?<=\s)--[a-z][a-z0-9-]*", rest))
        assert given <= known | EVERYWHERE, f"aws {service} {command}: {sorted(given - known - EVERYWHERE)}"


_DIMENSIONS: dict[str, set[frozenset[str]]] = {
    namespace: {
        frozenset(names)
        for entry in entries()
        for metric in entry.metrics
        if metric.namespace == namespace
        for names in metric.dimension_sets
    }
    | {frozenset()}  # the whole account
    for namespace in {metric.namespace for entry in entries() for metric in entry.metrics}
}


@each_runbook
def test_metrics_are_asked_for_by_dimensions_they_are_published_under(kind: str) -> None:
    for service, command, rest in _calls(_text(kind)):
        if (service, command) != ("cloudwatch", "get-metric-statistics"):
            continue
        namespace = re.search(r"--namespace (\S+)", rest)
        assert namespace, rest
        if '"$DIMENSIONS"' in rest or "DIMENSIONS[@]" in rest:  # the alarm's own
            continue
        names = frozenset(re.findall(r"\bName=([A-Za-z]+),", rest))
        assert names in _DIMENSIONS[namespace[1]], f"{namespace[1]} has no metrics under {sorted(names)}"


def _queries(text: str) -> list[str]:
    joined = text.replace("\\\n", " ")
    quoted = re.findall(r"""--query (?:'([^']+)'|"((?:[^"\\]|\\.)+)"|([^\s'"`)]+))""", joined)
    return [re.sub(r"\$\{?[A-Za-z0-9_]+\}?", "x", single or double or bare) for single, double, bare in quoted]


@each_runbook
def test_every_query_of_an_answer_can_be_read(kind: str) -> None:
    for query in _queries(_text(kind)):
        jmespath.compile(query)


@each_runbook
def test_the_first_thing_asked_for_is_the_alarm(kind: str) -> None:
    first = _text(kind).split("## First look")[1]
    assert _blocks(first)[0].startswith("ALARM=…\n")
    assert 'describe-alarms --alarm-names "$ALARM"' in first.replace("--alarm-types CompositeAlarm ", "")


def _described(body: dict[str, Any]) -> dict[str, Any]:
    """An alarm of a template as DescribeAlarms answers it."""
    return {"Dimensions": [], "Metrics": [], **body["Properties"]}


def _alarms() -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """The metric alarms of this repository by the kind whose runbook they name."""
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for path in sorted((FOLDER.parent / "alarms").glob("*.yaml")):
        for name, body in load(path).tree["Resources"].items():
            if body["Type"] == "AWS::CloudWatch::Alarm":
                found.setdefault(body["Metadata"]["Tocsin"]["Kind"], []).append((name, _described(body)))
    return found


# Looked for and not always there: a stage, where the alarm is on the whole API; a bus, where it is not the default one.
_NOT_ALWAYS = {"Stage", "EventBusName", "GlobalSecondaryIndexName"}


@pytest.mark.parametrize("kind", sorted(_alarms()))
def test_what_a_runbook_looks_up_stands_in_the_alarm(kind: str) -> None:
    """The names its commands need come out of the alarms that are deployed, plain ones and those of metric math."""
    looked = [query for query in _queries(_text(kind)) if "Dimensions" in query and "?Name==" in query]
    looked = [query.replace("$1", "x") for query in looked]
    assert looked
    for name, alarm in _alarms()[kind]:
        if kind.startswith("slo-") and kind != "slo-heartbeat":
            # What the promise is measured on decides which of the names there are.
            assert jmespath.search("Metrics[?MetricStat].[Id,MetricStat.Metric]", alarm), name
            continue
        for query in looked:
            if not any(optional in query for optional in _NOT_ALWAYS):
                assert jmespath.search(query, {"MetricAlarms": [alarm]}), f"{name}: {query}"


def test_the_sums_of_an_slo_can_be_asked_for_as_they_stand_in_the_alarm() -> None:
    """Runbooks of promises hand an alarm's ``Metrics`` on to GetMetricData."""
    shape = botocore.session.get_session().get_service_model("cloudwatch").operation_model("GetMetricData").input_shape
    for kind, alarms in _alarms().items():
        for name, alarm in alarms:
            if kind.startswith("slo-") and alarm["Metrics"]:
                queries = json.loads(json.dumps(alarm["Metrics"], default=str))
                for dimension in jmespath.search("[].MetricStat.Metric.Dimensions[]", queries):
                    dimension["Value"] = str(dimension["Value"])
                validate_parameters({"MetricDataQueries": queries, "StartTime": 0, "EndTime": 1}, shape)
                assert name
