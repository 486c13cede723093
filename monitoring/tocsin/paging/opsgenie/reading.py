"""Reads the whole of an Opsgenie account, also what Tocsin does not configure, with GET alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from ..rest import Rest, RestError

#: What a key may be too weak for, or a plan not have: told, not failed over.
_NOT_FOR_US = (HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)

Thing = Mapping[str, Any]


@dataclass(frozen=True)
class Account:
    """What is there, as Opsgenie tells it.

    A team has its ``members``, ``roles`` and ``rules``; ``overrides`` are by schedule, ``notification_rules`` by address.
    ``unread`` says of each kind that could not be read why.
    """

    name: str
    users: Sequence[Thing] = ()
    notification_rules: Mapping[str, Sequence[Thing]] = field(default_factory=dict)
    roles: Sequence[Thing] = ()
    teams: Sequence[Thing] = ()
    schedules: Sequence[Thing] = ()
    overrides: Mapping[str, Sequence[Thing]] = field(default_factory=dict)
    escalations: Sequence[Thing] = ()
    integrations: Sequence[Thing] = ()
    heartbeats: Sequence[Thing] = ()
    policies: Sequence[Thing] = ()
    maintenance: Sequence[Thing] = ()
    forwarding_rules: Sequence[Thing] = ()
    services: Sequence[Thing] = ()
    incidents: Sequence[Thing] = ()
    unread: Mapping[str, str] = field(default_factory=dict)


def read_account(rest: Rest) -> Account:
    """Everything.  Raises PagingError when the key is refused altogether, or the tool fails."""
    reader = _Reader(rest)
    account = rest.get("/v2/account") or {}
    users = reader.listed("users", "/v2/users")
    teams = [reader.team(one) for one in reader.listed("teams", "/v2/teams")]
    schedules = reader.listed("schedules", "/v2/schedules", {"expand": "rotation"})
    alert_policies = reader.listed("policies", "/v2/policies/alert")
    of_teams = [
        one
        for team in teams
        for kind in ("alert", "notification")
        for one in reader.listed("policies", f"/v2/policies/{kind}", {"teamId": str(team["id"])})
    ]
    heartbeats = reader.one("heartbeats", "/v2/heartbeats")
    return Account(
        name=str((account.get("data") or {}).get("name") or ""),
        users=users,
        notification_rules={
            one["username"]: reader.listed("notification rules", f"/v2/users/{_quoted(one['id'])}/notification-rules")
            for one in users
        },
        roles=reader.listed("roles", "/v2/roles"),
        teams=teams,
        schedules=schedules,
        overrides={
            one["name"]: reader.listed("overrides", f"/v2/schedules/{_quoted(one['id'])}/overrides")
            for one in schedules
        },
        escalations=reader.listed("escalations", "/v2/escalations"),
        integrations=reader.listed("integrations", "/v2/integrations"),
        heartbeats=list((heartbeats or {}).get("heartbeats") or ()),
        policies=[*alert_policies, *of_teams],
        maintenance=reader.listed("maintenance", "/v1/maintenance", {"type": "non-expired"}),
        forwarding_rules=reader.listed("forwarding rules", "/v2/forwarding-rules"),
        services=reader.listed("services", "/v1/services"),
        incidents=reader.listed("incidents", "/v1/incidents", {"query": "status: open"}),
        unread=reader.unread,
    )


class _Reader:
    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self.unread: dict[str, str] = {}

    def team(self, one: Thing) -> Thing:
        address = f"/v2/teams/{_quoted(one['id'])}"
        whole = self.one("teams", address) or one
        return {
            **one,
            **whole,
            "roles": self.listed("team roles", f"{address}/roles"),
            "rules": self.listed("routing rules", f"{address}/routing-rules"),
        }

    def one(self, what: str, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The data of an answer; None for what cannot be read, which is written down."""
        answer = self._get(what, path, query)
        return answer.get("data") if isinstance(answer, Mapping) else None

    def listed(self, what: str, path: str, query: Mapping[str, str] | None = None) -> list[Thing]:
        """All things under a path, page by page where there are pages."""
        found: list[Thing] = []
        given: Mapping[str, str] | None = query
        while True:
            answer = self._get(what, path, given)
            if not isinstance(answer, Mapping):
                return found
            page = answer.get("data") or ()
            found += page
            following = (answer.get("paging") or {}).get("next")
            if not following or not page:
                return found
            # Its query alone: the address is not ours to follow with the key.
            given = {name: value for name, value in parse_qsl(urlsplit(str(following)).query) if name != "apiKey"}

    def _get(self, what: str, path: str, query: Mapping[str, str] | None) -> Any:
        try:
            return self._rest.get(path, query=query)
        except RestError as error:
            if error.status not in _NOT_FOR_US:
                raise
            self.unread[what] = f"GET {path} answers {error.status}: the key's rights, or the plan"
            return None


def _quoted(text: Any) -> str:
    return quote(str(text), safe="")
