"""ECS: RunTask runs a real process with its role's credentials; its lines, exit code, events and end are told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from embedded_tools import clients_of, eventually

from tocsin.cloud.embedded import EmbeddedAws, embedded

TASK = """
import json, os, signal, sys, time
import boto3
mode = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("MODE", "report")
if mode == "report":
    caller = boto3.client("sts").get_caller_identity()["Arn"]
    names = ("KIND", "SIZE", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "PGSSLROOTCERT")
    print(json.dumps({"caller": caller, "cwd": os.getcwd(), **{name: os.environ.get(name) for name in names}}))
    print("to standard error", file=sys.stderr)
elif mode == "measure":
    print(json.dumps({"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [
        {"Namespace": "Task", "Dimensions": [["Kind"]], "Metrics": [{"Name": "Rows"}]}]}, "Kind": "k", "Rows": 41}))
elif mode == "fail":
    sys.exit(3)
elif mode == "die":
    os.kill(os.getpid(), signal.SIGKILL)
elif mode == "stubborn":
    signal.signal(signal.SIGTERM, lambda *_: (print("asked to stop", flush=True), sys.exit(0)))
    print("waiting", os.getpid(), flush=True)
    time.sleep(60)
elif mode == "wait":
    print("waiting", os.getpid(), flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("code")
    (path / "jobs").mkdir()
    (path / "jobs" / "__init__.py").touch()
    (path / "jobs" / "work.py").write_text(TASK)
    return path


@pytest.fixture(scope="module")
def aws(tmp_path_factory, folder) -> Iterator[EmbeddedAws]:
    patch = pytest.MonkeyPatch()
    patch.setenv("TOCSIN_TASK_PATH", str(folder))
    try:
        with embedded(tmp_path_factory.mktemp("aws")) as running:
            yield running
    finally:
        patch.undo()


def resources(**container: object) -> dict:
    trust = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
        "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24"}},
        "Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "t", "VpcId": {"Ref": "Vpc"}}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "worker", "AssumeRolePolicyDocument": {"Statement": [trust]}}},
        "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/work"}},
        "Repository": {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "work"}},
        "Cluster": {"Type": "AWS::ECS::Cluster"},
        "Stopped": {"Type": "AWS::SQS::Queue"},
        "Allow": {
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {
                "Queues": [{"Ref": "Stopped"}],
                "PolicyDocument": {
                    "Statement": [
                        {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
                         "Resource": {"Fn::GetAtt": ["Stopped", "Arn"]}}
                    ]
                },
            },
        },
        "Rule": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "EventPattern": {
                    "source": ["aws.ecs"], "detail-type": ["ECS Task State Change"],
                    "detail": {"lastStatus": ["STOPPED"], "clusterArn": [{"Fn::GetAtt": ["Cluster", "Arn"]}]},
                },
                "Targets": [{"Id": "queue", "Arn": {"Fn::GetAtt": ["Stopped", "Arn"]}}],
            },
        },
        "Task": {
            "Type": "AWS::ECS::TaskDefinition",
            "Properties": {
                "Family": "work", "Cpu": "512", "Memory": "1024", "NetworkMode": "awsvpc",
                "RequiresCompatibilities": ["FARGATE"],
                "TaskRoleArn": {"Fn::GetAtt": ["Role", "Arn"]}, "ExecutionRoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                "ContainerDefinitions": [
                    {
                        "Name": "worker", "Essential": True, "Image": {"Fn::Sub": "${Repository.RepositoryUri}:1"},
                        "Command": ["python", "-m", "jobs.work"],
                        "Environment": [{"Name": "KIND", "Value": "defined"}, {"Name": "SIZE", "Value": "1"}],
                        "LogConfiguration": {
                            "LogDriver": "awslogs",
                            "Options": {
                                "awslogs-group": {"Ref": "Logs"}, "awslogs-region": {"Ref": "AWS::Region"},
                                "awslogs-stream-prefix": "task",
                            },
                        },
                        **container,
                    }
                ],
            },
        },
    }  # fmt: skip


