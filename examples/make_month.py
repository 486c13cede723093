"""Makes examples/month/: the history of an invented October, from both reference systems on an embedded AWS.

``python -m examples.make_month`` deploys the committed stacks and alarms, puts the seeded traffic of `month_traffic` into
CloudWatch, lets the clock pass the month, and pulls the history twice, as a team would, by ``tocsin history pull``.  The
alarms are evaluated each full hour and in every minute in which the simulator says that one of them changes; a round in
each of the 47,520 minutes would take an hour.  The same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from deploy.laptop import written
from deploy.run.stage import NAME, ROOT, Stage, describe_environment, in_environment, set_up_alarms, set_up_systems
from examples.month_traffic import BEGIN, END, FIRST, SEED, Samples, minute, month, named, store

from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.preparation import connect_to
from tocsin.history.watched import names_in_account, read_template
from tocsin.simulate.template import read_template as read_alarms
from tocsin.simulate.timeline import simulate

FOLDER = Path(__file__).parent / "month"
#: When the team pulls: in the middle of the month and after its end, with the minutes that metrics may be late.
LATE = timedelta(minutes=15)
PULLS = (datetime(2026, 10, 12, tzinfo=END.tzinfo) + LATE, END + LATE)
DRILLED = "notification-api-availability-page"
# The clock all but stands still, so that only the script moves it; it runs while stacks are deployed.
_STILL = 1e-9
_MOST = 1000  # API reference, PutMetricData: entries of one request


def main() -> int:
    """Run it.  Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.make_month", description=str(__doc__).split("\n\n", 1)[0])
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder whose history is replaced")
    options = parser.parse_args()
    make(options.seed, options.out)
    return 0


