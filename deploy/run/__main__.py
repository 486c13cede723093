"""``make run``: both reference systems on an embedded AWS, broken and mended, with the page that follows."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from contextlib import ExitStack

from deploy.run.closing import counts, left_over
from deploy.run.on_call import People, declaration, people, set_up_on_call
from deploy.run.stage import NAME, ROOT, believe, describe_environment, in_environment, set_up_alarms, set_up_systems
from deploy.run.story import (
    USERS,
    Scene,
    a_days_work,
    a_poisoned_message,
    good_service,
    the_reader_fails,
    validated,
)
from deploy.run.timeline import lines
from deploy.run.traffic import Traffic
from tocsin.cloud.alarm_states import list_alarms
from tocsin.cloud.deploy import Work
from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.preparation import connect_to
from tocsin.declarations import load_systems
from tocsin.errors import TocsinError
from tocsin.paging.embedded import embedded_oncall
from tocsin.plan import plan
from tocsin.project import find_project
from tocsin.workspace import generate, write

CLOCK_FACTOR = 60


class Progress:
    """Prints each step with the real seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """One line."""
        print(f"[{time.monotonic() - self._started:5.1f} s] {text}", flush=True)


def main() -> int:
    """Run the story.  Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="make run", description="Both reference systems on this machine: traffic, a fault, a page, its end."
    )
    parser.add_argument("--keep", action="store_true", help="leave everything up at the end and say how to reach it")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # what is up is taken down in order
    try:
        run(keep=options.keep)
    except TocsinError as error:
        print(f"run: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; nothing is left running", file=sys.stderr)
        return 130
    return 0


def run(*, keep: bool) -> None:
    """Everything, from an empty machine to the end of the page.  Raises TocsinError."""
    progress = Progress()
    say = progress.say
    with ExitStack() as up:
        pager = up.enter_context(embedded_oncall(users=people(declaration())))
        aws = up.enter_context(embedded(clock_factor=CLOCK_FACTOR, iam=True))
        believe(pager, aws)
        say(
            f"embedded AWS is up at {aws.tls_endpoint}; its clock runs {CLOCK_FACTOR} times as fast: a second is a minute"
        )
        up.enter_context(in_environment(aws.boto3_environment()))
        stage = set_up_systems(aws, describe_environment(aws))
        say(f"network and reference systems deployed from deploy/: {', '.join(sorted(stage.environment.systems))}")

        project = find_project(ROOT)
        systems = load_systems(project.root, project.systems)
        plans = [plan(system, project.settings) for system in systems]
        files = generate(plans, project)
        written = write(project.root, files, (project.alarms, project.dashboards))
        alarms = sum(len(one.alarms) for one in plans)
        say(
            f"templates read, {alarms} alarms planned; {len(files)} files generated, "
            f"{len(written.written) or 'none'} of them differed from what is committed"
        )
        stage = set_up_on_call(stage, pager)
        say("on call as deploy/oncall.toml says: teams, schedules, keys and subscriptions made")
        outcomes = set_up_alarms(stage)
        say(f"deployed by change sets: {', '.join(one.stack for one in outcomes if one.work is not Work.NOTHING)}")

        (slo,) = (slo for system in systems for slo in system.slos if slo.name == "api-availability")
        told = People(pager, aws)
        scene = Scene(stage, told, connect_to(stage.environment), stage.environment, slo, say)
        a_days_work(scene)
        with Traffic(stage, USERS) as traffic:
            say("users read their notifications; waiting for 20 minutes of good service")
            good_service(scene, traffic)
            validated(scene)
            faults = [the_reader_fails(scene, traffic), a_poisoned_message(scene)]
        now = list_alarms(scene.cloud, f"{NAME}-")
        say(f"alarms now: {counts(now)}")
        print(f"\n{'─' * 100}\nWhat happened, by the clock of the embedded AWS\n")
        for fault in faults:
            print("\n".join(lines(fault)) + "\n")
        if pager.refused:
            print(f"refused by the on-call endpoint: {'; '.join(pager.refused)}\n")
        for line in left_over(now, told.still_open()):
            print(f"{line}\n")
        if keep:
            _keep(aws, stage.curl(USERS[0]), f"{pager.url}/alerts")


def _keep(aws: EmbeddedAws, api: str, alerts: str) -> None:
    environment = "\n".join(f"  export {name}={value}" for name, value in aws.boto3_environment().items())
    print(f"Everything is still up.\n\n{environment}\n  aws cloudwatch describe-alarms --state-value ALARM\n")
    print(f"  the API    {api}")
    print(f"  alerts     curl '{alerts}'")
    print(f"  mails      curl '{aws.endpoint}/_tocsin/mails'\n")
    print(f"Its clock goes on running {CLOCK_FACTOR} times as fast. Ctrl-C stops it.", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
