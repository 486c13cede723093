"""`tocsin check` says what is wrong with deploy/oncall.toml, when there is one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tocsin.check import check_project
from tocsin.checks.on_call import on_call
from tocsin.declare import availability
from tocsin.errors import InputError
from tocsin.findings import FINDINGS
from tocsin.model import Resource, System
from tocsin.plan import Plan, plan
from tocsin.project import Project, find_project
from tocsin.workspace import generate, runbooks, write

READER = Resource("AWS::Lambda::Function", "Reader", None, {"Timeout": 10})
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
SOUND = """\
project = "shop"
environments = ["prod"]
time_zone = "Europe/Vienna"
second_way = "fallback@example.com"

[tool]
name = "opsgenie"

[teams.payments]
members = ["payments-primary@example.com"]

[teams.payments.schedules.payments.rotations.week]
participants = ["payments-primary@example.com"]

[teams.payments.escalation]
steps = [{ schedule = "payments" }]
"""


def planned(name: str = "shop", owner: str = "payments") -> Plan:
    return plan(System(name, owner, (READER,), [availability(READER, objective="99.9%", window="28d")]))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in which everything was built and somebody is on call."""
    project = Project(tmp_path)
    (tmp_path / "deploy").mkdir()
    (tmp_path / project.oncall).write_text(SOUND)
    write(project.root, [*generate([planned()], project), *runbooks([planned()], project)])
    return project


def found(project: Project, *plans: Plan) -> list[tuple[str, str, str]]:
    judged = on_call(project.root, project.oncall, project.environments, list(plans) or [planned()], NOW)
    return [(one.id, one.where, one.message) for one in judged]


def test_a_project_need_not_have_the_file(tmp_path: Path) -> None:
    assert found(Project(tmp_path)) == []


def test_a_sound_file_has_no_finding(project: Project) -> None:
    assert found(project) == []
    assert check_project(project, [planned()]).findings == ()


def test_an_environment_that_nobody_has_described_is_found(project: Project) -> None:
    (project.root / project.environments).write_text("[prod]\n[dev]\n")
    assert found(project) == []
    text = SOUND.replace('["prod"]', '["prod", "prdo"]')
    (project.root / project.oncall).write_text(text)
    assert found(project) == [
        (
            "T068",
            "deploy/oncall.toml",
            "environments: deploy/environments.toml describes no 'prdo'; did you mean 'prod'?",
        )
    ]
    assert "T068" in {one.id for one in check_project(project, [planned()]).findings}
    (project.root / project.environments).write_text("no TOML")
    assert found(project) == [], "a deployment says what is wrong with that file"


GAP = 'nobody is on call Sat 18:00 to Mon 08:00 Europe/Vienna, first 2026-11-28; let a rotation cover it, or say why it is meant: gaps_because = "…"'


@pytest.mark.parametrize(
    ("good", "bad", "rule", "message"),
    [
        ("[teams.payments]\n", '[teams.payments]\nowners = ["payments", "paymets"]\n', "T063", "teams.payments.owners: no declared system has the owner 'paymets'; did you mean 'payments'?"),
        ("rotations.week]\n", 'rotations.week]\nhours = "mon 08:00 - sat 18:00"\n', "T064", f"teams.payments.schedules.payments: {GAP}"),
        ('{ schedule = "payments" }', '{ schedule = "payments" }, { after = "5min", schedule = "paymets" }', "T065", "teams.payments.escalation.steps[2].schedule: no schedule 'paymets'; did you mean 'payments'?"),
        ("[teams.payments]\n", '[teams.payments]\npages = { email = "a@example.com" }\n', "T066", 'teams.payments.pages: email wakes nobody; add "tool" or "forwarder"'),
        ('second_way = "fallback@example.com"\n', "", "T067", "second_way: is missing: nobody would hear that the way to the tool itself fails; name an e-mail address"),
    ],
)  # fmt: skip
def test_each_fault_is_a_finding(project: Project, good: str, bad: str, rule: str, message: str) -> None:
    path = project.root / project.oncall
    path.write_text(SOUND.replace(good, bad))
    assert found(project) == [(rule, "deploy/oncall.toml", message)]
    assert rule in FINDINGS
    # The routing follows from the file as well, so it may be out of date now.
    assert {finding.id for finding in check_project(project, [planned()]).findings} - {"T001"} == {rule}


def test_two_systems_of_one_owner_in_different_teams(project: Project) -> None:
    path = project.root / project.oncall
    path.write_text(SOUND + '\n[teams.billing]\nowners = ["payments"]\ntickets = { email = "a@example.com" }\n')
    whose = (
        "owner 'payments' (systems shop, till) is in the teams payments and billing; leave it in the one that is woken"
    )
    assert ("T063", "deploy/oncall.toml", f"teams.billing.owners: {whose}") in found(
        project, planned(), planned("till")
    )


def test_an_owner_without_a_team(project: Project) -> None:
    whose = "nobody is told of alarms of owner 'search' (system index); add a table [teams.search], or it to the owners of a team"
    assert found(project, planned(), planned("index", "search")) == [("T063", "deploy/oncall.toml", f"teams: {whose}")]


def test_a_file_that_cannot_be_read_is_said_before_anything_else(project: Project) -> None:
    (project.root / project.oncall).write_text(SOUND.replace("[tool]", "[tol]"))
    with pytest.raises(InputError, match=r"deploy/oncall\.toml: tol: unknown key; did you mean 'tool'\?"):
        check_project(project, [planned()])


def test_it_may_lie_elsewhere(project: Project) -> None:
    (project.root / "tocsin.toml").write_text('oncall = "ops/people.toml"\n')
    elsewhere = find_project(project.root)
    assert elsewhere.oncall == "ops/people.toml"
    assert found(elsewhere) == []
    (project.root / "ops").mkdir()
    (project.root / "ops" / "people.toml").write_text(SOUND.replace('"payments" }', '"nobody" }'))
    assert {(rule, where) for rule, where, _ in found(elsewhere)} == {("T065", "ops/people.toml")}
