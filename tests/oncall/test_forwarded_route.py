"""A route over the forwarder, from the file to the alert: what it says, a drill of it, and what could not be told at first."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from deploy.systems import bootstrap, deploy_all
from forwarded_project import USERS, rendered, write_project
from oncall_tools import ACCOUNT, allow, as_caller, cloud_of, make_caller, page_policy, printed_json, succeed

from command_line import tocsin
from tocsin.cloud.committed import Committed
from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.environments import Environment
from tocsin.cloud.redrive import backlog
from tocsin.cloud.session import Cloud
from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall
from tocsin.paging.embedded.faults import Fault

pytestmark = pytest.mark.long

PAGE = "laptop-notification-api-availability-page"
ALERTS = "/v2/alerts"


@dataclass(frozen=True)
class Stage:
    """The repository's systems with engagement's pages over the forwarder, deployed, and on call."""

    aws: EmbeddedAws
    cloud: Cloud
    pager: EmbeddedOnCall
    environment: Environment
    committed: Committed

    def output(self, stack: str, name: str) -> str:
        found = self.cloud.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
        return next(each["OutputValue"] for each in found if each["OutputKey"] == name)

    @property
    def redrive(self) -> str:
        return self.output("laptop-forwarder", "ForwarderRedriveUrl")

    def change(self, state: str, reason: str = "Threshold crossed.") -> None:
        self.cloud.client("cloudwatch").set_alarm_state(AlarmName=PAGE, StateValue=state, StateReason=reason)

    def alerts(self) -> list[Any]:
        return [alert for alert in self.pager.alerts() if alert.alias == PAGE]


def soon(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """The first true value, or the last false one."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return value


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("project")
    with (
        embedded(folder / "aws", iam=True) as aws,
        embedded_oncall(users=USERS) as pager,
        pytest.MonkeyPatch.context() as patch,
        as_caller(aws),
        ExitStack() as up,
    ):
        environment, committed = write_project(folder, aws, pager.url)
        up.enter_context(rendered(folder))
        patch.chdir(folder)
        patch.setenv("OPSGENIE_API_KEY", pager.key)
        bootstrap(environment)
        deploy_all(environment, committed=committed)  # first: a route through a forwarder that is not there is refused
        succeed("oncall", "apply", "laptop")
        cloud = cloud_of(aws)
        # A state that is set is kept until one of the alarms in the rule changes: let them have their first state.
        assert soon(lambda: aws.next_minute() or not undecided(cloud))
        yield Stage(aws, cloud, pager, environment, committed)


def undecided(cloud: Cloud) -> list[str]:
    """The alarms under the page's that CloudWatch has not evaluated yet."""
    pages = (
        cloud.client("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmNamePrefix=PAGE.removesuffix("page"), AlarmTypes=["MetricAlarm"])
    )
    return [one["AlarmName"] for page in pages for one in page["MetricAlarms"] if one["StateValue"] != "OK"]


@pytest.fixture(autouse=True)
def as_it_was(stage: Stage) -> Iterator[None]:
    yield
    stage.pager.set_fault(None)
    stage.change("OK")
    assert soon(lambda: PAGE not in stage.pager.open_alerts())


def test_apply_and_deploy_do_not_undo_each_other(stage: Stage) -> None:
    assert succeed("oncall", "apply", "laptop") == "laptop: nothing to change\n"
    assert {one.work.value for one in deploy_all(stage.environment, committed=stage.committed)} == {"nothing"}


def test_an_alert_says_what_a_direct_integration_cannot(stage: Stage) -> None:
    stage.change("ALARM")
    assert soon(lambda: PAGE in stage.pager.open_alerts())
    (alert,) = (one for one in stage.alerts() if one.open)
    changed_at = datetime.fromisoformat(alert.details["changed at"])
    assert (alert.priority, alert.owner) == ("P1", "engagement")
    assert alert.message == "[laptop] notification: api-availability: the error budget burns too fast"
    assert set(alert.tags) == {
        "environment:laptop", "owner:engagement", "severity:page", "slo:api-availability", "system:notification", "tocsin",
    }  # fmt: skip
    assert re.fullmatch(r"-?[0-9]+\.[0-9] %", alert.details["budget left"])
    dashboard = urlsplit(alert.details["dashboard"])
    span = parse_qs(dashboard.query)
    assert dashboard.path == "/d/tocsin-notification"
    assert span == {"from": [str(int(changed_at.timestamp() * 1000) - 6 * 3_600_000)], "to": ["now"]}
    assert alert.details["console"].endswith(f"#alarmsV2:alarm/{PAGE}")
    assert alert.details["runbook"] == "runbooks/slo-availability.md"
    stage.change("OK")
    assert soon(lambda: PAGE not in stage.pager.open_alerts())


def record(stage: Stage, hours_ago: int, requests: int, failed: int) -> None:
    """What API Gateway counts of an hour, in the very series that the page's alarms read."""
    cloudwatch = stage.cloud.client("cloudwatch")
    (child,) = cloudwatch.describe_alarms(AlarmNames=[f"{PAGE.removesuffix('page')}burn-1h-long"])["MetricAlarms"]
    metrics = {each["Id"]: each["MetricStat"]["Metric"] for each in child["Metrics"] if "MetricStat" in each}
    hour = stage.aws.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours_ago)
    for name, number in (("valid", requests), ("bad", failed)):
        metric = metrics[name]
        cloudwatch.put_metric_data(
            Namespace=metric["Namespace"],
            MetricData=[
                {
                    "MetricName": metric["MetricName"],
                    "Dimensions": metric["Dimensions"],
                    "Timestamp": hour + timedelta(minutes=minute),
                    "Values": [1.0],
                    "Counts": [number / 4],
                }
                for minute in (0, 7, 30, 59)
                if number
            ],
        )


