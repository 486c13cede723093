"""What an Opsgenie account has, what becomes of it in Jira Service Management, and what a person must do for that.

It reads, and never writes.  Opsgenie answers until 5 April 2027; an account that was moved is switched off 120 days
after its migration date (https://support.atlassian.com/opsgenie/docs/what-happens-when-opsgenie-is-turned-off).
What becomes of what: Atlassian's pages on teams, roles and features after migration, at the same place, and the two APIs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ..errors import PagingError
from .changes import is_marked
from .declared import OnCall, ToolName
from .opsgenie.bodies import rule_prefix
from .opsgenie.reading import Account, read_account
from .tool import heartbeat_name

if TYPE_CHECKING:
    from .rest import Rest

END_OF_OPSGENIE = date(2027, 4, 5)


class Fate(StrEnum):
    """What becomes of a thing, in the order in which it is told."""

    APPLIED = "moves by `tocsin oncall apply`"  # it is Tocsin's, from deploy/oncall.toml
    MOVES = "moves"  # a person, or Atlassian's own migration, makes its counterpart
    BY_HAND = "is to be made anew by hand"
    NONE = "has no counterpart"
    UNKNOWN = "could not be read"


@dataclass(frozen=True, slots=True)
class Moved:
    """One thing of the account.  ``becomes`` is its counterpart, empty for none; ``why`` what must be known of it."""

    kind: str
    name: str
    fate: Fate
    becomes: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Migration:
    """Everything that is there, by kind, and what a person does, in order."""

    account: str
    items: tuple[Moved, ...]
    tasks: tuple[str, ...]
    days_left: int

    def lines(self) -> tuple[str, ...]:
        """For people: what becomes of what, then the steps."""
        left = f"{self.days_left} days are left" if self.days_left > 0 else "it has ended"
        found = [f"Opsgenie account {self.account}: support ends on {END_OF_OPSGENIE.isoformat()}, {left}."]
        for fate in Fate:
            same = [item for item in self.items if item.fate is fate]
            if same:
                found += ["", f"{_begin(fate.value)} ({len(same)}):"]
                found += [f"  {item.kind} {item.name}{_arrow(item)}{_because(item)}" for item in same]
        found += ["", "What a person does, in this order:"]
        found += [f"  {number}. {task}" for number, task in enumerate(self.tasks, 1)]
        return tuple(found)

    def as_json(self) -> dict[str, Any]:
        """For programs: the same."""
        return {
            "account": self.account,
            "endsOn": END_OF_OPSGENIE.isoformat(),
            "daysLeft": self.days_left,
            "items": [
                {"kind": one.kind, "name": one.name, "fate": one.fate.name.lower().replace("_", "-")}
                | {"becomes": one.becomes, "why": one.why}
                for one in self.items
            ],
            "tasks": list(self.tasks),
        }


def open_migration(declared: OnCall, key: str, today: date, url: str | None = None) -> Migration:
    """Read the account of that key and say what becomes of it.  Raises PagingError.

    ``declared`` may name Opsgenie, or Jira already: then the region is asked for in ``tool.region`` all the same.
    """
    from .opsgenie import ADDRESSES
    from .rest import Rest

    if not url and declared.tool.region not in ADDRESSES:
        raise PagingError(f"{declared.path}: tool.region: {declared.tool.region!r}: Opsgenie has us and eu")
    where = url or ADDRESSES[declared.tool.region]
    rest = Rest(
        where, {"Authorization": f"GenieKey {key}"}, key_shown=declared.tool.key.shown, tool="Opsgenie", secrets=(key,)
    )
    return plan_migration(rest, declared, today)


def plan_migration(rest: Rest, declared: OnCall, today: date) -> Migration:
    """Read the account behind ``rest``, with GET alone, and say what becomes of it."""
    account = read_account(rest)
    items = [
        *_unread(account),
        *_people(account, declared),
        *_who_is_told(account, declared),
        *_what_comes_in(account, declared),
        *_the_rest(account),
    ]
    order = list(Fate)
    items.sort(key=lambda one: (order.index(one.fate), one.kind, one.name))
    return Migration(account.name, tuple(items), _tasks(items, declared), (END_OF_OPSGENIE - today).days)


def _unread(account: Account) -> list[Moved]:
    return [Moved(what, "(all)", Fate.UNKNOWN, why=why) for what, why in sorted(account.unread.items())]


_ROLES = {
    "owner": "site or product admin",
    "admin": "operations global admin",
    "user": "agent",
    "stakeholder": "stakeholder (Premium and Enterprise plans only)",
}


def _people(account: Account, declared: OnCall) -> list[Moved]:
    found = []
    for user in account.users:
        role = str((user.get("role") or {}).get("name") or "user")
        becomes = f"account with the role {_ROLES.get(role.lower(), f'custom role {role!r}')}"
        why = "blocked in Opsgenie: leave them out" if user.get("blocked") else "takes a licence of the site"
        found.append(Moved("user", user["username"], Fate.MOVES, becomes, why))
        rules = account.notification_rules.get(user["username"])
        if rules:
            why = "each person's own, with their contacts; the app is another one: Jira's"
            found.append(
                Moved("notification rules of", user["username"], Fate.BY_HAND, f"{len(rules)} notification rules", why)
            )
    found += [
        Moved(
            "role", str(one["name"]), Fate.BY_HAND, "custom role", "rights have other names; incident rights have none"
        )
        for one in account.roles
    ]
    declared_names = {team.name for team in declared.teams}
    for team in account.teams:
        name = str(team["name"])
        why = (
            "a person makes it, adds its members and switches operations on; its name is seen in the whole organisation"
        )
        if name in declared_names:
            why += "; deploy/oncall.toml names it, so `tocsin oncall plan` asks for it"
        members = len(team.get("members") or ())
        found.append(Moved("team", name, Fate.MOVES, f"Atlassian team of {members} with operations", why))
        found += [
            Moved("team role", f"{name}/{one['name']}", Fate.BY_HAND, "team role", "rights have other names")
            for one in team["roles"]
        ]
    return found


def _who_is_told(account: Account, declared: OnCall) -> list[Moved]:
    project, found = declared.project, list[Moved]()
    for one in account.schedules:
        name = str(one["name"])
        owned = is_marked(one.get("description"), project)
        rotations = one.get("rotations") or []
        kinds = ", ".join(
            f"{many} {kind}" for kind, many in sorted(Counter(each["type"] for each in rotations).items())
        )
        limited = sum(1 for each in rotations if each.get("timeRestriction"))
        becomes = f"schedule with rotations: {kinds or 'none'}" + (
            f", {limited} of them within hours" if limited else ""
        )
        strange = sorted({who["type"] for each in rotations for who in each.get("participants") or ()} - {"user"})
        why = f"participants that are no users: {', '.join(strange)}" if strange else ""
        if not one.get("enabled", True):
            why = "; ".join(filter(None, [why, "switched off"]))
        if not one.get("ownerTeam"):
            why = "; ".join(filter(None, [why, "belongs to no team: in Jira each has one"]))
        found.append(Moved("schedule", name, Fate.APPLIED if owned else Fate.BY_HAND, becomes, why))
        found += [
            Moved(
                "override",
                f"{name}/{each.get('alias') or 'unnamed'}",
                Fate.BY_HAND,
                "override",
                f"{each.get('startDate')} to {each.get('endDate')}: enter it again if it is still to come",
            )
            for each in account.overrides.get(name, ())
        ]
    for one in account.escalations:
        owned = is_marked(one.get("description"), project)
        becomes = f"escalation of {len(one.get('rules') or ())} steps"
        far = [rule for rule in one.get("rules") or () if rule["recipient"]["type"] == "escalation"]
        why = "a step tells another escalation: Jira's steps tell users, schedules and teams" if far else ""
        why = why or ("" if one.get("ownerTeam") else "belongs to no team: in Jira each has one")
        found.append(Moved("escalation", str(one["name"]), Fate.APPLIED if owned else Fate.BY_HAND, becomes, why))
    for team in account.teams:
        for one in team["rules"]:
            named = str(one.get("name") or "(unnamed)")
            name = f"{team['name']}/{named}"
            if one.get("isDefault"):
                why = "Jira makes one with operations: set whom it tells"
                found.append(Moved("routing rule", name, Fate.BY_HAND, "default routing rule", why))
                continue
            owned = named.startswith(rule_prefix(project))
            fields = sorted({each["field"] for each in (one.get("criteria") or {}).get("conditions") or ()})
            why = f"over {', '.join(fields)}" if fields else ""
            found.append(Moved("routing rule", name, Fate.APPLIED if owned else Fate.BY_HAND, "routing rule", why))
    return found


def _what_comes_in(account: Account, declared: OnCall) -> list[Moved]:
    prefixes = tuple(f"{heartbeat_name(declared.project, one)}-" for one in declared.environments)
    found = []
    for one in account.integrations:
        name, kind = str(one["name"]), str(one.get("type") or "")
        owned = name.startswith(prefixes)
        becomes = "" if owned and name.endswith("-heartbeat") else f"integration {kind}"
        if not becomes:
            why = "a heartbeat is pinged with the account's own token there"
            found.append(Moved("integration", name, Fate.NONE, why=why))
        elif owned:
            why = "a new key and address: the SNS subscription is deployed again"
            found.append(Moved("integration", name, Fate.APPLIED, becomes, why))
        else:
            why = "a new key and address: whoever sends to it is to be told"
            found.append(Moved("integration", name, Fate.BY_HAND, becomes, why))
    for one in account.heartbeats:
        name = str(one["name"])
        owned = name in {heartbeat_name(declared.project, each) for each in declared.environments}
        team = (one.get("ownerTeam") or {}).get("name")
        why = "pinged at another address, with another key; not in every plan"
        why += "" if team else "; belongs to no team: in Jira each has one"
        becomes = f"heartbeat of {one.get('interval')} {one.get('intervalUnit')}"
        found.append(Moved("heartbeat", name, Fate.APPLIED if owned else Fate.BY_HAND, becomes, why))
    return found


def _the_rest(account: Account) -> list[Moved]:
    found = []
    for one in account.policies:
        kind, name = str(one.get("type") or "alert"), str(one["name"])
        if kind == "notification":
            why = "deprecated ones are lost with Opsgenie; make a team policy if the plan has them"
        else:
            why = "conditions keep their names; responders and tags are by id"
        found.append(Moved(f"{kind} policy", name, Fate.BY_HAND, f"{kind} policy", why))
    for one in account.maintenance:
        name = str(one.get("description") or one["id"])
        why = "only what is planned or under way; rules name policies and integrations by id"
        found.append(Moved("maintenance", name, Fate.BY_HAND, "maintenance window", why))
    for one in account.forwarding_rules:
        name = f"{_user(one.get('fromUser'))} to {_user(one.get('toUser'))}"
        why = f"{one.get('startDate')} to {one.get('endDate')}"
        found.append(Moved("forwarding rule", name, Fate.BY_HAND, "forwarding rule", why))
    for one in account.services:
        why = "not Opsgenie's: the site's own services, with components of Compass or Assets behind them"
        found.append(Moved("service", str(one["name"]), Fate.BY_HAND, "service of the site", why))
    for one in account.incidents:
        why = "an incident is a work item of a service project there; those of Opsgenie stay to be read until it ends"
        found.append(Moved("open incident", str(one.get("message") or one["id"]), Fate.NONE, why=why))
    return found


def _user(one: Mapping[str, Any] | None) -> str:
    return str((one or {}).get("username") or (one or {}).get("id") or "nobody")


def _tasks(items: Sequence[Moved], declared: OnCall) -> tuple[str, ...]:
    """The order matters: what a step needs, the steps before it made; pages never have nowhere to go."""
    kinds = {item.kind for item in items if item.fate is not Fate.UNKNOWN}
    by_hand = Counter(item.kind for item in items if item.fate is Fate.BY_HAND)
    tasks = []
    if any(item.fate is Fate.UNKNOWN for item in items):
        tasks.append(
            "Give the key the right to read what could not be read, and run this again; or look for it by hand."
        )
    tasks.append(
        "Choose the site and its plan: heartbeats, global integrations and outgoing ones are not part of every plan."
    )
    tasks.append(
        "Start Atlassian's own migration (Opsgenie, Settings, Migrate Opsgenie), which makes users and teams; or invite"
        " the users, make the teams and switch their operations on by hand."
    )
    tasks.append(
        "Make an account for Tocsin that is in these teams as their operations admin, and a token with the scopes"
        " read:jira-user, read:, write: and delete:ops-config:jira-service-management, read: and"
        " write:ops-alert:jira-service-management; it ends after a year at most, so write down when."
    )
    if declared.tool.name is not ToolName.JIRA:
        tasks.append(
            f'In {declared.path}, write name = "jira" under [tool] with site and account, and where the token is.'
        )
    tasks.append(
        "Run `tocsin oncall plan ENV` and read it; what Atlassian's migration made under a wanted name is taken over with"
        " --adopt."
    )
    tasks.append(
        f"Delete in Jira the integrations tocsin-{declared.project}-…, if Atlassian's migration brought them along: their"
        " keys are told to nobody, so the next step has to make them."
    )
    tasks.append(
        "Run `tocsin oncall apply ENV`: it makes schedules, escalations, routing rules, integrations and the heartbeat, and"
        " writes the new keys into the same secrets."
    )
    tasks.append(
        "Deploy the routing again, first where nobody is woken: only then the SNS subscriptions and the dead-man's switch"
        " go to the new addresses. Opsgenie's stay valid until then, so no page is lost in between."
    )
    tasks.append(
        "Run `tocsin drill ENV` for each owner, and once with --page; let each person set up Jira's own app first."
    )
    others = [f"{many} {kind}" for kind, many in sorted(by_hand.items())]
    if others:
        tasks.append(f"Make by hand what Tocsin does not own: {', '.join(others)}.")
    if "integration" in kinds:
        tasks.append("Tell whoever else sends to an Opsgenie integration its new address and key.")
    tasks.append(
        f"When nothing comes in there any more, remove Opsgenie's side; at the latest by {END_OF_OPSGENIE.isoformat()}, and"
        " within 120 days of Atlassian's migration, when the account is switched off."
    )
    return tuple(tasks)


def _begin(text: str) -> str:
    return text[:1].upper() + text[1:]


def _arrow(item: Moved) -> str:
    return f" → {item.becomes}" if item.becomes else ""


def _because(item: Moved) -> str:
    return f" ({item.why})" if item.why else ""
