"""Deploying committed files: routing, then alarms, into an environment; and everything that stops it beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_server import ACCOUNT, Server, is_there, make_stack, wait_for

from tocsin.cloud.change_set import StackRequest, create_change_set, execute
from tocsin.cloud.committed import AlarmTemplate, Committed, CommittedTemplate, TemplateParameter
from tocsin.cloud.deploy import DeployEvent, StackOutcome, StackPlan, Work, deploy, plan_deployment
from tocsin.cloud.differences import Action, PropertyChange
from tocsin.cloud.environments import Environment, FromVariable, SystemStacks
from tocsin.cloud.preparation import topic_outputs
from tocsin.cloud.session import connect
from tocsin.errors import CloudError, InputError, TemplateError, TocsinError
from tocsin.plan import camel

pytest_plugins = ["plain_ministack"]

WATCHED = "Resources: {Orders: {Type: 'AWS::SQS::Queue'}}"

ROUTING = """
Parameters:
  Environment: {Type: String}
  PaymentsPageEndpoint: {Type: String, Default: '', NoEcho: true}
Conditions:
  HasEndpoint: !Not [!Equals [!Ref PaymentsPageEndpoint, '']]
Resources:
  PaymentsPageTopic:
    Type: AWS::SNS::Topic
    Properties: {TopicName: !Sub '${Environment}-tocsin-payments-page'}
  PaymentsTicketTopic:
    Type: AWS::SNS::Topic
    Properties: {TopicName: !Sub '${Environment}-tocsin-payments-ticket'}
  Subscription:
    Type: AWS::SNS::Subscription
    Condition: HasEndpoint
    Properties: {TopicArn: !Ref PaymentsPageTopic, Protocol: https, Endpoint: !Ref PaymentsPageEndpoint}
Outputs:
  PaymentsPageTopicArn: {Value: !Ref PaymentsPageTopic}
  PaymentsTicketTopicArn: {Value: !Ref PaymentsTicketTopic}
"""

ALARMS = """
Metadata:
  Tocsin:
    System: shop
    Owner: payments
    Names:
      OrdersName: {LogicalId: Orders, Type: 'AWS::SQS::Queue', Source: LastPathSegment}
Parameters:
  Environment: {Type: String}
  PageTopicArn: {Type: String}
  OrdersName: {Type: String}
Resources:
  OrdersAge:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: !Sub '${Environment}-shop-Orders-age'
      AlarmActions: [!Ref PageTopicArn]
      Namespace: AWS/SQS
      MetricName: ApproximateAgeOfOldestMessage
      Dimensions: [{Name: QueueName, Value: !Ref OrdersName}]
      Statistic: Maximum
      Period: 60
      EvaluationPeriods: 1
      ComparisonOperator: GreaterThanThreshold
      Threshold: 300
"""
# The plain server knows no metric math in a stack, so this one always fails there.
BROKEN = """  Broken:
    Type: AWS::CloudWatch::Alarm
    Properties: {ComparisonOperator: GreaterThanThreshold, EvaluationPeriods: 1, Threshold: 1, Metrics: [{Id: a, Expression: '1'}]}
"""


@dataclass(frozen=True)
class Place:
    """A project's committed files, and the environment they are deployed into."""

    server: Server
    folder: Path
    environment: Environment

    @property
    def committed(self) -> Committed:
        return Committed(self.folder / "alarms", self.folder / "deploy" / "routing.yaml")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def deploy(self, **changes: Any) -> tuple[StackOutcome, ...]:
        return deploy(replace(self.environment, **changes), self.committed)

    def stack(self, end: str) -> str:
        return f"{self.environment.name}-{end}"

    def alarms(self) -> dict[str, Any]:
        found = self.server.client("cloudwatch").describe_alarms(AlarmNamePrefix=self.stack(""))["MetricAlarms"]
        return {alarm["AlarmName"].removeprefix(self.stack("")): alarm for alarm in found}

    def topics(self) -> list[str]:
        arns = (topic["TopicArn"] for topic in self.server.client("sns").list_topics()["Topics"])
        return sorted(arn for arn in arns if self.environment.name in arn)

    def subscriptions(self) -> list[str]:
        found = self.server.client("sns").list_subscriptions()["Subscriptions"]
        return [item["Endpoint"] for item in found if self.environment.name in item["TopicArn"]]


