"""What of an Opsgenie account has which counterpart in Jira Service Management, kind by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..changes import is_marked
from ..declared import OnCall
from ..opsgenie.bodies import rule_prefix
from ..opsgenie.reading import Account
from ..tool import heartbeat_name
from .found import Fate, Moved


def unread(account: Account) -> list[Moved]:
    """What the key may not read, or the plan does not have."""
    return [Moved(what, "(all)", Fate.UNKNOWN, why=why) for what, why in sorted(account.unread.items())]


_ROLES = {
    "owner": "site or product admin",
    "admin": "operations global admin",
    "user": "agent",
    "stakeholder": "stakeholder (Premium and Enterprise plans only)",
}


def people(account: Account, declared: OnCall) -> list[Moved]:
    """Users, their notification rules, roles and teams."""
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


def who_is_told(account: Account, declared: OnCall) -> list[Moved]:
    """Schedules with overrides, escalations and routing rules."""
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


def what_comes_in(account: Account, declared: OnCall) -> list[Moved]:
    """Integrations and heartbeats."""
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


def the_rest(account: Account) -> list[Moved]:
    """Policies, maintenance, forwarding rules, services and incidents."""
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
