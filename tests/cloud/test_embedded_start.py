"""Starting and stopping the embedded AWS: quick, on 127.0.0.1 only, and nothing is left whatever ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from importlib import metadata

import psutil
import pytest
from embedded_tools import ROLE, Stack, clients_of, eventually, function

from tocsin.cloud.embedded import EmbeddedAws, base, embedded
from tocsin.errors import CloudError

PARENT = textwrap.dedent(
    """
    import json, sys, time
    from tocsin.cloud.embedded import embedded
    with embedded(sys.argv[1]) as aws:
        known = {"endpoint": aws.endpoint, "tls_endpoint": aws.tls_endpoint, "ca_file": str(aws.ca_file)}
        print(json.dumps({**known, "region": aws.region, "pid": aws.pid}), flush=True)
        time.sleep(600)
    """
)


def busy(aws) -> None:
    """Give the server a database and a warm function: children of its own."""
    client = clients_of(aws)
    stack = Stack(client("cloudformation"), "busy")
    stack.create(
        {
            "Role": ROLE,
            "Function": function("warm"),
            "Database": {
                "Type": "AWS::RDS::DBInstance",
                "Properties": {
                    "Engine": "postgres", "DBInstanceClass": "db.t4g.micro", "AllocatedStorage": "20",
                    "MasterUsername": "someone", "MasterUserPassword": "some-password",
                },
            },
        }
    )  # fmt: skip
    client("lambda").invoke(FunctionName="warm", Payload=b"{}")


def family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def gone(processes: list[psutil.Process]) -> bool:
    return not any(map(alive, processes))


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_block_ends_every_process_and_keeps_the_given_directory(tmp_path):
    with embedded(tmp_path / "state") as aws:
        busy(aws)
        processes = family(aws.pid)
        names = " ".join(process.name() for process in processes)
        assert len(processes) >= 4, names
        assert aws.directory == tmp_path / "state"
    eventually(lambda: gone(processes), "all processes to end")
    assert (tmp_path / "state" / "embedded-aws.log").exists()
    with pytest.raises(CloudError, match="does not answer"):
        aws.now()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_death_of_the_parent_ends_every_process(tmp_path, how):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with parent:
        ready = json.loads(parent.stdout.readline())
        aws = EmbeddedAws(**ready, directory=tmp_path)
        busy(aws)
        processes = family(parent.pid)
        assert len(processes) >= 5
        parent.send_signal(how)
        eventually(lambda: gone(processes[1:]), f"all processes to end after {how.name}")


def test_death_of_the_server_ends_its_children(tmp_path):
    with embedded(tmp_path) as aws:
        busy(aws)
        processes = family(aws.pid)
        os.kill(aws.pid, signal.SIGKILL)
        eventually(lambda: gone(processes[1:]), "the server's children to end")


def test_only_loopback_is_listened_on(tmp_path):
    with embedded(tmp_path) as aws:
        busy(aws)
        listening = {
            connection.laddr.ip
            for process in family(aws.pid)
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}


def test_two_run_beside_each_other():
    with embedded(clock_factor=60) as first, embedded(region="us-east-1") as second:
        assert first.endpoint != second.endpoint
        assert (first.clock_factor, second.clock_factor) == (60, 1)
        clients_of(first)("sqs").create_queue(QueueName="mine")
        assert not clients_of(second)("sqs").list_queues().get("QueueUrls")
        assert second.boto3_environment()["AWS_DEFAULT_REGION"] == "us-east-1"


def test_environment_is_all_a_client_needs(tmp_path):
    with embedded(tmp_path) as aws:
        code = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=clean | aws.boto3_environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == "000000000000"


def test_identity_policies_are_enforced_when_asked_for(tmp_path):
    from botocore.exceptions import ClientError

    with embedded(tmp_path, iam=True) as aws:
        client = clients_of(aws)
        client("sqs").create_queue(QueueName="allowed")
        client("iam").create_user(UserName="reader")
        client("iam").put_user_policy(
            UserName="reader",
            PolicyName="read",
            PolicyDocument=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {"Effect": "Allow", "Action": "sqs:GetQueueUrl", "Resource": "arn:aws:sqs:*:*:allowed"}
                    ],
                }
            ),
        )
        key = client("iam").create_access_key(UserName="reader")["AccessKey"]
        reader = client("sqs", key["AccessKeyId"], key["SecretAccessKey"])
        assert reader.get_queue_url(QueueName="allowed")["QueueUrl"]
        with pytest.raises(ClientError, match="AccessDenied"):
            reader.create_queue(QueueName="other")


def test_another_ministack_is_refused(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "1.5.34")
    with pytest.raises(CloudError, match=r"needs exactly ministack 1\.5\.33, but 1\.5\.34 is installed"):
        base.check_version()


def test_failing_start_says_why(tmp_path):
    with pytest.raises(CloudError, match="clock factor"), embedded(tmp_path, clock_factor=-1):
        pass


def test_command_line_serves_until_told_to_stop(tmp_path):
    command = [sys.executable, "-m", "tocsin.cloud.embedded"]
    clean = os.environ | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=clean)
    with process:
        endpoint = json.loads(process.stdout.readline())["endpoint"]
        port = endpoint.removeprefix("http://127.0.0.1:")
        taken = subprocess.run([*command, "--port", port], capture_output=True, text=True, check=False)
        assert taken.returncode == 2
        assert taken.stderr.startswith(f"port {port} of 127.0.0.1 cannot be used")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert list(tmp_path.glob("tocsin-aws-*")) == []


def test_engine_never_imports_the_embedded_aws():
    code = "import sys, tocsin, tocsin.cloud.embedded; print('ministack' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
