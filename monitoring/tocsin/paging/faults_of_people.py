"""Schedules that leave nobody or too many on call, and escalations that reach nobody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ..errors import InputError, nearest
from ..model import Severity
from ..units import format_duration
from .declared import Escalation, OnCall, Recipient, RecipientKind, Rotation, Schedule, Step, Team, ToolName, Way
from .fault import KEEPS_SCHEDULES, Fault, FaultKind, key_of
from .hours import instant, unclear
from .hours_in_words import AHEAD, describe_gaps, describe_overlaps
from .oncall_values import time_zone


def hours_faults(oncall: OnCall, now: datetime) -> Iterator[Fault]:
    """Gaps, overlaps, rotations that have ended, and hours that the tool cannot keep."""
    homes: dict[str, str] = {}
    for team in oncall.teams:
        for schedule in team.schedules:
            where = key_of("teams", team.name, "schedules", schedule.name)
            if schedule.name in homes:
                message = (
                    f"team {homes[schedule.name]} has a schedule of that name already; names are shared in the tool"
                )
                yield Fault(FaultKind.HOURS, where, message)
            homes.setdefault(schedule.name, team.name)
            try:
                time_zone(schedule.time_zone)
            except InputError as error:
                yield Fault(FaultKind.HOURS, f"{where}.time_zone", str(error))
                continue
            for rotation in schedule.rotations:
                inside = f"{where}.{key_of('rotations', rotation.name)}"
                for message in _rotation(oncall, team, schedule, rotation, now):
                    yield Fault(FaultKind.HOURS, inside, message)
            for message in _covered(oncall, schedule, now):
                yield Fault(FaultKind.HOURS, where, message)


def _rotation(oncall: OnCall, team: Team, schedule: Schedule, rotation: Rotation, now: datetime) -> Iterator[str]:
    members = [member.user for member in team.members]
    for participant in dict.fromkeys(rotation.participants):
        if participant not in members:
            yield f"{participant} takes turns but is no member of team {team.name}; {_nearest_address(participant, members)}"
    yield from _clock_changes(rotation, ZoneInfo(schedule.time_zone), now)
    if rotation.ends is not None and instant(rotation.ends, ZoneInfo(schedule.time_zone)) <= now:
        yield f"has ended on {rotation.ends:%Y-%m-%d}; take it out"
    # "Minutes may take 0 or 30 as value": Opsgenie's API moves others without a word (Schedule Rotation API).
    clocks = [rotation.starts.time(), *([rotation.ends.time()] if rotation.ends else [])]
    clocks += [clock for one in rotation.hours for clock in (one.start, one.end)]
    odd = sorted({f"{clock:%H:%M}" for clock in clocks if clock.minute not in (0, 30)})
    if oncall.tool.name is ToolName.OPSGENIE and odd:
        yield f"Opsgenie keeps full and half hours only and would move {', '.join(odd)}; choose the nearest half hour"


def _clock_changes(rotation: Rotation, zone: ZoneInfo, now: datetime) -> Iterator[str]:
    """Handovers at times that clocks there never show, or show twice: tools differ in what they make of them."""
    stated = [("starts", rotation.starts), *([("ends", rotation.ends)] if rotation.ends is not None else [])]
    said = False
    for key, moment in stated:
        if problem := unclear(moment, zone):
            said = True
            yield f"{key} {moment:%Y-%m-%d %H:%M} {problem}"
    days = rotation.turn // timedelta(days=1)
    if said or len(rotation.participants) < 2 or rotation.turn % timedelta(days=1):
        return
    wall = now.astimezone(zone).replace(tzinfo=None)
    moment = rotation.starts + max(0, (wall - rotation.starts) // rotation.turn + 1) * rotation.turn
    last = min(wall + AHEAD, rotation.ends or datetime.max)  # noqa: DTZ901 - a wall-clock time
    while moment < last:
        if problem := unclear(moment, zone):
            yield f"hands over on {moment:%Y-%m-%d} at {moment:%H:%M}, which {problem}"
            return
        moment += timedelta(days=days)


def _covered(oncall: OnCall, schedule: Schedule, now: datetime) -> Iterator[str]:
    overlaps_meant = oncall.accepted_overlaps
    for found, accepted, key, mend in (
        (describe_gaps(schedule, now), oncall.accepted_gaps, "gaps_because", "let a rotation cover it"),
        (describe_overlaps(schedule, now), overlaps_meant, "overlaps_because", "give the rotations hours apart"),
    ):
        if schedule.name not in accepted:
            yield from (f'{line}; {mend}, or say why it is meant: {key} = "…"' for line in found)
        elif not accepted[schedule.name].strip():
            yield f"{key} says nothing; say why it is meant"
        elif not found:
            yield f"{key} is stated, but there is nothing of the kind in the next 53 weeks; take it out"


def escalation_faults(oncall: OnCall) -> Iterator[Fault]:
    """Steps that tell nobody or are out of order, circles, and schedules that no page reaches."""
    homes: dict[str, str] = {}
    for team in oncall.teams:
        if team.escalation is None:
            continue
        where = key_of("teams", team.name, "escalation")
        name = team.escalation.name
        if name in homes:
            message = f"team {homes[name]} has an escalation called {name} already; give it a name of its own"
            yield Fault(FaultKind.ESCALATION, where, message)
        homes.setdefault(name, team.name)
        if not team.escalation.steps:
            message = 'tells nobody; add a step such as { schedule = "…" }'
            yield Fault(FaultKind.ESCALATION, where, message)
        yield from _steps(oncall, team.escalation, where)
    for circle in _circles(oncall):
        message = f"goes round in a circle: {' → '.join(circle)}; let one of them end with a person or a schedule"
        yield Fault(FaultKind.ESCALATION, key_of("teams", circle[0], "escalation"), message)
    yield from _unreached(oncall)


def _steps(oncall: OnCall, escalation: Escalation, where: str) -> Iterator[Fault]:
    latest = timedelta()
    seen: list[Step] = []
    for number, step in enumerate(escalation.steps, 1):
        at = f"{where}.steps[{number}]"
        if step.after < latest:
            message = (
                f"comes after {format_duration(step.after) if step.after else 'no time'}, before the step above it, which "
                f"waits {format_duration(latest)}; put the steps in the order of their time, each counted from the alert"
            )
            yield Fault(FaultKind.ESCALATION, f"{at}.after", message)
        if step in seen:
            message = f"tells {step.recipient.kind} {step.recipient.name} again at the same time; take it out"
            yield Fault(FaultKind.ESCALATION, at, message)
        if number == 1 and all(one.after for one in escalation.steps):
            message = (
                f"nobody is told for {format_duration(step.after)}; let the first step tell somebody at once, and take"
                " its after out"
            )
            yield Fault(FaultKind.ESCALATION, f"{at}.after", message)
        latest = max(latest, step.after)
        seen.append(step)
        if problem := _nobody(oncall, step.recipient):
            yield Fault(FaultKind.ESCALATION, f"{at}.{step.recipient.kind}", problem)


def _nobody(oncall: OnCall, recipient: Recipient) -> str:
    """Why it tells nobody; empty when it tells somebody."""
    name = recipient.name
    match recipient.kind:
        case RecipientKind.SCHEDULE:
            schedules = {schedule.name: schedule for team in oncall.teams for schedule in team.schedules}
            if name not in schedules:
                return f"no schedule {name!r}; {nearest(name, schedules)}"
            if not any(rotation.participants for rotation in schedules[name].rotations):
                return f"nobody stands in schedule {name}; give it a rotation with participants"
        case RecipientKind.USER:
            users = {member.user for team in oncall.teams for member in team.members}
            if name not in users:
                return f"{name} is a member of no team; {_nearest_address(name, users)}"
        case RecipientKind.TEAM:
            teams = {team.name: team for team in oncall.teams}
            if name not in teams:
                return f"no team {name!r}; {nearest(name, teams)}"
            if not teams[name].members:
                return f"team {name} has no members, so nobody is told; add some"
    return ""


def _nearest_address(address: str, known: Iterable[str]) -> str:
    """The hint by what stands before the @: what follows is the same for all and would make any two alike."""
    names = {one.partition("@")[0]: one for one in known}
    hint = nearest(address.partition("@")[0], names)
    return next((hint.replace(f"'{name}'", f"'{one}'") for name, one in names.items() if f"'{name}'" in hint), hint)


def _circles(oncall: OnCall) -> Iterator[tuple[str, ...]]:
    """Teams whose escalations lead to each other, each circle once.  A team may tell all its own members."""
    leads = {
        team.name: [
            step.recipient.name
            for step in (team.escalation.steps if team.escalation else ())
            if step.recipient.kind is RecipientKind.TEAM and step.recipient.name != team.name
        ]
        for team in oncall.teams
    }
    seen: set[frozenset[str]] = set()

    def follow(trail: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name in dict.fromkeys(leads.get(trail[-1], ())):
            if name == trail[0]:
                if frozenset(trail) not in seen:
                    seen.add(frozenset(trail))
                    yield (*trail, name)
            elif name not in trail:
                yield from follow((*trail, name))

    for name in leads:
        yield from follow((name,))


def _unreached(oncall: OnCall) -> Iterator[Fault]:
    """Schedules whose turns believe that they are on call, though no page wakes them."""
    if oncall.tool.name not in KEEPS_SCHEDULES:
        return
    told = {
        step.recipient.name
        for team in oncall.teams
        for step in (team.escalation.steps if team.escalation else ())
        if step.recipient.kind is RecipientKind.SCHEDULE
    }
    for team in oncall.teams:
        pages = team.routes.get(Severity.PAGE)
        direct = pages is not None and not {Way.TOOL, Way.FORWARDER}.isdisjoint(pages.ways)
        if direct and team.escalation is None:
            continue  # said of the team's pages already
        for schedule in team.schedules:
            if schedule.name not in told:
                where = key_of("teams", team.name, "schedules", schedule.name)
                message = (
                    "no escalation tells it, so no page wakes whoever is on call; add a step for it or take it out"
                )
                yield Fault(FaultKind.ESCALATION, where, message)