def test_a_page_says_how_much_of_the_budget_is_left(stage: Stage) -> None:
    """40,000 requests in four weeks, of which 99.9 % have to be right: 40 may fail, 28 did before and 4 more between two
    pages; what failed earlier than that counts no more."""
    record(stage, 2, 10_000, 16)
    record(stage, 30, 10_000, 0)
    record(stage, 200, 20_000, 12)
    record(stage, 28 * 24 + 1, 10_000, 1_000)
    assert budget_told(stage) == "30.0 %"
    record(stage, 3, 0, 4)
    assert budget_told(stage) == "20.0 %"


def budget_told(stage: Stage) -> str:
    """What an alert says that the alarm raises now."""
    stage.change("ALARM")
    assert soon(lambda: PAGE in stage.pager.open_alerts())
    (alert,) = (one for one in stage.alerts() if one.open)
    stage.change("OK")
    assert soon(lambda: PAGE not in stage.pager.open_alerts())
    return alert.details["budget left"]


def test_a_drill_finds_every_field_as_promised(stage: Stage) -> None:
    told = printed_json("drill", "laptop", "--alarm", PAGE)
    assert (told["passed"], told["different"], told["left"]) == (True, [], [])
    assert {
        "alias", "priority", "reason", "runbook", "dashboard", "message", "tags", "system", "owner", "slo", "severity",
        "environment", "resource", "region", "account", "console", "drill",
    } <= set(told["as_promised"])  # fmt: skip
    alert = stage.alerts()[-1]
    assert (alert.open, alert.details["drill"], alert.message[:7]) == (False, "yes", "Drill: ")
    with stage.pager.state.lock:
        (record,) = (one for one in stage.pager.state.alerts if one.id == alert.id)
    assert record.notified == (), "nobody is woken"


def test_a_field_that_is_not_as_promised_is_named(stage: Stage) -> None:
    """A description that somebody changed by hand is what the forwarder goes by."""
    cloudwatch = stage.cloud.client("cloudwatch")
    found = cloudwatch.describe_alarms(AlarmNames=[PAGE], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"][0]
    kept = {name: found[name] for name in ("AlarmName", "AlarmRule", "AlarmActions", "OKActions", "AlarmDescription")}
    changed = kept["AlarmDescription"].replace("Severity: page", "Severity: ticket")
    cloudwatch.put_composite_alarm(**{**kept, "AlarmDescription": changed})
    try:
        done = tocsin("drill", "laptop", "--alarm", PAGE, "--json")
    finally:
        cloudwatch.put_composite_alarm(**kept)
    assert done.exit_code == 1
    assert {line.partition(":")[0] for line in json.loads(done.stdout)["different"]} >= {"priority", "severity", "tags"}


def test_an_answer_that_is_not_the_tools_is_no_delivery(stage: Stage) -> None:
    """What a direct way cannot see: 200, and something else than the tool's JSON."""
    stage.pager.set_fault(Fault("garbage", times=1, path=ALERTS))
    stage.change("ALARM")
    assert soon(lambda: PAGE in stage.pager.open_alerts())


def test_what_nobody_was_told_of_raises_an_alarm_and_is_replayed(stage: Stage) -> None:
    stage.aws.confirm_mail()
    before = len(stage.alerts())
    stage.pager.set_fault(Fault("status", 422, path=ALERTS))
    for number, state in enumerate(("ALARM", "OK", "ALARM"), 1):
        stage.change(state)  # one after the other: of those that wait together only the newest is told
        assert soon(lambda number=number: backlog(stage.cloud, stage.redrive).waiting == number)
    stage.aws.next_minute()
    alarm = stage.cloud.client("cloudwatch").describe_alarms(AlarmNames=["laptop-forwarder-redrive"])["MetricAlarms"][0]
    assert alarm["StateValue"] == "ALARM"
    assert alarm["AlarmActions"] == [stage.output("laptop-routing", "SecondWayTopicArn")]
    stage.pager.set_fault(None)
    caller = make_caller(stage.cloud, "replayer")
    allow(stage.cloud, caller, replay_policy())
    with as_caller(stage.aws, key=caller.key, secret=caller.secret):
        done = tocsin("oncall", "replay", "laptop")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("redrive queue:\n  nothing to deliver\nredrive queue of the forwarder:\n")
    assert done.stdout.endswith("  3 delivered, 0 kept\n")
    assert soon(lambda: PAGE in stage.pager.open_alerts())
    assert len(stage.alerts()) > before
    left = backlog(stage.cloud, stage.redrive)
    assert (left.waiting, left.hidden) == (0, 0)


def replay_policy() -> list[dict[str, Any]]:
    """What docs/on-call.md says the command needs, and what it says is needed for the forwarder."""
    queue = f"arn:aws:sqs:*:{ACCOUNT}:laptop-forwarder-Alerts"
    (first, *rest) = json.loads(
        json.dumps(page_policy("replay")).replace("dev-", "laptop-").replace("/dev/", "/laptop/")
    )
    return [
        first,
        *rest,
        {**first, "Resource": f"{queue}Redrive*"},
        {"Effect": "Allow", "Action": ["sqs:GetQueueUrl", "sqs:SendMessage"], "Resource": queue},
    ]