@pytest.fixture
def run(stack, client) -> Callable[..., dict[str, Any]]:
    """``run(MODE="fail")``: run the task with these variables; the task as RunTask answers it."""
    ids = stack("work", resources()).ids()

    def start(
        _command: list[str] | None = None, _more: dict[str, Any] | None = None, **variables: str
    ) -> dict[str, Any]:
        override: dict[str, Any] = {"name": "worker"}
        if variables:
            override["environment"] = [{"name": name, "value": value} for name, value in variables.items()]
        if _command:
            override["command"] = _command
        request = {
            "cluster": ids["Cluster"], "taskDefinition": ids["Task"], "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": [ids["Subnet"]], "securityGroups": [ids["Group"]]}},
            "overrides": {"containerOverrides": [override]},
        }  # fmt: skip
        answer = client("ecs").run_task(**{**request, **(_more or {})})
        assert answer["failures"] == []
        (task,) = answer["tasks"]
        return task

    start.ids = ids  # type: ignore[attr-defined]
    return start


def described(client, task: dict[str, Any]) -> dict[str, Any]:
    (found,) = client("ecs").describe_tasks(cluster=task["clusterArn"], tasks=[task["taskArn"]])["tasks"]
    return found


def stopped(client, task: dict[str, Any]) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = described(client, task)
        return found if found["lastStatus"] == "STOPPED" else None

    return eventually(look, "the task to stop")


def lines(client, task: dict[str, Any]) -> list[str]:
    stream = f"task/worker/{task['taskArn'].rpartition('/')[2]}"
    try:
        events = client("logs").get_log_events(logGroupName="/work", logStreamName=stream, startFromHead=True)["events"]
    except client("logs").exceptions.ResourceNotFoundException:
        return []
    return [event["message"] for event in events]


def test_task_runs_with_its_environment_and_role_and_tells_its_end(run, client, aws, folder):
    task = run(KIND="overridden")
    assert (task["lastStatus"], task["launchType"]) == ("PROVISIONING", "FARGATE")
    done = stopped(client, task)
    (container,) = done["containers"]
    assert (done["stopCode"], container["exitCode"]) == ("EssentialContainerExited", 0), lines(client, task)
    assert done["startedAt"] <= done["stoppedAt"]
    report, error = lines(client, task)
    assert error == "to standard error"
    found = json.loads(report)
    identifier = task["taskArn"].rpartition("/")[2]
    assert found["caller"] == f"arn:aws:sts::000000000000:assumed-role/worker/{identifier}"
    assert (found["KIND"], found["SIZE"], found["AWS_REGION"]) == ("overridden", "1", "eu-west-1")
    assert found["AWS_ENDPOINT_URL"].startswith("https://")
    assert found["AWS_CA_BUNDLE"] == found["PGSSLROOTCERT"] == aws.boto3_environment()["AWS_CA_BUNDLE"]
    assert not Path(found["cwd"]).exists()  # its folder goes with it

    (message,) = eventually(
        lambda: client("sqs").receive_message(QueueUrl=run.ids["Stopped"]).get("Messages"), "the event"
    )
    event = json.loads(message["Body"])
    assert (event["source"], event["detail-type"], event["resources"]) == (
        "aws.ecs",
        "ECS Task State Change",
        [task["taskArn"]],
    )
    detail = event["detail"]
    assert (detail["lastStatus"], detail["stopCode"], detail["containers"][0]["exitCode"]) == (
        "STOPPED", "EssentialContainerExited", 0,
    )  # fmt: skip
    assert detail["taskArn"] == task["taskArn"]


@pytest.mark.parametrize(("mode", "code"), [("fail", 3), ("die", 137)])
def test_exit_code_of_what_went_wrong(run, client, mode, code):
    done = stopped(client, run(MODE=mode))
    assert (done["stopCode"], done["containers"][0]["exitCode"]) == ("EssentialContainerExited", code)
    assert done["stoppedReason"] == "Essential container in task exited"


def test_metrics_in_its_lines(run, client, aws):
    stopped(client, run(["python", "-m", "jobs.work", "measure"]))
    (point,) = client("cloudwatch").get_metric_statistics(
        Namespace="Task", MetricName="Rows", Dimensions=[{"Name": "Kind", "Value": "k"}],
        StartTime=0, EndTime=aws.now().timestamp() + 60, Period=60, Statistics=["Sum"],
    )["Datapoints"]  # fmt: skip
    assert point["Sum"] == 41


