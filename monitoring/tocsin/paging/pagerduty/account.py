"""Reads a PagerDuty account and turns what its REST API gives into the form that is compared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ...errors import PagingError
from ..tool import Found, Kind
from .bodies import restriction_order

if TYPE_CHECKING:
    from ..rest import Rest

PAGE = 100  # the most that the API gives at once

#: Kind → path, name of the list, name of one.
PLACES = {
    Kind.TEAM: ("/teams", "teams", "team"),
    Kind.SCHEDULE: ("/schedules", "schedules", "schedule"),
    Kind.ESCALATION: ("/escalation_policies", "escalation_policies", "escalation_policy"),
    Kind.INTEGRATION: ("/services", "services", "service"),
}
#: Who may do everything in the account has no lesser role in a team.
_ABOVE_TEAMS = ("admin", "owner")


class PagerDutyAccount:
    """The readable side of one account.  Users are asked for once, the rest each time."""

    def __init__(self, rest: Rest, clock: Callable[[], datetime]) -> None:
        self.rest, self._clock = rest, clock
        self._users: dict[str, Mapping[str, Any]] = {}

    def user(self, address: str) -> Mapping[str, Any]:
        """The user of an e-mail address.  Raises PagingError if there is none."""
        if address not in self._users:
            found = self.listed("/users", "users", {"query": address})
            same = [one for one in found if str(one.get("email", "")).lower() == address.lower()]
            if not same:
                raise PagingError(
                    f"PagerDuty: nobody is known as {address!r}; invite them, or correct the address in"
                    " deploy/oncall.toml"
                )
            self._users[address] = same[0]
        return self._users[address]

    def listed(self, path: str, key: str, query: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
        """All things under a path, page by page."""
        offset = 0
        while True:
            answer = self.rest.get(path, query={**(query or {}), "limit": str(PAGE), "offset": str(offset)})
            values = answer.get(key) if isinstance(answer, Mapping) else None
            if not isinstance(values, list):
                raise PagingError(
                    f"PagerDuty: the answer to GET {path} holds no list {key!r}; look whether the address is PagerDuty's"
                )
            yield from values
            offset += len(values)
            if not answer.get("more") or not values:
                return

    def of_kind(self, kind: Kind) -> Iterator[dict[str, Any]]:
        """All things of a kind; schedules come without their layers."""
        path, key, _ = PLACES[kind]
        return self.listed(path, key, {"include[]": "integrations"} if kind is Kind.INTEGRATION else None)

    def schedule(self, identifier: str) -> dict[str, Any]:
        """A schedule with its layers."""
        found: dict[str, Any] = self.rest.get(f"/schedules/{quote(identifier, safe='')}")["schedule"]
        return found

    def layers(self, schedule: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The layers that have not ended: one is never removed, only ended."""
        now = self._clock()
        ends = ((one, one.get("end")) for one in schedule.get("schedule_layers") or ())
        return [one for one, end in ends if not end or datetime.fromisoformat(end) > now]

    def members(self, team: str) -> list[dict[str, Any]]:
        """The members of the team of that id: user and role."""
        return list(self.listed(f"/teams/{quote(team, safe='')}/members", "members"))

    def named(self, kind: Kind, name: str) -> list[dict[str, Any]]:
        """All things of a kind that have that name."""
        return [one for one in self.of_kind(kind) if one.get("name") == name]

    def present(
        self,
        addresses: Collection[str],
        roles: Mapping[str, Mapping[str, str]],
        wanted: Callable[[Kind, str], bool],
        owned: Callable[[Kind, str, str], bool],
    ) -> tuple[Found, ...]:
        """All that is owned and all whose name is wanted.  ``roles`` are those that the file gives, by team and address."""
        people = {str(self.user(address)["id"]): address for address in addresses}
        above = {address for address in addresses if self.user(address).get("role") in _ABOVE_TEAMS}
        reads: Mapping[Kind, Callable[[dict[str, Any]], dict[str, Any]]] = {
            Kind.TEAM: partial(self._read_team, people=people, above=above, roles=roles),
            Kind.SCHEDULE: partial(self._read_schedule, people=people),
            Kind.ESCALATION: partial(_read_escalation, people=people),
            Kind.INTEGRATION: _read_service,
        }
        found = []
        for kind, read in reads.items():
            for one in self.of_kind(kind):
                name = str(one.get("name") or "")
                ours = owned(kind, name, str(one.get("description") or ""))
                if ours or wanted(kind, name):
                    found.append(Found(kind, name, read(one), str(one["id"]), ours))
        return tuple(found)

    def _read_team(
        self,
        one: Mapping[str, Any],
        people: Mapping[str, str],
        above: Collection[str],
        roles: Mapping[str, Mapping[str, str]],
    ) -> dict[str, Any]:
        members = {}
        for each in self.members(str(one["id"])):
            identifier = str(each["user"]["id"])
            address = people.get(identifier, f"user {identifier}")
            declared = roles.get(str(one["name"]), {}).get(address)
            members[address] = declared if address in above and declared else str(each.get("role"))
        return {"description": one.get("description") or "", "members": members}

    def _read_schedule(self, one: Mapping[str, Any], people: Mapping[str, str]) -> dict[str, Any]:
        whole = self.schedule(str(one["id"]))
        layers = [read_layer(layer, people) for layer in self.layers(whole)]
        return {
            "team": _team(whole),
            "description": whole.get("description") or "",
            "time_zone": whole.get("time_zone"),
            "layers": sorted(layers, key=lambda each: str(each["name"])),
        }


