"""``tocsin drill``: follows a forced alarm to whoever is on call, and back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError
from .here import project_here
from .options import examples, json_option, once
from .output import echo, print_json

if TYPE_CHECKING:
    from ..oncall.drill import Drill, Hop

FINDINGS, TERMINATED = 1, 143
_LONGEST = timedelta(days=1)  # for each part of the way; SNS tries for an hour
_RINGS = "its rule is true in earnest, so it is in ALARM again, and told"


@click.command(
    epilog=examples(
        "tocsin drill dev",
        "tocsin drill prod --alarm prod-checkout-orders-accepted-page --page",
        "tocsin drill prod --timeout 5min --json",
    ),
)
@click.argument("environment")
@click.option("--alarm", metavar="NAME", multiple=True, callback=once, help="Default: the first alarm that pages.")
@click.option("--page", is_flag=True, help="Wake whoever is on call. Without it the alert wakes nobody.")
@click.option(
    "--timeout", metavar="TIME", default="2min", show_default=True, help="How long each part of the way may take."
)
@json_option
def drill(environment: str, alarm: str | None, page: bool, timeout: str, as_json: bool) -> None:
    """Force an alarm of ENVIRONMENT, follow its page to the on-call tool and back, and check what it says.

    The alert is held against what the committed files promise. In every case the alarm is set back and the alert
    closed. Exit code 1: some part of the way failed, or the alert says something else.
    """
    from ..cloud.committed import Committed
    from ..cloud.environments import read_environment
    from ..cloud.preparation import connect_to
    from ..oncall.before_drill import find_left_behind, refuse_unfit, refuse_waking, set_right
    from ..oncall.drill import Course
    from ..oncall.drill import drill as run_drill
    from ..oncall.lost_key import refuse_lost_key
    from ..oncall.opening import declared_for, open_oncall
    from ..oncall.promised import choose_alarm, committed_alarms, named_alarm, promised_alert, way_of
    from ..units import duration, format_duration

    patience = duration(timeout)
    if patience > _LONGEST:
        raise InputError(f"--timeout {format_duration(patience)}: at most {format_duration(_LONGEST)}")
    project = project_here()
    target = read_environment(project.root / project.environments, environment)
    declared = declared_for(project.root / project.oncall, target)
    alarms = committed_alarms(Committed(project.root / project.alarms, project.root / project.routing), target)
    cloud = connect_to(target)
    opened = open_oncall(declared, target, cloud)
    refuse_waking(opened.tool, page=page)
    left: list[str] = []
    if alarm is None:
        for one in find_left_behind(cloud, f"{environment}-", alarms):
            rings = set_right(cloud, opened.tool, one)
            left.append(one.name)
            if not as_json:
                echo([f"{one.name}: left in ALARM by a drill that was cut off; {_RINGS if rings else 'set back'}"])
    chosen = named_alarm(alarms, alarm) if alarm is not None else choose_alarm(cloud, alarms, declared)
    way = way_of(declared, chosen)
    refuse_lost_key(cloud, opened.tool, declared, environment, chosen.owner, chosen.severity)
    account = cloud.account()
    with _ended_in_order():
        fit = refuse_unfit(cloud, opened.tool, chosen.name, page=page)
        if not as_json:
            woken = "whoever is on call is woken" if page else "nobody is woken; --page would"
            echo([f"{chosen.name}: a drill, {woken}"])
        done = run_drill(
            cloud,
            opened.tool,
            fit,
            way,
            lambda reason, at: promised_alert(cloud, target, account, chosen, reason, at),
            Course(timeout=patience.total_seconds(), page=page),
            progress=lambda hop: None if as_json else echo(_hop(hop)),
        )
    if as_json:
        print_json({**_json(done), "set_right": left})
    else:
        echo(_result(done))
    if not done.passed:
        raise click.exceptions.Exit(FINDINGS)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM ends the block as an exception would, so that everything is put back."""

    def leave(_number: int, _frame: object) -> None:
        raise click.exceptions.Exit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _hop(hop: Hop) -> Iterator[str]:
    yield f"  {hop.seconds:7.2f} s  {hop.name}" + (f": FAILED, {hop.problem}" if hop.problem else "")


def _result(done: Drill) -> Iterator[str]:
    if done.as_promised:
        yield f"  as promised: {', '.join(done.as_promised)}"
    for line in done.different:
        yield f"  not as promised: {line}"
    if done.failed_hop:
        yield f"failed: {done.failed_hop}"
    elif done.passed:
        yield f"passed: there and back in {sum(hop.seconds for hop in done.hops):.2f} s"
    else:
        yield "failed: the alert is not as promised" if done.different else "failed: not everything could be put back"


def _json(done: Drill) -> dict[str, Any]:
    return {
        "alarm": done.alarm,
        "passed": done.passed,
        "failed_hop": done.failed_hop or None,
        "hops": [
            {"name": hop.name, "seconds": round(hop.seconds, 3), "problem": hop.problem or None} for hop in done.hops
        ],
        "as_promised": list(done.as_promised),
        "different": list(done.different),
        "left": list(done.left),
    }
