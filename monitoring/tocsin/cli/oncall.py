"""``tocsin oncall``: brings the on-call tool to what ``deploy/oncall.toml`` says, and delivers what it missed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError, PagingError, TocsinError
from .here import project_here
from .options import examples, json_option
from .output import count, echo, print_json

if TYPE_CHECKING:
    from ..cloud.committed import Committed
    from ..cloud.environments import Environment
    from ..cloud.session import Cloud
    from ..oncall.apply import OnCallPlan, Step
    from ..oncall.opening import Opened
    from ..oncall.replay import Replay, Replayed
    from ..paging.tool import Change

_SIGNS = {"create": "+", "update": "~", "delete": "-"}

adopt_option = click.option(
    "--adopt", metavar="KIND/NAME", multiple=True, help="Take over what people made, such as team/payments."
)


@click.group(
    epilog=examples("tocsin oncall plan prod", "tocsin oncall apply prod", "tocsin oncall replay prod"),
)
def oncall() -> None:
    """The on-call tool: what deploy/oncall.toml says of teams, schedules, escalations and ways."""


@oncall.command(epilog=examples("tocsin oncall plan prod", "tocsin oncall plan prod --adopt team/payments"))
@click.argument("environment")
@adopt_option
@json_option
def plan(environment: str, adopt: tuple[str, ...], as_json: bool) -> None:
    """Show what `apply` would change in ENVIRONMENT, and change nothing."""
    from ..oncall.apply import plan_oncall

    opened, committed = _open(environment)
    found = plan_oncall(opened, committed, frozenset(adopt))
    if as_json:
        print_json(_plan_json(found))
    else:
        echo(_planned(found))


@oncall.command(epilog=examples("tocsin oncall apply dev", "tocsin oncall apply prod --yes --json"))
@click.argument("environment")
@click.option("--yes", is_flag=True, help="Do not ask, even for a protected environment.")
@adopt_option
@json_option
def apply(environment: str, yes: bool, adopt: tuple[str, ...], as_json: bool) -> None:
    """Bring the on-call of ENVIRONMENT to what deploy/oncall.toml says.

    The tool first, then the keys into Secrets Manager, then the routing stack; what is no longer wanted goes last. Shows
    the plan first. What people made in the tool is left alone. A second run changes nothing, and one that was cut off is
    taken up.
    """
    from ..cloud.deploy import StackPlan
    from ..cloud.wording import happened
    from ..oncall.apply import apply_oncall, plan_oncall

    opened, committed = _open(environment)
    confirmed = yes or not opened.environment.protected
    if as_json and not confirmed:
        raise InputError(f"{environment} is protected and --json cannot ask; look at the plan, then give --yes")
    found = plan_oncall(opened, committed, frozenset(adopt))
    if not as_json:
        echo(_planned(found))
    if found.nothing:
        if as_json:
            print_json({**_plan_json(found), "done": []})
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
            echo([_step(step)])

    apply_oncall(
        opened,
        committed,
        found,
        confirmed=confirmed,
        progress=progress,
        deployed=lambda event: None if as_json or isinstance(event, StackPlan) else echo(happened(event)),
    )
    if as_json:
        print_json({**_plan_json(found), "done": [step.what for step in done]})
    else:
        echo([f"{environment}: on call as {opened.declared.path} says; try it with `tocsin drill {environment}`"])


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
            echo([_replayed(one)])

    results: dict[str, Replay] = {}
    for name, address in queues.items():
        if not as_json:
            echo([f"{name}:"])
        results[name] = run_replay(cloud, address, send, close=close, progress=progress)
        if not as_json:
            echo(_remaining(results[name], environment))
    if as_json:
        print_json(_replay_json(results, told))
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


def _declared(environment: str) -> tuple[Any, Environment, Committed]:
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
    return open_oncall(declared, target, connect_to(target)), committed


def _planned(found: OnCallPlan) -> Iterator[str]:
    if found.nothing:
        yield f"{found.environment}: nothing to change"
        return
    from ..cloud.deploy import Work
    from ..cloud.wording import planned
    from ..paging.changes import describe

    yield f"{found.tool}: {count(len(found.changes), 'change') if found.changes else 'as declared'}"
    for kind, changes in groupby(found.changes, key=lambda change: change.kind.value):
        yield f"  {kind}s"
        for change in changes:
            yield from (f"    {line}" for line in describe(change))
    if found.keys:
        yield "keys, into Secrets Manager"
        yield from (f"  + {slot.secret}" for slot in found.keys)
    if found.outdated:
        yield "secrets that no route wants any more, kept for 7 days"
        yield from (f"  - {secret}" for secret in found.outdated)
    if found.keys and found.stack.work is Work.NOTHING:
        yield f"{found.stack.stack} ({found.stack.source}): to be changed, once the keys are there"
    else:
        yield from planned(found.stack)


def _step(step: Step) -> str:
    sign = f"{_SIGNS[step.change.action.value]} " if step.change is not None else ""
    return f"{step.number} of {step.of}  {sign}{step.what}"


def _plan_json(found: OnCallPlan) -> dict[str, Any]:
    from ..cloud.wording import as_json

    return {
        "environment": found.environment,
        "tool": found.tool,
        "changes": [_change_json(change) for change in found.changes],
        "keys": [slot.secret for slot in found.keys],
        "outdated_secrets": list(found.outdated),
        "stack": as_json(found.stack),
    }


def _change_json(change: Change) -> dict[str, Any]:
    from ..paging.changes import describe

    return {
        "action": change.action.value,
        "kind": change.kind.value,
        "name": change.name,
        "differences": [line.strip() for line in describe(change)[1:]],
    }


def _replayed(one: Replayed) -> str:
    return f"  {one.number} of {one.of}  {one.what}: {one.fate.value}" + (f", {one.reason}" if one.reason else "")


def _remaining(done: Replay, environment: str) -> Iterator[str]:
    if not done.delivered and not done.kept:
        yield "  nothing to deliver"
    else:
        yield f"  {done.delivered} delivered, {len(done.kept)} kept"
    if done.remaining.hidden:
        yield (
            f"  {count(done.remaining.hidden, 'message')} hidden by a replay that runs or was cut off; "
            f"back within 5 minutes: run `tocsin oncall replay {environment}` again"
        )


def _replay_json(results: dict[str, Replay], told: list[Replayed]) -> dict[str, Any]:
    return {
        "messages": [{"what": one.what, "fate": one.fate.value, "reason": one.reason or None} for one in told],
        "queues": [
            {
                "queue": name,
                "delivered": done.delivered,
                "kept": len(done.kept),
                "waiting": done.remaining.waiting,
                "hidden": done.remaining.hidden,
            }
            for name, done in results.items()
        ],
    }
