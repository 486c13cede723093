"""The committed templates of this repository, deployed into the embedded AWS beside the system they watch."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from deploy.systems import bootstrap, deploy_systems

from tocsin.alarm import Alarm, CompositeAlarm
from tocsin.cloud.committed import Committed
from tocsin.cloud.deploy import StackOutcome, Work, deploy, plan_deployment
from tocsin.cloud.embedded import EmbeddedAws
from tocsin.cloud.environments import Environment
from tocsin.cloud.metrics import read_alarms
from tocsin.cloud.session import connect
from tocsin.cloud.stacks import stack_resources
from tocsin.cloudformation.document import load
from tocsin.errors import CloudError, InputError
from tocsin.simulate.template import read_template

ROOT = Path(__file__).parents[2]
COMMITTED = Committed(ROOT / "alarms", ROOT / "deploy" / "routing.yaml")
SYSTEM = "notification"
LOCAL = Environment(
    "local",
    "deploy/environments.toml",
    region="eu-west-1",
    artifacts_bucket="local-artifacts",
    routing_stack="local-routing",
    routing_parameters={"EndpointProtocol": "http"},
)


@pytest.fixture(scope="module")
def deployed(aws: EmbeddedAws) -> Iterator[tuple[StackOutcome, ...]]:
    """The notification system, its routing and its alarms, in service."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws.boto3_environment().items():
            patch.setenv(name, value)
        connect().client("s3").create_bucket(
            Bucket=LOCAL.artifacts_bucket, CreateBucketConfiguration={"LocationConstraint": aws.region}
        )
        bootstrap(LOCAL)
        _, watched = deploy_systems(LOCAL, [SYSTEM])
        yield (watched, *deploy(LOCAL, COMMITTED, [SYSTEM]))


def parameters(outcomes: tuple[StackOutcome, ...]) -> dict[str, str]:
    """What the alarm template was deployed with, worked out without the engine's resolution of names."""
    routing = outcomes[1].outputs
    physical = {name: found.physical_id for name, found in stack_resources(connect(), "local-notification").items()}
    declared = load(COMMITTED.alarms / f"{SYSTEM}.yaml").tree["Parameters"]
    values = {
        "Environment": "local",
        "PageTopicArn": routing["EngagementPageTopicArn"],
        "TicketTopicArn": routing["EngagementTicketTopicArn"],
        **{f"{name}Name": physical_id.rsplit("/", 1)[-1].rsplit("|", 1)[-1] for name, physical_id in physical.items()},
    }
    return {name: value for name, value in values.items() if name in declared}


def test_the_stacks_are_made_in_order(deployed: tuple[StackOutcome, ...]) -> None:
    assert [(outcome.stack, outcome.work) for outcome in deployed] == [
        ("local-notification", Work.CREATE),
        ("local-routing", Work.CREATE),
        ("local-notification-alarms", Work.CREATE),
    ]


def test_every_alarm_of_the_template_is_there_as_written(deployed: tuple[StackOutcome, ...]) -> None:
    template = read_template(COMMITTED.alarms / f"{SYSTEM}.yaml", parameters(deployed))
    written: dict[str, Alarm | CompositeAlarm] = {one.name: one for one in (*template.alarms, *template.composites)}
    cloudwatch = connect().client("cloudwatch")
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmTypes=["MetricAlarm", "CompositeAlarm"], AlarmNamePrefix=f"local-{SYSTEM}-"
    )
    found: dict[str, Any] = {}
    for page in pages:
        found |= {item["AlarmName"]: item for item in (*page["MetricAlarms"], *page["CompositeAlarms"])}

    assert template.unresolved == ()
    assert found.keys() == written.keys()
    assert any(isinstance(one, CompositeAlarm) for one in written.values())
    for name, one in written.items():
        made = found[name]
        assert tuple(made["AlarmActions"]) == one.actions.alarm, name
        assert made["AlarmDescription"] == one.description, name
        if isinstance(one, CompositeAlarm):
            assert made["AlarmRule"] == one.rule, name
            continue
        assert (made["Threshold"], made["EvaluationPeriods"]) == (one.threshold, one.evaluation_periods), name
        stats = [query["MetricStat"]["Metric"] for query in made.get("Metrics", ()) if "MetricStat" in query] or [made]
        assert [
            (stat["MetricName"], sorted((item["Name"], item["Value"]) for item in stat.get("Dimensions", ())))
            for stat in stats
        ] == [(metric.name, list(metric.dimensions)) for metric in one.metrics], name


def test_pages_and_tickets_go_to_the_owners_topics(deployed: tuple[StackOutcome, ...]) -> None:
    routing = deployed[1].outputs
    topics = {topic["TopicArn"] for topic in connect().client("sns").list_topics()["Topics"]}
    assert {value for name, value in routing.items() if name.endswith("TopicArn")} <= topics
    told = {action for alarm in read_alarms(connect(), "local-notification-") for action in alarm.actions}
    assert told == {routing["EngagementPageTopicArn"], routing["EngagementTicketTopicArn"]}


def test_a_second_run_changes_nothing(deployed: tuple[StackOutcome, ...]) -> None:
    before = read_alarms(connect(), "local-")
    again = (*deploy_systems(LOCAL, [SYSTEM]), *deploy(LOCAL, COMMITTED, [SYSTEM]))
    assert [outcome.work for outcome in again] == [Work.NOTHING] * 4
    assert {plan.work for plan in plan_deployment(LOCAL, COMMITTED, [SYSTEM])} == {Work.NOTHING}
    assert [alarm.name for alarm in read_alarms(connect(), "local-")] == [alarm.name for alarm in before]


def test_an_edited_threshold_is_planned_as_one_change(deployed: tuple[StackOutcome, ...], tmp_path: Path) -> None:
    shutil.copytree(COMMITTED.alarms, tmp_path / "alarms")
    path = tmp_path / "alarms" / f"{SYSTEM}.yaml"
    path.write_text(re.sub(r"^      Threshold: .*$", "      Threshold: 12345", path.read_text(), count=1, flags=re.M))
    _, plan = plan_deployment(LOCAL, Committed(tmp_path / "alarms", COMMITTED.routing), [SYSTEM])
    [change] = plan.changes
    assert [(item.name, item.after) for item in change.properties] == [("Threshold", "12345")]


def test_reference_systems_need_a_bucket_and_a_confirmation(deployed: tuple[StackOutcome, ...]) -> None:
    plain = Environment("other", "deploy/environments.toml", region="eu-west-1")
    with pytest.raises(InputError, match=r"other\.artifacts_bucket is missing: functions need a bucket for their code"):
        deploy_systems(plain, [SYSTEM])
    with pytest.raises(InputError, match="local is protected"):
        deploy_systems(Environment("local", "e.toml", protected=True, artifacts_bucket="b"), [SYSTEM])
    with pytest.raises(CloudError, match="bucket nobodys does not exist"):
        deploy_systems(Environment("local", "e.toml", region="eu-west-1", artifacts_bucket="nobodys"), [SYSTEM])
