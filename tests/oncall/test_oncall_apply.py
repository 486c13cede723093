"""``tocsin oncall plan|apply``: from the file to a way that carries pages, whatever cuts it off; and what it leaves alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from apply_stage import HEARTBEAT, TABLES, TICKETS_TOO, Setting, Stage, on_opsgenie, stage
from applying import answers_of, cut, forget
from oncall_tools import (
    ON_CALL,
    Caller,
    allow,
    as_caller,
    lessened,
    make_caller,
    page_policy,
    printed_json,
    succeed,
)

from command_line import refused, tocsin
from tocsin.cloud.session import Cloud
from tocsin.paging.embedded import EmbeddedOnCall, Fault

pytestmark = pytest.mark.long

SECRETS = ["tocsin/dev/on-call/heartbeat", "tocsin/dev/on-call/payments-page"]


@pytest.fixture(scope="module")
def account() -> Iterator[Stage]:
    with stage(iam=True) as running:
        yield running


@pytest.fixture
def setting(tmp_path: Path, account: Stage) -> Iterator[Setting]:
    with on_opsgenie(account, tmp_path / "shop") as opened:
        yield opened


def test_from_nothing_to_a_way_that_carries_pages(setting: Setting) -> None:
    planned = succeed("oncall", "plan", "dev")
    assert setting.names()["teams"] == []
    assert setting.secrets() == {}
    said = succeed("oncall", "apply", "dev")
    assert said.startswith(planned), "the plan is shown first"
    steps = re.findall(r"^(\d+) of (\d+)  ", said, re.MULTILINE)
    assert [int(number) for number, _ in steps] == list(range(1, len(steps) + 1))
    assert {of for _, of in steps} == {str(len(steps))}
    assert sorted(setting.secrets()) == SECRETS
    assert setting.delivers()
    for secret in setting.secrets().values():
        for key in re.findall(r"[0-9a-f-]{36}", secret):
            assert key not in said + planned
    assert setting.pager.key not in said


def test_a_second_run_changes_nothing(setting: Setting) -> None:
    succeed("oncall", "apply", "dev")
    before = (setting.names(), setting.secrets())
    assert succeed("oncall", "apply", "dev") == "dev: nothing to change\n"
    assert succeed("oncall", "plan", "dev") == "dev: nothing to change\n"
    told = printed_json("oncall", "apply", "dev")
    assert (told["changes"], told["keys"], told["done"]) == ([], [], [])
    assert (setting.names(), setting.secrets()) == before


def test_a_change_is_shown_before_and_after(setting: Setting) -> None:
    succeed("oncall", "apply", "dev")
    setting.declare(ON_CALL.replace('after = "10min"', 'after = "25min"'))
    said = succeed("oncall", "plan", "dev")
    assert "opsgenie: 1 change\n  escalations\n    ~ escalation payments\n" in said
    assert "10" in said
    assert "25" in said
    assert "is as committed" in said
    told = printed_json("oncall", "apply", "dev")
    assert [(one["action"], one["kind"], one["name"]) for one in told["changes"]] == [
        ("update", "escalation", "payments")
    ]
    assert told["done"] == ["escalation payments"]


def test_a_route_that_is_new_and_one_that_goes(setting: Setting) -> None:
    succeed("oncall", "apply", "dev")
    setting.declare(TICKETS_TOO)
    succeed("oncall", "apply", "dev")
    assert sorted(setting.secrets()) == [*SECRETS, "tocsin/dev/on-call/payments-ticket"]
    assert setting.delivers("ticket")
    setting.declare(ON_CALL)
    said = succeed("oncall", "apply", "dev")
    done = [line.partition("  ")[2] for line in said.splitlines() if re.match(r"\d+ of \d+ ", line)]
    assert done[-3:] == [
        "stack dev-routing",
        "- integration tocsin-shop-dev-payments-ticket",
        "secret tocsin/dev/on-call/payments-ticket",
    ], "nothing is taken away while something still posts there"
    assert sorted(setting.secrets()) == SECRETS
    setting.declare(TICKETS_TOO)
    succeed("oncall", "apply", "dev")
    assert setting.delivers("ticket"), "a secret on its way out is taken back"


def test_the_dead_mans_switch_goes_with_its_declaration(setting: Setting) -> None:
    succeed("oncall", "apply", "dev")
    assert setting.names()["heartbeats"] == ["tocsin-shop-dev"]
    setting.declare(ON_CALL.replace(HEARTBEAT, ""))
    succeed("oncall", "apply", "dev")
    assert setting.names()["heartbeats"] == []
    assert sorted(setting.secrets()) == ["tocsin/dev/on-call/payments-page"]
    assert setting.delivers()


def test_a_secret_that_is_lost_gets_a_new_key(setting: Setting) -> None:
    succeed("oncall", "apply", "dev")
    before = setting.secrets()["tocsin/dev/on-call/payments-page"]
    client = setting.cloud.client("secretsmanager")
    client.delete_secret(SecretId="tocsin/dev/on-call/payments-page", ForceDeleteWithoutRecovery=True)
    assert "  + tocsin/dev/on-call/payments-page" in succeed("oncall", "plan", "dev")
    succeed("oncall", "apply", "dev")
    assert setting.secrets()["tocsin/dev/on-call/payments-page"] != before
    assert setting.delivers()
    assert succeed("oncall", "apply", "dev") == "dev: nothing to change\n"


def test_a_route_through_a_forwarder_that_is_not_there_is_refused(setting: Setting) -> None:
    succeed("oncall", "apply", "dev")
    setting.declare(ON_CALL.replace('pages = "tool"', 'pages = "forwarder"'))
    for command in ("plan", "apply"):
        said = refused("oncall", command, "dev")
        assert "the pages of payments go through the forwarder, which dev does not have; deploy it first" in said
    assert setting.delivers(), "the way there was is still there"


def test_nothing_goes_while_the_committed_routing_posts_there(setting: Setting) -> None:
    succeed("oncall", "apply", "dev")
    before, names = setting.secrets(), setting.names()
    declared = ON_CALL.replace(HEARTBEAT, "")
    (setting.folder / "deploy" / "oncall.toml").write_text(declared, encoding="utf-8")
    for command in ("plan", "apply"):
        said = refused("oncall", command, "dev")
        assert said.startswith("deploy/routing.yaml is not what deploy/oncall.toml makes of it")
        assert "run `tocsin build`" in said
    assert (setting.secrets(), setting.names()) == (before, names)


def test_what_people_made_is_left_alone(setting: Setting) -> None:
    state = setting.pager.state
    with state.lock:
        state.teams.add({"name": "search", "description": "Made by hand."})
    succeed("oncall", "apply", "dev")
    setting.declare(ON_CALL)
    assert setting.names()["teams"] == ["payments", "search"]


def test_a_name_that_people_have_taken_is_refused_and_can_be_adopted(setting: Setting) -> None:
    state = setting.pager.state
    with state.lock:
        state.teams.add({"name": "payments", "description": "Made by hand.", "members": []})
    before = setting.names()
    said = refused("oncall", "apply", "dev")
    assert "team 'payments' is in the on-call tool and not Tocsin's" in said
    assert "--adopt team/payments" in said
    assert setting.names() == before
    assert setting.secrets() == {}
    succeed("oncall", "apply", "dev", "--adopt", "team/payments")
    assert setting.names()["teams"] == ["payments"]
    assert setting.delivers()


def test_a_protected_environment_is_asked_about(setting: Setting) -> None:
    path = setting.folder / "deploy" / "environments.toml"
    path.write_text(path.read_text(encoding="utf-8") + "protected = true\n", encoding="utf-8")
    done = tocsin("oncall", "apply", "dev")
    assert done.exit_code == 2
    assert "dev: not confirmed, so nothing was changed; confirm it, or give --yes" in done.stderr
    assert "--json cannot ask" in refused("oncall", "apply", "dev", "--json")
    assert setting.names()["teams"] == []
    succeed("oncall", "apply", "dev", "--yes")
    assert setting.delivers()


def test_an_environment_without_on_call_is_refused_with_what_to_do(setting: Setting) -> None:
    path = setting.folder / "deploy" / "environments.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"oncall_url.*\n", "", text) + "[prod]\n", encoding="utf-8")
    for arguments in (("oncall", "plan", "dev"), ("oncall", "apply", "dev"), ("drill", "dev")):
        said = refused(*arguments)
        assert "deploy/oncall.toml: environments does not list dev" in said
        assert "dev.oncall_url" in said


def test_the_key_may_lie_in_a_secret_or_a_parameter(setting: Setting) -> None:
    import os

    del os.environ["OPSGENIE_API_KEY"]
    key = setting.pager.key
    for source, make in (
        ('{ secret = "on-call/key" }', lambda: put_secret(setting.cloud, "on-call/key", key)),
        (
            '{ parameter = "/on-call/key" }',
            lambda: setting.cloud.client("ssm").put_parameter(Name="/on-call/key", Value=key, Type="SecureString"),
        ),
    ):
        setting.declare(ON_CALL.replace('name = "opsgenie"\n', f'name = "opsgenie"\nkey = {source}\n'))
        said = refused("oncall", "plan", "dev")
        assert re.search(r"tool\.key: the (secret|parameter) /?on-call/key does not exist in eu-west-1", said)
        make()
        assert key not in succeed("oncall", "plan", "dev")


def put_secret(cloud: Cloud, name: str, value: str) -> None:
    cloud.client("secretsmanager").create_secret(Name=name, SecretString=value)


def test_an_environment_that_nobody_has_described_is_refused(setting: Setting) -> None:
    """Only where the file's environments count: a stand-in's alarms reach it whatever they are."""
    path = setting.folder / "deploy" / "environments.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + re.sub(r"oncall_url.*\n", "", text.replace("[dev]", "[prod]")), encoding="utf-8")
    setting.declare(ON_CALL.replace('["prod"]', '["prod", "prdo"]'))
    said = (
        "tocsin: deploy/oncall.toml: environments: deploy/environments.toml describes no 'prdo'; did you mean 'prod'?"
    )
    for arguments in (("oncall", "plan", "prod"), ("oncall", "apply", "prod"), ("drill", "prod")):
        assert refused(*arguments).strip() == said.removeprefix("tocsin: ")
    assert succeed("oncall", "plan", "dev")


def test_a_fault_names_the_systems_whose_alarms_are_meant(setting: Setting) -> None:
    text = ON_CALL.replace("[teams.payments]\n", '[teams.payments]\nowners = ["search"]\n')
    (setting.folder / "deploy" / "oncall.toml").write_text(text, encoding="utf-8")
    done = tocsin("oncall", "plan", "dev")
    assert "nobody is told of alarms of owner 'payments' (system shop)" in done.stderr


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "tool.key: the variable OPSGENIE_API_KEY is not set"),
        ("", "tool.key: the variable OPSGENIE_API_KEY is empty"),
        ("two words", "tool.key: the variable OPSGENIE_API_KEY holds no key"),
        ("0b1f6d52-0000-4000-8000-000000000000", "OPSGENIE_API_KEY"),
    ],
)
def test_a_bad_key_is_named_and_never_shown(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, value: str | None, says: str
) -> None:
    if value is None:
        monkeypatch.delenv("OPSGENIE_API_KEY")
    else:
        monkeypatch.setenv("OPSGENIE_API_KEY", value)
    said = refused("oncall", "apply", "dev")
    assert says in said
    assert not value or value not in said
    assert setting.names()["teams"] == []


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("payments-second@example.com", "payments-nobody@example.com", "payments-nobody@example.com"),
        ("[teams.payments]\n", '[teams.payments]\nowners = ["search"]\n', "payments"),
        ('{ schedule = "payments" }', '{ schedule = "paymnts" }', "paymnts"),
        ("starts = 2026-01-05T09:00:00\n", 'starts = 2026-01-05T09:00:00\nhours = "08:00 - 18:00"\n', "18:00"),
    ],
)
def test_a_fault_of_the_file_stops_it_before_anything_is_changed(
    setting: Setting, before: str, after: str, says: str
) -> None:
    assert before in ON_CALL
    (setting.folder / "deploy" / "oncall.toml").write_text(ON_CALL.replace(before, after), encoding="utf-8")
    done = tocsin("oncall", "apply", "dev")
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert says in done.stderr
    assert all(line.startswith("tocsin: ") for line in done.stderr.splitlines())
    assert setting.names()["teams"] == []
    assert setting.secrets() == {}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('tickets = { email = "payments-tickets@example.com" }', 'tickets = "tool"'),
        ("on-call-fallback@example.com", "+436601234567"),
        (HEARTBEAT, f'{HEARTBEAT}every = "2min"\n'),
        ('environments = ["prod"]', 'environments = ["prod", "dev"]'),
    ],
)
def test_a_routing_that_was_not_built_again_is_refused(setting: Setting, before: str, after: str) -> None:
    text = ON_CALL.replace(before, after)
    assert text != ON_CALL
    (setting.folder / "deploy" / "oncall.toml").write_text(text, encoding="utf-8")
    for command in ("plan", "apply"):
        said = refused("oncall", command, "dev")
        assert said.startswith("deploy/routing.yaml is not what deploy/oncall.toml makes of it")
        assert "run `tocsin build`" in said
    assert setting.names()["teams"] == []
    setting.declare(text)
    assert "9 changes" in succeed("oncall", "plan", "dev") or "10 changes" in succeed("oncall", "plan", "dev")


def test_a_run_that_is_killed_anywhere_is_taken_up(setting: Setting) -> None:
    answers = answers_of(cut(setting.folder, 0))
    wanted = setting.names()
    points = sorted({*range(1, answers, max(1, answers // 9)), *range(answers - 12, answers, 4)})
    for point in points:
        forget(setting.cloud)
        empty(setting.pager)
        assert cut(setting.folder, point).returncode == 9, point
        done = tocsin("oncall", "apply", "dev")
        assert done.exit_code == 0, f"killed after {point} of {answers}: {done.output}"
        assert setting.names() == wanted, point
        assert sorted(setting.secrets()) == SECRETS, point
        assert setting.delivers(), f"killed after {point} of {answers}: no page arrives"
        assert tocsin("oncall", "apply", "dev").stdout == "dev: nothing to change\n", point


def empty(pager: EmbeddedOnCall) -> None:
    """A tool in which nothing was made yet."""
    with pager.state.lock:
        for table in TABLES:
            things = getattr(pager.state, table)
            for thing in things:
                things.remove(thing["id"])


# What the embedded AWS does not ask for, and who says that AWS does.
UNSEEN = {"secretsmanager:TagResource": "Secrets Manager API reference, CreateSecret: tags need TagResource as well"}


def works(setting: Setting, caller: Caller, *, confirms: bool = True) -> str:
    """What the role is for, from nothing: a first apply, a route more, a route less, and that route again.

    Unless it ``confirms``, the tool has to be asked twice for its first confirmation.
    """
    forget(setting.cloud)
    empty(setting.pager)
    setting.pager.set_fault(None if confirms else Fault("status", status=403, times=1, path="/v1/json/cloudwatch"))
    for text in (ON_CALL, TICKETS_TOO, ON_CALL, TICKETS_TOO):
        setting.declare(text)
        with as_caller(setting.aws, key=caller.key, secret=caller.secret):
            done = tocsin("oncall", "apply", "dev")
        if done.exit_code:
            return done.output
    return ""


def test_the_permissions_of_the_page_are_enough_and_none_is_idle(setting: Setting) -> None:
    iam = setting.cloud.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "cloudformation.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName="dev-execution", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    iam.put_role_policy(RoleName="dev-execution", PolicyName="all", PolicyDocument=json.dumps(everything))
    path = setting.folder / "deploy" / "environments.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(f'{text}execution_role = "{role}"\n', encoding="utf-8")
    caller = make_caller(setting.cloud, "applier")
    statements = page_policy("apply")
    allow(setting.cloud, caller, statements)
    assert works(setting, caller, confirms=False) == ""
    idle = {}
    for action, rest in lessened(statements):
        allow(setting.cloud, caller, rest)
        said = works(setting, caller, confirms=action != "sns:Subscribe")
        if not said:
            idle[action] = True
            continue
        assert "not allowed to" in said or "AccessDenied" in said, f"{action}: {said}"
    assert idle.keys() == UNSEEN.keys()
