"""The stack of a history's tables: what stands in the template, and that the template is one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.exceptions import ABSENT, LINT

from tocsin.cloud.artifacts import MAX_INLINE_BYTES
from tocsin.cloudformation.document import parse
from tocsin.cloudformation.intrinsics import resolve
from tocsin.history.layout import FILE
from tocsin.history.schema import PARTITIONS, TABLES, VERSION
from tocsin.render.history_stack import render_history_stack

PSEUDO = {
    "AWS::AccountId": "111122223333",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::URLSuffix": "amazonaws.com",
}
GIVEN = {"Bucket": "histories", "Systems": "billing,shop"}


def made(**parameters: str) -> dict[str, Any]:
    """Properties by logical id, under these parameters and the defaults."""
    document = parse(render_history_stack(), "deploy/history.yaml")
    defaults = {name: str(each["Default"]) for name, each in document.tree["Parameters"].items() if "Default" in each}
    found = resolve(document, {**defaults, **GIVEN, **parameters}, pseudo=PSEUDO)
    return {one.logical_id: one for one in found}


def tables() -> dict[str, dict[str, Any]]:
    return {
        one.properties["TableInput"]["Name"]: one.properties["TableInput"]
        for one in made().values()
        if one.type == "AWS::Glue::Table"
    }


@pytest.fixture(scope="module", params=["without systems", "with systems"])
def template(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("stack-") / "history.yaml"
    systems = ["shop", "billing"] if request.param == "with systems" else []
    path.write_text(render_history_stack(systems, ["prod", "laptop"]), encoding="utf-8")
    return path


def test_cfn_lint_finds_nothing(template):
    command = [Path(sys.executable).with_name("cfn-lint"), "--include-checks", "I", "--template", template]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.stdout == ""
    assert ended.returncode == 0


@pytest.mark.skipif(not LINT.is_dir(), reason=ABSENT)
def test_checkov_finds_nothing(template):
    from tests.deploy.test_checkov import checkov

    assert checkov([template]) == []


def test_it_is_the_same_text_in_any_order():
    assert render_history_stack(["b", "a", "a"], ["y", "x"]) == render_history_stack(iter(["a", "b"]), ("x", "y"))
    assert len(render_history_stack().encode()) < MAX_INLINE_BYTES


def test_there_is_a_table_for_each_of_the_schema():
    assert set(tables()) == set(TABLES)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_is_that_of_the_schema(name):
    table, found = TABLES[name], tables()[name]
    storage = found["StorageDescriptor"]
    assert [(each["Name"], each["Type"]) for each in storage["Columns"]] == [
        (column.name, column.athena_type) for column in table.columns
    ]
    assert [(each["Name"], each["Type"]) for each in found["PartitionKeys"]] == [(key, "string") for key in PARTITIONS]
    assert {each["Type"] for each in storage["Columns"]} <= {"string", "timestamp", "int", "decimal(18,3)"}
    # Glue API reference: at most 255 characters, of one line.
    assert all(re.fullmatch(r"[^\n]{1,255}", each["Comment"]) for each in storage["Columns"])
    assert storage["Location"] == f"s3://histories/history/{VERSION}/{name}/"
    assert found["TableType"] == "EXTERNAL_TABLE"


@pytest.mark.parametrize("name", sorted(TABLES))
def test_projected_partitions_are_where_a_pull_puts_them(name):
    """Athena fills the keys into storage.location.template and reads what is there."""
    from tocsin.history.partitions import Partition

    parameters = tables()[name]["Parameters"]
    assert parameters["projection.enabled"] == "true"
    assert all(isinstance(value, str) for value in parameters.values())
    assert parameters["projection.system.values"].split(",") == ["billing", "shop"]
    assert parameters["projection.environment.values"].split(",") == ["prod"]
    assert parameters["projection.month.format"] == "yyyy-MM"
    assert parameters["projection.month.range"] == "2025-01,NOW"
    place = parameters["storage.location.template"]
    for key, value in (("environment", "prod"), ("system", "shop"), ("month", "2026-10")):
        place = place.replace(f"${{{key}}}", value)
    expected = Partition(TABLES[name], "prod", "shop", "2026-10").path
    assert place == f"s3://histories/history/{expected.removesuffix(FILE)}"


def test_the_workgroup_decides_for_its_users():
    (workgroup,) = (one.properties for one in made().values() if one.type == "AWS::Athena::WorkGroup")
    settings = workgroup["WorkGroupConfiguration"]
    assert settings["EnforceWorkGroupConfiguration"] is True
    assert int(settings["BytesScannedCutoffPerQuery"]) == 10_000_000_000
    result = settings["ResultConfiguration"]
    assert result["OutputLocation"] == "s3://histories/athena-results/"
    assert result["EncryptionConfiguration"] == {"EncryptionOption": "SSE_S3"}


def test_a_key_of_one_s_own_is_used_everywhere():
    key = "arn:aws:kms:eu-west-1:111122223333:key/k"
    found = made(KeyArn=key)
    result = found["Workgroup"].properties["WorkGroupConfiguration"]["ResultConfiguration"]
    assert result["EncryptionConfiguration"] == {"EncryptionOption": "SSE_KMS", "KmsKey": key}
    for name in ("PullPolicy", "ReadPolicy"):
        statements = found[name].properties["PolicyDocument"]["Statement"]
        (use,) = (each for each in statements if each["Sid"] == "UseKey")
        assert use["Resource"] == key
        assert use["Condition"] == {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}
        assert not any(each["Sid"] == "UseKey" for each in made()[name].properties["PolicyDocument"]["Statement"])


@pytest.mark.parametrize("name", ["PullPolicy", "ReadPolicy"])
def test_policies_name_what_they_allow(name):
    for statement in made()[name].properties["PolicyDocument"]["Statement"]:
        actions = statement["Action"]
        assert actions == sorted(actions)
        assert not any("*" in action for action in actions)
        # AWS takes these for everything or not at all.
        unscoped = actions == ["cloudwatch:DescribeAlarmHistory", "cloudwatch:GetMetricData"]
        assert (statement["Resource"] == "*") == unscoped


def test_a_reader_writes_nothing_but_answers():
    writing = re.compile(r":(Put|Delete|Create|Update)")
    for statement in made()["ReadPolicy"].properties["PolicyDocument"]["Statement"]:
        if any(writing.search(action) for action in statement["Action"]):
            assert statement["Resource"] == "arn:aws:s3:::histories/athena-results/*"


@pytest.mark.parametrize(
    ("parameter", "refused"),
    [
        ("Prefix", ["", "/history", "history/", "a//b", "a b"]),
        ("Systems", ["", "a,", "a b", "A", ",a"]),
        ("FirstMonth", ["2025", "2025-13", "2025-1", "NOW"]),
        ("Bucket", ["", "B", "s3://b"]),
        ("KeyArn", ["alias/key", "arn: "]),
    ],
)
def test_parameters_that_would_find_nothing_are_refused_at_once(parameter, refused):
    pattern = parse(render_history_stack(), "deploy/history.yaml").tree["Parameters"][parameter]["AllowedPattern"]
    assert [text for text in refused if re.fullmatch(pattern, text)] == []


def test_it_asks_for_systems_unless_it_was_rendered_with_some():
    parameters = parse(render_history_stack(), "x").tree["Parameters"]
    assert [name for name, each in parameters.items() if "Default" not in each] == ["Bucket", "Systems"]
    known = parse(render_history_stack(["shop", "billing"], ["prod"]), "x").tree["Parameters"]
    assert known["Systems"]["Default"] == "billing,shop"