@pytest.mark.parametrize(("mode", "code", "last"), [("wait", 143, "waiting"), ("stubborn", 0, "asked to stop")])
def test_stop_task_ends_the_process(run, client, mode, code, last):
    task = run(MODE=mode)
    (first,) = eventually(lambda: lines(client, task), "the first line")
    assert described(client, task)["lastStatus"] == "RUNNING"
    answer = client("ecs").stop_task(cluster=task["clusterArn"], task=task["taskArn"], reason="no longer wanted")
    assert answer["task"]["desiredStatus"] == "STOPPED"
    done = stopped(client, task)
    assert (done["stopCode"], done["stoppedReason"]) == ("UserInitiated", "no longer wanted")
    assert done["containers"][0]["exitCode"] == code
    assert not psutil.pid_exists(int(first.split()[1]))
    assert lines(client, task)[-1].startswith(last)


def test_the_same_token_is_the_same_task(run, client):
    first = run(_more={"clientToken": "load-1"}, MODE="wait")
    again = run(_more={"clientToken": "load-1"}, MODE="wait")
    assert again["taskArn"] == first["taskArn"]
    assert run(_more={"clientToken": "load-2"})["taskArn"] != first["taskArn"]
    ecs = client("ecs")
    with pytest.raises(ecs.exceptions.ClientError, match="ConflictException"):
        run(_more={"clientToken": "load-1"}, MODE="fail")
    ecs.stop_task(cluster=first["clusterArn"], task=first["taskArn"])
    stopped(client, first)
    later = run(_more={"clientToken": "load-1"}, MODE="wait")
    assert (later["taskArn"], later["lastStatus"]) == (
        first["taskArn"],
        "PROVISIONING",
    )  # the first answer, word for word


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"cluster": "nowhere"}, "ClusterNotFoundException"),
        ({"taskDefinition": "nothing:1"}, "Unable to find task definition"),
        ({"networkConfiguration": {}}, "Network Configuration must be provided"),
        ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-0"]}}}, "subnet-0"),
        ({"overrides": {"containerOverrides": [{"name": "other"}]}}, "not a container in the TaskDefinition"),
        ({"overrides": {"taskRoleArn": "arn:aws:iam::000000000000:role/nobody"}}, "unable to assume the role"),
    ],
)
def test_what_is_refused_at_once(run, client, more, reason):
    with pytest.raises(client("ecs").exceptions.ClientError, match=reason):
        run(_more=more)


def test_a_command_that_is_no_module_fails_to_start(stack, client):
    ids = stack("odd", resources(Command=["/bin/sh", "-c", "true"])).ids()
    (task,) = client("ecs").run_task(
        cluster=ids["Cluster"], taskDefinition=ids["Task"], launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [ids["Subnet"]]}},
    )["tasks"]  # fmt: skip
    done = stopped(client, task)
    assert done["stopCode"] == "TaskFailedToStart"
    assert "python -m MODULE" in done["stoppedReason"]
    assert "exitCode" not in done["containers"][0]


def test_a_command_inside_the_image_is_named_outside(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("TOCSIN_TASK_PATH", str(folder))
    monkeypatch.setenv("TOCSIN_TASK_COMMAND", "python3.13 -m jobs.work fail")
    with embedded(tmp_path) as aws:
        client = clients_of(aws)
        ecs = client("ecs")
        ecs.create_cluster(clusterName="c")
        ecs.register_task_definition(
            family="w", networkMode="bridge", containerDefinitions=[{"name": "w", "image": "x"}]
        )
        (task,) = ecs.run_task(cluster="c", taskDefinition="w")["tasks"]
        assert stopped(client, task)["containers"][0]["exitCode"] == 3


def test_tasks_end_with_the_embedded_aws(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("TOCSIN_TASK_PATH", str(folder))
    with embedded(tmp_path) as aws:
        client = clients_of(aws)
        ecs = client("ecs")
        ecs.create_cluster(clusterName="c")
        container = {"name": "w", "image": "x", "command": ["python", "-m", "jobs.work", "wait"]}
        ecs.register_task_definition(family="w", networkMode="bridge", containerDefinitions=[container])
        ecs.run_task(cluster="c", taskDefinition="w")

        def waiting() -> list[psutil.Process]:
            children = psutil.Process(aws.pid).children(recursive=True)
            return [each for each in children if "jobs.work" in each.cmdline() and "-I" not in each.cmdline()]

        (process,) = eventually(waiting, "the task's process")
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert list((tmp_path / "tmp").glob("task-*")) == []
    assert os.environ["TOCSIN_TASK_PATH"] == str(folder)
