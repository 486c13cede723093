"""How fast a storm of alarms gets to the on-call tool, directly and by the forwarder, and how long ``tocsin oncall`` takes.

``python -m tests.bench_oncall``.  AWS and the tool are embedded ones on this machine, so seconds are theirs; what can be
compared between machines are the ratios to posting the same messages straight to the tool, and the requests.
"""

# ruff: noqa: T201 - a program that prints

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "oncall"))

from deploy.systems import bootstrap, deploy_all
from forwarded_project import USERS, rendered, write_project
from oncall_tools import ACCOUNT, as_caller, cloud_of, described, put_alarm, succeed

from tocsin.cloud.committed import Committed
from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.environments import read_environment
from tocsin.cloud.session import Cloud
from tocsin.oncall.apply import apply_oncall, plan_oncall
from tocsin.oncall.opening import open_oncall
from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall
from tocsin.paging.oncall_file import read_oncall
from tocsin.render.routing import routing_template

LONGEST = 600.0
"""Seconds after which a storm that has not arrived is given up."""

# In processes of their own, so that they do not take turns with the tool, which is in this one.
POST = """
import json, sys, time, urllib.request
from concurrent.futures import ThreadPoolExecutor
address, messages = sys.argv[1], json.load(sys.stdin)
def post(message):
    with urllib.request.urlopen(urllib.request.Request(address, message.encode(), method="POST"), timeout=60) as answer:
        answer.read()
begin = time.perf_counter()
with ThreadPoolExecutor(8) as pool:
    list(pool.map(post, messages))
print(time.perf_counter() - begin)
"""
CHANGE = """
import boto3, json, sys, time
from concurrent.futures import ThreadPoolExecutor
names = json.load(sys.stdin)
cloudwatch = boto3.client("cloudwatch", endpoint_url=sys.argv[1])
def change(name):
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="Threshold crossed.")
begin = time.perf_counter()
with ThreadPoolExecutor(8) as pool:
    list(pool.map(change, names))
print(time.perf_counter() - begin)
"""


@dataclass(frozen=True)
class Storm:
    """``changing`` seconds until the alarms had changed, ``arriving`` until the tool had all their alerts."""

    changing: float
    arriving: float
    alerts: int


