"""The committed templates: they are what stack.py says, cfn-lint has nothing against them, and roles are narrow."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy import render
from tocsin.cloud.environments import Environment, FromVariable, read_environments

ROOT = Path(__file__).resolve().parents[2]
SYSTEMS = ["data_pipeline", "notification"]
ENVIRONMENTS = read_environments(ROOT / "deploy" / "environments.toml")
AT_DEPLOYMENT = ("CodeBucket", "CodeKey")  # known only once the functions are packaged


def tree(system: str) -> dict[str, Any]:
    module = __import__(f"deploy.{system}.stack", fromlist=["template"])
    return json.loads(module.template().to_json())


def resources(system: str, kind: str) -> dict[str, dict[str, Any]]:
    return {
        name: body.get("Properties", {}) for name, body in tree(system)["Resources"].items() if body["Type"] == kind
    }


def test_both_systems_are_found() -> None:
    assert render.systems() == SYSTEMS


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_committed_template_is_the_rendered_one(system: str) -> None:
    assert render.difference(system) == ""
    committed = (ROOT / "deploy" / system / "template.yaml").read_bytes()
    assert committed == render.render(system).encode()


def test_two_processes_with_other_hash_seeds_render_the_same() -> None:
    code = "from deploy.render import *; print([render(s) for s in systems()])"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={"PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_a_hand_edit_is_shown_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for system in SYSTEMS:
        (tmp_path / system).mkdir()
        (tmp_path / system / "stack.py").touch()
    monkeypatch.setattr(render, "ROOT", tmp_path)
    assert render.main([]) == 0
    assert render.main(["--check"]) == 0
    path = tmp_path / "notification" / "template.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("maxReceiveCount: 3", "maxReceiveCount: 9"))
    capsys.readouterr()
    assert render.main(["--check"]) == 1
    shown = capsys.readouterr().out
    assert "-        maxReceiveCount: 9\n+        maxReceiveCount: 3\n" in shown
    assert "run `python -m deploy.render`" in shown
    assert render.main([]) == 0
    assert render.main(["--check"]) == 0


@pytest.mark.parametrize("system", SYSTEMS)
def test_cfn_lint_finds_nothing_not_even_remarks(system: str) -> None:
    program = Path(sys.executable).with_name("cfn-lint")
    command = [program, "--include-checks", "I", "--template", ROOT / "deploy" / system / "template.yaml"]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


def statements(system: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for role, properties in resources(system, "AWS::IAM::Role").items():
        for policy in properties["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                yield role, statement


@pytest.mark.parametrize("system", SYSTEMS)
def test_roles_name_each_action_and_each_resource(system: str) -> None:
    for role, statement in statements(system):
        assert statement["Effect"] == "Allow"
        assert statement["Action"], role
        assert not [action for action in statement["Action"] if "*" in action], role
        for resource in statement["Resource"]:
            # The objects of one bucket are named by a wildcard: there is no other way to name those to come.
            text = json.dumps(resource)
            assert resource != "*", role
            assert "*" not in text or ("arn:${AWS::Partition}:s3:::${AWS::StackName}" in text), role


@pytest.mark.parametrize("system", SYSTEMS)
def test_no_two_functions_share_a_role_or_a_log_group(system: str) -> None:
    functions = resources(system, "AWS::Lambda::Function")
    for value in (lambda f: f["Role"], lambda f: f["LoggingConfig"]["LogGroup"], lambda f: f["Code"]["S3Key"]):
        assert len({json.dumps(value(function)) for function in functions.values()}) == len(functions)


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_handler_of_the_template_exists(system: str) -> None:
    for properties in resources(system, "AWS::Lambda::Function").values():
        module, name = properties["Handler"].rsplit(".", 1)
        assert callable(getattr(__import__(module, fromlist=[name]), name))


def test_the_loader_may_be_called_by_its_own_bucket_only() -> None:
    (permission,) = resources("data_pipeline", "AWS::Lambda::Permission").values()
    (bucket,) = resources("data_pipeline", "AWS::S3::Bucket").values()
    assert permission["SourceArn"]["Fn::Sub"] == "arn:${AWS::Partition}:s3:::" + bucket["BucketName"]["Fn::Sub"]
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}


def test_the_api_asks_for_signed_calls() -> None:
    methods = resources("notification", "AWS::ApiGateway::Method").values()
    assert [method["AuthorizationType"] for method in methods] == ["AWS_IAM"]


def test_environments_differ_in_values_not_in_keys() -> None:
    assert sorted(ENVIRONMENTS) == ["dev", "prod", "qa"]
    shapes = [
        {system: sorted(stacks.parameters) for system, stacks in environment.systems.items() if system in SYSTEMS}
        for environment in ENVIRONMENTS.values()
    ]
    assert all(sorted(shape) == SYSTEMS for shape in shapes)
    assert shapes[0] == shapes[1] == shapes[2]


def plain(environment: Environment, system: str) -> dict[str, str]:
    parameters = environment.systems[system].parameters
    return {name: value for name, value in parameters.items() if not isinstance(value, FromVariable)}


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_an_environment_sets_only_what_the_template_takes_and_all_it_needs(system: str, name: str) -> None:
    declared = tree(system)["Parameters"]
    given = plain(ENVIRONMENTS[name], system)
    assert set(given) <= set(declared)
    needed = {
        key for key, parameter in declared.items() if "Default" not in parameter and not key.endswith(AT_DEPLOYMENT)
    }
    assert needed <= set(given)
    for key, value in given.items():
        parameter = declared[key]
        assert value in map(str, parameter.get("AllowedValues", [value]))
        if parameter["Type"] == "Number":
            assert parameter.get("MinValue", 0) <= float(value) <= parameter.get("MaxValue", float("inf"))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_message_stays_hidden_six_times_as_long_as_the_function_may_take(name: str) -> None:
    # AWS Lambda, "Using Lambda with Amazon SQS": visibility timeout at least six times the function's timeout.
    given = plain(ENVIRONMENTS[name], "notification")
    assert int(given["GenerateVisibilitySeconds"]) >= 6 * int(given["GenerateTimeoutSeconds"])


def test_production_is_protected() -> None:
    prod = ENVIRONMENTS["prod"]
    assert prod.protected
    assert {plain(prod, system)["DeletionProtection"] for system in SYSTEMS} == {"true"}
