"""What goes wrong half-way is taken back: a release after its schema has grown, and a first creation of what is protected."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from deploy.systems import bootstrap, deploy_systems
from stack_templates import ROOT

from deploy import package, render
from deploy.data_pipeline import stack as data_pipeline
from tocsin.cloud.deploy import StackOutcome, Work
from tocsin.cloud.embedded import embedded
from tocsin.cloud.environments import Environment, read_environment
from tocsin.cloud.session import connect
from tocsin.errors import CloudError

pytestmark = pytest.mark.long

ENVIRONMENT = """
[dev]
region = "eu-west-1"
[dev.notification]
DeletionProtection = true
[dev.data_pipeline]
DeletionProtection = true
"""
PIPELINE = "dev-data-pipeline"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    path = tmp_path_factory.mktemp("environments") / "environments.toml"
    path.write_text(ENVIRONMENT)
    with embedded(tmp_path_factory.mktemp("aws"), iam=True) as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in aws.boto3_environment().items():
            patch.setenv(name, value)
        described = read_environment(path, "dev")
        bootstrap(described)
        yield described


def deploy(environment: Environment, system: str, **parameters: str) -> StackOutcome:
    outcomes = deploy_systems(environment, [system], parameters=parameters)
    (found,) = [outcome for outcome in outcomes if outcome.system == system]
    return found


def parameter(stack: str, name: str) -> str:
    (found,) = connect("eu-west-1").client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return next(str(each["ParameterValue"]) for each in found["Parameters"] if each["ParameterKey"] == name)


def status(stack: str) -> str:
    (found,) = connect("eu-west-1").client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return str(found["StackStatus"])


def migrate(outcome: StackOutcome, phase: str) -> Any:
    """What the deployed migrator applies."""
    answer = (
        connect("eu-west-1")
        .client("lambda")
        .invoke(FunctionName=outcome.outputs["MigratorName"], Payload=json.dumps({"phase": phase}).encode())
    )
    content = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, content
    return content["applied"]


def test_a_first_creation_that_fails_leaves_nothing_that_refuses_to_go(environment: Environment) -> None:
    """With the boundary of another environment no function gets a network; by then there are the tables."""
    another = "arn:aws:iam::000000000000:policy/another"
    with pytest.raises(CloudError, match=r"dev-notification was rolled back, nothing of it is in service"):
        deploy(environment, "notification", PermissionsBoundaryArn=another)
    assert status("dev-notification") == "ROLLBACK_COMPLETE"
    # The embedded AWS deletes what is protected, and AWS does not: so nothing may have been, yet.
    assert parameter("dev-notification", "DeletionProtection") == "false"
    dynamodb = connect("eu-west-1").client("dynamodb")
    assert dynamodb.list_tables()["TableNames"] == []

    made = deploy(environment, "notification")
    assert made.work is Work.RECREATE
    assert parameter("dev-notification", "DeletionProtection") == "true"
    for table in ("Definitions", "Subscriptions", "Notifications", "Runs"):
        described = dynamodb.describe_table(TableName=made.outputs[f"{table}Name"])["Table"]
        assert str(described["DeletionProtectionEnabled"]).lower() == "true", table
    assert deploy(environment, "notification").work is Work.NOTHING


@pytest.fixture(scope="module")
def release(environment: Environment) -> StackOutcome:
    """The release in service: deployed, validated, contracted."""
    made = deploy(environment, "data_pipeline")
    assert migrate(made, "contract") == ["0004_contract_ledger_outcomes.sql"]
    return made


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next release, which has a fifth migration and is otherwise this one."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    pipeline = tmp_path / "deploy" / "data_pipeline"
    (pipeline / "migrations" / "0005_expand_next.sql").write_text("create table next_release (n int);\n")
    monkeypatch.setattr(data_pipeline, "MIGRATIONS", pipeline / "migrations")
    (pipeline / "template.yaml").write_text(render.render("data_pipeline"))
    monkeypatch.setattr(package, "PROJECT", tmp_path)
    monkeypatch.setattr(render, "ROOT", tmp_path / "deploy")


def test_the_next_release_fails_after_its_schema_grew_and_is_taken_back(
    environment: Environment, release: StackOutcome, next_release: None
) -> None:
    """The loader comes after the schema, so that it fails when the database has the new migration already."""
    with pytest.raises(CloudError, match=r"dev-data-pipeline was rolled back, it is as it was before: .*Loader"):
        deploy(environment, "data_pipeline", LoaderCodeKey="no-such-package.zip")
    assert status(PIPELINE) == "UPDATE_ROLLBACK_COMPLETE"


def test_the_release_before_is_deployed_again_over_the_grown_schema(
    environment: Environment, release: StackOutcome
) -> None:
    """Also with a change of its own, so that CloudFormation has something to do."""
    assert deploy(environment, "data_pipeline").work is Work.NOTHING
    assert migrate(release, "expand") == []
    changed = deploy(environment, "data_pipeline", MaxRejectedShare="0.02")
    assert changed.work is Work.UPDATE
    assert status(PIPELINE) == "UPDATE_COMPLETE"


def test_the_next_release_goes_on_where_it_failed(
    environment: Environment, release: StackOutcome, next_release: None
) -> None:
    assert deploy(environment, "data_pipeline").work is Work.UPDATE
    assert migrate(release, "expand") == []


def test_the_former_release_comes_back(environment: Environment, release: StackOutcome) -> None:
    assert deploy(environment, "data_pipeline").work is Work.UPDATE
    assert status(PIPELINE) == "UPDATE_COMPLETE"
    assert migrate(release, "expand") == []


def test_the_database_is_protected_once_it_is_there(release: StackOutcome) -> None:
    (database,) = (
        connect("eu-west-1")
        .client("rds")
        .describe_db_instances(DBInstanceIdentifier=release.outputs["DatabaseName"])["DBInstances"]
    )
    assert str(database["DeletionProtection"]).lower() == "true"
