"""From a deployed system to exact counts: stacks, alarms and metrics in an embedded AWS, and the command that pulls them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from command_line import declare, only_line, tocsin
from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.session import connect
from tocsin.history.layout import keys_of
from tocsin.history.partitions import Partition, read_rows
from tocsin.history.schema import ALARM, ALARM_STATE, ALERT, COVERAGE, PROMISE, SLI, Table
from tocsin.history.store import open_store
from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall

pytestmark = pytest.mark.long

TEMPLATE = """\
Resources:
  Orders:
    Type: AWS::SQS::Queue
    Properties: {RedrivePolicy: {deadLetterTargetArn: !GetAtt Failed.Arn, maxReceiveCount: 3}}
  Failed: {Type: AWS::SQS::Queue}
"""
SLOS = """
    completeness(stack["Orders"], name="taken", objective="99%", window="28d"),
    freshness(stack["Orders"], name="fresh", below="5min", objective="99%", window="28d"),
"""
ENVIRONMENTS = """\
[dev]
region = "eu-west-1"
endpoint_url = "{endpoint}"

[dev.routing]
EndpointProtocol = "http"
PaymentsPageEndpoint = "http://127.0.0.1:9/page"
PaymentsTicketEndpoint = "http://127.0.0.1:9/ticket"
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory) -> Iterator[EmbeddedAws]:
    with embedded(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture(scope="module")
def project(aws, tmp_path_factory) -> Iterator[Path]:
    """A project with one system, which is deployed, alarms and all."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in aws.boto3_environment().items():
            patch.setenv(name, value)
        declare(folder, SLOS)
        (folder / "template.yaml").write_text(TEMPLATE)
        (folder / "deploy").mkdir()
        (folder / "deploy" / "environments.toml").write_text(ENVIRONMENTS.format(endpoint=aws.endpoint))
        cloudformation = connect().client("cloudformation")
        cloudformation.create_stack(StackName="dev-shop", TemplateBody=TEMPLATE)
        cloudformation.get_waiter("stack_create_complete").wait(StackName="dev-shop", WaiterConfig={"Delay": 1})
        assert tocsin("build").exit_code == 0
        deployed = tocsin("deploy", "dev")
        assert deployed.exit_code == 0, deployed.output
        yield folder


def put(metric: str, queue: str, at: datetime, *values: float) -> None:
    data: dict[str, Any] = {"MetricName": metric, "Dimensions": [{"Name": "QueueName", "Value": queue}]}
    connect().client("cloudwatch").put_metric_data(
        Namespace="AWS/SQS",
        MetricData=[
            {**data, "Timestamp": at + timedelta(minutes=place), "Value": value} for place, value in enumerate(values)
        ],
    )


def rows(table: Table) -> list[tuple]:
    store = open_store("history")
    return [row for path in store.paths(table) for row in read_rows(store, Partition(table, *keys_of(path)))]


def test_a_deployed_system_is_pulled_to_exact_counts(aws, project) -> None:
    found = connect().client("cloudformation").describe_stack_resources(StackName="dev-shop")["StackResources"]
    queues = {one["LogicalResourceId"]: one["PhysicalResourceId"].rpartition("/")[2] for one in found}
    start = (aws.now() - timedelta(hours=2)).replace(second=0, microsecond=0)
    put("NumberOfMessagesDeleted", queues["Orders"], start, 10, 12, 0, 8)
    put("ApproximateNumberOfMessagesVisible", queues["Failed"], start, 0, 1, 1, 3)
    put("ApproximateAgeOfOldestMessage", queues["Orders"], start, 10, 299, 301, 20)
    [page] = [name for name in alarms() if "taken" in name and "page" in name]
    connect().client("cloudwatch").set_alarm_state(AlarmName=page, StateValue="ALARM", StateReason="a drill")

    result = tocsin("history", "pull", "dev", "--since", "1d", "--json")
    assert result.exit_code == 0, result.output
    counts = {
        slo: [
            (good, valid) for name, at, _, good, valid in rows(SLI) if name == slo and at >= start.replace(tzinfo=None)
        ]
        for slo in ("taken", "fresh")
    }
    assert counts["taken"][:4] == [(10, 10), (12, 13), (0, 0), (8, 10)]
    assert counts["fresh"][:4] == [(1, 1), (1, 1), (0, 1), (1, 1)]
    assert {row[2] for row in rows(SLI)} == {60}
    assert [(row[0], row[2], row[3]) for row in rows(PROMISE)] == [
        ("fresh", "freshness", "99/100"),
        ("taken", "completeness", "99/100"),
    ]
    assert {row[0] for row in rows(COVERAGE)} == {"fresh", "taken"}
    assert page in {row[0] for row in rows(ALARM)}
    assert {row[2] for row in rows(ALARM) if row[0] == page} == {"page"}
    assert rows(ALARM_STATE) == [], "what happened in the last quarter of an hour is left for the next pull"

    aws.advance(3600)
    again = tocsin("history", "pull", "dev")
    assert again.exit_code == 0, again.output
    [change] = [row for row in rows(ALARM_STATE) if row[0] == page and row[3] == "ALARM"]
    assert change[4] == "a drill"
    assert sum(Fraction(row[4]) for row in rows(SLI) if row[0] == "taken") >= 33
    shown = tocsin("history", "show")
    assert shown.exit_code == 0
    assert "taken" in shown.stdout
    nothing = tocsin("history", "pull", "dev")
    assert "nothing new" in nothing.stdout


def alarms() -> list[str]:
    pages = (
        connect()
        .client("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    )
    return [item["AlarmName"] for page in pages for kind in ("MetricAlarms", "CompositeAlarms") for item in page[kind]]


def test_a_missing_stack_is_told_and_the_promises_are_kept(aws, project) -> None:
    environments = project / "deploy" / "environments.toml"
    text = environments.read_text()
    environments.write_text(text + '\n[dev.shop]\nstack = "dev-nothing"\n')
    try:
        result = tocsin("history", "pull", "dev", "--history", "elsewhere")
    finally:
        environments.write_text(text)
    assert result.exit_code == 1
    assert only_line(result.stderr).startswith("shop: stack dev-nothing does not exist in eu-west-1; deploy the system")
    assert "incomplete" in result.stdout


ON_CALL = """\
project = "shop"
environments = {environments}
time_zone = "Europe/Vienna"
second_way = "on-call-fallback@example.com"

[tool]
name = "{tool}"
key = {{ variable = "ON_CALL_KEY" }}
{place}

[teams.payments]
members = ["payments-primary@example.com"]
pages = "{way}"
tickets = {{ email = "payments-tickets@example.com" }}

[teams.payments.schedules.payments.rotations.week]
participants = ["payments-primary@example.com"]
starts = 2026-01-05T09:00:00
turn = "weekly"

[teams.payments.escalation]
steps = [{{ schedule = "payments" }}]
"""


@contextmanager
def on_call(project: Path, url: str = "", tool: str = "opsgenie", **file: str) -> Iterator[None]:
    """The environment on call at ``url``, by a file like this, for the length of the block."""
    environments, path = project / "deploy" / "environments.toml", project / "deploy" / "oncall.toml"
    text = environments.read_text()
    if url:
        environments.write_text(text.replace("[dev]\n", f'[dev]\noncall_url = "{url}"\n', 1))
    path.write_text(ON_CALL.format(**{"environments": '["dev"]', "tool": tool, "place": "", "way": "tool", **file}))
    try:
        yield
    finally:
        environments.write_text(text)
        path.unlink()


@pytest.fixture
def pager(aws, monkeypatch) -> Iterator[EmbeddedOnCall]:
    """An on-call tool with an alert of an hour ago that was taken and closed, whose key is at hand."""
    begin = aws.now().replace(microsecond=0) - timedelta(hours=2)
    with embedded_oncall() as oncall:
        book = oncall.state.alerts
        page = next(name for name in alarms() if "taken" in name and "page" in name)
        for at in (begin, begin + timedelta(minutes=30)):
            oncall.state.clock = lambda at=at: at
            record, _ = book.raise_alert(page, page)
            oncall.state.clock = lambda at=at: at + timedelta(minutes=4)
            book.acknowledge(record, "somebody")
            oncall.state.clock = lambda at=at: at + timedelta(minutes=20)
            book.close(record, "somebody")
        monkeypatch.setenv("ON_CALL_KEY", oncall.key)
        yield oncall


def note(text: str) -> str:
    """The one note on standard error."""
    assert text.count("\n") == 1, text
    return text.removeprefix("note: ")


def taken(history: str) -> list[tuple[timedelta, timedelta]]:
    store = open_store(history)
    found = [row for path in store.paths(ALERT) for row in read_rows(store, Partition(ALERT, *keys_of(path)))]
    return [(acknowledged - opened, closed - opened) for _, opened, acknowledged, closed in found]


def test_the_on_call_tool_is_asked_where_it_is_declared_and_its_key_is_at_hand(project, pager) -> None:
    with on_call(project, pager.url):
        first = tocsin("history", "pull", "dev", "--history", "asked")
        again = tocsin("history", "pull", "dev", "--history", "asked", "--json")
    assert first.exit_code == 0, first.output
    assert "on-call tool: 2 alerts new or changed" in first.stdout
    assert taken("asked") == [(timedelta(minutes=4), timedelta(minutes=20))] * 2
    assert json.loads(again.stdout)["alerts"] == {"changed": 0}


def test_alerts_are_left_out_when_told_so(project, pager) -> None:
    with on_call(project, pager.url):
        result = tocsin("history", "pull", "dev", "--no-alerts", "--history", "left-out")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "alert" not in result.stdout
    assert taken("left-out") == []


def test_a_pull_without_a_key_goes_on_and_says_so(project, monkeypatch) -> None:
    monkeypatch.delenv("ON_CALL_KEY", raising=False)
    with on_call(project):
        result = tocsin("history", "pull", "dev", "--history", "keyless")
    assert result.exit_code == 0, result.output
    assert note(result.stderr).startswith(
        "alerts of the on-call tool are not pulled: deploy/oncall.toml: tool.key: the variable ON_CALL_KEY is not set; "
    )
    assert "complete: 2 SLOs" in result.stdout


@pytest.mark.parametrize(
    ("tool", "file", "words"),
    [
        ("pagerduty", {}, "PagerDuty's list of incidents does not say"),
        ("webhook", {"way": "forwarder", "place": 'url = "https://example.com/alerts"'}, "keeps no list of alerts"),
    ],
)
def test_a_tool_that_cannot_tell_is_named(project, pager, tool, file, words) -> None:
    with on_call(project, pager.url, tool, **file):
        result = tocsin("history", "pull", "dev", "--history", "cannot")
    assert result.exit_code == 0, result.output
    assert words in note(result.stderr)


def test_an_environment_that_is_on_call_nowhere_is_not_asked_for(project) -> None:
    with on_call(project, environments='["prod"]'):
        result = tocsin("history", "pull", "dev", "--history", "nowhere")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "alert" not in result.stdout


def test_a_tool_that_refuses_its_key_is_told_and_the_rest_is_there(project, pager, monkeypatch) -> None:
    monkeypatch.setenv("ON_CALL_KEY", "another")
    with on_call(project, pager.url):
        result = tocsin("history", "pull", "dev", "--history", "refused")
    assert result.exit_code == 1
    line = only_line(result.stderr)
    assert line.startswith("alerts are not complete: Opsgenie: GET /v2/alerts: ")
    assert "the variable ON_CALL_KEY is missing, wrong or revoked" in line
    assert "complete: 2 SLOs" in result.stdout


def test_what_is_older_than_its_retention_is_not_given(aws, project) -> None:
    """As at AWS: by the minute for 15 days, by five minutes for 63."""
    old = (aws.now() - timedelta(days=20)).replace(minute=0, second=0, microsecond=0)
    put("NumberOfMessagesDeleted", "archived", old, 1, 2, 3)
    cloudwatch = connect().client("cloudwatch")
    metric = {
        "Namespace": "AWS/SQS",
        "MetricName": "NumberOfMessagesDeleted",
        "Dimensions": [{"Name": "QueueName", "Value": "archived"}],
    }

    def values(period: int) -> list[float]:
        query = {"Id": "q", "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}}
        answer = cloudwatch.get_metric_data(MetricDataQueries=[query], StartTime=old, EndTime=old + timedelta(hours=1))
        return answer["MetricDataResults"][0]["Values"]

    assert (values(60), values(300), values(3600)) == ([], [6.0], [6.0])


def test_an_answer_comes_in_pages_as_large_as_was_asked(aws, project) -> None:
    at = (aws.now() - timedelta(hours=3)).replace(second=0, microsecond=0)
    put("NumberOfMessagesDeleted", "paged", at, *range(1, 8))
    cloudwatch = connect().client("cloudwatch")
    metric = {
        "Namespace": "AWS/SQS",
        "MetricName": "NumberOfMessagesDeleted",
        "Dimensions": [{"Name": "QueueName", "Value": "paged"}],
    }
    queries = [
        {"Id": f"q{number}", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}} for number in range(2)
    ]
    request = {
        "MetricDataQueries": queries,
        "StartTime": at,
        "EndTime": at + timedelta(minutes=7),
        "ScanBy": "TimestampAscending",
        "MaxDatapoints": 4,
    }
    found: dict[str, list[float]] = {"q0": [], "q1": []}
    pages, token = 0, None
    while pages == 0 or token:
        answer = cloudwatch.get_metric_data(**request, **({"NextToken": token} if token else {}))
        pages, token = pages + 1, answer.get("NextToken")
        assert sum(len(result["Values"]) for result in answer["MetricDataResults"]) <= 4
        for result in answer["MetricDataResults"]:
            found[result["Id"]] += result["Values"]
    assert pages == 4
    assert found == {"q0": [1, 2, 3, 4, 5, 6, 7], "q1": [1, 2, 3, 4, 5, 6, 7]}
    with pytest.raises(cloudwatch.exceptions.ClientError, match="NextToken"):
        cloudwatch.get_metric_data(**request, NextToken="elsewhere")