def read_layer(layer: Mapping[str, Any], people: Mapping[str, str]) -> dict[str, Any]:
    """A layer; its start is not read, because PagerDuty gives the moment of its last change there."""
    ids = (str(one["user"]["id"]) for one in layer.get("users") or ())
    found = [
        {
            key: one[key]
            for key in ("type", "start_day_of_week", "start_time_of_day", "duration_seconds")
            if one.get(key)
        }
        for one in layer.get("restrictions") or ()
    ]
    return {
        "name": layer.get("name") or "",
        "starts": _instant(layer.get("rotation_virtual_start")),
        "ends": _instant(layer.get("end")),
        "turn_seconds": int(layer.get("rotation_turn_length_seconds") or 0),
        "users": [people.get(one, f"user {one}") for one in ids],
        "restrictions": sorted(found, key=restriction_order),
    }


def _instant(text: Any) -> str | None:
    return datetime.fromisoformat(str(text)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if text else None


def _team(one: Mapping[str, Any]) -> str | None:
    names = sorted(str(team.get("summary") or team.get("name") or team.get("id")) for team in one.get("teams") or ())
    return " and ".join(names) or None


def _read_escalation(one: Mapping[str, Any], people: Mapping[str, str]) -> dict[str, Any]:
    def target(each: Mapping[str, Any]) -> dict[str, str]:
        kind = str(each["type"]).removesuffix("_reference")
        identifier = str(each["id"])
        named = (
            people.get(identifier, f"user {identifier}") if kind == "user" else str(each.get("summary") or identifier)
        )
        return {"type": kind, "name": named}

    return {
        "team": _team(one),
        "description": one.get("description") or "",
        "loops": int(one.get("num_loops") or 0),
        "rules": [
            {
                "delay": int(rule.get("escalation_delay_in_minutes") or 0),
                "targets": sorted(
                    map(target, rule.get("targets") or ()), key=lambda each: (each["type"], each["name"])
                ),
            }
            for rule in one.get("escalation_rules") or ()
        ],
    }


def _read_service(one: Mapping[str, Any]) -> dict[str, Any]:
    policy = one.get("escalation_policy") or {}
    ours = own_integrations(one)
    return {
        "description": one.get("description") or "",
        "enabled": one.get("status") != "disabled",
        "escalation": policy.get("summary") or policy.get("id"),
        "urgency": (one.get("incident_urgency_rule") or {}).get("urgency"),
        "integration": " and ".join(sorted(plain_type(each) for each in ours)) or None,
    }


def own_integrations(service: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The integrations of a service that Tocsin made: they have its name."""
    return [
        one for one in service.get("integrations") or () if service["name"] in (one.get("name"), one.get("summary"))
    ]


def plain_type(integration: Mapping[str, Any]) -> str:
    """The kind of an integration, which a list tells as that of a reference."""
    return str(integration.get("type") or "").removesuffix("_reference")
