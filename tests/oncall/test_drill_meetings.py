"""What a drill finds when it begins: another one under way, one that was killed, a key that is lost."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from drill_stage import CLOUDWATCH, OTHER, PAGE, composite, kept, quiet, raised, runbooks_served, set_state, staged
from oncall_tools import USERS, cloud_of, printed_json, succeed

from command_line import command, refused, tocsin
from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.session import Cloud
from tocsin.paging.drill_marks import DrillRun, drill_reason, run_of
from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall
from tocsin.paging.embedded.faults import Fault

SECRET = "tocsin/dev/on-call/payments-page"
INTEGRATION = "tocsin-shop-dev-payments-page"
OPENED = "SNS delivers, opsgenie opens an alert"
NO_PROCESS = 2**22 + 1  # more than any process has


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
def project(tmp_path_factory: pytest.TempPathFactory, aws: EmbeddedAws, pager: EmbeddedOnCall) -> Iterator[Path]:
    with runbooks_served() as runbooks, staged(tmp_path_factory.mktemp("shop"), aws, pager, runbooks) as folder:
        yield folder


@pytest.fixture(autouse=True)
def as_it_was(cloud: Cloud, pager: EmbeddedOnCall, project: Path) -> Iterator[None]:
    with kept(cloud):
        yield
        pager.set_fault(None)
    assert quiet(cloud, pager)


@contextmanager
def begun(project: Path, hop: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A drill in a process of its own, which has come as far as ``hop``; it does not outlive the block."""
    arguments = command("drill", "dev", *arguments)
    with subprocess.Popen(
        arguments, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        try:
            assert any(hop in line for line in child.stdout), "it ended before"
            yield child
        finally:
            child.kill()


def end(child: subprocess.Popen[str], number: int) -> int:
    child.send_signal(number)
    child.communicate(timeout=60)
    return child.returncode


def until_open(pager: EmbeddedOnCall) -> None:
    deadline = time.monotonic() + 20
    while PAGE not in pager.open_alerts() and time.monotonic() < deadline:
        time.sleep(0.05)


def test_what_was_killed_is_set_right_by_the_next_one(cloud: Cloud, pager: EmbeddedOnCall, project: Path) -> None:
    """The next one of any alarm, without being told which."""
    pager.set_fault(Fault("slow", seconds=0.5, path="/v2/alerts"))
    with begun(project, "CloudWatch tells the topic") as child:
        assert end(child, signal.SIGKILL) == -signal.SIGKILL
    pager.set_fault(None)
    until_open(pager)
    left = run_of(composite(cloud)["StateReason"])
    assert left is not None
    assert (composite(cloud)["StateValue"], left.process) == ("ALARM", child.pid)
    said = succeed("drill", "dev").splitlines()
    assert said[0] == f"{PAGE}: left in ALARM by a drill that was cut off; set back"
    assert said[1].startswith(f"{PAGE}: a drill")
    assert said[-1].startswith("passed")


def test_a_machine_is_told_what_was_set_right(cloud: Cloud, pager: EmbeddedOnCall) -> None:
    set_state(cloud, "ALARM", drill_reason("killed", page=True))
    until_open(pager)
    assert printed_json("drill", "dev")["set_right"] == [PAGE]
    assert printed_json("drill", "dev")["set_right"] == []


def test_what_was_killed_and_rings_in_earnest_is_told(cloud: Cloud, pager: EmbeddedOnCall) -> None:
    children = re.findall(r'ALARM\("([^"]+)"\)', composite(cloud)["AlarmRule"])
    for name in children:
        set_state(cloud, "ALARM", "the budget burns", name)
    set_state(cloud, "ALARM", drill_reason("killed", page=False))
    until_open(pager)
    try:
        said = succeed("drill", "dev").splitlines()
        assert said[0].endswith("its rule is true in earnest, so it is in ALARM again, and told")
        assert said[1].startswith(f"{OTHER}: a drill")
        assert composite(cloud)["StateValue"] == "ALARM"
        until_open(pager)
        (alert,) = [one for one in raised(pager) if one.alias == PAGE and one.open]
        assert "Drill" not in alert.description
    finally:
        for name in children:
            set_state(cloud, "OK", "over", name)


def test_a_second_one_of_the_same_alarm_is_refused_at_once(cloud: Cloud, pager: EmbeddedOnCall, project: Path) -> None:
    pager.set_fault(Fault("status", 503, path=CLOUDWATCH))
    with begun(project, "CloudWatch tells the topic", "--alarm", PAGE) as child:
        reason = composite(cloud)["StateReason"]
        said = refused("drill", "dev", "--alarm", PAGE)
        assert f"a drill of alarm {PAGE} is running already, process {child.pid} on " in said
        assert composite(cloud)["StateReason"] == reason, "the first one's alarm is as it was"
        assert end(child, signal.SIGTERM) == 143
    pager.set_fault(None)
    assert quiet(cloud, pager, seconds=2) or "passed" in succeed("drill", "dev", "--alarm", PAGE)


def test_the_alert_of_one_on_its_way_back_is_left_to_it(cloud: Cloud, pager: EmbeddedOnCall, project: Path) -> None:
    """The alarm is in OK already."""
    record = composite(cloud)
    names = ("AlarmName", "AlarmDescription", "AlarmRule", "AlarmActions", "ActionsEnabled")
    silent = cloud.client("sns").create_topic(Name="dev-silent")["TopicArn"]
    cloud.client("cloudwatch").put_composite_alarm(**{name: record[name] for name in names}, OKActions=[silent])
    with begun(project, "the alarm is set back", "--alarm", PAGE) as child:
        assert composite(cloud)["StateValue"] == "OK"
        assert "is running already" in refused("drill", "dev", "--alarm", PAGE)
        assert PAGE in pager.open_alerts()
        assert end(child, signal.SIGINT) == 130


@pytest.mark.parametrize(("minutes", "runs"), [(5, True), (-1, False)])
def test_one_of_another_machine_runs_until_it_must_be_over(
    cloud: Cloud, pager: EmbeddedOnCall, minutes: int, runs: bool
) -> None:
    ends = datetime.now(UTC) + timedelta(minutes=minutes)
    set_state(cloud, "ALARM", drill_reason("x", page=False, run=DrillRun(NO_PROCESS, 1, "elsewhere", ends)))
    until_open(pager)
    if runs:
        assert f"on elsewhere; wait for its end, which is at {ends:%H:%M:%S} UTC" in refused(
            "drill", "dev", "--alarm", PAGE
        )
        set_state(cloud, "OK")
    else:
        assert "passed" in succeed("drill", "dev", "--alarm", PAGE)


def test_a_run_is_read_as_it_was_written() -> None:
    run = DrillRun(4711, 2, "ci-runner.example.com", datetime(2026, 11, 21, 8, 1, 2, tzinfo=UTC))
    assert run_of(f"Something.\n{drill_reason('why', page=False, run=run)}\nMore.") == run
    assert run_of(drill_reason("why", page=True)) is None
    assert run_of(f"(run {run.text})") is None, "no drill says so"


def refusal(cloud: Cloud) -> str:
    """What a drill says that forces nothing."""
    before = composite(cloud)["StateUpdatedTimestamp"]
    done = tocsin("drill", "dev", "--alarm", PAGE)
    assert done.exit_code == 2, done.output
    assert composite(cloud)["StateUpdatedTimestamp"] == before
    return done.stderr


def test_a_secret_that_is_gone_is_named(cloud: Cloud) -> None:
    secrets = cloud.client("secretsmanager")
    secrets.delete_secret(SecretId=SECRET, RecoveryWindowInDays=7)
    try:
        said = refusal(cloud)
    finally:
        secrets.restore_secret(SecretId=SECRET)
    assert f"the secret {SECRET}, with the key of {INTEGRATION} in opsgenie, is not there; run " in said


def test_a_secret_with_the_key_of_something_else_is_named(cloud: Cloud) -> None:
    secrets = cloud.client("secretsmanager")
    held = secrets.get_secret_value(SecretId=SECRET)["SecretString"]
    elsewhere = {**json.loads(held), "endpoint": "https://elsewhere.example.com/v1/json/cloudwatch?apiKey=0b1f6d52"}
    secrets.put_secret_value(SecretId=SECRET, SecretString=json.dumps(elsewhere))
    try:
        said = refusal(cloud)
    finally:
        secrets.put_secret_value(SecretId=SECRET, SecretString=held)
    assert f"the secret {SECRET} does not hold the key of {INTEGRATION} in opsgenie" in said
    assert "0b1f6d52" not in said


@pytest.mark.parametrize("change", [{"apiKey": "another-key"}, {"enabled": False}], ids=["revoked", "switched off"])
def test_a_key_that_is_no_longer_taken_is_named(cloud: Cloud, pager: EmbeddedOnCall, change: dict[str, object]) -> None:
    with pager.state.lock:
        integration = pager.state.integrations.named(INTEGRATION)
        assert integration is not None
        before = dict(integration)
        integration.update(change)
    try:
        said = refusal(cloud)
    finally:
        with pager.state.lock:
            integration.update(before)
    assert f"opsgenie refuses the key in the secret {SECRET}: it is revoked, or {INTEGRATION} is switched off" in said
    assert "tocsin oncall apply dev --renew payments-page" in said
    assert before["apiKey"] not in said


def test_an_integration_that_is_gone_is_named(cloud: Cloud, pager: EmbeddedOnCall) -> None:
    with pager.state.lock:
        integration = pager.state.integrations.named(INTEGRATION)
        assert integration is not None
        integration["name"] = "somebody-elses"
    try:
        assert f"no integration '{INTEGRATION}'; run `tocsin oncall apply`" in refusal(cloud)
    finally:
        with pager.state.lock:
            integration["name"] = INTEGRATION
