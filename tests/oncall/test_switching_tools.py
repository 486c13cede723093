"""Leaving an on-call tool: with another name in the file, one `oncall apply` moves every page, and so does the way back."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from apply_stage import HEARTBEAT, TICKETS_TOO, Stage, stage
from applying import answers_of, cut, forget, publish, secrets_of
from oncall_tools import USERS, as_caller, printed_json, shop, succeed

from command_line import refused, tocsin
from tocsin.cloud.session import Cloud
from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall
from tocsin.paging.embedded.jira import add_team

pytestmark = pytest.mark.long

TOOLS = {
    "opsgenie": 'name = "opsgenie"\n',
    "elsewhere": 'name = "opsgenie"\nregion = "eu"\nkey = { variable = "OPSGENIE_EU_API_KEY" }\n',
    "jira": 'name = "jira"\nsite = "11111111-2222-4333-8444-555555555555"\naccount = "payments-lead@example.com"\n',
    "pagerduty": 'name = "pagerduty"\n',
}
VARIABLES = {
    "opsgenie": "OPSGENIE_API_KEY",
    "elsewhere": "OPSGENIE_EU_API_KEY",
    "jira": "JIRA_API_TOKEN",
    "pagerduty": "PAGERDUTY_API_KEY",
}
FILES = {
    name: (TICKETS_TOO.replace(HEARTBEAT, "") if name == "pagerduty" else TICKETS_TOO).replace(
        'name = "opsgenie"\n', tool
    )
    for name, tool in TOOLS.items()
}


@dataclass(frozen=True)
class Setting:
    """An account of AWS, and a server for each tool, each with keys of its own."""

    stage: Stage
    folder: Path
    tools: dict[str, EmbeddedOnCall]

    @property
    def cloud(self) -> Cloud:
        return self.stage.cloud

    def choose(self, tool: str) -> None:
        """Another tool in deploy/oncall.toml, built; the server that stands in for it."""
        shop(self.folder, self.stage.aws, self.tools[tool].url)
        self.stage.build(self.folder, FILES[tool])

    def goes_to(self, tool: str) -> None:
        """Assert that pages and tickets, and the dead-man's switch, go to that tool and to no other."""
        for severity in ("page", "ticket"):
            # Once is enough: an apply ends when the new subscription is confirmed.
            alarm = publish(self.cloud, severity)
            end = time.monotonic() + 20
            while alarm not in self.tools[tool].open_alerts():
                assert time.monotonic() < end, f"no {severity} arrives at {tool}"
                time.sleep(0.02)
            told = {name for name, pager in self.tools.items() if alarm in pager.open_alerts()}
            assert told == {tool}, severity
        addresses = [json.loads(secret)["endpoint"] for secret in secrets_of(self.cloud).values()]
        assert len(addresses) == (2 if tool == "pagerduty" else 3)
        assert all(address.startswith(self.tools[tool].url + "/") for address in addresses)
        beats = self.cloud.client("events").list_api_destinations()["ApiDestinations"]
        assert [one["InvocationEndpoint"].startswith(self.tools[tool].url + "/") for one in beats] == (
            [] if tool == "pagerduty" else [True]
        )

    def is_settled(self) -> None:
        """Assert that another run changes nothing."""
        assert succeed("oncall", "apply", "dev") == "dev: nothing to change\n"


@pytest.fixture(scope="module")
def account() -> Iterator[Stage]:
    with stage() as running:
        yield running


