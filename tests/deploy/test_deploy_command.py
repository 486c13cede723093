"""``python -m deploy`` on the embedded AWS: from an empty account to a second run that changes nothing."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

import boto3
from deploy.__main__ import main
from deploy.run.stage import REPOSITORY, in_environment

from tocsin.cloud.embedded import EmbeddedAws, embedded

STACKS = [
    "local-network",
    "local-data-pipeline",
    "local-notification",
    "local-routing",
    "local-data-pipeline-alarms",
    "local-notification-alarms",
]
FILE = f"""
[local]
region = "eu-west-1"

[local.stacks.delivery]
GitHubRepository = "{REPOSITORY}"

[local.routing]
EndpointProtocol = "http"

[local.notification]
DeletionProtection = false

[local.data_pipeline]
DeletionProtection = false
LoaderImage = {{ variable = "LOADER_IMAGE" }}

[guarded]
region = "eu-west-1"
account = "000000000000"
protected = true
"""


@dataclass(frozen=True)
class Told:
    """What one run of the command came to."""

    code: int
    out: str
    err: str


@dataclass
class Person:
    """Somebody at the command line of an environment's account."""

    aws: EmbeddedAws
    file: Path
    capture: Any = None

    def runs(self, *arguments: str) -> Told:
        code = main([*arguments, "--environments", str(self.file)])
        out, err = self.capture.readouterr()
        return Told(code, out, err)

    def stacks(self) -> dict[str, str]:
        """Stack → status."""
        found = boto3.client("cloudformation").describe_stacks()["Stacks"]
        return {stack["StackName"]: stack["StackStatus"] for stack in found if "DELETE" not in stack["StackStatus"]}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """An AWS account in which the tests go on one after the other."""
    file = tmp_path_factory.mktemp("project") / "environments.toml"
    file.write_text(FILE)
    with (
        embedded(tmp_path_factory.mktemp("aws"), iam=True) as aws,
        in_environment({**aws.boto3_environment(), "LOADER_IMAGE": ""}),
    ):
        yield Person(aws, file)


@pytest.fixture
def person(account: Person, capsys: pytest.CaptureFixture[str]) -> Person:
    account.capture = capsys
    return account


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def test_an_administrator_comes_first(person: Person) -> None:
    told = person.runs("deploy", "local")
    assert told.code == 2
    assert "an administrator run `make bootstrap ENV=local`" in told.err
    assert person.stacks() == {}


def test_bootstrap(person: Person) -> None:
    shown = person.runs("bootstrap", "local", "--plan-only")
    assert (shown.code, person.stacks()) == (0, {})
    assert "local-delivery (deploy/delivery/template.yaml): to be created" in shown.out
    told = person.runs("bootstrap", "local")
    assert (told.code, told.err) == (0, "")
    assert person.stacks() == {"local-delivery": "CREATE_COMPLETE"}
    again = person.runs("bootstrap", "local")
    assert (again.code, again.out.splitlines()[-1]) == (0, "local is as committed; nothing was changed")


def test_a_plan_shows_every_stack_in_order_and_changes_nothing(person: Person) -> None:
    told = person.runs("plan", "local")
    assert (told.code, told.err) == (0, "")
    assert re.findall(r"^(\S+) \(.*: to be created$", told.out, re.M) == STACKS
    assert (
        "known only once the stacks before it are there: EndpointClientsSecurityGroupId, PrivateSubnetIds" in told.out
    )
    assert told.out.splitlines()[-1] == "6 stacks: 6 to be created"
    assert person.stacks() == {"local-delivery": "CREATE_COMPLETE"}


def test_a_failed_creation_is_rolled_back_and_stops_there(person: Person) -> None:
    """The permissions boundary of another environment, say: no function can be put into the network with it."""
    another = "arn:aws:iam::000000000000:policy/another"
    told = person.runs("deploy", "local", "--param", f"PermissionsBoundaryArn={another}")
    assert told.code == 1
    [line] = told.err.splitlines()
    assert line.startswith("deploy: stack local-data-pipeline was rolled back, nothing of it is in service: ")
    assert re.search(r"\w+ \(AWS::\w+::\w+\): ", line)
    assert line.endswith(f"not touched: {', '.join(STACKS[2:])}")
    assert person.stacks() == {
        "local-delivery": "CREATE_COMPLETE",
        "local-network": "CREATE_COMPLETE",
        "local-data-pipeline": "ROLLBACK_COMPLETE",
    }


