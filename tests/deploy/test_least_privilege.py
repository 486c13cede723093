"""Least privilege, with IAM enforced: the systems work with their own roles, and with no action less.

Each action on each resource that a role's policy allows is taken away in the running stacks; then what that role is for
must fail.  What the embedded AWS cannot show is in ``UNSEEN``, with the source that says why it is needed.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from deploy.run.stage import Stage, delivery_credentials, describe_environment, in_environment
from deploy.systems import bootstrap, deploy_systems
from tests.deploy.exceptions import templates

from tocsin.cloud.embedded import embedded
from tocsin.cloudformation.document import load

pytestmark = pytest.mark.long

DAY = datetime.now(UTC).date()
EMPTY_DAY = DAY - timedelta(days=1)  # a day that has not begun yet is not announced
# The generator stops at three quarters of its time: too short for so many subscribers at 5,000 a second, and long
# enough to finish what it has begun at 600.
GENERATOR_SECONDS, MANY = 3, 12_000
GOOD, SOME_BAD = "{0},Airline\n", "{0},Airline\n" + "{0}1,Airline {0}\n" * 99 + "much too long a code,Airline\n"
PATIENCE = 2.0  # seconds that something is given to arrive which should not


@dataclass(frozen=True)
class Allowed:
    """One action on one resource, in one statement of an inline policy of a role."""

    policy: str
    statement: int
    action: str
    resource: str

    def without(self, document: dict[str, Any]) -> dict[str, Any]:
        """The policy without it; what else the statement allows stays."""
        changed = copy.deepcopy(document)
        whole = changed["Statement"].pop(self.statement)
        others = [action for action in listed(whole["Action"]) if action != self.action]
        rest = [resource for resource in listed(whole["Resource"]) if resource != self.resource]
        if others:
            changed["Statement"].append({**whole, "Action": others})
        if rest:
            changed["Statement"].append({**whole, "Action": [self.action], "Resource": rest})
        return changed


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True)
class System:
    """The deployed systems, and what each role is for: a method answers whether it works."""

    stage: Stage

    def client(self, service: str) -> Any:
        return self.stage.client(service)

    def output(self, system: str, name: str) -> str:
        return self.stage.outputs[system][name]

    @cached_property
    def ids(self) -> dict[str, str]:
        """The physical id of every resource of both systems, by ``system.logical id``."""
        found = {}
        for system in ("notification", "data_pipeline"):
            stack = self.stage.environment.of(system).stack
            pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
            for page in pages:
                for each in page["StackResourceSummaries"]:
                    found[f"{system}.{each['LogicalResourceId']}"] = each["PhysicalResourceId"]
        return found

    def invoke(self, function: str, event: Any) -> tuple[bool, Any]:
        """Whether it ended without an error, and what it answered."""
        answer = self.client("lambda").invoke(FunctionName=self.ids[function], Payload=json.dumps(event).encode())
        return "FunctionError" not in answer, json.load(answer["Payload"])

    def prepare(self) -> None:
        """What the scenarios need: notifications and users, a quick end of what fails, and nothing that starts by itself."""
        self.client("s3").put_bucket_notification_configuration(Bucket=self.bucket, NotificationConfiguration={})
        name = self.ids["notification.MessageGenerator"]
        self.client("lambda").update_function_configuration(FunctionName=name, Timeout=GENERATOR_SECONDS)
        (mapping,) = self.client("lambda").list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
        self.client("lambda").update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        self.stage.define(DAY, "few", "weather")
        self.stage.define(DAY, "many", "news")
        self.stage.subscribe("weather", ["anna"])
        table = self.output("notification", "SubscriptionsName")
        puts = [{"PutRequest": {"Item": {"topic": {"S": "news"}, "user": {"S": f"u{n:05}"}}}} for n in range(MANY)]
        batches = [puts[start : start + 25] for start in range(0, MANY, 25)]
        dynamodb = self.client("dynamodb")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda batch: dynamodb.batch_write_item(RequestItems={table: batch}), batches))
        for function in ("notification.FindDailyNotifications", "data_pipeline.Loader"):
            of = {"FunctionName": self.ids[function], "Qualifier": "$LATEST"}
            present = self.client("lambda").get_function_event_invoke_config(**of)
            self.client("lambda").put_function_event_invoke_config(
                **of, MaximumRetryAttempts=0, DestinationConfig=present["DestinationConfig"]
            )

    # --- every function ---

    def logs(self, function: str, event: Any) -> bool:
        """A line of the function in its log group."""
        arguments = {"logGroupName": self.ids[f"{function}Logs"]}

        def count() -> int:
            pages = self.client("logs").get_paginator("filter_log_events").paginate(**arguments)
            return sum(len(page["events"]) for page in pages)

        before = count()
        self.invoke(function, event)
        return self.soon(lambda: count() > before, seconds=0.5)

    def network(self, function: str) -> bool:
        """A change of the function's place in the network."""
        name = self.ids[function]
        place = self.client("lambda").get_function_configuration(FunctionName=name)["VpcConfig"]
        wanted = {key: place[key] for key in ("SubnetIds", "SecurityGroupIds")}
        return self.accepted(
            lambda: self.client("lambda").update_function_configuration(FunctionName=name, VpcConfig=wanted)
        )

    def dead_letters(self, function: str, queue: str, event: Any) -> bool:
        """What fails for good reaches the queue of failures."""
        url = self.ids[queue]
        self.client("sqs").purge_queue(QueueUrl=url)
        self.client("lambda").invoke(
            FunctionName=self.ids[function], InvocationType="Event", Payload=json.dumps(event).encode()
        )

        return self.soon(lambda: self.waiting(url))

    def accepted(self, call: Callable[[], Any]) -> bool:
        """Whether AWS takes the call; an error of the permissions is a no, any other is none of ours."""
        try:
            call()
        except self.client("lambda").exceptions.InvalidParameterValueException as error:
            if "does not have permissions" in str(error):
                return False
            raise
        return True

    def soon(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    # --- notification ---

    def find(self) -> bool:
        return self.invoke("notification.FindDailyNotifications", {"day": DAY.isoformat()})[0]

    def find_nothing(self) -> bool:
        # The numbers of the day must be new, or there is nothing to announce.
        self.forget_runs()
        return self.invoke("notification.FindDailyNotifications", {"day": EMPTY_DAY.isoformat()})[0]

    def forget_runs(self) -> None:
        table = self.output("notification", "RunsName")
        for item in self.client("dynamodb").scan(TableName=table)["Items"]:
            key = {"day": item["day"], "item": item["item"]}
            self.client("dynamodb").delete_item(TableName=table, Key=key)

    def generate(self, notification: str = "few") -> bool:
        self.forget_runs()
        table, key = self.output("notification", "RunsName"), {"day": {"S": DAY.isoformat()}, "item": {"S": "#run"}}
        numbers = {"due": {"N": "1"}, "started_at": {"N": "1"}}
        self.client("dynamodb").put_item(TableName=table, Item={**key, **numbers})
        body = json.dumps({"schema": 2, "day": DAY.isoformat(), "notification": notification, "after": None})
        worked, answer = self.invoke(
            "notification.MessageGenerator", {"Records": [{"messageId": "1", "body": body, "attributes": {}}]}
        )
        return worked and answer == {"batchItemFailures": []}

    def generate_in_parts(self) -> bool:
        """The generator, with more users than it has time for: it queues how far it got."""
        queue = self.ids["notification.GenerateMessage"]
        self.client("sqs").purge_queue(QueueUrl=queue)
        worked = self.generate("many")
        assert not worked or self.waiting(queue), "the generator had time for all; it needs more users here"
        return worked

    def waiting(self, queue: str) -> bool:
        """Whether there is a message in the queue."""
        name = "ApproximateNumberOfMessages"
        answer = self.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
        return bool(answer["Attributes"][name] != "0")

    def polls(self) -> bool:
        """Lambda takes on a mapping from the queue; it is there already, which is another error."""
        try:
            return self.accepted(
                lambda: self.client("lambda").create_event_source_mapping(
                    FunctionName=self.ids["notification.MessageGenerator"],
                    EventSourceArn=f"arn:aws:sqs:eu-west-1:000000000000:{self.ids['notification.GenerateMessage'].rpartition('/')[2]}",
                    Enabled=False,
                )
            )
        except self.client("lambda").exceptions.ResourceConflictException:
            return True

    def read(self) -> bool:
        return self.stage.read_notifications("anna")[0] == 200

    # --- data pipeline ---

    def event(self, rows: str) -> dict[str, Any]:
        """The event of a new file of airlines."""
        key = f"incoming/airlines/{time.monotonic_ns()}.csv"
        body = f"carrier,name\n{rows}".encode()
        put = self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)
        return self.told(key, put["VersionId"], len(body))

    def told(self, key: str, version: str, size: int) -> dict[str, Any]:
        what = {"bucket": {"name": self.bucket}, "object": {"key": key, "versionId": version, "size": size}}
        return {"Records": [{"eventTime": datetime.now(UTC).isoformat(), "s3": what}]}

    @property
    def bucket(self) -> str:
        return self.output("data_pipeline", "IncomingName")

    def load(self, rows: str = GOOD) -> bool:
        return self.invoke("data_pipeline.Loader", self.event(rows.format(new_code())))[0]

    def load_some_bad(self) -> bool:
        return self.load(SOME_BAD)

    def hand_over(self) -> bool:
        version = f"version-{time.monotonic_ns()}"
        return self.invoke("data_pipeline.Loader", self.told("incoming/airlines/large.csv", version, 10**12))[0]

    def migrate(self) -> bool:
        return self.invoke("data_pipeline.Migrator", {"phase": "expand"})[0]

    def probe(self) -> bool:
        return self.invoke("data_pipeline.Probe", {"check": "row", "id": "x"})[0]

    @contextmanager
    def task(self, rows: str) -> Iterator[str]:
        """The ARN of a task that loads a new file; it is stopped with the block."""
        (record,) = self.event(rows.format(new_code()))["Records"]
        what = record["s3"]["object"]
        environment = {
            "BUCKET": self.bucket,
            "KEY": what["key"],
            "VERSION": what["versionId"],
            "ARRIVED": record["eventTime"],
        }
        name = self.ids["data_pipeline.Loader"]
        variables = self.client("lambda").get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        (task,) = self.client("ecs").run_task(
            cluster=self.cluster,
            taskDefinition=self.task_definition,
            launchType="FARGATE",
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": variables["TASK_SUBNETS"].split(","),
                    "securityGroups": variables["TASK_SECURITY_GROUPS"].split(","),
                }
            },
            overrides={
                "containerOverrides": [
                    {"name": "loader", "environment": [{"name": k, "value": v} for k, v in environment.items()]}
                ]
            },
        )["tasks"]
        try:
            yield task["taskArn"]
        finally:
            self.client("ecs").stop_task(cluster=self.cluster, task=task["taskArn"])

    @property
    def cluster(self) -> str:
        return self.ids["data_pipeline.LoaderCluster"]

    @cached_property
    def task_definition(self) -> str:
        """The deployed one, but that it says what the image would run: the embedded AWS has no images."""
        ecs = self.client("ecs")
        present = ecs.describe_task_definition(taskDefinition=self.ids["data_pipeline.LoaderTask"])["taskDefinition"]
        (container,) = present["containerDefinitions"]
        container["entryPoint"], container["command"] = [], ["python", "-m", "deploy.data_pipeline.handlers.task"]
        container.pop("mountPoints", None)
        kept = ("taskRoleArn", "executionRoleArn", "networkMode", "cpu", "memory", "requiresCompatibilities")
        made = ecs.register_task_definition(
            family="least-privilege",
            containerDefinitions=[container],
            **{name: present[name] for name in kept if name in present},
        )
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def state(self, task: str) -> dict[str, Any]:
        (found,) = self.client("ecs").describe_tasks(cluster=self.cluster, tasks=[task])["tasks"]
        return dict(found)

    def run_task(self, rows: str = GOOD) -> bool:
        """The task loads its file at the first try."""
        with self.task(rows) as task:
            stream = task.rpartition("/")[2]

            def ended() -> bool:
                return self.state(task)["lastStatus"] == "STOPPED" or "load-tried" in self.lines(stream)

            assert self.soon(ended, 30)
            return "load-tried" not in self.lines(stream) and self.state(task)["containers"][0].get("exitCode") == 0

    def run_task_some_bad(self) -> bool:
        return self.run_task(SOME_BAD)

    def lines(self, stream: str) -> str:
        group = self.ids["data_pipeline.LoaderTaskLogs"]
        pages = self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        return "\n".join(
            event["message"] for page in pages for event in page["events"] if event["logStreamName"].endswith(stream)
        )

    def starts(self) -> bool:
        """ECS starts a task."""
        with self.task(GOOD) as task:
            assert self.soon(lambda: self.state(task)["lastStatus"] in {"RUNNING", "STOPPED"}, 30)
            return self.state(task).get("stopCode") != "TaskFailedToStart"


