"""The roles of the routing under enforced IAM: each does its work, and no longer does it without any one of its rights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from embedded_tools import eventually
from tests.render.routing_examples import ON_CALL, OWNERS

from tocsin.cloud.committed import Committed
from tocsin.cloud.deploy import deploy_routing
from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.environments import Environment
from tocsin.cloud.secrets import write_secret
from tocsin.cloud.session import Cloud, connect
from tocsin.cloudformation.document import parse
from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall
from tocsin.paging.rest import Rest
from tocsin.render.routing import routing_template

TOPIC = "prod-tocsin-payments-page"
ROUTING = routing_template(OWNERS, ON_CALL)
ROLES = {
    name: [
        action
        for policy in resource["Properties"].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
        for action in _listed(statement["Action"])
    ]
    for _listed in [lambda value: value if isinstance(value, list) else [value]]
    for name, resource in parse(ROUTING, "routing.yaml").tree["Resources"].items()
    if resource["Type"] == "AWS::IAM::Role"
}
# SNS asks for it (developer guide, "Prerequisites for configuring delivery status logging"), but the template makes the
# groups beforehand, with a retention and a mask for keys.
UNSEEN = {("DeliveryLogRole", "logs:CreateLogGroup")}
SEEN = sorted({(role, action) for role, actions in ROLES.items() for action in actions} - UNSEEN)


@dataclass(frozen=True)
class Place:
    """The routing of ``prod``, deployed, and an on-call tool that its topic and its dead-man's switch post to."""

    aws: EmbeddedAws
    cloud: Cloud
    oncall: EmbeddedOnCall

    @contextmanager
    def without(self, role: str, action: str) -> Iterator[None]:
        """The role as deployed, but for one action."""
        iam, named = self.cloud.client("iam"), self.names[role]
        before = iam.get_role_policy(RoleName=named, PolicyName=role)["PolicyDocument"]
        less = json.loads(json.dumps(before))
        for statement in less["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            statement["Action"] = [each for each in actions if each != action] or ["sts:GetCallerIdentity"]
        iam.put_role_policy(RoleName=named, PolicyName=role, PolicyDocument=json.dumps(less))
        try:
            yield
        finally:
            iam.put_role_policy(RoleName=named, PolicyName=role, PolicyDocument=json.dumps(before))

    @property
    def names(self) -> dict[str, str]:
        found = self.cloud.client("cloudformation").describe_stack_resources(StackName="prod-routing")["StackResources"]
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}

    def logs_a_delivery(self) -> bool:
        """Whether a notification that is delivered leaves a line."""
        before, taken = len(self.lines()), len(self.oncall.refused)
        account = self.cloud.account()
        self.cloud.client("sns").publish(
            TopicArn=f"arn:aws:sns:{self.aws.region}:{account}:{TOPIC}", Message="not of CloudWatch"
        )
        eventually(lambda: len(self.oncall.refused) > taken, "the delivery")
        eventually(lambda: self.aws.deliveries_under_way == 0, "its end")
        return len(self.lines()) > before

    def lines(self) -> list[Any]:
        group = f"sns/{self.aws.region}/{self.cloud.account()}/{TOPIC}"
        logs = self.cloud.client("logs")
        return [
            line for name in (group, f"{group}/Failure") for line in logs.filter_log_events(logGroupName=name)["events"]
        ]

    def beats(self) -> bool:
        """Whether the dead-man's switch is heard."""
        before = self.last_beat()
        assert self.aws.fire("prod-tocsin-heartbeat") == 1
        eventually(lambda: self.aws.deliveries_under_way == 0, "the ping")
        return self.last_beat() != before

    def last_beat(self) -> object:
        with self.oncall.state.lock:
            return dict(self.oncall.state.heartbeats.named("prod") or {})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("routing")
    with embedded(tmp_path_factory.mktemp("aws"), iam=True) as aws, embedded_oncall() as oncall:
        aws.set_deliveries(speed=36000)
        oncall.certificates_from = aws.endpoint
        tool = Rest(oncall.url, {"Authorization": f"GenieKey {oncall.state.account_key}"})
        tool.post("/v2/heartbeats", {"name": "prod", "enabled": True, "interval": 10, "intervalUnit": "minutes"})
        with pytest.MonkeyPatch.context() as patch:
            for name, value in aws.boto3_environment().items():
                patch.setenv(name, value)
            cloud = connect(aws.region)
            post = {"endpoint": oncall.cloudwatch_address("payments", "P1"), "authorization": "", "key": "k"}
            ping = {
                "endpoint": f"{oncall.url}/v2/heartbeats/prod/ping",
                "authorization": f"GenieKey {oncall.key}",
                "key": "k",
            }
            for which, value in (("payments-page", post), ("heartbeat", ping)):
                write_secret(cloud, f"tocsin/prod/on-call/{which}", json.dumps(value), {})
            (folder / "routing.yaml").write_text(ROUTING)
            environment = Environment("prod", "deploy/environments.toml", region=aws.region, oncall_url=oncall.url)
            environment = replace(environment, routing_stack="prod-routing")
            deploy_routing(environment, Committed(folder, Path(folder / "routing.yaml")))
            eventually(lambda: oncall.confirmed, "the confirmation")
            yield Place(aws, cloud, oncall)


def works(place: Place, role: str) -> bool:
    return place.logs_a_delivery() if role == "DeliveryLogRole" else place.beats()


def test_every_role_is_known() -> None:
    assert set(ROLES) == {"ChatRole", "DeliveryLogRole", "HeartbeatRole"}
    assert ROLES["ChatRole"] == []  # a chat that is only told needs no right at all


@pytest.mark.parametrize("role", ["DeliveryLogRole", "HeartbeatRole"])
def test_it_works_with_what_it_has(place: Place, role: str) -> None:
    assert works(place, role)


@pytest.mark.parametrize(("role", "action"), SEEN)
def test_it_does_not_work_without(place: Place, role: str, action: str) -> None:
    with place.without(role, action):
        assert not works(place, role)
    assert works(place, role)
