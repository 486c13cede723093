"""What tests of the on-call commands work with: an embedded AWS, alarms like generated ones, and a project folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from command_line import tocsin
from documents import ROOT, fences
from tocsin.cloud.embedded import EmbeddedAws
from tocsin.cloud.session import Cloud, connect

ACCOUNT = "000000000000"


@contextmanager
def as_caller(aws: EmbeddedAws, *, key: str = "test", secret: str = "test") -> Iterator[None]:
    """The process environment of somebody with that access key."""
    before = dict(os.environ)
    os.environ.update(aws.boto3_environment())
    os.environ.update({"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret})
    os.environ.pop("AWS_SESSION_TOKEN", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def cloud_of(aws: EmbeddedAws) -> Cloud:
    """A connection as the account's root."""
    with as_caller(aws):
        cloud = connect(aws.region, endpoint_url=aws.tls_endpoint)
        for service in ("cloudwatch", "sns", "sqs", "sts", "iam", "secretsmanager", "ssm", "cloudformation", "s3"):
            cloud.client(service)
    return cloud


def described(system: str, severity: str = "page", owner: str = "payments", runbook: str = "slo-availability") -> str:
    """A description as the templates carry it."""
    return (
        f"orders: the error budget burns too fast.\nThreshold: some.\nSeverity: {severity}. Owner: {owner}. "
        f"System: {system}.\nRunbook: runbooks/{runbook}.md\nDashboard: /d/tocsin-{system} in Grafana\nSource: none"
    )


def put_alarm(cloud: Cloud, name: str, description: str = "", topic: str | None = None, **more: Any) -> None:
    """A metric alarm on a metric that nobody reports."""
    actions = [topic] if topic else []
    cloud.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        AlarmDescription=description,
        Namespace="Nothing",
        MetricName="Nothing",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
        AlarmActions=actions,
        OKActions=actions,
        **more,
    )


def put_composite(cloud: Cloud, name: str, child: str, description: str, topic: str, **more: Any) -> None:
    """A composite alarm over one child."""
    cloud.client("cloudwatch").put_composite_alarm(
        AlarmName=name,
        AlarmDescription=description,
        AlarmRule=f'ALARM("{child}")',
        AlarmActions=[topic],
        OKActions=[topic],
        **more,
    )


@dataclass(frozen=True)
class Caller:
    """An IAM user with one inline policy."""

    name: str
    key: str
    secret: str


def make_caller(cloud: Cloud, name: str) -> Caller:
    """An IAM user who may do nothing yet."""
    iam = cloud.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Caller(name, key["AccessKeyId"], key["SecretAccessKey"])


def allow(cloud: Cloud, caller: Caller, statements: Sequence[dict[str, Any]]) -> None:
    """Exactly these statements."""
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    cloud.client("iam").put_user_policy(UserName=caller.name, PolicyName="own", PolicyDocument=json.dumps(policy))


