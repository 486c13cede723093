"""``tocsin oncall``: brings the on-call tool to what ``deploy/oncall.toml`` says, and delivers what it missed."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ..errors import InputError, PagingError, TocsinError
from .here import project_here
from .oncall_shown import plan_json, planned_lines, remaining_lines, replay_json, replayed_line, step_line, warn
from .options import examples, json_option
from .output import echo, print_json

if TYPE_CHECKING:
    from ..cloud.committed import Committed
    from ..cloud.environments import Environment
    from ..cloud.session import Cloud
    from ..oncall.apply import Step
    from ..oncall.opening import Opened
    from ..oncall.replay import Replay, Replayed
    from ..paging.declared import OnCall

adopt_option = click.option(
    "--adopt", metavar="KIND/NAME", multiple=True, help="Take over what people made, such as team/payments."
)

renew_option = click.option(
    "--renew",
    metavar="OWNER-SEVERITY",
    multiple=True,
    help="Replace a key that leaked, such as payments-page or heartbeat.",
)


@click.group(
    epilog=examples("tocsin oncall plan prod", "tocsin oncall apply prod", "tocsin oncall replay prod"),
)
def oncall() -> None:
    """The on-call tool: what deploy/oncall.toml says of teams, schedules, escalations and ways."""


@oncall.command(epilog=examples("tocsin oncall plan prod", "tocsin oncall plan prod --adopt team/payments"))
@click.argument("environment")
@adopt_option
@renew_option
@json_option
def plan(environment: str, adopt: tuple[str, ...], renew: tuple[str, ...], as_json: bool) -> None:
    """Show what `apply` would change in ENVIRONMENT, and change nothing.

    What stands in the way of a page by now is told as well: a subscription that is not confirmed, a dead-man's switch that
    is not heard of.
    """
    from ..oncall.apply import plan_oncall

    opened, committed = _open(environment)
    found = plan_oncall(opened, committed, frozenset(adopt), frozenset(renew))
    if as_json:
        print_json(plan_json(found))
    else:
        echo(planned_lines(found))
        warn(found.open)


@oncall.command(
    epilog=examples(
        "tocsin oncall apply dev",
        "tocsin oncall apply prod --renew payments-page",
        "tocsin oncall apply prod --yes --json",
    )
)
@click.argument("environment")
@click.option("--yes", is_flag=True, help="Do not ask, even for a protected environment.")
@adopt_option
@renew_option
@json_option
def apply(environment: str, yes: bool, adopt: tuple[str, ...], renew: tuple[str, ...], as_json: bool) -> None:
    """Bring the on-call of ENVIRONMENT to what deploy/oncall.toml says.

    The tool first, then the keys into Secrets Manager, then the routing stack; what is no longer wanted goes last. Shows
    the plan first. What people made in the tool is left alone. A second run changes nothing, and one that was cut off is
    taken up. Exit code 1: the tool has not confirmed that it is subscribed.
    """
    from ..cloud.deploy import StackPlan
    from ..cloud.wording import happened
    from ..oncall.apply import apply_oncall, plan_oncall

    opened, committed = _open(environment)
    confirmed = yes or not opened.environment.protected
    if as_json and not confirmed:
        raise InputError(f"{environment} is protected and --json cannot ask; look at the plan, then give --yes")
    found = plan_oncall(opened, committed, frozenset(adopt), frozenset(renew))
    if not as_json:
        echo(planned_lines(found))
    if found.nothing and not any(one.blocks for one in found.open):
        if as_json:
            print_json({**plan_json(found), "done": []})
        else:
            warn(found.open)
        return
    if not confirmed:
        with suppress(click.Abort):  # nobody there to ask
            confirmed = click.confirm(f"{environment} is protected. Change its on-call?", err=True)
        if not confirmed:
            raise InputError(f"{environment}: not confirmed, so nothing was changed; confirm it, or give --yes")
    done: list[Step] = []

    def progress(step: Step) -> None:
        done.append(step)
        if not as_json:
            echo([step_line(step)])

    left = apply_oncall(
        opened,
        committed,
        found,
        confirmed=confirmed,
        progress=progress,
        deployed=lambda event: None if as_json or isinstance(event, StackPlan) else echo(happened(event)),
        told=lambda what: click.echo(f"tocsin: {what}", err=True),
    )
    blocked = any(one.blocks for one in left)
    if as_json:
        print_json({**plan_json(found), "done": [step.what for step in done], "open": [one.what for one in left]})
    else:
        if not blocked:
            echo([f"{environment}: on call as {opened.declared.path} says; try it with `tocsin drill {environment}`"])
        warn(left)
    if blocked:
        raise click.exceptions.Exit(1)


@oncall.command(epilog=examples("tocsin oncall replay prod", "tocsin oncall replay prod --json"))
@click.argument("environment")
@json_option
def replay(environment: str, as_json: bool) -> None:
    """Deliver what could not be delivered: the redrive queue of ENVIRONMENT, in order of time.

    A message goes from the queue only after its endpoint has taken it. An alarm that is over meanwhile is told to be so.
    Exit code 1: something is still in the queue.
    """
    from ..cloud.environments import read_environment
    from ..cloud.preparation import connect_to
    from ..oncall.replay import replay as run_replay
    from ..oncall.senders import redrive_queues, sender
    from ..paging.oncall_file import read_oncall

    project = project_here()
    target = read_environment(project.root / project.environments, environment)
    file = project.root / project.oncall
    declared = read_oncall(file) if file.is_file() else None
    cloud = connect_to(target)
    routing, queues = redrive_queues(cloud, target)
    send = sender(cloud, environment, declared, routing)
    close = _Closer(environment, cloud)
    told: list[Replayed] = []

    def progress(one: Replayed) -> None:
        told.append(one)
        if not as_json:
            echo([replayed_line(one)])

    results: dict[str, Replay] = {}
    for name, address in queues.items():
        if not as_json:
            echo([f"{name}:"])
        results[name] = run_replay(cloud, address, send, close=close, progress=progress)
        if not as_json:
            echo(remaining_lines(results[name], environment))
    if as_json:
        print_json(replay_json(results, told))
    if any(result.kept or result.remaining.waiting for result in results.values()):
        raise click.exceptions.Exit(1)


@oncall.command(epilog=examples("tocsin oncall migrate", "tocsin oncall migrate --to jira --json"))
@click.option("--to", "target", type=click.Choice(["jira"]), default="jira", show_default=True, help="What to move to.")
@json_option
def migrate(target: str, as_json: bool) -> None:
    """Show what of an Opsgenie account moves to Jira Service Management, what has no counterpart, and what to do.

    Reads the account and changes nothing, before deploy/oncall.toml names Jira and after: then with the key that
    tool.opsgenie_key names, OPSGENIE_API_KEY by default, in tool.region. Opsgenie ends on 5 April 2027.
    """
    del target  # there is one so far
    from ..cloud.session import connect
    from ..oncall.keys import read_opsgenie_key
    from ..paging.migrate import open_migration, stand_in
    from ..paging.oncall_file import read_oncall

    project = project_here()
    declared = read_oncall(project.root / project.oncall)
    key = read_opsgenie_key(declared, connect)
    found = open_migration(declared, key, datetime.now(UTC).date(), stand_in(declared))
    if as_json:
        print_json(found.as_json())
    else:
        echo(found.lines())


class _Closer:
    """Closes an alert by the tool's API; opens the tool only when there is one to close."""

    def __init__(self, environment: str, cloud: Cloud) -> None:
        self._environment, self._cloud = environment, cloud

    def __call__(self, alias: str) -> None:
        from ..oncall.opening import open_oncall

        try:
            declared, target, _ = _declared(self._environment)
            open_oncall(declared, target, self._cloud).tool.close_alert(
                alias, "Over while it lay in the redrive queue."
            )
        except PagingError:
            raise
        except TocsinError as error:
            raise PagingError(str(error)) from None