def new_code() -> str:
    """A carrier that is not in the table yet."""
    return str(time.monotonic_ns())[-8:]


Scenario = Callable[[System], bool]


@dataclass(frozen=True)
class Purpose:
    """What a role is for: what must fail without an action, and without those in ``others``, something else."""

    main: Scenario
    others: dict[str, Scenario]

    def scenario(self, action: str, resource: str) -> Scenario:
        """The action with the resource's end goes before the action alone, and that before all actions of a service."""
        for name, scenario in self.others.items():
            wanted, _, end = name.partition(" ")
            if wanted in (action, action.partition(":")[0]) and (not end or end in resource):
                return scenario
        return self.main


def function(name: str, main: Scenario, event: Any, others: dict[str, Scenario]) -> Purpose:
    """A function's role: what every function needs as well."""
    return Purpose(
        main, {**others, "logs": lambda system: system.logs(name, event), "ec2": lambda system: system.network(name)}
    )


def failures(function: str, queue: str, event: Any) -> Scenario:
    return lambda system: system.dead_letters(function, queue, event)


PURPOSES = {
    "notification.FindDailyNotificationsRole": function(
        "notification.FindDailyNotifications",
        System.find,
        {},
        {
            "dynamodb:GetItem": System.find_nothing,
            "sqs:SendMessage DeadLetters": failures(
                "notification.FindDailyNotifications", "notification.FindDailyNotificationsDeadLetters", {"day": "?"}
            ),
        },
    ),
    "notification.MessageGeneratorRole": function(
        "notification.MessageGenerator",
        System.generate,
        {"Records": []},
        {"sqs:SendMessage": System.generate_in_parts, "sqs": System.polls},
    ),
    "notification.GetNotificationsRole": function("notification.GetNotifications", System.read, {}, {}),
    "notification.UserRole": Purpose(System.read, {}),
    "data_pipeline.LoaderRole": function(
        "data_pipeline.Loader",
        System.load,
        {},
        {
            "s3:PutObject": System.load_some_bad,
            "kms:GenerateDataKey": System.load_some_bad,
            "sqs": failures("data_pipeline.Loader", "data_pipeline.LoaderDeadLetters", {"Records": "?"}),
            "ecs": System.hand_over,
            "iam": System.hand_over,
        },
    ),
    "data_pipeline.LoaderTaskRole": Purpose(
        System.run_task, {"s3:PutObject": System.run_task_some_bad, "kms:GenerateDataKey": System.run_task_some_bad}
    ),
    "data_pipeline.LoaderTaskStartRole": Purpose(System.starts, {}),
    "data_pipeline.MigratorRole": function("data_pipeline.Migrator", System.migrate, {"phase": "?"}, {}),
    "data_pipeline.ProbeRole": function("data_pipeline.Probe", System.probe, {"check": "?"}, {}),
}

