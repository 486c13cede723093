"""Least privilege of the forwarder, with IAM enforced: it works with its own role, and with no action less."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from deploy.forwarder import stack
from forwarder_stage import ROUTES, Deployed, answer, deploy_forwarder, notification, record, soon, tool_running

from tocsin.cloud.embedded import embedded
from tocsin.render.template_text import to_yaml

pytestmark = pytest.mark.long

PATIENCE = 3.0  # seconds that something is given to arrive which should not
CHILD = "laptop-notification-api-availability-burn-1h-long"


def allowed() -> list[tuple[int, str, int]]:
    """Statement, action and resource of everything that the rendered role may do."""
    role = stack.template(ROUTES).to_dict()["Resources"]["ForwarderRole"]["Properties"]
    (policy,) = role["Policies"]
    found = []
    for number, statement in enumerate(policy["PolicyDocument"]["Statement"]):
        whole = statement["Fn::If"][1] if "Fn::If" in statement else statement
        found += [(number, action, at) for action in whole["Action"] for at in range(len(whole["Resource"]))]
    return found


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with embedded(tmp_path_factory.mktemp("aws"), iam=True) as aws, tool_running() as tool:
        every = to_yaml(stack.template(ROUTES).to_dict(), "Every route over the forwarder.")
        made = deploy_forwarder(aws, tool, template=every)
        stat = {"Metric": {"Namespace": "Shop", "MetricName": "Requests"}, "Period": 3600, "Stat": "Sum"}
        made.client("cloudwatch").put_metric_alarm(
            AlarmName=CHILD,
            ComparisonOperator="GreaterThanThreshold",
            EvaluationPeriods=1,
            Threshold=0.01344,
            Metrics=[
                {
                    "Id": "ratio",
                    "Expression": "IF(FILL(bad, 0) >= 1, FILL(bad, 0) / FILL(valid, 0), 0)",
                    "ReturnData": True,
                },
                {"Id": "bad", "MetricStat": stat, "ReturnData": False},
                {"Id": "valid", "MetricStat": stat, "ReturnData": False},
            ],
        )
        yield made


def put(made: Deployed, body: str) -> None:
    made.client("sqs").send_message(QueueUrl=made.ids["Alerts"], MessageBody=body)


def page(made: Deployed, route: str = "engagement-page") -> str:
    alarm = f"laptop-notification-{uuid.uuid4().hex[:8]}"
    rule = f'(ALARM("{CHILD}") AND ALARM("x"))'
    message = notification(alarm, "ALARM", datetime.now(UTC) - timedelta(minutes=1), AlarmRule=rule)
    put(made, record(message, made.topic(route))["body"])
    return alarm


def tells(route: str = "engagement-page") -> Callable[[Deployed], bool]:
    return lambda made: (alarm := page(made, route)) is not None and bool(soon(lambda: made.tool.told(alarm), PATIENCE))


def knows_budget(made: Deployed) -> bool:
    alarm = page(made)
    assert soon(lambda: made.tool.told(alarm), 20)
    (details,) = (each.json["details"] for each in made.tool.requests if alarm in str(each.body))
    return "not known" not in details["budget left"]


def comes_back_soon(made: Deployed) -> bool:
    made.tool.faults.append(answer(500))
    alarm = page(made)
    found = soon(lambda: made.tool.told(alarm), 9)  # five seconds, or else the four minutes of the queue
    made.client("sqs").purge_queue(QueueUrl=made.ids["Alerts"])
    return bool(found)


def gives_up(made: Deployed) -> bool:
    put(made, "nobody can make sense of this")
    found = bool(soon(made.redriven, PATIENCE))
    made.client("sqs").purge_queue(QueueUrl=made.ids["Alerts"])
    return found


def logs(made: Deployed) -> bool:
    def count() -> int:
        return made.log().count('"told"')

    before, alarm = count(), page(made)
    assert soon(lambda: made.tool.told(alarm), 20)
    return bool(soon(lambda: count() > before, PATIENCE))


def purpose(action: str, at: int) -> Callable[[Deployed], bool]:
    """What fails without it."""
    if action == "secretsmanager:GetSecretValue":
        return tells(ROUTES[at])
    if action == "sqs:ChangeMessageVisibility":
        return comes_back_soon
    if action == "sqs:SendMessage":
        return gives_up
    return {"cloudwatch": knows_budget, "logs": logs}.get(action.partition(":")[0], tells())


def everything(made: Deployed) -> bool:
    scenarios = (tells(), *map(tells, ROUTES), knows_budget, comes_back_soon, gives_up, logs)
    return all(scenario(made) for scenario in scenarios)


def policy_of(made: Deployed) -> dict[str, Any]:
    answer_ = made.client("iam").get_role_policy(RoleName=made.ids["ForwarderRole"], PolicyName="Forwarder")
    document: dict[str, Any] = answer_["PolicyDocument"]
    return document


def put_policy(made: Deployed, document: dict[str, Any]) -> None:
    made.client("iam").put_role_policy(
        RoleName=made.ids["ForwarderRole"], PolicyName="Forwarder", PolicyDocument=json.dumps(document)
    )
    made.aws.set_function_endpoint(None)  # a warm function would remember the secrets it has read


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_it_works_with_what_it_has(stage: Deployed) -> None:
    assert everything(stage)


@pytest.mark.parametrize(("number", "action", "at"), allowed())
def test_it_does_not_work_without(stage: Deployed, number: int, action: str, at: int) -> None:
    whole = policy_of(stage)
    changed = copy.deepcopy(whole)
    statement = changed["Statement"][number]
    actions, resources = listed(statement["Action"]), listed(statement["Resource"])
    assert action in actions
    statement["Action"] = [each for each in actions if each != action] or ["none:None"]
    others = [each for index, each in enumerate(resources) if index != at]
    if others:
        changed["Statement"].append({**statement, "Action": [action], "Resource": others})
    put_policy(stage, changed)
    try:
        assert not purpose(action, at)(stage), f"nothing fails without {action} on {resources[at]}"
    finally:
        put_policy(stage, whole)
        stage.tool.faults.clear()
        stage.client("sqs").purge_queue(QueueUrl=stage.ids["Alerts"])


def test_the_self_test_names_a_route_whose_secret_is_missing(stage: Deployed) -> None:
    """Under IAM what is not there is refused like what may not be read; nothing else fails for it."""

    def tests(reason: str) -> bool:
        before = stage.log().count(reason)
        put(stage, '{"self_test": true}')
        return bool(soon(lambda: stage.log().count(reason) > before, 20))

    assert tests('"SelfTests"')
    secret = f"tocsin/laptop/on-call/{ROUTES[-1]}"
    stage.client("secretsmanager").delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
    stage.aws.set_function_endpoint(None)  # a warm function would remember it
    try:
        assert tests(f'"reason": "{ROUTES[-1]}: secret {secret} cannot be read')
        assert tells(ROUTES[0])(stage)
    finally:
        stage.put_secret(secret, stage.tool.delivery())


def test_it_works_again_with_all_of_it(stage: Deployed) -> None:
    """What failed above failed for want of a permission, not because something was left broken."""
    assert everything(stage)
