"""``tocsin mute``: lets the alarms of a system tell nobody during maintenance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError
from .here import project_here
from .options import examples, json_option, once
from .output import count, echo, print_json

if TYPE_CHECKING:
    from ..cloud.alarm_states import DeployedAlarm
    from ..cloud.mute_rules import DeployedRule
    from ..oncall.mute import Mute, Muted, Mutes


@click.command(
    epilog=examples(
        'tocsin mute prod --system checkout --for 2h --because "The tables move to the new cluster."',
        'tocsin mute prod --system checkout --for 30min --starts 2026-12-01T22:00+01:00 --because "Restart."',
        "tocsin mute prod --list",
        "tocsin mute prod --end prod-tocsin-checkout-20261201T210000",
    ),
)
@click.argument("environment")
@click.option("--system", metavar="S", multiple=True, callback=once, help="Whose alarms are muted.")
@click.option("--for", "length", metavar="TIME", multiple=True, callback=once, help="How long: 1min to 15d.")
@click.option("--because", metavar="TEXT", multiple=True, callback=once, help="Why; it is kept with the rule.")
@click.option("--alarm", "alarms", metavar="NAME", multiple=True, help="Only this alarm; may be repeated.")
@click.option("--starts", metavar="TIME", multiple=True, callback=once, help="Begin then, such as 2026-12-01T22:00Z.")
@click.option("--list", "listing", is_flag=True, help="Show what is muted, until when, by whom and why.")
@click.option("--end", "ending", metavar="NAME", multiple=True, callback=once, help="End a mute now.")
@json_option
def mute(
    environment: str,
    system: str | None,
    length: str | None,
    because: str | None,
    alarms: tuple[str, ...],
    starts: str | None,
    listing: bool,
    ending: str | None,
    as_json: bool,
) -> None:
    """Let the alarms of a system in ENVIRONMENT tell nobody for a while.

    Alarms go on changing state.  Whatever is in ALARM when the mute ends, and was not before, tells then.
    """
    from ..cloud.environments import read_environment
    from ..cloud.preparation import connect_to
    from ..oncall.mute import end_mute, find_mute, list_mutes, plan_mute
    from ..oncall.mute import mute as put_mute
    from ..units import duration

    stated = {"--system": system, "--for": length, "--because": because}
    others = [name for name, value in (*stated.items(), ("--alarm", alarms), ("--starts", starts)) if value]
    if listing and ending:
        raise InputError("--list and --end: give one of them")
    if (listing or ending) and others:
        raise InputError(f"{'--list' if listing else '--end'} stands alone; leave out {', '.join(others)}")
    absent = [name for name, value in stated.items() if value is None]
    if absent and not (listing or ending):
        raise InputError(f"{', '.join(absent)}: missing; or ask for --list, or --end a mute")
    began = None if starts is None else _moment(starts)
    wanted_length = duration(length) if length is not None else None
    project = project_here()
    cloud = connect_to(read_environment(project.root / project.environments, environment))
    now = datetime.now(UTC)
    if listing:
        mutes = list_mutes(cloud, environment)
        if as_json:
            print_json(_mutes_json(mutes))
        else:
            echo(_listed(mutes, environment))
    elif ending:
        rules = find_mute(cloud, environment, ending)
        ringing = end_mute(cloud, environment, rules)
        if as_json:
            print_json({"ended": [rule.name for rule in rules], "in_alarm": [alarm.name for alarm in ringing]})
        else:
            echo(f"{rule.name}: ended, {count(len(rule.alarms), 'alarm')} may tell again" for rule in rules)
            echo(f"  in ALARM: {_since(alarm)}; what was held back is told now" for alarm in ringing)
    else:
        assert system is not None
        assert wanted_length is not None
        assert because is not None
        plan = plan_mute(cloud, environment, system, wanted_length, because, now, starts=began, names=alarms)
        done = put_mute(cloud, plan)
        if as_json:
            print_json(_mute_json(plan, done))
        else:
            echo(_muted(plan, done, now))


def _muted(plan: Mute, done: Muted, now: datetime) -> Iterator[str]:
    when = "now" if done.starts <= now else f"{done.starts:%Y-%m-%d %H:%M} UTC"
    yield f"{plan.system}: {count(len(plan.alarms), 'alarm')} muted from {when} until {done.ends:%Y-%m-%d %H:%M} UTC"
    if done.late:
        yield f"  not at once: CloudWatch had begun another minute; until {done.starts:%H:%M} UTC alarms still tell"
    for rule in done.rules:
        status = f", {rule.status.value.lower()}" if rule.status else ""
        yield f"  {rule.name}: {count(len(rule.alarms), 'alarm')}{status}"
    pages = count(plan.pages, "page")
    if plan.heartbeats:
        pages += f" ({count(plan.heartbeats, 'missed job')})"
    yield f"  {pages} and {count(len(plan.alarms) - plan.pages, 'ticket')} are muted: until then nobody hears of anything else in them"
    for alarm in plan.ringing:
        yield f"  in ALARM now: {_since(alarm)}; its alert stays open, its end is told after the mute"
    yield f"  what goes into ALARM meanwhile and is still there at {done.ends:%H:%M} UTC is told then"
    if plan.outdated:
        yield f"  cleared away: {count(len(plan.outdated), 'rule')} that {'is' if len(plan.outdated) == 1 else 'are'} over"
    yield f"  to end it: tocsin mute {plan.environment} --end {plan.name}"


def _listed(mutes: Mutes, environment: str) -> Iterator[str]:
    for rule in mutes.ours:
        status = rule.status.value.lower() if rule.status else "unknown"
        until = f" until {rule.expires.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if rule.expires else ""
        yield f"{rule.name}: {status}, {count(len(rule.alarms), 'alarm')}{until}"
        yield f"  {rule.description}"
    for other in mutes.others:
        yield f"{other.name}: {other.status.value.lower() if other.status else 'unknown'}, not made by Tocsin"
    if not mutes.ours and not mutes.others:
        yield f"{environment}: nothing is muted"
    if mutes.outdated:
        yield f"{count(len(mutes.outdated), 'rule')} over; the next mute clears them away"


def _since(alarm: DeployedAlarm) -> str:
    return f"{alarm.name}, since {alarm.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"--starts {text!r} is no time; write it as 2026-12-01T22:00Z or 2026-12-01T22:00+01:00"
        ) from None
    if at.tzinfo is None:
        raise InputError(f"--starts {text}: say in which time zone, as {text}Z or {text}+01:00")
    return at


def _mute_json(plan: Mute, done: Muted) -> dict[str, Any]:
    return {
        "system": plan.system,
        "because": plan.because,
        "by": plan.by,
        "starts": done.starts.isoformat(),
        "ends": done.ends.isoformat(),
        "late": done.late,
        "rules": [_rule_json(rule) for rule in done.rules],
        "pages": plan.pages,
        "heartbeats": plan.heartbeats,
        "in_alarm": [{"alarm": alarm.name, "since": alarm.since.isoformat()} for alarm in plan.ringing],
        "cleared": list(plan.outdated),
    }


def _mutes_json(mutes: Mutes) -> dict[str, Any]:
    return {
        "rules": [_rule_json(rule) for rule in mutes.ours],
        "others": [
            {"name": other.name, "status": other.status.value if other.status else None} for other in mutes.others
        ],
        "over": list(mutes.outdated),
    }


def _rule_json(rule: DeployedRule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "status": rule.status.value if rule.status else None,
        "expires": rule.expires.isoformat() if rule.expires else None,
        "description": rule.description,
        "alarms": list(rule.alarms),
    }