@pytest.fixture
def place(plain_aws: Server, tmp_path: Path, unused: str) -> Place:
    """A project with one system, whose watched stack is in service."""
    made = Place(
        plain_aws, tmp_path, Environment(unused, "deploy/environments.toml", routing_stack=f"{unused}-routing")
    )
    made.write("alarms/shop.yaml", ALARMS)
    made.write("deploy/routing.yaml", ROUTING)
    make_stack(plain_aws, made.stack("shop"), WATCHED)
    return made


def test_the_first_deployment_makes_topics_and_alarms_on_the_watched_queue(place: Place) -> None:
    routing, alarms = place.deploy()

    assert (routing.work, routing.system) == (Work.CREATE, None)
    assert (alarms.work, alarms.system, alarms.stack) == (Work.CREATE, "shop", place.stack("shop-alarms"))
    page, ticket = place.topics()
    assert routing.outputs == {"PaymentsPageTopicArn": page, "PaymentsTicketTopicArn": ticket}
    [url] = place.server.client("sqs").list_queues(QueueNamePrefix=place.stack("shop"))["QueueUrls"]
    [alarm] = place.alarms().values()
    assert alarm["AlarmActions"] == [page]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": url.rsplit("/", 1)[1]}]


def test_a_second_deployment_changes_nothing_and_says_so(place: Place) -> None:
    place.deploy()
    before = place.alarms()
    again = place.deploy()
    assert [outcome.work for outcome in again] == [Work.NOTHING, Work.NOTHING]
    assert all(outcome.changes == () for outcome in again)
    assert place.alarms() == before
    assert [plan.work for plan in plan_deployment(place.environment, place.committed)] == [Work.NOTHING, Work.NOTHING]


def test_a_plan_changes_nothing(place: Place) -> None:
    routing, alarms = plan_deployment(place.environment, place.committed)
    assert (routing.work, alarms.work) == (Work.CREATE, Work.CREATE)
    assert [change.logical_id for change in alarms.changes] == ["OrdersAge"]
    assert alarms.names["OrdersName"].startswith(place.stack("shop-Orders"))
    assert alarms.unknown == ("PageTopicArn",)
    assert place.alarms() == {}
    assert place.topics() == []
    assert not is_there(place.server, place.stack("routing"))
    assert not is_there(place.server, place.stack("shop-alarms"))


def test_a_plan_shows_what_was_edited(place: Place) -> None:
    place.deploy()
    place.write("alarms/shop.yaml", ALARMS.replace("Threshold: 300", "Threshold: 600"))
    routing, alarms = plan_deployment(place.environment, place.committed)
    assert (routing.work, alarms.work, alarms.unknown) == (Work.NOTHING, Work.UPDATE, ())
    [change] = alarms.changes
    assert (change.action, change.properties) == (Action.CHANGE, (PropertyChange("Threshold", "300", "600"),))
    place.deploy()
    assert place.alarms()["shop-Orders-age"]["Threshold"] == 600


def test_progress_hears_of_plan_steps_and_outcome(place: Place) -> None:
    events: list[DeployEvent] = []
    outcomes = deploy(place.environment, place.committed, progress=events.append)
    for outcome in outcomes:
        own = [event for event in events if event.stack == outcome.stack]
        assert isinstance(own[0], StackPlan)
        assert own[0].changes == outcome.changes
        assert own[-1] == outcome
        assert len(own) > 3


def test_a_failure_leaves_the_alarms_as_they_were_and_says_why(place: Place) -> None:
    place.deploy()
    place.write("alarms/shop.yaml", ALARMS.replace("300", "600") + BROKEN)
    with pytest.raises(
        CloudError, match=rf"{place.stack('shop-alarms')} was rolled back.*Broken \(AWS::CloudWatch::Alarm\)"
    ):
        place.deploy()
    assert place.alarms()["shop-Orders-age"]["Threshold"] == 300


def test_a_first_deployment_that_failed_is_made_anew(place: Place) -> None:
    place.write("alarms/shop.yaml", ALARMS + BROKEN)
    with pytest.raises(CloudError, match="nothing of it is in service"):
        place.deploy()
    place.write("alarms/shop.yaml", ALARMS)
    assert plan_deployment(place.environment, place.committed)[1].work is Work.RECREATE
    assert is_there(place.server, place.stack("shop-alarms"))
    assert place.deploy()[1].work is Work.RECREATE
    assert list(place.alarms()) == ["shop-Orders-age"]
    assert place.deploy()[1].work is Work.NOTHING


