"""Reads Jira Service Management operations and turns what its API gives into the form that is compared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

from ...errors import PagingError
from ..tool import Found, Kind
from .bodies import ALERT_TEXTS, DAYS, Ids

if TYPE_CHECKING:
    from ..rest import Rest

PAGE = 50  # things a page; the API gives 20 when it is not told


class JiraAccount:
    """The readable side of one site.

    ``ops`` is the operations API of the site, ``jira`` the API of Jira itself, where people are looked up.  Teams and
    accounts are asked for once, the rest each time.
    """

    def __init__(self, ops: Rest, jira: Rest) -> None:
        self.ops, self.jira = ops, jira
        self._teams: dict[str, str] | None = None
        self._accounts: dict[str, str] = {}

    def teams(self) -> Mapping[str, str]:
        """Teams in which operations are switched on, name → id.  There are no pages."""
        if self._teams is None:
            answer = self.ops.get("/v1/teams")
            self._teams = {one["teamName"]: one["teamId"] for one in _listed(answer, "platformTeams")}
        return self._teams

    def account(self, address: str) -> str:
        """The account id of an e-mail address.

        Jira hides addresses of people who do not show theirs: then the only one found counts.  Raises PagingError for
        nobody and for more than one.
        """
        if address not in self._accounts:
            people = self.jira.get("/rest/api/3/user/search", query={"query": address})
            active = [one for one in people if one.get("active", True) and one.get("accountType") != "app"]
            exact = [one for one in active if str(one.get("emailAddress", "")).lower() == address.lower()]
            found = exact or [one for one in active if not one.get("emailAddress")]
            if len(found) != 1:
                raise PagingError(
                    f"Jira: {'nobody' if not found else 'more than one person'} is known as {address!r};"
                    " invite them to the site, or correct the address in deploy/oncall.toml"
                )
            self._accounts[address] = found[0]["accountId"]
        return self._accounts[address]

    def ids(self, addresses: Iterable[str], kind: Kind | None = None) -> Ids:
        """What everything is known by at this moment; for a step of one kind, as far as that needs it."""
        people = kind in (None, Kind.SCHEDULE, Kind.ESCALATION)
        schedules = self.schedules() if kind in (None, Kind.ESCALATION) else ()
        escalations = self.under_teams("escalations") if kind in (None, Kind.ROUTING_RULE) else ()
        return Ids(
            teams=self.teams(),
            accounts={one: self.account(one) for one in sorted(set(addresses))} if people else {},
            schedules={one["name"]: one["id"] for one in schedules},
            escalations={(team, one["name"]): one["id"] for team, one in escalations},
        )

    def schedules(self) -> Iterator[dict[str, Any]]:
        """All schedules, without their rotations."""
        return self._pages("/v1/schedules")

    def rotations(self, schedule: str) -> list[dict[str, Any]]:
        """The rotations of the schedule of that id."""
        return list(self._pages(f"/v1/schedules/{quote(schedule, safe='')}/rotations"))

    def integrations(self) -> Iterator[dict[str, Any]]:
        """All integrations; never with their keys."""
        return self._pages("/v1/integrations")

    def actions(self, integration: str) -> list[dict[str, Any]]:
        """What an integration makes of what comes in."""
        return list(self._pages(f"/v1/integrations/{quote(integration, safe='')}/actions"))

    def under_teams(self, what: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Escalations, routing rules or heartbeats of all teams, with the team's name."""
        for name, team in sorted(self.teams().items()):
            for one in self.under_team(team, what):
                yield name, one

    def under_team(self, team: str, what: str) -> Iterator[dict[str, Any]]:
        """Escalations, routing rules or heartbeats of the team of that id."""
        return self._pages(f"/v1/teams/{quote(team, safe='')}/{what}")

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        offset, seen = 0, 0
        while True:
            answer = self.ops.get(path, query={"offset": str(offset), "size": str(PAGE)})
            values = _listed(answer, "values")
            yield from values
            seen += len(values)
            following = (answer.get("links") or {}).get("next") if isinstance(answer, Mapping) else None
            if not following or not values:
                return
            stated = parse_qs(urlsplit(following).query).get("offset")
            offset = int(stated[0]) if stated else seen


def _listed(answer: Any, key: str) -> list[dict[str, Any]]:
    values = answer if isinstance(answer, list) else answer.get(key) if isinstance(answer, Mapping) else None
    if not isinstance(values, list):
        raise PagingError(f"Jira: the answer holds no list {key!r}; look whether the address is that of Jira's API")
    return values


