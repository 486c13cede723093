"""Drills by tool: one that would wake somebody is refused before anything is changed; Jira's is followed there and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from oncall_tools import ON_CALL, USERS, as_caller, cloud_of, deploy_watched, printed_json, shop, succeed

from command_line import refused
from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.session import Cloud
from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall
from tocsin.paging.embedded.jira import add_team

pytestmark = pytest.mark.long

PAGE = "dev-shop-orders-complete-page"
TOOLS = {
    "opsgenie": 'name = "opsgenie"\n',
    "jira": 'name = "jira"\nsite = "11111111-2222-4333-8444-555555555555"\naccount = "tocsin@example.com"\n',
    "pagerduty": 'name = "pagerduty"\n',
    "webhook": 'name = "webhook"\nurl = "https://alerts.example.com/in"\n',
}
KEYS = ("JIRA_API_TOKEN", "PAGERDUTY_API_KEY", "WEBHOOK_SIGNING_KEY")
HEARTBEAT = '[heartbeat]\nteam = "payments"\n'


@dataclass(frozen=True)
class Stage:
    """The shop, on call with Jira, and a way to declare another tool."""

    cloud: Cloud
    pager: EmbeddedOnCall
    folder: Path

    def declare(self, tool: str) -> None:
        (self.folder / "deploy" / "oncall.toml").write_text(declared(tool), encoding="utf-8")

    def state(self) -> tuple[str, datetime]:
        found = self.cloud.client("cloudwatch").describe_alarms(AlarmNames=[PAGE], AlarmTypes=["CompositeAlarm"])
        alarm: dict[str, Any] = found["CompositeAlarms"][0]
        return alarm["StateValue"], alarm["StateUpdatedTimestamp"]


def declared(tool: str) -> str:
    """The on-call file for that tool."""
    text = ON_CALL.replace(TOOLS["opsgenie"], TOOLS[tool])
    if tool in ("pagerduty", "webhook"):
        text = text.replace(HEARTBEAT, "")
    return text.replace('pages = "tool"', 'pages = "forwarder"') if tool == "webhook" else text


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with embedded() as running:
        yield running


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, aws: EmbeddedAws) -> Iterator[Stage]:
    folder, cloud = tmp_path_factory.mktemp("shop"), cloud_of(aws)
    deploy_watched(cloud, aws)
    with (
        embedded_oncall(users=USERS, certificates_from=aws.endpoint) as pager,
        pytest.MonkeyPatch.context() as patch,
        as_caller(aws),
    ):
        add_team(pager.state, "payments", USERS)
        shop(folder, aws, pager.url, on_call=declared("jira"))
        patch.chdir(folder)
        for variable in KEYS:
            patch.setenv(variable, pager.key)
        for arguments in (("build",), ("oncall", "apply", "dev"), ("deploy", "dev")):
            succeed(*arguments)
        aws.next_minute()  # the alarms in the rule have their first state
        ahead = aws.now() - datetime.now(UTC)
        pager.state.clock = lambda: datetime.now(UTC) + ahead
        yield Stage(cloud, pager, folder)


def test_jira_is_followed_there_and_back(stage: Stage) -> None:
    told = printed_json("drill", "dev", "--alarm", PAGE)
    assert (told["passed"], told["different"], told["left"]) == (True, [], [])
    assert [hop["name"] for hop in told["hops"]][2::3] == [
        "SNS delivers, jira opens an alert",
        "SNS delivers, jira closes the alert",
    ]
    alert = list(stage.pager.state.alerts)[-1]
    assert (alert.alias, alert.priority, alert.open, alert.notified) == (PAGE, "P1", False, ())


def test_with_page_jira_wakes_whoever_is_on_call(stage: Stage) -> None:
    assert printed_json("drill", "dev", "--alarm", PAGE, "--page")["passed"]
    (woken,) = list(stage.pager.state.alerts)[-1].notified
    assert woken in ("payments-primary@example.com", "payments-second@example.com")


@pytest.mark.parametrize("tool", ["pagerduty", "webhook"])
def test_a_tool_that_would_wake_somebody_is_refused_without_page(stage: Stage, tool: str) -> None:
    stage.declare(tool)
    before, alerts = stage.state(), len(stage.pager.alerts())
    try:
        said = refused("drill", "dev", "--alarm", PAGE)
    finally:
        stage.declare("jira")
    assert said.startswith(f"{tool} cannot be told to notify nobody of a drill")
    assert "give --page" in said
    assert (stage.state(), len(stage.pager.alerts())) == (before, alerts)


def test_what_a_drill_left_behind_stays_until_it_may_be_cleared_away(stage: Stage) -> None:
    """The refusal comes before the clearing away, which closes an alert."""
    cloudwatch = stage.cloud.client("cloudwatch")
    reason = "Drill by Tocsin, nobody is to act: cut off"
    cloudwatch.set_alarm_state(AlarmName=PAGE, StateValue="ALARM", StateReason=reason)
    stage.declare("pagerduty")
    try:
        refused("drill", "dev", "--alarm", PAGE)
    finally:
        stage.declare("jira")
    assert stage.state()[0] == "ALARM"
    assert printed_json("drill", "dev", "--alarm", PAGE)["passed"], "Jira may, and clears it away"
    assert stage.state()[0] == "OK"