def test_an_alarm_stack_left_failed_stops_the_deployment_before_the_routing(place: Place) -> None:
    place.server.client("cloudformation").create_stack(
        StackName=place.stack("shop-alarms"), TemplateBody="Resources:\n" + BROKEN, OnFailure="DO_NOTHING"
    )
    wait_for(place.server, place.stack("shop-alarms"), "CREATE_FAILED")
    with pytest.raises(CloudError, match=r"stuck in CREATE_FAILED.*delete-stack"):
        place.deploy()
    assert place.topics() == []


# The pager's address: secret, stated once, kept afterwards.


def test_a_secret_comes_from_the_process_environment_and_is_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = {"PaymentsPageEndpoint": FromVariable("PAGER")}
    monkeypatch.delenv("PAGER", raising=False)
    with pytest.raises(InputError, match="PaymentsPageEndpoint is read from PAGER, which is not set"):
        place.deploy(routing_parameters=setting)
    assert place.topics() == []

    monkeypatch.setenv("PAGER", "https://pager.example/key")
    place.deploy(routing_parameters=setting)
    assert place.subscriptions() == ["https://pager.example/key"]

    monkeypatch.delenv("PAGER")
    assert place.deploy(routing_parameters=setting)[0].work is Work.NOTHING
    assert place.deploy()[0].work is Work.NOTHING
    assert place.subscriptions() == ["https://pager.example/key"]


def test_a_parameter_may_be_given_for_one_deployment(place: Place) -> None:
    deploy(place.environment, place.committed, parameters={"PaymentsPageEndpoint": "https://pager.example"})
    assert place.subscriptions() == ["https://pager.example"]
    with pytest.raises(InputError, match=r"no template has a parameter 'PaymentPageEndpoint'; did you mean"):
        deploy(place.environment, place.committed, parameters={"PaymentPageEndpoint": "x"})


# What stops a deployment before anything is changed.


def test_a_protected_environment_must_be_confirmed(place: Place) -> None:
    protected = replace(place.environment, protected=True)
    with pytest.raises(InputError, match="is protected: look at the plan, then confirm"):
        deploy(protected, place.committed)
    assert place.topics() == []
    assert len(plan_deployment(protected, place.committed)) == 2
    assert len(deploy(protected, place.committed, confirmed=True)) == 2


def test_another_account_is_refused(place: Place) -> None:
    with pytest.raises(CloudError, match=f"is account 999999999999, but the credentials are of {ACCOUNT}"):
        place.deploy(account="999999999999")
    assert place.topics() == []
    assert len(place.deploy(account=ACCOUNT)) == 2


def test_a_missing_watched_stack(place: Place) -> None:
    with pytest.raises(CloudError, match=r"stack no-such-stack does not exist.*shop\.yaml watches first"):
        place.deploy(systems={"shop": SystemStacks("no-such-stack", place.stack("shop-alarms"))})
    assert place.topics() == []


@pytest.mark.parametrize(
    ("edit", "kind", "said"),
    [
        (lambda p: p.write("alarms/shop.yaml", "["), TemplateError, r"shop\.yaml:1:"),
        (lambda p: p.write("alarms/shop.yaml", WATCHED), TemplateError, r"shop\.yaml: no System and Owner"),
        (
            lambda p: p.write("alarms/other.yaml", ALARMS),
            TemplateError,
            r"other\.yaml: holds the alarms of system 'shop'",
        ),
        (
            lambda p: p.write("alarms/shop.yaml", ALARMS.replace("Owner: payments", "Owner: nobody")),
            InputError,
            r"routing\.yaml has no output NobodyPageTopicArn, which .*shop\.yaml needs for its owner nobody",
        ),
        (
            lambda p: p.write(
                "alarms/shop.yaml", ALARMS.replace("Parameters:", "Parameters:\n  Extra: {Type: String}")
            ),
            InputError,
            r"toml: .*shop\.alarms\.Extra is missing: .*shop\.yaml has no default for it; state it under \[",
        ),
        (
            lambda p: p.write("alarms/shop.yaml", ALARMS + "# filling\n" * 6000),
            CloudError,
            r"shop\.yaml: 6\d,\d+ bytes, more than the 51,200 .* give the environment an artifacts_bucket",
        ),
        (lambda p: (p.folder / "deploy/routing.yaml").unlink(), TemplateError, r"routing\.yaml: no such file; run"),
        (
            lambda p: (p.folder / "alarms/shop.yaml").unlink(),
            InputError,
            r"no alarm templates in .*; run `tocsin build`",
        ),
    ],
)
def test_committed_files_that_cannot_be_used(
    place: Place, edit: Callable[[Place], object], kind: type[TocsinError], said: str
) -> None:
    edit(place)
    with pytest.raises(kind, match=said) as caught:
        place.deploy()
    assert "\n" not in str(caught.value)
    assert place.topics() == []