def found_things(
    account: JiraAccount,
    ids: Ids,
    wanted: Callable[[Kind, str], str | None],
    owned: Callable[[Kind, str, str], bool],
) -> tuple[Found, ...]:
    """All that is owned and all whose name is wanted.

    ``wanted`` tells the team in which a thing of that name is wanted, ``owned`` is told kind, name and description.
    Names count within a team, so what is ours in another team than is wanted is one more thing, told with its team.
    """
    found: list[Found] = []
    for kind, team, one, read in _everything(account, ids, lambda name: owned(Kind.ROUTING_RULE, name, "")):
        name = str(one.get("name") or "")
        where = wanted(kind, name)
        here = where is not None and (not team or where == team)
        ours = owned(kind, name, str(one.get("description") or ""))
        if ours or here:
            told = name if here or where is None else f"{name} ({team})"
            found.append(Found(kind, told, read(), str(one.get("id") or name), ours))
    return tuple(found)


_Read = Callable[[], Mapping[str, Any]]


def _everything(
    account: JiraAccount, ids: Ids, owned_rule: Callable[[str], bool]
) -> Iterator[tuple[Kind, str, Mapping[str, Any], _Read]]:
    """Each thing with its team, empty for what belongs to the site, and how it is read; most of them are not."""
    for one in account.schedules():
        yield Kind.SCHEDULE, "", one, partial(_read_whole_schedule, account, one, ids)
    for team, one in account.under_teams("escalations"):
        yield Kind.ESCALATION, team, one, partial(read_escalation, one, team, ids)
    for team, rules in by_team(account):
        for position, one in positions(rules, owned_rule):
            yield Kind.ROUTING_RULE, team, one, partial(read_routing_rule, one, team, position, ids)
    for one in account.integrations():
        yield Kind.INTEGRATION, "", one, partial(_read_whole_integration, account, one, ids)
    for team, one in account.under_teams("heartbeats"):
        yield Kind.HEARTBEAT, team, one, partial(read_heartbeat, one, team)


def _read_whole_schedule(account: JiraAccount, one: Mapping[str, Any], ids: Ids) -> dict[str, Any]:
    return read_schedule(one, account.rotations(one["id"]), ids)


def _read_whole_integration(account: JiraAccount, one: Mapping[str, Any], ids: Ids) -> dict[str, Any]:
    return read_integration(one, account.actions(one["id"]), ids)


