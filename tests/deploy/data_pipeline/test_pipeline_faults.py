"""Faults between the data pipeline's handlers and AWS: short ones are ridden out, lasting ones raise, each file is loaded once.

As in `tests.deploy.test_faults`: a call of a handler without its row in ``CALLS`` fails a test.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from deploy.data_pipeline.handlers import loader, migrator, store, task
from deploy.data_pipeline.handlers.migrations import read_migrations
from tests.deploy.faults import KINDS, SHORT, Call, Proxy, calls_in, proxy, quick, recorded
from urllib3.exceptions import HTTPError

from deploy import clients
from tocsin.cloud.embedded import EmbeddedAws, embedded

pytestmark = pytest.mark.long

GOOD = [f"A{number},Airline {number}" for number in range(2000)]
BAD = [f"TOOLONGACODE{number},Airline {number}" for number in range(300)]
PART = 5000  # bytes: so that the quarantine file of this test has parts
CLUSTER = "pipeline"
SLEEPING = ["python", "-m", "timeit", "-n", "1", "-r", "1", "import time; time.sleep(600)"]  # a task that goes on
# An answer without a body cannot be lost on the way of it; when such a call is late, its answer is lost as well.
WITHOUT_BODY = ("PutObject", "UploadPart")
GONE = (BotoCoreError, ClientError, HTTPClientError, HTTPError)


class FailedError(Exception):
    """The task ended with another code than 0."""


class Context:
    """What Lambda gives a handler."""

    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 600_000


_numbers = itertools.count()


@dataclass
class World:
    """A bucket and a database of one test; a test sees the bucket past the proxy, the handlers through it."""

    client: Callable[[str], Any]
    database: Any
    content: str = ""
    names: dict[str, str] = field(default_factory=dict)
    event: dict[str, Any] = field(default_factory=dict)

    def create(self, lines: list[str]) -> None:
        self.content = "\n".join(["carrier,name", *lines, ""])
        bucket = self.names["Incoming"] = f"incoming-{next(_numbers)}"
        s3 = self.client("s3")
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        key = "incoming/airlines/a.csv"
        version = s3.put_object(Bucket=bucket, Key=key, Body=self.content.encode())["VersionId"]
        what = {"bucket": {"name": bucket}, "object": {"key": key, "versionId": version, "size": len(self.content)}}
        self.event = {"Records": [{"eventTime": datetime.now(UTC).isoformat(), "s3": what}]}
        secret = self.names["DatabaseSecret"] = f"secret-{bucket}"
        self.client("secretsmanager").create_secret(
            Name=secret, SecretString=json.dumps({"username": "pipeline", "password": "unused"})
        )

    def environment(self) -> dict[str, str]:
        (record,) = self.event["Records"]
        ec2 = self.client("ec2")
        return {
            "AWS_LAMBDA_FUNCTION_NAME": "Loader",
            "MAX_REJECTED_SHARE": "0.5",
            "TASK_MINUTES": "5",
            "DATABASE_SECRET": self.names["DatabaseSecret"],
            "BUCKET": record["s3"]["bucket"]["name"],
            "KEY": record["s3"]["object"]["key"],
            "VERSION": record["s3"]["object"]["versionId"],
            "ARRIVED": record["eventTime"],
            "TASK_CLUSTER": CLUSTER,
            "TASK_DEFINITION": "loader",
            "TASK_SUBNETS": ec2.describe_subnets()["Subnets"][0]["SubnetId"],
            "TASK_SECURITY_GROUPS": ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"],
        }

    def load(self) -> None:
        loader.handler(self.event, Context())

    def hand_over(self) -> None:
        """The loader with the event of a file that does not fit its time."""
        self.event["Records"][0]["s3"]["object"]["size"] = 10**12
        self.load()

    def run_task(self) -> None:
        if task.main():
            raise FailedError

    def migrate(self) -> None:
        migrator.handler({"phase": "expand"}, Context())

    def is_loaded_once(self) -> None:
        lines = self.content.splitlines()[1:]
        assert self.database.rows("select count(*), count(distinct carrier) from airlines") == [[len(GOOD), len(GOOD)]]
        ledger = self.database.rows("select status, rows_loaded, rows_rejected from loaded_files")
        assert ledger == [["loaded", len(GOOD), len(lines) - len(GOOD)]]
        s3 = self.client("s3")
        found = s3.list_objects_v2(Bucket=self.names["Incoming"], Prefix="quarantine/").get("Contents", [])
        if len(lines) == len(GOOD):
            assert found == []
            return
        (quarantine,) = found
        body = s3.get_object(Bucket=self.names["Incoming"], Key=quarantine["Key"])["Body"].read().decode()
        assert len(body.splitlines()) == 1 + len(lines) - len(GOOD)

    def has_one_task(self) -> None:
        ecs = self.client("ecs")
        tasks = ecs.describe_tasks(cluster=CLUSTER, tasks=ecs.list_tasks(cluster=CLUSTER)["taskArns"])["tasks"]
        told = [override["environment"] for task in tasks for override in task["overrides"]["containerOverrides"]]
        bucket = {"name": "BUCKET", "value": self.names["Incoming"]}
        assert [bucket in environment for environment in told].count(True) == 1
        assert self.database.rows("select * from loaded_files") == []

    def is_migrated_once(self) -> None:
        ((count, last),) = self.database.rows("select count(*), max(version) from schema_migrations")
        assert count == last >= max(each.version for each in read_migrations() if each.phase == "expand")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way through a handler: the lines of the file, the database before, the handler, and what must hold in the end."""

    function: str
    act: Callable[[World], None]
    lines: list[str]
    holds: Callable[[World], None] = World.is_loaded_once
    database: str = "database"