def make(seed: int, folder: Path, end: datetime = END) -> None:
    """The history up to ``end``, a midnight, written below ``folder``."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)  # noqa: T201 (a program that prints)

    with embedded(clock_start=BEGIN - timedelta(hours=3), gauges=False) as aws:
        aws.confirm_mail()
        with in_environment(aws.boto3_environment()):
            stage = set_up_systems(aws, describe_environment(aws))
            set_up_alarms(stage)
            rule = stage.outputs["notification"]["DailyRuleName"]
            stage.client("events").disable_rule(Name=rule)  # the runs are part of the traffic
            say("both systems and their alarms are deployed")
            aws.set_clock_factor(_STILL)
            _pass_until(aws, BEGIN)
            names = {system: _names(stage, system) for system in stage.environment.systems}
            metrics = [named(one, {**names["data_pipeline"], **names["notification"]}) for one in month(seed)]
            rounds = _rounds(names, metrics, end)
            say(f"{len(rounds)} minutes in which alarms are evaluated")
            shutil.rmtree(folder / "v1", ignore_errors=True)
            forced, released = drill()
            with tempfile.TemporaryDirectory() as project:
                _project(Path(project), stage)
                for day in range((end - BEGIN).days):
                    midnight = BEGIN + timedelta(days=day)
                    _put(stage, metrics, range(day * 1440, (day + 1) * 1440))
                    for moment in (PULLS[0], forced, released):
                        if midnight < moment <= midnight + timedelta(days=1):
                            _pass_until(aws, moment, rounds)
                            if moment == PULLS[0]:
                                _pull(project, folder, say)
                            else:
                                _force(stage, "ALARM" if moment == forced else "OK")
                    _pass_until(aws, midnight + timedelta(days=1), rounds)
                    say(f"{midnight:%d %B} has passed")
                _pass_until(aws, end + LATE, rounds)
                _pull(project, folder, say)
            (folder / ".lock").unlink(missing_ok=True)  # what a pull holds; it says nothing of the history


def _pass_until(aws: EmbeddedAws, until: datetime, stops: Sequence[datetime] = ()) -> None:
    """Let time pass up to ``until``, with a round of alarms in each of the minutes ``stops`` and the one before."""
    now = aws.now()
    for stop in (*(one for one in stops if now < one < until), until):
        ahead = (stop - aws.now()).total_seconds()
        if ahead > 120:
            aws.advance(ahead - 90)  # between two minutes, so that the two rounds are those of the script
        while aws.now() < stop:
            aws.next_minute()


def _rounds(names: Mapping[str, Mapping[str, str]], metrics: Sequence[Samples], end: datetime) -> list[datetime]:
    """The minutes in which an alarm changes, as the simulator has it, and each full hour."""
    source = store(metrics)
    found = {BEGIN + timedelta(hours=hour) for hour in range((end - BEGIN) // timedelta(hours=1) + 1)}
    for system, values in names.items():
        template = read_alarms(ROOT / "alarms" / f"{system}.yaml", {"Environment": NAME, **values})
        changes = simulate(template, source, BEGIN, end, keep_going=True).changes
        found |= {change.at for those in changes.values() for change in those}
    return sorted(found)


def _force(stage: Stage, state: str) -> None:
    stage.client("cloudwatch").set_alarm_state(
        AlarmName=f"{NAME}-{DRILLED}", StateValue=state, StateReason="A drill: nothing is wrong."
    )


def drill() -> tuple[datetime, datetime]:
    """When the drill begins and ends."""
    begin = BEGIN + timedelta(minutes=minute("06 09:30"))
    return begin, begin + timedelta(minutes=3)


def _names(stage: Stage, system: str) -> Mapping[str, str]:
    """The names that the resources of one system have, by the parameters of its alarm template."""
    template = read_template(ROOT / "alarms" / f"{system}.yaml", NAME)
    names, problems = names_in_account(connect_to(stage.environment), stage.environment, system, template)
    assert not problems, problems
    return names


def _put(stage: Stage, metrics: Sequence[Samples], minutes: range) -> None:
    """What the services and handlers report of these minutes."""
    entries: dict[str, list[Mapping[str, Any]]] = {}
    for one in metrics:
        dimensions = [{"Name": name, "Value": value} for name, value in one.metric.dimensions]
        into = entries.setdefault(one.metric.namespace, [])
        for at in minutes:
            if pairs := list(one.at(at)):
                into.append(
                    {
                        "MetricName": one.metric.name,
                        "Dimensions": dimensions,
                        "Timestamp": BEGIN + timedelta(minutes=at),
                        "Values": [value for value, _ in pairs],
                        "Counts": [count for _, count in pairs],
                        "Unit": one.unit,
                    }
                )
    for namespace, those in sorted(entries.items()):
        for first in range(0, len(those), _MOST):
            stage.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=those[first : first + _MOST])


def _project(folder: Path, stage: Stage) -> None:
    """A project of the committed files, in which the embedded AWS is an environment beside the others."""
    (folder / "tocsin.toml").touch()
    for name in ("alarms", "monitoring"):
        (folder / name).symlink_to(ROOT / name)
    deploy = folder / "deploy"
    deploy.mkdir()
    for path in (ROOT / "deploy").iterdir():
        if path.name != "environments.toml":
            (deploy / path.name).symlink_to(path)
    committed = (ROOT / "deploy" / "environments.toml").read_text(encoding="utf-8")
    own = written(replace(stage.environment, oncall_url=None))
    (deploy / "environments.toml").write_text(f"{committed}\n{own}", encoding="utf-8")


def _pull(project: str, folder: Path, say: Callable[[str], None]) -> None:
    command = [sys.executable, "-m", "tocsin", "history", "pull", NAME, "--since", f"{FIRST:%Y-%m-%d}"]
    done = subprocess.run(
        [*command, "--history", str(folder.resolve())],
        cwd=project,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    for line in (done.stdout + done.stderr).splitlines():
        say(line)
    if done.returncode:
        raise SystemExit(f"tocsin history pull ended with {done.returncode}")


if __name__ == "__main__":
    sys.exit(main())