def run(program: str, argument: str, given: Any) -> float:
    """The seconds that a program tells."""
    done = subprocess.run(
        [sys.executable, "-c", program, argument], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def arrived(pager: EmbeddedOnCall, prefix: str) -> int:
    """How many alarms of that prefix have an alert."""
    with pager.state.lock:
        return len({alert.alias for alert in pager.state.alerts if alert.alias.startswith(prefix)})


def straight(cloud: Cloud, pager: EmbeddedOnCall, changes: int) -> Storm:
    """The messages of SNS, posted to the tool's address as SNS posts them: one connection each, eight at once."""
    secret = cloud.client("secretsmanager").get_secret_value(SecretId="tocsin/laptop/on-call/data-platform-page")
    messages = []
    for number in range(changes):
        alarm = {
            "AlarmName": f"laptop-straight-{number:05}-page",
            "AlarmDescription": described("straight", owner="data-platform"),
            "NewStateValue": "ALARM",
            "NewStateReason": "Threshold crossed.",
            "OldStateValue": "OK",
            "StateChangeTime": "2026-11-01T00:00:00.000+0000",
        }
        envelope = {"Type": "Notification", "MessageId": str(number), "TopicArn": "x", "Message": json.dumps(alarm)}
        messages.append(json.dumps({**envelope, "Timestamp": "2026-11-01T00:00:00.000Z"}))
    seconds = run(POST, json.loads(secret["SecretString"])["endpoint"], messages)
    return Storm(0.0, seconds, arrived(pager, "laptop-straight-"))


def unspaced(cloud: Cloud, owner: str) -> None:
    """Take the limit per second from the subscription of an owner's pages: what the way itself can carry."""
    sns = cloud.client("sns")
    for one in sns.list_subscriptions()["Subscriptions"]:
        if one["TopicArn"].endswith(f"-tocsin-{owner}-page"):
            text = sns.get_subscription_attributes(SubscriptionArn=one["SubscriptionArn"])["Attributes"][
                "DeliveryPolicy"
            ]
            policy = json.dumps({"healthyRetryPolicy": json.loads(text)["healthyRetryPolicy"]})
            sns.set_subscription_attributes(
                SubscriptionArn=one["SubscriptionArn"], AttributeName="DeliveryPolicy", AttributeValue=policy
            )


def storm(
    aws: EmbeddedAws, cloud: Cloud, pager: EmbeddedOnCall, owner: str, changes: int, name: str = "storm"
) -> Storm:
    """So many alarms of an owner change; until the tool has heard of all."""
    topic = f"arn:aws:sns:{aws.region}:{ACCOUNT}:laptop-tocsin-{owner}-page" if owner else None
    names = [f"laptop-{name}-{owner}-{number:05}-page" for number in range(changes)]
    for one in names:
        put_alarm(cloud, one, described("storm", owner=owner), topic)
    begin = time.perf_counter()
    changing = run(CHANGE, aws.endpoint, names)
    wanted = changes if owner else 0
    while (found := arrived(pager, f"laptop-{name}-{owner}-")) < wanted and time.perf_counter() - begin < LONGEST:
        time.sleep(0.05)
    return Storm(changing, time.perf_counter() - begin, found)


def print_storms(changes: int) -> None:
    """Straight, directly, by the forwarder, in one run."""
    with staged() as (aws, folder), embedded_oncall(users=USERS) as pager, as_caller(aws):
        environment, committed = write_project(folder, aws, pager.url)
        os.environ["OPSGENIE_API_KEY"] = pager.key
        os.chdir(folder)
        bootstrap(environment)
        succeed("oncall", "apply", "laptop")
        with rendered(folder):
            deploy_all(environment, committed=committed)
        cloud = cloud_of(aws)
        nobody = storm(aws, cloud, pager, "", changes)
        base = straight(cloud, pager, changes)
        direct = storm(aws, cloud, pager, "data-platform", changes)
        unspaced(cloud, "data-platform")
        at_once = storm(aws, cloud, pager, "data-platform", changes, "unspaced")
        forwarded = storm(aws, cloud, pager, "engagement", changes)
    print(f"{f'{changes} changes':34}{'changed in':>12}{'all told in':>12}{'a second':>10}{'ratio':>8}{'lost':>6}")
    print(f"{'alarms that tell nobody':34}{nobody.changing:10.1f} s")
    rows = (
        ("posted straight to the tool", base),
        ("topic, tool", direct),
        ("topic, tool, no limit a second", at_once),
        ("topic, forwarder, tool", forwarded),
    )
    for name, one in rows:
        changed = f"{one.changing:10.1f} s" if one.changing else f"{'':12}"
        rate, ratio = changes / one.arriving, base.arriving / one.arriving
        print(f"{name:34}{changed}{one.arriving:10.1f} s{rate:10.0f}{ratio:8.2f}{changes - one.alerts:6}")


@contextmanager
def staged() -> Iterator[tuple[EmbeddedAws, Path]]:
    """An AWS, and a folder; back where we were afterwards."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder, embedded(Path(folder) / "aws") as aws:
        try:
            yield aws, Path(folder)
        finally:
            os.chdir(before)


#: More owners than one routing template holds; teams beyond have people, a schedule and an escalation, but no alarms.
MOST_OWNERS = 20


def teams(count: int) -> str:
    """An on-call file with so many teams; each with a schedule, an escalation, and pages and tickets to the tool."""
    text = [
        'project = "bench"\nenvironments = ["prod"]\nsecond_way = "fallback@example.com"\ntime_zone = "Europe/Vienna"\n[tool]\nname = "opsgenie"\n'
    ]
    text.append('[heartbeat]\nteam = "team-00"\n')
    for number in range(count):
        name = f"team-{number:02}"
        people = [f"{name}-{role}@example.com" for role in ("lead", "primary", "second")]
        way = "'tool'" if number < MOST_OWNERS else f"{{ email = '{name}@example.com' }}"
        text.append(
            f"[teams.{name}]\nmembers = {json.dumps(people)}\npages = {way}\ntickets = {way}\n"
            f"[teams.{name}.schedules.{name}.rotations.week]\nparticipants = {json.dumps(people[1:])}\n"
            f"starts = 2026-01-05T09:00:00\nturn = 'weekly'\n"
            f"[teams.{name}.escalation]\nsteps = [{{ schedule = '{name}' }}, {{ after = '10min', user = '{people[0]}' }}]\n"
        )
    return "\n".join(text)


@contextmanager
def counted(pager: EmbeddedOnCall) -> Iterator[Counter[str]]:
    """How many answers this thread gets, from the tool and from AWS."""
    found: Counter[str] = Counter()
    here, port = threading.current_thread(), int(pager.url.rpartition(":")[2])
    whole: Callable[..., Any] = http.client.HTTPConnection.getresponse

    def getresponse(self: http.client.HTTPConnection) -> Any:
        if threading.current_thread() is here:
            found["tool" if self.port == port else "AWS"] += 1
        return whole(self)

    http.client.HTTPConnection.getresponse = getresponse  # type: ignore[method-assign]
    try:
        yield found
    finally:
        http.client.HTTPConnection.getresponse = whole  # type: ignore[method-assign]


def print_applies(count: int) -> None:
    """``plan``, the first ``apply`` and the second one, for so many teams."""
    people = [
        f"team-{number:02}-{role}@example.com" for number in range(count) for role in ("lead", "primary", "second")
    ]
    with staged() as (aws, folder), embedded_oncall(users=people) as pager, as_caller(aws):
        file = folder / "oncall.toml"
        file.write_text(teams(count), encoding="utf-8")
        declared = read_oncall(file)
        (folder / "alarms").mkdir()
        owners = tuple(owner for team in declared.teams for owner in team.owners)[:MOST_OWNERS]
        (folder / "routing.yaml").write_text(routing_template(owners, declared), encoding="utf-8")
        (folder / "environments.toml").write_text(
            f'[dev]\nregion = "{aws.region}"\nendpoint_url = "{aws.tls_endpoint}"\noncall_url = "{pager.url}"\n'
            f'plain_endpoint_url = "{aws.endpoint}"\nartifacts_bucket = "artifacts"\n',
            encoding="utf-8",
        )
        os.environ["OPSGENIE_API_KEY"] = pager.key
        environment = read_environment(folder / "environments.toml", "dev")
        committed = Committed(folder / "alarms", folder / "routing.yaml")
        cloud = cloud_of(aws)
        where = {"LocationConstraint": aws.region}
        cloud.client("s3").create_bucket(Bucket="artifacts", CreateBucketConfiguration=where)

        def once(apply: bool) -> None:
            opened = open_oncall(declared, environment, cloud)
            found = plan_oncall(opened, committed)
            if apply and not found.nothing:
                apply_oncall(opened, committed, found)

        for name, apply in (("plan", False), ("apply", True), ("a second apply", True)):
            with counted(pager) as requests:
                begin = time.perf_counter()
                once(apply)
                seconds = time.perf_counter() - begin
            print(f"{f'{name}, {count} teams':34}{seconds:10.1f} s{requests['tool']:12}{requests['AWS']:10}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench_oncall", description=__doc__)
    parser.add_argument("--changes", type=int, default=1_000, help="alarms that change their state")
    parser.add_argument("--teams", default="1,10,40", help="how many teams, one after another")
    given = parser.parse_args()
    if not re.fullmatch(r"[0-9]+(,[0-9]+)*", given.teams):
        parser.error("--teams wants numbers with commas between them")
    print_storms(given.changes)
    print()
    print(f"{'tocsin oncall':34}{'time':>12}{'to the tool':>12}{'to AWS':>10}")
    for count in map(int, given.teams.split(",")):
        print_applies(count)


if __name__ == "__main__":
    main()
