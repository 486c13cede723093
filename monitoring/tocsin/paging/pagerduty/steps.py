"""Brings one thing of a PagerDuty account to what is wanted, or takes it away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from ...errors import PagingError
from ..changes import is_marked
from ..rest import Rest, RestError
from ..tool import Action, Change, Kind, Thing
from .account import PLACES, PagerDutyAccount, own_integrations, plain_type


class PagerDutySteps:
    """The writing side of one account."""

    def __init__(self, rest: Rest, account: PagerDutyAccount, clock: Callable[[], datetime]) -> None:
        self._rest, self._account, self._clock = rest, account, clock

    def do(self, change: Change, project: str) -> None:
        """One step."""
        if change.kind not in PLACES:
            raise PagingError(f"PagerDuty has no {change.kind.value}s")
        if change.action is Action.DELETE:
            if change.found is not None:
                self._remove(f"{PLACES[change.kind][0]}/{quoted(change.found.id)}")
            return
        assert change.wanted is not None
        there = self._there(change, project)
        match change.kind:
            case Kind.TEAM:
                self._team(change.wanted, there)
            case Kind.SCHEDULE:
                self._schedule(change.wanted, there)
            case Kind.ESCALATION:
                self._escalation(change.wanted, there)
            case _:
                self._service(change.wanted, there)

    def _there(self, change: Change, project: str) -> str | None:
        """The id of what is to be changed; of what is to be made, if an earlier run was cut off after making it.

        Raises PagingError if somebody else has made a thing of that name since the plan.
        """
        if change.found is not None:
            return change.found.id
        same = self._account.named(change.kind, change.name)
        ours = [one for one in same if is_marked(one.get("description"), project)]
        if same and not ours:
            raise PagingError(f"PagerDuty: somebody made the {change.kind.value} {change.name!r} meanwhile; plan again")
        return str(ours[0]["id"]) if ours else None

    def _team(self, wanted: Thing, there: str | None) -> None:
        there = self._put(
            Kind.TEAM, there, {"type": "team", "name": wanted.name, "description": wanted.body["description"]}
        )
        address = f"/teams/{quoted(there)}/users"
        roles = {str(self._account.user(who)["id"]): role for who, role in wanted.body["members"].items()}
        present = {str(one["user"]["id"]): one.get("role") for one in self._account.members(there)}
        for user, role in roles.items():
            if present.get(user) != role:
                self._rest.put(f"{address}/{quoted(user)}", {"role": role})
        for user in present.keys() - roles.keys():
            self._remove(f"{address}/{quoted(user)}")

    def _schedule(self, wanted: Thing, there: str | None) -> None:
        body = wanted.body
        present: dict[str, list[Mapping[str, Any]]] = {}
        if there is not None:
            for one in self._account.layers(self._account.schedule(there)):
                present.setdefault(str(one.get("name") or ""), []).append(one)
        layers: list[dict[str, Any]] = []
        for layer in body["layers"]:
            sent = {
                "name": layer["name"],
                "start": layer["starts"],
                "end": layer["ends"],
                "rotation_virtual_start": layer["starts"],
                "rotation_turn_length_seconds": layer["turn_seconds"],
                "users": [
                    {"user": {"id": self._account.user(who)["id"], "type": "user_reference"}} for who in layer["users"]
                ],
                "restrictions": layer["restrictions"],
            }
            if same := present.get(layer["name"]):
                sent["id"] = same.pop(0)["id"]
            layers.append(sent)
        now = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        layers += [{**one, "end": now} for same in present.values() for one in same]
        self._put(
            Kind.SCHEDULE,
            there,
            {
                "type": "schedule",
                "name": wanted.name,
                "description": body["description"],
                "time_zone": body["time_zone"],
                "schedule_layers": layers,
                "teams": [self._reference(Kind.TEAM, body["team"])],
            },
        )

    def _escalation(self, wanted: Thing, there: str | None) -> None:
        body = wanted.body

        def target(one: Mapping[str, str]) -> dict[str, str]:
            if one["type"] == "user":
                return {"id": str(self._account.user(one["name"])["id"]), "type": "user_reference"}
            return self._reference(Kind.SCHEDULE, one["name"])

        self._put(
            Kind.ESCALATION,
            there,
            {
                "type": "escalation_policy",
                "name": wanted.name,
                "description": body["description"],
                "num_loops": body["loops"],
                "escalation_rules": [
                    {"escalation_delay_in_minutes": rule["delay"], "targets": [target(one) for one in rule["targets"]]}
                    for rule in body["rules"]
                ],
                "teams": [self._reference(Kind.TEAM, body["team"])],
            },
        )

    def _service(self, wanted: Thing, there: str | None) -> None:
        body = wanted.body
        there = self._put(
            Kind.INTEGRATION,
            there,
            {
                "type": "service",
                "name": wanted.name,
                "description": body["description"],
                "status": "active",
                "escalation_policy": self._reference(Kind.ESCALATION, body["escalation"]),
                "incident_urgency_rule": {"type": "constant", "urgency": body["urgency"]},
                "alert_creation": "create_alerts_and_incidents",
                # An alarm that is over closes what it opened; nothing else does.
                "auto_resolve_timeout": None,
                "acknowledgement_timeout": None,
            },
        )
        service = next(one for one in self._account.of_kind(Kind.INTEGRATION) if one["id"] == there)
        self._only_integration(wanted, service, lambda one: plain_type(one) == body["integration"])

    def replace_integration(self, wanted: Thing) -> None:
        """Make the integration of a service anew, with another key."""
        for service in self._account.named(Kind.INTEGRATION, wanted.name):
            self._only_integration(wanted, service, lambda one: False)

    def _only_integration(
        self, wanted: Thing, service: Mapping[str, Any], keep: Callable[[Mapping[str, Any]], bool]
    ) -> None:
        """Take away the integrations of ours that are not to be kept, and make one where none is left."""
        address = f"/services/{quoted(str(service['id']))}/integrations"
        ours = own_integrations(service)
        for one in ours:
            if not keep(one):
                self._remove(f"{address}/{quoted(str(one['id']))}")
        if not any(keep(one) for one in ours):
            self._rest.post(address, {"integration": {"type": wanted.body["integration"], "name": wanted.name}})

    def _put(self, kind: Kind, there: str | None, body: Mapping[str, Any]) -> str:
        path, _, one = PLACES[kind]
        if there is None:
            return str(self._rest.post(path, {one: body})[one]["id"])
        self._rest.put(f"{path}/{quoted(there)}", {one: body})
        return there

    def _reference(self, kind: Kind, name: str) -> dict[str, str]:
        found = self._account.named(kind, name)
        if not found:
            raise PagingError(f"PagerDuty: there is no {kind.value} {name!r}; run `tocsin oncall plan` again")
        return {"id": str(found[0]["id"]), "type": f"{PLACES[kind][2]}_reference"}

    def _remove(self, path: str) -> None:
        """Delete; what is gone already is gone."""
        try:
            self._rest.delete(path)
        except RestError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise


def quoted(text: str) -> str:
    """One segment of a path."""
    return quote(text, safe="")