def _declared(environment: str) -> tuple[OnCall, Environment, Committed]:
    from ..cloud.committed import Committed
    from ..cloud.environments import read_environment
    from ..oncall.opening import declared_for

    project = project_here()
    target = read_environment(project.root / project.environments, environment)
    declared = declared_for(project.root / project.oncall, target)
    return declared, target, Committed(project.root / project.alarms, project.root / project.routing)


def _open(environment: str) -> tuple[Opened, Committed]:
    """The tool of an environment, once nothing is wrong with the file."""
    from ..cloud.committed import read_alarm_templates
    from ..cloud.preparation import connect_to
    from ..oncall.opening import faults_of, open_oncall

    declared, target, committed = _declared(environment)
    systems: dict[str, list[str]] = {}
    for template in read_alarm_templates(committed):
        systems.setdefault(template.owner, []).append(template.system)
    faults = faults_of(declared, systems, datetime.now(UTC))
    if len(faults) > 1:
        for fault in faults:
            click.echo(f"tocsin: {fault}", err=True)
        raise InputError(f"{declared.path}: {len(faults)} faults, so nothing was changed; mend the file")
    if faults:
        raise InputError(faults[0])
    _refuse_other_routing(declared, committed)
    return open_oncall(declared, target, connect_to(target)), committed


def _refuse_other_routing(declared: OnCall, committed: Committed) -> None:
    """Raise InputError unless the committed routing is what the on-call file makes of it now.

    The owners are those of the committed file: that the declarations have others by now is for `tocsin check` to say.
    """
    from ..cloud.committed import read_routing
    from ..render.routing import routing_template

    routing, project = read_routing(committed), project_here()
    if routing.text != routing_template(routing.owners, declared, project.settings.runbooks):
        raise InputError(
            f"{routing.path} is not what {declared.path} makes of it: the file was changed, or Tocsin was updated, and the "
            "routing was not built again; run `tocsin build`, and commit what it writes"
        )
