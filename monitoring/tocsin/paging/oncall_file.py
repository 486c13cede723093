"""``deploy/oncall.toml``: who is woken, and which way a page gets there.

    project = "shop"                       # marks what is Tocsin's in the tool
    environments = ["prod"]                # whose alarms reach the tool
    time_zone = "Europe/Vienna"            # of schedules that name none
    second_way = "on-call-fallback@example.com"  # told when the way to the tool itself fails; or "+436601234567", by SMS

    [tool]
    name = "opsgenie"                      # or "jira", "pagerduty", "webhook"
    region = "eu"                          # Opsgenie and PagerDuty; default "us"; Jira: where the Opsgenie account is
    key = { variable = "OPSGENIE_API_KEY" }  # that is the default; or { secret = "…" }, { parameter = "…" }
    site = "…"                             # Jira only: the cloud id
    account = "…@example.com"              # Jira only: whose API token it is
    opsgenie_key = { secret = "…" }        # Jira only: of the Opsgenie account left behind, for `tocsin oncall migrate`
    url = "https://…"                      # the webhook's address; or a stand-in for the tool

    [heartbeat]                            # leave it out for none
    team = "payments"                      # paged when AWS falls silent
    every = "1min"                         # the default
    silent_after = "10min"                 # the default

    [teams.payments]
    owners = ["payments"]                  # of system declarations; default: the team's name
    members = ["payments-primary@example.com", { user = "payments-lead@example.com", admin = true }]
    pages = "tool"                         # the default; or "forwarder", or several: ["tool", "email"]
    tickets = { email = "payments-tickets@example.com", chat = { workspace = "T0…", channel = "C0…" } }

    [teams.payments.schedules.payments]
    time_zone = "Europe/London"
    gaps_because = "…"                     # only where nobody is meant to be on call at times
    overlaps_because = "…"                 # only where two rotations are meant to be on call at once

    [teams.payments.schedules.payments.rotations.week]
    participants = ["payments-primary@example.com", "payments-lead@example.com"]
    starts = 2026-01-05T08:00:00           # the first participant's first turn; a wall-clock time
    ends = 2026-12-31T08:00:00             # default: never
    turn = "weekly"                        # the default; or "daily", "2 weeks", "12h"
    hours = "mon 08:00 - fri 18:00"        # default: always; or "18:00 - 08:00", "mon-fri 08:00 - 18:00", or a list

    [teams.payments.escalation]
    name = "payments"                      # default: the team's name
    repeat_after = "30min"                 # begin again so long after the last step; default: never
    steps = [
        { schedule = "payments" },         # at once
        { after = "10min", user = "payments-lead@example.com" },
        { after = "20min", team = "payments" },  # all its members
    ]

What only shows together, such as a gap or an owner without a team, is found by ``paging/faults.py``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import InputError, nearest
from ..model import Severity
from . import oncall_values as values
from .declared import (
    Escalation,
    Heartbeat,
    Member,
    OnCall,
    Recipient,
    RecipientKind,
    Rotation,
    Route,
    Schedule,
    Step,
    Team,
    Way,
)
from .faults import find_faults
from .oncall_tool import DEFAULT_KEYS, read_tool
from .tables import Tables, quoted

__all__ = ["DEFAULT_KEYS", "find_faults", "read_oncall"]

_FILE = ("environments", "heartbeat", "project", "second_way", "teams", "time_zone", "tool")
_HEARTBEAT = ("every", "silent_after", "team")
_TEAM = ("description", "escalation", "members", "owners", "pages", "schedules", "tickets")
_SCHEDULE = ("gaps_because", "overlaps_because", "rotations", "time_zone")
_ROTATION = ("ends", "hours", "participants", "starts", "turn")
_ESCALATION = ("name", "repeat_after", "steps")
_ROUTE = ("chat", "email", "ways")
_RECIPIENTS = tuple(kind.value for kind in RecipientKind)
#: A rotation of one has no turns, so it need not say when they begin.
_ALWAYS = datetime(2024, 1, 1)  # noqa: DTZ001 - a wall-clock time; a Monday


def read_oncall(path: Path) -> OnCall:
    """The whole file.  Raises InputError that says where and names the nearest key, and never repeats a key."""
    here = Path.cwd()
    shown = (path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path).as_posix()
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{shown}: no such file; say there who is on call, each team as a table [teams.…]") from None
    except OSError as error:
        raise InputError(f"{shown}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        said = " ".join(str(error).split())
        if values.looks_like_key(said):  # it names what stands twice
            said = f"something is wrong {said[said.rfind('(at ') :]}" if "(at " in said else "something is wrong"
            said = "something is wrong" if values.looks_like_key(said) else said
        raise InputError(f"{shown}: not TOML: {said}; mend the file") from None
    except RecursionError:
        raise InputError(f"{shown}: tables or lists stand too deep within each other; mend the file") from None
    except ValueError:  # Python's limit for numbers
        raise InputError(f"{shown}: a number has too many digits; mend the file") from None
    return _Reader(shown).file(tree)


class _Reader(Tables):
    """The tables of this file, each with its own function."""

    def file(self, tree: Mapping[str, Any]) -> OnCall:
        self.keys(tree, "", _FILE)
        zone = self.optional(tree, "", "time_zone", values.time_zone, "")
        teams = self.table(tree.get("teams", {}), "teams")
        if not teams:
            raise self.error("teams", "nobody is on call; add a table such as [teams.payments]")
        gaps: dict[str, str] = {}
        overlaps: dict[str, str] = {}
        read = tuple(self.team(name, body, zone, gaps, overlaps) for name, body in teams.items())
        beat = tree.get("heartbeat")
        return OnCall(
            path=self.path,
            project=self.required(tree, "", "project", values.mark, "the name that marks what is Tocsin's in the tool"),
            tool=read_tool(self, tree.get("tool", {})),
            environments=self.several(tree, "", "environments", values.mark, 'those whose alarms page, ["prod"]'),
            teams=read,
            second_way=self.optional(tree, "", "second_way", values.second_way, ""),
            heartbeat=None if beat is None else self.heartbeat(self.table(beat, "heartbeat")),
            accepted_gaps=MappingProxyType(gaps),
            accepted_overlaps=MappingProxyType(overlaps),
        )

    def heartbeat(self, table: Mapping[str, Any]) -> Heartbeat:
        self.keys(table, "heartbeat", _HEARTBEAT)
        default = Heartbeat("")
        return Heartbeat(
            team=self.required(table, "heartbeat", "team", values.name, "the team that is paged when AWS falls silent"),
            every=self.optional(table, "heartbeat", "every", values.beat, default.every),
            silent_after=self.optional(table, "heartbeat", "silent_after", values.silence, default.silent_after),
        )

    def team(self, name: str, body: Any, zone: str, gaps: dict[str, str], overlaps: dict[str, str]) -> Team:
        where = f"teams.{quoted(name)}"
        table = self.table(body, where)
        self.read(where, values.name, name)
        self.keys(table, where, _TEAM)
        members = table.get("members", [])
        if not isinstance(members, list):
            raise self.error(f"{where}.members", f"must be a list of e-mail addresses, got {values.shown(members)}")
        found = tuple(self.member(one, f"{where}.members[{number}]") for number, one in enumerate(members, 1))
        self.once([member.user.lower() for member in found], f"{where}.members")
        schedules = self.table(table.get("schedules", {}), f"{where}.schedules")
        escalation = table.get("escalation")
        return Team(
            name=name,
            owners=self.several(table, where, "owners", values.words) if "owners" in table else (name,),
            members=found,
            routes=MappingProxyType(
                {
                    Severity.PAGE: self.route(table.get("pages", "tool"), f"{where}.pages"),
                    Severity.TICKET: self.route(table.get("tickets", "tool"), f"{where}.tickets"),
                }
            ),
            description=self.optional(table, where, "description", values.words, ""),
            schedules=tuple(
                self.schedule(one, stated, f"{where}.schedules.{quoted(one)}", zone, gaps, overlaps)
                for one, stated in schedules.items()
            ),
            escalation=None if escalation is None else self.escalation(name, escalation, f"{where}.escalation"),
        )

    def member(self, value: Any, where: str) -> Member:
        if not isinstance(value, dict):
            return Member(self.read(where, values.email, value))
        self.keys(value, where, ("admin", "user"))
        admin = value.get("admin", False)
        if not isinstance(admin, bool):
            raise self.error(f"{where}.admin", f"true or false, got {values.shown(admin)}")
        return Member(self.required(value, where, "user", values.email, "an e-mail address"), admin)

    def route(self, value: Any, where: str) -> Route:
        ways = '"tool", "forwarder", "email" or "chat"'
        table: Mapping[str, Any] = value if isinstance(value, dict) else {"ways": value}
        self.keys(table, where, _ROUTE)
        stated = table.get("ways", [key for key in ("email", "chat") if key in table])
        listed = stated if isinstance(stated, list) else [stated]
        if not listed:
            raise self.error(where, f"goes nowhere; name at least one way: {ways}")
        for one in listed:
            if not isinstance(one, str) or one not in tuple(Way):
                hint = nearest(one, [way.value for way in Way]) if isinstance(one, str) else f"one of {ways}"
                raise self.error(where, f"no such way {values.shown(one)}; {hint}")
        self.once(listed, where)
        for key in ("email", "chat"):
            if key in table and key not in listed:
                raise self.error(f"{where}.{key}", f'is not among the ways; add "{key}" to them or take it out')
        chat = self.table(table.get("chat", {}), f"{where}.chat")
        self.keys(chat, f"{where}.chat", ("channel", "workspace"))
        return Route(
            ways=tuple(way for way in Way if way in listed),
            email=self.optional(table, where, "email", values.email, ""),
            chat_workspace=self.optional(chat, f"{where}.chat", "workspace", values.workspace, ""),
            chat_channel=self.optional(chat, f"{where}.chat", "channel", values.channel, ""),
        )

    def schedule(
        self, name: str, body: Any, where: str, default: str, gaps: dict[str, str], overlaps: dict[str, str]
    ) -> Schedule:
        table = self.table(body, where)
        self.read(where, values.name, name)
        self.keys(table, where, _SCHEDULE)
        zone = self.optional(table, where, "time_zone", values.time_zone, default)
        if not zone:
            raise self.error(f"{where}.time_zone", 'is missing: here or at the top, such as "Europe/Vienna"')
        for key, accepted in (("gaps_because", gaps), ("overlaps_because", overlaps)):
            if key in table:
                accepted[name] = self.read(f"{where}.{key}", values.words, table[key])
        rotations = self.table(table.get("rotations", {}), f"{where}.rotations")
        if not rotations:
            raise self.error(where, f"nobody is ever on call; add a table [{where}.rotations.…]")
        return Schedule(
            name,
            zone,
            tuple(self.rotation(one, stated, f"{where}.rotations.{quoted(one)}") for one, stated in rotations.items()),
        )

    def rotation(self, name: str, body: Any, where: str) -> Rotation:
        table = self.table(body, where)
        self.read(where, values.name, name)
        self.keys(table, where, _ROTATION)
        people = self.several(table, where, "participants", values.email, "who takes turns, by e-mail address")
        if not people:
            raise self.error(f"{where}.participants", "nobody takes turns; name at least one e-mail address")
        if "starts" not in table and len(people) > 1:
            raise self.error(f"{where}.starts", "is missing: when the first turn begins, such as 2026-01-05T08:00:00")
        starts = self.optional(table, where, "starts", values.moment, _ALWAYS)
        ends = self.optional(table, where, "ends", values.moment, None)
        if ends is not None and ends <= starts:
            raise self.error(f"{where}.ends", "is not after starts; correct one of them")
        stated = table.get("hours", [])
        return Rotation(
            name=name,
            participants=people,
            turn=self.optional(table, where, "turn", values.turn, timedelta(weeks=1)),
            starts=starts,
            ends=ends,
            hours=tuple(
                span
                for one in (stated if isinstance(stated, list) else [stated])
                for span in self.read(f"{where}.hours", values.hours, one)
            ),
        )

    def escalation(self, team: str, body: Any, where: str) -> Escalation:
        table = self.table(body, where)
        self.keys(table, where, _ESCALATION)
        steps = table.get("steps", [])
        if not isinstance(steps, list):
            raise self.error(f"{where}.steps", 'must be a list of tables such as { after = "5min", team = "…" }')
        if not steps:
            raise self.error(f"{where}.steps", 'tells nobody; add a step such as { schedule = "…" }')
        return Escalation(
            name=self.optional(table, where, "name", values.name, team),
            steps=tuple(self.step(one, f"{where}.steps[{number}]") for number, one in enumerate(steps, 1)),
            repeat_after=self.optional(table, where, "repeat_after", values.repetition, None),
        )

    def step(self, body: Any, where: str) -> Step:
        table = self.table(body, where)
        self.keys(table, where, ("after", *_RECIPIENTS))
        stated = [key for key in _RECIPIENTS if key in table]
        if len(stated) != 1:
            found = f"has {' and '.join(stated)}" if stated else "tells nobody"
            raise self.error(where, f"{found}; state exactly one of schedule, user and team")
        kind = RecipientKind(stated[0])
        check = values.email if kind is RecipientKind.USER else values.name
        return Step(
            after=self.optional(table, where, "after", values.delay, timedelta()),
            recipient=Recipient(kind, self.read(f"{where}.{kind}", check, table[kind.value])),
        )