def test_an_unknown_system_names_the_nearest(place: Place) -> None:
    with pytest.raises(InputError, match=r"no .*shoop\.yaml; did you mean 'shop'\?"):
        deploy(place.environment, place.committed, ["shoop"])
    with pytest.raises(InputError, match=r"shoop: no such system; did you mean 'shop'\?"):
        place.deploy(systems={"shoop": SystemStacks("a", "b")})


def test_an_unknown_parameter_in_the_environment_names_the_nearest(place: Place) -> None:
    with pytest.raises(
        InputError, match=r"routing\.PaymentPageEndpoint: .*routing\.yaml has no such parameter; did you"
    ):
        place.deploy(routing_parameters={"PaymentPageEndpoint": "x"})


@pytest.mark.parametrize(("stack", "alarm_stack"), [("same", "same"), ("a", "ROUTING"), ("ROUTING", "b")])
def test_two_stacks_of_one_name_are_refused(place: Place, stack: str, alarm_stack: str) -> None:
    routing = place.environment.routing_stack
    stacks = SystemStacks(stack.replace("ROUTING", routing), alarm_stack.replace("ROUTING", routing))
    with pytest.raises(InputError, match=r"but also .*; rename one"):
        place.deploy(systems={"shop": stacks})


def test_one_system_alone(place: Place) -> None:
    place.write("alarms/other.yaml", ALARMS.replace("System: shop", "System: other"))
    outcomes = deploy(place.environment, place.committed, ["shop"])
    assert [outcome.system for outcome in outcomes] == [None, "shop"]


def test_a_template_outgrown_its_request_goes_through_the_bucket(place: Place) -> None:
    bucket = place.stack("artifacts")
    place.server.client("s3").create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    place.write("alarms/shop.yaml", ALARMS + "# filling\n" * 6000)
    assert place.deploy(artifacts_bucket=bucket)[1].work is Work.CREATE
    assert list(place.alarms()) == ["shop-Orders-age"]


def test_a_stack_made_by_hand_is_taken_over(place: Place) -> None:
    """Whoever deployed the same template with other tools finds nothing doubled."""
    page = "arn:aws:sns:eu-west-1:111122223333:mine"
    by_hand = StackRequest(
        place.stack("shop-alarms"),
        ALARMS,
        "alarms/shop.yaml",
        {"Environment": place.environment.name, "PageTopicArn": page, "OrdersName": "mine"},
    )
    cloud = connect()
    execute(cloud, create_change_set(cloud, by_hand))
    _, alarms = place.deploy()
    assert alarms.work is Work.UPDATE
    assert [item.name for item in alarms.changes[0].properties] == ["AlarmActions", "Dimensions"]
    assert place.alarms()["shop-Orders-age"]["AlarmActions"] != [page]


@given(owner=st.from_regex(r"[a-z][a-z0-9_-]{0,62}", fullmatch=True))
def test_topic_outputs_are_named_as_the_routing_names_them(owner: str) -> None:
    parameters = {name: TemplateParameter(name, None) for name in ("PageTopicArn", "TicketTopicArn")}
    template = AlarmTemplate("shop", owner, CommittedTemplate("a.yaml", "", parameters, {}, frozenset()), ())
    assert topic_outputs(template) == {
        "PageTopicArn": camel(owner, "page", "topic") + "Arn",
        "TicketTopicArn": camel(owner, "ticket", "topic") + "Arn",
    }