# What cannot be seen here, by role and action, and why it is needed all the same.
_ABORT = (
    "Gives up an upload that broke in the middle, which no scenario here can bring about; without it S3 keeps the parts "
    "until the lifecycle rule. Amazon S3 API Reference, AbortMultipartUpload."
)
_MONITORING = (
    'RDS writes the figures of the machine with it, and the embedded RDS has none. Amazon RDS User Guide, "Setting up '
    'and enabling Enhanced Monitoring", policy AmazonRDSEnhancedMonitoringRole.'
)
_FLOW_LOGS = (
    'VPC writes the flow logs with it, and the embedded VPC has no traffic. Amazon VPC User Guide, "IAM role for '
    'publishing flow logs to CloudWatch Logs".'
)
UNSEEN = {
    ("data_pipeline.LoaderRole", "s3:AbortMultipartUpload"): _ABORT,
    ("data_pipeline.LoaderTaskRole", "s3:AbortMultipartUpload"): _ABORT,
}
UNSEEN_ROLES = {"data_pipeline.MonitoringRole": _MONITORING, "network.FlowLogRole": _FLOW_LOGS}
ELSEWHERE = {
    "delivery": "tests/deploy/test_delivery_role.py",
    "forwarder": "tests/deploy/test_forwarder_privilege.py",
    "routing": "tests/cloud/test_routing_roles.py",
}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Both systems, deployed by the delivery role, with a task for large files."""
    with embedded(tmp_path_factory.mktemp("aws"), iam=True) as aws, in_environment(aws.boto3_environment()):
        environment = describe_environment(aws)
        delivery = bootstrap(environment).outputs
        environment = replace(environment, artifacts_bucket=delivery["ArtifactsBucketName"])
        with in_environment(delivery_credentials(aws, delivery)):
            outcomes = deploy_systems(environment, parameters={"LoaderImage": f"{delivery['LoaderRepositoryUri']}:1"})
        outputs = {one.system: one.outputs for one in outcomes if one.system is not None}
        made = System(Stage(aws, environment, {"delivery": delivery, **outputs}))
        made.prepare()
        yield made


def policies_of(system: System, role: str) -> dict[str, dict[str, Any]]:
    iam, name = system.client("iam"), system.ids[role]
    names = iam.list_role_policies(RoleName=name)["PolicyNames"]
    return {each: iam.get_role_policy(RoleName=name, PolicyName=each)["PolicyDocument"] for each in names}


def allowed_by(policies: dict[str, dict[str, Any]]) -> list[Allowed]:
    return [
        Allowed(policy, number, action, resource)
        for policy, document in policies.items()
        for number, statement in enumerate(document["Statement"])
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    ]


@contextmanager
def taken_away(system: System, role: str, one: Allowed, policies: dict[str, dict[str, Any]]) -> Iterator[None]:
    iam, name, document = system.client("iam"), system.ids[role], policies[one.policy]
    left = one.without(document)
    if left["Statement"]:
        iam.put_role_policy(RoleName=name, PolicyName=one.policy, PolicyDocument=json.dumps(left))
    else:
        iam.delete_role_policy(RoleName=name, PolicyName=one.policy)
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=name, PolicyName=one.policy, PolicyDocument=json.dumps(document))


def idle(system: System, role: str) -> list[str]:
    """What a role allows and can do without: each purpose is tried with everything, then without each action."""
    policies, purpose = policies_of(system, role), PURPOSES[role]
    needed = [one for one in allowed_by(policies) if (role, one.action) not in UNSEEN]
    scenarios = {one: purpose.scenario(one.action, one.resource) for one in needed}
    for scenario in set(scenarios.values()):
        assert scenario(system), f"{role}: {scenario} does not work"
    found = []
    for one, scenario in scenarios.items():
        with taken_away(system, role, one, policies):
            if scenario(system):
                found.append(f"{one.action} on {one.resource}")
    return found


@pytest.mark.parametrize("role", PURPOSES)
def test_a_role_allows_what_is_needed_and_nothing_else(system: System, role: str) -> None:
    assert idle(system, role) == []
    assert PURPOSES[role].main(system)


def test_an_action_too_many_is_found(system: System) -> None:
    iam, role = system.client("iam"), "notification.UserRole"
    excess = {
        "Effect": "Allow",
        "Action": "dynamodb:Scan",
        "Resource": "arn:aws:dynamodb:eu-west-1:000000000000:table/t",
    }
    document = {"Version": "2012-10-17", "Statement": [excess]}
    iam.put_role_policy(RoleName=system.ids[role], PolicyName="Excess", PolicyDocument=json.dumps(document))
    assert idle(system, role) == [f"{excess['Action']} on {excess['Resource']}"]
    iam.delete_role_policy(RoleName=system.ids[role], PolicyName="Excess")


def test_every_role_is_tried_or_said_why_not() -> None:
    roles = {
        f"{stack}.{name}"
        for path in templates()
        for stack in [path.parent.name if path.name == "template.yaml" else path.stem]
        if stack not in ELSEWHERE
        for name, resource in load(path).tree["Resources"].items()
        if resource["Type"] == "AWS::IAM::Role"
    }
    assert roles == {*PURPOSES, *UNSEEN_ROLES}
    assert all(len(reason) > 80 for reason in (*UNSEEN.values(), *UNSEEN_ROLES.values()))


def test_what_is_not_seen_is_allowed(system: System) -> None:
    for role, action in UNSEEN:
        assert action in {one.action for one in allowed_by(policies_of(system, role))}
