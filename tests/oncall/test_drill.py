"""``tocsin drill``: each hop is followed and named, each field is checked, and everything is put back in every case."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from drill_stage import (
    CLOUDWATCH,
    OTHER,
    PAGE,
    Runbooks,
    change,
    composite,
    kept,
    quiet,
    raised,
    runbooks_served,
    set_state,
    staged,
)
from oncall_tools import (
    ACCOUNT,
    USERS,
    allow,
    as_caller,
    cloud_of,
    lessened,
    make_caller,
    page_policy,
    printed_json,
    succeed,
)

from command_line import command, refused, tocsin
from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.session import Cloud
from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall
from tocsin.paging.embedded.faults import Fault

TICKET = "dev-shop-orders-complete-ticket"
HOPS = [
    "the alarm is set to ALARM",
    "CloudWatch tells the topic",
    "SNS delivers, opsgenie opens an alert",
    "the alarm is set back",
    "CloudWatch tells the topic of the end",
    "SNS delivers, opsgenie closes the alert",
]


@pytest.fixture(scope="module")
def runbooks() -> Iterator[str]:
    with runbooks_served() as address:
        yield address


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with embedded() as running:
        yield running


@pytest.fixture(scope="module")
def cloud(aws: EmbeddedAws) -> Cloud:
    return cloud_of(aws)


@pytest.fixture(scope="module")
def pager(aws: EmbeddedAws) -> Iterator[EmbeddedOnCall]:
    with embedded_oncall(users=USERS, certificates_from=aws.endpoint) as running:
        yield running


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, aws: EmbeddedAws, pager: EmbeddedOnCall, runbooks: str
) -> Iterator[Path]:
    with staged(tmp_path_factory.mktemp("shop"), aws, pager, runbooks) as folder:
        yield folder


@pytest.fixture(autouse=True)
def as_it_was(cloud: Cloud, pager: EmbeddedOnCall, project: Path) -> Iterator[None]:
    """No test leaves an alarm in ALARM, an open alert or a fault behind; each begins with all of it well."""
    with kept(cloud):
        yield
        pager.set_fault(None)
        Runbooks.gone = set()
    with pager.state.lock:
        for alert in pager.state.alerts:
            pager.state.alerts.close(alert)


def test_a_page_there_and_back(cloud: Cloud, pager: EmbeddedOnCall) -> None:
    before = len(raised(pager))
    said = succeed("drill", "dev").splitlines()
    assert said[0] == f"{PAGE}: a drill, nobody is woken; --page would"
    assert [line.partition(" s  ")[2] for line in said[1:7]] == HOPS
    assert said[7] == "  as promised: alias, priority, reason, runbook, dashboard"
    assert said[8].startswith("passed: there and back in ")
    (alert,) = raised(pager)[before:]
    assert (alert.alias, alert.priority, alert.open, alert.notified) == (PAGE, "P1", False, ())
    assert "Drill by Tocsin, nobody is to act: " in alert.description
    assert quiet(cloud, pager)


def test_with_page_whoever_is_on_call_is_woken(pager: EmbeddedOnCall) -> None:
    assert succeed("drill", "dev", "--page").startswith(f"{PAGE}: a drill, whoever is on call is woken\n")
    assert set(raised(pager)[-1].notified) <= {"payments-primary@example.com", "payments-second@example.com"}
    assert len(raised(pager)[-1].notified) == 1


def test_what_begins_for_real_during_a_drill_is_told(cloud: Cloud, pager: EmbeddedOnCall) -> None:
    children = re.findall(r'ALARM\("([^"]+)"\)', composite(cloud)["AlarmRule"])

    def burn() -> None:
        for name in children:
            set_state(cloud, "ALARM", "the budget burns", name)

    Runbooks.asked = burn  # the drill looks at the runbook when the alert is there
    try:
        done = tocsin("drill", "dev")
    finally:
        Runbooks.asked = None
    assert done.exit_code == 1
    assert f"{PAGE} began to ring for real during the drill" in done.output
    assert composite(cloud)["StateValue"] == "ALARM"
    end = time.monotonic() + 20
    while PAGE not in pager.open_alerts() and time.monotonic() < end:
        time.sleep(0.05)
    (alert,) = [one for one in raised(pager) if one.alias == PAGE and one.open]
    assert "Drill" not in alert.description
    assert alert.notified
    for name in children:
        set_state(cloud, "OK", "over", name)
    assert quiet(cloud, pager)


def test_for_a_machine(cloud: Cloud, pager: EmbeddedOnCall) -> None:
    told = printed_json("drill", "dev", "--alarm", OTHER)
    assert (told["alarm"], told["passed"], told["failed_hop"], told["different"]) == (OTHER, True, None, [])
    assert [hop["name"] for hop in told["hops"]] == HOPS
    assert all(hop["seconds"] >= 0 and hop["problem"] is None for hop in told["hops"])
    assert quiet(cloud, pager)


def test_insufficient_data_is_restored(cloud: Cloud) -> None:
    set_state(cloud, "INSUFFICIENT_DATA")
    succeed("drill", "dev", "--alarm", PAGE)
    assert composite(cloud)["StateValue"] == "INSUFFICIENT_DATA"


def test_one_in_alarm_is_not_chosen(cloud: Cloud) -> None:
    set_state(cloud, "ALARM", "5 datapoints")
    assert succeed("drill", "dev").startswith(f"{OTHER}: a drill")
    assert composite(cloud)["StateReason"] == "5 datapoints"


def test_what_a_drill_left_behind_is_cleared_away(cloud: Cloud, pager: EmbeddedOnCall) -> None:
    set_state(cloud, "ALARM", "Drill by Tocsin, nobody is to act: killed")
    end = time.monotonic() + 20
    while PAGE not in pager.open_alerts() and time.monotonic() < end:
        time.sleep(0.05)
    assert "passed" in succeed("drill", "dev", "--alarm", PAGE)
    assert quiet(cloud, pager)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--alarm", "dev-shop-orders-complet-page"],
            f"no committed alarm of that name tells anybody; did you mean {PAGE!r}?",
        ),
        (["--alarm", TICKET], "tickets of payments go to email, so there is no alert to read back"),
        (["--timeout", "soon"], "not a duration: 'soon'"),
        (["--timeout", "999999d"], "--timeout 999999 d: at most 1 d"),
    ],
)
def test_what_cannot_be_drilled(arguments: list[str], says: str) -> None:
    assert says in refused("drill", "dev", *arguments)


def test_one_that_is_really_in_alarm_is_refused(cloud: Cloud) -> None:
    set_state(cloud, "ALARM", "5 datapoints")
    assert f"alarm {PAGE} is in ALARM since " in refusal()
    assert composite(cloud)["StateReason"] == "5 datapoints"


def test_one_whose_actions_are_off_is_refused(cloud: Cloud) -> None:
    change(cloud, ActionsEnabled=False)
    assert "its actions are switched off" in refusal()


def test_one_that_tells_nobody_of_its_end_is_refused(cloud: Cloud) -> None:
    change(cloud, OKActions=[])
    assert "tells no topic when it ends" in refusal()


def test_one_that_is_muted_is_refused(cloud: Cloud) -> None:
    told = printed_json("mute", "dev", "--system", "shop", "--for", "1h", "--because", "Maintenance.")
    try:
        assert f"is muted by {told['rules'][0]['name']}" in refusal()
    finally:
        cloud.client("cloudwatch").delete_alarm_mute_rule(AlarmMuteRuleName=told["rules"][0]["name"])


def test_one_whose_alert_is_open_is_refused(cloud: Cloud, pager: EmbeddedOnCall) -> None:
    with pager.state.lock:
        pager.state.alerts.raise_alert(PAGE, "by hand")
    assert f"an alert of {PAGE} is open in opsgenie already" in refusal()
    assert PAGE in pager.open_alerts()
    assert composite(cloud)["StateValue"] == "OK"


def refusal() -> str:
    done = tocsin("drill", "dev", "--alarm", PAGE)
    assert done.exit_code == 2, done.output
    return done.stderr


def test_a_key_that_is_missing_or_wrong_is_named(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPSGENIE_API_KEY")
    assert "tool.key: the variable OPSGENIE_API_KEY is not set" in refused("drill", "dev")
    monkeypatch.setenv("OPSGENIE_API_KEY", "0b1f6d52-0000-4000-8000-000000000000")
    said = tocsin("drill", "dev")
    assert said.exit_code == 2
    assert "OPSGENIE_API_KEY" in said.stderr
    assert "0b1f6d52" not in said.output
    assert composite(cloud)["StateValue"] == "OK"


def failed(*arguments: str) -> dict[str, Any]:
    done = tocsin("drill", "dev", "--timeout", "1s", *arguments, "--json")
    assert done.exit_code == 1, done.output
    told = json.loads(done.stdout)
    assert told["passed"] is False
    return told


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", 500, path=CLOUDWATCH),
        Fault("status", 429, retry_after=1, path=CLOUDWATCH),
        Fault("status", 403, path=CLOUDWATCH),
        Fault("slow", seconds=8.0, path=CLOUDWATCH),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status}",
)
def test_an_endpoint_that_takes_nothing_is_named(cloud: Cloud, pager: EmbeddedOnCall, fault: Fault) -> None:
    pager.set_fault(fault)
    # Another alarm than the other tests': SNS goes on trying, and what it delivers late would close an alert of theirs.
    told = failed("--alarm", OTHER)
    assert told["failed_hop"] == "SNS delivers, opsgenie opens an alert"
    assert told["hops"][-1]["problem"] == "no alert of that alias has come within 1 s"
    assert composite(cloud, OTHER)["StateValue"] == "OK"


def test_an_action_that_fails_is_named(cloud: Cloud, pager: EmbeddedOnCall) -> None:
    change(cloud, AlarmActions=[f"arn:aws:sns:eu-west-1:{ACCOUNT}:no-such-topic"])
    told = failed("--alarm", PAGE)
    assert told["failed_hop"] == "CloudWatch tells the topic"
    assert told["hops"][-1]["problem"].startswith("Failed to execute action ")
    assert quiet(cloud, pager)


def test_an_end_that_does_not_arrive_is_named_and_the_alert_closed(cloud: Cloud, pager: EmbeddedOnCall) -> None:
    silent = cloud.client("sns").create_topic(Name="dev-silent")["TopicArn"]
    change(cloud, OKActions=[silent])
    told = failed("--alarm", PAGE, "--timeout", "8s")  # the hops before it may take their time on a busy machine
    assert told["failed_hop"] == "SNS delivers, opsgenie closes the alert"
    assert PAGE not in pager.open_alerts()
    assert composite(cloud)["StateValue"] == "OK"


def test_a_tool_that_cannot_be_asked_changes_nothing(cloud: Cloud, pager: EmbeddedOnCall) -> None:
    pager.set_fault(Fault("status", 401))
    before = composite(cloud)["StateUpdatedTimestamp"]
    assert tocsin("drill", "dev", "--alarm", PAGE).exit_code == 2
    assert composite(cloud)["StateUpdatedTimestamp"] == before


def test_a_runbook_that_cannot_be_read(cloud: Cloud, pager: EmbeddedOnCall, runbooks: str) -> None:
    Runbooks.gone = {"slo-completeness.md"}
    done = tocsin("drill", "dev", "--alarm", PAGE)
    assert done.exit_code == 1
    assert (
        f"not as promised: runbook: {runbooks}/slo-completeness.md cannot be read: 127.0.0.1 answers 404" in done.stdout
    )
    assert "as promised: alias, priority, reason, dashboard" in done.stdout
    assert done.stdout.splitlines()[-1] == "failed: the alert is not as promised"
    assert quiet(cloud, pager)


def test_an_alert_with_another_priority(cloud: Cloud, pager: EmbeddedOnCall) -> None:
    with pager.state.lock:
        integration = pager.state.integrations.named("tocsin-shop-dev-payments-page")
        assert integration is not None
        held = json.dumps(integration)
        changed = json.loads(held.replace('"P1"', '"P4"'))
        pager.state.integrations.add(changed)

    try:
        told = tocsin("drill", "dev", "--alarm", PAGE)
        assert told.exit_code == 1, held
        assert "not as promised: priority: expected 'P1', found 'P4'" in told.stdout
    finally:
        with pager.state.lock:
            pager.state.integrations.add(json.loads(held))
    assert quiet(cloud, pager)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("path", [CLOUDWATCH, None])
def test_cut_off_in_the_middle_everything_is_put_back(
    cloud: Cloud, pager: EmbeddedOnCall, project: Path, number: int, code: int, path: str | None
) -> None:
    """While the endpoint takes nothing, and while it takes long over it all."""
    pager.set_fault(Fault("status", 503, times=6, path=path) if path else None)
    silent = cloud.client("sns").create_topic(Name="dev-silent")["TopicArn"]
    if path is None:  # the alert is open, its end does not come
        change(cloud, OKActions=[silent])
    waited_for, said = HOPS[1] if path else HOPS[3], ""
    arguments = command("drill", "dev", "--alarm", PAGE)
    with subprocess.Popen(
        arguments, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            said += line
            if waited_for in line:
                child.send_signal(number)
    assert child.returncode == code
    assert composite(cloud)["StateValue"] == "OK"
    pager.set_fault(None)
    if path is not None and not quiet(cloud, pager, seconds=2):
        # SNS tried on, and the end overtook the beginning: it was said, and the next drill clears it away.
        assert f"no alert to close has come yet; should one come, close {PAGE} in opsgenie" in said
        change(cloud, OKActions=composite(cloud)["AlarmActions"])
        succeed("drill", "dev", "--alarm", PAGE)
    assert quiet(cloud, pager)


def test_the_permissions_of_the_page_are_enough_and_none_is_idle(tmp_path: Path, runbooks: str) -> None:
    with embedded(iam=True) as aws, embedded_oncall(users=USERS, certificates_from=aws.endpoint) as pager:
        cloud = cloud_of(aws)
        with staged(tmp_path, aws, pager, runbooks):
            caller = make_caller(cloud, "driller")
            allow(cloud, caller, page_policy("drill"))
            with as_caller(aws, key=caller.key, secret=caller.secret):
                succeed("drill", "dev", "--alarm", PAGE)
            for action, statements in lessened(page_policy("drill")):
                allow(cloud, caller, statements)
                with as_caller(aws, key=caller.key, secret=caller.secret):
                    done = tocsin("drill", "dev", "--alarm", PAGE, "--timeout", "5s")
                assert done.exit_code != 0, f"{action} is idle"
                assert "not allowed to" in done.output
                assert quiet(cloud, pager), action