def lessened(statements: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each action of a policy, and the policy without it."""
    for number, statement in enumerate(statements):
        for action in statement["Action"]:
            rest = [other for other in statement["Action"] if other != action]
            changed = list(statements)
            changed[number : number + 1] = [{**statement, "Action": rest}] if rest else []
            yield action, changed


def page_policy(command: str) -> list[dict[str, Any]]:
    """What docs/on-call.md says a command needs, for the environment dev of the embedded AWS."""
    page = ROOT / "docs" / "on-call.md"
    (text,) = [fence.text for fence in fences(page) if fence.options.get("policy") == command]
    policy = json.loads(text.replace("111122223333", ACCOUNT).replace("prod-", "dev-").replace("/prod/", "/dev/"))
    return list(policy)


def project(folder: Path, aws: EmbeddedAws, name: str = "dev", more: str = "") -> Path:
    """A project folder whose environment is the embedded AWS."""
    (folder / "tocsin.toml").write_text("", encoding="utf-8")
    (folder / "deploy").mkdir(exist_ok=True)
    (folder / "deploy" / "environments.toml").write_text(
        f'[{name}]\nregion = "{aws.region}"\nendpoint_url = "{aws.tls_endpoint}"\n{more}', encoding="utf-8"
    )
    return folder


def printed_json(*arguments: str) -> Any:
    """What a command prints with ``--json``."""
    done = tocsin(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def client_of(aws: EmbeddedAws, service: str, caller: Caller) -> Any:
    """A boto3 client with a user's own key."""
    return boto3.client(
        service,
        endpoint_url=aws.endpoint,
        region_name=aws.region,
        aws_access_key_id=caller.key,
        aws_secret_access_key=caller.secret,
    )


TEMPLATE = """\
Resources:
  Orders:
    Type: AWS::SQS::Queue
    Properties: {RedrivePolicy: {deadLetterTargetArn: !GetAtt Failed.Arn, maxReceiveCount: 3}}
  Failed: {Type: AWS::SQS::Queue}
"""
DECLARATION = """\
from tocsin import System, completeness, discover, freshness

stack = discover("template.yaml")
system = System(
    name="shop",
    owner="payments",
    resources=stack,
    slos=[
        completeness(stack["Orders"], name="orders-complete", objective="99.9%", window="28d"),
        freshness(stack["Orders"], name="orders-fresh", below="5min", objective="99.5%", window="28d"),
    ],
)
"""
USERS = ("payments-lead@example.com", "payments-primary@example.com", "payments-second@example.com")
ON_CALL = """\
project = "shop"
environments = ["prod"]
time_zone = "Europe/Vienna"
second_way = "on-call-fallback@example.com"

[tool]
name = "opsgenie"

[heartbeat]
team = "payments"

[teams.payments]
members = [{ user = "payments-lead@example.com", admin = true }, "payments-primary@example.com", "payments-second@example.com"]
pages = "tool"
tickets = { email = "payments-tickets@example.com" }

[teams.payments.schedules.payments.rotations.week]
participants = ["payments-primary@example.com", "payments-second@example.com"]
starts = 2026-01-05T09:00:00
turn = "weekly"

[teams.payments.escalation]
steps = [{ schedule = "payments" }, { after = "10min", user = "payments-lead@example.com" }]
"""


def shop(folder: Path, aws: EmbeddedAws, url: str, *, runbooks: str = "", on_call: str = ON_CALL) -> Path:
    """A project with one system, on call at ``url``; built, and its watched stack deployed as dev-shop.

    ``runbooks`` is the address that runbooks have.  To be called as the account's root.
    """
    project(
        folder,
        aws,
        more=f'oncall_url = "{url}"\nplain_endpoint_url = "{aws.endpoint}"\nartifacts_bucket = "artifacts"\n',
    )
    (folder / "tocsin.toml").write_text(f'runbooks_url = "{runbooks}"\n' if runbooks else "", encoding="utf-8")
    (folder / "template.yaml").write_text(TEMPLATE, encoding="utf-8")
    (folder / "monitoring" / "systems").mkdir(parents=True, exist_ok=True)
    (folder / "monitoring" / "systems" / "shop.py").write_text(DECLARATION, encoding="utf-8")
    (folder / "deploy" / "oncall.toml").write_text(on_call, encoding="utf-8")
    return folder


def deploy_watched(cloud: Cloud, aws: EmbeddedAws) -> None:
    """The stack that the shop's alarms watch, and a bucket for large templates."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": aws.region})
    stacks = cloud.client("cloudformation")
    stacks.create_stack(StackName="dev-shop", TemplateBody=TEMPLATE)
    stacks.get_waiter("stack_create_complete").wait(StackName="dev-shop", WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def succeed(*arguments: str) -> str:
    """Run a command that must succeed; what it prints."""
    done = tocsin(*arguments)
    assert done.exit_code == 0, f"tocsin {' '.join(arguments)}: {done.output}"
    return done.stdout