def by_team(account: JiraAccount, only: Collection[str] = ()) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The routing rules of each team, or of some, in their order; the default one is last."""
    for name, team in sorted(account.teams().items()):
        if only and name not in only:
            continue
        rules = list(account.under_team(team, "routing-rules"))
        yield name, sorted(rules, key=lambda one: (bool(one.get("isDefault")), int(one.get("order") or 0)))


def positions(rules: list[dict[str, Any]], owned: Callable[[str], bool]) -> Iterator[tuple[int | None, dict[str, Any]]]:
    """Each rule with its number among ours; None for one of ours that stands behind a rule of somebody else.

    Rules of other projects of Tocsin may stand before ours: each matches its own alerts only.
    """
    number, behind = 0, False
    for one in rules:
        name = str(one.get("name") or "")
        if owned(name):
            yield (None if behind else number), one
            number += 1
        else:
            behind = behind or not name.startswith("tocsin-")
            yield None, one


def read_schedule(one: Mapping[str, Any], rotations: Iterable[Mapping[str, Any]], ids: Ids) -> dict[str, Any]:
    """A schedule with its rotations."""
    return {
        "team": ids.name_of("team", str(one.get("teamId") or "")),
        "description": one.get("description") or "",
        "timezone": one.get("timezone"),
        "enabled": bool(one.get("enabled")),
        "rotations": sorted((read_rotation(each, ids) for each in rotations), key=lambda each: str(each["name"])),
    }


def read_rotation(one: Mapping[str, Any], ids: Ids) -> dict[str, Any]:
    """A rotation; participants that are no users are told by kind and id."""
    return {
        "name": one.get("name") or "",
        "type": str(one.get("type")).lower(),
        "length": int(one.get("length") or 1),
        "startDate": _instant(one.get("startDate")),
        "endDate": _instant(one.get("endDate")),
        "participants": [ids.name_of(str(each.get("type")), str(each.get("id"))) for each in one["participants"]],
        "timeRestriction": read_restriction(one.get("timeRestriction")),
    }


def _instant(text: Any) -> str | None:
    return datetime.fromisoformat(str(text)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if text else None


def read_restriction(one: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """On-call hours, in the order of the week: the API gives them back in another one."""
    if not one:
        return None
    clock = ("startHour", "startMin", "endHour", "endMin")
    if one.get("type") == "time-of-day":
        span = one.get("restriction") or {}
        return {"type": "time-of-day", "restriction": {key: int(span.get(key) or 0) for key in clock}}
    spans = [
        {
            "startDay": str(each["startDay"]).lower(),
            "endDay": str(each["endDay"]).lower(),
            **{key: int(each.get(key) or 0) for key in clock},
        }
        for each in one.get("restrictions") or ()
    ]
    return {
        "type": "weekday-and-time-of-day",
        "restrictions": sorted(
            spans, key=lambda each: (DAYS.index(each["startDay"]), each["startHour"], each["startMin"])
        ),
    }


def read_escalation(one: Mapping[str, Any], team: str, ids: Ids) -> dict[str, Any]:
    """An escalation."""
    again = one.get("repeat") or {}
    return {
        "team": team,
        "description": one.get("description") or "",
        "enabled": bool(one.get("enabled", True)),
        "rules": [
            {
                "condition": rule.get("condition"),
                "notifyType": rule.get("notifyType"),
                "delay": int(rule.get("delay") or 0),
                "recipient": {
                    "type": rule["recipient"]["type"],
                    "name": ids.name_of(rule["recipient"]["type"], str(rule["recipient"].get("id"))),
                },
            }
            for rule in one.get("rules") or ()
        ],
        "repeat": {
            "waitInterval": int(again["waitInterval"]),
            "count": int(again.get("count") or 0),
            "resetRecipientStates": bool(again.get("resetRecipientStates")),
            "closeAlertAfterAll": bool(again.get("closeAlertAfterAll")),
        }
        if again.get("waitInterval")
        else None,
    }


def read_routing_rule(one: Mapping[str, Any], team: str, position: int | None, ids: Ids) -> dict[str, Any]:
    """A routing rule; ``position`` is its number among ours."""
    notify = one.get("notify") or {"type": "none"}
    kind = str(notify["type"])
    criteria = one.get("criteria") or {}
    return {
        "team": team,
        "position": position,
        "criteria": {
            "type": criteria.get("type", "match-all"),
            "conditions": [
                {key: condition.get(key) for key in ("field", "operation", "expectedValue")}
                for condition in criteria.get("conditions") or ()
            ],
        },
        "notify": {"type": kind}
        if kind == "none"
        else {"type": kind, "name": ids.name_of(kind, str(notify.get("id") or ""))},
    }


def read_integration(one: Mapping[str, Any], actions: Iterable[Mapping[str, Any]], ids: Ids) -> dict[str, Any]:
    """An integration, with what its actions make of what comes in; never its key."""
    known = list(actions)
    creating, closing = mappings_of(known, "create"), mappings_of(known, "close")
    return {
        "team": ids.name_of("team", str(one.get("teamId") or "")),
        "type": one.get("type"),
        "enabled": bool(one.get("enabled")),
        "priority": str(creating.get("priority") or ""),
        **(
            {
                "alerts": {name: str(creating.get(name) or "") for name in ALERT_TEXTS},
                "closes": str(closing.get("alias") or ""),
            }
            if one.get("type") == "CloudWatch"
            else {}
        ),
    }


def incoming_action(actions: Iterable[Mapping[str, Any]], kind: str) -> Mapping[str, Any] | None:
    """The action that makes an alert of what comes in (``create``), or closes one (``close``)."""
    return next(
        (one for one in actions if one.get("type") == kind and one.get("direction", "incoming") == "incoming"), None
    )


def mappings_of(actions: Iterable[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    """What an action fills the fields of an alert with."""
    action = incoming_action(actions, kind)
    return (action.get("fieldMappings") or {}) if action else {}


def read_heartbeat(one: Mapping[str, Any], team: str) -> dict[str, Any]:
    """A heartbeat; its unit comes back with a capital letter."""
    return {
        "team": team,
        "description": one.get("description") or "",
        "interval": int(one.get("interval") or 0),
        "intervalUnit": str(one.get("intervalUnit") or "").lower(),
        "enabled": bool(one.get("enabled")),
        "alertMessage": one.get("alertMessage") or "",
        "alertPriority": one.get("alertPriority") or "",
        "alertTags": sorted(one.get("alertTags") or ()),
    }