@pytest.fixture
def setting(tmp_path: Path, account: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    with ExitStack() as stack, as_caller(account.aws):
        tools = {
            name: stack.enter_context(embedded_oncall(users=USERS, certificates_from=account.aws.endpoint))
            for name in TOOLS
        }
        add_team(tools["jira"].state, "payments", USERS)
        for name, variable in VARIABLES.items():
            monkeypatch.setenv(variable, tools[name].key)
        folder = account.copy(tmp_path / "shop", tools["opsgenie"].url)
        monkeypatch.chdir(folder)
        yield Setting(account, folder, tools)
    forget(account.cloud)


@pytest.mark.parametrize("other", ["jira", "pagerduty", "elsewhere"])
def test_another_tool_there_and_back_and_there_again(setting: Setting, other: str) -> None:
    """Back and there again, each finds integrations of its own whose keys it tells no more."""
    for tool in ("opsgenie", other, "opsgenie", other):
        setting.choose(tool)
        planned = printed_json("oncall", "plan", "dev")
        assert [one for one in planned["keys"] if one.endswith(("page", "ticket"))] == [
            "tocsin/dev/on-call/payments-page",
            "tocsin/dev/on-call/payments-ticket",
        ], f"to {tool}"
        succeed("oncall", "apply", "dev")
        setting.goes_to(tool)
        setting.is_settled()


def test_one_tool_after_another(setting: Setting) -> None:
    for tool in ("opsgenie", "pagerduty", "jira"):
        setting.choose(tool)
        succeed("oncall", "apply", "dev")
        setting.goes_to(tool)
        setting.is_settled()


def empty(pager: EmbeddedOnCall) -> None:
    """A tool in which nothing was made yet but people and, for Jira, their teams."""
    state = pager.state
    own = [state.table(f"pagerduty {name}") for name in ("teams", "schedules", "policies", "services")]
    with state.lock:
        for table in (
            state.schedules,
            state.escalations,
            state.routing_rules,
            state.integrations,
            state.heartbeats,
            *own,
        ):
            for thing in table:
                table.remove(thing["id"])


@pytest.mark.parametrize(("before", "after"), [("opsgenie", "jira"), ("jira", "opsgenie"), ("opsgenie", "pagerduty")])
def test_a_move_that_is_killed_anywhere_is_taken_up(setting: Setting, before: str, after: str) -> None:
    """To a tool that is new, and to one that has integrations from a time when it was in use."""
    setting.choose(before)
    succeed("oncall", "apply", "dev")
    setting.choose(after)
    answers = answers_of(cut(setting.folder, 0))
    for number, point in enumerate(range(answers // 8, answers, answers // 6)):
        setting.choose(before)
        succeed("oncall", "apply", "dev")
        if number % 2 and after != "opsgenie":
            empty(setting.tools[after])
        setting.choose(after)
        assert cut(setting.folder, point).returncode == 9 or number
        done = tocsin("oncall", "apply", "dev")
        assert done.exit_code == 0, f"killed after {point} of {answers}: {done.output}"
        setting.goes_to(after)
        setting.is_settled()


def test_a_secret_that_holds_something_else_is_written_anew(setting: Setting) -> None:
    setting.choose("opsgenie")
    succeed("oncall", "apply", "dev")
    client = setting.cloud.client("secretsmanager")
    held = json.loads(secrets_of(setting.cloud)["tocsin/dev/on-call/payments-page"])
    for value in ("", "no JSON", "[]", '{"endpoint": 7}', json.dumps({**held, "key": ""})):
        client.put_secret_value(SecretId="tocsin/dev/on-call/payments-page", SecretString=value or " ")
        succeed("oncall", "apply", "dev")
        setting.goes_to("opsgenie")
        setting.is_settled()


def test_a_heartbeat_that_the_new_tool_does_not_have_is_refused_before_anything_is_changed(setting: Setting) -> None:
    setting.choose("opsgenie")
    succeed("oncall", "apply", "dev")
    before = secrets_of(setting.cloud)
    shop(setting.folder, setting.stage.aws, setting.tools["pagerduty"].url, on_call=FILES["pagerduty"] + HEARTBEAT)
    assert "pagerduty has no heartbeats, so silence would page nobody; take the table out" in refused(
        "oncall", "apply", "dev"
    )
    assert secrets_of(setting.cloud) == before


def migrating(setting: Setting, tool: str, more: str = "") -> None:
    """The file of a tool, with the servers of this machine standing in."""
    url = f'url = "{setting.tools["opsgenie"].url}"\n{more}'
    text = FILES[tool].replace(TOOLS[tool], TOOLS[tool] + url)
    (setting.folder / "deploy" / "oncall.toml").write_text(text, encoding="utf-8")


def test_what_moves_is_told_before_the_file_names_jira_and_after(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting.choose("opsgenie")
    succeed("oncall", "apply", "dev")
    key, url = setting.tools["opsgenie"].key, setting.tools["opsgenie"].url
    migrating(setting, "opsgenie")
    before = printed_json("oncall", "migrate")
    migrating(setting, "jira")
    after = printed_json("oncall", "migrate")
    assert after["items"] == before["items"]
    assert before["read"] == after["read"] == f"from {url}, with the key of the variable OPSGENIE_API_KEY"
    assert [one for one in before["tasks"] if one not in after["tasks"]] == [
        task for task in before["tasks"] if 'name = "jira"' in task
    ]
    said = succeed("oncall", "migrate")
    assert said.splitlines()[1] == f"Read {before['read']}."
    assert key not in said + json.dumps(before)
    monkeypatch.delenv("OPSGENIE_API_KEY")
    assert refused("oncall", "migrate").startswith(
        "deploy/oncall.toml: tool.opsgenie_key: the variable OPSGENIE_API_KEY"
    )
    migrating(setting, "jira", 'opsgenie_key = { variable = "THE_OLD_KEY" }\n')
    assert "tool.opsgenie_key: the variable THE_OLD_KEY is not set" in refused("oncall", "migrate")
    monkeypatch.setenv("THE_OLD_KEY", key)
    assert printed_json("oncall", "migrate")["read"].endswith("the variable THE_OLD_KEY")
    monkeypatch.setenv("THE_OLD_KEY", "a-key-that-is-revoked")
    said = refused("oncall", "migrate")
    assert "the variable THE_OLD_KEY is missing, wrong or revoked" in said
    assert "a-key-that-is-revoked" not in said
    migrating(setting, "opsgenie")
    assert refused("oncall", "migrate").startswith("deploy/oncall.toml: tool.key: the variable OPSGENIE_API_KEY")
    migrating(setting, "pagerduty")
    assert re.match(r"deploy/oncall.toml: tool.name: is pagerduty, and what moves", refused("oncall", "migrate"))