SCENARIOS = {
    "load": Scenario("Loader", World.load, GOOD),
    "load-some-bad": Scenario("Loader", World.load, [*GOOD, *BAD[:3]]),
    "load-many-bad": Scenario("Loader", World.load, [*GOOD, *BAD]),
    "hand-over": Scenario("Loader", World.hand_over, GOOD, World.has_one_task),
    "task": Scenario("Task", World.run_task, [*GOOD, *BAD]),
    "migrate": Scenario("Migrator", World.migrate, GOOD, World.is_migrated_once, "empty_database"),
}
GET = Call("s3", "GetObject", "Incoming")
IN_PARTS = [
    Call("s3", operation, "Incoming")
    for operation in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload")
]
CALLS = {
    "load": [GET],
    "load-some-bad": [Call("s3", "PutObject", "Incoming")],
    "load-many-bad": IN_PARTS,
    "hand-over": [Call("ecs", "RunTask")],
    "task": [GET, *IN_PARTS],
    "migrate": [Call("secretsmanager", "GetSecretValue", "DatabaseSecret")],
}
CASES = [
    pytest.param(scenario, call, kind, id=f"{scenario}-{call}-{kind}")
    for scenario, calls in CALLS.items()
    for call in calls
    for kind in (*KINDS, *(["cut"] if call is GET else []))
    if not (kind == "answer-lost" and call.operation in WITHOUT_BODY)
]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    with embedded(tmp_path_factory.mktemp("aws")) as running:
        ecs = boto3.client(
            "ecs",
            endpoint_url=running.endpoint,
            region_name=running.region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        ecs.create_cluster(clusterName=CLUSTER)
        ecs.register_task_definition(
            family="loader",
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            containerDefinitions=[{"name": "loader", "image": "loader", "command": SLEEPING}],
        )
        yield running


@pytest.fixture(scope="module")
def faulty(aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with (tmp_path_factory.mktemp("proxy") / "log").open("wb") as log, proxy(aws.endpoint, log) as running:
        yield running


@pytest.fixture
def begin(
    aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[[Scenario], World]:
    """``begin(scenario)`` makes its world and puts the handlers into it."""

    def make(scenario: Scenario) -> World:
        for name, value in {**aws.boto3_environment(), "AWS_ENDPOINT_URL": aws.endpoint}.items():
            monkeypatch.setenv(name, value)
        clients.forget_clients()
        world = World(
            lambda service: boto3.client(service, endpoint_url=aws.endpoint),
            request.getfixturevalue(scenario.database),
        )
        world.create(scenario.lines)
        for name, value in world.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(loader, "connect", world.database.connect)
        monkeypatch.setattr(migrator, "connect", lambda user, password: world.database.connect(user))
        monkeypatch.setattr(store, "PART", PART)
        monkeypatch.setattr(task, "PAUSE_SECONDS", 0.01)
        return world

    return make


@pytest.fixture
def fault(faulty: Proxy, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractContextManager[None]]:
    """``fault(world, call, kind, times)``: the handlers' calls meet it while the block runs."""

    @contextmanager
    def start(world: World, call: Call, kind: str, times: int | None = None) -> Iterator[None]:
        with (
            monkeypatch.context() as patch,
            quick(kind),
            faulty.fault(call, kind, names=world.names, times=times),
        ):
            patch.setenv("AWS_ENDPOINT_URL", faulty.endpoint)
            yield

    return start


@pytest.mark.parametrize(("name", "call", "kind"), CASES)
def test_a_short_fault_is_ridden_out(name: str, call: Call, kind: str, begin: Any, fault: Any) -> None:
    scenario = SCENARIOS[name]
    world = begin(scenario)
    with fault(world, call, kind, SHORT):
        scenario.act(world)
    scenario.holds(world)


@pytest.mark.parametrize(("name", "call", "kind"), CASES)
def test_a_lasting_fault_raises_and_the_next_delivery_makes_it_good(
    name: str, call: Call, kind: str, begin: Any, fault: Any
) -> None:
    scenario = SCENARIOS[name]
    world = begin(scenario)
    with fault(world, call, kind), pytest.raises((*GONE, FailedError)):
        scenario.act(world)
    scenario.act(world)
    scenario.holds(world)
    scenario.act(world)  # and once more: a doubled event
    scenario.holds(world)


@pytest.mark.parametrize("function", sorted({scenario.function for scenario in SCENARIOS.values()}))
def test_every_call_of_a_function_is_tried(function: str, begin: Any) -> None:
    names = [name for name, scenario in SCENARIOS.items() if scenario.function == function]
    (database,) = {SCENARIOS[name].database for name in names}
    made: set[Call] = set()
    for name in names:
        world = begin(SCENARIOS[name])
        with recorded(world.names) as calls:
            SCENARIOS[name].act(world)
        made |= set(calls)
    assert database
    assert made == {call for name in names for call in CALLS[name]}


ABORT = Call("s3", "AbortMultipartUpload", "Incoming")


@pytest.mark.parametrize("kind", KINDS)
def test_an_upload_that_cannot_even_be_given_up_raises_what_broke_it(
    kind: str, begin: Any, faulty: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = begin(SCENARIOS["load-many-bad"])
    refusal = {"error": {"code": "AccessDenied", "status": 403}}
    with monkeypatch.context() as patch, quick(kind):
        patch.setenv("AWS_ENDPOINT_URL", faulty.endpoint)
        with faulty.fault(ABORT, kind, names=world.names):
            faulty.ask("rules", "PATCH", [{"service": "s3", "operation": "UploadPart", **refusal}])
            with pytest.raises(ClientError, match=r"AccessDenied.*UploadPart"):
                world.load()
        assert ("s3", "AbortMultipartUpload") in {(each["service"], each["operation"]) for each in faulty.ask("fired")}
    world.load()
    world.is_loaded_once()


def test_every_call_in_the_source_is_tried() -> None:
    tried = {(call.service, call.operation) for calls in (*CALLS.values(), [ABORT]) for call in calls}
    assert calls_in(Path(loader.__file__).parent) == tried
