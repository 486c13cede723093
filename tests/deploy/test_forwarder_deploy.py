"""The forwarder among the other stacks: there where an environment has a table for it, and the routing leads to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from deploy.forwarder import stack
from deploy.forwarder.handlers.forward import LONGEST_WAIT
from deploy.run.stage import in_environment
from deploy.systems import bootstrap, deploy_all, plan, stack_names
from tests.render.routing_examples import DIRECT, FORWARDED, ON_CALL, team

from deploy import render
from tocsin.cloud.committed import Committed
from tocsin.cloud.embedded import embedded
from tocsin.cloud.environments import Environment, OtherStack, read_environment
from tocsin.cloud.session import connect
from tocsin.model import Severity
from tocsin.paging.declared import Way
from tocsin.paging.oncall_file import read_oncall
from tocsin.render.routing import routing_template

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    with embedded(tmp_path / "aws") as aws, in_environment(aws.boto3_environment()):
        file = tmp_path / "environments.toml"
        file.write_text(
            f'[laptop]\nregion = "{aws.region}"\nendpoint_url = "{aws.tls_endpoint}"\n'
            "[laptop.stacks.forwarder]\nLogRetentionDays = 7\n"
            "[laptop.notification]\nDeletionProtection = false\n[laptop.data_pipeline]\nDeletionProtection = false\n"
        )
        described = read_environment(file, "laptop")
        bootstrap(described)
        yield described


@pytest.fixture
def committed(tmp_path: Path) -> Committed:
    """The committed alarms, with a routing whose pages for one owner go through the forwarder."""
    teams = (team("data-platform", DIRECT, DIRECT), team("engagement", FORWARDED, DIRECT))
    declared = replace(ON_CALL, environments=("laptop",), teams=teams, heartbeat=None)
    routing = tmp_path / "routing.yaml"
    routing.write_text(routing_template(("data-platform", "engagement"), declared), encoding="utf-8")
    return Committed(ROOT / "alarms", routing)


def test_it_is_no_reference_system_and_no_environment_has_it_unasked(environment: Environment) -> None:
    assert render.FORWARDER not in render.systems()
    assert render.FORWARDER in render.stacks()
    without = replace(environment, stacks={})
    assert set(stack_names(environment)) - set(stack_names(without)) == {"laptop-forwarder"}
    named = replace(environment, stacks={"forwarder": OtherStack("pages")})
    assert "pages" in stack_names(named)


def test_the_routing_leads_to_the_forwarders_queue(environment: Environment, committed: Committed) -> None:
    queue = f"arn:aws:sqs:{environment.region}:000000000000:laptop-forwarder-Alerts"
    order = [one.stack for one in plan(environment, committed=committed)]
    assert order.index("laptop-forwarder") < order.index("laptop-routing")
    outcomes = {one.stack: one for one in deploy_all(environment, committed=committed)}
    assert outcomes["laptop-forwarder"].outputs["ForwarderQueueArn"] == queue
    sns = connect(environment.region, endpoint_url=environment.endpoint_url).client("sns")
    topic = outcomes["laptop-routing"].outputs["EngagementPageTopicArn"]
    (found,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (found["Protocol"], found["Endpoint"]) == ("sqs", queue)
    assert {one.work.value for one in deploy_all(environment, committed=committed)} == {"nothing"}
    # Its own alarms tell the topic that the routing made for the second way.
    cloudwatch = connect(environment.region, endpoint_url=environment.endpoint_url).client("cloudwatch")
    alarms = cloudwatch.describe_alarms(AlarmNamePrefix="laptop-forwarder-")["MetricAlarms"]
    assert {action for each in alarms for action in each["AlarmActions"] + each["OKActions"]} == {
        outcomes["laptop-routing"].outputs["SecondWayTopicArn"]
    }
    assert len(alarms) == 8


def test_the_self_test_tries_the_routes_that_the_on_call_file_sends_over_it() -> None:
    declared = read_oncall(ROOT / "deploy" / "oncall.toml")
    pages, tickets = (declared.teams[0].routes[severity] for severity in Severity)
    over = replace(pages, ways=(Way.FORWARDER,))
    engagement = next(team for team in declared.teams if "engagement" in team.owners)
    others = tuple(each for each in declared.teams if each is not engagement)
    routes = {Severity.PAGE: over, Severity.TICKET: replace(tickets, ways=(Way.TOOL,))}
    switched = replace(declared, teams=(*others, replace(engagement, routes=routes)))
    assert stack.over_forwarder(switched) == ["engagement-page"]
    assert stack.over_forwarder(replace(switched, teams=())) == []
    function = stack.template().to_dict()["Resources"]["Forwarder"]["Properties"]
    assert function["Environment"]["Variables"]["ROUTES"] == ",".join(stack.over_forwarder(declared))


@pytest.mark.parametrize(("name", "datapoints"), [("Refused", 10), ("GivenUp", 15)])
def test_what_needs_a_person_is_told_within_a_minute_and_once(name: str, datapoints: int) -> None:
    alarm = stack.template().to_dict()["Resources"][f"{name}Alarm"]["Properties"]
    assert (alarm["MetricName"], alarm["Period"], alarm["Threshold"], alarm["DatapointsToAlarm"]) == (name, 60, 1, 1)
    assert alarm["EvaluationPeriods"] == datapoints
    # A refused key is tried again every five minutes at most: in between it is not over.
    assert alarm["EvaluationPeriods"] * 60 > LONGEST_WAIT
    assert ("OKActions" in alarm) == (name == "Refused")
