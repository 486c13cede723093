"""What tests of `oncall apply` share: pages that are published, runs that are killed, and an account left empty."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from oncall_tools import ACCOUNT

from tocsin.cloud.session import Cloud

# Counts every answer of the tool and of AWS, and ends the process after a given one: the other side has done what was
# asked, and nobody has heard of it.
KILLED = """
import http.client, os, sys
left = int(sys.argv.pop(1))
whole = http.client.HTTPConnection.getresponse
count = 0
def getresponse(self):
    global count
    answer = whole(self)
    count += 1
    if count == left:
        answer.read()
        os._exit(9)
    return answer
http.client.HTTPConnection.getresponse = getresponse
from tocsin.cli import main
try:
    main(sys.argv[1:], prog_name="tocsin")
finally:
    print(f"answers: {count}", flush=True)
"""


def cut(folder: Path, after: int, *options: str) -> subprocess.CompletedProcess[str]:
    """An apply that is killed after so many answers; 0 for never."""
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(after), "oncall", "apply", "dev", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def answers_of(whole: subprocess.CompletedProcess[str]) -> int:
    """How many answers a run that was not killed has had."""
    assert whole.returncode == 0, whole.stderr
    return int(whole.stdout.rpartition("answers: ")[2])


def publish(cloud: Cloud, severity: str = "page") -> str:
    """Publish what an alarm says to the topic of its owner and severity; the alarm's name, a new one."""
    name = f"dev-shop-{severity}-{time.monotonic_ns()}"
    message = {
        "AlarmName": name,
        "AlarmDescription": f"x.\nSeverity: {severity}. Owner: payments. System: shop.",
        "AWSAccountId": ACCOUNT,
        "NewStateValue": "ALARM",
        "NewStateReason": "test",
        "OldStateValue": "OK",
        "StateChangeTime": "2026-11-01T00:00:00.000+0000",
        "Region": "EU (Ireland)",
        "AlarmArn": f"arn:aws:cloudwatch:{cloud.region}:{ACCOUNT}:alarm:{name}",
    }
    topic = f"arn:aws:sns:{cloud.region}:{ACCOUNT}:dev-tocsin-payments-{severity}"
    cloud.client("sns").publish(TopicArn=topic, Message=json.dumps(message))
    return name


def secrets_of(cloud: Cloud) -> dict[str, str]:
    """The secrets of the on-call that are not on their way out, with their values."""
    client = cloud.client("secretsmanager")
    pages = client.get_paginator("list_secrets").paginate()
    names = [one["Name"] for page in pages for one in page["SecretList"] if "DeletedDate" not in one]
    names = [name for name in names if name.startswith("tocsin/")]
    return {name: client.get_secret_value(SecretId=name)["SecretString"] for name in sorted(names)}


def forget(cloud: Cloud) -> None:
    """Nothing of the on-call is left in the account."""
    stacks = cloud.client("cloudformation")
    stacks.delete_stack(StackName="dev-routing")
    stacks.get_waiter("stack_delete_complete").wait(StackName="dev-routing", WaiterConfig={"Delay": 1})
    client = cloud.client("secretsmanager")
    for page in client.get_paginator("list_secrets").paginate(IncludePlannedDeletion=True):
        for one in page["SecretList"]:
            client.delete_secret(SecretId=one["Name"], ForceDeleteWithoutRecovery=True)