def test_a_deployment_goes_on_where_the_last_one_failed(person: Person) -> None:
    told = person.runs("deploy", "local")
    assert (told.code, told.err) == (0, "")
    assert re.findall(r"^\[ *[0-9.]+ s\] (\S+): created$", told.out, re.M) == STACKS[1:]
    assert told.out.splitlines()[-1] == ("6 stacks: 5 created, 1 changed; now check it: `make validate ENV=local`")
    assert set(person.stacks().values()) == {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


def test_a_second_run_changes_nothing_and_says_so(person: Person) -> None:
    before = person.stacks()
    told = person.runs("deploy", "local")
    assert (told.code, told.err) == (0, "")
    assert told.out.splitlines()[-2:] == ["6 stacks: 6 as committed", "local is as committed; nothing was changed"]
    assert person.stacks() == before


def test_one_parameter_is_one_change(person: Person) -> None:
    told = person.runs("plan", "local", "--param", "ReadableBy=07:00")
    assert told.code == 0
    assert "  parameter ReadableBy: 06:30 → 07:00" in told.out.splitlines()
    assert told.out.count("  parameter ") == 1
    assert told.out.splitlines()[-1] == "6 stacks: 1 to be changed, 5 as committed"
    assert "READABLE_BY" in told.out or "MessageGenerator" in told.out


def test_a_value_that_is_refused_is_said_with_its_place(person: Person, tmp_path: Path) -> None:
    file = tmp_path / "e.toml"
    file.write_text(FILE.replace("[local.routing]", '[local.stacks.network]\nVpcCidr = "10.0.0.0"\n\n[local.routing]'))
    wrong = Person(person.aws, file, person.capture).runs("plan", "local")
    assert wrong.code == 1
    assert wrong.err.endswith(f"; see {file}: local.stacks.network.VpcCidr\n")
    told = person.runs("plan", "local", "--param", "VpcCidr=10.0.0.0")
    assert told.err.endswith("; see --param VpcCidr\n")


def test_what_a_protected_environment_has_stated_must_go_on_being_stated(person: Person, tmp_path: Path) -> None:
    """A table that is lost from the file must not take the database back to the template's defaults."""
    stated = '[local.data_pipeline]\nDeletionProtection = false\nLoaderImage = { variable = "LOADER_IMAGE" }\n'
    assert stated in FILE
    file = tmp_path / "e.toml"
    less = Person(person.aws, file, person.capture)
    file.write_text(FILE.replace(stated, ""))
    told = less.runs("plan", "local")
    assert told.code == 0
    assert "  parameter DeletionProtection: false → true" in told.out.splitlines()

    guarded = FILE.replace("[local]\n", "[local]\nprotected = true\n")
    file.write_text(guarded)
    told = less.runs("plan", "local")
    assert (
        told.err
        == f"plan: {file}: local.account is missing: a protected environment says whose it is, so that the \
credentials of another account do not reach it; state it\n"
    )

    guarded = guarded.replace("protected = true\n", 'protected = true\naccount = "000000000000"\n', 1)
    identity = '[local.notification]\nIdentityLayerArn = "arn:aws:iam::000000000000:role/identity"'
    guarded = guarded.replace("[local.notification]", identity)
    file.write_text(guarded)
    assert less.runs("plan", "local").code == 0
    file.write_text(guarded.replace(stated, ""))
    told = less.runs("plan", "local")
    assert (told.code, told.out) == (2, "")
    assert told.err == (
        f"plan: {file}: local.data_pipeline.DeletionProtection is missing: stack local-data-pipeline has 'false', and the "
        "template's default would make it 'true'; state which is meant\n"
    )


def test_a_failed_change_is_taken_back_with_its_reason(person: Person) -> None:
    told = person.runs("deploy", "local", "--param", "MessageGeneratorCodeKey=no-such-package.zip")
    assert told.code == 1
    assert "stack local-notification was rolled back, it is as it was before: MessageGenerator" in told.err
    assert "not touched: local-routing, local-data-pipeline-alarms, local-notification-alarms" in told.err
    assert person.stacks()["local-notification"] == "UPDATE_ROLLBACK_COMPLETE"
    assert person.runs("deploy", "local").out.splitlines()[-1] == "local is as committed; nothing was changed"


def test_an_image_that_nobody_states_stays(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOADER_IMAGE")
    assert person.runs("plan", "local").out.splitlines()[-1] == "6 stacks: 6 as committed"


def test_contract_runs_what_is_left_and_then_nothing(person: Person) -> None:
    first, second = person.runs("contract", "local"), person.runs("contract", "local")
    assert (first.code, second.code) == (0, 0)
    assert re.fullmatch(r"(applied \d{4}_contract_\w+(\.sql)?\n)+", first.out)
    assert second.out == "local: no contracting migration was left to apply\n"


def test_a_protected_environment_wants_its_name_typed(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    refused = person.runs("bootstrap", "guarded")
    assert refused.code == 2
    assert "guarded is protected. Deploy this? Type its name: " in refused.err
    assert refused.err.endswith("bootstrap: guarded: not confirmed, so nothing was changed\n")
    assert "guarded-delivery" not in person.stacks()

    monkeypatch.setattr("sys.stdin", Terminal("guarded\n"))
    assert person.runs("bootstrap", "guarded").code == 0
    assert person.stacks()["guarded-delivery"] == "CREATE_COMPLETE"


def test_yes_does_not_ask(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    told = person.runs("bootstrap", "guarded", "--yes")
    assert (told.code, told.err) == (0, "")


def test_a_template_over_the_limit_says_which_and_how_large(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The committed alarms with more in them than CloudFormation takes."""
    from deploy import systems
    from tocsin.cloud.committed import Committed
    from tocsin.cloud.environments import read_environment
    from tocsin.errors import QuotaError

    for path in systems.COMMITTED.alarms.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text() + "# filling\n" * 100_000)
    committed = Committed(tmp_path, systems.COMMITTED.routing)
    with pytest.raises(QuotaError, match=r"data_pipeline\.yaml: 1,\d{3},\d{3} bytes, but CloudFormation takes at most"):
        systems.plan(read_environment(person.file, "local"), committed=committed)
