"""What is wrong with ``deploy/oncall.toml`` that only shows when its parts, and the declared systems, are seen together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from ..errors import nearest
from ..model import Severity
from ..units import format_duration
from .declared import OnCall, Route, Team, ToolName, Way
from .fault import KEEPS_SCHEDULES, Fault, FaultKind, key_of
from .faults_of_people import escalation_faults, hours_faults

_HAS_HEARTBEATS = (ToolName.OPSGENIE, ToolName.JIRA)
#: A heartbeat may be late once and lost once without waking anybody.
FEWEST_BEATS = 3
# Where the tools' own e-mail integrations live: what is sent there comes by the first way again.
_TOOLS_MAIL = ("opsgenie.net", "opsgenie.com", "pagerduty.com", "atlassian.net", "atlassian.com")


def find_faults(
    oncall: OnCall, owners: Collection[str], now: datetime, systems: Mapping[str, Collection[str]] | None = None
) -> tuple[str, ...]:
    """Each fault in one line, with file and key; none when everybody can be reached.

    ``owners`` are those of the declared systems; ``systems``, by owner, makes the lines say whose alarms are meant.
    ``now`` is aware: schedules are looked at for the next 53 weeks.
    """
    return tuple(f"{oncall.path}: {fault.where}: {fault.message}" for fault in judge(oncall, owners, now, systems))


def judge(
    oncall: OnCall, owners: Collection[str], now: datetime, systems: Mapping[str, Collection[str]] | None = None
) -> tuple[Fault, ...]:
    """The same as values, in the order of the file."""
    return (
        *_environments(oncall),
        *_owners(oncall, owners, systems or {}),
        *(fault for team in oncall.teams for fault in _routes(oncall, team)),
        *hours_faults(oncall, now),
        *escalation_faults(oncall),
        *_watch(oncall),
    )


def _environments(oncall: OnCall) -> Iterator[Fault]:
    if not oncall.environments:
        message = 'names none, so no alarm reaches anybody; name those whose alarms page, ["prod"]'
        yield Fault(FaultKind.ROUTE, "environments", message)


def _owners(oncall: OnCall, owners: Collection[str], systems: Mapping[str, Collection[str]]) -> Iterator[Fault]:
    teams: dict[str, list[str]] = {}
    for team in oncall.teams:
        for owner in team.owners:
            teams.setdefault(owner, []).append(team.name)
            if owner not in owners:
                where = key_of("teams", team.name, "owners")
                message = f"no declared system has the owner {owner!r}; {nearest(owner, owners)}"
                yield Fault(FaultKind.OWNER, where, message)
    for owner, named in teams.items():
        if len(named) > 1:
            whose = f"owner {owner!r}{_systems(systems.get(owner, ()))}"
            message = f"{whose} is in the teams {' and '.join(named)}; leave it in the one that is woken"
            yield Fault(FaultKind.OWNER, key_of("teams", named[1], "owners"), message)
    for owner in sorted(set(owners) - set(teams)):
        message = f"nobody is told of alarms of owner {owner!r}{_systems(systems.get(owner, ()))}; add a table [teams.{owner}], or it to the owners of a team"
        yield Fault(FaultKind.OWNER, "teams", message)


def _systems(names: Collection[str]) -> str:
    return f" (system{'s' if len(names) > 1 else ''} {', '.join(sorted(names))})" if names else ""


def _routes(oncall: OnCall, team: Team) -> Iterator[Fault]:
    for severity in Severity:
        where = key_of("teams", team.name, f"{severity.value}s")
        route = team.routes.get(severity)
        for message in (
            ['says nothing; name a way, such as "tool"'] if route is None else _route(oncall, severity, route)
        ):
            yield Fault(FaultKind.ROUTE, where, message)
    pages = team.routes.get(Severity.PAGE)
    reached = pages is not None and not {Way.TOOL, Way.FORWARDER}.isdisjoint(pages.ways)
    if reached and oncall.tool.name in KEEPS_SCHEDULES and team.escalation is None:
        where = key_of("teams", team.name)
        named = " or ".join(schedule.name for schedule in team.schedules)
        mend = f"add an escalation that tells {named}" if named else "add a schedule and an escalation"
        message = f"its pages reach {oncall.tool.name} but wake nobody there; {mend}"
        yield Fault(FaultKind.ROUTE, where, message)


def _route(oncall: OnCall, severity: Severity, route: Route) -> Iterator[str]:
    direct = {Way.TOOL, Way.FORWARDER} & set(route.ways)
    if not route.ways:
        yield 'goes nowhere; name a way, such as "tool"'
    elif severity is Severity.PAGE and not direct:
        yield f'{" and ".join(route.ways)} wakes nobody; add "tool" or "forwarder"'
    if len(direct) > 1:
        yield "tool and forwarder would raise each alert twice; leave one of them"
    if Way.TOOL in route.ways and oncall.tool.name is ToolName.WEBHOOK:
        yield 'a plain subscription cannot sign what it posts to a webhook; write "forwarder" for "tool"'
    if Way.EMAIL in route.ways and not route.email:
        yield 'goes by e-mail but has no address; add email = "…@…"'
    if Way.CHAT in route.ways and not (route.chat_workspace and route.chat_channel):
        missing = " and ".join(
            name for name, id in (("workspace", route.chat_workspace), ("channel", route.chat_channel)) if not id
        )
        yield f'goes to a chat without {missing}; add chat = {{ workspace = "T…", channel = "C…" }}'


def _watch(oncall: OnCall) -> Iterator[Fault]:
    beat = oncall.heartbeat
    if beat is not None:
        names = [team.name for team in oncall.teams]
        if beat.team not in names:
            message = f"no team {beat.team!r}; {nearest(beat.team, names)}"
            yield Fault(FaultKind.WATCH, "heartbeat.team", message)
        if beat.silent_after < FEWEST_BEATS * beat.every:
            message = (
                f"{format_duration(beat.silent_after)} is less than three beats of {format_duration(beat.every)}: one late "
                f"beat would wake somebody; state at least {format_duration(FEWEST_BEATS * beat.every)}"
            )
            yield Fault(FaultKind.WATCH, "heartbeat.silent_after", message)
        if oncall.tool.name not in _HAS_HEARTBEATS:
            message = f"{oncall.tool.name} has no heartbeats, so silence would page nobody; take the table out"
            yield Fault(FaultKind.WATCH, "heartbeat", message)
    if not oncall.second_way:
        message = "is missing: nobody would hear that the way to the tool itself fails; name an e-mail address"
        yield Fault(FaultKind.WATCH, "second_way", message)
        return
    domain = oncall.second_way.rpartition("@")[2].lower()
    if any(domain == one or domain.endswith(f".{one}") for one in _TOOLS_MAIL):
        message = "leads back to the on-call tool, which is the way that has failed then; name a mailbox elsewhere"
        yield Fault(FaultKind.WATCH, "second_way", message)
    for team in oncall.teams:
        pages = team.routes.get(Severity.PAGE)
        if pages is not None and Way.EMAIL in pages.ways and pages.email.lower() == oncall.second_way.lower():
            message = f"is the address that pages of team {team.name} go to, so it is no second way; name another"
            yield Fault(FaultKind.WATCH, "second_way", message)
